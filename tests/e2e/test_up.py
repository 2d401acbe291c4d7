"""`longshore up`: what it opens, what it leaves behind, and what it says of those who are away."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

from harness import docker
from harness.cases import EngineCase
from harness.client import ecs_client
from harness.engine_proxy import HANG, EngineProxy
from harness.process import Agent, ControlPlane, free_port
from harness.wait import eventually


class Up(EngineCase):
    def up(self, name, *options, **variables):
        plane = ControlPlane("up", self.directory / name, 0, ("--cluster", self.cluster, *options))
        plane.environment.update(variables)
        self.addCleanup(plane.stop)
        return plane

    def started(self, name, *options, **variables):
        plane = self.up(name, *options, **variables)
        plane.start()
        self.plane = plane
        self.ecs = ecs_client(plane.env)
        self.region = plane.env["AWS_DEFAULT_REGION"]
        return plane

    def networks_below(self, name):
        """The networks of agents with data in this directory."""
        labels = json.dumps({"label": [f"{docker.LABEL_OWNER}={self.directory / name}"]})
        return docker.networks(labels)

    def test_ports_of_tasks_are_open_to_this_machine_only(self):
        plane = self.started("loopback", "--fargate", "0")
        self.assertIn("ports of tasks: on 127.0.0.1, for this machine only", plane.log_tail())
        port = free_port()
        definition = self.register(
            "loopback", {"memory": 32, "portMappings": [{"containerPort": 8080, "hostPort": port}]}
        )
        [task] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(task["taskArn"], "RUNNING", 40)
        [binding] = task["containers"][0]["networkBindings"]
        self.assertEqual((binding["bindIP"], binding["hostPort"]), ("127.0.0.1", port))
        connection = http.client.HTTPConnection("localhost", port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", "/")
        self.assertEqual(connection.getresponse().status, 200)
        self.assertEqual(self.listeners(port), {"127.0.0.1"})

    def test_what_up_itself_opens_is_for_this_machine_only(self):
        """The API, the agents' introspection and task metadata, as the kernel lists them."""
        plane = self.started("listens", "--instances", "2")
        for address, port in self.sockets_of(plane.child.pid):
            with self.subTest(address=address, port=port):
                # At the gateway of its network it serves task metadata to the containers there.
                gateways = {gateway for network in self.networks_below("listens") for gateway in network}
                # That of roles is on the loopback interface, and no router passes it on.
                is_own = address.startswith("127.") or address == "169.254.170.2" or address in gateways
                self.assertTrue(is_own, (address, port, gateways))

    def listeners(self, port):
        return {address for address, its in sockets(None) if its == port}

    def sockets_of(self, pid):
        inodes = set()
        for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(descriptor)
            except OSError:
                continue
            inodes |= set(re.findall(r"socket:\[(\d+)\]", target))
        return sockets(inodes)

    def test_ports_can_be_opened_on_purpose(self):
        plane = self.started("opened", "--fargate", "0", "--bind-tasks", "127.0.0.9")
        self.assertIn("ports of tasks: on 127.0.0.9, for this machine only", plane.log_tail())
        definition = self.register("opened", {"memory": 32, "portMappings": [{"containerPort": 8080, "hostPort": 0}]})
        [task] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(task["taskArn"], "RUNNING", 40)
        self.assertEqual(task["containers"][0]["networkBindings"][0]["bindIP"], "127.0.0.9")

    def test_one_that_ends_while_joining_leaves_nothing(self):
        proxy = EngineProxy(self.directory / "joining.sock")
        # Agents list their containers before they register.
        proxy.rule(r"^GET .*/containers/json", HANG)
        proxy.up()
        self.addCleanup(proxy.down)
        for ending in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(ending=ending):
                plane = self.up("joining", DOCKER_HOST=proxy.host)
                super(ControlPlane, plane).start()
                eventually(lambda: self.networks_below("joining"), timeout_secs=30, what="its network")
                plane.child.send_signal(ending)
                self.assertEqual(plane.wait_end(), 0, plane.log_tail())
                self.assertEqual(self.networks_below("joining"), [])

    def test_one_that_cannot_say_where_it_is_leaves_nothing(self):
        plane = self.up("unsaid", "--fargate", "0")
        with open("/dev/full", "w") as full:
            child = subprocess.Popen(
                plane.arguments, env=plane.environment, stdout=full, stderr=subprocess.PIPE, text=True
            )
        _, said = child.communicate(timeout=120)
        self.assertEqual(child.returncode, 1, said)
        self.assertIn("No space left on device", said)
        self.assertEqual(self.networks_below("unsaid"), [])

    def test_instances_of_an_earlier_up_are_told_with_what_removes_them(self):
        plane = self.started("earlier", "--instances", "2", "--fargate", "2")
        self.assertNotIn("note:", plane.log_tail())
        self.assertEqual(plane.stop(), 0)
        plane = self.started("earlier", "--instances", "1", "--fargate", "1")
        for told in (plane.log_tail(), plane.ask("status")):
            self.assertIn(f"1 container instance of cluster {self.cluster} is away", told)
            self.assertIn("1 container instance of cluster .fargate is away", told)
        # What is printed does it.
        for command in re.findall(r"aws ecs (deregister-container-instance .*)", plane.ask("status")):
            done = subprocess.run(
                ["aws", "ecs", *command.split()],
                env={**os.environ, **plane.env, "AWS_PAGER": ""},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("away", plane.ask("status"))


class EngineAway(EngineCase):
    # docs/operating.md: within half a minute.
    STATED_SECS = 30

    def test_an_engine_that_is_away_is_shown(self):
        self.start_plane("server")
        self.ecs.create_cluster(clusterName=self.cluster)
        proxy = EngineProxy(self.directory / "away.sock")
        proxy.up()
        self.addCleanup(proxy.down)
        agent = Agent(self.plane, self.directory / "agent", self.cluster, DOCKER_HOST=proxy.host)
        self.addCleanup(agent.stop)
        agent.start()
        self.shown("connected")
        proxy.down()
        said = self.shown("no engine")
        self.assertIn("look at Docker there", said)
        proxy.up()
        self.shown("connected")

    def shown(self, word):
        return eventually(
            lambda: self.plane.ask("status", "--cluster", self.cluster),
            lambda screen: re.search(rf"ACTIVE +{word} ", screen) is not None,
            self.STATED_SECS,
            f"{word!r} in `longshore status`",
        )


def sockets(inodes):
    """Address and port of the machine's listening sockets, all or those of a process."""
    found = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] != "0A" or (inodes is not None and fields[9] not in inodes):
                continue
            address, port = fields[1].split(":")
            raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
            found.append((socket.inet_ntop(family, raw), int(port, 16)))
    return found
