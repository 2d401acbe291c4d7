//! Which images a lifecycle policy expires, for the preview and for the sweep (registry I5).

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_base::{Scope, Timestamp};
use longshore_images::lifecycle::{Image, Outcome, Policy, Selected, evaluate};
use longshore_images::{Digest, RepositoryName};
use longshore_state::{State, Tx};

use crate::EcrState;
use crate::delete::{self, Deleted};
use crate::key::RepositoryKey;
use crate::record::{Lifecycle, Repository};
use crate::tables::Contents;

/// How often the sweep goes by a policy. AWS says that it takes effect within 24 hours.
const EVERY: Duration = Duration::from_secs(3600);
/// The most records that one transaction changes, so that it fits one commit and holds nobody up.
const CHANGES_MAX: usize = 100;

/// What a policy selects in a repository. `in_use` are the digests that tasks run, and services may start.
pub fn expiring<'a>(
    contents: &'a Contents,
    policy: &Policy,
    in_use: &BTreeSet<Digest>,
    now: Timestamp,
) -> Vec<Selected<'a>> {
    let images: Vec<Image<'_>> = contents
        .images()
        .map(|(digest, image)| {
            let tags: Vec<_> = contents.tags_of(digest).collect();
            let has_parent = contents.parents(digest).next().is_some();
            let is_about = image.subject.as_ref().is_some_and(|subject| contents.image(subject).is_some());
            Image {
                digest,
                pushed_at: image.pushed_at,
                is_part: has_parent || (is_about && tags.is_empty()),
                is_in_use: in_use.contains(digest),
                tags,
            }
        })
        .collect();
    evaluate(&images, policy, now)
}

/// The repositories whose policies have not been gone by for an hour.
pub fn due(state: &State, now: Timestamp) -> Vec<(Scope, RepositoryName)> {
    let is_due = |lifecycle: &Lifecycle| lifecycle.evaluated_at.is_none_or(|at| at + EVERY <= now);
    let due =
        state.ecr().all().filter(|(_, _, repository)| repository.lifecycle.as_ref().is_some_and(is_due));
    due.map(|(scope, name, _)| (scope.clone(), name.clone())).collect()
}

/// What one transaction of the sweep has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    pub images: usize,
    /// It has to be asked again.
    pub has_more: bool,
}

/// Deletes what the policy of a repository expires, or some of it. `in_use` as for [`expiring`].
pub fn sweep(tx: &mut Tx<'_>, scope: &Scope, name: &RepositoryName, in_use: &BTreeSet<Digest>) -> Swept {
    let mut swept = Swept { images: 0, has_more: false };
    let Some(found) = tx.ecr().find(scope, name) else { return swept };
    let (holder, repository) = (found.holder, found.repository.clone());
    let Some(lifecycle) = &repository.lifecycle else { return swept };
    // What was accepted can be read, but perhaps by another version of this program.
    let gone: Vec<Digest> = match Policy::parse(&lifecycle.text) {
        Ok(policy) => {
            let selected = expiring(found.contents, &policy, in_use, tx.now);
            let gone = selected.into_iter().filter(|selected| selected.outcome == Outcome::Expires);
            gone.map(|selected| selected.digest.clone()).collect()
        }
        Err(_) => Vec::new(),
    };
    for digest in gone {
        // An image with very many tags goes alone, in several transactions.
        let changes = tx.ecr().contents(&holder).count_tags_of(&digest) + 1;
        if tx.changed() > 0 && tx.changed() + changes > CHANGES_MAX {
            return Swept { has_more: true, ..swept };
        }
        match delete::delete(tx, &holder, &digest) {
            Deleted::All(_) => swept.images += 1,
            Deleted::Some(_) => return Swept { has_more: true, ..swept },
            Deleted::Nothing => {}
        }
    }
    let lifecycle = Lifecycle { evaluated_at: Some(tx.now), ..lifecycle.clone() };
    let key = RepositoryKey { scope: scope.clone(), name: name.clone() };
    tx.put::<Repository>(key, Repository { lifecycle: Some(lifecycle), ..Repository::clone(&repository) });
    swept
}
