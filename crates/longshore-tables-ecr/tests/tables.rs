//! Pushes and deletions step by step, what they need and what they leave, and indexes under random changes.

// Golden files use the rest.
#[allow(dead_code)]
mod sample;

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_base::{Ids, Seed};
use longshore_images::lifecycle::{Outcome, Policy};
use longshore_images::manifest::{Manifest, OCI_INDEX, OCI_MANIFEST};
use longshore_images::{Digest, Tag};
use longshore_state::{State, Tx};
use longshore_tables_blobs::hold;
use longshore_tables_ecr::delete::{self, BlobStays, Deleted};
use longshore_tables_ecr::expiry::{self, expiring};
use longshore_tables_ecr::push::{self, Push, PushError, Pushed, push};
use longshore_tables_ecr::record::{Lifecycle, Repository};
use longshore_tables_ecr::{EcrState, HOLDERS, RepositoryKey, sweep};
use proptest::prelude::*;
use sample::{NOW, at, digest, empty, holder, name, scope, tag};
use serde_json::{Value, json};

fn part(media_type: &str, of: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(of).to_string(), "size": 10})
}

/// A manifest and its digest, that needs these blobs. Each `label` is another image.
fn image(label: &str, blobs: &[&str]) -> (Manifest, Digest) {
    let layers: Vec<Value> = blobs.iter().map(|blob| part("application/x.layer", blob)).collect();
    read(json!({"mediaType": OCI_MANIFEST, "layers": layers, "annotations": {"label": label}}))
}

fn index(children: &[&Digest]) -> (Manifest, Digest) {
    let entries: Vec<Value> = children
        .iter()
        .map(|child| json!({"mediaType": OCI_MANIFEST, "digest": child.to_string(), "size": 1}))
        .collect();
    read(json!({"mediaType": OCI_INDEX, "manifests": entries}))
}

fn read(document: Value) -> (Manifest, Digest) {
    let text = document.to_string();
    (Manifest::parse(text.as_bytes(), None).expect("a manifest"), digest(&text))
}

fn put(
    tx: &mut Tx<'_>,
    (manifest, digest): &(Manifest, Digest),
    tag: Option<&str>,
) -> Result<Pushed, PushError> {
    let tag = tag.map(sample::tag);
    push(tx, &scope(), &name("team/web"), Push { digest, bytes: 1, manifest, tag: tag.as_ref() })
}

fn layer(tx: &mut Tx<'_>, of: &str) {
    let holder = holder(tx.state());
    hold::stored(tx, &holder, &digest(of), 10);
}

fn tags(state: &State) -> Vec<String> {
    let holder = holder(state);
    state.ecr().contents(&holder).tags_after(None).map(|(tag, _)| tag.to_string()).collect()
}

#[test]
fn an_image_needs_what_it_names() {
    let mut state = empty();
    let one = image("1", &["a", "b"]);
    at(&mut state, NOW, |tx| {
        assert_eq!(put(tx, &one, None), Err(PushError::BlobsMissing(vec![digest("a"), digest("b")])));
        layer(tx, "a");
        assert_eq!(put(tx, &one, None), Err(PushError::BlobsMissing(vec![digest("b")])));
        layer(tx, "b");
        let list = index(&[&one.1]);
        assert_eq!(put(tx, &list, None), Err(PushError::ManifestsMissing(vec![one.1.clone()])));
        assert_eq!(put(tx, &one, None), Ok(Pushed { is_new_image: true, is_new_tag: false }));
        assert_eq!(put(tx, &list, Some("latest")), Ok(Pushed { is_new_image: true, is_new_tag: true }));
        let own = holder(tx.state());
        for needed in ["a", "b"] {
            assert!((HOLDERS.needs)(tx.state(), &own, &digest(needed)));
            assert_eq!(delete::delete_blob(tx, &own, &digest(needed)), Err(BlobStays::Needed));
        }
        assert!((HOLDERS.needs)(tx.state(), &own, &one.1), "a manifest's bytes are a blob");
        assert!(!(HOLDERS.needs)(tx.state(), &own, &digest("c")));
        assert_eq!(delete::delete_blob(tx, &own, &digest("c")), Err(BlobStays::Unknown));
        let contents = tx.ecr().contents(&own);
        assert_eq!(contents.parents(&one.1).collect::<Vec<_>>(), [&list.1]);
    });
}

