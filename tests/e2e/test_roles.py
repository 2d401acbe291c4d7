"""Tasks use their role with an SDK that nobody has configured, in every network mode, and get nobody else's (identity J8).

The containers have the Python and the boto3 of this machine, mounted into an image that has nothing.
"""

import json
import os
import pathlib
import shutil
import tempfile
import textwrap
import unittest

import boto3
import botocore.exceptions

from harness import docker
from harness.cases import BUSYBOX, UpCase
from harness.inside import mounted, python
from harness.terraform import PROGRAM as TERRAFORM, PROVIDERS, require_terraform
from harness.tools import JS_SDK
from harness.wait import eventually
from test_awsvpc import NETWORK

ACCOUNT = "000000000000"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"},
    },
}
LOOK = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}}

# What a container does: it tells who it is and what it may do, and then tries the URLs that it finds in /out/urls.
PROGRAM = textwrap.dedent("""
    import json, os, time, urllib.error, urllib.request
    def get(path):
        try:
            with urllib.request.urlopen("http://169.254.170.2" + path, timeout=5) as answer:
                return [answer.status, answer.read().decode()]
        except urllib.error.HTTPError as error:
            return [error.code, error.read().decode()]
        except Exception as error:
            return [0, repr(error)]
    told = {"path": os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")}
    try:
        import boto3, botocore.exceptions
        told["who"] = boto3.client("sts").get_caller_identity()["Arn"]
        ecs = boto3.client("ecs")
        told["clusters"] = ecs.list_clusters()["clusterArns"]
        try:
            ecs.create_cluster(clusterName="mine")
            told["created"] = "it was"
        except botocore.exceptions.ClientError as error:
            told["created"] = error.response["Error"]["Code"]
    except Exception as error:
        told["error"] = repr(error)
    out = "/out/" + os.environ["NAME"]
    json.dump(told, open(out + ".new", "w"))
    os.rename(out + ".new", out)
    while not os.path.exists("/out/urls"):
        time.sleep(0.1)
    urls = json.load(open("/out/urls"))
    json.dump({name: get(path) for name, path in urls.items()}, open(out + ".new", "w"))
    os.rename(out + ".new", out + ".urls")
    time.sleep(600)
""")


# The same with the SDK for JavaScript, as far as it is about the role.
JAVASCRIPT = textwrap.dedent("""
    const { STSClient, GetCallerIdentityCommand } = require("/js/node_modules/@aws-sdk/client-sts");
    const { ECSClient, CreateClusterCommand, ListClustersCommand } = require("/js/node_modules/@aws-sdk/client-ecs");
    const fs = require("fs");
    async function main() {
        const told = {};
        try {
            told.who = (await new STSClient().send(new GetCallerIdentityCommand({}))).Arn;
            const ecs = new ECSClient();
            told.clusters = (await ecs.send(new ListClustersCommand({}))).clusterArns;
            try {
                await ecs.send(new CreateClusterCommand({ clusterName: "mine" }));
                told.created = "it was";
            } catch (error) { told.created = error.name; }
        } catch (error) { told.error = String(error); }
        fs.writeFileSync("/out/js.new", JSON.stringify(told));
        fs.renameSync("/out/js.new", "/out/" + process.env.NAME);
    }
    main();
""")


# And with the one for Go, which Terraform's provider is made with.
GO = """
provider "aws" {}

data "aws_caller_identity" "me" {}

resource "aws_ecs_cluster" "mine" {
  name       = "mine"
  depends_on = [data.aws_caller_identity.me]
}
"""


