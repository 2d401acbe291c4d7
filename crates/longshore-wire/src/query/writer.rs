//! Shapes to a form, as clients write them.

use base64::Engine as _;
use longshore_base::{Timestamp, percent};

use super::{Dialect, member_name};
use crate::document::Document;
use crate::schema::{Collection, Entries, Kind, MemberSchema, StructSchema, TimestampFormat, TypeSchema};
use crate::shape::ShapeWriter;
use crate::text;

/// What the value that is written next stands in. `base` is the length of the path up to there.
#[derive(Debug)]
enum Frame {
    Structure { base: usize, slot: Option<&'static MemberSchema> },
    List { base: usize, element: &'static TypeSchema, count: usize },
    Map { base: usize, entries: &'static Entries, count: usize },
}

/// Writes the members of one input behind whatever parameters `out` has already.
#[derive(Debug)]
pub struct QueryWriter {
    dialect: Dialect,
    out: String,
    /// Where the next value stands, as in `Tags.member.1.Key`.
    path: String,
    frames: Vec<Frame>,
}

impl QueryWriter {
    pub fn after(out: String, dialect: Dialect) -> Self {
        Self { dialect, out, path: String::new(), frames: Vec::new() }
    }

    pub fn into_text(self) -> String {
        self.out
    }

    /// Goes to where the next value stands, and gives its schema; `None` for the outermost structure.
    fn begin(&mut self) -> Option<&'static TypeSchema> {
        match self.frames.last_mut()? {
            Frame::Structure { base, slot } => {
                let member = slot.take().expect("a member is announced before its value");
                self.path.truncate(*base);
                push(&mut self.path, &member_name(member, self.dialect));
                Some(member.target)
            }
            Frame::List { base, element, count } => {
                *count += 1;
                self.path.truncate(*base);
                push(&mut self.path, &count.to_string());
                Some(element)
            }
            Frame::Map { base, entries, count } => {
                self.path.truncate(*base);
                push(&mut self.path, &count.to_string());
                push(&mut self.path, entries.value_name.unwrap_or("value"));
                Some(entries.value)
            }
        }
    }

    fn parameter(&mut self, value: &str) {
        if !self.out.is_empty() {
            self.out.push('&');
        }
        // Names come from a model, but for the few that have a colon or a slash.
        self.out.push_str(&percent::encode(&self.path));
        self.out.push('=');
        self.out.push_str(&percent::encode(value));
    }

    fn scalar(&mut self, value: &str) {
        self.begin();
        self.parameter(value);
    }

    /// Nothing is how EC2 is told an empty collection, and an empty text how all others are.
    fn nothing(&mut self) {
        if self.dialect == Dialect::Query {
            self.parameter("");
        }
    }
}

fn push(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

impl ShapeWriter for QueryWriter {
    fn begin_structure(&mut self, _schema: &'static StructSchema) {
        self.begin();
        self.frames.push(Frame::Structure { base: self.path.len(), slot: None });
    }

    fn member(&mut self, member: &'static MemberSchema) {
        if let Some(Frame::Structure { slot, .. }) = self.frames.last_mut() {
            *slot = Some(member);
        }
    }

    fn end_structure(&mut self) {
        self.frames.pop();
    }

    fn begin_list(&mut self, len: usize) {
        let Some(Kind::List(Collection { element, element_name, flattened })) =
            self.begin().map(|schema| &schema.kind)
        else {
            unreachable!("generated code writes a list where the schema has one");
        };
        if len == 0 {
            self.nothing();
        }
        if !*flattened && self.dialect == Dialect::Query {
            push(&mut self.path, element_name.unwrap_or("member"));
        }
        self.frames.push(Frame::List { base: self.path.len(), element, count: 0 });
    }

    fn end_list(&mut self) {
        self.frames.pop();
    }

    fn begin_map(&mut self, len: usize) {
        let Some(Kind::Map(entries)) = self.begin().map(|schema| &schema.kind) else {
            unreachable!("generated code writes a map where the schema has one");
        };
        if len == 0 {
            self.nothing();
        }
        if !entries.flattened {
            push(&mut self.path, "entry");
        }
        self.frames.push(Frame::Map { base: self.path.len(), entries, count: 0 });
    }

    fn key(&mut self, key: &str) {
        let Some(Frame::Map { base, entries, count }) = self.frames.last_mut() else {
            unreachable!("generated code writes keys inside of maps");
        };
        *count += 1;
        self.path.truncate(*base);
        push(&mut self.path, &count.to_string());
        push(&mut self.path, entries.key_name.unwrap_or("key"));
        self.parameter(key);
    }

    fn end_map(&mut self) {
        self.frames.pop();
    }

    fn string(&mut self, value: &str) {
        self.scalar(value);
    }

    fn integer(&mut self, value: i32) {
        self.scalar(&value.to_string());
    }

    fn long(&mut self, value: i64) {
        self.scalar(&value.to_string());
    }

    fn float(&mut self, value: f32) {
        self.scalar(&text::real(f64::from(value), value.to_string()));
    }

    fn double(&mut self, value: f64) {
        self.scalar(&text::real(value, value.to_string()));
    }

    fn boolean(&mut self, value: bool) {
        self.scalar(if value { "true" } else { "false" });
    }

    fn blob(&mut self, value: &[u8]) {
        self.scalar(&base64::engine::general_purpose::STANDARD.encode(value));
    }

    fn timestamp(&mut self, value: Timestamp) {
        let schema = self.begin();
        self.parameter(&text::time(value, schema, TimestampFormat::Iso8601));
    }

    fn document(&mut self, value: &Document) {
        // No Query service models one.
        self.scalar(&format!("{value:?}"));
    }
}
