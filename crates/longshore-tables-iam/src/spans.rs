//! Where things stand in a policy's text, which is never written anew: the rest of it stays as it was given.

use std::ops::Range;

/// A value inside a document, found by [`walk`].
pub(crate) struct Found<'a> {
    /// The names of the members around it, from the outermost; lists are not counted.
    pub path: &'a [String],
    /// Its bytes, quotes and braces among them.
    pub span: Range<usize>,
    /// A text, without its quotes and escapes.
    pub text: Option<String>,
}

/// Shows every text and every object of a JSON text that is known to be right.
pub(crate) fn walk(text: &str, see: &mut dyn FnMut(Found<'_>)) {
    let mut walker = Walker { text, at: 0, path: Vec::new(), see };
    walker.value();
}

struct Walker<'a, 'f> {
    text: &'a str,
    at: usize,
    path: Vec<String>,
    see: &'f mut dyn FnMut(Found<'_>),
}

impl Walker<'_, '_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn value(&mut self) {
        let Some(first) = self.peek() else { return };
        let begin = self.at;
        match first {
            b'"' => {
                let text = self.string();
                (self.see)(Found { path: &self.path, span: begin..self.at, text: Some(text) });
            }
            b'{' | b'[' => {
                self.at += 1;
                self.members(first == b'{');
                if first == b'{' {
                    (self.see)(Found { path: &self.path, span: begin..self.at, text: None });
                }
            }
            _scalar => {
                let rest = &self.text.as_bytes()[self.at..];
                self.at += rest.iter().take_while(|byte| !b",]} \t\r\n".contains(byte)).count();
            }
        }
    }

    /// What stands between two brackets, the closing one among it.
    fn members(&mut self, named: bool) {
        while let Some(next) = self.peek() {
            match next {
                b'}' | b']' => {
                    self.at += 1;
                    return;
                }
                b',' | b':' => self.at += 1,
                b'"' if named => {
                    let name = self.string();
                    if self.peek() == Some(b':') {
                        self.at += 1;
                    }
                    self.path.push(name);
                    self.value();
                    self.path.pop();
                }
                _element => self.value(),
            }
        }
    }

    fn string(&mut self) -> String {
        let begin = self.at;
        self.at += 1;
        let mut is_escaped = false;
        for byte in self.text.as_bytes()[self.at..].iter() {
            self.at += 1;
            match byte {
                b'\\' if !is_escaped => is_escaped = true,
                b'"' if !is_escaped => break,
                _other => is_escaped = false,
            }
        }
        serde_json::from_str(&self.text[begin..self.at]).unwrap_or_default()
    }
}

/// The text with other texts in the place of those that `replace` knows. `replace` is given the path and the text.
pub(crate) fn rewrite(
    text: &str,
    mut replace: impl FnMut(&[String], &str) -> Option<String>,
) -> Option<String> {
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    walk(text, &mut |found| {
        if let Some(new) = found.text.as_deref().and_then(|old| replace(found.path, old)) {
            changes.push((found.span, new));
        }
    });
    if changes.is_empty() {
        return None;
    }
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for (span, new) in changes {
        out.push_str(&text[at..span.start]);
        out.push_str(&serde_json::Value::from(new).to_string());
        at = span.end;
    }
    out.push_str(&text[at..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-b\"\\\\ \n{}:,é]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let member = ("[ab\"\\\\{é]{0,3}", inner.clone());
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                proptest::collection::vec(member, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    /// Every text that stands below a member `a`, replaced in the plainest way.
    fn replaced(value: &Value, below: bool) -> Value {
        match value {
            Value::String(text) if below => Value::from(format!("{text}!")),
            Value::Array(list) => list.iter().map(|value| replaced(value, below)).collect(),
            Value::Object(members) => {
                let member =
                    |(name, value): (&String, &Value)| (name.clone(), replaced(value, below || name == "a"));
                Value::Object(members.iter().map(member).collect())
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    proptest! {
        #[test]
        fn it_replaces_as_a_parser_would(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.expect("it is JSON");
            let change = |path: &[String], text: &str| path.iter().any(|name| name == "a").then(|| format!("{text}!"));
            let out = rewrite(&text, change).unwrap_or_else(|| text.clone());
            prop_assert_eq!(serde_json::from_str::<Value>(&out).expect("it still is"), replaced(&value, false));
        }
    }

    #[test]
    fn the_rest_stays_as_it_was() {
        let text = "{ \"a\" : [ \"x\" ,1, true, null,{\"b\\u0063\": \"x\\\"y\"} ],\n\"d\":\"x\" }";
        let mut seen = Vec::new();
        let out = rewrite(text, |path, text| {
            seen.push(format!("{}={text}", path.join(".")));
            (path == ["a"]).then(|| "ü\"".to_owned())
        });
        assert_eq!(seen, ["a=x", "a.bc=x\"y", "d=x"]);
        assert_eq!(out.expect("one is replaced"), text.replacen("\"x\"", "\"ü\\\"\"", 1));
        assert_eq!(rewrite(text, |_, _| None), None);
    }
}
