"""EC2 as boto3, the command line and Terraform speak it: networks that are checked and kept, and interfaces of tasks."""

import json

import boto3
import botocore.exceptions

from harness.cases import ServerCase, UpCase
from harness.terraform import Terraform
from harness.wait import eventually

NETWORK = """
variable "port" {
  default = 80
}

variable "team" {
  default = "red"
}

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

data "aws_security_group" "default" {
  vpc_id = data.aws_vpc.default.id
  name   = "default"
}

resource "aws_vpc" "main" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "main", Team = var.team }
}

resource "aws_subnet" "main" {
  count                   = 2
  vpc_id                  = aws_vpc.main.id
  cidr_block              = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone       = data.aws_availability_zones.here.names[count.index]
  map_public_ip_on_launch = true
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
}

resource "aws_route_table" "main" {
  vpc_id = aws_vpc.main.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main.id
  }
}

resource "aws_route" "more" {
  route_table_id         = aws_vpc.main.main_route_table_id
  destination_cidr_block = "192.0.2.0/24"
  gateway_id             = aws_internet_gateway.main.id
}

resource "aws_route_table_association" "main" {
  count          = 2
  subnet_id      = aws_subnet.main[count.index].id
  route_table_id = aws_route_table.main.id
}

resource "aws_security_group" "lb" {
  name        = "lb"
  description = "load balancer"
  vpc_id      = aws_vpc.main.id
  ingress {
    from_port   = var.port
    to_port     = var.port
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0", "10.0.0.0/8"]
    description = "web"
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "tasks" {
  name   = "tasks"
  vpc_id = aws_vpc.main.id
  tags   = { Team = var.team }
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  security_group_id            = aws_security_group.tasks.id
  referenced_security_group_id = aws_security_group.lb.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  tags                         = { Name = "from the balancer" }
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.tasks.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_security_group_rule" "ssh" {
  type              = "ingress"
  security_group_id = aws_security_group.tasks.id
  from_port         = 22
  to_port           = 22
  protocol          = "tcp"
  self              = true
}

resource "aws_key_pair" "ada" {
  key_name   = "ada"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH ada"
}

resource "aws_launch_template" "web" {
  name                   = "web"
  image_id               = "ami-12345678"
  instance_type          = "m5.large"
  key_name               = aws_key_pair.ada.key_name
  vpc_security_group_ids = [aws_security_group.tasks.id]
  user_data              = base64encode("#!/bin/sh\\necho ${var.port}\\n")
  update_default_version = true
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = 30
    }
  }
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "web" }
  }
}

output "default_vpc" {
  value = data.aws_vpc.default.id
}

output "default_subnets" {
  value = data.aws_subnets.default.ids
}

output "vpc" {
  value = aws_vpc.main.id
}
"""


