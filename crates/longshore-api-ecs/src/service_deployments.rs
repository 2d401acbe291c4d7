//! Service deployments and revisions: how a service came to run what it runs (ecs-operations B8,
//! ecs-services E6).

use longshore_base::{Arn, ArnError, DeploymentId, ServiceDeploymentId, ServiceName, Timestamp};
use longshore_controllers::launch::platform_version;
use longshore_rollout::{ServiceDeploymentStatus as Status, StopType, failure_threshold};
use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx, ServiceEntry, ServiceKey, record};

use crate::connections;
use crate::launching::capacity;
use crate::paging::{self, Page};
use crate::services::lookup::{self, Counts, number, recall};
use crate::{Caller, Ecs, documents, failures, identifiers, input, permission, texts};

/// The most deployments or revisions that one call describes (ecs-behaviour A4).
const DESCRIBE_MAX: usize = 20;

/// Lists the deployments of a service, newest first.
impl Query<Ecs> for ops::ListServiceDeployments {
    type Parsed = (Self::Input, Page);
    type Answer = ListServiceDeploymentsResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let asked = (input.max_results.take(), input.next_token.take());
        let page = Page::open("ListServiceDeployments", cx.caller, &input, asked, paging::LIST_DEPLOYMENTS)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "service",
            input.service.as_deref(),
        )
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, cluster) = identifiers::cluster(state, caller, input.cluster.as_deref())?;
        let named = input.service.as_deref().unwrap_or_default();
        let (name, entry) = lookup::find::<ListServiceDeploymentsError>(&at, cluster, named)?;
        let service = entry.record().expect("a service that was found has a record");
        let statuses = input.status.unwrap_or_default();
        let created = input.created_at.unwrap_or_default();
        let passes = |deployment: &&record::ServiceDeployment| {
            // A service of the same name that went before leaves its own.
            deployment.created_at >= service.created_at
                && (statuses.is_empty()
                    || statuses.iter().any(|status| status.as_str() == deployment.status.as_str()))
                && created.after.is_none_or(|after| deployment.created_at >= after)
                && created.before.is_none_or(|before| deployment.created_at <= before)
        };
        let all = entry.deployments().values().map(|deployment| &**deployment);
        let mut listed: Vec<(String, &record::ServiceDeployment)> =
            all.filter(passes).map(|deployment| (place(deployment), deployment)).collect();
        listed.sort_by(|a, b| b.0.cmp(&a.0));
        let later =
            listed.into_iter().skip_while(|(place, _)| page.after().is_some_and(|after| &**place >= after));
        let (listed, next_token) = page.fill(later, |(place, _)| place.clone());
        let names = Names { at: &at, service: &name, arn: service_arn(&at, service) };
        let briefs = listed.into_iter().map(|(_, deployment)| names.brief(deployment)).collect();
        Ok(ListServiceDeploymentsResponse { service_deployments: Some(briefs), next_token })
    }
}

/// The place of a deployment in its list: by time, then by id.
fn place(deployment: &record::ServiceDeployment) -> String {
    format!("{:016}-{}", deployment.created_at.as_millis(), deployment.id)
}

impl Query<Ecs> for ops::DescribeServiceDeployments {
    type Parsed = Self::Input;
    type Answer = DescribeServiceDeploymentsResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller)
            .on_arns(input.service_deployment_arns.iter().flatten().map(String::as_str))
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let arns = input.service_deployment_arns.unwrap_or_default();
        check_count("serviceDeploymentArns", &arns)?;
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for arn in arns {
            let shape = deployment_name(caller, &arn).and_then(|(key, id)| {
                let (cluster, entry) = find(state, &key)?;
                let deployment = entry.deployments().get(&id)?;
                Some(describe(cluster, entry, &key, deployment))
            });
            match shape {
                Some(shape) => found.push(shape),
                None => failed.push(failures::missing(arn)),
            }
        }
        Ok(DescribeServiceDeploymentsResponse { service_deployments: Some(found), failures: Some(failed) })
    }
}

