"""Private registries, secrets that change while tasks run with them, and the subnets that tasks name."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import botocore.exceptions

from harness import docker
from harness.cases import BUSYBOX, UpCase
from harness.process import free_port
from harness.wait import eventually

ACCOUNT = "000000000000"
PASSWORD = "Correct-Horse-Battery"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"},
    },
}
READ = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue", "ssm:GetParameters"], "Resource": "*"},
}
NOTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}}


class Case(UpCase):
    instances_wanted = 1
    zones_wanted = 1

    def role(self, name, policy):
        """An execution role that may do what the policy says."""
        iam = self.client_of("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        self.addCleanup(iam.delete_role, RoleName=name)
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        self.addCleanup(iam.delete_role_policy, RoleName=name, PolicyName="own")
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def explain(self, *subject):
        return self.plane.ask("explain", *subject, "--cluster", self.cluster)


class PrivateRegistry(Case):
    """Debian's docker-registry on loopback, which asks for a password."""

    @classmethod
    def setUpClass(cls):
        for program in ("docker-registry", "htpasswd", "docker"):
            if shutil.which(program) is None:
                raise unittest.SkipTest(f"no {program} on this machine (Debian: docker-registry, apache2-utils, docker.io)")
        super().setUpClass()
        directory = pathlib.Path(tempfile.mkdtemp(prefix="longshore-registry-"))
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        cls.registry = f"127.0.0.1:{free_port()}"
        hashed = subprocess.run(["htpasswd", "-Bbn", "ada", PASSWORD], check=True, capture_output=True, text=True).stdout
        (directory / "htpasswd").write_text(hashed)
        (directory / "config.yml").write_text(json.dumps({
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
            "http": {"addr": cls.registry},
            "auth": {"htpasswd": {"realm": "private", "path": str(directory / "htpasswd")}},
        }))
        log = open(directory / "log", "wb")
        cls.addClassCleanup(log.close)
        served = subprocess.Popen(["docker-registry", "serve", str(directory / "config.yml")], stdout=log, stderr=log)
        cls.addClassCleanup(served.wait)
        cls.addClassCleanup(served.terminate)
        cls.environment = {**os.environ, "DOCKER_CONFIG": str(directory / "docker")}
        login = ["login", "--username", "ada", "--password-stdin", cls.registry]
        eventually(lambda: cls.docker(*login, input=PASSWORD, check=False).returncode == 0, what="the registry")

    @classmethod
    def docker(cls, *arguments, check=True, **others):
        return subprocess.run(
            ["docker", *arguments], env=cls.environment, check=check, capture_output=True, text=True, **others
        )

    def image(self, tag):
        """An image that only the registry has."""
        image = f"{self.registry}/private/app:{tag}"
        self.docker("tag", BUSYBOX, image)
        self.docker("push", image)
        self.forget(image)
        self.addCleanup(self.forget, image)
        return image

    def forget(self, image):
        # By its digest too, under which a pull has put it.
        listed = self.docker("image", "ls", "--digests", "--format", "{{.Repository}}@{{.Digest}}", image.rpartition(":")[0])
        for name in {image, *(line for line in listed.stdout.split() if "<none>" not in line)}:
            self.docker("image", "rm", name, check=False)

    def secret(self, name, value):
        secrets = self.client_of("secretsmanager")
        arn = secrets.create_secret(Name=name, SecretString=value if isinstance(value, str) else json.dumps(value))["ARN"]
        self.addCleanup(secrets.delete_secret, SecretId=arn, ForceDeleteWithoutRecovery=True)
        return arn

    def start(self, image, parameter, **others):
        container = {
            "name": "main", "image": image, "command": ["sleep", "600"], "memory": 32, "stopTimeout": 2,
            "repositoryCredentials": {"credentialsParameter": parameter},
        }
        definition = self.register("private", container, **others)
        [task] = self.run_tasks(taskDefinition=definition)
        return task["taskArn"]

    def test_an_image_is_pulled_with_the_login_in_a_secret(self):
        image = self.image("right")
        parameter = self.secret("registry/right", {"username": "ada", "password": PASSWORD})
        arn = self.start(image, parameter, executionRoleArn=self.role("reads-logins", READ))
        self.wait_task(arn, "RUNNING", timeout_secs=60)
        # Whoever can look at the container, at the agent's journal or at the log does not see the password.
        [container] = docker.containers_of_task(arn)
        self.assertNotIn(PASSWORD, self.docker("inspect", container).stdout)
        for path in (self.directory / "data").rglob("*"):
            if path.is_file():
                self.assertNotIn(PASSWORD.encode(), path.read_bytes(), path)
        self.assertNotIn(PASSWORD, self.plane.log_path.read_text(errors="replace"))

    def test_why_an_image_could_not_be_had_is_told(self):
        image, role = self.image("wrong"), self.role("reads-wrong-logins", READ)
        region = self.region
        missing = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:registry/none-AbCdEf"
        right = {"username": "ada", "password": PASSWORD}
        for parameter, execution_role, parts in (
            (self.secret("registry/wrong", {**right, "password": "hunter2"}), role, ["CannotPullContainerError"]),
            (missing, role, ["ResourceNotFoundException: The task can't retrieve the secret with ARN", missing]),
            (self.secret("registry/text", PASSWORD), role, ["unable to unmarshal secret value, invalid schema"]),
            (self.secret("registry/half", {"username": "ada"}), role, ["asm fetching password"]),
            (self.secret("registry/denied", right), self.role("reads-nothing", NOTHING), ["AccessDeniedException", "GetSecretValue"]),
            (self.secret("registry/nobody", right), None, ["ResourceInitializationError", "no execution role"]),
        ):
            others = {"executionRoleArn": execution_role} if execution_role else {}
            task = self.wait_task(self.start(image, parameter, **others), "STOPPED", timeout_secs=60)
            said = json.dumps([task.get("stoppedReason"), task["containers"][0].get("reason")])
            self.assertEqual(task["stopCode"], "TaskFailedToStart", said)
            for part in parts:
                self.assertIn(part, said)
            for secret in (PASSWORD, "hunter2"):
                self.assertNotIn(secret, said)


