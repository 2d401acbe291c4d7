//! What is known of a request when conditions of policies are evaluated (identity J6, "Context").

use longshore_api::{Session, SessionSource};
use longshore_base::Timestamp;
use longshore_policy::{Asker, Context, whole_seconds};
use longshore_service::{Access, Caller, Values};

use crate::asker::Holder;

/// The keys that every question of a call has.
pub struct Known(Context);

impl Known {
    pub fn of(holder: &Holder<'_>, caller: &Caller, now: Timestamp) -> Self {
        let mut context = Context::new().at(now);
        context.set("aws:PrincipalAccount", caller.scope.account.to_string());
        of_asker(&mut context, holder, caller);
        for (key, value) in holder.own.iter().flat_map(|own| &own.tags) {
            context.set(&format!("aws:PrincipalTag/{key}"), value.clone());
        }
        if let Some(session) = &caller.session {
            of_session(&mut context, session);
        }
        if let Some(ip) = caller.source_ip {
            context.set("aws:SourceIp", ip.to_canonical().to_string());
        }
        if let Some(agent) = &caller.user_agent {
            context.set("aws:UserAgent", &**agent);
        }
        context.set("aws:SecureTransport", caller.is_secure.to_string());
        context.set("aws:ViaAWSService", "false");
        context.set("aws:RequestedRegion", caller.scope.region.as_str());
        Self(context)
    }

    /// Asks about one access: with its keys, and without them afterwards.
    pub fn with<T>(&mut self, access: &Access, owner: &str, ask: impl FnOnce(&Context) -> T) -> T {
        let own = access.keys.iter().map(|(key, values)| {
            let values = match values {
                Values::One(value) => vec![value.clone()],
                Values::Many(values) => values.clone(),
            };
            (key.as_ref(), values)
        });
        let own = own.chain([("aws:ResourceAccount", vec![owner.to_owned()])]);
        // A name may come twice: the first of its replaced values is the one to put back.
        let mut replaced = Vec::with_capacity(access.keys.len() + 1);
        for (key, values) in own {
            replaced.push((key, self.0.replace(key, Some(values))));
        }
        let answer = ask(&self.0);
        for (key, values) in replaced.into_iter().rev() {
            self.0.replace(key, values);
        }
        answer
    }
}

/// Its tags take the place of the role's.
fn of_session(context: &mut Context, session: &Session) {
    context.set("aws:TokenIssueTime", whole_seconds(session.issued_at));
    // Nobody has a second factor here.
    context.set("aws:MultiFactorAuthPresent", "false");
    for (key, value) in &session.tags {
        context.set(&format!("aws:PrincipalTag/{key}"), &**value);
    }
    if let Some(identity) = &session.source_identity {
        context.set("aws:SourceIdentity", &**identity);
    }
    if let Some(provider) = &session.provider {
        context.set("aws:FederatedProvider", &**provider);
    }
}

fn of_asker(context: &mut Context, holder: &Holder<'_>, caller: &Caller) {
    match &holder.who.asker {
        Asker::User { arn, id } => {
            context.set("aws:PrincipalType", "User");
            context.set("aws:PrincipalArn", arn.as_str());
            context.set("aws:userid", id.as_str());
            let is_federated =
                caller.session.as_ref().is_some_and(|session| session.source == SessionSource::Federation);
            if is_federated {
                context.set("aws:PrincipalType", "FederatedUser");
            } else if let Some(own) = holder.own {
                context.set("aws:username", &*own.name);
            }
        }
        Asker::Session { role_arn, role_id, .. } => {
            let session = caller.name.rsplit('/').next().unwrap_or_default();
            context.set("aws:PrincipalType", "AssumedRole");
            context.set("aws:PrincipalArn", role_arn.as_str());
            context.set("aws:userid", format!("{role_id}:{session}"));
        }
        Asker::Anonymous => context.set("aws:PrincipalType", "Anonymous"),
        Asker::Root => {
            context.set("aws:PrincipalType", "Account");
            context.set("aws:PrincipalArn", caller.root_arn());
            context.set("aws:userid", caller.scope.account.to_string());
        }
        Asker::Service(_) | Asker::Federated(_) => {}
    }
}
