//! IAM's rules as tables (identity J4, J6): each line is a policy, a request and what follows from them.
//!
//! The tables are the texts beside this file, and say in their heads what their columns are. `== ` begins a rule, which
//! a failure names. To add a case, add a line. What holds for every operator, or for every combination of policies, is
//! asked of each in `conditions.rs` and `combination.rs`.

mod combination;
mod conditions;
mod documents;
mod principals;
mod statements;

use longshore_policy::{Asker, Who};

const ACCOUNT: &str = "111111111111";
const OTHER: &str = "222222222222";

/// A line of a table.
struct Row<'t> {
    number: usize,
    /// The rule that it is a case of.
    rule: &'t str,
    /// What the last line that began with `@` said.
    mode: &'t str,
    cells: Vec<&'t str>,
}

fn rows(table: &str, columns: usize) -> Vec<Row<'_>> {
    let (mut rule, mut mode) = ("", "");
    let mut rows = Vec::new();
    for (index, line) in table.lines().enumerate() {
        let number = index + 1;
        if let Some(named) = line.strip_prefix("== ") {
            rule = named;
        } else if let Some(named) = line.strip_prefix('@') {
            mode = named;
        } else if !line.is_empty() && !line.starts_with('#') {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert_eq!(cells.len(), columns, "line {number}: {line}");
            rows.push(Row { number, rule, mode, cells });
        }
    }
    assert!(rows.len() > 50, "a table that was not found");
    rows
}

/// Compares each row's last cell, or last cells, with what `decide` says; tells all that differ.
fn check(table: &str, columns: usize, expected: usize, decide: impl Fn(&Row<'_>) -> String) {
    let mut wrong = Vec::new();
    for row in rows(table, columns) {
        let is = decide(&row);
        let should = row.cells[columns - expected..].join(" | ");
        if is != should {
            wrong.push(format!("line {} ({}): {} is: {is}", row.number, row.rule, row.cells.join(" | ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn yes(it: bool) -> String {
    if it { "yes" } else { "no" }.to_owned()
}

/// A document with this `Statement`, of the version that the table's `@` says.
fn document(mode: &str, statement: &str) -> String {
    match mode {
        "none" => format!(r#"{{"Statement": {statement}}}"#),
        version => format!(r#"{{"Version": "{version}", "Statement": {statement}}}"#),
    }
}

fn user(account: &str, name: &str) -> Who {
    let arn = format!("arn:aws:iam::{account}:user/{name}");
    Who {
        account: account.to_owned(),
        asker: Asker::User { arn, id: format!("AIDA{}", name.to_uppercase()) },
    }
}

fn session(account: &str, role_id: &str) -> Who {
    let asker = Asker::Session {
        arn: format!("arn:aws:sts::{account}:assumed-role/app/task"),
        role_arn: format!("arn:aws:iam::{account}:role/app"),
        role_id: role_id.to_owned(),
    };
    Who { account: account.to_owned(), asker }
}

fn root(account: &str) -> Who {
    Who { account: account.to_owned(), asker: Asker::Root }
}

const SERVICE: &str = "ecs-tasks.amazonaws.com";
const PROVIDER: &str = "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com";

/// Who has no account of its own.
fn outside(asker: Asker) -> Who {
    Who { account: String::new(), asker }
}
