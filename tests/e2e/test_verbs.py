"""The verbs for people: explain and simulate. `status` and `endpoints` have their places in other tests."""

import os
import re
import subprocess

from harness.cases import ServerCase, require_engine
from harness.client import ecs_client
from harness.process import BINARY, ROOT, ControlPlane, Process, free_port
from harness.wait import STRETCH, eventually


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
        ):
            with self.subTest(arguments=arguments):
                done = subprocess.run(
                    [BINARY, *arguments], capture_output=True, text=True, timeout=120, env=environment, check=False
                )
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(expected, done.stderr)

    def test_what_a_newcomer_gets_wrong_says_what_to_write(self):
        key = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        new = ("server", "--data-dir", str(self.directory / "new"))
        junk = self.directory / "junk"
        junk.write_text("junk\n")
        certificate = ("--tls-cert", str(junk), "--tls-key", str(junk), "--listen", "127.0.0.1:0")
        for arguments, variables, code, expected in (
            (("up", "--listen", "localhost"), {}, 2, "write ADDRESS:PORT"),
            (("up", "--listen", ":8722"), {}, 2, "write ADDRESS:PORT"),
            (("up", "--bind-tasks", "everybody"), {}, 2, "0.0.0.0 for all of them"),
            (("--log", "foo", "status"), {}, 2, 'unknown log level "foo"'),
            (("up", "--bind-tasks", "0.0.0.0", "--instances", "2"), {}, 2, "--bind-tasks needs --instances 1"),
            ((*new, "--advertise", "ecs.example:8722"), {}, 2, "write http://HOST:PORT"),
            ((*new, "--region", "US East"), {}, 2, "such as us-east-1"),
            ((*new, "--settle-secs", "nan"), {}, 2, "a number of seconds"),
            ((*new, "--settle-secs=-1"), {}, 2, "a number of seconds"),
            ((*new, *certificate), {}, 1, "check --tls-cert and --tls-key"),
            (new, {"LONGSHORE_EPHEMERAL": "maybe"}, 2, "write true or false"),
            (("agent", "--config", "/nonexistent"), key, 1, "cannot read /nonexistent; check --config"),
            (("agent", "--config", "/dev/null"), {}, 1, "the file `env` in its data directory has a pair"),
            (("agent", "--config", "/dev/null"), {**key, "ECS_BACKEND_HOST": "::"}, 1, "write http://HOST:PORT"),
            (("agent", "--config", "/dev/null"), {**key, "AWS_REGION": "US East"}, 1, "such as us-east-1"),
            (("up",), {"DOCKER_HOST": "unix:///nonexistent/socket"}, 1, "there is no /nonexistent/socket: install"),
            (("up",), {"DOCKER_HOST": "tcp://127.0.0.1:1"}, 1, "unset DOCKER_HOST"),
            (("status", "--endpoint", "here"), key, 2, "write http://HOST:PORT"),
        ):
            with self.subTest(arguments=arguments, variables=variables):
                clean = {name: value for name, value in self.aws.environment.items() if not name.startswith("AWS_")}
                done = subprocess.run(
                    [BINARY, *arguments], capture_output=True, text=True, timeout=60, env={**clean, **variables}
                )
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(expected, done.stderr)
        self.assertFalse((self.directory / "new" / "state").exists())

    def test_every_exit_status_is_what_the_documents_say(self):
        """Walks the table in docs/operating.md and runs its examples, with this server's key and nothing of its own."""
        text = (ROOT / "docs" / "operating.md").read_text()
        table = text.split("\n| status | | such as |\n")[1].split("\n\n")[0]
        rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in table.splitlines()[1:]]
        statuses = {int(status): re.findall(r"`([^`]+)`", examples) for status, _, examples in rows}
        self.assertEqual(list(statuses), [0, 1, 2, 5])
        environment = {
            **self.aws.environment,
            "ECS_BACKEND_HOST": self.plane.endpoint,
            "LONGSHORE_INTROSPECTION_PORT": "0",
            "LONGSHORE_METADATA_PORT": "0",
            "PATH": f"{BINARY.parent}:{os.environ['PATH']}",
        }
        self.assertEqual(BINARY.name, "longshore")
        for status, examples in statuses.items():
            self.assertNotEqual(examples, [])
            for example in examples:
                with self.subTest(example):
                    if " agent " in example:
                        require_engine()
                    done = subprocess.run(
                        ["sh", "-c", example], capture_output=True, text=True, timeout=60 * STRETCH, env=environment
                    )
                    self.assertEqual(done.returncode, status, done.stderr)

    def test_variables_take_the_place_of_flags(self):
        for value, is_kept in (("1", False), ("true", False), ("off", True), ("0", True), ("", True)):
            with self.subTest(value=value):
                data = self.directory / f"variables-{value}"
                variables = {
                    "LONGSHORE_LISTEN": "localhost:0",
                    "LONGSHORE_DATA_DIR": str(data),
                    "LONGSHORE_EPHEMERAL": value,
                    # Set to nothing, as a unit file or a compose file does for what it has no value for.
                    "LONGSHORE_AUTH": "",
                    "LONGSHORE_SETTLE_SECS": "",
                    "LONGSHORE_LOG": "",
                }
                log = self.directory / f"variables-{value}.log"
                server = Process(["server"], log, variables).start()
                self.addCleanup(server.stop)
                eventually(lambda: "the control plane serves http://127.0.0.1:" in log.read_text(), what="a server")
                server.stop()
                self.assertEqual(data.exists(), is_kept)

    def test_agents_are_sent_to_the_sockets_that_are_advertised(self):
        for number, (flags, expected) in enumerate(
            (
                (("--advertise-sockets", "https://agents.example:443/a/"), "https://agents.example/a"),
                (("--advertise", "http://ecs.example:9000"), "http://ecs.example:9000"),
            )
        ):
            with self.subTest(flags=flags):
                plane = ControlPlane("server", self.directory / f"advertised-{number}", free_port(), flags)
                self.addCleanup(plane.stop)
                plane.start()
                # What it advertises is nowhere; it answers where it listens.
                port = plane.arguments[plane.arguments.index("--listen") + 1]
                ecs = ecs_client({**plane.env, "AWS_ENDPOINT_URL": f"http://{port}"})
                told = ecs.discover_poll_endpoint()
                self.assertEqual(told["endpoint"], f"{expected}/acs")
                self.assertEqual(told["telemetryEndpoint"], f"{expected}/tcs")

    def test_endpoints_know_the_containers_of_a_service(self):
        self.ecs.create_cluster(clusterName=self.cluster)
        definition = self.register("pair", {"name": "main", "memory": 64}, {"name": "side", "memory": 64})
        self.create_service("pair", definition, 1)
        cluster = ("--cluster", self.cluster)
        self.assertEqual(self.verb("endpoints", "pair", "--container", "side", *cluster), "")
        said = self.verb("endpoints", "pair", "--container", "nope", *cluster, code=1)
        self.assertIn("has no container nope; name one of its own: main, side", said)

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
