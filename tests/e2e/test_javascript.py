"""The AWS SDK for JavaScript, whose parsers of XML and JSON are its own: what scripts ask around ECS.

That it finds the role of a task is in `test_roles`, that it deploys in `test_github`.
"""

import json
import os
import shutil
import subprocess
import unittest

from harness.cases import ServerCase
from harness.tools import JS_SDK
from harness.wait import STRETCH

ACCOUNT = "000000000000"

SCRIPT = """
const { EC2 } = require("@aws-sdk/client-ec2");
const { ECS } = require("@aws-sdk/client-ecs");
const { IAM, paginateListRoles, waitUntilRoleExists, waitUntilUserExists } = require("@aws-sdk/client-iam");
const { KMS } = require("@aws-sdk/client-kms");
const { SecretsManager } = require("@aws-sdk/client-secrets-manager");
const { SSM, paginateGetParametersByPath } = require("@aws-sdk/client-ssm");
const { STS } = require("@aws-sdk/client-sts");

const found = {};
const trust = (principal) => JSON.stringify({
    Version: "2012-10-17", Statement: { Effect: "Allow", Principal: principal, Action: "sts:AssumeRole" },
});
const allow = (action) => JSON.stringify({
    Version: "2012-10-17", Statement: { Effect: "Allow", Action: action, Resource: "*" },
});
async function refused(call) {
    try { await call(); } catch (error) { return [error.name, error.message]; }
    return ["nothing", ""];
}

async function network() {
    const ec2 = new EC2({});
    const vpcs = await ec2.describeVpcs({ Filters: [{ Name: "is-default", Values: ["true"] }] });
    const of = [{ Name: "vpc-id", Values: [vpcs.Vpcs[0].VpcId] }];
    const subnets = (await ec2.describeSubnets({ Filters: of })).Subnets;
    const [group] = (await ec2.describeSecurityGroups({ Filters: of })).SecurityGroups;
    const zones = (await ec2.describeAvailabilityZones({})).AvailabilityZones;
    found.network = {
        isDefault: vpcs.Vpcs[0].IsDefault, subnets: subnets.map((one) => one.AvailabilityZone).sort(),
        zones: zones.map((one) => one.ZoneName).sort(), free: subnets[0].AvailableIpAddressCount,
        group: [group.GroupName, group.IpPermissions[0].IpProtocol, group.Tags ?? []],
        interfaces: (await ec2.describeNetworkInterfaces({ Filters: of })).NetworkInterfaces,
        regions: (await ec2.describeRegions({})).Regions.length > 0,
        attributes: (await ec2.describeAccountAttributes({})).AccountAttributes.map((one) => one.AttributeName).sort(),
        gateways: (await ec2.describeInternetGateways({})).InternetGateways[0].Attachments[0].VpcId === of[0].Values[0],
        main: (await ec2.describeRouteTables({ Filters: of })).RouteTables[0].Associations[0].Main,
        instances: (await ec2.describeInstances({})).Reservations ?? [],
        missing: await refused(() => ec2.describeSubnets({ SubnetIds: ["subnet-0123456789abcdef0"] })),
    };
}

async function identities() {
    const iam = new IAM({});
    const { Role } = await iam.createRole({
        RoleName: "js", Description: "red & blue <x>", AssumeRolePolicyDocument: trust({ AWS: "ACCOUNT" }),
    });
    await iam.putRolePolicy({ RoleName: "js", PolicyName: "own", PolicyDocument: allow("ecs:ListClusters") });
    await waitUntilRoleExists({ client: iam, maxWaitTime: 10 }, { RoleName: "js" });
    await iam.createUser({ UserName: "js", Tags: [{ Key: "Team", Value: "red = blue" }] });
    await waitUntilUserExists({ client: iam, maxWaitTime: 10 }, { UserName: "js" });
    const names = [];
    for await (const page of paginateListRoles({ client: iam, pageSize: 1 }, {})) {
        names.push(...page.Roles.map((one) => one.RoleName));
    }
    const { Credentials } = await new STS({}).assumeRole({ RoleArn: Role.Arn, RoleSessionName: "work" });
    const credentials = {
        accessKeyId: Credentials.AccessKeyId, secretAccessKey: Credentials.SecretAccessKey,
        sessionToken: Credentials.SessionToken, expiration: Credentials.Expiration,
    };
    const ecs = new ECS({ credentials });
    found.identities = {
        names, trust: JSON.parse(decodeURIComponent(Role.AssumeRolePolicyDocument)).Statement.Action,
        made: Role.CreateDate instanceof Date, tag: (await iam.getUser({ UserName: "js" })).User.Tags[0].Value,
        description: (await iam.getRole({ RoleName: "js" })).Role.Description,
        lasts: Math.round((Credentials.Expiration - Date.now()) / 60000),
        clusters: Array.isArray((await ecs.listClusters({})).clusterArns),
        denied: (await refused(() => ecs.createCluster({ clusterName: "js" })))[0],
        again: await refused(() => iam.createUser({ UserName: "js" })),
        missing: await refused(() => iam.getRole({ RoleName: "none" })),
    };
}

async function secrets() {
    const [manager, ssm, kms] = [new SecretsManager({}), new SSM({}), new KMS({})];
    await manager.createSecret({ Name: "js", SecretBinary: Uint8Array.from([0, 1, 255]) });
    for (const number of [1, 2, 3]) {
        await ssm.putParameter({ Name: `/js/${number}`, Value: `v${number}`, Type: "SecureString" });
    }
    const values = [];
    const path = { Path: "/js", Recursive: true, WithDecryption: true };
    for await (const page of paginateGetParametersByPath({ client: ssm, pageSize: 2 }, path)) {
        values.push(...page.Parameters.map((one) => one.Value));
    }
    const { KeyMetadata } = await kms.createKey({});
    const { CiphertextBlob } = await kms.encrypt({ KeyId: KeyMetadata.KeyId, Plaintext: Buffer.from("hello") });
    found.secrets = {
        binary: [...(await manager.getSecretValue({ SecretId: "js" })).SecretBinary], values,
        plain: Buffer.from((await kms.decrypt({ CiphertextBlob })).Plaintext).toString(),
        missing: await refused(() => manager.getSecretValue({ SecretId: "none" })),
        parameter: await refused(() => ssm.getParameter({ Name: "/none" })),
    };
}

Promise.all([network(), identities(), secrets()]).then(
    () => console.log(JSON.stringify(found)), (error) => { console.error(error); process.exitCode = 1; },
);
"""


