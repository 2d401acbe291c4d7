//! Roles: what users do to them, and whether tasks that run with one have credentials that are worth something.
//!
//! Containers ask as they do: at the agent's surface, under the path in their environment, from their own address. What they
//! get is opened in the server's state and judged by the records of roles as they were written and by times that are kept
//! here; whether a session is refused that has to be, the shipped checks are asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{AccountId, Arn, ClusterName, ContainerName, TaskId, Timestamp, percent};
use longshore_controllers::roles;
use longshore_domain::DesiredStatus;
use longshore_engine::input::{FoundContainer, ObservedStatus};
use longshore_engine::spec::{ContainerKey, ContainerSpec};
use longshore_engine::view::KnownStatus;
use longshore_node::surface::{self, Answer, Asked, Lookup, Reply};
use longshore_runtime::port::LabelFilter;
use longshore_tables_ecs::ClusterKey;
use longshore_tables_ecs::record::Task;
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::record::Role;
use longshore_tables_iam::session::{self, Of, Token};
use longshore_wire::parse_iso8601;
use serde_json::Value;

use super::users::Wish;
use super::{Event, World, watch};
use crate::images::{Image, ROLES};

/// How often containers ask for their credentials.
pub(super) const ASKED_EVERY: Duration = Duration::from_secs(20);
/// A connection renews all within a minute of its begin (identity J8). Delays of the network, the disk and a server's time
/// that runs slow come on top.
const RENEWED_AFTER: Duration = Duration::from_secs(60 + SLACK_SECS);
/// A role that comes back under an open connection is noticed within five minutes, and what an agent was not known to have
/// is tried for again a minute later.
const NOTICED_AFTER: Duration = Duration::from_secs(300 + 2 * 60 + SLACK_SECS);
const SLACK_SECS: u64 = 30;
/// Nobody who is renewed in time is told of an end that is nearer than this (identity J8).
const LEFT_MIN: Duration = Duration::from_secs(15 * 60);

const TRUSTS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ecs-tasks.amazonaws.com"}}}"#;
const TRUSTS_OTHERS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}}"#;

/// The operations of the script that are IAM's.
pub(super) const OPERATIONS: [&str; 3] = ["CreateRole", "DeleteRole", "UpdateAssumeRolePolicy"];

#[derive(Default)]
pub(super) struct Roles {
    /// Those that there ever were, by account and name.
    known: BTreeMap<(AccountId, Arc<str>), Known>,
    tasks: BTreeMap<TaskId, Seen>,
    /// The path under which a container asks.
    paths: BTreeMap<(usize, ContainerKey), String>,
    /// The end that a container was told last, and by which process of its agent.
    ends: BTreeMap<(usize, ContainerKey), (u64, Timestamp)>,
    /// What was given to containers of a task last, until it has been found to be refused after the task's end.
    given: BTreeMap<TaskId, (AccountId, String, String)>,
}

/// A role as it was written last.
struct Known {
    /// `None`: it was deleted.
    id: Option<Arc<str>>,
    trusts: bool,
    /// Since when both are so.
    since: Timestamp,
}

impl Known {
    /// Its id, if ECS may assume it.
    fn usable(&self) -> Option<&Arc<str>> {
        self.id.as_ref().filter(|_| self.trusts)
    }
}

/// When a task was made, and when the server had first heard of it from its agent.
struct Seen {
    made_at: Timestamp,
    told_at: Option<Timestamp>,
}

/// What came of a question.
struct Heard {
    /// Of a session of the role as it is now.
    is_valid: bool,
    end: Option<Timestamp>,
    /// Access key's id and token.
    given: Option<(String, String)>,
}

/// What users have said of a role: whether it is there, and whether it trusts ECS.
pub(super) fn said(operation: &str, body: &str) -> Option<(String, Option<bool>)> {
    let name = body.split('&').find_map(|pair| pair.strip_prefix("RoleName="))?;
    let trusts = (operation != "DeleteRole").then(|| body.contains("ecs-tasks"));
    Some((name.to_owned(), trusts))
}

impl World {
    /// The first cluster of each account: roles are the same in all regions.
    fn places_of_accounts(&self) -> Vec<usize> {
        let account = |at: usize| self.clusters[at].scope.account;
        let is_first = |&at: &usize| (0..at).all(|before| account(before) != account(at));
        (0..self.clusters.len()).filter(is_first).collect()
    }