/// buildkit's old caches: an index whose entries are layers.
#[test]
fn an_index_may_name_layers() {
    let mut state = empty();
    let cache = read(json!({"mediaType": OCI_INDEX, "manifests": [part("application/x.layer", "a")]}));
    at(&mut state, NOW, |tx| {
        assert_eq!(put(tx, &cache, None), Err(PushError::ManifestsMissing(vec![digest("a")])));
        layer(tx, "a");
        assert!(put(tx, &cache, None).is_ok());
        let own = holder(tx.state());
        assert!(tx.ecr().contents(&own).needs(&digest("a")));
    });
}

#[test]
fn tags_move_where_they_may() {
    let mut state = empty();
    let (one, two) = (image("1", &[]), image("2", &[]));
    at(&mut state, NOW, |tx| {
        for tag in ["latest", "v1"] {
            assert!(put(tx, &one, Some(tag)).is_ok());
        }
    });
    let later = NOW + Duration::from_secs(1);
    at(&mut state, later, |tx| {
        // A push whose answer was lost.
        assert_eq!(put(tx, &one, Some("v1")), Ok(Pushed { is_new_image: false, is_new_tag: false }));
        assert_eq!(put(tx, &two, Some("v1")), Err(PushError::TagIsImmutable(tag("v1"))));
        assert_eq!(put(tx, &two, Some("latest")), Ok(Pushed { is_new_image: true, is_new_tag: true }));
        let own = holder(tx.state());
        let contents = tx.ecr().contents(&own);
        assert_eq!(contents.image(&one.1).expect("it stays").pushed_at, NOW);
        assert_eq!(contents.tags_of(&one.1).collect::<Vec<_>>(), [&tag("v1")]);
        assert_eq!(contents.tags_of(&two.1).collect::<Vec<_>>(), [&tag("latest")]);
    });
    at(&mut state, later, |tx| {
        let manifest = Push { digest: &one.1, bytes: 1, manifest: &one.0, tag: None };
        assert_eq!(push(tx, &scope(), &name("other"), manifest), Err(PushError::NoRepository));
    });
}

#[test]
fn images_and_tags_go() {
    let mut state = empty();
    let one = image("1", &["a"]);
    at(&mut state, NOW, |tx| {
        layer(tx, "a");
        for tag in ["latest", "v1"] {
            assert!(put(tx, &one, Some(tag)).is_ok());
        }
        let own = holder(tx.state());
        assert_eq!(delete::untag(tx, &own, &tag("v1")), Some(one.1.clone()));
        assert_eq!(delete::untag(tx, &own, &tag("v1")), None);
        assert_eq!(delete::delete(tx, &own, &one.1), Deleted::All(vec![tag("latest")]));
        assert_eq!(delete::delete(tx, &own, &one.1), Deleted::Nothing);
        assert_eq!(delete::delete_blob(tx, &own, &digest("a")), Ok(()), "nothing needs it any more");
    });
    assert_eq!(tags(&state), Vec::<String>::new());
}

#[test]
fn an_image_with_many_tags_goes_in_parts() {
    let mut state = empty();
    let one = image("1", &[]);
    for from in 0..25 {
        at(&mut state, NOW, |tx| {
            for n in 0..10 {
                assert!(put(tx, &one, Some(&format!("t{from}-{n}"))).is_ok());
            }
        });
    }
    let own = holder(&state);
    let mut rounds = 0;
    loop {
        rounds += 1;
        match at(&mut state, NOW, |tx| delete::delete(tx, &own, &one.1)) {
            Deleted::Some(tags) => assert_eq!(tags.len(), 100),
            Deleted::All(tags) => break assert_eq!(tags.len(), 50),
            Deleted::Nothing => panic!("it is there"),
        }
    }
    assert_eq!((rounds, tags(&state).len()), (3, 0));
}

