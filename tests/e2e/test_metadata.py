"""Task metadata v4 as containers of `up` ask for it (agent-protocol G17)."""

import json
import unittest
import urllib.parse

from harness import docker
from harness.cases import BUSYBOX, UpCase
from harness.http_get import get
from test_awsvpc import NETWORK

# Ends with 0 if the answer is about the task itself.
ASK = """
url=${ECS_CONTAINER_METADATA_URI_V4#http://}
at=${url%%/*}
# BusyBox's wget, linked statically, does not work everywhere; its nc may end with its input.
answer=$( (printf "GET /${url#*/}/task HTTP/1.0\\r\\n\\r\\n"; sleep 1) | nc -w 10 "${at%:*}" "${at#*:}" )
case $answer in *'"Family":"'$FAMILY'"'*) exit 0 ;; esac
echo "$answer"
exit 1
"""


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

    def test_a_container_is_known_by_its_id_only(self):
        definition = self.register_asking("sleeps", "host", script="trap exit TERM; sleep 600 & wait")
        [task] = self.run_tasks(taskDefinition=definition)
        self.wait_task(task["taskArn"], "RUNNING")
        environment = docker.environment_of(docker.container_of_task(task["taskArn"]))
        url = urllib.parse.urlsplit(environment["ECS_CONTAINER_METADATA_URI_V4"])
        at = (url.hostname, url.port)
        status, text = get(at, url.path)
        self.assertEqual(status, 200)
        # An empty text would be taken for an address.
        self.assertEqual(json.loads(text)["Networks"], [{"NetworkMode": "host", "IPv4Addresses": [""]}])
        self.assertEqual(get(at, "/v4/not-an-id")[0], 404)


if __name__ == "__main__":
    unittest.main()
