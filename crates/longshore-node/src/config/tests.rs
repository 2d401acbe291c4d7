use proptest::prelude::*;

use super::keys::KEYS;
use super::*;

const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hidden")];

fn read(environment: &[(&str, &str)], file: &str) -> (Config, Vec<Note>) {
    let environment =
        KEY.iter().chain(environment).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::read(environment, Some(file)).expect("it can run")
}

#[test]
fn nothing_but_credentials_gives_defaults() {
    let (config, notes) = read(&[], "");
    assert_eq!(notes, []);
    assert_eq!(config.cluster, None);
    assert_eq!(config.cluster_name(), "default");
    assert_eq!(config.endpoint, "http://127.0.0.1:8722");
    assert_eq!(config.data_dir, None, "no checkpoint without a data directory");
    assert_eq!(config.log_drivers, ["json-file", "none"]);
    assert_eq!(config.reserved_tcp, [22, 2375, 2376, 51678, 51679].map(Port));
    assert_eq!(config.introspection, Some("127.0.0.1:51678".parse().expect("an address")));
    assert!(config.privileged && config.metrics && config.health_checks);
}

#[test]
fn an_agent_joins_the_pool_or_a_cluster() {
    for pool in [("LONGSHORE_POOL", "true"), ("ECS_CLUSTER", ".fargate")] {
        let (config, notes) = read(&[pool], "");
        assert_eq!((config.cluster_name(), notes), (".fargate", Vec::new()));
        assert!(config.task_eni, "every task of Fargate is in awsvpc mode");
        assert_eq!(config.launch_type_shown("EC2"), "FARGATE");
        assert_eq!(
            config.log_drivers,
            ["json-file", "none", "splunk"],
            "what definitions for Fargate may name"
        );
    }
    let both = [KEY[0], KEY[1], ("LONGSHORE_POOL", "true"), ("ECS_CLUSTER", "web")];
    let both = both.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert!(matches!(Config::read(both, None), Err(ConfigError::ClusterAndPool)));
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "# a comment\n\nECS_CLUSTER=from-file\nECS_RESERVED_MEMORY = 128 \nnonsense\n";
    let (config, notes) = read(&[("ECS_CLUSTER", "from-env")], file);
    assert_eq!(config.cluster.as_deref(), Some("from-env"));
    assert_eq!(config.reserved_memory_mib, 128);
    assert_eq!(notes, [Note::Line { line: 5 }]);
    assert_eq!(read(&[("ECS_CLUSTER", " ")], file).0.cluster.as_deref(), Some("from-file"));
}

#[test]
fn values_are_read_as_the_official_agent_reads_them() {
    let file = "ECS_AVAILABLE_LOGGING_DRIVERS=[\"json-file\",\"awslogs\"]\n\
        ECS_INSTANCE_ATTRIBUTES={\"stack\":\"a\"}\n\
        ECS_RESERVED_PORTS=[1,2]\n\
        ECS_DYNAMIC_HOST_PORT_RANGE=40000-40999\n\
        ECS_CONTAINER_STOP_TIMEOUT=2m\n\
        ECS_ENABLE_TASK_CPU_MEM_LIMIT=false\n\
        ECS_DATADIR=/var/lib/x\n\
        ECS_BACKEND_HOST=example.test:8722/\n\
        LONGSHORE_INTROSPECTION_PORT=off\n\
        LONGSHORE_METADATA_PORT=0\n\
        ECS_POLLING_METRICS_WAIT_DURATION=1s\n";
    let (config, notes) = read(&[], file);
    assert_eq!(config.log_drivers, ["json-file", "awslogs"]);
    assert_eq!(config.attributes["stack"], "a");
    assert_eq!(config.reserved_tcp, [Port(1), Port(2)]);
    assert_eq!(config.dynamic_ports, Some((Port(40000), Port(40999))));
    assert_eq!(config.engine.stop_timeout, Duration::from_secs(120));
    assert_eq!(config.task_limits, Some(false));
    assert_eq!(config.data_dir, Some("/var/lib/x".into()));
    assert_eq!(config.endpoint, "https://example.test:8722");
    assert_eq!((config.introspection, config.metadata), (None, None));
    assert_eq!(config.engine.metadata_endpoint, None, "nobody serves it");
    assert_eq!(config.metrics_interval, Duration::from_secs(5));
    let expected =
        Note::OutOfRange { key: "ECS_POLLING_METRICS_WAIT_DURATION", used: Duration::from_secs(5) };
    assert_eq!(notes, [expected]);
}

#[test]
fn awslogs_is_taken_over_if_asked_for() {
    let read = |value| {
        let (config, notes) = read(&[("LONGSHORE_AWSLOGS_DRIVER", value)], "");
        (config.awslogs, notes)
    };
    assert_eq!(read("json-file"), (Some(StandIn::JsonFile), Vec::new()));
    assert_eq!(read("local"), (Some(StandIn::Local), Vec::new()));
    assert_eq!(read("off"), (None, Vec::new()));
    assert_eq!(read(""), (None, Vec::new()));
    // It would lose what containers write, or keep it without a bound.
    for other in ["none", "awslogs", "journald"] {
        assert_eq!(read(other), (None, vec![Note::Unreadable { key: "LONGSHORE_AWSLOGS_DRIVER" }]));
    }
}