    /// How many roles are there before anything begins.
    pub(super) fn roles_count(&self) -> usize {
        self.places_of_accounts().len() * ROLES.len()
    }

    /// A role of the script, with a place of its account.
    fn role_of(&self, number: u8) -> (usize, &'static str) {
        let places = self.places_of_accounts();
        let number = usize::from(number);
        (places[number / ROLES.len() % places.len()], ROLES[number % ROLES.len()])
    }

    pub(super) fn prepare_roles(&mut self) {
        for number in 0..self.roles_count() {
            self.make_role(number as u8);
        }
    }

    pub(super) fn make_role(&mut self, number: u8) {
        let (place, name) = self.role_of(number);
        let trust = percent::encode(TRUSTS);
        self.ask_iam(place, "CreateRole", &format!("RoleName={name}&AssumeRolePolicyDocument={trust}"));
    }

    pub(super) fn delete_role(&mut self, number: u8) {
        let (place, name) = self.role_of(number);
        self.ask_iam(place, "DeleteRole", &format!("RoleName={name}"));
    }

    pub(super) fn trust_role(&mut self, number: u8, trusts: bool) {
        let (place, name) = self.role_of(number);
        let trust = percent::encode(if trusts { TRUSTS } else { TRUSTS_OTHERS });
        self.ask_iam(place, "UpdateAssumeRolePolicy", &format!("RoleName={name}&PolicyDocument={trust}"));
    }

    fn ask_iam(&mut self, place: usize, operation: &'static str, members: &str) {
        let body = format!("Action={operation}&Version=2010-05-08&{members}");
        self.wish(Wish::of(place, operation, body));
    }

    /// Whoever looks after the roles brings back what is missing, once faults have ceased.
    pub(super) fn mend_roles(&mut self) {
        if self.server.up.is_none() {
            return;
        }
        for number in 0..self.roles_count() {
            let (place, name) = self.role_of(number as u8);
            let known = self.roles.known.get(&(self.clusters[place].scope.account, name.into()));
            match known {
                Some(known) if known.usable().is_some() => {}
                Some(known) if known.id.is_some() => self.trust_role(number as u8, true),
                Some(_) | None => self.make_role(number as u8),
            }
        }
    }

    /// Compares the roles with what was known of them.
    pub(super) fn watch_roles(&mut self) {
        let Some(running) = &self.server.up else { return };
        let mut found: BTreeMap<(AccountId, Arc<str>), (Arc<str>, bool)> = BTreeMap::new();
        // ECS's own role of the account is nobody's here.
        let of_users = |role: &Role| ROLES.contains(&&*role.own.name);
        for (key, role) in running.records.of::<Role>().filter(|(_, role)| of_users(role)) {
            let trusts = role.trust.text().contains("ecs-tasks");
            found.insert((key.account, role.own.name.clone()), (key.id.clone(), trusts));
        }
        let now = self.now;
        for (name, known) in &mut self.roles.known {
            let (id, trusts) = match found.remove(name) {
                Some((id, trusts)) => (Some(id), trusts),
                None => (None, false),
            };
            if (&known.id, known.trusts) != (&id, trusts) {
                *known = Known { id, trusts, since: now };
            }
        }
        for (name, (id, trusts)) in found {
            self.roles.known.insert(name, Known { id: Some(id), trusts, since: now });
        }
    }

    /// Whether a role trusts ECS; `None` if it is not there.
    pub(super) fn role_as_written(&self, account: AccountId, name: &str) -> Option<bool> {
        let known = self.roles.known.get(&(account, name.into()))?;
        known.id.as_ref().map(|_| known.trusts)
    }

    /// A transaction has written a task.
    pub(super) fn watch_role_of(&mut self, task: &Task) {
        let now = self.now;
        let seen = self.roles.tasks.entry(task.id).or_insert(Seen { made_at: now, told_at: None });
        if task.connectivity_at.is_some() {
            seen.told_at.get_or_insert(now);
        }
    }

