//! What names secrets, parameters and keys: `valueFrom` of containers, ARNs of the three services.

use longshore_base::SecretSelector;
use longshore_tables_secrets::arn;

/// The first line is a `valueFrom` or an ARN, the others are parts that selectors are made of.
pub fn run(bytes: &[u8]) {
    let (text, rest) = crate::first_line(bytes);
    taken_apart(text);
    for service in ["secretsmanager", "ssm", "kms"] {
        if let Some((scope, resource)) = arn::read(text, service) {
            let partition = scope.partition().as_str();
            let again = format!("arn:{partition}:{service}:{}:{}:{resource}", scope.region, scope.account);
            assert_eq!(again, text, "printed, it is another ARN");
        }
    }
    let parts = String::from_utf8_lossy(rest);
    let mut parts = parts.split([':', '\n']);
    let mut next = || parts.next().unwrap_or_default();
    let (name, json_key, stage, version) = (next(), next(), next(), next());
    let own = format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{name}");
    let whole = SecretSelector { arn: &own, json_key: "", stage: "", version: "" };
    assert_eq!(SecretSelector::read(&own), whole);
    let selected = format!("{own}:{json_key}:{stage}:{version}");
    assert_eq!(SecretSelector::read(&selected), SecretSelector { arn: &own, json_key, stage, version });
    for odd in [format!("{own}:{json_key}"), format!("{own}:{json_key}:{stage}"), format!("{selected}:")] {
        assert_eq!(SecretSelector::read(&odd).arn, odd, "a part is taken for a selector");
    }
}

/// Nothing gets lost: what was taken apart is the text when it is put together.
fn taken_apart(text: &str) {
    let SecretSelector { arn, json_key, stage, version } = SecretSelector::read(text);
    assert!([arn, json_key, stage, version].iter().skip(1).all(|part| !part.contains(':')));
    if arn == text {
        assert!([json_key, stage, version].iter().all(|part| part.is_empty()));
    } else {
        assert_eq!(format!("{arn}:{json_key}:{stage}:{version}"), text);
        assert_eq!(arn.matches(':').count(), 6);
    }
}
