//! What policies would say: the same evaluator that decides (identity J4).

use longshore_policy::{
    Asker, By, Context, Decision, Kind, Layers, Policy, Question, ResourcePolicy, Statement, Who,
};
use longshore_service::Caller;
use longshore_shapes_iam::{
    ContextEntry, EvaluationResult, InvalidInputException, PermissionsBoundaryDecisionDetail,
    PolicyEvaluationDecisionType, PolicySourceType, Position, SimulateCustomPolicyRequest,
    SimulatePolicyResponse, SimulatePrincipalPolicyRequest, Statement as StatementShape,
};
use longshore_state::State;
use longshore_tables_iam::arn::IamArn;
use longshore_tables_iam::record::{IdentityPolicy, PolicyRef};
use longshore_tables_iam::{Source, positions};

use super::context_keys::{self, ContextKeys, PolicySource, on_source, read};
use super::input::given;
use super::paging::Page;
use super::{find, shape};

/// A policy that has a say, and what it is called in the answer.
struct Named<'a> {
    id: String,
    kind: PolicySourceType,
    text: &'a str,
    policy: &'a Policy,
}

/// Everything that the question depends on.
struct Simulation<'a> {
    who: Who,
    /// The account of the resources.
    owner: String,
    context: Context,
    identity: Vec<Named<'a>>,
    boundary: Option<Named<'a>>,
    resource: Option<Named<'a>>,
    actions: Vec<String>,
    resources: Vec<String>,
}

/// What both operations are given.
struct Given {
    actions: Option<Vec<String>>,
    resources: Option<Vec<String>>,
    entries: Option<Vec<ContextEntry>>,
    owner: Option<String>,
    caller_arn: Option<String>,
}

impl Given {
    fn simulation<'a>(self, caller: &Caller) -> Simulation<'a> {
        let account = caller.scope.account.to_string();
        let mut context = Context::new();
        for entry in self.entries.into_iter().flatten() {
            let values = entry.context_key_values.unwrap_or_default();
            context.set_all(entry.context_key_name.as_deref().unwrap_or_default(), values);
        }
        let asker = Asker::User { arn: self.caller_arn.unwrap_or_default(), id: String::new() };
        let owner = self.owner.as_deref().and_then(|arn| arn.split(':').nth(4));
        Simulation {
            owner: owner.filter(|owner| !owner.is_empty()).unwrap_or(&account).to_owned(),
            who: Who { account, asker },
            context,
            identity: Vec::new(),
            boundary: None,
            resource: None,
            actions: self.actions.unwrap_or_default(),
            resources: self.resources.filter(|list| !list.is_empty()).unwrap_or_else(|| vec!["*".to_owned()]),
        }
    }
}

/// The policies of a request, numbered as the answer names them.
fn numbered<'a>(policies: &'a [IdentityPolicy], list: &str) -> impl Iterator<Item = Named<'a>> {
    policies.iter().enumerate().map(move |(index, policy)| Named {
        id: format!("{list}.{}", index + 1),
        kind: PolicySourceType::from("IAM Policy"),
        text: policy.text(),
        policy: policy.policy(),
    })
}

fn resource_policy(text: Option<&String>) -> Result<Option<(&str, Policy)>, InvalidInputException> {
    let Some(text) = text else { return Ok(None) };
    let policy = Policy::read(text, Kind::Resource);
    let policy =
        policy.map_err(|invalid| InvalidInputException::new(format!("Invalid policy: {invalid}")))?;
    Ok(Some((text, policy)))
}

