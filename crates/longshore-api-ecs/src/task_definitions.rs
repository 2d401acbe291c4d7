//! Task definitions (ecs-operations B3, ecs-task-definitions C1 and C4).

use std::sync::Arc;

use longshore_base::{Arn, Family, Scope};
use longshore_domain::TaskDefinitionStatus as Status;
use longshore_domain::task_definition::{self, DOCUMENT_BYTES_MAX, Owner};
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{EcsState, EcsTx, FamilyTable, record};

use crate::identifiers::{self, NoDefinition};
use crate::paging::{self, Page};
use crate::permission::Keys;
use crate::{Caller, Ecs, documents, failures, input, permission, tags, texts};

/// The most revisions of a family (ecs-behaviour A10).
const REVISIONS_MAX: u32 = 1_000_000;
/// The most revisions that one call deletes.
const DELETE_MAX: usize = 10;

/// A definition that can be registered: all that does not depend on the state is done.
pub struct Prepared {
    family: Family,
    /// Without what the registration adds.
    shape: shapes::TaskDefinition,
    document: record::Compiled,
    tags: longshore_domain::tags::Tags,
}

/// Checking a definition and filling in its defaults is the long part of a registration.
impl Command<Ecs> for ops::RegisterTaskDefinition {
    type Parsed = Prepared;
    type Answer = RegisterTaskDefinitionResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        // The rules of definitions speak first: their texts are those that people know.
        let modelled = input::check_client(&input);
        let tags = input.tags.take().unwrap_or_default();
        let normalised = task_definition::normalise(input, &Owner { scope: &cx.caller.scope })
            .map_err(|error| ClientException::new(error.to_string()))?;
        modelled?;
        let tags = tags::parse(tags)?;
        let text = documents::keep(&normalised.shape);
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(ClientException::new(texts::TASK_DEFINITION_LARGE).into());
        }
        let spec = task_definition::compile_shape(&normalised.shape)
            .map_err(|error| ClientException::new(error.to_string()))?;
        let document = record::Compiled::with(text, spec);
        Ok(Prepared { family: normalised.family, shape: normalised.shape, document, tags })
    }

    fn resources(state: &State, caller: &Caller, parsed: &Self::Parsed) -> Resources {
        let Prepared { family, shape, tags, .. } = parsed;
        let ask = permission::of::<Self>(state, caller);
        let made = permission::arn(caller, "task-definition", &format!("{family}:*"));
        let compatibilities = shape.requires_compatibilities.iter().flatten();
        let privileged = shape.container_definitions.iter().flatten().any(|own| own.privileged == Some(true));
        let own = Resources::from(ask.on(made.clone()))
            .list("ecs:compute-compatibility", compatibilities.map(|word| word.as_str().to_owned()))
            .key("ecs:privileged", privileged.to_string())
            .maybe("ecs:task-cpu", shape.cpu.clone())
            .maybe("ecs:task-memory", shape.memory.clone());
        let roles = [shape.task_role_arn.as_deref(), shape.execution_role_arn.as_deref()];
        ask.tagging(own, tags, &made).and(permission::pass_roles(caller, permission::TASKS, roles))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, parsed: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let Prepared { family, shape, document, tags } = parsed;
        let known = tx.ecs().realm(&caller.scope).and_then(|realm| realm.family(family.as_str()));
        let revision = known.map_or(1, FamilyTable::next_revision);
        if revision > REVISIONS_MAX {
            return Err(LimitExceededException::new(texts::FAMILY_FULL).into());
        }
        let record = record::TaskDefinition {
            family,
            revision,
            status: Status::Active,
            registered_at: tx.now,
            registered_by: caller.principal.clone(),
            deregistered_at: None,
            delete_requested_at: None,
            document,
            tags,
        };
        let answer = RegisterTaskDefinitionResponse {
            tags: (!record.tags.is_empty()).then(|| tags::shapes(&record.tags)),
            task_definition: Some(completed(&caller.scope, &record, shape)),
        };
        tx.put_definition(&caller.scope, record);
        Ok(answer)
    }
}

/// What DescribeTaskDefinition found. Making the answer of it reads the whole definition: not under a lock.
#[derive(Debug)]
pub struct Described {
    scope: Scope,
    definition: Arc<record::TaskDefinition>,
    with_tags: bool,
}

impl From<Described> for DescribeTaskDefinitionResponse {
    fn from(described: Described) -> Self {
        let Described { scope, definition, with_tags } = described;
        Self {
            tags: with_tags.then(|| tags::shapes(&definition.tags)),
            task_definition: Some(shape(&scope, &definition)),
        }
    }
}