impl Query<Ecs> for ops::DescribeServiceRevisions {
    type Parsed = Self::Input;
    type Answer = DescribeServiceRevisionsResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller)
            .on_arns(input.service_revision_arns.iter().flatten().map(String::as_str))
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let arns = input.service_revision_arns.unwrap_or_default();
        check_count("serviceRevisionArns", &arns)?;
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for arn in arns {
            let shape = revision_name(caller, &arn).and_then(|(key, id)| {
                let (_, entry) = find(state, &key)?;
                let revision = entry.revisions().get(&id)?;
                Some(Names::of(&key, entry).revision(revision))
            });
            match shape {
                Some(shape) => found.push(shape),
                None => failed.push(failures::missing(arn)),
            }
        }
        Ok(DescribeServiceRevisionsResponse { service_revisions: Some(found), failures: Some(failed) })
    }
}

/// Asks for the end of a deployment that is still under way; the scheduler carries it out.
impl Command<Ecs> for ops::StopServiceDeployment {
    type Parsed = Self::Input;
    type Answer = StopServiceDeploymentResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_arns(input.service_deployment_arn.as_deref())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let arn = input.service_deployment_arn.unwrap_or_default();
        let not_found = || ServiceDeploymentNotFoundException::new(texts::SERVICE_DEPLOYMENT_NOT_FOUND);
        if Arn::parse(&arn).is_err() {
            return Err(InvalidParameterException::new(texts::ARN_INVALID).into());
        }
        let (key, id) = deployment_name(caller, &arn).ok_or_else(not_found)?;
        let (_, entry) = find(tx.state(), &key).ok_or_else(not_found)?;
        let deployment =
            record::ServiceDeployment::clone(entry.deployments().get(&id).ok_or_else(not_found)?);
        let mut service = record::Service::clone(entry.record().ok_or_else(not_found)?);
        let (stop, status) = match input.stop_type {
            None | Some(StopServiceDeploymentStopType::Rollback) => {
                (StopType::Rollback, Status::RollbackRequested)
            }
            Some(StopServiceDeploymentStopType::Abort) => (StopType::Abort, Status::StopRequested),
            Some(StopServiceDeploymentStopType::Unrecognized(_)) => {
                let text = texts::one_of("stop type", StopServiceDeploymentStopType::VALUES);
                return Err(InvalidParameterException::new(text).into());
            }
        };
        // A rollback that is under way belongs to the deployment which it undoes, but cannot be stopped.
        let stoppable = is_stoppable(deployment.status);
        let carried_out =
            service.deployments.iter_mut().find(|own| own.primary && own.service_deployment == id);
        let (Some(own), true) = (carried_out, stoppable) else {
            let message = Some(texts::service_deployment_over(deployment.status.as_str()));
            return Err(ConflictException { message, resource_ids: Some(vec![arn]) }.into());
        };
        own.stop_request = Some(stop);
        let now = tx.now;
        tx.put_service_deployment(
            &key.cluster,
            record::ServiceDeployment { status, updated_at: now, ..deployment },
        );
        tx.put_service(&key.cluster, service);
        Ok(StopServiceDeploymentResponse { service_deployment_arn: Some(arn) })
    }
}

/// True while StopServiceDeployment has something to stop (ecs-services E6).
fn is_stoppable(status: Status) -> bool {
    match status {
        Status::Pending | Status::InProgress => true,
        Status::Successful
        | Status::StopRequested
        | Status::Stopped
        | Status::RollbackRequested
        | Status::RollbackInProgress
        | Status::RollbackSuccessful
        | Status::RollbackFailed => false,
    }
}

fn check_count(member: &str, arns: &[String]) -> Result<(), InvalidParameterException> {
    if arns.is_empty() {
        return Err(InvalidParameterException::new(texts::required(member)));
    }
    if arns.len() > DESCRIBE_MAX {
        return Err(InvalidParameterException::new(texts::too_many(member, DESCRIBE_MAX)));
    }
    Ok(())
}

