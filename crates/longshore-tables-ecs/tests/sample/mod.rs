//! One record of every kind, with no member left empty that can be filled.

use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{
    AccountId, ArnFormat, ClusterName, ContainerId, ContainerName, CpuUnits, DeploymentId, Family,
    InstanceId, MemoryMib, Port, Protocol, Region, Scope, ServiceDeploymentId, ServiceName, TaskId,
    Timestamp,
};
use longshore_domain::status::{
    ClusterStatus, DeploymentController, PropagateTags, ProviderStatus, ProviderUpdateStatus, Switch,
};
use longshore_domain::tags::Tags;
use longshore_domain::{
    Cause, ContainerEnd, ContainerStatus, DesiredStatus, HealthStatus, InstanceCheckKind, InstanceHealth,
    InstanceStatus, LaunchType, Needs, RolloutState, SchedulingStrategy, ServiceStatus, StartFailure,
    StopCode, TaskDefinitionStatus, TaskStatus,
};
use longshore_placement::strategy::{Field, Resource};
use longshore_placement::{Constraint, Strategy};
use longshore_rollout::memory::Said;
use longshore_rollout::{
    ClosestMiss, EventMemory, LastCompleted, PlacementRefusal, ServiceDeploymentStatus, Stability, StopType,
    TaskSetStatus, Throttle, Topic,
};
use longshore_state::Records;
use longshore_tables_ecs::ClusterKey;
use longshore_tables_ecs::key::{FamilyKey, ProviderKey, SettingKey};
use longshore_tables_ecs::record::*;

pub fn records() -> Records {
    let (at, scope, service_key) = (at(), at().scope, at().service(&name()));
    let family = FamilyKey::new(scope.clone(), family());
    let mut records = Records::new();
    records.insert::<Cluster>(at.clone(), cluster().into());
    records.insert::<Instance>(at.instance(instance().id), instance().into());
    records.insert::<FamilyCounter>(family.clone(), counter().into());
    records.insert::<TaskDefinition>(family.revision(12), definition().into());
    records.insert::<Task>(at.task(task().id), task().into());
    records.insert::<Service>(service_key.clone(), service().into());
    records.insert::<ServiceEvent>(service_key.event(0), event().into());
    records.insert::<ServiceDeployment>(
        service_key.deployment(service_deployment().id),
        service_deployment().into(),
    );
    records.insert::<ServiceRevision>(service_key.revision(revision().id), revision().into());
    records.insert::<TaskSet>(service_key.task_set(task_set().id), task_set().into());
    records.insert::<CapacityProvider>(ProviderKey::new(scope.clone(), "mine"), provider().into());
    records
        .insert::<AccountSetting>(SettingKey::new(scope, "containerInsights", PRINCIPAL), setting().into());
    records.insert::<Token>(at.token("t-1"), token().into());
    records.insert::<JoinToken>(at.join_token("jt-1"), join_token().into());
    records.insert::<InstanceKey>(at.instance(instance().id), instance_key().into());
    records
}

const PRINCIPAL: &str = "arn:aws:iam::123456789012:user/a";

fn at() -> ClusterKey {
    let account = AccountId::parse("123456789012").expect("twelve digits");
    let scope = Scope::new(account, Region::parse("eu-west-1").expect("a region"));
    ClusterKey::new(scope, ClusterName::parse("c").expect("valid"))
}

fn time(n: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + n)
}

fn family() -> Family {
    Family::parse("web").expect("valid")
}

fn name() -> ServiceName {
    ServiceName::parse("front").expect("valid")
}

fn container_name() -> ContainerName {
    ContainerName::parse("app").expect("valid")
}

fn tags() -> Tags {
    Tags::from([("team".to_owned(), "blue".to_owned()), ("empty".to_owned(), String::new())])
}

fn strategy() -> Vec<StrategyItem> {
    vec![StrategyItem { provider: "mine".into(), base: 1, weight: 2 }]
}

