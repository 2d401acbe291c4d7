"""Temporary credentials as SDKs get and use them: roles that are assumed, profiles, web identities of a CI (identity J3)."""

import json
import os
import subprocess

import boto3
import botocore
import botocore.config

from harness.cases import Case
from harness.issuer import Issuer

ACCOUNT = "000000000000"
ISSUER = "https://token.actions.githubusercontent.com"
LOOK = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}}
MAY_ASSUME = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}


class Sessions(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.issuer = Issuer(ISSUER, cls.directory)
        cls.start_plane("server", "--auth", "strict", "--oidc-keys", str(cls.issuer.keys_path))

    def setUp(self):
        super().setUp()
        self.iam = self.client_of("iam")

    def make_role(self, name, principal, condition=None, action="sts:AssumeRole"):
        statement = {"Effect": "Allow", "Action": action, "Principal": principal}
        if condition:
            statement["Condition"] = condition
        trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
        self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(LOOK))
        return role["Arn"]

    def make_user(self, name):
        self.iam.create_user(UserName=name)
        self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(MAY_ASSUME))
        return self.iam.create_access_key(UserName=name)["AccessKey"]

    def test_a_role_is_assumed_and_ends_with_the_role(self):
        key = self.make_user("ada")
        role = self.make_role("ours", {"AWS": ACCOUNT}, {"StringEquals": {"sts:ExternalId": "42"}})
        sts = self.client_of("sts", key)
        denied = f"is not authorized to perform: sts:AssumeRole on resource: {role}"
        self.refused("AccessDenied", denied, sts.assume_role, RoleArn=role, RoleSessionName="ci")
        missing = role + "x"
        self.refused(
            "AccessDenied", f"sts:AssumeRole on resource: {missing}", sts.assume_role,
            RoleArn=missing, RoleSessionName="ci",
        )
        asked = {"RoleArn": role, "RoleSessionName": "ci", "ExternalId": "42"}
        self.refused("ValidationError", "MaxSessionDuration", sts.assume_role, DurationSeconds=43200, **asked)
        given = sts.assume_role(Policy=json.dumps(LOOK), **asked)
        session = given["Credentials"]
        self.assertEqual(given["AssumedRoleUser"]["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/ours/ci")
        who = self.client_of("sts", session).get_caller_identity()
        self.assertEqual((who["Arn"], who["Account"]), (given["AssumedRoleUser"]["Arn"], ACCOUNT))
        self.assertEqual(who["UserId"], given["AssumedRoleUser"]["AssumedRoleId"])
        ecs = self.client_of("ecs", session)
        self.assertIn("clusterArns", ecs.list_clusters())
        self.refused("AccessDeniedException", "ecs:CreateCluster", ecs.create_cluster, clusterName="x")
        # kill -9: the token is all there is of a session, and is as good as before.
        self.plane.kill()
        self.plane.start()
        self.iam = self.client_of("iam")
        self.assertIn("clusterArns", self.client_of("ecs", session).list_clusters())
        for part in ("SecretAccessKey", "SessionToken"):
            for path in (self.directory / "data").rglob("*"):
                if path.is_file():
                    self.assertNotIn(session[part].encode(), path.read_bytes(), path)
            self.assertNotIn(session[part], self.plane.log_path.read_text(errors="replace"))
        invalid = "The security token included in the request is invalid."
        for change in ({"SessionToken": session["SessionToken"][:-8] + "AAAAAAA="}, {"SessionToken": None}):
            wrong = self.client_of("ecs", {**session, **change})
            self.refused("UnrecognizedClientException", invalid, wrong.list_clusters)
        self.iam.delete_role_policy(RoleName="ours", PolicyName="own")
        self.iam.delete_role(RoleName="ours")
        self.refused("UnrecognizedClientException", invalid, self.client_of("ecs", session).list_clusters)
        self.refused("InvalidClientTokenId", invalid, self.client_of("sts", session).get_caller_identity)

    def test_a_profile_with_a_source_profile_works(self):
        key = self.make_user("bob")
        role = self.make_role("by-profile", {"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"})
        config = self.directory / "config"
        config.write_text(
            f"[profile base]\naws_access_key_id = {key['AccessKeyId']}\n"
            f"aws_secret_access_key = {key['SecretAccessKey']}\n"
            f"[profile deploy]\nrole_arn = {role}\nsource_profile = base\nrole_session_name = laptop\n"
            f"region = {self.region}\nendpoint_url = {self.plane.env['AWS_ENDPOINT_URL']}\n"
        )
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "deploy", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_ENDPOINT_URL": self.plane.env["AWS_ENDPOINT_URL"],
        }
        program = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
        done = subprocess.run(
            ["python3", "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        self.assertEqual(done.stdout.strip(), f"arn:aws:sts::{ACCOUNT}:assumed-role/by-profile/laptop", done.stderr)

    def test_a_ci_deploys_with_the_token_of_its_issuer(self):
        provider = self.iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=["sts.amazonaws.com"])
        role = self.make_role(
            "deploy", {"Federated": provider["OpenIDConnectProviderArn"]},
            {
                "StringEquals": {f"{self.issuer.host}:aud": "sts.amazonaws.com"},
                "StringLike": {f"{self.issuer.host}:sub": "repo:acme/shop:ref:refs/heads/*"},
            },
            action="sts:AssumeRoleWithWebIdentity",
        )
        unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED)
        sts = boto3.client(
            "sts", endpoint_url=self.plane.env["AWS_ENDPOINT_URL"], region_name=self.region, config=unsigned
        )

        def ask(token):
            return sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="run-1", WebIdentityToken=token)

        given = ask(self.issuer.token())
        self.assertEqual(given["AssumedRoleUser"]["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/run-1")
        self.assertIn("clusterArns", self.client_of("ecs", given["Credentials"]).list_clusters())
        for changed, code, part in (
            ({"sub": "repo:acme/shop:pull_request"}, "AccessDenied", "Not authorized"),
            ({"sub": "repo:Acme/shop:ref:refs/heads/main"}, "AccessDenied", "Not authorized"),
            ({"aud": "other"}, "InvalidIdentityToken", "Incorrect token audience"),
            ({"exp": 1}, "ExpiredTokenException", "Token expired"),
            ({"iss": "https://issuer.example"}, "InvalidIdentityToken", "No OpenIDConnect provider found"),
        ):
            self.refused(code, part, lambda token: ask(token), token=self.issuer.token(**changed))
        self.assertNotIn(self.issuer.token().split(".")[0], self.plane.log_path.read_text(errors="replace"))
