"""What a container of `up` sees, may ask, and is held to (agent-protocol G11, G17, G18; decision 28)."""

import json
import unittest
import urllib.parse

from harness import docker
from harness.cases import BUSYBOX, UpCase
from harness.http_get import get
from harness.wait import eventually
from test_awsvpc import NETWORK

SLEEP = "trap 'exit 0' TERM; sleep 600 & wait"
AWSLOGS = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/shop/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"},
}
# BusyBox's nc may end with its input.
PROTECT = """
rest=${ECS_AGENT_URI#http://}
at=${rest%%/*}
body='{"ProtectionEnabled":true,"ExpiresInMinutes":30}'
{ printf 'PUT /%s/task-protection/v1/state HTTP/1.0\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "${rest#*/}" "${#body}" "$body"
  sleep 1; } | nc -w 10 "${at%:*}" "${at#*:}"
""" + SLEEP


class Inside(UpCase):
    instances_wanted = 1
    zones_wanted = 1

    def register_shell(self, family, script, fargate=False, container=None, **others):
        if fargate:
            others = {
                **dict(networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512"),
                **dict(executionRoleArn="arn:aws:iam::000000000000:role/exec"),
                **others,
            }
        shell = {"image": BUSYBOX, "command": ["sh", "-c", script], **(container or {})}
        return self.register(family, shell, **others)

    def run_both(self, family, script_of, container=None):
        """One task of EC2 and one of Fargate; `script_of` gets the launch type."""
        for kind, where in (
            ("EC2", {}),
            ("FARGATE", {"launchType": "FARGATE", "networkConfiguration": NETWORK}),
        ):
            definition = self.register_shell(f"{family}-{kind}", script_of(kind), kind == "FARGATE", container)
            [task] = self.run_tasks(taskDefinition=definition, **where)
            yield self.wait_task(task["taskArn"], "STOPPED", timeout_secs=40)

    def test_awslogs_is_kept_by_the_engine(self):
        for ended in self.run_both("logs", lambda _: "echo line; exit 3", {"logConfiguration": AWSLOGS}):
            [container] = ended["containers"]
            self.assertEqual(container.get("exitCode"), 3, ended)
            kept = docker.log_config_of(container["runtimeId"])
            self.assertEqual(kept, {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "5"}})

    def test_containers_know_that_they_run_on_ecs(self):
        for ended in self.run_both("where", lambda kind: f'[ "$AWS_EXECUTION_ENV" = AWS_ECS_{kind} ]'):
            self.assertEqual(ended["containers"][0].get("exitCode"), 0, ended)

    def test_a_task_protects_itself(self):
        for name, where in (
            ("shield", {}),
            ("shield-fargate", {"launchType": "FARGATE", "networkConfiguration": NETWORK}),
        ):
            definition = self.register_shell(name, PROTECT, bool(where))
            self.create_service(name, definition, 1, **where)
            self.wait_running(name, 1)
            [task] = self.service_tasks(name)
            answer = eventually(
                lambda: self.ecs.get_task_protection(cluster=self.cluster, tasks=[task["taskArn"]]),
                lambda answer: answer["protectedTasks"] and answer["protectedTasks"][0]["protectionEnabled"],
                what=f"protection of {name}",
            )
            self.assertIn("expirationDate", answer["protectedTasks"][0])

    def test_statistics_and_tags_are_told(self):
        definition = self.register_shell("told", SLEEP)
        [task] = self.run_tasks(taskDefinition=definition, tags=[{"key": "team", "value": "shop"}])
        self.wait_task(task["taskArn"], "RUNNING")
        environment = docker.environment_of(docker.container_of_task(task["taskArn"]))
        for variable in ("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4"):
            url = urllib.parse.urlsplit(environment[variable])

            def ask(path):
                status, text = get((url.hostname, url.port), url.path + path)
                self.assertEqual(status, 200, text)
                return json.loads(text)

            name = ask("")["DockerId"]
            self.assertEqual(ask("/taskWithTags")["TaskTags"], {"team": "shop"})
            stats = ask("/stats")
            self.assertGreater(stats["memory_stats"]["usage"], 0)
            self.assertIn("rx_bytes_per_sec", stats["network_rate_stats"])
            self.assertEqual(list(ask("/task/stats")), [name])

    def test_a_task_is_held_to_its_memory(self):
        # 110 MB at once, in a task of 64 MiB; bounded, should nothing hold it.
        script = "head -c 120000000 /dev/zero | tail -c 110000000 > /dev/null"
        # Without a limit of its own.
        container = {"name": "hog", "image": BUSYBOX, "command": ["sh", "-c", script]}
        answer = self.ecs.register_task_definition(
            family="hog", cpu="128", memory="64", containerDefinitions=[container]
        )
        definition = answer["taskDefinition"]["taskDefinitionArn"]
        [task] = self.run_tasks(taskDefinition=definition)
        ended = self.wait_task(task["taskArn"], "STOPPED", timeout_secs=40)
        [container] = ended["containers"]
        self.assertTrue(
            container.get("exitCode") == 137 or "OutOfMemory" in container.get("reason", ""), ended
        )


if __name__ == "__main__":
    unittest.main()
