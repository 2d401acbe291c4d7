//! Where the records are in memory, with every index over them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, LazyLock};

use longshore_base::{Scope, Timestamp};
use longshore_images::{Digest, RepositoryName, Tag};
use longshore_state::{Hints, Keep, Kinds, Records, Tables};
use longshore_tables_blobs::Holder;

use crate::key::{ImageKey, RepositoryKey, TagKey};
use crate::record::{Image, Repository, TagOn};

/// All repositories of all accounts and regions.
#[derive(Debug, Default)]
pub struct EcrTables {
    repositories: BTreeMap<Scope, BTreeMap<RepositoryName, Arc<Repository>>>,
    contents: BTreeMap<Holder, Contents>,
    /// Derived: the repository that has this id.
    holders: BTreeMap<Holder, RepositoryName>,
    /// Derived: contents of repositories that are gone.
    orphans: BTreeSet<Holder>,
}

/// What is in a repository.
#[derive(Debug, Default)]
pub struct Contents {
    images: BTreeMap<Digest, Arc<Image>>,
    tags: BTreeMap<Tag, Arc<TagOn>>,
    /// Derived: the tags of each image that has any.
    tags_of: BTreeMap<Digest, BTreeSet<Tag>>,
    /// Derived: the indexes that have this image as an entry.
    parents: BTreeMap<Digest, BTreeSet<Digest>>,
    /// Derived: the images that are about this one.
    referrers: BTreeMap<Digest, BTreeSet<Digest>>,
    /// Derived: how many images need this blob.
    needed: BTreeMap<Digest, usize>,
}

static NOTHING: LazyLock<Contents> = LazyLock::new(Contents::default);

/// A repository that is there.
#[derive(Clone, Debug)]
pub struct Found<'s> {
    pub holder: Holder,
    pub repository: &'s Arc<Repository>,
    pub contents: &'s Contents,
}

impl EcrTables {
    pub fn find(&self, scope: &Scope, name: &RepositoryName) -> Option<Found<'_>> {
        let repository = self.repositories.get(scope)?.get(name)?;
        let holder = Holder { scope: scope.clone(), id: repository.id };
        let contents = self.contents(&holder);
        Some(Found { holder, repository, contents })
    }

    /// The repositories of an account in a region, by name, behind this one.
    pub fn repositories(
        &self,
        scope: &Scope,
        after: Option<&RepositoryName>,
    ) -> impl Iterator<Item = (&RepositoryName, &Arc<Repository>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.repositories.get(scope).into_iter().flat_map(move |own| own.range((from, Bound::Unbounded)))
    }

    pub fn count_repositories(&self, scope: &Scope) -> usize {
        self.repositories.get(scope).map_or(0, BTreeMap::len)
    }

    /// Every repository.
    pub fn all(&self) -> impl Iterator<Item = (&Scope, &RepositoryName, &Arc<Repository>)> {
        let all = self.repositories.iter();
        all.flat_map(|(scope, own)| own.iter().map(move |(name, repository)| (scope, name, repository)))
    }

    /// The repository that holds this, if it is not gone.
    pub fn repository_of(&self, holder: &Holder) -> Option<&RepositoryName> {
        self.holders.get(holder)
    }

    pub fn contents(&self, holder: &Holder) -> &Contents {
        self.contents.get(holder).unwrap_or(&NOTHING)
    }

    /// What repositories that are gone have left.
    pub fn orphans(&self) -> impl Iterator<Item = (&Holder, &Contents)> {
        self.orphans.iter().map(|holder| (holder, self.contents(holder)))
    }

    fn change<T>(&mut self, holder: &Holder, change: impl FnOnce(&mut Contents) -> T) -> T {
        let contents = self.contents.entry(holder.clone()).or_default();
        let changed = change(contents);
        if contents.images.is_empty() && contents.tags.is_empty() {
            self.contents.remove(holder);
        }
        self.settle(holder);
        changed
    }

    /// Whether a repository that is gone has left something.
    fn settle(&mut self, holder: &Holder) {
        if self.contents.contains_key(holder) && !self.holders.contains_key(holder) {
            self.orphans.insert(holder.clone());
        } else {
            self.orphans.remove(holder);
        }
    }
}

impl Contents {
    pub fn image(&self, digest: &Digest) -> Option<&Arc<Image>> {
        self.images.get(digest)
    }

    /// By digest.
    pub fn images(&self) -> impl Iterator<Item = (&Digest, &Arc<Image>)> {
        self.images.iter()
    }

    pub fn count_images(&self) -> usize {
        self.images.len()
    }

    pub fn tag(&self, tag: &Tag) -> Option<&Arc<TagOn>> {
        self.tags.get(tag)
    }

    /// Bytewise sorted, behind this one.
    pub fn tags_after(&self, after: Option<&Tag>) -> impl Iterator<Item = (&Tag, &Arc<TagOn>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tags.range((from, Bound::Unbounded))
    }

    pub fn tags_of(&self, digest: &Digest) -> impl Iterator<Item = &Tag> {
        self.tags_of.get(digest).into_iter().flatten()
    }

    pub fn count_tags_of(&self, digest: &Digest) -> usize {
        self.tags_of.get(digest).map_or(0, BTreeSet::len)
    }

    /// The indexes that have this image as an entry.
    pub fn parents(&self, digest: &Digest) -> impl Iterator<Item = &Digest> {
        self.parents.get(digest).into_iter().flatten()
    }

