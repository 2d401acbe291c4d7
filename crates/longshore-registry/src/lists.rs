//! Lists, page by page: tags, referrers, repositories.

use http::header::LINK;
use longshore_api::Head;
use longshore_base::Timestamp;
use longshore_images::manifest::{Manifest, OCI_INDEX, essence};
use longshore_images::{Digest, RepositoryName, Tag};
use longshore_service::Caller;
use longshore_tables_ecr::EcrState;
use serde_json::{Value, json};

use crate::answer::{Answer, OCI_FILTERS};
use crate::refusal::Refusal;
use crate::registry::{Asked, Registry};
use crate::route::{self, ROOT};

/// The longest page. Who asks for more, or for all, is told where to go on.
const PAGE_MAX: usize = 10_000;
/// Of referrers, whose manifests are read.
const REFERRERS_MAX: usize = 100;

/// How many are wanted: `n`, if it is a number.
fn wanted(query: &str) -> usize {
    let named = route::parameter(query, "n").and_then(|text| text.parse::<usize>().ok());
    named.map_or(PAGE_MAX, |count| count.min(PAGE_MAX))
}

/// Cuts a list that was asked for one more than the page has; the last one of the page, if there are more.
fn page<T: Clone>(list: &mut Vec<T>, count: usize) -> Option<T> {
    if list.len() <= count {
        return None;
    }
    list.truncate(count);
    list.last().cloned()
}

/// What follows a page.
fn next(path: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", longshore_base::percent::encode(value)))
        .collect();
    format!("<{path}?{}>; rel=\"next\"", query.join("&"))
}

impl Registry {
    /// Bytewise sorted.
    pub(crate) async fn tags(&self, asked: Asked) -> Result<Answer, Refusal> {
        let count = wanted(asked.head.query());
        let after = asked.query("last").and_then(|text| Tag::parse(&text));
        let found = self.0.db.read(|state| {
            let found = self.0.enter(state, &asked, &["ListImages"])?;
            let tags = found.contents.tags_after(after.as_ref()).take(count + 1);
            Ok::<_, Refusal>(tags.map(|(tag, _)| tag.clone()).collect::<Vec<Tag>>())
        });
        let mut tags = found.await??;
        let last = page(&mut tags, count);
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        let answer = Answer::json(&json!({"name": asked.address.spelled.as_str(), "tags": tags}));
        Ok(match last {
            Some(last) => {
                let count = count.to_string();
                answer.with(LINK, &next(&asked.path("tags/list"), &[("n", &count), ("last", last.as_str())]))
            }
            None => answer,
        })
    }

    /// What is about a manifest, which need not be there: an index, by digest.
    pub(crate) async fn referrers(&self, asked: Asked, subject: Digest) -> Result<Answer, Refusal> {
        let filter = asked.query("artifactType").filter(|text| !text.is_empty());
        let after = asked.query("last").and_then(|text| Digest::parse(&text).ok());
        let found = self.0.db.read(|state| {
            let found = self.0.enter(state, &asked, &["BatchGetImage"])?;
            let about = found.contents.referrers(&subject);
            let about = about.filter(|(digest, _)| after.as_ref().is_none_or(|after| *digest > after));
            let about = about.filter(|(_, image)| match &filter {
                Some(filter) => image.artifact_type.as_deref() == Some(essence(filter)),
                None => true,
            });
            let about = about.map(|(digest, image)| (digest.clone(), image.clone()));
            Ok::<_, Refusal>(about.take(REFERRERS_MAX + 1).collect::<Vec<_>>())
        });
        let mut about = found.await??;
        let last = page(&mut about, REFERRERS_MAX);
        let mut manifests = Vec::with_capacity(about.len());
        for (digest, image) in about {
            let mut descriptor = json!({
                "mediaType": &*image.media_type,
                "digest": digest,
                "size": image.bytes,
            });
            if let Some(own) = &image.artifact_type {
                descriptor["artifactType"] = Value::from(&**own);
            }
            // Annotations are in the bytes alone: they may be long, and nobody else asks for them.
            let bytes = self.0.read_manifest(&digest).await?;
            if let Ok(manifest) = Manifest::parse(&bytes, Some(&image.media_type))
                && !manifest.annotations.is_empty()
            {
                descriptor["annotations"] = json!(manifest.annotations);
            }
            manifests.push(descriptor);
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        let mut answer = Answer::bytes(OCI_INDEX, index.to_string().into());
        if filter.is_some() {
            answer = answer.with(OCI_FILTERS, "artifactType");
        }
        if let Some((last, _)) = last {
            let last = last.to_string();
            let mut parameters = vec![("last", last.as_str())];
            parameters.extend(filter.as_deref().map(|filter| ("artifactType", filter)));
            answer = answer.with(LINK, &next(&asked.path(&format!("referrers/{subject}")), &parameters));
        }
        Ok(answer)
    }

    /// The repositories of the caller's own registry.
    pub(crate) async fn catalog(
        &self,
        caller: &Caller,
        head: &Head,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let query = head.query();
        let count = wanted(query);
        let after = route::parameter(query, "last").and_then(|text| RepositoryName::parse(&text));
        let found = self.0.db.read(|state| {
            self.0.allow_all(state, caller, now, "DescribeRepositories")?;
            let own = state.ecr().repositories(&caller.scope, after.as_ref()).take(count + 1);
            Ok::<_, Refusal>(own.map(|(name, _)| name.clone()).collect::<Vec<_>>())
        });
        let mut names = found.await??;
        let last = page(&mut names, count);
        let names: Vec<&str> = names.iter().map(RepositoryName::as_str).collect();
        let answer = Answer::json(&json!({"repositories": names}));
        Ok(match last {
            Some(last) => {
                let count = count.to_string();
                answer
                    .with(LINK, &next(&format!("{ROOT}/_catalog"), &[("n", &count), ("last", last.as_str())]))
            }
            None => answer,
        })
    }
}