    /// A container is about to be made: its environment says where it asks, if its task runs with a role.
    pub(super) fn watch_environment(&mut self, index: usize, container: &ContainerKey, spec: &ContainerSpec) {
        let image = watch::task_of(container).and_then(|id| self.task_record(id)).and_then(image_of);
        let path = spec.environment.0.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let has_role = image.is_some_and(|image| image.roles().0.is_some());
        match path {
            Some(path) => {
                self.roles.paths.insert((index, container.clone()), path.clone());
            }
            None if has_role && container.name != ContainerName::pause() => {
                let text = format!("m{index} makes {container:?} without telling it where its role is");
                self.fail("credentials", text);
            }
            None => {}
        }
    }

    /// All containers ask for their credentials.
    pub(super) fn containers_ask(&mut self) {
        self.push(self.now + ASKED_EVERY, Event::Ask);
        for index in 0..self.machines.len() {
            if !self.machines[index].alive || self.machines[index].agent.is_none() {
                continue;
            }
            let running = self.containers_with_roles(index);
            for (number, found) in running.iter().enumerate() {
                let heard = match self.container_asks(index, found) {
                    Ok(heard) => heard,
                    Err(text) => {
                        return self.fail("credentials", format!("m{index} {:?}: {text}", found.container));
                    }
                };
                self.note_end(index, &found.container, &heard);
                let other = &running[(number + 1) % running.len()];
                // The scripted engine draws addresses, and may give one twice.
                if other.container.task != found.container.task
                    && self.address(index, found) != self.address(index, other)
                    && self.container_is_told(index, found, other).is_some_and(|answer| answer.status == 200)
                {
                    let text = format!("{:?} gets the credentials of {:?}", other.container, found.container);
                    return self.fail("credentials", text);
                }
            }
        }
        self.check_ended_sessions();
    }

    /// Containers that run on a machine and know where to ask, but those that no agent knows of.
    fn containers_with_roles(&self, index: usize) -> Vec<FoundContainer> {
        let machine = &self.machines[index];
        let mut found = machine.docker.world.list(&LabelFilter::default());
        found.retain(|found| {
            let id = watch::task_of(&found.container);
            found.observation.status == ObservedStatus::Running
                && self.roles.paths.contains_key(&(index, found.container.clone()))
                && id.is_some_and(|id| !machine.orphans.contains(&id))
        });
        found
    }

    /// Ends never come nearer, as long as one process of the agent tells them.
    fn note_end(&mut self, index: usize, container: &ContainerKey, heard: &Heard) {
        if let (Some((key, token)), Some((at, id))) = (&heard.given, home(container)) {
            self.roles.given.insert(id, (at.scope.account, key.clone(), token.clone()));
        }
        let Some(end) = heard.end else { return };
        let process = self.machines[index].incarnation;
        let left = end.since(self.now).as_secs();
        self.tally.credentials_given += 1;
        self.tally.least_left_secs = Some(self.tally.least_left_secs.map_or(left, |least| least.min(left)));
        let before = self.roles.ends.insert((index, container.clone()), (process, end));
        if let Some((_, before)) = before.filter(|(of, before)| *of == process && *before > end) {
            let text =
                format!("{container:?} was told {before:?} for the end of its credentials, now {end:?}");
            self.fail("credentials", text);
        }
    }

    /// What the agent answers under a container's path to whoever has the address of another one, or of itself.
    fn container_is_told(
        &self,
        index: usize,
        owner: &FoundContainer,
        asker: &FoundContainer,
    ) -> Option<Answer> {
        let machine = &self.machines[index];
        let core = &machine.agent.as_ref()?.core;
        let path = self.roles.paths.get(&(index, owner.container.clone()))?;
        let asked = Asked {
            method: "GET".to_owned(),
            path: path.clone(),
            query: String::new(),
            body: Vec::new(),
            peer: Some(self.address(index, asker)?),
            container: None,
        };
        match surface::tasks(core, &asked) {
            Reply::Now(answer) => Some(answer),
            Reply::Later(Lookup::Addresses { containers, peer, answers }) => {
                let has_it = containers.iter().any(|id| {
                    let observed = machine.docker.world.inspect(id);
                    observed.is_ok_and(|own| {
                        own.networks.iter().any(|own| address_of(own.ipv4.as_deref()) == Some(peer))
                    })
                });
                Some(if has_it { answers.0 } else { answers.1 })
            }
            Reply::Later(Lookup::Stats { .. } | Lookup::Tags { .. } | Lookup::Protection { .. }) => None,
        }
    }

