//! Manifests: given as they were pushed, taken if what they need is there, and deleted.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use longshore_api::Body;
use longshore_images::manifest::{MANIFEST_BYTES_MAX, Manifest};
use longshore_images::{Algorithm, Digest, Tag};
use longshore_tables_blobs::Holder;
use longshore_tables_ecr::delete::{self, Deleted};
use longshore_tables_ecr::push::{self, Push, PushError};
use longshore_tables_ecr::tables::Contents;

use crate::address::Address;
use crate::answer::{Answer, CONTENT_DIGEST, OCI_SUBJECT};
use crate::refusal::{Code, Refusal};
use crate::registry::{Asked, Parts, Registry, no_repository};
use crate::route::Reference;

fn unknown() -> Refusal {
    Refusal::new(Code::ManifestUnknown, "Requested image not found")
}

fn resolve(contents: &Contents, reference: &Reference) -> Option<Digest> {
    match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(tag) => Some(contents.tag(tag)?.digest.clone()),
    }
}

impl Registry {
    pub(crate) async fn manifest(&self, asked: Asked, reference: Reference) -> Result<Answer, Refusal> {
        struct Wanted {
            holder: Holder,
            digest: Digest,
            media_type: Arc<str>,
            bytes: u64,
            is_news: bool,
        }
        let found = self.0.db.read(|state| {
            let found = self.0.enter(state, &asked, &["BatchGetImage"])?;
            let digest = resolve(found.contents, &reference).ok_or_else(unknown)?;
            let image = found.contents.image(&digest).ok_or_else(unknown)?;
            Ok::<_, Refusal>(Wanted {
                media_type: image.media_type.clone(),
                bytes: image.bytes,
                is_news: push::pull_is_news(found.contents, &digest, asked.now),
                holder: found.holder,
                digest,
            })
        });
        let Wanted { holder, digest, media_type, bytes, is_news } = found.await??;
        let answer = if asked.head.method == Method::HEAD {
            Answer::stream(StatusCode::OK, bytes, None).with(CONTENT_TYPE, &media_type)
        } else {
            let bytes = self.0.read_manifest(&digest).await?;
            if is_news {
                let noted = self.0.db.write(|tx| {
                    push::note_pull(tx, &holder, &digest);
                    Ok::<_, std::convert::Infallible>(())
                });
                let Ok(()) = noted.await?;
            }
            Answer::bytes(&media_type, bytes)
        };
        Ok(answer.with(CONTENT_DIGEST, &digest.to_string()))
    }

    pub(crate) async fn put_manifest(
        &self,
        asked: Asked,
        reference: Reference,
        body: Body,
    ) -> Result<Answer, Refusal> {
        let entered = self.0.db.read(|state| self.0.enter(state, &asked, &["PutImage"]).map(drop));
        entered.await??;
        let bytes = whole(body).await?;
        let (digest, tag) = match reference {
            Reference::Digest(digest) => {
                let actual = Digest::of(digest.algorithm(), &bytes);
                if actual != digest {
                    let text = format!("the manifest has the digest {actual}");
                    return Err(Refusal::new(Code::DigestInvalid, text));
                }
                (digest, None)
            }
            Reference::Tag(tag) => (Digest::of(Algorithm::Sha256, &bytes), Some(tag)),
        };
        let manifest = Manifest::parse(&bytes, asked.head.header(CONTENT_TYPE.as_str()))
            .map_err(|invalid| Refusal::new(Code::ManifestInvalid, invalid.to_string()))?;
        let location = asked.path(&format!("manifests/{digest}"));
        let answer = Answer::at(StatusCode::CREATED, &location).with(CONTENT_DIGEST, &digest.to_string());
        let answer = match &manifest.subject {
            Some(subject) => answer.with(OCI_SUBJECT, &subject.to_string()),
            None => answer,
        };
        // All of it, also when the client leaves meanwhile.
        let storing = store(self.0.clone(), asked.address, bytes, digest, manifest, tag);
        match tokio::spawn(storing).await {
            Ok(done) => done.map(|()| answer),
            Err(panicked) => Err(Refusal::fault(&panicked)),
        }
    }

    /// By tag, the tag alone; by digest, the image with all its tags. An index may lose an entry so, which OCI allows; ECR's
    /// own API refuses it.
    pub(crate) async fn delete_manifest(
        &self,
        asked: Asked,
        reference: Reference,
    ) -> Result<Answer, Refusal> {
        loop {
            let deleted = self.0.db.write(|tx| {
                let holder = self.0.enter(tx.state(), &asked, &["BatchDeleteImage"])?.holder;
                Ok::<_, Refusal>(match &reference {
                    Reference::Tag(tag) => match delete::untag(tx, &holder, tag) {
                        Some(_) => Deleted::All(vec![tag.clone()]),
                        None => Deleted::Nothing,
                    },
                    Reference::Digest(digest) => delete::delete(tx, &holder, digest),
                })
            });
            match deleted.await?? {
                Deleted::All(_) => return Ok(Answer::empty(StatusCode::ACCEPTED)),
                Deleted::Some(_) => {}
                Deleted::Nothing => return Err(unknown()),
            }
        }
    }
}

/// The bytes, then the records, with the digest held.
async fn store(
    parts: Arc<Parts>,
    address: Address,
    bytes: Bytes,
    digest: Digest,
    manifest: Manifest,
    tag: Option<Tag>,
) -> Result<(), Refusal> {
    let held = parts.locks.hold(&digest).await;
    parts.blobs.put(digest.clone(), bytes.clone()).await?;
    let pushed = parts.db.write(|tx| {
        let entry =
            Push { digest: &digest, bytes: bytes.len() as u64, manifest: &manifest, tag: tag.as_ref() };
        push::push(tx, &address.scope, &address.name, entry)
    });
    let pushed = pushed.await?;
    drop(held);
    pushed.map(drop).map_err(|error| refused(&address, error))
}

fn refused(address: &Address, error: PushError) -> Refusal {
    let text = error.to_string();
    match error {
        PushError::NoRepository => no_repository(address),
        PushError::BlobsMissing(digests) | PushError::ManifestsMissing(digests) => {
            Refusal::new(Code::ManifestBlobUnknown, text).about(&digests)
        }
        // ECR's words (registry I4).
        PushError::TagIsImmutable(tag) => {
            let text = format!(
                "The image tag '{tag}' already exists in the '{}' repository and cannot be overwritten because the \
                 repository is immutable.",
                address.name
            );
            Refusal::new(Code::TagInvalid, text)
        }
        PushError::TooManyImages | PushError::TooManyTags => Refusal::new(Code::Denied, text),
    }
}

/// A body that has to be in memory.
async fn whole(mut body: Body) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::new(Code::ManifestInvalid, "the body ended early"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if whole.len() + piece.len() > MANIFEST_BYTES_MAX {
            let text = format!("a manifest has at most {MANIFEST_BYTES_MAX} bytes");
            return Err(Refusal::new(Code::SizeInvalid, text));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

impl Parts {
    /// The bytes of a manifest that is recorded.
    pub async fn read_manifest(&self, digest: &Digest) -> Result<Bytes, Refusal> {
        let Some(opened) = self.blobs.open(digest, None).await? else {
            // Deleted while we looked; or damage, which `longshore check` tells.
            return Err(unknown());
        };
        let pieces: Vec<Bytes> = opened.pieces.try_collect().await?;
        Ok(match pieces.len() {
            1 => pieces.into_iter().next().unwrap_or_default(),
            _ => pieces.concat().into(),
        })
    }
}
