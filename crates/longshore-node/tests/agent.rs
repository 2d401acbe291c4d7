//! The whole agent over real sockets and a real disk, with a scripted runtime.

mod support;

use std::backtrace::Backtrace;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longshore_base::{Clock, Seed, Timestamp};
use longshore_client::HttpClient;
use longshore_engine::spec::ContainerSpec;
use longshore_link::message::{ContainerPayload, DockerConfig, RoleCredentials, TaskPayload};
use longshore_link::upgrade::Refusal;
use longshore_node::{AgentError, Config, ExitReason, Services, Status, run};
use longshore_runtime::scripted::{ImageScript, ScriptedEngine, World};
use serde_json::json;
use support::{CLUSTER, ControlPlane, SECRET, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("longshore-agent-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Running {
    status: watch::Receiver<Status>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<Result<ExitReason, AgentError>>,
}

impl Running {
    async fn stop(self) -> ExitReason {
        let _ = self.shutdown.send(());
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        ended.expect("it ends soon").expect("it does not panic").expect("it could start")
    }

    async fn connected(&mut self) -> Status {
        let connected = self.status.wait_for(|status| status.connected);
        let status = tokio::time::timeout(Duration::from_secs(10), connected).await;
        status.expect("it connects").expect("it runs").clone()
    }
}

fn scripted() -> ScriptedEngine {
    let mut world = World::new(Seed::new(5));
    world.script("bb", ImageScript { start_time: Duration::from_millis(5), ..ImageScript::default() });
    ScriptedEngine::over(world, SystemClock.now())
}

fn start(plane: &ControlPlane, engine: &ScriptedEngine, seed: u128, extra: &[(&str, &str)]) -> Running {
    start_at(plane, engine, seed, extra, Arc::new(SystemClock))
}

fn start_at(
    plane: &ControlPlane,
    engine: &ScriptedEngine,
    seed: u128,
    extra: &[(&str, &str)],
    clock: Arc<dyn Clock>,
) -> Running {
    let endpoint = plane.endpoint();
    let mut pairs = vec![
        ("ECS_CLUSTER", "c"),
        ("ECS_BACKEND_HOST", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("LONGSHORE_INTROSPECTION_PORT", "off"),
        ("LONGSHORE_METADATA_PORT", "off"),
    ];
    pairs.extend(extra);
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (config, notes) = Config::read(pairs, None).expect("valid");
    assert_eq!(notes, []);
    let services = Services {
        runtime: Arc::new(engine.clone()),
        http: HttpClient::default(),
        keys: None,
        clock,
        seed: Seed::new(seed),
        credentials: None,
    };
    let (sender, status) = watch::channel(Status::default());
    let (shutdown, asked) = oneshot::channel();
    let task = tokio::spawn(run(config, services, sender, async {
        let _ = asked.await;
    }));
    Running { status, shutdown, task }
}

fn payload(name: &str) -> TaskPayload {
    let container = ContainerPayload {
        name: "main".into(),
        image: "bb".into(),
        essential: true,
        cpu: 10,
        memory: 16,
        docker_config: Some(DockerConfig::default()),
        ..ContainerPayload::default()
    };
    TaskPayload {
        family: "web".into(),
        version: "1".into(),
        containers: vec![container],
        role_credentials: Some(RoleCredentials {
            credentials_id: format!("id-{name}").into(),
            access_key_id: "ASIA".into(),
            secret_access_key: SECRET.to_owned().into(),
            ..RoleCredentials::default()
        }),
        ..TaskPayload::run(&arn(name), CLUSTER)
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:ecs:us-east-1:111122223333:task/c/{name}")
}

async fn reported(plane: &ControlPlane, name: &str, status: &str) {
    let what = format!("{status} of {name}");
    let task = arn(name);
    plane
        .wait_for(&what, |known| {
            known.reports.get(&task)?.iter().any(|report| report["status"] == status).then_some(())
        })
        .await;
}

/// A clock that panics once when it is asked for the time of a signature, which is in a task beside the loop.
struct Trap(AtomicBool);

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        let is_set = self.0.load(Ordering::SeqCst);
        if is_set && Backtrace::force_capture().to_string().contains("longshore-client/src/signer.rs") {
            self.0.store(false, Ordering::SeqCst);
            panic!("on purpose");
        }
        SystemClock.now()
    }
}

/// It would wait for the answer of the call for ever.
#[tokio::test]
async fn a_panic_in_a_task_beside_the_loop_ends_the_agent() {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    let trap = Arc::new(Trap(AtomicBool::new(false)));
    let mut agent = start_at(&plane, &engine, 1, &[], trap.clone());
    agent.connected().await;
    trap.0.store(true, Ordering::SeqCst);
    plane.want(payload("a"));
    let ended = tokio::time::timeout(Duration::from_secs(30), agent.task).await;
    let reason = ended.expect("it ends").expect("the loop does not panic").expect("it could start");
    assert_eq!(reason, ExitReason::Failed("a task of the agent panicked".to_owned()));
    assert_ne!(reason.code(), 0, "its supervisor starts it again");
}

#[tokio::test]
async fn a_task_runs_and_stops_over_real_sockets() {
    let (plane, engine, scratch) = (ControlPlane::start().await, scripted(), Scratch::new("runs"));
    let directory = scratch.0.display().to_string();
    let mut agent = start(&plane, &engine, 1, &[("ECS_DATADIR", &directory)]);
    let status = agent.connected().await;
    assert!(status.instance_arn.is_some_and(|arn| arn.ends_with("container-instance/c/1")));
    plane.want(payload("a"));
    reported(&plane, "a", "RUNNING").await;
    plane.wait_for("ack", |known| (!known.acked.is_empty()).then_some(())).await;
    plane.wait_for("telemetry", |known| (known.observed >= 2).then_some(())).await;
    plane.want(TaskPayload::stop(&arn("a"), CLUSTER));
    reported(&plane, "a", "STOPPED").await;
    assert_eq!(agent.stop().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_restarted_agent_is_the_same_instance_and_its_containers_go_on() {
    let (plane, engine, scratch) = (ControlPlane::start().await, scripted(), Scratch::new("restart"));
    let directory = scratch.0.display().to_string();
    let extra = [("ECS_DATADIR", directory.as_str())];
    let mut agent = start(&plane, &engine, 1, &extra);
    agent.connected().await;
    plane.want(payload("a"));
    reported(&plane, "a", "RUNNING").await;
    // Killed: nothing is said, nothing is saved.
    agent.task.abort();
    let _ = agent.task.await;
    assert_eq!(engine.with_world(|world, _| world.running()), 1);

    let mut agent = start(&plane, &engine, 2, &extra);
    let status = agent.connected().await;
    assert!(status.instance_arn.is_some_and(|arn| arn.ends_with("container-instance/c/1")));
    plane.want(TaskPayload::stop(&arn("a"), CLUSTER));
    reported(&plane, "a", "STOPPED").await;
    let starts: u32 = engine.with_world(|world, _| world.all_starts().values().sum());
    assert_eq!(starts, 1);
    let registered = plane.with(|known| known.registrations.clone());
    assert!(registered[1]["containerInstanceArn"].is_string());
    agent.stop().await;
}

#[tokio::test]
async fn several_agents_share_a_process_and_an_engine() {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    let mut agents = Vec::new();
    for seed in 1..=5 {
        agents.push(start(&plane, &engine, seed, &[]));
    }
    let mut arns = std::collections::BTreeSet::new();
    for agent in &mut agents {
        arns.insert(agent.connected().await.instance_arn);
    }
    assert_eq!(arns.len(), 5);
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test]
async fn an_agent_waits_for_a_control_plane_that_refuses_it() {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    plane.with(|known| known.refusal = Some(Refusal::NotServing));
    let mut agent = start(&plane, &engine, 1, &[]);
    plane.wait_for("registration", |known| (!known.registrations.is_empty()).then_some(())).await;
    assert!(!agent.status.borrow().connected);
    plane.with(|known| known.refusal = None);
    agent.connected().await;
    agent.stop().await;
}

#[tokio::test]
async fn containers_and_people_can_ask_the_agent() {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    let free = async || {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("it is bound").port().to_string()
    };
    let (introspection, metadata) = (free().await, free().await);
    let mut agent = start(
        &plane,
        &engine,
        1,
        &[("LONGSHORE_INTROSPECTION_PORT", &introspection), ("LONGSHORE_METADATA_PORT", &metadata)],
    );
    agent.connected().await;
    plane.want(payload("a"));
    reported(&plane, "a", "RUNNING").await;

    let (status, body) = get(&introspection, "/v1/metadata").await;
    assert_eq!((status, body["Cluster"].as_str()), (200, Some("c")));
    let (status, body) = get(&introspection, "/v1/tasks").await;
    assert_eq!((status, body["Tasks"][0]["KnownStatus"].as_str()), (200, Some("RUNNING")));
    let id = body["Tasks"][0]["Containers"][0]["DockerId"].as_str().expect("it has one").to_owned();
    let (status, body) = get(&introspection, &format!("/v1/tasks?dockerid={}", &id[..12])).await;
    assert_eq!((status, body["Arn"].as_str()), (200, Some(arn("a").as_str())));
    assert_eq!(get(&introspection, "/v1/tasks?taskarn=none").await.0, 404);

    // This process is no container of the task: what it asks for is as unknown to it as what nobody has.
    let (status, body) = get(&metadata, "/v2/credentials/id-a").await;
    assert_eq!((status, body["code"].as_str()), (400, Some("InvalidIdInRequest")));
    assert_eq!(get(&metadata, "/v2/credentials/other").await, (status, body));
    assert_eq!(get(&metadata, "/v4/unknown/task").await.0, 404);
    agent.stop().await;
}

/// What a container may send to the server that has the credentials of all others: it goes on serving them.
#[tokio::test]
async fn strangers_do_not_keep_credentials_from_others() {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    drop(listener);
    let mut agent = start(&plane, &engine, 1, &[("LONGSHORE_METADATA_PORT", &port)]);
    agent.connected().await;
    plane.want(payload("a"));
    reported(&plane, "a", "RUNNING").await;
    let address = format!("127.0.0.1:{port}");
    let long = "x".repeat(200_000);
    let headers: String = (0..5000).map(|n| format!("x-{n}: y\r\n")).collect();
    let get = "GET /v2/credentials/id-a HTTP/1.1\r\nhost: 169.254.170.2\r\n";
    let hostile = [
        "\u{16}\u{3}\u{1}".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nhost: h\r\n\r\n"),
        format!("{get}{headers}\r\n"),
        format!("{get}x: {long}\r\n\r\n"),
        format!(
            "PUT /api/x/task-protection/v1/state HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{long}",
            long.len()
        ),
        format!("{get}content-length: 99999999999999999999\r\n\r\n"),
        format!("{get}transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
        "GET /v2/credentials/%00%ff%2e%2e/ HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
        "GET /v1/credentials?id=&id=x&%ff HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
        format!("{get}origin: http://other.example\r\n\r\n"),
    ];
    let mut held = Vec::new();
    for sent in &hostile {
        let mut socket = tokio::net::TcpStream::connect(&address).await.expect("it listens");
        // It may be closed before all is sent.
        let _ = socket.write_all(sent.as_bytes()).await;
        held.push(socket);
    }
    // Begun, and never ended.
    for _ in 0..10 {
        let mut socket = tokio::net::TcpStream::connect(&address).await.expect("it listens");
        socket.write_all(get.as_bytes()).await.expect("there is room for it");
        held.push(socket);
    }
    let (status, body) = self::get(&port, "/v2/credentials/id-a").await;
    assert_eq!((status, body["code"].as_str()), (400, Some("InvalidIdInRequest")));
    for mut socket in held {
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_millis(50), read).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains(SECRET) && !answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    agent.stop().await;
}

fn created(engine: &ScriptedEngine) -> Vec<ContainerSpec> {
    engine.with_world(|world, _| world.specs().cloned().collect())
}

#[tokio::test]
async fn a_container_with_awslogs_runs_with_a_bounded_log_on_the_engine() {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    let mut agent = start(&plane, &engine, 1, &[("LONGSHORE_AWSLOGS_DRIVER", "json-file")]);
    agent.connected().await;
    let mut wanted = payload("a");
    let text = json!({"LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "g", "awslogs-stream-prefix": "p"}}});
    wanted.containers[0].docker_config =
        Some(DockerConfig { host_config: text.to_string(), ..DockerConfig::default() });
    plane.want(wanted);
    reported(&plane, "a", "RUNNING").await;
    let host = created(&engine)[0].docker_host_config.clone().expect("it has a text").0;
    let host: serde_json::Value = serde_json::from_str(&host).expect("JSON");
    assert_eq!(
        host["LogConfig"],
        json!({"Type": "json-file", "Config": {"max-size": "20m", "max-file": "5"}})
    );
    let said = plane.with(|known| known.registrations[0]["attributes"].clone());
    let said = said.as_array().expect("a list").clone();
    assert!(said.contains(&json!({"name": "com.amazonaws.ecs.capability.logging-driver.awslogs"})));
    assert!(said.contains(&json!({"name": "longshore.awslogs-driver", "value": "json-file"})));
    agent.stop().await;
}

#[tokio::test]
async fn containers_are_not_told_of_what_nobody_serves() {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    let mut agent = start(&plane, &engine, 1, &[]);
    agent.connected().await;
    plane.want(payload("a"));
    reported(&plane, "a", "RUNNING").await;
    let specs = created(&engine);
    let told: Vec<_> = specs[0].environment.0.keys().collect();
    assert!(told.is_empty(), "{told:?}");
    agent.stop().await;
}

/// An agent with a task, its metadata port, and the ends of its container's URLs.
async fn asked_agent(extra: TaskPayload) -> (ControlPlane, Running, String, String) {
    let (plane, engine) = (ControlPlane::start().await, scripted());
    let free = async || {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("it is bound").port().to_string()
    };
    let metadata = free().await;
    let mut agent = start(&plane, &engine, 1, &[("LONGSHORE_METADATA_PORT", &metadata)]);
    agent.connected().await;
    plane.want(extra);
    reported(&plane, "a", "RUNNING").await;
    let specs = created(&engine);
    let url = &specs[0].environment.0["ECS_AGENT_URI"];
    let id = url.rsplit('/').next().expect("it ends with the id").to_owned();
    assert_eq!(*url, format!("http://169.254.170.2/api/{id}"));
    (plane, agent, metadata, id)
}

#[tokio::test]
async fn a_container_protects_its_task() {
    let alone = TaskPayload { role_credentials: None, ..payload("a") };
    let (plane, agent, port, id) = asked_agent(alone).await;
    let path = format!("/api/{id}/task-protection/v1/state");
    let protected = json!({"protectedTasks": [{"taskArn": arn("a"), "protectionEnabled": true,
                                               "expirationDate": 1_795_210_840.0}], "failures": []});
    plane.with(|known| {
        known.answers.insert("UpdateTaskProtection", (200, protected));
        let refused = json!({"__type": "AccessDeniedException", "message": "not you"});
        known.answers.insert("GetTaskProtection", (400, refused));
    });
    let (status, body) =
        ask(&port, "PUT", &path, r#"{"ProtectionEnabled":true,"ExpiresInMinutes":30}"#).await;
    let expected = json!({"protection": {"TaskArn": arn("a"), "ProtectionEnabled": true,
                                         "ExpirationDate": "2026-11-20T21:40:40Z"}});
    assert_eq!((status, body), (200, expected));
    let (status, body) = ask(&port, "GET", &path, "").await;
    let expected = json!({"error": {"Arn": arn("a"), "Code": "AccessDeniedException", "Message": "not you"}});
    assert_eq!((status, body), (400, expected));
    // For its own task, and with the instance's key, because the task has no role.
    let asked = plane.with(|known| known.inquiries.clone());
    let own = json!({"cluster": "c", "tasks": [arn("a")], "protectionEnabled": true, "expiresInMinutes": 30});
    assert_eq!(asked[0], ("UpdateTaskProtection".to_owned(), "AKIAEXAMPLE".to_owned(), own));
    assert_eq!(asked[1].2, json!({"cluster": "c", "tasks": [arn("a")]}));

    let refused = async |method: &str, path: &str, body: &str| {
        let (status, body) = ask(&port, method, path, body).await;
        (status, body["error"]["Code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused("PUT", &path, "{}").await, (400, "InvalidParameterException".to_owned()));
    assert_eq!(refused("DELETE", &path, "").await.0, 405);
    let other = "/api/other/task-protection/v1/state";
    assert_eq!(refused("GET", other, "").await, (404, "ResourceNotFoundException".to_owned()));
    assert_eq!(refused("PUT", &path, &" ".repeat(20_000)).await.0, 413);
    assert_eq!(plane.with(|known| known.inquiries.len()), 2, "nothing else is asked for");
    agent.stop().await;
}

#[tokio::test]
async fn a_task_with_a_role_asks_as_its_role() {
    let (plane, agent, port, id) = asked_agent(payload("a")).await;
    let failed = json!({"protectedTasks": [], "failures": [{"arn": arn("a"), "reason": "TASK_NOT_VALID"}]});
    plane.with(|known| known.answers.insert("GetTaskProtection", (200, failed)));
    let (status, body) = ask(&port, "GET", &format!("/api/{id}/task-protection/v1/state"), "").await;
    let expected = json!({"failure": {"Arn": arn("a"), "Reason": "TASK_NOT_VALID", "Detail": null}});
    assert_eq!((status, body), (200, expected));
    assert_eq!(plane.with(|known| known.inquiries[0].1.clone()), "ASIA");
    agent.stop().await;
}

#[tokio::test]
async fn every_path_that_a_variable_names_is_served() {
    let mut wanted = payload("a");
    wanted.containers[0].docker_config = Some(DockerConfig {
        host_config: json!({"LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "g"}}}).to_string(),
        ..DockerConfig::default()
    });
    wanted.service_name = "s".into();
    let (plane, agent, port, id) = asked_agent(wanted).await;
    let at = async |path: &str| get(&port, path).await;
    let (status, own) = at(&format!("/v4/{id}")).await;
    assert_eq!(
        (status, own["Name"].as_str(), own["LogDriver"].as_str()),
        (200, Some("main"), Some("awslogs"))
    );
    assert_eq!(own["LogOptions"], json!({"awslogs-group": "g"}));
    let (status, old) = at(&format!("/v3/{id}")).await;
    assert_eq!((status, old["Name"].as_str()), (200, Some("main")));
    let (_, task) = at(&format!("/v4/{id}/task")).await;
    assert_eq!(
        (task["TaskARN"].as_str(), task["ServiceName"].as_str()),
        (Some(arn("a").as_str()), Some("s"))
    );
    let (status, older) = at(&format!("/v3/{id}/task/")).await;
    assert_eq!((status, older["TaskARN"].as_str()), (200, Some(arn("a").as_str())));
    for member in ["LaunchType", "ServiceName", "FaultInjectionEnabled"] {
        assert_eq!(older.get(member), None, "{member} came with version 4");
    }
    for member in ["LogDriver", "LogOptions", "ContainerARN"] {
        assert_eq!((old.get(member), older["Containers"][0].get(member)), (None, None), "{member}");
    }

    plane.with(|known| {
        let tags = json!({"tags": [{"key": "team", "value": "shop"}]});
        known.answers.insert("ListTagsForResource", (200, tags));
    });
    let (status, tagged) = at(&format!("/v4/{id}/taskWithTags")).await;
    assert_eq!(status, 200);
    assert_eq!(tagged["TaskTags"], json!({"team": "shop"}));
    assert_eq!(tagged["ContainerInstanceTags"], json!({"team": "shop"}));
    plane.with(|known| {
        let error = json!({"__type": "AccessDeniedException", "message": "no"});
        known.answers.insert("ListTagsForResource", (400, error));
    });
    let (status, tagged) = at(&format!("/v3/{id}/taskWithTags")).await;
    assert_eq!((status, tagged["Family"].as_str()), (200, Some("web")), "the rest is told all the same");
    let error = json!({"ErrorField": "TaskTags", "ErrorCode": "AccessDeniedException", "ErrorMessage": "no",
                       "StatusCode": 400, "ResourceARN": arn("a")});
    assert_eq!(tagged["Errors"][1], error);

    let docker_id = own["DockerId"].as_str().expect("it has one").to_owned();
    let (status, stats) = at(&format!("/v4/{id}/stats")).await;
    assert_eq!((status, stats["id"].as_str()), (200, Some(docker_id.as_str())));
    let (status, all) = at(&format!("/v3/{id}/task/stats")).await;
    assert_eq!((status, all[&docker_id]["id"].as_str()), (200, Some(docker_id.as_str())));

    let expected = json!({"Associations": null});
    assert_eq!(at(&format!("/v4/{id}/associations/elastic-inference")).await, (200, expected));
    assert_eq!(at(&format!("/v4/{id}/associations/elastic-inference/x")).await.0, 400);
    let fault = format!("/api/{id}/fault/v1/network-latency/status");
    let refused = json!({"Error": format!("enableFaultInjection is not enabled for task: {}", arn("a"))});
    assert_eq!(ask(&port, "POST", &fault, "{}").await, (400, refused));
    assert_eq!(ask(&port, "GET", &fault, "").await.0, 405);
    assert_eq!(ask(&port, "POST", &format!("/api/{id}/fault/v1/fire/start"), "{}").await.0, 404);
    // Version 2 knows callers by their address, which only tasks in awsvpc mode have.
    for path in ["/v2/metadata", "/v2/metadataWithTags", "/v2/stats", "/v2/metadata/x", "/v2/stats/x"] {
        assert_eq!(at(path).await.0, 400, "{path}");
    }
    for (path, status) in [("/v4/x", 404), ("/v3/x", 500), ("/v2/x", 404), ("/v5/x", 404), ("/", 404)] {
        assert_eq!(at(path).await.0, status, "{path}");
    }
    assert_eq!(at(&format!("/v4/{id}/other")).await.0, 404);
    assert_eq!(ask(&port, "POST", &format!("/v4/{id}"), "").await.0, 405);
    agent.stop().await;
}

/// A GET on this machine.
async fn get(port: &str, path: &str) -> (u16, serde_json::Value) {
    ask(port, "GET", path, "").await
}

/// A request on this machine.
async fn ask(port: &str, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
    let mut stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("it listens");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}
