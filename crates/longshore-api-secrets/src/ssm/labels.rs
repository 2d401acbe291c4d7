//! Labels of versions. A label is on one version of a parameter and moves when it is put on another.

use longshore_shapes_ssm::{
    LabelParameterVersionResult, ParameterNotFound, ParameterVersionLabelLimitExceeded,
    ParameterVersionNotFound, UnlabelParameterVersionResult, ops,
};
use longshore_tables_secrets::find::{self, Selector};
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::read;
use longshore_tables_secrets::record::Parameter;

use super::{permission, texts};
use crate::input::given;

const LABELS_MAX: usize = 10;

/// Whether a version may have this label: what is none is told, and no error (identity J10).
fn is_label(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !label.starts_with(|first: char| first.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}

command!(
    Ssm,
    LabelParameterVersion,
    |state, caller, input| permission::on(state, caller, "LabelParameterVersion", given(&input.name)),
    |tx, caller, input| {
        let name = given(&input.name);
        let found = find::parameter(tx.state(), &caller.scope, name);
        let found = found.ok_or_else(|| ParameterNotFound::new(texts::not_found(name)))?;
        let selector = match input.parameter_version {
            Some(number) => Selector::Number(u64::try_from(number).unwrap_or(0)),
            None => Selector::Newest,
        };
        let number = found.version(tx.state(), selector).map(|(number, _)| number);
        let missing = || ParameterVersionNotFound::new(read::no_version(name, selector).to_string());
        let number = number.ok_or_else(missing)?;
        let at = ScopedKey::new(&found.scope, found.name);
        let mut parameter = Parameter::clone(found.parameter);
        let labels = input.labels.into_iter().flatten();
        let (labels, invalid): (Vec<String>, Vec<String>) = labels.partition(|label| is_label(label));
        for label in &labels {
            parameter.labels.insert(label.as_str().into(), number);
        }
        if parameter.labels.values().filter(|own| **own == number).count() > LABELS_MAX {
            let text = format!("A parameter version can have maximum {LABELS_MAX} labels.");
            return Err(ParameterVersionLabelLimitExceeded::new(text).into());
        }
        if !labels.is_empty() {
            parameter.labelled_at = Some(tx.now);
            tx.put::<Parameter>(at, parameter);
        }
        Ok(LabelParameterVersionResult {
            invalid_labels: Some(invalid),
            parameter_version: i64::try_from(number).ok(),
        })
    }
);

command!(
    Ssm,
    UnlabelParameterVersion,
    |state, caller, input| permission::on(state, caller, "UnlabelParameterVersion", given(&input.name)),
    |tx, caller, input| {
        let name = given(&input.name);
        let found = find::parameter(tx.state(), &caller.scope, name);
        let found = found.ok_or_else(|| ParameterNotFound::new(texts::not_found(name)))?;
        let number = input.parameter_version.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        if found.version(tx.state(), Selector::Number(number)).is_none() {
            let text = read::no_version(name, Selector::Number(number)).to_string();
            return Err(ParameterVersionNotFound::new(text).into());
        }
        let at = ScopedKey::new(&found.scope, found.name);
        let mut parameter = Parameter::clone(found.parameter);
        let labels = input.labels.into_iter().flatten();
        let (removed, invalid): (Vec<String>, Vec<String>) =
            labels.partition(|label| parameter.labels.get(label.as_str()) == Some(&number));
        for label in &removed {
            parameter.labels.remove(label.as_str());
        }
        if !removed.is_empty() {
            parameter.labelled_at = Some(tx.now);
            tx.put::<Parameter>(at, parameter);
        }
        Ok(UnlabelParameterVersionResult { invalid_labels: Some(invalid), removed_labels: Some(removed) })
    }
);
