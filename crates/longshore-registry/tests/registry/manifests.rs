//! Manifests: what they need, tags, referrers, deletion.

use http::Method;
use longshore_images::manifest::{OCI_INDEX, OCI_MANIFEST};
use longshore_images::mutability::TagMutability;
use longshore_images::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, sha256};

fn part(digest: &Digest) -> Value {
    json!({"mediaType": "application/x.layer", "digest": digest, "size": 5})
}

fn image(layers: &[&Digest]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|digest| part(digest)).collect();
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers})
}

fn digest_of(manifest: &Value) -> Digest {
    sha256(manifest.to_string().as_bytes())
}

#[tokio::test]
async fn a_manifest_is_given_as_it_was_pushed() {
    let world = World::new().await;
    let layer = world.push("web", b"layer").await;
    // Not as anybody would write it again.
    let text = format!("{{ \"layers\":[{}],\n\"mediaType\":\"{OCI_MANIFEST}\" }}\n", part(&layer));
    let digest = sha256(text.as_bytes());
    for reference in ["v1".to_owned(), digest.to_string()] {
        let path = format!("/v2/web/manifests/{reference}");
        let put = world.ask(Method::PUT, &path).with("content-type", OCI_MANIFEST).body(text.clone());
        let put = put.send().await.is(201);
        assert_eq!(put.header("location"), format!("/v2/web/manifests/{digest}"));
        assert_eq!(put.header("docker-content-digest"), digest.to_string());
        let (head, get) = (world.head(&path).await.is(200), world.get(&path).await.is(200));
        assert_eq!((head.body.len(), &get.body[..]), (0, text.as_bytes()));
        for name in ["content-length", "content-type", "docker-content-digest"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
        assert_eq!(
            (get.header("content-type"), get.header("content-length")),
            (OCI_MANIFEST, &*text.len().to_string())
        );
    }
    let path = format!("/v2/other/manifests/{digest}");
    assert_eq!(world.get(&path).await.is(404).code(), "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_manifest_may_have_the_long_digest() {
    let world = World::new().await;
    let text = image(&[]).to_string();
    let digest = Digest::of(Algorithm::Sha512, text.as_bytes());
    let path = format!("/v2/web/manifests/{digest}");
    world.ask(Method::PUT, &path).with("content-type", OCI_MANIFEST).body(text.clone()).send().await.is(201);
    assert_eq!(world.get(&path).await.is(200).body, text);
    world.put("web", &digest.to_string(), &image(&[&digest])).await.is(400);
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let world = World::new().await;
    let layer = sha256(b"layer");
    let missing = world.put("web", "v1", &image(&[&layer])).await.is(400);
    assert_eq!(missing.code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(missing.json()["errors"][0]["detail"], json!([{"digest": layer}]));
    let index = json!({"mediaType": OCI_INDEX, "manifests": [{"mediaType": OCI_MANIFEST, "digest": layer, "size": 1}]});
    assert_eq!(world.put("web", "v1", &index).await.is(400).code(), "MANIFEST_BLOB_UNKNOWN");
    let other = sha256(b"other").to_string();
    assert_eq!(world.put("web", &other, &image(&[])).await.is(400).code(), "DIGEST_INVALID");
    assert_eq!(world.put("web", ".v1", &image(&[])).await.is(400).code(), "MANIFEST_INVALID");
    assert_eq!(world.put("nowhere", "v1", &image(&[])).await.is(404).code(), "NAME_UNKNOWN");
    let path = "/v2/web/manifests/v1";
    for (content_type, body) in [(OCI_INDEX, image(&[]).to_string()), (OCI_MANIFEST, "{".to_owned())] {
        let put = world.ask(Method::PUT, path).with("content-type", content_type).body(body);
        assert_eq!(put.send().await.is(400).code(), "MANIFEST_INVALID");
    }
    let long = world.ask(Method::PUT, path).body(vec![b' '; 4 * 1024 * 1024 + 1]).send().await.is(413);
    assert_eq!(long.code(), "SIZE_INVALID");
    assert_eq!(world.get(path).await.is(404).code(), "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn tags_are_listed_in_pages() {
    let world = World::new().await;
    assert_eq!(world.get("/v2/web/tags/list").await.is(200).json(), json!({"name": "web", "tags": []}));
    for tag in ["b", "a", "B", "a.1"] {
        world.put("web", tag, &image(&[])).await.is(201);
    }
    let all = world.get("/v2/web/tags/list").await.is(200);
    assert_eq!((&all.json()["tags"], all.header("link")), (&json!(["B", "a", "a.1", "b"]), ""));
    let first = world.get("/v2/web/tags/list?n=2").await.is(200);
    assert_eq!(first.json()["tags"], json!(["B", "a"]));
    assert_eq!(first.header("link"), "</v2/web/tags/list?n=2&last=a>; rel=\"next\"");
    let second = world.get("/v2/web/tags/list?n=2&last=a").await.is(200);
    assert_eq!((&second.json()["tags"], second.header("link")), (&json!(["a.1", "b"]), ""));
    assert_eq!(world.get("/v2/web/tags/list?n=0").await.is(200).json()["tags"], json!([]));
    assert_eq!(world.get("/v2/nowhere/tags/list").await.is(404).code(), "NAME_UNKNOWN");
    assert_eq!(world.get("/v2/_catalog").await.is(200).json(), json!({"repositories": ["other", "web"]}));
    let first = world.get("/v2/_catalog?n=1").await.is(200);
    assert_eq!(first.header("link"), "</v2/_catalog?n=1&last=other>; rel=\"next\"");
}

#[tokio::test]
async fn tags_that_may_not_move_stay() {
    let world = World::new().await;
    let fixed = TagMutability::with_exclusions(false, &["latest*"]).expect("a filter");
    world.make(ACCOUNT, "fixed", fixed).await;
    let (one, two) =
        (image(&[]), json!({"mediaType": OCI_MANIFEST, "layers": [], "annotations": {"n": "2"}}));
    for tag in ["v1", "latest"] {
        world.put("fixed", tag, &one).await.is(201);
    }
    world.put("fixed", "v1", &one).await.is(201);
    let refused = world.put("fixed", "v1", &two).await.is(400);
    let text = "The image tag 'v1' already exists in the 'fixed' repository and cannot be overwritten because the \
                repository is immutable.";
    assert_eq!(
        (refused.code().as_str(), &refused.json()["errors"][0]["message"]),
        ("TAG_INVALID", &json!(text))
    );
    world.put("fixed", "latest", &two).await.is(201);
}

#[tokio::test]
async fn deletion_is_of_a_tag_or_of_an_image() {
    let world = World::new().await;
    let one = image(&[]);
    let path = |reference: &str| format!("/v2/web/manifests/{reference}");
    for tag in ["a", "b"] {
        world.put("web", tag, &one).await.is(201);
    }
    world.delete(&path("a")).await.is(202);
    assert_eq!(world.delete(&path("a")).await.is(404).code(), "MANIFEST_UNKNOWN");
    world.get(&path("b")).await.is(200);
    let digest = digest_of(&one).to_string();
    world.delete(&path(&digest)).await.is(202);
    for reference in ["b", &digest] {
        assert_eq!(world.get(&path(reference)).await.is(404).code(), "MANIFEST_UNKNOWN");
    }
}

#[tokio::test]
async fn referrers_are_an_index() {
    let world = World::new().await;
    let subject = digest_of(&image(&[]));
    let path = format!("/v2/web/referrers/{subject}");
    let none = world.get(&path).await.is(200);
    assert_eq!(none.json(), json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}));
    assert_eq!(none.header("content-type"), OCI_INDEX);
    let config = world.push("web", b"{}").await;
    let about = json!({"mediaType": OCI_MANIFEST, "digest": subject, "size": 1});
    let signature = json!({"mediaType": OCI_MANIFEST, "artifactType": "x/signature", "layers": [], "subject": about,
                           "annotations": {"by": "somebody"}});
    let list = json!({"mediaType": OCI_MANIFEST, "layers": [], "subject": about,
                      "config": {"mediaType": "x/list", "digest": config, "size": 2}});
    for manifest in [&signature, &list] {
        let put = world.put("web", &digest_of(manifest).to_string(), manifest).await.is(201);
        assert_eq!(put.header("oci-subject"), subject.to_string());
    }
    let mut all = world.get(&path).await.is(200).json()["manifests"].as_array().expect("a list").clone();
    all.sort_by_key(|entry| entry["artifactType"].to_string());
    let entry = |manifest: &Value, kind: &str| {
        json!({"mediaType": OCI_MANIFEST, "digest": digest_of(manifest), "size": manifest.to_string().len(),
               "artifactType": kind})
    };
    let mut signed = entry(&signature, "x/signature");
    signed["annotations"] = json!({"by": "somebody"});
    assert_eq!(all, [entry(&list, "x/list"), signed.clone()]);
    let filtered = world.get(&format!("{path}?artifactType=x%2Fsignature")).await.is(200);
    assert_eq!(filtered.json()["manifests"], json!([signed]));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(world.get("/v2/web/referrers/x").await.is(400).code(), "DIGEST_INVALID");
}
