//! Parameters: made, and given new versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_domain::tags::Tags;
use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_ssm::{
    HierarchyTypeMismatchException, InvalidAllowedPatternException, InvalidKeyId, InvalidPolicyTypeException,
    ParameterAlreadyExists, ParameterMaxVersionLimitExceeded, ParameterPatternMismatchException,
    ParameterTier, ParameterType, PutParameterError, PutParameterRequest, PutParameterResult,
    UnsupportedParameterType, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_secrets::find::{self, KeyAt};
use longshore_tables_secrets::key::{NumberKey, ScopedKey, Whole};
use longshore_tables_secrets::record::{
    Parameter, ParameterKind, ParameterValue, ParameterVersion, Text, Tier,
};
use longshore_tables_secrets::value::{self, Cover};
use longshore_tables_secrets::{SecretsState, kms};
use longshore_wire::Fault;

use super::{name, permission, shape, texts};
use crate::input::given;
use crate::{Ssm, input, keys, tags};

const STANDARD_CHARS_MAX: usize = 4096;
const ADVANCED_CHARS_MAX: usize = 8192;

/// Older versions go (identity J10).
const VERSIONS_KEPT: usize = 100;

/// How long a compiled pattern may be. Nobody's pattern should make others wait.
const PATTERN_BYTES_MAX: usize = 1 << 16;

const DATA_TYPES: [&str; 3] = ["text", "aws:ec2:image", "aws:ssm:integration"];

/// A request that was read as far as it can be without the state.
pub struct Put {
    request: PutParameterRequest,
    kind: Option<ParameterKind>,
    tags: Tags,
}

fn kind_of(given: Option<&ParameterType>) -> Result<Option<ParameterKind>, UnsupportedParameterType> {
    match given {
        None => Ok(None),
        Some(ParameterType::String) => Ok(Some(ParameterKind::String)),
        Some(ParameterType::StringList) => Ok(Some(ParameterKind::StringList)),
        Some(ParameterType::SecureString) => Ok(Some(ParameterKind::SecureString)),
        Some(ParameterType::Unrecognized(_)) => {
            Err(UnsupportedParameterType::new("The parameter type is not supported."))
        }
    }
}

fn check_pattern(pattern: &str, value: &str) -> Result<(), PutParameterError> {
    let compiled = regex_lite::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    let compiled = compiled.map_err(|_| {
        InvalidAllowedPatternException::new(format!(
            "The allowed pattern is no regular expression: {pattern}"
        ))
    })?;
    match compiled.is_match(value) {
        true => Ok(()),
        false => Err(ParameterPatternMismatchException::new(texts::mismatch(pattern)).into()),
    }
}

/// The policies are a list of objects with a type that there is.
fn check_policies(text: &str) -> Result<(), InvalidPolicyTypeException> {
    let policies: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|_| InvalidPolicyTypeException::new("The parameter policies are no list of policies."))?;
    const TYPES: [&str; 3] = ["Expiration", "ExpirationNotification", "NoChangeNotification"];
    let is_known =
        |policy: &serde_json::Value| policy["Type"].as_str().is_some_and(|own| TYPES.contains(&own));
    match policies.iter().all(is_known) {
        true => Ok(()),
        false => Err(InvalidPolicyTypeException::new("A parameter policy has a type that there is not.")),
    }
}

/// How the key of a secure string is named: by the request, or as before, or as nobody has chosen one.
fn named_key<'a>(request: &'a PutParameterRequest, before: Option<&'a ParameterVersion>) -> &'a str {
    let given = request.key_id.as_deref().filter(|named| !named.is_empty());
    let kept = before.and_then(|before| before.key_named.as_deref());
    given.or(kept).unwrap_or("alias/aws/ssm")
}

/// The newest version of a parameter that is there.
fn newest<'s>(state: &'s State, caller: &Caller, name: &str) -> Option<&'s Arc<ParameterVersion>> {
    let found = find::parameter(state, &caller.scope, name)?;
    found.version(state, find::Selector::Newest).map(|(_, version)| version)
}

impl Command<Ssm> for ops::PutParameter {
    type Parsed = Put;
    type Answer = PutParameterResult;
    const HAS_POLICIES: bool = true;

