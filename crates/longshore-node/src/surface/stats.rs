//! Statistics of containers as the engine has them (agent-protocol G17, "stats").

use longshore_engine::spec::{NetworkMode, RuntimeId};
use longshore_engine::view::{ContainerView, KnownStatus};
use serde_json::{Map, Value, json};

use super::{Answer, Readings, Sampled};

/// How to read a container; `None` if the engine has none.
pub(super) fn sampled(container: ContainerView<'_>) -> Option<Sampled> {
    let id = container.runtime_id()?.clone();
    let task = container.task();
    let network_of = match task.spec().network_mode {
        NetworkMode::Awsvpc => task.pause().and_then(|pause| pause.runtime_id().cloned()),
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => None,
    };
    Some(Sampled { id, is_running: container.status() == KnownStatus::Running, network_of })
}

pub(super) fn none_of(id: Option<&RuntimeId>) -> Answer {
    let name = id.map_or("a container that was not created yet", RuntimeId::as_str);
    super::answer(500, &format!("Unable to get container stats for: {name}"))
}

pub(super) fn answer(containers: Vec<Sampled>, of_task: bool, readings: Vec<Readings>) -> Answer {
    let documents = containers
        .iter()
        .zip(readings)
        .map(|(sampled, (own, network))| (sampled, own.and_then(|own| document(&own, network.as_ref()))));
    if of_task {
        let all: Map<String, Value> = documents
            .map(|(sampled, document)| {
                (sampled.id.as_str().to_owned(), document.unwrap_or_else(|| json!({})))
            })
            .collect();
        return super::answer(200, &all);
    }
    match documents.into_iter().next() {
        Some((_, Some(document))) => super::answer(200, &document),
        Some((sampled, None)) => none_of(Some(&sampled.id)),
        None => none_of(None),
    }
}

/// The later reading, with the network of the container that has it, and with what passed through it per second.
fn document(own: &[String; 2], network: Option<&[String; 2]>) -> Option<Value> {
    let read = |texts: &[String; 2]| -> Option<[Value; 2]> {
        Some([serde_json::from_str(&texts[0]).ok()?, serde_json::from_str(&texts[1]).ok()?])
    };
    let [first, mut last] = read(own)?;
    // Of a container that does not run the engine has a reading without anything in it.
    last.pointer("/cpu_stats/system_cpu_usage").or(last.pointer("/cpu_stats/online_cpus"))?;
    // A single reading knows of none before it, and who computes a share of CPU needs one.
    if last.pointer("/precpu_stats/system_cpu_usage").is_none() {
        for (member, of_first) in [("precpu_stats", "cpu_stats"), ("preread", "read")] {
            if let Some(value) = first.get(of_first) {
                last[member] = value.clone();
            }
        }
    }
    let (before, after) = match network.and_then(read) {
        Some([before, after]) => {
            if let Some(networks) = after.get("networks") {
                last["networks"] = networks.clone();
            }
            (before, after)
        }
        None => (first, last.clone()),
    };
    if let Some(rates) = rates(&before, &after) {
        last["network_rate_stats"] = rates;
    }
    Some(last)
}

/// `None` without a network of its own, or if the two readings are of the same moment.
fn rates(before: &Value, after: &Value) -> Option<Value> {
    let time = |reading: &Value| reading.get("read")?.as_str()?.parse::<jiff::Timestamp>().ok();
    let seconds = time(after)?.duration_since(time(before)?).as_secs_f64();
    let total = |reading: &Value, counter: &str| -> Option<u64> {
        let networks = reading.get("networks")?.as_object()?;
        Some(networks.values().filter_map(|network| network.get(counter)?.as_u64()).sum())
    };
    let rate = |counter: &str| -> Option<f64> {
        let (before, after) = (total(before, counter)?, total(after, counter)?);
        (seconds > 0.0).then(|| after.saturating_sub(before) as f64 / seconds)
    };
    Some(json!({"rx_bytes_per_sec": rate("rx_bytes")?, "tx_bytes_per_sec": rate("tx_bytes")?}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(second: u32, rx: u64) -> String {
        json!({
            "read": format!("2026-11-20T22:24:{second:02}Z"), "cpu_stats": {"online_cpus": 2},
            "networks": {"eth0": {"rx_bytes": rx, "tx_bytes": 0}, "eth1": {"rx_bytes": 10, "tx_bytes": 0}},
        })
        .to_string()
    }

    fn of(name: &str) -> Sampled {
        Sampled { id: RuntimeId::new(name), is_running: true, network_of: None }
    }

    fn body(answer: &Answer) -> Value {
        serde_json::from_str(&answer.body).expect("JSON")
    }

    #[test]
    fn the_later_reading_comes_with_rates() {
        let readings = (Some([reading(1, 100), reading(3, 500)]), None);
        let one = answer(vec![of("a")], false, vec![readings.clone()]);
        assert_eq!(one.status, 200);
        assert_eq!(body(&one)["networks"]["eth0"]["rx_bytes"], 500);
        let rates = json!({"rx_bytes_per_sec": 200.0, "tx_bytes_per_sec": 0.0});
        assert_eq!(body(&one)["network_rate_stats"], rates);
        let all = answer(vec![of("a"), of("b")], true, vec![readings, (None, None)]);
        assert_eq!(body(&all)["a"]["network_rate_stats"], rates);
        assert_eq!(body(&all)["b"], json!({}), "it has just been started, or has ended");
        assert_eq!(answer(vec![of("b")], false, vec![(None, None)]).status, 500);
    }

    #[test]
    fn the_earlier_reading_is_what_the_later_one_is_compared_with() {
        let at = |second: u32, used: u64| {
            json!({
                "read": format!("2026-11-20T22:24:{second:02}Z"), "preread": "0001-01-01T00:00:00Z",
                "cpu_stats": {"system_cpu_usage": used * 10, "cpu_usage": {"total_usage": used}},
                "precpu_stats": {"cpu_usage": {"total_usage": 0}},
            })
            .to_string()
        };
        let document = body(&answer(vec![of("a")], false, vec![(Some([at(1, 5), at(11, 9)]), None)]));
        assert_eq!(document["precpu_stats"]["cpu_usage"]["total_usage"], 5);
        assert_eq!(document["preread"], "2026-11-20T22:24:01Z");
        assert_eq!(document["cpu_stats"]["cpu_usage"]["total_usage"], 9);
        let ended = json!({"read": "2026-11-20T22:24:12Z", "cpu_stats": {"cpu_usage": {"total_usage": 0}}})
            .to_string();
        assert_eq!(answer(vec![of("a")], false, vec![(Some([at(1, 5), ended]), None)]).status, 500);
    }

    #[test]
    fn a_shared_network_is_that_of_who_has_it() {
        let own = || json!({"read": "2026-11-20T22:24:01Z", "cpu_stats": {"online_cpus": 2}}).to_string();
        let shared = (Some([own(), own()]), Some([reading(1, 0), reading(2, 7)]));
        let document = body(&answer(vec![of("a")], false, vec![shared]));
        assert_eq!(document["cpu_stats"]["online_cpus"], 2);
        assert_eq!(document["networks"]["eth0"]["rx_bytes"], 7);
        assert_eq!(document["network_rate_stats"]["rx_bytes_per_sec"], 7.0);
        let host = body(&answer(vec![of("a")], false, vec![(Some([own(), own()]), None)]));
        assert_eq!(host.get("network_rate_stats"), None);
    }
}
