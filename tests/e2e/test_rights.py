"""Who may do what, asked by unmodified clients in strict mode: identities, sessions, policies of resources, roles that
are passed on and reach tasks (identity J; README.md has the table of its acceptance lines)."""

import json
import pathlib
import shutil
import tempfile

import botocore.exceptions

from harness.cases import BUSYBOX, Case, EngineCase, ServerCase
from harness.process import CommandLine
from harness.wait import eventually

ACCOUNT = "000000000000"
INVALID = "The security token included in the request is invalid."


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **others):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **others}


def deny(action, resource="*", **others):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **others}


def trust(principal, *actions):
    return document({"Effect": "Allow", "Principal": principal, "Action": list(actions) or "sts:AssumeRole"})


class Identities:
    """Makes users and roles with the operator's key."""

    def setUp(self):
        super().setUp()
        self.iam = self.client_of("iam")

    def make_user(self, name, *statements, **others):
        """A key of a new user with these statements in its own policy."""
        self.iam.create_user(UserName=name, **others)
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
        return self.iam.create_access_key(UserName=name)["AccessKey"]

    def make_role(self, name, trusted, *statements, **others):
        """The ARN of a new role."""
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **others)["Role"]["Arn"]
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        return role

    def assume(self, key, role, session="work", **others):
        given = self.client_of("sts", key).assume_role(RoleArn=role, RoleSessionName=session, **others)
        return given["Credentials"]

    def may(self, call, **parameters):
        """Whether the call is authorised; whatever else it answers is another question."""
        try:
            call(**parameters)
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
        return True


