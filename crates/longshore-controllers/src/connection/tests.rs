//! The rules of a connection's life, without sockets, disks or clocks.

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_base::{AccountId, ClusterName, InstanceId, Region, Scope, Seed, TaskId, Timestamp};
use longshore_link::limits::HEARTBEAT_EVERY;
use longshore_link::message::{DesiredStatus, RoleCredentials, TaskPayload};
use longshore_link::server::{Connection, DesiredTask, first_number};
use longshore_tables_ecs::{AgentHint, ClusterKey, InstanceKey};

use super::*;
use crate::link::{Found, Look, Renewal, Renewed};

const CLUSTER_ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:cluster/c";

/// What an agent says when there is nothing to say.
const HEARTBEAT_ACK: &str = r#"{"type":"HeartbeatAckRequest","message":{}}"#;

fn instance(n: u128) -> InstanceKey {
    let account = AccountId::parse("123456789012").expect("an account");
    let scope = Scope::new(account, Region::parse("eu-west-1").expect("a region"));
    ClusterKey::new(scope, ClusterName::parse("c").expect("a name")).instance(InstanceId::from_bits(n))
}

fn task(n: u128) -> TaskId {
    TaskId::from_bits(n)
}

fn tasks(of: &[u128]) -> Look {
    Look::Tasks(of.iter().map(|&n| task(n)).collect::<BTreeSet<_>>())
}

fn work(of: &[u128]) -> Input<'static> {
    Input::News(News::Work(tasks(of)))
}

fn arn(n: u128) -> String {
    format!("arn:aws:ecs:eu-west-1:123456789012:task/c/{}", task(n))
}

/// A look has found that these tasks shall run.
fn run(of: &[u128]) -> Option<Found> {
    let wish = |&n: &u128| {
        let wish = DesiredTask { task: arn(n).into(), want: DesiredStatus::Running, confirmed: false };
        (task(n), Some(wish))
    };
    Some(of.iter().map(wish).collect())
}

/// A channel with a clock and whoever does what it says.
struct Bench {
    channel: CommandChannel,
    now: Timestamp,
    shows_renewals: bool,
}

impl Bench {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_000_000);
        Self { channel: CommandChannel::new(now), now, shows_renewals: false }
    }

    /// With a first look that has found nothing.
    fn connected() -> Self {
        let mut bench = Self::new();
        bench.connect(false);
        bench.handle(Input::Looked(Look::All, Some(Vec::new())));
        assert_eq!(bench.outputs(), ["send HeartbeatMessage", "send TaskManifestMessage"]);
        bench
    }

    /// Up to where its first look is out.
    fn connect(&mut self, send_credentials: bool) {
        assert_eq!(self.outputs(), ["write connected"]);
        self.handle(Input::Connected(Some(Connection {
            instance_arn: "arn:aws:ecs:eu-west-1:123456789012:container-instance/c/1".into(),
            cluster_arn: CLUSTER_ARN.into(),
            send_credentials,
            first_number: first_number(1),
            seed: Seed::new(1),
        })));
        assert_eq!(self.outputs(), ["look at all"]);
    }

    fn handle(&mut self, input: Input<'_>) {
        self.channel.handle(self.now, input);
    }

    /// Nothing was made; these tasks lack some.
    fn renewed(&mut self, renewal: Renewal, lacking: BTreeSet<TaskId>) {
        let renewed = Renewed { at: self.now, fresh: Vec::new(), lacking };
        self.handle(Input::Renewed(renewal, renewed));
    }

    fn after(&mut self, time: Duration) {
        self.now = self.now + time;
        self.handle(Input::Tick);
    }

    fn next(&mut self) -> Option<Output> {
        let output = self.channel.poll(&mut |task| Some(TaskPayload::stop(task, CLUSTER_ARN)))?;
        match output {
            // No task here has a role; only one test is about when they are renewed.
            Output::Renew(renewal) if !self.shows_renewals => {
                self.renewed(renewal, BTreeSet::new());
                self.next()
            }
            output => Some(output),
        }
    }

    /// All that is to be done, in words.
    fn outputs(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(|output| told(&output)).collect()
    }
}

