//! Joins scripted instances to a cluster and lets them carry out whatever they are told, until this program is ended.
//!
//! ```text
//! source DIR/env
//! cargo run -p longshore-crowd --example attend CLUSTER [INSTANCES]
//! ```
//! `tests/proofs` launches thousands of tasks on them that cost no container. Tasks end by themselves after some
//! seconds, so that no instance fills up.

use std::env::var;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Seed;
use longshore_client::{Client, HttpClient, SystemClock};
use longshore_crowd::{Options, Script, simulate};
use longshore_sigv4::Credentials;

/// Long enough to be stopped, killed and asked for meanwhile.
const RUN_FOR: Duration = Duration::from_secs(8);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let cluster = arguments.next().ok_or("usage: attend CLUSTER [INSTANCES]")?;
    let instances = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let credentials = Credentials::new(var("AWS_ACCESS_KEY_ID")?, var("AWS_SECRET_ACCESS_KEY")?);
    let (endpoint, region) = (var("AWS_ENDPOINT_URL")?, var("AWS_REGION")?);
    let client = Client::new(HttpClient::default(), &endpoint, credentials, &region, Arc::new(SystemClock))?;
    let options = Options {
        cluster,
        script: Script { run_for: Some(RUN_FOR), ..Script::default() },
        ..Options::new(client, instances, Seed::new(1))
    };
    let ended = async {
        // Without a handler there is nobody to stop for; the signal then ends the program by itself.
        let _ = tokio::signal::ctrl_c().await;
    };
    simulate(options, None, |_| {}, ended).await?;
    Ok(())
}
