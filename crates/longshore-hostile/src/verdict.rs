//! Whether the answer to a case is one that the server may give.

use crate::case::{Case, Class, Expect};
use crate::client::{Answer, Outcome};

/// Errors that any AWS operation may answer (ecs-behaviour A2, identity J2), in the words of one protocol or another.
const COMMON: [&str; 30] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "AuthorizationHeaderMalformed",
    "EntityTooLarge",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidParameterValue",
    "InvalidSignatureException",
    "MalformedInput",
    "MalformedXML",
    "MethodNotAllowed",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotImplemented",
    "RequestEntityTooLarge",
    "RequestEntityTooLargeException",
    "RequestTimeTooSkewed",
    "RequestTimeoutException",
    "SerializationException",
    "SignatureDoesNotMatch",
    "ThrottlingException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationError",
    "ValidationException",
];

/// The longest sensible text of an error.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// How an accepted outcome counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was done: a success.
    Done,
    /// It was refused, with nothing changed as far as the answer tells.
    Refused,
    /// The connection was closed instead of an answer, where that is allowed.
    Closed,
}

/// Judges one outcome; the error says what is wrong with it.
pub fn judge(case: &Case<'_>, outcome: &Outcome) -> Result<Verdict, String> {
    let answer = match outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Closed if case.expect == Expect::Anything => return Ok(Verdict::Closed),
        Outcome::Closed => return Err("the connection was closed without an answer".into()),
        Outcome::Silence => return Err("neither an answer nor the end of the connection".into()),
        Outcome::Garbage(why) => return Err(format!("no HTTP: {why}")),
    };
    // S3 says with 501 that it does not build something.
    if answer.status >= 500 && answer.status != 501 {
        return Err(format!("a server's fault: {}", shown(answer)));
    }
    if answer.status == 200 || answer.status == 101 {
        return match case.expect {
            Expect::Refusal => Err(format!("accepted: {}", shown(answer))),
            Expect::OfOperation
                if !(is_output(answer) || case.operation.says_nothing && answer.body.is_empty()) =>
            {
                Err(format!("a success without an output: {}", shown(answer)))
            }
            Expect::OfOperation | Expect::Anything => Ok(Verdict::Done),
        };
    }
    match case.expect {
        Expect::Anything => Ok(Verdict::Refused),
        Expect::OfOperation | Expect::Refusal => error(case, answer).map(|()| Verdict::Refused),
    }
}

/// JSON, or the answer to a form.
fn is_output(answer: &Answer) -> bool {
    let is_xml = answer.body.starts_with(b"<") && answer.body.ends_with(b"Response>");
    is_xml || serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// An error has a code that the caller can know, and a text.
fn error(case: &Case<'_>, answer: &Answer) -> Result<(), String> {
    let (code, message) = if answer.body.starts_with(b"<") {
        let text = String::from_utf8_lossy(&answer.body);
        (between(&text, "<Code>", "</Code>"), between(&text, "<Message>", "</Message>"))
    } else if answer.header("content-type") == Some("application/cbor") {
        let code = answer.header("x-amzn-errortype").unwrap_or_default();
        // Texts are as they are in CBOR.
        (code.to_owned(), String::from_utf8_lossy(&answer.body).into_owned())
    } else {
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        // By a header alone in REST-JSON.
        let code = answer.header("x-amzn-errortype").filter(|_| body["__type"].is_null());
        (code.map_or_else(|| text("__type"), str::to_owned), [text("message"), text("Message")].concat())
    };
    let is_known = COMMON.contains(&code.as_str())
        || match &case.operation.errors {
            Some(errors) => errors.contains(&code),
            // EC2's: words with dots between them.
            None => !code.is_empty() && code.split('.').all(is_word),
        };
    if !is_known {
        return Err(format!("not an error of {}: {}", case.operation.name, shown(answer)));
    }
    // KMS says no more of a ciphertext than that it is none.
    let says_nothing = message.is_empty() && code != "InvalidCiphertextException";
    if says_nothing || message.len() > MESSAGE_BYTES_MAX {
        return Err(format!("an error whose text has {} bytes: {}", message.len(), shown(answer)));
    }
    if answer.header("x-amzn-requestid").or(answer.header("x-amz-request-id")).is_none() {
        return Err(format!("an error without a request id: {}", shown(answer)));
    }
    // What is not served is told before any signature is read, by S3 with 501.
    if case.class == Class::Signature && !(400..=403).contains(&answer.status) && answer.status != 501 {
        return Err(format!("a bad signature gets {}", shown(answer)));
    }
    Ok(())
}

fn between(text: &str, start: &str, end: &str) -> String {
    let inner = text.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    inner.map(|(inner, _)| inner.to_owned()).unwrap_or_default()
}

pub fn shown(answer: &Answer) -> String {
    let body: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
    format!("{} {body}", answer.status)
}