    /// Of a container, or of its task's network.
    fn address(&self, index: usize, found: &FoundContainer) -> Option<IpAddr> {
        let of_task =
            |(machine, key): &(usize, ContainerKey)| *machine == index && key.task == found.container.task;
        let own = self.watch.addresses.iter().find(|(key, _)| of_task(key));
        let observed = || address_of(found.observation.networks.first()?.ipv4.as_deref());
        own.map(|(_, address)| IpAddr::from(*address)).or_else(observed)
    }

    /// A container asks for its credentials.
    ///
    /// # Errors
    /// With what is wrong about the answer.
    fn container_asks(&self, index: usize, found: &FoundContainer) -> Result<Heard, String> {
        let nothing = Heard { is_valid: false, end: None, given: None };
        let (Some((at, id)), Some(answer)) =
            (home(&found.container), self.container_is_told(index, found, found))
        else {
            return Ok(nothing);
        };
        let task = self.task_record(id);
        let heard = match answer.status {
            200 => self.judge_credentials(&at, id, &answer.body)?,
            _ => nothing,
        };
        let Some((task, image)) = task.and_then(|task| Some((task, image_of(task)?))) else {
            return Ok(heard);
        };
        let role = image.roles().0.and_then(|name| self.roles.known.get(&(at.scope.account, name.into())));
        if task.desired_status == DesiredStatus::Stopped || heard.is_valid {
            return match (heard.end, self.is_renewed(index, id)) {
                (Some(end), true) if end.since(self.server_now()) < LEFT_MIN => {
                    Err(format!("the end is near, and was not renewed: {end:?}"))
                }
                _ => Ok(heard),
            };
        }
        if answer.status == 400 && !self.is_known_to_run(index, &found.container) {
            return Ok(heard);
        }
        match role {
            Some(role) if role.usable().is_some() && self.must_be_valid(index, id, role) => Err(format!(
                "its role is there since {:?}, and it has no credentials of it: {} {}",
                role.since,
                answer.status,
                if answer.status == 200 { "" } else { answer.body.as_str() },
            )),
            Some(_) | None => Ok(heard),
        }
    }

    /// Whether the agent has heard that a container runs: before that it may know nobody of this address.
    fn is_known_to_run(&self, index: usize, container: &ContainerKey) -> bool {
        let core = self.machines[index].agent.as_ref().map(|agent| &agent.core);
        let task = core.and_then(|core| core.engine().task_view(&container.task));
        task.is_some_and(|task| {
            task.containers()
                .any(|own| own.definition().name == container.name && own.status() == KnownStatus::Running)
        })
    }

    /// Whether a connection has been open for as long as it takes to renew what the agent has of a task.
    fn is_renewed(&self, index: usize, id: TaskId) -> bool {
        let told_at = self.roles.tasks.get(&id).and_then(|seen| seen.told_at);
        match (self.connected_since(index), told_at) {
            (Some((begun, since)), Some(told_at)) => told_at <= begun && since + RENEWED_AFTER <= self.now,
            _ => false,
        }
    }

    /// Whether a task whose role is there has to have credentials of it by now.
    fn must_be_valid(&self, index: usize, id: TaskId, role: &Known) -> bool {
        let Some(seen) = self.roles.tasks.get(&id) else { return false };
        // They came with its payload, and nothing has happened to either since.
        if role.since < seen.made_at && self.machines[index].agent_since < seen.made_at {
            return true;
        }
        let Some((begun, since)) = self.connected_since(index) else { return false };
        let Some(told_at) = seen.told_at else { return false };
        if role.since < begun && told_at <= begun {
            return since + RENEWED_AFTER <= self.now;
        }
        since.max(told_at).max(role.since) + NOTICED_AFTER <= self.now
    }

