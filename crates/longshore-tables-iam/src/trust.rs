//! Principals of trust policies: unique ids where they are kept, ARNs where they are shown (identity J4).
//!
//! A role or a user that was deleted is shown by its id, and a new one of its name is not trusted.

use longshore_base::{AccountId, Partition};
use longshore_policy::{Asker, Context, Layers, Question, ResourcePolicy, Who, decide};

use crate::arn::{self, IamArn};
use crate::ids::prefix;
use crate::record::Role;
use crate::spans;
use crate::tables::IamTables;

/// Whether a role's trust policy lets somebody without policies of his own, a service or a web identity, become one of its
/// sessions. `arn` is the role's.
pub fn allows(
    role: &Role,
    account: AccountId,
    arn: &str,
    asker: Asker,
    action: &str,
    context: &Context,
) -> bool {
    let who = Who { account: String::new(), asker };
    let owner = account.to_string();
    let question = Question { who: &who, action, resource: arn, owner: &owner, context };
    let resource = Some(ResourcePolicy { policy: role.trust.policy(), is_indispensable: true });
    decide(&question, &Layers { resource, ..Layers::default() }).is_allowed()
}

/// A principal that does not exist. The text is IAM's, for `MalformedPolicyDocument`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid principal in policy: \"{kind}\":\"{name}\"")]
pub struct UnknownPrincipal {
    /// `AWS` or `SERVICE`.
    pub kind: &'static str,
    pub name: String,
}

/// What AWS's services end in.
const SERVICES: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// The text of a trust policy as it is kept: users and roles by their ids. The document is known to be right.
pub fn kept(iam: &IamTables, text: &str) -> Result<String, UnknownPrincipal> {
    let mut unknown = None;
    let kept = spans::rewrite(text, |path, name| {
        let kind = principal_kind(path)?;
        let refuse = |kind| UnknownPrincipal { kind, name: name.to_owned() };
        match kind {
            "AWS" => match id_of(iam, name) {
                Ok(id) => id,
                Err(()) => {
                    unknown.get_or_insert_with(|| refuse("AWS"));
                    None
                }
            },
            "Service" if !SERVICES.iter().any(|end| name.ends_with(end)) => {
                unknown.get_or_insert_with(|| refuse("SERVICE"));
                None
            }
            _other => None,
        }
    });
    match unknown {
        Some(unknown) => Err(unknown),
        None => Ok(kept.unwrap_or_else(|| text.to_owned())),
    }
}

/// The text of a trust policy as it is shown: ARNs for the ids of users and roles that exist.
pub fn shown(iam: &IamTables, partition: Partition, text: &str) -> String {
    let shown = spans::rewrite(text, |path, name| {
        principal_kind(path).filter(|kind| *kind == "AWS")?;
        arn_of(iam, partition, name)
    });
    shown.unwrap_or_else(|| text.to_owned())
}

/// `AWS`, `Service` or `Federated`, if the path leads to a principal.
fn principal_kind(path: &[String]) -> Option<&str> {
    match path {
        [statement, principal, kind]
            if statement == "Statement" && (principal == "Principal" || principal == "NotPrincipal") =>
        {
            Some(kind)
        }
        _elsewhere => None,
    }
}

/// The id of the user or role that an entry below `AWS` names: `None` if it names something else that may stay.
fn id_of(iam: &IamTables, name: &str) -> Result<Option<String>, ()> {
    if name == "*" || AccountId::parse(name).is_some() {
        return Ok(None);
    }
    let Some(arn) = IamArn::parse(name) else {
        let is_root = name.strip_prefix("arn:").and_then(|rest| rest.strip_suffix(":root")).is_some();
        let is_session = name.split(':').nth(2) == Some("sts");
        let is_known = is_root || is_session || realm_of_id(iam, name).is_some();
        return if is_known { Ok(None) } else { Err(()) };
    };
    let realm = arn.account_id().and_then(|account| iam.realm_of(account)).ok_or(())?;
    let own = match arn.kind {
        "user" => realm.users().named(arn.name).map(|user| &user.own),
        "role" => realm.roles().named(arn.name).map(|role| &role.own),
        _other => None,
    };
    let own = own.filter(|own| *own.path == *arn.path).ok_or(())?;
    Ok(Some(own.id.to_string()))
}

/// The ARN of the user or role with this id, in any account.
pub fn arn_of(iam: &IamTables, partition: Partition, id: &str) -> Option<String> {
    let (account, own, kind) = realm_of_id(iam, id)?;
    Some(arn::of(partition, account, kind, &own.path, &own.name))
}

fn realm_of_id<'a>(
    iam: &'a IamTables,
    id: &str,
) -> Option<(AccountId, &'a crate::record::Own, &'static str)> {
    let is_user = id.starts_with(prefix::USER);
    if !is_user && !id.starts_with(prefix::ROLE) {
        return None;
    }
    iam.realms().find_map(|(account, realm)| match is_user {
        true => realm.users().get(id).map(|user| (account, &user.own, "user")),
        false => realm.roles().get(id).map(|role| (account, &role.own, "role")),
    })
}
