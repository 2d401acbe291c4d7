//! The static tables: one `StructSchema` per structure, one `TypeSchema` per shape.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};

use super::{Files, names};
use crate::service::{Kind, Member, Service, Shape};

pub fn generate(service: &Service, files: &mut Files) -> anyhow::Result<()> {
    let mut constants: BTreeMap<String, &str> = BTreeMap::new();
    let mut types = String::from(
        "//! Every shape that a member can have.\n\nuse longshore_wire::schema::{Collection, Entries, Kind, TimestampFormat, TypeSchema};\n\nuse super::structures;\n\n",
    );
    let mut structures = String::from(
        "//! Every structure, with its members sorted by name.\n\nuse longshore_wire::schema::{Location, MemberSchema, StructSchema};\n\nuse super::types;\n\n",
    );
    let of_requests = service.shapes_of_requests();
    for (name, shape) in &service.shapes {
        let other = constants.insert(names::constant(name), name);
        ensure!(other.is_none(), "{name} and {other:?} want the same constant");
        types.push_str(&type_schema(name, shape));
        if let Kind::Structure { members, .. } = &shape.kind {
            structures.push_str(&struct_schema(
                service,
                name,
                shape,
                members,
                service.empty_text_is_absent && of_requests.contains(name.as_str()),
            )?);
        }
    }
    files.insert("schema/types.rs".into(), types);
    files.insert("schema/structures.rs".into(), structures);
    files.insert(
        "schema.rs".into(),
        "//! What the shapes look like, as data.\n\npub mod structures;\npub mod types;\n".into(),
    );
    Ok(())
}

fn type_schema(name: &str, shape: &Shape) -> String {
    let target = |name: &str| format!("&{}", names::constant(name));
    let body = match &shape.kind {
        Kind::String => simple(name, "String"),
        Kind::Integer => simple(name, "Integer"),
        Kind::Long => simple(name, "Long"),
        Kind::Float => simple(name, "Float"),
        Kind::Double => simple(name, "Double"),
        Kind::Boolean => simple(name, "Boolean"),
        Kind::Blob => simple(name, "Blob"),
        Kind::Document => simple(name, "Document"),
        Kind::Enum(_) => simple(name, &format!("Enum(crate::generated::{}::VALUES)", names::shape(name))),
        Kind::Timestamp(format) => {
            let format = match format.as_deref() {
                Some("unixTimestamp") => "EpochSeconds",
                Some("iso8601") => "Iso8601",
                Some("rfc822") => "Rfc822",
                Some(_) | None => "Default",
            };
            simple(name, &format!("Timestamp(TimestampFormat::{format})"))
        }
        Kind::List { element, flattened: false } if element.location_name.is_none() => {
            format!("TypeSchema::list({name:?}, {})", target(&element.shape))
        }
        Kind::List { element, flattened } => simple(
            name,
            &format!(
                "List(Collection {{ element: {}, element_name: {:?}, flattened: {flattened} }})",
                target(&element.shape),
                element.location_name
            ),
        ),
        Kind::Map { key, value, flattened: false }
            if key.location_name.is_none() && value.location_name.is_none() =>
        {
            format!("TypeSchema::map({name:?}, {}, {})", target(&key.shape), target(&value.shape))
        }
        Kind::Map { key, value, flattened } => simple(
            name,
            &format!(
                "Map(Entries {{ key: {}, value: {}, key_name: {:?}, value_name: {:?}, flattened: {flattened} }})",
                target(&key.shape),
                target(&value.shape),
                key.location_name,
                value.location_name
            ),
        ),
        Kind::Structure { .. } => simple(name, &format!("Structure(&structures::{})", names::constant(name))),
    };
    let mut text = format!("pub static {}: TypeSchema = {body}", names::constant(name));
    if let Some(min) = shape.min {
        text.push_str(&format!(".min({min})"));
    }
    if let Some(max) = shape.max {
        text.push_str(&format!(".max({max})"));
    }
    if let Some(pattern) = &shape.pattern {
        text.push_str(&format!(".pattern({pattern:?})"));
    }
    text + ";\n"
}

fn simple(name: &str, kind: &str) -> String {
    format!("TypeSchema::new({name:?}, Kind::{kind})")
}

fn struct_schema(
    service: &Service,
    name: &str,
    shape: &Shape,
    members: &BTreeMap<String, Member>,
    empty_text_is_absent: bool,
) -> anyhow::Result<String> {
    let constant = names::constant(name);
    let mut text = format!("pub static {constant}: StructSchema = StructSchema::new({name:?}, &[\n");
    for (name, member) in members {
        text.push_str(&format!(
            "MemberSchema::new({name:?}, &types::{})",
            names::constant(&member.target.shape)
        ));
        if member.required {
            text.push_str(".required()");
        }
        if is_sensitive(service, member) {
            text.push_str(".sensitive()");
        }
        if member.idempotency_token {
            text.push_str(".idempotency_token()");
        }
        let is_text = matches!(service.shape(&member.target.shape).kind, Kind::String | Kind::Enum(_));
        if empty_text_is_absent && is_text && !member.empty_is_a_value {
            text.push_str(".absent_if_empty()");
        }
        let is_in_body = member.location.is_none();
        if let Some(other) = member.target.location_name.as_ref().filter(|other| is_in_body && *other != name)
        {
            text.push_str(&format!(".xml_name({other:?})"));
        }
        if let Some(other) = &member.query_name {
            text.push_str(&format!(".ec2_name({other:?})"));
        }
        if let Some(location) = &member.location {
            let carried = member.target.location_name.as_ref().unwrap_or(name);
            let location = match location.as_str() {
                "header" => format!("Header({:?})", carried.to_ascii_lowercase()),
                "headers" => format!("Headers({:?})", carried.to_ascii_lowercase()),
                "uri" => format!("Uri({carried:?})"),
                "querystring" => format!("Query({carried:?})"),
                "statusCode" => "StatusCode".to_owned(),
                other => bail!("{name} is carried by {other}"),
            };
            text.push_str(&format!(".location(Location::{location})"));
        }
        if member.xml_attribute {
            text.push_str(".xml_attribute()");
        }
        text.push_str(",\n");
    }
    text.push_str("])");
    if shape.sensitive {
        text.push_str(".sensitive()");
    }
    if let Some(name) = &shape.xml_name {
        text.push_str(&format!(".xml_name({name:?})"));
    }
    if let Some(namespace) = &shape.xml_namespace {
        text.push_str(&format!(".xml_namespace({:?}, {:?})", namespace.prefix, namespace.uri));
    }
    if let Some(payload) = &shape.payload {
        text.push_str(&format!(".payload({payload:?})"));
    }
    text.push_str(";\n\n");
    Ok(text)
}

/// A member is secret by itself, by its shape, or by the elements of its list or map.
pub fn is_sensitive(service: &Service, member: &Member) -> bool {
    let shape = service.shape(&member.target.shape);
    let inner = match &shape.kind {
        Kind::List { element, .. } => service.shape(&element.shape).sensitive,
        Kind::Map { value, .. } => service.shape(&value.shape).sensitive,
        Kind::String
        | Kind::Enum(_)
        | Kind::Integer
        | Kind::Long
        | Kind::Float
        | Kind::Double
        | Kind::Boolean
        | Kind::Blob
        | Kind::Timestamp(_)
        | Kind::Document
        | Kind::Structure { .. } => false,
    };
    member.sensitive || shape.sensitive || inner
}
