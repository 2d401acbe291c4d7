"""The container engine as these tests see it: its HTTP API on the local socket, without a client library.

The tests look at containers beside Longshore, kill them behind its back, and clean up. Every container that
is touched is found by the labels that Longshore gives it.
"""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import urllib.parse

LABEL_TASK = "com.amazonaws.ecs.task-arn"
LABEL_CONTAINER = "com.amazonaws.ecs.container-name"
LABEL_CLUSTER = "com.amazonaws.ecs.cluster"
# Only Longshore's own agent sets it; nothing without it is ever killed or removed here.
LABEL_OURS = "longshore.agent"
# The directory of whoever made a network for tasks.
LABEL_OWNER = "longshore.owner"
# The container that holds the network of a task in awsvpc mode.
PAUSE = "~internal~ecs~pause"


class EngineError(Exception):
    """The engine refused, or does not answer."""


class NotThere(EngineError):
    """The engine does not have it, or no longer."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout_secs):
        super().__init__("localhost", timeout=timeout_secs)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _call(method, path, timeout_secs=30):
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        raise EngineError(f"these tests know only unix:// sockets, not DOCKER_HOST={host}")
    connection = _UnixConnection(host.removeprefix("unix://"), timeout_secs)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
    except OSError as error:
        raise EngineError(f"{host} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        kind = NotThere if answer.status == 404 else EngineError
        raise kind(f"{method} {path}: {answer.status} {body.decode(errors='replace').strip()}")
    return json.loads(body) if body else None


def version():
    """The engine's version; raises EngineError if none answers."""
    return _call("GET", "/version", timeout_secs=5)["Version"]


def has_image(name):
    try:
        _call("GET", f"/images/{urllib.parse.quote(name, safe='')}/json")
        return True
    except EngineError:
        return False


def _listed(labels, running_only):
    query = {"all": str(not running_only).lower(), "filters": json.dumps({"label": [LABEL_OURS, *labels]})}
    return _call("GET", "/containers/json?" + urllib.parse.urlencode(query))


def containers_of_task(task_arn, name=None, running_only=True):
    """Ids of a task's containers."""
    labels = [f"{LABEL_TASK}={task_arn}"]
    if name is not None:
        labels.append(f"{LABEL_CONTAINER}={name}")
    return [container["Id"] for container in _listed(labels, running_only)]


def container_of_task(task_arn, name=None):
    """The id of the one running container of a task, or of the one with that name."""
    found = containers_of_task(task_arn, name)
    if len(found) != 1:
        raise EngineError(f"task {task_arn} has {len(found)} running containers, not one")
    return found[0]


def running_of_cluster(cluster):
    """Ids of the running containers of a cluster."""
    return sorted(container["Id"] for container in _listed([f"{LABEL_CLUSTER}={cluster}"], True))


def start_of(container_id):
    """What changes when a container is started again, and only then."""
    state = _call("GET", f"/containers/{container_id}/json")
    return (state["Id"], state["State"]["StartedAt"], state["State"]["Pid"], state["RestartCount"])


def starts_of_cluster(cluster):
    """`start_of` of each running container of a cluster. One that goes between two questions is not among them."""
    starts = {}
    for container in running_of_cluster(cluster):
        with contextlib.suppress(NotThere):
            starts[container] = start_of(container)
    return starts


def endpoints_of(container_id):
    """Address and MAC address of a container in each of its networks."""
    networks = _call("GET", f"/containers/{container_id}/json")["NetworkSettings"]["Networks"]
    return [(network["IPAddress"], network["MacAddress"]) for network in networks.values()]


def log_config_of(container_id):
    """The log driver of a container and its options; it may have ended."""
    return _call("GET", f"/containers/{container_id}/json")["HostConfig"]["LogConfig"]


def environment_of(container_id):
    """The variables that a container was made with."""
    pairs = _call("GET", f"/containers/{container_id}/json")["Config"]["Env"]
    return dict(pair.split("=", 1) for pair in pairs)


def remove_networks(directory):
    """Removes the networks that agents with data below `directory` made; nothing is in them any more."""
    query = urllib.parse.urlencode({"filters": json.dumps({"label": [LABEL_OWNER]})})
    for network in _call("GET", f"/networks?{query}"):
        if network["Labels"][LABEL_OWNER].startswith(f"{directory}/"):
            _call("DELETE", f"/networks/{network['Id']}")


def networks(filters):
    """The gateways of each network that the filters let through, as JSON of the engine's API."""
    found = _call("GET", "/networks?" + urllib.parse.urlencode({"filters": filters}))
    return [[config.get("Gateway") for config in network["IPAM"]["Config"]] for network in found]


def kill(container_id):
    """SIGKILL, as `docker kill` does."""
    _call("POST", f"/containers/{container_id}/kill")


def remove_clusters(prefix):
    """Removes every container of the clusters whose names begin so; only this run of the tests has them."""
    tasks = set()
    for container in _listed([LABEL_CLUSTER], False):
        if not container["Labels"][LABEL_CLUSTER].startswith(prefix):
            continue
        tasks.add(container["Labels"].get(LABEL_TASK, "").rpartition("/")[2])
        try:
            _call("DELETE", f"/containers/{container['Id']}?force=true&v=true")
        except EngineError as error:
            # An agent's own clean-up may have been first.
            if " 404 " not in str(error) and " 409 " not in str(error):
                raise
    _remove_cgroups(tasks)


def _remove_cgroups(tasks):
    """Removes what agents have made for these tasks, and would remove with their containers, hours later."""
    for task in filter(None, tasks):
        cgroups = pathlib.Path("/sys/fs/cgroup")
        # Below each controller in version 1.
        for directory in (cgroups / "ecs" / task, *cgroups.glob(f"*/ecs/{task}")):
            # Only an empty one can be removed, so one in use stays.
            with contextlib.suppress(OSError):
                directory.rmdir()


def of_agent(agent):
    """Every container that the agent with this id made, running or not."""
    query = {"all": "true", "filters": json.dumps({"label": [f"{LABEL_OURS}={agent}"]})}
    return [container["Id"] for container in _call("GET", "/containers/json?" + urllib.parse.urlencode(query))]


def remove_agent(agent):
    """Removes every container that the agent with this id made."""
    for container in of_agent(agent):
        with contextlib.suppress(NotThere):
            _call("DELETE", f"/containers/{container}?force=true&v=true")


def all_of_cluster(cluster):
    """Every container of a cluster as the engine lists it, running or not."""
    return _listed([f"{LABEL_CLUSTER}={cluster}"], False)
