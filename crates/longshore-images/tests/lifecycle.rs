//! Lifecycle policies: the user guide's examples, what is refused, and what holds for any images.

use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::{Expect, expect};
use longshore_base::Timestamp;
use longshore_images::lifecycle::{Image, Invalid, Outcome, Policy, Selected, evaluate};
use longshore_images::{Algorithm, Digest, Tag};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An image that a test talks about.
#[derive(Clone, Debug)]
struct Pushed {
    name: String,
    digest: Digest,
    tags: Vec<Tag>,
    days_ago: u32,
    is_part: bool,
    is_in_use: bool,
}

impl Pushed {
    fn image(&self) -> Image<'_> {
        Image {
            digest: &self.digest,
            tags: self.tags.iter().collect(),
            // A moment earlier, so that an image of 14 days is more than 14 days old.
            pushed_at: Timestamp::from_millis(
                NOW.as_millis() - i64::from(self.days_ago) * DAY.as_millis() as i64 - 1,
            ),
            is_part: self.is_part,
            is_in_use: self.is_in_use,
        }
    }
}

/// `NAME days=3 tags=a,b part used`
fn pushed(line: &str) -> Pushed {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a name").to_owned();
    let digest = Digest::of(Algorithm::Sha256, name.as_bytes());
    let mut pushed = Pushed { name, digest, tags: Vec::new(), days_ago: 0, is_part: false, is_in_use: false };
    for word in words {
        match word.split_once('=') {
            Some(("days", days)) => pushed.days_ago = days.parse().expect("a number"),
            Some(("tags", tags)) => {
                pushed.tags = tags.split(',').map(|tag| Tag::parse(tag).expect("a tag")).collect();
            }
            None if word == "part" => pushed.is_part = true,
            None if word == "used" => pushed.is_in_use = true,
            other => panic!("{other:?}"),
        }
    }
    pushed
}

fn rule(priority: u32, selection: Value) -> Value {
    json!({"rulePriority": priority, "selection": selection, "action": {"type": "expire"}})
}

fn policy(rules: &[Value]) -> Policy {
    Policy::parse(&json!({"rules": rules}).to_string()).expect("a policy")
}

fn check(images: &str, rules: &[Value], expected: Expect) {
    let images: Vec<Pushed> =
        images.lines().map(str::trim).filter(|line| !line.is_empty()).map(pushed).collect();
    let shapes: Vec<Image<'_>> = images.iter().map(Pushed::image).collect();
    let told: Vec<String> = evaluate(&shapes, &policy(rules), NOW)
        .iter()
        .map(|Selected { digest, priority, outcome }| {
            let image = images.iter().find(|image| image.digest == **digest).expect("one of them");
            let outcome = if *outcome == Outcome::Expires { "" } else { " kept" };
            format!("{} by {priority}{outcome}", image.name)
        })
        .collect();
    expected.assert_eq(&told.join(", "));
}

