"""A workflow of GitHub deploys: the action for credentials, then the one for ECS, with a token of the workflow's.

Both are JavaScript around the AWS SDK, from no registry of packages. Where `LONGSHORE_E2E_ACTIONS` names a directory
with checkouts of aws-actions' `configure-aws-credentials` and `amazon-ecs-deploy-task-definition` they run themselves;
elsewhere the same SDK makes the same calls in their order (identity J, 8).
"""

import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import unittest
import urllib.parse

from harness.cases import WEB_1, WEB_2, EngineCase
from harness.issuer import Issuer
from harness.tools import JS_SDK
from harness.wait import STRETCH

ACCOUNT = "000000000000"
ISSUER = "https://token.actions.githubusercontent.com"
ACTIONS = os.environ.get("LONGSHORE_E2E_ACTIONS")
# What a job of a workflow has in its environment, as far as the actions look at it.
JOB = {
    "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_WORKFLOW": "deploy", "GITHUB_ACTION": "aws",
    "GITHUB_ACTOR": "ada", "GITHUB_SHA": "0" * 40, "GITHUB_REF": "refs/heads/main", "GITHUB_RUN_ID": "1",
    "GITHUB_SERVER_URL": "https://github.com", "RUNNER_TEMP": "/tmp",
}

# What `configure-aws-credentials` does with a role and the right to ask for a token.
CREDENTIALS = """
const { STSClient, AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");
const fs = require("fs");
async function main() {
    const asked = process.env.ACTIONS_ID_TOKEN_REQUEST_URL + "&audience=sts.amazonaws.com";
    const headers = { authorization: "Bearer " + process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN };
    const WebIdentityToken = (await (await fetch(asked, { headers })).json()).value;
    const region = process.env["INPUT_AWS-REGION"];
    const given = await new STSClient({ region }).send(new AssumeRoleWithWebIdentityCommand({
        RoleArn: process.env["INPUT_ROLE-TO-ASSUME"], RoleSessionName: "GitHubActions", DurationSeconds: 3600,
        WebIdentityToken,
    }));
    const found = {
        AWS_REGION: region, AWS_DEFAULT_REGION: region, AWS_ACCESS_KEY_ID: given.Credentials.AccessKeyId,
        AWS_SECRET_ACCESS_KEY: given.Credentials.SecretAccessKey, AWS_SESSION_TOKEN: given.Credentials.SessionToken,
    };
    Object.assign(process.env, found);
    const who = await new STSClient({ region }).send(new GetCallerIdentityCommand({}));
    if (who.UserId !== given.AssumedRoleUser.AssumedRoleId) throw new Error("somebody else: " + who.Arn);
    for (const [name, value] of Object.entries(found)) {
        fs.appendFileSync(process.env.GITHUB_ENV, `${name}<<end\\n${value}\\nend\\n`);
    }
}
main().catch((error) => { console.log(`::error::${error.message}`); process.exitCode = 1; });
"""

# What `amazon-ecs-deploy-task-definition` does with a service that ECS itself deploys, waiting for it.
DEPLOY = """
const { ECS, waitUntilServicesStable } = require("@aws-sdk/client-ecs");
const fs = require("fs");
async function main() {
    const client = new ECS({ maxAttempts: 3, retryMode: "standard" });
    const [service, cluster] = [process.env.INPUT_SERVICE, process.env.INPUT_CLUSTER];
    const text = fs.readFileSync(process.env["INPUT_TASK-DEFINITION"], "utf8");
    const { taskDefinition } = await client.registerTaskDefinition(JSON.parse(text));
    const found = await client.describeServices({ services: [service], cluster });
    if (found.failures.length > 0 || found.services[0].status !== "ACTIVE") throw new Error("no such service");
    const before = found.services[0].deployments.find((one) => one.status === "PRIMARY").id;
    const updated = await client.updateService({
        cluster, service, taskDefinition: taskDefinition.taskDefinitionArn, forceNewDeployment: false,
        enableECSManagedTags: null, propagateTags: null, volumeConfigurations: [],
    });
    const after = updated.service.deployments.find((one) => one.status === "PRIMARY").id;
    await waitUntilServicesStable({ client, minDelay: 15, maxWaitTime: 300 }, { services: [service], cluster });
    const ended = (await client.describeServices({ services: [service], cluster })).services[0].deployments;
    const own = ended.find((one) => one.id === after);
    if (after === before || !own || own.rolloutState === "FAILED") throw new Error("it was rolled back");
}
main().catch((error) => { console.log(`::error::${error.message}`); process.exitCode = 1; });
"""


