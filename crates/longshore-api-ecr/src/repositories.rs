//! Repositories (registry I3).

use longshore_base::Scope;
use longshore_domain::tags::{TagError, Tags};
use longshore_images::mutability::TagMutability;
use longshore_service::{Access, Resources};
use longshore_shapes_ecr::{
    CreateRepositoryResponse, DeleteRepositoryResponse, DescribeRepositoriesResponse,
    EncryptionConfiguration, EncryptionType, ImageTagMutability, ImageTagMutabilityExclusionFilter,
    InvalidParameterException, InvalidTagParameterException, LimitExceededException,
    PutImageScanningConfigurationResponse, PutImageTagMutabilityResponse, RepositoryAlreadyExistsException,
    RepositoryNotEmptyException, TooManyTagsException, ops,
};
use longshore_tables_blobs::HolderId;
use longshore_tables_ecr::record::{Encryption, Repository};
use longshore_tables_ecr::{EcrState, RepositoryKey};
use longshore_wire::token;

use crate::input::refused;
use crate::{find, permission, shape, tagging, texts};

/// ECR's quota of repositories in a registry; AWS raises it on request (registry I3).
const REPOSITORIES_MAX: usize = 100_000;
/// A page of repositories, unless asked otherwise (API reference, DescribeRepositories).
const PAGE: usize = 100;

/// What a repository says about its tags. Filters go with `_WITH_EXCLUSION`, and with nothing else.
fn mutability(
    kind: Option<ImageTagMutability>,
    filters: &Option<Vec<ImageTagMutabilityExclusionFilter>>,
) -> Result<TagMutability, InvalidParameterException> {
    const MEMBER: &str = "imageTagMutabilityExclusionFilters";
    let filters: Vec<&str> = filters.iter().flatten().filter_map(|filter| filter.filter.as_deref()).collect();
    let is_mutable = match kind.unwrap_or(ImageTagMutability::Mutable) {
        ImageTagMutability::Mutable | ImageTagMutability::Immutable if !filters.is_empty() => {
            return Err(refused(MEMBER, "filters need imageTagMutability with _WITH_EXCLUSION"));
        }
        ImageTagMutability::Mutable => return Ok(TagMutability::default()),
        ImageTagMutability::Immutable => {
            return Ok(TagMutability { is_mutable: false, exclusions: Vec::new() });
        }
        ImageTagMutability::MutableWithExclusion => true,
        ImageTagMutability::ImmutableWithExclusion => false,
        // The model has refused it.
        ImageTagMutability::Unrecognized(_) => return Err(refused("imageTagMutability", "must be known")),
    };
    TagMutability::with_exclusions(is_mutable, &filters).map_err(|error| refused(MEMBER, &error.to_string()))
}

/// With KMS and without a key, ECR shows the account's own one of the service: an ARN that never changes.
fn encryption(
    given: &Option<EncryptionConfiguration>,
    scope: &Scope,
) -> Result<Encryption, InvalidParameterException> {
    let Some(given) = given else { return Ok(Encryption::Aes256) };
    let key = || match &given.kms_key {
        Some(key) => key.as_str().into(),
        None => {
            let Scope { account, region } = scope;
            format!("arn:{}:kms:{region}:{account}:alias/aws/ecr", scope.partition().as_str()).into()
        }
    };
    match given.encryption_type {
        None | Some(EncryptionType::Aes256) if given.kms_key.is_some() => {
            Err(refused("encryptionConfiguration.kmsKey", "a key needs encryptionType KMS or KMS_DSSE"))
        }
        None | Some(EncryptionType::Aes256) => Ok(Encryption::Aes256),
        Some(EncryptionType::Kms) => Ok(Encryption::Kms(key())),
        Some(EncryptionType::KmsDsse) => Ok(Encryption::KmsDsse(key())),
        Some(EncryptionType::Unrecognized(_)) => {
            Err(refused("encryptionConfiguration.encryptionType", "must be known"))
        }
    }
}

fn read_tags<E>(given: &Option<Vec<longshore_shapes_ecr::Tag>>) -> Result<Tags, E>
where
    E: From<InvalidTagParameterException> + From<TooManyTagsException>,
{
    tagging::read(given).map_err(|error| match error {
        TagError::TooMany => TooManyTagsException::new(error.to_string()).into(),
        error => InvalidTagParameterException::new(error.to_string()).into(),
    })
}

