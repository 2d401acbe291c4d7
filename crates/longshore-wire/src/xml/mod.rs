//! XML: the answers of the Query protocols, and both ways of REST-XML.

mod reader;
mod writer;

pub use reader::{Element, XmlReader};
pub use writer::{Style, XmlWriter};

use std::borrow::Cow;

use crate::schema::{Collection, Kind, MemberSchema};

/// What a member's element is called. A flattened list is called as its elements are.
fn element_name(member: &'static MemberSchema) -> &'static str {
    match &member.target.kind {
        Kind::List(Collection { element_name: Some(name), flattened: true, .. }) => name,
        _ => member.xml_name.unwrap_or(member.name),
    }
}

/// Text as the inside of an element or attribute. What XML 1.0 cannot carry at all becomes U+FFFD.
pub fn escape(text: &str) -> Cow<'_, str> {
    let special =
        |c: char| matches!(c, '&' | '<' | '>' | '"' | '\r' | '\u{fffe}' | '\u{ffff}') || is_unwritable(c);
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
