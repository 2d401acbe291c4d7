//! Images: looking, asking a registry, pulling, removing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::ImageInspect;
use bollard::query_parameters::{
    CreateImageOptions, ListContainersOptions, ListImagesOptions, RemoveImageOptions, TagImageOptions,
};
use futures_util::StreamExt;
use longshore_base::Timestamp;
use longshore_engine::input::{ListedImage, LocalImage};
use longshore_runtime::limits::duration_text;
use longshore_runtime::port::{PullProgress, PullRequest};
use longshore_runtime::{ErrorKind, RegistryCredentials, RuntimeError};
use parking_lot::Mutex;

use crate::classify::{Call, refine};

/// More images than a node uses at a time.
const ENVIRONMENTS_MAX: usize = 512;

/// Names of the variables that images set, from the last look at each. Images are looked at or
/// pulled shortly before a container is made of them, so that a create does not have to ask again.
#[derive(Default)]
pub(crate) struct Environments(Mutex<HashMap<String, Arc<BTreeSet<String>>>>);

impl Environments {
    /// What the image called `image` sets, asking the engine if it is not known.
    pub async fn of(&self, docker: &Docker, image: &str) -> Result<Arc<BTreeSet<String>>, RuntimeError> {
        if let Some(known) = self.0.lock().get(image) {
            return Ok(Arc::clone(known));
        }
        let inspected =
            docker.inspect_image(image).await.map_err(|error| refine(Call::ImageInspect, error))?;
        Ok(self.learn(image, &inspected))
    }

    fn learn(&self, image: &str, inspected: &ImageInspect) -> Arc<BTreeSet<String>> {
        let variables = inspected.config.as_ref().and_then(|config| config.env.as_ref());
        let names = variables
            .into_iter()
            .flatten()
            .filter_map(|variable| variable.split_once('=').map(|(name, _)| name.to_owned()))
            .collect();
        let names = Arc::new(names);
        let mut known = self.0.lock();
        if known.len() >= ENVIRONMENTS_MAX {
            known.clear();
        }
        known.insert(image.to_owned(), Arc::clone(&names));
        names
    }

    fn forget(&self, image: &str) {
        self.0.lock().remove(image);
    }
}

pub(crate) async fn inspect(
    docker: &Docker,
    environments: &Environments,
    image: &str,
) -> Result<LocalImage, RuntimeError> {
    let inspected = docker.inspect_image(image).await.map_err(|error| refine(Call::ImageInspect, error))?;
    environments.learn(image, &inspected);
    Ok(local(image, inspected))
}

fn local(image: &str, inspected: ImageInspect) -> LocalImage {
    let digests = inspected.repo_digests.unwrap_or_default();
    let repository = Reference::parse(image).repository;
    // An image may have come from several repositories; prefer the digest of the one asked for.
    let of_repository = digests.iter().find(|digest| {
        digest.split_once('@').is_some_and(|(name, _)| name == repository || repository.ends_with(name))
    });
    let digest = of_repository
        .or(digests.first())
        .and_then(|digest| digest.split_once('@'))
        .map(|(_, digest)| digest.to_owned());
    LocalImage {
        id: inspected.id.unwrap_or_default(),
        digest,
        size_bytes: inspected.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
    }
}

pub(crate) async fn digest(
    docker: &Docker,
    image: &str,
    credentials: Option<&RegistryCredentials>,
) -> Result<String, RuntimeError> {
    let answer = docker
        .inspect_registry_image(image, credentials.map(docker_credentials))
        .await
        .map_err(|error| refine(Call::Registry, error))?;
    answer.descriptor.digest.ok_or_else(|| {
        RuntimeError::new(ErrorKind::Other, format!("the registry gave no digest for image {image}"))
    })
}