fn told(output: &Output) -> String {
    match output {
        Output::WriteConnected => "write connected".into(),
        Output::Look(Look::All) => "look at all".into(),
        Output::Look(Look::Tasks(tasks)) => format!("look at {}", tasks.len()),
        Output::WriteSettled => "write settled".into(),
        Output::Renew(Renewal::All) => "renew".into(),
        Output::Renew(Renewal::Late { lacking, .. }) => format!("renew {}", lacking.len()),
        Output::Send(text) => {
            let frame: serde_json::Value = serde_json::from_str(text).expect("a frame is JSON");
            format!("send {}", frame["type"].as_str().expect("a frame has a type"))
        }
        Output::Strays(tasks) => format!("strays {}", tasks.len()),
        Output::Malformed(_) => "malformed".into(),
        Output::Close(reason) => format!("close {reason:?}"),
    }
}

#[test]
fn it_is_noted_then_looks_at_all_then_talks() {
    let mut bench = Bench::new();
    bench.connect(false);
    assert!(bench.channel.waits());
    assert_eq!(bench.channel.deadline(), None, "whoever waits for the disk has no time to keep");
    bench.handle(Input::Looked(Look::All, run(&[1])));
    assert_eq!(bench.outputs(), ["send HeartbeatMessage", "send TaskManifestMessage", "send PayloadMessage"]);
    assert!(!bench.channel.waits());
    assert!(bench.channel.deadline().is_some_and(|at| at <= bench.now + LOOK_AT_ALL_EVERY));
}

#[test]
fn an_instance_that_has_gone_meanwhile_is_sent_away() {
    let mut bench = Bench::new();
    assert_eq!(bench.outputs(), ["write connected"]);
    bench.handle(Input::Connected(None));
    assert_eq!(bench.outputs(), ["close Deregistered"]);
    let mut bench = Bench::connected();
    bench.handle(work(&[]));
    assert_eq!(bench.outputs(), ["look at 0"], "without a task, the instance itself has changed");
    bench.handle(Input::Looked(tasks(&[]), None));
    assert_eq!(bench.outputs(), ["close Deregistered"]);
    assert_eq!(bench.channel.deadline(), None);
}

#[test]
fn it_looks_at_what_it_is_woken_for_and_tells_the_difference() {
    let mut bench = Bench::connected();
    bench.handle(work(&[1]));
    assert_eq!(bench.outputs(), ["look at 1"]);
    bench.handle(Input::Looked(tasks(&[1]), run(&[1])));
    assert_eq!(bench.outputs(), ["send PayloadMessage"]);
    bench.handle(work(&[1]));
    assert_eq!(bench.outputs(), ["look at 1"]);
    bench.handle(Input::Looked(tasks(&[1]), run(&[1])));
    assert_eq!(bench.outputs(), [""; 0], "it was told already");
}

#[test]
fn a_hint_during_a_look_is_looked_at_after_it() {
    let mut bench = Bench::connected();
    bench.handle(work(&[1]));
    assert_eq!(bench.outputs(), ["look at 1"]);
    bench.handle(work(&[2]));
    bench.handle(work(&[3]));
    assert_eq!(bench.outputs(), [""; 0], "one look at a time");
    bench.handle(Input::Looked(tasks(&[1]), run(&[1])));
    let Some(Output::Look(look)) = bench.next() else { panic!("what was hinted at goes first") };
    assert_eq!(look, tasks(&[2, 3]));
    bench.handle(Input::Looked(look, run(&[2, 3])));
    assert_eq!(bench.outputs(), ["send PayloadMessage"; 3]);
}

