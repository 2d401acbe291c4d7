"""A server with TLS, asked by the verbs, by the aws CLI and by an agent (which wants a container engine)."""

import shutil
import subprocess
import unittest

from harness.cases import Case, require_engine
from harness.client import ecs_client
from harness.process import BINARY, CommandLine, ControlPlane, Process, free_port
from harness.wait import STRETCH, eventually


class TlsCase(Case):
    """What verbs say when they have of this machine's settings only what a test gives them."""

    def environment(self, **variables):
        """Nothing of this machine's AWS settings and authorities, and no server in the home directory."""
        foreign = ("AWS_", "SSL_CERT")
        clean = {key: value for key, value in self.plane.environment.items() if not key.startswith(foreign)}
        return {**clean, "XDG_DATA_HOME": str(self.directory / "nobody"), **variables}

    def verb(self, *arguments, code=0, **variables):
        done = subprocess.run(
            [BINARY, *map(str, arguments)],
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=60 * STRETCH,
            check=False,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def key(self):
        return {name: value for name, value in self.plane.env.items() if "KEY" in name}


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class SelfMade(TlsCase):
    """A certificate of the operator's, as `openssl req -x509` makes it: one that calls itself an authority."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certificate, key = cls.directory / "made.pem", cls.directory / "made.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
            + ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cls.certificate],
            check=True,
            capture_output=True,
        )
        cls.port = free_port()
        options = ("--tls-cert", cls.certificate, "--tls-key", key, "--advertise", f"https://localhost:{cls.port}")
        cls.plane = ControlPlane("server", cls.directory / "data", cls.port, options)
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()

    def test_the_env_file_is_all_that_clients_need(self):
        self.assertEqual(self.plane.env["AWS_CA_BUNDLE"], str(self.certificate))
        self.assertEqual(CommandLine(self.plane).json("list-clusters"), {"clusterArns": []})
        self.assertIn("no clusters yet", self.verb("status", **self.plane.env))
        self.assertIn("no clusters yet", self.verb("status", "--data-dir", self.plane.data_dir))

    def test_it_can_be_named_and_counts_for_its_name_only(self):
        named = ("--ca", self.certificate)
        self.assertIn(
            "no clusters yet", self.verb("status", "--endpoint", self.plane.endpoint, *named, **self.key())
        )
        by_address = ("--endpoint", f"https://127.0.0.1:{self.port}")
        said = self.verb("status", *by_address, *named, code=1, **self.key())
        self.assertIn("not for this name", said)
        said = self.verb("status", "--endpoint", self.plane.endpoint, code=1, **self.key())
        self.assertIn("is not trusted: name a file with it", said)


class Tls(TlsCase):
    """The server makes a certificate of its own, as it does off loopback; everybody asks it on loopback."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        port = free_port()
        cls.plane = ControlPlane("server", cls.directory / "data", port)
        cls.plane.arguments += ["--advertise", f"https://127.0.0.1:{port}"]
        at = cls.plane.arguments.index(f"127.0.0.1:{port}")
        cls.plane.arguments[at] = f"0.0.0.0:{port}"
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()
        cls.aws = CommandLine(cls.plane)
        cls.certificate = cls.plane.data_dir / "tls-cert.pem"

    def test_the_data_directory_is_all_that_a_verb_needs(self):
        self.assertIn("no clusters yet", self.verb("status", "--data-dir", self.plane.data_dir))

    def test_the_env_file_is_all_that_clients_need(self):
        self.assertEqual(self.plane.env["AWS_CA_BUNDLE"], str(self.certificate))
        self.assertEqual(self.aws.json("list-clusters"), {"clusterArns": []})
        self.assertIn("no clusters yet", self.verb("status", **self.plane.env))

    def test_a_certificate_can_be_named(self):
        endpoint = ("--endpoint", self.plane.endpoint)
        self.assertIn("no clusters yet", self.verb("status", *endpoint, "--ca", self.certificate, **self.key()))

    def test_errors_of_tls_say_what_to_do(self):
        plain = self.plane.endpoint.replace("https:", "http:")
        text = self.directory / "no-certificate.pem"
        text.write_text("nothing\n")
        for arguments, expected in (
            (("--endpoint", self.plane.endpoint, "--ca", "/etc/ssl/certs/ca-certificates.crt"), "with --ca"),
            (("--endpoint", plain), f"write {self.plane.endpoint}"),
            (("--endpoint", self.plane.endpoint, "--ca", "/nonexistent"), "with --ca"),
            (("--endpoint", self.plane.endpoint, "--ca", text), "no usable certificates"),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(expected, self.verb("status", *arguments, code=1, **self.key()))

    def test_an_endpoint_without_tls_says_so(self):
        port = free_port()
        plane = ControlPlane("server", self.directory / "plain", port)
        self.addCleanup(plane.stop)
        plane.start()
        said = self.verb(
            "status", "--endpoint", f"https://127.0.0.1:{port}", "--ca", self.certificate, code=1, **self.key()
        )
        self.assertIn(f"write http://127.0.0.1:{port}", said)
        # The endpoint that a person types wins over a directory; key and trust still come from there.
        ecs_client(plane.env).create_cluster(clusterName="plain")
        said = self.verb("status", "--data-dir", self.plane.data_dir, "--endpoint", plane.endpoint)
        self.assertIn(f"({plane.endpoint})", said)

    def test_an_agent_that_cannot_connect_says_what_to_do(self):
        require_engine()
        plain = self.plane.endpoint.replace("https:", "http:")
        for name, endpoint, authorities, expected in (
            ("untrusted", self.plane.endpoint, "/etc/ssl/certs/ca-certificates.crt", "set SSL_CERT_FILE to a copy"),
            ("plain", plain, str(self.certificate), f"ECS_BACKEND_HOST={self.plane.endpoint}"),
        ):
            with self.subTest(name):
                agent = Process(
                    ["agent", "--config", "/dev/null"],
                    self.directory / f"{name}.log",
                    self.environment(
                        ECS_BACKEND_HOST=endpoint,
                        SSL_CERT_FILE=authorities,
                        LONGSHORE_INTROSPECTION_PORT="0",
                        LONGSHORE_METADATA_PORT="0",
                        **self.key(),
                    ),
                )
                self.addCleanup(agent.stop)
                agent.start()
                self.assertEqual(agent.child.poll(), None, agent.log_tail())
                eventually(lambda: "ECS_DATADIR is not set" in agent.log_tail(), what="a word about its state")
                eventually(lambda: expected in agent.log_tail(), what=f"{expected!r} in {agent.log_path}")