class RoleTasks:
    """Tasks that tell in a directory, `self.out`, who they are. Beside a case with a cluster."""

    def setUp(self):
        super().setUp()
        self.iam = self.client_of("iam")
        self.out = pathlib.Path(tempfile.mkdtemp(prefix="longshore-roles-"))
        self.addCleanup(shutil.rmtree, self.out, ignore_errors=True)

    def make_role(self, name, policy=LOOK):
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        self.addCleanup(self.remove_role, name)
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def remove_role(self, name):
        try:
            self.iam.delete_role_policy(RoleName=name, PolicyName="own")
            self.iam.delete_role(RoleName=name)
        except botocore.exceptions.ClientError:
            pass

    def start(self, name, mode, role):
        packages = pathlib.Path(boto3.__file__).parent.parent
        volumes, container = python(self.out, PROGRAM, {"NAME": name}, packages)
        container["memory"] = 128
        definition = self.register(name, container, networkMode=mode, volumes=volumes, taskRoleArn=role)
        network = {"networkConfiguration": NETWORK} if mode == "awsvpc" else {}
        [task] = self.run_tasks(taskDefinition=definition, **network)
        self.addCleanup(self.stop_task_quietly, task["taskArn"])
        return task["taskArn"]

    def text_of(self, name):
        path = self.out / name
        return eventually(lambda: path.exists() and path.read_text(), timeout_secs=60, what=f"what {name} tells")

    def told(self, name, suffix=""):
        return json.loads(self.text_of(name + suffix))


