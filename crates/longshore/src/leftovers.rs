//! Container instances that nobody runs any more, those of an earlier `up` with more `--instances`, say. They stay
//! registered, because an agent that is away may come back; so a person who knows better is told how to be rid of them.

use anyhow::Context;
use longshore_base::{AccountId, ClusterName, FARGATE_POOL, Region, Scope};
use longshore_domain::InstanceStatus;
use longshore_state::Db;
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState};

use crate::args::UpOptions;
use crate::out::tell;

/// How many are named; a person who has more sees the pattern.
const NAMED_MAX: usize = 3;

/// Says which instances of `up`'s cluster and pool are not connected, once its own are.
pub async fn tell_of(db: &Db, options: &UpOptions) -> anyhow::Result<()> {
    let region = Region::parse(&options.control_plane.region).context("the region cannot be read")?;
    let cluster = ClusterName::parse(&options.cluster).context("the cluster's name cannot be read")?;
    let at = ClusterKey::new(Scope::new(AccountId::OPERATOR, region.clone()), cluster);
    let (instances, pool) =
        db.read(|state| (state.ecs().cluster(&at).map(away), state.ecs().pool(&region).map(away))).await?;
    for (cluster, away) in [(options.cluster.as_str(), instances), (FARGATE_POOL, pool)] {
        if let Some(note) = note(cluster, &away.unwrap_or_default()) {
            tell!("{note}");
        }
    }
    Ok(())
}

fn away(tables: &ClusterTables) -> Vec<String> {
    let away = tables
        .instances()
        .iter()
        .filter(|(_, entry)| !entry.connection.is_here() && entry.record.status != InstanceStatus::Inactive);
    away.map(|(id, _)| id.to_string()).collect()
}

/// What to say of instances that are away; nothing if there are none.
pub fn note(cluster: &str, away: &[String]) -> Option<String> {
    if away.is_empty() {
        return None;
    }
    let of_cluster = if cluster == "default" { String::new() } else { format!(" --cluster {cluster}") };
    let mut text = format!(
        "note: {} away, with no agent connected. If it belongs to an earlier `longshore up` with more instances, say, and \
         will not come back, remove it:",
        match away.len() {
            1 => format!("1 container instance of cluster {cluster} is"),
            count => format!("{count} container instances of cluster {cluster} are"),
        }
    );
    for instance in away.iter().take(NAMED_MAX) {
        text.push_str(&format!(
            "\n  aws ecs deregister-container-instance --force{of_cluster} --container-instance {instance}"
        ));
    }
    if away.len() > NAMED_MAX {
        text.push_str(&format!("\n  and {} more", away.len() - NAMED_MAX));
    }
    text.push_str(
        "\n  what it leaves there, its agent removes when it starts again; `longshore explain container-instance ID` says more",
    );
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_away_can_be_removed_with_what_is_said() {
        let ids = |count: usize| (0..count).map(|n| format!("id-{n}")).collect::<Vec<_>>();
        assert_eq!(note("default", &[]), None);
        let said = note("default", &ids(1)).expect("one is away");
        assert!(said.contains("1 container instance of cluster default is away"), "{said}");
        assert!(
            said.contains("\n  aws ecs deregister-container-instance --force --container-instance id-0\n"),
            "{said}"
        );
        let said = note(FARGATE_POOL, &ids(5)).expect("five are away");
        assert!(
            said.contains("--force --cluster .fargate --container-instance id-2\n  and 2 more\n"),
            "{said}"
        );
    }
}
