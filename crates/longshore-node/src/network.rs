//! The network that an agent has for tasks in awsvpc mode: its name, this agent's subnet of it, and the attributes that
//! are registered for it (decision 15).

use longshore_base::{Cidr, Seed};
use longshore_engine::spec::TaskNetwork;
use longshore_runtime::port::{NetworkInfo, NetworkRequest};

use crate::capability::Attribute;
use crate::config::Config;

/// The network to ask the runtime for when the agent starts; `None` if the agent takes no tasks in awsvpc mode.
///
/// The name follows from the data directory, so that the next process finds the network again. An agent without
/// a data directory draws a new name from `chance` each time.
pub fn request(config: &Config, chance: Seed) -> Option<NetworkRequest> {
    if !config.task_eni || config.external {
        return None;
    }
    let owner = match (&config.shared_network, &config.data_dir) {
        (Some(shared), _) => shared.owner.clone(),
        (None, Some(directory)) => directory.display().to_string(),
        (None, None) => format!("{} {:016x}", config.name, chance.bits()),
    };
    let name = format!("longshore-{:012x}", digest(&owner).bits() >> 16);
    Some(NetworkRequest { name, subnet: config.task_subnet, owner })
}

/// The network as the engine's settings have it, with the subnet whose addresses are this agent's. `None` if the
/// network is too small to be divided among the agents that share it.
pub fn share(config: &Config, request: NetworkRequest, info: NetworkInfo) -> Option<TaskNetwork> {
    let (index, agents) = config.shared_network.as_ref().map_or((0, 1), |own| (own.index, own.agents));
    let range = info.subnet.subnet(index, agents)?;
    let NetworkInfo { subnet, gateway } = info;
    Some(TaskNetwork { name: request.name, subnet, gateway, range, owner: request.owner })
}

/// The attributes that an agent with a network registers. The control plane gives tasks addresses of the range in them.
pub(crate) fn attributes(network: &TaskNetwork) -> Vec<Attribute> {
    // There is no VPC; these two stand for the network and for the agent's part of it.
    let vpc = aws_id("vpc", &network.name);
    let subnet = aws_id("subnet", &format!("{} {}", network.name, network.range));
    vec![
        Attribute::flag("ecs.capability.task-eni"),
        Attribute::new("ecs.vpc-id", vpc),
        Attribute::new("ecs.subnet-id", subnet),
        Attribute::new("longshore.task-network", network.range.to_string()),
        Attribute::new("longshore.task-gateway", gateway(network.gateway, network.subnet)),
    ]
}

fn gateway(gateway: std::net::Ipv4Addr, subnet: Cidr) -> String {
    format!("{gateway}/{}", subnet.prefix())
}

/// `KIND-` and 17 hex digits, always the same for the same text.
fn aws_id(kind: &str, text: &str) -> String {
    let digest = digest(text);
    format!("{kind}-{:016x}{:x}", digest.of(0).bits(), digest.of(1).bits() & 0xf)
}

/// A hash of a text. Not a cryptographic one: nothing here is secret.
fn digest(text: &str) -> Seed {
    text.bytes().fold(Seed::new(0), |seed, byte| seed.of(u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SharedNetwork;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let pairs = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]
            .iter()
            .chain(pairs)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::read(pairs, None).expect("valid").0
    }

    fn name(config: &Config, chance: u128) -> Option<String> {
        request(config, Seed::new(chance)).map(|request| request.name)
    }

    #[test]
    fn a_network_is_found_again_by_the_data_directory() {
        assert_eq!(name(&config(&[]), 1), None, "off unless asked for");
        let on = ("ECS_ENABLE_TASK_ENI", "true");
        assert_eq!(name(&config(&[on, ("ECS_EXTERNAL", "true")]), 1), None);
        let at = |directory| name(&config(&[on, ("ECS_DATADIR", directory)]), 1).expect("on");
        assert_eq!(at("/var/lib/a").len(), "longshore-".len() + 12);
        assert_eq!(at("/var/lib/a"), at("/var/lib/a"));
        assert_ne!(at("/var/lib/a"), at("/var/lib/b"));
        assert_ne!(name(&config(&[on]), 1), name(&config(&[on]), 2), "nothing is kept");
        let asked = request(&config(&[on, ("LONGSHORE_TASK_NETWORK", "10.9.0.0/24")]), Seed::new(1));
        assert_eq!(asked.and_then(|asked| asked.subnet), "10.9.0.0/24".parse().ok());
    }

    #[test]
    fn agents_of_one_process_share() {
        let info = NetworkInfo {
            subnet: "172.20.0.0/16".parse().expect("a network"),
            gateway: "172.20.0.1".parse().expect("an address"),
        };
        let registered = |index| {
            let shared = SharedNetwork { owner: "/data".to_owned(), index, agents: 3 };
            let config =
                Config { shared_network: Some(shared), ..config(&[("ECS_ENABLE_TASK_ENI", "true")]) };
            let request = request(&config, Seed::new(1)).expect("on");
            attributes(&share(&config, request, info).expect("large enough"))
        };
        let value = |attributes: &[Attribute], name: &str| {
            attributes.iter().find(|own| own.name == name).and_then(|own| own.value.clone())
        };
        let (first, second) = (registered(0), registered(1));
        assert_eq!(value(&first, "longshore.task-network").as_deref(), Some("172.20.0.0/18"));
        assert_eq!(value(&second, "longshore.task-network").as_deref(), Some("172.20.64.0/18"));
        assert_eq!(value(&second, "longshore.task-gateway").as_deref(), Some("172.20.0.1/16"));
        assert_eq!(value(&first, "ecs.vpc-id"), value(&second, "ecs.vpc-id"));
        assert_ne!(value(&first, "ecs.subnet-id"), value(&second, "ecs.subnet-id"));
        assert_eq!(value(&first, "ecs.vpc-id").map(|id| id.len()), Some(21));
    }
}