class ChangingSecrets(Case):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        super().setUpClass()

    def start_service(self, name, tags):
        secrets, ssm = self.client_of("secretsmanager"), self.client_of("ssm")
        arn = secrets.create_secret(Name=f"{name}/db", SecretString=json.dumps({"password": "tulip-first"}))["ARN"]
        self.addCleanup(secrets.delete_secret, SecretId=arn, ForceDeleteWithoutRecovery=True)
        ssm.put_parameter(Name=f"/{name}/token", Value="tulip-first", Type="SecureString")
        self.addCleanup(ssm.delete_parameter, Name=f"/{name}/token")
        definition = self.register(
            name,
            {
                "name": "main", "image": BUSYBOX, "memory": 32, "stopTimeout": 2,
                "command": ["sh", "-c", "echo $PASSWORD $TOKEN > /told; exec sleep 600"],
                "secrets": [
                    {"name": "PASSWORD", "valueFrom": f"{arn}:password::"},
                    {"name": "TOKEN", "valueFrom": f"/{name}/token"},
                ],
            },
            executionRoleArn=self.role(f"{name}-execution", READ),
        )
        self.create_service(name, definition, 1, tags=tags)
        self.wait_running(name, 1, timeout_secs=60)
        return arn

    def told(self, name):
        """What the service's only running task was given."""
        [task] = self.service_tasks(name)
        [container] = docker.containers_of_task(task["taskArn"])
        done = subprocess.run(["docker", "exec", container, "cat", "/told"], capture_output=True, text=True)
        return done.stdout.split()

    def test_a_service_without_the_tag_is_told_of_and_stays(self):
        arn = self.start_service("stays", [])
        [task] = self.service_tasks("stays")
        self.assertNotIn("changed since", self.explain("task", task["taskArn"]))
        secrets = self.client_of("secretsmanager")
        before = secrets.get_secret_value(SecretId=arn)["VersionId"]
        after = secrets.put_secret_value(SecretId=arn, SecretString=json.dumps({"password": "tulip-second"}))["VersionId"]
        said = self.explain("task", task["taskArn"])
        for part in ("have changed since it was given them", f"{arn}:password::", before, after):
            self.assertIn(part, said)
        self.assertNotIn("/stays/token", said)
        for value in ("tulip-first", "tulip-second"):
            self.assertNotIn(value, said)
        said = self.explain("service", "stays")
        self.assertIn("1 of its tasks run with a secret that has changed since", said)
        self.assertIn("longshore:redeploy-on-secret-change=true", said)
        self.assertEqual(self.told("stays"), ["tulip-first", "tulip-first"])
        self.ecs.update_service(cluster=self.cluster, service="stays", forceNewDeployment=True)
        self.wait_running("stays", 1, timeout_secs=60)
        self.assertNotIn("has changed since", self.explain("service", "stays"))
        self.assertEqual(self.told("stays"), ["tulip-second", "tulip-first"])

    def test_a_service_with_the_tag_is_deployed_anew_once(self):
        tag = [{"key": "longshore:redeploy-on-secret-change", "value": "true"}]
        arn = self.start_service("follows", tag)
        self.assertEqual(self.told("follows"), ["tulip-first", "tulip-first"])
        # Two that change together, and a server that is killed before anything comes of it.
        self.client_of("secretsmanager").put_secret_value(SecretId=arn, SecretString=json.dumps({"password": "tulip-second"}))
        self.client_of("ssm").put_parameter(Name="/follows/token", Value="tulip-second", Overwrite=True)
        self.plane.kill()
        self.plane.start()
        why = "has begun a new deployment because secrets of its running tasks have changed: "
        messages = self.wait_message("follows", why, timeout_secs=60)
        [message] = [text for text in messages if why in text]
        self.assertTrue(f"{arn}:password::" in message and "/follows/token" in message, message)
        self.wait_running("follows", 1, timeout_secs=60)
        eventually(lambda: self.told("follows"), lambda told: told == ["tulip-second", "tulip-second"], what="the new values")
        # Another change is another deployment, and nothing was one in between.
        self.client_of("ssm").put_parameter(Name="/follows/token", Value="tulip-third", Overwrite=True)
        messages = self.wait_message("follows", why, timeout_secs=60, at_least=2)
        self.assertEqual(sum(why in text for text in messages), 2)
        self.wait_running("follows", 1, timeout_secs=60)
        eventually(lambda: self.told("follows"), lambda told: told == ["tulip-second", "tulip-third"], what="the third value")


