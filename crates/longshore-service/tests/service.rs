//! A small API over a small domain: it writes notes by the names of STS's operations.

// The error is an answer like any other.
#![allow(clippy::result_large_err)]

// The kernel's own test domain, of which this uses a part.
#[allow(dead_code)]
#[path = "../../longshore-state/tests/notes/mod.rs"]
mod notes;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use longshore_base::{Clock, Seed, Timestamp};
use longshore_service::{
    Access, Allow, Attempt, Caller, Command, Cx, Guard, Query, Resources, Server, Watch, not_authorized,
    operations,
};
use longshore_shapes_sts::{
    Credentials, GetCallerIdentityRequest, GetCallerIdentityResponse, GetSessionTokenResponse, ops,
};
use longshore_state::db::SeedSource;
use longshore_state::{Db, State, Tx};
use longshore_store::MemoryStore;
use longshore_wire::route::ServiceFacts;
use longshore_wire::{Ask, Denied, Fault, ModeledError, OperationShape, Protocol, Reply};
use notes::{NOW, Note, NoteKey, Notes, domains, note, scope};
use parking_lot::Mutex;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

impl SeedSource for Still {
    fn draw(&self) -> Seed {
        Seed::new(1)
    }
}

/// What the operations have in common.
struct Toy {
    db: Arc<Db>,
    told: Mutex<Vec<String>>,
    /// What was prepared.
    costly: Mutex<Vec<String>>,
}

/// Writes the note of the token's name. "broken" cannot be read, "unlucky" fails after it has written.
impl Command<Toy> for ops::GetSessionToken {
    type Parsed = String;
    type Answer = Written;

    fn parse(cx: &Cx<'_, Toy>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        // Would wait for ever under the writer's lock.
        cx.api.db.peek(State::sequence);
        match input.token_code {
            Some(code) if code == "broken" => Err(Fault::told("It cannot be read.").into()),
            code => Ok(code.unwrap_or_default()),
        }
    }

    const IS_COSTLY: bool = true;

    fn prepare(cx: &Cx<'_, Toy>, name: &mut Self::Parsed) -> Result<(), Self::Error> {
        cx.api.db.peek(State::sequence);
        cx.api.costly.lock().push(name.clone());
        Ok(())
    }

    fn resources(state: &State, caller: &Caller, name: &Self::Parsed) -> Resources {
        let there = state.of::<Notes>().note(name).is_some();
        let arn = format!("arn:aws:toy:eu-west-1:111122223333:note/{name}");
        Access::new("toy:Write", arn, caller).with("toy:there", there.to_string()).into()
    }

    fn run(tx: &mut Tx<'_>, _: &Caller, name: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        tx.put::<Note>(NoteKey::new(&*name), note("text"));
        if name == "unlucky" { Err(Fault::told("No luck.").into()) } else { Ok(Written(name)) }
    }

    fn watch<'a>(cx: Cx<'a, Toy>, name: &Self::Parsed) -> Option<Watch<'a, Self::Answer, Self::Error>> {
        let name = name.clone();
        Some(Box::new(move |result| {
            let outcome = result.as_ref().map_or_else(|error| error.to_string(), |done| done.0.clone());
            let durable = cx.api.db.goes_on().is_ok();
            cx.api.told.lock().push(format!("{name}: {outcome} {durable}"));
        }))
    }
}

struct Written(String);

impl From<Written> for GetSessionTokenResponse {
    fn from(written: Written) -> Self {
        let credentials = Credentials { session_token: Some(written.0), ..Default::default() };
        Self { credentials: Some(credentials) }
    }
}

/// How many notes there are.
impl Query<Toy> for ops::GetCallerIdentity {
    type Parsed = ();
    type Answer = GetCallerIdentityResponse;

    fn parse(_: &Cx<'_, Toy>, _: GetCallerIdentityRequest) -> Result<Self::Parsed, Self::Error> {
        Ok(())
    }

    fn resources(_: &State, _: &Caller, (): &Self::Parsed) -> Resources {
        Resources::none()
    }

    fn run(state: &State, caller: &Caller, (): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let account = Some(notes::names(state).join(" "));
        Ok(GetCallerIdentityResponse { account, arn: Some(caller.principal.to_string()), user_id: None })
    }
}

