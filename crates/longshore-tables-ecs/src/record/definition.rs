//! A task definition, kept in two forms: as it is echoed, and as everything else reads it.

use std::fmt;
use std::sync::Arc;

use longshore_base::{Family, Timestamp};
use longshore_domain::tags::Tags;
use longshore_domain::task_definition::{CompileError, compile};
use longshore_domain::{TaskDefinitionStatus, TaskSpec};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Document;

/// A task definition revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    pub family: Family,
    pub revision: u32,
    pub status: TaskDefinitionStatus,
    pub registered_at: Timestamp,
    pub registered_by: Arc<str>,
    pub deregistered_at: Option<Timestamp>,
    pub delete_requested_at: Option<Timestamp>,
    /// The normalised `TaskDefinition`, without the members above.
    pub document: Compiled,
    pub tags: Tags,
}

impl TaskDefinition {
    /// The document's text, and nothing else of it.
    pub fn document(&self) -> &Document {
        &self.document.0.text
    }

    /// What the document says, for whoever does more than echo it.
    pub fn spec(&self) -> &TaskSpec {
        &self.document.0.spec
    }
}

/// A document that compiles, and what it compiles to.
///
/// Only the text is stored. It is compiled where it is made or read, which is never under the writer's lock; a record
/// whose document does not compile cannot be made and is not loaded.
#[derive(Clone)]
pub struct Compiled(Arc<Both>);

struct Both {
    text: Document,
    spec: TaskSpec,
}

impl Compiled {
    pub fn new(text: Document) -> Result<Self, CompileError> {
        let spec = compile(&text)?;
        Ok(Self(Arc::new(Both { text, spec })))
    }

    /// The same for whoever has compiled what the text was written of, so that nobody reads it again.
    pub fn with(text: Document, spec: TaskSpec) -> Self {
        debug_assert_eq!(compile(&text).ok().as_ref(), Some(&spec), "the text says something else");
        Self(Arc::new(Both { text, spec }))
    }
}

impl PartialEq for Compiled {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.text.fmt(f)
    }
}

impl Serialize for Compiled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Compiled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Document::deserialize(deserializer)?;
        Self::new(text)
            .map_err(|error| D::Error::custom(format_args!("the document cannot be compiled: {error}")))
    }
}
