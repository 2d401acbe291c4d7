//! What a person can do about a registration that failed for good.

use super::{AGENT_LABEL, AgentCore};
use crate::api::ApiError;

impl AgentCore {
    /// The error, and what to do next where it tells.
    pub(super) fn with_advice(&self, error: &ApiError) -> String {
        match self.advice(error) {
            Some(advice) => format!("registration failed: {error} {advice}"),
            None => format!("registration failed: {error}"),
        }
    }

    fn advice(&self, error: &ApiError) -> Option<String> {
        if error.is_deregistered() {
            let directory = self.config.data_dir.as_ref()?.display();
            return Some(format!(
                "Somebody has deregistered this container instance. To join as a new one, move {directory} away; \
                 `docker ps --all --filter label={AGENT_LABEL}={}` shows what is left of its tasks.",
                self.agent_id
            ));
        }
        if error.is_without_cluster() {
            let cluster = self.config.cluster_name();
            return Some(format!(
                "Make it (aws ecs create-cluster --cluster-name {cluster}), or leave ECS_CLUSTER unset to join `default`."
            ));
        }
        error.is_about_keys().then(|| {
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be a key of this control plane; \
             the `env` file in its data directory has one."
                .to_owned()
        })
    }
}
