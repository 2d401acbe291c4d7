//! A service model as the code generator sees it: facts with their patches applied, names checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

pub struct Service {
    /// What stands before the operation in `X-Amz-Target`, for protocols that use it.
    pub target_prefix: Option<String>,
    pub signing_name: String,
    pub api_version: String,
    /// The protocols that the model lists, its preferred one first.
    pub protocols: Vec<String>,
    /// The name space of XML answers.
    pub xml_namespace: Option<String>,
    pub is_query_compatible: bool,
    json_version: Option<String>,
    /// In requests, an optional text that is empty stands for no value. A patch says so of a service.
    pub empty_text_is_absent: bool,
    pub operations: Vec<Operation>,
    /// Names of the operations that get no shapes.
    pub other_operations: Vec<String>,
    /// The first label of the service's host at AWS.
    pub endpoint_prefix: String,
    /// How requests name operations in the REST protocols; empty for services of other protocols.
    pub bindings: Vec<Binding>,
    pub shapes: BTreeMap<String, Shape>,
}

/// What tells a request for an operation from others, in the REST protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub operation: String,
    pub method: String,
    pub uri: String,
    /// Parameters and headers that it cannot do without.
    pub query: Vec<String>,
    pub headers: Vec<String>,
}

pub struct Operation {
    pub name: String,
    pub input: String,
    pub output: String,
    pub errors: Vec<String>,
    pub readonly: bool,
    pub idempotent: bool,
    pub method: String,
    pub uri: String,
    /// The status of an answer, if the model gives one.
    pub status: Option<u16>,
    /// The element that a Query answer's members stand in.
    pub result_wrapper: Option<String>,
}

/// Values beyond this make an enumeration that nobody matches on: EC2 has more than a thousand instance types.
const ENUM_VALUES_MAX: usize = 150;

/// The text of an error whose structure has no member for it; every protocol carries one all the same.
const MESSAGE_SHAPE: &str = "LongshoreErrorMessage";

pub struct Shape {
    pub kind: Kind,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub pattern: Option<String>,
    pub sensitive: bool,
    pub deprecated: bool,
    /// The name and the name space of its XML element.
    pub xml_name: Option<String>,
    pub xml_namespace: Option<XmlNamespace>,
    /// The member that is the whole body in the REST protocols.
    pub payload: Option<String>,
}

pub struct XmlNamespace {
    pub prefix: Option<String>,
    pub uri: String,
}

pub enum Kind {
    String,
    Enum(Vec<String>),
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Blob,
    Timestamp(Option<String>),
    Document,
    List { element: Reference, flattened: bool },
    Map { key: Reference, value: Reference, flattened: bool },
    Structure { members: BTreeMap<String, Member>, error: Option<ErrorFacts> },
}

#[derive(Clone)]
pub struct Reference {
    pub shape: String,
    pub location_name: Option<String>,
}

pub struct Member {
    pub target: Reference,
    pub query_name: Option<String>,
    /// Its list or map is flattened here, whatever its shape says.
    pub flattened: bool,
    /// Where the REST protocols carry it: `header`, `headers`, `uri`, `querystring`, `statusCode`.
    pub location: Option<String>,
    pub xml_attribute: bool,
    pub required: bool,
    pub sensitive: bool,
    pub idempotency_token: bool,
    /// An exception from [`Service::empty_text_is_absent`], from a patch.
    pub empty_is_a_value: bool,
    pub deprecated: bool,
}

pub struct ErrorFacts {
    pub code: String,
    pub http_status: u16,
    pub server_fault: bool,
}

impl Service {
    /// Reads `models/<name>.json` and applies `models/<name>.patches.json`.
    pub fn load(root: &Path, name: &str) -> anyhow::Result<Self> {
        let directory = root.join("models");
        let mut model: Value = serde_json::from_str(&crate::read(&directory.join(format!("{name}.json")))?)?;
        let patches: Vec<Value> =
            serde_json::from_str(&crate::read(&directory.join(format!("{name}.patches.json")))?)?;
        for patch in &patches {
            apply(&mut model, patch).with_context(|| format!("patch {}", patch["path"]))?;
        }
        Self::parse(&model)
    }

