//! Blobs that come: in one piece or in many, with what is lost on the way found again, or mounted from a neighbour.

use std::convert::Infallible;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderName, StatusCode};
use http_body_util::BodyExt;
use longshore_api::Body;
use longshore_blobs::{BlobError, Upload, UploadId};
use longshore_images::{Digest, RepositoryName};
use longshore_state::State;
use longshore_tables_blobs::{BlobsState, Holder, hold};
use longshore_tables_ecr::EcrState;

use crate::address::Address;
use crate::answer::{Answer, CONTENT_DIGEST, UPLOAD_UUID};
use crate::range;
use crate::refusal::{Code, Refusal};
use crate::registry::{Asked, Registry, no_repository};
use crate::route::{self, no_upload};

/// How many repositories are asked for a blob that a client wants mounted from anywhere.
const SOURCES_MAX: usize = 32;

impl Registry {
    /// A mount, a whole blob, or the beginning of one that comes in pieces.
    pub(crate) async fn begin_upload(&self, asked: Asked, body: Body) -> Result<Answer, Refusal> {
        if let Some(digest) = asked.query("mount").and_then(|text| Digest::parse(&text).ok())
            && self.mount(&asked, &digest).await?
        {
            return Ok(stored(&asked, &digest));
        }
        let digest = match asked.query("digest") {
            Some(text) => Some(route::digest(&text)?),
            None => None,
        };
        let actions: &[&str] = match digest {
            Some(_) => &["InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"],
            None => &["InitiateLayerUpload"],
        };
        let begun = self.0.db.write(|tx| {
            let holder = self.0.enter(tx.state(), &asked, actions)?.holder;
            let id = UploadId::new(tx.ids.container());
            hold::begin(tx, &holder, id);
            Ok::<_, Refusal>((holder, id))
        });
        let (holder, id) = begun.await??;
        if let Err(error) = self.0.blobs.begin(id).await {
            self.forget(&holder, id).await?;
            return Err(error.into());
        }
        match digest {
            None => Ok(progress(&asked, StatusCode::ACCEPTED, id, 0)),
            Some(digest) => {
                let upload = self.0.blobs.append(id).await?;
                self.take_whole(asked, &holder, id, upload, body, digest).await
            }
        }
    }

    /// Gives the repository a blob that another one has. False, and no error, where that cannot be: the client then
    /// pushes it.
    async fn mount(&self, asked: &Asked, digest: &Digest) -> Result<bool, Refusal> {
        let mounted = self.0.db.write(|tx| {
            let to = self.0.enter(tx.state(), asked, &["InitiateLayerUpload"])?.holder;
            let from = match asked.query("from") {
                Some(text) => self.named_source(tx.state(), asked, &text),
                None => self.any_source(tx.state(), asked, digest),
            };
            Ok::<_, Refusal>(from.is_some_and(|from| hold::mount(tx, &from, &to, digest)))
        });
        mounted.await?
    }

    fn named_source(&self, state: &State, asked: &Asked, named: &str) -> Option<Holder> {
        let spelled = RepositoryName::parse(named)?;
        // Spelled as the target: with an account before it, or in the same registry.
        let address = Address::of(None, spelled, &asked.address.scope).ok()?;
        self.source(state, asked, &address)
    }

    /// A repository of the same registry that has the blob and that the caller may read.
    fn any_source(&self, state: &State, asked: &Asked, digest: &Digest) -> Option<Holder> {
        let scope = &asked.address.scope;
        let near = state.blobs().holders(digest).filter(|holder| holder.scope == *scope).take(SOURCES_MAX);
        near.filter_map(|holder| state.ecr().repository_of(holder)).find_map(|name| {
            let address = Address { scope: scope.clone(), name: name.clone(), spelled: name.clone() };
            self.source(state, asked, &address)
        })
    }

