//! `longshore policy`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use longshore_policy::{Invalid, Kind, Policy};
use longshore_shapes_iam as iam;
use longshore_tables_iam::positions;
use serde_json::{Value, json};

use super::{Control, Purpose, pages, show, text};
use crate::args::{
    DocumentKind, Format, HolderOptions, PolicyCheckOptions, PolicyCommand, PolicyListOptions, PolicyOptions,
    PolicyShowOptions,
};
use crate::exit::usage;
use crate::out::{print, tell};

pub async fn run(options: PolicyOptions) -> anyhow::Result<()> {
    match options.command {
        PolicyCommand::List(options) => list(options).await,
        PolicyCommand::Show(options) => show_one(options).await,
        PolicyCommand::Check(options) => check(&options),
        PolicyCommand::Attach(options) => change(options, Change::Attach).await,
        PolicyCommand::Detach(options) => change(options, Change::Detach).await,
    }
}

/// Names and ARNs of managed policies, each given by either.
///
/// # Errors
/// One is not there, or its name means two.
pub async fn find_all(control: &Control, wanted: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let all = pages!(control, ListPolicies, iam::ListPoliciesRequest::default(), policies);
    wanted.iter().map(|wanted| find(&all, wanted)).collect()
}

fn find(all: &[iam::Policy], wanted: &str) -> anyhow::Result<(String, String)> {
    let is_meant = |policy: &&iam::Policy| {
        [&policy.arn, &policy.policy_name].into_iter().any(|own| own.as_deref() == Some(wanted))
    };
    let found: Vec<(String, String)> = all
        .iter()
        .filter(is_meant)
        .filter_map(|policy| Some((policy.policy_name.clone()?, policy.arn.clone()?)))
        .collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("there is no managed policy {wanted}; `longshore policy list` shows them"),
        [first, second, ..] => bail!("{wanted} may be {} or {}; name it by its ARN", first.1, second.1),
    }
}

async fn list(options: PolicyListOptions) -> anyhow::Result<()> {
    let control = Control::open(&options.control, Purpose::Look).await?;
    let request = iam::ListPoliciesRequest { scope: Some(options.scope.word().into()), ..Default::default() };
    let policies = pages!(control, ListPolicies, request, policies);
    let rows = policies.iter().map(|policy| {
        let count = policy.attachment_count.map_or(Value::Null, Value::from);
        vec![text(&policy.policy_name), text(&policy.arn), text(&policy.default_version_id), count]
    });
    show(options.format, &["name", "arn", "version", "attached"], rows.collect())
}

async fn show_one(options: PolicyShowOptions) -> anyhow::Result<()> {
    let control = Control::open(&options.control, Purpose::Look).await?;
    let wanted = [options.policy];
    let found = find_all(&control, &wanted).await?;
    for (name, arn) in found {
        let request = iam::GetPolicyRequest { policy_arn: Some(arn.clone()) };
        let policy = control.call::<iam::ops::GetPolicy>(request).await?.policy.unwrap_or_default();
        let request = iam::GetPolicyVersionRequest {
            policy_arn: Some(arn.clone()),
            version_id: policy.default_version_id.clone(),
        };
        let version = control.call::<iam::ops::GetPolicyVersion>(request).await?;
        let document = version.policy_version.and_then(|version| version.document).unwrap_or_default();
        let document =
            percent_decoded(&document).with_context(|| format!("the document of {name} cannot be read"))?;
        match options.format {
            Format::Json => {
                let value: Value = serde_json::from_str(&document).context("the document is no JSON")?;
                let shown = json!({
                    "name": name, "arn": arn, "version": policy.default_version_id,
                    "attached": policy.attachment_count, "document": value,
                });
                print(&format!("{shown:#}\n"))?;
            }
            Format::Table => {
                tell!("{arn}, version {}", policy.default_version_id.unwrap_or_default());
                print(&format!("{}\n", document.trim_end()))?;
            }
        }
    }
    Ok(())
}

/// IAM's answers have documents percent-encoded (identity J2).
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = more;
            continue;
        }
        let (digits, more) = more.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = more;
    }
    String::from_utf8(bytes).ok()
}

/// Where a document is wrong, and how.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Line and column, from one.
    at: (usize, usize),
    text: String,
}