    fn parse(model: &Value) -> anyhow::Result<Self> {
        let metadata =
            |key: &str| text(&model["metadata"], key).with_context(|| format!("metadata has no {key}"));
        let mut shapes = BTreeMap::new();
        for (name, shape) in model["shapes"].as_object().context("no shapes")? {
            shapes.insert(name.clone(), Shape::parse(name, shape).with_context(|| format!("shape {name}"))?);
        }
        add_messages(&mut shapes);
        flatten_members(&mut shapes);
        let mut operations = Vec::new();
        for (name, operation) in model["operations"].as_object().context("no operations")? {
            // Some have nothing to say; they get a structure without members.
            let mut end = |key: &str, suffix: &str| -> anyhow::Result<String> {
                if let Some(shape) = text(&operation[key], "shape") {
                    return Ok(shape);
                }
                let made = format!("{name}{suffix}");
                let other = shapes.insert(made.clone(), Shape::empty_structure());
                ensure!(other.is_none(), "{name} has no {key}, and {made} is something else");
                Ok(made)
            };
            let (input, output) = (end("input", "Input")?, end("output", "Output")?);
            let http = &operation["http"];
            operations.push(Operation {
                name: name.clone(),
                input,
                output,
                errors: strings(&operation["errors"]),
                readonly: flag(operation, "readonly"),
                idempotent: flag(operation, "idempotent"),
                method: text(http, "method").unwrap_or_else(|| "POST".to_owned()),
                uri: text(http, "requestUri").unwrap_or_else(|| "/".to_owned()),
                status: http["responseCode"].as_u64().and_then(|status| u16::try_from(status).ok()),
                result_wrapper: text(&operation["output"], "resultWrapper"),
            });
        }
        operations.sort_by(|a, b| a.name.cmp(&b.name));
        let mut protocols = strings(&model["metadata"]["protocols"]);
        if protocols.is_empty() {
            protocols.push(metadata("protocol")?);
        }
        let namespace =
            metadata("xmlNamespace").ok().or_else(|| text(&model["metadata"]["xmlNamespace"], "uri"));
        let service = Self {
            target_prefix: metadata("targetPrefix").ok(),
            signing_name: metadata("signingName").or_else(|_| metadata("endpointPrefix"))?,
            api_version: metadata("apiVersion")?,
            protocols,
            xml_namespace: namespace,
            is_query_compatible: model["metadata"]["awsQueryCompatible"].is_object(),
            json_version: metadata("jsonVersion").ok(),
            empty_text_is_absent: flag(&model["metadata"], "emptyTextIsAbsent"),
            operations,
            other_operations: strings(&model["otherOperations"]),
            endpoint_prefix: metadata("endpointPrefix")?,
            bindings: Vec::new(),
            shapes,
        };
        let service = Self { bindings: service.bindings(&model["otherBindings"]), ..service };
        service.check_references()?;
        Ok(service)
    }

