"""./quickstart with the program under test: it works, and what ends it leaves nothing behind."""

import json
import os
import signal
import subprocess

from harness import docker
from harness.cases import EngineCase
from harness.client import ecs_client
from harness.process import BINARY, ROOT, Process, read_env
from harness.wait import STRETCH, eventually


class Quickstart(EngineCase):
    def setUp(self):
        super().setUp()
        self.home = self.directory / self._testMethodName
        self.environment = {
            **Process([], self.directory / "none").environment,
            "LONGSHORE_BIN": str(BINARY),
            "LONGSHORE_QUICKSTART_DIR": str(self.home),
            # An engine that answers is left alone; this keeps the note of who uses it apart from others'.
            "LONGSHORE_ENGINE_STATE": str(self.directory / "engine"),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_PAGER": "",
        }
        self.addCleanup(self.quickstart, "--stop")

    def quickstart(self, *arguments):
        return subprocess.run(
            [ROOT / "quickstart", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600 * STRETCH,
            check=False,
        )

    def containers(self):
        """Those of its agents, running or not, as the engine lists them."""
        for journal in self.home.glob("**/agent.journal"):
            for line in journal.read_text(errors="replace").splitlines():
                if '"node/agent-id","' in line:
                    self.agents.add(line.split('"node/agent-id","')[1].split('"')[0])
        return [container for agent in sorted(self.agents) for container in docker.of_agent(agent)]

    def assert_nothing_is_left(self):
        self.assertFalse(self.home.exists())
        self.assertEqual(self.containers(), [])
        owner = json.dumps({"label": [f"{docker.LABEL_OWNER}={self.home / 'data'}"]})
        self.assertEqual(docker.networks(owner), [])

    def test_it_works_and_stop_removes_tasks_of_ones_own_too(self):
        self.agents = set()
        done = self.quickstart()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("failed: 0", done.stderr)
        ecs = ecs_client(read_env(self.home / "data" / "env"))
        before = len(self.containers())
        self.assertGreaterEqual(before, 6)
        sleeper = {"name": "own", "image": "longshore/busybox:1", "memory": 16, "command": ["sleep", "600"]}
        ecs.register_task_definition(family="own", containerDefinitions=[sleeper])
        self.assertEqual(ecs.run_task(taskDefinition="own")["failures"], [])
        eventually(self.containers, lambda found: len(found) > before, 40, "the container of one's own")
        done = self.quickstart("--stop")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("those of your own included", done.stderr)
        self.assert_nothing_is_left()

    def test_help_is_an_answer(self):
        self.agents = set()
        done = self.quickstart("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("--once", "--stop", "LONGSHORE_QUICKSTART_DIR", str(self.home)):
            self.assertIn(word, done.stdout)
        self.assertEqual(self.quickstart("--bogus").returncode, 64)
        self.assertFalse(self.home.exists())

    def test_one_that_is_interrupted_cleans_up_and_says_so(self):
        self.agents = set()
        log = self.directory / "interrupted.log"
        with log.open("w") as out:
            child = subprocess.Popen(
                [ROOT / "quickstart"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                # A shell that is started in the background would not hear of Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        eventually(lambda: "6/8" in log.read_text(), timeout_secs=120, what="its service")
        self.assertGreaterEqual(len(self.containers()), 6)
        os.killpg(child.pid, signal.SIGINT)
        self.assertEqual(child.wait(120 * STRETCH), 130)
        self.assertIn("interrupted; everything that it had started is stopped and removed", log.read_text())
        self.assert_nothing_is_left()