    /// The images that are about this one, which need not be there, by digest.
    pub fn referrers(&self, subject: &Digest) -> impl Iterator<Item = (&Digest, &Arc<Image>)> {
        self.referrers
            .get(subject)
            .into_iter()
            .flatten()
            .filter_map(|digest| self.images.get_key_value(digest))
    }

    /// Whether an image needs this blob, or is made of it.
    pub fn needs(&self, digest: &Digest) -> bool {
        self.needed.contains_key(digest) || self.images.contains_key(digest)
    }

    /// Enters or removes what an image is to others.
    fn index(&mut self, digest: &Digest, image: &Image, is_there: bool) {
        for child in &image.children {
            change_set(&mut self.parents, child, digest, is_there);
        }
        if let Some(subject) = &image.subject {
            change_set(&mut self.referrers, subject, digest, is_there);
        }
        for blob in &image.blobs {
            let count = self.needed.entry(blob.clone()).or_default();
            *count = if is_there { *count + 1 } else { *count - 1 };
            if *count == 0 {
                self.needed.remove(blob);
            }
        }
    }
}

fn change_set<K: Ord + Clone, V: Ord + Clone>(
    sets: &mut BTreeMap<K, BTreeSet<V>>,
    key: &K,
    value: &V,
    is_there: bool,
) {
    let set = sets.entry(key.clone()).or_default();
    if is_there {
        set.insert(value.clone());
    } else {
        set.remove(value);
    }
    if set.is_empty() {
        sets.remove(key);
    }
}

fn replace<K: Ord + Clone, R>(map: &mut BTreeMap<K, Arc<R>>, key: &K, new: Option<Arc<R>>) -> Option<Arc<R>> {
    match new {
        Some(new) => map.insert(key.clone(), new),
        None => map.remove(key),
    }
}

impl Keep<Repository> for EcrTables {
    fn replace(
        &mut self,
        key: &RepositoryKey,
        new: Option<Arc<Repository>>,
        _: &mut Hints,
    ) -> Option<Arc<Repository>> {
        let id = new.as_ref().map(|new| new.id);
        let own = self.repositories.entry(key.scope.clone()).or_default();
        let old = replace(own, &key.name, new);
        if own.is_empty() {
            self.repositories.remove(&key.scope);
        }
        let holder = |id| Holder { scope: key.scope.clone(), id };
        if let Some(old) = old.as_ref().map(|old| holder(old.id)) {
            self.holders.remove(&old);
            self.settle(&old);
        }
        if let Some(new) = id.map(holder) {
            self.holders.insert(new.clone(), key.name.clone());
            self.settle(&new);
        }
        old
    }
}

impl Keep<Image> for EcrTables {
    fn replace(&mut self, key: &ImageKey, new: Option<Arc<Image>>, _: &mut Hints) -> Option<Arc<Image>> {
        self.change(&key.holder, |contents| {
            let old = replace(&mut contents.images, &key.digest, new.clone());
            if let Some(old) = &old {
                contents.index(&key.digest, old, false);
            }
            if let Some(new) = &new {
                contents.index(&key.digest, new, true);
            }
            old
        })
    }
}

impl Keep<TagOn> for EcrTables {
    fn replace(&mut self, key: &TagKey, new: Option<Arc<TagOn>>, _: &mut Hints) -> Option<Arc<TagOn>> {
        self.change(&key.holder, |contents| {
            let old = replace(&mut contents.tags, &key.tag, new.clone());
            if let Some(old) = &old {
                change_set(&mut contents.tags_of, &old.digest, &key.tag, false);
            }
            if let Some(new) = &new {
                change_set(&mut contents.tags_of, &new.digest, &key.tag, true);
            }
            old
        })
    }
}

impl Tables for EcrTables {
    const DOMAIN: &'static str = "ecr";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<Image>().with::<Repository>().with::<TagOn>()
    }

    fn records(&self, records: &mut Records) {
        for (scope, name, repository) in self.all() {
            let key = RepositoryKey { scope: scope.clone(), name: name.clone() };
            records.insert::<Repository>(key, repository.clone());
        }
        for (holder, contents) in &self.contents {
            for (digest, image) in &contents.images {
                let key = ImageKey { holder: holder.clone(), digest: digest.clone() };
                records.insert::<Image>(key, image.clone());
            }
            for (tag, on) in &contents.tags {
                records.insert::<TagOn>(TagKey { holder: holder.clone(), tag: tag.clone() }, on.clone());
            }
        }
    }

    fn compare(&self, fresh: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |what: String, is_same: bool| {
            if !is_same {
                found.push(format!("{what} is not what the records say"));
            }
        };
        note("which repository has which id".to_owned(), self.holders == fresh.holders);
        note("what repositories have left".to_owned(), self.orphans == fresh.orphans);
        for (holder, own) in &self.contents {
            let should = fresh.contents(holder);
            let of = |what: &str| format!("{what} in the repository {}", holder.id);
            note(of("tags by image"), own.tags_of == should.tags_of);
            note(of("indexes by entry"), own.parents == should.parents);
            note(of("referrers by subject"), own.referrers == should.referrers);
            note(of("needed blobs"), own.needed == should.needed);
        }
        found
    }

    /// Nobody waits for images: the sweeps look at the time.
    fn all_hints(&self, _hints: &mut Hints) {}
}
