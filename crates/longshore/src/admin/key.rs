//! `longshore key`: access keys of users, the operator's key, and the keys that seal what is secret in the store.

use anyhow::bail;
use longshore_shapes_iam as iam;
use longshore_sigv4::Credentials;
use serde_json::{Value, json};

use super::{Control, Purpose, pages, policy, root, show, status, text, time, user};
use crate::args::{
    KeyCommand, KeyCreateOptions, KeyFormat, KeyListOptions, KeyNamedOptions, KeyOptions, OperatorOptions,
    default_data_dir,
};
use crate::exit::usage;
use crate::keys;
use crate::out::{print, shown, tell};

pub async fn run(options: KeyOptions) -> anyhow::Result<()> {
    match options.command {
        KeyCommand::Create(options) => create(options).await,
        KeyCommand::List(options) => list(options).await,
        KeyCommand::Delete(options) => change(options, Change::Delete).await,
        KeyCommand::Deactivate(options) => change(options, Change::Status("Inactive")).await,
        KeyCommand::Activate(options) => change(options, Change::Status("Active")).await,
        KeyCommand::Operator(options) => operator(&options).await,
        KeyCommand::Rotate(options) => root::rotate(options).await,
    }
}

async fn create(options: KeyCreateOptions) -> anyhow::Result<()> {
    let control = Control::open(&options.control, Purpose::Make).await?;
    let policies = policy::find_all(&control, &options.policy).await?;
    let user_name = match &options.user {
        Some(name) => name.clone(),
        None => own_name(&control).await?,
    };
    let request = iam::GetUserRequest { user_name: Some(user_name.clone()) };
    if options.user.is_some() && control.find::<iam::ops::GetUser>(request).await?.is_none() {
        let request = iam::CreateUserRequest { user_name: Some(user_name.clone()), ..Default::default() };
        control.call::<iam::ops::CreateUser>(request).await?;
        tell!("made user {user_name}");
    }
    for (name, arn) in &policies {
        user::attach(&control, &user_name, arn).await?;
        tell!("attached {name} to user {user_name}");
    }
    let request = iam::CreateAccessKeyRequest { user_name: Some(user_name.clone()) };
    let key = match control.ask::<iam::ops::CreateAccessKey>(request).await? {
        Ok(made) => made.access_key.unwrap_or_default(),
        Err(error) if error.code.starts_with("LimitExceeded") => bail!(
            "user {user_name} has two keys already, which is all that a user may have: `longshore key list --user \
             {user_name}` shows them, `longshore key delete ID` makes room"
        ),
        Err(error) => return Err(crate::client::refused("CreateAccessKey", &error)),
    };
    let (Some(id), Some(secret)) = (key.access_key_id, key.secret_access_key) else {
        bail!(
            "the server made a key and does not show it; `longshore key list --user {user_name}` has its id"
        )
    };
    let account = control.account().await?.to_string();
    tell!("made key {id} of user {user_name} in account {account}; its secret is shown this once");
    let credentials = Credentials::new(id, secret);
    print(&written(options.format, &credentials, &user_name, &account))?;
    Ok(())
}

/// The caller's own name, where a key is for himself.
async fn own_name(control: &Control) -> anyhow::Result<String> {
    let is_root = || {
        usage("this would be a key of the account itself: name a user with --user, who is made if need be")
    };
    match control {
        Control::Offline(_) => Err(is_root()),
        Control::Online(_) => {
            let own = control.ask::<iam::ops::GetUser>(Default::default()).await?;
            // IAM shows the account itself as a user called root.
            let is_user = |user: &iam::User| user.arn.as_deref().is_some_and(|arn| arn.contains(":user/"));
            let own = own.ok().and_then(|own| own.user).filter(is_user);
            own.and_then(|user| user.user_name).ok_or_else(is_root)
        }
    }
}

