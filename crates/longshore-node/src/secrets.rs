//! Secrets of containers: what is asked for with the execution role, and what is made of the answers (agent-protocol G13,
//! identity J12). Pure: [`plan`] gives the questions, [`Plan::answer`] takes the answers, the shell asks.
//!
//! Values are asked for when a container is created and kept nowhere.

use std::collections::{BTreeMap, BTreeSet};

use longshore_base::SecretSelector;
use longshore_engine::input::{ResolvedSecret, ResolvedSecrets};
use longshore_engine::spec::{SecretReference, SecretText, SecretVersion};
use serde_json::{Value, json};

use crate::api::ApiError;

/// The most names that one question to Parameter Store may have.
const NAMES_MAX: usize = 10;

/// One call to another API than ECS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name that it is signed for.
    pub service: &'static str,
    /// `X-Amz-Target`.
    pub target: &'static str,
    pub region: String,
    pub body: String,
}

/// The questions about the secrets of one container.
#[derive(Debug)]
pub struct Plan {
    secrets: Vec<SecretReference>,
    pub questions: Vec<Question>,
    /// Of each question, the values of `valueFrom` that it is about.
    about: Vec<Vec<String>>,
    /// Whether the reasons are told in the words of Fargate.
    is_fargate: bool,
}

impl Plan {
    pub fn new(secrets: Vec<SecretReference>, is_fargate: bool) -> Self {
        let (mut questions, mut about) = (Vec::new(), Vec::new());
        let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for secret in secrets.iter().filter(|secret| secret.provider == "ssm") {
            let of_region = names.entry(&secret.region).or_default();
            if !of_region.contains(&secret.value_from) {
                of_region.push(secret.value_from.clone());
            }
        }
        for (region, names) in names {
            for names in names.chunks(NAMES_MAX) {
                questions.push(Question {
                    service: "ssm",
                    target: "AmazonSSM.GetParameters",
                    region: region.to_owned(),
                    body: json!({"Names": names, "WithDecryption": true}).to_string(),
                });
                about.push(names.to_vec());
            }
        }
        // Members of one secret are taken from one answer, so that they belong together.
        let mut whole: BTreeMap<SecretSelector<'_>, (&str, Vec<String>)> = BTreeMap::new();
        for secret in secrets.iter().filter(|secret| secret.provider != "ssm") {
            let asked = SecretSelector { json_key: "", ..SecretSelector::read(&secret.value_from) };
            let (_, values) = whole.entry(asked).or_insert((&secret.region, Vec::new()));
            if !values.contains(&secret.value_from) {
                values.push(secret.value_from.clone());
            }
        }
        for (SecretSelector { arn, json_key: _, stage, version }, (region, values)) in whole {
            let more = [("VersionStage", stage), ("VersionId", version)];
            questions.push(secret_value(arn, region, &more));
            about.push(values);
        }
        Self { secrets, questions, about, is_fargate }
    }

    /// What the container gets, of the answers to the questions in their order; or why it gets nothing, as the task's reason.
    pub fn answer(self, answers: Vec<Result<Vec<u8>, ApiError>>) -> Result<ResolvedSecrets, String> {
        let mut values = Values::default();
        let mut failures: Vec<String> = Vec::new();
        for ((question, about), answer) in self.questions.iter().zip(&self.about).zip(answers) {
            let taken = match question.service {
                "ssm" => parameters(question, answer, &mut values),
                _ => secret(about, answer, &mut values),
            };
            if let Err(failure) = taken {
                failures.push(if self.is_fargate {
                    in_words_of_fargate(question, &failure)
                } else {
                    failure.text
                });
            }
        }
        if !failures.is_empty() {
            return Err(failures.join("; "));
        }
        let mut wanted = BTreeSet::new();
        let resolved = self.secrets.into_iter().map(|secret| {
            let value = values.texts.get(&secret.value_from).cloned();
            let value = value.ok_or_else(|| format!("no value came for the secret {}", secret.name))?;
            wanted.insert(secret.value_from);
            Ok(ResolvedSecret { name: secret.name, target: secret.target, value })
        });
        let secrets = resolved.collect::<Result<_, String>>()?;
        let versions = values.versions.into_iter().filter(|(value_from, _)| wanted.contains(value_from));
        let versions = versions.map(|(value_from, version)| SecretVersion { value_from, version }).collect();
        Ok(ResolvedSecrets { secrets, versions, from_files: Vec::new() })
    }
}

