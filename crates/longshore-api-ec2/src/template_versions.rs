//! The versions of launch templates: what was given, as it was given. Nothing launches from it yet.
//!
//! A version is kept as the JSON of its request, sealed; the answer's structure has the same members, and so it is read back
//! as that one. Whether it names images, types or groups that exist is left to whoever launches, as at AWS.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_keyring::{Sealing, SealingTx};
use longshore_service::Caller;
use longshore_shapes_ec2::{
    self as shapes, CreateLaunchTemplateVersionResult, DeleteLaunchTemplateVersionsResponseErrorItem,
    DeleteLaunchTemplateVersionsResponseSuccessItem, DeleteLaunchTemplateVersionsResult,
    LaunchTemplateErrorCode, RequestLaunchTemplateData, ResponseError, ResponseLaunchTemplateData,
};
use longshore_state::{State, Tx};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{LaunchTemplate, TemplateVersion};
use longshore_tables_ec2::{Ec2State, OwnKey, Realm, VersionKey};
use longshore_wire::{Fault, Shape, json};

use crate::filters::{Filterable, Texts, never, one, shown};
use crate::input::listed;
use crate::{errors, find};

/// AWS has 10,000. All of a template go in one transaction when it is deleted.
pub(crate) const VERSIONS_MAX: usize = 100;

/// What user data is at most, before it was encoded.
const USER_DATA_BYTES_MAX: usize = 16 * 1024;
const DESCRIPTION_CHARS_MAX: usize = 255;

/// A version as calls name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Latest,
    Default,
    Number(u32),
}

impl Wanted {
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "$Latest" => Ok(Self::Latest),
            "$Default" => Ok(Self::Default),
            number => match number.parse() {
                Ok(number) => Ok(Self::Number(number)),
                Err(_) => Err(errors::invalid(
                    "Invalid launch template version: either '$Default', '$Latest', or a numeric version are allowed.",
                )),
            },
        }
    }

    /// Its number, if the template has it.
    pub fn number(self, realm: &Realm, id: &str, template: &LaunchTemplate) -> Result<u32, Fault> {
        let number = match self {
            Self::Latest => realm.versions_of(id).next_back().map_or(template.last_version, |(last, _)| last),
            Self::Default => template.default_version,
            Self::Number(number) => number,
        };
        let is_there = realm.versions_of(id).any(|(own, _)| own == number);
        if is_there { Ok(number) } else { Err(errors::no_version(id, &number.to_string())) }
    }
}

fn text(data: &dyn Shape) -> String {
    String::from_utf8(json::to_vec(data)).expect("the JSON writer writes UTF-8")
}

/// The record of a version with this data.
pub(crate) fn sealed(
    tx: &mut Tx<'_>,
    caller: &Caller,
    (id, number): (&Id, u32),
    data: &RequestLaunchTemplateData,
    description: Option<String>,
) -> Result<TemplateVersion, Fault> {
    check(data)?;
    seal(tx, caller, (id, number), &text(data), description)
}

fn check(data: &RequestLaunchTemplateData) -> Result<(), Fault> {
    if let Some(encoded) = &data.user_data {
        let decoded = STANDARD.decode(encoded.as_bytes()).map_err(|_| errors::malformed_user_data())?;
        if decoded.len() > USER_DATA_BYTES_MAX {
            return Err(errors::invalid(format!("User data is limited to {USER_DATA_BYTES_MAX} bytes")));
        }
    }
    if data.image_id.as_ref().is_some_and(String::is_empty) {
        return Err(errors::invalid("The imageId must not be empty"));
    }
    Ok(())
}

fn seal(
    tx: &mut Tx<'_>,
    caller: &Caller,
    (id, number): (&Id, u32),
    data: &str,
    description: Option<String>,
) -> Result<TemplateVersion, Fault> {
    if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
        return Err(errors::invalid(format!(
            "The versionDescription exceeds the maximum of {DESCRIPTION_CHARS_MAX} characters"
        )));
    }
    let number = number.to_string();
    let place = TemplateVersion::place(&caller.scope, id, &number);
    Ok(TemplateVersion {
        data: tx.seal(&place, data.as_bytes()).map_err(Fault::hidden)?,
        description: description.filter(|text| !text.is_empty()).map(Into::into),
        created_at: tx.now,
        created_by: caller.principal.clone(),
    })
}

/// What was given for a version, as JSON.
fn open(
    state: &State,
    caller: &Caller,
    id: &str,
    number: u32,
    version: &TemplateVersion,
) -> Result<String, Fault> {
    let number = number.to_string();
    let plain = state.open(&TemplateVersion::place(&caller.scope, id, &number), &version.data);
    let plain = plain.map_err(Fault::hidden)?;
    let text = plain.as_str().ok_or_else(|| Fault::hidden("the data of a launch template is no text"))?;
    Ok(text.to_owned())
}

