//! `longshore user`.

use anyhow::bail;
use longshore_shapes_iam as iam;
use serde_json::{Value, json};

use super::{Control, Purpose, pages, policy, show, status, text, time, word};
use crate::args::{Format, UserCommand, UserOptions};
use crate::out::{print, tell};

pub async fn run(options: UserOptions) -> anyhow::Result<()> {
    match options.command {
        UserCommand::Create(options) => {
            let control = Control::open(&options.control, Purpose::Make).await?;
            let policies = policy::find_all(&control, &options.policy).await?;
            let request = iam::CreateUserRequest {
                user_name: Some(options.name.clone()),
                path: options.path,
                ..Default::default()
            };
            let made = control.call::<iam::ops::CreateUser>(request).await?;
            for (name, arn) in &policies {
                attach(&control, &options.name, arn).await?;
                tell!("attached {name} to user {}", options.name);
            }
            let arn = made.user.and_then(|user| user.arn).unwrap_or_default();
            print(&format!("{arn}\n"))?;
            Ok(())
        }
        UserCommand::List(options) => {
            let control = Control::open(&options.control, Purpose::Look).await?;
            let users = pages!(control, ListUsers, iam::ListUsersRequest::default(), users);
            let rows = users.iter().map(|user| {
                vec![text(&user.user_name), text(&user.path), text(&user.arn), time(user.create_date)]
            });
            show(options.format, &["name", "path", "arn", "created"], rows.collect())
        }
        UserCommand::Show(options) => {
            let control = Control::open(&options.control, Purpose::Look).await?;
            let shown = describe(&control, &options.name).await?;
            match options.format {
                Format::Json => print(&format!("{shown:#}\n"))?,
                Format::Table => {
                    let object = shown.as_object().expect("it was made as an object");
                    let lines: String = object
                        .iter()
                        .filter(|(name, _)| *name != "keys")
                        .map(|(name, value)| format!("{name} {}\n", word(value)))
                        .collect();
                    let keys = shown["keys"].as_array().into_iter().flatten();
                    let keys: String = keys
                        .map(|key| format!("key {} {}\n", word(&key["accessKeyId"]), word(&key["status"])))
                        .collect();
                    print(&format!("{lines}{keys}"))?
                }
            };
            Ok(())
        }
        UserCommand::Delete(options) => {
            let control = Control::open(&options.control, Purpose::Look).await?;
            let name = &options.name;
            if options.force {
                strip(&control, name).await?;
            }
            let request = iam::DeleteUserRequest { user_name: Some(name.clone()) };
            match control.ask::<iam::ops::DeleteUser>(request).await? {
                Ok(_) => {
                    tell!("deleted user {name}");
                    Ok(())
                }
                Err(error) if error.code.starts_with("DeleteConflict") => bail!(
                    "user {name} has keys, policies, groups or a password ({}): `longshore user show {name}` lists them, \
                     --force takes them away",
                    error.message.trim_end_matches('.')
                ),
                Err(error) => Err(crate::client::refused("DeleteUser", &error)),
            }
        }
    }
}

/// Attaches a managed policy to a user.
pub async fn attach(control: &Control, user: &str, arn: &str) -> anyhow::Result<()> {
    let request =
        iam::AttachUserPolicyRequest { user_name: Some(user.to_owned()), policy_arn: Some(arn.to_owned()) };
    control.call::<iam::ops::AttachUserPolicy>(request).await?;
    Ok(())
}

/// Everything about a user that an operator asks for.
async fn describe(control: &Control, name: &str) -> anyhow::Result<Value> {
    let user_name = Some(name.to_owned());
    let request = iam::GetUserRequest { user_name: user_name.clone() };
    let user = control.call::<iam::ops::GetUser>(request).await?.user.unwrap_or_default();
    let attached =
        iam::ListAttachedUserPoliciesRequest { user_name: user_name.clone(), ..Default::default() };
    let attached = pages!(control, ListAttachedUserPolicies, attached, attached_policies);
    let inline = iam::ListUserPoliciesRequest { user_name: user_name.clone(), ..Default::default() };
    let inline: Vec<String> = pages!(control, ListUserPolicies, inline, policy_names);
    let groups = iam::ListGroupsForUserRequest { user_name: user_name.clone(), ..Default::default() };
    let groups = pages!(control, ListGroupsForUser, groups, groups);
    let keys = iam::ListAccessKeysRequest { user_name, ..Default::default() };
    let keys = pages!(control, ListAccessKeys, keys, access_key_metadata);
    let boundary = user.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
    Ok(json!({
        "name": user.user_name,
        "arn": user.arn,
        "id": user.user_id,
        "created": time(user.create_date),
        "policies": attached.into_iter().filter_map(|policy| policy.policy_arn).collect::<Vec<_>>(),
        "inlinePolicies": inline,
        "boundary": boundary,
        "groups": groups.into_iter().filter_map(|group| group.group_name).collect::<Vec<_>>(),
        "keys": keys.iter().map(|key| json!({
            "accessKeyId": key.access_key_id,
            "status": status(&key.status),
            "created": time(key.create_date),
        })).collect::<Vec<_>>(),
    }))
}

/// Takes everything away that keeps a user from being deleted.
async fn strip(control: &Control, name: &str) -> anyhow::Result<()> {
    let user_name = Some(name.to_owned());
    let keys = iam::ListAccessKeysRequest { user_name: user_name.clone(), ..Default::default() };
    for key in pages!(control, ListAccessKeys, keys, access_key_metadata) {
        let request =
            iam::DeleteAccessKeyRequest { user_name: user_name.clone(), access_key_id: key.access_key_id };
        control.call::<iam::ops::DeleteAccessKey>(request).await?;
    }
    let attached =
        iam::ListAttachedUserPoliciesRequest { user_name: user_name.clone(), ..Default::default() };
    for policy in pages!(control, ListAttachedUserPolicies, attached, attached_policies) {
        let request =
            iam::DetachUserPolicyRequest { user_name: user_name.clone(), policy_arn: policy.policy_arn };
        control.call::<iam::ops::DetachUserPolicy>(request).await?;
    }
    let inline = iam::ListUserPoliciesRequest { user_name: user_name.clone(), ..Default::default() };
    for policy in pages!(control, ListUserPolicies, inline, policy_names) {
        let request =
            iam::DeleteUserPolicyRequest { user_name: user_name.clone(), policy_name: Some(policy) };
        control.call::<iam::ops::DeleteUserPolicy>(request).await?;
    }
    let groups = iam::ListGroupsForUserRequest { user_name: user_name.clone(), ..Default::default() };
    for group in pages!(control, ListGroupsForUser, groups, groups) {
        let request =
            iam::RemoveUserFromGroupRequest { user_name: user_name.clone(), group_name: group.group_name };
        control.call::<iam::ops::RemoveUserFromGroup>(request).await?;
    }
    control.find::<iam::ops::DeleteLoginProfile>(iam::DeleteLoginProfileRequest { user_name }).await?;
    Ok(())
}
