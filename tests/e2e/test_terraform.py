"""Terraform makes what people make with it for ECS: identities, and a service on Fargate with all that it needs.

Its provider is configured with nothing but the endpoint. Networks alone are in `test_ec2`, secrets with keys of
their own in `test_secrets`. Apply, empty plan, change, import, empty plan, destroy (identity J, 4 and 6).
"""

import json
import urllib.request

import botocore.exceptions

from harness import docker
from harness.cases import WEB_1, WEB_2, EngineCase, ServerCase
from harness.terraform import Terraform, require_terraform
from harness.tools import only_at_night
from harness.wait import eventually
from test_fargate import address

ACCOUNT = "000000000000"
ISSUER = "token.actions.githubusercontent.com"

IDENTITIES = """
variable "team" {
  default = "red"
}

data "aws_caller_identity" "me" {}
data "aws_partition" "here" {}
data "aws_region" "here" {}

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.me.account_id]
    }
  }
}

data "aws_iam_policy" "execution" {
  name = "AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_policy" "limit" {
  name   = "limit"
  policy = jsonencode({ Version = "2012-10-17", Statement = { Effect = "Allow", Action = "*", Resource = "*" } })
}

resource "aws_iam_role" "task" {
  name                 = "task"
  path                 = "/shop/"
  description          = "of team ${var.team}"
  assume_role_policy   = data.aws_iam_policy_document.tasks.json
  max_session_duration = var.team == "red" ? 3600 : 7200
  permissions_boundary = aws_iam_policy.limit.arn
  tags                 = { Team = var.team }
}

resource "aws_iam_role_policy" "task" {
  name   = "own"
  role   = aws_iam_role.task.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["ecs:List*"], Resource = "*", Sid = var.team }]
  })
}

resource "aws_iam_policy" "read" {
  name        = "read"
  path        = "/shop/"
  description = "reads one secret"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["secretsmanager:GetSecretValue"]
      Resource  = "arn:${data.aws_partition.here.partition}:secretsmanager:*:*:secret:${var.team}/*"
      Condition = { StringEquals = { "aws:RequestedRegion" = [data.aws_region.here.name] } }
    }]
  })
  tags = { Team = var.team }
}

resource "aws_iam_role_policy_attachment" "read" {
  role       = aws_iam_role.task.name
  policy_arn = aws_iam_policy.read.arn
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.task.name
  policy_arn = data.aws_iam_policy.execution.arn
}

resource "aws_iam_role" "machine" {
  name = "machine"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_instance_profile" "machine" {
  name = "machine"
  path = "/shop/"
  role = aws_iam_role.machine.name
  tags = { Team = var.team }
}

resource "aws_iam_openid_connect_provider" "ci" {
  url             = "https://token.actions.githubusercontent.com"
  client_id_list  = var.team == "red" ? ["sts.amazonaws.com"] : ["sts.amazonaws.com", "blue"]
  thumbprint_list = ["6938fd4d98bab03faadb97b34396831e3780aea1"]
}

resource "aws_iam_role" "ci" {
  name = "ci"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = aws_iam_openid_connect_provider.ci.arn }
      Condition = { StringLike = { "token.actions.githubusercontent.com:sub" = "repo:acme/${var.team}:*" } }
    }]
  })
}

resource "aws_iam_user" "ada" {
  name = "ada"
  tags = { Team = var.team }
}

resource "aws_iam_access_key" "ada" {
  user = aws_iam_user.ada.name
}

resource "aws_iam_user_policy" "ada" {
  name   = "own"
  user   = aws_iam_user.ada.name
  policy = jsonencode({ Version = "2012-10-17", Statement = { Effect = "Allow", Action = "ecs:*", Resource = "*" } })
}

resource "aws_iam_group" "people" {
  name = "people"
}

resource "aws_iam_group_policy_attachment" "people" {
  group      = aws_iam_group.people.name
  policy_arn = aws_iam_policy.read.arn
}

resource "aws_iam_user_group_membership" "ada" {
  user   = aws_iam_user.ada.name
  groups = [aws_iam_group.people.name]
}

# A role that trusts another one of the same run, by its ARN.
resource "aws_iam_role" "other" {
  name = "other"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { AWS = [aws_iam_role.task.arn] } }]
  })
}

data "aws_iam_role" "read" {
  name       = "task"
  depends_on = [aws_iam_role.task]
}

output "role" {
  value = data.aws_iam_role.read.arn
}
"""