/// What was answered, by `valueFrom`.
#[derive(Default)]
struct Values {
    texts: BTreeMap<String, SecretText>,
    versions: BTreeMap<String, String>,
}

impl Values {
    fn put(&mut self, value_from: String, value: &str, version: Option<&str>) {
        if let Some(version) = version {
            self.versions.insert(value_from.clone(), version.to_owned());
        }
        self.texts.insert(value_from, SecretText::new(value));
    }
}

fn secret_value(arn: &str, region: &str, more: &[(&str, &str)]) -> Question {
    let mut body = json!({"SecretId": arn});
    for (member, value) in more {
        if !value.is_empty() {
            body[*member] = json!(value);
        }
    }
    Question {
        service: "secretsmanager",
        target: "secretsmanager.GetSecretValue",
        region: region.to_owned(),
        body: body.to_string(),
    }
}

/// The question about the login at a private registry, a secret with the members `username` and `password`
/// (`repositoryCredentials`).
#[derive(Debug)]
pub struct LoginPlan {
    pub question: Question,
    parameter: String,
    is_fargate: bool,
}

impl LoginPlan {
    pub fn new(parameter: &str, region: &str, is_fargate: bool) -> Self {
        let question = secret_value(parameter, region, &[]);
        Self { question, parameter: parameter.to_owned(), is_fargate }
    }

    /// User name and password, or why there are none, as the task's reason: it quotes nothing of the secret. What is said of
    /// a secret that is no login is what the official agent says.
    pub fn answer(&self, answer: Result<Vec<u8>, ApiError>) -> Result<(String, SecretText), String> {
        self.read(answer).map_err(|failure| match self.is_fargate {
            true => in_words_of_fargate(&self.question, &failure),
            false => failure.text,
        })
    }

    fn read(&self, answer: Result<Vec<u8>, ApiError>) -> Result<(String, SecretText), Failure> {
        let body = answer.map_err(|error| refused(&self.parameter, &error))?;
        let fail = |error: &str| Failure {
            text: format!("{error} (secret {})", self.parameter),
            error: error.to_owned(),
            arn: self.parameter.clone(),
        };
        let unreadable =
            |_| fail("asm fetching authorization data: unable to unmarshal secret value, invalid schema");
        let answer: Value = serde_json::from_slice(&body).map_err(unreadable)?;
        let text = answer["SecretString"].as_str();
        let text = text.ok_or_else(|| fail("asm fetching authorization data: empty secrets value"))?;
        let login: Value = serde_json::from_str(text).map_err(unreadable)?;
        let part = |name: &str| match login[name].as_str() {
            Some(part) if !part.is_empty() => Ok(part),
            Some(_) | None => {
                Err(fail(&format!("asm fetching {name}: AuthorizationData is malformed, empty field")))
            }
        };
        Ok((part("username")?.to_owned(), SecretText::new(part("password")?)))
    }
}

/// Why a question was of no use.
struct Failure {
    /// In the words of the agent on EC2.
    text: String,
    /// The error alone.
    error: String,
    /// What was asked for.
    arn: String,
}

/// `CODE: message`.
fn told(error: &ApiError) -> String {
    match error {
        ApiError::Service { code, message, .. } if !code.is_empty() => format!("{code}: {message}"),
        error => error.to_string(),
    }
}

fn in_words_of_fargate(question: &Question, failure: &Failure) -> String {
    const PREFIX: &str = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource \
                          retrieval failed: ";
    let Failure { error, arn, .. } = failure;
    match question.service {
        "ssm" => format!(
            "{PREFIX}unable to retrieve secrets from ssm: service call has been retried 1 time(s): {error}"
        ),
        _ => format!(
            "{PREFIX}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret \
             {arn} from secrets manager: {error}"
        ),
    }
}

