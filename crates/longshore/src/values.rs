//! How the values of flags are read. What cannot be used is refused here, before anything has started, with what to
//! write instead.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use longshore_base::Region;
use longshore_front::Origin;
use longshore_telemetry::LogError;

/// `ADDRESS:PORT` or `NAME:PORT`.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let form =
        "write ADDRESS:PORT, such as 127.0.0.1:8722, or 0.0.0.0:8722 for all addresses of this machine";
    let (host, port) = text.rsplit_once(':').ok_or(form)?;
    let port: u16 =
        port.parse().map_err(|_| format!("{port:?} is no port, a number from 0 to 65535; {form}"))?;
    if host.is_empty() {
        return Err(form.to_owned());
    }
    let found = (host, port).to_socket_addrs();
    let found: Vec<SocketAddr> =
        found.map_err(|error| format!("no address is known for {host:?} ({error}); {form}"))?.collect();
    // `localhost` is both; clients that know only one of them know this one.
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("no address is known for {host:?}; {form}"))
}

/// An address of this machine.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "write an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them".into())
}

/// What a flag without a value says in the environment.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

/// What the log is to show: a level, or `target=level` pairs.
pub fn log_filter(text: &str) -> Result<String, LogError> {
    longshore_telemetry::check_filter(text).map(|()| text.to_owned())
}

/// The origin of web pages.
pub fn origin(url: &str) -> Result<Origin, String> {
    Origin::of_url(url).ok_or_else(|| "write it as http://HOST:PORT or https://HOST".to_owned())
}

/// The name of a region. Any will do, as long as clients and agents use the same.
pub fn region(text: &str) -> Result<String, String> {
    let form = "a region has up to 32 lower-case letters, digits and hyphens, such as us-east-1";
    Region::parse(text).map(|region| region.as_str().to_owned()).ok_or_else(|| form.into())
}

/// Ten years. What takes longer than a program runs is all the same.
const SECONDS_MAX: f64 = 315_360_000.0;

/// A number of seconds, which may have a fraction.
pub fn seconds(text: &str) -> Result<f64, String> {
    let form = || format!("write a number of seconds from 0 to {SECONDS_MAX}");
    let seconds: f64 = text.parse().map_err(|_| form())?;
    if (0.0..=SECONDS_MAX).contains(&seconds) { Ok(seconds) } else { Err(form()) }
}

/// A span of time: a whole number and its unit.
pub fn span(text: &str) -> Result<Duration, String> {
    let form = || "write a whole number and s, m, h or d, such as 90s, 30m, 1h or 7d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(form)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(form()),
    };
    let number: u64 = number.parse().map_err(|_| form())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(form)
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_address_too() {
        for (text, expected) in [
            ("127.0.0.1:8722", Some("127.0.0.1:8722")),
            ("localhost:8722", Some("127.0.0.1:8722")),
            ("[::1]:0", Some("[::1]:0")),
            ("localhost", None),
            (":8722", None),
            ("8722", None),
            ("127.0.0.1:http", None),
            ("127.0.0.1:65536", None),
            ("no such name:1", None),
            ("http://127.0.0.1:8722", None),
            ("", None),
        ] {
            let read = listen(text).map(|address| address.to_string());
            assert_eq!(read.as_deref().ok(), expected, "{text}");
            if let Err(said) = read {
                assert!(said.contains("write ADDRESS:PORT"), "{text}: {said}");
            }
        }
    }

    #[test]
    fn regions_and_seconds_are_what_they_are() {
        for (text, is_region) in
            [("us-east-1", true), ("home", true), ("US East", false), ("", false), ("it's", false)]
        {
            assert_eq!(region(text).is_ok(), is_region, "{text}");
        }
        for (text, expected) in [
            ("0", Some(0.0)),
            ("0.5", Some(0.5)),
            ("40", Some(40.0)),
            ("-1", None),
            ("nan", None),
            ("inf", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn spans_have_a_unit() {
        for (text, expected) in
            [("90s", Some(90)), ("30m", Some(1_800)), ("1h", Some(3_600)), ("7d", Some(604_800))]
        {
            assert_eq!(span(text).ok().map(|span| span.as_secs()), expected, "{text}");
        }
        for text in
            ["", "1", "h", "0s", "-1h", "1.5h", "1w", "99999999999999999999s", "9999999999999999d", "1\u{b5}"]
        {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