# What each is imported by; an empty text stands for the id that the provider itself gives it.
IDENTITY_IDS = {
    "aws_iam_policy.limit": "",
    "aws_iam_policy.read": "",
    "aws_iam_role.task": "",
    "aws_iam_role_policy.task": "",
    "aws_iam_role_policy_attachment.read": f"task/arn:aws:iam::{ACCOUNT}:policy/shop/read",
    "aws_iam_role_policy_attachment.execution":
        "task/arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
    "aws_iam_role.machine": "",
    "aws_iam_instance_profile.machine": "",
    "aws_iam_openid_connect_provider.ci": "",
    "aws_iam_user.ada": "",
    "aws_iam_user_policy.ada": "",
    "aws_iam_group.people": "",
    "aws_iam_user_group_membership.ada": "ada/people",
    "aws_iam_role.other": "",
}

SERVICE = """
variable "image" {}
variable "cluster" {}
variable "copies" {}

data "aws_caller_identity" "me" {}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_availability_zones" "here" {
  state = "available"
}

# A network of its own beside the default one, as modules make it.
resource "aws_vpc" "main" {
  cidr_block = "10.40.0.0/16"
}

resource "aws_subnet" "main" {
  vpc_id            = aws_vpc.main.id
  cidr_block        = "10.40.1.0/24"
  availability_zone = data.aws_availability_zones.here.names[0]
}

resource "aws_security_group" "web" {
  name   = "web"
  vpc_id = data.aws_vpc.default.id
  ingress {
    from_port   = 8080
    to_port     = 8080
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_ecs_cluster" "main" {
  name = var.cluster
  setting {
    name  = "containerInsights"
    value = var.copies == "1" ? "disabled" : "enabled"
  }
  tags = { Copies = var.copies }
}

resource "aws_ecs_cluster_capacity_providers" "main" {
  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
}

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "web-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "secrets" {
  name = "secrets"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = aws_secretsmanager_secret.db.arn },
      { Effect = "Allow", Action = "ssm:GetParameters", Resource = aws_ssm_parameter.token.arn },
    ]
  })
}

resource "aws_iam_role" "task" {
  name               = "web-task"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_secretsmanager_secret" "db" {
  name                    = "web/db"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "db" {
  secret_id     = aws_secretsmanager_secret.db.id
  secret_string = jsonencode({ user = "ada" })
}

resource "aws_ssm_parameter" "token" {
  name  = "/web/token"
  type  = "SecureString"
  value = "t1"
}

resource "aws_ecs_task_definition" "web" {
  family                   = "web"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }
  container_definitions = jsonencode([{
    name         = "web"
    image        = var.image
    essential    = true
    portMappings = [{ containerPort = 8080 }]
    environment  = [{ name = "COLOUR", value = "red" }, { name = "ACCOUNT", value = data.aws_caller_identity.me.account_id }]
    secrets = [
      { name = "DB_USER", valueFrom = "${aws_secretsmanager_secret.db.arn}:user::" },
      { name = "TOKEN", valueFrom = aws_ssm_parameter.token.name },
    ]
    linuxParameters = { initProcessEnabled = true }
    ulimits         = [{ name = "nofile", softLimit = 2048, hardLimit = 4096 }]
  }])
  tags = { Copies = var.copies }
}

resource "aws_ecs_service" "web" {
  name                   = "web"
  cluster                = aws_ecs_cluster.main.id
  task_definition        = aws_ecs_task_definition.web.arn
  desired_count          = var.copies
  launch_type            = "FARGATE"
  wait_for_steady_state  = true
  enable_execute_command = false
  propagate_tags         = "SERVICE"
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = data.aws_subnets.default.ids
    security_groups  = [aws_security_group.web.id]
    assign_public_ip = true
  }
  tags       = { Copies = var.copies }
  depends_on = [aws_iam_role_policy.secrets, aws_secretsmanager_secret_version.db]
}

data "aws_ecs_service" "read" {
  cluster_arn  = aws_ecs_cluster.main.arn
  service_name = aws_ecs_service.web.name
}

output "desired" {
  value = data.aws_ecs_service.read.desired_count
}

output "version" {
  value = "${aws_secretsmanager_secret.db.arn}|${aws_secretsmanager_secret_version.db.version_id}"
}
"""


def setUpModule():
    only_at_night()


