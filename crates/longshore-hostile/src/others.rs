//! Calls of the APIs beside ECS that are built: IAM and STS by forms, EC2 by its own, Secrets Manager, Parameter Store and
//! KMS in JSON. Whole ones and broken ones, and what is a stranger's idea of each: lists of a thousand filters, members with
//! absurd numbers, documents of policies at and beyond their limits.

use longshore_base::percent;
use serde_json::Value;

use crate::case::{BODY_BYTES_MAX, Case, Expect, Maker};
use crate::chance::Chance;
use crate::client::{Draft, SCOPE, now};
use crate::model::{Model, Names, Operation};
use crate::value::{Spoil, spoil, spoil_text, valid};

/// A service with its model.
pub struct Service {
    signed_for: &'static str,
    wire: Wire,
    model: Model,
}

enum Wire {
    /// What stands before the operation in `X-Amz-Target`.
    Json(&'static str),
    /// Forms of this version. Lists of EC2 have no word for their members.
    Form { version: &'static str, list: &'static str },
}

/// All of them.
pub fn all() -> anyhow::Result<Vec<Service>> {
    let own = |signed_for, wire, text: &str| -> anyhow::Result<Service> {
        let names = if signed_for == "ec2" { Names::Ec2 } else { Names::Own };
        Ok(Service { signed_for, wire, model: Model::read(text, names)? })
    };
    let form = |version, list| Wire::Form { version, list };
    Ok(vec![
        own("iam", form("2010-05-08", ".member"), include_str!("../../../models/iam.json"))?,
        own("sts", form("2011-06-15", ".member"), include_str!("../../../models/sts.json"))?,
        own("ec2", form("2016-11-15", ""), include_str!("../../../models/ec2.json"))?,
        own("kms", Wire::Json("TrentService"), include_str!("../../../models/kms.json"))?,
        own("ssm", Wire::Json("AmazonSSM"), include_str!("../../../models/ssm.json"))?,
        own(
            "secretsmanager",
            Wire::Json("secretsmanager"),
            include_str!("../../../models/secretsmanager.json"),
        )?,
    ])
}

impl Service {
    /// The body of a call, and the headers that say what it is.
    fn draft(&self, authority: &str, operation: &Operation, value: &Value) -> Draft {
        let mut draft = Draft::call(authority, "", Vec::new());
        match self.wire {
            Wire::Json(target) => {
                draft.set("x-amz-target", format!("{target}.{}", operation.name));
                draft.body = value.to_string().into_bytes();
            }
            Wire::Form { version, list } => {
                draft.remove("x-amz-target");
                draft.set("content-type", "application/x-www-form-urlencoded; charset=utf-8");
                let mut form = format!("Action={}&Version={version}", operation.name);
                write_form(&mut form, "", value, list);
                draft.body = form.into_bytes();
            }
        }
        draft
    }
}

/// A value as the members of a form, whatever it is: what is no structure has no name, and gets none.
fn write_form(form: &mut String, name: &str, value: &Value, list: &str) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    let mut put = |text: &str| {
        form.push('&');
        form.push_str(&percent::encode(name));
        form.push('=');
        form.push_str(&percent::encode(text));
    };
    match value {
        Value::Null => {}
        Value::Bool(is) => put(if *is { "true" } else { "false" }),
        Value::Number(number) => put(&number.to_string()),
        Value::String(text) => put(text),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                write_form(form, &format!("{name}{list}.{}", number + 1), item, list);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                write_form(form, &below(key), member, list);
            }
        }
    }
}

impl<'m> Maker<'m> {
    /// A call of a service that is built, whole or broken.
    pub(crate) fn other_api(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let service = chance.pick(self.others);
        let operation = chance.pick(&service.model.operations);
        let mut value = valid(&service.model, &self.world, &operation.input, chance);
        let how = chance.below(12);
        match how {
            0 => spoil(&mut value, Spoil::Type, chance),
            1 => spoil(&mut value, Spoil::Size, chance),
            2 => spoil(&mut value, Spoil::Depth, chance),
            3 => spoil(&mut value, Spoil::Arn, chance),
            _ => {}
        }
        let mut draft = service.draft(&self.caller.authority(), operation, &value);
        match (how, &service.wire) {
            (4 | 5, Wire::Json(_)) => {
                draft.body = spoil_text(&String::from_utf8_lossy(&draft.body), chance);
            }
            (4 | 5, Wire::Form { .. }) => {
                let attack = attack(operation, chance);
                draft.body.extend(attack.into_bytes());
            }
            (6, _) => {
                // A document of a policy, a value, a name: each as long as it may be, and longer.
                let length = *chance.pick(&[2048, 2049, 6144, 10_240, 20_480, 65_536, 131_072]);
                let text = document(length, chance);
                if let Value::Object(members) = &mut value {
                    members
                        .values_mut()
                        .filter(|member| member.is_string())
                        .for_each(|own| *own = text.clone().into());
                }
                draft = service.draft(&self.caller.authority(), operation, &value);
            }
            _ => {}
        }
        case.operation = operation;
        case.expect = if draft.body.len() > BODY_BYTES_MAX { Expect::Anything } else { Expect::OfOperation };
        draft.sign(self.caller.credentials(), (SCOPE.0, service.signed_for), now());
        case.bytes = draft.bytes();
    }

