//! Joining, being refused, and being deregistered.

use super::*;

#[test]
fn registration_may_end_the_agent() {
    let exit = |status, code: &str, message: &str| {
        let mut rig = Rig::new();
        let (code, message) = (code.to_owned(), message.to_owned());
        rig.answers.insert("RegisterContainerInstance", Err(ApiError::Service { status, code, message }));
        rig.run(2 * 3600 * SECOND);
        rig.exit.map(|reason| reason.code())
    };
    assert_eq!(exit(400, "ClientException", "no"), Some(5));
    assert_eq!(exit(400, "AccessDeniedException", "no"), Some(1));
    assert_eq!(exit(500, "ServerException", "no"), Some(1), "after an hour of tries");
    let mut rig = Rig::new();
    let answer =
        serde_json::json!({"containerInstance": {"containerInstanceArn": INSTANCE, "attributes": []}});
    rig.answers.insert("RegisterContainerInstance", Ok(answer.to_string()));
    rig.run(SECOND);
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5), "attributes did not come back");
}

#[test]
fn a_deregistered_instance_joins_as_a_new_one_where_that_is_wanted() {
    const OLD: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/c/0";
    let mut rig = Rig::connected();
    rig.place("left", Rig::payload("left", "bb"));
    rig.run(5 * SECOND);
    assert_eq!(rig.heard("left").last(), Some(&"RUNNING"));
    // Deregistered by force: nobody wants the task any more. Manifests of the new instance begin with low numbers.
    rig.desired.clear();
    rig.disk.insert(saved::INSTANCE_ARN.to_owned(), OLD.to_owned());
    rig.disk.insert(saved::MANIFEST.to_owned(), i64::MAX.to_string());
    rig.crash();
    rig.core.config.joins_anew = true;
    rig.refuses_known = true;
    rig.begin();
    assert_eq!(rig.exit, None);
    assert_eq!(rig.core.instance_arn(), Some(INSTANCE));
    assert_eq!(rig.disk[saved::INSTANCE_ARN], INSTANCE);
    rig.run(60 * SECOND);
    assert_eq!(rig.heard("left").last(), Some(&"STOPPED"), "unknown to the new instance");

    // So does one that was forgotten since.
    rig.disk.insert(saved::INSTANCE_ARN.to_owned(), OLD.to_owned());
    rig.crash();
    rig.core.config.joins_anew = true;
    rig.unknown = true;
    rig.begin();
    assert_eq!((rig.exit.clone(), rig.core.instance_arn()), (None, Some(INSTANCE)));

    rig.unknown = false;
    rig.disk.insert(saved::INSTANCE_ARN.to_owned(), OLD.to_owned());
    rig.crash();
    rig.core.config.joins_anew = false;
    rig.begin();
    assert_eq!(rig.exit.as_ref().map(ExitReason::code), Some(5), "an agent of its own ends");
}

#[test]
fn a_failed_registration_says_what_to_do() {
    let said = |pairs: &[(&str, &str)], error: &ApiError| {
        let mut rig = Rig::with(pairs);
        rig.core.agent_id = "ID".to_owned();
        rig.answers.insert("RegisterContainerInstance", Err(error.clone()));
        rig.run(SECOND);
        rig.exit.map(|reason| reason.to_string()).unwrap_or_default()
    };
    assert_eq!(
        said(&[("ECS_DATADIR", "/var/lib/agent")], &deregistered()),
        "registration failed: ClientException (HTTP 400): The referenced container instance was inactive. \
         Somebody has deregistered this container instance. Nothing is left of its tasks. To join as a new one, move \
         /var/lib/agent away."
    );
    let error = |code: &str, message: &str| ApiError::Service {
        status: 400,
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let cluster = said(&[], &error("ClientException", "Cluster not found."));
    assert!(cluster.contains("aws ecs create-cluster --cluster-name c"), "{cluster}");
    let key = said(&[], &error("InvalidSignatureException", "It does not match."));
    assert!(key.contains("AWS_SECRET_ACCESS_KEY"), "{key}");
}

#[test]
fn a_control_plane_that_is_not_there_yet_is_waited_for() {
    let mut rig = Rig::new();
    rig.cut_off = true;
    rig.run(24 * 3600 * SECOND);
    assert_eq!(rig.exit, None);
    rig.cut_off = false;
    rig.run(10 * SECOND);
    assert!(rig.core.is_connected());
}

#[test]
fn the_default_cluster_is_made() {
    let mut rig = Rig::with(&[("ECS_CLUSTER", "")]);
    rig.core = {
        let pairs = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let config = Config::read(pairs, None).expect("valid").0;
        let saved = BTreeMap::new();
        AgentCore::new(rig.now, Seed::new(1), config, runtime_info(), &saved).expect("nothing is saved")
    };
    let error = ApiError::Service {
        status: 400,
        code: "ClientException".into(),
        message: "Cluster not found.".into(),
    };
    rig.answers.insert("RegisterContainerInstance", Err(error));
    rig.core.handle(rig.now, Input::Tick);
    while let Some(effect) = rig.core.poll() {
        if matches!(&effect, Effect::Call { request: ApiCall::CreateCluster(_), .. }) {
            rig.answers.clear();
            rig.effect(effect);
            break;
        }
        rig.effect(effect);
    }
    let calls: Vec<_> = rig.calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(calls, ["RegisterContainerInstance", "CreateCluster"]);
}

#[test]
fn state_of_another_cluster_is_refused() {
    let rig = Rig::connected();
    let other = config(&[("ECS_CLUSTER", "other")]);
    let error = AgentCore::new(rig.now, Seed::new(2), other, runtime_info(), &rig.disk);
    assert!(matches!(error, Err(RestoreError::OtherCluster { .. })));
}

/// The key that it has is bound to another instance than the one in its journal: it has joined again.
#[test]
fn an_agent_is_the_instance_that_its_key_is_bound_to() {
    const SAME: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/1";
    const OTHER: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/c/2";
    let rig = Rig::connected();
    for (bound, known) in [
        (None, Some(INSTANCE)),
        (Some(INSTANCE), Some(INSTANCE)),
        (Some(SAME), Some(INSTANCE)),
        (Some(OTHER), None),
    ] {
        let config = Config { instance_arn: bound.map(str::to_owned), ..config(&[]) };
        let core =
            AgentCore::new(rig.now, Seed::new(2), config, runtime_info(), &rig.disk).expect("it is its own");
        assert_eq!(core.instance_arn(), known, "{bound:?}");
    }
    // A key that nobody knows any more is the end of a machine that has joined, and of no other.
    for (bound, code) in [(None, 1), (Some(OTHER), 5)] {
        let mut rig = Rig::new();
        rig.core.config.instance_arn = bound.map(str::to_owned);
        let (code_of, message) = ("UnrecognizedClientException".to_owned(), "invalid".to_owned());
        let error = ApiError::Service { status: 400, code: code_of, message };
        rig.answers.insert("RegisterContainerInstance", Err(error));
        rig.run(SECOND);
        let exit = rig.exit.expect("it ends");
        assert_eq!(exit.code(), code, "{exit}");
        assert_eq!(exit.to_string().contains("new token"), bound.is_some(), "{exit}");
    }
}
