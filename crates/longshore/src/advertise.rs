//! The URLs at which this server says it can be reached.

use longshore_front::Origin;

/// A URL such as `https://host:8722`, as it is told to agents and clients: without a slash at its end, and without the
/// port that its scheme has anyway. The official agent takes what stands there for the name in the certificate, and
/// only port 443 can be left out of that (agent-protocol G2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    /// `None` is the scheme's own.
    port: Option<u16>,
    /// Empty, or with a slash at its beginning and none at its end.
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl Url {
    /// Where a server is that listens on `address`.
    pub fn at(scheme: Scheme, address: std::net::SocketAddr) -> Self {
        let host = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let port = Some(address.port()).filter(|&port| port != scheme.port());
        Self { scheme, host, port, path: String::new() }
    }

    /// Reads a flag.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}; write http://HOST:PORT or https://HOST:PORT");
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(_) | None => return Err(wrong("it begins neither with http:// nor with https://")),
        };
        if rest.contains(['?', '#', '@']) || text.parse::<http::Uri>().is_err() {
            return Err(wrong("only scheme, host, port and path have a meaning"));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        // The colons of an IPv6 address are in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|&port| port != 0);
                (host, Some(port.ok_or_else(|| wrong("the port is no number from 1 to 65535"))?))
            }
            Some(_) | None => (authority, None),
        };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_host = match bare {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains(['[', ']', ':']),
        };
        if !is_host {
            return Err(wrong("there is no host"));
        }
        let port = port.filter(|&port| port != scheme.port());
        Ok(Self { scheme, host: host.to_owned(), port, path: path.trim_end_matches('/').to_owned() })
    }

    /// Reads a flag for a server's API: agents and clients ask it at `/`, so that a path would have no effect.
    pub fn root(text: &str) -> Result<Self, String> {
        match Self::parse(text)? {
            url if url.path.is_empty() => Ok(url),
            _ => Err("a path has no effect; write http://HOST:PORT or https://HOST:PORT".to_owned()),
        }
    }

    /// Reads where a server is asked, as text without a slash at its end.
    pub fn endpoint(text: &str) -> Result<String, String> {
        Self::root(text).map(|url| url.to_string())
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The origin of the web pages that it serves.
    pub fn origin(&self) -> Origin {
        Origin::at(self.scheme.name(), &self.host, self.port)
    }

    /// `host:port` as it stands in the URL. `None` without a port: that is the host.
    pub fn host_and_port(&self) -> Option<String> {
        self.port.map(|port| format!("{}:{port}", self.host))
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemes_own_port_is_left_out() {
        for (given, told, host, host_and_port) in [
            ("https://ecs.example:8722", "https://ecs.example:8722", "ecs.example", Some("ecs.example:8722")),
            ("https://ecs.example:443/", "https://ecs.example", "ecs.example", None),
            ("http://ecs.example:80/a/b/", "http://ecs.example/a/b", "ecs.example", None),
            ("http://ecs.example:443", "http://ecs.example:443", "ecs.example", Some("ecs.example:443")),
            ("https://10.0.0.1:80", "https://10.0.0.1:80", "10.0.0.1", Some("10.0.0.1:80")),
            (
                "https://[2001:db8::1]:8722",
                "https://[2001:db8::1]:8722",
                "2001:db8::1",
                Some("[2001:db8::1]:8722"),
            ),
            ("https://[2001:db8::1]:443", "https://[2001:db8::1]", "2001:db8::1", None),
            ("https://[2001:db8::1]", "https://[2001:db8::1]", "2001:db8::1", None),
        ] {
            let url = Url::parse(given).expect(given);
            assert_eq!((url.to_string().as_str(), url.host()), (told, host), "{given}");
            assert_eq!(url.host_and_port().as_deref(), host_and_port, "{given}");
        }
    }

    #[test]
    fn a_url_names_a_server_and_nothing_else() {
        for (text, expected) in [
            ("http://127.0.0.1:8722", Some("http://127.0.0.1:8722")),
            ("https://ecs.example/", Some("https://ecs.example")),
            ("https://[2001:db8::1]:8722", Some("https://[2001:db8::1]:8722")),
            ("ecs.example:8722", None),
            ("127.0.0.1:8722", None),
            ("ftp://ecs.example", None),
            ("https://", None),
            ("https://ecs.example:port", None),
            ("https://ecs.example:99999", None),
            ("https://ecs.example/ecs", None),
            ("https://ecs.example/?x", None),
            ("https://me@ecs.example", None),
            ("https://ecs example", None),
            ("", None),
        ] {
            assert_eq!(Url::endpoint(text).as_deref().ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_nobody_could_use_is_refused() {
        for text in [
            "",
            "ecs.example:8722",
            "ftp://ecs.example",
            "https://",
            "https://:8722",
            "https://a:0",
            "https://a:b",
            "https://a:65536",
            "https://a?b=c",
            "https://a#b",
            "https://user@a",
            "https://a b",
            "https://[::1",
            "https://::1",
            "https://[a]:1",
        ] {
            let error = Url::parse(text).expect_err(text);
            assert!(error.contains("write http://HOST:PORT"), "{text}: {error}");
        }
    }

    #[test]
    fn a_listening_address_is_a_url() {
        for (address, told) in [
            ("192.0.2.2:8722", "https://192.0.2.2:8722"),
            ("192.0.2.2:443", "https://192.0.2.2"),
            ("[::1]:8722", "https://[::1]:8722"),
        ] {
            assert_eq!(Url::at(Scheme::Https, address.parse().expect(address)).to_string(), told);
        }
    }
}
