"""Longshore's programs as child processes: `up`, `server` and `agent`, each ended by its own process id."""

import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess

from .wait import STRETCH, eventually

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("LONGSHORE_BIN", ROOT / "target" / "debug" / "longshore")).absolute()

READY_SECS = 30
STOP_SECS = 30


def free_port():
    """A port that was free a moment ago, for a server that has to come back on the same one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _clean_environment():
    """Without what could lead a child to another server, account or configuration."""
    foreign = ("AWS_", "ECS_", "LONGSHORE_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    if "LONGSHORE_E2E_LOG" in os.environ:
        kept["LONGSHORE_LOG"] = os.environ["LONGSHORE_E2E_LOG"]
    return kept


def read_env(path):
    """The variables of an `env` file as `longshore` writes it for a shell's `source`."""
    found = {}
    for line in pathlib.Path(path).read_text().splitlines():
        match = re.fullmatch(r"export (\w+)=(.*)", line.strip())
        if match:
            found[match[1]] = "".join(shlex.split(match[2]))
    return found


class Process:
    """One running program. Its output goes to a file, whose end is shown when something fails."""

    def __init__(self, arguments, log_path, environment=None):
        self.arguments = [str(BINARY), *map(str, arguments)]
        self.log_path = pathlib.Path(log_path)
        self.environment = {**_clean_environment(), **(environment or {})}
        self.child = None

    def start(self):
        if not BINARY.exists():
            raise FileNotFoundError(f"{BINARY} is missing: build it (cargo build) or set LONGSHORE_BIN")
        with self.log_path.open("ab") as log:
            self.child = subprocess.Popen(
                self.arguments,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C ends the tests, which then end their children in order.
                start_new_session=True,
            )
        return self

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    def log_tail(self, lines=30):
        if not self.log_path.exists():
            return "(no output)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def must_run(self):
        if not self.running:
            code = None if self.child is None else self.child.returncode
            raise AssertionError(f"{' '.join(self.arguments)} ended with {code}:\n{self.log_tail()}")

    def kill(self):
        """kill -9: nothing is written, nobody is told."""
        self.child.kill()
        self.child.wait()

    def stop(self):
        """SIGTERM, and its exit code. A program that does not leave is killed, and the test fails."""
        if not self.running:
            return None if self.child is None else self.child.returncode
        self.child.send_signal(signal.SIGTERM)
        return self.wait_end()

    def wait_end(self, timeout_secs=STOP_SECS):
        try:
            return self.child.wait(timeout_secs * STRETCH)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.arguments[1]} did not end by itself:\n{self.log_tail()}") from None


class ControlPlane(Process):
    """`longshore up` or `longshore server`; it writes `env` into its data directory when it is ready."""

    def __init__(self, verb, data_dir, port=0, options=()):
        self.data_dir = pathlib.Path(data_dir)
        self.env_path = self.data_dir / "env"
        self.env = {}
        arguments = [verb, "--data-dir", self.data_dir, "--listen", f"127.0.0.1:{port}", *options]
        super().__init__(arguments, self.data_dir.parent / f"{self.data_dir.name}.log")

    def start(self):
        # One from before a restart would say ready too early.
        self.env_path.unlink(missing_ok=True)
        super().start()

        def ready():
            self.must_run()
            return self.env_path.exists()

        eventually(ready, timeout_secs=READY_SECS, what=f"{self.env_path} of `longshore {self.arguments[1]}`")
        self.env = read_env(self.env_path)
        return self

    @property
    def endpoint(self):
        return self.env["AWS_ENDPOINT_URL"]

    def ask(self, *arguments):
        """What one of the program's own verbs says of this control plane."""
        environment = {**_clean_environment(), **self.env}
        done = subprocess.run(
            [str(BINARY), *arguments], env=environment, capture_output=True, text=True, timeout=30 * STRETCH
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
        return done.stdout


class Agent(Process):
    """`longshore agent`, configured by variables alone, as the official agent is."""

    def __init__(self, control_plane, data_dir, cluster=None, **variables):
        self.data_dir = pathlib.Path(data_dir)
        env = control_plane.env
        environment = {
            "ECS_BACKEND_HOST": env["AWS_ENDPOINT_URL"],
            "AWS_ACCESS_KEY_ID": env["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": env["AWS_SECRET_ACCESS_KEY"],
            "AWS_DEFAULT_REGION": env["AWS_DEFAULT_REGION"],
            "ECS_DATADIR": str(self.data_dir),
            # This machine's own configuration must not leak in.
            "LONGSHORE_ECS_CONFIG": os.devnull,
            # The test images exist only here.
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
            "LONGSHORE_INTROSPECTION_PORT": "0",
            "LONGSHORE_METADATA_PORT": "0",
        }
        if cluster is not None:
            environment["ECS_CLUSTER"] = cluster
        environment.update({key: str(value) for key, value in variables.items()})
        super().__init__(["agent"], self.data_dir.parent / f"{self.data_dir.name}.log", environment)


class CommandLine:
    """The real `aws` command against one endpoint."""

    def __init__(self, control_plane):
        self.environment = {
            **_clean_environment(),
            **control_plane.env,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    def run(self, *arguments, service="ecs"):
        """`aws ecs ARGUMENTS`, or of another service; exit code, stdout, stderr."""
        done = subprocess.run(
            ["aws", service, *map(str, arguments), "--output", "json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120 * STRETCH,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments):
        """`aws ecs ARGUMENTS`, which must succeed; its answer (`None` if it says nothing)."""
        code, out, err = self.run(*arguments)
        if code != 0:
            raise AssertionError(f"aws ecs {' '.join(map(str, arguments))} ended with {code}: {err.strip()}")
        return json.loads(out) if out.strip() else None