class Ec2(ServerCase):
    def setUp(self):
        super().setUp()
        self.ec2 = client(self.plane.env)

    def refused(self, code, part, call, status=400, **parameters):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**parameters)
        error = caught.exception.response
        self.assertEqual((error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]), (code, status), error)
        self.assertIn(part, error["Error"]["Message"])
        self.assertEqual(error["ResponseMetadata"]["RetryAttempts"], 0)

    def test_every_region_has_a_default_vpc(self):
        [vpc] = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        self.assertEqual((vpc["CidrBlock"], vpc["State"], vpc["OwnerId"]), ("172.31.0.0/16", "available", "000000000000"))
        of = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
        subnets = self.ec2.describe_subnets(Filters=of)["Subnets"]
        zones = {subnet["AvailabilityZone"] for subnet in subnets}
        here = {zone["ZoneName"] for zone in self.ec2.describe_availability_zones()["AvailabilityZones"]}
        self.assertEqual((len(subnets), zones), (3, here))
        [group] = self.ec2.describe_security_groups(Filters=of)["SecurityGroups"]
        self.assertEqual(group["GroupName"], "default")
        [pair] = group["IpPermissions"][0]["UserIdGroupPairs"]
        self.assertEqual(pair["GroupId"], group["GroupId"])
        [table] = self.ec2.describe_route_tables(Filters=of)["RouteTables"]
        [gateway] = self.ec2.describe_internet_gateways(
            Filters=[{"Name": "attachment.vpc-id", "Values": [vpc["VpcId"]]}]
        )["InternetGateways"]
        self.assertEqual({route["GatewayId"] for route in table["Routes"]}, {"local", gateway["InternetGatewayId"]})
        attributes = self.ec2.describe_account_attributes(AttributeNames=["default-vpc"])["AccountAttributes"]
        self.assertEqual(attributes[0]["AttributeValues"], [{"AttributeValue": vpc["VpcId"]}])
        elsewhere = client(self.plane.env, region="ap-northeast-1").describe_vpcs()["Vpcs"]
        self.assertNotEqual(elsewhere[0]["VpcId"], vpc["VpcId"])

    def test_the_command_line_lists_subnets(self):
        code, out, err = self.aws.run("describe-subnets", service="ec2")
        self.assertEqual((code, len(json.loads(out or "{}").get("Subnets", []))), (0, 3), err)

    def test_a_network_is_made_and_taken_away(self):
        tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "net"}]}]
        vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
        self.ec2.get_waiter("vpc_exists").wait(VpcIds=[vpc])
        self.ec2.get_waiter("vpc_available").wait(VpcIds=[vpc])
        self.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        answer = self.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
        self.assertTrue(answer["EnableDnsHostnames"]["Value"])
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
        self.ec2.get_waiter("subnet_available").wait(SubnetIds=[subnet])
        self.refused(
            "InvalidSubnet.Conflict", "10.1.1.0/25", self.ec2.create_subnet, VpcId=vpc, CidrBlock="10.1.1.0/25"
        )
        group = self.ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
        self.ec2.get_waiter("security_group_exists").wait(GroupIds=[group])
        permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        answer = self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        self.assertEqual(answer["SecurityGroupRules"][0]["CidrIpv4"], "0.0.0.0/0")
        self.refused(
            "InvalidPermission.Duplicate", "TCP, from port: 80", self.ec2.authorize_security_group_ingress,
            GroupId=group, IpPermissions=[permission],
        )
        self.refused("DependencyViolation", vpc, self.ec2.delete_vpc, VpcId=vpc)
        self.refused("DryRunOperation", "would have succeeded", self.ec2.delete_subnet, 412, SubnetId=subnet, DryRun=True)
        self.ec2.delete_security_group(GroupId=group)
        self.ec2.delete_subnet(SubnetId=subnet)
        self.ec2.delete_vpc(VpcId=vpc)
        self.refused("InvalidVpcID.NotFound", vpc, self.ec2.describe_vpcs, VpcIds=[vpc])

    def test_lists_are_filtered_and_paged(self):
        vpc = self.ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
        self.addCleanup(self.ec2.delete_vpc, VpcId=vpc)
        for number in range(12):
            group = self.ec2.create_security_group(GroupName=f"g-{number:02}", Description="x", VpcId=vpc)
            self.addCleanup(self.ec2.delete_security_group, GroupId=group["GroupId"])
        of = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["g-*"]}]
        pages = self.ec2.get_paginator("describe_security_groups").paginate(
            Filters=of, PaginationConfig={"PageSize": 5}
        )
        sizes = [sorted(group["GroupName"] for group in page["SecurityGroups"]) for page in pages]
        self.assertEqual([len(names) for names in sizes], [5, 5, 2])
        self.assertEqual(sorted(sum(sizes, [])), [f"g-{number:02}" for number in range(12)])
        self.refused(
            "InvalidParameterValue", "The filter 'colour' is invalid", self.ec2.describe_subnets,
            Filters=[{"Name": "colour", "Values": ["red"]}],
        )

    def test_what_is_made_survives_a_crash(self):
        vpc = self.ec2.create_vpc(CidrBlock="10.3.0.0/16")["Vpc"]["VpcId"]
        template = self.ec2.create_launch_template(
            LaunchTemplateName="survivor", LaunchTemplateData={"UserData": "c2VjcmV0IHRva2Vu"}
        )["LaunchTemplate"]
        before = sorted(vpc["VpcId"] for vpc in self.ec2.describe_vpcs()["Vpcs"])
        for path in (self.directory / "data").rglob("*"):
            if path.is_file():
                self.assertNotIn(b"c2VjcmV0IHRva2Vu", path.read_bytes(), path)
        self.plane.kill()
        self.plane.start()
        self.ec2 = client(self.plane.env)
        self.assertEqual(sorted(vpc["VpcId"] for vpc in self.ec2.describe_vpcs()["Vpcs"]), before)
        [version] = self.ec2.describe_launch_template_versions(LaunchTemplateId=template["LaunchTemplateId"])[
            "LaunchTemplateVersions"
        ]
        self.assertEqual(version["LaunchTemplateData"]["UserData"], "c2VjcmV0IHRva2Vu")
        self.ec2.delete_launch_template(LaunchTemplateName="survivor")
        self.ec2.delete_vpc(VpcId=vpc)

    def test_what_is_not_built_is_named(self):
        self.refused("InvalidAction", "CreateNatGateway", self.ec2.create_nat_gateway, SubnetId="subnet-1")
        self.refused("UnsupportedOperation", "RSA", self.ec2.create_key_pair, KeyName="a")


