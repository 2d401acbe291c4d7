//! Carries out the steps of a script.

use std::time::Duration;

use longshore_base::{ServiceName, TaskId};
use longshore_domain::DesiredStatus;
use longshore_engine::input::ObservedStatus;
use longshore_engine::spec::RuntimeId;
use longshore_runtime::port::LabelFilter;
use longshore_runtime::scripted::{Faults, Operation};
use longshore_runtime::{ErrorKind, RuntimeError};
use longshore_state::Record;
use longshore_tables_ecs::record::{Service, TaskDefinition};
use longshore_tables_ecs::{EcsState, view};
use longshore_tables_iam::record::Role;
use serde_json::{Value, json};

use super::{Event, World};
use crate::images::{Image, Kind, ROLES};
use crate::scenario::{Breaker, Capacity, Layout, Provider, ServiceSetup, SpareWish, Step, StrategySetup};

/// How far a step sets the server's clock at most, in milliseconds.
const SERVER_JUMP_MAX: i32 = 2000;
/// A capacity provider that no machine belongs to; it comes and goes.
pub(super) const SPARE: &str = "cp-spare";
/// The providers of the pool, which every account has.
const FARGATE_PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

impl World {
    /// A machine that is there, by a number of the script; `None` if there is none.
    fn machine(&self, number: u8) -> Option<usize> {
        let alive: Vec<usize> =
            (0..self.machines.len()).filter(|&index| self.machines[index].alive).collect();
        (!alive.is_empty()).then(|| alive[usize::from(number) % alive.len()])
    }

