"""The verbs for people: explain and simulate. `status` and `endpoints` have their places in other tests."""

import subprocess

from harness.cases import ServerCase
from harness.process import BINARY


class Verbs(ServerCase):
    def verb(self, *arguments, code=0):
        """Runs the binary as this server's operator; gives its stdout, or its stderr if it should fail."""
        done = subprocess.run(
            [BINARY, *arguments], capture_output=True, text=True, timeout=120, env=self.aws.environment
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_explain_says_why_a_service_has_no_tasks(self):
        self.ecs.create_cluster(clusterName=self.cluster)
        self.register("explained", {"name": "main", "image": "longshore/web:1", "memory": 64})
        self.ecs.create_service(
            cluster=self.cluster, serviceName="explained", taskDefinition="explained", desiredCount=1
        )
        self.wait_message("explained", "No Container Instances were found in your cluster.")
        said = self.verb("explain", "service", "explained", "--cluster", self.cluster)
        self.assertIn("wants 1 tasks, 0 run and 0 are on their way", said)
        self.assertIn("the cluster has no container instances", said)
        said = self.verb("explain", "task-definition", "explained", "--cluster", self.cluster)
        self.assertIn("task definition explained:1 in cluster", said)
        missing = self.verb(
            "explain", "task", "0123456789abcdef0123456789abcdef", "--cluster", self.cluster, code=1
        )
        self.assertIn("there is no task 0123456789abcdef0123456789abcdef", missing)

    def test_errors_say_what_to_do_next(self):
        without = {key: value for key, value in self.aws.environment.items() if not key.startswith("AWS_")}
        nowhere = {**without, "XDG_DATA_HOME": str(self.directory / "empty")}
        endpoint = ("--endpoint", self.plane.endpoint)
        wrong = {**self.aws.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
        for environment, arguments, expected in (
            (nowhere, ("status", *endpoint), "there is no access key for"),
            (nowhere, ("status", "--data-dir", "/nonexistent"), "cannot read /nonexistent/env"),
            (wrong, ("status",), "the access key is not one of this control plane's"),
            (self.aws.environment, ("endpoints", "web", "--cluster", "none"), "`longshore status` lists them"),
            (self.aws.environment, ("explain", "service", "web", "--cluster", "none"), "Cluster not found; name one"),
            (self.aws.environment, ("--log", "foo", "status"), 'unknown log level "foo"'),
        ):
            with self.subTest(arguments=arguments):
                done = subprocess.run(
                    [BINARY, *arguments], capture_output=True, text=True, timeout=120, env=environment, check=False
                )
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(expected, done.stderr)

    def test_simulate_runs_tasks_on_scripted_instances_and_cleans_up(self):
        endpoint = self.plane.endpoint
        said = self.verb("simulate", "--instances", "5", "--tasks", "40", "--against", endpoint)
        self.assertIn("tasks RUNNING:        40", said)
        found = self.ecs.describe_clusters(clusters=["simulated"])["clusters"]
        self.assertEqual([cluster["status"] for cluster in found], ["INACTIVE"])

    def test_simulate_starts_a_server_of_its_own(self):
        said = self.verb("simulate", "--instances", "3", "--tasks", "9")
        self.assertIn("instances connected:  3 of 3", said)
        self.assertIn("memory of the server:", said)