    fn source(&self, state: &State, asked: &Asked, address: &Address) -> Option<Holder> {
        let found = state.ecr().find(&address.scope, &address.name)?;
        self.0.allow(state, &asked.caller, asked.now, address, &["GetDownloadUrlForLayer"]).ok()?;
        Some(found.holder)
    }

    /// How far it came.
    pub(crate) async fn upload(&self, asked: Asked, id: UploadId) -> Result<Answer, Refusal> {
        self.find_upload(&asked, id, &["UploadLayerPart"]).await?;
        let bytes = self.0.blobs.progress(id).await?.ok_or_else(no_upload)?;
        Ok(progress(&asked, StatusCode::NO_CONTENT, id, bytes))
    }

    /// Takes a piece.
    pub(crate) async fn append(&self, asked: Asked, id: UploadId, body: Body) -> Result<Answer, Refusal> {
        let holder = self.find_upload(&asked, id, &["UploadLayerPart"]).await?;
        let upload = self.open(&asked, id).await?;
        let upload = self.receive(&holder, id, upload, body).await?;
        let bytes = upload.pause().await?;
        Ok(progress(&asked, StatusCode::ACCEPTED, id, bytes))
    }

    /// Takes the last piece, which may be all or nothing of it.
    pub(crate) async fn end_upload(&self, asked: Asked, id: UploadId, body: Body) -> Result<Answer, Refusal> {
        let named = asked.query("digest");
        let digest = named.ok_or_else(|| Refusal::new(Code::DigestInvalid, "the query has no digest"))?;
        let digest = route::digest(&digest)?;
        let holder = self.find_upload(&asked, id, &["CompleteLayerUpload"]).await?;
        let upload = self.open(&asked, id).await?;
        self.take_whole(asked, &holder, id, upload, body, digest).await
    }

