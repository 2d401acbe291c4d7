//! One record of each kind, with no member left empty, and what the tests of this crate have in common.

use std::sync::Arc;

use longshore_base::{AccountId, Ids, Region, Scope, Seed, Timestamp};
use longshore_domain::tags::Tags;
use longshore_images::mutability::TagMutability;
use longshore_images::{Algorithm, Digest, RepositoryName, Tag};
use longshore_state::{Domains, Records, State, Tx};
use longshore_tables_blobs::{BlobTables, Holder, HolderId};
use longshore_tables_ecr::record::*;
use longshore_tables_ecr::{EcrState, EcrTables, ImageKey, RepositoryKey, TagKey};
use longshore_tables_iam::record::ResourcePolicy;

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
 "Principal": {"AWS": "AIDAAAAAAAAAAAAAAAAAA"}}}"#;

pub fn scope() -> Scope {
    let account = AccountId::parse("111122223333").expect("twelve digits");
    Scope::new(account, Region::parse("eu-west-1").expect("a region"))
}

pub fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a name")
}

pub fn tag(text: &str) -> Tag {
    Tag::parse(text).expect("a tag")
}

pub fn digest(of: &str) -> Digest {
    Digest::of(Algorithm::Sha256, of.as_bytes())
}

pub fn repository() -> Repository {
    Repository {
        id: HolderId::from_bits(7),
        created_at: NOW,
        tags: Tags::from([("Team".to_owned(), "red".to_owned())]),
        mutability: TagMutability::with_exclusions(false, &["latest*"]).expect("a filter"),
        scan_on_push: true,
        encryption: Encryption::Kms("arn:aws:kms:eu-west-1:111122223333:key/a".into()),
        policy: Some(ResourcePolicy::new(POLICY).expect("a policy")),
        lifecycle: Some(Lifecycle { text: "{}".into(), evaluated_at: Some(NOW) }),
    }
}

pub fn image() -> Image {
    Image {
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        artifact_type: Some("x/y".into()),
        config_media_type: Some("application/vnd.oci.image.config.v1+json".into()),
        bytes: 500,
        content_bytes: 7000,
        pushed_at: NOW,
        pulled_at: Some(NOW),
        blobs: vec![digest("layer")],
        children: vec![digest("child")],
        subject: Some(digest("subject")),
    }
}

pub fn records() -> Records {
    let holder = Holder { scope: scope(), id: HolderId::from_bits(7) };
    let mut records = Records::new();
    records.insert::<Repository>(
        RepositoryKey { scope: scope(), name: name("team/web") },
        Arc::new(repository()),
    );
    records.insert::<Image>(ImageKey { holder: holder.clone(), digest: digest("image") }, Arc::new(image()));
    let on = TagOn { digest: digest("image"), tagged_at: NOW };
    records.insert::<TagOn>(TagKey { holder, tag: tag("v1") }, Arc::new(on));
    records
}

/// A state with an empty repository `team/web`, whose tags may move unless they begin with `v`.
pub fn empty() -> State {
    let domains = Domains::new("test").with::<BlobTables>().with::<EcrTables>();
    let mut state = State::new(&domains, NOW);
    let mutability = TagMutability::with_exclusions(true, &["v*"]).expect("a filter");
    let made = Repository {
        mutability,
        encryption: Encryption::Aes256,
        policy: None,
        lifecycle: None,
        ..repository()
    };
    at(&mut state, NOW, |tx| {
        tx.put::<Repository>(RepositoryKey { scope: scope(), name: name("team/web") }, made);
    });
    state
}

pub fn holder(state: &State) -> Holder {
    state.ecr().find(&scope(), &name("team/web")).expect("it is there").holder
}

pub fn at<T>(state: &mut State, now: Timestamp, f: impl FnOnce(&mut Tx<'_>) -> T) -> T {
    let seed = Seed::new(u128::from(state.sequence()) + 1);
    let done = state.transact(now, Ids::new(seed), |tx| Ok::<_, ()>(f(tx)));
    let (value, _) = done.expect("it fits").expect("it is done");
    assert_eq!(state.check(), Vec::<String>::new());
    value
}
