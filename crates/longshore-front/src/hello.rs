//! A TLS client's first message, looked at before rustls reads it.
//!
//! The official ECS agent opens its sockets with `host:port` as the name of the server that it wants (agent-protocol
//! G2). That is no host name. Others, OpenSSL among them, take such a name as if there were none, and so do we; rustls
//! ends the handshake, and has no setting for it before its version 0.24.
//!
//! So the extension that carries the name gets the number of one that nobody knows, which every server skips. As both
//! ends sign and check a hash of all that was said, [`transcript`](crate::transcript) puts the true number back wherever
//! rustls hashes. Nothing else is changed, and messages with a proper name or none are not touched at all.
//!
//! Only the first message is looked at. Who is asked for a second one (by HelloRetryRequest, when it offers no key of a
//! group that we have) and names the server improperly is refused as before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// RFC 6066, section 3.
pub(crate) const SERVER_NAME: [u8; 2] = [0, 0];
/// Of the numbers for private use (RFC 8446, section 11), so that neither rustls nor a proper client knows it.
const HIDDEN: [u8; 2] = [0xff, 0x5a];

/// RFC 8446, sections 4 and 5.1.
const RECORD_HEAD_BYTES: usize = 5;
const RECORD_BYTES_MAX: usize = 1 << 14;
const HANDSHAKE_RECORD: u8 = 22;
const MESSAGE_HEAD_BYTES: usize = 4;
const CLIENT_HELLO: u8 = 1;

/// A stream whose beginning was read already, and comes again.
#[derive(Debug)]
pub(crate) struct Opened<S> {
    beginning: Vec<u8>,
    /// How much of the beginning was read again.
    at: usize,
    stream: S,
    /// Whether the server's name was hidden, because it is no host name.
    pub(crate) is_name_hidden: bool,
}

impl<S> Opened<S> {
    /// Whether the client said anything at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.beginning.is_empty()
    }
}

/// Reads the first record. What is none, or ends early, is left for rustls to judge.
pub(crate) async fn open<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<Opened<S>> {
    let mut beginning = Vec::new();
    let mut wanted = RECORD_HEAD_BYTES;
    while beginning.len() < wanted {
        let missing = u64::try_from(wanted - beginning.len()).unwrap_or(u64::MAX);
        if (&mut stream).take(missing).read_buf(&mut beginning).await? == 0 {
            break;
        }
        let [kind, _, _, high, low] = match beginning.first_chunk() {
            Some(head) => *head,
            // Nothing that begins otherwise is a handshake, and perhaps nothing more will come.
            None if beginning[0] != HANDSHAKE_RECORD => break,
            None => continue,
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind != HANDSHAKE_RECORD || length > RECORD_BYTES_MAX {
            break;
        }
        wanted = RECORD_HEAD_BYTES + length;
    }
    let is_whole = beginning.len() > RECORD_HEAD_BYTES && beginning.len() == wanted;
    let is_name_hidden = is_whole && hide_improper_name(&mut beginning[RECORD_HEAD_BYTES..]);
    Ok(Opened { beginning, at: 0, stream, is_name_hidden })
}

/// Gives the extension with the server's name another number if the name is no host name. `message` is a whole
/// ClientHello or anything else. Says whether it did.
pub(crate) fn hide_improper_name(message: &mut [u8]) -> bool {
    let length = message.len();
    let is_whole = message.first_chunk().is_some_and(|&[kind, high, middle, low]| {
        let said = u32::from_be_bytes([0, high, middle, low]);
        kind == CLIENT_HELLO && usize::try_from(said) == Ok(length - MESSAGE_HEAD_BYTES)
    });
    if !is_whole || extensions(message).any(|extension| extension.number == HIDDEN) {
        return false;
    }
    let Some(at) = improper_name(message) else { return false };
    message[at..at + HIDDEN.len()].copy_from_slice(&HIDDEN);
    true
}

/// Where the number of the only extension with a server's name stands, if that is no host name.
fn improper_name(message: &[u8]) -> Option<usize> {
    let mut names = extensions(message).filter(|extension| extension.number == SERVER_NAME);
    let only = names.next().filter(|_| names.next().is_none())?;
    is_improper_name(only.content).then_some(only.at)
}

/// Where [`HIDDEN`] stands in a ClientHello, which may end before its end. `None` for any other message.
pub(crate) fn hidden_name(message: &[u8]) -> Option<usize> {
    if message.first() != Some(&CLIENT_HELLO) {
        return None;
    }
    extensions(message).find(|extension| extension.number == HIDDEN).map(|extension| extension.at)
}

/// Whether a list of server names holds one host name that is neither a host name nor an address. Lists of any other
/// form are for rustls to judge.
fn is_improper_name(list: &[u8]) -> bool {
    let mut rest = list;
    let name = (|| {
        let mut names = sized(&mut rest, 2)?;
        let kind = take(&mut names, 1)?;
        let name = sized(&mut names, 2)?;
        (rest.is_empty() && names.is_empty() && kind == [0] && !name.is_empty()).then_some(name)
    })();
    name.is_some_and(|name| ServerName::try_from(name).is_err())
}

struct Extension<'a> {
    number: [u8; 2],
    content: &'a [u8],
    /// Where the number stands in the message.
    at: usize,
}

