//! A registry over a state in memory and files in a temporary directory, asked as the edge asks it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use longshore_api::{Body, BodyError, Head, Place, PrincipalKind, RequestId, Visit};
use longshore_base::{AccountId, Clock, Region, Scope, Seed, Timestamp};
use longshore_blobs::{FileBlobs, LocalDisk, Settings};
use longshore_images::mutability::TagMutability;
use longshore_images::{Algorithm, Digest, RepositoryName};
use longshore_registry::{Collector, Door, Registry, Stranger, Token};
use longshore_service::{Allow, Caller, Guard};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains};
use longshore_store::MemoryStore;
use longshore_tables_blobs::collect::Settings as Collecting;
use longshore_tables_blobs::{BlobTables, HolderId, Locks};
use longshore_tables_ecr::record::{Encryption, Repository};
use longshore_tables_ecr::{EcrTables, HOLDERS, RepositoryKey};
use longshore_tables_iam::IamTables;
use serde_json::Value;
use tempfile::TempDir;

pub const ACCOUNT: &str = "111122223333";

pub struct World {
    pub db: Arc<Db>,
    pub registry: Registry,
    pub collector: Collector,
    blobs: FileBlobs,
    clock: Arc<Held>,
    guard: Arc<dyn Guard>,
    _root: TempDir,
}

struct Held(AtomicI64);

impl Clock for Held {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl SeedSource for Counting {
    fn draw(&self) -> Seed {
        Seed::new(u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

pub fn scope(account: &str) -> Scope {
    let account = AccountId::parse(account).expect("twelve digits");
    Scope::new(account, Region::parse("eu-west-1").expect("a region"))
}

/// Lets in whoever names an account as `Authorization`.
struct Named;

impl Door for Named {
    fn enter(&self, visit: &Visit) -> Result<Caller, Stranger> {
        let stranger =
            || Stranger { message: "no credentials".to_owned(), challenge: "Basic realm=\"x\"".to_owned() };
        let account = visit.head.header("authorization").ok_or_else(stranger)?;
        let caller = Caller::new(scope(account), format!("arn:aws:iam::{account}:root"));
        Ok(Caller { kind: PrincipalKind::Root, ..caller })
    }

    fn token(&self, _: &Visit, _: Option<&str>) -> Result<Token, Stranger> {
        Ok(Token { text: ACCOUNT.to_owned().into(), expires_in: 60 })
    }
}

pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// An answer that has come.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answered {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The code of the first error.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().expect("a code").to_owned()
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?} {:?}", self.headers, self.body);
        self
    }
}

/// A request that is being made.
pub struct Asking<'w> {
    world: &'w World,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
}

impl Asking<'_> {
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("ASCII");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: Body::from(body.into()), ..self }
    }

    /// A body whose client leaves behind this.
    pub fn broken_body(self, bytes: &'static [u8]) -> Self {
        let frames =
            vec![Ok(Frame::data(Bytes::from_static(bytes))), Err(BodyError::from("the client left"))];
        Self { body: Body::stream(StreamBody::new(stream::iter(frames))), ..self }
    }

    pub async fn send(self) -> Answered {
        let head =
            Head { method: self.method, uri: self.path.parse().expect("a path"), headers: self.headers };
        let visit = Visit {
            request_id: RequestId::new("r"),
            now: self.world.db.clock().now(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            head: Arc::new(head),
            body: self.body,
        };
        assert!(self.world.registry.serves(visit.head.path()));
        let (parts, body) = self.world.registry.answer(visit).await.into_parts();
        Answered { status: parts.status, headers: parts.headers, body: body.whole().await.expect("it comes") }
    }
}

impl World {
    pub async fn new() -> Self {
        Self::guarded(Arc::new(Allow)).await
    }

