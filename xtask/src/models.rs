//! `cargo xtask models`: published service models, reduced to facts.
//!
//! Only what a program needs is kept, key by key from a list, so that a new kind of prose in a
//! later model cannot slip through. The result is sorted and stable: running it twice on one
//! botocore gives the same bytes.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};

use crate::manifest::{Api, Operations};

/// What is kept of `metadata`.
const METADATA: &[&str] = &[
    "apiVersion",
    "awsQueryCompatible",
    "endpointPrefix",
    "jsonVersion",
    "protocol",
    "protocols",
    "serviceId",
    "signatureVersion",
    "signingName",
    "targetPrefix",
    "xmlNamespace",
];

/// What is kept of an operation.
const OPERATION: &[&str] =
    &["authtype", "errors", "http", "idempotent", "input", "name", "output", "readonly", "unsignedPayload"];

/// What is kept of a shape.
const SHAPE: &[&str] = &[
    "box",
    "deprecated",
    "document",
    "enum",
    "error",
    "event",
    "eventstream",
    "exception",
    "fault",
    "flattened",
    "key",
    "locationName",
    "max",
    "member",
    "members",
    "min",
    "pattern",
    "payload",
    "required",
    "sensitive",
    "streaming",
    "timestampFormat",
    "type",
    "union",
    "value",
    "xmlNamespace",
];

/// What is kept of a member, and of any other reference to a shape.
const MEMBER: &[&str] = &[
    "box",
    "deprecated",
    "flattened",
    "idempotencyToken",
    "jsonvalue",
    "location",
    "locationName",
    "queryName",
    "resultWrapper",
    "sensitive",
    "shape",
    "streaming",
    "timestampFormat",
    "xmlAttribute",
    "xmlNamespace",
];

pub fn run(root: &Path, source: Option<&Path>) -> anyhow::Result<()> {
    for api in crate::manifest::load(root)? {
        let (file, version) = locate(&api, source)?;
        let model: Value =
            serde_json::from_str(&read_model(&file)?).with_context(|| format!("{}", file.display()))?;
        let facts = reduce(&model, &api.operations).with_context(|| api.name.clone())?;
        let target = root.join("models").join(format!("{}.json", api.name));
        crate::write(&target, &pretty(&facts))?;
        let origin = root.join("models").join(format!("{}.origin.md", api.name));
        crate::write(&origin, &origin_text(&api, &version))?;
        eprintln!("{}: {} operations", target.display(), facts["operations"].as_object().map_or(0, Map::len));
    }
    Ok(())
}

/// Finds the model and botocore's version. `source` may be the file, botocore or its `data`.
fn locate(api: &Api, source: Option<&Path>) -> anyhow::Result<(PathBuf, String)> {
    let base = match source {
        Some(path) => path.to_path_buf(),
        None => {
            let output = Command::new("python3")
                .args(["-c", "import botocore; print(botocore.__path__[0])"])
                .output()
                .context("failed to run python3")?;
            ensure!(output.status.success(), "python3 has no botocore; give its place with --source");
            PathBuf::from(String::from_utf8(output.stdout)?.trim())
        }
    };
    let mut candidates = vec![base.clone()];
    for directory in [base.clone(), base.join("data")] {
        for file in ["service-2.json.gz", "service-2.json"] {
            candidates.push(directory.join(&api.botocore).join(file));
        }
    }
    let Some(file) = candidates.into_iter().find(|path| path.is_file()) else {
        bail!("no {} model below {}", api.name, base.display())
    };
    let version = file.ancestors().find_map(|directory| version_in(&directory.join("__init__.py")));
    Ok((file, version.unwrap_or_else(|| "unknown".to_owned())))
}

/// The value of `__version__ = '…'` in botocore's own file.
fn version_in(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ ="))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned())
}

fn read_model(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
        return Ok(text);
    }
    Ok(String::from_utf8(bytes)?)
}

/// Drops everything that is not a fact about the wire, and the shapes that none of the wanted operations needs.
pub(crate) fn reduce(model: &Value, wanted: &Operations) -> anyhow::Result<Value> {
    let object = |key: &str| model[key].as_object().with_context(|| format!("the model has no `{key}`"));
    let all = object("operations")?;
    if let Some(missing) = wanted.names().find(|name| !all.contains_key(*name)) {
        bail!("the model has no operation {missing}");
    }
    let mut operations = Map::new();
    for (name, operation) in all.iter().filter(|(name, _)| wanted.contains(name)) {
        let mut kept = keep(operation, OPERATION);
        for reference in ["input", "output"] {
            if let Some(value) = kept.get_mut(reference) {
                *value = keep(value, MEMBER).into();
            }
        }
        if let Some(errors) = operation["errors"].as_array() {
            let mut names: Vec<&str> = errors.iter().filter_map(|error| error["shape"].as_str()).collect();
            names.sort_unstable();
            kept.insert("errors".into(), names.into());
        }
        operations.insert(name.clone(), kept.into());
    }
    let needed = closure(&operations, object("shapes")?);
    let mut shapes = Map::new();
    for (name, shape) in object("shapes")?.iter().filter(|(name, _)| needed.contains(name.as_str())) {
        let mut kept = keep(shape, SHAPE);
        for reference in ["member", "key", "value"] {
            if let Some(value) = kept.get_mut(reference) {
                *value = keep(value, MEMBER).into();
            }
        }
        if let Some(members) = shape["members"].as_object() {
            let members: Map<String, Value> =
                members.iter().map(|(name, member)| (name.clone(), keep(member, MEMBER).into())).collect();
            kept.insert("members".into(), members.into());
        }
        shapes.insert(name.clone(), kept.into());
    }
    let others: Vec<&str> = all.keys().map(String::as_str).filter(|name| !wanted.contains(name)).collect();
    let mut facts = Map::from_iter([
        ("metadata".into(), keep(&model["metadata"], METADATA).into()),
        ("operations".into(), operations.into()),
        ("shapes".into(), shapes.into()),
    ]);
    if is_rest(&model["metadata"]) && !others.is_empty() {
        let shapes = object("shapes")?;
        let bindings: Map<String, Value> =
            others.iter().map(|name| ((*name).to_owned(), binding(&all[*name], shapes))).collect();
        facts.insert("otherBindings".into(), bindings.into());
    }
    if !others.is_empty() {
        facts.insert("otherOperations".into(), others.into());
    }
    Ok(sorted(&Value::Object(facts)))
}

