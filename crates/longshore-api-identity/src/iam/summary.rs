//! How many of everything an account has, and what nobody has: devices for a second factor.

use std::collections::BTreeMap;

use longshore_shapes_iam::{
    GetAccountSummaryResponse, ListMFADevicesResponse, ListSSHPublicKeysResponse,
    ListServiceSpecificCredentialsResponse, ListSigningCertificatesResponse, MFADevice, SSHPublicKeyMetadata,
    ServiceSpecificCredentialMetadata, SigningCertificate, SummaryKeyType,
};

use super::find;

query!(GetAccountSummary, |ask, _input| ask.on_all(), |state, caller, _input| {
    use SummaryKeyType::*;
    let realm = find::realm(state, caller);
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let versions = realm.policies().by_name().map(|policy| realm.versions_of(&policy.own.id).count()).sum();
    // Limits as AWS states them. Those of an account are told and not held to.
    let entries = [
        (Users, count(realm.users().len())),
        (UsersQuota, 5000),
        (Groups, count(realm.groups().len())),
        (GroupsQuota, 300),
        (Roles, count(realm.roles().len())),
        (RolesQuota, 1000),
        (Policies, count(realm.policies().len())),
        (PoliciesQuota, 1500),
        (PolicyVersionsInUse, count(versions)),
        (PolicyVersionsInUseQuota, 10000),
        (InstanceProfiles, count(realm.profiles().len())),
        (InstanceProfilesQuota, 1000),
        (Providers, count(realm.providers().len())),
        (ServerCertificates, 0),
        (ServerCertificatesQuota, 20),
        (MFADevices, 0),
        (MFADevicesInUse, 0),
        (AccountMFAEnabled, 0),
        (AccountAccessKeysPresent, 0),
        (AccountPasswordPresent, 0),
        (AccountSigningCertificatesPresent, 0),
        (UserPolicySizeQuota, 2048),
        (GroupPolicySizeQuota, 5120),
        (RolePolicySizeQuota, 10240),
        (PolicySizeQuota, 6144),
        (AssumeRolePolicySizeQuota, 2048),
        (GroupsPerUserQuota, 10),
        (AccessKeysPerUserQuota, 2),
        (SigningCertificatesPerUserQuota, 2),
        (AttachedPoliciesPerGroupQuota, 10),
        (AttachedPoliciesPerRoleQuota, 10),
        (AttachedPoliciesPerUserQuota, 10),
        (VersionsPerPolicyQuota, 5),
        (GlobalEndpointTokenVersion, 2),
    ];
    let entries = entries.map(|(key, value)| (key.as_str().to_owned(), value));
    Ok(GetAccountSummaryResponse { summary_map: Some(BTreeMap::from(entries)) })
});

/// Lists of what nobody can make here: empty for every user that there is. Terraform and Ansible go through them before
/// they delete a user.
macro_rules! nothing_of_a_user {
    ($($operation:ident: $answer:ident { $items:ident: $item:ident })*) => {$(
        list!($operation, |ask, input| ask.user(input.user_name.as_deref()), |state, caller, input, page| {
            if let Some(name) = find::user_name(caller, input.user_name.as_deref()) {
                find::user(state, caller, name)?;
            }
            let paged = page.fill(Vec::<$item>::new(), |_| String::new());
            Ok($answer {
                $items: Some(paged.items),
                is_truncated: paged.is_truncated,
                marker: paged.marker,
            })
        });
    )*};
}

nothing_of_a_user! {
    ListMFADevices: ListMFADevicesResponse { mfa_devices: MFADevice }
    ListSSHPublicKeys: ListSSHPublicKeysResponse { ssh_public_keys: SSHPublicKeyMetadata }
    ListSigningCertificates: ListSigningCertificatesResponse { certificates: SigningCertificate }
    ListServiceSpecificCredentials: ListServiceSpecificCredentialsResponse {
        service_specific_credentials: ServiceSpecificCredentialMetadata
    }
}
