//! Where statements stand in a policy's text.

use crate::spans;

/// A line and a column, both counted from one.
pub type Position = (usize, usize);

/// The first and the last character of each statement, in their order. The document is known to be right.
pub fn of_statements(text: &str) -> Vec<(Position, Position)> {
    let mut found = Vec::new();
    spans::walk(text, &mut |value| {
        if value.text.is_none() && value.path == ["Statement"] {
            found.push((position(text, value.span.start), position(text, value.span.end - 1)));
        }
    });
    found
}

fn position(text: &str, at: usize) -> Position {
    let before = &text[..at];
    let line_begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_begin..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = "{\"Statement\": [\n  {\"a\": {\"Statement\": {}}},{}]\n}";
        assert_eq!(of_statements(text), [((2, 3), (2, 26)), ((2, 28), (2, 29))]);
        assert_eq!(of_statements("{\"Statement\":{}}"), [((1, 14), (1, 15))]);
    }
}
