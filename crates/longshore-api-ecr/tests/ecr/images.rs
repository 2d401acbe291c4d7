//! Images that the registry has taken, as the API shows and deletes them.

use longshore_images::manifest::{Manifest, OCI_INDEX, OCI_MANIFEST};
use longshore_images::{Algorithm, Digest, RepositoryName, Tag};
use longshore_tables_blobs::hold;
use longshore_tables_ecr::EcrState;
use longshore_tables_ecr::push::{Push, push};
use serde_json::{Value, json};

use crate::support::{World, scope};

fn digest(of: &str) -> Digest {
    Digest::of(Algorithm::Sha256, of.as_bytes())
}

impl World {
    /// Pushes a manifest, with a layer of 10 bytes for each that it names; its digest.
    fn push(&self, document: Value, tags: &[&str]) -> Digest {
        let text = document.to_string();
        let manifest = Manifest::parse(text.as_bytes(), None).expect("a manifest");
        let own = digest(&text);
        let name = RepositoryName::parse("web").expect("a name");
        self.act(|tx| {
            let holder = tx.ecr().find(&scope(), &name).expect("it is there").holder;
            for layer in document["layers"].as_array().into_iter().flatten() {
                let layer = Digest::parse(layer["digest"].as_str().expect("a digest")).expect("a digest");
                hold::stored(tx, &holder, &layer, 10);
            }
            let all = tags.iter().map(|tag| Tag::parse(tag).expect("a tag")).map(Some);
            for tag in all.chain(tags.is_empty().then_some(None)) {
                let entry = Push { digest: &own, bytes: 1, manifest: &manifest, tag: tag.as_ref() };
                push(tx, &scope(), &name, entry).expect("it may");
            }
        });
        own
    }

    fn image(&self, label: &str, tags: &[&str]) -> Digest {
        let layer = json!({"mediaType": "x/y", "digest": digest(label), "size": 10});
        self.push(json!({"mediaType": OCI_MANIFEST, "layers": [layer]}), tags)
    }

    fn index(&self, entries: &[&Digest], tags: &[&str]) -> Digest {
        let entries: Vec<Value> =
            entries.iter().map(|of| json!({"mediaType": OCI_MANIFEST, "digest": of, "size": 1})).collect();
        self.push(json!({"mediaType": OCI_INDEX, "manifests": entries}), tags)
    }

    fn list(&self, filter: Value) -> Vec<Value> {
        let listed = self.ask("ListImages", json!({"repositoryName": "web", "filter": filter}));
        listed["imageIds"].as_array().expect("a list").clone()
    }
}

#[test]
fn images_are_listed_by_tag() {
    let world = World::new();
    world.make("web");
    let (one, two) = (world.image("1", &["a", "b"]), world.image("2", &[]));
    let id = |digest: &Digest, tag: Option<&str>| match tag {
        Some(tag) => json!({"imageDigest": digest, "imageTag": tag}),
        None => json!({"imageDigest": digest}),
    };
    let sorted = |mut ids: Vec<Value>| {
        ids.sort_by_key(Value::to_string);
        ids
    };
    let tagged = vec![id(&one, Some("a")), id(&one, Some("b"))];
    assert_eq!(world.list(json!({"tagStatus": "TAGGED"})), tagged);
    assert_eq!(world.list(json!({"tagStatus": "UNTAGGED"})), [id(&two, None)]);
    let all = sorted([tagged, vec![id(&two, None)]].concat());
    assert_eq!(sorted(world.list(json!({}))), all);
    let (mut paged, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({"repositoryName": "web", "maxResults": 1});
        if !token.is_null() {
            input["nextToken"] = token;
        }
        let page = world.ask("ListImages", input);
        paged.extend(page["imageIds"].as_array().expect("a list").clone());
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sorted(paged), all);
}