fn parameters(
    question: &Question,
    answer: Result<Vec<u8>, ApiError>,
    values: &mut Values,
) -> Result<(), Failure> {
    let fail = |error: String| Failure {
        text: format!("Fetching secret data from SSM Parameter Store in {}: {error}", question.region),
        error,
        arn: String::new(),
    };
    let body = answer.map_err(|error| fail(told(&error)))?;
    let answer: Value =
        serde_json::from_slice(&body).map_err(|_| fail("the answer cannot be read".to_owned()))?;
    let listed = |member: &str| answer[member].as_array().cloned().unwrap_or_default();
    let invalid: Vec<String> =
        listed("InvalidParameters").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    if !invalid.is_empty() {
        return Err(fail(format!("invalid parameters: {}", invalid.join(","))));
    }
    for parameter in listed("Parameters") {
        let Some(value) = parameter["Value"].as_str() else { continue };
        // Asked for by its name, with a selector behind it, or by its ARN.
        let selector = parameter["Selector"].as_str().unwrap_or_default();
        let version = parameter["Version"].as_u64().map(|number| number.to_string());
        for member in ["Name", "ARN"] {
            if let Some(name) = parameter[member].as_str() {
                values.put(format!("{name}{selector}"), value, version.as_deref());
                if !values.texts.contains_key(name) {
                    values.put(name.to_owned(), value, version.as_deref());
                }
            }
        }
    }
    Ok(())
}

fn secret(about: &[String], answer: Result<Vec<u8>, ApiError>, values: &mut Values) -> Result<(), Failure> {
    let arn = about.first().map_or("", |value_from| SecretSelector::read(value_from).arn).to_owned();
    let fail = |text: String| Failure { error: text.clone(), text, arn: arn.clone() };
    let body = answer.map_err(|error| refused(&arn, &error))?;
    let answer: Value =
        serde_json::from_slice(&body).map_err(|_| fail("the answer cannot be read".to_owned()))?;
    // A binary one is given as it comes, in base64.
    let whole = answer["SecretString"].as_str().or_else(|| answer["SecretBinary"].as_str());
    let whole = whole.ok_or_else(|| fail(format!("the secret {arn} has no value")))?;
    let version = answer["VersionId"].as_str();
    for value_from in about {
        let key = SecretSelector::read(value_from).json_key;
        let value = if key.is_empty() { whole.to_owned() } else { member(whole, key).map_err(fail)? };
        values.put(value_from.clone(), &value, version);
    }
    Ok(())
}

/// What was answered instead of the secret.
fn refused(arn: &str, error: &ApiError) -> Failure {
    let error_text = told(error);
    let text = match error {
        ApiError::Service { code, .. } if code == "ResourceNotFoundException" => format!(
            "{code}: The task can't retrieve the secret with ARN '{arn}' from AWS Secrets Manager. Check whether the secret \
             exists in the specified Region: {error_text}"
        ),
        ApiError::Service { .. } | ApiError::Transport(_) => error_text.clone(),
    };
    Failure { text, error: error_text, arn: arn.to_owned() }
}

/// A member of a secret that is a JSON object: text as it is, everything else as JSON.
fn member(whole: &str, key: &str) -> Result<String, String> {
    // The error would quote the secret.
    let object: Value = serde_json::from_str(whole).map_err(|_| {
        let first = whole.chars().next().unwrap_or(' ');
        let shown = if first.is_ascii_punctuation() { first } else { '?' };
        format!("invalid character '{shown}' looking for beginning of value: the secret is no JSON object")
    })?;
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(format!("retrieved secret from Secrets Manager did not contain json key {key}")),
    }
}

#[cfg(test)]
mod tests {
    use longshore_engine::spec::SecretTarget;

    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:r:1:secret:db-AbCdEf";

