//! Values drawn from the schemas themselves: whatever a schema describes survives decoding and
//! encoding, and keeps its constraints.

use longshore_shapes_ecs::*;
use longshore_wire::schema::{Kind, StructSchema, TypeSchema};
use longshore_wire::{Structure, Violations, json};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// How deep drawn values nest; below that, optional members stay away.
const DEPTH_MAX: usize = 6;

fn structure(schema: &'static StructSchema, depth: usize) -> BoxedStrategy<Value> {
    let members: Vec<BoxedStrategy<Option<(String, Value)>>> = schema
        .members
        .iter()
        .map(|member| {
            let name = member.name.to_owned();
            // An empty text would be read as absent.
            let filled =
                |value: Value| if member.absent_if_empty && value == "" { json!("x") } else { value };
            if member.required {
                return value(member.target, depth + 1)
                    .prop_map(filled)
                    .prop_map(move |value| Some((name.clone(), value)))
                    .boxed();
            }
            if depth > DEPTH_MAX {
                return Just(None).boxed();
            }
            // Most of the members; fewer of them deeper down, or a value would fill megabytes.
            prop::option::weighted(
                0.8 / (1.0 + depth as f64 / 2.0),
                value(member.target, depth + 1).prop_map(filled),
            )
            .prop_map(move |value| value.map(|value| (name.clone(), value)))
            .boxed()
        })
        .collect();
    members.prop_map(|members| Value::Object(members.into_iter().flatten().collect::<Map<_, _>>())).boxed()
}

fn value(target: &'static TypeSchema, depth: usize) -> BoxedStrategy<Value> {
    let length = |default: i64| {
        let min = target.min.unwrap_or(0);
        usize::try_from(min).unwrap_or(0)
            ..=usize::try_from(target.max.unwrap_or(default).min(min + default)).unwrap_or(0)
    };
    match &target.kind {
        Kind::Enum(values) => prop::sample::select(*values).prop_map(Value::from).boxed(),
        // Letters suit every pattern that is checked.
        Kind::String if target.pattern.is_some() => {
            prop::collection::vec("[a-z]", length(8)).prop_map(|letters| letters.concat().into()).boxed()
        }
        Kind::String => prop::collection::vec(any::<char>(), length(8))
            .prop_map(|characters| characters.into_iter().collect::<String>().into())
            .boxed(),
        Kind::Integer => (target.min.unwrap_or(i32::MIN.into())..=target.max.unwrap_or(i32::MAX.into()))
            .prop_map(Value::from)
            .boxed(),
        Kind::Long => any::<i64>().prop_map(Value::from).boxed(),
        Kind::Float | Kind::Double => (target.min.unwrap_or(-1000)..=target.max.unwrap_or(1000))
            .prop_map(|whole| json!(whole as f64))
            .boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Blob => Just(json!("AAEC")).boxed(),
        Kind::Timestamp(_) => (0i64..4_000_000_000).prop_map(Value::from).boxed(),
        Kind::Document => any::<i32>().prop_map(|number| json!({"any": [number, null]})).boxed(),
        Kind::List(collection) => prop::collection::vec(value(collection.element, depth + 1), length(2))
            .prop_map(Value::Array)
            .boxed(),
        Kind::Map(longshore_wire::schema::Entries { value: inner, .. }) => {
            prop::collection::btree_map("[a-z]{1,4}", value(inner, depth + 1), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect()))
                .boxed()
        }
        Kind::Structure(schema) => structure(schema, depth),
    }
}

fn check<T: Structure + Default + Clone + PartialEq + std::fmt::Debug + 'static>(cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&structure(T::default().schema(), 0), |drawn| {
        let shape: T = json::from_slice(drawn.to_string().as_bytes())
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let bytes = json::to_vec(&shape);
        let written: Value =
            serde_json::from_slice(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(written, drawn);
        prop_assert_eq!(json::from_slice::<T>(&bytes), Ok(shape.clone()));
        prop_assert_eq!(Violations::of(&shape).to_string(), "");
        let debug = format!("{shape:?}");
        prop_assert!(debug.starts_with(shape.schema().name));
        Ok(())
    });
    outcome.expect("round trip");
}

#[test]
fn inputs_round_trip() {
    check::<RegisterTaskDefinitionRequest>(200);
    check::<RunTaskRequest>(200);
    check::<CreateServiceRequest>(200);
    check::<UpdateServiceRequest>(200);
    check::<RegisterContainerInstanceRequest>(200);
    check::<SubmitTaskStateChangeRequest>(200);
    check::<CreateCapacityProviderRequest>(200);
}

#[test]
fn outputs_round_trip() {
    check::<DescribeTasksResponse>(100);
    check::<DescribeServicesResponse>(100);
    check::<DescribeTaskDefinitionResponse>(100);
    check::<DescribeContainerInstancesResponse>(100);
    check::<DescribeClustersResponse>(100);
}

/// A valid body with some bytes replaced is read or refused, never more than that.
#[test]
fn damaged_bodies_never_panic() {
    let schema = RegisterTaskDefinitionRequest::default().schema();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&(structure(schema, 0), damage), |(drawn, damage)| {
        let mut bytes = drawn.to_string().into_bytes();
        for (index, byte) in damage {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        if let Ok(request) = json::from_slice::<RegisterTaskDefinitionRequest>(&bytes) {
            let _violations = Violations::of(&request).to_string();
        }
        Ok(())
    });
    outcome.expect("no panic");
}

/// Three bytes a container must not become a kilobyte a container without end.
#[test]
fn empty_elements_do_not_balloon() {
    let body = |containers: usize| format!("{{\"containerDefinitions\":[{}{{}}]}}", "{},".repeat(containers));
    let decode = |body: String| json::from_slice::<RegisterTaskDefinitionRequest>(body.as_bytes());
    assert!(decode(body(500)).is_ok());
    let error = decode(body(300_000)).expect_err("hundreds of megabytes");
    assert!(error.to_string().ends_with("the value is too large"), "{error}");
}

/// Readers look members up by bisection, and the macros rely on positions.
#[test]
fn schemas_are_sorted() {
    fn walk(target: &'static TypeSchema, seen: &mut Vec<&'static str>) {
        match &target.kind {
            Kind::List(collection) => walk(collection.element, seen),
            Kind::Map(longshore_wire::schema::Entries { value, .. }) => walk(value, seen),
            Kind::Structure(schema) if !seen.contains(&schema.name) => {
                seen.push(schema.name);
                assert!(schema.members.is_sorted_by(|a, b| a.name < b.name), "{}", schema.name);
                for member in schema.members {
                    walk(member.target, seen);
                }
            }
            Kind::Structure(_)
            | Kind::String
            | Kind::Enum(_)
            | Kind::Integer
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::Boolean
            | Kind::Blob
            | Kind::Timestamp(_)
            | Kind::Document => {}
        }
    }
    let mut seen = Vec::new();
    for target in [
        &schema::types::SERVICE,
        &schema::types::TASK,
        &schema::types::TASK_DEFINITION,
        &schema::types::CLUSTER,
    ] {
        walk(target, &mut seen);
    }
    assert!(seen.len() > 50, "{}", seen.len());
}