command!(
    CreateRepository,
    |state, caller, asked| {
        let input = &asked.input;
        let on = |action: &str| -> Access {
            let access = permission::on(state, caller, action, &input.registry_id, &input.repository_name);
            tagging::of_request(access, &input.tags)
        };
        let has_tags = input.tags.as_ref().is_some_and(|tags| !tags.is_empty());
        Resources::from(on("CreateRepository")).and(has_tags.then(|| on("TagResource")))
    },
    |tx, caller, asked| {
        let input = asked.input;
        let key = RepositoryKey {
            scope: find::registry(caller, &input.registry_id)?,
            name: find::named(&input.repository_name)?,
        };
        if tx.ecr().find(&key.scope, &key.name).is_some() {
            let text = texts::repository_exists(key.name.as_str(), key.scope.account);
            return Err(RepositoryAlreadyExistsException::new(text).into());
        }
        if tx.ecr().count_repositories(&key.scope) >= REPOSITORIES_MAX {
            let text = format!("The registry has {REPOSITORIES_MAX} repositories.");
            return Err(LimitExceededException::new(text).into());
        }
        let scanning = input.image_scanning_configuration.unwrap_or_default();
        let repository = Repository {
            id: HolderId::draw(&mut tx.ids),
            created_at: tx.now,
            tags: read_tags::<Self::Error>(&input.tags)?,
            mutability: mutability(
                input.image_tag_mutability,
                &input.image_tag_mutability_exclusion_filters,
            )?,
            scan_on_push: scanning.scan_on_push.unwrap_or(false),
            encryption: encryption(&input.encryption_configuration, &key.scope)?,
            policy: None,
            lifecycle: None,
        };
        let shown = shape::repository(&asked.host, &caller.scope, &key.scope, &key.name, &repository);
        tx.put::<Repository>(key, repository);
        Ok(CreateRepositoryResponse { repository: Some(shown) })
    }
);

query!(
    DescribeRepositories,
    |state, caller, asked| {
        let input = &asked.input;
        // What is no account is refused when it is looked for.
        let scope = find::registry(caller, &input.registry_id).unwrap_or_else(|_| caller.scope.clone());
        match &input.repository_names {
            Some(names) => names
                .iter()
                .map(|name| {
                    longshore_registry::permission::on(state, caller, "DescribeRepositories", &scope, name)
                })
                .collect::<Resources>(),
            None => {
                longshore_registry::permission::on(state, caller, "DescribeRepositories", &scope, "*").into()
            }
        }
    },
    |state, caller, asked| {
        let mut input = asked.input;
        let scope = find::registry(caller, &input.registry_id)?;
        if let Some(names) = &input.repository_names {
            let mut shown = Vec::with_capacity(names.len());
            // One that is not there fails all of them.
            for name in names {
                let name = Some(name.clone());
                let (key, found) = find::repository::<Self::Error>(state, caller, &input.registry_id, &name)?;
                shown.push(shape::repository(
                    &asked.host,
                    &caller.scope,
                    &key.scope,
                    &key.name,
                    found.repository,
                ));
            }
            return Ok(DescribeRepositoriesResponse { next_token: None, repositories: Some(shown) });
        }
        let (size, given) = (input.max_results.take(), input.next_token.take());
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE);
        let fingerprint = token::fingerprint("DescribeRepositories", &caller.scope, &input);
        let after = match given {
            Some(given) => {
                let place = token::decode(fingerprint, &given).and_then(|place| find::name(&place));
                Some(place.ok_or_else(|| refused("nextToken", texts::TOKEN))?)
            }
            None => None,
        };
        let mut rest = state.ecr().repositories(&scope, after.as_ref());
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let last = page.last().filter(|_| rest.next().is_some());
        let next_token = last.map(|(name, _)| token::encode(fingerprint, name.as_str()));
        let shown = page.iter().map(|(name, repository)| {
            shape::repository(&asked.host, &caller.scope, &scope, name, repository)
        });
        Ok(DescribeRepositoriesResponse { repositories: Some(shown.collect()), next_token })
    }
);

command!(
    DeleteRepository,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "DeleteRepository", &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        if found.contents.count_images() > 0 && !input.force.unwrap_or(false) {
            let text = texts::not_empty(key.name.as_str(), key.scope.account);
            return Err(RepositoryNotEmptyException::new(text).into());
        }
        let shown = shape::repository(&asked.host, &caller.scope, &key.scope, &key.name, found.repository);
        // Its images go after it; its name is free at once.
        tx.delete::<Repository>(key);
        Ok(DeleteRepositoryResponse { repository: Some(shown) })
    }
);

command!(
    PutImageTagMutability,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "PutImageTagMutability", &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let own = mutability(input.image_tag_mutability, &input.image_tag_mutability_exclusion_filters)?;
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let (kind, filters) = shape::mutability(&own);
        let repository = Repository { mutability: own, ..Repository::clone(found.repository) };
        let (registry_id, name) = (key.scope.account.to_string(), key.name.to_string());
        tx.put::<Repository>(key, repository);
        Ok(PutImageTagMutabilityResponse {
            image_tag_mutability: Some(kind),
            image_tag_mutability_exclusion_filters: filters,
            registry_id: Some(registry_id),
            repository_name: Some(name),
        })
    }
);

command!(
    PutImageScanningConfiguration,
    |state, caller, asked| {
        let input = &asked.input;
        let action = "PutImageScanningConfiguration";
        permission::on(state, caller, action, &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let scan_on_push =
            input.image_scanning_configuration.unwrap_or_default().scan_on_push.unwrap_or(false);
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let repository = Repository { scan_on_push, ..Repository::clone(found.repository) };
        let (registry_id, name) = (key.scope.account.to_string(), key.name.to_string());
        tx.put::<Repository>(key, repository);
        Ok(PutImageScanningConfigurationResponse {
            image_scanning_configuration: Some(shape::scanning(scan_on_push)),
            registry_id: Some(registry_id),
            repository_name: Some(name),
        })
    }
);