impl Query<Ecs> for ops::DescribeTaskDefinition {
    type Parsed = Self::Input;
    type Answer = Described;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check_client(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, _: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all()
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        match identifiers::definition(
            state,
            &caller.scope,
            input.task_definition.as_deref().unwrap_or_default(),
        ) {
            Ok(definition) => Ok(Described {
                scope: caller.scope.clone(),
                definition: definition.clone(),
                with_tags: input.include.is_some_and(|fields| fields.contains(&TaskDefinitionField::Tags)),
            }),
            Err(NoDefinition::NotFound) => Err(ClientException::new(texts::DEFINITION_UNKNOWN).into()),
            Err(error @ (NoDefinition::Revision(_) | NoDefinition::Malformed)) => {
                Err(InvalidParameterException::new(error.to_string()).into())
            }
        }
    }
}

impl Command<Ecs> for ops::DeregisterTaskDefinition {
    type Parsed = Self::Input;
    type Answer = DeregisterTaskDefinitionResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check_client(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, _: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all()
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let unknown = || ClientException::new(texts::DEREGISTER_UNKNOWN);
        let name =
            identifiers::definition_name(&caller.scope, input.task_definition.as_deref().unwrap_or_default());
        let name = name.map_err(|error| match error {
            NoDefinition::NotFound => DeregisterTaskDefinitionError::from(unknown()),
            NoDefinition::Revision(_) | NoDefinition::Malformed => {
                InvalidParameterException::new(error.to_string()).into()
            }
        })?;
        let revision = name.revision.ok_or_else(|| ClientException::new(texts::REVISION_MISSING))?;
        let definition = tx.ecs().definition(&caller.scope, &name.family, revision).ok_or_else(unknown)?;
        let mut record = record::TaskDefinition::clone(definition);
        match record.status {
            Status::Active => {
                record.status = Status::Inactive;
                record.deregistered_at = Some(tx.now);
                tx.put_definition(&caller.scope, record.clone());
            }
            // It is answered as it is; there is no way back (ecs-behaviour A7).
            Status::Inactive | Status::DeleteInProgress => {}
        }
        Ok(DeregisterTaskDefinitionResponse { task_definition: Some(shape(&caller.scope, &record)) })
    }
}

impl Command<Ecs> for ops::DeleteTaskDefinitions {
    type Parsed = Self::Input;
    type Answer = DeleteTaskDefinitionsResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        ask.on_definitions(input.task_definitions.iter().flatten().map(String::as_str))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let named = input.task_definitions.unwrap_or_default();
        if named.is_empty() {
            return Err(InvalidParameterException::new(texts::DELETE_NONE).into());
        }
        if named.len() > DELETE_MAX {
            return Err(InvalidParameterException::new(texts::DELETE_MANY).into());
        }
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for named in named {
            match delete(tx, caller, &named) {
                Ok(record) => deleted.push(shape(&caller.scope, &record)),
                Err(reason) => failures.push(failures::failure(would_be_arn(caller, &named), reason)),
            }
        }
        Ok(DeleteTaskDefinitionsResponse { task_definitions: Some(deleted), failures: Some(failures) })
    }
}

