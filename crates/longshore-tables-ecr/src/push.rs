//! A manifest is pushed (registry I4, I8).

use longshore_base::Scope;
use longshore_images::manifest::{Manifest, Need};
use longshore_images::{Digest, RepositoryName, Tag};
use longshore_state::{State, Tx};
use longshore_tables_blobs::{Holder, hold};

use crate::EcrState;
use crate::key::{ImageKey, TagKey};
use crate::record::{Image, TagOn};
use crate::tables::{Contents, Found};

/// ECR's quotas (registry I3); AWS raises them on request.
pub const IMAGES_MAX: usize = 100_000;
pub const TAGS_OF_IMAGE_MAX: usize = 1000;

/// A manifest, its bytes stored and held (`longshore_tables_blobs::Locks`).
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    pub digest: &'a Digest,
    /// Of the manifest.
    pub bytes: u64,
    pub manifest: &'a Manifest,
    pub tag: Option<&'a Tag>,
}

/// Why a manifest is not taken. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    #[error("the repository does not exist")]
    NoRepository,
    #[error("blobs that the manifest needs are not in the repository")]
    BlobsMissing(Vec<Digest>),
    #[error("manifests that the manifest needs are not in the repository")]
    ManifestsMissing(Vec<Digest>),
    #[error("the tag {0} is on another image, and may not move")]
    TagIsImmutable(Tag),
    #[error("the repository has {IMAGES_MAX} images")]
    TooManyImages,
    #[error("the image has {TAGS_OF_IMAGE_MAX} tags")]
    TooManyTags,
}

/// What a push has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub is_new_image: bool,
    /// The tag was not on this image before.
    pub is_new_tag: bool,
}

/// Enters an image and its tag. What is there already stays as it was, its time included: a push may be repeated when its
/// answer was lost (registry I4).
///
/// # Errors
/// In this order: no repository, an immutable tag, something missing, a quota.
pub fn push(
    tx: &mut Tx<'_>,
    scope: &Scope,
    name: &RepositoryName,
    push: Push<'_>,
) -> Result<Pushed, PushError> {
    let found = tx.ecr().find(scope, name).ok_or(PushError::NoRepository)?;
    let is_new_tag = match push.tag {
        Some(tag) => check_tag(&found, tag, push.digest)?,
        None => false,
    };
    let parts = parts(tx.state(), &found, push.manifest)?;
    let (holder, known) = (found.holder, found.contents.image(push.digest).is_some());
    if !known && found.contents.count_images() >= IMAGES_MAX {
        return Err(PushError::TooManyImages);
    }
    if is_new_tag && found.contents.count_tags_of(push.digest) >= TAGS_OF_IMAGE_MAX {
        return Err(PushError::TooManyTags);
    }
    hold::stored(tx, &holder, push.digest, push.bytes);
    if !known {
        let image = image(&push, parts, tx.now);
        tx.put::<Image>(ImageKey { holder: holder.clone(), digest: push.digest.clone() }, image);
    }
    if let Some(tag) = push.tag.filter(|_| is_new_tag) {
        let on = TagOn { digest: push.digest.clone(), tagged_at: tx.now };
        tx.put::<TagOn>(TagKey { holder, tag: tag.clone() }, on);
    }
    Ok(Pushed { is_new_image: !known, is_new_tag })
}

/// Whether the tag has to be written.
fn check_tag(found: &Found<'_>, tag: &Tag, digest: &Digest) -> Result<bool, PushError> {
    match found.contents.tag(tag) {
        Some(on) if on.digest == *digest => Ok(false),
        Some(_) if !found.repository.mutability.may_move(tag) => Err(PushError::TagIsImmutable(tag.clone())),
        Some(_) | None => Ok(true),
    }
}

#[derive(Default)]
struct Parts {
    blobs: Vec<Digest>,
    children: Vec<Digest>,
}

/// Which of what a manifest names is a blob and which an image here, if all that it needs is there.
fn parts(state: &State, found: &Found<'_>, manifest: &Manifest) -> Result<Parts, PushError> {
    let (mut parts, mut no_blobs, mut no_images) = (Parts::default(), Vec::new(), Vec::new());
    for reference in &manifest.references {
        let digest = &reference.digest;
        let is_image = found.contents.image(digest).is_some();
        let is_blob = hold::find(state, &found.holder, digest).is_some();
        match (reference.need, is_image, is_blob) {
            (Need::Manifest | Need::Either, true, _) => parts.children.push(digest.clone()),
            (Need::Blob | Need::Either | Need::Nothing, _, true) => parts.blobs.push(digest.clone()),
            (Need::Manifest | Need::Either, false, _) => no_images.push(digest.clone()),
            (Need::Blob, _, false) => no_blobs.push(digest.clone()),
            (Need::Nothing, _, false) => {}
        }
    }
    if !no_blobs.is_empty() {
        return Err(PushError::BlobsMissing(no_blobs));
    }
    if !no_images.is_empty() {
        return Err(PushError::ManifestsMissing(no_images));
    }
    Ok(parts)
}

fn image(push: &Push<'_>, parts: Parts, pushed_at: longshore_base::Timestamp) -> Image {
    let Push { manifest, bytes, .. } = *push;
    Image {
        media_type: manifest.media_type.as_str().into(),
        artifact_type: manifest.artifact_type.as_deref().map(Into::into),
        config_media_type: manifest.config_media_type.as_deref().map(Into::into),
        bytes,
        content_bytes: manifest.content_bytes,
        pushed_at,
        pulled_at: None,
        blobs: parts.blobs,
        children: parts.children,
        subject: manifest.subject.clone(),
    }
}

/// Notes that an image was pulled, at most once a day: that is what ECR shows, and a pull should not cost a commit.
/// Whether it has to be noted is asked first, without a transaction.
pub fn pull_is_news(contents: &Contents, digest: &Digest, now: longshore_base::Timestamp) -> bool {
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
    contents.image(digest).is_some_and(|image| image.pulled_at.is_none_or(|at| at + DAY <= now))
}

pub fn note_pull(tx: &mut Tx<'_>, holder: &Holder, digest: &Digest) {
    let now = tx.now;
    let contents = tx.ecr().contents(holder);
    if let Some(image) = contents.image(digest).filter(|_| pull_is_news(contents, digest, now)) {
        let image = Image { pulled_at: Some(now), ..Image::clone(image) };
        tx.put::<Image>(ImageKey { holder: holder.clone(), digest: digest.clone() }, image);
    }
}