    pub(super) fn step(&mut self, index: usize) {
        let Timed { step, number } = {
            let timed = &self.steps[index];
            Timed { step: timed.step, number: timed.number }
        };
        self.note(|| format!("STEP {number}: {step:?}"));
        match step {
            Step::CreateService { service, setup } => self.create_service(service, &setup),
            Step::CreateSet { service, image, percent, fargate } => {
                let (cluster, name) = self.named(service);
                let (kind, launch) = if fargate { (Kind::Fargate, "FARGATE") } else { (Kind::Plain, "EC2") };
                let request = json!({
                    "service": name, "taskDefinition": image.family(kind), "launchType": launch,
                    "scale": {"value": f64::from(percent), "unit": "PERCENT"}, "clientToken": self.token(),
                });
                self.ask(cluster, "CreateTaskSet", image.request(kind, &self.places[cluster].scope, request));
            }
            Step::ScaleSet { service, pick, percent } => {
                let scale = json!({"value": f64::from(percent), "unit": "PERCENT"});
                self.ask_set(service, pick, "UpdateTaskSet", "taskSet", json!({"scale": scale}));
            }
            Step::PrimarySet { service, pick } => {
                self.ask_set(service, pick, "UpdateServicePrimaryTaskSet", "primaryTaskSet", json!({}));
            }
            Step::DeleteSet { service, pick, force } => {
                self.ask_set(service, pick, "DeleteTaskSet", "taskSet", json!({"force": force}));
            }
            Step::Scale { service, desired } => {
                self.update_service(service, json!({"desiredCount": desired}));
            }
            Step::Roll { service, image, desired } => {
                let kind = self.kind_for(service);
                let scope = &self.places[self.named(service).0].scope;
                let mut request = image.request(kind, scope, json!({"taskDefinition": image.family(kind)}));
                if let Some(desired) = desired {
                    request["desiredCount"] = json!(desired);
                }
                self.update_service(service, request);
            }
            Step::Percent { service, percent: (min, max) } => {
                let bounds = json!({"minimumHealthyPercent": min, "maximumPercent": max});
                self.update_service(service, json!({"deploymentConfiguration": bounds}));
            }
            Step::ForceDeployment { service } => {
                self.update_service(service, json!({"forceNewDeployment": true}));
            }
            Step::Recapacity { service, capacity } => self.recapacity(service, capacity),
            Step::PutProviders { cluster, fargate, spare, default } => {
                let names = [Provider::A.name(), Provider::B.name()].into_iter();
                let names = names.chain(FARGATE_PROVIDERS.into_iter().filter(|_| fargate));
                let names: Vec<&str> = names.chain(spare.then_some(SPARE)).collect();
                let default = default.and_then(items).unwrap_or_else(|| json!([]));
                let request = json!({"capacityProviders": names, "defaultCapacityProviderStrategy": default});
                let cluster = usize::from(cluster) % self.clusters.len();
                self.ask(cluster, "PutClusterCapacityProviders", request);
            }
            Step::SpareProvider { cluster, wish } => {
                let cluster = usize::from(cluster) % self.clusters.len();
                let (operation, request) = match wish {
                    SpareWish::Create => ("CreateCapacityProvider", self.provider(cluster, SPARE)),
                    SpareWish::Update => {
                        let group = json!({"managedDraining": "DISABLED"});
                        ("UpdateCapacityProvider", json!({"name": SPARE, "autoScalingGroupProvider": group}))
                    }
                    SpareWish::Delete => ("DeleteCapacityProvider", json!({"capacityProvider": SPARE})),
                };
                self.ask(cluster, operation, request);
            }
            Step::DeleteService { service, force } => {
                let (cluster, name) = self.named(service);
                self.ask(cluster, "DeleteService", json!({"service": name, "force": force}));
            }
            Step::RunTask { cluster, image, count, ports, capacity } => {
                let token = self.token();
                let kind = if ports { Kind::Port } else { Kind::Plain };
                let kind = if capacity.is_fargate() { Kind::Fargate } else { kind };
                let mut request = json!({
                    "taskDefinition": image.family(kind), "count": count, "startedBy": token, "clientToken": token,
                });
                match items(capacity) {
                    Some(items) => request["capacityProviderStrategy"] = items,
                    None if capacity.is_fargate() => request["launchType"] = "FARGATE".into(),
                    None => {}
                }
                let cluster = usize::from(cluster) % self.clusters.len();
                self.ask(cluster, "RunTask", image.request(kind, &self.places[cluster].scope, request));
            }
            Step::StopTask { pick } => {
                if let Some((cluster, task)) = self.some_task(pick) {
                    self.ask(
                        cluster,
                        "StopTask",
                        json!({"task": task.to_string(), "reason": "a user wants it"}),
                    );
                }
            }
            Step::StartTask { machine, image } => {
                if let Some((place, arn)) = self.instance_arn(machine) {
                    // An instance of the pool is none of any cluster's, even for who knows its id.
                    let (cluster, named) = match self.places[place].is_pool() {
                        true => (0, arn.rsplit('/').next().unwrap_or_default().to_owned()),
                        false => (place, arn),
                    };
                    let request =
                        json!({"taskDefinition": image.family(Kind::Plain), "containerInstances": [named]});
                    self.ask(
                        cluster,
                        "StartTask",
                        image.request(Kind::Plain, &self.places[cluster].scope, request),
                    );
                }
            }
            Step::Protect { pick, on } => {
                if let Some((cluster, task)) = self.some_task(pick) {
                    let mut request = json!({"tasks": [task.to_string()], "protectionEnabled": on});
                    if on {
                        request["expiresInMinutes"] = json!(1);
                    }
                    self.ask(cluster, "UpdateTaskProtection", request);
                }
            }
            Step::StopDeployment { service, rollback } => {
                if let Some((cluster, arn)) = self.newest_deployment(service) {
                    let kind = if rollback { "ROLLBACK" } else { "ABORT" };
                    let request = json!({"serviceDeploymentArn": arn, "stopType": kind});
                    self.ask(cluster, "StopServiceDeployment", request);
                }
            }
            Step::Register { cluster, image } => {
                let cluster = usize::from(cluster) % self.clusters.len();
                self.ask(cluster, "RegisterTaskDefinition", image.definition(Kind::Plain));
            }
            Step::MakeRole { role } => self.make_role(role),
            Step::DeleteRole { role } => self.delete_role(role),
            Step::TrustRole { role, trusts } => self.trust_role(role, trusts),
            Step::RotateKeys => self.rotate_keys(),
            Step::Describe { pick } => {
                let Some((cluster, _)) = self.some_task(pick) else { return };
                let tasks: Vec<String> = (0..10)
                    .filter_map(|more| self.some_task_of(cluster, pick + more))
                    .map(|id| id.to_string())
                    .collect();
                self.ask(cluster, "DescribeTasks", json!({"tasks": tasks}));
            }
            Step::Drain { machine } => self.set_instance(machine, "DRAINING"),
            Step::Reclaim { machine } => {
                let of_pool = |index: &usize| {
                    let machine = &self.machines[*index];
                    machine.alive && machine.setup.pool && machine.instance.is_some()
                };
                let pool: Vec<usize> = (0..self.machines.len()).filter(of_pool).collect();
                if !pool.is_empty() {
                    let machine = &self.machines[pool[usize::from(machine) % pool.len()]];
                    let request =
                        json!({"containerInstances": [machine.instance.clone()], "status": "DRAINING"});
                    self.ask(machine.place, "UpdateContainerInstancesState", request);
                }
            }
            Step::Activate { machine } => self.set_instance(machine, "ACTIVE"),
            Step::Deregister { machine, force } => {
                if let Some((cluster, arn)) = self.instance_arn(machine) {
                    self.ask(
                        cluster,
                        "DeregisterContainerInstance",
                        json!({"containerInstance": arn, "force": force}),
                    );
                }
            }
            Step::BadRequest { kind } => self.bad_request(kind),
            Step::ServerCrash { down_millis } => self.server_crash(millis(down_millis)),
            Step::ServerDiskFails { down_millis } => self.server.disk_fails = Some(millis(down_millis)),
            Step::DiskWiped { machine, down_millis, containers } => {
                if let Some(index) = self.machine(machine) {
                    self.wipe_disk(index, millis(down_millis), containers);
                }
            }
            Step::Reboot { machine, down_millis } => {
                if let Some(index) = self.machine(machine) {
                    self.reboot(index, millis(down_millis));
                }
            }
            Step::StaleManifest { machine } => {
                if let Some(index) = self.machine(machine) {
                    self.machines[index].stale_manifest = true;
                    self.disconnect(index);
                }
            }
            Step::PullsHang { machine, millis: duration } => {
                self.trouble(machine, duration, |script| {
                    script.hangs.insert(Operation::ImagePull);
                });
            }
            Step::AgentCrash { machine, down_millis } => {
                if let Some(index) = self.machine(machine) {
                    self.agent_crash(index, millis(down_millis));
                }
            }
            Step::AgentCrashSoon { machine, starts, down_millis } => {
                if let Some(index) = self.machine(machine) {
                    self.machines[index].dies_after = Some((starts, millis(down_millis)));
                }
            }
            Step::AgentStop { machine, down_millis } => {
                if let Some(index) = self.machine(machine) {
                    self.agent_stop(index, millis(down_millis));
                }
            }
            Step::Partition { machine, millis: duration, breaks } => {
                if let Some(index) = self.machine(machine) {
                    self.cut(index, millis(duration), breaks);
                }
            }
            Step::Disconnect { machine } => {
                if let Some(index) = self.machine(machine) {
                    self.disconnect(index);
                }
            }
            Step::Vanish { machine } => {
                if let Some(index) = self.machine(machine) {
                    self.vanish(index);
                }
            }
            Step::Join { machine } => {
                let setups = &self.setup.machines;
                let setup = setups[usize::from(machine) % setups.len()];
                self.add_machine(setup);
            }
            Step::ContainerDies { pick, exit_code } => self.container_dies(pick, exit_code),
            Step::PullsSlow { machine, millis: duration } => {
                self.trouble(machine, duration, |script| script.pull_time = Duration::from_secs(25));
            }
            Step::PullsFail { machine, millis: duration } => {
                let error = RuntimeError::new(ErrorKind::Unavailable, "the registry cannot be reached");
                self.trouble(machine, duration, move |script| script.registry = Err(error.clone()));
            }
            Step::StartsFail { machine, millis: duration } => {
                let error = RuntimeError::new(ErrorKind::Other, "the scripted engine cannot start this");
                self.trouble(machine, duration, move |script| script.start_failure = Some(error.clone()));
            }
            Step::IgnoreTerm { machine, millis: duration } => {
                self.trouble(machine, duration, |script| script.ignores_term = true);
            }
            Step::EngineAway { machine, millis: duration, reboot } => {
                if let Some(index) = self.machine(machine) {
                    let until = self.now + millis(duration);
                    let machine = &mut self.machines[index];
                    machine.engine_away_until = machine.engine_away_until.max(Some(until));
                    machine.docker.world.interrupt(self.now, until.since(self.now), reboot);
                }
            }
            Step::EngineFlaky { machine, millis: duration } => {
                if let Some(index) = self.machine(machine) {
                    let faults = Faults {
                        slow: 100,
                        slowness: Duration::from_secs(3),
                        fail: 100,
                        lose_answer: 50,
                        lose_event: 50,
                        die: 30,
                        die_within: Duration::from_secs(5),
                    };
                    self.machines[index].docker.world.faults(faults);
                    self.push(self.now + millis(duration), Event::Mend { machine: index });
                }
            }
            Step::ClockJump { machine, millis: jump } => {
                // One number more than there are machines: the server.
                let count = self.machines.len();
                let index = usize::from(machine) % (count + 1);
                let skew =
                    if index == count { &mut self.server.skew } else { &mut self.machines[index].skew };
                // The server's clock is what its promises are measured by: seconds at most.
                let jump = if index == count { jump % SERVER_JUMP_MAX } else { jump };
                skew.0 += i64::from(jump);
            }
        }
    }

