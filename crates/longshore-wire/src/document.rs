//! Values without a schema: what a model calls a document, and what tests use as any shape.

use std::collections::BTreeMap;

/// A JSON-like value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Document {
    #[default]
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    String(String),
    List(Vec<Document>),
    Map(BTreeMap<String, Document>),
}
