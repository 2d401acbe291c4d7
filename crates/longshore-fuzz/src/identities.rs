//! Web identities: tokens of OpenID Connect providers, and the sets of keys that they publish.

use longshore_api_identity::jwt::{Jwks, Jwt, Verdict};

use crate::first_line;

/// RFC 7515, appendix A.3: a token signed with ES256, and its key.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// The first line is a token, the second says where the published one is changed and to what, the rest is a set of keys.
pub fn run(bytes: &[u8]) {
    let (text, rest) = first_line(bytes);
    let (change, rest) = first_line(rest);
    let published = Jwks::read(KEYS).expect("a set");
    presented(text, &published);
    if let Ok(keys) = std::str::from_utf8(rest)
        && let Some(keys) = Jwks::read(keys)
    {
        assert!(keys.has(None));
        // Whoever has keys of his own signs with them; nothing that is read here may take long or panic.
        for text in [text, TOKEN] {
            if let Some(token) = Jwt::read(text) {
                let verdict = token.verify(&keys);
                let knows = keys.has(token.key_id.as_deref());
                assert!(knows || verdict == Verdict::UnknownKey, "{verdict:?} by a key that is not there");
            }
        }
    }
    let (at, with) = change.split_once(' ').unwrap_or((change, ""));
    let at = at.parse::<usize>().unwrap_or_default() % TOKEN.len();
    presented(&format!("{}{with}{}", &TOKEN[..at], &TOKEN[at..]), &published);
    let end = (at + with.len()).min(TOKEN.len());
    presented(&format!("{}{with}{}", &TOKEN[..at], &TOKEN[end..]), &published);
    presented(&TOKEN[..at], &published);
}

/// Nothing is valid but what was signed. The signature itself may be written in another way: those of elliptic curves may.
fn presented(text: &str, keys: &Jwks) {
    let Some(token) = Jwt::read(text) else { return };
    assert_eq!(token.verify(&Jwks::default()), Verdict::UnknownKey);
    let (signed, _) = text.rsplit_once('.').expect("what was read has parts");
    let (genuine, _) = TOKEN.rsplit_once('.').expect("three parts");
    assert!(token.verify(keys) != Verdict::Valid || signed == genuine, "a forged token is valid: {text}");
    for (name, _) in &token.claims {
        let (alone, seconds, list) = (token.text(name), token.seconds(name), token.texts(name));
        assert!(alone.is_none() || seconds.is_none(), "text is a number");
        assert!(alone.is_none_or(|alone| list == [alone]), "one text is not the list of it");
    }
}
