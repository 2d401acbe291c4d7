//! Attributes of container instances (ecs-operations B4, ecs-engine D2).

use std::sync::Arc;

use longshore_base::InstanceId;
use longshore_domain::InstanceStatus;
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx, InstanceEntry, record};

use crate::identifiers::NoMember;
use crate::paging::{self, Page};
use crate::{Caller, Ecs, container_instances, identifiers, input, permission, texts};

/// The most attributes of one call, and the most that users put on one instance.
pub const ATTRIBUTES_MAX: usize = 10;
const TEXT_CHARS_MAX: usize = 128;
/// Attributes with such names are the agent's and the server's own. `longshore.` are those that only
/// Longshore's agent has; older records keep them among the user's.
const RESERVED_PREFIXES: [&str; 3] = ["ecs.", "com.amazonaws.ecs.", "longshore."];

impl Command<Ecs> for ops::PutAttributes {
    type Parsed = Self::Input;
    type Answer = PutAttributesResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "container-instance",
            input.attributes.iter().flatten().filter_map(|own| own.target_id.as_deref()),
        )
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let at = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?.0;
        let mut put = Vec::new();
        for attribute in listed(input.attributes)? {
            let Wanted { name, value, target } = wanted(attribute)?;
            let mut instance = target_instance(tx.state(), &at, &target)?;
            instance.user_attributes.retain(|own| own.name != name);
            let custom = instance.user_attributes.iter().filter(|own| !is_reserved(&own.name)).count();
            if custom >= ATTRIBUTES_MAX {
                return Err(AttributeLimitExceededException::new(texts::ATTRIBUTE_LIMIT).into());
            }
            let attribute = record::Attribute { name, value };
            put.push(shape(&at, &instance, &attribute));
            instance.user_attributes.push(attribute);
            tx.put_instance(&at, instance);
        }
        Ok(PutAttributesResponse { attributes: Some(put) })
    }
}

impl Command<Ecs> for ops::DeleteAttributes {
    type Parsed = Self::Input;
    type Answer = DeleteAttributesResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "container-instance",
            input.attributes.iter().flatten().filter_map(|own| own.target_id.as_deref()),
        )
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let at = identifiers::cluster(tx.state(), caller, input.cluster.as_deref())?.0;
        let mut deleted = Vec::new();
        for attribute in listed(input.attributes)? {
            let Wanted { name, value, target } = wanted(attribute)?;
            let mut instance = target_instance(tx.state(), &at, &target)?;
            let meant = |own: &record::Attribute| own.name == name && (value.is_none() || own.value == value);
            let Some(found) = instance.user_attributes.iter().position(meant) else { continue };
            let attribute = instance.user_attributes.remove(found);
            deleted.push(shape(&at, &instance, &attribute));
            tx.put_instance(&at, instance);
        }
        Ok(DeleteAttributesResponse { attributes: Some(deleted) })
    }
}

impl Query<Ecs> for ops::ListAttributes {
    type Parsed = (Self::Input, Page);
    type Answer = ListAttributesResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let asked = (input.max_results.take(), input.next_token.take());
        input::check(&input)?;
        let page = Page::open("ListAttributes", cx.caller, &input, asked, paging::LIST)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_cluster(input.cluster.as_deref())
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, tables) = identifiers::cluster(state, caller, input.cluster.as_deref())?;
        if input.attribute_value.is_some() && input.attribute_name.is_none() {
            return Err(InvalidParameterException::new(texts::ATTRIBUTE_VALUE_ALONE).into());
        }
        let wanted = |attribute: &record::Attribute| {
            let named = input.attribute_name.as_deref().is_none_or(|name| *attribute.name == *name);
            let valued = input
                .attribute_value
                .as_deref()
                .is_none_or(|value| attribute.value.as_deref() == Some(value));
            named && valued
        };
        let after = page.after().and_then(read_place);
        let from = after.map_or(InstanceId::from_bits(0), |(instance, _)| instance);
        let attributes = tables
            .instances()
            .range(from..)
            .filter(|(_, entry)| belongs(entry))
            .flat_map(|(_, entry)| {
                sorted(&entry.record).into_iter().map(|attribute| (&entry.record, attribute))
            })
            .filter(|(_, attribute)| wanted(attribute))
            .skip_while(|(instance, attribute)| {
                after.is_some_and(|after| (instance.id, &*attribute.name) <= after)
            });
        let place = |(instance, attribute): &(&Arc<record::Instance>, &record::Attribute)| {
            format!("{} {}", instance.id, attribute.name)
        };
        let (attributes, next_token) = page.fill(attributes, place);
        let attributes = attributes.into_iter().map(|(instance, attribute)| shape(&at, instance, attribute));
        Ok(ListAttributesResponse { attributes: Some(attributes.collect()), next_token })
    }
}