fn of_resource<'a>(policy: &'a Option<(&'a str, Policy)>) -> Option<Named<'a>> {
    let (text, policy) = policy.as_ref()?;
    Some(Named { id: "ResourcePolicy.1".to_owned(), kind: PolicySourceType::Resource, text, policy })
}

list!(SimulateCustomPolicy, |ask, _input| ask.on_all(), |_state, caller, input, page| {
    let SimulateCustomPolicyRequest { action_names, resource_arns, context_entries, .. } = input;
    let policies = read(input.policy_input_list.as_ref())?;
    let boundaries = read(input.permissions_boundary_policy_input_list.as_ref())?;
    let resource = resource_policy(input.resource_policy.as_ref())?;
    let given = Given {
        actions: action_names,
        resources: resource_arns,
        entries: context_entries,
        owner: input.resource_owner,
        caller_arn: input.caller_arn,
    };
    let mut simulation = given.simulation(caller);
    simulation.identity.extend(numbered(&policies, "PolicyInputList"));
    simulation.boundary = numbered(&boundaries, "PermissionsBoundaryPolicyInputList").next();
    simulation.resource = of_resource(&resource);
    Ok(simulation.run(&page))
});

list!(
    SimulatePrincipalPolicy,
    |ask, input| on_source(ask, given(&input.policy_source_arn)),
    |state, caller, input, page| {
        let SimulatePrincipalPolicyRequest { action_names, resource_arns, context_entries, .. } = input;
        let policies = read(input.policy_input_list.as_ref())?;
        let boundaries = read(input.permissions_boundary_policy_input_list.as_ref())?;
        let resource = resource_policy(input.resource_policy.as_ref())?;
        let arn = given(&input.policy_source_arn);
        let source = PolicySource::find(state, caller, arn)?;
        let given = Given {
            actions: action_names,
            resources: resource_arns,
            entries: context_entries,
            owner: input.resource_owner,
            caller_arn: Some(input.caller_arn.unwrap_or_else(|| arn.to_owned())),
        };
        let mut simulation = given.simulation(caller);
        simulation.know(&source, arn);
        source.each(state, caller, &mut |from, policy| {
            simulation.identity.push(named(state, caller, from, policy));
        });
        simulation.identity.extend(numbered(&policies, "PolicyInputList"));
        let own = own_boundary(state, caller, &source);
        simulation.boundary = numbered(&boundaries, "PermissionsBoundaryPolicyInputList").next().or(own);
        simulation.resource = of_resource(&resource);
        Ok(simulation.run(&page))
    }
);

/// One of somebody's policies as the answer names it.
fn named<'s>(state: &'s State, caller: &Caller, from: Source<'s>, policy: &'s IdentityPolicy) -> Named<'s> {
    let (id, kind) = match from {
        Source::Inline { holder, name } => {
            let realm = find::realm(state, caller);
            let (kind, what, of) = if let Some(user) = realm.users().get(holder) {
                (PolicySourceType::User, "user", &user.own.name)
            } else if let Some(role) = realm.roles().get(holder) {
                (PolicySourceType::Role, "role", &role.own.name)
            } else {
                let group = realm.groups().get(holder);
                (PolicySourceType::Group, "group", group.map_or(holder, |group| &group.own.name))
            };
            (format!("{what}_{of}_{name}"), kind)
        }
        Source::Managed(managed) => {
            let kind = match managed {
                PolicyRef::Aws(_) => PolicySourceType::AwsManaged,
                PolicyRef::Own(_) => PolicySourceType::UserManaged,
            };
            (shape::policy_name(state, caller, managed).0.to_owned(), kind)
        }
    };
    Named { id, kind, text: policy.text(), policy: policy.policy() }
}

fn own_boundary<'s>(state: &'s State, caller: &Caller, source: &PolicySource<'s>) -> Option<Named<'s>> {
    let grants = match source {
        PolicySource::User(user) => &user.grants,
        PolicySource::Role(role) => &role.grants,
        PolicySource::Group(group) => &group.grants,
    };
    let boundary = grants.boundary.as_ref()?;
    let document = find::realm(state, caller).document(boundary)?;
    Some(named(state, caller, Source::Managed(boundary), document))
}

