//! The collector among pushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use longshore_images::manifest::OCI_MANIFEST;
use longshore_images::mutability::TagMutability;
use longshore_registry::Collected;
use longshore_tables_blobs::BlobsState;
use serde_json::json;

use crate::support::{ACCOUNT, World, sha256};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn what_nobody_needs_goes() {
    let world = World::new().await;
    let kept = world.push("web", b"kept").await;
    let lost = world.push("web", b"lost").await;
    world.ask(Method::POST, &format!("/v2/other/blobs/uploads/?mount={lost}&from=web")).send().await.is(201);
    let path = world.begin("web").await;
    world.ask(Method::PATCH, &path).body("half").send().await.is(202);
    let manifest = json!({"mediaType": OCI_MANIFEST, "layers": [{"digest": kept, "size": 4}]});
    world.put("web", "v1", &manifest).await.is(201);
    // A manifest whose layers were missing: its bytes were stored for nothing.
    let refused = json!({"mediaType": OCI_MANIFEST, "layers": [{"digest": sha256(b"none"), "size": 4}]});
    world.put("web", "v2", &refused).await.is(400);

    let stray = Collected { stray_files: 1, ..Collected::default() };
    assert_eq!(world.collector.pass().await.expect("it runs"), stray);
    assert_eq!(world.collector.pass().await.expect("it runs"), Collected::default());
    world.wait(DAY);
    let gone = Collected { links: 2, uploads: 1, blobs: 1, stray_files: 0 };
    assert_eq!(world.collector.pass().await.expect("it runs"), gone);
    assert_eq!(world.get(&path).await.is(404).code(), "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(world.get(&format!("/v2/web/blobs/{lost}")).await.is(404).code(), "BLOB_UNKNOWN");
    world.get("/v2/web/manifests/v1").await.is(200);
    world.get(&format!("/v2/web/blobs/{kept}")).await.is(200);

    world.delete(&format!("/v2/web/manifests/{}", sha256(manifest.to_string().as_bytes()))).await.is(202);
    let gone = Collected { links: 2, blobs: 2, ..Collected::default() };
    assert_eq!(world.collector.pass().await.expect("it runs"), gone);
    assert_eq!(world.db.peek(|state| state.blobs().usage()), (0, 0));
}

/// Docker asks, is told that the layer is there, and pushes its manifest within the hour.
#[tokio::test]
async fn who_was_told_may_rely_on_it() {
    let world = World::new().await;
    let layer = world.push("web", b"layer").await;
    world.wait(DAY);
    world.head(&format!("/v2/web/blobs/{layer}")).await.is(200);
    world.wait(Duration::from_secs(3599));
    assert_eq!(world.collector.pass().await.expect("it runs"), Collected::default());
    let manifest = json!({"mediaType": OCI_MANIFEST, "layers": [{"digest": layer, "size": 5}]});
    world.put("web", "v1", &manifest).await.is(201);
}

/// Pushers of the same content into repositories of their own, which take it away again, and the collector: what was
/// answered with 201 is there until its own pusher deletes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_and_the_collector_do_not_meet() {
    const PUSHERS: usize = 4;
    let world = Arc::new(World::new().await);
    for pusher in 0..PUSHERS {
        world.make(ACCOUNT, &format!("p{pusher}"), TagMutability::default()).await;
    }
    let ended = Arc::new(AtomicBool::new(false));
    let collecting = tokio::spawn({
        let (world, ended) = (world.clone(), ended.clone());
        async move {
            let mut blobs = 0;
            while !ended.load(Ordering::SeqCst) {
                blobs += world.collector.pass().await.expect("it runs").blobs;
            }
            blobs
        }
    });
    let pushers = (0..PUSHERS).map(|pusher| {
        let world = world.clone();
        tokio::spawn(async move {
            let repository = format!("p{pusher}");
            for round in 0..25_u8 {
                // Few contents, so that all push and delete the same ones.
                let content = [round % 2];
                let layer = world.push(&repository, &content).await;
                let manifest = json!({"mediaType": OCI_MANIFEST, "layers": [{"digest": layer, "size": 1}]});
                let digest = sha256(manifest.to_string().as_bytes());
                let (image, blob) = (
                    format!("/v2/{repository}/manifests/{digest}"),
                    format!("/v2/{repository}/blobs/{layer}"),
                );
                world.put(&repository, &digest.to_string(), &manifest).await.is(201);
                assert_eq!(world.get(&image).await.is(200).body, manifest.to_string());
                assert_eq!(world.get(&blob).await.is(200).body, content[..]);
                world.delete(&image).await.is(202);
                world.delete(&blob).await.is(202);
                world.delete(&format!("/v2/{repository}/blobs/{digest}")).await.is(202);
            }
        })
    });
    for pusher in pushers.collect::<Vec<_>>() {
        pusher.await.expect("it ends well");
    }
    ended.store(true, Ordering::SeqCst);
    println!("{} blobs were collected meanwhile", collecting.await.expect("it ends well"));
    world.collector.pass().await.expect("it runs");
    assert_eq!(world.db.peek(|state| state.blobs().usage()), (0, 0));
}