class Tokens(http.server.BaseHTTPRequestHandler):
    """The service that gives a job its token; `server.claims` are those of the job."""

    def do_GET(self):
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        granted = self.headers["authorization"] == "Bearer job"
        value = self.server.issuer.token(**{**self.server.claims, "aud": asked["audience"]}) if granted else None
        body = json.dumps({"value": value}).encode()
        self.send_response(200 if granted else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@unittest.skipUnless(
    shutil.which("node") and (JS_SDK / "node_modules/@aws-sdk/client-ecs").is_dir(),
    "there is no Node.js, or scripts/prerequisites --tests has not brought its SDK",
)
class Workflow(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.issuer = Issuer(ISSUER, cls.directory)
        cls.start_plane(
            "up", "--cluster", cls.cluster, "--instances", "1", "--auth", "strict",
            "--oidc-keys", str(cls.issuer.keys_path),
        )
        cls.tokens = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
        cls.tokens.issuer, cls.tokens.claims = cls.issuer, {}
        threading.Thread(target=cls.tokens.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.tokens.server_close)
        cls.addClassCleanup(cls.tokens.shutdown)

    def step(self, action, replay, inputs, environment):
        """One step of the job: its exit code, what it prints, and the environment that it leaves to the next."""
        left, output = self.directory / "job.env", self.directory / "job.out"
        left.write_text("")
        output.write_text("")
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.directory), **JOB, "GITHUB_ENV": str(left),
            "GITHUB_OUTPUT": str(output), "GITHUB_WORKSPACE": str(self.directory),
            "NODE_PATH": str(JS_SDK / "node_modules"), "AWS_ENDPOINT_URL": self.plane.endpoint, **environment,
            **{f"INPUT_{name.upper()}": value for name, value in inputs.items()},
        }
        program = [pathlib.Path(ACTIONS) / action / "dist" / "index.js"] if ACTIONS else ["-e", replay]
        done = subprocess.run(
            ["node", *program], env=environment, capture_output=True, text=True, timeout=300 * STRETCH, check=False
        )
        found = re.findall(r"^(\w+)<<(.+)\n((?:.*\n)*?)\2$", left.read_text(), re.MULTILINE)
        return done.returncode, done.stdout + done.stderr, {name: value.strip() for name, _, value in found}

    def credentials(self, role, **claims):
        self.tokens.claims = claims
        port = self.tokens.server_address[1]
        asks = {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{port}/token?api-version=2",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job",
        }
        inputs = {
            "aws-region": self.region, "role-to-assume": role, "audience": "sts.amazonaws.com",
            "role-session-name": "GitHubActions", "retry-max-attempts": "1", "output-env-credentials": "true",
        }
        return self.step("configure-aws-credentials", CREDENTIALS, inputs, asks)

    def make_role(self, name, principal, statements, action="sts:AssumeRole", **condition):
        iam = self.client_of("iam")
        trust = {"Effect": "Allow", "Action": action, "Principal": principal, "Condition": condition}
        role = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
        return role

    def test_a_workflow_deploys(self):
        provider = self.client_of("iam").create_open_id_connect_provider(Url=ISSUER, ClientIDList=["sts.amazonaws.com"])
        task_role = self.make_role("web", {"Service": "ecs-tasks.amazonaws.com"}, [])
        # The rights that the action's own page asks for, and no more.
        service = f"arn:aws:ecs:{self.region}:{ACCOUNT}:service/{self.cluster}/web"
        role = self.make_role(
            "deploy", {"Federated": provider["OpenIDConnectProviderArn"]},
            [
                {"Effect": "Allow", "Action": "ecs:RegisterTaskDefinition", "Resource": "*"},
                {"Effect": "Allow", "Action": "iam:PassRole", "Resource": task_role},
                {"Effect": "Allow", "Action": ["ecs:UpdateService", "ecs:DescribeServices"], "Resource": service},
            ],
            action="sts:AssumeRoleWithWebIdentity",
            StringEquals={
                f"{self.issuer.host}:aud": "sts.amazonaws.com",
                f"{self.issuer.host}:sub": "repo:acme/shop:ref:refs/heads/main",
            },
        )
        self.create_service("web", self.register("web", {"image": WEB_1}, taskRoleArn=task_role), 1)
        self.wait_running("web", 1)

        code, printed, left = self.credentials(role)
        self.assertEqual(code, 0, printed)
        self.assertEqual((left["AWS_REGION"], left["AWS_ACCESS_KEY_ID"][:4]), (self.region, "ASIA"))
        self.assertNotIn(left["AWS_SECRET_ACCESS_KEY"], self.plane.log_path.read_text(errors="replace"))
        definition = self.directory / "definition.json"

        def write(family, role):
            container = {"name": "web", "image": WEB_2, "memory": 50, "essential": True}
            definition.write_text(
                json.dumps({"family": family, "containerDefinitions": [container], "taskRoleArn": role})
            )

        deploy = {
            "task-definition": str(definition), "service": "web", "cluster": self.cluster,
            "wait-for-service-stability": "true",
        }
        write("web", task_role)
        code, printed, _ = self.step("amazon-ecs-deploy-task-definition", DEPLOY, deploy, left)
        self.assertEqual(code, 0, printed)
        self.assertRegex(self.service("web")["taskDefinition"], r"/web:2\Z")
        self.wait_running("web", 1)

        # Nothing that the role was not given: another role, another service.
        write("web", role)
        code, printed, _ = self.step("amazon-ecs-deploy-task-definition", DEPLOY, deploy, left)
        self.assertNotEqual(code, 0, printed)
        self.assertIn(f"is not authorized to perform: iam:PassRole on resource: {role}", printed)
        write("web", task_role)
        code, printed, _ = self.step("amazon-ecs-deploy-task-definition", DEPLOY, {**deploy, "service": "db"}, left)
        self.assertNotEqual(code, 0, printed)
        self.assertIn("is not authorized to perform: ecs:DescribeServices", printed)

        # Another branch, and a fork's pull request, get nothing.
        for claims in ({"sub": "repo:acme/shop:ref:refs/heads/other"}, {"sub": "repo:acme/shop:pull_request"}):
            code, printed, left = self.credentials(role, **claims)
            self.assertNotEqual(code, 0, printed)
            self.assertIn("Not authorized to perform sts:AssumeRoleWithWebIdentity", printed)
            self.assertNotIn("AWS_ACCESS_KEY_ID", left)