#[test]
fn it_looks_at_all_every_five_minutes() {
    let mut bench = Bench::connected();
    let began = bench.now;
    let mut looks = Vec::new();
    while bench.now < began + 3 * LOOK_AT_ALL_EVERY {
        let deadline = bench.channel.deadline().expect("it is open");
        assert!(deadline <= bench.now + HEARTBEAT_EVERY * 2, "its heartbeats wake it");
        bench.after(deadline.since(bench.now));
        // An agent that says nothing is sent away before.
        bench.handle(Input::Received(HEARTBEAT_ACK));
        while let Some(output) = bench.next() {
            if let Output::Look(look) = output {
                assert_eq!(look, Look::All);
                looks.push(bench.now.since(began));
                bench.handle(Input::Looked(look, Some(Vec::new())));
            }
        }
    }
    assert_eq!(looks, [LOOK_AT_ALL_EVERY, 2 * LOOK_AT_ALL_EVERY, 3 * LOOK_AT_ALL_EVERY]);
}

#[test]
fn a_look_at_all_and_a_hint_are_one_look() {
    for hint_first in [true, false] {
        let mut bench = Bench::connected();
        bench.now = bench.now + LOOK_AT_ALL_EVERY;
        // So that it is not silent for too long.
        bench.handle(Input::Received(HEARTBEAT_ACK));
        let inputs = if hint_first { [work(&[1]), Input::Tick] } else { [Input::Tick, work(&[1])] };
        for input in inputs {
            bench.handle(input);
        }
        assert_eq!(bench.outputs(), ["look at all"]);
        bench.after(Duration::from_secs(1));
        bench.handle(Input::Looked(Look::All, Some(Vec::new())));
        assert!(
            bench.outputs().iter().all(|output| !output.starts_with("look")),
            "nor does waiting ask again"
        );
    }
}

#[test]
fn one_that_was_superseded_tells_no_more_work() {
    let mut bench = Bench::connected();
    bench.handle(work(&[1]));
    assert_eq!(bench.outputs(), ["look at 1"]);
    bench.handle(work(&[2]));
    bench.handle(Input::News(News::Superseded));
    bench.handle(Input::Looked(tasks(&[1]), run(&[1])));
    assert_eq!(bench.outputs(), ["close Superseded"]);
    // Before it was even noted.
    let mut bench = Bench::new();
    assert_eq!(bench.outputs(), ["write connected"]);
    bench.handle(Input::News(News::Superseded));
    assert_eq!(bench.outputs(), ["close Superseded"]);
}

#[test]
fn the_server_goes_away_while_a_look_is_out() {
    for received in [None, Some(HEARTBEAT_ACK)] {
        let mut bench = Bench::connected();
        bench.handle(work(&[1]));
        assert_eq!(bench.outputs(), ["look at 1"]);
        if let Some(text) = received {
            bench.handle(Input::Received(text));
        }
        bench.handle(Input::Draining);
        assert_eq!(bench.outputs(), ["close Draining"], "at once, not when the disk has written");
        bench.handle(Input::Looked(tasks(&[1]), run(&[1])));
        bench.handle(Input::News(News::Superseded));
        bench.after(LOOK_AT_ALL_EVERY);
        assert_eq!(bench.outputs(), [""; 0], "it closes once");
        assert_eq!(bench.channel.deadline(), None);
    }
    // Before it has done anything.
    let mut bench = Bench::new();
    bench.handle(Input::Draining);
    assert_eq!(bench.outputs(), ["close Draining"]);
}

#[test]
fn one_that_is_silent_is_closed() {
    let mut bench = Bench::connected();
    bench.after(Duration::from_secs(200));
    assert_eq!(bench.outputs(), ["close Silent"]);
}

#[test]
fn what_is_no_message_is_skipped() {
    let mut bench = Bench::connected();
    bench.handle(Input::Received("{"));
    assert_eq!(bench.outputs(), ["malformed"]);
}

#[test]
fn credentials_are_settled_before_anything_else_is_heard() {
    let mut bench = Bench::new();
    bench.connect(true);
    bench.handle(Input::Looked(Look::All, Some(Vec::new())));
    assert_eq!(
        bench.outputs(),
        ["send HeartbeatMessage", "send TaskManifestMessage", "write settled"],
        "there is nothing to owe"
    );
    assert!(bench.channel.waits());
    bench.handle(Input::Settled);
    assert!(!bench.channel.waits());
    assert_eq!(bench.outputs(), [""; 0]);
}

