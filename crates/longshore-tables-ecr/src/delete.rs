//! Images and tags go (registry I4, I8). Their blobs stay until the collector finds that nothing needs them.

use longshore_images::{Digest, Tag};
use longshore_state::Tx;
use longshore_tables_blobs::{Holder, hold};

use crate::EcrState;
use crate::key::{ImageKey, TagKey};
use crate::record::{Image, TagOn};

/// How many tags one transaction removes, so that it fits one commit.
const TAGS_AT_ONCE: usize = 100;

/// How far a deletion has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The image is gone, with these of its tags.
    All(Vec<Tag>),
    /// These tags are gone, and there are more: it has to be asked again.
    Some(Vec<Tag>),
    /// There is no such image.
    Nothing,
}

/// Removes a tag; the image that it was on.
pub fn untag(tx: &mut Tx<'_>, holder: &Holder, tag: &Tag) -> Option<Digest> {
    let digest = tx.ecr().contents(holder).tag(tag)?.digest.clone();
    tx.delete::<TagOn>(TagKey { holder: holder.clone(), tag: tag.clone() });
    Some(digest)
}

/// Removes an image with its tags.
pub fn delete(tx: &mut Tx<'_>, holder: &Holder, digest: &Digest) -> Deleted {
    let contents = tx.ecr().contents(holder);
    if contents.image(digest).is_none() {
        return Deleted::Nothing;
    }
    let tags: Vec<Tag> = contents.tags_of(digest).take(TAGS_AT_ONCE).cloned().collect();
    let is_all = contents.count_tags_of(digest) == tags.len();
    for tag in &tags {
        tx.delete::<TagOn>(TagKey { holder: holder.clone(), tag: tag.clone() });
    }
    if !is_all {
        return Deleted::Some(tags);
    }
    tx.delete::<Image>(ImageKey { holder: holder.clone(), digest: digest.clone() });
    Deleted::All(tags)
}

/// Why a blob is not taken from a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobStays {
    /// There is none.
    Unknown,
    /// An image needs it.
    Needed,
}

/// Takes a blob from a repository, as a client asks.
pub fn delete_blob(tx: &mut Tx<'_>, holder: &Holder, digest: &Digest) -> Result<(), BlobStays> {
    if hold::find(tx.state(), holder, digest).is_none() {
        return Err(BlobStays::Unknown);
    }
    if tx.ecr().contents(holder).needs(digest) {
        return Err(BlobStays::Needed);
    }
    hold::unlink(tx, holder, digest);
    Ok(())
}
