//! Where an API is: the URL that people write.

use std::fmt;

use http::Uri;

use crate::origin::Origin;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no endpoint of the form http://HOST:PORT or https://HOST")]
pub struct EndpointError(pub String);

/// A server, and the path below which its API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub origin: Origin,
    /// Host and port as they were written, which is what the `host` header says.
    pub authority: String,
    /// Without a slash at its end; mostly empty.
    pub path: String,
}

impl Endpoint {
    /// Reads `http://`, `https://`, `ws://` and `wss://` addresses.
    ///
    /// # Errors
    /// It is something else, or has a user, a query or a fragment.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let refused = || EndpointError(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| refused())?;
        let origin = Origin::of(&uri).ok_or_else(refused)?;
        let authority = uri.authority().ok_or_else(refused)?.as_str().to_owned();
        // `http` drops a fragment without a word.
        if authority.contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(refused());
        }
        Ok(Self { origin, authority, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        for (url, server, authority, path) in [
            ("http://127.0.0.1:8722", "127.0.0.1:8722", "127.0.0.1:8722", ""),
            ("http://127.0.0.1:8722/", "127.0.0.1:8722", "127.0.0.1:8722", ""),
            ("http://localhost/a/b/", "localhost:80", "localhost", "/a/b"),
            ("https://ecs.example", "ecs.example:443", "ecs.example", ""),
            ("wss://h:1/x", "h:1", "h:1", "/x"),
            ("http://[::1]:80", "[::1]:80", "[::1]:80", ""),
        ] {
            let endpoint = Endpoint::parse(url).expect(url);
            assert_eq!(endpoint.origin.to_string(), server, "{url}");
            assert_eq!((endpoint.authority.as_str(), endpoint.path.as_str()), (authority, path), "{url}");
        }
        for url in [
            "",
            "h:1",
            "h",
            "http://",
            "http://a@b",
            "ftp://x",
            "http://h/?a=1",
            "http://h/#a",
            "http://h:x",
            "http://h:99999",
            "http://h:",
            "http://[::1]:x",
        ] {
            assert_eq!(Endpoint::parse(url), Err(EndpointError(url.to_owned())));
        }
    }

    #[test]
    fn an_endpoint_is_shown_as_it_was_written() {
        for url in ["http://h:1", "https://h/x"] {
            assert_eq!(Endpoint::parse(url).expect(url).to_string(), url);
        }
    }
}
