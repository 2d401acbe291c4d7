"""The operator's commands: users, keys and policies with a server and without one, and the keys that seal the store."""

import json
import os
import random
import re
import shlex
import shutil
import stat
import subprocess
import threading
import time

import botocore.exceptions
from harness.cases import Case, ServerCase
from harness.process import BINARY, ControlPlane, Process, read_env
from harness.wait import eventually

ACCOUNT = "000000000000"
LOOK = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}}


def run(*arguments, env=None, code=0, **more):
    """Runs the binary with nothing but this environment; gives what it printed, with its complaint where it should fail."""
    clean = Process([], "/nonexistent/log", env).environment
    done = subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=300, env=clean, check=False, **more
    )
    if done.returncode != code:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout if code == 0 else done.stdout + done.stderr


def key_of(text):
    """The access key in lines for a shell."""
    found = {}
    for line in text.splitlines():
        name, value = line.removeprefix("export ").split("=", 1)
        found[name] = "".join(shlex.split(value))
    return {"AccessKeyId": found["AWS_ACCESS_KEY_ID"], "SecretAccessKey": found["AWS_SECRET_ACCESS_KEY"]}


class Offline(Case):
    """Data directories that no server uses, or not always."""

    def setUp(self):
        super().setUp()
        self.data = self.directory / self._testMethodName / "data"
        self.data.parent.mkdir()
        self.at = ("--data-dir", self.data)

    def server(self, *options):
        plane = ControlPlane("server", self.data, options=options)
        self.addCleanup(plane.stop)
        self.plane = plane.start()
        self.region = plane.env["AWS_DEFAULT_REGION"]
        return plane

    def test_the_first_admin_is_made_before_the_first_start(self):
        missing = run("user", "list", *self.at, code=1)
        self.assertIn("there is nothing in", missing)
        admin = key_of(run("key", "create", "--user", "admin", "--policy", "AdministratorAccess", *self.at))
        listed = json.loads(run("key", "list", "--format", "json", *self.at))
        self.assertEqual([(key["id"], key["of"]) for key in listed], [(admin["AccessKeyId"], "admin")])
        for path in self.data.rglob("*"):
            if path.is_file():
                self.assertNotIn(admin["SecretAccessKey"].encode(), path.read_bytes(), path)
        self.server("--auth", "strict")
        arn = self.client_of("sts", admin).get_caller_identity()["Arn"]
        self.assertEqual(arn, f"arn:aws:iam::{ACCOUNT}:user/admin")
        self.client_of("ecs", admin).create_cluster(clusterName="made-by-admin")
        # The same command goes through the server now, and so do all others.
        deploy = key_of(run("key", "create", "--user", "deploy", "--policy", "AmazonECS_FullAccess", *self.at))
        self.client_of("ecs", deploy).list_clusters()
        self.refused("AccessDenied", "iam:CreateUser", self.client_of("iam", deploy).create_user, UserName="eve")

    def test_users_and_keys_of_another_account_are_its_own(self):
        other = ("--account", "111122223333", *self.at)
        run("user", "create", "ada", "--path", "/team/", *other)
        self.assertEqual(run("user", "list", *self.at).split(), ["NAME", "PATH", "ARN", "CREATED"])
        users = json.loads(run("user", "list", "--format", "json", *other))
        self.assertEqual([user["arn"] for user in users], ["arn:aws:iam::111122223333:user/team/ada"])
        accounts = json.loads(run("account", "list", "--format", "json", *self.at))
        self.assertEqual([(own["account"], own["users"]) for own in accounts], [(ACCOUNT, 0), ("111122223333", 1)])
        key = key_of(run("key", "create", "--user", "ada", *other))
        self.server()
        self.assertEqual(self.client_of("sts", key).get_caller_identity()["Account"], "111122223333")
        refused = run("user", "list", *other, code=1)
        self.assertIn(f"the access key is of account {ACCOUNT}", refused)
        self.assertIn("stop the server", refused)

    def test_the_operators_key_is_remade_by_who_has_the_directory(self):
        self.assertIn("there is no operator's key", run("key", "operator", *self.at, code=1))
        plane = self.server("--auth", "strict")
        old = plane.env["AWS_ACCESS_KEY_ID"]
        self.assertEqual(run("key", "operator", *self.at).strip(), old)
        listed = json.loads(run("key", "list", "--format", "json", *self.at))
        self.assertEqual([(key["id"], key["of"], key["kept"]) for key in listed], [(old, "root", "file")])
        self.assertIn("longshore key operator --renew", run("key", "delete", old, *self.at, code=1))
        for call, more in (("delete_access_key", {}), ("update_access_key", {"Status": "Inactive"})):
            with self.assertRaises(botocore.exceptions.ClientError):
                getattr(self.client_of("iam"), call)(AccessKeyId=old, **more)
        self.assertIn("stop it", run("key", "operator", "--renew", *self.at, code=1))
        before = {"AccessKeyId": old, "SecretAccessKey": plane.env["AWS_SECRET_ACCESS_KEY"]}
        plane.stop()
        new = key_of(run("key", "operator", "--renew", *self.at))
        self.assertNotEqual(new["AccessKeyId"], old)
        plane.start()
        self.assertEqual(read_env(plane.env_path)["AWS_ACCESS_KEY_ID"], new["AccessKeyId"])
        self.client_of("ecs", new).list_clusters()
        self.refused("UnrecognizedClientException", "token", self.client_of("ecs", before).list_clusters)

    def with_secrets(self):
        """A server with something of each kind that is sealed; gives what reads it all again."""
        plane = self.server("--auth", "strict")
        iam, secrets, ssm = (self.client_of(name) for name in ("iam", "secretsmanager", "ssm"))
        iam.create_user(UserName="ada")
        iam.put_user_policy(UserName="ada", PolicyName="own", PolicyDocument=json.dumps(LOOK))
        iam.create_login_profile(UserName="ada", Password="Correct-horse-7")
        key = iam.create_access_key(UserName="ada")["AccessKey"]
        secrets.create_secret(Name="s", SecretString="hunter2")
        ssm.put_parameter(Name="/p", Value="hunter3", Type="SecureString")
        token = self.client_of("sts", key).get_session_token()["Credentials"]

        def read(with_session=True):
            self.assertEqual(self.client_of("secretsmanager").get_secret_value(SecretId="s")["SecretString"], "hunter2")
            parameter = self.client_of("ssm").get_parameter(Name="/p", WithDecryption=True)["Parameter"]
            self.assertEqual(parameter["Value"], "hunter3")
            self.client_of("ecs", key).list_clusters()
            if with_session:
                self.client_of("ecs", token).list_clusters()

        read()
        return plane, read

    def data_keys(self, *more):
        """By number, how many records `check` finds under it."""
        said = run("check", *self.at, *more)
        self.assertIn("root key: fits", said)
        return {int(number): int(count) for number, count in re.findall(r"^data key (\d+) .* records (\d+)", said, re.M)}

    def test_a_new_data_key_while_calls_go_on(self):
        plane, read = self.with_secrets()
        failures, is_over = [], threading.Event()

        def call():
            while not is_over.is_set():
                try:
                    read()
                except Exception as error:  # whatever it is, it is shown
                    failures.append(error)
                    return

        caller = threading.Thread(target=call)
        caller.start()
        for number in (2, 3, 4):
            said = run("key", "rotate", *self.at)
            self.assertIn(f"data key {number} made", said)
            time.sleep(0.3)
        is_over.set()
        caller.join()
        self.assertEqual(failures, [])
        guest = {"AWS_ENDPOINT_URL": plane.endpoint, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
        run("key", "rotate", env=guest, code=1)
        plane.kill()
        plane.start()
        read()

        # The rest is sealed again by whichever server runs.
        def is_done():
            plane.stop()
            found = self.data_keys()
            plane.start()
            return found

        found = eventually(is_done, lambda found: [n for n, count in found.items() if count] == [4], what="data keys")
        self.assertGreaterEqual(found[4], 5)
        read()
        plane.stop()
        self.assertIn("data key 5", run("key", "rotate", *self.at))
        self.assertEqual([number for number, count in self.data_keys().items() if count], [5])
        plane.start()
        read()

    def test_a_new_root_key(self):
        plane, read = self.with_secrets()
        self.assertIn("stop it", run("key", "rotate", "--root", *self.at, code=1))
        plane.stop()
        old = (self.data / "root.key").read_text()
        run("key", "rotate", "--root", *self.at)
        new = (self.data / "root.key").read_text()
        self.assertNotEqual(new, old)
        self.assertEqual(stat.S_IMODE((self.data / "root.key").stat().st_mode), 0o600)
        kept = [path for path in self.data.glob("root.key.*")]
        self.assertEqual([path.read_text() for path in kept], [old])
        plane.start()
        read()
        plane.stop()
        # The old one opens it no more, and says so.
        (self.data / "root.key").write_text(old)
        refused = run("server", "--listen", "127.0.0.1:0", *self.at, code=1)
        self.assertIn("does not open this store", refused)
        self.assertIn("the root key does not fit: ", run("check", *self.at, code=1))
        self.assertNotIn(old.strip(), refused)
        self.assertIn("does not open this store", run("user", "list", *self.at, code=1))
        (self.data / "root.key").write_text(new)

        # A file of the operator's.
        mine, other = self.data.parent / "mine.key", self.data.parent / "other.key"
        (self.data / "root.key").rename(mine)
        named = ("--root-key", mine)
        self.assertIn("--new-root-key", run("key", "rotate", "--root", *named, *self.at, code=2))
        run("key", "rotate", "--root", "--new-root-key", other, *named, *self.at)
        self.assertEqual(stat.S_IMODE(other.stat().st_mode), 0o600)
        self.assertTrue(self.data_keys("--root-key", other))
        self.plane = ControlPlane("server", self.data, options=("--root-key", other))
        self.addCleanup(self.plane.stop)
        self.plane.start()
        read()

    def test_a_change_of_the_root_key_that_breaks_off(self):
        plane, read = self.with_secrets()
        plane.stop()
        whole = self.data.parent / "whole"
        shutil.copytree(self.data, whole)
        old = (self.data / "root.key").read_text()
        run("key", "rotate", "--root", *self.at)
        new = (self.data / "root.key").read_text()
        done = self.data.parent / "done"
        shutil.copytree(self.data, done)

        def begin(source, **files):
            shutil.rmtree(self.data)
            shutil.copytree(source, self.data)
            for path in self.data.glob("root.key*"):
                path.unlink()
            for name, text in files.items():
                (self.data / name.replace("_", ".")).write_text(text)

        # After each of its steps, as they are found on the disk: what the store is under counts.
        for source, files, key in (
            (whole, {"root_key": old, "root_key_next": new}, old),
            (done, {"root_key": old, "root_key_next": new}, new),
            (done, {"root_key_next": new}, new),
            (done, {"root_key": new}, new),
        ):
            with self.subTest(store=source.name, files=list(files)):
                begin(source, **files)
                self.assertTrue(self.data_keys())
                plane.start()
                read()
                plane.stop()
                self.assertEqual((self.data / "root.key").read_text(), key)
                self.assertFalse((self.data / "root.key.next").exists())

        # And killed wherever it happens to be.
        begin(whole, root_key=old)
        seed = int(os.environ.get("LONGSHORE_E2E_SEED", time.time()))
        chance = random.Random(seed)
        for round_ in range(12):
            arguments = [BINARY, "key", "rotate", "--root", *map(str, self.at)]
            child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.25))
            child.kill()
            child.wait()
            self.assertTrue(self.data_keys(), f"round {round_} of seed {seed}")
        plane.start()
        read()