/// Reads a document as IAM would. No server is asked.
fn check(options: &PolicyCheckOptions) -> anyhow::Result<()> {
    let document = read(&options.file)?;
    let kind = match options.kind {
        DocumentKind::Identity => Kind::Identity,
        DocumentKind::Trust => Kind::Trust,
        DocumentKind::Resource => Kind::Resource,
    };
    let file = options.file.display();
    let findings = findings(&document, kind);
    if findings.is_empty() {
        let statements = Policy::read(&document, kind).map_or(0, |policy| policy.statements.len());
        let size = document.chars().filter(|character| !character.is_whitespace()).count();
        print(&format!(
            "{file}: {statements} statement(s), {size} characters without white space: IAM takes it\n"
        ))?;
        return Ok(());
    }
    let mut lines = String::new();
    for Finding { at: (line, column), text } in &findings {
        writeln!(lines, "{file}:{line}:{column}: {text}")?;
    }
    print(&lines)?;
    bail!("{} finding(s) in {file}; correct them there", findings.len())
}

fn read(path: &Path) -> anyhow::Result<String> {
    let read = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        fs::read_to_string(path)
    };
    read.with_context(|| {
        format!("cannot read {}; name a file with a policy document, or - for stdin", path.display())
    })
}

/// What is wrong with a document: of each statement the first thing, and where that stands; else what is wrong with all of it.
fn findings(document: &str, kind: Kind) -> Vec<Finding> {
    let Err(first) = Policy::read(document, kind) else { return Vec::new() };
    let value: Value = match serde_json::from_str(document) {
        Ok(value) => value,
        Err(error) => {
            let text = format!("it is no JSON: {}", without_place(&error.to_string()));
            return vec![Finding { at: (error.line().max(1), error.column().max(1)), text }];
        }
    };
    let statements = match &value["Statement"] {
        Value::Array(list) => list.clone(),
        Value::Object(_) => vec![value["Statement"].clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    // Each by itself, in a document that is right but for it.
    let version = match kind {
        Kind::Identity => "2012-10-17",
        Kind::Trust | Kind::Resource => value["Version"].as_str().unwrap_or("2008-10-17"),
    };
    let alone = |statement: &Value| {
        let alone = json!({"Version": version, "Statement": [statement]});
        Policy::read(&alone.to_string(), kind).err()
    };
    let places = positions::of_statements(document);
    // Only objects have a place.
    let objects = statements.iter().filter(|statement| statement.is_object());
    let of_statements = objects.zip(&places).enumerate().filter_map(|(index, (statement, (at, _)))| {
        let text = format!("statement {}: {}", index + 1, hint(&alone(statement)?));
        Some(Finding { at: *at, text })
    });
    let mut found: Vec<Finding> = of_statements.collect();
    // Of all of it, and not of a statement.
    if found.is_empty() || matches!(first, Invalid::Version | Invalid::DuplicateSid) {
        found.insert(0, Finding { at: (1, 1), text: hint(&first) });
    }
    found
}

/// IAM's text, and what it means where it says little.
fn hint(invalid: &Invalid) -> String {
    let more = match invalid {
        Invalid::Syntax => {
            " It has Version, Id and Statement; a statement has Sid, Effect (Allow or Deny), Action, Resource, Principal, \
             Condition and no other members, spelt so, and none twice"
        }
        Invalid::Version => " Write \"Version\": \"2012-10-17\"",
        Invalid::NoActions => " Write \"Action\": \"ecs:RunTask\", say",
        Invalid::NoResources => " Write \"Resource\": \"*\", or ARNs",
        Invalid::NoVendor => " Write ecs:RunTask, say, and not RunTask",
        Invalid::Principal => " Only trust policies and those of resources have principals (--kind)",
        Invalid::DuplicateSid
        | Invalid::ResourceFormat(_)
        | Invalid::TrustWithResource
        | Invalid::TrustAction
        | Invalid::TrustsStar
        | Invalid::NoPrincipal => "",
    };
    format!("{invalid}{more}")
}

/// Without ` at line 1 column 2`, which stands before the text.
fn without_place(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text)
}

#[derive(Clone, Copy)]
enum Change {
    Attach,
    Detach,
}

/// Who may have a managed policy.
#[derive(Clone, Copy)]
enum Holder {
    User,
    Role,
    Group,
}

impl Holder {
    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
        }
    }
}

