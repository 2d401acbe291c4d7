//! The public test suite and the properties of signing and verifying.

use std::time::Duration;

use longshore_base::Timestamp;
use proptest::prelude::*;

use crate::canonical::{self, PathStyle, Request};
use crate::hex::hex;
use crate::*;

/// 2015-08-30T12:36:00Z, the time of every vector.
const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);
const DATE: &str = "20150830T123600Z";
const SCOPE: &str = "20150830/us-east-1/service/aws4_request";
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn credentials() -> Credentials {
    Credentials::new(ID, SECRET)
}

fn key() -> SigningKey {
    SigningKey::derive(&Secret::new(SECRET), "20150830", "us-east-1", "service")
}

/// The signature of a canonical request that is assembled by hand.
fn signature(request: &Request<'_>, style: PathStyle, names: &str, body: &str) -> String {
    use sha2::{Digest, Sha256};
    let mut text = Vec::new();
    canonical::write(&mut text, request, style, names, hex(&Sha256::digest(body)).as_bytes());
    hex(&key().signature(&canonical::string_to_sign(DATE, SCOPE, &text)))
}

fn names_of(headers: &[(String, String)]) -> String {
    let mut names: Vec<_> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    names.join(";")
}

#[test]
fn the_public_vectors() {
    use sha2::{Digest, Sha256};
    let mut seen = 0;
    for line in include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(" | ").collect();
        let [name, style, method, path, query, headers, body, hash, token, by_header, by_query] = fields[..]
        else {
            panic!("not a vector: {line}");
        };
        seen += 1;
        let style = if style == "as-sent" { PathStyle::AsSent } else { PathStyle::Normalised };
        let plain: Vec<(String, String)> = headers
            .split(" ~ ")
            .map(|header| header.split_once(':').expect("name and value"))
            .map(|(name, value)| (name.to_owned(), value.replace("\\n", "\n")))
            .collect();
        // The "after" vector adds its token once the request is signed.
        let token_is_signed = !token.is_empty() && name != "post-sts-header-after";

        let mut signed = plain.clone();
        signed.push(("X-Amz-Date".into(), DATE.into()));
        if token_is_signed {
            signed.push(("X-Amz-Security-Token".into(), token.into()));
        }
        if hash == "hash" {
            signed.push(("x-amz-content-sha256".into(), hex(&Sha256::digest(body))));
        }
        let names = names_of(&signed);
        let headers = signed.as_slice();
        let request = Request { method, path, query, headers: &headers };
        assert_eq!(signature(&request, style, &names, body), by_header, "{name}, header form");

        // What the vector presents is also read and verified.
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={ID}/{SCOPE}, SignedHeaders={names}, Signature={by_header}");
        signed.push(("Authorization".into(), authorization));
        let headers = signed.as_slice();
        let request = Request { method, path, query, headers: &headers };
        let presented = Presented::parse(&request).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(presented.check_time(NOW, CLOCK_SKEW), Ok(()));
        if style == PathStyle::Normalised {
            assert_eq!(presented.verify(&request, &key(), body.as_bytes()), Ok(()), "{name}");
            assert!(presented.verify(&request, &key(), b"x").is_err(), "{name}");

            let mut credentials = credentials();
            credentials.session_token = token_is_signed.then(|| Secret::new(token));
            let headers: Vec<_> = plain.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let to_sign = ToSign { method, path, query, headers: &headers, body: body.as_bytes() };
            let query =
                presign(&to_sign, &credentials, "us-east-1", "service", NOW, Duration::from_secs(3600));
            assert!(query.ends_with(by_query), "{name}, query form: {query}");
            let headers = headers.as_slice();
            let request = Request { method, path, query: &query, headers: &headers };
            let presented = Presented::parse(&request).expect("our own signature");
            assert_eq!(presented.session_token(), token_is_signed.then_some(token));
            assert_eq!(presented.verify(&request, &key(), body.as_bytes()), Ok(()), "{name}");
        }
    }
    assert_eq!(seen, 38, "every vector of the suite with a context");
}

/// A signed POST, as an SDK would send it.
fn signed_post(body: &[u8]) -> Vec<(String, String)> {
    let mut headers = vec![
        ("host".to_owned(), "localhost:8722".to_owned()),
        ("x-amz-target".to_owned(), "Service.Op".to_owned()),
    ];
    let borrowed: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &borrowed, body };
    let added = sign(&to_sign, &credentials(), "us-east-1", "service", NOW);
    headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
    headers
}

fn check(headers: &[(String, String)], query: &str, body: &[u8], now: Timestamp) -> Result<(), SigError> {
    let request = Request { method: "POST", path: "/", query, headers: &headers };
    let presented = Presented::parse(&request)?;
    presented.check_time(now, CLOCK_SKEW)?;
    presented.verify(&request, &key(), body)
}