    /// With the repositories `web` and `other`, and `web` in another account.
    pub async fn guarded(guard: Arc<dyn Guard>) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let domains = Domains::new("test").with::<IamTables>().with::<BlobTables>().with::<EcrTables>();
        let clock = Arc::new(Held(AtomicI64::new(1_700_000_000_000)));
        let db =
            Db::open(Arc::new(MemoryStore::new()), &domains, clock.clone(), Arc::new(Counting::default()));
        let db = db.expect("an empty store opens");
        let settings = Settings { reserve_bytes: 0, ..Settings::default() };
        let blobs =
            FileBlobs::open(LocalDisk, root.path(), settings, Seed::new(1)).expect("the disk takes it");
        let locks = Locks::default();
        let registry =
            Registry::new(db.clone(), Arc::new(blobs.clone()), locks.clone(), guard.clone(), Arc::new(Named));
        let collector = Collector::new(
            db.clone(),
            Arc::new(blobs.clone()),
            locks,
            vec![HOLDERS],
            Collecting { grace: Duration::from_secs(24 * 3600), upload_kept: Duration::from_secs(24 * 3600) },
        );
        let world = Self { db, registry, collector, blobs, clock, guard, _root: root };
        for (account, name) in [(ACCOUNT, "web"), (ACCOUNT, "other"), ("444455556666", "web")] {
            world.make(account, name, TagMutability::default()).await;
        }
        world
    }

    /// The same in a new process: what was in memory is forgotten, the files and records are there.
    pub fn restarted(self) -> Self {
        let registry = Registry::new(
            self.db.clone(),
            Arc::new(self.blobs.clone()),
            Locks::default(),
            self.guard.clone(),
            Arc::new(Named),
        );
        Self { registry, ..self }
    }

    pub async fn make(&self, account: &str, name: &str, mutability: TagMutability) {
        let made = self.db.write(|tx| {
            let repository = Repository {
                id: HolderId::draw(&mut tx.ids),
                created_at: tx.now,
                tags: Default::default(),
                mutability,
                scan_on_push: false,
                encryption: Encryption::Aes256,
                policy: None,
                lifecycle: None,
            };
            let name = RepositoryName::parse(name).expect("a name");
            tx.put::<Repository>(RepositoryKey { scope: scope(account), name }, repository);
            Ok::<_, ()>(())
        });
        made.await.expect("the database runs").expect("it is made");
    }

    pub fn wait(&self, time: Duration) {
        self.clock.0.fetch_add(time.as_millis() as i64, Ordering::SeqCst);
    }

    pub fn ask(&self, method: Method, path: &str) -> Asking<'_> {
        let headers = HeaderMap::new();
        Asking { world: self, method, path: path.to_owned(), headers, body: Body::from("") }
            .with("authorization", ACCOUNT)
            .with("host", "127.0.0.1:8722")
    }

    /// Asks without credentials.
    pub async fn stranger(&self, path: &str) -> Answered {
        let mut asking = self.ask(Method::GET, path);
        asking.headers.remove("authorization");
        asking.send().await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.ask(Method::GET, path).send().await
    }

    pub async fn head(&self, path: &str) -> Answered {
        self.ask(Method::HEAD, path).send().await
    }

    pub async fn delete(&self, path: &str) -> Answered {
        self.ask(Method::DELETE, path).send().await
    }

    /// Begins an upload; where it goes on.
    pub async fn begin(&self, repository: &str) -> String {
        let begun = self.ask(Method::POST, &format!("/v2/{repository}/blobs/uploads/")).send().await.is(202);
        assert_eq!(begun.header("range"), "0-0");
        begun.header("location").to_owned()
    }

    /// Pushes a blob in one piece.
    pub async fn push(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = sha256(bytes);
        let path = format!("{}?digest={digest}", self.begin(repository).await);
        self.ask(Method::PUT, &path).body(bytes.to_vec()).send().await.is(201);
        digest
    }

    pub async fn put(&self, repository: &str, reference: &str, manifest: &Value) -> Answered {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let media_type = manifest["mediaType"].as_str().expect("it has one");
        self.ask(Method::PUT, &path).with("content-type", media_type).body(manifest.to_string()).send().await
    }
}
