//! Blobs that are there: length, ranges, deletion, and who sees them.

use std::sync::Arc;

use http::Method;
use longshore_service::{Attempt, Guard, not_authorized};
use longshore_wire::Denied;
use serde_json::json;

use crate::support::{World, sha256};

#[tokio::test]
async fn head_says_what_get_gives() {
    let world = World::new().await;
    let digest = world.push("web", b"0123456789").await;
    let path = format!("/v2/web/blobs/{digest}");
    let (head, get) = (world.head(&path).await.is(200), world.get(&path).await.is(200));
    assert_eq!((head.body.len(), &get.body[..]), (0, &b"0123456789"[..]));
    for name in ["content-length", "content-type", "docker-content-digest", "accept-ranges"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert_eq!(get.header("content-length"), "10");
    let missing = world.head(&format!("/v2/web/blobs/{}", sha256(b"missing"))).await.is(404);
    assert!(missing.body.is_empty() && missing.header("content-length") != "0");
}

#[tokio::test]
async fn ranges() {
    let world = World::new().await;
    let digest = world.push("web", b"0123456789").await;
    let path = format!("/v2/web/blobs/{digest}");
    for (range, body, told) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
        ("bytes=-100", "0123456789", "bytes 0-9/10"),
    ] {
        let part = world.ask(Method::GET, &path).with("range", range).send().await.is(206);
        assert_eq!((&part.body[..], part.header("content-range")), (body.as_bytes(), told), "{range}");
        assert_eq!(part.header("content-length"), body.len().to_string());
    }
    let beyond = world.ask(Method::GET, &path).with("range", "bytes=10-").send().await.is(416);
    assert_eq!((beyond.code().as_str(), beyond.header("content-range")), ("RANGE_INVALID", "bytes */10"));
    world.ask(Method::GET, &path).with("range", "lines=1-2").send().await.is(200);
}

#[tokio::test]
async fn blobs_are_seen_where_they_were_pushed() {
    let world = World::new().await;
    let digest = world.push("web", b"layer").await;
    assert_eq!(world.get(&format!("/v2/other/blobs/{digest}")).await.is(404).code(), "BLOB_UNKNOWN");
    let theirs =
        world.ask(Method::GET, &format!("/v2/web/blobs/{digest}")).with("authorization", "444455556666");
    assert_eq!(theirs.send().await.is(404).code(), "BLOB_UNKNOWN");
    assert_eq!(world.get(&format!("/v2/nowhere/blobs/{digest}")).await.is(404).code(), "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_blob_is_deleted_unless_it_is_needed() {
    let world = World::new().await;
    let digest = world.push("web", b"layer").await;
    let path = format!("/v2/web/blobs/{digest}");
    let manifest = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "layers": [{"mediaType": "x/y", "digest": digest, "size": 5}],
    });
    world.put("web", "1", &manifest).await.is(201);
    assert_eq!(world.delete(&path).await.is(405).code(), "UNSUPPORTED");
    let digest = sha256(manifest.to_string().as_bytes());
    world.delete(&format!("/v2/web/manifests/{digest}")).await.is(202);
    world.delete(&path).await.is(202);
    assert_eq!(world.delete(&path).await.is(404).code(), "BLOB_UNKNOWN");
    world.head(&path).await.is(404);
}

/// Denies one action, in the words of policies.
struct Without(&'static str);

impl Guard for Without {
    fn allow(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        let resources = attempt.resources();
        match resources.iter().find(|access| access.action == self.0) {
            Some(access) => Err(not_authorized(attempt.caller, access, "")),
            None => Ok(()),
        }
    }
}

#[tokio::test]
async fn each_request_is_asked_about() {
    let digest = sha256(b"layer");
    let id = "0f9d8c7b-1111-4222-8333-444455556666";
    for (method, path, action) in [
        (Method::HEAD, format!("blobs/{digest}"), "ecr:BatchCheckLayerAvailability"),
        (Method::GET, format!("blobs/{digest}"), "ecr:GetDownloadUrlForLayer"),
        (Method::DELETE, format!("blobs/{digest}"), "ecr:BatchDeleteImage"),
        (Method::POST, "blobs/uploads/".to_owned(), "ecr:InitiateLayerUpload"),
        (Method::POST, format!("blobs/uploads/?mount={digest}"), "ecr:InitiateLayerUpload"),
        (Method::POST, format!("blobs/uploads/?digest={digest}"), "ecr:CompleteLayerUpload"),
        (Method::PATCH, format!("blobs/uploads/{id}"), "ecr:UploadLayerPart"),
        (Method::PUT, format!("blobs/uploads/{id}?digest={digest}"), "ecr:CompleteLayerUpload"),
        (Method::GET, "manifests/1".to_owned(), "ecr:BatchGetImage"),
        (Method::HEAD, "manifests/1".to_owned(), "ecr:BatchGetImage"),
        (Method::PUT, "manifests/1".to_owned(), "ecr:PutImage"),
        (Method::DELETE, "manifests/1".to_owned(), "ecr:BatchDeleteImage"),
        (Method::GET, "tags/list".to_owned(), "ecr:ListImages"),
        (Method::GET, format!("referrers/{digest}"), "ecr:BatchGetImage"),
    ] {
        let world = World::guarded(Arc::new(Without(action))).await;
        // A repository that is not there is denied in the same words.
        for repository in ["web", "nowhere"] {
            let path = format!("/v2/{repository}/{path}");
            let denied = world.ask(method.clone(), &path).send().await.is(403);
            if method == Method::HEAD {
                continue;
            }
            let error = &denied.json()["errors"][0];
            let wanted = format!(
                "User: arn:aws:iam::111122223333:root is not authorized to perform: {action} on resource: \
                 arn:aws:ecr:eu-west-1:111122223333:repository/{repository}"
            );
            assert_eq!(
                (&error["code"], &error["message"]),
                (&json!("DENIED"), &json!(wanted)),
                "{method} {path}"
            );
        }
    }
}

/// A mount does not read what the caller may not.
#[tokio::test]
async fn a_mount_asks_about_its_source() {
    let world = World::guarded(Arc::new(Without("ecr:GetDownloadUrlForLayer"))).await;
    let digest = world.push("web", b"layer").await;
    for from in ["&from=web", ""] {
        let path = format!("/v2/other/blobs/uploads/?mount={digest}{from}");
        world.ask(Method::POST, &path).send().await.is(202);
    }
}

#[tokio::test]
async fn strangers_are_challenged_and_methods_are_told() {
    let world = World::new().await;
    world.get("/v2/").await.is(200);
    let stranger = world.stranger("/v2/").await.is(401);
    assert_eq!(
        (stranger.code().as_str(), stranger.header("www-authenticate")),
        ("UNAUTHORIZED", "Basic realm=\"x\"")
    );
    world.stranger("/v2/web/tags/list").await.is(401);
    let method = world.ask(Method::POST, "/v2/web/tags/list").send().await.is(405);
    assert_eq!((method.code().as_str(), method.header("allow")), ("UNSUPPORTED", "GET"));
    assert_eq!(world.get("/v2/web/nothing").await.is(404).code(), "NOT_FOUND");
    assert_eq!(world.get("/v2/Web/tags/list").await.is(400).code(), "NAME_INVALID");
}