#[test]
fn a_newer_connection_supersedes_an_older_one() {
    let (at, other) = (instance(1), instance(2));
    let mut registry = Registry::default();
    let (first, older) = registry.enter(&at, 'a');
    assert_eq!(older, None);
    assert_eq!(registry.enter(&other, 'x').1, None);
    assert_eq!(registry.news(&at, first), News::Work(tasks(&[])));
    let (second, older) = registry.enter(&at, 'b');
    assert_eq!(older, Some('a'), "who is woken, and finds out");
    assert!(second > first);
    assert_eq!(registry.news(&at, first), News::Superseded);
    registry.leave(&at, first);
    assert!(registry.is_open(&at), "the newer one has entered");
    assert_eq!(registry.news(&at, second), News::Work(tasks(&[])));
    registry.leave(&at, second);
    assert!(!registry.is_open(&at) && registry.is_open(&other));
    assert_eq!(registry.news(&at, second), News::Superseded);
}

/// An older connection may be noted as connected when the newer one has come and gone already. It must not stay so.
#[test]
fn an_older_one_that_leaves_last_finds_nobody() {
    let at = instance(1);
    let mut registry = Registry::default();
    let (first, _) = registry.enter(&at, 'a');
    let (second, _) = registry.enter(&at, 'b');
    registry.leave(&at, second);
    assert_eq!(registry.news(&at, first), News::Superseded);
    registry.leave(&at, first);
    assert!(!registry.is_open(&at), "so that it is written down as gone, after it was as connected");
}

#[test]
fn hints_gather_until_the_newest_connection_asks() {
    let (at, nobody) = (instance(1), instance(2));
    let mut registry = Registry::default();
    let (first, _) = registry.enter(&at, 'a');
    assert_eq!(registry.hint(&AgentHint::Work(at.clone(), task(1))), Some(&'a'));
    assert_eq!(registry.hint(&AgentHint::Work(at.clone(), task(2))), Some(&'a'));
    assert_eq!(registry.hint(&AgentHint::Instance(at.clone())), Some(&'a'));
    assert_eq!(registry.hint(&AgentHint::Work(nobody.clone(), task(1))), None);
    assert_eq!(registry.news(&at, first), News::Work(tasks(&[1, 2])));
    assert_eq!(registry.news(&at, first), News::Work(tasks(&[])), "not again");
    // What the older one was to look at, the newer one sees anyway: it begins with all.
    registry.hint(&AgentHint::Work(at.clone(), task(3)));
    let (second, _) = registry.enter(&at, 'b');
    assert_eq!(registry.hint(&AgentHint::Work(at.clone(), task(4))), Some(&'b'));
    assert_eq!(registry.news(&at, first), News::Superseded, "and takes nothing from the newer one");
    assert_eq!(registry.news(&at, second), News::Work(tasks(&[4])));
}

/// Nobody knows how old the credentials are that another connection has sent.
#[test]
fn credentials_are_renewed_soon_after_a_reconnection_and_then_at_half_their_life() {
    let half = crate::roles::LIFE / 2;
    for send_credentials in [false, true] {
        let mut bench = Bench { shows_renewals: true, ..Bench::new() };
        bench.connect(send_credentials);
        bench.handle(Input::Looked(Look::All, Some(Vec::new())));
        bench.outputs();
        if send_credentials {
            // They come with the payloads, once for all.
            bench.handle(Input::Settled);
            bench.outputs();
        }
        let mut times = Vec::new();
        let begun = bench.now;
        while times.len() < 3 {
            bench.after(Duration::from_secs(10));
            bench.handle(Input::Received(HEARTBEAT_ACK));
            for output in bench.outputs() {
                match output.as_str() {
                    "renew" => {
                        times.push(bench.now.since(begun));
                        bench.renewed(Renewal::All, BTreeSet::new());
                    }
                    "look at all" => bench.handle(Input::Looked(Look::All, Some(Vec::new()))),
                    _ => {}
                }
            }
            assert!(bench.now.since(begun) < 5 * half, "{times:?}");
        }
        let is_near =
            |time: Duration| (half * 9 / 10..=half * 11 / 10 + Duration::from_secs(20)).contains(&time);
        match send_credentials {
            false => assert!(times[0] <= Duration::from_secs(70), "{times:?}"),
            true => assert!(is_near(times[0]), "{times:?}"),
        }
        assert!(is_near(times[1] - times[0]) && is_near(times[2] - times[1]), "{times:?}");
    }
}