class Identities(ServerCase):
    def test_identities(self):
        terraform = Terraform(self.directory / "terraform", self.plane, IDENTITIES)
        iam = self.client_of("iam")
        terraform.apply()
        terraform.must_plan_nothing()
        first = iam.get_role(RoleName="task")["Role"]
        self.assertEqual(terraform.outputs()["role"], f"arn:aws:iam::{ACCOUNT}:role/shop/task")
        terraform.apply(team="blue")
        role = iam.get_role(RoleName="task")["Role"]
        # Changed, and not made anew.
        self.assertEqual(role["RoleId"], first["RoleId"])
        self.assertEqual((role["Description"], role["MaxSessionDuration"]), ("of team blue", 7200))
        read = iam.get_policy(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/shop/read")["Policy"]
        self.assertEqual((read["DefaultVersionId"], read["AttachmentCount"]), ("v2", 2))
        provider = iam.get_open_id_connect_provider(
            OpenIDConnectProviderArn=f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"
        )
        self.assertEqual(sorted(provider["ClientIDList"]), ["blue", "sts.amazonaws.com"])
        self.assertEqual(terraform.import_again(IDENTITY_IDS, team="blue"), {"add": 0, "change": 0, "remove": 0})
        terraform.must_plan_nothing(team="blue")
        terraform.destroy(team="blue")
        for call, names in (
            (iam.list_roles, lambda answer: [role["RoleName"] for role in answer["Roles"]]),
            (iam.list_users, lambda answer: [user["UserName"] for user in answer["Users"]]),
            (iam.list_groups, lambda answer: [group["GroupName"] for group in answer["Groups"]]),
            (iam.list_instance_profiles, lambda answer: answer["InstanceProfiles"]),
            (iam.list_open_id_connect_providers, lambda answer: answer["OpenIDConnectProviderList"]),
        ):
            left = [name for name in names(call()) if name != "AWSServiceRoleForECS"]
            self.assertEqual(left, [])
        self.assertEqual(iam.list_policies(Scope="Local")["Policies"], [])


class Service(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_terraform()
        # Terraform makes the cluster; what `up` has of its own goes to another.
        cls.start_plane("up", "--cluster", "of-up", "--instances", "1")

    def test_a_service_on_fargate(self):
        terraform = Terraform(self.directory / "terraform", self.plane, SERVICE)
        self.addCleanup(self.remove_all)
        one = {"image": WEB_1, "copies": "1", "cluster": self.cluster}
        terraform.apply(**one)
        terraform.must_plan_nothing(**one)
        self.assertEqual(self.answers(), ["1"])
        two = {"image": WEB_2, "copies": "2", "cluster": self.cluster}
        terraform.apply(**two)
        self.assertEqual(self.answers(), ["2", "2"])
        outputs = terraform.outputs()
        self.assertEqual(outputs["desired"], 2)
        before = self.service("web")
        changes = terraform.import_again(self.ids(outputs["version"]), **two)
        # What only the provider knows (how long a deleted secret stays, whether to wait) is not to be read anywhere, and changes.
        self.assertEqual((changes["add"], changes["remove"]), (0, 0))
        terraform.must_plan_nothing(**two)
        after = self.service("web")
        self.assertEqual(after["taskDefinition"], before["taskDefinition"])
        self.assertEqual(after["deployments"][0]["id"], before["deployments"][0]["id"])
        terraform.destroy(**two)
        self.wait_engine(lambda: docker.running_of_cluster(self.cluster), "the tasks")
        [cluster] = self.ecs.describe_clusters(clusters=[self.cluster])["clusters"]
        self.assertEqual(cluster["status"], "INACTIVE")
        self.refused("NoSuchEntity", "web-task", self.client_of("iam").get_role, RoleName="web-task")
        self.assertEqual(len(self.client_of("ec2").describe_vpcs()["Vpcs"]), 1)

    def ids(self, version):
        name = self.cluster
        definition = self.service("web")["taskDefinition"]
        return {
            "aws_vpc.main": "", "aws_subnet.main": "", "aws_security_group.web": "",
            "aws_ecs_cluster.main": name, "aws_ecs_cluster_capacity_providers.main": name,
            "aws_iam_role.execution": "", "aws_iam_role.task": "", "aws_iam_role_policy.secrets": "",
            "aws_secretsmanager_secret.db": "", "aws_secretsmanager_secret_version.db": version,
            "aws_ssm_parameter.token": "", "aws_ecs_task_definition.web": definition, "aws_ecs_service.web": f"{name}/web",
        }

    def answers(self):
        """What the running tasks of the service answer, each at its own address."""
        def ask(task):
            with urllib.request.urlopen(f"http://{address(task)}:8080/", timeout=5) as answer:
                return answer.read().decode().split()[1]

        return [ask(task) for task in self.service_tasks("web")]

    def remove_all(self):
        """After a failure: nothing is left running."""
        try:
            self.ecs.delete_service(cluster=self.cluster, service="web", force=True)
            eventually(lambda: self.tasks(), lambda tasks: not tasks, 60, "the end of the tasks")
        except botocore.exceptions.ClientError:
            pass
