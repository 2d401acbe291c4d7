"""Secrets Manager, Parameter Store and KMS, as boto3 and Terraform speak them; and what is on the disk of them."""

import base64
import json
import urllib.parse

import boto3
import botocore.exceptions

from harness.cases import ServerCase
from harness.terraform import Terraform

MINE = "111122223333"
THEIRS = "444455556666"

MAIN = """
variable "value" {
  type = string
}

resource "aws_kms_key" "own" {
  description             = "of ${var.value}"
  deletion_window_in_days = 7
  enable_key_rotation     = var.value == "two"
  tags                    = { team = var.value }
}

resource "aws_kms_alias" "own" {
  name          = "alias/terraform"
  target_key_id = aws_kms_key.own.key_id
}

resource "aws_secretsmanager_secret" "db" {
  name                    = "terraform/db"
  description             = "of ${var.value}"
  kms_key_id              = aws_kms_key.own.arn
  recovery_window_in_days = 0
  tags                    = { team = var.value }
}

resource "aws_secretsmanager_secret_policy" "db" {
  secret_arn = aws_secretsmanager_secret.db.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::000000000000:root" }
      Action    = "secretsmanager:GetSecretValue"
      Resource  = "*"
    }]
  })
}

resource "aws_secretsmanager_secret_version" "db" {
  secret_id     = aws_secretsmanager_secret.db.id
  secret_string = jsonencode({ password = var.value })
}

resource "aws_ssm_parameter" "token" {
  name  = "/terraform/token"
  type  = "SecureString"
  value = var.value
  tags  = { team = "red" }
}

resource "aws_ssm_parameter" "own" {
  name   = "/terraform/own"
  type   = "SecureString"
  key_id = aws_kms_key.own.key_id
  value  = var.value
}

resource "aws_ssm_parameter" "plain" {
  name  = "/terraform/plain"
  type  = "String"
  value = "never changes"
}

data "aws_secretsmanager_secret_version" "read" {
  secret_id  = aws_secretsmanager_secret.db.id
  depends_on = [aws_secretsmanager_secret_version.db]
}

output "read" {
  value     = data.aws_secretsmanager_secret_version.read.secret_string
  sensitive = true
}
"""


