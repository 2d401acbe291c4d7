"""Airflow, Dagster and Prefect run their work as tasks of ECS, with their own code; ecs-deploy deploys and scales.

`scripts/prerequisites --clients` brings them; `orchestrators/` has what each is told. They ask EC2 as much as ECS: for
the default network, for the interface of a task. Dagster runs in a task itself, as its launcher wants to.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from harness.cases import BUSYBOX, WEB_2, UpCase
from harness.inside import python
from harness.tools import TOOLS, only_at_night, require_tool
from harness.wait import STRETCH, eventually

ACCOUNT = "000000000000"
SCRIPTS = pathlib.Path(__file__).parent / "orchestrators"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": {
    "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"},
}})
# What Dagster's pages ask for the role of its daemon.
LAUNCHER = json.dumps({"Version": "2012-10-17", "Statement": [
    {
        "Effect": "Allow", "Resource": "*", "Action": [
            "ec2:DescribeNetworkInterfaces", "ecs:DescribeTaskDefinition", "ecs:DescribeTasks", "ecs:ListAccountSettings",
            "ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:StopTask", "ecs:TagResource", "secretsmanager:DescribeSecret",
            "secretsmanager:GetSecretValue", "secretsmanager:ListSecrets",
        ],
    },
    {
        "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
        "Condition": {"StringLike": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    },
]})
INSTANCE = """
run_launcher:
  module: dagster_aws.ecs
  class: EcsRunLauncher
  config:
    container_name: run
    run_resources: {cpu: "256", memory: "512"}
telemetry:
  enabled: false
