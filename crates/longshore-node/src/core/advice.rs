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
            return Some(self.after_deregistration());
        }
        if error.is_unknown_instance() {
            return Some(self.where_nobody_knows_it());
        }
        if error.is_without_cluster() {
            let cluster = self.config.cluster_name();
            return Some(format!(
                "Make it (aws ecs create-cluster --cluster-name {cluster}), or leave ECS_CLUSTER unset to join `default`."
            ));
        }
        if error.is_about_keys() && self.config.instance_arn.is_some() {
            return Some(
                "Its key does not count any more: the instance was deregistered more than an hour ago, or this is another \
                 control plane. Join again with a new token (longshore token create)."
                    .to_owned(),
            );
        }
        error.is_about_keys().then(|| {
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be a key of this control plane; \
             the `env` file in its data directory has one."
                .to_owned()
        })
    }

    fn after_deregistration(&self) -> String {
        let left = if self.engine.tasks().next().is_none() {
            "Nothing is left of its tasks.".to_owned()
        } else {
            format!("Not all of its tasks could be stopped and removed: `{}` does it.", self.removal())
        };
        format!("Somebody has deregistered this container instance. {left}{}", self.anew())
    }

    /// It may be the wrong control plane, so nothing is stopped for its word.
    fn where_nobody_knows_it(&self) -> String {
        let left = if self.engine.tasks().next().is_none() {
            String::new()
        } else {
            format!(" Its tasks are left as they are: `{}` removes them.", self.removal())
        };
        format!(
            "It was deregistered more than an hour ago, or ECS_BACKEND_HOST names another control plane than it joined.{left}{}",
            self.anew()
        )
    }

    /// What a person types to be rid of this agent's containers.
    fn removal(&self) -> String {
        let filter = format!("--filter label={AGENT_LABEL}={}", self.agent_id);
        format!("docker rm --force $(docker ps --all --quiet {filter})")
    }

    fn anew(&self) -> String {
        if self.config.instance_arn.is_some() {
            return " To join as a new one, give it a new token (longshore token create).".to_owned();
        }
        self.config.data_dir.as_ref().map_or_else(String::new, |directory| {
            format!(" To join as a new one, move {} away.", directory.display())
        })
    }
}