operations! {
    static TOY: Toy = ops {
        command GetSessionToken,
        query GetCallerIdentity,
    }
}

static FACTS: ServiceFacts = ServiceFacts {
    name: "toy",
    title: "Toy",
    endpoint_prefix: "toy",
    schema: longshore_wire::ServiceSchema {
        signing_name: "toy",
        api_version: "1",
        target_prefix: Some("Toy"),
        xml_namespace: None,
        protocols: &[Protocol::AwsJson11],
        is_query_compatible: false,
    },
    clock_minutes: longshore_wire::route::CLOCK_MINUTES,
    operations: &["GetSessionToken", "GetCallerIdentity", "AssumeRole"],
    bindings: &[],
};

/// Denies whatever needs permission, in words that show what it was asked.
struct Never;

impl Guard for Never {
    fn allow(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        assert_eq!(attempt.now, NOW);
        match attempt.resources().iter().next() {
            Some(access) => Err(not_authorized(attempt.caller, access, &format!(" {:?}", access.keys))),
            None => Ok(()),
        }
    }
}

fn open() -> Arc<Db> {
    Db::open(Arc::new(MemoryStore::new()), &domains(), Arc::new(Still), Arc::new(Still))
        .expect("an empty store opens")
}

fn server(db: &Arc<Db>, guard: impl Guard + 'static) -> Server<Toy> {
    let api = Toy { db: db.clone(), told: Mutex::default(), costly: Mutex::default() };
    Server::new(&FACTS, &TOY, db.clone(), api).guarded(Arc::new(guard))
}

fn caller() -> Caller {
    Caller::new(scope(), "arn:aws:iam::111122223333:user/ada")
}