impl Simulation<'_> {
    /// What is known of a principal without being told.
    fn know(&mut self, source: &PolicySource<'_>, arn: &str) {
        let (id, name) = match source {
            PolicySource::User(user) => (&user.own.id, Some(&user.own.name)),
            PolicySource::Role(role) => (&role.own.id, None),
            PolicySource::Group(group) => (&group.own.id, None),
        };
        let mut learn = |key: &str, value: &str| {
            if self.context.one(key).is_none() {
                self.context.set(key, value);
            }
        };
        learn("aws:PrincipalArn", arn);
        if let Some(name) = name {
            learn("aws:username", name);
            learn("aws:userid", id);
        }
        if let (PolicySource::User(_), Some(arn)) = (source, IamArn::parse(arn)) {
            self.who.asker = Asker::User { arn: self.asker_arn(), id: id.to_string() };
            self.who.account = arn.account.to_owned();
        }
    }

    fn asker_arn(&self) -> String {
        match &self.who.asker {
            Asker::User { arn, .. } => arn.clone(),
            Asker::Root
            | Asker::Session { .. }
            | Asker::Service(_)
            | Asker::Federated(_)
            | Asker::Anonymous => String::new(),
        }
    }

    /// One result for each action on each resource.
    fn run(&self, page: &Page) -> SimulatePolicyResponse {
        let pairs = self.actions.iter().flat_map(|action| self.resources.iter().map(move |on| (action, on)));
        let paged = page.fill(pairs.enumerate(), |(index, _)| format!("{index:08}"));
        let paged = paged.map(|(_, (action, resource))| self.result(action, resource));
        SimulatePolicyResponse {
            evaluation_results: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        }
    }

    fn result(&self, action: &str, resource: &str) -> EvaluationResult {
        let identity: Vec<&Policy> = self.identity.iter().map(|named| named.policy).collect();
        let layers = Layers {
            identity: &identity,
            boundary: self.boundary.as_ref().map(|named| named.policy),
            session: None,
            resource: self
                .resource
                .as_ref()
                .map(|named| ResourcePolicy { policy: named.policy, is_indispensable: false }),
        };
        let question =
            Question { who: &self.who, action, resource, owner: &self.owner, context: &self.context };
        let (decision, statements) = match longshore_policy::decide(&question, &layers) {
            Decision::Allowed(by) => {
                let statements = by.into_iter().map(|(_, statement)| statement).collect();
                (PolicyEvaluationDecisionType::Allowed, statements)
            }
            Decision::ExplicitDeny(_, statement) => {
                (PolicyEvaluationDecisionType::ExplicitDeny, vec![statement])
            }
            Decision::ImplicitDeny(_) => (PolicyEvaluationDecisionType::ImplicitDeny, Vec::new()),
        };
        let bounded = self.boundary.as_ref().map(|named| {
            let own = [named.policy];
            let alone = Layers { identity: &own, ..Layers::default() };
            let is_allowed = match longshore_policy::decide(&question, &alone) {
                Decision::Allowed(by) => by.iter().any(|(by, _)| *by == By::Identity),
                Decision::ExplicitDeny(..) | Decision::ImplicitDeny(_) => false,
            };
            PermissionsBoundaryDecisionDetail { allowed_by_permissions_boundary: Some(is_allowed) }
        });
        EvaluationResult {
            eval_action_name: Some(action.to_owned()),
            eval_resource_name: Some(resource.to_owned()),
            eval_decision: Some(decision),
            matched_statements: Some(statements.iter().filter_map(|found| self.shown(found)).collect()),
            missing_context_values: Some(self.missing()),
            permissions_boundary_decision_detail: bounded,
            ..EvaluationResult::default()
        }
    }

    fn all(&self) -> impl Iterator<Item = &Named<'_>> {
        self.identity.iter().chain(&self.boundary).chain(&self.resource)
    }

    /// Where a statement stands.
    fn shown(&self, statement: &Statement) -> Option<StatementShape> {
        let place =
            |named: &Named<'_>| named.policy.statements.iter().position(|own| std::ptr::eq(own, statement));
        let (named, index) = self.all().find_map(|named| Some((named, place(named)?)))?;
        let (start, end) = *positions::of_statements(named.text).get(index)?;
        let position = |(line, column): (usize, usize)| Position {
            line: i32::try_from(line).ok(),
            column: i32::try_from(column).ok(),
        };
        Some(StatementShape {
            source_policy_id: Some(named.id.clone()),
            source_policy_type: Some(named.kind.clone()),
            start_position: Some(position(start)),
            end_position: Some(position(end)),
        })
    }

    /// The keys that the policies ask about and nobody told.
    fn missing(&self) -> Vec<String> {
        let mut keys = ContextKeys::new();
        self.all().for_each(|named| context_keys::collect(named.text, &mut keys));
        keys.into_iter().filter(|(lower, _)| !self.context.has(lower)).map(|(_, key)| key).collect()
    }
}
