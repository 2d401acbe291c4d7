//! The one form of pattern that is checked here: a whole string of characters from one class, as
//! in `[a-zA-Z0-9_-]+` or `([\p{L}\p{N} ]*)`. Every other form counts as matched; the rule
//! behind it belongs to whoever owns the value.

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
        let mut rest = body.chars().peekable();
        while let Some(c) = rest.next() {
            let from = match c {
                '[' | ']' | '&' => return None,
                '\\' => match rest.next()? {
                    'p' => {
                        let name: String = rest.by_ref().take(3).collect();
                        items.push(match name.as_str() {
                            "{L}" => Item::Letters,
                            "{N}" => Item::Numbers,
                            "{Z}" => Item::Separators,
                            _ => return None,
                        });
                        continue;
                    }
                    escaped if escaped.is_ascii_alphanumeric() => return None,
                    escaped => escaped,
                },
                plain => plain,
            };
            let mut ahead = rest.clone();
            match (ahead.next(), ahead.next()) {
                (Some('-'), Some(to)) if to != '\\' => {
                    rest = ahead;
                    items.push(Item::Range(from, to));
                }
                (Some('-'), Some(_)) => return None,
                _ => items.push(Item::Range(from, from)),
            }
        }
        Some(Self { items, may_be_empty })
    }

    fn contains(&self, c: char) -> bool {
        self.items.iter().any(|item| match item {
            Item::Range(from, to) => (*from..=*to).contains(&c),
            Item::Letters => c.is_alphabetic(),
            Item::Numbers => c.is_numeric(),
            // Spaces proper: of the characters that Rust calls white space, all but the control ones.
            Item::Separators => c.is_whitespace() && !c.is_control(),
        })
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
    }

    #[test]
    fn unknown_forms_match() {
        assert!(allows("^a|b$", "zzz"));
        assert!(allows("[^a]+", "aaa"));
        assert!(allows(r"[\w]+", "..."));
    }
}
