"""Machines join with a token, have a key of their own, and act for nobody else (identity acceptance 24, decision 50).

The server is off loopback, as far as it knows: TLS with a certificate of its own, and known keys only.
"""

import base64
import contextlib
import json
import os
import socket
import ssl
import stat
import subprocess
import time
import unittest
import urllib.parse
import uuid

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

from harness.cases import WEB_1, Case, EngineCase, attribute
from harness.process import BINARY, ControlPlane, Process, _clean_environment, free_port
from harness.wait import STRETCH, eventually
from test_official_agent import GO_PROGRAM, GO_SECS, TARGET, go
from test_roles import RoleTasks

ACCOUNT = "000000000000"
CAPACITY = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": []},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]


class EverywherePlane(ControlPlane):
    """Off loopback, where TLS and strict keys are the default. Only loopback is spoken to."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        at = self.arguments.index("--listen") + 1
        self.arguments[at] = self.arguments[at].replace("127.0.0.1", "0.0.0.0")


class Strict:
    """What the tests here have in common: a server with TLS, and its operator's clients."""

    @classmethod
    def start_strict(cls):
        cls.port = free_port()
        options = ("--advertise", f"https://127.0.0.1:{cls.port}", "--settle-secs", "1", "--log", "info")
        cls.plane = EverywherePlane("server", cls.directory / "data", cls.port, options)
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()
        cls.certificate = cls.plane.data_dir / "tls-cert.pem"
        cls.region = cls.plane.env["AWS_DEFAULT_REGION"]
        cls.ecs = cls.client_with(None)
        cls.ecs.create_cluster(clusterName=cls.cluster)

    @classmethod
    def client_with(cls, key, service="ecs"):
        """A client with the operator's key, or with that of an instance as `longshore join` prints it."""
        env = {**cls.plane.env, **(key or {})}
        session = boto3.session.Session(
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region_name=cls.region,
        )
        config = botocore.config.Config(retries={"total_max_attempts": 1})
        return session.client(service, endpoint_url=cls.plane.endpoint, verify=str(cls.certificate), config=config)

    def client_of(self, service, key=None):
        return self.client_with(key, service)

    @classmethod
    def longshore(cls, *arguments, code=0, environment=None):
        """What a verb prints, and what it tells."""
        done = subprocess.run(
            [str(BINARY), *map(str, arguments)],
            env={**_clean_environment(), **(environment or {})},
            capture_output=True, text=True, timeout=60 * STRETCH, check=False,
        )
        if done.returncode != code:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout} {done.stderr}")
        return done.stdout, done.stderr

    @classmethod
    def token(cls, *options):
        out, told = cls.longshore(
            "token", "create", "--data-dir", cls.plane.data_dir, "--cluster", cls.cluster, *options
        )
        return out.strip()

    @classmethod
    def joined(cls, token=None, name=None):
        """The variables of a machine that joins by `longshore join`."""
        directory = cls.directory / (name or uuid.uuid4().hex)
        options = ("--token", token) if token else ()
        out, _ = cls.longshore("join", "--dir", directory, *options)
        return dict(line.split("=", 1) for line in out.splitlines())

    def register_as(self, key, **others):
        answer = self.client_with(key).register_container_instance(
            cluster=self.cluster, totalResources=CAPACITY, **others
        )
        return answer["containerInstance"]["containerInstanceArn"]

    def denied(self, call, *parts, **parameters):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**parameters)
        error = caught.exception.response["Error"]
        self.assertIn(error["Code"], ("AccessDeniedException", "AccessDenied"), error)
        for part in parts:
            self.assertIn(part, error["Message"])

    def upgrade(self, key, path):
        """The socket of an agent, and the first line and the body with which it was opened or refused."""
        env = {**self.plane.env, **key}
        url = f"{self.plane.endpoint}{path}"
        request = botocore.awsrequest.AWSRequest("GET", url)
        credentials = botocore.credentials.Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
        botocore.auth.SigV4Auth(credentials, "ecs", self.region).add_auth(request)
        headers = {
            "Host": urllib.parse.urlsplit(url).netloc, "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **dict(request.headers.items()),
        }
        plain = socket.create_connection(("127.0.0.1", self.port), 20 * STRETCH)
        stream = ssl.create_default_context(cafile=self.certificate).wrap_socket(plain, server_hostname="127.0.0.1")
        self.addCleanup(stream.close)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        stream.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        said = stream.recv(4096).decode(errors="replace")
        # A refusal has a body, of JSON.
        while not said.startswith("HTTP/1.1 101 ") and not said.rstrip().endswith("}"):
            piece = stream.recv(4096).decode(errors="replace")
            if not piece:
                break
            said += piece
        return stream, said

    def commands(self, key, arn):
        query = urllib.parse.urlencode({
            "agentHash": "x", "agentVersion": "1.0.0", "clusterArn": self.cluster, "containerInstanceArn": arn,
            "dockerVersion": "20", "protocolVersion": "2", "sendCredentials": "true", "seqNum": "1",
        })
        return self.upgrade(key, f"/acs/ws?{query}")

    def telemetry(self, key, arn):
        query = urllib.parse.urlencode({
            "agentHash": "x", "agentVersion": "1.0.0", "cluster": self.cluster, "containerInstance": arn,
            "dockerVersion": "20",
        })
        return self.upgrade(key, f"/tcs/ws?{query}")


