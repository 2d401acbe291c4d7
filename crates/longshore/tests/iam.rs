//! IAM in a whole control plane: keys, policies and the root key, over HTTP and over restarts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use longshore::args::{Args, Command, ServerOptions};
use longshore::control_plane::ControlPlane;
use longshore::machine::Machine;
use longshore::server;
use longshore_client::{CallError, Client, HttpClient};
use longshore_shapes_ecs as ecs;
use longshore_shapes_iam as iam;
use longshore_shapes_sts as sts;
use longshore_sigv4::Credentials;
use longshore_wire::OperationShape;

/// A data directory that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("longshore-iam-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(dir: &Path, more: &[&str]) -> ServerOptions {
    let dir = dir.to_str().expect("text");
    let words = ["longshore", "server", "--listen", "127.0.0.1:0", "--data-dir", dir];
    match Args::parse_from(words.iter().chain(more)).command {
        Command::Server(options) => options,
        other => panic!("not a server: {other:?}"),
    }
}

async fn start(dir: &Path, more: &[&str]) -> ControlPlane {
    server::start(&options(dir, more), Machine::this()).await.expect("it starts")
}

/// Why it does not start: each line of the error.
async fn refusal(dir: &Path, more: &[&str]) -> String {
    match begin(dir, more).await {
        Ok(_) => panic!("it starts"),
        Err(text) => text,
    }
}

fn client(plane: &ControlPlane, key: &Credentials) -> Client {
    let Machine { clock, .. } = Machine::this();
    Client::new(HttpClient::default(), &plane.endpoint, key.clone(), "us-east-1", clock).expect("a URL")
}

async fn ok<O: OperationShape>(client: &Client, input: O::Input) -> O::Output {
    match client.call::<O>(&input).await {
        Ok(output) => output,
        Err(error) => panic!("{}: {error}", O::NAME),
    }
}

