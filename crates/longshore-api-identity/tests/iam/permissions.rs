//! What has to be allowed for each operation of IAM, and that nothing is done or told without it.

use std::sync::Arc;

use expect_test::expect_file;
use longshore_api_identity::OPERATIONS;
use longshore_service::Access;
use longshore_service::watchman::{Watchman, lines};

use crate::support::{ACCOUNT, ALLOW, TRUST, World, one};

/// A world with one of everything, and its watchman.
struct Scene {
    world: World,
    guard: Arc<Watchman>,
    key: String,
}

const POLICY: (&str, &str) = ("PolicyArn", "arn:aws:iam::111122223333:policy/p");
const PROVIDER: (&str, &str) =
    ("OpenIDConnectProviderArn", "arn:aws:iam::111122223333:oidc-provider/a.example");
const KEY: (&str, &str) = ("Tags.member.1.Key", "k");
const VALUE: (&str, &str) = ("Tags.member.1.Value", "v");
const USER: (&str, &str) = ("UserName", "u");
const GROUP: (&str, &str) = ("GroupName", "g");
const ROLE: (&str, &str) = ("RoleName", "r");
const PROFILE: (&str, &str) = ("InstanceProfileName", "i");
const DOCUMENT: (&str, &str) = ("PolicyDocument", ALLOW);
const NAME: (&str, &str) = ("PolicyName", "p");
const BOUNDARY: (&str, &str) = ("PermissionsBoundary", POLICY.1);

impl Scene {
    fn empty() -> (World, Arc<Watchman>) {
        let guard = Arc::new(Watchman::default());
        (World::guarded(guard.clone()), guard)
    }

    fn new() -> Self {
        let (world, guard) = Self::empty();
        world.ok("CreatePolicy", &[NAME, DOCUMENT, KEY, VALUE]);
        world.ok("CreateUser", &[USER, BOUNDARY, KEY, VALUE]);
        world.ok("CreateGroup", &[GROUP]);
        world.ok("CreateRole", &[ROLE, ("AssumeRolePolicyDocument", TRUST), BOUNDARY]);
        world.ok("CreateInstanceProfile", &[PROFILE]);
        world.ok("CreateOpenIDConnectProvider", &[("Url", "https://a.example")]);
        let key = one(&world.ok("CreateAccessKey", &[USER]), "AccessKeyId");
        Self { world, guard, key }
    }

