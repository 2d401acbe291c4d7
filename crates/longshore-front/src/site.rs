//! What web pages may not do: the rules that every request meets before its signature (decision 25).
//!
//! A browser lets any page send some requests to any address, this machine's loopback included, and open mode serves
//! any access key. So a page of another origin has to be told from a client by what a browser adds to a request and a
//! page cannot take away: `Origin` and `Sec-Fetch-Site`. A page whose own name was pointed at this server (DNS
//! rebinding) is told by `Host`. The third rule, that operations are named by a signed header that no page can send
//! without asking first, is kept where requests are routed.

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};
use longshore_base::host::{is_address, is_outside_public_dns};
use longshore_identity::Mode;

const FETCH_SITE: &str = "sec-fetch-site";

/// What SDKs put before the host for some operations: they call `stream-127.0.0.1` where the endpoint is `127.0.0.1`
/// (observe-and-scale K1). No resolver and no browser takes such a name.
const HOST_PREFIXES: [&str; 2] = ["stream-", "data-"];

/// The longest part of a host name that an answer repeats.
const SHOWN_BYTES_MAX: usize = 100;

/// A web origin in its serialised form, `scheme://host[:port]`, in lower case and without a default port (RFC 6454, 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin of `url`, which has the scheme `http` or `https`; a path is ignored.
    pub fn of_url(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        Self::new(uri.scheme_str()?, uri.authority()?)
    }

    /// The origin of a server: `host` as it stands in a URL, an IPv6 address in brackets; `port` if it is not the scheme's
    /// own.
    pub fn at(scheme: &str, host: &str, port: Option<u16>) -> Self {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Self(format!("{scheme}://{}{port}", host.to_ascii_lowercase()))
    }

    fn new(scheme: &str, authority: &Authority) -> Option<Self> {
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _other => return None,
        };
        let port = authority.port_u16().filter(|port| *port != default_port);
        Some(Self::at(&scheme, authority.host(), port))
    }
}

/// Under which names this server is reached, and whose pages may call it.
#[derive(Clone, Debug, Default)]
pub struct Site {
    hosts: Vec<String>,
    origins: Vec<Origin>,
}

/// A request that a page may have sent. The text is for the person behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    #[error(
        "In open mode this server does not answer to the name '{0}', which a web page may have pointed at it. Call it by \
         its address, start it with --allow-host NAME (LONGSHORE_ALLOW_HOST), or with --auth strict."
    )]
    Host(String),
    #[error("The request has no Host header that can be read, or several.")]
    UnreadableHost,
    #[error(
        "Web pages of other origins may not call this server. Start it with --cors-origin URL (LONGSHORE_CORS_ORIGIN) to \
         admit a front end under development."
    )]
    Origin,
}

impl Site {
    /// A server that is advertised with this host and origin: the host is a name of ours, and the origin's pages are our
    /// own.
    pub fn advertised(host: &str, origin: Origin) -> Self {
        Self { hosts: vec![host.to_owned()], origins: vec![origin] }
    }

    /// Answers to `host` in open mode too: a name, `*.name` for all names below it, or `*` for every name.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// Lets the pages of `origin` call, by the rules of CORS.
    #[must_use]
    pub fn allow_origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// In open mode, refuses a request for a host name that a stranger may have pointed at us.
    ///
    /// Strict mode needs no such rule: no page has a key. A request without a Host comes from no browser.
    ///
    /// `has_bucket` says that the request is signed for S3, and its host a bucket below a name of ours: whoever owns that
    /// name owns those below it.
    pub(crate) fn check_host(
        &self,
        mode: Mode,
        uri: &Uri,
        headers: &HeaderMap,
        has_bucket: bool,
    ) -> Result<(), Foreign> {
        match mode {
            Mode::Strict => return Ok(()),
            Mode::Open => {}
        }
        // A request line with a whole URL names the host once more.
        let host = host(headers)?.filter(|_| !has_bucket);
        for authority in uri.authority().cloned().into_iter().chain(host) {
            if !self.is_ours(&authority) {
                let shown = authority.host().chars().take(SHOWN_BYTES_MAX).collect();
                return Err(Foreign::Host(shown));
            }
        }
        Ok(())
    }

    /// The bucket that the host of a request for S3 names: `BUCKET.s3.localhost`, `BUCKET.localhost`, or the same before a
    /// name of ours. SDKs but botocore call an endpoint so that has a name.
    pub(crate) fn bucket(&self, headers: &HeaderMap) -> Option<String> {
        let host = host(headers).ok()??.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let names = || self.hosts.iter().map(String::as_str).filter(|name| !name.contains('*'));
        if is_address(host) || names().any(|name| matches(name, host)) {
            return None;
        }
        let below = |base: &str| {
            let base = base.strip_suffix('.').unwrap_or(base).to_ascii_lowercase();
            let labels = host.strip_suffix(&base)?.strip_suffix('.')?;
            let bucket = labels.strip_suffix(".s3").unwrap_or(labels);
            // `s3.localhost` is an endpoint itself.
            (bucket != "s3" && is_bucket(bucket)).then(|| bucket.to_owned())
        };
        names().filter(|name| !is_address(name)).chain(["localhost"]).find_map(below)
    }