/// Records as earlier versions wrote them: without the members that came later.
pub fn earlier() -> Records {
    let containers = vec![Container { cause: None, end: None, ..container() }];
    let task = Task {
        containers,
        interface: None,
        waiting: None,
        gpus: None,
        stop_number: 0,
        secrets: None,
        ..task()
    };
    let instance = Instance {
        health: Vec::new(),
        connected: false,
        connected_since: Timestamp::default(),
        takeovers: Takeovers::default(),
        ..instance()
    };
    let memory = PlannerMemory { fallback_throttle: Throttle::default(), stops_counted: 0, ..memory() };
    let service = Service {
        memory,
        load_balancers: Vec::new(),
        service_registries: Vec::new(),
        service_connect: None,
        ..service()
    };
    let mut records = Records::new();
    records.insert::<Task>(at().task(task.id), task.into());
    records.insert::<Instance>(at().instance(instance.id), instance.into());
    records.insert::<Service>(at().service(&name()), service.into());
    records
}

fn cluster() -> Cluster {
    Cluster {
        name: at().cluster,
        status: ClusterStatus::Active,
        created_at: time(1),
        deleted_at: Some(time(2)),
        container_insights: "enabled".into(),
        configuration: Some(r#"{"executeCommandConfiguration":{"logging":"NONE"}}"#.into()),
        service_connect_namespace: Some("internal".into()),
        capacity_providers: vec!["mine".into(), "FARGATE".into()],
        default_strategy: strategy(),
        tags: tags(),
    }
}

fn instance() -> Instance {
    Instance {
        id: InstanceId::from_bits(7),
        arn_format: ArnFormat::Short,
        status: InstanceStatus::Draining,
        registered_at: time(3),
        deregistered_at: None,
        ec2_instance_id: "i-0123456789abcdef0".into(),
        capacity_provider: Some("mine".into()),
        launch_type: LaunchType::External,
        cpu: 2048,
        memory: 4096,
        reserved_tcp: vec![Port(22), Port(51678)],
        reserved_udp: vec![Port(53)],
        gpus: vec!["gpu-1".into()],
        agent_attributes: vec![Attribute { name: "ecs.os-type".into(), value: Some("linux".into()) }],
        user_attributes: vec![Attribute { name: "bare".into(), value: None }],
        agent_version: Some("1.105.1".into()),
        agent_hash: Some("a8b3e7d3".into()),
        docker_version: Some("DockerVersion: 20.10".into()),
        version: 9,
        link_epoch: 4,
        owes_credentials: true,
        tags: tags(),
        health: vec![InstanceCheck {
            kind: InstanceCheckKind::ContainerRuntime,
            status: InstanceHealth::Impaired,
            updated_at: time(31),
            changed_at: time(30),
        }],
        connected: true,
        connected_since: time(49),
        takeovers: Takeovers { count: 2, at: time(50), by: "192.0.2.7".into(), from: "192.0.2.8".into() },
    }
}

fn counter() -> FamilyCounter {
    FamilyCounter { family: family(), last_revision: 12 }
}

const DOCUMENT: &str = r#"{"containerDefinitions":[{"name":"app","image":"nginx","memory":64}]}"#;

fn definition() -> TaskDefinition {
    TaskDefinition {
        family: family(),
        revision: 12,
        status: TaskDefinitionStatus::DeleteInProgress,
        registered_at: time(4),
        registered_by: PRINCIPAL.into(),
        deregistered_at: Some(time(5)),
        delete_requested_at: Some(time(6)),
        document: Compiled::new(DOCUMENT.into()).expect("it compiles"),
        tags: tags(),
    }
}

fn task() -> Task {
    Task {
        id: TaskId::from_bits(u128::MAX - 1),
        origin: Arc::new(origin()),
        unhealthy: true,
        instance: Some(InstanceId::from_bits(7)),
        zone: Some("eu-west-1a".into()),
        last_status: TaskStatus::Deactivating,
        desired_status: DesiredStatus::Stopped,
        version: 5,
        created_at: time(7),
        connectivity_at: Some(time(8)),
        pull_started_at: Some(time(9)),
        pull_stopped_at: Some(time(10)),
        started_at: Some(time(11)),
        stopping_at: Some(time(12)),
        execution_stopped_at: Some(time(13)),
        stopped_at: None,
        stop_code: Some(StopCode::EssentialContainerExited),
        stopped_reason: Some("Essential container in task exited".into()),
        health: HealthStatus::Unhealthy,
        containers: vec![container()],
        protected_until: Some(time(14)),
        interface: Some(Box::new(Interface {
            attachment: "c71d58d1-3a8c-4b1e-9d8a-6f0e2b7c5a94".into(),
            id: "eni-0123456789abcdef0".into(),
            address: Ipv4Addr::new(10, 9, 1, 5),
            gateway: Ipv4Addr::new(10, 9, 0, 1),
            prefix: 16,
            subnet: Some("subnet-0123456789abcdef0".into()),
            zone: Some("eu-west-1b".into()),
        })),
        waiting: Some(Box::new(WaitingForPlace {
            constraints: vec![Constraint::DistinctInstance],
            strategies: vec![Strategy::Binpack(Resource::Cpu)],
        })),
        gpus: Some(Box::new(Gpus(vec!["gpu-1".into()]))),
        stop_number: 3,
        secrets: Some(Arc::new(GivenSecrets(vec![GivenSecret {
            container: container_name(),
            value_from: "/token".into(),
            version: "3".into(),
        }]))),
    }
}

fn origin() -> Origin {
    Origin {
        arn_format: ArnFormat::Long,
        family: family(),
        revision: 12,
        group: "service:front".into(),
        started_by: Some("ecs-svc/1234567890123456789".into()),
        service: Some(ServiceMembership { name: name(), deployment: DeploymentId::from_bits(1) }),
        launch_type: LaunchType::Ec2,
        capacity_provider: Some("mine".into()),
        needs: Needs {
            cpu: CpuUnits(102),
            memory: MemoryMib(50),
            ports: vec![(Port(8080), Protocol::Tcp)],
            gpus: 1,
        },
        overrides: Some("{}".into()),
        network: Some("{}".into()),
        enable_execute_command: true,
        platform_version: Some("1.4.0".into()),
        tags: tags(),
    }
}

fn container() -> Container {
    Container {
        id: ContainerId::from_bits(8),
        name: container_name(),
        last_status: ContainerStatus::Stopped,
        exit_code: Some(-1),
        reason: Some("OutOfMemoryError".into()),
        runtime_id: Some("48dfca3e".into()),
        image_digest: Some("sha256:00".into()),
        health: HealthStatus::Healthy,
        bindings: vec![NetworkBinding {
            bind_ip: "0.0.0.0".into(),
            container_port: Some(Port(80)),
            host_port: Some(Port(32768)),
            container_port_range: None,
            host_port_range: Some("32768-32770".into()),
            protocol: Protocol::Udp,
        }],
        cause: Some(Cause::OutOfMemory),
        end: Some(ContainerEnd::NeverRan(Some(StartFailure::Manifest))),
    }
}

fn load_balancers() -> Vec<LoadBalancer> {
    let of =
        |target, advanced| LoadBalancer { target, container: container_name(), port: Port(80), advanced };
    let advanced = AdvancedConfiguration {
        alternate_target_group: Some("arn:green".into()),
        production_listener_rule: Some("arn:rule".into()),
        test_listener_rule: Some("arn:test".into()),
        role: Some("arn:role".into()),
    };
    vec![
        of(LoadBalancerTarget::TargetGroup("arn:blue".into()), Some(Box::new(advanced))),
        of(LoadBalancerTarget::Classic("classic".into()), None),
    ]
}

fn registry() -> ServiceRegistry {
    ServiceRegistry {
        registry: "arn:registry".into(),
        port: Some(Port(8080)),
        container: Some(container_name()),
        container_port: Some(Port(80)),
    }
}

fn service_connect() -> ServiceConnect {
    ServiceConnect {
        namespace: Some("internal".into()),
        services: vec![ServiceConnectService {
            port_name: "http".into(),
            discovery_name: Some("front".into()),
            client_aliases: vec![ClientAlias {
                port: Port(80),
                dns_name: Some("front".into()),
                test_header: Some(("x-test".into(), Some("yes".into()))),
            }],
            ingress_port: Some(Port(15000)),
            timeout: Some(ConnectTimeout { idle_secs: Some(60), per_request_secs: Some(0) }),
            tls: Some(Box::new(ConnectTls {
                authority: Some("arn:ca".into()),
                kms_key: Some("arn:key".into()),
                role: Some("arn:role".into()),
            })),
        }],
        log: Some(ConnectLog {
            driver: "awslogs".into(),
            options: [("awslogs-group".into(), "proxies".into())].into(),
            secret_options: vec![("token".into(), "arn:secret".into())],
        }),
        access_log: Some(AccessLog {
            format: AccessLogFormat::Json,
            query_parameters: Some(Switch::Disabled),
        }),
    }
}

fn service() -> Service {
    Service {
        name: name(),
        arn_format: ArnFormat::Long,
        status: ServiceStatus::Draining,
        created_at: time(15),
        created_by: PRINCIPAL.into(),
        deleted_at: None,
        client_token: Some("token".into()),
        fingerprint: u64::MAX,
        scheduling: SchedulingStrategy::Replica,
        controller: DeploymentController::Ecs,
        desired_count: 3,
        task_definition: Some((family(), 12)),
        minimum_healthy_percent: 50,
        maximum_percent: 150,
        circuit_breaker: true,
        circuit_breaker_rollback: true,
        deployment_configuration: Some("{}".into()),
        capacity: Capacity::Strategy(strategy()),
        platform_version: Some("LATEST".into()),
        placement_constraints: vec![Constraint::DistinctInstance],
        placement_strategy: vec![Strategy::Spread(Field::Instance)],
        network: Some("{}".into()),
        load_balancers: load_balancers(),
        service_registries: vec![registry()],
        volume_configurations: Some("[]".into()),
        service_connect: Some(service_connect()),
        health_check_grace_secs: Some(30),
        role: Some("role".into()),
        propagate_tags: PropagateTags::Service,
        managed_tags: true,
        enable_execute_command: true,
        zone_rebalancing: true,
        tags: tags(),
        deployments: vec![deployment()],
        memory: memory(),
        events_total: 101,
        launch_type: Some(LaunchType::Ec2),
        bake_minutes: 2,
    }
}

fn deployment() -> Deployment {
    Deployment {
        id: DeploymentId::from_bits(1),
        primary: true,
        task_definition: (family(), 12),
        desired_count: 3,
        failed_tasks: 1,
        created_at: time(16),
        updated_at: time(17),
        rollout_state: RolloutState::InProgress,
        rollout_reason: "ECS deployment in progress.".into(),
        had_running_task: true,
        rolls_back: Some(DeploymentId::from_bits(2)),
        service_deployment: ServiceDeploymentId::from_bits(3),
        capacity: Capacity::LaunchType(LaunchType::Fargate),
        platform_version: Some("1.4.0".into()),
        network: Some("{}".into()),
        stop_request: Some(StopType::Rollback),
        revision: DeploymentId::from_bits(4),
        baking_since: Some(time(18)),
        alarms_ignored: true,
    }
}

fn memory() -> PlannerMemory {
    PlannerMemory {
        throttle: Throttle {
            deployment: Some(DeploymentId::from_bits(1)),
            failures: 2,
            last_failure: Some(time(20)),
            next_attempt: Some(time(21)),
        },
        said: EventMemory {
            said: [(Topic::Steady, Said { message: "steady".to_owned(), at: time(19) })].into(),
        },
        refusals: vec![RefusalMemory {
            deployment: DeploymentId::from_bits(1),
            at: time(22),
            attempts: 3,
            uncounted: 1,
            reason: PlacementRefusal::Closest {
                instance: InstanceId::from_bits(7),
                miss: ClosestMiss::Memory,
            },
            room_may_help: true,
        }],
        last_completed: Some(LastCompleted {
            deployment: DeploymentId::from_bits(5),
            revision: DeploymentId::from_bits(6),
        }),
        rebalancing: Some(1),
        fallback_throttle: Throttle {
            deployment: Some(DeploymentId::from_bits(5)),
            failures: 1,
            last_failure: Some(time(47)),
            next_attempt: Some(time(48)),
        },
        stops_counted: 2,
    }
}

fn event() -> ServiceEvent {
    ServiceEvent {
        id: "0b8e1e0e-0000-4000-8000-000000000001".into(),
        at: time(23),
        message: "(service front) has reached a steady state.".into(),
        number: 100,
    }
}

fn service_deployment() -> ServiceDeployment {
    ServiceDeployment {
        id: ServiceDeploymentId::from_bits(3),
        service: name(),
        created_at: time(24),
        started_at: Some(time(25)),
        finished_at: Some(time(26)),
        stopped_at: Some(time(27)),
        updated_at: time(28),
        sources: vec![(DeploymentId::from_bits(5), 3)],
        target: DeploymentId::from_bits(4),
        status: ServiceDeploymentStatus::RollbackSuccessful,
        status_reason: Some("circuit breaker".into()),
        failure_count: 4,
        rollback: Some((time(29), "why".into(), DeploymentId::from_bits(5))),
        configuration: "{}".into(),
    }
}

fn revision() -> ServiceRevision {
    ServiceRevision {
        id: DeploymentId::from_bits(4),
        service: name(),
        created_at: time(30),
        task_definition: (family(), 12),
        capacity: Capacity::LaunchType(LaunchType::External),
        platform_version: Some("1.4.0".into()),
        network: Some("{}".into()),
        load_balancers: load_balancers(),
        service_registries: vec![registry()],
        service_connect: Some(service_connect()),
        images: vec![(container_name(), "nginx".into(), Some("sha256:00".into()))],
    }
}

fn task_set() -> TaskSet {
    TaskSet {
        id: DeploymentId::from_bits(8),
        service: name(),
        status: TaskSetStatus::Primary,
        created_at: time(33),
        updated_at: time(34),
        external_id: Some("blue".into()),
        client_token: Some("t-2".into()),
        fingerprint: u64::MAX - 1,
        task_definition: (family(), 12),
        capacity: Capacity::LaunchType(LaunchType::Ec2),
        platform_version: Some("1.4.0".into()),
        network: Some("{}".into()),
        load_balancers: load_balancers(),
        service_registries: vec![registry()],
        scale_basis_points: 3_333,
        told_desired_count: 2,
        stability: Stability::SteadyState,
        stability_at: time(35),
        throttle: Throttle {
            deployment: Some(DeploymentId::from_bits(8)),
            failures: 2,
            last_failure: Some(time(36)),
            next_attempt: Some(time(37)),
        },
        tags: tags(),
    }
}

fn provider() -> CapacityProvider {
    CapacityProvider {
        name: "mine".into(),
        status: ProviderStatus::Active,
        update_status: Some(ProviderUpdateStatus::UpdateComplete),
        created_at: time(31),
        deleted_at: Some(time(32)),
        auto_scaling_group: AutoScalingGroup {
            group: "asg".into(),
            managed_scaling: ManagedScaling {
                status: Switch::Enabled,
                target_capacity: 80,
                minimum_step: 1,
                maximum_step: 10_000,
                instance_warmup_secs: 300,
            },
            managed_termination_protection: Switch::Disabled,
            managed_draining: Switch::Enabled,
        },
        tags: tags(),
    }
}

fn setting() -> AccountSetting {
    AccountSetting { principal: PRINCIPAL.into(), name: "containerInsights".into(), value: "enabled".into() }
}

fn join_token() -> JoinToken {
    JoinToken {
        id: "jt-1".into(),
        secret_hash: [7; 32],
        created_at: time(51),
        created_by: "arn:aws:iam::000000000000:root".into(),
        expires_at: time(52),
        uses: 3,
        used: 1,
        attributes: [("rack".into(), "r1".into())].into(),
    }
}

fn instance_key() -> InstanceKey {
    InstanceKey {
        instance: InstanceId::from_bits(7),
        current: "LSCIAAAAAAAAAAAAAAA2".into(),
        previous: Some("LSCIAAAAAAAAAAAAAAA3".into()),
        token: "jt-1".into(),
        joined_at: time(53),
        renewed_at: time(54),
        attributes: [("rack".into(), "r1".into())].into(),
    }
}

fn token() -> Token {
    Token {
        token: "t-1".into(),
        fingerprint: 1,
        created_at: time(33),
        tasks: vec![TaskId::from_bits(9)],
        failures: Some("[]".into()),
    }
}
