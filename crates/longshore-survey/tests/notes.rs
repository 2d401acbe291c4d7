//! Each rule, broken once.

use std::net::Ipv4Addr;

use longshore_base::{
    ClusterName, CpuUnits, DeploymentId, InstanceId, MemoryMib, Port, Protocol, ServiceName, TaskId,
    Timestamp,
};
use longshore_domain::status::ClusterStatus;
use longshore_domain::{
    ContainerStatus, DesiredStatus, InstanceStatus, Needs, SchedulingStrategy, ServiceStatus, StopCode,
    TaskStatus,
};
use longshore_survey::{
    Cluster, Container, Deployment, Instance, Rule, Service, Snapshot, Task, step, survey,
};

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn task(n: u128) -> Task {
    Task {
        id: TaskId::from_bits(n),
        instance: Some(InstanceId::from_bits(1)),
        in_pool: false,
        service: Some((ServiceName::parse("web").expect("a name"), DeploymentId::from_bits(1))),
        last_status: TaskStatus::Running,
        desired_status: DesiredStatus::Running,
        version: 3,
        needs: Needs {
            cpu: CpuUnits(512),
            memory: MemoryMib(100),
            ports: vec![(Port(8000 + n as u16), Protocol::Tcp)],
            gpus: 0,
        },
        gpus: Vec::new(),
        address: Some(Ipv4Addr::new(10, 9, 0, n as u8)),
        created_at: NOW,
        started_at: Some(NOW),
        stopping_at: None,
        stopped_at: None,
        stop_code: None,
        stopped_reason: None,
        definition_known: true,
        containers: vec![Container {
            name: "main".into(),
            last_status: ContainerStatus::Running,
            exit_code: None,
        }],
    }
}

fn stopped(n: u128) -> Task {
    Task {
        last_status: TaskStatus::Stopped,
        desired_status: DesiredStatus::Stopped,
        version: 4,
        stopping_at: Some(NOW),
        stopped_at: Some(NOW),
        stop_code: Some(StopCode::UserInitiated),
        stopped_reason: Some("Task stopped by user".into()),
        containers: vec![Container {
            name: "main".into(),
            last_status: ContainerStatus::Stopped,
            exit_code: Some(0),
        }],
        ..task(n)
    }
}

fn cluster() -> Cluster {
    let instance = Instance {
        id: InstanceId::from_bits(1),
        status: InstanceStatus::Active,
        cpu: 1024,
        memory: 1024,
        gpus: 0,
        reserved: vec![(Port(22), Protocol::Tcp)],
    };
    let service = Service {
        name: ServiceName::parse("web").expect("a name"),
        status: ServiceStatus::Active,
        scheduling: SchedulingStrategy::Replica,
        external: false,
        desired_count: 2,
        deployments: vec![Deployment { id: DeploymentId::from_bits(1), primary: true }],
    };
    Cluster {
        name: ClusterName::parse("main").expect("a name"),
        status: Some(ClusterStatus::Active),
        instances: vec![instance],
        tasks: vec![task(1), task(2), stopped(3)],
        services: vec![service],
    }
}

/// The rules that a cluster breaks after `change`.
fn check(change: impl FnOnce(&mut Cluster), expected: &[Rule]) {
    let mut cluster = cluster();
    change(&mut cluster);
    let notes = survey(&Snapshot { clusters: vec![cluster], pool: Vec::new() });
    let rules: Vec<Rule> = notes.iter().map(|note| note.rule).collect();
    assert_eq!(rules, expected, "{notes:?}");
}

#[test]
fn a_sound_cluster_gives_no_note() {
    check(|_| {}, &[]);
}

