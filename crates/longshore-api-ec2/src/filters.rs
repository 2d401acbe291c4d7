//! Filters: `Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-*`, one engine for all lists.
//!
//! What is listed says which filters it has, and what each looks at ([`Filterable`]): texts of the answer. An item stays if
//! for each filter one of its texts matches one of the filter's values. `*` stands for any characters and `?` for one; a
//! backslash takes the next character as it is. Upper and lower case differ.

use longshore_shapes_ec2::{Filter, Tag};
use longshore_wire::Fault;

use crate::errors;

/// The most values of all filters of a call.
const VALUES_MAX: usize = 200;
/// The longest value: as long as the longest text that there is to match.
const VALUE_CHARS_MAX: usize = 255;

/// What a filter looks at.
pub type Texts<T> = fn(&T) -> Vec<String>;

/// What can be listed and filtered.
pub trait Filterable: Sized + 'static {
    /// The filters by name, beside those for tags.
    const FILTERS: &'static [(&'static str, Texts<Self>)];

    /// Unique in a list; lists are in its order.
    fn place(&self) -> String;

    /// How few and how many a page may hold.
    const PAGE: (i32, i32) = (5, 1000);

    /// Whether it has tags, and filters for them.
    const TAGGED: bool = true;

    fn tags(&self) -> &[Tag] {
        &[]
    }

    /// The values of its tags with this key: one, or none.
    fn tagged(&self, key: &str) -> Vec<String> {
        let own = self.tags().iter().filter(|tag| tag.key.as_deref() == Some(key));
        own.filter_map(|tag| tag.value.clone()).collect()
    }
}

/// The filters of a call.
pub struct Filters<T>(Vec<Filtering<T>>);

struct Filtering<T> {
    name: String,
    subject: Subject<T>,
    patterns: Vec<Pattern>,
}

enum Subject<T> {
    Texts(Texts<T>),
    /// The value of the tag with this key.
    Tag(String),
    TagKeys,
    TagValues,
}

impl<T: Filterable> Filters<T> {
    /// # Errors
    /// For a filter that there is not, or that has no name or no values.
    pub(crate) fn parse(given: Option<Vec<Filter>>) -> Result<Self, Fault> {
        let given = given.unwrap_or_default();
        let count: usize = given.iter().map(|filter| filter.values.as_ref().map_or(0, Vec::len)).sum();
        if count > VALUES_MAX {
            return Err(errors::too_many_filter_values(VALUES_MAX));
        }
        let mut filters = Vec::with_capacity(given.len());
        for filter in given {
            let name = filter.name.unwrap_or_default();
            let subject = Subject::named(&name).ok_or_else(|| errors::filter(&name))?;
            let values = filter.values.unwrap_or_default();
            if values.is_empty() {
                return Err(errors::invalid(format!("The filter '{name}' has no values")));
            }
            if values.iter().any(|value| value.chars().count() > VALUE_CHARS_MAX) {
                return Err(errors::invalid(format!("A value of the filter '{name}' is too long")));
            }
            let patterns = values.iter().map(|value| Pattern::parse(value)).collect();
            filters.push(Filtering { name, subject, patterns });
        }
        Ok(Self(filters))
    }

    /// The texts of which one has to be there, if a filter of this name has no value with wildcards. For whoever has an index.
    pub(crate) fn exactly(&self, name: &str) -> Option<Vec<String>> {
        let own = self.0.iter().find(|own| own.name == name)?;
        own.patterns.iter().map(Pattern::exact).collect()
    }

    /// Those that all filters let through.
    pub(crate) fn narrow(&self, items: Vec<T>) -> Vec<T> {
        items.into_iter().filter(|item| self.lets_through(item)).collect()
    }

    fn lets_through(&self, item: &T) -> bool {
        self.0.iter().all(|Filtering { subject, patterns, .. }| {
            let texts = subject.texts(item);
            texts.iter().any(|text| patterns.iter().any(|pattern| pattern.matches(text)))
        })
    }
}

impl<T: Filterable> Subject<T> {
    fn named(name: &str) -> Option<Self> {
        let own = T::FILTERS.iter().find(|(own, _)| *own == name);
        if let Some((_, texts)) = own {
            return Some(Self::Texts(*texts));
        }
        if !T::TAGGED {
            return None;
        }
        match name {
            "tag-key" => Some(Self::TagKeys),
            "tag-value" => Some(Self::TagValues),
            other => other.strip_prefix("tag:").map(|key| Self::Tag(key.to_owned())),
        }
    }