#[test]
fn images_are_described() {
    let world = World::new();
    world.make("web");
    let one = world.image("1", &["a", "b"]);
    let list = world.index(&[&one], &[]);
    let describe =
        |ids: Value| world.ask("DescribeImages", json!({"repositoryName": "web", "imageIds": ids}));
    let shown = describe(json!([{"imageTag": "a"}, {"imageDigest": list}]));
    assert_eq!(
        shown["imageDetails"][0],
        json!({
            "registryId": "111122223333",
            "repositoryName": "web",
            "imageDigest": one,
            "imageTags": ["a", "b"],
            "imageSizeInBytes": 10,
            "imagePushedAt": 1_700_000_000,
            "imageManifestMediaType": OCI_MANIFEST,
            "imageStatus": "ACTIVE",
        })
    );
    let index = &shown["imageDetails"][1];
    assert_eq!((index.get("imageTags"), &index["imageSizeInBytes"]), (None, &json!(10)));
    let all = world.ask("DescribeImages", json!({"repositoryName": "web"}));
    assert_eq!(all["imageDetails"].as_array().map(Vec::len), Some(2));
    let input = json!({"repositoryName": "web", "imageIds": [{"imageTag": "none"}]});
    let (code, text) = world.refused("DescribeImages", input);
    let wanted = "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with \
                  name 'web' in the registry with id '111122223333'";
    assert_eq!((code.as_str(), text.as_str()), ("ImageNotFoundException", wanted));
}

#[test]
fn images_are_deleted_by_tag_or_digest() {
    let world = World::new();
    world.make("web");
    let one = world.image("1", &["a", "b"]);
    let delete =
        |ids: Value| world.ask("BatchDeleteImage", json!({"repositoryName": "web", "imageIds": ids}));
    let gone = |tag: &str| json!({"imageDigest": one, "imageTag": tag});
    // A tag goes alone, unless it is the last one.
    assert_eq!(delete(json!([{"imageTag": "a"}])), json!({"imageIds": [gone("a")], "failures": []}));
    world.ask("DescribeImages", json!({"repositoryName": "web", "imageIds": [{"imageDigest": one}]}));
    assert_eq!(delete(json!([{"imageTag": "b"}])), json!({"imageIds": [gone("b")], "failures": []}));
    assert_eq!(world.list(json!({})), Vec::<Value>::new());

    let one = world.image("1", &["a", "b"]);
    let done = delete(json!([{"imageDigest": one}]));
    assert_eq!(done["imageIds"].as_array().map(Vec::len), Some(2), "an entry for each tag");
    assert_eq!(world.list(json!({})), Vec::<Value>::new());
}

#[test]
fn what_cannot_be_deleted_is_told_one_by_one() {
    let world = World::new();
    world.make("web");
    let (one, two) = (world.image("1", &["a"]), world.image("2", &["b"]));
    let list = world.index(&[&one], &["list"]);
    let ids = json!([
        {},
        {"imageTag": "none"},
        {"imageTag": ".x"},
        {"imageDigest": "x"},
        {"imageDigest": digest("none")},
        {"imageDigest": two, "imageTag": "a"},
        {"imageDigest": one},
    ]);
    let done = world.ask("BatchDeleteImage", json!({"repositoryName": "web", "imageIds": ids}));
    let codes: Vec<&str> = done["failures"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|of| of["failureCode"].as_str())
        .collect();
    let wanted = [
        "MissingDigestAndTag",
        "ImageNotFound",
        "InvalidImageTag",
        "InvalidImageDigest",
        "ImageNotFound",
        "ImageTagDoesNotMatchDigest",
        "ImageReferencedByManifestList",
    ];
    assert_eq!((codes.as_slice(), &done["imageIds"]), (&wanted[..], &json!([])));
    // With its index it goes, in whatever order they are named.
    let both = json!([{"imageDigest": one}, {"imageDigest": list}]);
    let done = world.ask("BatchDeleteImage", json!({"repositoryName": "web", "imageIds": both}));
    assert_eq!(done["failures"], json!([]));
}

#[test]
fn a_repository_with_images_is_deleted_by_force() {
    let world = World::new();
    world.make("web");
    world.image("1", &["a"]);
    let (code, _) = world.refused("DeleteRepository", json!({"repositoryName": "web"}));
    assert_eq!(code, "RepositoryNotEmptyException");
    let gone = world.ask("DeleteRepository", json!({"repositoryName": "web", "force": true}));
    assert_eq!(gone["repository"]["repositoryName"], "web");
    assert_eq!(
        world.refused("ListImages", json!({"repositoryName": "web"})).0,
        "RepositoryNotFoundException"
    );
    // A new one of its name has none of its images.
    world.make("web");
    assert_eq!(world.list(json!({})), Vec::<Value>::new());
}
