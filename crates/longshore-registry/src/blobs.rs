//! Blobs that are there.

use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, RANGE};
use longshore_images::Digest;
use longshore_tables_blobs::hold;
use longshore_tables_ecr::delete::{self, BlobStays};

use crate::answer::{Answer, CONTENT_DIGEST};
use crate::range::{self, Asked as Range};
use crate::refusal::{Code, Refusal};
use crate::registry::{Asked, Registry};

fn unknown() -> Refusal {
    Refusal::new(Code::BlobUnknown, "the blob is not known to this repository")
}

impl Registry {
    /// Whoever asks will leave out a push if it is there, so that he may rely on the answer for a while. That is noted
    /// by the one who writes; it costs no commit.
    pub(crate) async fn head_blob(&self, asked: Asked, digest: Digest) -> Result<Answer, Refusal> {
        let told = self.0.db.write(|tx| {
            let found = self.0.enter(tx.state(), &asked, &["BatchCheckLayerAvailability"])?;
            let holder = found.holder;
            hold::tell(tx, &holder, &digest).ok_or_else(unknown)
        });
        let bytes = told.await??;
        Ok(Answer::stream(StatusCode::OK, bytes, None)
            .with(CONTENT_DIGEST, &digest.to_string())
            .with(ACCEPT_RANGES, "bytes"))
    }

    pub(crate) async fn blob(&self, asked: Asked, digest: Digest) -> Result<Answer, Refusal> {
        let found = self.0.db.read(|state| {
            let found = self.0.enter(state, &asked, &["GetDownloadUrlForLayer"])?;
            hold::find(state, &found.holder, &digest).ok_or_else(unknown)
        });
        let bytes = found.await??;
        let (status, part) = match range::asked(asked.head.header(RANGE.as_str()), bytes) {
            Range::All => (StatusCode::OK, 0..bytes),
            Range::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Range::Unsatisfiable => {
                let refusal = Refusal::new(Code::RangeInvalid, format!("the blob has {bytes} bytes"));
                return Err(refusal.with(CONTENT_RANGE, &format!("bytes */{bytes}")));
            }
        };
        let opened = self.0.blobs.open(&digest, Some(part.clone())).await?;
        let Some(opened) = opened.filter(|opened| opened.blob_bytes == bytes) else {
            // Deleted while we looked, or damaged.
            let is_there = self.0.db.read(|state| {
                let found = self.0.enter(state, &asked, &[])?;
                hold::find(state, &found.holder, &digest).ok_or_else(unknown)
            });
            is_there.await??;
            tracing::error!(%digest, "a blob is recorded, and its file is missing or damaged");
            return Err(Refusal::new(Code::Unknown, "the blob's file is missing or damaged; push it again"));
        };
        let length = part.end - part.start;
        let answer = Answer::stream(status, length, Some(opened.pieces))
            .with(CONTENT_DIGEST, &digest.to_string())
            .with(ACCEPT_RANGES, "bytes");
        Ok(match status {
            StatusCode::PARTIAL_CONTENT => {
                answer.with(CONTENT_RANGE, &format!("bytes {}-{}/{bytes}", part.start, part.end - 1))
            }
            _ => answer,
        })
    }

    pub(crate) async fn delete_blob(&self, asked: Asked, digest: Digest) -> Result<Answer, Refusal> {
        let deleted = self.0.db.write(|tx| {
            let holder = self.0.enter(tx.state(), &asked, &["BatchDeleteImage"])?.holder;
            delete::delete_blob(tx, &holder, &digest).map_err(|stays| match stays {
                BlobStays::Unknown => unknown(),
                BlobStays::Needed => {
                    Refusal::new(Code::Unsupported, "a manifest of this repository needs the blob")
                }
            })
        });
        deleted.await??;
        Ok(Answer::empty(StatusCode::ACCEPTED).with(CONTENT_DIGEST, &digest.to_string()))
    }
}
