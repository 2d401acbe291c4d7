//! What repositories that are gone have left goes after them. Their blobs are the collector's.

use longshore_state::Tx;

use crate::EcrState;
use crate::key::{ImageKey, TagKey};
use crate::record::{Image, TagOn};

/// The most records that one sweep changes, so that it fits one commit and holds nobody up.
const SWEEP_MAX: usize = 100;

/// Clears away. True if there is more to do at once. It costs nothing where nothing was left.
pub fn sweep(tx: &mut Tx<'_>) -> bool {
    let (mut tags, mut images) = (Vec::new(), Vec::new());
    for (holder, contents) in tx.ecr().orphans() {
        let room = SWEEP_MAX - tags.len() - images.len();
        let own = contents.tags_after(None).take(room);
        tags.extend(own.map(|(tag, _)| TagKey { holder: holder.clone(), tag: tag.clone() }));
        let room = SWEEP_MAX - tags.len() - images.len();
        let own = contents.images().take(room);
        images.extend(own.map(|(digest, _)| ImageKey { holder: holder.clone(), digest: digest.clone() }));
        if tags.len() + images.len() == SWEEP_MAX {
            break;
        }
    }
    for key in tags {
        tx.delete::<TagOn>(key);
    }
    for key in images {
        tx.delete::<Image>(key);
    }
    tx.ecr().orphans().next().is_some()
}
