//! Documents: lines that fit, and diffs that stay what the code says.
//!
//! Prose wraps at [`COLUMNS_MAX`], so that a change of a sentence is a small diff; tables and code cannot.
//!
//! A block of `diff` in `docs/` names its files as a patch does, `+++ PATH`. What it adds and keeps has to stand in the
//! file, in that order, whatever their indent. So a guide cannot describe the code of yesterday.

use std::path::Path;

use anyhow::{Context, ensure};

const COLUMNS_MAX: usize = 120;
const FENCE: &str = "```";
const FILE: &str = "+++ ";

/// Findings in all documents, and in the diffs of the guides, `docs/adding-*.md`.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for directory in ["", "docs", "docs/decisions"] {
        for entry in
            std::fs::read_dir(root.join(directory)).with_context(|| format!("cannot list {directory}/"))?
        {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
                let name = path.strip_prefix(root).unwrap_or(&path).display();
                let found = long_lines(&text);
                findings.extend(found.map(|line| format!("{name}:{line}: wrap it at {COLUMNS_MAX} columns")));
            }
        }
    }
    let mut guides = 0;
    for entry in std::fs::read_dir(root.join("docs")).context("cannot list docs/")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("adding-") {
            continue;
        }
        guides += 1;
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        let found = check_text(&text, |file| std::fs::read_to_string(root.join(file)).ok());
        findings.extend(found.into_iter().map(|(line, finding)| format!("docs/{name}:{line}: {finding}")));
    }
    ensure!(guides > 0, "docs/ has no guides any more");
    Ok(findings)
}

/// The numbers of lines of prose that are too long.
fn long_lines(text: &str) -> impl Iterator<Item = usize> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let bare = line.trim_start();
        in_code ^= bare.starts_with(FENCE);
        let is_prose = !in_code && !bare.starts_with('|');
        (is_prose && line.chars().count() > COLUMNS_MAX).then_some(number)
    })
}

/// Findings in the diffs of one document, with the number of the line that each is about. `read` gives the files.
fn check_text(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<(usize, String)> {
    let mut findings = Vec::new();
    let mut in_diff = false;
    // What is left of the file that is being compared.
    let mut rest: Option<Vec<String>> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim();
        if bare.starts_with(FENCE) {
            in_diff = bare == "```diff";
            rest = None;
        } else if in_diff && let Some(file) = bare.strip_prefix(FILE) {
            rest = read(file).map(|content| content.lines().map(|line| line.trim().to_owned()).collect());
            if rest.is_none() {
                findings.push((number, format!("there is no {file}")));
                // One finding is enough for it.
                rest = Some(Vec::new());
                in_diff = false;
            }
        } else if in_diff && !bare.starts_with('-') {
            let wanted = bare.strip_prefix('+').unwrap_or(bare).trim();
            match &mut rest {
                None => {
                    findings.push((number, "a diff names its file first: +++ PATH".to_owned()));
                    in_diff = false;
                }
                Some(_) if wanted.is_empty() => {}
                Some(lines) => match lines.iter().position(|line| line.contains(wanted)) {
                    Some(at) => *lines = lines.split_off(at),
                    None => findings.push((number, format!("the file does not say `{wanted}` there"))),
                },
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_TEXT: &str = "fn one() {\n    two();\n}\n\nfn three() {}\n";

    fn check(document: &str) -> Vec<(usize, String)> {
        check_text(document, |file| (file == "a.rs").then(|| FILE_TEXT.to_owned()))
    }

    #[test]
    fn prose_wraps_and_tables_and_code_do_not() {
        let long = "x".repeat(COLUMNS_MAX + 1);
        let text =
            format!("{}\n{long}\n| {long} |\n```\n{long}\n```\n{long}\n", "\u{e9}".repeat(COLUMNS_MAX));
        assert_eq!(long_lines(&text).collect::<Vec<_>>(), [2, 7]);
    }

    #[test]
    fn a_diff_of_what_is_there_is_fine() {
        let document = "Text.\n\n```diff\n+++ a.rs\n fn one() {\n-    zero();\n+    two();\n }\n+\n+fn three() {}\n```\n";
        assert_eq!(check(document), []);
        let indented = document.replace('\n', "\n   ");
        assert_eq!(check(&indented), [], "also as part of a list");
        assert_eq!(check("```rust\nlet anything = 1;\n```\n"), [], "other blocks are no claims");
    }

    #[test]
    fn what_is_not_there_is_found_and_what_has_another_order() {
        assert_eq!(check("```diff\n+++ a.rs\n+fn four() {}\n```\n").len(), 1);
        assert_eq!(check("```diff\n+++ a.rs\n+fn three() {}\n fn one() {\n```\n").len(), 1);
        assert_eq!(check("```diff\n+++ b.rs\n+fn one() {\n```\n"), [(2, "there is no b.rs".to_owned())]);
        assert_eq!(check("```diff\n+fn one() {\n+two();\n```\n").len(), 1, "it names no file");
    }
}
