//! The token that a client makes up, so that a request which arrives twice is carried out once.

use longshore_base::Timestamp;

use crate::document::Document;
use crate::schema::{MemberSchema, StructSchema};
use crate::shape::{Shape, ShapeWriter};

/// Writes `input`, with `token` in each of its outermost members that the model calls an idempotency token and the caller
/// has left out, as the SDKs do.
pub(crate) fn encode(input: &dyn Shape, token: Option<&str>, writer: &mut dyn ShapeWriter) {
    match token {
        Some(token) => input.encode(&mut Filled { writer, token, depth: 0, missing: Vec::new() }),
        None => input.encode(writer),
    }
}

struct Filled<'a> {
    writer: &'a mut dyn ShapeWriter,
    token: &'a str,
    /// Open structures, lists and maps.
    depth: usize,
    /// Members for a token that have not been seen.
    missing: Vec<&'static MemberSchema>,
}

macro_rules! pass_on {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method(&mut self, $($name: $type),*) {
            self.writer.$method($($name),*);
        }
    )*};
}

impl ShapeWriter for Filled<'_> {
    fn begin_structure(&mut self, schema: &'static StructSchema) {
        if self.depth == 0 {
            self.missing = schema.members.iter().filter(|member| member.idempotency_token).collect();
        }
        self.depth += 1;
        self.writer.begin_structure(schema);
    }

    fn member(&mut self, member: &'static MemberSchema) {
        if self.depth == 1 {
            self.missing.retain(|missing| !std::ptr::eq(*missing, member));
        }
        self.writer.member(member);
    }

    fn end_structure(&mut self) {
        if self.depth == 1 {
            for member in std::mem::take(&mut self.missing) {
                self.writer.member(member);
                self.writer.string(self.token);
            }
        }
        self.depth -= 1;
        self.writer.end_structure();
    }

    fn begin_list(&mut self, len: usize) {
        self.depth += 1;
        self.writer.begin_list(len);
    }

    fn end_list(&mut self) {
        self.depth -= 1;
        self.writer.end_list();
    }

    fn begin_map(&mut self, len: usize) {
        self.depth += 1;
        self.writer.begin_map(len);
    }

    fn end_map(&mut self) {
        self.depth -= 1;
        self.writer.end_map();
    }

    pass_on! {
        key(key: &str);
        string(value: &str);
        integer(value: i32);
        long(value: i64);
        float(value: f32);
        double(value: f64);
        boolean(value: bool);
        blob(value: &[u8]);
        timestamp(value: Timestamp);
        document(value: &Document);
    }
}
