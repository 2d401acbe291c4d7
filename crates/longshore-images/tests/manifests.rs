//! What is read of manifests.

use longshore_images::manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, Invalid, Manifest, Need, OCI_INDEX, OCI_MANIFEST, REFERENCES_MAX,
};
use longshore_images::{Algorithm, Digest};
use proptest::prelude::*;
use serde_json::{Value, json};

fn digest(of: &str) -> Digest {
    Digest::of(Algorithm::Sha256, of.as_bytes())
}

fn part(media_type: &str, of: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(of).to_string(), "size": 10})
}

fn read(document: &Value, content_type: Option<&str>) -> Result<Manifest, Invalid> {
    Manifest::parse(document.to_string().as_bytes(), content_type)
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": part("application/vnd.oci.image.config.v1+json", "config"),
        "layers": [part("application/vnd.oci.image.layer.v1.tar+gzip", "one"),
                   part("application/vnd.oci.image.layer.nondistributable.v1.tar", "two"),
                   part("application/vnd.oci.image.layer.v1.tar+gzip", "one")],
        "subject": part(OCI_MANIFEST, "subject"),
        "annotations": {"a": "b"},
        "custom": {"any": ["thing"]},
    })
}

#[test]
fn an_image_needs_its_config_and_layers() {
    let manifest =
        read(&image(), Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")).expect("it is one");
    let needs: Vec<(Digest, Need)> =
        manifest.references.iter().map(|of| (of.digest.clone(), of.need)).collect();
    let wanted = [("config", Need::Blob), ("one", Need::Blob), ("two", Need::Nothing)];
    assert_eq!(needs, wanted.map(|(of, need)| (digest(of), need)));
    assert_eq!(manifest.media_type, OCI_MANIFEST);
    assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.oci.image.config.v1+json"));
    assert_eq!(manifest.subject, Some(digest("subject")));
    assert_eq!(manifest.annotations["a"], "b");
    assert_eq!(manifest.content_bytes, 40);
}

#[test]
fn an_index_needs_its_entries() {
    let document = json!({
        "schemaVersion": 2,
        "manifests": [part(OCI_MANIFEST, "one"), part(DOCKER_LIST, "two"),
                      part("application/vnd.oci.image.layer.v1.tar+gzip", "layer"), part("x/y", "odd")],
        "artifactType": "x/own",
    });
    let manifest = read(&document, None).expect("it is one");
    let needs: Vec<Need> = manifest.references.iter().map(|of| of.need).collect();
    assert_eq!(needs, [Need::Manifest, Need::Manifest, Need::Either, Need::Either]);
    assert_eq!((manifest.media_type.as_str(), manifest.artifact_type.as_deref()), (OCI_INDEX, Some("x/own")));
    assert_eq!(manifest.content_bytes, 0);
}

/// Distribution-spec: the artifact type of a referrer is its own, else its config's, and of an index only its own.
#[test]
fn artifact_types() {
    let mut document = image();
    document["artifactType"] = "x/own".into();
    assert_eq!(read(&document, None).expect("it is one").artifact_type.as_deref(), Some("x/own"));
    let index = json!({"mediaType": OCI_INDEX, "manifests": []});
    assert_eq!(read(&index, None).expect("it is one").artifact_type, None);
}

#[test]
fn types_inside_and_outside_are_the_same() {
    let differs = read(&image(), Some(DOCKER_MANIFEST)).expect_err("it says something else");
    assert!(matches!(differs, Invalid::TypesDiffer { .. }), "{differs}");
    let mut document = image();
    document.as_object_mut().expect("an object").remove("mediaType");
    assert_eq!(read(&document, Some("x/y")).expect("any type").media_type, "x/y");
    assert_eq!(read(&document, None).expect("its members tell").media_type, OCI_MANIFEST);
    assert_eq!(read(&json!({}), None), Err(Invalid::NoType));
    assert_eq!(read(&json!({}), Some("x/y")).expect("any JSON object of a type").references, []);
}

#[test]
fn what_is_no_manifest_is_refused() {
    for bad in ["", "[", "[]", "1", "\"x\"", r#"{"layers": 1}"#, r#"{"config": {"digest": "sha256:00"}}"#] {
        let error = Manifest::parse(bad.as_bytes(), Some(OCI_MANIFEST)).expect_err(bad);
        assert!(matches!(error, Invalid::Malformed(_)), "{bad}: {error}");
    }
    for old in [
        json!({"schemaVersion": 1}),
        json!({"mediaType": "application/vnd.docker.distribution.manifest.v1+json"}),
    ] {
        assert_eq!(read(&old, old["mediaType"].as_str().or(Some("x/y"))), Err(Invalid::SchemaOne));
    }
    let long = vec![b' '; 4 * 1024 * 1024 + 1];
    assert_eq!(Manifest::parse(&long, None), Err(Invalid::TooLong));
    let layers: Vec<Value> = (0..=REFERENCES_MAX).map(|n| part("x/y", &n.to_string())).collect();
    assert_eq!(read(&json!({"mediaType": "x/y", "layers": layers}), None), Err(Invalid::TooManyReferences));
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes: Vec<u8>, content_type in proptest::option::of(".{0,20}")) {
        let _ = Manifest::parse(&bytes, content_type.as_deref());
    }
}