/// Takes `<kind>/CLUSTER/SERVICE/ID` apart. `None` for anything else, and for another account or region.
fn parts<'n>(caller: &Caller, kind: &str, arn: &'n str) -> Option<(ServiceKey, &'n str)> {
    let arn = match Arn::parse(arn) {
        Ok(arn) => arn,
        Err(ArnError::Malformed | ArnError::Service) => return None,
    };
    let (cluster, rest) =
        arn.rest.split_once('/').filter(|_| arn.kind == kind && arn.scope == caller.scope)?;
    let (service, id) = rest.split_once('/')?;
    let cluster = longshore_base::ClusterName::parse(cluster).ok()?;
    let key = ClusterKey::new(caller.scope.clone(), cluster).service(&ServiceName::parse(service).ok()?);
    Some((key, id))
}

fn deployment_name(caller: &Caller, arn: &str) -> Option<(ServiceKey, ServiceDeploymentId)> {
    let (key, id) = parts(caller, "service-deployment", arn)?;
    Some((key, ServiceDeploymentId::parse(id).ok()?))
}

fn revision_name(caller: &Caller, arn: &str) -> Option<(ServiceKey, DeploymentId)> {
    let (key, id) = parts(caller, "service-revision", arn)?;
    Some((key, DeploymentId::parse(id).ok()?))
}

fn find<'s>(state: &'s State, key: &ServiceKey) -> Option<(&'s ClusterTables, &'s ServiceEntry)> {
    let cluster = state.ecs().cluster(&key.cluster)?;
    Some((cluster, cluster.service(&key.service)?))
}

fn service_arn(at: &ClusterKey, service: &record::Service) -> String {
    at.scope.service_arn(&at.cluster, &service.name, service.arn_format)
}

/// Writes the ARNs of one service.
struct Names<'n> {
    at: &'n ClusterKey,
    service: &'n ServiceName,
    arn: String,
}

impl<'n> Names<'n> {
    fn of(key: &'n ServiceKey, entry: &ServiceEntry) -> Self {
        let arn = entry.record().map(|service| service_arn(&key.cluster, service)).unwrap_or_default();
        Self { at: &key.cluster, service: &key.service, arn }
    }

    fn cluster_arn(&self) -> String {
        self.at.scope.cluster_arn(&self.at.cluster)
    }

    fn deployment_arn(&self, id: ServiceDeploymentId) -> String {
        self.at.scope.service_deployment_arn(&self.at.cluster, self.service, id)
    }

    fn revision_arn(&self, id: DeploymentId) -> String {
        self.at.scope.service_revision_arn(&self.at.cluster, self.service, id)
    }

    fn brief(&self, deployment: &record::ServiceDeployment) -> ServiceDeploymentBrief {
        ServiceDeploymentBrief {
            cluster_arn: Some(self.cluster_arn()),
            created_at: Some(deployment.created_at),
            finished_at: deployment.finished_at,
            service_arn: Some(self.arn.clone()),
            service_deployment_arn: Some(self.deployment_arn(deployment.id)),
            started_at: deployment.started_at,
            status: Some(deployment.status.as_str().into()),
            status_reason: deployment.status_reason.as_deref().map(str::to_owned),
            target_service_revision_arn: Some(self.revision_arn(deployment.target)),
        }
    }

    fn revision(&self, revision: &record::ServiceRevision) -> shapes::ServiceRevision {
        let (launch_type, capacity_provider_strategy) = capacity::shapes(&revision.capacity);
        let (family, number) = &revision.task_definition;
        let image = |(name, image, digest): &(longshore_base::ContainerName, _, Option<_>)| ContainerImage {
            container_name: Some(name.to_string()),
            image: Some(std::sync::Arc::<str>::to_string(image)),
            image_digest: digest.as_ref().map(std::sync::Arc::<str>::to_string),
        };
        shapes::ServiceRevision {
            capacity_provider_strategy,
            cluster_arn: Some(self.cluster_arn()),
            container_images: Some(revision.images.iter().map(image).collect()),
            created_at: Some(revision.created_at),
            guard_duty_enabled: Some(false),
            launch_type,
            load_balancers: Some(connections::load_balancer_shapes(&revision.load_balancers)),
            network_configuration: recall(&revision.network),
            platform_version: platform_version(revision.platform_version.as_ref())
                .map(|text| text.to_string()),
            service_arn: Some(self.arn.clone()),
            service_connect_configuration: revision
                .service_connect
                .as_ref()
                .map(connections::service_connect_shape),
            service_registries: Some(connections::registry_shapes(&revision.service_registries)),
            service_revision_arn: Some(self.revision_arn(revision.id)),
            task_definition: Some(self.at.scope.task_definition_arn(family, *number)),
            volume_configurations: Some(Vec::new()),
            ..shapes::ServiceRevision::default()
        }
    }
}