    fn texts(&self, item: &T) -> Vec<String> {
        let tags = || item.tags().iter();
        match self {
            Self::Texts(texts) => texts(item),
            Self::Tag(key) => item.tagged(key),
            Self::TagKeys => tags().filter_map(|tag| tag.key.clone()).collect(),
            Self::TagValues => tags().filter_map(|tag| tag.value.clone()).collect(),
        }
    }
}

/// A value of a filter, read once.
struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// `*`
    Any,
    /// `?`
    One,
    Exactly(char),
}

impl Pattern {
    fn parse(value: &str) -> Self {
        let mut pieces = Vec::new();
        let mut characters = value.chars();
        while let Some(character) = characters.next() {
            pieces.push(match character {
                '*' => Piece::Any,
                '?' => Piece::One,
                '\\' => Piece::Exactly(characters.next().unwrap_or('\\')),
                other => Piece::Exactly(other),
            });
        }
        Self(pieces)
    }

    /// The only text that it matches.
    fn exact(&self) -> Option<String> {
        let character = |piece: &Piece| match piece {
            Piece::Exactly(character) => Some(*character),
            Piece::Any | Piece::One => None,
        };
        self.0.iter().map(character).collect()
    }

    /// Goes back to the last `*` where it goes wrong: at most as many steps as pieces times characters.
    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut piece, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(piece) {
                Some(Piece::Any) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                Some(Piece::One) => (piece, at) = (piece + 1, at + 1),
                Some(Piece::Exactly(character)) if *character == text[at] => {
                    (piece, at) = (piece + 1, at + 1);
                }
                Some(Piece::Exactly(_)) | None => {
                    let Some((star_piece, star_at)) = star else { return false };
                    star = Some((star_piece, star_at + 1));
                    (piece, at) = (star_piece + 1, star_at + 1);
                }
            }
        }
        self.0[piece..].iter().all(|piece| *piece == Piece::Any)
    }
}

/// What there is one of, or none.
pub(crate) fn one<V: AsRef<str>>(text: Option<V>) -> Vec<String> {
    text.into_iter().map(|text| text.as_ref().to_owned()).collect()
}

/// A number or a flag, as it is written.
pub(crate) fn shown<V: ToString>(value: Option<V>) -> Vec<String> {
    value.into_iter().map(|value| value.to_string()).collect()
}

/// Of each of a list: what `pick` finds in it.
pub(crate) fn each<'l, V, W: AsRef<str>>(
    list: &'l Option<Vec<V>>,
    pick: impl Fn(&'l V) -> Option<W>,
) -> Vec<String> {
    list.iter().flatten().filter_map(pick).map(|text| text.as_ref().to_owned()).collect()
}

/// What nothing here has.
pub(crate) fn never<T>(_: &T) -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_with_wildcards() {
        let check = |value: &str, yes: &[&str], no: &[&str]| {
            let pattern = Pattern::parse(value);
            for text in yes {
                assert!(pattern.matches(text), "{value} {text}");
            }
            for text in no {
                assert!(!pattern.matches(text), "{value} {text}");
            }
        };
        check("web", &["web"], &["Web", "webs", "we", ""]);
        check("web*", &["web", "web-1"], &["we", "aweb"]);
        check("*web*", &["web", "a web b"], &["we b"]);
        check("w?b", &["web", "wäb"], &["wb", "weeb"]);
        check("*a*b*c", &["abc", "xaxbxc", "abcabc"], &["abcx", "acb"]);
        check(r"a\*b", &["a*b"], &["axb", r"a\*b"]);
        check(r"a\", &[r"a\"], &["a"]);
        check("", &[""], &["a"]);
        check("*", &["", "x"], &[]);
        check("?*", &["x", "xy"], &[""]);
    }

    #[test]
    fn a_value_without_wildcards_is_the_only_text() {
        for (value, exact) in
            [("a", Some("a")), (r"a\*", Some("a*")), ("a*", None), ("?", None), ("", Some(""))]
        {
            assert_eq!(Pattern::parse(value).exact().as_deref(), exact, "{value}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = Pattern::parse(&("*a".repeat(120) + "b"));
        assert!(!pattern.matches(&"a".repeat(4000)));
    }
}