class Keys(Strict, Case):
    """What a token gives, and what the key that comes of it may do. No agent runs, and no container."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_strict()

    def test_a_token_is_shown_once_and_counts_its_uses(self):
        token = self.token("--uses", "2", "--ttl", "30m", "--attributes", "rack=r1")
        shown, _ = self.longshore("token", "list", "--data-dir", self.plane.data_dir)
        inside = json.loads(base64.urlsafe_b64decode(token.split("_", 1)[1] + "=="))
        [line] = [line for line in shown.splitlines() if inside["id"] in line]
        self.assertIn("0/2", line)
        self.assertIn("valid", line)
        self.assertEqual((inside["cluster"], inside["region"], inside["account"]), (self.cluster, self.region, ACCOUNT))
        first, second = self.joined(token), self.joined(token)
        self.assertNotEqual(first["AWS_ACCESS_KEY_ID"], second["AWS_ACCESS_KEY_ID"])
        _, told = self.longshore("join", "--dir", self.directory / "third", "--token", token, code=1)
        self.assertIn("used as often as it may be", told)
        arns = {self.register_as(first), self.register_as(second)}
        self.assertEqual(len(arns), 2)
        self.assertEqual({attribute(self.instance(arn), "rack") for arn in arns}, {"r1"})
        # Neither the secret of the token nor those of the keys are on the disk, or in the log.
        secrets = [inside["secret"], first["AWS_SECRET_ACCESS_KEY"], second["AWS_SECRET_ACCESS_KEY"]]
        for path in self.plane.data_dir.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for secret in secrets:
                    self.assertNotIn(secret.encode(), content, path)
        log = self.plane.log_path.read_text(errors="replace")
        for secret in secrets:
            self.assertNotIn(secret, log)

    def test_what_is_wrong_with_a_token_is_said(self):
        token = self.token("--ttl", "1s")
        time.sleep(1.5)
        _, told = self.longshore("join", "--dir", self.directory / "late", "--token", token, code=1)
        self.assertIn("has expired", told)
        token = self.token()
        inside = json.loads(base64.urlsafe_b64decode(token.split("_", 1)[1] + "=="))
        guessed = {**inside, "secret": inside["secret"][::-1]}
        text = "lsjoin1_" + base64.urlsafe_b64encode(json.dumps(guessed).encode()).decode().rstrip("=")
        _, told = self.longshore("join", "--dir", self.directory / "guess", "--token", text, code=1)
        self.assertIn("is not valid", told)
        self.assertNotIn(guessed["secret"], told)
        _, told = self.longshore("join", "--dir", self.directory / "guess", "--token", "AKIAEXAMPLE", code=2)
        self.assertIn("no join token", told)
        # A server that is another one: the fingerprint is not that of its certificate.
        other = {**inside, "ca": "00" * 32}
        text = "lsjoin1_" + base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip("=")
        stranger = Process(
            ["join", "--dir", self.directory / "other", "--token", text], self.directory / "other.log"
        ).start()
        self.addCleanup(stranger.kill)
        eventually(lambda: "is not trusted" in stranger.log_path.read_text(), what="the refusal of the certificate")
        self.assertTrue(stranger.running, "it goes on trying")
        self.longshore("token", "revoke", "--data-dir", self.plane.data_dir, inside["id"])
        _, told = self.longshore("join", "--dir", self.directory / "revoked", "--token", token, code=1)
        self.assertIn("is not valid", told)
        _, told = self.longshore("token", "revoke", "--data-dir", self.plane.data_dir, inside["id"], code=1)
        self.assertIn("token list", told)

    def test_a_key_is_renewed_and_a_lost_answer_makes_no_second_instance(self):
        name = uuid.uuid4().hex
        key = self.joined(self.token(), name)
        path = self.directory / name / "instance-key.json"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        arn = self.register_as(key)
        # Each with a client token of its own, as after a lost answer and the loss of the agent's state.
        self.assertEqual({self.register_as(key) for _ in range(3)}, {arn})
        before = path.read_text()
        newer = self.joined(name=name)
        self.assertNotEqual(newer["AWS_ACCESS_KEY_ID"], key["AWS_ACCESS_KEY_ID"])
        self.assertEqual({self.register_as(key), self.register_as(newer)}, {arn}, "both count")
        # kill -9 before the newer one was on the disk: the older one gives it again.
        path.write_text(before)
        self.assertEqual(self.joined(name=name), newer)
        self.plane.kill()
        self.plane.start()
        self.assertEqual(self.register_as(newer), arn, "it survives the server's kill -9")
        newest = self.joined(name=name)
        self.assertEqual(self.register_as(newest), arn)
        self.refused("UnrecognizedClientException", "invalid", self.register_as, key=key)
        self.assertEqual([own for own in self.instances() if own["containerInstanceArn"] == arn][0]["status"], "ACTIVE")

    def test_an_instance_acts_for_nobody_else(self):
        token = self.token("--uses", "2")
        key, other_key = self.joined(token), self.joined(token)
        own, other = self.register_as(key), self.register_as(other_key)
        definition = self.register("other", {"image": WEB_1})
        _, said = self.commands(other_key, other)
        self.assertTrue(said.startswith("HTTP/1.1 101 "), said)
        eventually(lambda: self.instance(other)["agentConnected"], what="the other's connection")
        # Nobody reads there, so that the task stays as it is.
        started = self.ecs.start_task(
            cluster=self.cluster, taskDefinition=definition, containerInstances=[other]
        )
        self.assertEqual(started["failures"], [])
        tasks = [task["taskArn"] for task in started["tasks"]]
        ecs = self.client_with(key)
        where = {"cluster": self.cluster}
        self.assertIn("/acs", ecs.discover_poll_endpoint(**where, containerInstance=own)["endpoint"])
        ecs.update_container_instances_state(**where, containerInstances=[own], status="DRAINING")
        ecs.update_container_instances_state(**where, containerInstances=[own], status="ACTIVE")
        refused = f"User: {own} is not authorized to perform: ecs:"
        for call, parameters in (
            (ecs.discover_poll_endpoint, {"containerInstance": other}),
            (ecs.update_container_instances_state, {"containerInstances": [other], "status": "DRAINING"}),
            (ecs.update_container_instances_state, {"containerInstances": [own, other], "status": "DRAINING"}),
            (ecs.register_container_instance, {"containerInstanceArn": other, "totalResources": CAPACITY}),
            (ecs.submit_task_state_change, {"task": tasks[0], "status": "STOPPED"}),
            (ecs.submit_container_state_change, {"task": tasks[0], "containerName": "web", "status": "STOPPED"}),
            (ecs.describe_container_instances, {"containerInstances": [own]}),
            (ecs.deregister_container_instance, {"containerInstance": own}),
            (ecs.put_attributes, {"attributes": [{"name": "a", "targetId": own, "targetType": "container-instance"}]}),
            (ecs.list_container_instances, {}),
            (ecs.list_tasks, {}),
            (ecs.run_task, {"taskDefinition": definition}),
            (ecs.stop_task, {"task": tasks[0]}),
        ):
            with self.subTest(call=call.__name__, **{name: str(value) for name, value in parameters.items()}):
                self.denied(call, refused, **where, **parameters)
        self.denied(ecs.register_container_instance, refused, cluster="default", totalResources=CAPACITY)
        self.denied(ecs.create_cluster, refused, clusterName="mine")
        self.denied(ecs.list_clusters, refused)
        self.denied(self.client_with(key, "iam").list_users, "iam:ListUsers")
        self.denied(self.client_with(key, "sts").get_session_token, "key of an instance")
        self.denied(self.client_with(key, "secretsmanager").list_secrets, "secretsmanager:ListSecrets")
        self.denied(self.client_with(key, "ssm").get_parameter, "ssm:GetParameter", Name="/a")
        self.assertEqual(self.client_with(key, "sts").get_caller_identity()["Arn"], own)
        # What is no task of anybody is not there, and no agent repeats a report of it for ever.
        self.refused(
            "InvalidParameterException", "task", ecs.submit_task_state_change,
            **where, task=f"arn:aws:ecs:{self.region}:{ACCOUNT}:task/{self.cluster}/{'0' * 32}", status="STOPPED",
        )
        for opened in (self.commands, self.telemetry):
            _, said = opened(key, other)
            self.assertTrue(said.startswith("HTTP/1.1 403 "), said)
            self.assertIn("AccessDeniedException", said)
            self.assertIn(f"User: {own} is not authorized to perform: ecs:", said)
            _, said = opened(key, own)
            self.assertTrue(said.startswith("HTTP/1.1 101 "), said)
        # The operator's key goes on acting for all.
        _, said = self.commands({}, other)
        self.assertTrue(said.startswith("HTTP/1.1 101 "), said)

    def test_a_second_command_channel_closes_the_first_and_is_told(self):
        key = self.joined(self.token())
        arn = self.register_as(key)
        first, said = self.commands(key, arn)
        self.assertTrue(said.startswith("HTTP/1.1 101 "), said)
        eventually(lambda: self.instance(arn)["agentConnected"], what="the first connection")
        _, said = self.commands(key, arn)
        self.assertTrue(said.startswith("HTTP/1.1 101 "), said)
        first.settimeout(20 * STRETCH)
        # It ends, with or without a farewell of TLS.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            while first.recv(4096):
                pass
        explained, _ = self.longshore(
            "explain", "container-instance", arn.rsplit("/", 1)[1], "--cluster", self.cluster,
            "--data-dir", self.plane.data_dir,
        )
        self.assertIn("A second connection has taken its command channel from the one before once", explained)
        self.assertIn("127.0.0.1 from 127.0.0.1", explained)
        self.assertIn("a second connection has taken", self.plane.log_path.read_text(errors="replace"))

    def test_deregistering_ends_the_key(self):
        key = self.joined(self.token())
        arn = self.register_as(key)
        self.ecs.deregister_container_instance(cluster=self.cluster, containerInstance=arn, force=True)
        ecs = self.client_with(key)
        self.denied(ecs.discover_poll_endpoint, arn, cluster=self.cluster, containerInstance=arn)
        self.refused(
            "ClientException", "was inactive", ecs.register_container_instance,
            cluster=self.cluster, totalResources=CAPACITY,
        )
        _, said = self.telemetry(key, arn)
        self.assertTrue(said.startswith("HTTP/1.1 403 "), said)

    def test_tokens_are_made_without_a_server(self):
        self.plane.stop()
        try:
            token = self.token()
            shown, _ = self.longshore("token", "list", "--data-dir", self.plane.data_dir)
            self.assertIn(self.cluster, shown)
        finally:
            self.plane.start()
        self.assertTrue(self.register_as(self.joined(token)).startswith("arn:aws:ecs:"))
        # Where the server runs, it is asked.
        shown, _ = self.longshore("token", "list", "--data-dir", self.plane.data_dir)
        self.assertIn("used up", shown)

    def test_the_official_agents_client_works_with_an_instances_key(self):
        command = go()
        if command is None:
            raise unittest.SkipTest("Go 1.24 or newer is missing; scripts/prerequisites --tests installs it")
        key = self.joined(self.token())
        done = subprocess.run(
            [command, "run", GO_PROGRAM],
            env={
                "GOCACHE": str(TARGET / "go-cache"),
                **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ECS_"))},
                **self.plane.env, **key, "GOTOOLCHAIN": "local", "SSL_CERT_FILE": str(self.certificate),
            },
            capture_output=True, text=True, timeout=GO_SECS * STRETCH, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        heard = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["heard"] for line in heard], ["HeartbeatMessage", "AckPublishMetric"] * 2)
        arn = self.client_with(key, "sts").get_caller_identity()["Arn"]
        self.assertEqual({line["instance"] for line in heard}, {arn})


class Agents(Strict, RoleTasks, EngineCase):
    """Our agent, with a token and nothing else."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_strict()

    def agent(self, name, *options, **variables):
        environment = {
            "LONGSHORE_ECS_CONFIG": os.devnull, "ECS_DATADIR": str(self.directory / name),
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached", "LONGSHORE_INTROSPECTION_PORT": "0",
            "LONGSHORE_METADATA_PORT": "0", "ECS_DYNAMIC_HOST_PORT_RANGE": "21000-21999",
            "AWS_EC2_METADATA_DISABLED": "true", **variables,
        }
        agent = Process(["agent", *options], self.directory / f"{name}.log", environment)
        self.addCleanup(agent.stop)
        return agent.start()

    def connected(self, agent):
        """The one instance that is connected."""

        def look():
            agent.must_run()
            try:
                return [own for own in self.instances() if own["agentConnected"] and "statusReason" not in own]
            except botocore.exceptions.BotoCoreError:
                return []

        return eventually(look, lambda found: len(found) == 1, 60, "an agent that is connected")[0]

    def test_a_machine_joins_once_and_is_the_same_instance_from_then_on(self):
        token = self.token("--attributes", "rack=r7")
        agent = self.agent("machine", "--join", token)
        instance = self.connected(agent)
        arn = instance["containerInstanceArn"]
        self.assertEqual(attribute(instance, "rack"), "r7")
        definition = self.register("stays", {"image": WEB_1, "portMappings": [{"containerPort": 8080}]})
        [task] = self.run_tasks(taskDefinition=definition)
        self.wait_task(task["taskArn"], "RUNNING", timeout_secs=60)
        path = self.directory / "machine" / "instance-key.json"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        first_key = json.loads(path.read_text())["key"]["accessKeyId"]
        # The token is used up, and still stands in the unit file.
        agent.kill()
        agent = self.agent("machine", "--join", token)
        self.assertEqual(self.connected(agent)["containerInstanceArn"], arn)
        self.assertNotEqual(json.loads(path.read_text())["key"]["accessKeyId"], first_key, "it was renewed")
        agent.kill()
        self.plane.kill()
        agent = self.agent("machine")
        self.plane.start()
        self.assertEqual(self.connected(agent)["containerInstanceArn"], arn)
        self.assertEqual(len(self.instances()), 1)
        self.assertEqual(self.task(task["taskArn"])["lastStatus"], "RUNNING")
        log = agent.log_path.read_text(errors="replace")
        for secret in (token, json.loads(path.read_text())["key"]["secretAccessKey"]):
            self.assertNotIn(secret, log)
        self.stop_task_quietly(task["taskArn"])
        # Deregistered by force: the agent hears it, and ends.
        self.ecs.deregister_container_instance(cluster=self.cluster, containerInstance=arn, force=True)
        agent.kill()
        agent = self.agent("machine", "--join", token)
        self.assertEqual(agent.wait_end(60), 5)
        self.assertIn("new token", agent.log_tail())
        # With another one it is another instance.
        agent = self.agent("machine", "--join", self.token())
        self.leave_after(self.connected(agent), unlike=arn)

    def leave_after(self, instance, unlike=None):
        """Deregisters an instance once its tasks have ended, before its agent does."""
        arn = instance["containerInstanceArn"]
        self.assertNotEqual(arn, unlike)
        self.addCleanup(
            self.ecs.deregister_container_instance, cluster=self.cluster, containerInstance=arn, force=True
        )

    def test_a_container_on_a_machine_that_joined_reaches_the_api(self):
        agent = self.agent("roles", "--join", self.token())
        instance = self.connected(agent)
        self.leave_after(instance)
        if attribute(instance, "com.amazonaws.ecs.capability.task-iam-role") is None and not any(
            own["name"] == "com.amazonaws.ecs.capability.task-iam-role" for own in instance["attributes"]
        ):
            raise AssertionError(f"this agent has no address for roles: {agent.log_tail()}")
        for mode in ("bridge", "host"):
            arn = self.start(f"remote-{mode}", mode, self.make_role(f"remote-{mode}"))
            told = self.told(f"remote-{mode}")
            session = f"arn:aws:sts::{ACCOUNT}:assumed-role/remote-{mode}/{arn.rsplit('/', 1)[1]}"
            self.assertEqual(told.get("who"), session, told)
            self.assertEqual(told["created"], "AccessDeniedException", told)
            self.assertTrue(told["clusters"], told)
        # This process is no container of a task: the connection is closed without an answer.
        with socket.create_connection(("169.254.170.2", 51680), 20 * STRETCH) as stream:
            stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: 169.254.170.2:51680\r\n\r\n")
            try:
                self.assertEqual(stream.recv(1024), b"")
            except ConnectionResetError:
                pass
