//! A registry on loopback that serves one image of the local engine: what agents ask that pull as ECS does by default.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::docker::{Docker, encode};

const REPOSITORY: &str = "longshore-bench/web";
const TAG: &str = "1";
const MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";
const LAYER_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A registry that runs until it is dropped.
pub struct Registry {
    /// The image's name for those who pull it from here.
    pub image: String,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

/// What is served, by digest; the manifest is the first.
type Blobs = Arc<Vec<(String, &'static str, Bytes)>>;

impl Registry {
    /// Serves an image that the engine has.
    pub async fn start(image: &str) -> anyhow::Result<Self> {
        let mut docker = Docker::connect().await?;
        let archive = docker.bytes(&format!("/images/{}/get", encode(image))).await?;
        let blobs: Blobs = Arc::new(blobs_of(&archive)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let image = format!("{}/{REPOSITORY}:{TAG}", listener.local_addr()?);
        let asked = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(serve(listener, blobs, asked.clone()));
        Ok(Self { image, asked, serving })
    }

    /// How often somebody has asked for the manifest so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends it, and takes the name away from the engine.
    pub async fn end(self) -> anyhow::Result<()> {
        self.serving.abort();
        let path = format!("/images/{}", self.image);
        Docker::connect().await?.call("DELETE", &path, None).await.map(|_| ())
    }
}

async fn serve(listener: TcpListener, blobs: Blobs, asked: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (blobs, asked) = (blobs.clone(), asked.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &blobs, &asked);
                async move { answer }
            });
            // The engine tries TLS first, which ends such a connection.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    blobs: &Blobs,
    asked: &AtomicUsize,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let (_, name) = path.rsplit_once('/').unwrap_or_default();
    let found = if path == "/v2/" {
        None
    } else if path.contains("/manifests/") {
        asked.fetch_add(1, Ordering::Relaxed);
        blobs.first().filter(|(digest, ..)| name == TAG || name == digest)
    } else {
        blobs.iter().find(|(digest, ..)| name == digest)
    };
    let mut response = Response::new(Full::default());
    match found {
        None if path == "/v2/" => {}
        None => *response.status_mut() = StatusCode::NOT_FOUND,
        Some((digest, media_type, bytes)) => {
            let headers = [
                ("content-type", (*media_type).to_owned()),
                ("docker-content-digest", digest.clone()),
                ("content-length", bytes.len().to_string()),
            ];
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a plain value"));
            }
            if request.method() != Method::HEAD {
                *response.body_mut() = Full::new(bytes.clone());
            }
        }
    }
    Ok(response)
}

fn digest_of(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The manifest, the configuration and the layers of the image in an archive of `docker save`.
fn blobs_of(archive: &Bytes) -> anyhow::Result<Vec<(String, &'static str, Bytes)>> {
    let index = file_of(archive, "manifest.json").context("the archive has no manifest.json")?;
    let index: Value = serde_json::from_slice(&index).context("manifest.json is no JSON")?;
    let named = |value: &Value| {
        let name = value.as_str().context("manifest.json names files")?;
        file_of(archive, name).with_context(|| format!("the archive has no {name}"))
    };
    let entry = |media_type, bytes: &Bytes| {
        let described = json!({"mediaType": media_type, "size": bytes.len(), "digest": digest_of(bytes)});
        (described, (digest_of(bytes), media_type, bytes.clone()))
    };
    let (config, config_blob) = entry(CONFIG_TYPE, &named(&index[0]["Config"])?);
    let (mut layers, mut blobs) = (Vec::new(), vec![config_blob]);
    for layer in index[0]["Layers"].as_array().context("manifest.json lists layers")? {
        let (layer, blob) = entry(LAYER_TYPE, &named(layer)?);
        layers.push(layer);
        blobs.push(blob);
    }
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers});
    let manifest = Bytes::from(manifest.to_string());
    blobs.insert(0, (digest_of(&manifest), MANIFEST_TYPE, manifest));
    Ok(blobs)
}

/// A file of a tar archive: blocks of 512 bytes, a header with name and octal size before each file.
fn file_of(archive: &Bytes, wanted: &str) -> Option<Bytes> {
    const BLOCK: usize = 512;
    let mut at = 0;
    while let Some(header) = archive.get(at..at + BLOCK) {
        let text = |range: std::ops::Range<usize>| {
            let bytes = header[range].split(|byte| *byte == 0).next().unwrap_or_default();
            std::str::from_utf8(bytes).unwrap_or_default().trim()
        };
        let size = usize::from_str_radix(text(124..136), 8).unwrap_or(0);
        let begin = at + BLOCK;
        if text(0..100) == wanted {
            return archive.get(begin..begin + size).map(|found| archive.slice_ref(found));
        }
        at = begin + size.div_ceil(BLOCK) * BLOCK;
    }
    None
}