/// The error's code and text.
async fn refused<O: OperationShape>(client: &Client, input: O::Input) -> String {
    match client.call::<O>(&input).await {
        Err(CallError::Refused { error, .. }) => error.to_string(),
        Err(other) => panic!("{}: {other}", O::NAME),
        Ok(_) => panic!("{} was done", O::NAME),
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// The user `ada` with a key, who may list clusters.
async fn make_ada(admin: &Client) -> Credentials {
    let user = iam::CreateUserRequest { user_name: text("ada"), path: text("/team/"), ..Default::default() };
    ok::<iam::ops::CreateUser>(admin, user).await;
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:ListClusters","Resource":"*"}}"#;
    let put = iam::PutUserPolicyRequest {
        user_name: text("ada"),
        policy_name: text("look"),
        policy_document: text(policy),
    };
    ok::<iam::ops::PutUserPolicy>(admin, put).await;
    let made = iam::CreateAccessKeyRequest { user_name: text("ada") };
    let key = ok::<iam::ops::CreateAccessKey>(admin, made).await.access_key.expect("a key");
    Credentials::new(key.access_key_id.expect("an id"), key.secret_access_key.expect("a secret"))
}

async fn set_status(admin: &Client, key: &Credentials, status: &str) {
    let update = iam::UpdateAccessKeyRequest {
        user_name: text("ada"),
        access_key_id: text(&key.access_key_id),
        status: Some(status.into()),
    };
    ok::<iam::ops::UpdateAccessKey>(admin, update).await;
}

fn cluster() -> ecs::CreateClusterRequest {
    ecs::CreateClusterRequest { cluster_name: text("c"), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_does_what_policies_allow() {
    let dir = Directory::new("allow");
    let plane = start(&dir.0, &[]).await;
    let admin = client(&plane, &plane.operator);
    let key = make_ada(&admin).await;
    let ada = client(&plane, &key);

    let who = ok::<sts::ops::GetCallerIdentity>(&ada, Default::default()).await;
    assert_eq!(who.arn.as_deref(), Some("arn:aws:iam::000000000000:user/team/ada"));
    let get = iam::GetUserRequest { user_name: text("ada") };
    let record = ok::<iam::ops::GetUser>(&admin, get).await.user.expect("the user");
    assert_eq!(who.user_id, record.user_id);

    ok::<ecs::ops::ListClusters>(&ada, Default::default()).await;
    let denied = "User: arn:aws:iam::000000000000:user/team/ada is not authorized to perform: ecs:CreateCluster on \
                  resource: arn:aws:ecs:us-east-1:000000000000:cluster/c because no identity-based policy allows the \
                  ecs:CreateCluster action";
    let said = refused::<ecs::ops::CreateCluster>(&ada, cluster()).await;
    assert!(said.contains("AccessDeniedException") && said.contains(denied), "{said}");
    let said = refused::<iam::ops::ListUsers>(&ada, Default::default()).await;
    assert!(said.contains("AccessDenied") && said.contains("perform: iam:ListUsers on resource: "), "{said}");
    // What explains sees no more than ECS shows.
    let question = r#"{"subject": "0123456789abcdef0123456789abcdef"}"#;
    for operation in ["ExplainTask", "ExplainService", "ExplainContainerInstance", "ExplainTaskDefinition"] {
        let said = ada.call_json("ecs", &format!("LongshoreV1.{operation}"), question).await;
        let said = said.expect_err("it is not allowed").to_string();
        assert!(said.contains("is not authorized to perform: ecs:Describe"), "{said}");
    }

    // The first cluster of an account makes ECS's role.
    let role = || iam::GetRoleRequest { role_name: text("AWSServiceRoleForECS") };
    let said = refused::<iam::ops::GetRole>(&admin, role()).await;
    assert!(said.contains("NoSuchEntity"), "{said}");
    ok::<ecs::ops::CreateCluster>(&admin, cluster()).await;
    let made = ok::<iam::ops::GetRole>(&admin, role()).await.role.expect("the role");
    assert_eq!(made.path.as_deref(), Some("/aws-service-role/ecs.amazonaws.com/"));

    set_status(&admin, &key, "Inactive").await;
    let said = refused::<ecs::ops::ListClusters>(&ada, Default::default()).await;
    assert!(said.contains("UnrecognizedClientException"), "{said}");
    let said = refused::<iam::ops::ListUsers>(&ada, Default::default()).await;
    assert!(said.contains("InvalidClientTokenId"), "{said}");
    assert!(said.contains("The security token included in the request is invalid."), "{said}");
    set_status(&admin, &key, "Active").await;
    ok::<ecs::ops::ListClusters>(&ada, Default::default()).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_the_server_and_are_nowhere_in_the_clear() {
    let dir = Directory::new("restart");
    let plane = start(&dir.0, &[]).await;
    let key = make_ada(&client(&plane, &plane.operator)).await;
    let root = dir.0.join("root.key");
    assert_eq!(fs::metadata(&root).expect("it was made").permissions().mode() & 0o777, 0o600);
    plane.stop().await;
    let secret = key.secret.reveal();
    let files = files_below(&dir.0);
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        let content = fs::read(&file).expect("a file");
        let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is in {}", file.display());
    }
    let plane = started_again(&dir.0, &[]).await;
    ok::<ecs::ops::ListClusters>(&client(&plane, &key), Default::default()).await;
    plane.stop().await;

    // Another key, none, and the right one elsewhere.
    let right = fs::read_to_string(&root).expect("it is there");
    let wrong = right.replace(['1', '2', '3'], "0");
    fs::write(&root, &wrong).expect("written");
    let said = refusal(&dir.0, &[]).await;
    assert!(said.contains("does not open this store") && said.contains("--root-key"), "{said}");
    assert!(!said.contains(right.trim()) && !said.contains(wrong.trim()), "{said}");
    fs::remove_file(&root).expect("removed");
    let said = refusal(&dir.0, &[]).await;
    assert!(said.contains("the root key is missing"), "{said}");
    assert!(!root.exists(), "no other one was made");
    let elsewhere = Directory::new("elsewhere");
    let file = elsewhere.0.join("key");
    fs::write(&file, &right).expect("written");
    let plane = started_again(&dir.0, &["--root-key", file.to_str().expect("text")]).await;
    ok::<ecs::ops::ListClusters>(&client(&plane, &key), Default::default()).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_file_has_all_rights_until_iam_knows_its_user() {
    let (dir, beside) = (Directory::new("file"), Directory::new("keys"));
    let file = beside.0.join("keys.json");
    let keys = r#"[{"accessKeyId": "AKIAFILE", "secretAccessKey": "hush", "account": "000000000000", "user": "ada"}]"#;
    fs::write(&file, keys).expect("written");
    let plane = start(&dir.0, &["--keys", file.to_str().expect("text")]).await;
    let of_file = client(&plane, &Credentials::new("AKIAFILE", "hush"));
    ok::<ecs::ops::CreateCluster>(&of_file, cluster()).await;
    make_ada(&client(&plane, &plane.operator)).await;
    ok::<ecs::ops::ListClusters>(&of_file, Default::default()).await;
    let said = refused::<ecs::ops::CreateCluster>(&of_file, cluster()).await;
    assert!(said.contains("user/team/ada is not authorized"), "{said}");
    // A guest, and an account of its own: as ever.
    for id in ["test", "123456789012"] {
        ok::<ecs::ops::CreateCluster>(&client(&plane, &Credentials::new(id, "test")), cluster()).await;
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_lets_everything_pass() {
    let dir = Directory::new("report");
    let plane = start(&dir.0, &["--iam", "report"]).await;
    let key = make_ada(&client(&plane, &plane.operator)).await;
    let ada = client(&plane, &key);
    ok::<ecs::ops::CreateCluster>(&ada, cluster()).await;
    let metrics = ada.get("/metrics").await.expect("it answers");
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = r#"longshore_iam_denials_total{action="ecs:CreateCluster",outcome="reported"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    plane.stop().await;
}

async fn started_again(dir: &Path, more: &[&str]) -> ControlPlane {
    begin(dir, more).await.unwrap_or_else(|text| panic!("{text}"))
}

/// As soon as what is left of the server before has let go of the directory.
async fn begin(dir: &Path, more: &[&str]) -> Result<ControlPlane, String> {
    for _ in 0..400 {
        match server::start(&options(dir, more), Machine::this()).await {
            Ok(plane) => return Ok(plane),
            Err(error) if format!("{error:#}").contains("is in use") => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(format!("{error:#}")),
        }
    }
    panic!("the directory stays in use")
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