pub(crate) async fn pull(
    docker: &Docker,
    environments: &Environments,
    request: PullRequest<'_>,
) -> Result<LocalImage, RuntimeError> {
    let reference = Reference::parse(request.image);
    let version = request.digest.or(reference.digest).unwrap_or(reference.tag.unwrap_or("latest"));
    let options = CreateImageOptions {
        from_image: Some(reference.repository.to_owned()),
        tag: Some(version.to_owned()),
        ..CreateImageOptions::default()
    };
    let mut steps =
        Box::pin(docker.create_image(Some(options), None, request.credentials.map(docker_credentials)));
    loop {
        let step = tokio::time::timeout(request.inactivity, steps.next()).await.map_err(|_| {
            let waited = duration_text(request.inactivity);
            RuntimeError::new(ErrorKind::Timeout, format!("no progress of the pull for {waited}"))
        })?;
        let Some(step) = step else { break };
        let info = step.map_err(|error| refine(Call::Registry, error))?;
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let detail = info.progress_detail.unwrap_or_default();
        (request.progress)(PullProgress {
            layer: info.id.as_deref(),
            status: info.status.as_deref().unwrap_or_default(),
            done_bytes: bytes(detail.current),
            total_bytes: bytes(detail.total),
        });
    }
    if let (Some(digest), None) = (request.digest, reference.digest) {
        let options = TagImageOptions {
            repo: Some(reference.repository.to_owned()),
            tag: Some(reference.tag.unwrap_or("latest").to_owned()),
        };
        docker
            .tag_image(&format!("{}@{digest}", reference.repository), Some(options))
            .await
            .map_err(|error| refine(Call::ImageInspect, error))?;
    }
    inspect(docker, environments, request.image).await
}

pub(crate) async fn list(docker: &Docker) -> Result<Vec<ListedImage>, RuntimeError> {
    let containers = docker
        .list_containers(Some(ListContainersOptions { all: true, ..ListContainersOptions::default() }))
        .await
        .map_err(|error| refine(Call::List, error))?;
    let used: HashSet<String> = containers.into_iter().filter_map(|container| container.image_id).collect();
    let images = docker
        .list_images(None::<ListImagesOptions>)
        .await
        .map_err(|error| refine(Call::ImageList, error))?;
    let known = |reference: &String| !reference.starts_with("<none>");
    Ok(images
        .into_iter()
        .map(|image| ListedImage {
            in_use: used.contains(&image.id),
            references: image.repo_tags.into_iter().chain(image.repo_digests).filter(known).collect(),
            size_bytes: u64::try_from(image.size).unwrap_or(0),
            created_at: (image.created > 0)
                .then(|| Timestamp::from_millis(image.created.saturating_mul(1000))),
            id: image.id,
        })
        .collect())
}

pub(crate) async fn remove(
    docker: &Docker,
    environments: &Environments,
    image: &str,
) -> Result<(), RuntimeError> {
    environments.forget(image);
    docker
        .remove_image(image, None::<RemoveImageOptions>, None)
        .await
        .map(drop)
        .map_err(|error| refine(Call::ImageRemove, error))
}

fn docker_credentials(credentials: &RegistryCredentials) -> DockerCredentials {
    DockerCredentials {
        username: Some(credentials.username.clone()),
        password: Some(credentials.password.expose().to_owned()),
        serveraddress: credentials.server.clone(),
        ..DockerCredentials::default()
    }
}

/// `[host[:port]/]name[:tag][@digest]`
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes anything; the engine refuses what is no reference.
    fn parse(text: &'a str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => Self { repository, tag: Some(tag), digest },
            _ => Self { repository: name, tag: None, digest },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split() {
        let check = |text, repository, tag, digest| {
            assert_eq!(Reference::parse(text), Reference { repository, tag, digest }, "{text}");
        };
        check("nginx", "nginx", None, None);
        check("nginx:1", "nginx", Some("1"), None);
        check("r.example:5000/a/b", "r.example:5000/a/b", None, None);
        check("r.example:5000/a/b:1", "r.example:5000/a/b", Some("1"), None);
        check("a@sha256:00", "a", None, Some("sha256:00"));
        check("a:1@sha256:00", "a", Some("1"), Some("sha256:00"));
    }

    #[test]
    fn the_digest_of_the_asked_repository_comes_first() {
        let inspected = ImageInspect {
            id: Some("sha256:1".to_owned()),
            repo_digests: Some(vec!["other@sha256:a".to_owned(), "mine@sha256:b".to_owned()]),
            ..ImageInspect::default()
        };
        assert_eq!(local("mine:1", inspected.clone()).digest.as_deref(), Some("sha256:b"));
        assert_eq!(local("docker.io/library/mine", inspected.clone()).digest.as_deref(), Some("sha256:b"));
        assert_eq!(local("third", inspected).digest.as_deref(), Some("sha256:a"));
        assert_eq!(local("third", ImageInspect::default()).digest, None);
    }

    #[test]
    fn credentials_do_not_print() {
        let credentials = RegistryCredentials {
            username: "AWS".to_owned(),
            password: longshore_engine::spec::SecretText::new("hunter2"),
            server: None,
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