class Networks(ServerCase):
    def test_a_network_by_terraform(self):
        """Apply, empty plan, change, empty plan, import, empty plan, destroy."""
        terraform = Terraform(self.directory / "terraform", self.plane, NETWORK)
        terraform.apply()
        terraform.must_plan_nothing()
        changed = {"port": "8080", "team": "blue"}
        terraform.apply(**changed)
        terraform.must_plan_nothing(**changed)

        ec2 = client(self.plane.env)
        outputs = terraform.outputs()
        vpc = outputs["vpc"]
        self.assertEqual(len(outputs["default_subnets"]), 3)
        [shown] = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
        self.assertIn({"Key": "Team", "Value": "blue"}, shown["Tags"])
        versions = ec2.describe_launch_template_versions(LaunchTemplateName="web")["LaunchTemplateVersions"]
        self.assertEqual([version["DefaultVersion"] for version in versions], [True, False])

        taken = (
            "aws_vpc.main", "aws_subnet.main[0]", "aws_security_group.tasks", "aws_internet_gateway.main",
            "aws_route_table.main",
        )
        changes = terraform.import_again(dict.fromkeys(taken, ""), **changed)
        self.assertEqual((changes["add"], changes["remove"]), (0, 0))
        terraform.must_plan_nothing(**changed)
        terraform.destroy(**changed)
        self.assertEqual([own["IsDefault"] for own in ec2.describe_vpcs()["Vpcs"]], [True])


class Interfaces(UpCase):
    instances_wanted = 1

    def test_the_interface_of_a_task_is_the_one_that_ecs_tells(self):
        """What scripts do to find a task's address."""
        ec2 = client(self.plane.env)
        subnet = ec2.describe_subnets()["Subnets"][0]
        vpc = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}]
        [group] = ec2.describe_security_groups(Filters=vpc)["SecurityGroups"]
        definition = self.register("interfaces", {"cpu": 16, "memory": 16}, networkMode="awsvpc")
        network = {"subnets": [subnet["SubnetId"]], "securityGroups": [group["GroupId"]]}
        [task] = self.run_tasks(taskDefinition=definition, networkConfiguration={"awsvpcConfiguration": network})
        task = eventually(
            lambda: self.ecs.describe_tasks(cluster=self.cluster, tasks=[task["taskArn"]])["tasks"][0],
            lambda task: task["lastStatus"] == "RUNNING",
            what="the task",
        )
        [attachment] = task["attachments"]
        told = {detail["name"]: detail["value"] for detail in attachment["details"]}
        [shown] = ec2.describe_network_interfaces(NetworkInterfaceIds=[told["networkInterfaceId"]])["NetworkInterfaces"]
        self.assertEqual(shown["PrivateIpAddress"], told["privateIPv4Address"])
        self.assertEqual((shown["SubnetId"], shown["VpcId"]), (subnet["SubnetId"], subnet["VpcId"]))
        self.assertTrue(shown["Description"].endswith(f"/{attachment['id']}"), shown)
        self.assertEqual(shown["Groups"], [{"GroupId": group["GroupId"], "GroupName": "default"}])
        self.assertNotIn("Association", shown)
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        self.assertEqual(caught.exception.response["Error"]["Code"], "DependencyViolation")
        self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"])
        of = [{"Name": "subnet-id", "Values": [subnet["SubnetId"]]}]
        eventually(
            lambda: ec2.describe_network_interfaces(Filters=of)["NetworkInterfaces"],
            lambda interfaces: interfaces == [],
            what="the end of the interface",
        )


def client(env, region=None):
    session = boto3.session.Session(
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=region or env["AWS_DEFAULT_REGION"],
    )
    return session.client("ec2", endpoint_url=env["AWS_ENDPOINT_URL"])
