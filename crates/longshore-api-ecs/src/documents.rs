//! Shapes that are only echoed: kept in records as their JSON.

use std::sync::Arc;

use longshore_tables_ecs::record::Document;
use longshore_wire::{Shape, json};

/// The text that a record keeps of a shape.
pub(crate) fn keep(shape: &dyn Shape) -> Document {
    let text = String::from_utf8(json::to_vec(shape)).expect("the JSON writer writes UTF-8");
    Arc::from(text)
}

/// The shape of a text that [`keep`] wrote.
///
/// `None` only for a record that another program spoilt: the answer then lacks the member, which
/// is better than not to answer at all.
pub(crate) fn recall<T: Shape>(document: &Document) -> Option<T> {
    match json::from_slice(document.as_bytes()) {
        Ok(shape) => Some(shape),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a stored document cannot be read");
            None
        }
    }
}