#[test]
fn referrers_are_found_by_their_subject() {
    let mut state = empty();
    let about = digest("not there");
    let subject = json!({"mediaType": OCI_MANIFEST, "digest": about.to_string(), "size": 1});
    let one = read(json!({"mediaType": OCI_MANIFEST, "subject": subject}));
    at(&mut state, NOW, |tx| {
        assert!(put(tx, &one, None).is_ok(), "a subject need not be there");
        let own = holder(tx.state());
        let found = tx.ecr().contents(&own).referrers(&about).map(|(digest, _)| digest.clone());
        assert_eq!(found.collect::<Vec<_>>(), std::slice::from_ref(&one.1));
        delete::delete(tx, &own, &one.1);
        assert_eq!(tx.ecr().contents(&own).referrers(&about).count(), 0);
    });
}

#[test]
fn what_a_repository_leaves_is_swept_and_never_comes_back() {
    let mut state = empty();
    for n in 0..15 {
        at(&mut state, NOW, |tx| {
            for m in 0..10 {
                assert!(put(tx, &image(&format!("{n} {m}"), &[]), Some(&format!("t{n}-{m}"))).is_ok());
            }
        });
    }
    let key = || RepositoryKey { scope: scope(), name: name("team/web") };
    let old = holder(&state);
    at(&mut state, NOW, |tx| {
        tx.delete::<Repository>(key());
        assert!(!(HOLDERS.has)(tx.state(), &old));
    });
    at(&mut state, NOW, |tx| {
        let again = Repository { id: longshore_tables_blobs::HolderId::from_bits(8), ..sample::repository() };
        tx.put::<Repository>(key(), again);
    });
    assert_eq!(tags(&state), Vec::<String>::new());
    let mut rounds = 1;
    while at(&mut state, NOW, sweep) {
        rounds += 1;
    }
    assert_eq!((rounds, state.ecr().orphans().count()), (3, 0));
    assert_eq!(state.ecr().contents(&old).count_images(), 0);
}

#[test]
fn pulls_are_noted_by_the_day() {
    let mut state = empty();
    let one = image("1", &[]);
    let own = holder(&state);
    at(&mut state, NOW, |tx| assert!(put(tx, &one, None).is_ok()));
    let hour = Duration::from_secs(3600);
    for (after, noted) in [(0, 0), (1, 0), (23, 0), (24, 24), (25, 24)] {
        at(&mut state, NOW + hour * after, |tx| push::note_pull(tx, &own, &one.1));
        let pulled_at = state.ecr().contents(&own).image(&one.1).expect("it is there").pulled_at;
        assert_eq!(pulled_at, Some(NOW + hour * noted), "after {after} hours");
    }
    assert!(!push::pull_is_news(state.ecr().contents(&own), &digest("other"), NOW));
}

#[test]
fn policies_expire_what_belongs_to_nothing() {
    let mut state = empty();
    let (child, old, used) = (image("child", &[]), image("old", &[]), image("used", &[]));
    let list = index(&[&child.1]);
    let about = json!({"mediaType": OCI_MANIFEST, "digest": list.1.to_string(), "size": 1});
    let signature = read(json!({"mediaType": OCI_MANIFEST, "subject": about}));
    at(&mut state, NOW, |tx| {
        for (image, tag) in
            [(&child, None), (&list, Some("v1")), (&signature, None), (&old, None), (&used, None)]
        {
            assert!(put(tx, image, tag).is_ok());
        }
    });
    let rule = json!({"rulePriority": 1, "action": {"type": "expire"},
                      "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed",
                                    "countUnit": "days", "countNumber": 1}});
    let policy = Policy::parse(&json!({"rules": [rule]}).to_string()).expect("a policy");
    let own = holder(&state);
    let late = NOW + Duration::from_secs(3 * 24 * 3600);
    let in_use = BTreeSet::from([used.1.clone()]);
    let selected = expiring(state.ecr().contents(&own), &policy, &in_use, late);
    let mut told: Vec<(&Digest, Outcome)> = selected.iter().map(|of| (of.digest, of.outcome)).collect();
    told.sort_by_key(|(digest, _)| (*digest).clone());
    let mut wanted = vec![(&old.1, Outcome::Expires), (&used.1, Outcome::Kept)];
    wanted.sort_by_key(|(digest, _)| (*digest).clone());
    assert_eq!(told, wanted);
}