    /// Of several operations with one binding, which are old names of one another, the first counts: those with shapes,
    /// then the longest name.
    fn bindings(&self, others: &Value) -> Vec<Binding> {
        if !self.protocols.iter().any(|protocol| protocol.starts_with("rest-")) {
            return Vec::new();
        }
        let own = self.operations.iter().map(|operation| {
            let needs = |location: &str| match &self.shape(&operation.input).kind {
                Kind::Structure { members, .. } => members
                    .iter()
                    .filter(|(_, member)| member.required && member.location.as_deref() == Some(location))
                    .map(|(name, member)| member.target.location_name.clone().unwrap_or_else(|| name.clone()))
                    .collect(),
                _ => Vec::new(),
            };
            Binding {
                operation: operation.name.clone(),
                method: operation.method.clone(),
                uri: operation.uri.clone(),
                query: needs("querystring"),
                headers: needs("header"),
            }
        });
        let mut others: Vec<Binding> = others
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, facts)| Binding {
                operation: name.clone(),
                method: text(facts, "method").unwrap_or_default(),
                uri: text(facts, "uri").unwrap_or_default(),
                query: strings(&facts["query"]),
                headers: strings(&facts["headers"]),
            })
            .collect();
        others.sort_by_key(|binding| std::cmp::Reverse(binding.operation.len()));
        let mut kept: Vec<Binding> = Vec::new();
        for mut binding in own.chain(others) {
            binding.headers.iter_mut().for_each(|name| name.make_ascii_lowercase());
            let facts = |binding: &Binding| {
                (binding.method.clone(), binding.uri.clone(), binding.query.clone(), binding.headers.clone())
            };
            if !kept.iter().any(|other| facts(other) == facts(&binding)) {
                kept.push(binding);
            }
        }
        kept.sort_by(|one, other| one.operation.cmp(&other.operation));
        kept
    }

    fn check_references(&self) -> anyhow::Result<()> {
        let known = |from: &str, to: &str| match self.shapes.contains_key(to) {
            true => Ok(()),
            false => bail!("{from} refers to {to}, which does not exist"),
        };
        for operation in &self.operations {
            for name in [&operation.input, &operation.output].into_iter().chain(&operation.errors) {
                known(&operation.name, name)?;
            }
        }
        for (name, shape) in &self.shapes {
            for target in shape.references() {
                known(name, target)?;
            }
        }
        Ok(())
    }

    /// A protocol that the model names, as an expression.
    pub fn protocol(&self, name: &str) -> anyhow::Result<String> {
        let variant = match (name, self.json_version.as_deref()) {
            ("json", Some("1.1")) => "AwsJson11",
            // A model that prefers another protocol does not say which JSON it has; it is the newer ones' 1.0.
            ("json", _) => "AwsJson10",
            ("query", _) => "Query",
            ("ec2", _) => "Ec2Query",
            ("smithy-rpc-v2-cbor", _) => "RpcV2Cbor",
            ("rest-json", _) => "RestJson1",
            ("rest-xml", _) => "RestXml",
            (other, _) => bail!("unknown protocol {other}"),
        };
        Ok(format!("Protocol::{variant}"))
    }

    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).expect("references were checked when the model was read")
    }

    /// Every shape that a request can contain.
    pub fn shapes_of_requests(&self) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = self.operations.iter().map(|operation| operation.input.as_str()).collect();
        while let Some(name) = open.pop() {
            if seen.insert(name) {
                open.extend(self.shape(name).references());
            }
        }
        seen
    }

    /// Whether a value of shape `from` may contain, without a list or map between, a value of `to`.
    /// Such a member of `to` itself has to be boxed.
    pub fn embeds(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            if name == to {
                return true;
            }
            if let Kind::Structure { members, .. } = &self.shape(name).kind
                && seen.insert(name)
            {
                open.extend(members.values().map(|member| member.target.shape.as_str()));
            }
        }
        false
    }
}

impl Shape {
    fn parse(name: &str, shape: &Value) -> anyhow::Result<Self> {
        let reference = |key: &str| Reference::parse(&shape[key]).with_context(|| format!("no {key}"));
        let kind = match shape["type"].as_str().context("no type")? {
            "string" if shape.get("enum").is_some() => match strings(&shape["enum"]) {
                many if many.len() > ENUM_VALUES_MAX => Kind::String,
                values => Kind::Enum(values),
            },
            "string" | "character" => Kind::String,
            "integer" | "short" | "byte" => Kind::Integer,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "boolean" => Kind::Boolean,
            "blob" => Kind::Blob,
            "timestamp" => Kind::Timestamp(text(shape, "timestampFormat")),
            "list" => Kind::List { element: reference("member")?, flattened: flag(shape, "flattened") },
            "map" => Kind::Map {
                key: reference("key")?,
                value: reference("value")?,
                flattened: flag(shape, "flattened"),
            },
            "structure" if flag(shape, "document") => Kind::Document,
            "structure" => {
                let required: BTreeSet<String> = strings(&shape["required"]).into_iter().collect();
                let mut members = BTreeMap::new();
                for (name, member) in shape["members"].as_object().context("no members")? {
                    members.insert(name.clone(), Member::parse(member, required.contains(name))?);
                }
                Kind::Structure { members, error: ErrorFacts::parse(name, shape) }
            }
            other => bail!("unknown type {other}"),
        };
        Ok(Self {
            kind,
            min: bound(shape, "min")?,
            max: bound(shape, "max")?,
            pattern: text(shape, "pattern"),
            sensitive: flag(shape, "sensitive"),
            deprecated: flag(shape, "deprecated"),
            xml_name: text(shape, "locationName"),
            xml_namespace: XmlNamespace::parse(&shape["xmlNamespace"]),
            payload: text(shape, "payload"),
        })
    }

