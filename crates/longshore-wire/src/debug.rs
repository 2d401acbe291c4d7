//! `Debug` for generated structures, with secrets left out.

use std::fmt;

use longshore_base::Timestamp;

use crate::document::Document;
use crate::schema::{MemberSchema, StructSchema};
use crate::shape::{ShapeWriter, Structure};

const REDACTED: &str = "[redacted]";

/// Prints the members that are present; sensitive ones as `[redacted]`. Generated `Debug`
/// implementations are this call, so that redaction cannot be forgotten in one of them.
pub fn debug_structure(value: &dyn Structure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut writer = DebugWriter {
        out: f,
        result: Ok(()),
        open: Vec::new(),
        hidden: 0,
        redact_next: false,
        after_name: true,
    };
    value.encode(&mut writer);
    writer.result
}

struct DebugWriter<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    result: fmt::Result,
    /// Per open structure, list or map: whether something stands in it already.
    open: Vec<bool>,
    /// Depth of nesting inside a redacted value; nothing is printed while it is above zero.
    hidden: usize,
    redact_next: bool,
    /// A member name or key was just printed, so the value needs no separator.
    after_name: bool,
}

impl DebugWriter<'_, '_> {
    fn text(&mut self, text: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = self.out.write_fmt(text);
        }
    }

    fn separate(&mut self) {
        if let Some(filled) = self.open.last_mut()
            && std::mem::replace(filled, true)
        {
            self.text(format_args!(", "));
        }
    }

    /// Prepares for a value. False if it must not be printed.
    fn value(&mut self) -> bool {
        if self.hidden > 0 {
            return false;
        }
        if !std::mem::replace(&mut self.after_name, false) {
            self.separate();
        }
        if std::mem::replace(&mut self.redact_next, false) {
            self.text(format_args!("{REDACTED}"));
            return false;
        }
        true
    }

    fn begin(&mut self, opening: fmt::Arguments<'_>) {
        if self.value() {
            self.text(opening);
            self.open.push(false);
        } else {
            self.hidden += 1;
        }
    }

    fn end(&mut self, closing: &str) {
        if self.hidden > 0 {
            self.hidden -= 1;
        } else {
            self.open.pop();
            self.text(format_args!("{closing}"));
        }
    }

    fn scalar(&mut self, text: fmt::Arguments<'_>) {
        if self.value() {
            self.text(text);
        }
    }
}

impl ShapeWriter for DebugWriter<'_, '_> {
    fn begin_structure(&mut self, schema: &'static StructSchema) {
        if self.hidden == 0 && schema.sensitive {
            self.redact_next = true;
        }
        self.begin(format_args!("{} {{", schema.name));
    }
    fn member(&mut self, member: &'static MemberSchema) {
        if self.hidden == 0 {
            self.separate();
            self.text(format_args!("{}: ", member.name));
            self.after_name = true;
            self.redact_next = member.sensitive;
        }
    }
    fn end_structure(&mut self) {
        self.end("}");
    }
    fn begin_list(&mut self, _len: usize) {
        self.begin(format_args!("["));
    }
    fn end_list(&mut self) {
        self.end("]");
    }
    fn begin_map(&mut self, _len: usize) {
        self.begin(format_args!("{{"));
    }
    fn key(&mut self, key: &str) {
        if self.hidden == 0 {
            self.separate();
            self.text(format_args!("{key:?}: "));
            self.after_name = true;
        }
    }
    fn end_map(&mut self) {
        self.end("}");
    }
    fn string(&mut self, value: &str) {
        self.scalar(format_args!("{value:?}"));
    }
    fn integer(&mut self, value: i32) {
        self.scalar(format_args!("{value}"));
    }
    fn long(&mut self, value: i64) {
        self.scalar(format_args!("{value}"));
    }
    fn float(&mut self, value: f32) {
        self.scalar(format_args!("{value}"));
    }
    fn double(&mut self, value: f64) {
        self.scalar(format_args!("{value}"));
    }
    fn boolean(&mut self, value: bool) {
        self.scalar(format_args!("{value}"));
    }
    fn blob(&mut self, value: &[u8]) {
        self.scalar(format_args!("{} bytes", value.len()));
    }
    fn timestamp(&mut self, value: Timestamp) {
        self.scalar(format_args!("{} ms", value.as_millis()));
    }
    fn document(&mut self, value: &Document) {
        self.scalar(format_args!("{value:?}"));
    }
}
