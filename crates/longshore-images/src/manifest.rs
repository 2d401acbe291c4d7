//! Manifests, as far as a registry has to know them (registry I8; OCI image-spec manifest.md and image-index.md; Docker
//! image manifest version 2, schema 2).
//!
//! Only what is said here is read. The bytes stay what they are: whoever pulls gets what was pushed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Digest;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The longest manifest, in bytes (distribution-spec, "Pushing manifests": at least 4 MiB).
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What one manifest may name. Each name is some 80 bytes of a record, and a commit takes 1.5 MiB. Images have at most
/// 127 layers (Docker's limit); caches of buildkit have some hundreds.
pub const REFERENCES_MAX: usize = 4000;
/// As RFC 6838, section 4.2, bounds the two halves of a type.
const MEDIA_TYPE_CHARS_MAX: usize = 255;

/// What is known of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub media_type: String,
    /// Its own; else, of an image manifest, the type of its config.
    pub artifact_type: Option<String>,
    /// Of the config, if there is one.
    pub config_media_type: Option<String>,
    /// What it consists of, each digest once, in order.
    pub references: Vec<Reference>,
    /// What it is about. It need not be there.
    pub subject: Option<Digest>,
    pub annotations: BTreeMap<String, String>,
    /// Bytes of its config and layers, compressed as they are; zero of an index.
    pub content_bytes: u64,
}

/// Something that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub digest: Digest,
    pub need: Need,
}

/// What has to be in the repository before the manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A blob: a config, a layer.
    Blob,
    /// A manifest: an entry of an index.
    Manifest,
    /// A manifest or a blob: an entry of an index that says to be a layer, or something that nobody here knows. Caches of
    /// buildkit were made so (registry I8).
    Either,
    /// Nothing: a layer that must not be given to others. If it is here, it stays as long as the manifest.
    Nothing,
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("the manifest is longer than {MANIFEST_BYTES_MAX} bytes")]
    TooLong,
    #[error("the manifest is no JSON object with the members of one: {0}")]
    Malformed(String),
    #[error("the manifest says that its mediaType is {inside}, its Content-Type is {outside}")]
    TypesDiffer { inside: String, outside: String },
    #[error("the manifest has no mediaType, and none was given with it")]
    NoType,
    #[error("manifests of schema version 1 are not supported; push with a newer client")]
    SchemaOne,
    #[error("the manifest names more than {REFERENCES_MAX} others")]
    TooManyReferences,
}

/// The members that are read. All others are left alone: manifests may have any.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    /// Of artifact manifests, which were part of OCI 1.1's drafts.
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    size: u64,
}

impl Manifest {
    /// Reads what was pushed. `content_type` is that of the request, if there was one; parameters behind a semicolon
    /// say nothing.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, Invalid> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(Invalid::TooLong);
        }
        // A list of the members' values would be read as the members.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Invalid::Malformed("it is no object".to_owned()));
        }
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| Invalid::Malformed(error.to_string()))?;
        let media_type = document.media_type(content_type)?;
        if document.schema_version == Some(1) || is_schema_one(&media_type) {
            return Err(Invalid::SchemaOne);
        }
        let is_index = matches!(media_type.as_str(), OCI_INDEX | DOCKER_LIST);
        let artifact_type = match document.artifact_type.filter(|own| !own.is_empty()) {
            Some(own) => Some(own),
            None if is_index => None,
            None => {
                document.config.as_ref().map(|config| config.media_type.clone()).filter(|own| !own.is_empty())
            }
        };
        let mut references = References::default();
        let mut content_bytes = 0_u64;
        let of_image =
            document.config.iter().map(|config| (config, Need::Blob)).chain(
                [&document.layers, &document.blobs].into_iter().flatten().flatten().map(|layer| {
                    (layer, if is_foreign(&layer.media_type) { Need::Nothing } else { Need::Blob })
                }),
            );
        for (part, need) in of_image {
            content_bytes = content_bytes.saturating_add(part.size);
            references.add(part, need)?;
        }
        for entry in document.manifests.iter().flatten() {
            references
                .add(entry, if is_manifest(&entry.media_type) { Need::Manifest } else { Need::Either })?;
        }
        Ok(Self {
            media_type,
            artifact_type,
            config_media_type: document.config.map(|config| config.media_type),
            references: references.list,
            subject: document.subject.map(|subject| subject.digest),
            annotations: document.annotations.unwrap_or_default(),
            content_bytes,
        })
    }
}

impl Document {
    /// What is said inside and outside has to be the same. Without either, the members tell (OCI's `mediaType` is
    /// optional, and PutImage need not give one).
    fn media_type(&self, content_type: Option<&str>) -> Result<String, Invalid> {
        let outside = content_type.map(essence).filter(|outside| !outside.is_empty());
        let inside = self.media_type.as_deref().filter(|inside| !inside.is_empty());
        let media_type = match (inside, outside) {
            (Some(inside), Some(outside)) if !inside.eq_ignore_ascii_case(outside) => {
                let (inside, outside) = (inside.to_owned(), outside.to_owned());
                return Err(Invalid::TypesDiffer { inside, outside });
            }
            (Some(inside), _) => inside,
            (None, Some(outside)) => outside,
            (None, None) if self.manifests.is_some() => OCI_INDEX,
            (None, None) if self.config.is_some() => OCI_MANIFEST,
            (None, None) => return Err(Invalid::NoType),
        };
        if media_type.len() > MEDIA_TYPE_CHARS_MAX || !media_type.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(Invalid::Malformed("its media type is none".to_owned()));
        }
        Ok(media_type.to_owned())
    }
}

#[derive(Default)]
struct References {
    list: Vec<Reference>,
    /// Where each digest is in the list.
    places: BTreeMap<Digest, usize>,
}

impl References {
    /// A digest that is named twice, needs what either place needs.
    fn add(&mut self, descriptor: &Descriptor, need: Need) -> Result<(), Invalid> {
        if let Some(known) = self.places.get(&descriptor.digest).and_then(|at| self.list.get_mut(*at)) {
            known.need = known.need.max(need);
            return Ok(());
        }
        if self.list.len() == REFERENCES_MAX {
            return Err(Invalid::TooManyReferences);
        }
        self.places.insert(descriptor.digest.clone(), self.list.len());
        self.list.push(Reference { digest: descriptor.digest.clone(), need });
        Ok(())
    }
}

impl Need {
    /// The stricter of two.
    fn max(self, other: Self) -> Self {
        let strictness = |need| match need {
            Self::Nothing => 0,
            Self::Either => 1,
            Self::Blob => 2,
            Self::Manifest => 3,
        };
        if strictness(other) > strictness(self) { other } else { self }
    }
}

/// A media type without its parameters.
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or("").trim()
}

/// Whether content of this type is a manifest, as far as types are known.
fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | OCI_INDEX | DOCKER_MANIFEST | DOCKER_LIST)
}

/// Manifests of before 2016, signed and without: nobody can pull them any more.
fn is_schema_one(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
}

/// Layers that a registry does not have, by their licence.
fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}
