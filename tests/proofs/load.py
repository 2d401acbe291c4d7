"""HTTP clients that keep asking the tasks of a service, as callers behind a load balancer would.

An address is asked once a first request to it has succeeded (a load balancer's first health check), and until
DescribeTasks no longer shows its task RUNNING and meant to go on. While the server cannot be asked, the clients go on
with the addresses that they know.
"""

import http.client
import itertools
import threading
import time

from common import NoAnswer, client, in_chunks
from harness.cases import endpoint
from harness.http_get import get

LOOK_SECS = 0.1
TIMEOUT_SECS = 5
# Between two requests of one client; there are several, and the containers share this machine with the proof.
PAUSE_SECS = 0.01


class Load:
    def __init__(self, plane, cluster, service, clients=4):
        self.plane, self.cluster, self.service = plane, cluster, service
        self.addresses = ()
        self.requests = 0
        self.failures = []
        self.versions = set()
        self._known_good = set()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._look, daemon=True)]
        self._threads += [threading.Thread(target=self._ask, args=(at,), daemon=True) for at in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join(TIMEOUT_SECS + 5)

    def _look(self):
        ecs = client(self.plane)
        while not self._end.wait(LOOK_SECS):
            try:
                self.addresses = tuple(sorted(filter(self._answers, self._serving(ecs))))
            except NoAnswer:
                continue

    def _serving(self, ecs):
        arns = ecs.list_tasks(cluster=self.cluster, serviceName=self.service, desiredStatus="RUNNING")["taskArns"]
        for chunk in in_chunks(arns, 100):
            for task in ecs.describe_tasks(cluster=self.cluster, tasks=chunk)["tasks"]:
                if task["lastStatus"] == "RUNNING" and task["desiredStatus"] == "RUNNING":
                    yield (task["taskArn"], *endpoint(task))

    def _answers(self, address):
        if address not in self._known_good:
            try:
                if get(address[1:], timeout_secs=1)[0] == 200:
                    self._known_good.add(address)
            except (OSError, http.client.HTTPException):
                return False
        return address in self._known_good

    def _ask(self, first):
        for turn in itertools.count(first):
            if self._end.wait(PAUSE_SECS):
                return
            addresses = self.addresses
            if not addresses:
                continue
            address = addresses[turn % len(addresses)]
            try:
                status, text = get(address[1:], timeout_secs=TIMEOUT_SECS)
                problem = None if status == 200 else f"HTTP {status}"
            except (OSError, http.client.HTTPException) as error:
                text, problem = "", repr(error)
            with self._lock:
                self.requests += 1
                if problem is None:
                    self.versions.add(text.split()[1])
                else:
                    self.failures.append((time.time_ns(), address, problem))
