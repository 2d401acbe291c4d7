//! `longshore account`, `user`, `key` and `policy`: what an operator does about who may do what.
//!
//! Start at [`Control`]: each command makes the calls that any AWS client would make, through a server or, where none runs,
//! on the data directory itself. What a call does is the API's affair in both cases, so that there is one implementation of
//! it (decision 49).

mod account;
mod control;
mod key;
mod offline;
mod policy;
mod root;
mod user;

use longshore_shapes_iam as iam;
use serde_json::Value;

pub use control::{Control, Purpose};

use crate::args::{AccountOptions, Format, KeyOptions, PolicyOptions, UserOptions};
use crate::out::print;

/// Calls an operation of IAM that answers in pages; gives all of their members.
macro_rules! pages {
    ($control:expr, $operation:ident, $request:expr, $members:ident) => {{
        let mut all = Vec::new();
        let mut request = $request;
        loop {
            let page = $control.call::<longshore_shapes_iam::ops::$operation>(request.clone()).await?;
            all.extend(page.$members.into_iter().flatten());
            let is_more = page.is_truncated == Some(true);
            match page.marker.filter(|_| is_more) {
                Some(marker) => request.marker = Some(marker),
                None => break all,
            }
        }
    }};
}
pub(crate) use pages;

pub async fn account(options: AccountOptions) -> anyhow::Result<()> {
    account::run(options).await
}

pub async fn user(options: UserOptions) -> anyhow::Result<()> {
    user::run(options).await
}

pub async fn key(options: KeyOptions) -> anyhow::Result<()> {
    key::run(options).await
}

pub async fn policy(options: PolicyOptions) -> anyhow::Result<()> {
    policy::run(options).await
}

/// Prints rows of named values: a table with a head for people, or a list of objects.
fn show(format: Format, heads: &[&str], rows: Vec<Vec<Value>>) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            let objects: Vec<Value> = rows
                .into_iter()
                .map(|row| {
                    heads.iter().map(|head| (*head).to_owned()).zip(row).collect::<serde_json::Map<_, _>>()
                })
                .map(Value::Object)
                .collect();
            print(&format!("{:#}\n", Value::Array(objects)))?;
        }
        Format::Table => {
            let rows: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(word).collect::<Vec<String>>()).collect();
            print(&table(heads, &rows))?;
        }
    }
    Ok(())
}

/// A value as a cell shows it.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(word).collect::<Vec<String>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Columns as wide as their widest cell, two blanks apart.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(widest).collect();
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let head = line(&mut heads.iter().map(|head| head.to_uppercase()));
    rows.iter().fold(head, |text, row| text + &line(&mut row.iter().cloned()))
}

/// A text, or nothing.
fn text(value: &Option<String>) -> Value {
    value.clone().map_or(Value::Null, Value::String)
}

/// A time as ISO 8601 writes it.
fn time(at: Option<longshore_base::Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(longshore_wire::iso8601(at)))
}

/// The status of a key, as IAM calls it.
fn status(status: &Option<iam::StatusType>) -> Value {
    status.as_ref().map_or(Value::Null, |status| Value::String(status.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [vec!["ada".to_owned(), "/".to_owned()], vec!["b".to_owned(), "/team/blue/".to_owned()]];
        assert_eq!(table(&["name", "path"], &rows), "NAME  PATH\nada   /\nb     /team/blue/\n");
        assert_eq!(table(&["name"], &[]), "NAME\n");
    }
}