    fn wanted(pairs: &[(&str, &str)]) -> Vec<SecretReference> {
        let reference = |(name, from): &(&str, &str)| SecretReference {
            name: (*name).to_owned(),
            value_from: (*from).to_owned(),
            provider: if from.contains(":secretsmanager:") { "asm" } else { "ssm" }.to_owned(),
            region: "r".to_owned(),
            target: SecretTarget::Environment,
        };
        pairs.iter().map(reference).collect()
    }

    /// `NAME=value` of what is resolved, or the reason.
    fn resolve(pairs: &[(&str, &str)], answers: Vec<Result<Value, ApiError>>) -> Result<Vec<String>, String> {
        let plan = Plan::new(wanted(pairs), false);
        assert_eq!(plan.questions.len(), answers.len(), "{:?}", plan.questions);
        let answers = answers.into_iter().map(|answer| answer.map(|value| value.to_string().into_bytes()));
        let resolved = plan.answer(answers.collect())?;
        let told = resolved.secrets.iter().map(|own| format!("{}={}", own.name, own.value.expose()));
        Ok(told.collect())
    }

    fn denied(code: &str) -> ApiError {
        ApiError::Service { status: 400, code: code.to_owned(), message: "why".to_owned() }
    }

    #[test]
    fn each_secret_is_asked_for_once() {
        let user = format!("{SECRET}:user::");
        let old = format!("{SECRET}::AWSPREVIOUS:");
        let pairs =
            [("A", SECRET), ("B", user.as_str()), ("C", old.as_str()), ("D", "/d"), ("E", "/e"), ("F", "/d")];
        let plan = Plan::new(wanted(&pairs), false);
        let bodies: Vec<&str> = plan.questions.iter().map(|question| question.body.as_str()).collect();
        assert_eq!(
            bodies,
            [
                r#"{"Names":["/d","/e"],"WithDecryption":true}"#,
                &format!(r#"{{"SecretId":"{SECRET}"}}"#),
                &format!(r#"{{"SecretId":"{SECRET}","VersionStage":"AWSPREVIOUS"}}"#),
            ]
        );
        let names: Vec<String> = (0..25).map(|n| format!("/{n}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| ("N", name.as_str())).collect();
        assert_eq!(Plan::new(wanted(&many), false).questions.len(), 3, "ten names at a time");
    }

    #[test]
    fn values_and_members_of_objects_reach_the_container() {
        let (user, port, list) =
            (format!("{SECRET}:user::"), format!("{SECRET}:port::"), format!("{SECRET}:list::"));
        let parameter =
            json!({"Parameters": [{"Name": "/d", "ARN": "arn:aws:ssm:r:1:parameter/d", "Value": "x"}]});
        let secret = json!({"SecretString": r#"{"user": "ada", "port": 5432, "list": [1, {"a": null}]}"#});
        assert_eq!(
            resolve(
                &[("D", "/d"), ("USER", &user), ("PORT", &port), ("LIST", &list)],
                vec![Ok(parameter), Ok(secret)]
            ),
            Ok(vec!["D=x".into(), "USER=ada".into(), "PORT=5432".into(), r#"LIST=[1,{"a":null}]"#.into()])
        );
        let selected = json!({"Parameters": [{"Name": "/d", "Selector": ":2", "Value": "second"}], "InvalidParameters": []});
        assert_eq!(resolve(&[("D", "/d:2")], vec![Ok(selected)]), Ok(vec!["D=second".into()]));
    }

    #[test]
    fn the_reason_says_what_could_not_be_had() {
        let user = format!("{SECRET}:user::");
        let text = |pairs: &[(&str, &str)], answer| resolve(pairs, vec![answer]).expect_err("it fails");
        assert_eq!(
            text(&[("D", "/d")], Ok(json!({"Parameters": [], "InvalidParameters": ["/d"]}))),
            "Fetching secret data from SSM Parameter Store in r: invalid parameters: /d"
        );
        assert_eq!(
            text(&[("D", "/d")], Err(denied("AccessDeniedException"))),
            "Fetching secret data from SSM Parameter Store in r: AccessDeniedException: why"
        );
        assert_eq!(
            text(&[("S", SECRET)], Err(denied("ResourceNotFoundException"))),
            format!(
                "ResourceNotFoundException: The task can't retrieve the secret with ARN '{SECRET}' from AWS Secrets Manager. \
                 Check whether the secret exists in the specified Region: ResourceNotFoundException: why"
            )
        );
        assert_eq!(
            text(&[("S", &user)], Ok(json!({"SecretString": "{}"}))),
            "retrieved secret from Secrets Manager did not contain json key user"
        );
        let hidden = text(&[("S", &user)], Ok(json!({"SecretString": "hunter2"})));
        assert!(
            hidden.starts_with("invalid character '?' looking") && !hidden.contains("hunter2"),
            "{hidden}"
        );
        let both = resolve(&[("D", "/d"), ("S", SECRET)], vec![Err(denied("A")), Err(denied("B"))]);
        assert_eq!(both, Err("Fetching secret data from SSM Parameter Store in r: A: why; B: why".into()));
    }

    #[test]
    fn fargate_has_words_of_its_own() {
        let plan = Plan::new(wanted(&[("S", SECRET)]), true);
        assert_eq!(
            plan.answer(vec![Err(denied("AccessDeniedException"))]),
            Err(format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: \
                 unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {SECRET} \
                 from secrets manager: AccessDeniedException: why"
            ))
        );
    }

    #[test]
    fn versions_are_told_of_what_was_asked_for() {
        let (user, named) = (format!("{SECRET}:user::"), "arn:aws:ssm:r:1:parameter/d");
        let plan = Plan::new(wanted(&[("A", &user), ("B", SECRET), ("C", "/d"), ("D", named)]), false);
        let parameter = json!({"Parameters": [{"Name": "/d", "ARN": named, "Value": "x", "Version": 7}]});
        let secret = json!({"SecretString": "{\"user\": \"ada\"}", "VersionId": "v-1"});
        let answers = [parameter, secret].map(|answer| Ok(answer.to_string().into_bytes()));
        let resolved = plan.answer(answers.into()).expect("all are there");
        let told: Vec<_> = resolved.versions.iter().map(|own| (&*own.value_from, &*own.version)).collect();
        assert_eq!(told, [("/d", "7"), (SECRET, "v-1"), (&*user, "v-1"), (named, "7")]);
    }

    #[test]
    fn a_login_is_read_and_never_quoted() {
        let plan = |is_fargate| LoginPlan::new(SECRET, "r", is_fargate);
        assert_eq!(plan(false).question.body, format!(r#"{{"SecretId":"{SECRET}"}}"#));
        let ask =
            |secret: Value| plan(false).answer(Ok(json!({"SecretString": secret}).to_string().into_bytes()));
        let (user, password) = ask(json!(r#"{"username": "u", "password": "hunter2"}"#)).expect("a login");
        assert_eq!((user.as_str(), password.expose()), ("u", "hunter2"));
        for (secret, part) in [
            ("hunter2", "unable to unmarshal secret value"),
            (
                r#"{"username": "hunter2"}"#,
                "asm fetching password: AuthorizationData is malformed, empty field",
            ),
            (r#"{"username": "", "password": "hunter2"}"#, "asm fetching username"),
            (r#""hunter2""#, "asm fetching username"),
        ] {
            let why = ask(json!(secret)).expect_err("it is no login");
            assert!(why.contains(part) && why.contains(SECRET) && !why.contains("hunter2"), "{why}");
        }
        assert!(ask(Value::Null).expect_err("it is empty").contains("empty secrets value"));
        let gone = plan(false).answer(Err(denied("ResourceNotFoundException"))).expect_err("it is gone");
        assert!(gone.starts_with("ResourceNotFoundException: The task can't retrieve the secret"), "{gone}");
        let said = plan(true).answer(Err(denied("AccessDeniedException"))).expect_err("it is denied");
        assert!(
            said.starts_with("ResourceInitializationError: unable to pull secrets or registry auth:")
                && said.ends_with("AccessDeniedException: why"),
            "{said}"
        );
    }
}