fn describe(
    cluster: &ClusterTables,
    entry: &ServiceEntry,
    key: &ServiceKey,
    deployment: &record::ServiceDeployment,
) -> shapes::ServiceDeployment {
    let names = Names::of(key, entry);
    let counts = Counts::of(cluster, entry);
    let configuration: DeploymentConfiguration =
        documents::recall(&deployment.configuration).unwrap_or_default();
    let own = |revision: DeploymentId| {
        let service = entry.record();
        service.and_then(|service| service.deployments.iter().find(|own| own.revision == revision)).cloned()
    };
    let summary = |revision: DeploymentId, requested: Option<u32>| {
        let own = own(revision);
        let (running, pending) = own.as_ref().map_or((0, 0), |own| counts.of_deployment(own.id));
        let requested = requested.or(own.map(|own| own.desired_count)).unwrap_or(0);
        ServiceRevisionSummary {
            arn: Some(names.revision_arn(revision)),
            requested_task_count: Some(number(requested)),
            running_task_count: Some(running),
            pending_task_count: Some(pending),
            ..ServiceRevisionSummary::default()
        }
    };
    let sources = deployment.sources.iter().map(|&(revision, requested)| summary(revision, Some(requested)));
    let rollback = |(at, reason, revision): &(Timestamp, std::sync::Arc<str>, DeploymentId)| Rollback {
        reason: Some(reason.to_string()),
        service_revision_arn: Some(names.revision_arn(*revision)),
        started_at: Some(*at),
    };
    let desired = entry.record().map_or(0, |service| service.desired_count);
    let failed = own(deployment.target).map_or(0, |own| own.failed_tasks).max(deployment.failure_count);
    shapes::ServiceDeployment {
        alarms: Some(ServiceDeploymentAlarms {
            status: Some(ServiceDeploymentRollbackMonitorsStatus::Disabled),
            ..ServiceDeploymentAlarms::default()
        }),
        cluster_arn: Some(names.cluster_arn()),
        created_at: Some(deployment.created_at),
        deployment_circuit_breaker: Some(ServiceDeploymentCircuitBreaker {
            status: Some(breaker_status(&configuration, deployment, failed >= failure_threshold(desired))),
            failure_count: Some(number(failed)),
            threshold: Some(number(failure_threshold(desired))),
        }),
        deployment_configuration: Some(configuration),
        finished_at: deployment.finished_at,
        rollback: deployment.rollback.as_ref().map(rollback),
        service_arn: Some(names.arn.clone()),
        service_deployment_arn: Some(names.deployment_arn(deployment.id)),
        source_service_revisions: Some(sources.collect()),
        started_at: deployment.started_at,
        status: Some(deployment.status.as_str().into()),
        status_reason: deployment.status_reason.as_deref().map(str::to_owned),
        stopped_at: deployment.stopped_at,
        target_service_revision: Some(summary(deployment.target, None)),
        updated_at: Some(deployment.updated_at),
        ..shapes::ServiceDeployment::default()
    }
}

/// What the circuit breaker does, or did, in a deployment.
fn breaker_status(
    configuration: &DeploymentConfiguration,
    deployment: &record::ServiceDeployment,
    over_the_threshold: bool,
) -> ServiceDeploymentRollbackMonitorsStatus {
    use ServiceDeploymentRollbackMonitorsStatus as Monitor;
    let breaker = configuration.deployment_circuit_breaker.as_ref();
    if breaker.and_then(|breaker| breaker.enable) != Some(true) {
        Monitor::Disabled
    } else if over_the_threshold {
        Monitor::Triggered
    } else if deployment.finished_at.is_some() || deployment.rollback.is_some() {
        Monitor::MonitoringComplete
    } else {
        Monitor::Monitoring
    }
}