@unittest.skipUnless(
    shutil.which("node") and (JS_SDK / "node_modules/@aws-sdk/client-ec2").is_dir(),
    "there is no Node.js, or scripts/prerequisites --tests has not brought its SDK",
)
class JavaScript(ServerCase):
    def test_what_scripts_ask(self):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.directory), "NODE_PATH": str(JS_SDK / "node_modules"), **self.plane.env,
        }
        # The SDK for JavaScript knows no AWS_DEFAULT_REGION.
        environment.setdefault("AWS_REGION", self.region)
        done = subprocess.run(
            ["node", "-e", SCRIPT.replace("ACCOUNT", ACCOUNT)], env=environment, capture_output=True, text=True,
            timeout=60 * STRETCH, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = json.loads(done.stdout)
        network = found["network"]
        self.assertTrue(network["isDefault"] and network["regions"] and network["gateways"] and network["main"], network)
        self.assertEqual((network["subnets"], len(network["zones"])), (network["zones"], 3))
        self.assertEqual((network["free"], network["group"]), (4091, ["default", "-1", []]))
        self.assertEqual((network["interfaces"], network["instances"]), ([], []))
        self.assertLessEqual({"default-vpc", "supported-platforms"}, set(network["attributes"]))
        self.assertEqual(network["missing"][0], "InvalidSubnetID.NotFound")

        identities = found["identities"]
        self.assertIn("js", identities["names"])
        self.assertEqual((identities["trust"], identities["made"], identities["lasts"]), ("sts:AssumeRole", True, 60))
        self.assertEqual((identities["tag"], identities["description"]), ("red = blue", "red & blue <x>"))
        self.assertEqual((identities["clusters"], identities["denied"]), (True, "AccessDeniedException"))
        self.assertEqual(identities["again"], ["EntityAlreadyExistsException", "User with name js already exists."])
        self.assertEqual(identities["missing"], ["NoSuchEntityException", "The role with name none cannot be found."])

        secrets = found["secrets"]
        self.assertEqual((secrets["binary"], secrets["values"], secrets["plain"]), ([0, 1, 255], ["v1", "v2", "v3"], "hello"))
        self.assertEqual(
            secrets["missing"], ["ResourceNotFoundException", "Secrets Manager can't find the specified secret."]
        )
        self.assertEqual(secrets["parameter"][0], "ParameterNotFound")