class Rights(Identities, Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("server", "--auth", "strict", "--settle-secs", "1")

    def test_who_one_is_needs_no_right(self):
        key = self.make_user("denied", deny("sts:GetCallerIdentity"), allow("sts:AssumeRole"))
        role = self.make_role("denied", trust({"AWS": ACCOUNT}), deny("*"))
        session = self.assume(key, role)
        for credentials, arn in (
            (key, f"arn:aws:iam::{ACCOUNT}:user/denied"),
            (session, f"arn:aws:sts::{ACCOUNT}:assumed-role/denied/work"),
        ):
            self.assertEqual(self.client_of("sts", credentials).get_caller_identity()["Arn"], arn)
            command = CommandLine(self.plane)
            command.environment |= {
                "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            }
            if "SessionToken" in credentials:
                command.environment["AWS_SESSION_TOKEN"] = credentials["SessionToken"]
            code, out, err = command.run("get-caller-identity", service="sts")
            self.assertEqual((code, json.loads(out or "{}").get("Arn")), (0, arn), err)
        # Nobody's key, which open mode would let in.
        nobody = {"AccessKeyId": "111122223333", "SecretAccessKey": "test"}
        self.refused("InvalidClientTokenId", INVALID, self.client_of("sts", nobody).get_caller_identity)

    def test_an_inactive_key_is_no_key(self):
        key = self.make_user("inactive", allow("*"))
        self.assertEqual(self.client_of("iam", key).get_user()["User"]["UserName"], "inactive")
        self.iam.update_access_key(UserName="inactive", AccessKeyId=key["AccessKeyId"], Status="Inactive")
        self.refused("InvalidClientTokenId", INVALID, self.client_of("iam", key).list_users)
        self.refused("UnrecognizedClientException", INVALID, self.client_of("ecs", key).list_clusters)
        self.iam.update_access_key(UserName="inactive", AccessKeyId=key["AccessKeyId"], Status="Active")
        self.assertIn("clusterArns", self.client_of("ecs", key).list_clusters())

    def test_sessions_end_when_they_have_to(self):
        key = self.make_user("durations", allow("sts:AssumeRole"))
        long = self.make_role("long", trust({"AWS": ACCOUNT}), allow("sts:AssumeRole"), MaxSessionDuration=43200)
        short = self.make_role("short", trust({"AWS": ACCOUNT}))
        sts = self.client_of("sts", key)
        given = sts.assume_role(RoleArn=long, RoleSessionName="work", DurationSeconds=43200)
        self.refused(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            sts.assume_role, RoleArn=short, RoleSessionName="work", DurationSeconds=43200,
        )
        chained = self.client_of("sts", given["Credentials"])
        self.refused(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            chained.assume_role, RoleArn=long, RoleSessionName="work", DurationSeconds=7200,
        )
        self.assertIn("Credentials", chained.assume_role(RoleArn=long, RoleSessionName="work", DurationSeconds=3600))

    def test_session_policies_and_tags(self):
        key = self.make_user("tagger", allow(["sts:AssumeRole", "sts:TagSession"]))
        plain = self.make_user("plain", allow("sts:AssumeRole"))
        role = self.make_role(
            "tagged", trust({"AWS": ACCOUNT}, "sts:AssumeRole", "sts:TagSession"), allow("ecs:List*"),
            allow("ecs:CreateCluster", "arn:aws:ecs:*:*:cluster/${aws:PrincipalTag/team}-*"),
        )
        tags = [{"Key": "team", "Value": "red"}]
        self.refused(
            "AccessDenied", "sts:TagSession", self.client_of("sts", plain).assume_role,
            RoleArn=role, RoleSessionName="work", Tags=tags,
        )
        ecs = self.client_of("ecs", self.assume(key, role, Tags=tags))
        self.assertEqual(ecs.create_cluster(clusterName="red-1")["cluster"]["status"], "ACTIVE")
        self.refused("AccessDeniedException", "ecs:CreateCluster", ecs.create_cluster, clusterName="blue-1")
        # Without the tag the variable stands for nothing.
        untagged = self.client_of("ecs", self.assume(key, role))
        self.refused("AccessDeniedException", "ecs:CreateCluster", untagged.create_cluster, clusterName="red-2")
        limited = self.client_of("ecs", self.assume(key, role, Tags=tags, Policy=document(allow("ecs:ListClusters"))))
        self.assertIn("clusterArns", limited.list_clusters())
        self.refused(
            "AccessDeniedException", "because no session policy allows the ecs:CreateCluster action",
            limited.create_cluster, clusterName="red-3",
        )

    def test_a_simulation_says_what_calls_meet(self):
        cluster = f"arn:aws:ecs:{self.region}:{ACCOUNT}:cluster"
        boundary = self.iam.create_policy(
            PolicyName="only-these",
            PolicyDocument=document(allow(["ecs:*", "ssm:*", "iam:Get*", "iam:List*", "ec2:*"])),
        )["Policy"]["Arn"]
        key = self.make_user(
            "simulated", allow(["ecs:ListClusters", "ec2:DescribeVpcs", "kms:ListKeys"]),
            allow(["ecs:CreateCluster", "ecs:DeleteCluster"], f"{cluster}/dev-*"), deny("ecs:DeleteCluster", f"{cluster}/dev-1"),
            allow("ssm:GetParameter", "arn:aws:ssm:*:*:parameter/app/*"),
            allow("iam:GetUser", f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"),
            PermissionsBoundary=boundary,
        )
        ecs, ssm, iam, ec2, kms = (self.client_of(name, key) for name in ("ecs", "ssm", "iam", "ec2", "kms"))
        user = f"arn:aws:iam::{ACCOUNT}:user"
        parameter = f"arn:aws:ssm:{self.region}:{ACCOUNT}:parameter"
        table = (
            ("ecs:ListClusters", "*", "allowed", ecs.list_clusters, {}),
            ("ecs:ListServices", "*", "implicitDeny", ecs.list_services, {}),
            ("ecs:CreateCluster", f"{cluster}/dev-1", "allowed", ecs.create_cluster, {"clusterName": "dev-1"}),
            ("ecs:CreateCluster", f"{cluster}/prod", "implicitDeny", ecs.create_cluster, {"clusterName": "prod"}),
            ("ecs:DeleteCluster", f"{cluster}/dev-1", "explicitDeny", ecs.delete_cluster, {"cluster": "dev-1"}),
            ("ecs:DeleteCluster", f"{cluster}/dev-2", "allowed", ecs.delete_cluster, {"cluster": "dev-2"}),
            ("ssm:GetParameter", f"{parameter}/app/x", "allowed", ssm.get_parameter, {"Name": "/app/x"}),
            ("ssm:GetParameter", f"{parameter}/db/x", "implicitDeny", ssm.get_parameter, {"Name": "/db/x"}),
            ("iam:GetUser", f"{user}/simulated", "allowed", iam.get_user, {"UserName": "simulated"}),
            ("iam:GetUser", f"{user}/other", "implicitDeny", iam.get_user, {"UserName": "other"}),
            ("ec2:DescribeVpcs", "*", "allowed", ec2.describe_vpcs, {}),
            # Allowed by its own policy, and not by its boundary.
            ("kms:ListKeys", "*", "implicitDeny", kms.list_keys, {}),
        )
        for action, resource, decision, call, parameters in table:
            [result] = self.iam.simulate_principal_policy(
                PolicySourceArn=f"{user}/simulated", ActionNames=[action], ResourceArns=[resource]
            )["EvaluationResults"]
            with self.subTest(action=action, resource=resource):
                self.assertEqual(result["EvalDecision"], decision)
                self.assertEqual(self.may(call, **parameters), decision == "allowed")
        [boundary] = [self.iam.simulate_principal_policy(
            PolicySourceArn=f"{user}/simulated", ActionNames=["kms:ListKeys"]
        )["EvaluationResults"][0].get("PermissionsBoundaryDecisionDetail")]
        self.assertEqual(boundary, {"AllowedByPermissionsBoundary": False})

    def test_who_passes_no_role_starts_nothing_with_one(self):
        self.ecs.create_cluster(clusterName="passing")
        role = self.make_role("passed", trust({"Service": "ecs-tasks.amazonaws.com"}))
        key = self.make_user("passes-none", allow("ecs:*"))
        ecs = self.client_of("ecs", key)
        container = {"name": "web", "image": "web", "memory": 32}
        denied = (
            f"User: arn:aws:iam::{ACCOUNT}:user/passes-none is not authorized to perform: iam:PassRole "
            f"on resource: {role} because no identity-based policy allows the iam:PassRole action"
        )
        for member in ("taskRoleArn", "executionRoleArn"):
            self.refused(
                "AccessDeniedException", denied, ecs.register_task_definition,
                family="passing", containerDefinitions=[container], **{member: role},
            )
        definition = self.register("passing", {}, taskRoleArn=role)
        bare = self.register("bare", {})
        self.refused(
            "AccessDeniedException", denied, ecs.run_task, cluster="passing", taskDefinition=definition
        )
        overrides = {"taskRoleArn": role}
        self.refused(
            "AccessDeniedException", denied, ecs.run_task,
            cluster="passing", taskDefinition=bare, overrides=overrides,
        )
        self.ecs.create_service(cluster="passing", serviceName="web", taskDefinition=definition, desiredCount=0)
        scaled = ecs.update_service(cluster="passing", service="web", desiredCount=2)["service"]
        self.assertEqual(scaled["desiredCount"], 2)
        self.refused(
            "AccessDeniedException", denied, ecs.update_service,
            cluster="passing", service="web", taskDefinition=definition,
        )
        # Passing it to other services is not passing it to tasks.
        other = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
        own = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
        for condition, may in ((other, False), (own, True)):
            policy = document(allow("ecs:*"), allow("iam:PassRole", role, Condition=condition))
            self.iam.put_user_policy(UserName="passes-none", PolicyName="own", PolicyDocument=policy)
            passed = self.may(ecs.update_service, cluster="passing", service="web", taskDefinition=definition)
            self.assertEqual(passed, may)
        self.ecs.delete_service(cluster="passing", service="web", force=True)

    def test_policies_of_resources_meet_those_of_callers(self):
        """Who is named decides which other policies still count (J6)."""
        manager = self.client_of("secretsmanager")
        secret = manager.create_secret(Name="combined", SecretString="x")["ARN"]
        read = "secretsmanager:GetSecretValue"
        nothing = self.iam.create_policy(PolicyName="nothing-here", PolicyDocument=document(allow("sqs:*")))["Policy"]["Arn"]
        operator = self.make_user("starts", allow("sts:AssumeRole"))
        trusted = trust({"AWS": ACCOUNT})
        users = {
            "user": self.make_user("c-user"),
            "user within a boundary": self.make_user("c-bounded", PermissionsBoundary=nothing),
            "user who may": self.make_user("c-able", allow(read)),
            "user who may, within a boundary": self.make_user("c-able-bounded", allow(read), PermissionsBoundary=nothing),
            "user who must not": self.make_user("c-denied", deny(read)),
        }
        role = self.make_role("c-role", trusted)
        bounded = self.make_role("c-bounded", trusted, PermissionsBoundary=nothing)
        able = self.make_role("c-able", trusted, allow(read))
        limit, forbid = document(allow("sqs:*")), document(allow(read), deny(read))
        callers = {
            **users,
            "session": self.assume(operator, role),
            "session with a policy": self.assume(operator, role, Policy=limit),
            "session within a boundary": self.assume(operator, bounded),
            "session that must not": self.assume(operator, role, Policy=forbid),
            "session of a role that may": self.assume(operator, able),
            "session of a role that may, with a policy": self.assume(operator, able, Policy=limit),
        }
        iam, sts = f"arn:aws:iam::{ACCOUNT}", f"arn:aws:sts::{ACCOUNT}:assumed-role"
        able_alone = {"user who may", "session of a role that may"}
        table = (
            ("nobody", None, able_alone),
            ("the account", f"{iam}:root", able_alone),
            (
                "the users", [f"{iam}:user/{name}" for name in ("c-user", "c-bounded", "c-able", "c-able-bounded", "c-denied")],
                able_alone | {"user", "user within a boundary", "user who may, within a boundary"},
            ),
            # Named, a role still is within its boundary and the session's policy.
            ("the roles", [role, bounded, able], able_alone | {"session"}),
            # A session that is named has the right from here alone.
            (
                "the sessions", [f"{sts}/{name}/work" for name in ("c-role", "c-bounded", "c-able")],
                able_alone | {
                    "session", "session with a policy", "session within a boundary",
                    "session of a role that may, with a policy",
                },
            ),
        )
        for named, principal, expected in table:
            if principal is not None:
                statement = {**allow(read), "Principal": {"AWS": principal}}
                manager.put_resource_policy(SecretId=secret, ResourcePolicy=document(statement))
            found = {
                name for name, key in callers.items()
                if self.may(self.client_of("secretsmanager", key).get_secret_value, SecretId=secret)
            }
            self.assertEqual(found, expected, f"the secret's policy names {named}")
        refuse = {**deny(read), "Principal": "*"}
        manager.put_resource_policy(SecretId=secret, ResourcePolicy=document(refuse), BlockPublicPolicy=False)
        found = {
            name for name, key in callers.items()
            if self.may(self.client_of("secretsmanager", key).get_secret_value, SecretId=secret)
        }
        self.assertEqual(found, set(), "the secret's policy forbids it to all")


class Guests(Identities, ServerCase):
    """Open mode, with the key that examples and other emulators use (J, 25)."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plane.env |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        cls.ecs, cls.aws = cls.client(), CommandLine(cls.plane)

    def test_everything_works_as_before_there_were_policies(self):
        self.ecs.create_cluster(clusterName=self.cluster)
        # A user with fewer rights takes none from guests.
        key = self.make_user("few", allow("ecs:ListClusters"))
        self.assertFalse(self.may(self.client_of("ecs", key).create_cluster, clusterName="x"))
        # Roles as they stand in definitions that were copied from elsewhere, and made by nobody here.
        role = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
        definition = self.register("guest", {}, executionRoleArn=role, taskRoleArn=role)
        self.assertEqual(self.aws.json("describe-task-definition", "--task-definition", "guest")["taskDefinition"]["taskRoleArn"], role)
        self.ecs.create_service(cluster=self.cluster, serviceName="web", taskDefinition=definition, desiredCount=1)
        self.assertEqual(self.service("web")["desiredCount"], 1)
        self.ecs.delete_service(cluster=self.cluster, service="web", force=True)
        self.assert_refused(
            "InvalidParameterException", "No Container Instances were found in your cluster.",
            self.ecs.run_task, cluster=self.cluster, taskDefinition=definition,
        )
        made = self.make_role("mine", trust({"AWS": ACCOUNT}), allow("ecs:ListClusters"))
        session = self.assume(None, made)
        self.assertIn("clusterArns", self.client_of("ecs", session).list_clusters())
        self.assertFalse(self.may(self.client_of("ecs", session).create_cluster, clusterName="x"))
        self.client_of("secretsmanager").create_secret(Name="guest", SecretString="x")
        self.assertEqual(self.client_of("secretsmanager").get_secret_value(SecretId="guest")["SecretString"], "x")
        self.client_of("ssm").put_parameter(Name="/guest", Value="x", Type="SecureString")
        self.assertEqual(self.client_of("ssm").get_parameter(Name="/guest", WithDecryption=True)["Parameter"]["Value"], "x")
        kms = self.client_of("kms")
        blob = kms.encrypt(KeyId=kms.create_key()["KeyMetadata"]["KeyId"], Plaintext=b"x")["CiphertextBlob"]
        self.assertEqual(kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"x")
        vpc = self.client_of("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.client_of("ec2").delete_vpc(VpcId=vpc)

    def test_the_service_linked_role_is_aws_own(self):
        # In an account of its own, in which nobody has made a cluster yet.
        key = {"AccessKeyId": "111122223333", "SecretAccessKey": "test"}
        iam, name = self.client_of("iam", key), "AWSServiceRoleForECS"
        role = iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")["Role"]
        self.assertEqual((role["RoleName"], role["Path"]), (name, "/aws-service-role/ecs.amazonaws.com/"))
        self.refused(
            "InvalidInput",
            f"Service role name {name} has been taken in this account, please try a different suffix.",
            iam.create_service_linked_role, AWSServiceName="ecs.amazonaws.com",
        )
        protected = f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        self.refused("UnmodifiableEntity", protected, iam.delete_role, RoleName=name)
        self.refused(
            "UnmodifiableEntity", protected, iam.put_role_policy,
            RoleName=name, PolicyName="own", PolicyDocument=document(allow("*")),
        )
        self.client_of("ecs", key).create_cluster(clusterName="holds-the-role")
        deletion = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
        self.assertRegex(deletion, rf"\Atask/aws-service-role/ecs.amazonaws.com/{name}/[0-9a-f-]{{36}}\Z")
        status = iam.get_service_linked_role_deletion_status(DeletionTaskId=deletion)
        self.assertEqual(status["Status"], "FAILED")


class Workloads(Identities, EngineCase):
    """Strict mode, with an instance on which tasks run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("up", "--cluster", cls.cluster, "--instances", "1", "--auth", "strict")

    def test_a_role_that_tasks_may_not_assume(self):
        tasks = {"Service": "ecs-tasks.amazonaws.com"}
        for name, role in (
            ("untrusting", self.make_role("untrusting", trust({"Service": "ec2.amazonaws.com"}))),
            # In strict mode a role that nobody has made is no more than that.
            ("unmade", f"arn:aws:iam::{ACCOUNT}:role/unmade"),
        ):
            definition = self.register(name, {"image": BUSYBOX, "command": ["sleep", "600"], "stopTimeout": 2}, taskRoleArn=role)
            reason = (
                f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role "
                "being passed has the proper trust relationship and permissions and that your IAM user has permissions "
                "to pass this role."
            )
            self.assert_refused("ClientException", reason, self.ecs.run_task, cluster=self.cluster, taskDefinition=definition)
            self.create_service(name, definition, 1)
            self.wait_message(name, f"(service {name}) failed to launch a task with (error {reason}).")
        # As soon as it trusts tasks, the service goes on by itself.
        self.iam.update_assume_role_policy(RoleName="untrusting", PolicyDocument=trust(tasks))
        self.wait_running("untrusting", 1, 90)

    def test_new_tasks_have_the_new_secret(self):
        out = pathlib.Path(tempfile.mkdtemp(prefix="longshore-rights-"))
        self.addCleanup(shutil.rmtree, out, ignore_errors=True)
        manager = self.client_of("secretsmanager")
        secret = manager.create_secret(Name="rolled", SecretString="one")["ARN"]
        role = self.make_role(
            "reads-rolled", trust({"Service": "ecs-tasks.amazonaws.com"}), allow("secretsmanager:GetSecretValue", secret)
        )
        container = {
            "image": BUSYBOX, "memory": 32, "stopTimeout": 2,
            "command": ["sh", "-c", 'trap "exit 0" TERM; while true; do echo "$SECRET" > /out/$HOSTNAME; sleep 0.2; done'],
            "secrets": [{"name": "SECRET", "valueFrom": secret}],
            "mountPoints": [{"sourceVolume": "out", "containerPath": "/out"}],
        }
        definition = self.register(
            "rolled", container, executionRoleArn=role, volumes=[{"name": "out", "host": {"sourcePath": str(out)}}]
        )
        self.create_service("rolled", definition, 1)
        self.wait_running("rolled", 1)

        def values():
            return sorted(path.read_text().strip() for path in out.iterdir())

        eventually(values, lambda found: found == ["one"], what="the value of the first task")
        [old] = out.iterdir()
        manager.put_secret_value(SecretId="rolled", SecretString="two")
        # Another value alone reaches nobody: also what the running task has stays as it was.
        old.unlink()
        eventually(values, lambda found: found == ["one"], what="the old value in the old task")
        answer = self.aws.json(
            *("update-service", "--cluster", self.cluster, "--service", "rolled", "--force-new-deployment")
        )
        self.assertEqual(len(answer["service"]["deployments"]), 2)
        self.wait_running("rolled", 1, 60)
        eventually(values, lambda found: found == ["one", "two"], what="the value of the new task")
        self.assertEqual(old.read_text().strip(), "one")