class Secrets(ServerCase):
    def service(self, name, key=None):
        env = self.plane.env
        key = key or (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
        session = boto3.session.Session(
            aws_access_key_id=key[0], aws_secret_access_key=key[1], region_name=env["AWS_DEFAULT_REGION"]
        )
        return session.client(name, endpoint_url=env["AWS_ENDPOINT_URL"])

    def refused(self, code, part, call, **parameters):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**parameters)
        error = caught.exception.response
        self.assertEqual((error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]), (code, 400), error)
        self.assertIn(part, error["Error"]["Message"])

    def test_the_life_of_a_secret(self):
        secrets = self.service("secretsmanager")
        made = secrets.create_secret(Name="life/db", SecretString="one", Tags=[{"Key": "team", "Value": "red"}])
        self.assertRegex(made["ARN"], rf"\Aarn:aws:secretsmanager:{self.region}:\d{{12}}:secret:life/db-[A-Za-z0-9]{{6}}\Z")
        put = secrets.put_secret_value(SecretId="life/db", SecretString="two")
        self.assertEqual(put["VersionStages"], ["AWSCURRENT"])
        self.assertEqual(secrets.get_secret_value(SecretId=made["ARN"])["SecretString"], "two")
        before = secrets.get_secret_value(SecretId="life/db", VersionStage="AWSPREVIOUS")
        self.assertEqual((before["SecretString"], before["VersionId"]), ("one", made["VersionId"]))
        secrets.update_secret_version_stage(
            SecretId="life/db", VersionStage="AWSCURRENT", MoveToVersionId=made["VersionId"], RemoveFromVersionId=put["VersionId"]
        )
        self.assertEqual(secrets.get_secret_value(SecretId="life/db")["SecretString"], "one")
        self.refused(
            "ResourceExistsException", "The operation failed because the secret life/db already exists.",
            secrets.create_secret, Name="life/db", SecretString="x",
        )
        secrets.delete_secret(SecretId="life/db", RecoveryWindowInDays=7)
        marked = "You can't perform this operation on the secret because it was marked for deletion."
        self.refused("InvalidRequestException", marked, secrets.get_secret_value, SecretId="life/db")
        self.refused("InvalidRequestException", "already scheduled for deletion", secrets.create_secret, Name="life/db")
        self.assertIn("DeletedDate", secrets.describe_secret(SecretId="life/db"))
        secrets.restore_secret(SecretId="life/db")
        self.assertEqual(secrets.get_secret_value(SecretId="life/db")["SecretString"], "one")
        secrets.delete_secret(SecretId="life/db", ForceDeleteWithoutRecovery=True)
        gone = "Secrets Manager can't find the specified secret."
        self.refused("ResourceNotFoundException", gone, secrets.get_secret_value, SecretId="life/db")
        blob = bytes(range(256))
        secrets.create_secret(Name="life/db", SecretBinary=blob)
        self.assertEqual(secrets.get_secret_value(SecretId="life/db")["SecretBinary"], blob)

    def test_secrets_come_in_pages(self):
        secrets = self.service("secretsmanager")
        names = [f"pages/{number:03}" for number in range(23)]
        for name in names:
            secrets.create_secret(Name=name, SecretString=name)
        pages = secrets.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": ["pages/"]}], PaginationConfig={"PageSize": 10}
        )
        listed = [[secret["Name"] for secret in page["SecretList"]] for page in pages]
        self.assertEqual([len(page) for page in listed], [10, 10, 3])
        self.assertEqual(sum(listed, []), names)
        batch = secrets.batch_get_secret_value(SecretIdList=names[:3] + ["none"])
        self.assertEqual([secret["SecretString"] for secret in batch["SecretValues"]], names[:3])
        self.assertEqual(batch["Errors"][0]["ErrorCode"], "ResourceNotFoundException")
        password = secrets.get_random_password(PasswordLength=40, ExcludePunctuation=True)["RandomPassword"]
        self.assertTrue(len(password) == 40 and password.isalnum(), password)

    def test_parameters_by_path_version_and_label(self):
        ssm = self.service("ssm")
        names = sorted(f"/app/{number % 4}/p{number:02}" for number in range(35))
        for name in names:
            ssm.put_parameter(Name=name, Value=f"value of {name}", Type="SecureString")
        pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/app", Recursive=True, WithDecryption=True))
        self.assertEqual([len(page["Parameters"]) for page in pages], [10, 10, 10, 5])
        found = [(one["Name"], one["Value"]) for page in pages for one in page["Parameters"]]
        self.assertEqual(found, [(name, f"value of {name}") for name in names])
        one = names[0]
        # What is under a key of a service only the service decrypts.
        key = self.service("kms").create_key()["KeyMetadata"]["KeyId"]
        for value in ("second", "third"):
            ssm.put_parameter(Name=one, Value=value, Overwrite=True, KeyId=key)
        ssm.label_parameter_version(Name=one, ParameterVersion=2, Labels=["prod"])

        def read(name):
            return ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]

        self.assertEqual((read(one)["Value"], read(one)["Version"]), ("third", 3))
        for selector in (":2", ":prod"):
            self.assertEqual((read(one + selector)["Value"], read(one + selector)["Selector"]), ("second", selector))
        shown = ssm.get_parameter(Name=one)["Parameter"]
        self.assertNotIn("third", shown["Value"])
        plain = self.service("kms").decrypt(
            CiphertextBlob=base64.b64decode(shown["Value"]), EncryptionContext={"PARAMETER_ARN": shown["ARN"]}
        )["Plaintext"]
        self.assertEqual(plain, b"third")
        answer = ssm.get_parameters(Names=[one, "/none"], WithDecryption=True)
        self.assertEqual((answer["Parameters"][0]["Value"], answer["InvalidParameters"]), ("third", ["/none"]))
        self.refused("ParameterNotFound", "", ssm.get_parameter, Name="/none")
        self.refused("ParameterAlreadyExists", "The parameter already exists.", ssm.put_parameter, Name=one, Value="x", Type="SecureString")
        described = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [one]}])
        self.assertEqual((described["Parameters"][0]["Type"], described["Parameters"][0]["KeyId"]), ("SecureString", key))

    def test_keys_encrypt_decrypt_and_go(self):
        kms = self.service("kms")
        key = kms.create_key(Description="of a test")["KeyMetadata"]
        kms.create_alias(AliasName="alias/test", TargetKeyId=key["KeyId"])
        context = {"purpose": "test"}
        blob = kms.encrypt(KeyId="alias/test", Plaintext=b"hello", EncryptionContext=context)["CiphertextBlob"]
        self.assertNotIn(b"hello", blob)
        read = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
        self.assertEqual((read["Plaintext"], read["KeyId"]), (b"hello", key["Arn"]))
        self.refused("InvalidCiphertextException", "", kms.decrypt, CiphertextBlob=blob, EncryptionContext={"purpose": "other"})
        data_key = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
        self.assertEqual(kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"], data_key["Plaintext"])
        kms.disable_key(KeyId=key["KeyId"])
        self.refused("DisabledException", f"{key['Arn']} is disabled.", kms.decrypt, CiphertextBlob=blob, EncryptionContext=context)
        kms.enable_key(KeyId=key["KeyId"])
        scheduled = kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
        self.assertEqual(scheduled["KeyState"], "PendingDeletion")
        self.refused("KMSInvalidStateException", f"{key['Arn']} is pending deletion.", kms.encrypt, KeyId=key["Arn"], Plaintext=b"x")
        kms.cancel_key_deletion(KeyId=key["KeyId"])
        kms.enable_key(KeyId=key["KeyId"])
        self.assertEqual(kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"], b"hello")
        names = [alias["AliasName"] for page in kms.get_paginator("list_aliases").paginate() for alias in page["Aliases"]]
        for name in ("alias/test", "alias/aws/ecr", "alias/aws/secretsmanager", "alias/aws/ssm"):
            self.assertIn(name, names)

    def user(self, account, name, actions):
        """A key of a user who may do these things in a 12-digit account."""
        iam = self.service("iam", (account, "test"))
        iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def session(self, account, name, actions):
        """A client of Secrets Manager for a session of a role that may do these things in a 12-digit account."""
        iam, sts = (self.service(which, (account, "test")) for which in ("iam", "sts"))
        statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        given = sts.assume_role(RoleArn=role, RoleSessionName="work")["Credentials"]
        return self.client_of("secretsmanager", given)

    def test_a_secret_of_another_account(self):
        mine, kms = self.service("secretsmanager", (MINE, "test")), self.service("kms", (MINE, "test"))
        key = kms.create_key()["KeyMetadata"]["Arn"]
        secret = mine.create_secret(Name="shared", SecretString="for both", KmsKeyId=key)
        able = self.service("secretsmanager", self.user(THEIRS, "bob", ["secretsmanager:GetSecretValue", "kms:Decrypt"]))
        unable = self.service("secretsmanager", self.user(THEIRS, "eve", ["ecs:*"]))
        guest = self.service("secretsmanager", (THEIRS, "test"))
        for client in (able, unable, guest):
            self.refused("AccessDeniedException", "secretsmanager:GetSecretValue", client.get_secret_value, SecretId=secret["ARN"])
        policy = {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": [f"arn:aws:iam::{THEIRS}:user/bob", f"arn:aws:iam::{THEIRS}:user/eve"]},
                "Action": "secretsmanager:GetSecretValue",
                "Resource": "*",
            }],
        }
        mine.put_resource_policy(SecretId="shared", ResourcePolicy=json.dumps(policy))
        self.assertEqual(json.loads(mine.get_resource_policy(SecretId="shared")["ResourcePolicy"]), policy)
        # The key has a say of its own, which that of a service never gives to another account.
        self.refused("AccessDeniedException", "Access to KMS is not allowed", able.get_secret_value, SecretId=secret["ARN"])
        allow = {"Effect": "Allow", "Resource": "*"}
        key_policy = {"Version": "2012-10-17", "Statement": [
            {**allow, "Principal": {"AWS": f"arn:aws:iam::{MINE}:root"}, "Action": "kms:*"},
            {**allow, "Principal": {"AWS": f"arn:aws:iam::{THEIRS}:root"}, "Action": "kms:Decrypt"},
        ]}
        kms.put_key_policy(KeyId=key, Policy=json.dumps(key_policy))
        self.assertEqual(able.get_secret_value(SecretId=secret["ARN"])["SecretString"], "for both")
        # A role has to be named too.
        reader = self.session(THEIRS, "reader", ["secretsmanager:GetSecretValue", "kms:Decrypt"])
        self.refused("AccessDeniedException", "", reader.get_secret_value, SecretId=secret["ARN"])
        policy["Statement"][0]["Principal"]["AWS"].append(f"arn:aws:iam::{THEIRS}:role/reader")
        mine.put_resource_policy(SecretId="shared", ResourcePolicy=json.dumps(policy))
        self.assertEqual(reader.get_secret_value(SecretId=secret["ARN"])["SecretString"], "for both")
        self.service("iam", (THEIRS, "test")).delete_role_policy(RoleName="reader", PolicyName="own")
        self.refused("AccessDeniedException", "no identity-based policy", reader.get_secret_value, SecretId=secret["ARN"])
        self.refused("AccessDeniedException", "no identity-based policy", unable.get_secret_value, SecretId=secret["ARN"])
        for call in (guest.get_secret_value, guest.describe_secret, able.describe_secret, able.delete_secret):
            self.refused("AccessDeniedException", "", call, SecretId=secret["ARN"])
        # By its name each account has its own.
        self.refused("ResourceNotFoundException", "", guest.get_secret_value, SecretId="shared")

    def test_the_data_directory_keeps_no_secret(self):
        secrets, ssm, kms = (self.service(name) for name in ("secretsmanager", "ssm", "kms"))
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        secrets.create_secret(Name="disk/own", SecretString="Correct-Horse-1", KmsKeyId=key)
        secrets.create_secret(Name="disk/default", SecretString="first")
        secrets.put_secret_value(SecretId="disk/default", SecretString="Correct-Horse-2")
        ssm.put_parameter(Name="/disk", Value="Correct-Horse-3", Type="SecureString")
        blob = kms.encrypt(KeyId=key, Plaintext=b"Correct-Horse-4")["CiphertextBlob"]
        self.plane.kill()
        for path in (self.directory / "data").rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for needle in (b"Correct-Horse", base64.b64encode(b"Correct-Horse")[:-4], urllib.parse.quote("Correct-Horse").encode()):
                    self.assertNotIn(needle, content, path)
        self.assertNotIn("Correct-Horse", self.plane.log_path.read_text(errors="replace"))
        self.plane.start()
        secrets, ssm, kms = (self.service(name) for name in ("secretsmanager", "ssm", "kms"))
        self.assertEqual(secrets.get_secret_value(SecretId="disk/own")["SecretString"], "Correct-Horse-1")
        self.assertEqual(secrets.get_secret_value(SecretId="disk/default")["SecretString"], "Correct-Horse-2")
        self.assertEqual(ssm.get_parameter(Name="/disk", WithDecryption=True)["Parameter"]["Value"], "Correct-Horse-3")
        self.assertEqual(kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"Correct-Horse-4")

    def test_what_is_not_built_says_so(self):
        for name, call, parameters in (
            ("secretsmanager", "rotate_secret", {"SecretId": "x"}),
            ("secretsmanager", "replicate_secret_to_regions", {"SecretId": "x", "AddReplicaRegions": [{"Region": "us-east-2"}]}),
            ("kms", "create_grant", {"KeyId": "x", "GranteePrincipal": "x", "Operations": ["Decrypt"]}),
            ("ssm", "list_documents", {}),
        ):
            with self.assertRaises(botocore.exceptions.ClientError) as caught:
                getattr(self.service(name), call)(**parameters)
            error = caught.exception.response
            self.assertEqual(error["Error"]["Code"], "UnknownOperationException", error)
            self.assertEqual(error["ResponseMetadata"]["RetryAttempts"], 0)

    def test_terraform_makes_changes_and_removes_them(self):
        terraform = Terraform(self.directory / "terraform", self.plane, MAIN)
        secrets, ssm = self.service("secretsmanager"), self.service("ssm")

        def password():
            return json.loads(secrets.get_secret_value(SecretId="terraform/db")["SecretString"])["password"]

        for value in ("one", "two", "one"):
            terraform.apply(value=value)
            terraform.must_plan_nothing(value=value)
            self.assertEqual(password(), value)
            self.assertEqual(ssm.get_parameter(Name="/terraform/own", WithDecryption=True)["Parameter"]["Value"], value)
            self.assertEqual(json.loads(terraform.outputs()["read"])["password"], value)
        # And at once again, under the same names.
        for _ in range(2):
            terraform.destroy(value="one")
            self.refused("ResourceNotFoundException", "", secrets.describe_secret, SecretId="terraform/db")
            terraform.apply(value="one")
            self.assertEqual(password(), "one")
        terraform.destroy(value="one")