    fn of_kind(kind: Kind) -> Self {
        Self {
            kind,
            min: None,
            max: None,
            pattern: None,
            sensitive: false,
            deprecated: false,
            xml_name: None,
            xml_namespace: None,
            payload: None,
        }
    }

    fn empty_structure() -> Self {
        Self::of_kind(Kind::Structure { members: BTreeMap::new(), error: None })
    }

    fn references(&self) -> Vec<&str> {
        match &self.kind {
            Kind::List { element, .. } => vec![&element.shape],
            Kind::Map { key, value, .. } => vec![&key.shape, &value.shape],
            Kind::Structure { members, .. } => {
                members.values().map(|member| member.target.shape.as_str()).collect()
            }
            Kind::String
            | Kind::Enum(_)
            | Kind::Integer
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::Boolean
            | Kind::Blob
            | Kind::Timestamp(_)
            | Kind::Document => Vec::new(),
        }
    }
}

/// Gives each error structure a member for its text.
fn add_messages(shapes: &mut BTreeMap<String, Shape>) {
    let mut is_needed = false;
    for shape in shapes.values_mut() {
        let Kind::Structure { members, error: Some(_) } = &mut shape.kind else { continue };
        if !members.keys().any(|name| name.eq_ignore_ascii_case("message")) {
            is_needed = true;
            let target = Reference { shape: MESSAGE_SHAPE.to_owned(), location_name: None };
            let member = Member {
                target,
                query_name: None,
                flattened: false,
                location: None,
                xml_attribute: false,
                required: false,
                sensitive: false,
                idempotency_token: false,
                deprecated: false,
                empty_is_a_value: false,
            };
            members.insert("message".to_owned(), member);
        }
    }
    if is_needed {
        shapes.insert(MESSAGE_SHAPE.to_owned(), Shape::of_kind(Kind::String));
    }
}

/// A member that flattens a list gets a shape of its own, which says so: schemas of lists know nothing of members.
fn flatten_members(shapes: &mut BTreeMap<String, Shape>) {
    let mut made: BTreeMap<String, Shape> = BTreeMap::new();
    let lists: BTreeMap<String, (Reference, Option<i64>, Option<i64>)> = shapes
        .iter()
        .filter_map(|(name, shape)| match &shape.kind {
            Kind::List { element, flattened: false } => {
                Some((name.clone(), (element.clone(), shape.min, shape.max)))
            }
            _ => None,
        })
        .collect();
    for shape in shapes.values_mut() {
        let Kind::Structure { members, .. } = &mut shape.kind else { continue };
        for member in members.values_mut().filter(|member| member.flattened) {
            let Some((element, min, max)) = lists.get(&member.target.shape) else { continue };
            let name = format!("{}Flattened", member.target.shape);
            // The member's own name is that of its elements.
            let location_name = member.target.location_name.clone().or_else(|| element.location_name.clone());
            let element = Reference { shape: element.shape.clone(), location_name };
            let (min, max) = (*min, *max);
            made.insert(
                name.clone(),
                Shape { min, max, ..Shape::of_kind(Kind::List { element, flattened: true }) },
            );
            member.target.shape = name;
        }
    }
    shapes.extend(made);
}

