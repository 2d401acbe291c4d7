//! Data keys over months, in a whole control plane: a new one takes over, what is sealed moves, old ones go.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clap::Parser;
use longshore::args::{Args, Command};
use longshore::control_plane::ControlPlane;
use longshore::domains::HOLDERS;
use longshore::machine::Machine;
use longshore::server;
use longshore_base::{Clock, Timestamp};
use longshore_client::{Client, HttpClient};
use longshore_keyring::record::DataKeyNumber;
use longshore_keyring::{Sealing, census};
use longshore_shapes_ec2 as ec2;
use longshore_shapes_iam as iam;
use longshore_shapes_kms as kms;
use longshore_shapes_secretsmanager as secrets;
use longshore_shapes_ssm as ssm;
use longshore_sigv4::Credentials;
use longshore_wire::{Blob, OperationShape};

/// The machine's clock, some days ahead.
struct Ahead {
    clock: Arc<dyn Clock>,
    days: AtomicI64,
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = self.days.load(Ordering::SeqCst) * 24 * 3600 * 1000;
        Timestamp::from_millis(self.clock.now().as_millis() + ahead)
    }
}

struct World {
    dir: PathBuf,
    clock: Arc<Ahead>,
    plane: Option<ControlPlane>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl World {
    async fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("longshore-data-keys-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        let clock = Arc::new(Ahead { clock: Machine::this().clock, days: AtomicI64::new(0) });
        let mut world = Self { dir, clock, plane: None };
        world.start().await;
        world
    }

    async fn start(&mut self) {
        if let Some(plane) = self.plane.take() {
            plane.stop().await;
        }
        let dir = self.dir.to_str().expect("text");
        let words = ["longshore", "server", "--listen", "127.0.0.1:0", "--auth", "strict", "--data-dir", dir];
        let Command::Server(options) = Args::parse_from(words).command else { panic!("it is `server`") };
        // As soon as what is left of the one before has let go of the directory.
        for _ in 0..400 {
            let machine = Machine { clock: self.clock.clone(), ..Machine::this() };
            match server::start(&options, machine).await {
                Ok(plane) => {
                    self.plane = Some(plane);
                    return;
                }
                Err(error) if format!("{error:#}").contains("is in use") => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error:#}"),
            }
        }
        panic!("the directory stays in use")
    }

    fn plane(&self) -> &ControlPlane {
        self.plane.as_ref().expect("it was started")
    }

    fn client(&self, key: &Credentials) -> Client {
        let endpoint = &self.plane().endpoint;
        Client::new(HttpClient::default(), endpoint, key.clone(), "us-east-1", self.clock.clone())
            .expect("a URL")
    }

    async fn ok<O: OperationShape>(&self, input: O::Input) -> O::Output {
        match self.client(&self.plane().operator).call::<O>(&input).await {
            Ok(output) => output,
            Err(error) => panic!("{}: {error}", O::NAME),
        }
    }

    /// How many records are under each data key.
    fn counts(&self) -> Vec<(u32, usize)> {
        self.plane().db.peek(|state| {
            let census = census(state, HOLDERS);
            let keys = state.keyring().data_keys().keys();
            keys.map(|&own| (own.0, census.get(&Some(own)).copied().unwrap_or(0))).collect()
        })
    }

    async fn until(&self, expected: &[(u32, usize)]) {
        for _ in 0..600 {
            if self.counts() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("there are {:?}, and should be {expected:?}", self.counts());
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// One of everything that is sealed; gives the key of a user, a key of KMS and the id of a template.
async fn make(world: &World) -> (Credentials, String, String) {
    let user = iam::CreateUserRequest { user_name: text("ada"), ..Default::default() };
    world.ok::<iam::ops::CreateUser>(user).await;
    let login = iam::CreateLoginProfileRequest {
        user_name: text("ada"),
        password: Some("Correct-horse-7".into()),
        ..Default::default()
    };
    world.ok::<iam::ops::CreateLoginProfile>(login).await;
    let key = iam::CreateAccessKeyRequest { user_name: text("ada") };
    let key = world.ok::<iam::ops::CreateAccessKey>(key).await.access_key.expect("a key");
    let key = Credentials::new(key.access_key_id.expect("an id"), key.secret_access_key.expect("a secret"));
    let own = world.ok::<kms::ops::CreateKey>(Default::default()).await.key_metadata.expect("a key");
    let own = own.key_id.expect("an id");
    let secret = secrets::CreateSecretRequest {
        name: text("s"),
        secret_string: Some("hunter2".into()),
        kms_key_id: Some(own.clone()),
        ..Default::default()
    };
    world.ok::<secrets::ops::CreateSecret>(secret).await;
    let parameter = ssm::PutParameterRequest {
        name: text("/p"),
        value: Some("hunter3".into()),
        r#type: Some("SecureString".into()),
        key_id: Some(own.clone()),
        ..Default::default()
    };
    world.ok::<ssm::ops::PutParameter>(parameter).await;
    let template = ec2::CreateLaunchTemplateRequest {
        launch_template_name: text("template"),
        launch_template_data: Some(ec2::RequestLaunchTemplateData {
            user_data: Some("aHVudGVyNA==".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let template =
        world.ok::<ec2::ops::CreateLaunchTemplate>(template).await.launch_template.expect("a template");
    (key, own, template.launch_template_id.expect("an id"))
}

/// Everything reads as it was written.
async fn read(world: &World, (key, own, template): &(Credentials, String, String)) {
    let who = world.client(key).call::<iam::ops::GetUser>(&Default::default()).await;
    let denied = who.expect_err("he has no policies").to_string();
    assert!(denied.contains("is not authorized"), "the signature is right: {denied}");
    let secret = secrets::GetSecretValueRequest { secret_id: text("s"), ..Default::default() };
    let secret = world.ok::<secrets::ops::GetSecretValue>(secret).await;
    assert_eq!(secret.secret_string.as_deref(), Some("hunter2"));
    let parameter = ssm::GetParameterRequest { name: text("/p"), with_decryption: Some(true) };
    let parameter = world.ok::<ssm::ops::GetParameter>(parameter).await.parameter.expect("the parameter");
    assert_eq!(parameter.value.as_deref(), Some("hunter3"));
    let versions = ec2::DescribeLaunchTemplateVersionsRequest {
        launch_template_id: Some(template.clone()),
        ..Default::default()
    };
    let versions = world.ok::<ec2::ops::DescribeLaunchTemplateVersions>(versions).await;
    let version = versions.launch_template_versions.into_iter().flatten().next().expect("a version");
    let data = version.launch_template_data.expect("its data");
    assert_eq!(data.user_data.as_deref(), Some("aHVudGVyNA=="));
    let encrypt = kms::EncryptRequest {
        key_id: Some(own.clone()),
        plaintext: Some(Blob(b"x".to_vec())),
        ..Default::default()
    };
    world.ok::<kms::ops::Encrypt>(encrypt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_keys_come_and_go_and_everything_stays_readable() {
    let mut world = World::new().await;
    let made = make(&world).await;
    // An access key, a login profile, a key's material, a secret, a parameter, a template's version.
    world.until(&[(1, 6)]).await;
    world.clock.days.store(31, Ordering::SeqCst);
    world.until(&[(1, 0), (2, 6)]).await;
    read(&world, &made).await;

    // Before the third takes over the server ends; what it finds at its start goes on.
    world.clock.days.store(62, Ordering::SeqCst);
    world.start().await;
    world.until(&[(1, 0), (2, 0), (3, 6)]).await;
    read(&world, &made).await;
    world.clock.days.store(93, Ordering::SeqCst);
    world.until(&[(1, 0), (3, 0), (4, 6)]).await;
    assert_eq!(world.plane().db.peek(|state| state.keyring().active()), Some(DataKeyNumber(4)));
    world.start().await;
    read(&world, &made).await;
    if let Some(plane) = world.plane.take() {
        plane.stop().await;
    }
}
