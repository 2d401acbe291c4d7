//! The models of services, as far as requests are generated from them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::Value;

/// The same file that the shapes are generated from.
const ECS: &str = include_str!("../../../models/ecs.json");

pub struct Model {
    pub operations: Vec<Operation>,
    shapes: BTreeMap<String, Shape>,
}

pub struct Operation {
    pub name: String,
    pub input: String,
    /// By name and by code. `None`: the model does not say which there are.
    pub errors: Option<BTreeSet<String>>,
    /// A success may have an empty body.
    pub says_nothing: bool,
}

impl Operation {
    /// True if the operation changes nothing, by its name.
    pub fn only_reads(&self) -> bool {
        // The account's own keys are made when they are first looked at.
        self.name != "DescribeKey"
            && ["Describe", "List", "Get", "Discover"].iter().any(|verb| self.name.starts_with(verb))
    }
}

#[derive(Debug)]
pub enum Shape {
    Structure { members: Vec<Member>, required: BTreeSet<String> },
    List(String),
    Map(String),
    Text { values: Vec<String> },
    Integer,
    Real,
    Boolean,
    Timestamp,
    Blob,
    Document,
}

#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub shape: String,
}

impl Model {
    pub fn ecs() -> anyhow::Result<Self> {
        Self::read(ECS, Names::Own)
    }

    /// Reads the file of a model.
    pub fn read(text: &str, names: Names) -> anyhow::Result<Self> {
        let facts: Value = serde_json::from_str(text).context("a model is not JSON")?;
        let object = |name: &str| facts[name].as_object().with_context(|| format!("the model has no {name}"));
        let all = object("shapes")?;
        let operations = object("operations")?
            .iter()
            .map(|(name, facts)| Operation {
                name: name.clone(),
                input: self::text(&facts["input"]["shape"]),
                errors: match names {
                    Names::Own => Some(errors(&facts["errors"], all)),
                    Names::Ec2 => None,
                },
                says_nothing: facts["output"].is_null(),
            })
            .collect();
        let shapes = all.iter().map(|(name, facts)| (name.clone(), shape(facts, names))).collect();
        Ok(Self { operations, shapes })
    }

    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).unwrap_or(&Shape::Document)
    }

    pub fn operation(&self, name: &str) -> &Operation {
        self.operations.iter().find(|operation| operation.name == name).expect("an operation of the model")
    }
}

/// Of an operation: the names of the structures, and the codes by which forms are told them.
fn errors(named: &Value, shapes: &serde_json::Map<String, Value>) -> BTreeSet<String> {
    let names: Vec<String> = named.as_array().into_iter().flatten().map(text).collect();
    let codes = names.iter().filter_map(|name| Some(shapes.get(name)?["error"]["code"].as_str()?.to_owned()));
    codes.chain(names.iter().cloned()).collect()
}

/// What the members of structures are called in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As in the model.
    Own,
    /// As forms of EC2 have them.
    Ec2,
}

impl Names {
    fn of(self, name: &str, facts: &Value) -> String {
        let given = match self {
            Names::Own => return name.to_owned(),
            Names::Ec2 => facts["queryName"].as_str().or(facts["locationName"].as_str()).unwrap_or(name),
        };
        let (first, rest) = given.split_at(given.chars().next().map_or(0, char::len_utf8));
        format!("{}{rest}", first.to_ascii_uppercase())
    }
}

fn shape(facts: &Value, names: Names) -> Shape {
    let of = |role: &str| text(&facts[role]["shape"]);
    match facts["type"].as_str().unwrap_or_default() {
        "structure" if facts["document"] == true => Shape::Document,
        "structure" => Shape::Structure {
            members: facts["members"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, facts)| Member { name: names.of(name, facts), shape: text(&facts["shape"]) })
                .collect(),
            required: { facts["required"].as_array().into_iter().flatten() }
                .map(|name| names.of(&text(name), &facts["members"][&text(name)]))
                .collect(),
        },
        "list" => Shape::List(of("member")),
        "map" => Shape::Map(of("value")),
        "string" => {
            Shape::Text { values: facts["enum"].as_array().into_iter().flatten().map(text).collect() }
        }
        "integer" | "long" => Shape::Integer,
        "float" | "double" => Shape::Real,
        "boolean" => Shape::Boolean,
        "timestamp" => Shape::Timestamp,
        "blob" => Shape::Blob,
        _other => Shape::Document,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_has_what_requests_are_made_of() {
        let model = Model::ecs().expect("the file in the repository");
        let run = model.operation("RunTask");
        let errors = run.errors.as_ref().expect("its errors are known");
        assert!(errors.contains("InvalidParameterException") && !run.only_reads());
        let Shape::Structure { members, required } = model.shape(&run.input) else {
            panic!("an input is a structure");
        };
        assert!(required.contains("taskDefinition"));
        let launch_type = members.iter().find(|member| member.name == "launchType").expect("a member");
        assert!(
            matches!(model.shape(&launch_type.shape), Shape::Text { values } if values.contains(&"EC2".into()))
        );
    }
}
