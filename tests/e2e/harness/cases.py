"""The classes that tests derive from, and what ECS clients do all the time.

| class | what runs |
|---|---|
| `ServerCase` | `longshore server`; no agent, no container engine |
| `UpCase` | `longshore up` with three instances in three zones; needs a container engine |
| `EngineCase` | nothing yet; the test starts servers and agents itself; needs a container engine |

Every class has a cluster of its own name, by which its containers are found at the end.
"""

import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import unittest
import uuid

import boto3
import botocore.exceptions

from . import docker
from .client import ecs_client
from .process import CommandLine, ControlPlane
from .wait import eventually

WEB_1 = "longshore/web:1"
WEB_2 = "longshore/web:2"
BUSYBOX = "longshore/busybox:1"
IMAGES = (WEB_1, WEB_2, BUSYBOX)

# The walkthrough's fixed host port. Another one helps where something else has it.
FIXED_PORT = int(os.environ.get("LONGSHORE_E2E_PORT", "8080"))

TASK_ID = r"[0-9a-f]{32}"
DEPLOYMENT_ID = r"ecs-svc/\d{19}"


def _engine_or_hint():
    """`None` if containers can run here, else what to do about it."""
    try:
        docker.version()
    except (docker.EngineError, OSError) as error:
        return f"no container engine ({error}): start Docker, or set DOCKER_HOST to its unix:// socket"
    missing = [image for image in IMAGES if not docker.has_image(image)]
    return f"images are missing ({', '.join(missing)}): run scripts/make-test-images" if missing else None


def require_engine():
    """Skips, loudly; fails where a skipped test would be a false comfort (CI, or asked for)."""
    hint = _engine_or_hint()
    if hint is None:
        return
    if os.environ.get("CI") == "true" or os.environ.get("LONGSHORE_E2E") == "require":
        raise AssertionError(hint)
    print(f"SKIPPED: {hint}", file=sys.stderr)
    raise unittest.SkipTest(hint)


