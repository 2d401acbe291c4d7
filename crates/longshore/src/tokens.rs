//! `longshore token`: join tokens made, listed and revoked, at a control plane or in the directory of one that does not run
//! (decision 49).

use std::fs;
use std::path::Path;

use anyhow::Context;
use longshore_api_join::Server;
use longshore_base::{Clock, Region, Timestamp};
use longshore_link::join::{
    CREATE_TOKEN, CreateToken, CreatedToken, LIST_TOKENS, REVOKE_TOKEN, RevokeToken, TARGET_PREFIX,
    TokenInfo, Tokens,
};
use longshore_wire::iso8601;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::admin::{Control, Purpose};
use crate::args::{TokenCommand, TokenPlace};
use crate::clock::SystemClock;
use crate::keys;
use crate::out::{print, shown, tell};

/// In a data directory: where the server is, and by which certificate it is known. Nothing of it is secret.
const SERVER_FILE: &str = "join.json";

/// Notes where machines find the server, for tokens that are made while it does not run.
pub fn write_server(dir: &Path, server: &Server) -> anyhow::Result<()> {
    let text = json!({"url": server.url, "ca": server.ca}).to_string();
    keys::write_private(&dir.join(SERVER_FILE), text.as_bytes())
}

/// What was noted there.
///
/// # Errors
/// No server has ever run with the directory.
pub fn read_server(dir: &Path) -> anyhow::Result<Server> {
    let path = dir.join(SERVER_FILE);
    let hint = || {
        format!(
            "cannot read {}, which the server writes when it starts: start it once, or check --data-dir",
            shown(&path)
        )
    };
    let text = fs::read(&path).with_context(hint)?;
    let read: Value = serde_json::from_slice(&text).with_context(hint)?;
    let text = |name: &str| read[name].as_str().map(str::to_owned);
    Ok(Server { url: text("url").with_context(hint)?, ca: text("ca") })
}

pub async fn run(command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(options) => {
            let cluster =
                if options.pool { longshore_base::FARGATE_POOL.to_owned() } else { options.cluster };
            let request = CreateToken {
                cluster: Some(cluster),
                ttl_seconds: Some(options.ttl.as_secs()),
                uses: Some(options.uses),
                attributes: options.attributes.into_iter().collect(),
            };
            let made: CreatedToken = call(&options.place, CREATE_TOKEN, &request).await?;
            tell!("{}", told(&made.about));
            print(&format!("{}\n", made.token.0))?;
        }
        TokenCommand::List(options) => {
            let tokens = call(&options.place, LIST_TOKENS, &json!({})).await?;
            print(&table(&tokens, SystemClock.now()))?;
        }
        TokenCommand::Revoke(options) => {
            let id = options.id;
            let _done: Value = call(&options.place, REVOKE_TOKEN, &RevokeToken { id: id.clone() }).await?;
            tell!("revoked {id}: it lets nobody in any more. Who has joined with it stays");
        }
    }
    Ok(())
}

async fn call<T: DeserializeOwned>(
    place: &TokenPlace,
    operation: &str,
    input: &impl Serialize,
) -> anyhow::Result<T> {
    let region = Region::parse(&place.region).context("check --region")?;
    let control = Control::open_in(&place.control, region, Purpose::Look).await?;
    control.post(&format!("{TARGET_PREFIX}.{operation}"), serde_json::to_vec(input)?).await
}

fn told(token: &TokenInfo) -> String {
    let machines =
        if token.uses == 1 { "one machine".to_owned() } else { format!("{} machines", token.uses) };
    let until = iso8601(Timestamp::from_millis(token.expires_at));
    format!(
        "token {} lets {machines} join {} until {until}. It is shown this once: longshore agent --join TOKEN",
        token.id, token.cluster
    )
}

/// One line a token, the newest last.
fn table(tokens: &Tokens, now: Timestamp) -> String {
    if tokens.tokens.is_empty() {
        return "no join tokens\n".to_owned();
    }
    let mut all: Vec<&TokenInfo> = tokens.tokens.iter().collect();
    all.sort_by_key(|token| (token.created_at, &token.id));
    let mut lines = vec![["id", "cluster", "used", "state", "until", "by"].map(str::to_owned)];
    for token in all {
        let expires = Timestamp::from_millis(token.expires_at);
        let state = if expires <= now {
            "expired"
        } else if token.used >= token.uses {
            "used up"
        } else {
            "valid"
        };
        lines.push([
            token.id.clone(),
            token.cluster.clone(),
            format!("{}/{}", token.used, token.uses),
            state.to_owned(),
            iso8601(expires),
            token.created_by.clone(),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4, 5].map(width);
    let cells = |line: &[String; 6]| {
        let padded = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(|line| cells(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_listed_with_what_is_left_of_them() {
        let token = |id: &str, created_at, expires_at, used| TokenInfo {
            id: id.into(),
            cluster: "c".into(),
            created_at,
            created_by: "arn:aws:iam::000000000000:root".into(),
            expires_at,
            uses: 2,
            used,
            attributes: Default::default(),
        };
        let tokens = vec![token("jt-2", 5, 100_000, 2), token("jt-1", 4, 100_000, 1), token("jt-3", 6, 9, 0)];
        let text = table(&Tokens { tokens }, Timestamp::from_millis(10));
        let states: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        let of = |line: usize| (states[line][0], states[line][2], states[line][3]);
        assert_eq!(of(0), ("jt-1", "1/2", "valid"), "{text}");
        assert_eq!(of(1), ("jt-2", "2/2", "used up"), "{text}");
        assert_eq!(of(2), ("jt-3", "0/2", "expired"), "{text}");
        assert_eq!(table(&Tokens::default(), Timestamp::from_millis(0)), "no join tokens\n");
    }
}