    /// A call of each operation, so that everything which it can need permission for is in it.
    fn members(&self, action: &str) -> Vec<(&str, &str)> {
        let key_id = ("AccessKeyId", &*self.key);
        let trust = ("AssumeRolePolicyDocument", TRUST);
        let password = ("Password", "correct-Horse-7");
        let source = ("PolicySourceArn", "arn:aws:iam::111122223333:user/u");
        let action_name = ("ActionNames.member.1", "a:b");
        match action {
            "CreateUser" => vec![("UserName", "new"), ("Path", "/x/"), BOUNDARY, KEY, VALUE],
            "CreateGroup" => vec![("GroupName", "new"), ("Path", "/x/")],
            "CreateRole" => vec![("RoleName", "new"), ("Path", "/x/"), trust, BOUNDARY, KEY, VALUE],
            "CreatePolicy" => vec![("PolicyName", "new"), ("Path", "/x/"), DOCUMENT, KEY, VALUE],
            "CreateInstanceProfile" => vec![("InstanceProfileName", "new"), ("Path", "/x/"), KEY, VALUE],
            "CreateOpenIDConnectProvider" => vec![("Url", "https://b.example"), KEY, VALUE],
            "CreateServiceLinkedRole" => vec![("AWSServiceName", "ecs.amazonaws.com")],
            "DeleteServiceLinkedRole" => vec![ROLE],
            "GetServiceLinkedRoleDeletionStatus" => {
                vec![("DeletionTaskId", "task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/1")]
            }
            "UpdateUser" => vec![USER, ("NewUserName", "v")],
            "UpdateGroup" => vec![GROUP, ("NewGroupName", "h"), ("NewPath", "/x/")],
            "UpdateAccessKey" => vec![USER, key_id, ("Status", "Inactive")],
            "DeleteAccessKey" => vec![USER, key_id],
            "GetAccessKeyLastUsed" => vec![key_id],
            "CreateLoginProfile" | "UpdateLoginProfile" => vec![USER, password],
            "UpdateRoleDescription" => vec![ROLE, ("Description", "d")],
            "UpdateAssumeRolePolicy" => vec![ROLE, ("PolicyDocument", TRUST)],
            "AddUserToGroup" | "RemoveUserFromGroup" => vec![USER, GROUP],
            "AddRoleToInstanceProfile" | "RemoveRoleFromInstanceProfile" => vec![ROLE, PROFILE],
            "PutUserPermissionsBoundary" => vec![USER, BOUNDARY],
            "PutRolePermissionsBoundary" => vec![ROLE, BOUNDARY],
            "AddClientIDToOpenIDConnectProvider" | "RemoveClientIDFromOpenIDConnectProvider" => {
                vec![PROVIDER, ("ClientID", "c")]
            }
            "UpdateOpenIDConnectProviderThumbprint" => {
                vec![PROVIDER, ("ThumbprintList.member.1", "0123456789012345678901234567890123456789")]
            }
            "CreateAccountAlias" | "DeleteAccountAlias" => vec![("AccountAlias", "acme")],
            "SimulateCustomPolicy" => vec![("PolicyInputList.member.1", ALLOW), action_name],
            "GetContextKeysForCustomPolicy" => vec![("PolicyInputList.member.1", ALLOW)],
            "SimulatePrincipalPolicy" => vec![source, action_name],
            "GetContextKeysForPrincipalPolicy" => vec![source],
            "ListEntitiesForPolicy" | "CreatePolicyVersion" => vec![POLICY, DOCUMENT],
            "TagPolicy" => vec![POLICY, KEY, VALUE],
            "TagUser" => vec![USER, KEY, VALUE],
            "TagRole" => vec![ROLE, KEY, VALUE],
            "TagInstanceProfile" => vec![PROFILE, KEY, VALUE],
            "TagOpenIDConnectProvider" => vec![PROVIDER, KEY, VALUE],
            other => {
                let of = match other {
                    name if name.contains("PolicyVersion") || name.ends_with("PolicyTags") => vec![POLICY],
                    name if name.contains("OpenIDConnectProvider") => vec![PROVIDER],
                    name if name.contains("InstanceProfileTag") => vec![PROFILE],
                    name if name.contains("ForRole") => vec![ROLE],
                    name if name.contains("InstanceProfile") => vec![PROFILE],
                    name if name.contains("User") || name.contains("Login") || name.contains("AccessKey") => {
                        vec![USER]
                    }
                    name if name.contains("MFA") => vec![USER],
                    name if name.contains("Role") => vec![ROLE],
                    name if name.contains("Group") => vec![GROUP],
                    _policies => Vec::new(),
                };
                let lists = ["ListUsers", "ListGroups", "ListRoles", "ListInstanceProfiles"];
                if lists.contains(&other) {
                    return vec![("PathPrefix", "/x/")];
                }
                let more = match other {
                    "GetPolicy" | "DeletePolicy" | "UntagPolicy" => vec![POLICY],
                    _other => Vec::new(),
                };
                let all = [NAME, DOCUMENT, POLICY, ("VersionId", "v1"), ("TagKeys.member.1", "k")];
                let wanted = all.into_iter().filter(|(name, _)| match *name {
                    "PolicyName" | "PolicyDocument" => {
                        ["PutU", "PutG", "PutR", "GetU", "GetG", "GetR", "DeleteU", "DeleteG", "DeleteR"]
                            .iter()
                            .any(|start| other.starts_with(start))
                            && other.ends_with("Policy")
                    }
                    "PolicyArn" => other.starts_with("Attach") || other.starts_with("Detach"),
                    "VersionId" => other.contains("PolicyVersion"),
                    _tag_keys => other.starts_with("Untag"),
                });
                of.into_iter().chain(more).chain(wanted).collect()
            }
        }
    }

    /// What is asked about a call, whether it then succeeds or not.
    fn asked(&self, action: &str) -> Vec<Access> {
        self.guard.take();
        let (_, body) = self.world.reply(action, &self.members(action));
        let seen = self.guard.take();
        assert!(!seen.is_empty(), "{action} asked nobody: {body}");
        seen
    }
}

fn short(text: &str) -> String {
    text.replace(&format!("arn:aws:iam::{ACCOUNT}:"), "")
}

#[test]
fn each_operation_asks_for_what_it_needs() {
    let mut table = String::new();
    let scene = Scene::new();
    let key = scene.key.clone();
    for operation in OPERATIONS.names {
        // What is there must be there for each of them.
        let scene = Scene::new();
        for (n, access) in scene.asked(operation).into_iter().enumerate() {
            assert_eq!(access.owner.to_string(), ACCOUNT, "{operation}");
            if n == 0 {
                assert_eq!(access.action, format!("iam:{operation}"));
            }
            table.push_str(&lines(&access, short));
        }
    }
    expect_file!["permissions.txt"].assert_eq(&table.replace(&key, "KEY"));
}

/// Neither what it did nor what is there: the same answer in a world with one of everything and in an empty one.
#[test]
fn whoever_may_not_do_it_learns_nothing() {
    for operation in OPERATIONS.names {
        let scene = Scene::new();
        let members = scene.members(operation);
        scene.guard.deny();
        let denied = scene.world.refused(operation, &members);
        assert!(denied.starts_with("AccessDenied: User: "), "{operation}: {denied}");
        let (nowhere, guard) = Scene::empty();
        guard.deny();
        let unknown = nowhere.refused(operation, &members);
        assert_eq!(unknown, denied, "{operation}");
    }
}

/// A path is a part of the ARN that policies are asked about, and nothing that the caller has said.
#[test]
fn a_denial_tells_no_path() {
    let (world, guard) = Scene::empty();
    world.ok("CreateUser", &[("UserName", "eve"), ("Path", "/secret/")]);
    guard.deny();
    let denied = world.refused("GetUser", &[("UserName", "eve")]);
    assert!(denied.contains("to perform: iam:GetUser on resource: user eve"), "{denied}");
    let asked = guard.take().pop().expect("the guard was asked");
    assert!(asked.resource.ends_with(":user/secret/eve"), "{asked:?}");
}
