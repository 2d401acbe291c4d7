//! Structures: inputs, outputs, errors and what they are made of.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};

use super::schema::is_sensitive;
use super::{Api, Files, names};
use crate::service::{ErrorFacts, Kind, Member, Service};

/// What each file begins with, whether it uses all of it or not.
const IMPORTS: &str = "use std::collections::BTreeMap;

use longshore_base::Timestamp;
use longshore_wire::{Blob, Document, error_shape, impl_structure};

use crate::generated::*;
use crate::generated::schema::structures as schema;

";

/// Adds the files of all structures: those of inputs, of outputs and of what these are made of, by first letters, and
/// one of errors.
///
/// # Errors
/// Two members of a structure want the same field, or an error has no member for its message.
pub fn generate(api: &Api, service: &Service, files: &mut Files) -> anyhow::Result<()> {
    let inputs: BTreeSet<&str> =
        service.operations.iter().map(|operation| operation.input.as_str()).collect();
    let outputs: BTreeSet<&str> =
        service.operations.iter().map(|operation| operation.output.as_str()).collect();
    for (name, shape) in &service.shapes {
        let Kind::Structure { members, error } = &shape.kind else { continue };
        let (group, topic) = if inputs.contains(name.as_str()) {
            (by_letter("inputs", name), "Inputs of operations.")
        } else if outputs.contains(name.as_str()) {
            (by_letter("outputs", name), "Outputs of operations.")
        } else if error.is_some() {
            ("errors".to_owned(), "Error structures.")
        } else {
            (by_letter("types", name), "Structures that inputs and outputs are made of.")
        };
        let file = files.entry(format!("{group}.rs")).or_insert_with(|| format!("//! {topic}\n\n{IMPORTS}"));
        file.push_str(&structure(api, service, name, shape.deprecated, members)?);
        if let Some(error) = error {
            file.push_str(&error_impl(name, error, members)?);
        }
    }
    Ok(())
}

/// Files by kind and first letter stay readable, and a new shape changes only its own.
fn by_letter(kind: &str, name: &str) -> String {
    let letter = name.chars().next().map_or('x', |c| c.to_ascii_lowercase());
    format!("{kind}_{letter}")
}

fn structure(
    api: &Api,
    service: &Service,
    name: &str,
    deprecated: bool,
    members: &BTreeMap<String, Member>,
) -> anyhow::Result<String> {
    let mut text = format!("/// {}\n", describe(api, service, name));
    if deprecated {
        text.push_str("///\n/// The model calls it deprecated.\n");
    }
    text.push_str(&format!("#[derive(Clone, Default, PartialEq)]\npub struct {} {{\n", names::shape(name)));
    let mut positions = String::new();
    let mut fields = BTreeSet::new();
    for (position, (member_name, member)) in members.iter().enumerate() {
        let field = names::field(member_name);
        ensure!(fields.insert(field.clone()), "{name}: two members want the field {field}");
        let mut remarks = Vec::new();
        if member.required {
            remarks.push("Required.");
        }
        if is_sensitive(service, member) {
            remarks.push("Secret.");
        }
        if member.deprecated {
            remarks.push("Deprecated in the model.");
        }
        if !remarks.is_empty() {
            text.push_str(&format!("/// {}\n", remarks.join(" ")));
        }
        let mut rust = rust_type(service, &member.target.shape);
        if service.embeds(&member.target.shape, name) {
            rust = format!("Box<{rust}>");
        }
        text.push_str(&format!("pub {field}: Option<{rust}>,\n"));
        positions.push_str(&format!("    {position} => {field},\n"));
    }
    text.push_str("}\n\n");
    text.push_str(&format!(
        "impl_structure!({}, schema::{}, {{\n{positions}}});\n\n",
        names::shape(name),
        names::constant(name)
    ));
    Ok(text)
}

/// One line and a link; the reference has the prose.
fn describe(api: &Api, service: &Service, name: &str) -> String {
    let link = |name: &str| api.reference.replace("{}", name);
    for operation in &service.operations {
        if operation.input == name {
            return format!("Input of [`{0}`]({1}).", operation.name, link(&operation.name));
        }
        if operation.output == name {
            return format!("Output of [`{0}`]({1}).", operation.name, link(&operation.name));
        }
    }
    if let Kind::Structure { error: Some(error), .. } = &service.shape(name).kind {
        return format!("Error `{}`.", error.code);
    }
    format!("[`{name}`]({}).", link(name))
}

fn rust_type(service: &Service, shape: &str) -> String {
    match &service.shape(shape).kind {
        Kind::String => "String".to_owned(),
        Kind::Enum(_) | Kind::Structure { .. } => names::shape(shape),
        Kind::Integer => "i32".to_owned(),
        Kind::Long => "i64".to_owned(),
        Kind::Float => "f32".to_owned(),
        Kind::Double => "f64".to_owned(),
        Kind::Boolean => "bool".to_owned(),
        Kind::Blob => "Blob".to_owned(),
        Kind::Timestamp(_) => "Timestamp".to_owned(),
        Kind::Document => "Document".to_owned(),
        Kind::List { element, .. } => format!("Vec<{}>", rust_type(service, &element.shape)),
        Kind::Map { value, .. } => format!("BTreeMap<String, {}>", rust_type(service, &value.shape)),
    }
}

fn error_impl(name: &str, error: &ErrorFacts, members: &BTreeMap<String, Member>) -> anyhow::Result<String> {
    let message = members.keys().find(|member| member.eq_ignore_ascii_case("message"));
    let message = message.with_context(|| format!("{name} has no message"))?;
    Ok(format!(
        "error_shape!({}, code = {:?}, status = {}, server_fault = {}, message = {});\n\n",
        names::shape(name),
        error.code,
        error.http_status,
        error.server_fault,
        names::field(message)
    ))
}