/// A key as shells, programs or the AWS tools read it.
fn written(format: KeyFormat, key: &Credentials, user: &str, account: &str) -> String {
    let (id, secret) = (&key.access_key_id, key.secret.reveal());
    match format {
        KeyFormat::Env => format!(
            "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n",
            keys::quoted(id),
            keys::quoted(secret)
        ),
        KeyFormat::Json => {
            let shown =
                json!({"AccessKeyId": id, "SecretAccessKey": secret, "UserName": user, "Account": account});
            format!("{shown:#}\n")
        }
        KeyFormat::Credentials => {
            format!("[{user}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
        }
    }
}

async fn list(options: KeyListOptions) -> anyhow::Result<()> {
    let control = Control::open(&options.control, Purpose::Look).await?;
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let names = match &options.user {
        Some(name) => vec![Some(name.clone())],
        None => {
            // The keys of files are the roots' to see; to others they are not there.
            if let Ok(answer) = control.operator("ListFileKeys").await {
                let account = control.account().await?.to_string();
                for key in answer.keys.into_iter().filter(|key| key.account == account) {
                    rows.push(vec![
                        key.access_key_id.into(),
                        key.of.into(),
                        "Active".into(),
                        Value::Null,
                        Value::Null,
                        "file".into(),
                    ]);
                }
            }
            let users = pages!(control, ListUsers, iam::ListUsersRequest::default(), users);
            users.into_iter().map(|user| user.user_name).collect()
        }
    };
    for user_name in names {
        let request = iam::ListAccessKeysRequest { user_name, ..Default::default() };
        for key in pages!(control, ListAccessKeys, request, access_key_metadata) {
            let request = iam::GetAccessKeyLastUsedRequest { access_key_id: key.access_key_id.clone() };
            let used = control.call::<iam::ops::GetAccessKeyLastUsed>(request).await?;
            let used = used.access_key_last_used.and_then(|used| used.last_used_date);
            rows.push(vec![
                text(&key.access_key_id),
                text(&key.user_name),
                status(&key.status),
                time(key.create_date),
                time(used),
                "iam".into(),
            ]);
        }
    }
    show(options.format, &["id", "of", "status", "created", "used", "kept"], rows)
}

#[derive(Clone, Copy)]
enum Change {
    Delete,
    Status(&'static str),
}

async fn change(options: KeyNamedOptions, change: Change) -> anyhow::Result<()> {
    let control = Control::open(&options.control, Purpose::Look).await?;
    let id = options.id;
    let request = iam::GetAccessKeyLastUsedRequest { access_key_id: Some(id.clone()) };
    let user_name = match control.ask::<iam::ops::GetAccessKeyLastUsed>(request).await? {
        Ok(found) => found.user_name,
        Err(error) => {
            if let Ok(answer) = control.operator("ListFileKeys").await
                && let Some(key) = answer.keys.iter().find(|key| key.access_key_id == id)
            {
                bail!(
                    "{id} ({}) is no key of IAM: it is in a file, where whoever has the data directory changes it. The \
                     operator's own is remade by `longshore key operator --renew`",
                    key.of
                );
            }
            if error.code.starts_with("AccessDenied") {
                bail!(
                    "there is no key {id} in this account that you may change; `longshore key list` shows them"
                );
            }
            return Err(crate::client::refused("GetAccessKeyLastUsed", &error));
        }
    };
    match change {
        Change::Delete => {
            let request = iam::DeleteAccessKeyRequest { user_name, access_key_id: Some(id.clone()) };
            control.call::<iam::ops::DeleteAccessKey>(request).await?;
            tell!("deleted key {id}");
        }
        Change::Status(status) => {
            let request = iam::UpdateAccessKeyRequest {
                user_name,
                access_key_id: Some(id.clone()),
                status: Some(status.into()),
            };
            control.call::<iam::ops::UpdateAccessKey>(request).await?;
            tell!("key {id} is {} now", status.to_lowercase());
        }
    }
    Ok(())
}

/// Shows the operator's key, or makes a new one. Whoever has the data directory may.
async fn operator(options: &OperatorOptions) -> anyhow::Result<()> {
    let dir = options.control.client.data_dir.clone().unwrap_or_else(default_data_dir);
    if !options.renew {
        let Some(key) = keys::operator(&dir)? else {
            bail!(
                "there is no operator's key in {} yet: the first start makes it, and so does --renew",
                shown(&dir)
            )
        };
        print(&format!("{}\n", key.access_key_id))?;
        return Ok(());
    }
    // A server has read it and would go on with the old one.
    let offline = Control::offline(&dir, &options.control, Purpose::Make).await?;
    let old = keys::operator(offline.dir())?;
    let key = keys::renew_operator(offline.dir())?;
    if let Some(old) = old {
        tell!("key {} is worth nothing from the next start on", old.access_key_id);
    }
    let account = longshore_identity::DEFAULT_ACCOUNT;
    tell!(
        "made key {} of the root of account {account}; the next start of the server writes it to {}",
        key.access_key_id,
        shown(&offline.dir().join("env"))
    );
    print(&written(options.format, &key, "root", account))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_whoever_reads_it_expects() {
        let key = Credentials::new("AKIA", "s/ec+ret");
        let check =
            |format, expected: &str| assert_eq!(written(format, &key, "deploy", "000000000000"), expected);
        check(KeyFormat::Env, "export AWS_ACCESS_KEY_ID='AKIA'\nexport AWS_SECRET_ACCESS_KEY='s/ec+ret'\n");
        check(
            KeyFormat::Credentials,
            "[deploy]\naws_access_key_id = AKIA\naws_secret_access_key = s/ec+ret\n",
        );
        let json: Value =
            serde_json::from_str(&written(KeyFormat::Json, &key, "deploy", "000000000000")).expect("JSON");
        assert_eq!(json["SecretAccessKey"], "s/ec+ret");
    }
}