    /// What a page of another origin sends to such a service: a form needs no leave of the browser, nor does plain text.
    pub(crate) fn page_calls_other(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let service = chance.pick(self.others);
        let operation = chance.pick(&service.model.operations);
        let value = valid(&service.model, &self.world, &operation.input, chance);
        let mut draft = service.draft(&self.caller.authority(), operation, &value);
        let authority = self.caller.authority();
        if chance.percent(50) {
            draft.set("content-type", *chance.pick(&["text/plain", "application/x-www-form-urlencoded"]));
        }
        match chance.below(5) {
            0 => draft.set("origin", "http://other.example"),
            1 => draft.set("origin", "null"),
            2 => draft.set("origin", format!("http://{authority}0")),
            3 => draft.set("sec-fetch-site", "cross-site"),
            _ => draft.set("sec-fetch-site", "same-site"),
        }
        // No page has the operator's key; should one have it, the answer is the same.
        if chance.percent(50) {
            draft.sign(self.caller.credentials(), (SCOPE.0, service.signed_for), now());
        } else {
            draft.remove("x-amz-target");
        }
        (case.operation, case.expect) = (operation, Expect::Refusal);
        case.bytes = draft.bytes();
    }
}

/// Further members of a form, each a way to ask for more memory or time than a form should get.
fn attack(operation: &Operation, chance: &mut Chance) -> String {
    let count = *chance.pick(&[11, 201, 1001, 20_000]);
    let name = *chance.pick(&[
        "Filter",
        "Tags.member",
        "TagKeys.member",
        "Tag",
        "PolicyArns.member",
        "ActionNames.member",
    ]);
    match chance.below(10) {
        0 => (1..=count).map(|n| format!("&{name}.{n}.Name=a&{name}.{n}.Value.1=b")).collect(),
        1 => format!("&{name}.999999999.Name=a&{name}.999999999.Value.999999999=b"),
        2 => format!("&{name}.4294967296=a&{name}.18446744073709551616=b&{name}.-1=c&{name}.01=d&{name}.=e"),
        3 => format!("&{}=x", "Filter.1.".repeat(count)),
        4 => format!("&{name}.1.Name=a&{name}.1.Name=b&{name}.1=c"),
        5 => (1..=count).map(|n| format!("&{name}.{}=x", n * 1_000_003)).collect(),
        6 => format!("&Action={}&Version=1999-01-01", operation.name),
        7 => (1..=count).map(|n| format!("&Filter.1.Value.{n}=*")).collect(),
        8 => format!("&NextToken={0}&Marker={0}&MaxItems=99999999999&MaxResults=-5", "A".repeat(count)),
        _ => format!("&WebIdentityToken={}.{}.AA", "eyJhbGciOiJSUzI1NiJ9", "A".repeat(count)),
    }
}

/// A text that may be a policy, of about this length.
fn document(length: usize, chance: &mut Chance) -> String {
    let statement = r#"{"Effect":"Allow","Action":"ecs:*","Resource":"arn:aws:ecs:*:*:*/**?*"}"#;
    let whole = |inner: String| format!(r#"{{"Version":"2012-10-17","Statement":[{inner}]}}"#);
    match chance.below(6) {
        0 => whole(vec![statement; length / statement.len() + 1].join(",")),
        1 => whole(statement.replace("ecs:*", &format!("ecs:{}", "*?".repeat(length / 2)))),
        2 => "[".repeat(length),
        3 => whole(format!("{statement}{}", " ".repeat(length))),
        4 => whole(statement.replace(
            r#""Action""#,
            &format!(
                r#""Condition":{{"StringLike":{{"aws:username":["{}"]}}}},"Action""#,
                "*a".repeat(length / 2)
            ),
        )),
        _ => "x".repeat(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_forms() {
        let value = serde_json::json!({"A": "x y", "B": [{"C": 1}, {"C": true}], "D": null, "E": {"F": "&"}});
        let of = |list| {
            let mut form = String::new();
            write_form(&mut form, "", &value, list);
            form
        };
        assert_eq!(of(".member"), "&A=x%20y&B.member.1.C=1&B.member.2.C=true&E.F=%26");
        assert_eq!(of(""), "&A=x%20y&B.1.C=1&B.2.C=true&E.F=%26");
    }

    #[test]
    fn members_of_ec2_are_called_as_in_its_forms() {
        let services = all().expect("the files in the repository");
        let ec2 = services.iter().find(|service| service.signed_for == "ec2").expect("it is built");
        let describe = ec2.model.operation("DescribeVpcs");
        let crate::model::Shape::Structure { members, .. } = ec2.model.shape(&describe.input) else {
            panic!("an input is a structure");
        };
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        assert!(
            names.contains(&"Filter") && names.contains(&"DryRun") && names.contains(&"VpcId"),
            "{names:?}"
        );
    }
}