    fn parse(_: &Cx<'_, Ssm>, request: Self::Input) -> Result<Put, Self::Error> {
        input::check(&request)?;
        name::check::<Self::Error>(given(&request.name))?;
        let kind = kind_of(request.r#type.as_ref())?;
        let invalid = |text: &str| Self::Error::from(Fault::validation(text.to_owned()));
        let given_tags = request.tags.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone()));
        let tags = tags::parse(given_tags).map_err(|error| invalid(&error.to_string()))?;
        if request.overwrite.unwrap_or(false) && request.tags.is_some() {
            return Err(invalid(texts::TAGS_AND_OVERWRITE));
        }
        let text = given(&request.value);
        if text.is_empty() {
            return Err(invalid("The value of a parameter is not empty."));
        }
        if kind == Some(ParameterKind::StringList) && text.split(',').any(str::is_empty) {
            return Err(invalid(texts::EMPTY_IN_LIST));
        }
        if let Some(data_type) = request.data_type.as_deref()
            && !DATA_TYPES.contains(&data_type)
        {
            return Err(invalid("The data type is text, aws:ec2:image or aws:ssm:integration."));
        }
        if let Some(pattern) = request.allowed_pattern.as_deref().filter(|pattern| !pattern.is_empty()) {
            check_pattern(pattern, text)?;
        }
        if let Some(policies) = request.policies.as_deref() {
            check_policies(policies)?;
        }
        Ok(Put { request, kind, tags })
    }

    fn resources(state: &State, caller: &Caller, put: &Put) -> Resources {
        let name = given(&put.request.name);
        let pairs = || put.request.tags.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone()));
        let on = |action: &str| tags::of_request(permission::on(state, caller, action, name), pairs());
        let access =
            on("PutParameter").with("ssm:Overwrite", put.request.overwrite.unwrap_or(false).to_string());
        let tagging = (!put.tags.is_empty()).then(|| on("AddTagsToResource"));
        let is_secure = match put.kind {
            Some(kind) => kind == ParameterKind::SecureString,
            None => find::parameter(state, &caller.scope, name)
                .is_some_and(|found| found.parameter.kind == ParameterKind::SecureString),
        };
        let before = newest(state, caller, name).map(|version| &**version);
        let key = keys::find(state, caller, named_key(&put.request, before)).filter(|_| is_secure);
        let key = key.and_then(|(at, _)| {
            let action = match put.request.tier {
                Some(ParameterTier::Advanced) => "kms:GenerateDataKey",
                Some(_) | None => "kms:Encrypt",
            };
            permission::to_encrypt(state, caller, action, &at, name)
        });
        Resources::from(access).and(tagging).and(key)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, put: Put) -> Result<Self::Answer, Self::Error> {
        let name: Arc<str> = given(&put.request.name).into();
        let at = ScopedKey::new(&caller.scope, &name);
        let found = find::parameter(tx.state(), &caller.scope, &name);
        let before = newest(tx.state(), caller, &name).cloned();
        let mut parameter = match found {
            Some(found) => {
                if !put.request.overwrite.unwrap_or(false) {
                    return Err(ParameterAlreadyExists::new(texts::EXISTS).into());
                }
                if put.kind.is_some_and(|kind| kind != found.parameter.kind) {
                    return Err(HierarchyTypeMismatchException::new(texts::TYPE_CHANGED).into());
                }
                Parameter::clone(found.parameter)
            }
            None => {
                let kind = put.kind.ok_or_else(|| Fault::validation(texts::NO_TYPE))?;
                let birth = free_birth(tx, &at);
                let labels = BTreeMap::new();
                Parameter { birth, kind, version: 0, labels, tags: put.tags, labelled_at: None }
            }
        };
        let text = given(&put.request.value);
        let tier = tier(&put.request, before.as_deref(), text.chars().count())?;
        if put.request.policies.is_some() && tier == Tier::Standard {
            return Err(Fault::validation(texts::POLICIES_NEED_ADVANCED).into());
        }
        if parameter.kind == ParameterKind::StringList && text.split(',').any(str::is_empty) {
            return Err(Fault::validation(texts::EMPTY_IN_LIST).into());
        }
        let number = parameter.version + 1;
        let is_secure = parameter.kind == ParameterKind::SecureString;
        let value = if is_secure {
            let key = key(tx, caller, named_key(&put.request, before.as_deref()))?;
            let cover = Cover::parameter(&at.scope, &name, &parameter.birth, number);
            let sealed = value::seal(tx, &key, &cover, text.as_bytes(), false);
            ParameterValue::Secure(sealed.map_err(shape::key_error::<Self::Error>)?)
        } else {
            ParameterValue::Text(Text(text.into()))
        };
        forget_oldest(tx, &at, &parameter)?;
        // What is not said stays as it was.
        let or_before = |given: Option<&String>, before: Option<Arc<str>>| match given {
            Some(text) => Some(Arc::from(text.as_str())).filter(|text: &Arc<str>| !text.is_empty()),
            None => before,
        };
        let before = before.as_deref();
        let version = ParameterVersion {
            value,
            tier,
            description: or_before(
                put.request.description.as_ref(),
                before.and_then(|before| before.description.clone()),
            ),
            pattern: put.request.allowed_pattern.as_deref().filter(|text| !text.is_empty()).map(Into::into),
            data_type: put.request.data_type.as_deref().unwrap_or("text").into(),
            modified_at: tx.now,
            modified_by: caller.principal.clone(),
            key_named: is_secure.then(|| named_key(&put.request, before).into()),
            policies: or_before(
                put.request.policies.as_ref(),
                before.and_then(|before| before.policies.clone()).filter(|_| tier == Tier::Advanced),
            ),
        };
        parameter.version = number;
        let of = Whole::new(&name, &parameter.birth);
        tx.put::<ParameterVersion>(NumberKey { scope: at.scope.clone(), of, number }, version);
        tx.put::<Parameter>(at, parameter);
        Ok(PutParameterResult { tier: Some(shape::tier(tier)), version: i64::try_from(number).ok() })
    }
}