    fn trouble(
        &mut self,
        machine: u8,
        duration: u32,
        change: impl Fn(&mut longshore_runtime::scripted::ImageScript),
    ) {
        if let Some(index) = self.machine(machine) {
            self.machines[index].images(change);
            self.push(self.now + millis(duration), Event::Mend { machine: index });
        }
    }

    /// From here on nothing goes wrong any more, and what is down comes back.
    pub(super) fn calm_down(&mut self) {
        self.note(|| "faults cease".into());
        self.calm = true;
        self.server.disk_fails = None;
        for index in 0..self.machines.len() {
            if !self.machines[index].alive {
                continue;
            }
            self.mend(index);
            self.machines[index].dies_after = None;
            self.end_orphans(index);
            if self.machines[index].cut_until.is_some() {
                self.machines[index].cut_until = Some(self.now);
                self.heal(index);
            }
        }
    }

    fn container_dies(&mut self, pick: u32, exit_code: i32) {
        let mut running: Vec<(usize, RuntimeId)> = Vec::new();
        for (index, machine) in self.machines.iter().enumerate().filter(|(_, machine)| machine.alive) {
            let found = machine.docker.world.list(&LabelFilter::default());
            let found = found.into_iter().filter(|found| found.observation.status == ObservedStatus::Running);
            running.extend(found.map(|found| (index, found.observation.runtime_id)));
        }
        if !running.is_empty() {
            let (index, id) = &running[pick as usize % running.len()];
            self.machines[*index].docker.world.kill_from_outside(self.now, id, exit_code);
        }
    }

