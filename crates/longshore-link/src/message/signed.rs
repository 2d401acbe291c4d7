//! Frames from the agent on TCS: a signature block before the message (agent-protocol G9).

use super::MessageError;
use crate::limits::TCS_FRAME_BYTES_MAX;

/// A frame, split at its first empty line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedFrame<'a> {
    /// The header block without its last line end, not verified here: the signature of the connection's upgrade says
    /// who the agent is.
    pub headers: &'a str,
    pub body: &'a str,
}

impl<'a> SignedFrame<'a> {
    /// The lines of the block as name and value, both trimmed. Lines without a colon are skipped.
    pub fn header_lines(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.headers.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim(), value.trim()))
        })
    }
}

/// Splits a frame. A frame that begins with `{` has no header block; official agents never send one, but a server that
/// relies on the upgrade's signature has no reason to refuse it.
///
/// # Errors
/// `TooLarge`, or `Unsigned` if there is neither an empty line nor a `{` at the start.
pub fn split_signed(text: &str) -> Result<SignedFrame<'_>, MessageError> {
    if text.len() > TCS_FRAME_BYTES_MAX {
        return Err(MessageError::TooLarge { size: text.len(), max: TCS_FRAME_BYTES_MAX });
    }
    if text.starts_with('{') {
        return Ok(SignedFrame { headers: "", body: text });
    }
    let (headers, body) =
        text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).ok_or(MessageError::Unsigned)?;
    Ok(SignedFrame { headers, body })
}

/// A frame as agents send it: the headers, an empty line, the body.
pub fn join_signed<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>, body: &str) -> String {
    let mut frame = String::with_capacity(body.len() + 512);
    for (name, value) in headers {
        frame.push_str(name);
        frame.push_str(": ");
        frame.push_str(value);
        frame.push_str("\r\n");
    }
    frame.push_str("\r\n");
    frame.push_str(body);
    frame
}