"""


def setUpModule():
    only_at_night()


class Orchestrators(UpCase):
    instances_wanted = 1
    zones_wanted = 1

    def run_program(self, tool, program, *arguments, **variables):
        """What a program of Python's prints that uses the tool's packages."""
        packages = TOOLS / tool
        require_tool(packages / "boto3", tool)
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.directory), "PYTHONPATH": str(packages), **self.plane.env, **variables,
        }
        done = subprocess.run(
            [sys.executable, program, *arguments], env=environment, capture_output=True, text=True,
            timeout=180 * STRETCH, check=False, cwd=self.directory,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def run_script(self, tool, script, *arguments, **variables):
        """What the script tells in its last line."""
        printed = self.run_program(tool, SCRIPTS / script, *arguments, **variables)
        return json.loads(printed.strip().splitlines()[-1])

    def test_ecs_deploy(self):
        program = TOOLS / "ecs-deploy" / "bin" / "ecs"
        self.create_service("deployed", self.register("deployed", {"memory": 32}), 1)
        self.wait_running("deployed", 1)
        changes = ("--image", "web", WEB_2, "--env", "web", "COLOUR", "blue", "--timeout", "90", "--no-deregister")
        printed = self.run_program("ecs-deploy", program, "deploy", self.cluster, "deployed", *changes)
        self.assertIn("Deployment successful", printed)
        definition = self.ecs.describe_task_definition(taskDefinition="deployed:2")["taskDefinition"]
        [container] = definition["containerDefinitions"]
        self.assertEqual(container["image"], WEB_2)
        self.assertEqual(container["environment"], [{"name": "COLOUR", "value": "blue"}])
        # It says "" where there is no role.
        self.assertNotIn("taskRoleArn", definition)
        printed = self.run_program("ecs-deploy", program, "scale", self.cluster, "deployed", "2", "--timeout", "90")
        self.assertIn("Scaling successful", printed)
        self.wait_running("deployed", 2)

    def test_airflow(self):
        cluster = f"{self.cluster}-airflow"
        home = {"AIRFLOW_HOME": str(self.directory / "airflow"), "AIRFLOW__CORE__UNIT_TEST_MODE": "True"}
        found = self.run_script("airflow", "airflow_tasks.py", cluster, BUSYBOX, **home)
        self.assertRegex(found["failed"], r"(?s)This task is not in success state.*'exitCode': 3")
        self.assertTrue(found["found again"])
        self.assertEqual((found["cluster"], found["deleted"]), ("ACTIVE", "INACTIVE"))
        self.assertEqual(found["deregistered"], found["definition"])
        self.assertRegex(found["succeeded"], rf"\Aarn:aws:ecs:{self.region}:{ACCOUNT}:task/{cluster}/[0-9a-f]{{32}}\Z")

    def test_prefect(self):
        iam = self.client_of("iam")
        role = iam.create_role(RoleName="prefect", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        home = {"PREFECT_HOME": str(self.directory / "prefect"), "PREFECT_API_URL": "http://127.0.0.1:9/api"}
        first, second = [
            identifier.split("::")[1]
            for identifier in self.run_script("prefect", "prefect_flows.py", self.cluster, BUSYBOX, role, **home)["tasks"]
        ]
        one, two = self.wait_task(first, "STOPPED", 60), self.wait_task(second, "STOPPED", 60)
        self.assertEqual([container["exitCode"] for container in one["containers"]], [0])
        self.assertEqual(two["stoppedReason"], "Stopped by Prefect worker")
        # What was registered is read back as what would be registered again, so that it is not.
        self.assertEqual(one["taskDefinitionArn"], two["taskDefinitionArn"])
        [details] = [{one["name"]: one["value"] for one in found["details"]} for found in one["attachments"]]
        subnets = [subnet["SubnetId"] for subnet in self.client_of("ec2").describe_subnets()["Subnets"]]
        self.assertIn(details["subnetId"], subnets)

    def test_dagster(self):
        packages = TOOLS / "dagster"
        require_tool(packages / "boto3", "dagster")
        iam, ec2 = self.client_of("iam"), self.client_of("ec2")
        role = iam.create_role(RoleName="dagster", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.put_role_policy(RoleName="dagster", PolicyName="own", PolicyDocument=LAUNCHER)
        self.client_of("secretsmanager").create_secret(
            Name="dagster-password", SecretString="x", Tags=[{"Key": "dagster", "Value": "true"}]
        )
        out = pathlib.Path(tempfile.mkdtemp(prefix="longshore-dagster-"))
        self.addCleanup(shutil.rmtree, out, ignore_errors=True)
        (out / "dagster.yaml").write_text(INSTANCE)
        program = (SCRIPTS / "dagster_runs.py").read_text()
        volumes, container = python(out, program, {"DAGSTER_HOME": "/out", "IMAGE": BUSYBOX}, packages)
        container |= {"name": "daemon", "memory": 512}
        definition = self.register(
            "dagster", container, networkMode="awsvpc", volumes=volumes, taskRoleArn=role, executionRoleArn=role
        )
        subnet = ec2.describe_subnets()["Subnets"][0]
        group = ec2.create_security_group(GroupName="dagster", Description="of Dagster", VpcId=subnet["VpcId"])["GroupId"]
        network = {"subnets": [subnet["SubnetId"]], "securityGroups": [group]}
        [daemon] = self.run_tasks(taskDefinition=definition, networkConfiguration={"awsvpcConfiguration": network})
        self.addCleanup(self.stop_task_quietly, daemon["taskArn"])
        told = out / "dagster"
        started = time.monotonic()
        found = json.loads(eventually(
            lambda: told.exists() and told.read_text(), timeout_secs=120, what="what Dagster tells",
        ))
        self.assertEqual(found.get("good"), {"status": "SUCCESS", "text": None}, (found, time.monotonic() - started))
        self.assertEqual(found["bad"]["status"], "FAILED")
        self.assertIn("Container 'run' failed - exit code 4.", found["bad"]["text"])
        self.assertEqual((found["long"]["status"], found["terminated"]), ("RUNNING", True))
        self.wait_task(found["tasks"]["long"], "STOPPED", 60)
        good = self.task(found["tasks"]["good"])
        # Of one definition, in the network of the task that launched them, with the secret that is tagged for it.
        self.assertEqual(good["taskDefinitionArn"].rsplit(":", 1)[1], "1")
        self.assertEqual(good["taskDefinitionArn"], self.task(found["tasks"]["long"])["taskDefinitionArn"])
        [interface] = self.interfaces(good) or [None]
        definition = self.ecs.describe_task_definition(taskDefinition=good["taskDefinitionArn"])["taskDefinition"]
        [secret] = definition["containerDefinitions"][0]["secrets"]
        self.assertEqual(secret["name"], "dagster-password")
        self.assertEqual(interface, subnet["SubnetId"])

    def interfaces(self, task):
        """The subnets of a task's interfaces."""
        return [
            detail["value"] for found in task["attachments"] for detail in found["details"] if detail["name"] == "subnetId"
        ]