    /// A task that shall run, as ListTasks would tell, with its cluster.
    fn some_task(&self, pick: u32) -> Option<(usize, TaskId)> {
        let count = self.clusters.len();
        let order = (0..count).map(|n| (pick as usize + n) % count);
        order.filter_map(|cluster| Some((cluster, self.some_task_of(cluster, pick)?))).next()
    }

    pub(super) fn some_task_of(&self, cluster: usize, pick: u32) -> Option<TaskId> {
        let running = self.server.up.as_ref()?;
        let tasks = running.state.ecs().cluster(&self.clusters[cluster])?.tasks();
        let wanted: Vec<TaskId> = tasks
            .values()
            .filter(|task| task.desired_status == DesiredStatus::Running)
            .map(|task| task.id)
            .collect();
        (!wanted.is_empty()).then(|| wanted[pick as usize % wanted.len()])
    }

    /// What a machine of the script is as an instance, with its cluster or pool.
    fn instance_arn(&self, machine: u8) -> Option<(usize, String)> {
        let machine = &self.machines[self.machine(machine)?];
        Some((machine.place, machine.instance.clone()?))
    }

    /// The id of some instance of the first cluster's pool.
    pub(super) fn pool_instance(&self) -> Option<String> {
        let region = &self.clusters[0].scope.region;
        let of_pool = self
            .machines
            .iter()
            .filter(|machine| machine.setup.pool && self.places[machine.place].scope.region == *region);
        let arn = of_pool.filter_map(|machine| machine.instance.as_deref()).next()?;
        arn.rsplit('/').next().map(str::to_owned)
    }

    fn service_record(&self, service: u8) -> Option<&Service> {
        let (cluster, name) = self.named(service);
        let key = self.clusters[cluster].service(&ServiceName::parse(&name).ok()?);
        let service = self.server.up.as_ref()?.records.get::<Service>(&key)?;
        Some(service)
    }

    /// What a service's next definition has to be like.
    fn kind_for(&self, service: u8) -> Kind {
        let pooled = self.service_record(service).is_some_and(|own| own.capacity.is_fargate());
        if pooled { Kind::Fargate } else { Kind::Plain }
    }

