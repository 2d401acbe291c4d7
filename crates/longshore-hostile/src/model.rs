//! The service model of ECS, as far as requests are generated from it.

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
    pub errors: BTreeSet<String>,
}

impl Operation {
    /// True if the operation changes nothing, by its name.
    pub fn only_reads(&self) -> bool {
        ["Describe", "List", "Get", "Discover"].iter().any(|verb| self.name.starts_with(verb))
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
        let facts: Value = serde_json::from_str(ECS).context("models/ecs.json is not JSON")?;
        let object = |name: &str| facts[name].as_object().with_context(|| format!("the model has no {name}"));
        let operations = object("operations")?
            .iter()
            .map(|(name, facts)| Operation {
                name: name.clone(),
                input: text(&facts["input"]["shape"]),
                errors: facts["errors"].as_array().into_iter().flatten().map(text).collect(),
            })
            .collect();
        let shapes = object("shapes")?.iter().map(|(name, facts)| (name.clone(), shape(facts))).collect();
        Ok(Self { operations, shapes })
    }

    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).unwrap_or(&Shape::Document)
    }

    pub fn operation(&self, name: &str) -> &Operation {
        self.operations.iter().find(|operation| operation.name == name).expect("an operation of the model")
    }
}

fn shape(facts: &Value) -> Shape {
    let of = |role: &str| text(&facts[role]["shape"]);
    match facts["type"].as_str().unwrap_or_default() {
        "structure" if facts["document"] == true => Shape::Document,
        "structure" => Shape::Structure {
            members: facts["members"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, facts)| Member { name: name.clone(), shape: text(&facts["shape"]) })
                .collect(),
            required: facts["required"].as_array().into_iter().flatten().map(text).collect(),
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
        assert!(run.errors.contains("InvalidParameterException") && !run.only_reads());
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