/// Whether a request of the service names its operation by method and path.
fn is_rest(metadata: &Value) -> bool {
    metadata["protocol"].as_str().is_some_and(|protocol| protocol.starts_with("rest-"))
}

/// What a request for an operation without shapes looks like, in so far as it tells it from others: method, path, and
/// the parameters and headers that it cannot do without.
fn binding(operation: &Value, shapes: &Map<String, Value>) -> Value {
    let input =
        operation["input"]["shape"].as_str().and_then(|name| shapes.get(name)).unwrap_or(&Value::Null);
    let required: BTreeSet<&str> =
        input["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let needs = |location: &str| -> Value {
        let members = input["members"].as_object().into_iter().flatten();
        let needed = members.filter(|(name, member)| {
            required.contains(name.as_str()) && member["location"].as_str() == Some(location)
        });
        needed.filter_map(|(_, member)| member["locationName"].as_str()).collect::<Vec<_>>().into()
    };
    serde_json::json!({
        "headers": needs("header"),
        "method": operation["http"]["method"],
        "query": needs("querystring"),
        "uri": operation["http"]["requestUri"],
    })
}

/// The shapes that the operations name, and those that these are made of.
fn closure<'m>(operations: &Map<String, Value>, shapes: &'m Map<String, Value>) -> BTreeSet<&'m str> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    for operation in operations.values() {
        let ends = ["input", "output"].into_iter().filter_map(|end| operation[end]["shape"].as_str());
        let errors = operation["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
        open.extend(ends.chain(errors).map(str::to_owned));
    }
    while let Some(name) = open.pop() {
        let Some((name, shape)) = shapes.get_key_value(&name) else { continue };
        if !needed.insert(name.as_str()) {
            continue;
        }
        let members = shape["members"].as_object().into_iter().flat_map(Map::values);
        let parts = ["member", "key", "value"].into_iter().filter_map(|part| shape.get(part));
        open.extend(members.chain(parts).filter_map(|part| part["shape"].as_str()).map(str::to_owned));
    }
    needed
}

fn keep(value: &Value, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), value.get(*key)?.clone()))).collect()
}

/// Sorts every object, whatever order the map type happens to keep.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        scalar => scalar.clone(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn origin_text(api: &Api, version: &str) -> String {
    format!(
        "# Origin of {name}.json\n\n\
         - Source: botocore {version}, `botocore/data/{directory}/service-2.json`, licence Apache-2.0.\n\
         - Reduced by `cargo xtask models`: kept are the names, types, constraints, traits and errors of operations,\n  \
           shapes and members, and the protocol. Removed are all documentation texts, deprecation messages, examples and\n  \
           endpoint rules.\n\
         - Corrections stand in `{name}.patches.json`, each with its reason. They are applied when code is generated, so\n  \
           that `{name}.json` stays what was published.\n",
        name = api.name,
        directory = api.botocore,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keeps_facts_and_drops_prose() {
        let model = json!({
            "metadata": {"protocol": "json", "uid": "x-1"},
            "documentation": "prose",
            "operations": {"Op": {
                "name": "Op", "http": {"method": "POST", "requestUri": "/"}, "documentation": "prose",
                "input": {"shape": "In", "documentation": "prose"}, "readonly": true,
                "errors": [{"shape": "B", "documentation": "prose"}, {"shape": "A"}],
            }},
            "shapes": {
                "In": {"type": "structure", "documentation": "prose", "required": ["a"], "members": {
                    "a": {"shape": "S", "documentation": "prose", "deprecatedMessage": "prose"},
                }},
                "S": {"type": "string"},
                "Unused": {"type": "string"},
            },
        });
        let facts = reduce(&model, &Operations::All).expect("a sane model");
        assert_eq!(
            facts,
            json!({
                "metadata": {"protocol": "json"},
                "operations": {"Op": {
                    "name": "Op", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "In"},
                    "readonly": true, "errors": ["A", "B"],
                }},
                "shapes": {
                    "In": {"type": "structure", "required": ["a"], "members": {"a": {"shape": "S"}}},
                    "S": {"type": "string"},
                },
            })
        );
        assert!(!facts.to_string().contains("prose"));
        let none = reduce(&model, &Operations::Some(Default::default())).expect("a sane model");
        assert_eq!((&none["otherOperations"], &none["shapes"]), (&json!(["Op"]), &json!({})));
        assert!(reduce(&model, &Operations::Some(["Opp".to_owned()].into())).is_err());
    }
}
