//! Which documents are policies.

use longshore_policy::{Invalid, Kind, Policy};

use crate::{check, document};

#[test]
fn documents_are_read_or_refused_in_iams_words() {
    check(include_str!("documents.txt"), 3, 1, |row| {
        let kind = match row.cells[0] {
            "identity" => Kind::Identity,
            "trust" => Kind::Trust,
            "resource" => Kind::Resource,
            other => panic!("no kind of policy: {other}"),
        };
        let read = Policy::read(&document(row.mode, row.cells[1]), kind);
        read.map_or_else(|invalid| invalid.to_string(), |_| "ok".to_owned())
    });
}

#[test]
fn a_document_has_three_members_and_no_others() {
    let fine = r#""Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "*"}"#;
    for (text, is_fine) in [
        (format!(r#"{{"Version": "2012-10-17", {fine}}}"#), true),
        (format!(r#"{{"Version": "2012-10-17", "Id": "x", {fine}}}"#), true),
        (format!("\n\t {{\"Version\": \"2012-10-17\", {fine}}} \r\n"), true),
        (format!(r#"{{"Version": "2012-10-17", "Id": 1, {fine}}}"#), false),
        (format!(r#"{{"Version": "2012-10-17", "Comment": "x", {fine}}}"#), false),
        (format!(r#"{{"Version": "2012-10-17", "Version": "2012-10-17", {fine}}}"#), false),
        (format!(r#"{{"Version": 2012, {fine}}}"#), false),
        (format!(r#"{{"Version": null, {fine}}}"#), false),
        (format!(r#"{{"Version": "2012-10-17", {fine}, {fine}}}"#), false),
        (format!(r#"{{"Version": "2012-10-17", {fine}}} x"#), false),
        (r#"{"Version": "2012-10-17"}"#.to_owned(), false),
        ("null".to_owned(), false),
    ] {
        assert_eq!(Policy::read(&text, Kind::Identity).is_ok(), is_fine, "{text}");
    }
}

#[test]
fn what_is_cut_short_or_too_deep_is_refused() {
    let whole = document("2012-10-17", r#"{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}"#);
    for cut in 0..whole.len() {
        assert_eq!(Policy::read(&whole[..cut], Kind::Identity), Err(Invalid::Syntax), "{cut}");
    }
    // As deep as a request may be large.
    for deep in ["[", "{\"Statement\":"] {
        assert_eq!(Policy::read(&deep.repeat(200_000), Kind::Identity), Err(Invalid::Syntax));
    }
}