    pub(crate) async fn cancel_upload(&self, asked: Asked, id: UploadId) -> Result<Answer, Refusal> {
        let holder = self.find_upload(&asked, id, &["UploadLayerPart"]).await?;
        self.0.blobs.abandon(id).await?;
        self.forget(&holder, id).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    async fn find_upload(&self, asked: &Asked, id: UploadId, actions: &[&str]) -> Result<Holder, Refusal> {
        let found = self.0.db.read(|state| {
            let holder = self.0.enter(state, asked, actions)?.holder;
            if hold::has_upload(state, &holder, id) { Ok(holder) } else { Err(no_upload()) }
        });
        found.await?
    }

    async fn forget(&self, holder: &Holder, id: UploadId) -> Result<(), Refusal> {
        let forgotten = self.0.db.write(|tx| {
            hold::end(tx, holder, id);
            Ok::<_, Infallible>(())
        });
        let Ok(()) = forgotten.await?;
        Ok(())
    }

    /// Becomes the writer, if the piece begins where the upload ends. What is refused leaves the upload as it was, and
    /// tells the client where to go on.
    async fn open(&self, asked: &Asked, id: UploadId) -> Result<Box<dyn Upload>, Refusal> {
        let upload = match self.0.blobs.append(id).await {
            Ok(upload) => upload,
            Err(BlobError::Busy) => {
                let bytes = self.0.blobs.progress(id).await?.unwrap_or(0);
                let refusal = Refusal::new(Code::RangeInvalid, "the upload has another writer");
                return Err(elsewhere(refusal, asked, id, bytes));
            }
            Err(error) => return Err(error.into()),
        };
        let Some(header) = asked.head.header(CONTENT_RANGE.as_str()) else { return Ok(upload) };
        let piece = range::sent(header);
        let length = asked.head.header(CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<u64>().ok());
        let is_next = piece.as_ref().is_some_and(|piece| {
            piece.start == upload.len() && length.is_none_or(|length| piece.end - piece.start == length)
        });
        if is_next {
            return Ok(upload);
        }
        let bytes = upload.pause().await?;
        let refusal =
            Refusal::new(Code::RangeInvalid, format!("the upload has {bytes} bytes, and {header} came"));
        Err(elsewhere(refusal, asked, id, bytes))
    }

    /// Takes a body to its end. If that fails, what came stays, so that the client can go on from there, unless the
    /// disk is full.
    async fn receive(
        &self,
        holder: &Holder,
        id: UploadId,
        mut upload: Box<dyn Upload>,
        mut body: Body,
    ) -> Result<Box<dyn Upload>, Refusal> {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                upload.pause().await?;
                let text = "the body ended early; ask how far the upload came, and go on from there";
                return Err(Refusal::new(Code::BlobUploadInvalid, text));
            };
            // Trailers say nothing that is of use here.
            let Ok(piece) = frame.into_data() else { continue };
            if let Err(error) = upload.write(piece).await {
                drop(upload);
                if error.is_full() {
                    // It may be busy for a moment, as its threads end; then the collector takes it.
                    let _ = self.0.blobs.abandon(id).await;
                    self.forget(holder, id).await?;
                }
                return Err(error.into());
            }
        }
        Ok(upload)
    }

    /// Takes the rest of an upload, and makes it a blob of the repository.
    async fn take_whole(
        &self,
        asked: Asked,
        holder: &Holder,
        id: UploadId,
        upload: Box<dyn Upload>,
        body: Body,
        digest: Digest,
    ) -> Result<Answer, Refusal> {
        let upload = self.receive(holder, id, upload, body).await?;
        self.finish(&asked, holder.clone(), id, upload, digest.clone()).await?;
        Ok(stored(&asked, &digest))
    }

    /// The file, then its record, with the digest held: all of it, also when the client leaves meanwhile.
    async fn finish(
        &self,
        asked: &Asked,
        holder: Holder,
        id: UploadId,
        upload: Box<dyn Upload>,
        digest: Digest,
    ) -> Result<(), Refusal> {
        let parts = self.0.clone();
        let finishing = tokio::spawn(async move {
            let held = parts.locks.hold(&digest).await;
            let finished = upload.finish(digest.clone()).await;
            let recorded = parts.db.write(|tx| {
                hold::end(tx, &holder, id);
                // It may have been deleted meanwhile.
                let is_there = tx.ecr().repository_of(&holder).is_some();
                if let (Ok(bytes), true) = (&finished, is_there) {
                    hold::stored(tx, &holder, &digest, *bytes);
                }
                Ok::<_, Infallible>(is_there)
            });
            let Ok(is_there) = recorded.await?;
            drop(held);
            finished?;
            Ok::<bool, Refusal>(is_there)
        });
        match finishing.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(no_repository(&asked.address)),
            Ok(Err(refusal)) => Err(refusal),
            Err(panicked) => Err(Refusal::fault(&panicked)),
        }
    }
}

/// The blob is in the repository.
fn stored(asked: &Asked, digest: &Digest) -> Answer {
    Answer::at(StatusCode::CREATED, &asked.path(&format!("blobs/{digest}")))
        .with(CONTENT_DIGEST, &digest.to_string())
}

/// Where an upload goes on, and how far it is.
fn place(asked: &Asked, id: UploadId, bytes: u64) -> [(HeaderName, String); 3] {
    [
        (http::header::LOCATION, asked.path(&format!("blobs/uploads/{id}"))),
        (RANGE, range::received(bytes)),
        (UPLOAD_UUID, id.to_string()),
    ]
}

fn progress(asked: &Asked, status: StatusCode, id: UploadId, bytes: u64) -> Answer {
    let headers = place(asked, id, bytes).into_iter();
    headers.fold(Answer::empty(status), |answer, (name, value)| answer.with(name, &value))
}

fn elsewhere(refusal: Refusal, asked: &Asked, id: UploadId, bytes: u64) -> Refusal {
    let headers = place(asked, id, bytes).into_iter();
    headers.fold(refusal, |refusal, (name, value)| refusal.with(name, &value))
}