class Subnets(UpCase):
    instances_wanted = 2
    zones_wanted = 2

    def delete_if_there(self, call, **parameters):
        with contextlib.suppress(botocore.exceptions.ClientError):
            call(**parameters)

    def test_a_task_runs_in_the_zone_of_its_subnet(self):
        ec2 = self.client_of("ec2")
        zone = f"{self.region}b"
        [default] = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"]
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        self.addCleanup(ec2.delete_vpc, VpcId=vpc)
        made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        self.addCleanup(self.delete_if_there, ec2.delete_subnet, SubnetId=made)
        group = ec2.create_security_group(VpcId=vpc, GroupName="web", Description="web")["GroupId"]
        self.addCleanup(ec2.delete_security_group, GroupId=group)
        definition = self.register(
            "subnets", {"name": "main", "image": BUSYBOX, "command": ["sleep", "600"], "memory": 16, "stopTimeout": 1},
            networkMode="awsvpc",
        )

        def network(subnets, groups):
            return {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups}}

        run = {"cluster": self.cluster, "taskDefinition": definition}
        self.refused(
            "InvalidParameterException", "do not belong to the same VPC", self.ecs.run_task, **run,
            networkConfiguration=network([made, default["SubnetId"]], []),
        )
        self.refused(
            "InvalidParameterException", f"Security group {group} does not appear to belong to the same VPC",
            self.ecs.run_task, **run, networkConfiguration=network([default["SubnetId"]], [group]),
        )
        tasks = self.run_tasks(taskDefinition=definition, count=3, networkConfiguration=network([made], [group]))
        for task in tasks:
            task = self.wait_task(task["taskArn"], "RUNNING")
            self.assertEqual(task["availabilityZone"], zone)
            told = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
            self.assertEqual(told["subnetId"], made)
            of = [{"Name": "private-ip-address", "Values": [told["privateIPv4Address"]]}]
            [shown] = ec2.describe_network_interfaces(Filters=of)["NetworkInterfaces"]
            self.assertEqual(
                (shown["NetworkInterfaceId"], shown["SubnetId"], shown["VpcId"], shown["MacAddress"], shown["AvailabilityZone"]),
                (told["networkInterfaceId"], made, vpc, told["macAddress"], zone),
            )
            self.assertEqual([own["GroupId"] for own in shown["Groups"]], [group])
        of = [{"Name": "subnet-id", "Values": [made]}]
        self.assertEqual(len(ec2.describe_network_interfaces(Filters=of)["NetworkInterfaces"]), 3)
        self.refused("DependencyViolation", made, ec2.delete_subnet, SubnetId=made)
        self.refused("DependencyViolation", group, ec2.delete_security_group, GroupId=group)
        said = self.plane.ask("explain", "task", tasks[0]["taskArn"], "--cluster", self.cluster)
        self.assertIn("isolate nothing", said)
        for task in tasks:
            self.stop_task_quietly(task["taskArn"])
        ec2.delete_subnet(SubnetId=made)
