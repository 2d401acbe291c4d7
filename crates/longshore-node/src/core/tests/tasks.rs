//! Tasks from their payload to their last report: what is durable before what, crashes, stops.

use super::*;

#[test]
fn a_journal_without_space_declines_new_tasks_and_goes_on_with_the_others() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    rig.input(Input::JournalShort(true));
    rig.place("b", Rig::payload("b", "bb"));
    rig.run(SECOND);
    let told = rig.heard("b");
    assert!(told.len() == 1 && told[0].starts_with("STOPPED(ResourceInitializationError: "), "{told:?}");
    assert!(rig.core.credentials().get("credentials-b").is_none(), "nothing of it is kept");
    assert!(rig.disk.keys().all(|key| !key.ends_with("/b")));
    // Sent again, the task that is here is acknowledged again.
    rig.cut();
    rig.run(5 * SECOND);
    rig.stop("a");
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
    rig.input(Input::JournalShort(false));
    rig.place("c", Rig::payload("c", "bb"));
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("c").last(), Some(&"RUNNING"));
}

#[test]
fn a_task_is_declined_also_while_nothing_can_be_written() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    rig.syncs = false;
    rig.stop("a");
    rig.input(Input::JournalShort(true));
    rig.place("b", Rig::payload("b", "bb"));
    rig.run(5 * SECOND);
    assert!(rig.heard("b").last().is_some_and(|told| told.starts_with("STOPPED(")), "{:?}", rig.heard("b"));
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"), "its end is told when it is safe");
    assert_eq!(rig.runtime.world.running(), 0, "but it is stopped already");
    rig.syncs = true;
    rig.sync();
    rig.run(SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
}

#[test]
fn a_task_runs_and_stops() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    assert!(rig.desired[Rig::arn("a").as_str()].1, "the payload was acknowledged");
    let stored = rig.core.credentials().get("credentials-a").expect("they came with the payload");
    assert_eq!(stored.task.arn(), Rig::arn("a"));
    rig.stop("a");
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
    assert_eq!(rig.starts(), 1);
    rig.run(4 * 3600 * SECOND);
    assert!(rig.core.credentials().get("credentials-a").is_none(), "clean-up forgets them");
    assert_eq!(rig.core.engine().tasks().count(), 0);
}

#[test]
fn nothing_is_acknowledged_or_started_before_it_is_durable() {
    let mut rig = Rig::connected();
    rig.syncs = false;
    let before = rig.acked.len();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(10 * SECOND);
    assert_eq!((rig.acked.len(), rig.starts()), (before, 0));
    assert_eq!(rig.heard("a"), Vec::<&str>::new());
    rig.syncs = true;
    rig.sync();
    rig.run(2 * SECOND);
    assert_eq!((rig.acked.len(), rig.starts()), (before + 1, 1));
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
}

#[test]
fn that_a_container_runs_is_told_without_waiting_for_the_disk() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    while rig.starts() == 0 {
        rig.run(Duration::from_millis(1));
    }
    rig.syncs = false;
    rig.run(2 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    // What is told before it is written is true after a crash, too.
    rig.crash();
    rig.syncs = true;
    rig.begin();
    rig.run(60 * SECOND);
    assert_eq!(rig.starts(), 1);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    // That it has ended waits.
    rig.syncs = false;
    rig.stop("a");
    rig.run(60 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    rig.syncs = true;
    rig.sync();
    rig.run(2 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"STOPPED"));
}

