"""IAM as boto3 speaks it: users, keys, policies, pages and waiters; and what a user's key may do at ECS and STS."""

import json
import pathlib
import stat
import urllib.parse

from harness.cases import ServerCase
from harness.wait import eventually

LOOK = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}


class Identity(ServerCase):
    def setUp(self):
        super().setUp()
        self.iam = self.client_of("iam")

    def user_with_key(self, name, policy):
        self.iam.create_user(UserName=name, Path="/team/")
        self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return self.iam.create_access_key(UserName=name)["AccessKey"]

    def test_a_user_may_do_what_its_policies_allow(self):
        key = self.user_with_key("ada", LOOK)
        self.iam.get_waiter("user_exists").wait(UserName="ada")
        ecs = self.client_of("ecs", key)
        self.assertIn("clusterArns", ecs.list_clusters())
        arn = "arn:aws:iam::000000000000:user/team/ada"
        cluster = f"arn:aws:ecs:{self.region}:000000000000:cluster/x"
        text = (
            f"User: {arn} is not authorized to perform: ecs:CreateCluster on resource: {cluster} "
            "because no identity-based policy allows the ecs:CreateCluster action"
        )
        self.refused("AccessDeniedException", text, ecs.create_cluster, clusterName="x")
        self.refused("AccessDenied", "perform: iam:CreateUser", self.client_of("iam", key).create_user, UserName="eve")
        who = self.client_of("sts", key).get_caller_identity()
        user = self.iam.get_user(UserName="ada")["User"]
        self.assertEqual((who["Arn"], who["UserId"], who["Account"]), (arn, user["UserId"], "000000000000"))

        policy = self.iam.create_policy(
            PolicyName="make-clusters",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "ecs:CreateCluster", "Resource": "*",
                "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"},
                              "StringEquals": {"aws:username": "ada"}},
            }}),
        )["Policy"]["Arn"]
        self.iam.get_waiter("policy_exists").wait(PolicyArn=policy)
        self.iam.attach_user_policy(UserName="ada", PolicyArn=policy)
        self.assertEqual(ecs.create_cluster(clusterName="x")["cluster"]["status"], "ACTIVE")
        role = self.iam.get_role(RoleName="AWSServiceRoleForECS")["Role"]
        self.assertEqual(role["Path"], "/aws-service-role/ecs.amazonaws.com/")

        used = eventually(
            lambda: self.iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"],
            lambda last: last["ServiceName"] != "N/A",
            what="a use of the key",
        )
        self.assertEqual(used["Region"], self.region)

        self.iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
        invalid = "The security token included in the request is invalid."
        self.refused("UnrecognizedClientException", invalid, ecs.list_clusters)
        self.refused("InvalidClientTokenId", invalid, self.client_of("sts", key).get_caller_identity)

    def test_roles_come_in_pages(self):
        names = [f"role-{number:03}" for number in range(150)]
        for name in names:
            self.iam.create_role(RoleName=name, Path="/pages/", AssumeRolePolicyDocument=json.dumps(TRUST))
        self.iam.get_waiter("role_exists").wait(RoleName=names[-1])
        pages = list(self.iam.get_paginator("list_roles").paginate(PathPrefix="/pages/"))
        self.assertEqual([len(page["Roles"]) for page in pages], [100, 50])
        self.assertEqual([role["RoleName"] for page in pages for role in page["Roles"]], names)
        self.assertEqual(pages[0]["Roles"][0]["AssumeRolePolicyDocument"], TRUST)
        small = self.iam.get_paginator("list_roles").paginate(
            PathPrefix="/pages/", PaginationConfig={"PageSize": 7, "MaxItems": 20}
        )
        self.assertEqual([role["RoleName"] for page in small for role in page["Roles"]], names[:20])

    def test_an_instance_profile_is_waited_for(self):
        self.iam.create_instance_profile(InstanceProfileName="machines")
        self.iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="machines")

    def test_the_data_directory_keeps_no_secret(self):
        key = self.user_with_key("bob", LOOK)
        secret = key["SecretAccessKey"].encode()
        data = self.directory / "data"
        self.assertEqual(stat.S_IMODE((data / "root.key").stat().st_mode), 0o600)
        for path in data.rglob("*"):
            if path.is_file():
                self.assertNotIn(secret, path.read_bytes(), path)
                self.assertNotIn(urllib.parse.quote(secret).encode(), path.read_bytes(), path)
        self.plane.kill()
        self.plane.start()
        self.iam = self.client_of("iam")
        ecs = self.client_of("ecs", key)
        self.assertIn("clusterArns", ecs.list_clusters())
        # A core dump would hold what was opened.
        limits = pathlib.Path(f"/proc/{self.plane.child.pid}/limits").read_text(encoding="utf-8")
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        self.assertEqual(core.split()[4:6], ["0", "0"])