async fn change(options: HolderOptions, change: Change) -> anyhow::Result<()> {
    let HolderOptions { control, user, role, group, policy } = options;
    let control = Control::open(&control, Purpose::Look).await?;
    let wanted = [policy];
    let (kind, holder) = match (user, role, group) {
        (Some(name), None, None) => (Holder::User, name),
        (None, Some(name), None) => (Holder::Role, name),
        (None, None, Some(name)) => (Holder::Group, name),
        _none_or_several => return Err(usage("name whose policy it is: one of --user, --role and --group")),
    };
    for (name, arn) in find_all(&control, &wanted).await? {
        let (own, policy_arn) = (Some(holder.clone()), Some(arn));
        match (change, kind) {
            (Change::Attach, Holder::User) => {
                let request = iam::AttachUserPolicyRequest { user_name: own, policy_arn };
                control.call::<iam::ops::AttachUserPolicy>(request).await.map(drop)?;
            }
            (Change::Attach, Holder::Role) => {
                let request = iam::AttachRolePolicyRequest { role_name: own, policy_arn };
                control.call::<iam::ops::AttachRolePolicy>(request).await.map(drop)?;
            }
            (Change::Attach, Holder::Group) => {
                let request = iam::AttachGroupPolicyRequest { group_name: own, policy_arn };
                control.call::<iam::ops::AttachGroupPolicy>(request).await.map(drop)?;
            }
            (Change::Detach, Holder::User) => {
                let request = iam::DetachUserPolicyRequest { user_name: own, policy_arn };
                control.call::<iam::ops::DetachUserPolicy>(request).await.map(drop)?;
            }
            (Change::Detach, Holder::Role) => {
                let request = iam::DetachRolePolicyRequest { role_name: own, policy_arn };
                control.call::<iam::ops::DetachRolePolicy>(request).await.map(drop)?;
            }
            (Change::Detach, Holder::Group) => {
                let request = iam::DetachGroupPolicyRequest { group_name: own, policy_arn };
                control.call::<iam::ops::DetachGroupPolicy>(request).await.map(drop)?;
            }
        }
        let kind = kind.word();
        match change {
            Change::Attach => tell!("attached {name} to {kind} {holder}"),
            Change::Detach => tell!("detached {name} from {kind} {holder}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let check = |document: &str, expected: &[&str]| {
            let found: Vec<String> = findings(document, Kind::Identity)
                .into_iter()
                .map(|Finding { at: (line, column), text }| format!("{line}:{column}: {text}"))
                .collect();
            assert_eq!(found.len(), expected.len(), "{document}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{document}: {found}");
            }
        };
        let good = r#"{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}"#;
        check(&format!(r#"{{"Version": "2012-10-17", "Statement": {good}}}"#), &[]);
        check("{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [,]\n}", &["3:17: it is no JSON: "]);
        check(&format!(r#"{{"Statement": {good}}}"#), &["1:1: Policy document must be version"]);
        check(
            &format!(
                "{{\"Version\": \"2012-10-17\", \"Statement\": [\n{good},\n{{\"Effect\": \"Allow\", \"Action\": \"RunTask\", \"Resource\": \"*\"}},\n{{\"Effect\": \"Permit\", \"Action\": \"ecs:RunTask\", \"Resource\": \"*\"}}]}}"
            ),
            &[
                "3:1: statement 2: Actions/Conditions must be prefaced",
                "4:1: statement 3: Syntax errors in policy.",
            ],
        );
        check("[]", &["1:1: Syntax errors in policy."]);
    }

    #[test]
    fn a_name_means_one_policy() {
        let policy = |name: &str, arn: &str| iam::Policy {
            policy_name: Some(name.to_owned()),
            arn: Some(arn.to_owned()),
            ..Default::default()
        };
        let all = [
            policy("a", "arn:aws:iam::aws:policy/a"),
            policy("b", "arn:aws:iam::aws:policy/b"),
            policy("b", "arn:aws:iam::000000000000:policy/b"),
        ];
        let found = |wanted: &str| find(&all, wanted).map(|(_, arn)| arn).map_err(|error| error.to_string());
        assert_eq!(found("a").as_deref(), Ok("arn:aws:iam::aws:policy/a"));
        assert_eq!(
            found("arn:aws:iam::000000000000:policy/b").as_deref(),
            Ok("arn:aws:iam::000000000000:policy/b")
        );
        assert!(found("b").expect_err("two").contains("name it by its ARN"));
        assert!(found("c").expect_err("none").contains("longshore policy list"));
    }

    #[test]
    fn documents_are_decoded() {
        assert_eq!(percent_decoded("%7B%22a%22%3A%20%22%C3%BC+%22%7D").as_deref(), Some("{\"a\": \"ü+\"}"));
        assert_eq!(percent_decoded("%7"), None);
        assert_eq!(percent_decoded("%zz"), None);
    }
}
