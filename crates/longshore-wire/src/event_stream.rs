//! Streams of events: the frames of `application/vnd.amazon.eventstream`.
//!
//! An answer that goes on (StartLiveTail) is a row of frames, each with a checksum over its first bytes and one over all of
//! it. Its headers say what it is, its payload is a shape in the protocol of the request. The operation's own members come
//! first, in a frame called `initial-response`. All numbers are big-endian.

use crate::protocol::{Family, Protocol};
use crate::shape::Shape;
use crate::xml::{Style, XmlWriter};
use crate::{cbor, json};

/// The `Content-Type` of an answer that is a stream of events.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The type of a header whose value is text; no other is written.
const TEXT: u8 = 7;

/// Lengths of the whole and of the headers, and their checksum.
const PRELUDE_BYTES: usize = 12;

const CHECKSUM_BYTES: usize = 4;

/// One frame. Names of headers have at most 255 bytes, their values 65,535; longer ones are cut off.
pub fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
        let value = &value.as_bytes()[..value.len().min(usize::from(u16::MAX))];
        head.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.extend_from_slice(name);
        head.push(TEXT);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        head.extend_from_slice(value);
    }
    let length = PRELUDE_BYTES + head.len() + payload.len() + CHECKSUM_BYTES;
    let mut frame = Vec::with_capacity(length);
    for length in [length, head.len()] {
        let length = u32::try_from(length).expect("a message is far from 4 GiB: bodies are bounded");
        frame.extend_from_slice(&length.to_be_bytes());
    }
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

impl Protocol {
    /// The first frame of an answer: the members of its output that are no events.
    pub fn initial_response(self, output: &dyn Shape) -> Vec<u8> {
        self.event("initial-response", output)
    }

    /// One event, under its name in the stream's shape.
    pub fn event(self, name: &str, event: &dyn Shape) -> Vec<u8> {
        let headers =
            [(":message-type", "event"), (":event-type", name), (":content-type", self.payload_type())];
        frame(&headers, &self.payload(name, event))
    }

    /// The end of a stream that went wrong: an error that the stream's shape lists under this name.
    pub fn stream_exception(self, name: &str, error: &dyn Shape) -> Vec<u8> {
        let headers = [
            (":message-type", "exception"),
            (":exception-type", name),
            (":content-type", self.payload_type()),
        ];
        frame(&headers, &self.payload(name, error))
    }

    fn payload(self, name: &str, shape: &dyn Shape) -> Vec<u8> {
        match self.family() {
            Family::AwsJson if self == Self::RpcV2Cbor => cbor::to_vec(shape),
            Family::AwsJson | Family::RestJson => json::to_vec(shape),
            Family::Query | Family::Ec2 | Family::RestXml => {
                let mut writer = XmlWriter::inside(format!("<{name}>"), Style::Aws);
                shape.encode(&mut writer);
                (writer.into_text() + &format!("</{name}>")).into_bytes()
            }
        }
    }

    fn payload_type(self) -> &'static str {
        match self.family() {
            Family::AwsJson if self == Self::RpcV2Cbor => "application/cbor",
            Family::AwsJson | Family::RestJson => "application/json",
            Family::Query | Family::Ec2 | Family::RestXml => "text/xml",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    /// The frame of the published specification that has one header: its bytes are known.
    #[test]
    fn frames_have_lengths_and_checksums() {
        let empty = frame(&[], b"");
        assert_eq!(empty, [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]);
        let one = frame(&[("a", "b")], b"{}");
        let lengths = |at: usize| u32::from_be_bytes(one[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((lengths(0) as usize, lengths(4)), (one.len(), 6));
        assert_eq!(&one[PRELUDE_BYTES..PRELUDE_BYTES + 8], b"\x01a\x07\x00\x01b{}");
        assert_eq!(lengths(8), crc32fast::hash(&one[..8]));
        assert_eq!(lengths(one.len() - 4), crc32fast::hash(&one[..one.len() - 4]));
    }

    #[test]
    fn an_event_says_what_it_is() {
        let event = Document::Map([("n".to_owned(), Document::Boolean(true))].into());
        for (protocol, payload) in
            [(Protocol::AwsJson11, &b"{\"n\":true}"[..]), (Protocol::RestJson1, b"{\"n\":true}")]
        {
            let frame = protocol.event("sessionUpdate", &event);
            let text = String::from_utf8_lossy(&frame);
            assert!(text.contains(":event-type\u{7}\0\u{d}sessionUpdate"), "{text}");
            assert!(text.contains("application/json"), "{text}");
            assert!(frame[..frame.len() - CHECKSUM_BYTES].ends_with(payload), "{text}");
        }
        let long = frame(&[(&"n".repeat(300), &"v".repeat(70_000))], b"");
        assert_eq!(long.len(), PRELUDE_BYTES + 1 + 255 + 1 + 2 + 65_535 + CHECKSUM_BYTES);
    }
}
