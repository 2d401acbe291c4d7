//! `longshore account`: accounts are there from their first request on; this shows what is in them.

use longshore_shapes_iam as iam;
use serde_json::{Value, json};

use super::{Control, Purpose, show};
use crate::args::{AccountCommand, AccountOptions, Format};
use crate::operator_api::Account;
use crate::out::print;

const HEADS: &[&str] = &[
    "account",
    "alias",
    "users",
    "groups",
    "roles",
    "policies",
    "keys",
    "clusters",
    "secrets",
    "parameters",
];

pub async fn run(options: AccountOptions) -> anyhow::Result<()> {
    match options.command {
        AccountCommand::List(options) => {
            let control = Control::open(&options.control, Purpose::Look).await?;
            let accounts = control.operator("ListAccounts").await?.accounts;
            show(options.format, HEADS, accounts.iter().map(row).collect())
        }
        AccountCommand::Show(options) => {
            let control = Control::open(&options.control, Purpose::Look).await?;
            let account = control.account().await?;
            let aliases = control.call::<iam::ops::ListAccountAliases>(Default::default()).await?;
            let summary = control.call::<iam::ops::GetAccountSummary>(Default::default()).await?;
            let alias = aliases.account_aliases.into_iter().flatten().next();
            let counts = summary.summary_map.unwrap_or_default();
            match options.format {
                Format::Json => {
                    let shown = json!({"account": account.to_string(), "alias": alias, "summary": counts});
                    print(&format!("{shown:#}\n"))?;
                }
                Format::Table => {
                    let mut lines = format!("account {account}\n");
                    if let Some(alias) = alias {
                        lines.push_str(&format!("alias {alias}\n"));
                    }
                    for (name, count) in counts {
                        lines.push_str(&format!("{name} {count}\n"));
                    }
                    print(&lines)?;
                }
            }
            Ok(())
        }
    }
}

fn row(account: &Account) -> Vec<Value> {
    let counts = [
        account.users,
        account.groups,
        account.roles,
        account.policies,
        account.access_keys,
        account.clusters,
        account.secrets,
        account.parameters,
    ];
    let names =
        [Value::from(account.account.clone()), account.alias.clone().map_or(Value::Null, Value::String)];
    names.into_iter().chain(counts.into_iter().map(Value::from)).collect()
}
