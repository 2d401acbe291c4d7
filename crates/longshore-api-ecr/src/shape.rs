//! Records as ECR shows them.

use longshore_base::Scope;
use longshore_images::RepositoryName;
use longshore_images::mutability::TagMutability;
use longshore_registry::permission;
use longshore_shapes_ecr::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability,
    ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType, Repository,
};
use longshore_tables_ecr::record::{self, Encryption};

use crate::RegistryHost;

/// Everything is always there: what a client did not give is shown with its default.
pub(crate) fn repository(
    host: &RegistryHost,
    caller: &Scope,
    scope: &Scope,
    name: &RepositoryName,
    repository: &record::Repository,
) -> Repository {
    let (mutability, filters) = self::mutability(&repository.mutability);
    Repository {
        created_at: Some(repository.created_at),
        encryption_configuration: Some(encryption(&repository.encryption)),
        image_scanning_configuration: Some(scanning(repository.scan_on_push)),
        image_tag_mutability: Some(mutability),
        image_tag_mutability_exclusion_filters: filters,
        registry_id: Some(scope.account.to_string()),
        repository_arn: Some(permission::arn(scope, name.as_str())),
        repository_name: Some(name.to_string()),
        repository_uri: Some(host.uri(scope, caller, name)),
    }
}

pub(crate) fn scanning(scan_on_push: bool) -> ImageScanningConfiguration {
    ImageScanningConfiguration { scan_on_push: Some(scan_on_push) }
}

fn encryption(encryption: &Encryption) -> EncryptionConfiguration {
    let (kind, key) = match encryption {
        Encryption::Aes256 => (EncryptionType::Aes256, None),
        Encryption::Kms(key) => (EncryptionType::Kms, Some(key.to_string())),
        Encryption::KmsDsse(key) => (EncryptionType::KmsDsse, Some(key.to_string())),
    };
    EncryptionConfiguration { encryption_type: Some(kind), kms_key: key }
}

pub(crate) fn mutability(
    own: &TagMutability,
) -> (ImageTagMutability, Option<Vec<ImageTagMutabilityExclusionFilter>>) {
    let kind = match (own.is_mutable, own.exclusions.is_empty()) {
        (true, true) => ImageTagMutability::Mutable,
        (false, true) => ImageTagMutability::Immutable,
        (true, false) => ImageTagMutability::MutableWithExclusion,
        (false, false) => ImageTagMutability::ImmutableWithExclusion,
    };
    let filter = |text: &String| ImageTagMutabilityExclusionFilter {
        filter: Some(text.clone()),
        filter_type: Some(ImageTagMutabilityExclusionFilterType::Wildcard),
    };
    (kind, (!own.exclusions.is_empty()).then(|| own.exclusions.iter().map(filter).collect()))
}