#[test]
fn fifteen_minutes_either_way() {
    let headers = signed_post(b"{}");
    let at = |seconds: i64| Timestamp::from_millis(NOW.as_millis() + seconds * 1000);
    assert_eq!(check(&headers, "", b"{}", at(900)), Ok(()));
    assert_eq!(check(&headers, "", b"{}", at(-900)), Ok(()));
    assert_eq!(check(&headers, "", b"{}", at(901)), Err(SigError::Expired(out(901, 900))));
    assert_eq!(check(&headers, "", b"{}", at(-901)), Err(SigError::NotYetCurrent(out(-901, 900))));
}

#[test]
fn presigned_requests_end_when_they_say() {
    let to_sign = ToSign { method: "POST", path: "/", query: "a=b", headers: &[("host", "h")], body: b"" };
    let headers = vec![("host".to_owned(), "h".to_owned())];
    let at = |seconds: u64| NOW + Duration::from_secs(seconds);
    let signed_for = |seconds| {
        presign(&to_sign, &credentials(), "us-east-1", "service", NOW, Duration::from_secs(seconds))
    };
    let week = 604_800;
    assert_eq!(check(&headers, &signed_for(60), b"", at(60)), Ok(()));
    assert_eq!(check(&headers, &signed_for(60), b"", at(61)), Err(SigError::Expired(out(61, 60))));
    assert_eq!(check(&headers, &signed_for(week), b"", at(week)), Ok(()));
    assert_eq!(check(&headers, &signed_for(week + 1), b"", at(0)), Err(SigError::ExpiresRange));
    assert_eq!(check(&headers, &signed_for(0), b"", at(0)), Err(SigError::ExpiresRange));
}

/// A signature of [`DATE`], seen so many seconds later where it may be so old.
fn out(after: i64, window: u64) -> Box<OutOfTime> {
    let now = Timestamp::from_millis(NOW.as_millis() + after * 1000);
    Box::new(OutOfTime { date: DATE.into(), now, window: Duration::from_secs(window) })
}

#[test]
fn the_service_is_read_where_the_rest_cannot_be() {
    let claimed = |headers: &[(&str, &str)], query| {
        claimed_service(&Request { method: "GET", path: "/", query, headers: &headers })
    };
    let header = |value| claimed(&[("Authorization", value)], "X-Amz-Credential=A/1/r/other/aws4_request");
    let s3 = Some("s3".to_owned());
    assert_eq!(header("AWS4-HMAC-SHA256 Credential=A/20150830/r/s3/aws4_request, Signature=0"), s3);
    assert_eq!(header("AWS4-HMAC-SHA256 SignedHeaders=host,Credential=A/20150830/r/s3/aws4_request"), s3);
    assert_eq!(header("AWS4-ECDSA-P256-SHA256 Credential=A/20150830/s3/aws4_request"), s3);
    for none in ["", "Basic QVdTOg==", "AWS4-HMAC-SHA256 Credential=A/1/r/s3", "x Credential=//aws4_request"]
    {
        assert_eq!(header(none), None, "{none}");
    }
    assert_eq!(claimed(&[], "a=b&X-Amz-Credential=A%2F1%2Fr%2Fs3%2Faws4_request"), s3);
    assert_eq!(claimed(&[], "a=b"), None);
}

#[test]
fn unreadable_signatures_are_incomplete() {
    let good = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                SignedHeaders=host;x-amz-date, Signature=";
    let good = format!("{good}{}", "0".repeat(64));
    let error = |authorization: &str, date: &str| {
        let headers = vec![
            ("host".to_owned(), "h".to_owned()),
            ("x-amz-date".to_owned(), date.to_owned()),
            ("authorization".to_owned(), authorization.to_owned()),
        ];
        check(&headers, "", b"", NOW).expect_err("no signature of ours")
    };
    assert_eq!(error(&good, DATE), SigError::Mismatch);
    for (authorization, date) in [
        (good.as_str(), "yesterday"),
        ("", DATE),
        ("Bearer abc", DATE),
        ("AWS4-HMAC-SHA256", DATE),
        ("AWS4-HMAC-SHA256 Credential", DATE),
        (&good.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), DATE),
        (&good.replace("aws4_request", "aws5_request"), DATE),
        (&good.replace("AKIDEXAMPLE/", ""), DATE),
        (&good.replace("AKIDEXAMPLE", ""), DATE),
        (&good.replace("AKIDEXAMPLE", &"A".repeat(300)), DATE),
        (&good.replace("host;x-amz-date", ""), DATE),
        (&good.replace("host;", "Host;"), DATE),
        (&good.replace("0000", "00"), DATE),
        (&format!("{good}, Signature=00"), DATE),
    ] {
        let got = error(authorization, date);
        assert!(matches!(got, SigError::Incomplete(_)), "{authorization} {date}: {got}");
    }
    assert_eq!(error(&good.replace("host;", ""), DATE), SigError::NotSigned("host"));
    assert_eq!(error(&good.replace("/20150830", "/20150831"), DATE), SigError::ScopeDate);
    assert_eq!(check(&[], "", b"", NOW), Err(SigError::Missing));
}

