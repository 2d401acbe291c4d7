//! How all policies together decide: a table, and every combination beside the rules said once more.

use longshore_policy::{
    Asker, By, Context, Decision, Kind, Layers, Policy, Question, ResourcePolicy, Who, decide,
};

use crate::{ACCOUNT, OTHER, PROVIDER, SERVICE, check, outside, root, session, user};

/// A case, in the words of the table.
#[derive(Clone, Copy, Debug)]
struct Case<'t> {
    who: &'t str,
    identity: &'t str,
    boundary: &'t str,
    session: &'t str,
    resource: &'t str,
}

impl<'t> Case<'t> {
    /// Who asks, without the words about what is indispensable and whose account it is.
    fn asker(&self) -> &'t str {
        let who = self.who.strip_prefix("must ").unwrap_or(self.who);
        who.strip_suffix(" of 2").unwrap_or(who)
    }

    fn is_indispensable(&self) -> bool {
        self.who.starts_with("must ")
    }

    fn is_elsewhere(&self) -> bool {
        self.who.ends_with(" of 2")
    }

    fn account(&self) -> &'static str {
        if self.is_elsewhere() { OTHER } else { ACCOUNT }
    }

    fn who(&self) -> Who {
        match self.asker() {
            "user" => user(self.account(), "ann"),
            "session" => session(self.account(), "AROAAPP"),
            "root" => root(self.account()),
            "service" => outside(Asker::Service(SERVICE.to_owned())),
            "provider" => outside(Asker::Federated(PROVIDER.to_owned())),
            "nobody" => outside(Asker::Anonymous),
            other => panic!("nobody is called {other}"),
        }
    }

    /// How the resource's policy names whom it names, if it is asked and there is one: for a Deny, and for an Allow.
    fn named(&self) -> (&'t str, &'t str) {
        match self.resource.strip_prefix("deny-") {
            Some(form) => (form, "-"),
            None => ("-", self.resource),
        }
    }

    /// The `Principal` of this form.
    fn principal(&self, form: &str) -> String {
        let account = self.account();
        let aws = |text: &str| format!(r#"{{"AWS": "{text}"}}"#);
        match (form, self.asker()) {
            ("itself", "user") => aws(&format!("arn:aws:iam::{account}:user/ann")),
            ("itself", "session") => aws(&format!("arn:aws:sts::{account}:assumed-role/app/task")),
            ("itself", "service") => format!(r#"{{"Service": "{SERVICE}"}}"#),
            ("itself", "provider") => format!(r#"{{"Federated": "{PROVIDER}"}}"#),
            // Root is its account, and nobody has no name.
            ("itself", _) => aws("arn:aws:iam::333333333333:user/nobody"),
            ("id", "user") => aws("AIDAANN"),
            ("id", _) => aws("AROAAPP"),
            ("role", _) => aws(&format!("arn:aws:iam::{account}:role/app")),
            ("account", _) => aws(account),
            ("star", _) => r#""*""#.to_owned(),
            ("other", _) => r#"{"AWS": "AIDABOB", "Service": "ecs.amazonaws.com"}"#.to_owned(),
            (form, _) => panic!("no form of a principal: {form}"),
        }
    }

    fn decided(&self, policies: &Policies) -> &'static str {
        let who = self.who();
        let own = |word: &str| -> Option<Vec<&Policy>> {
            Some(match word {
                "-" => return None,
                "empty" => vec![],
                "other" => vec![&policies.other],
                // What is allowed elsewhere does not matter.
                "allow" => vec![&policies.other, &policies.allow],
                "deny" => vec![&policies.allow, &policies.deny],
                word => panic!("no policy: {word}"),
            })
        };
        let resource = (self.resource != "-").then(|| {
            let (denied, allowed) = self.named();
            let (effect, form) = if allowed == "-" { ("Deny", denied) } else { ("Allow", allowed) };
            let principal = self.principal(form);
            read(
                Kind::Resource,
                &format!(r#""Effect": "{effect}", "Principal": {principal}, "Action": "s3:*""#),
            )
        });
        // An indispensable policy is there, though it may say nothing of whom asks.
        let silent =
            read(Kind::Resource, r#""Effect": "Allow", "Principal": {"AWS": "AIDANONE"}, "Action": "s3:*""#);
        let is_indispensable = self.is_indispensable();
        let resource = match &resource {
            Some(policy) => Some(ResourcePolicy { policy, is_indispensable }),
            None => is_indispensable.then_some(ResourcePolicy { policy: &silent, is_indispensable }),
        };
        let identity = own(self.identity).unwrap_or_default();
        // A boundary is one policy: the one that the word is about, which is the last.
        let boundary = own(self.boundary).and_then(|policies| policies.last().copied());
        let session = own(self.session);
        let layers = Layers { identity: &identity, boundary, session: session.as_deref(), resource };
        let context = Context::new();
        let question = Question {
            who: &who,
            action: "s3:GetObject",
            resource: "arn:aws:s3:::b/x",
            owner: ACCOUNT,
            context: &context,
        };
        match decide(&question, &layers) {
            Decision::Allowed(_) => "ok",
            Decision::ExplicitDeny(By::Identity, _) => "denied: identity",
            Decision::ExplicitDeny(By::Boundary, _) => "denied: boundary",
            Decision::ExplicitDeny(By::Session, _) => "denied: session",
            Decision::ExplicitDeny(By::Resource, _) => "denied: resource",
            Decision::ImplicitDeny(By::Identity) => "no identity",
            Decision::ImplicitDeny(By::Boundary) => "no boundary",
            Decision::ImplicitDeny(By::Session) => "no session",
            Decision::ImplicitDeny(By::Resource) => "no resource",
        }
    }

    /// The rules of identity J6, one after the other.
    fn expected(&self) -> &'static str {
        let (denied, allowed) = self.named();
        // 1. Any Deny.
        for (word, text) in [
            (self.identity, "denied: identity"),
            (self.boundary, "denied: boundary"),
            (self.session, "denied: session"),
            (if self.is_named(denied) { "deny" } else { "-" }, "denied: resource"),
        ] {
            if word == "deny" {
                return text;
            }
        }
        // 2. Whether the resource's policy is needed, and whether it says something.
        let has_policies = matches!(self.asker(), "user" | "session");
        let is_outside = matches!(self.asker(), "service" | "provider" | "nobody");
        let is_needed = self.is_elsewhere() || self.is_indispensable() || is_outside;
        let is_granted = self.is_named(allowed);
        if is_needed && !is_granted {
            return "no resource";
        }
        if !has_policies {
            return "ok";
        }
        // 3. Which of the others it replaces. Across accounts it replaces nothing.
        let form = if is_granted && !self.is_elsewhere() { allowed } else { "-" };
        let names_itself = form == "itself" || form == "id" && self.asker() == "user";
        let names_the_role = matches!(form, "role" | "star") || form == "id" && self.asker() == "session";
        let needed = [
            (self.identity != "allow" && !names_itself && !names_the_role, "no identity"),
            (self.boundary == "other" && !names_itself, "no boundary"),
            (matches!(self.session, "other" | "empty") && !names_itself, "no session"),
        ];
        needed.into_iter().find(|(is_missing, _)| *is_missing).map_or("ok", |(_, text)| text)
    }

    /// Whether a principal of this form names who asks.
    fn is_named(&self, form: &str) -> bool {
        match form {
            "itself" => matches!(self.asker(), "user" | "session" | "service" | "provider"),
            "id" => matches!(self.asker(), "user" | "session"),
            "role" => self.asker() == "session",
            "account" => matches!(self.asker(), "user" | "session" | "root"),
            "star" => true,
            "-" | "other" => false,
            form => panic!("no form of a principal: {form}"),
        }
    }
}

/// Policies of users, roles and sessions.
struct Policies {
    allow: Policy,
    other: Policy,
    deny: Policy,
}

fn read(kind: Kind, statement: &str) -> Policy {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": {{{statement}}}}}"#);
    Policy::read(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn policies() -> Policies {
    let own = |effect: &str, action: &str| {
        read(Kind::Identity, &format!(r#""Effect": "{effect}", "Action": "{action}", "Resource": "*""#))
    };
    Policies { allow: own("Allow", "s3:Get*"), other: own("Allow", "ecs:*"), deny: own("Deny", "s3:*") }
}

#[test]
fn policies_combine_as_the_table_says() {
    let policies = policies();
    check(include_str!("combination.txt"), 6, 1, |row| {
        let [who, identity, boundary, session, resource, _] = row.cells[..] else {
            unreachable!("the number of columns was checked")
        };
        let case = Case { who, identity, boundary, session, resource };
        let decided = case.decided(&policies);
        assert_eq!(case.expected(), decided, "the rules that the test has: {case:?}");
        decided.to_owned()
    });
}

/// Every identity, boundary, session and resource policy, for everybody, in the same account and in another one, where
/// the resource's policy is indispensable and where it is not (acceptance 21).
#[test]
fn every_combination_decides_by_the_rules() {
    let policies = policies();
    let forms = ["itself", "id", "role", "account", "star", "other"];
    let denies = forms.map(|form| format!("deny-{form}"));
    let of_resources: Vec<&str> =
        ["-"].into_iter().chain(forms).chain(denies.iter().map(String::as_str)).collect();
    let askers = [
        "user",
        "session",
        "root",
        "user of 2",
        "session of 2",
        "root of 2",
        "service",
        "provider",
        "nobody",
    ];
    let musts = askers.map(|asker| format!("must {asker}"));
    let mut asked = 0;
    for who in askers.into_iter().chain(musts.iter().map(String::as_str)) {
        for identity in ["-", "other", "allow", "deny"] {
            for boundary in ["-", "other", "allow", "deny"] {
                for session in ["-", "empty", "other", "allow", "deny"] {
                    for &resource in &of_resources {
                        let case = Case { who, identity, boundary, session, resource };
                        assert_eq!(case.decided(&policies), case.expected(), "{case:?}");
                        asked += 1;
                    }
                }
            }
        }
    }
    assert_eq!(asked, 18 * 4 * 4 * 5 * 13);
}