    /// Moves a service to other providers; what has no strategy means the launch type that it was made with.
    fn recapacity(&mut self, service: u8, capacity: Capacity) {
        let strategy = items(capacity).unwrap_or_else(|| json!([]));
        let mut request = json!({"capacityProviderStrategy": strategy, "forceNewDeployment": true});
        if capacity.is_fargate() {
            let own = self.service_record(service).and_then(|own| own.task_definition.as_ref());
            let image = own.and_then(|(family, _)| Image::of_family(family.as_str()));
            let image = image.unwrap_or(Image::Web);
            request["taskDefinition"] = image.family(Kind::Fargate).into();
            request = image.request(Kind::Fargate, &self.places[self.named(service).0].scope, request);
        }
        self.update_service(service, request);
    }

    /// ARN of the service deployment that was begun last.
    fn newest_deployment(&self, service: u8) -> Option<(usize, String)> {
        let (cluster, name) = self.named(service);
        let (name, at) = (ServiceName::parse(&name).ok()?, &self.clusters[cluster]);
        let entry = self.server.up.as_ref()?.state.ecs().cluster(at)?.service(&name)?;
        let newest = entry.deployments().values().max_by_key(|record| (record.created_at, record.id))?;
        Some((cluster, at.scope.service_deployment_arn(&at.cluster, &name, newest.id)))
    }

    fn set_instance(&mut self, machine: u8, status: &str) {
        if let Some((cluster, arn)) = self.instance_arn(machine) {
            let request = json!({"containerInstances": [arn], "status": status});
            self.ask(cluster, "UpdateContainerInstancesState", request);
        }
    }

    /// The cluster and the name of a service of the script. Names repeat from cluster to cluster.
    fn named(&self, service: u8) -> (usize, String) {
        let (service, clusters) = (usize::from(service), self.clusters.len());
        (service % clusters, format!("svc-{}", service / clusters))
    }

    /// Asks for something about one of the service's task sets, if it has any.
    fn ask_set(&mut self, service: u8, pick: u32, operation: &'static str, member: &str, mut request: Value) {
        let (cluster, name) = self.named(service);
        let (at, Ok(parsed)) = (&self.clusters[cluster], ServiceName::parse(&name)) else { return };
        let Some(running) = &self.server.up else { return };
        let sets: Vec<_> =
            view::task_sets(&running.records, &at.service(&parsed)).map(|set| set.id).collect();
        if sets.is_empty() {
            return;
        }
        request["service"] = name.into();
        request[member] = sets[pick as usize % sets.len()].to_string().into();
        self.ask(cluster, operation, request);
    }

    fn update_service(&mut self, service: u8, mut request: Value) {
        let (cluster, name) = self.named(service);
        request["service"] = name.into();
        self.ask(cluster, "UpdateService", request);
    }

    fn create_service(&mut self, service: u8, setup: &ServiceSetup) {
        let (cluster, name) = self.named(service);
        if setup.external {
            let request = json!({
                "serviceName": name, "desiredCount": setup.desired, "clientToken": self.token(),
                "deploymentController": {"type": "EXTERNAL"},
            });
            return self.ask(cluster, "CreateService", request);
        }
        let daemon = setup.layout == Layout::Daemon;
        let (min, max) = setup.percent;
        // A daemon service may not start before it stops.
        let (min, max) = if daemon { (min.min(99), 100) } else { (min, max) };
        let capacity = if daemon { Capacity::Ec2 } else { setup.capacity };
        let kind = if setup.ports { Kind::Port } else { Kind::Plain };
        let kind = if capacity.is_fargate() { Kind::Fargate } else { kind };
        let mut request = json!({
            "serviceName": name,
            "taskDefinition": setup.image.family(kind),
            "clientToken": self.token(),
            "schedulingStrategy": if daemon { "DAEMON" } else { "REPLICA" },
            "deploymentConfiguration": {
                "minimumHealthyPercent": min,
                "maximumPercent": max,
                "deploymentCircuitBreaker": {
                    "enable": setup.breaker != Breaker::Off,
                    "rollback": setup.breaker == Breaker::Rollback,
                },
            },
        });
        match items(capacity) {
            Some(items) => request["capacityProviderStrategy"] = items,
            None if capacity.is_fargate() => request["launchType"] = "FARGATE".into(),
            None => request["launchType"] = "EC2".into(),
        }
        if !daemon {
            request["desiredCount"] = json!(setup.desired);
        }
        match setup.layout {
            Layout::Daemon => {}
            // Nobody places on Fargate but Fargate; zones it evens out as well.
            Layout::SpreadZones { rebalance } if capacity.is_fargate() => {
                let wish = if rebalance && max > 100 { "ENABLED" } else { "DISABLED" };
                request["availabilityZoneRebalancing"] = wish.into();
            }
            Layout::Binpack | Layout::SpreadInstances | Layout::Distinct if capacity.is_fargate() => {}
            Layout::Binpack => {
                request["placementStrategy"] = json!([{"type": "binpack", "field": "memory"}]);
            }
            Layout::SpreadInstances => {
                request["placementStrategy"] = json!([{"type": "spread", "field": "instanceId"}]);
            }
            Layout::SpreadZones { rebalance } => {
                let field = "attribute:ecs.availability-zone";
                request["placementStrategy"] = json!([{"type": "spread", "field": field}]);
                let rebalance = rebalance && max > 100;
                let wish = if rebalance { "ENABLED" } else { "DISABLED" };
                request["availabilityZoneRebalancing"] = wish.into();
            }
            Layout::Distinct => {
                request["placementConstraints"] = json!([{"type": "distinctInstance"}]);
            }
        }
        self.ask(cluster, "CreateService", setup.image.request(kind, &self.places[cluster].scope, request));
    }