class Case(unittest.TestCase):
    """A control plane in `self.plane`, clients in `self.ecs` and `self.aws`, a cluster in `self.cluster`."""

    needs_engine = False
    plane = None
    # Of who starts the server again, so that clients find it where it was.
    port = 0
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls.needs_engine:
            require_engine()
        cls.cluster = f"deep-dive-{uuid.uuid4().hex[:8]}"
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="longshore-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        if cls.needs_engine:
            # In reverse order: a network can go when no container is in it.
            cls.addClassCleanup(docker.remove_networks, cls.directory)
            cls.addClassCleanup(docker.remove_clusters, cls.cluster)

    @classmethod
    def start_plane(cls, verb, *options, port=0):
        cls.plane = ControlPlane(verb, cls.directory / "data", port, options)
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()
        cls.ecs = cls.client()
        cls.aws = CommandLine(cls.plane)
        cls.region = cls.plane.env["AWS_DEFAULT_REGION"]
        return cls.plane

    @classmethod
    def client(cls):
        """An ECS client of its own."""
        return ecs_client(cls.plane.env)

    def client_of(self, service, key=None):
        """A boto3 client of any service, with these credentials as IAM and STS give them, or the operator's."""
        env = self.plane.env
        key = key or {"AccessKeyId": env["AWS_ACCESS_KEY_ID"], "SecretAccessKey": env["AWS_SECRET_ACCESS_KEY"]}
        session = boto3.session.Session(
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            aws_session_token=key.get("SessionToken"),
            region_name=env["AWS_DEFAULT_REGION"],
        )
        return session.client(service, endpoint_url=env["AWS_ENDPOINT_URL"])

    def refused(self, code, part, call, **parameters):
        """The call fails with this error, in whatever protocol, and its text has this part."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**parameters)
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], code, error)
        self.assertIn(part, error["Message"])

    def setUp(self):
        super().setUp()
        self.plane_log_at_failure()

    def plane_log_at_failure(self):
        """Shows what the server said, beside the failure of the test."""

        def show():
            outcome = getattr(self, "_outcome", None)
            if self.plane is not None and outcome is not None and not outcome.success:
                print(f"\n--- {self.id()}: last lines of {self.plane.log_path.name}", file=sys.stderr)
                print(self.plane.log_tail(), file=sys.stderr)

        self.addCleanup(show)

    # ---- names

    def arn(self, resource):
        return rf"arn:aws:ecs:{self.region}:\d{{12}}:{resource}"

    def assert_arn(self, arn, resource):
        """`resource` is a regular expression for what follows account and colon."""
        self.assertRegex(arn, rf"\A{self.arn(resource)}\Z")

    # ---- errors

    def assert_refused(self, code, message, operation, **parameters):
        """The call fails with exactly this modelled error; `message` may be `None` where texts vary."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            operation(**parameters)
        error = caught.exception.response
        self.assertEqual(error["Error"]["Code"], code, error)
        self.assertEqual(error["ResponseMetadata"]["HTTPStatusCode"], 400, error)
        self.assertTrue(error["ResponseMetadata"].get("RequestId"), error)
        if message is not None:
            self.assertEqual(error["Error"]["Message"], message, error)
        return error

    def assert_cli_refused(self, code, message, *arguments):
        """`aws ecs` ends as for every error that a service answers: 254, or 255 before version 2."""
        exit_code, out, err = self.aws.run(*arguments)
        self.assertIn(exit_code, (254, 255), (out, err))
        self.assertIn(f"({code})", err)
        if message is not None:
            self.assertIn(message, err)

    # ---- task definitions

    def register(self, family, *containers, **others):
        """A new revision; each container is filled up with an image and some memory."""
        answer = self.ecs.register_task_definition(
            family=family,
            containerDefinitions=[{"name": "web", "image": WEB_1, "memory": 50, **container} for container in containers],
            **others,
        )
        return answer["taskDefinition"]["taskDefinitionArn"]

    # ---- tasks

    def task(self, arn):
        answer = self.ecs.describe_tasks(cluster=self.cluster, tasks=[arn])
        self.assertEqual(answer["failures"], [])
        return answer["tasks"][0]

    def tasks(self, **filters):
        """Every task that ListTasks shows, described."""
        pages = self.ecs.get_paginator("list_tasks").paginate(cluster=self.cluster, **filters)
        arns = [arn for page in pages for arn in page["taskArns"]]
        found = []
        for start in range(0, len(arns), 100):
            found += self.ecs.describe_tasks(cluster=self.cluster, tasks=arns[start : start + 100])["tasks"]
        return found

    def wait_task(self, arn, status, timeout_secs=20):
        """The task once its `lastStatus` is `status`; fails at once if it has ended instead."""

        def there(task):
            if task["lastStatus"] == "STOPPED" and status != "STOPPED":
                raise AssertionError(f"the task ended before it was {status}: {task}")
            return task["lastStatus"] == status

        return eventually(lambda: self.task(arn), there, timeout_secs, f"{status} of {arn}")

    def run_tasks(self, **parameters):
        """RunTask without refusals; removed after the test."""
        answer = self.ecs.run_task(cluster=self.cluster, **parameters)
        self.assertEqual(answer["failures"], [])
        arns = [task["taskArn"] for task in answer["tasks"]]
        for arn in arns:
            self.addCleanup(self.stop_task_quietly, arn)
        return answer["tasks"]

    def wait_engine(self, look, what):
        """The engine has nothing more of `look`. Its list may lag behind the end that it has told already."""
        eventually(look, lambda found: not found, what=f"the end of {what} in the engine's list")

    def stop_task_quietly(self, arn):
        with contextlib.suppress(botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            self.ecs.stop_task(cluster=self.cluster, task=arn)
            # A clean-up judges nobody's speed.
            eventually(lambda: self.task(arn)["lastStatus"] == "STOPPED", timeout_secs=60, what=f"end of {arn}")

    # ---- services

    def create_service(self, name, definition, desired, **others):
        """CreateService; after the test the service and its tasks are gone."""
        answer = self.ecs.create_service(
            cluster=self.cluster, serviceName=name, taskDefinition=definition, desiredCount=desired, **others
        )
        self.addCleanup(self.remove_service, name)
        return answer["service"]

    def remove_service(self, name):
        found = self.ecs.describe_services(cluster=self.cluster, services=[name])["services"]
        if found and found[0]["status"] == "ACTIVE":
            self.ecs.delete_service(cluster=self.cluster, service=name, force=True)
        self.wait_service(name, lambda service: service["status"] == "INACTIVE", what="INACTIVE after the test")

    def service(self, name):
        answer = self.ecs.describe_services(cluster=self.cluster, services=[name])
        self.assertEqual(answer["failures"], [])
        return answer["services"][0]

    def wait_service(self, name, accept, timeout_secs=20, what="the state"):
        return eventually(lambda: self.service(name), accept, timeout_secs, f"{what} of service {name}")

    def wait_running(self, name, count, timeout_secs=20):
        """The service with one deployment, `count` running tasks and a completed rollout."""

        def settled(service):
            deployments = service["deployments"]
            return (
                service["runningCount"] == count
                and service["pendingCount"] == 0
                and len(deployments) == 1
                and deployments[0]["rolloutState"] == "COMPLETED"
            )

        return self.wait_service(name, settled, timeout_secs, f"{count} settled tasks")

    def service_tasks(self, name, status="RUNNING"):
        """The service's tasks with that desired status."""
        return self.tasks(serviceName=name, desiredStatus=status)

    def messages(self, name):
        """The texts of a service's events, oldest first."""
        return [event["message"] for event in reversed(self.service(name)["events"])]

    def wait_message(self, name, part, timeout_secs=20, at_least=1):
        """The event texts, once `at_least` of them contain `part`."""
        return eventually(
            lambda: self.messages(name),
            lambda texts: sum(part in text for text in texts) >= at_least,
            timeout_secs,
            f"{at_least} event(s) with {part!r} of service {name}",
        )

    # ---- instances

    def instances(self, cluster=None, **filters):
        """The container instances that the cluster lists, described."""
        cluster = cluster or self.cluster
        arns = self.ecs.list_container_instances(cluster=cluster, **filters)["containerInstanceArns"]
        if not arns:
            return []
        answer = self.ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
        self.assertEqual(answer["failures"], [])
        return answer["containerInstances"]

    def instance(self, arn, cluster=None):
        answer = self.ecs.describe_container_instances(cluster=cluster or self.cluster, containerInstances=[arn])
        self.assertEqual(answer["failures"], [])
        return answer["containerInstances"][0]


class ServerCase(Case):
    """`longshore server` alone: what can be said without any machine to run tasks on."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("server", "--settle-secs", "1", "--allow-short-arns", port=cls.port)


class EngineCase(Case):
    """A container engine is there; the rest is up to the test."""

    needs_engine = True


class UpCase(EngineCase):
    """`longshore up`: instances that share this machine, each with an address and a zone of its own."""

    instances_wanted = 3
    zones_wanted = 3
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # `up` makes a missing cluster too, which has a test of its own (test_instances); the others do
        # not depend on it, and so `up` also has to go on with the data that a `server` left.
        cls.start_plane("server")
        cls.ecs.create_cluster(clusterName=cls.cluster)
        cls.plane.stop()
        cls.start_plane(
            "up",
            *("--instances", cls.instances_wanted),
            *("--zones", cls.zones_wanted),
            *("--cluster", cls.cluster),
            port=cls.port,
        )


def resource(instance, name, which="remainingResources"):
    """The value of a resource of a container instance."""
    found = next(entry for entry in instance[which] if entry["name"] == name)
    return found["stringSetValue"] if found["type"] == "STRINGSET" else found["integerValue"]


def attribute(instance, name):
    """The value of an attribute of a container instance, or `None`."""
    return next((entry.get("value") for entry in instance["attributes"] if entry["name"] == name), None)


def endpoint(task, container_port=8080):
    """Where a task's port is reached from this machine."""
    bindings = [binding for container in task["containers"] for binding in container.get("networkBindings", [])]
    binding = next(binding for binding in bindings if binding["containerPort"] == container_port)
    host = "127.0.0.1" if binding["bindIP"] == "0.0.0.0" else binding["bindIP"]
    return host, binding["hostPort"]


