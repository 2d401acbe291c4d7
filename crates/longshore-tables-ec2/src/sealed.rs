//! Which of EC2's records hold something sealed: the versions of launch templates, for their user data.

use std::sync::Arc;

use longshore_keyring::{Holds, KeyringError, SealAgain, Sealed, SeeRecord};

use crate::key::VersionKey;
use crate::record::TemplateVersion;
use crate::tables::Ec2Tables;

impl Holds for TemplateVersion {
    fn sealed(&self) -> Option<&Sealed> {
        Some(&self.data)
    }

    fn sealed_again(&self, key: &VersionKey, again: SealAgain<'_>) -> Result<Self, KeyringError> {
        let number = key.number.to_string();
        let data = again(&Self::place(&key.scope, &key.template, &number), &self.data)?;
        Ok(Self { data, ..self.clone() })
    }

    fn each(tables: &Ec2Tables, see: SeeRecord<'_, Self>) {
        for (scope, template, number, version) in tables.template_versions() {
            see(version, &|| VersionKey::new(scope, template, number));
        }
    }

    fn find<'t>(tables: &'t Ec2Tables, key: &VersionKey) -> Option<&'t Arc<Self>> {
        tables.template_version(&key.scope, &key.template, key.number)
    }
}