/// The sweep does what the preview shows, in as many transactions as it needs, and goes by a policy once an hour.
#[test]
fn the_sweep_deletes_what_is_selected() {
    let mut state = empty();
    for from in 0..15 {
        at(&mut state, NOW, |tx| {
            for n in 0..10 {
                assert!(put(tx, &image(&format!("{from} {n}"), &[]), None).is_ok());
            }
        });
    }
    let kept = image("0 0", &[]);
    let rule = json!({"rulePriority": 1, "action": {"type": "expire"},
                      "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}});
    let text = json!({"rules": [rule]}).to_string();
    let policy = Policy::parse(&text).expect("a policy");
    let own = holder(&state);
    at(&mut state, NOW, |tx| {
        let found = tx.ecr().find(&scope(), &name("team/web")).expect("it is there");
        let lifecycle = Some(Lifecycle { text: text.as_str().into(), evaluated_at: None });
        let repository = Repository { lifecycle, ..Repository::clone(found.repository) };
        tx.put::<Repository>(RepositoryKey { scope: scope(), name: name("team/web") }, repository);
    });
    let in_use = BTreeSet::from([kept.1.clone()]);
    let selected = expiring(state.ecr().contents(&own), &policy, &in_use, NOW);
    let gone = selected.iter().filter(|of| of.outcome == Outcome::Expires).count();
    assert_eq!(expiry::due(&state, NOW), [(scope(), name("team/web"))]);
    let (mut rounds, mut images) = (0, 0);
    loop {
        let swept = at(&mut state, NOW, |tx| expiry::sweep(tx, &scope(), &name("team/web"), &in_use));
        (rounds, images) = (rounds + 1, images + swept.images);
        if !swept.has_more {
            break;
        }
    }
    assert_eq!((rounds, images), (2, gone));
    assert!(state.ecr().contents(&own).image(&kept.1).is_some(), "somebody runs it");
    let hour = Duration::from_secs(3600);
    assert_eq!(expiry::due(&state, NOW + hour - Duration::from_millis(1)), []);
    assert_eq!(expiry::due(&state, NOW + hour).len(), 1);
}

proptest! {
    /// Indexes are what the records say, under any changes, and after a transaction that fails.
    #[test]
    fn what_is_derived_follows(
        steps in proptest::collection::vec((0..6_u8, 0..4_u8, 0..3_u8, any::<bool>()), 0..40),
    ) {
        let mut state = empty();
        let own = holder(&state);
        let images: Vec<_> = (0..3).map(|n| image(&n.to_string(), &["a"])).collect();
        let list = index(&[&images[0].1, &images[1].1]);
        for (what, which, tag, fails) in steps {
            let chosen = images.get(usize::from(which)).unwrap_or(&list);
            let tag: Tag = sample::tag(&format!("t{tag}"));
            let done = state.transact(NOW, Ids::new(Seed::new(1)), |tx| {
                match what {
                    0 => layer(tx, "a"),
                    1 | 2 => drop(put(tx, chosen, (what == 1).then_some(tag.as_str()))),
                    3 => drop(delete::untag(tx, &own, &tag)),
                    4 => drop(delete::delete(tx, &own, &chosen.1)),
                    _ => {
                        let _ = delete::delete_blob(tx, &own, &digest("a"));
                    }
                }
                if fails { Err(()) } else { Ok(()) }
            });
            prop_assert_eq!(done.expect("it fits").is_err(), fails);
            prop_assert_eq!(state.check(), Vec::<String>::new());
            let contents = state.ecr().contents(&own);
            for (_, on) in contents.tags_after(None) {
                prop_assert!(contents.image(&on.digest).is_some(), "a tag's image is there");
            }
            for (digest, image) in contents.images() {
                for blob in image.blobs.iter().chain([digest]) {
                    prop_assert!(hold::find(&state, &own, blob).is_some(), "what an image needs is linked");
                }
            }
        }
    }
}
