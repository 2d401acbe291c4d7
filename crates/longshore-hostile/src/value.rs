//! Values for the shapes of the model, and what can be wrong with them.

use serde_json::{Map, Number, Value, json};

use crate::chance::Chance;
use crate::model::{Model, Shape};
use crate::world::{World, foreign};

/// How deep a valid value nests before optional members stay away.
const DEPTH_MAX: usize = 5;

/// A value that the model allows, with members that mean something where the world has it.
pub fn valid(model: &Model, world: &World, shape: &str, chance: &mut Chance) -> Value {
    draw(&Place { model, world, member: "", depth: 0 }, shape, chance)
}

struct Place<'a> {
    model: &'a Model,
    world: &'a World,
    /// The member that the value is for; of a list's element, the list's.
    member: &'a str,
    depth: usize,
}

fn draw(place: &Place<'_>, shape: &str, chance: &mut Chance) -> Value {
    match place.model.shape(shape) {
        Shape::Structure { members, required } => {
            let mut object = Map::new();
            // Fewer of the optional members deeper down, or a value would fill megabytes.
            let percent = if place.depth == 0 { 50 } else { 60 / (1 + place.depth) };
            for member in members {
                let wanted =
                    required.contains(&member.name) || (place.depth < DEPTH_MAX && chance.percent(percent));
                if wanted {
                    let inner = Place { member: &member.name, depth: place.depth + 1, ..*place };
                    object.insert(member.name.clone(), draw(&inner, &member.shape, chance));
                }
            }
            Value::Object(object)
        }
        Shape::List(element) => {
            let count = if place.depth > DEPTH_MAX { 0 } else { chance.below(3) };
            let inner = Place { depth: place.depth + 1, ..*place };
            (0..count).map(|_| draw(&inner, element, chance)).collect()
        }
        Shape::Map(element) => {
            let inner = Place { depth: place.depth + 1, ..*place };
            let entries = (0..chance.below(3)).map(|n| (format!("key{n}"), draw(&inner, element, chance)));
            Value::Object(entries.collect())
        }
        Shape::Text { values } if !values.is_empty() => chance.pick(values).as_str().into(),
        Shape::Text { .. } => {
            let known = if chance.percent(85) { place.world.name_for(place.member, chance) } else { None };
            known
                .unwrap_or_else(|| {
                    let length = chance.below(12);
                    chance.text(length)
                })
                .into()
        }
        Shape::Integer => (*chance.pick(&[0, 1, 1, 2, 10, 80, 100, 128, 512])).into(),
        Shape::Real => json!(*chance.pick(&[0.0, 0.5, 1.0, 50.0, 100.0])),
        Shape::Boolean => chance.percent(50).into(),
        Shape::Timestamp => json!(1_700_000_000.5),
        Shape::Blob => "AAEC".into(),
        Shape::Document => json!({"a": [1, "b", null]}),
    }
}

/// What to do to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// Another JSON type, null, nothing, or a member that does not exist.
    Type,
    /// Strings, lists, numbers and keys that are far too large, or odd.
    Size,
    /// Nesting.
    Depth,
    /// ARNs of others.
    Arn,
}

