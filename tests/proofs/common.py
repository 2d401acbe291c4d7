"""What the proofs share: programs under test, clients, counting, and saying what was found.

The harness of the end-to-end tests does most of the work; see `tests/e2e/harness`.
"""

import argparse
import contextlib
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import botocore.exceptions  # noqa: E402
import botocore.parsers  # noqa: E402

from harness import docker  # noqa: E402
from harness.client import all_tasks, ecs_client, in_chunks  # noqa: E402
from harness.process import BINARY, Agent, ControlPlane, Process, free_port  # noqa: E402
from harness.wait import STRETCH, TimedOut, eventually  # noqa: E402

__all__ = [
    "BUSYBOX",
    "WEB_1",
    "WEB_2",
    "BINARY",
    "STRETCH",
    "Agent",
    "ControlPlane",
    "Findings",
    "NoAnswer",
    "Process",
    "TimedOut",
    "Workplace",
    "all_tasks",
    "client",
    "docker",
    "eventually",
    "free_port",
    "in_chunks",
]

WEB_1, WEB_2, BUSYBOX = "longshore/web:1", "longshore/web:2", "longshore/busybox:1"

# What a client sees of a server that is killed under it: whether the request took effect is open.
NoAnswer = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.ResponseStreamingError,
    botocore.parsers.ResponseParserError,
)


def client(plane, connections=10):
    return ecs_client(plane.env, connections)


class Findings:
    """Everything that was not as promised. Proofs go on after the first, so that one run shows all of it."""

    SHOWN_MAX = 40

    def __init__(self):
        self.texts = []
        self.where = "start"

    def add(self, text):
        self.texts.append(f"{self.where}: {text}")
        if len(self.texts) <= self.SHOWN_MAX:
            print(f"  FINDING {self.where}: {text}", flush=True)

    def expect(self, holds, text):
        if not holds:
            self.add(text)
        return holds


class Workplace:
    """A directory, a cluster prefix and programs that all go away at the end."""

    def __init__(self, name, keep=False):
        self.keep = keep
        self.name = f"proof-{name}-{uuid.uuid4().hex[:8]}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"longshore-{self.name}-"))
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        failed = error is not None
        # Programs first, then what they would make again.
        self.stack.close()
        docker_error = None
        try:
            docker.remove_clusters(self.name)
        except (docker.EngineError, OSError) as problem:
            docker_error = problem
        if self.keep or failed:
            print(f"kept for a look: {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        if docker_error and not failed:
            print(f"containers may be left: {docker_error}", file=sys.stderr)
        return False

    def started(self, process):
        """Ends it with the workplace, politely if it still can."""

        def end():
            try:
                process.stop()
            except AssertionError as error:
                print(error, file=sys.stderr)

        self.stack.callback(end)
        process.start()
        return process

    def agent(self, plane, cluster, name, number, **variables):
        """An agent with an address and ports of its own."""
        low = 20000 + number * 500
        return Agent(
            plane,
            self.directory / name,
            cluster,
            LONGSHORE_AGENT_NAME=name,
            LONGSHORE_BIND_ADDRESS=f"127.0.1.{10 + number}",
            ECS_DYNAMIC_HOST_PORT_RANGE=f"{low}-{low + 499}",
            **variables,
        )


def longshore(*arguments, timeout_secs=60):
    """Runs the binary to its end; exit code, stdout, stderr."""
    done = subprocess.run(
        [str(BINARY), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_secs * STRETCH,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def check_copy(data_dir, findings):
    """`longshore check` on a copy of a dead server's directory. Its counts, by name."""
    copy = data_dir.parent / f"{data_dir.name}.copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data_dir / "state", copy / "state")
    code, out, err = longshore("check", "--data-dir", copy)
    findings.expect(code == 0, f"`longshore check` ends with {code}: {err.strip()} {out.strip()[-500:]}")
    shutil.rmtree(copy, ignore_errors=True)
    words = (line.split() for line in out.splitlines()[1:] if not line.startswith(" "))
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2}


def options(description, rounds, **others):
    """Command line of a proof."""
    parser = argparse.ArgumentParser(description=description)
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=None, help="draws the same moments and requests again")
    parser.add_argument("--keep", action="store_true", help="leave data and logs")
    for flag, settings in others.items():
        parser.add_argument(f"--{flag}", **settings)
    chosen = parser.parse_args()
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1 << 32)
    return chosen


def conclude(name, findings, seed, begun, numbers):
    """The last line: what was done and how it went. The program's exit code."""
    took = time.monotonic() - begun
    counts = "  ".join(f"{key} {value}" for key, value in numbers.items())
    word = "ok" if not findings.texts else f"{len(findings.texts)} FINDINGS"
    print(f"{name}: {word}  {counts}  seed {seed}  {took:.0f} s", flush=True)
    return 1 if findings.texts else 0
