//! XML: the answers of the Query protocols and of EC2.

mod writer;

pub use writer::{Style, XmlWriter};

use std::borrow::Cow;

/// Text as the inside of an element or attribute. What XML 1.0 cannot carry at all becomes U+FFFD.
pub fn escape(text: &str) -> Cow<'_, str> {
    let special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\r' | '\u{fffe}' | '\u{ffff}') || is_unwritable(c);
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A bare one would be read as a line feed.
            '\r' => out.push_str("&#xD;"),
            c if is_unwritable(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn is_unwritable(c: char) -> bool {
    c < ' ' && !matches!(c, '\t' | '\n' | '\r')
}