#[test]
fn the_operation_has_to_be_signed() {
    let borrowed = [("host", "localhost:8722")];
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &borrowed, body: b"{}" };
    let added = sign(&to_sign, &credentials(), "us-east-1", "service", NOW);
    let mut headers: Vec<_> = added.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    headers.push(("host".into(), "localhost:8722".into()));
    assert_eq!(check(&headers, "", b"{}", NOW), Ok(()));
    headers.push(("x-amz-target".into(), "Service.Other".into()));
    assert_eq!(check(&headers, "", b"{}", NOW), Err(SigError::NotSigned("x-amz-target")));
}

#[test]
fn unsigned_payloads_are_taken_at_their_word() {
    let borrowed = [("host", "h"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &borrowed, body: b"" };
    let added = sign(&to_sign, &credentials(), "us-east-1", "service", NOW);
    let mut headers: Vec<_> = added.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    headers.extend(borrowed.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(check(&headers, "", b"anything", NOW), Ok(()));
    let wrong = "0".repeat(64);
    headers.last_mut().expect("two were added").1 = wrong;
    assert_eq!(check(&headers, "", b"anything", NOW), Err(SigError::Payload));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        path in "/[a-z%./ é]{0,12}",
        query in "[a-c%=&+]{0,12}",
        value in "[ -~]{0,12}",
        body in proptest::collection::vec(any::<u8>(), 0..40),
        flip in any::<(usize, u8)>(),
    ) {
        let plain = [("host", "h"), ("x-custom", value.as_str())];
        let to_sign = ToSign { method: "POST", path: &path, query: &query, headers: &plain, body: &body };
        let added = sign(&to_sign, &credentials(), "us-east-1", "service", NOW);
        let mut headers: Vec<(&str, &str)> = plain.to_vec();
        headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
        let headers = headers.as_slice();
        let request = Request { method: "POST", path: &path, query: &query, headers: &headers };
        let presented = Presented::parse(&request).expect("our own signature");
        prop_assert_eq!(presented.verify(&request, &key(), &body), Ok(()));

        // Another method, another body, another key.
        let other = Request { method: "PUT", ..request };
        prop_assert_eq!(presented.verify(&other, &key(), &body), Err(SigError::Mismatch));
        if !body.is_empty() {
            let mut changed = body.clone();
            let at = flip.0 % changed.len();
            changed[at] ^= flip.1 | 1;
            prop_assert_eq!(presented.verify(&request, &key(), &changed), Err(SigError::Mismatch));
        }
        let stranger = SigningKey::derive(&Secret::new("other"), "20150830", "us-east-1", "service");
        prop_assert_eq!(presented.verify(&request, &stranger, &body), Err(SigError::Mismatch));
    }

    #[test]
    fn a_changed_signature_fails(at in 0_usize..64, digit in "[0-9a-f]") {
        let mut headers = signed_post(b"{}");
        let (_, authorization) = headers.last_mut().expect("authorization comes last");
        let at = authorization.len() - 64 + at;
        let before = authorization.clone();
        authorization.replace_range(at..=at, &digit);
        let same = *authorization == before;
        prop_assert_eq!(check(&headers, "", b"{}", NOW).is_ok(), same);
    }

    #[test]
    fn nothing_panics(
        authorization in "(AWS4-HMAC-SHA256 )?(Credential=|SignedHeaders=|Signature=|[ -~é/;,=]){0,12}",
        query in "(X-Amz-Algorithm=AWS4-HMAC-SHA256&)?(X-Amz-[A-Z][a-z]{0,12}=|%|[ -~é&]){0,16}",
        date in "[0-9TZé]{0,18}",
        path in "[/.%a-zé]{0,12}",
    ) {
        let headers = [
            ("authorization", authorization.as_str()),
            ("x-amz-date", date.as_str()),
        ];
        for headers in [&headers[..], &headers[1..]] {
            let request = Request { method: "GET", path: &path, query: &query, headers: &headers };
            if let Ok(presented) = Presented::parse(&request) {
                let _ = presented.verify(&request, &key(), b"");
            }
        }
    }
}
