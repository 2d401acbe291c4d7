"""What really happened to containers, as the engine tells it: its event stream, without asking Longshore.

A `Recorder` follows the events of one cluster's containers, by their labels. `Life` is what became of one container.
Times are the engine's own, in nanoseconds, so events are in order and can be compared with each other; a test that
acts itself notes the time with `now_ns`, on the same machine's clock.
"""

import http.client
import json
import os
import socket
import threading
import time
import urllib.parse

from common import docker, eventually


def now_ns():
    return time.time_ns()


class Life:
    """One container, from its making to its end. Times in ns; `None`: has not happened."""

    def __init__(self, container_id, labels):
        self.id = container_id
        self.task = labels.get(docker.LABEL_TASK, "")
        self.name = labels.get(docker.LABEL_CONTAINER, "")
        self.family = labels.get("com.amazonaws.ecs.task-definition-family", "")
        self.revision = int(labels.get("com.amazonaws.ecs.task-definition-version", "0"))
        self.starts = []
        # The first signal that was sent to it, by whomever.
        self.signalled = None
        self.died = None
        self.exit_code = None
        # (time, healthy), one per change.
        self.health = []
        # The proof killed it, not Longshore.
        self.crashed = False

    @property
    def started(self):
        return self.starts[0] if self.starts else None

    def runs(self, at):
        return self.started is not None and self.started <= at and (self.died is None or at < self.died)

    def told(self, at):
        """Has been told to leave."""
        return self.signalled is not None and self.signalled <= at

    def healthy(self, at, settle_ns, checked):
        """Healthy as ECS counts it: by its health check, or else after the settle time (ecs-services E2)."""
        if not self.runs(at) or self.told(at):
            return False
        if not checked:
            return at - self.started >= settle_ns
        last = [healthy for when, healthy in self.health if when <= at]
        return bool(last) and last[-1]


class Recorder:
    """Follows the engine's events until closed."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.lives = {}
        self.events = 0
        self.error = None
        self._closing = False
        self._lock = threading.Lock()
        path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self._socket
        filters = {"type": ["container"], "label": [f"{docker.LABEL_CLUSTER}={cluster}"]}
        query = urllib.parse.urlencode({"filters": json.dumps(filters), "since": f"{time.time():.9f}"})
        connection.request("GET", f"/events?{query}")
        self._answer = connection.getresponse()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        try:
            while line := self._answer.readline():
                self._take(json.loads(line))
            if not self._closing:
                self.error = "the event stream ended"
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not self._closing:
                self.error = repr(error)

    def _take(self, event):
        labels, at, action = event["Actor"]["Attributes"], event["timeNano"], event["Action"]
        with self._lock:
            self.events += 1
            life = self.lives.get(event["Actor"]["ID"])
            if life is None:
                life = self.lives[event["Actor"]["ID"]] = Life(event["Actor"]["ID"], labels)
            if action == "start":
                life.starts.append(at)
            elif action == "kill" and life.signalled is None:
                life.signalled = at
            elif action == "die":
                life.died, life.exit_code = at, int(labels.get("exitCode", "-1"))
            elif action.startswith("health_status"):
                life.health.append((at, action.endswith(": healthy")))

    def close(self):
        self._closing = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def of(self, family, name=None):
        """The lives of a family's containers so far."""
        with self._lock:
            found = [life for life in self.lives.values() if life.family == family]
        return [life for life in found if name is None or life.name == name]

    def running(self, family=None):
        with self._lock:
            lives = list(self.lives.values())
        return [life for life in lives if life.runs(now_ns()) and family in (None, life.family)]

    def kill(self, life):
        """`docker kill`, behind Longshore's back."""
        life.crashed = True
        docker.kill(life.id)

    def check(self, findings):
        """The stream broke nowhere, and agrees with the engine's list. No container was started twice, nor two for one."""
        findings.expect(self.error is None, f"the recorder stopped: {self.error}")

        def differences():
            listed = set(docker.running_of_cluster(self.cluster))
            return sorted(listed ^ {life.id for life in self.running()})

        # The engine's list may lag behind its events.
        left = eventually(differences, lambda found: not found, 20, "agreement of the engine's list with its events")
        findings.expect(not left, f"the engine's list and its events differ: {left}")
        per_container = {}
        with self._lock:
            lives = list(self.lives.values())
        for life in lives:
            findings.expect(len(life.starts) <= 1, f"container {life.id} of {life.task} started {len(life.starts)} times")
            if life.starts:
                per_container.setdefault((life.task, life.name), []).append(life.id)
        for (task, name), containers in per_container.items():
            findings.expect(len(containers) == 1, f"{name} of {task} was run {len(containers)} times: {containers}")
