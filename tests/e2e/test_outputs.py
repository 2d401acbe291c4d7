"""What is printed gets there or is missed with a word; no verb panics because nobody reads."""

import os
import subprocess

from harness.cases import ServerCase
from harness.process import BINARY, Process
from harness.wait import STRETCH, eventually

CLI = {"capture_output": True, "text": True, "timeout": 60 * STRETCH, "check": False}


class Outputs(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ecs.create_cluster(clusterName=cls.cluster)

    def setUp(self):
        super().setUp()
        definition = self.register("printed", {"name": "main", "memory": 64})
        self.create_service("printed", definition, 1)

    def verbs(self):
        """Each verb that prints and ends, with the status of its own."""
        cluster = ("--cluster", self.cluster)
        return (
            ("status",),
            ("explain", "service", "printed", *cluster),
            ("explain", "task-definition", "printed", *cluster),
            ("endpoints", "printed", "--watch", *cluster),
            ("--help",),
            ("up", "--help"),
            ("--version",),
        )

    def run_verb(self, arguments, stdout, stderr=subprocess.PIPE):
        return subprocess.run(
            [BINARY, *arguments],
            stdout=stdout,
            stderr=stderr,
            text=True,
            timeout=60 * STRETCH,
            env=self.aws.environment,
            check=False,
        )

    def test_a_full_disk_is_an_error_with_its_reason(self):
        for arguments in self.verbs():
            with self.subTest(arguments=arguments), open("/dev/full", "w") as full:
                done = self.run_verb(arguments, full)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("No space left on device", done.stderr)
                self.assertNotIn("panicked", done.stderr)

    def test_a_reader_that_has_gone_is_no_error(self):
        for arguments in self.verbs():
            with self.subTest(arguments=arguments):
                reader, writer = os.pipe()
                os.close(reader)
                try:
                    done = self.run_verb(arguments, writer)
                finally:
                    os.close(writer)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_errors_that_nobody_can_read_keep_their_status(self):
        with open("/dev/full", "w") as full:
            for arguments, code in ((("status", "--cluster", "none"), 1), (("status", "--bogus"), (1, 2))):
                with self.subTest(arguments=arguments):
                    done = self.run_verb(arguments, full, full)
                    self.assertIn(done.returncode, code if isinstance(code, tuple) else (code,))

    def test_a_server_goes_on_where_its_log_cannot_be_written(self):
        """Each request makes lines at this level, and each of them is lost."""
        data = self.directory / "unlogged"
        with open("/dev/full", "w") as full:
            server = subprocess.Popen(
                [BINARY, "--log", "trace", "server", "--listen", "127.0.0.1:0", "--data-dir", data],
                stdout=full,
                stderr=full,
                env=Process([], self.directory / "none").environment,
            )
        self.addCleanup(server.wait, 30)
        self.addCleanup(server.terminate)
        self.wait_file(data / "env")
        for _ in range(3):
            done = subprocess.run([BINARY, "status", "--data-dir", data], env=self.without_aws(), **CLI)
            self.assertEqual(done.returncode, 0, done.stderr)
        server.terminate()
        self.assertEqual(server.wait(30 * STRETCH), 0)

    def test_what_check_found_is_its_status_whoever_reads(self):
        data = self.directory / "checked"
        self.assertEqual(self.server_once(data), 0)
        for stdout, code in (("/dev/null", 0), ("/dev/full", 1)):
            with open(stdout, "w") as out:
                done = self.run_verb(("check", "--data-dir", str(data)), out)
                self.assertEqual(done.returncode, code, done.stderr)

    # ---- helpers

    def without_aws(self):
        return {key: value for key, value in self.aws.environment.items() if not key.startswith("AWS_")}

    def wait_file(self, path):
        eventually(path.exists, what=str(path), timeout_secs=30)

    def server_once(self, data):
        """A server that has started and ended."""
        server = subprocess.Popen(
            [BINARY, "server", "--listen", "127.0.0.1:0", "--data-dir", data],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.without_aws(),
        )
        self.wait_file(data / "env")
        server.terminate()
        return server.wait(30 * STRETCH)