    fn is_ours(&self, authority: &Authority) -> bool {
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        is_outside_public_dns(host)
            || HOST_PREFIXES.iter().filter_map(|prefix| host.strip_prefix(prefix)).any(is_address)
            || self.hosts.iter().any(|pattern| matches(pattern, host))
    }

    /// Refuses what a page of another origin sends. Gives the page's origin if it is admitted, for the answer.
    ///
    /// `scheme` is this server's own. Clients and agents send neither of the headers.
    pub(crate) fn check_origin<'h>(
        &self,
        scheme: &str,
        headers: &'h HeaderMap,
    ) -> Result<Option<&'h HeaderValue>, Foreign> {
        let mut presented = headers.get_all(ORIGIN).iter();
        let origin = presented.next();
        if presented.next().is_some() {
            return Err(Foreign::Origin);
        }
        let Some(value) = origin else {
            // Images, scripts and links carry no origin, but in browsers of today how far they come from.
            let is_near = |site: &HeaderValue| site == "same-origin" || site == "none";
            return if headers.get_all(FETCH_SITE).iter().all(is_near) {
                Ok(None)
            } else {
                Err(Foreign::Origin)
            };
        };
        // Not readable, or `null`: a sandboxed page, or one from a file.
        let text = value.to_str().ok().filter(|text| is_bare(text)).ok_or(Foreign::Origin)?;
        let origin = Origin::of_url(text).ok_or(Foreign::Origin)?;
        let own = host(headers)?.and_then(|authority| Origin::new(scheme, &authority));
        let is_admitted = own.is_some_and(|own| own == origin) || self.origins.contains(&origin);
        if is_admitted { Ok(Some(value)) } else { Err(Foreign::Origin) }
    }
}

/// Whether S3 would take this as the name of a bucket.
fn is_bucket(name: &str) -> bool {
    let is_word = |label: &str| {
        let ends = [label.as_bytes().first(), label.as_bytes().last()];
        label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
    };
    (3..=63).contains(&name.len()) && name.split('.').all(is_word)
}

/// The host that a request names, if it names one.
fn host(headers: &HeaderMap) -> Result<Option<Authority>, Foreign> {
    let mut presented = headers.get_all(HOST).iter();
    let Some(value) = presented.next() else { return Ok(None) };
    let authority = Authority::try_from(value.as_bytes()).map_err(|_| Foreign::UnreadableHost)?;
    let rest = authority.as_str().strip_prefix(authority.host());
    let is_port = |rest: &str| rest == ":" || (rest.starts_with(':') && authority.port_u16().is_some());
    let is_plain = rest.is_some_and(|rest| rest.is_empty() || is_port(rest)) && presented.next().is_none();
    if is_plain { Ok(Some(authority)) } else { Err(Foreign::UnreadableHost) }
}

/// An origin as browsers write it: scheme, host and port, and nothing else.
fn is_bare(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| !authority.contains(['/', '@', '?', '#']))
}