/// The extensions of a ClientHello, as far as they are whole.
fn extensions(message: &[u8]) -> impl Iterator<Item = Extension<'_>> {
    let mut rest = message;
    let found = (|| {
        // Head, version, random.
        take(&mut rest, MESSAGE_HEAD_BYTES + 2 + 32)?;
        // Session, cipher suites, compression methods.
        sized(&mut rest, 1)?;
        sized(&mut rest, 2)?;
        sized(&mut rest, 1)?;
        // The length of the extensions: a message that is cut off says more than it has.
        take(&mut rest, 2)
    })();
    if found.is_none() {
        rest = &[];
    }
    std::iter::from_fn(move || {
        let at = message.len() - rest.len();
        let number = take(&mut rest, 2)?.try_into().ok()?;
        let content = sized(&mut rest, 2)?;
        Some(Extension { number, content, at })
    })
}

/// The next `length` bytes of `rest`, which goes on behind them.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

/// The same with the length before them, in one or two bytes.
fn sized<'a>(rest: &mut &'a [u8], length_bytes: usize) -> Option<&'a [u8]> {
    let length = take(rest, length_bytes)?.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    take(rest, length)
}

impl<S: AsyncRead + Unpin> AsyncRead for Opened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at < this.beginning.len() {
            let length = buffer.remaining().min(this.beginning.len() - this.at);
            buffer.put_slice(&this.beginning[this.at..this.at + length]);
            this.at += length;
            if this.at == this.beginning.len() {
                // The connection may last for weeks.
                (this.beginning, this.at) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opened<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A ClientHello with these extensions.
    pub(crate) fn hello(extensions: &[([u8; 2], &[u8])]) -> Vec<u8> {
        let mut list = Vec::new();
        for (number, content) in extensions {
            list.extend_from_slice(number);
            list.extend_from_slice(&u16::try_from(content.len()).expect("short").to_be_bytes());
            list.extend_from_slice(content);
        }
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[1, 9, 0, 2, 0x13, 1, 1, 0]);
        body.extend_from_slice(&u16::try_from(list.len()).expect("short").to_be_bytes());
        body.extend_from_slice(&list);
        let length = u32::try_from(body.len()).expect("short").to_be_bytes();
        [&[CLIENT_HELLO], &length[1..], &body].concat()
    }

    pub(crate) fn names(names: &[&str]) -> Vec<u8> {
        let mut list = Vec::new();
        for name in names {
            list.push(0);
            list.extend_from_slice(&u16::try_from(name.len()).expect("short").to_be_bytes());
            list.extend_from_slice(name.as_bytes());
        }
        [&u16::try_from(list.len()).expect("short").to_be_bytes()[..], &list].concat()
    }