fn untagged(days: u32) -> Value {
    json!({"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days})
}

fn more_than(status: &str, lists: Value, number: u32) -> Value {
    let mut selection =
        json!({"tagStatus": status, "countType": "imageCountMoreThan", "countNumber": number});
    selection.as_object_mut().expect("an object").extend(lists.as_object().expect("an object").clone());
    selection
}

#[test]
fn untagged_images_expire_by_age() {
    check(
        "a days=13
         b days=14
         c days=40 tags=1
         d days=20 part
         e days=20 used",
        &[rule(1, untagged(14))],
        expect!["b by 1, e by 1 kept"],
    );
}

/// The user guide's "Filtering on image count".
#[test]
fn all_but_the_newest_expire() {
    check(
        "a days=3 tags=1
         b days=2
         c days=1 tags=2
         d days=0 part",
        &[rule(1, more_than("any", json!({}), 2))],
        expect!["a by 1"],
    );
}

/// The user guide's "Filtering on multiple rules", first part: the rule of lower priority number keeps what it does
/// not expire out of the other one's reach.
#[test]
fn what_meets_the_tags_of_a_rule_is_safe_from_later_ones() {
    let images = "a days=5 tags=prod-1
                  b days=4 tags=beta-1
                  c days=3 tags=prod-2
                  d days=2 tags=beta-2
                  e days=1 tags=prod-3";
    let prod = more_than("tagged", json!({"tagPrefixList": ["prod"]}), 1);
    let beta = more_than("tagged", json!({"tagPrefixList": ["beta"]}), 1);
    check(images, &[rule(1, prod.clone()), rule(2, beta)], expect!["a by 1, b by 2, c by 1"]);
    // The first rule keeps the newest of its own; the second one counts all and takes none of the first one's.
    let any = more_than("any", json!({}), 1);
    check(images, &[rule(1, prod), rule(2, any)], expect!["a by 1, b by 2, c by 1, d by 2"]);
}

/// The user guide's "Filtering on multiple tags in a single rule": each prefix has to be met.
#[test]
fn each_pattern_has_to_be_met() {
    let images = "a days=3 tags=alpha-1
                  b days=2 tags=alpha-2,beta-2
                  c days=1 tags=beta-3,alpha-3,x";
    let both = more_than("tagged", json!({"tagPrefixList": ["alpha", "beta"]}), 1);
    check(images, &[rule(1, both)], expect!["b by 1"]);
    let both = more_than("tagged", json!({"tagPatternList": ["a*-*", "b*"]}), 1);
    check(images, &[rule(1, both)], expect!["b by 1"]);
}

/// Images that an earlier rule expires still count for a later one.
#[test]
fn what_expires_still_counts() {
    check(
        "a days=30 tags=dev-1
         b days=3 tags=rel-1
         c days=2 tags=rel-2
         d days=1 tags=dev-2",
        &[
            rule(
                1,
                json!({"tagStatus": "tagged", "tagPrefixList": ["dev"], "countType": "sinceImagePushed",
                           "countUnit": "days", "countNumber": 1}),
            ),
            rule(5, more_than("any", json!({}), 2)),
        ],
        expect!["a by 1, b by 5, d by 1"],
    );
}

fn refused(rules: &[Value]) -> Invalid {
    Policy::parse(&json!({"rules": rules}).to_string()).expect_err("it is none")
}

#[test]
fn what_is_refused() {
    let prod = || more_than("tagged", json!({"tagPrefixList": ["prod"]}), 1);
    let any = || more_than("any", json!({}), 1);
    let with = |lists: Value| refused(&[rule(1, more_than("tagged", lists, 1))]);
    assert_eq!(refused(&[]), Invalid::Count);
    assert_eq!(refused(&[rule(0, any())]), Invalid::Priority(0));
    assert_eq!(refused(&[rule(3, prod()), rule(3, any())]), Invalid::SamePriority(3));
    assert_eq!(refused(&[rule(1, any()), rule(2, prod())]), Invalid::AnyIsLast(1));
    assert_eq!(refused(&[rule(1, untagged(1)), rule(2, untagged(2))]), Invalid::UntaggedTwice(2));
    assert_eq!(with(json!({})), Invalid::TagList(1));
    assert_eq!(with(json!({"tagPrefixList": []})), Invalid::TagList(1));
    assert_eq!(with(json!({"tagPrefixList": ["a"], "tagPatternList": ["a"]})), Invalid::TagList(1));
    assert_eq!(with(json!({"tagPatternList": ["*a*b*c*d*"]})), Invalid::Pattern(1));
    assert_eq!(with(json!({"tagPrefixList": [""]})), Invalid::Pattern(1));
    let listed = more_than("untagged", json!({"tagPrefixList": ["a"]}), 1);
    assert_eq!(refused(&[rule(1, listed)]), Invalid::NoTagList(1));
    let days = more_than("any", json!({"countUnit": "days"}), 1);
    assert_eq!(refused(&[rule(1, days)]), Invalid::Unit(1));
    assert_eq!(refused(&[rule(1, more_than("any", json!({}), 0))]), Invalid::Number(1));
    let pulled = more_than("any", json!({"countType": "sinceImagePulled", "countUnit": "days"}), 1);
    assert_eq!(refused(&[rule(1, pulled)]), Invalid::CountTypeOfTransition(1, "sinceImagePulled"));
    let moved = json!({"rulePriority": 1, "selection": any(),
                       "action": {"type": "transition", "targetStorageClass": "archive"}});
    assert_eq!(refused(&[moved]), Invalid::StorageClass(1));
    for malformed in [
        rule(1, more_than("any", json!({"tags": []}), 1)),
        rule(1, more_than("any", json!({"countUnit": "weeks"}), 1)),
        rule(1, more_than("some", json!({}), 1)),
        json!({"rulePriority": 1, "selection": any()}),
    ] {
        assert!(matches!(refused(std::slice::from_ref(&malformed)), Invalid::Malformed(_)), "{malformed}");
    }
}

fn any_images() -> impl Strategy<Value = Vec<Pushed>> {
    let image = (vec("[ab][12]?", 0..3), 0..6_u32, any::<bool>(), any::<bool>());
    vec(image, 0..12).prop_map(|images| {
        let with_number = images.into_iter().enumerate();
        with_number
            .map(|(n, (tags, days_ago, is_part, is_in_use))| {
                let tags: BTreeSet<String> = tags.into_iter().collect();
                Pushed {
                    tags: tags.iter().map(|tag| Tag::parse(tag).expect("a tag")).collect(),
                    days_ago,
                    is_part,
                    is_in_use,
                    ..pushed(&n.to_string())
                }
            })
            .collect()
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let about = prop_oneof![
        Just(json!({"tagStatus": "tagged", "tagPrefixList": ["a"]})),
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["*1", "b*"]})),
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["*"]})),
    ];
    let limit = (1..4_u32, any::<bool>()).prop_map(|(number, is_count)| match is_count {
        true => json!({"countType": "imageCountMoreThan", "countNumber": number}),
        false => json!({"countType": "sinceImagePushed", "countUnit": "days", "countNumber": number}),
    });
    let selection = (about, limit.clone()).prop_map(|(mut about, limit)| {
        about.as_object_mut().expect("an object").extend(limit.as_object().expect("an object").clone());
        about
    });
    let last = (limit, any::<bool>()).prop_map(|(mut limit, is_any)| {
        limit["tagStatus"] = if is_any { "any" } else { "untagged" }.into();
        limit
    });
    (vec(selection, 0..3), last).prop_map(|(mut selections, last)| {
        selections.push(last);
        let rules = selections.into_iter().enumerate();
        policy(&rules.map(|(at, selection)| rule(at as u32 + 1, selection)).collect::<Vec<_>>())
    })
}