/// A version as it is shown.
fn shape(
    state: &State,
    caller: &Caller,
    (id, template): (&Id, &LaunchTemplate),
    number: u32,
    version: &TemplateVersion,
) -> Result<shapes::LaunchTemplateVersion, Fault> {
    let text = open(state, caller, id, number, version)?;
    let data: ResponseLaunchTemplateData = json::from_slice(text.as_bytes()).map_err(Fault::hidden)?;
    Ok(shapes::LaunchTemplateVersion {
        create_time: Some(version.created_at),
        created_by: Some(version.created_by.to_string()),
        default_version: Some(template.default_version == number),
        launch_template_data: Some(data),
        launch_template_id: Some(id.to_string()),
        launch_template_name: Some(template.name.to_string()),
        operator: None,
        version_description: version.description.as_ref().map(ToString::to_string),
        version_number: Some(number.into()),
    })
}

/// The members of `new` in the place of those of `old`.
fn overlaid(old: &str, new: &str) -> Result<String, Fault> {
    let read = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    let mut all = read(old).map_err(Fault::hidden)?;
    all.extend(read(new).map_err(Fault::hidden)?);
    serde_json::to_string(&all).map_err(Fault::hidden)
}

command!(
    CreateLaunchTemplateVersion,
    |ask, input| ask.template(input.launch_template_id.as_deref(), input.launch_template_name.as_deref()),
    |tx, caller, input| {
        let data = input.launch_template_data.clone().unwrap_or_default();
        check(&data)?;
        let new = text(&data);
        let (id, mut template, data) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, name) = (input.launch_template_id.as_deref(), input.launch_template_name.as_deref());
            let (id, template) = find::template(&realm, id, name)?;
            if realm.versions_of(id).count() >= VERSIONS_MAX {
                return Err(errors::quota("VersionLimitExceeded", "launch template versions"));
            }
            let source = input.source_version.as_deref().map(Wanted::parse).transpose()?;
            let source = source.map(|source| source.number(&realm, id, template)).transpose()?;
            let source = source.and_then(|number| realm.versions_of(id).find(|(own, _)| *own == number));
            let data = match source {
                Some((number, version)) => overlaid(&open(tx.state(), caller, id, number, version)?, &new)?,
                None => new,
            };
            (id.clone(), LaunchTemplate::clone(template), data)
        };
        template.last_version += 1;
        let number = template.last_version;
        let version = seal(tx, caller, (&id, number), &data, input.version_description)?;
        let shown = shape(tx.state(), caller, (&id, &template), number, &version)?;
        tx.put::<TemplateVersion>(VersionKey::new(&caller.scope, &id, number), version);
        tx.put::<LaunchTemplate>(OwnKey::new(&caller.scope, &id), template);
        Ok(CreateLaunchTemplateVersionResult { launch_template_version: Some(shown), warning: None })
    }
);

command!(
    DeleteLaunchTemplateVersions,
    |ask, input| ask.template(input.launch_template_id.as_deref(), input.launch_template_name.as_deref()),
    |tx, caller, input| {
        let (id, template, numbers) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, name) = (input.launch_template_id.as_deref(), input.launch_template_name.as_deref());
            let (id, template) = find::template(&realm, id, name)?;
            let numbers: Vec<u32> = realm.versions_of(id).map(|(number, _)| number).collect();
            (id.clone(), template.clone(), numbers)
        };
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for wanted in listed(&input.versions) {
            let number: u32 = wanted.parse().map_err(|_| {
                errors::invalid(format!("Invalid launch template version: '{wanted}' is not a number"))
            })?;
            let refusal = if number == template.default_version {
                Some((
                    LaunchTemplateErrorCode::UnexpectedError,
                    "The default version of a launch template cannot be deleted.",
                ))
            } else if !numbers.contains(&number) {
                Some((
                    LaunchTemplateErrorCode::LaunchTemplateVersionDoesNotExist,
                    "The launch template version does not exist.",
                ))
            } else {
                None
            };
            match refusal {
                None => {
                    tx.delete::<TemplateVersion>(VersionKey::new(&caller.scope, &id, number));
                    done.push(DeleteLaunchTemplateVersionsResponseSuccessItem {
                        launch_template_id: Some(id.to_string()),
                        launch_template_name: Some(template.name.to_string()),
                        version_number: Some(number.into()),
                    });
                }
                Some((code, message)) => failed.push(DeleteLaunchTemplateVersionsResponseErrorItem {
                    launch_template_id: Some(id.to_string()),
                    launch_template_name: Some(template.name.to_string()),
                    response_error: Some(ResponseError {
                        code: Some(code),
                        message: Some(message.to_owned()),
                    }),
                    version_number: Some(number.into()),
                }),
            }
        }
        Ok(DeleteLaunchTemplateVersionsResult {
            successfully_deleted_launch_template_versions: Some(done),
            unsuccessfully_deleted_launch_template_versions: Some(failed),
        })
    }
);

fn data(own: &shapes::LaunchTemplateVersion) -> Option<&ResponseLaunchTemplateData> {
    own.launch_template_data.as_ref()
}

