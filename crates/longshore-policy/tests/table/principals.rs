//! Whom `Principal` and `NotPrincipal` name.

use longshore_policy::{
    Asker, Context, Decision, Kind, Layers, Policy, Question, ResourcePolicy, Who, decide,
};

use crate::{ACCOUNT, OTHER, PROVIDER, SERVICE, check, document, outside, root, session, user, yes};

fn who(name: &str) -> Who {
    match name {
        "ann" | "bob" => user(ACCOUNT, name),
        "app" => session(ACCOUNT, "AROAAPP"),
        "root" => root(ACCOUNT),
        "cara" => user(OTHER, name),
        "other-app" => session(OTHER, "AROAOTHER"),
        "other-root" => root(OTHER),
        "ecs-tasks" => outside(Asker::Service(SERVICE.to_owned())),
        "github" => outside(Asker::Federated(PROVIDER.to_owned())),
        "nobody" => outside(Asker::Anonymous),
        other => panic!("nobody is called {other}"),
    }
}

#[test]
fn principals_name_whom_they_name() {
    let context = Context::new();
    check(include_str!("principals.txt"), 4, 2, |row| {
        let who = who(row.cells[1]);
        let question = Question {
            who: &who,
            action: "s3:A",
            resource: "arn:aws:s3:::b",
            owner: ACCOUNT,
            context: &context,
        };
        let is_allowed_by = |effect: &str| {
            let statement = format!(r#"{{"Effect": "{effect}", "Action": "*", {}}}"#, row.cells[0]);
            let policy = Policy::read(&document("2012-10-17", &statement), Kind::Resource).ok()?;
            let resource = Some(ResourcePolicy { policy: &policy, is_indispensable: false });
            let layers = Layers { resource, ..Layers::default() };
            let decision = decide(&question, &layers);
            Some((decision.is_allowed(), matches!(decision, Decision::ExplicitDeny(..))))
        };
        let (_, is_denied) = is_allowed_by("Deny").expect("it is read");
        let is_enough = is_allowed_by("Allow").map_or("-".to_owned(), |(is_allowed, _)| yes(is_allowed));
        format!("{} | {is_enough}", yes(is_denied))
    });
}