    /// Reads what a container was given.
    fn judge_credentials(&self, at: &ClusterKey, id: TaskId, body: &str) -> Result<Heard, String> {
        let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let text = |member: &str| body[member].as_str().unwrap_or_default();
        let image = self.task_record(id).and_then(image_of);
        let name = image.and_then(|image| image.roles().0);
        let arn = name.map(|name| format!("arn:aws:iam::{}:role/{name}", at.scope.account));
        if arn.as_deref().is_some_and(|arn| arn != text("RoleArn")) {
            return Err(format!("it is given {}, and its role is {name:?}", text("RoleArn")));
        }
        let end = parse_iso8601(text("Expiration")).ok_or("an end that is no time")?;
        let (key, token) = (text("AccessKeyId"), text("Token"));
        let given = Some((key.to_owned(), token.to_owned()));
        let Some(running) = &self.server.up else {
            return Ok(Heard { is_valid: true, end: Some(end), given });
        };
        let Token::Opened(opened) = session::open(&running.state, key, token) else {
            return Err("what was sent to it is not known here any more".to_owned());
        };
        let session = &opened.session;
        let own = session.task.as_ref().map(|task| (&*task.region, &*task.cluster, task.id.to_string()));
        let expected = (at.scope.region.as_str(), at.cluster.as_str(), id.to_string());
        let Of::Role { id: role, name: called } = &session.of else {
            return Err(format!("a session of {:?}", session.of));
        };
        if own != Some(expected) || opened.account != at.scope.account || **called != *id.to_string() {
            return Err(format!("it has the session of another task: {session:?}"));
        }
        if session.expires.as_millis().div_euclid(1000) != end.as_millis() / 1000 {
            return Err(format!("it is told {end:?}, and the session ends at {:?}", session.expires));
        }
        let is_there = running.records.get::<Role>(&OwnKey::new(at.scope.account, role)).is_some();
        if session::is_live(&running.state, at.scope.account, session) != is_there {
            return Err(format!(
                "role {role} is there: {is_there}, and its session is taken for the opposite"
            ));
        }
        let known = name.and_then(|name| self.roles.known.get(&(at.scope.account, name.into())));
        let is_valid = known.is_some_and(|known| known.id.as_ref() == Some(role)) && is_there;
        Ok(Heard { is_valid, end: Some(end), given })
    }

    /// The sessions of tasks that have ended are worth nothing.
    fn check_ended_sessions(&mut self) {
        let Some(running) = &self.server.up else { return };
        let mut kept = None;
        let ended: Vec<TaskId> = { self.roles.given.keys() }
            .filter(|id| self.task_record(**id).is_none_or(|task| task.last_status.is_stopped()))
            .copied()
            .collect();
        for id in &ended {
            let Some((account, key, token)) = self.roles.given.get(id) else { continue };
            if let Token::Opened(opened) = session::open(&running.state, key, token)
                && roles::is_at_work(&running.state, *account, &opened.session)
            {
                kept = Some(*id);
            }
        }
        self.roles.given.retain(|id, _| !ended.contains(id));
        if let Some(id) = kept {
            self.fail("credentials", format!("task {id} has ended, and its session goes on"));
        }
    }

    /// Tasks that wait for their credentials, and roles that are not as they shall be in the end.
    pub(super) fn unsettled_roles(&self, open: &mut Vec<String>) {
        for ((account, name), known) in &self.roles.known {
            if known.usable().is_none() {
                open.push(format!("role {name} of {account} is not there, or does not trust ECS"));
            }
        }
        for (index, machine) in self.machines.iter().enumerate() {
            if !machine.alive || self.instance_of(index).is_none() {
                continue;
            }
            for found in self.containers_with_roles(index) {
                let lives =
                    home(&found.container).and_then(|(_, id)| self.task_record(id)).is_some_and(|task| {
                        task.desired_status == DesiredStatus::Running && task.last_status.is_running()
                    });
                if lives && !self.container_asks(index, &found).is_ok_and(|heard| heard.is_valid) {
                    open.push(format!("m{index} {:?} has no credentials", found.container));
                }
            }
        }
    }
}

/// The cluster and the id of a container's task.
fn home(container: &ContainerKey) -> Option<(ClusterKey, TaskId)> {
    let arn = Arn::parse(container.task.arn()).ok()?;
    let (cluster, id) = arn.rest.split_once('/')?;
    let cluster = ClusterName::parse(cluster).ok()?;
    Some((ClusterKey::new(arn.scope, cluster), TaskId::parse(id).ok()?))
}

fn image_of(task: &Task) -> Option<Image> {
    Image::of_family(task.origin.family.as_str())
}

fn address_of(text: Option<&str>) -> Option<IpAddr> {
    text?.parse().ok()
}