fn free_birth(tx: &mut Tx<'_>, at: &ScopedKey) -> Arc<str> {
    loop {
        let drawn = crate::secrets_manager::birth(&mut tx.ids);
        let of = Whole::new(&at.name, &drawn);
        if tx.secrets().realm(&at.scope).parameters().count_parts(&of) == 0 {
            return drawn;
        }
    }
}

/// The tier that the new version has. It never goes back.
fn tier(
    request: &PutParameterRequest,
    before: Option<&ParameterVersion>,
    chars: usize,
) -> Result<Tier, Fault> {
    let was = before.map_or(Tier::Standard, |before| before.tier);
    let tier = match &request.tier {
        Some(ParameterTier::Standard) if was == Tier::Advanced => {
            return Err(Fault::validation(texts::NO_DOWNGRADE));
        }
        Some(ParameterTier::Standard) => Tier::Standard,
        Some(ParameterTier::Advanced) => Tier::Advanced,
        Some(ParameterTier::IntelligentTiering)
            if chars > STANDARD_CHARS_MAX || request.policies.is_some() =>
        {
            Tier::Advanced
        }
        Some(ParameterTier::IntelligentTiering | ParameterTier::Unrecognized(_)) | None => was,
    };
    match tier {
        Tier::Standard if chars > STANDARD_CHARS_MAX => {
            Err(Fault::validation(texts::too_long("Standard", STANDARD_CHARS_MAX)))
        }
        Tier::Advanced if chars > ADVANCED_CHARS_MAX => {
            Err(Fault::validation(texts::too_long("Advanced", ADVANCED_CHARS_MAX)))
        }
        Tier::Standard | Tier::Advanced => Ok(tier),
    }
}

/// The key of a secure string.
fn key(tx: &mut Tx<'_>, caller: &Caller, named: &str) -> Result<KeyAt, PutParameterError> {
    if keys::is_of_service(tx.state(), &caller.scope, named, "ssm") {
        return Ok(kms::of_service(tx, &caller.scope, "ssm").map_err(Fault::hidden)?);
    }
    let found = keys::find(tx.state(), caller, named);
    let (at, _) = found.ok_or_else(|| InvalidKeyId::new(texts::invalid_key(named)))?;
    Ok(at)
}

/// Makes room for one more version. The oldest one goes, if it has no label.
fn forget_oldest(
    tx: &mut Tx<'_>,
    at: &ScopedKey,
    parameter: &Parameter,
) -> Result<(), ParameterMaxVersionLimitExceeded> {
    let of = Whole::new(&at.name, &parameter.birth);
    let parameters = tx.secrets().realm(&at.scope).parameters();
    if parameters.count_parts(&of) < VERSIONS_KEPT {
        return Ok(());
    }
    let oldest = parameters.parts(&of).next().map(|(number, _)| *number);
    let Some(number) = oldest else { return Ok(()) };
    if parameter.labels.values().any(|own| *own == number) {
        return Err(ParameterMaxVersionLimitExceeded::new(texts::labelled(number, &at.name)));
    }
    tx.delete::<ParameterVersion>(NumberKey { scope: at.scope.clone(), of, number });
    Ok(())
}