#[test]
fn a_write_that_only_an_ack_waits_for_is_not_pressing() {
    let mut rig = Rig::connected();
    rig.pressing.clear();
    rig.syncs = false;
    rig.place("a", Rig::payload("a", "bb"));
    assert_eq!(rig.pressing, [false], "the image is looked for meanwhile");
    rig.syncs = true;
    rig.sync();
    rig.run(10 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    assert!(rig.pressing.iter().filter(|pressing| **pressing).count() >= 2, "the creation and the start");
}

#[test]
fn a_task_that_cannot_be_read_is_reported_and_not_acknowledged() {
    let mut rig = Rig::connected();
    let mut payload = Rig::payload("bad", "bb");
    payload.containers[0].overrides = r#"{"memory":1}"#.into();
    let before = rig.acked.len();
    rig.place("bad", payload);
    rig.run(SECOND);
    let heard = rig.heard("bad").join(" ");
    assert!(
        heard.starts_with(
            "STOPPED(UnrecogniedTaskError: Error loading task - invalid overrides of container 'main'"
        ),
        "{heard}"
    );
    assert_eq!(rig.acked.len(), before);
    rig.run(600 * SECOND);
    assert_eq!(rig.heard("bad").len(), 1, "said once; the server stops resending");
}

#[test]
fn a_crash_restarts_nothing_and_tells_what_happened_meanwhile() {
    let mut rig = Rig::connected();
    rig.runtime.world.script("short", ImageScript::exits(60 * SECOND, 3));
    rig.place("long", Rig::payload("long", "bb"));
    rig.place("short", Rig::payload("short", "short"));
    rig.run(5 * SECOND);
    assert_eq!(rig.starts(), 2);
    rig.crash();
    // The container ends while there is no agent.
    rig.now = rig.now + 120 * SECOND;
    rig.runtime.advance(rig.now);
    rig.begin();
    rig.run(5 * SECOND);
    assert_eq!(rig.starts(), 2, "a running container is not started again");
    assert_eq!(rig.heard("short").last(), Some(&"STOPPED"));
    assert_ne!(rig.heard("long").last(), Some(&"STOPPED"));
    assert!(rig.core.credentials().get("credentials-long").is_some(), "sent again to the new process");
    let registration = rig.calls.iter().rev().find(|call| call.starts_with("Register")).expect("again");
    assert!(registration.contains(INSTANCE), "it is the same instance: {registration}");
    rig.stop("long");
    rig.run(2 * SECOND);
    assert_eq!(rig.heard("long").last(), Some(&"STOPPED"));
}

#[test]
fn reports_survive_an_outage_in_order() {
    let mut rig = Rig::connected();
    rig.runtime.world.script("short", ImageScript::exits(20 * SECOND, 0));
    rig.place("a", Rig::payload("a", "short"));
    rig.settle();
    rig.cut_off = true;
    rig.run(300 * SECOND);
    assert_eq!(rig.heard("a"), Vec::<&str>::new());
    rig.cut_off = false;
    rig.run(60 * SECOND);
    let heard = rig.heard("a").join(" ");
    assert!(heard.ends_with("STOPPED") && heard.matches("STOPPED").count() == 1, "{heard}");
}

#[test]
fn a_report_that_can_never_be_accepted_is_dropped() {
    let mut rig = Rig::connected();
    let error = |code: &str| {
        let code = code.to_owned();
        Err(ApiError::Service { status: 400, code, message: String::new() })
    };
    rig.answers.insert("SubmitTaskStateChange", error("InvalidParameterException"));
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(10 * SECOND);
    let dropped = rig.calls.iter().filter(|call| call.starts_with("Submit")).count();
    rig.run(100 * SECOND);
    assert_eq!(rig.calls.iter().filter(|call| call.starts_with("Submit")).count(), dropped);
    rig.answers.insert("SubmitTaskStateChange", error("ClientException"));
    rig.stop("a");
    rig.run(300 * SECOND);
    let tries = rig.calls.iter().filter(|call| call.starts_with("Submit")).count() - dropped;
    assert!((10..40).contains(&tries), "1 s to 30 s apart for five minutes: {tries}");
}

#[test]
fn a_task_that_nobody_wants_is_stopped_after_verification() {
    let mut rig = Rig::connected();
    rig.place("lost", Rig::payload("lost", "bb"));
    rig.place("kept", Rig::payload("kept", "bb"));
    rig.run(5 * SECOND);
    // The control plane has forgotten it.
    rig.desired.remove(Rig::arn("lost").as_str());
    rig.cut();
    rig.run(60 * SECOND);
    assert_eq!(rig.heard("lost").last(), Some(&"STOPPED"));
    assert_eq!(rig.heard("kept").last(), Some(&"RUNNING"));
}

#[test]
fn a_stop_waits_for_the_disk_and_for_no_call() {
    let mut rig = Rig::new();
    rig.cut_off = true;
    rig.begin();
    rig.syncs = false;
    rig.core.write(vec![Change { key: "node/test".into(), text: None }]);
    rig.input(Input::Stop);
    assert_eq!(rig.exit, None, "the journal is not durable");
    rig.now = rig.now + Duration::from_secs(60);
    rig.core.handle(rig.now, Input::Tick);
    assert!(rig.core.deadline().is_none_or(|at| at > rig.now), "a call that is never made must not be due");
    rig.sync();
    assert_eq!(rig.exit, Some(ExitReason::Stopped));
}

#[test]
fn a_stop_leaves_the_containers_running() {
    let mut rig = Rig::connected();
    rig.place("a", Rig::payload("a", "bb"));
    rig.run(5 * SECOND);
    rig.input(Input::Stop);
    assert_eq!(rig.exit, Some(ExitReason::Stopped));
    assert_eq!(rig.runtime.world.running(), 1);
    assert_eq!(rig.core.deadline(), None);
}

fn asked(path: &str, peer: &str, container: Option<&str>) -> Asked {
    Asked {
        method: "GET".into(),
        path: path.into(),
        query: String::new(),
        body: Vec::new(),
        peer: Some(peer.parse().expect("an address")),
        container: container.map(str::to_owned),
    }
}

/// Who asks for this task's credentials, and gets them.
fn asks(rig: &Rig, path: &str, peer: &str, container: Option<&str>) -> u16 {
    match surface::tasks(&rig.core, &asked(path, peer, container)) {
        Reply::Now(answer) => answer.status,
        Reply::Later(lookup) => panic!("{lookup:?}"),
    }
}

/// The id in the URL is no secret among containers that can read each other's environment: who asks decides.
#[test]
fn only_a_container_of_the_task_gets_its_credentials() {
    let mut rig = Rig::connected();
    for name in ["a", "b"] {
        rig.place(name, Rig::payload(name, "bb"));
    }
    rig.run(5 * SECOND);
    let of = |name: &str| {
        let task =
            rig.core.engine().tasks().find(|task| task.key().arn() == Rig::arn(name)).expect("it is there");
        let container = task.containers().next().expect("it has one");
        let address = container.networks()[0].ipv4.clone().expect("it has one");
        (address, container.runtime_id().expect("it was created").as_str().to_owned())
    };
    let ((a, id_a), (b, id_b)) = (of("a"), of("b"));
    assert_ne!(a, b);
    let path = "/v2/credentials/credentials-a";
    for (peer, container, status) in [
        (a.as_str(), None, 200),
        (b.as_str(), None, 400),
        ("127.0.0.1", None, 400),
        // From the machine itself, the process tells.
        ("127.0.0.1", Some(id_a.as_str()), 200),
        ("127.0.0.1", Some(id_b.as_str()), 400),
        (a.as_str(), Some(id_b.as_str()), 400),
    ] {
        assert_eq!(asks(&rig, path, peer, container), status, "{peer} {container:?}");
    }
    assert_eq!(asks(&rig, "/v2/credentials/none", &a, None), 400);
    // The way to the API is for those who may have credentials.
    for (peer, container, status) in [
        (a.as_str(), None, 200),
        (b.as_str(), None, 200),
        ("192.0.2.7", None, 404),
        ("127.0.0.1", None, 404),
        ("127.0.0.1", Some(id_b.as_str()), 200),
        ("127.0.0.1", Some("of another's container"), 404),
        (a.as_str(), Some("of another's container"), 404),
    ] {
        let asked = asked("/", peer, container);
        let Reply::Now(answer) = surface::caller(&rig.core, &asked) else { panic!("it is known by now") };
        assert_eq!(answer.status, status, "{peer} {container:?}");
    }
    rig.stop("a");
    rig.run(60 * SECOND);
    assert_eq!(asks(&rig, path, &a, None), 400, "a stopped container has no address any more");
}

/// A role that could not be assumed when the task was sent: its containers know where to ask, and are told to wait.
#[test]
fn credentials_that_were_only_announced_are_to_come() {
    let mut payload = Rig::payload("a", "bb");
    let announced = payload.role_credentials.as_mut().expect("it has a role");
    announced.access_key_id = String::new();
    let mut rig = Rig::connected();
    rig.place("a", payload);
    rig.run(5 * SECOND);
    let task = rig.core.engine().tasks().next().expect("it is there");
    let address =
        task.containers().next().expect("it has one").networks()[0].ipv4.clone().expect("it has one");
    // So its containers have the path in their environment.
    assert_eq!(task.spec().task_credentials.as_ref().map(|id| id.expose()), Some("credentials-a"));
    assert_eq!(asks(&rig, "/v2/credentials/credentials-a", &address, None), 503);
    assert!(rig.core.credentials().get("credentials-a").is_none());
}

#[test]
fn secrets_are_fetched_with_the_execution_role() {
    let secret =
        Secret { name: "TOKEN".into(), value_from: "/t".into(), provider: "ssm".into(), ..Secret::default() };
    let mut payload = Rig::payload("a", "bb");
    payload.containers[0].secrets = vec![secret.clone()];
    payload.execution_role_credentials = Some(RoleCredentials {
        credentials_id: "execution-a".to_owned().into(),
        access_key_id: "ASIAEXECUTION".into(),
        ..RoleCredentials::default()
    });
    let mut rig = Rig::connected();
    rig.secrets = Ok(ResolvedSecrets {
        secrets: vec![ResolvedSecret {
            name: "TOKEN".into(),
            target: SecretTarget::Environment,
            value: SecretText::new("hunter2"),
        }],
        versions: vec![SecretVersion { value_from: "/t".into(), version: "3".into() }],
        from_files: Vec::new(),
    });
    rig.place("a", payload.clone());
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    let [(who, asked)] = &rig.fetched[..] else { panic!("{:?}", rig.fetched) };
    assert_eq!((who.as_str(), asked[0].target), ("ASIAEXECUTION", "AmazonSSM.GetParameters"));
    let environment = &rig.runtime.world.specs().next().expect("it was created").environment;
    assert_eq!(environment.0["TOKEN"], "hunter2");
    assert_eq!(asks(&rig, "/v2/credentials/execution-a", "127.0.0.1", None), 400, "it is the agent's");

    // Without an execution role nobody may fetch them, and the task says so.
    payload.execution_role_credentials = None;
    let mut rig = Rig::connected();
    rig.place("a", TaskPayload { containers: payload.containers.clone(), ..Rig::payload("a", "bb") });
    rig.run(5 * SECOND);
    assert!(
        rig.heard("a").last().is_some_and(|told| told.contains("has no execution role")),
        "{:?}",
        rig.heard("a")
    );
    assert_eq!(rig.starts(), 0);

    // What was refused is the reason.
    let mut rig = Rig::connected();
    rig.secrets = Err("AccessDeniedException: why".into());
    payload.execution_role_credentials = Some(RoleCredentials {
        credentials_id: "execution-a".to_owned().into(),
        access_key_id: "ASIAEXECUTION".into(),
        ..RoleCredentials::default()
    });
    rig.place("a", payload);
    rig.run(5 * SECOND);
    assert_eq!((rig.heard("a").last(), rig.starts()), (Some(&"STOPPED(AccessDeniedException: why)"), 0));
}

#[test]
fn a_registry_is_asked_with_the_login_of_the_execution_role() {
    let auth = RegistryAuthentication {
        kind: "asm".into(),
        asm_auth_data: Some(AsmAuthData { credentials_parameter: "arn:secret".into(), region: "r".into() }),
        ..RegistryAuthentication::default()
    };
    let mut payload = Rig::payload("a", "bb");
    payload.containers[0].registry_authentication = Some(auth);
    let without_role = payload.clone();
    payload.execution_role_credentials = Some(RoleCredentials {
        credentials_id: "execution-a".to_owned().into(),
        access_key_id: "ASIAEXECUTION".into(),
        ..RoleCredentials::default()
    });
    let mut rig = Rig::connected();
    rig.place("a", payload);
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("a").last(), Some(&"RUNNING"));
    assert!(!rig.fetched.is_empty());
    for (who, asked) in &rig.fetched {
        assert_eq!((who.as_str(), asked[0].target), ("ASIAEXECUTION", "secretsmanager.GetSecretValue"));
        assert_eq!((asked[0].body.as_str(), asked[0].region.as_str()), (r#"{"SecretId":"arn:secret"}"#, "r"));
    }

    let mut rig = Rig::connected();
    rig.place("a", without_role);
    rig.run(5 * SECOND);
    assert!(
        rig.heard("a").last().is_some_and(|told| told.contains("has no execution role")),
        "{:?}",
        rig.heard("a")
    );
    assert_eq!((rig.starts(), rig.fetched.len()), (0, 0));
}
