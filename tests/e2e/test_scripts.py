"""scripts/container-engine, and how ./quickstart uses it, with a Docker and a dockerd that are scripts themselves: real engines are not touched."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness.process import ROOT
from harness.wait import STRETCH, eventually

SCRIPT = ROOT / "scripts" / "container-engine"

# Answers while the file is there that the engine makes.
DOCKER = """#!/bin/sh
if [ -e "$FAKE/denied" ]; then echo "permission denied while trying to connect" >&2; exit 1; fi
[ -e "$FAKE/answers" ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
if [ "$1" = version ]; then echo 1.0; fi
"""
DOCKERD = """#!/bin/sh
echo $$ >>"$FAKE/starts"
touch "$FAKE/answers"
trap 'rm -f "$FAKE/answers"; exit 0' TERM
while :; do sleep 1 & wait $!; done
"""


class ContainerEngine(unittest.TestCase):
    def setUp(self):
        if pathlib.Path("/run/systemd/system").is_dir() or os.geteuid() != 0:
            self.skipTest("here scripts/container-engine starts Docker by systemd, or needs root")
        self.fake = pathlib.Path(tempfile.mkdtemp(prefix="longshore-e2e-"))
        self.addCleanup(shutil.rmtree, self.fake, ignore_errors=True)
        self.addCleanup(self.end_engines)
        for name, text in (("docker", DOCKER), ("dockerd", DOCKERD)):
            program = self.fake / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(text)
            program.chmod(0o755)
        self.state = self.fake / "state"

    def environment(self):
        return {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"} | {
            "PATH": f"{self.fake / 'bin'}:{os.environ['PATH']}",
            "FAKE": str(self.fake),
            "LONGSHORE_ENGINE_STATE": str(self.state),
            "LONGSHORE_ENGINE_PID_FILE": str(self.fake / "docker.pid"),
        }

    def run_script(self, *arguments, code=0, user=None):
        environment = self.environment() | {"LONGSHORE_ENGINE_USER_PID": str(user or os.getpid())}
        done = subprocess.run(
            [SCRIPT, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60 * STRETCH,
            check=False,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def started(self):
        starts = self.fake / "starts"
        return [int(pid) for pid in starts.read_text().split()] if starts.exists() else []

    def end_engines(self):
        for pid in self.started():
            with contextlib.suppress(ProcessLookupError):
                if "dockerd" in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(pid, signal.SIGKILL)

    def answers(self):
        return (self.fake / "answers").exists()

    def another_process(self):
        """A stranger that lives until the end of the test."""
        stranger = subprocess.Popen(["sleep", "600"])
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        return stranger

    def test_the_run_that_started_an_engine_stops_it(self):
        self.run_script("start", "one")
        self.assertEqual(len(self.started()), 1)
        self.run_script("stop", "one")
        self.assertFalse(self.answers())

    def test_an_engine_that_was_there_before_is_left_alone(self):
        (self.fake / "answers").touch()
        self.run_script("start", "one")
        self.run_script("stop", "one")
        self.assertEqual((self.started(), self.answers()), ([], True))

    def test_another_run_does_not_stop_it(self):
        other = self.another_process()
        self.run_script("start", "one")
        self.run_script("start", "two", user=other.pid)
        self.run_script("stop", "two", user=other.pid)
        self.assertTrue(self.answers())
        self.run_script("stop", "one")
        self.assertFalse(self.answers())

    def test_a_run_that_is_begun_again_and_given_up_leaves_it_to_what_the_first_left_running(self):
        """The same name twice: ./quickstart is named after its directory."""
        first, second = self.another_process(), self.another_process()
        self.run_script("start", "one")
        self.run_script("start", "one", user=first.pid)
        self.run_script("stop", "one")
        self.assertTrue(self.answers())
        self.run_script("start", "one", user=second.pid)
        said = self.run_script("stop", "one", user=second.pid)
        self.assertIn(f"process {first.pid} of one uses it", said)
        self.assertTrue(self.answers())
        # It is still the run's own, so its end is the engine's.
        first.kill()
        first.wait()
        self.run_script("stop", "one")
        self.assertFalse(self.answers())

    def run_quickstart(self, *arguments):
        """It gets no further than to the build, because cargo fails here."""
        cargo = self.fake / "bin" / "cargo"
        cargo.write_text("#!/bin/sh\nexit 9\n")
        cargo.chmod(0o755)
        environment = self.environment() | {"LONGSHORE_QUICKSTART_DIR": str(self.fake / "quickstart")}
        for name in ("LONGSHORE_BIN", "LONGSHORE_ENGINE_USER_PID"):
            environment.pop(name, None)
        done = subprocess.run(
            [ROOT / "quickstart", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60 * STRETCH,
            check=False,
        )
        return done.returncode, done.stderr

    def test_a_quickstart_that_fails_early_stops_the_engine_that_it_started(self):
        code, said = self.run_quickstart()
        self.assertEqual(code, 9, said)
        self.assertIn("2/8", said)
        self.assertEqual(len(self.started()), 1, said)
        self.assertFalse(self.answers())

    def test_a_second_quickstart_that_fails_early_leaves_the_engine_to_the_first(self):
        home = self.fake / "quickstart"
        home.mkdir()
        up = self.another_process()
        # As the first one left it: its `up` runs, on an engine that it started.
        note = 'source scripts/processes.bash; process_note "$1" "$2"; printf "%s" "$3" | cksum | cut -d " " -f 1'
        done = subprocess.run(
            ["bash", "-c", note, "bash", home / "up.pid", str(up.pid), home],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        run = f"quickstart-{done.stdout.strip()}"
        self.run_script("start", run, user=up.pid)
        code, said = self.run_quickstart()
        self.assertEqual(code, 9, said)
        self.assertTrue(self.answers(), said)
        self.assertIn("the Longshore of an earlier run goes on", said)
        self.assertIsNone(up.poll())
        code, said = self.run_quickstart("--stop")
        self.assertEqual(code, 0, said)
        self.assertIsNotNone(up.poll())
        self.assertFalse(self.answers(), said)
        self.assertEqual(len(self.started()), 1)

    def test_it_is_left_to_a_run_that_still_uses_it(self):
        other = self.another_process()
        self.run_script("start", "one")
        self.run_script("start", "two", user=other.pid)
        self.assertIn("two uses it. Stop it with: kill", self.run_script("stop", "one"))
        self.assertTrue(self.answers())

    def test_a_run_that_was_killed_holds_nothing(self):
        other = self.another_process()
        self.run_script("start", "one")
        self.run_script("start", "two", user=other.pid)
        other.kill()
        other.wait()
        self.run_script("stop", "one")
        self.assertFalse(self.answers())

    def test_a_number_that_is_somebody_elses_by_now_is_not_ended(self):
        """As after a restart of the machine: the file is from before, and the process of that number is a stranger."""
        stranger = self.another_process()
        self.state.mkdir()
        (self.state / "engine").write_text(f"{stranger.pid} 1\n")
        (self.state / "owner").write_text("one\n")
        # What the script wrote before it knew when processes start.
        (self.state / "pid").write_text(f"{stranger.pid}\n")
        self.run_script("stop", "one")
        self.assertIsNone(stranger.poll())

    def test_two_that_begin_together_start_one_engine(self):
        other = self.another_process()
        environment = self.environment() | {"LONGSHORE_ENGINE_USER_PID": str(other.pid)}
        runs = [subprocess.Popen([SCRIPT, "start", name], env=environment) for name in ("one", "two", "three")]
        self.assertEqual([run.wait(60 * STRETCH) for run in runs], [0, 0, 0])
        self.assertEqual(len(self.started()), 1)

    def test_one_that_may_not_be_used_is_not_started_again(self):
        (self.fake / "denied").touch()
        said = self.run_script("start", "one", code=1)
        self.assertIn("usermod -aG docker", said)
        self.assertEqual(self.started(), [])

    def test_one_that_hangs_is_not_started_again(self):
        # The kernel calls a process by the name of its file.
        named = self.fake / "hung" / "dockerd"
        named.parent.mkdir()
        shutil.copy(shutil.which("sleep"), named)
        engine = subprocess.Popen([named, "600"])
        self.addCleanup(engine.wait)
        self.addCleanup(engine.kill)
        (self.fake / "docker.pid").write_text(f"{engine.pid}\n")
        eventually(lambda: pathlib.Path(f"/proc/{engine.pid}/comm").read_text().strip() == "dockerd")
        said = self.run_script("start", "one", code=1)
        self.assertIn(f"dockerd runs as process {engine.pid} and does not answer", said)
        self.assertEqual(self.started(), [])

    def test_a_run_has_to_have_a_name(self):
        for arguments in ((), ("start",), ("start", "../x"), ("stop", "a b"), ("restart", "one")):
            with self.subTest(arguments=arguments):
                self.run_script(*arguments, code=64)
