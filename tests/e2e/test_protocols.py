"""Services beside ECS, asked by their own clients: who one is, and what is said of a service that is not served.

A client that sends everything here, as AWS_ENDPOINT_URL makes it, has to learn at once what is missing.
"""

import json
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

from harness.cases import ServerCase
from harness.terraform import Terraform

# A service, an operation of it, what it is asked with, the code, the status, and what the text names.
NOT_SERVED = [
    ("sqs", "list_queues", {}, "UnknownOperationException", 404, "'sqs'"),
    ("elbv2", "describe_target_groups", {}, "InvalidAction", 400, "Elastic Load Balancing yet (DescribeTargetGroups)"),
    ("elb", "describe_load_balancers", {}, "InvalidAction", 400, "Elastic Load Balancing, classic yet"),
    ("s3", "list_buckets", {}, "NotImplemented", 501, "Amazon S3 yet (ListBuckets)"),
    ("s3", "put_object", {"Bucket": "b", "Key": "a b/c", "Body": b"x" * 2000000}, "NotImplemented", 501, "(PutObject)"),
    ("s3", "get_bucket_policy", {"Bucket": "metrics"}, "NotImplemented", 501, "(GetBucketPolicy)"),
    ("scheduler", "list_schedules", {}, "UnknownOperationException", 404, "EventBridge Scheduler yet (ListSchedules)"),
    ("cloudwatch", "list_metrics", {}, "InvalidAction", 404, "Amazon CloudWatch yet (ListMetrics)"),
    ("logs", "describe_log_groups", {}, "UnknownOperationException", 404, "CloudWatch Logs yet (DescribeLogGroups)"),
    ("lambda", "list_functions", {}, "UnknownOperationException", 404, "'lambda'"),
    ("sns", "list_topics", {}, "InvalidAction", 400, "'sns'"),
    ("route53", "list_hosted_zones", {}, "NotImplemented", 501, "'route53'"),
    ("dynamodb", "list_tables", {}, "UnknownOperationException", 404, "'dynamodb'"),
]


class Protocols(ServerCase):
    def service(self, name, key=None, **options):
        """A client that tries again as often as clients do by default."""
        env = self.plane.env
        key = key or (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
        session = boto3.session.Session(
            aws_access_key_id=key[0], aws_secret_access_key=key[1], region_name=env["AWS_DEFAULT_REGION"]
        )
        return session.client(name, endpoint_url=env["AWS_ENDPOINT_URL"], **options)

    def metric(self, start):
        with urllib.request.urlopen(f"{self.plane.endpoint}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))

    def test_who_one_is(self):
        operator = self.service("sts").get_caller_identity()
        self.assertTrue(operator.pop("ResponseMetadata")["RequestId"])
        account = "000000000000"
        root = {"Account": account, "UserId": account, "Arn": f"arn:aws:iam::{account}:root"}
        self.assertEqual(operator, root)
        # Keys that open mode lets in: the default account, or the one that they name.
        for key, account in (("test", account), ("111122223333", "111122223333")):
            guest = self.service("sts", (key, "test")).get_caller_identity()
            del guest["ResponseMetadata"]
            self.assertEqual(guest, {"Account": account, "UserId": account, "Arn": f"arn:aws:iam::{account}:root"})

    def test_who_one_is_by_the_command_line(self):
        exit_code, out, err = self.aws.run("get-caller-identity", service="sts")
        self.assertEqual((exit_code, json.loads(out or "{}").get("Arn")), (0, "arn:aws:iam::000000000000:root"), err)

    def test_a_signed_url_says_who_one_is(self):
        """Vault and EKS prove an identity so: whoever has the URL may ask once more."""
        env = self.plane.env
        url = f"{self.plane.endpoint}/?Action=GetCallerIdentity&Version=2011-06-15"

        def sign(key, secret):
            request = botocore.awsrequest.AWSRequest("GET", url)
            credentials = botocore.credentials.Credentials(key, secret)
            botocore.auth.SigV4QueryAuth(credentials, "sts", env["AWS_DEFAULT_REGION"], expires=60).add_auth(request)
            return request.prepare().url

        with urllib.request.urlopen(sign(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])) as answer:
            self.assertIn(b"<Arn>arn:aws:iam::000000000000:root</Arn>", answer.read())
        # Of a key that nobody knows it is no proof, and any page could have made it up.
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(sign("test", "test"))
        self.assertEqual(caught.exception.code, 403)

    def test_sts_says_what_is_not_built(self):
        sts = self.service("sts")
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            sts.decode_authorization_message(EncodedMessage="x")
        error = caught.exception.response
        self.assertEqual(error["Error"]["Code"], "InvalidAction")
        self.assertEqual(error["Error"]["Message"], "Longshore does not build DecodeAuthorizationMessage of AWS STS yet.")
        self.assertEqual(error["ResponseMetadata"]["RetryAttempts"], 0)
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.service("iam").list_server_certificates()
        error = caught.exception.response
        self.assertEqual(error["Error"]["Message"], "Longshore does not build ListServerCertificates of AWS IAM yet.")

    def test_services_that_are_not_served_are_named(self):
        path_style = botocore.config.Config(s3={"addressing_style": "path"})
        for name, operation, parameters, code, status, text in NOT_SERVED:
            # Without the right secret too: what is missing is no secret.
            for key in (None, (self.plane.env["AWS_ACCESS_KEY_ID"], "wrong"), ("test", "test")):
                with self.subTest(service=name, operation=operation, key=key):
                    client = self.service(name, key, config=path_style)
                    with self.assertRaises(botocore.exceptions.ClientError) as caught:
                        getattr(client, operation)(**parameters)
                    error = caught.exception.response
                    self.assertEqual((error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]), (code, status), error)
                    self.assertIn(text, error["Error"]["Message"])
                    self.assertIn("AWS_ENDPOINT_URL", error["Error"]["Message"])
                    self.assertEqual(error["ResponseMetadata"]["RetryAttempts"], 0)
        self.assertGreaterEqual(self.metric('longshore_requests_total{service="elb"'), 1)
        self.assertEqual(self.metric('longshore_requests_total{service="lambda"'), 0, "clients invent no labels")

    def test_terraform_finds_out_who_it_is(self):
        configuration = (
            'data "aws_caller_identity" "me" {}\noutput "arn" {\n  value = data.aws_caller_identity.me.arn\n}\n'
        )
        terraform = Terraform(self.directory / "terraform", self.plane, configuration)
        terraform.apply()
        self.assertEqual(terraform.outputs()["arn"], "arn:aws:iam::000000000000:root")