class Roles(RoleTasks, UpCase):
    instances_wanted = 1
    zones_wanted = 1

    def test_every_network_mode_has_its_own_role_and_no_other(self):
        modes = ("bridge", "host", "awsvpc")
        tasks = {mode: self.start(mode, mode, self.make_role(f"of-{mode}")) for mode in modes}
        urls = {}
        for mode, arn in tasks.items():
            told = self.told(mode)
            session = f"arn:aws:sts::{ACCOUNT}:assumed-role/of-{mode}/{arn.rsplit('/', 1)[1]}"
            self.assertEqual(told.get("who"), session, told)
            self.assertTrue(any(found.endswith(f"/{self.cluster}") for found in told["clusters"]), told)
            self.assertEqual(told["created"], "AccessDeniedException", told)
            urls[mode] = told["path"]
        self.assertEqual(len(set(urls.values())), len(modes))
        (self.out / "urls.new").write_text(json.dumps({**urls, "none": "/v2/credentials/none"}))
        (self.out / "urls.new").rename(self.out / "urls")
        for mode in modes:
            answers = self.told(mode, ".urls")
            self.assertEqual(answers[mode][0], 200, (mode, answers[mode][0]))
            self.assertEqual(answers["none"][0], 400)
            for other in modes:
                if other != mode:
                    self.assertEqual(answers[other], answers["none"], f"{mode} asks for the role of {other}")

    def on_fargate(self, name, command, role, **environment):
        container = {
            "image": BUSYBOX, "command": ["sh", "-c", command], "stopTimeout": 2,
            "environment": [{"name": key, "value": value} for key, value in environment.items()],
        }
        definition = self.register(
            name, container, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            taskRoleArn=role,
        )
        [task] = self.run_tasks(taskDefinition=definition, launchType="FARGATE", networkConfiguration=NETWORK)
        return task["taskArn"]

    def test_a_task_on_fargate_that_knows_the_url_of_another_gets_nothing(self):
        owner = self.on_fargate("owner", "sleep 600", self.make_role("of-owner"))
        self.wait_task(owner, "RUNNING", timeout_secs=60)
        bridge = self.start("beside", "bridge", self.make_role("of-beside"))
        urls = {"beside": self.told("beside")["path"]}
        given = docker.environment_of(docker.container_of_task(owner, "web"))
        urls["owner"] = given["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        at = "http://169.254.170.2"
        # Its own it gets; what is another's looks as if nobody had it. Each of the three has an exit status.
        script = (
            f'wget -q -O - {at}$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI | grep -q SecretAccessKey || exit 3; '
            f'for url in $OTHERS /v2/credentials/none; do '
            f'wget -S -O /dev/null {at}$url 2>&1 | grep -q "HTTP/1.1 400" || exit 4; done; exit 7'
        )
        others = " ".join(urls.values())
        intruder = self.on_fargate("intruder", script, self.make_role("of-intruder"), OTHERS=others)
        ended = self.wait_task(intruder, "STOPPED", timeout_secs=60)
        self.assertEqual(ended["containers"][0].get("exitCode"), 7, ended)
        # And a task that is not on Fargate, on the same machine.
        (self.out / "urls.new").write_text(json.dumps({**urls, "none": "/v2/credentials/none"}))
        (self.out / "urls.new").rename(self.out / "urls")
        answers = self.told("beside", ".urls")
        self.assertEqual(answers["beside"][0], 200)
        self.assertEqual(answers["owner"], answers["none"])
        self.assertEqual(self.task(bridge)["lastStatus"], "RUNNING")

    @unittest.skipUnless(
        shutil.which("node") and (JS_SDK / "node_modules/@aws-sdk/client-ecs").is_dir(),
        "there is no Node.js, or scripts/prerequisites --tests has not brought its SDK",
    )
    def test_the_sdk_for_javascript_finds_its_role_too(self):
        node = pathlib.Path(os.path.realpath(shutil.which("node")))
        role = self.make_role("of-js")
        paths = {"/usr": "/usr", "/lib": "/lib", "/lib64": "/lib64", str(self.out): "/out", str(JS_SDK.resolve()): "/js"}
        if not str(node).startswith("/usr/"):
            paths[str(node.parent.parent)] = str(node.parent.parent)
        volumes, points = mounted(paths)
        container = {
            "image": BUSYBOX, "entryPoint": [str(node), "-e"], "command": [JAVASCRIPT], "memory": 256, "stopTimeout": 2,
            "mountPoints": points, "environment": [{"name": "NAME", "value": "js"}],
        }
        definition = self.register("js", container, volumes=volumes, taskRoleArn=role)
        [task] = self.run_tasks(taskDefinition=definition)
        self.addCleanup(self.stop_task_quietly, task["taskArn"])
        told = self.told("js")
        task_id = task["taskArn"].rsplit("/", 1)[1]
        self.assertEqual(told.get("who"), f"arn:aws:sts::{ACCOUNT}:assumed-role/of-js/{task_id}", told)
        self.assertTrue(told["clusters"], told)
        self.assertEqual(told["created"], "AccessDeniedException", told)

    def test_the_sdk_for_go_finds_its_role_too(self):
        """As part of Terraform's provider, which looks for credentials as the SDK does by default."""
        require_terraform()
        role = self.make_role("of-go")
        (self.out / "main.tf").write_text(GO)
        volumes, points = mounted({
            pathlib.Path(TERRAFORM).parent: "/terraform", PROVIDERS: "/providers", self.out: "/out",
        })
        script = (
            "cd /out && /terraform/terraform init -plugin-dir=/providers -no-color -input=false "
            "&& /terraform/terraform apply -auto-approve -no-color -input=false; mv log told"
        )
        container = {
            "image": BUSYBOX, "command": ["sh", "-c", f"({script}) > /out/log 2>&1; true"], "memory": 1024,
            "mountPoints": points, "environment": [{"name": "HOME", "value": "/out"}], "stopTimeout": 2,
        }
        definition = self.register("go", container, volumes=volumes, taskRoleArn=role)
        [task] = self.run_tasks(taskDefinition=definition)
        told = self.text_of("told")
        task_id = task["taskArn"].rsplit("/", 1)[1]
        session = f"arn:aws:sts::{ACCOUNT}:assumed-role/of-go/{task_id}"
        # Terraform breaks lines where it likes.
        self.assertIn(f"User: {session} is not authorized to perform: ecs:CreateCluster", " ".join(told.replace("│", "").split()))

    def test_the_keys_end_with_their_task_and_their_role(self):
        role = self.make_role("short")
        arn = self.start("ends", "bridge", role)
        path = self.told("ends")["path"]
        (self.out / "urls").write_text(json.dumps({"own": path}))
        status, body = self.told("ends", ".urls")["own"]
        self.assertEqual(status, 200)
        keys = json.loads(body)
        ecs = self.client_of("ecs", {**keys, "SessionToken": keys["Token"]})
        self.assertTrue(ecs.list_clusters()["clusterArns"])
        self.ecs.stop_task(cluster=self.cluster, task=arn)
        self.wait_task(arn, "STOPPED", timeout_secs=60)
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            ecs.list_clusters()
        self.assertEqual(caught.exception.response["Error"]["Code"], "UnrecognizedClientException")
        log = self.plane.log_path.read_text(errors="replace")
        self.assertNotIn(keys["SecretAccessKey"], log)
        self.assertNotIn(keys["Token"], log)

    def run_with_secrets(self, name, secrets, role, **others):
        """A task that writes what it was given to /out; its stopped form."""
        container = {
            "image": BUSYBOX, "memory": 32,
            "command": ["sh", "-c", 'env | grep "^SECRET_" | sort > /out/given; true'],
            "mountPoints": [{"sourceVolume": "out", "containerPath": "/out"}],
            "secrets": [{"name": key, "valueFrom": value} for key, value in secrets.items()],
        }
        definition = self.register(
            name, container, volumes=[{"name": "out", "host": {"sourcePath": str(self.out)}}],
            executionRoleArn=role, **others,
        )
        [task] = self.run_tasks(taskDefinition=definition)
        self.addCleanup(self.stop_task_quietly, task["taskArn"])
        return self.wait_task(task["taskArn"], "STOPPED", timeout_secs=60)

    def test_secrets_reach_containers_by_every_selector(self):
        manager, ssm = self.client_of("secretsmanager"), self.client_of("ssm")
        secret = manager.create_secret(Name="db", SecretString='{"user": "ada", "port": 5432}')
        self.addCleanup(manager.delete_secret, SecretId="db", ForceDeleteWithoutRecovery=True)
        changed = manager.put_secret_value(SecretId="db", SecretString='{"user": "bob"}')
        ssm.put_parameter(Name="/shop/token", Value="t1", Type="SecureString")
        self.addCleanup(ssm.delete_parameter, Name="/shop/token")
        read = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret["ARN"]},
            {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*"},
        ]}
        role = self.make_role("reads", read)
        arn = secret["ARN"]
        parameter = f"arn:aws:ssm:{self.region}:{ACCOUNT}:parameter/shop/token"
        ended = self.run_with_secrets("given", {
            "SECRET_WHOLE": arn, "SECRET_USER": f"{arn}:user::", "SECRET_OLD": f"{arn}:port:AWSPREVIOUS:",
            "SECRET_VERSION": f"{arn}:user::{secret['VersionId']}", "SECRET_NAME": "/shop/token",
            "SECRET_ARN": parameter,
        }, role)
        self.assertEqual(ended["containers"][0].get("exitCode"), 0, ended)
        self.assertEqual((self.out / "given").read_text().splitlines(), [
            "SECRET_ARN=t1", "SECRET_NAME=t1", "SECRET_OLD=5432", "SECRET_USER=bob", "SECRET_VERSION=ada",
            'SECRET_WHOLE={"user": "bob"}',
        ])
        self.assertNotEqual(changed["VersionId"], secret["VersionId"])
        for name, secrets, part in (
            ("no-key", {"SECRET_X": f"{arn}:none::"},
             "retrieved secret from Secrets Manager did not contain json key none"),
            ("no-parameter", {"SECRET_X": "/shop/none"},
             f"Fetching secret data from SSM Parameter Store in {self.region}: invalid parameters: /shop/none"),
        ):
            ended = self.run_with_secrets(name, secrets, role)
            self.assertIn(part, ended["stoppedReason"])
        poor = self.make_role("reads-nothing")
        ended = self.run_with_secrets("forbidden", {"SECRET_X": arn}, poor)
        self.assertIn("AccessDeniedException", ended["stoppedReason"])
        self.assertIn("secretsmanager:GetSecretValue", ended["stoppedReason"])

    def test_a_role_that_nobody_has_made_is_a_guest_and_explained(self):
        arn = self.start("guest", "bridge", f"arn:aws:iam::{ACCOUNT}:role/nobody")
        told = self.told("guest")
        self.assertEqual(told["who"], f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody/{arn.rsplit('/', 1)[1]}", told)
        self.assertTrue(told["clusters"], told)

    def test_a_role_that_does_not_trust_tasks_starts_nothing(self):
        role = self.make_role("untrusting")
        other = json.dumps(TRUST).replace("ecs-tasks", "ec2")
        self.iam.update_assume_role_policy(RoleName="untrusting", PolicyDocument=other)
        definition = self.register("untrusting", {"image": BUSYBOX}, taskRoleArn=role)
        error = self.assert_refused(
            "ClientException", None, self.ecs.run_task, cluster=self.cluster, taskDefinition=definition
        )
        self.assertIn(f"ECS was unable to assume the role '{role}'", error["Error"]["Message"])