/// A role may be deleted, and made again while its tasks run (identity J8: retried each minute).
#[test]
fn a_role_that_could_not_be_assumed_is_tried_again_each_minute() {
    let mut bench = Bench { shows_renewals: true, ..Bench::connected() };
    let mut seen = Vec::new();
    let begun = bench.now;
    while bench.now.since(begun) < Duration::from_secs(280) {
        bench.after(Duration::from_secs(5));
        bench.handle(Input::Received(HEARTBEAT_ACK));
        while let Some(output) = bench.next() {
            let Output::Renew(renewal) = output else { continue };
            // One of the two roles is there again the second time, the other one the third time.
            let lacking: BTreeSet<TaskId> = match (&renewal, seen.len()) {
                (Renewal::All, _) | (Renewal::Late { .. }, 1) => [task(1), task(2)].into(),
                (Renewal::Late { .. }, 2) => [task(2)].into(),
                (Renewal::Late { .. }, _) => BTreeSet::new(),
            };
            seen.push((renewal.clone(), bench.now));
            bench.renewed(renewal, lacking);
        }
    }
    let late = |of: &[u128], after: usize| Renewal::Late {
        lacking: of.iter().map(|&n| task(n)).collect(),
        made_after: seen[after].1,
    };
    let all: Vec<&Renewal> = seen.iter().map(|(renewal, _)| renewal).collect();
    assert_eq!(all, [&Renewal::All, &late(&[1, 2], 0), &late(&[1, 2], 1), &late(&[2], 2)]);
    for pair in seen.windows(2) {
        let pause = pair[1].1.since(pair[0].1);
        assert!((60..=65).contains(&pause.as_secs()), "{seen:?}");
    }
}

/// Nothing tells a connection of a role that was deleted and made again. It looks for those whenever it looks at all.
#[test]
fn a_role_that_was_made_again_is_noticed_within_minutes() {
    let mut bench = Bench { shows_renewals: true, ..Bench::connected() };
    let mut seen = Vec::new();
    let begun = bench.now;
    while bench.now.since(begun) < Duration::from_secs(1200) {
        bench.after(Duration::from_secs(10));
        bench.handle(Input::Received(HEARTBEAT_ACK));
        while let Some(output) = bench.next() {
            match output {
                Output::Look(look) => bench.handle(Input::Looked(look, Some(Vec::new()))),
                Output::Renew(renewal) => {
                    seen.push((renewal.clone(), bench.now));
                    bench.renewed(renewal, BTreeSet::new());
                }
                _ => {}
            }
        }
    }
    assert_eq!(seen[0].0, Renewal::All);
    assert!(seen.len() >= 4, "{seen:?}");
    for pair in seen.windows(2) {
        assert_eq!(pair[1].0, Renewal::Late { lacking: BTreeSet::new(), made_after: pair[0].1 });
        assert!(pair[1].1.since(pair[0].1) <= Duration::from_secs(310), "{seen:?}");
    }
}

/// A payload that only announces a role is followed by its credentials.
#[test]
fn what_a_payload_lacks_is_made_up_for() {
    let mut bench = Bench { shows_renewals: true, ..Bench::new() };
    bench.connect(true);
    bench.handle(Input::Looked(Look::All, run(&[7])));
    let mut payload = |name: &str| {
        let id = "id".to_owned().into();
        let announced = RoleCredentials { credentials_id: id, ..RoleCredentials::default() };
        Some(TaskPayload { role_credentials: Some(announced), ..TaskPayload::stop(name, CLUSTER_ARN) })
    };
    while bench.channel.poll(&mut payload).is_some() {}
    bench.after(Duration::from_secs(60));
    let renewals: Vec<String> =
        bench.outputs().into_iter().filter(|told| told.starts_with("renew")).collect();
    assert_eq!(renewals, ["renew 1"]);
}