impl Filterable for shapes::LaunchTemplateVersion {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("create-time", |own| shown(own.create_time.map(longshore_wire::iso8601))),
        ("ebs-optimized", |own| shown(data(own).and_then(|data| data.ebs_optimized))),
        ("host-resource-group-arn", never),
        ("http-endpoint", |own| {
            let options = data(own).and_then(|data| data.metadata_options.as_ref());
            one(options.and_then(|own| own.http_endpoint.as_ref()).map(|own| own.as_str()))
        }),
        ("http-protocol-ipv4", never),
        ("http-tokens", |own| {
            let options = data(own).and_then(|data| data.metadata_options.as_ref());
            one(options.and_then(|own| own.http_tokens.as_ref()).map(|own| own.as_str()))
        }),
        ("iam-instance-profile", |own| {
            one(data(own).and_then(|data| data.iam_instance_profile.as_ref()?.arn.as_ref()))
        }),
        ("image-id", |own| one(data(own).and_then(|data| data.image_id.as_ref()))),
        ("instance-type", |own| one(data(own).and_then(|data| data.instance_type.as_ref()))),
        ("is-default-version", |own| shown(own.default_version)),
        ("kernel-id", |own| one(data(own).and_then(|data| data.kernel_id.as_ref()))),
        ("license-configuration-arn", never),
        ("network-card-index", never),
        ("ram-disk-id", |own| one(data(own).and_then(|data| data.ram_disk_id.as_ref()))),
    ];
    const PAGE: (i32, i32) = (1, 200);
    const TAGGED: bool = false;

    /// The newest first, as AWS has them.
    fn place(&self) -> String {
        let number = u32::try_from(self.version_number.unwrap_or_default()).unwrap_or_default();
        format!("{} {:010}", self.launch_template_id.as_deref().unwrap_or_default(), u32::MAX - number)
    }
}

describe!(
    DescribeLaunchTemplateVersions as DescribeLaunchTemplateVersionsResult { launch_template_versions } of
    shapes::LaunchTemplateVersion, not with [],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let wanted: Result<Vec<Wanted>, Fault> = listed(&input.versions).iter().map(|own| Wanted::parse(own)).collect();
        let wanted = wanted?;
        let bound = |text: &Option<String>| -> Result<Option<u32>, Fault> {
            let parse = |text: &String| text.parse().map_err(|_| errors::invalid(format!("'{text}' is no version")));
            text.as_ref().map(parse).transpose()
        };
        let (min, max) = (bound(&input.min_version)?, bound(&input.max_version)?);
        if !wanted.is_empty() && (min.is_some() || max.is_some()) {
            return Err(errors::combination(
                "The parameter versions cannot be used with the parameters minVersion and maxVersion",
            ));
        }
        let (id, name) = (input.launch_template_id.as_deref(), input.launch_template_name.as_deref());
        let templates: Vec<(&Id, &Arc<LaunchTemplate>)> = if id.is_none() && name.is_none() {
            let is_relative = |own: &Wanted| matches!(own, Wanted::Latest | Wanted::Default);
            if wanted.is_empty() || !wanted.iter().all(is_relative) {
                return Err(errors::missing_text(
                    "Either a launch template ID or a launch template name must be specified, unless the versions are \
                     $Latest or $Default.",
                ));
            }
            realm.templates().iter().collect()
        } else {
            vec![find::template(&realm, id, name)?]
        };
        let mut found = Vec::new();
        for (id, template) in templates {
            let numbers: Result<Vec<u32>, Fault> = wanted.iter().map(|own| own.number(&realm, id, template)).collect();
            let numbers = numbers?;
            for (number, version) in realm.versions_of(id) {
                let is_asked = if wanted.is_empty() {
                    min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
                } else {
                    numbers.contains(&number)
                };
                if is_asked {
                    found.push(shape(state, caller, (id, template), number, version)?);
                }
            }
        }
        Ok(found)
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_laid_over_its_source() {
        let old = r#"{"ImageId":"ami-1","InstanceType":"t3.micro","Monitoring":{"Enabled":true}}"#;
        let new = overlaid(old, r#"{"ImageId":"ami-2","UserData":"eA=="}"#).expect("both are objects");
        let read: RequestLaunchTemplateData = json::from_slice(new.as_bytes()).expect("it is JSON");
        assert_eq!(read.image_id.as_deref(), Some("ami-2"));
        assert_eq!(read.instance_type.as_deref(), Some("t3.micro"));
        assert_eq!(read.monitoring.and_then(|own| own.enabled), Some(true));
        assert_eq!(read.user_data.as_deref(), Some("eA=="));
    }

    #[test]
    fn versions_are_numbers_or_words() {
        assert_eq!(Wanted::parse("$Latest").ok(), Some(Wanted::Latest));
        assert_eq!(Wanted::parse("$Default").ok(), Some(Wanted::Default));
        assert_eq!(Wanted::parse("7").ok(), Some(Wanted::Number(7)));
        assert!(Wanted::parse("latest").is_err() && Wanted::parse("").is_err());
    }
}