#[test]
fn containers_are_told_what_is_served() {
    let told = |pairs: &[(&str, &str)]| read(pairs, "").0.engine.metadata_endpoint;
    assert_eq!(told(&[]).as_deref(), Some("http://169.254.170.2"));
    let off = ("LONGSHORE_METADATA_PORT", "0");
    assert_eq!(told(&[off]), None);
    let elsewhere = ("LONGSHORE_METADATA_ENDPOINT", "http://10.0.0.1:80/");
    assert_eq!(told(&[off, elsewhere]).as_deref(), Some("http://10.0.0.1:80"));
}

#[test]
fn bad_values_and_unknown_keys_are_noted_and_survived() {
    let (config, notes) = read(
        &[("ECS_RESERVED_MEMORY", "much"), ("ECS_CLUSTR", "x"), ("PATH", "/bin"), ("ECS_LOGFILE", "/x")],
        "ECS_CONTAINER_STOP_TIMEOUT=1ms\n",
    );
    assert_eq!(config.reserved_memory_mib, 0);
    let texts: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "ECS_CLUSTR: unknown key",
            "ECS_LOGFILE: this agent does not implement it; it has no effect",
            "ECS_CONTAINER_STOP_TIMEOUT: below the minimum; using 1s",
            "ECS_RESERVED_MEMORY: cannot read the value; using the default",
        ]
    );
}

#[test]
fn what_it_cannot_run_without() {
    let read = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::read(pairs, None).map(|_| ())
    };
    assert_eq!(read(&[]), Err(ConfigError::NoCredentials));
    assert_eq!(read(&[KEY[0], KEY[1], ("AWS_DEFAULT_REGION", "No Region")]), Err(ConfigError::Region));
    for wrong in ["ftp://x", "ws://x", "http://x:99999", "http://x:y", "x:y", "http://a@x"] {
        assert_eq!(
            read(&[KEY[0], KEY[1], ("ECS_BACKEND_HOST", wrong)]),
            Err(ConfigError::Endpoint),
            "{wrong}"
        );
    }
}

#[test]
fn secrets_do_not_print() {
    let auth = r#"{"r":{"password":"hidden"}}"#;
    let (config, _) = read(&[("ECS_ENGINE_AUTH_TYPE", "docker"), ("ECS_ENGINE_AUTH_DATA", auth)], "");
    assert!(!format!("{config:?}").contains("hidden"));
}

/// Values that some key gives a meaning, beside texts that no key does.
fn value() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "1",
        "0",
        "-1",
        "true",
        "off",
        "1h",
        "9999999999999999999h",
        "1e400s",
        "[1,70000]",
        "[0,1]",
        "{\"a\":1}",
        "{\"a\":\"b\"}",
        "[[[[",
        "1-0",
        "40000-40999",
        "0-65536",
        "://",
        "https://",
        "ftp://x",
        "[::1",
        "10.0.0.0/33",
        "10.0.0.0/8",
        "101",
        "us-east-1",
        ".fargate",
        "4294967296",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "\\PC{0,40}"]
}

fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(KEYS).prop_map(|(key, _)| key.to_owned());
    prop_oneof![8 => known, 1 => "ECS_[A-Z]{0,5}", 1 => "\\PC{0,10}"]
}

proptest! {
    /// Whatever a file and an environment say, it is read or refused in words; the environment wins; the notes
    /// stay in proportion; and no secret is in what is said of it.
    #[test]
    fn any_configuration_is_read_or_refused(
        lines in prop::collection::vec((key(), value()), 0..12),
        junk in "\\PC{0,60}",
        variables in prop::collection::btree_map(key(), value(), 0..12),
    ) {
        const SECRET: &str = "correct-horse-battery";
        let mut file: Vec<String> = lines.iter().map(|(key, value)| format!("{key}={value}")).collect();
        file.push(junk);
        let own = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("ECS_ENGINE_AUTH_DATA", SECRET)];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let environment = variables.clone().into_iter().chain(own);
        match Config::read(environment, Some(&file.join("\n"))) {
            Ok((config, notes)) => {
                prop_assert!(notes.len() <= 3 * (lines.len() + variables.len() + 4), "{notes:?}");
                let said = format!("{config:?} {notes:?}");
                prop_assert!(!said.contains(SECRET));
                let asked = variables.get("ECS_CLUSTER").map(|name| name.trim()).filter(|name| !name.is_empty());
                prop_assert!(asked.is_none_or(|asked| config.cluster_name() == asked));
                prop_assert!((5..=20).contains(&config.metrics_interval.as_secs()));
                prop_assert!(config.reserved_tcp.iter().all(|port| port.0 > 0));
                prop_assert!(config.dynamic_ports.is_none_or(|(first, last)| first.0 > 0 && first <= last));
                prop_assert!(config.introspection.is_none_or(|address| address.port() > 0));
                prop_assert!(config.endpoint.starts_with("http") && !config.endpoint.ends_with('/'));
            }
            Err(refused) => prop_assert!(!refused.to_string().contains(SECRET)),
        }
    }
}