impl XmlNamespace {
    fn parse(value: &Value) -> Option<Self> {
        let uri = value.as_str().map(str::to_owned).or_else(|| text(value, "uri"))?;
        Some(Self { prefix: text(value, "prefix"), uri })
    }
}

impl Reference {
    fn parse(value: &Value) -> Option<Self> {
        Some(Self { shape: text(value, "shape")?, location_name: text(value, "locationName") })
    }
}

impl Member {
    fn parse(value: &Value, required: bool) -> anyhow::Result<Self> {
        Ok(Self {
            target: Reference::parse(value).context("a member without a shape")?,
            query_name: text(value, "queryName"),
            flattened: flag(value, "flattened"),
            location: text(value, "location"),
            xml_attribute: flag(value, "xmlAttribute"),
            required,
            sensitive: flag(value, "sensitive"),
            idempotency_token: flag(value, "idempotencyToken"),
            empty_is_a_value: flag(value, "emptyIsAValue"),
            deprecated: flag(value, "deprecated"),
        })
    }
}

impl ErrorFacts {
    /// Facts of an error shape. Models that say nothing of the status mean 400, or 500 for a fault.
    fn parse(name: &str, shape: &Value) -> Option<Self> {
        let error = &shape["error"];
        if !flag(shape, "exception") && !error.is_object() {
            return None;
        }
        let server_fault = flag(shape, "fault") || flag(error, "fault");
        let status = error["httpStatusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
        Some(Self {
            code: text(error, "code").unwrap_or_else(|| name.to_owned()),
            http_status: status.unwrap_or(if server_fault { 500 } else { 400 }),
            server_fault,
        })
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn flag(value: &Value, key: &str) -> bool {
    value[key].as_bool().unwrap_or(false)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// A bound of a range or length. Models write some as `100.0`.
fn bound(shape: &Value, key: &str) -> anyhow::Result<Option<i64>> {
    let value = &shape[key];
    if value.is_null() {
        return Ok(None);
    }
    if let Some(bound) = value.as_i64() {
        return Ok(Some(bound));
    }
    match value.as_f64() {
        Some(bound) if bound.fract() == 0.0 && bound.abs() < 9.0e15 => Ok(Some(bound as i64)),
        _ => bail!("{key} is {value}, not a whole number"),
    }
}

/// Sets the value at a JSON pointer, or removes it if the patch's value is null. Only the last
/// step may be new, so that a patch for a shape which has gone is noticed.
fn apply(model: &mut Value, patch: &Value) -> anyhow::Result<()> {
    let path = patch["path"].as_str().context("a patch needs a path")?;
    patch["reason"].as_str().filter(|reason| !reason.is_empty()).context("a patch needs a reason")?;
    let value = patch.get("value").context("a patch needs a value; null removes")?;
    let (parent, last) = path.rsplit_once('/').context("a path begins with a slash")?;
    let parent =
        model.pointer_mut(parent).and_then(Value::as_object_mut).context("nothing there to patch")?;
    if value.is_null() {
        parent.remove(last).context("nothing there to remove")?;
    } else {
        parent.insert(last.to_owned(), value.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patches_add_replace_and_remove_but_never_guess() {
        let mut model = json!({"shapes": {"A": {"type": "string"}}});
        apply(&mut model, &json!({"path": "/shapes/A/sensitive", "value": true, "reason": "r"}))
            .expect("adds");
        apply(&mut model, &json!({"path": "/shapes/A/type", "value": null, "reason": "r"})).expect("removes");
        assert_eq!(model, json!({"shapes": {"A": {"sensitive": true}}}));
        for bad in [
            json!({"path": "/shapes/B/sensitive", "value": true, "reason": "r"}),
            json!({"path": "/shapes/A/gone", "value": null, "reason": "r"}),
            json!({"path": "/shapes/A/x", "value": 1}),
            json!({"path": "/shapes/A/x", "reason": "r"}),
        ] {
            assert!(apply(&mut model, &bad).is_err(), "{bad}");
        }
    }
}