fn body(name: &str) -> String {
    format!(r#"{{"TokenCode":"{name}"}}"#)
}

/// The status, and the body as text.
fn told(reply: Reply) -> (u16, String) {
    (reply.status, String::from_utf8(reply.body).expect("JSON"))
}

fn call(server: &Server<Toy>, operation: &str, body: &str) -> (u16, String) {
    let caller = caller();
    let ask = Ask::of_body(Protocol::AwsJson11, body.as_bytes());
    let mut answer = Box::pin(server.answer(operation, &caller, &ask));
    // The committer has a thread of its own.
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => return told(reply),
            Poll::Pending => thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[test]
fn an_operation_is_read_done_told_and_answered() {
    let db = open();
    let server = server(&db, Allow);
    let (status, text) = call(&server, "GetSessionToken", &body("a"));
    assert_eq!((status, text.contains(r#""SessionToken":"a""#)), (200, true), "{text}");
    let (status, text) = call(&server, "GetCallerIdentity", "{}");
    assert_eq!((status, &*text), (200, r#"{"Account":"a","Arn":"arn:aws:iam::111122223333:user/ada"}"#));
    assert_eq!(*server.api().told.lock(), ["a: a true"]);
    assert_eq!(*server.api().costly.lock(), ["a"]);
}

#[test]
fn what_fails_is_undone_and_told() {
    let db = open();
    let server = server(&db, Allow);
    assert_eq!(call(&server, "GetSessionToken", &body("unlucky")).0, 500);
    // What could not even be read is nobody's news.
    assert_eq!(call(&server, "GetSessionToken", &body("broken")).0, 500);
    assert_eq!(call(&server, "GetSessionToken", "[]").0, 400);
    assert_eq!(db.peek(notes::names), [""; 0]);
    assert_eq!(*server.api().told.lock(), ["unlucky: No luck. true"]);
}

#[test]
fn who_is_denied_does_nothing() {
    let db = open();
    let server = server(&db, Never);
    let denied = |there: bool| {
        let keys = format!(r#" [(\"toy:there\", One(\"{there}\"))]"#);
        format!(
            r#"{{"__type":"AccessDeniedException","message":"User: arn:aws:iam::111122223333:user/ada is not authorized to perform: toy:Write on resource: arn:aws:toy:eu-west-1:111122223333:note/a{keys}"}}"#
        )
    };
    assert_eq!(call(&server, "GetSessionToken", &body("a")), (400, denied(false)));
    assert_eq!(db.peek(notes::names), [""; 0]);
    // It is asked of the state as it is now.
    let written = db.submit(|tx| {
        tx.put::<Note>(NoteKey::new("a"), note(""));
        Ok::<_, ()>(())
    });
    written.expect("the database goes on").0.expect("it is written");
    assert_eq!(call(&server, "GetSessionToken", &body("a")), (400, denied(true)));
    // What cannot be read is not asked about, what needs no permission not denied.
    assert_eq!(call(&server, "GetSessionToken", &body("broken")).0, 500);
    assert_eq!(call(&server, "GetCallerIdentity", "{}").0, 200);
    // Nobody makes the server work who may not.
    assert_eq!(*server.api().costly.lock(), [""; 0]);
}

/// The same in a transaction of somebody else, who undoes what failed.
#[test]
fn a_table_runs_in_a_transaction() {
    let db = open();
    let mut state = State::new(&domains(), NOW);
    let api = Toy { db, told: Mutex::default(), costly: Mutex::default() };
    let mut run = |guard: &dyn Guard, operation: &str, body: &str| {
        let caller = caller();
        let done = state.transact(NOW, longshore_base::Ids::new(Seed::new(1)), |tx| {
            let cx = Cx { api: &api, caller: &caller, now: tx.now };
            TOY.run_in(tx, &cx, guard, operation, &Ask::of_body(Protocol::AwsJson11, body.as_bytes()))
        });
        let done = done.expect("it is small").map(|(reply, _)| reply);
        let (status, text) = told(done.unwrap_or_else(|reply| *reply));
        (status, text, notes::names(&state).join(" "))
    };
    assert_eq!(run(&Allow, "GetSessionToken", &body("a")).2, "a");
    assert_eq!(run(&Allow, "GetSessionToken", &body("unlucky")).0, 500);
    assert_eq!(run(&Never, "GetSessionToken", &body("b")).0, 400);
    assert_eq!(run(&Allow, "GetSessionToken", "[]").0, 400);
    let (status, text, names) = run(&Never, "GetCallerIdentity", "{}");
    assert_eq!((status, text.contains(r#""Account":"a""#), &*names), (200, true, "a"), "{text}");
    let (status, text, _) = run(&Allow, "AssumeRole", "{}");
    assert_eq!((status, text.contains("UnknownOperationException")), (404, true), "{text}");
    assert_eq!(
        *api.told.lock(),
        [
            "a: a true",
            "unlucky: No luck. true",
            "b: User: arn:aws:iam::111122223333:user/ada is not authorized to perform: toy:Write on resource: arn:aws:toy:eu-west-1:111122223333:note/b [(\"toy:there\", One(\"false\"))] true"
        ]
    );
}

#[test]
fn the_table_is_the_list() {
    assert_eq!(TOY.names, ["GetSessionToken", "GetCallerIdentity"]);
    let kinds: Vec<(&str, bool)> = TOY.entries.iter().map(|entry| (entry.name, entry.is_query)).collect();
    assert_eq!(kinds, [("GetSessionToken", false), ("GetCallerIdentity", true)]);
    assert!(TOY.find("AssumeRole").is_none() && TOY.find(ops::GetCallerIdentity::NAME).is_some());
}

#[test]
fn a_resource_belongs_to_the_account_in_its_arn() {
    let owner = |arn: &str| Access::new("a:B", arn, &caller()).owner.to_string();
    assert_eq!(owner("arn:aws:ecs:eu-west-1:000000000001:cluster/c"), "000000000001");
    assert_eq!(owner("arn:aws:iam::000000000002:role/r"), "000000000002");
    for own in ["*", "arn:aws:s3:::bucket/key", "arn:aws:ecs:eu-west-1:x:cluster/c"] {
        assert_eq!(owner(own), "111122223333", "{own}");
    }
}

#[test]
fn a_denial_is_the_callers_mistake() {
    let error = Denied::new("no");
    assert_eq!(
        (error.code(), error.http_status(), error.is_server_fault()),
        ("AccessDeniedException", 400, false)
    );
}