    #[test]
    fn what_is_no_host_name_is_hidden_and_found_again() {
        for name in
            ["localhost:8743", "192.0.2.2:8722", "[2001:db8::1]:8722", "[2001:db8::1]", "a b", "ümlaut"]
        {
            let said = hello(&[([0, 10], &[0, 2, 0, 29]), (SERVER_NAME, &names(&[name])), ([0, 43], b"x")]);
            let mut heard = said.clone();
            assert!(hide_improper_name(&mut heard), "{name}");
            let at = hidden_name(&heard).expect("it was hidden");
            let differing: Vec<_> = (0..said.len()).filter(|&at| said[at] != heard[at]).collect();
            assert_eq!(differing, [at, at + 1], "{name}: nothing else has changed");
            assert_eq!(
                hidden_name(&heard[..heard.len() - 1]),
                Some(at),
                "the message may end before its end"
            );
            heard[at..at + 2].copy_from_slice(&SERVER_NAME);
            assert_eq!(heard, said);
        }
    }

    #[test]
    fn all_else_stays_as_it_is() {
        let proper = names(&["ecs.example.com"]);
        let improper = names(&["a:1"]);
        let two = names(&["a:1", "b:1"]);
        let long = [&improper[..], b"x"].concat();
        let untouched: [&[([u8; 2], &[u8])]; 11] = [
            &[],
            &[([0, 10], &[0, 2, 0, 29])],
            &[(SERVER_NAME, &proper)],
            &[(SERVER_NAME, &names(&["192.0.2.2"]))],
            &[(SERVER_NAME, &names(&["2001:db8::1"]))],
            &[(SERVER_NAME, &names(&[""]))],
            // Malformed, or there twice: rustls refuses them, and shall.
            &[(SERVER_NAME, b"")],
            &[(SERVER_NAME, &two)],
            &[(SERVER_NAME, &long)],
            &[(SERVER_NAME, &improper), (SERVER_NAME, &proper)],
            // The number for hiding is taken: two messages must never have the same hash.
            &[(SERVER_NAME, &improper), (HIDDEN, b"")],
        ];
        for extensions in untouched {
            let said = hello(extensions);
            let mut heard = said.clone();
            assert!(!hide_improper_name(&mut heard), "{extensions:?}");
            assert_eq!(heard, said);
        }
    }

    #[test]
    fn no_bytes_are_too_few_or_too_many() {
        let whole = hello(&[(SERVER_NAME, &names(&["a:1"]))]);
        for length in 0..whole.len() {
            assert!(!hide_improper_name(&mut whole[..length].to_vec()), "the first {length} bytes");
            assert_eq!(hidden_name(&whole[..length]), None);
        }
        assert!(!hide_improper_name(&mut [&whole[..], b"x"].concat()));
        assert_eq!(hidden_name(&[&[2], &whole[1..]].concat()), None);
    }

    proptest! {
        /// Whatever bytes stand where: either nothing is changed, or what was can be undone.
        #[test]
        fn hiding_can_be_undone(
            name in "[a-c:.]{0,6}",
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in any::<prop::sample::Index>(),
            is_cut: bool,
        ) {
            let mut said = hello(&[([0, 10], &[0, 2, 0, 29]), (SERVER_NAME, &names(&[&name])), ([0, 43], b"x")]);
            for (at, byte) in changes {
                let at = at.index(said.len());
                said[at] = byte;
            }
            if is_cut {
                said.truncate(length.index(said.len()));
            }
            let mut heard = said.clone();
            if hide_improper_name(&mut heard) {
                let at = hidden_name(&heard).expect("it was hidden");
                prop_assert_eq!(hidden_name(&said), None, "no two messages become the same");
                heard[at..at + 2].copy_from_slice(&SERVER_NAME);
            }
            prop_assert_eq!(heard, said);
        }
    }
}