#[test]
fn nothing_is_promised_twice() {
    check(|cluster| cluster.tasks.push(task(4)), &[Rule::Capacity]);
    check(|cluster| cluster.tasks[0].needs.memory = MemoryMib(1000), &[Rule::Capacity]);
    check(|cluster| cluster.tasks[0].needs.gpus = 1, &[Rule::Capacity]);
    let have_gpus = |of: [&'static [&'static str]; 3]| {
        move |cluster: &mut Cluster| {
            cluster.instances[0].gpus = 2;
            for (task, gpus) in cluster.tasks.iter_mut().zip(of) {
                task.needs.gpus = 1;
                task.gpus = gpus.iter().map(|&gpu| gpu.into()).collect();
            }
        }
    };
    // The last is STOPPED.
    check(have_gpus([&["a"], &["b"], &["a"]]), &[]);
    check(have_gpus([&["a"], &["a"], &[]]), &[Rule::Capacity]);
    check(have_gpus([&[], &[], &[]]), &[]);
    check(|cluster| cluster.tasks[0].address = cluster.tasks[1].address, &[Rule::Capacity]);
    check(|cluster| cluster.tasks[0].address = None, &[]);
    check(|cluster| cluster.tasks[0].needs.ports = vec![(Port(8002), Protocol::Tcp)], &[Rule::Capacity]);
    check(|cluster| cluster.tasks[0].needs.ports = vec![(Port(8002), Protocol::Udp)], &[]);
    check(|cluster| cluster.tasks[0].needs.ports = vec![(Port(22), Protocol::Tcp)], &[Rule::Capacity]);
    check(|cluster| cluster.tasks[2].needs.cpu = CpuUnits(5000), &[]);
}

#[test]
fn the_pool_is_promised_once_to_all_clusters() {
    let pool = |cpu: u32| {
        let mut clusters = [cluster(), cluster()];
        let mut pool = clusters[0].instances[0].clone();
        pool.cpu = cpu;
        pool.memory = 4096;
        for (n, cluster) in clusters.iter_mut().enumerate() {
            for task in &mut cluster.tasks {
                task.in_pool = true;
                task.needs.ports = vec![(Port(8000 + 10 * n as u16 + task.id.bits() as u16), Protocol::Tcp)];
                task.address = Some(Ipv4Addr::new(10, 9, n as u8, task.id.bits() as u8));
            }
            cluster.instances.clear();
        }
        let snapshot = Snapshot { clusters: clusters.into(), pool: vec![pool] };
        survey(&snapshot).iter().map(|note| note.rule).collect::<Vec<_>>()
    };
    assert_eq!(pool(2048), []);
    assert_eq!(pool(2047), [Rule::Capacity]);
}

#[test]
fn an_end_says_when_how_and_why() {
    check(|cluster| cluster.tasks[2].stop_code = None, &[Rule::Ending]);
    check(|cluster| cluster.tasks[2].stopped_reason = Some(String::new()), &[Rule::Ending]);
    check(|cluster| cluster.tasks[2].stopped_at = None, &[Rule::Times]);
    check(|cluster| cluster.tasks[2].containers[0].last_status = ContainerStatus::Running, &[Rule::Ending]);
    check(|cluster| cluster.tasks[0].started_at = None, &[Rule::Times]);
    check(|cluster| cluster.tasks[0].stop_code = Some(StopCode::UserInitiated), &[Rule::Ending]);
}

#[test]
fn what_is_named_exists() {
    check(
        |cluster| cluster.instances[0].status = InstanceStatus::Inactive,
        &[Rule::Deregistration, Rule::Deregistration],
    );
    check(|cluster| cluster.instances.clear(), &[Rule::Reference, Rule::Reference]);
    check(|cluster| cluster.services.clear(), &[Rule::Reference, Rule::Reference]);
    check(|cluster| cluster.services[0].status = ServiceStatus::Inactive, &[Rule::Service, Rule::Service]);
    check(|cluster| cluster.services[0].deployments[0].primary = false, &[Rule::Service]);
    check(|cluster| cluster.tasks[1].definition_known = false, &[Rule::Reference]);
    check(|cluster| cluster.status = None, &[Rule::Reference]);
}

#[test]
fn a_task_only_moves_forward() {
    let broken = |change: fn(&mut Task)| {
        let mut after = Task { version: 5, ..stopped(1) };
        change(&mut after);
        step::task(&stopped(1), &after).len()
    };
    assert_eq!(step::task(&task(1), &stopped(1)), []);
    assert_eq!(broken(|_| {}), 0);
    assert_eq!(broken(|task| task.version = 4), 1);
    assert_eq!(broken(|task| task.last_status = TaskStatus::Running), 1);
    assert_eq!(broken(|task| task.desired_status = DesiredStatus::Running), 1);
    assert_eq!(broken(|task| task.instance = None), 1);
    assert_eq!(broken(|task| task.stopped_at = Some(Timestamp::from_millis(2_000))), 2);
    assert_eq!(broken(|task| task.containers[0].exit_code = Some(1)), 2);
}
