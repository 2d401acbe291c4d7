//! Uploads: whole, in pieces, out of order, broken off, mounted.

use http::Method;

use crate::support::{ACCOUNT, World, sha256};

fn content(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[tokio::test]
async fn a_blob_comes_in_one_piece() {
    let world = World::new().await;
    let (bytes, path) = (content(300_000), world.begin("web").await);
    let digest = sha256(&bytes);
    let done =
        world.ask(Method::PUT, &format!("{path}?digest={digest}")).body(bytes.clone()).send().await.is(201);
    assert_eq!(done.header("location"), format!("/v2/web/blobs/{digest}"));
    assert_eq!(done.header("docker-content-digest"), digest.to_string());
    assert_eq!(done.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(world.get(&format!("/v2/web/blobs/{digest}")).await.is(200).body, bytes);
    assert_eq!(world.get(&path).await.is(404).code(), "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_blob_comes_with_the_post() {
    let world = World::new().await;
    let digest = sha256(b"all of it");
    let path = format!("/v2/web/blobs/uploads/?digest={digest}");
    world.ask(Method::POST, &path).body("all of it").send().await.is(201);
    assert_eq!(world.get(&format!("/v2/web/blobs/{digest}")).await.is(200).body, "all of it");
    let wrong = world.ask(Method::POST, &path).body("something else").send().await.is(400);
    assert_eq!(wrong.code(), "DIGEST_INVALID");
}

#[tokio::test]
async fn a_blob_comes_in_pieces() {
    let world = World::new().await;
    let (bytes, path) = (content(700_000), world.begin("web").await);
    // Docker's: one stream without a range. Others': chunks with ranges.
    let first = world.ask(Method::PATCH, &path).body(bytes[..300_000].to_vec()).send().await.is(202);
    assert_eq!((first.header("range"), first.header("location")), ("0-299999", path.as_str()));
    assert!(path.ends_with(first.header("docker-upload-uuid")));
    let chunk = world.ask(Method::PATCH, &path).with("content-range", "300000-599999");
    chunk.body(bytes[300_000..600_000].to_vec()).send().await.is(202);
    let there = world.get(&path).await.is(204);
    assert_eq!((there.header("range"), there.header("location")), ("0-599999", path.as_str()));
    let digest = sha256(&bytes);
    let last =
        world.ask(Method::PUT, &format!("{path}?digest={digest}")).with("content-range", "600000-699999");
    last.body(bytes[600_000..].to_vec()).send().await.is(201);
    assert_eq!(world.get(&format!("/v2/web/blobs/{digest}")).await.is(200).body, bytes);
}

/// What is out of order is refused, leaves the upload as it was, and says where to go on.
#[tokio::test]
async fn pieces_out_of_order_are_refused() {
    let world = World::new().await;
    let path = world.begin("web").await;
    world.ask(Method::PATCH, &path).with("content-range", "0-3").body("0123").send().await.is(202);
    for (method, range, length) in [
        (Method::PATCH, "0-3", None),
        (Method::PATCH, "5-8", None),
        (Method::PATCH, "4-7", Some("3")),
        (Method::PATCH, "x", None),
        (Method::PUT, "8-11", None),
    ] {
        let digest = sha256(b"01234567");
        let mut asking = world.ask(method, &format!("{path}?digest={digest}")).with("content-range", range);
        if let Some(length) = length {
            asking = asking.with("content-length", length);
        }
        let refused = asking.body("4567").send().await.is(416);
        assert_eq!((refused.header("range"), refused.header("location")), ("0-3", path.as_str()), "{range}");
    }
    let digest = sha256(b"01234567");
    let last = world.ask(Method::PUT, &format!("{path}?digest={digest}")).with("content-range", "4-7");
    last.body("4567").send().await.is(201);
}

#[tokio::test]
async fn a_client_goes_on_where_it_broke_off_also_after_a_restart() {
    let world = World::new().await;
    let path = world.begin("web").await;
    let broken = world.ask(Method::PATCH, &path).broken_body(b"0123").send().await.is(400);
    assert_eq!(broken.code(), "BLOB_UPLOAD_INVALID");
    assert_eq!(world.get(&path).await.is(204).header("range"), "0-3");
    let world = world.restarted();
    world.ask(Method::PATCH, &path).with("content-range", "4-7").body("4567").send().await.is(202);
    let digest = sha256(b"01234567");
    world.ask(Method::PUT, &format!("{path}?digest={digest}")).send().await.is(201);
}

#[tokio::test]
async fn what_is_wrong_ends_the_upload() {
    let world = World::new().await;
    let path = world.begin("web").await;
    assert_eq!(world.ask(Method::PUT, &path).body("x").send().await.is(400).code(), "DIGEST_INVALID");
    let odd = world.ask(Method::PUT, &format!("{path}?digest=sha1:00")).body("x").send().await.is(400);
    assert_eq!(odd.code(), "DIGEST_INVALID");
    let other = format!("{path}?digest={}", sha256(b"other"));
    assert_eq!(world.ask(Method::PUT, &other).body("x").send().await.is(400).code(), "DIGEST_INVALID");
    assert_eq!(world.get(&path).await.is(404).code(), "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(
        world.get(&format!("/v2/web/blobs/{}", sha256(b"other"))).await.is(404).code(),
        "BLOB_UNKNOWN"
    );
}

#[tokio::test]
async fn an_upload_can_be_cancelled_and_is_of_one_repository() {
    let world = World::new().await;
    let path = world.begin("web").await;
    let elsewhere = path.replace("/web/", "/other/");
    assert_eq!(world.get(&elsewhere).await.is(404).code(), "BLOB_UPLOAD_UNKNOWN");
    world.ask(Method::PATCH, &path).body("x").send().await.is(202);
    world.delete(&path).await.is(204);
    assert_eq!(world.delete(&path).await.is(404).code(), "BLOB_UPLOAD_UNKNOWN");
    let nowhere = world.ask(Method::POST, "/v2/nowhere/blobs/uploads/").send().await.is(404);
    assert_eq!(nowhere.code(), "NAME_UNKNOWN");
}

#[tokio::test]
async fn blobs_are_mounted_from_where_one_may_read() {
    let world = World::new().await;
    let digest = world.push("web", b"layer").await;
    let mount = |from: &str| format!("/v2/other/blobs/uploads/?mount={digest}{from}");
    // What cannot be mounted is pushed.
    for from in ["&from=nowhere", "&from=..", "&from=444455556666.dkr.ecr.eu-west-1.amazonaws.com/web"] {
        let begun = world.ask(Method::POST, &mount(from)).send().await.is(202);
        assert!(begun.header("location").starts_with("/v2/other/blobs/uploads/"), "{from}");
    }
    let missing = format!("/v2/other/blobs/uploads/?mount={}&from=web", sha256(b"missing"));
    world.ask(Method::POST, &missing).send().await.is(202);
    assert_eq!(world.head(&format!("/v2/other/blobs/{digest}")).await.status.as_u16(), 404);
    let mounted = world.ask(Method::POST, &mount("&from=web")).send().await.is(201);
    assert_eq!(mounted.header("location"), format!("/v2/other/blobs/{digest}"));
    world.head(&format!("/v2/other/blobs/{digest}")).await.is(200);

    world.delete(&format!("/v2/other/blobs/{digest}")).await.is(202);
    world.ask(Method::POST, &mount("")).send().await.is(201);
    // Not from another account, wherever the client looks.
    let theirs = world.ask(Method::POST, &format!("/v2/web/blobs/uploads/?mount={digest}"));
    theirs.with("authorization", "444455556666").send().await.is(202);
}

#[tokio::test]
async fn the_same_blob_may_be_pushed_at_once() {
    let world = World::new().await;
    let bytes = content(400_000);
    let pushes = (0..8).map(|n| world.push(if n % 2 == 0 { "web" } else { "other" }, &bytes));
    for digest in futures_util::future::join_all(pushes).await {
        for repository in ["web", "other"] {
            world.head(&format!("/v2/{repository}/blobs/{digest}")).await.is(200);
        }
    }
}

/// The registry of another account, by the host and by the path; `Location` is spelled as the request.
#[tokio::test]
async fn a_registry_is_named_by_host_or_path() {
    let world = World::new().await;
    let theirs = "444455556666.dkr.ecr.eu-west-1.amazonaws.com";
    let begun = world.ask(Method::POST, &format!("/v2/{theirs}/web/blobs/uploads/")).send().await.is(202);
    let path = begun.header("location").to_owned();
    assert!(path.starts_with(&format!("/v2/{theirs}/web/blobs/uploads/")));
    let digest = sha256(b"theirs");
    world.ask(Method::PUT, &format!("{path}?digest={digest}")).body("theirs").send().await.is(201);
    let path = format!("/v2/web/blobs/{digest}");
    assert_eq!(world.head(&path).await.status.as_u16(), 404, "it is not in the caller's own");
    world.ask(Method::HEAD, &path).with("host", theirs).send().await.is(200);
    world.ask(Method::HEAD, &path).with("authorization", "444455556666").send().await.is(200);
    assert_ne!(ACCOUNT, "444455556666");
}
