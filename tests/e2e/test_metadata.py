"""Task metadata v4 as containers of `up` ask for it (agent-protocol G17)."""

import http.client
import unittest
import urllib.parse

from harness import docker
from harness.cases import BUSYBOX, UpCase
from test_awsvpc import NETWORK

# Ends with 0 if the answer is about the task itself.
ASK = 'wget -q -T 10 -O - "$ECS_CONTAINER_METADATA_URI_V4/task" | grep -q "\\"Family\\":\\"$FAMILY\\""'


class Metadata(UpCase):
    instances_wanted = 2
    zones_wanted = 2

    def register_asking(self, family, mode, script=ASK, **others):
        container = {
            "image": BUSYBOX,
            "command": ["sh", "-c", script],
            "environment": [{"name": "FAMILY", "value": family}],
        }
        return self.register(family, container, networkMode=mode, **others)

    def check_asked(self, task):
        ended = self.wait_task(task["taskArn"], "STOPPED", timeout_secs=40)
        [container] = ended["containers"]
        self.assertEqual(container.get("exitCode"), 0, ended)

    def test_containers_of_every_mode_are_answered(self):
        started = []
        for mode in ("bridge", "host", "awsvpc"):
            network = {"networkConfiguration": NETWORK} if mode == "awsvpc" else {}
            definition = self.register_asking(f"asks-{mode}", mode)
            # On both instances, each of which answers for its own tasks only.
            started += self.run_tasks(taskDefinition=definition, count=2, **network)
        self.assertEqual(len({task["containerInstanceArn"] for task in started}), 2)
        for task in started:
            self.check_asked(task)

    def test_a_task_on_the_pool_is_answered(self):
        definition = self.register_asking(
            "asks-fargate", "awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512"
        )
        for task in self.run_tasks(taskDefinition=definition, launchType="FARGATE", networkConfiguration=NETWORK):
            self.check_asked(task)

    def test_only_containers_are_answered(self):
        definition = self.register_asking("sleeps", "bridge", script="sleep 600")
        [task] = self.run_tasks(taskDefinition=definition)
        self.wait_task(task["taskArn"], "RUNNING")
        environment = docker.environment_of(docker.container_of_task(task["taskArn"]))
        url = urllib.parse.urlsplit(environment["ECS_CONTAINER_METADATA_URI_V4"])
        self.assertEqual(self.ask(url, url.path), 200)
        self.assertEqual(self.ask(url, "/v4/not-an-id"), 404)
        # An address of this machine, and no container's; so a neighbour's would be.
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.ask(url, url.path, source="127.0.0.1")

    @staticmethod
    def ask(url, path, source=None):
        """The status of an answer."""
        own = None if source is None else (source, 0)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10, source_address=own)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()


if __name__ == "__main__":
    unittest.main()
