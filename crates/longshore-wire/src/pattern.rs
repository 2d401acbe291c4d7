//! The one form of pattern that is checked here: a whole string of characters from one class, as
//! in `[a-zA-Z0-9_-]+` or `([\p{L}\p{N} ]*)`. Every other form counts as matched; the rule
//! behind it belongs to whoever owns the value.

use std::str::Chars;

/// Whether `pattern` allows `text`, as far as this module understands patterns.
pub(crate) fn allows(pattern: &str, text: &str) -> bool {
    match Class::parse(pattern) {
        Some(class) => (class.may_be_empty || !text.is_empty()) && text.chars().all(|c| class.contains(c)),
        None => true,
    }
}

struct Class {
    items: Vec<Item>,
    may_be_empty: bool,
}

enum Item {
    Range(char, char),
    /// `\w`: letters and digits of ASCII, and the underscore.
    Word,
    Letters,
    Numbers,
    Separators,
}

impl Class {
    fn parse(pattern: &str) -> Option<Self> {
        let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
        let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
        let pattern = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(pattern);
        let may_be_empty = pattern.ends_with('*');
        let body = pattern.strip_suffix(['*', '+'])?.strip_prefix('[')?.strip_suffix(']')?;
        if body.starts_with('^') {
            return None;
        }
        let mut items = Vec::new();
        let mut rest = body.chars();
        while let Some(part) = Part::next(&mut rest) {
            let from = match part? {
                Part::Item(item) => {
                    items.push(item);
                    continue;
                }
                Part::Character(from) => from,
            };
            let mut ahead = rest.clone();
            let is_range = ahead.next() == Some('-') && !ahead.as_str().is_empty();
            items.push(match is_range.then(|| Part::next(&mut ahead)).flatten() {
                Some(to) => match to? {
                    Part::Character(to) => {
                        rest = ahead;
                        Item::Range(from, to)
                    }
                    Part::Item(_) => return None,
                },
                None => Item::Range(from, from),
            });
        }
        Some(Self { items, may_be_empty })
    }

    fn contains(&self, c: char) -> bool {
        self.items.iter().any(|item| match item {
            Item::Range(from, to) => (*from..=*to).contains(&c),
            Item::Word => c.is_ascii_alphanumeric() || c == '_',
            Item::Letters => c.is_alphabetic(),
            Item::Numbers => c.is_numeric(),
            // Spaces proper: of the characters that Rust calls white space, all but the control ones.
            Item::Separators => c.is_whitespace() && !c.is_control(),
        })
    }
}

/// What stands between the brackets: a class of its own, or a character, perhaps the end of a range.
enum Part {
    Item(Item),
    Character(char),
}

impl Part {
    /// The next one; `None` at the end, and `Some(None)` for what is not understood.
    fn next(rest: &mut Chars<'_>) -> Option<Option<Self>> {
        let escaped = match rest.next()? {
            '[' | ']' | '&' => return Some(None),
            '\\' => rest.next(),
            plain => return Some(Some(Self::Character(plain))),
        };
        let mut take = |count| rest.by_ref().take(count).collect::<String>();
        let part = match escaped {
            Some('p') => match take(3).as_str() {
                "{L}" => Some(Self::Item(Item::Letters)),
                "{N}" => Some(Self::Item(Item::Numbers)),
                "{Z}" => Some(Self::Item(Item::Separators)),
                _other => None,
            },
            Some('w') => Some(Self::Item(Item::Word)),
            // Half of a surrogate pair is no character.
            Some('u') => {
                let code = u32::from_str_radix(&take(4), 16).ok();
                code.and_then(char::from_u32).map(Self::Character)
            }
            Some(escaped) if escaped.is_ascii_alphanumeric() => None,
            escaped => escaped.map(Self::Character),
        };
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    #[test]
    fn classes() {
        const TAG: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)";
        assert!(allows(TAG, "Größe/1 = ok@x-y"));
        assert!(allows(TAG, ""));
        assert!(!allows(TAG, "a*b"));
        assert!(!allows(TAG, "a\nb"));
        const INSTANCE: &str = r"[a-zA-Z0-9\.\*\-]+";
        assert!(allows(INSTANCE, "c5.*"));
        assert!(!allows(INSTANCE, ""));
        assert!(!allows(INSTANCE, "c5_x"));
        assert!(allows("^[a-z_-]+$", "a-b"));
        assert!(!allows("^[a-z_-]+$", "a1"));
        const NAME: &str = r"[\w+=,.@-]+";
        assert!(allows(NAME, "a_B-9+=,.@"));
        for bad in ["", "a b", "a/b", "ä", "a:b", "a*", "a\n"] {
            assert!(!allows(NAME, bad), "{bad}");
        }
        const POLICY: &str = r"[\u0009\u000A\u000D\u0020-\u00FF]+";
        assert!(allows(POLICY, "\t\r\n aÿ"));
        assert!(!allows(POLICY, "\u{100}") && !allows(POLICY, "\u{0}"));
    }

    #[test]
    fn unknown_forms_match() {
        assert!(allows("^a|b$", "zzz"));
        assert!(allows("[^a]+", "aaa"));
        assert!(allows(r"[\s]+", "..."));
        assert!(allows(r"[\u0020-\uD7FF\uD800\uDC00]*", "\u{0}"));
        assert!(allows(r"[a-\w]+", "..."));
    }
}