fn read_place(place: &str) -> Option<(InstanceId, &str)> {
    let (instance, name) = place.split_once(' ')?;
    Some((InstanceId::parse(instance).ok()?, name))
}

/// All attributes by name, so that pages follow each other.
fn sorted(instance: &record::Instance) -> Vec<&record::Attribute> {
    let mut attributes: Vec<_> = instance.agent_attributes.iter().chain(&instance.user_attributes).collect();
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    attributes
}

fn belongs(entry: &InstanceEntry) -> bool {
    match entry.record.status {
        InstanceStatus::Active | InstanceStatus::Draining => true,
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Inactive => false,
    }
}

/// One attribute of a call, checked.
struct Wanted {
    name: Arc<str>,
    value: Option<Arc<str>>,
    target: String,
}

fn listed(attributes: Option<Vec<Attribute>>) -> Result<Vec<Attribute>, InvalidParameterException> {
    let attributes = attributes.unwrap_or_default();
    if attributes.is_empty() {
        return Err(InvalidParameterException::new(texts::ATTRIBUTES_EMPTY));
    }
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(InvalidParameterException::new(texts::too_many("attributes", ATTRIBUTES_MAX)));
    }
    Ok(attributes)
}

fn wanted(attribute: Attribute) -> Result<Wanted, InvalidParameterException> {
    let (name, value) = checked(attribute.name.unwrap_or_default(), attribute.value)?;
    match attribute.target_id {
        Some(target) if !target.is_empty() => Ok(Wanted { name, value, target }),
        Some(_) | None => Err(InvalidParameterException::new(texts::ATTRIBUTE_TARGET)),
    }
}

/// A name and a value that a user may put on an instance.
///
/// # Errors
/// With ECS's text.
pub fn checked(
    name: String,
    value: Option<String>,
) -> Result<(Arc<str>, Option<Arc<str>>), InvalidParameterException> {
    let refuse = |text: &str| Err(InvalidParameterException::new(text));
    if is_reserved(&name) {
        return refuse(&texts::attribute_reserved(&name));
    }
    if !(1..=TEXT_CHARS_MAX).contains(&name.len()) || !name.bytes().all(allowed_in_name) {
        return refuse(texts::ATTRIBUTE_NAME);
    }
    let value = value.filter(|value| !value.is_empty());
    if let Some(value) = &value {
        let allowed = |b: u8| allowed_in_name(b) || matches!(b, b'@' | b':' | b' ');
        let outer_blank = value.starts_with(' ') || value.ends_with(' ');
        if value.len() > TEXT_CHARS_MAX || outer_blank || !value.bytes().all(allowed) {
            return refuse(texts::ATTRIBUTE_VALUE);
        }
    }
    Ok((name.into(), value.map(Into::into)))
}

fn allowed_in_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'\\' | b'.')
}

/// Whether only agents and the server may set an attribute of this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// An instance that attributes cannot be put on.
enum NoTarget {
    NotFound(TargetNotFoundException),
    Invalid(InvalidParameterException),
}

macro_rules! with_target {
    ($($error:ident,)*) => {$(
        impl From<NoTarget> for $error {
            fn from(error: NoTarget) -> Self {
                match error {
                    NoTarget::NotFound(error) => error.into(),
                    NoTarget::Invalid(error) => error.into(),
                }
            }
        }
    )*};
}

with_target! { PutAttributesError, DeleteAttributesError, }

/// The record of the instance that an attribute is for.
fn target_instance(state: &State, at: &ClusterKey, target: &str) -> Result<record::Instance, NoTarget> {
    let entry = |tables: &ClusterTables| {
        let entry = identifiers::instance(at, tables, target)?;
        if belongs(entry) { Ok(record::Instance::clone(&entry.record)) } else { Err(NoMember::NotFound) }
    };
    match state.ecs().cluster(at).map_or(Err(NoMember::NotFound), entry) {
        Ok(instance) => Ok(instance),
        Err(NoMember::NotFound) => {
            Err(NoTarget::NotFound(TargetNotFoundException::new(texts::target_not_found(target))))
        }
        Err(error @ (NoMember::OtherCluster { .. } | NoMember::Malformed)) => {
            Err(NoTarget::Invalid(InvalidParameterException::new(error.to_string())))
        }
    }
}

fn shape(at: &ClusterKey, instance: &record::Instance, attribute: &record::Attribute) -> Attribute {
    Attribute {
        name: Some(attribute.name.to_string()),
        value: attribute.value.as_ref().map(ToString::to_string),
        target_id: Some(container_instances::arn(at, instance)),
        target_type: Some(TargetType::ContainerInstance),
    }
}