/// Changes one to three places of a value.
pub fn spoil(value: &mut Value, how: Spoil, chance: &mut Chance) {
    for _ in 0..=chance.below(3) {
        let places = count(value);
        let at = chance.below(places);
        visit(value, &mut { at }, &mut |place| match how {
            Spoil::Type => wrong_type(place, chance),
            Spoil::Size => wrong_size(place, chance),
            Spoil::Depth => *place = deep(chance),
            Spoil::Arn => wrong_arn(place, chance),
        });
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Calls `act` with the `at`th value, counted outermost first.
fn visit(value: &mut Value, at: &mut usize, act: &mut impl FnMut(&mut Value)) -> bool {
    if *at == 0 {
        act(value);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| visit(item, at, act)),
        Value::Object(members) => members.values_mut().any(|member| visit(member, at, act)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn wrong_type(place: &mut Value, chance: &mut Chance) {
    if let Value::Object(members) = place
        && chance.percent(70)
    {
        let names: Vec<String> = members.keys().cloned().collect();
        match (chance.below(4), names.is_empty()) {
            (0, false) => drop(members.remove(chance.pick(&names))),
            (1, false) => drop(members.insert(chance.pick(&names).clone(), Value::Null)),
            (2, _) => drop(members.insert("noSuchMember".into(), json!({"a": [true]}))),
            _ => drop(members.insert(chance.text(6), json!(1))),
        }
        return;
    }
    *place = match chance.below(9) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1.5),
        4 => json!("text"),
        5 => json!([]),
        6 => json!({}),
        7 => json!([place.clone()]),
        _ => json!({"value": place.clone()}),
    };
}

fn wrong_size(place: &mut Value, chance: &mut Chance) {
    let large = *chance.pick(&[256, 1024, 2049, 65_537, 300_000]);
    *place = match place {
        Value::Array(items) if !items.is_empty() => {
            let size = items[0].to_string().len() + 1;
            let times: usize = *chance.pick(&[11, 101, 1001, 20_000]);
            vec![items[0].clone(); times.min(600_000 / size).max(1)].into()
        }
        Value::Object(members) if chance.percent(50) => {
            members.insert("k".repeat(large), json!("v"));
            return;
        }
        Value::Object(members) => {
            (0..2000).for_each(|n| drop(members.insert(format!("key-{n}"), json!("v"))));
            return;
        }
        Value::Number(_) => match chance.below(9) {
            0 => json!(i64::MAX),
            1 => json!(i64::MIN),
            2 => json!(u64::MAX),
            3 => json!(i64::from(i32::MAX) + 1),
            4 => json!(-1),
            5 => json!(0),
            6 => json!(1e308),
            7 => json!(-0.0),
            _ => json!(0.1),
        },
        Value::String(_) => match chance.below(9) {
            0 => json!(""),
            1 => json!("\u{0}\u{1}\u{7f}"),
            2 => json!("😀".repeat(large / 4)),
            3 => json!("../".repeat(100)),
            4 => json!("%00%ff+ &=?#"),
            5 => json!("(".repeat(1999)),
            6 => json!(format!("attribute:a =~ {}", "(a{900}){900}")),
            7 => json!(chance.text(large.min(4096))),
            _ => json!("x".repeat(large)),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) => Value::Number(Number::from(large)),
    };
}

/// Below what JSON libraries refuse to make; deeper nesting is written as text.
fn deep(chance: &mut Chance) -> Value {
    let levels = *chance.pick(&[10, 63, 64, 65, 100]);
    (0..levels).fold(json!("end"), |inner, _| {
        if chance.percent(50) { json!([inner]) } else { json!({"containerDefinitions": inner}) }
    })
}

fn wrong_arn(place: &mut Value, chance: &mut Chance) {
    const GIVEN: &str = "arn:aws:ecs:us-east-1:000000000000:cluster/default";
    match place {
        Value::String(text) if text.starts_with("arn:") => *text = foreign(text, chance),
        Value::Object(members) => {
            let texts: Vec<String> =
                members.iter().filter(|(_, value)| value.is_string()).map(|(name, _)| name.clone()).collect();
            if !texts.is_empty() {
                members.insert(chance.pick(&texts).clone(), foreign(GIVEN, chance).into());
            }
        }
        other => *other = foreign(GIVEN, chance).into(),
    }
}

/// The text of a value, spoilt as text: what no library would write.
pub fn spoil_text(text: &str, chance: &mut Chance) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = chance.below(bytes.len() + 1);
    match chance.below(14) {
        0 => bytes.truncate(at),
        1 => drop(bytes.splice(at..at, [0xff, 0xfe, 0x80])),
        2 => match bytes.get_mut(at) {
            Some(byte) => *byte ^= 1 << chance.below(8),
            None => bytes.push(b'}'),
        },
        3 => bytes.extend_from_slice(b" {}"),
        4 => drop(bytes.splice(0..0, [0xef, 0xbb, 0xbf])),
        5 => bytes = b"[".repeat(*chance.pick(&[65, 1000, 500_000])),
        6 => bytes = format!("{{\"a\":{}}}", "{\"a\":".repeat(100_000)).into_bytes(),
        7 => bytes = format!("{{\"count\":{}}}", "9".repeat(100_000)).into_bytes(),
        8 => bytes = format!("{{\"count\":1{}}}", "e9999999999").into_bytes(),
        9 => bytes = b"{\"cluster\":\"\\ud800\"}".to_vec(),
        10 => bytes = b"{\"cluster\":\"a\\".to_vec(),
        // Every member twice.
        11 => {
            let inner = text.trim_start_matches('{').trim_end_matches('}');
            bytes = format!("{{{inner}{}{inner}}}", if inner.is_empty() { "" } else { "," }).into_bytes();
        }
        12 => drop(bytes.splice(at..at, *b"\0")),
        _ => bytes = chance.bytes(at.min(4096)),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_base::Seed;

    #[test]
    fn every_operation_gets_values_and_they_stay_in_bounds() {
        let model = Model::ecs().expect("the file in the repository");
        let world = World::default();
        for (n, operation) in model.operations.iter().enumerate() {
            for round in 0..20 {
                let mut chance = Chance::new(Seed::new(round).of(n as u64));
                let value = valid(&model, &world, &operation.input, &mut chance);
                assert!(value.is_object(), "{}", operation.name);
                assert!(value.to_string().len() < 200_000, "{}", operation.name);
                for how in [Spoil::Type, Spoil::Size, Spoil::Depth, Spoil::Arn] {
                    let mut other = value.clone();
                    spoil(&mut other, how, &mut chance);
                    assert!(other.to_string().len() < 4 << 20, "{}", operation.name);
                }
            }
        }
    }
}