/// Asks for the deletion of one revision; the sweep removes it when nothing refers to it any more.
fn delete(tx: &mut Tx<'_>, caller: &Caller, named: &str) -> Result<record::TaskDefinition, &'static str> {
    let name = identifiers::definition_name(&caller.scope, named).map_err(|error| match error {
        NoDefinition::NotFound => texts::DELETE_MISSING,
        NoDefinition::Revision(_) | NoDefinition::Malformed => texts::DELETE_INVALID,
    })?;
    let revision = name.revision.ok_or(texts::DELETE_INVALID)?;
    let definition = tx.ecs().definition(&caller.scope, &name.family, revision);
    let mut record = record::TaskDefinition::clone(definition.ok_or(texts::DELETE_MISSING)?);
    match record.status {
        Status::Active => return Err(texts::DELETE_ACTIVE),
        Status::Inactive => {
            record.status = Status::DeleteInProgress;
            record.delete_requested_at = Some(tx.now);
            tx.put_definition(&caller.scope, record.clone());
        }
        Status::DeleteInProgress => {}
    }
    Ok(record)
}

impl Query<Ecs> for ops::ListTaskDefinitions {
    type Parsed = (Self::Input, Page);
    type Answer = ListTaskDefinitionsResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let asked = (input.max_results.take(), input.next_token.take());
        input::check(&input)?;
        let page = Page::open("ListTaskDefinitions", cx.caller, &input, asked, paging::LIST)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, _: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all()
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let status =
            input.status.as_ref().and_then(|status| Status::parse(status.as_str())).unwrap_or(Status::Active);
        let falling = input.sort == Some(SortOrder::Desc);
        // Named a prefix, but documented to be a whole family (ecs-operations B3).
        let wanted =
            |family: &Family| input.family_prefix.as_deref().is_none_or(|name| name == family.as_str());
        let families = state.ecs().realm(&caller.scope).into_iter().flat_map(|realm| realm.families());
        let mut families: Vec<_> = families.filter(|(family, _)| wanted(family)).collect();
        if falling {
            families.reverse();
        }
        let after = page.after().and_then(read_place);
        let begins_before = |family: &str, revision: u32| {
            after.is_some_and(
                |after| if falling { (family, revision) >= after } else { (family, revision) <= after },
            )
        };
        let revisions = families.into_iter().flat_map(|(_, table)| in_order(table, falling));
        let wanted = revisions
            .filter(|definition| definition.status == status)
            .skip_while(|definition| begins_before(definition.family.as_str(), definition.revision));
        let (definitions, next_token) = page.fill(wanted, |definition| place(definition));
        let arn = |definition: &Arc<record::TaskDefinition>| {
            caller.scope.task_definition_arn(&definition.family, definition.revision)
        };
        let arns = definitions.into_iter().map(arn).collect();
        Ok(ListTaskDefinitionsResponse { task_definition_arns: Some(arns), next_token })
    }
}

fn in_order(
    table: &FamilyTable,
    falling: bool,
) -> Box<dyn Iterator<Item = &Arc<record::TaskDefinition>> + '_> {
    let revisions = table.revisions().values();
    if falling { Box::new(revisions.rev()) } else { Box::new(revisions) }
}

/// A revision's place in the list: a blank cannot be part of a family.
fn place(definition: &record::TaskDefinition) -> String {
    format!("{} {}", definition.family, definition.revision)
}

fn read_place(place: &str) -> Option<(&str, u32)> {
    let (family, revision) = place.split_once(' ')?;
    Some((family, revision.parse().ok()?))
}

impl Query<Ecs> for ops::ListTaskDefinitionFamilies {
    type Parsed = (Self::Input, Page);
    type Answer = ListTaskDefinitionFamiliesResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let asked = (input.max_results.take(), input.next_token.take());
        input::check(&input)?;
        let page = Page::open("ListTaskDefinitionFamilies", cx.caller, &input, asked, paging::LIST)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, _: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all()
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let prefix = input.family_prefix.as_deref().unwrap_or_default();
        let wanted = |table: &FamilyTable| match input.status {
            Some(TaskDefinitionFamilyStatus::Active) => table.latest_active().is_some(),
            Some(TaskDefinitionFamilyStatus::Inactive) => table.latest_active().is_none(),
            Some(TaskDefinitionFamilyStatus::All | TaskDefinitionFamilyStatus::Unrecognized(_)) | None => {
                true
            }
        };
        let families = state.ecs().realm(&caller.scope).into_iter().flat_map(|realm| realm.families());
        let families = families
            .filter(|(family, table)| family.as_str().starts_with(prefix) && wanted(table))
            .map(|(family, _)| family.to_string());
        let (families, next_token) = page.fill_rising(families, String::clone);
        Ok(ListTaskDefinitionFamiliesResponse { families: Some(families), next_token })
    }
}

/// A stored revision as the API shows it.
pub fn shape(scope: &Scope, record: &record::TaskDefinition) -> shapes::TaskDefinition {
    completed(scope, record, documents::recall(record.document()).unwrap_or_default())
}

/// Adds what the registration gave the definition.
fn completed(
    scope: &Scope,
    record: &record::TaskDefinition,
    document: shapes::TaskDefinition,
) -> shapes::TaskDefinition {
    shapes::TaskDefinition {
        task_definition_arn: Some(scope.task_definition_arn(&record.family, record.revision)),
        family: Some(record.family.to_string()),
        revision: i32::try_from(record.revision).ok(),
        status: Some(record.status.as_str().into()),
        registered_at: Some(record.registered_at),
        registered_by: Some(record.registered_by.to_string()),
        deregistered_at: record.deregistered_at,
        delete_requested_at: record.delete_requested_at,
        ..document
    }
}

fn would_be_arn(caller: &Caller, named: &str) -> String {
    if Arn::looks_like_one(named) {
        return named.to_owned();
    }
    let Scope { account, region } = &caller.scope;
    format!("arn:{}:ecs:{region}:{account}:task-definition/{named}", caller.scope.partition().as_str())
}
