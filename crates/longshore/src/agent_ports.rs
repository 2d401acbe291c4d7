//! The two ports at which people and containers look for an agent on a machine. Only one agent can have them.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};

/// Introspection and task metadata (agent-protocol G2).
const PORTS: [(&str, u16, &str); 2] = [
    ("LONGSHORE_INTROSPECTION_PORT", 51678, "introspection"),
    ("LONGSHORE_METADATA_PORT", 51679, "credentials and metadata for 169.254.170.2"),
];

/// Which of them are free.
pub struct AgentPorts {
    free: [bool; 2],
}

impl AgentPorts {
    /// Looks at this machine.
    pub fn look() -> Self {
        Self { free: PORTS.map(|(_, port, _)| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) }
    }

    /// What is told to the agent that shall have them, or to one that shall not.
    pub fn variables(&self, shall_have: bool) -> impl Iterator<Item = (&'static str, String)> {
        let port = move |(free, (key, port, _)): (bool, (&'static str, u16, &'static str))| {
            (key, if free && shall_have { port.to_string() } else { "0".to_owned() })
        };
        self.free.into_iter().zip(PORTS).map(port)
    }

    /// What a person should know of those that somebody else has.
    pub fn note(&self) -> Option<Taken> {
        let taken = self.free.iter().zip(PORTS).filter(|(free, _)| !**free);
        let taken: Vec<(u16, &'static str)> = taken.map(|(_, (_, port, what))| (port, what)).collect();
        (!taken.is_empty()).then_some(Taken(taken))
    }
}

/// Ports that somebody else has, as a note.
pub struct Taken(Vec<(u16, &'static str)>);

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("note: in use already, by another `longshore up` or an ECS agent most likely:")?;
        for (port, what) in &self.0 {
            write!(f, " 127.0.0.1:{port} ({what})")?;
        }
        let first = self.0.first().map_or(0, |(port, _)| *port);
        write!(
            f,
            ". The agents here do without; containers find their metadata at the gateway of the network. To have it here, stop \
             the other one (`ss -ltnp 'sport = :{first}'` shows it) and start this again"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_left_alone_and_said() {
        let variables = |free: [bool; 2], shall_have| {
            AgentPorts { free }.variables(shall_have).map(|(_, port)| port).collect::<Vec<_>>()
        };
        assert_eq!(variables([true, true], true), ["51678", "51679"]);
        assert_eq!(variables([true, true], false), ["0", "0"]);
        assert_eq!(variables([false, true], true), ["0", "51679"]);
        let said = |free: [bool; 2]| AgentPorts { free }.note().map(|note| note.to_string());
        assert_eq!(said([true, true]), None);
        let both = said([false, false]).expect("both are taken");
        assert!(both.contains("127.0.0.1:51678 (intro") && both.contains("127.0.0.1:51679 (cred"), "{both}");
        let one = said([true, false]).expect("one is taken");
        assert!(!one.contains("51678") && one.contains("sport = :51679"), "{one}");
    }
}
