//! What statements speak of: actions, resources, variables, versions.

use longshore_policy::{Context, Kind, Layers, Policy, Question, ResourcePolicy, decide};

use crate::{ACCOUNT, check, document, user, yes};

/// The statements are those of a resource's policy, which may be of any version, and give everybody a right: so what is
/// allowed is what they speak of.
#[test]
fn statements_apply_to_what_they_speak_of() {
    let who = user(ACCOUNT, "ann");
    let context = Context::new()
        .with("aws:username", "ann")
        .with("aws:PrincipalAccount", ACCOUNT)
        .with("aws:PrincipalTag/star", "*")
        .with("aws:PrincipalTag/colon", "a:b");
    check(include_str!("statements.txt"), 4, 1, |row| {
        let statement = format!(r#"{{"Effect": "Allow", "Principal": "*", {}}}"#, row.cells[0]);
        let text = document(row.mode, &statement);
        let policy = Policy::read(&text, Kind::Resource).unwrap_or_else(|error| panic!("{error} {text}"));
        let (action, resource) = (row.cells[1], row.cells[2]);
        let question = Question { who: &who, action, resource, owner: ACCOUNT, context: &context };
        let resource = Some(ResourcePolicy { policy: &policy, is_indispensable: false });
        yes(decide(&question, &Layers { resource, ..Layers::default() }).is_allowed())
    });
}