fn matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    match pattern.strip_prefix('*') {
        Some(ending) => {
            host.len() >= ending.len()
                && host.get(host.len() - ending.len()..).is_some_and(|end| end.eq_ignore_ascii_case(ending))
        }
        None => pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn site() -> Site {
        Site::advertised("ecs.example", Origin::at("https", "ecs.example", Some(8443)))
            .allow_host("build.example")
            .allow_host("*.dev.example")
            .allow_origin(Origin::of_url("http://localhost:5173").expect("a URL"))
    }

    #[test]
    fn hosts_name_buckets() {
        for (host, bucket) in [
            ("logs.s3.localhost:8722", Some("logs")),
            ("LOGS.localhost.", Some("logs")),
            ("my.logs.s3.localhost", Some("my.logs")),
            ("logs.ecs.example:8443", Some("logs")),
            ("logs.s3.ecs.example", Some("logs")),
            ("logs.build.example", Some("logs")),
            ("s3.localhost", None),
            ("s3.ecs.example", None),
            ("localhost:8722", None),
            ("ecs.example", None),
            ("127.0.0.1", None),
            ("logs.127.0.0.1", None),
            ("[::1]", None),
            ("ab.localhost", None),
            ("-logs.localhost", None),
            ("lo_gs.localhost", None),
            ("lo..gs.localhost", None),
            // Below a pattern, every name may be a server's.
            ("logs.dev.example", None),
            ("logs.other.example", None),
            ("logs.ecs.example.other", None),
            ("logsecs.example", None),
            ("", None),
        ] {
            let bucket_of = site().bucket(&headers(&[("host", host)]));
            assert_eq!(bucket_of.as_deref(), bucket, "{host}");
        }
        assert_eq!(site().bucket(&headers(&[])), None);
        let twice = [("host", "logs.localhost"), ("host", "logs.localhost")];
        assert_eq!(site().bucket(&headers(&twice)), None);
        let host = headers(&[("host", "logs.ecs.example")]);
        let check = |uri, has_bucket| {
            site().check_host(Mode::Open, &Uri::from_static(uri), &host, has_bucket).is_ok()
        };
        assert!(check("/", true) && !check("/", false) && !check("http://other.example/", true));
    }

    fn answers_to(host: &'static str) -> bool {
        site().check_host(Mode::Open, &Uri::from_static("/"), &headers(&[("host", host)]), false).is_ok()
    }

    #[test]
    fn open_mode_answers_to_names_that_no_stranger_owns() {
        for host in [
            "127.0.0.1:8722",
            "10.1.2.3",
            "[::1]:8722",
            "localhost:8722",
            "LOCALHOST.",
            "longshore",
            "longshore:8722",
            "api.localhost:8722",
            "host.docker.internal:8722",
            "stream-127.0.0.1:8722",
            "data-10.0.0.7",
            "ecs.example:8443",
            "ECS.example",
            "build.example",
            "one.dev.example",
        ] {
            assert!(answers_to(host), "{host}");
        }
        for host in [
            "other.example",
            "other.example:8722",
            "localhost.other.example",
            "127.0.0.1.other.example",
            "stream-other.example",
            "x.build.example",
            "internal.example",
            "dev.example",
            "127.1",
            "1.2.3.4.5",
            "user@localhost",
            "localhost:8722,other.example",
            "127.0.0.1:99999",
            "127.0.0.1:abc",
            "[::1]other",
            "",
            "a b",
        ] {
            assert!(!answers_to(host), "{host}");
        }
    }

    #[test]
    fn every_name_of_a_request_counts_and_strict_mode_takes_all() {
        let check = |mode, uri: &'static str, pairs: &[(&'static str, &'static str)]| {
            site().check_host(mode, &Uri::from_static(uri), &headers(pairs), false)
        };
        assert_eq!(check(Mode::Open, "/", &[]), Ok(()));
        let foreign = Foreign::Host("other.example".into());
        assert_eq!(
            check(Mode::Open, "http://other.example/", &[("host", "localhost")]),
            Err(foreign.clone())
        );
        assert_eq!(check(Mode::Open, "http://localhost/", &[("host", "other.example")]), Err(foreign));
        let twice = [("host", "localhost"), ("host", "other.example")];
        assert_eq!(check(Mode::Open, "/", &twice), Err(Foreign::UnreadableHost));
        assert_eq!(check(Mode::Strict, "/", &[("host", "other.example")]), Ok(()));
    }

    /// `Origin` and `Sec-Fetch-Site` as browsers send them, to a server that is called as `127.0.0.1:8722`.
    #[test]
    fn pages_of_other_origins_are_refused() {
        let check = |scheme, pairs: &[(&'static str, &'static str)]| {
            let mut map = headers(pairs);
            map.insert(HOST, HeaderValue::from_static("127.0.0.1:8722"));
            site()
                .check_origin(scheme, &map)
                .map(|page| page.map(|origin| origin.to_str().expect("text").to_owned()))
        };
        for pairs in [&[][..], &[("sec-fetch-site", "none")], &[("sec-fetch-site", "same-origin")]] {
            assert_eq!(check("http", pairs), Ok(None), "{pairs:?}");
        }
        for origin in ["http://127.0.0.1:8722", "https://ecs.example:8443", "http://localhost:5173"] {
            let far = [("origin", origin), ("sec-fetch-site", "cross-site")];
            assert_eq!(check("http", &far), Ok(Some(origin.to_owned())), "{origin}");
        }
        for pairs in [
            &[("origin", "http://other.example")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://127.0.0.1:8723")],
            &[("origin", "https://127.0.0.1:8722")],
            &[("origin", "http://127.0.0.1:8722.other.example")],
            &[("origin", "http://127.0.0.1:8722"), ("origin", "http://other.example")],
            &[("origin", "file://")],
            &[("origin", "http://other.example@127.0.0.1:8722")],
            &[("origin", "http://127.0.0.1:8722/")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(check("http", pairs), Err(Foreign::Origin), "{pairs:?}");
        }
        assert_eq!(check("https", &[("origin", "http://127.0.0.1:8722")]), Err(Foreign::Origin));
    }

    #[test]
    fn origins_lose_what_does_not_count() {
        let of = |url| Origin::of_url(url).map(|origin| origin.0);
        assert_eq!(of("HTTP://Localhost:80/x?y").as_deref(), Some("http://localhost"));
        assert_eq!(of("https://[::1]:443").as_deref(), Some("https://[::1]"));
        assert_eq!(of("http://localhost:443").as_deref(), Some("http://localhost:443"));
        for bad in ["localhost:5173", "null", "", "file:///x", "ftp://x", "/"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
