//! What a path asks for (OCI distribution-spec 1.1, "Endpoints").

use std::borrow::Cow;

use longshore_base::percent;
use longshore_blobs::UploadId;
use longshore_images::{Digest, RepositoryName, Tag};

use crate::refusal::{Code, Refusal};

/// Where the registry begins.
pub const ROOT: &str = "/v2";

/// A path that names something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: whether one may come in.
    Base,
    Catalog,
    /// Where tokens are given out.
    Token,
    Tags(RepositoryName),
    Manifest(RepositoryName, Reference),
    Blob(RepositoryName, Digest),
    /// Where uploads begin.
    Uploads(RepositoryName),
    Upload(RepositoryName, UploadId),
    Referrers(RepositoryName, Digest),
}

/// How a manifest is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Digest(Digest),
    Tag(Tag),
}

impl Reference {
    /// What has a colon is a digest: no tag has one.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.contains(':') {
            return digest(text).map(Self::Digest);
        }
        let tag = Tag::parse(text).map(Self::Tag);
        tag.ok_or_else(|| {
            Refusal::new(Code::ManifestInvalid, "the tag is not [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
        })
    }
}

/// Reads a digest of a path or a query.
pub fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text).map_err(|error| Refusal::new(Code::DigestInvalid, error.to_string()))
}

/// Whether a path is the registry's.
pub fn serves(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads a path, as it was sent. A repository's name may have words in it that mean something at the end
/// (`a/blobs/uploads/b`), so a path is read from there.
pub fn route(path: &str) -> Result<Route, Refusal> {
    let rest = path.strip_prefix(ROOT).unwrap_or(path).trim_start_matches('/');
    if rest.is_empty() {
        return Ok(Route::Base);
    }
    let mut parts = Vec::new();
    for part in rest.split('/') {
        parts.push(percent::decode_path(part).ok_or_else(nothing)?);
    }
    let parts: Vec<&str> = parts.iter().map(Cow::as_ref).collect();
    match parts.as_slice() {
        ["_catalog"] => Ok(Route::Catalog),
        ["token"] => Ok(Route::Token),
        [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
            Ok(Route::Uploads(repository(name)?))
        }
        [name @ .., "blobs", "uploads", id] => {
            let name = repository(name)?;
            let id = UploadId::parse(id).map_err(|_| no_upload())?;
            Ok(Route::Upload(name, id))
        }
        [name @ .., "blobs", text] => Ok(Route::Blob(repository(name)?, digest(text)?)),
        [name @ .., "manifests", text] => Ok(Route::Manifest(repository(name)?, Reference::parse(text)?)),
        [name @ .., "tags", "list"] => Ok(Route::Tags(repository(name)?)),
        [name @ .., "referrers", text] => Ok(Route::Referrers(repository(name)?, digest(text)?)),
        _ => Err(nothing()),
    }
}

fn repository(parts: &[&str]) -> Result<RepositoryName, Refusal> {
    let name = RepositoryName::parse(&parts.join("/"));
    name.ok_or_else(|| Refusal::new(Code::NameInvalid, "the name of the repository is not valid"))
}

fn nothing() -> Refusal {
    Refusal::new(Code::NotFound, "nothing is served here")
}

/// The upload is not there.
pub fn no_upload() -> Refusal {
    Refusal::new(
        Code::BlobUploadUnknown,
        "the upload is not known to this repository: it ended, or never began",
    )
}

/// The values of a query's parameters of this name, decoded.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent::decode(key)? == name).then(|| percent::decode(value).map(Cow::into_owned))?
    })
}

#[cfg(test)]
mod tests {
    use longshore_images::Algorithm;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0f9d8c7b-1111-4222-8333-444455556666";

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).expect("a name")
    }

    #[test]
    fn paths() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        let id = UploadId::parse(ID).expect("a UUID");
        let tag = Tag::parse("v1").expect("a tag");
        for (path, wanted) in [
            ("/v2".to_owned(), Route::Base),
            ("/v2/".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/token".to_owned(), Route::Token),
            ("/v2/team/web/tags/list".to_owned(), Route::Tags(name("team/web"))),
            ("/v2/web/manifests/v1".to_owned(), Route::Manifest(name("web"), Reference::Tag(tag))),
            (
                format!("/v2/web/manifests/{digest}"),
                Route::Manifest(name("web"), Reference::Digest(digest.clone())),
            ),
            (format!("/v2/web/blobs/{digest}"), Route::Blob(name("web"), digest.clone())),
            (
                format!("/v2/web/blobs/{}", digest.to_string().replace(':', "%3A")),
                Route::Blob(name("web"), digest.clone()),
            ),
            ("/v2/web/blobs/uploads/".to_owned(), Route::Uploads(name("web"))),
            ("/v2/web/blobs/uploads".to_owned(), Route::Uploads(name("web"))),
            (format!("/v2/web/blobs/uploads/{ID}"), Route::Upload(name("web"), id)),
            (format!("/v2/web/referrers/{digest}"), Route::Referrers(name("web"), digest.clone())),
            // Names that look like something else.
            ("/v2/a/blobs/uploads/b/tags/list".to_owned(), Route::Tags(name("a/blobs/uploads/b"))),
            (
                format!("/v2/manifests/manifests/blobs/{digest}"),
                Route::Blob(name("manifests/manifests"), digest.clone()),
            ),
        ] {
            assert_eq!(route(&path).ok(), Some(wanted), "{path}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_code() {
        for (path, code) in [
            ("/v2/Web/tags/list", Code::NameInvalid),
            ("/v2/tags/list", Code::NameInvalid),
            ("/v2/../tags/list", Code::NameInvalid),
            ("/v2/a%2F..%2Fb/tags/list", Code::NameInvalid),
            ("/v2/web/blobs/sha256:00", Code::DigestInvalid),
            ("/v2/web/blobs/sha1:0000", Code::DigestInvalid),
            ("/v2/web/manifests/sha256:xx", Code::DigestInvalid),
            ("/v2/web/manifests/.x", Code::ManifestInvalid),
            ("/v2/web/referrers/latest", Code::DigestInvalid),
            ("/v2/web/blobs/uploads/..", Code::BlobUploadUnknown),
            ("/v2/web", Code::NotFound),
            ("/v2/web/tags", Code::NotFound),
        ] {
            assert_eq!(route(path).expect_err(path).code, code, "{path}");
        }
        assert!(serves("/v2") && serves("/v2/") && serves("/v2/a") && !serves("/v20") && !serves("/"));
    }

    #[test]
    fn parameters() {
        let query = "mount=sha256%3Aab&from=team%2Fweb&n=";
        assert_eq!(parameter(query, "mount").as_deref(), Some("sha256:ab"));
        assert_eq!(parameter(query, "from").as_deref(), Some("team/web"));
        assert_eq!((parameter(query, "n").as_deref(), parameter(query, "last")), (Some(""), None));
    }

    proptest! {
        #[test]
        fn no_path_breaks_it(path in "/v2/.{0,60}", query in ".{0,40}") {
            let _ = route(&path);
            let _ = parameter(&query, "n");
        }
    }
}
