//! Bodies: whole, or as they come.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

/// Why a body ended early.
pub type BodyError = Box<dyn Error + Send + Sync>;

type Stream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// The body of a request or of an answer: there as a whole, or coming in pieces.
pub struct Body(Kind);

enum Kind {
    /// `None` once it has been taken.
    Whole(Option<Bytes>),
    Stream(Stream),
}

impl Body {
    /// What comes in pieces. Whoever makes it bounds it, in length and in time.
    pub fn stream(body: impl http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self(Kind::Stream(Box::pin(body)))
    }

    /// Everything, once it has come.
    pub async fn whole(self) -> Result<Bytes, BodyError> {
        let mut stream = match self.0 {
            Kind::Whole(bytes) => return Ok(bytes.unwrap_or_default()),
            Kind::Stream(stream) => stream,
        };
        let mut whole = BytesMut::new();
        while let Some(frame) = std::future::poll_fn(|cx| stream.as_mut().poll_frame(cx)).await {
            // Trailers say nothing that is of use here.
            if let Ok(part) = frame?.into_data() {
                whole.extend_from_slice(&part);
            }
        }
        Ok(whole.freeze())
    }

    /// The bytes, if they are all there.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes.as_deref().unwrap_or_default()),
            Kind::Stream(_) => None,
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(Kind::Whole(Some(bytes.into())))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(
                bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))),
            ),
            Kind::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    /// Without its bytes, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Whole(bytes) => write!(f, "Body({} bytes)", bytes.as_ref().map_or(0, Bytes::len)),
            Kind::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Body as _;
    use http_body_util::StreamBody;

    use super::*;

    fn now<T>(work: impl Future<Output = T>) -> T {
        match std::pin::pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    fn pieces(pieces: Vec<Result<&'static str, &'static str>>) -> Body {
        let frames = pieces.into_iter().map(|piece| {
            piece.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))).map_err(BodyError::from)
        });
        Body::stream(StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())))
    }

    #[test]
    fn a_body_is_whole_in_the_end() {
        assert_eq!(now(Body::from("one").whole()).expect("it is there"), "one");
        assert_eq!(now(pieces(vec![Ok("o"), Ok(""), Ok("ne")]).whole()).expect("it comes"), "one");
        let broken = now(pieces(vec![Ok("o"), Err("the peer left")]).whole()).expect_err("it breaks");
        assert_eq!(broken.to_string(), "the peer left");
        assert_eq!((Body::from("one").bytes(), pieces(vec![]).bytes()), (Some(&b"one"[..]), None));
    }

    /// HTTP writes a length, and not chunks, where this says so.
    #[test]
    fn what_is_whole_has_a_length() {
        assert_eq!(Body::from("one").size_hint().exact(), Some(3));
        assert!(Body::from("").is_end_stream() && !Body::from("x").is_end_stream());
        assert_eq!(pieces(vec![Ok("o")]).size_hint().exact(), None);
        assert_eq!(format!("{:?} {:?}", Body::from("secret"), pieces(vec![])), "Body(6 bytes) Body(stream)");
    }
}