class Online(ServerCase):
    """Through a server, with the environment's key."""

    def verb(self, *arguments, key=None, code=0):
        environment = {name: value for name, value in self.plane.env.items() if name.startswith("AWS_")}
        if key is not None:
            environment["AWS_ACCESS_KEY_ID"] = key["AccessKeyId"]
            environment["AWS_SECRET_ACCESS_KEY"] = key["SecretAccessKey"]
            if "SessionToken" in key:
                environment["AWS_SESSION_TOKEN"] = key["SessionToken"]
        return run(*arguments, env=environment, code=code)

    def test_a_key_is_held_to_its_policies(self):
        key = key_of(self.verb("key", "create", "--user", "deploy", "--policy", "AmazonECS_FullAccess"))
        ecs, iam = self.client_of("ecs", key), self.client_of("iam", key)
        ecs.create_cluster(clusterName="deployed")
        self.refused("AccessDenied", "iam:ListUsers", iam.list_users)
        written = json.loads(self.verb("key", "create", "--user", "deploy", "--format", "json"))
        self.assertEqual((written["UserName"], written["Account"]), ("deploy", ACCOUNT))
        self.assertIn("two keys already", self.verb("key", "create", "--user", "deploy", code=1))
        self.verb("key", "deactivate", key["AccessKeyId"])
        self.refused("UnrecognizedClientException", "invalid", ecs.list_clusters)
        self.verb("key", "activate", key["AccessKeyId"])
        ecs.list_clusters()
        self.verb("key", "delete", written["AccessKeyId"])
        listed = self.verb("key", "list", "--user", "deploy")
        self.assertIn(key["AccessKeyId"], listed)
        self.assertNotIn(written["AccessKeyId"], listed)
        self.assertIn("there is no key", self.verb("key", "delete", written["AccessKeyId"], code=1))
        # A user may not do with these commands what he may not do otherwise.
        self.assertIn("AccessDenied", self.verb("user", "list", key=key, code=1))
        self.assertIn("for the operator's key alone", self.verb("key", "rotate", key=key, code=1))
        self.assertIn("for the operator's key alone", self.verb("account", "list", key=key, code=1))
        self.verb("policy", "detach", "AmazonECS_FullAccess", "--user", "deploy")
        self.refused("AccessDeniedException", "ecs:ListClusters", ecs.list_clusters)
        self.verb("policy", "attach", "ReadOnlyAccess", "--user", "deploy")
        ecs.list_clusters()
        shown = json.loads(self.verb("user", "show", "deploy", "--format", "json"))
        self.assertEqual(shown["policies"], ["arn:aws:iam::aws:policy/ReadOnlyAccess"])
        self.assertIn("--force", self.verb("user", "delete", "deploy", code=1))
        self.verb("user", "delete", "deploy", "--force")
        listed = self.verb("key", "list", "--format", "json")
        self.assertNotIn(key["AccessKeyId"], listed)
        self.assertIn("NoSuchEntity", self.verb("user", "show", "deploy", code=1))

    def test_nothing_is_made_where_something_is_wrong(self):
        said = self.verb("key", "create", "--user", "nobody", "--policy", "NoSuchPolicy", code=1)
        self.assertIn("there is no managed policy NoSuchPolicy; `longshore policy list` shows them", said)
        self.assertIn("NoSuchEntity", self.verb("user", "show", "nobody", code=1))
        self.assertIn("name a user with --user", self.verb("key", "create", code=2))
        self.assertIn("one of --user, --role and --group", self.verb("policy", "attach", "ReadOnlyAccess", code=2))

    def test_policies_are_shown_and_checked(self):
        self.assertIn("AmazonECS_FullAccess", self.verb("policy", "list", "--scope", "aws"))
        self.assertEqual(self.verb("policy", "list", "--scope", "own").split(), ["NAME", "ARN", "VERSION", "ATTACHED"])
        document = json.loads(self.verb("policy", "show", "AmazonECS_FullAccess"))
        self.assertEqual(document["Version"], "2012-10-17")
        file = self.directory / "policy.json"
        file.write_text(json.dumps(LOOK))
        self.assertIn("1 statement(s)", run("policy", "check", file))
        broken = {**LOOK, "Statement": [LOOK["Statement"], {"Effect": "Allow", "Action": "RunTask", "Resource": "*"}]}
        file.write_text(json.dumps(broken, indent=2))
        done = subprocess.run([BINARY, "policy", "check", file], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, rf"\A{re.escape(str(file))}:9:5: statement 2: Actions/Conditions must be prefaced")

    def test_explain_access_agrees_with_what_calls_get(self):
        iam = self.client_of("iam")
        statements = [
            {"Sid": "Look", "Effect": "Allow", "Action": ["ecs:List*", "ecs:Describe*"], "Resource": "*"},
            {"Sid": "Blue", "Effect": "Allow", "Action": "ecs:DeleteCluster", "Resource": "*",
             "Condition": {"StringEquals": {"aws:ResourceTag/team": "blue"}}},
            {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue", "ecs:CreateCluster"], "Resource": "*"},
            {"Sid": "NoRed", "Effect": "Deny", "Action": "ecs:*", "Resource": "*",
             "Condition": {"StringEquals": {"aws:ResourceTag/team": "red"}}},
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.create_user(UserName="asked")
        iam.put_user_policy(UserName="asked", PolicyName="own", PolicyDocument=policy)
        arn = iam.get_user(UserName="asked")["User"]["Arn"]
        key = iam.create_access_key(UserName="asked")["AccessKey"]
        trust = {"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}}
        role = iam.create_role(RoleName="asked", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName="asked", PolicyName="own", PolicyDocument=policy)
        session = self.client_of("sts", key).assume_role(RoleArn=role, RoleSessionName="me")
        session_arn, session = session["AssumedRoleUser"]["Arn"], session["Credentials"]
        ecs, secrets = self.client_of("ecs"), self.client_of("secretsmanager")
        clusters = {}
        for team in ("blue", "red", "green"):
            tags = [{"key": "team", "value": team}]
            clusters[team] = ecs.create_cluster(clusterName=team, tags=tags)["cluster"]["clusterArn"]
        kept = {}
        for name, effect in (("open", None), ("shut", "Deny")):
            kept[name] = secrets.create_secret(Name=name, SecretString="x")["ARN"]
            if effect:
                own = {"Version": "2012-10-17", "Statement": {
                    "Effect": effect, "Principal": {"AWS": arn}, "Action": "secretsmanager:GetSecretValue",
                    "Resource": "*"}}
                secrets.put_resource_policy(SecretId=name, ResourcePolicy=json.dumps(own))

        def really(key, action, resource):
            """Whether the call gets through."""
            service, name = action.split(":")
            client = self.client_of(service, key)
            calls = {
                "ListClusters": lambda: client.list_clusters(),
                "DescribeClusters": lambda: client.describe_clusters(clusters=[resource]),
                "DeleteCluster": lambda: client.delete_cluster(cluster=resource),
                "CreateCluster": lambda: client.create_cluster(clusterName=resource.rsplit("/", 1)[1]),
                "GetSecretValue": lambda: client.get_secret_value(SecretId=resource),
                "ListUsers": lambda: client.list_users(),
                "AssumeRole": lambda: client.assume_role(RoleArn=resource, RoleSessionName="asked"),
            }
            try:
                calls[name]()
            except botocore.exceptions.ClientError as error:
                return error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException")
            return True

        principals = (
            (arn, key), (session_arn, session),
            (f"arn:aws:iam::{ACCOUNT}:root", None),
        )
        # What deletes comes last.
        questions = [("ecs:ListClusters", "*"), ("iam:ListUsers", f"arn:aws:iam::{ACCOUNT}:user/")]
        questions += [("ecs:DescribeClusters", cluster) for cluster in clusters.values()]
        questions += [("ecs:CreateCluster", clusters["green"])]
        questions += [("secretsmanager:GetSecretValue", own) for own in kept.values()]
        questions += [("sts:AssumeRole", role)]
        questions += [("ecs:DeleteCluster", clusters[team]) for team in ("red", "green", "blue")]
        seen = set()
        for action, resource in questions:
            for whom, own in principals:
                if action == "ecs:DeleteCluster" and own is None:
                    continue
                with self.subTest(whom=whom, action=action, resource=resource):
                    said = self.verb("explain", "access", "--as", whom, "--action", action, "--resource", resource)
                    word = "allowed" if really(own, action, resource) else "denied"
                    self.assertTrue(said.startswith(f"{word}: {whom} "), said)
                    seen.add(word)
                    if action == "ecs:DescribeClusters" and own is not None:
                        part = "(NoRed)" if resource == clusters["red"] else "statement 1 (Look) of inline policy own of "
                        self.assertIn(part, said)
                    if action == "ecs:DeleteCluster" and word == "allowed":
                        self.assertIn("(Blue)", said)
        self.assertEqual(seen, {"allowed", "denied"})
        missing = self.verb(
            "explain", "access", "--as", arn + "x", "--action", "ecs:ListClusters", code=1
        )
        self.assertIn("`longshore user list`", missing)
        # Whoever may not simulate may not ask either.
        refused = self.verb("explain", "access", "--as", arn, "--action", "ecs:ListClusters", key=key, code=1)
        self.assertIn("iam:SimulatePrincipalPolicy", refused)