    /// What users need in each account and region before they make clusters.
    pub(super) fn prepare_account(&mut self) {
        self.prepare_roles();
        for cluster in self.first_of_scopes() {
            for provider in [Provider::A, Provider::B] {
                let request = self.provider(cluster, provider.name());
                self.ask(cluster, "CreateCapacityProvider", request);
            }
            for image in Image::ALL {
                for kind in self.kinds() {
                    self.ask(cluster, "RegisterTaskDefinition", image.definition(kind));
                }
            }
        }
    }

    pub(super) fn prepare_clusters(&mut self) {
        for cluster in 0..self.clusters.len() {
            let name = self.clusters[cluster].cluster.as_str().to_owned();
            let own = [Provider::A.name(), Provider::B.name()].into_iter();
            let fargate = self.setup.fargate;
            let providers: Vec<&str> = own.chain(FARGATE_PROVIDERS.into_iter().filter(|_| fargate)).collect();
            self.ask(cluster, "CreateCluster", json!({"clusterName": name, "capacityProviders": providers}));
        }
    }

    /// The kinds of definitions that this world needs.
    fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let fargate = self.setup.fargate;
        Kind::ALL.into_iter().filter(move |kind| fargate || *kind != Kind::Fargate)
    }

    /// What makes a capacity provider.
    fn provider(&self, cluster: usize, name: &str) -> Value {
        let scope = &self.clusters[cluster].scope;
        let arn = format!(
            "arn:aws:autoscaling:{}:{}:autoScalingGroup:\
             00000000-0000-0000-0000-000000000000:autoScalingGroupName/{name}",
            scope.region, scope.account,
        );
        json!({"name": name, "autoScalingGroupProvider": {"autoScalingGroupArn": arn}})
    }

    /// Clusters that share account and region share their definitions: one of each.
    fn first_of_scopes(&self) -> Vec<usize> {
        let is_first =
            |&at: &usize| self.clusters[..at].iter().all(|own| own.scope != self.clusters[at].scope);
        (0..self.clusters.len()).filter(is_first).collect()
    }

    pub(super) fn is_prepared(&self) -> bool {
        let definitions = self.server.stored.of::<TaskDefinition>().count();
        let of_users = |role: &Role| ROLES.contains(&&*role.own.name);
        let roles = self.server.stored.of::<Role>().filter(|(_, role)| of_users(role)).count();
        self.calls.is_empty()
            && roles >= self.roles_count()
            && definitions >= self.kinds().count() * Image::ALL.len() * self.first_of_scopes().len()
    }

    pub(super) fn server_has<R: Record>(&self, key: &R::Key) -> bool {
        self.server.up.as_ref().is_some_and(|running| running.records.get::<R>(key).is_some())
    }
}

/// The capacity provider strategy that a capacity is, if it is one.
fn items(capacity: Capacity) -> Option<Value> {
    let over = |[a, b]: [&str; 2], strategy: StrategySetup| {
        json!([
            {"capacityProvider": a, "base": strategy.base, "weight": strategy.weight_a},
            {"capacityProvider": b, "weight": strategy.weight_b},
        ])
    };
    match capacity {
        Capacity::Ec2 | Capacity::Fargate => None,
        Capacity::Providers(strategy) => Some(over([Provider::A.name(), Provider::B.name()], strategy)),
        Capacity::FargateProviders(strategy) => Some(over(FARGATE_PROVIDERS, strategy)),
    }
}

struct Timed {
    step: Step,
    number: usize,
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}
