"""README's tour, command by command as it is printed, and what else README and docs promise about the repository.

`LONGSHORE_E2E_TRANSCRIPT=FILE` keeps what was really answered, from which the printed answers can be renewed.
"""

import os
import pathlib
import re
import subprocess
import time
import unittest

from harness import docker
from harness.cases import EngineCase
from harness.process import BINARY, ROOT, Process
from harness.wait import STRETCH, eventually

README = ROOT / "README.md"
WRAPPED = ("README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/operating.md")
COLUMNS = 120

# Asking again changes nothing, so these may be asked until the answer is the one that is printed.
READS = re.compile(r"(aws ecs (describe|list)|longshore (status|endpoints|explain)|curl |docker ps)")
# How long ago something was.
TIMES = {"second", "seconds", "minute", "minutes", "less", "than", "about"}
PATIENCE_SECS = 90


def commands(heading):
    """Commands below a heading, each with the lines that it prints."""
    text = README.read_text().split(f"{heading}\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append([line[2:], []])
            elif not found[-1][1] and found[-1][0].endswith("\\"):
                found[-1][0] += "\n" + line
            else:
                found[-1][1].append(line)
    return found


def words(lines):
    """What does not change from day to day: words, without ids, numbers and times."""
    text = re.sub(r"\b[0-9a-f]{8,}\b", " ", "\n".join(lines))
    return {word for word in re.findall(r"[A-Za-z]{3,}", text) if word.lower() not in TIMES}


def is_as_printed(command, printed, answered):
    wanted = words(printed)
    if not wanted <= words(answered):
        return False
    # A table or a list has as many lines, unless it is cut or others use the same engine.
    return "..." in printed or command.startswith("docker ps") or len(printed) == len(answered)


class Tour(EngineCase):
    """The state is below a home directory of the tour's own, and a port is free; everything else is as printed."""

    def setUp(self):
        super().setUp()
        self.home = self.directory / self._testMethodName / "home"
        binaries = self.home / "bin"
        binaries.mkdir(parents=True)
        (binaries / "longshore").symlink_to(BINARY)
        clean = Process([], self.directory / "none").environment
        clean.pop("XDG_DATA_HOME", None)
        self.environment = {
            **clean,
            "HOME": str(self.home),
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "LONGSHORE_LISTEN": "127.0.0.1:0",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }
        self.data = self.home / ".local/share/longshore"
        self.sourced = []
        self.up = None
        self.ups = 0
        self.transcript = []
        self.addCleanup(self.keep_transcript)
        self.addCleanup(self.remove_containers)
        self.addCleanup(self.end_up)

    def test_the_tour_runs_as_printed(self):
        self.go("## A tour in five minutes")

    def test_the_first_screen_runs_as_printed(self):
        self.go("# Longshore")

    def go(self, heading):
        for command, printed in commands(heading):
            self.say(f"$ {command}")
            with self.subTest(command=command):
                if command.startswith("longshore up"):
                    self.start_up(command, printed)
                elif command.startswith("source "):
                    done = self.shell(command)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.sourced.append(command)
                else:
                    self.run_command(command, printed)

    def run_command(self, command, printed):
        deadline = time.monotonic() + PATIENCE_SECS * STRETCH
        while True:
            done = self.shell(command)
            answered = done.stdout.splitlines()
            if done.returncode == 0 and is_as_printed(command, printed, answered):
                break
            if not READS.match(command) or time.monotonic() > deadline:
                self.say(*answered)
                self.assertEqual(done.returncode, 0, done.stderr)
                missing = words(printed) - words(answered)
                self.fail(f"answered:\n{done.stdout}\n{done.stderr}\nprinted:\n" + "\n".join(printed) + f"\n{missing}")
            time.sleep(0.5)  # a person looks again
        self.say(*answered)
        if command.startswith("kill -9"):
            self.up.wait_end()

    def shell(self, command):
        script = "\n".join([*self.sourced, command])
        return subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=700 * STRETCH,
            check=False,
        )

    def start_up(self, command, printed):
        """It goes on, so it gets a shell of its own, as the text says. In the background it is not waited for: whoever
        copies the lines does not wait either, so what waits has to be among them."""
        (self.data / "env").unlink(missing_ok=True)
        self.ups += 1
        log = self.directory / f"up-{self.ups}.log"
        self.up = Process(command.removesuffix("&").split()[1:], log, self.environment).start()

        if command.endswith("&"):
            return

        def ready():
            self.up.must_run()
            # stdout and stderr are one file here, in which the order of both may differ from a terminal's.
            return "ready. In another shell" in log.read_text() and (self.data / "env").exists()

        eventually(ready, timeout_secs=90, what="ready")
        answered = log.read_text().splitlines()
        self.say(*answered)
        missing = words(printed) - words(answered) - {"home"}
        self.assertLessEqual(missing, {"..."}, answered)

    # ---- what is left at the end

    def end_up(self):
        if self.up is not None:
            self.up.stop()

    def remove_containers(self):
        """Other tours may run on this engine: only those of the agents below this home."""
        ids = set()
        for journal in self.data.glob("agents/*/agent.journal"):
            ids |= set(re.findall(rb'"node/agent-id","([0-9a-f-]+)"', journal.read_bytes()))
        for agent in ids:
            docker.remove_agent(agent.decode())
        docker.remove_networks(self.home)

    def say(self, *lines):
        self.transcript += lines

    def keep_transcript(self):
        if "LONGSHORE_E2E_TRANSCRIPT" in os.environ:
            pathlib.Path(os.environ["LONGSHORE_E2E_TRANSCRIPT"]).write_text("\n".join(self.transcript) + "\n")


class Documents(unittest.TestCase):
    def test_what_they_name_is_in_the_repository(self):
        for name in WRAPPED:
            document = ROOT / name
            text = document.read_text()
            links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
            paths = re.findall(r"(?:file://|\./|\b)((?:examples|scripts|docs|support)/[\w./-]*\w)", text)
            for path in [document.parent / link for link in links] + [ROOT / path for path in paths]:
                with self.subTest(document=name, path=str(path)):
                    self.assertTrue(path.exists(), path)

    def test_their_lines_are_wrapped(self):
        """Tables and what a terminal shows have lines of their own."""
        for name in WRAPPED:
            is_code = False
            for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
                is_code ^= line.startswith("```")
                if not is_code and not line.startswith("|"):
                    with self.subTest(document=name, line=number):
                        self.assertLessEqual(len(line), COLUMNS, line)