proptest! {
    #[test]
    fn what_holds_for_any_images(images in any_images(), policy in any_policy()) {
        let shapes: Vec<Image<'_>> = images.iter().map(Pushed::image).collect();
        let selected = evaluate(&shapes, &policy, NOW);
        let once: BTreeSet<&Digest> = selected.iter().map(|selected| selected.digest).collect();
        prop_assert_eq!(once.len(), selected.len(), "an image is acted on once");
        for selected in &selected {
            let image = images.iter().find(|image| image.digest == *selected.digest).expect("one of them");
            prop_assert!(!image.is_part);
            prop_assert_eq!(selected.outcome == Outcome::Kept, image.is_in_use);
        }
        // The order in which images are given decides nothing.
        let mut turned = shapes.clone();
        turned.reverse();
        let mut again = evaluate(&turned, &policy, NOW);
        again.reverse();
        prop_assert_eq!(&again, &selected);
        // More rules behind the others change nothing about what those select.
        let first = policy.rules()[0].priority;
        if policy.rules().len() > 1 {
            let of_first = |all: &[Selected<'_>]| -> Vec<Digest> {
                let own = all.iter().filter(|selected| selected.priority == first);
                own.map(|selected| selected.digest.clone()).collect()
            };
            let alone = Policy::parse(&json!({"rules": [first_rule(&policy)]}).to_string()).expect("a policy");
            prop_assert_eq!(of_first(&selected), of_first(&evaluate(&shapes, &alone, NOW)));
        }
    }

    #[test]
    fn no_text_breaks_it(text in ".{0,200}") {
        let _ = Policy::parse(&text);
    }
}

/// The first rule, as JSON.
fn first_rule(policy: &Policy) -> Value {
    use longshore_images::lifecycle::{About, Limit};
    let first = &policy.rules()[0];
    let mut selection = match first.limit {
        Limit::Newest(number) => json!({"countType": "imageCountMoreThan", "countNumber": number}),
        Limit::Days(number) => {
            json!({"countType": "sinceImagePushed", "countUnit": "days", "countNumber": number})
        }
    };
    match &first.about {
        About::Any => selection["tagStatus"] = "any".into(),
        About::Untagged => selection["tagStatus"] = "untagged".into(),
        About::Patterns(patterns) => {
            selection["tagStatus"] = "tagged".into();
            selection["tagPatternList"] = patterns.iter().map(|pattern| pattern.as_str()).collect();
        }
        About::Prefixes(prefixes) => {
            selection["tagStatus"] = "tagged".into();
            selection["tagPrefixList"] = prefixes.iter().cloned().collect();
        }
    }
    rule(first.priority, selection)
}
