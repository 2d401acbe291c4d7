//! Conditions: operators over keys of the request (identity J6).
//!
//! All operators and keys of a statement have to hold, and one value of each key is enough; of a negated operator no
//! value may match. An absent key fails a positive operator, and a negated one holds for it.

use std::net::IpAddr;

use base64::Engine;
use longshore_base::Timestamp;
use longshore_wire::parse_iso8601;

use crate::context::Context;
use crate::pattern::{ArnPattern, Pattern, Variables};

/// One operator with one key and its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    quantifier: Quantifier,
    /// True also if the key is absent.
    if_exists: bool,
    negated: bool,
    /// In lower case.
    key: String,
    test: Test,
}

/// How the values of the request count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// No prefix: for keys of one value.
    Plain,
    ForAllValues,
    ForAnyValue,
}

/// What a value is held against. Values of the policy that cannot be read are left out: they match nothing.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    StringEquals(Vec<Pattern>),
    StringEqualsIgnoreCase(Vec<Pattern>),
    StringLike(Vec<Pattern>),
    Arn(Vec<ArnPattern>),
    Numeric(Order, Vec<f64>),
    /// Milliseconds since 1970.
    Date(Order, Vec<i64>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<Range>),
    /// True: the key has to be absent.
    Null(Vec<bool>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: T, limit: T) -> bool {
        match self {
            Self::Equal => value == limit,
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
        }
    }
}

impl Condition {
    /// `None` if there is no such operator.
    pub fn new(operator: &str, key: &str, values: &[String], variables: Variables) -> Option<Self> {
        let (quantifier, rest) = match operator.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::ForAllValues, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAnyValue, rest),
            Some(_) => return None,
            None => (Quantifier::Plain, operator),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let patterns = || values.iter().map(|value| Pattern::new(value, variables)).collect();
        let (negated, test) = match name {
            "StringEquals" => (false, Test::StringEquals(patterns())),
            "StringNotEquals" => (true, Test::StringEquals(patterns())),
            "StringEqualsIgnoreCase" => (false, Test::StringEqualsIgnoreCase(patterns())),
            "StringNotEqualsIgnoreCase" => (true, Test::StringEqualsIgnoreCase(patterns())),
            "StringLike" => (false, Test::StringLike(patterns())),
            "StringNotLike" => (true, Test::StringLike(patterns())),
            "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => {
                let arns = values.iter().map(|value| ArnPattern::new(value, variables)).collect();
                (name.starts_with("ArnNot"), Test::Arn(arns))
            }
            "Bool" => (false, Test::Bool(read(values, boolean))),
            "BinaryEquals" => (false, Test::Binary(read(values, binary))),
            "IpAddress" => (false, Test::Ip(read(values, address))),
            "NotIpAddress" => (true, Test::Ip(read(values, address))),
            "Null" if !if_exists => (false, Test::Null(read(values, boolean))),
            other => {
                let (is_date, order) = match (other.strip_prefix("Date"), other.strip_prefix("Numeric")) {
                    (Some(order), _) => (true, order),
                    (None, Some(order)) => (false, order),
                    (None, None) => return None,
                };
                let (negated, order) = match order {
                    "Equals" => (false, Order::Equal),
                    "NotEquals" => (true, Order::Equal),
                    "LessThan" => (false, Order::Less),
                    "LessThanEquals" => (false, Order::LessOrEqual),
                    "GreaterThan" => (false, Order::Greater),
                    "GreaterThanEquals" => (false, Order::GreaterOrEqual),
                    _unknown => return None,
                };
                let test = match is_date {
                    true => Test::Date(order, read(values, date)),
                    false => Test::Numeric(order, read(values, number)),
                };
                (negated, test)
            }
        };
        Some(Self { quantifier, if_exists, negated, key: key.to_ascii_lowercase(), test })
    }

    /// Whether it holds in this context.
    pub fn holds(&self, context: &Context) -> bool {
        let given = context.get(&self.key);
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&given.is_none_or(<[String]>::is_empty));
        }
        let Some(given) = given else {
            return match self.quantifier {
                Quantifier::Plain => self.if_exists || self.negated,
                Quantifier::ForAllValues => true,
                Quantifier::ForAnyValue => self.if_exists,
            };
        };
        let matched = |value: &String| self.test.matches(value, context) != self.negated;
        match (self.quantifier, self.negated) {
            (Quantifier::Plain, false) | (Quantifier::ForAnyValue, _) => given.iter().any(matched),
            (Quantifier::Plain, true) | (Quantifier::ForAllValues, _) => given.iter().all(matched),
        }
    }
}

impl Test {
    /// Whether one of the policy's values matches.
    fn matches(&self, value: &str, context: &Context) -> bool {
        match self {
            Self::StringEquals(patterns) => patterns.iter().any(|pattern| pattern.equals(value, context)),
            Self::StringEqualsIgnoreCase(patterns) => patterns.iter().any(|pattern| {
                pattern.text(context).is_some_and(|text| text.to_lowercase() == value.to_lowercase())
            }),
            Self::StringLike(patterns) => patterns.iter().any(|pattern| pattern.matches(value, context)),
            Self::Arn(patterns) => patterns.iter().any(|pattern| pattern.matches(value, context)),
            Self::Numeric(order, limits) => {
                number(value).is_some_and(|value| limits.iter().any(|&limit| order.holds(value, limit)))
            }
            Self::Date(order, limits) => {
                date(value).is_some_and(|value| limits.iter().any(|&limit| order.holds(value, limit)))
            }
            Self::Bool(wanted) => boolean(value).is_some_and(|value| wanted.contains(&value)),
            Self::Binary(wanted) => binary(value).is_some_and(|value| wanted.contains(&value)),
            Self::Ip(ranges) => {
                value.parse().is_ok_and(|address| ranges.iter().any(|range| range.contains(address)))
            }
            // Asked before any value is looked at.
            Self::Null(_) => false,
        }
    }
}

fn read<T>(values: &[String], one: impl Fn(&str) -> Option<T>) -> Vec<T> {
    values.iter().filter_map(|value| one(value)).collect()
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _other => None,
    }
}

fn binary(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// A decimal number. `inf`, `NaN` and the like, which Rust reads, are none, and neither is `1e999`, which it takes for
/// infinite.
fn number(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| is_decimal && number.is_finite())
}

/// Seconds since 1970, or ISO 8601 in the forms of the W3C's note: a month, a day, and a time with or without seconds
/// (identity J6). A year alone is a number of seconds.
fn date(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let time = parse_iso8601(text).or_else(|| parse_iso8601(&completed(text)?));
    time.map(Timestamp::as_millis)
}

/// A date or a time of day that is cut short, with the rest at its beginning.
fn completed(text: &str) -> Option<String> {
    match text.split_once('T') {
        None if text.len() == "2026-01".len() => Some(format!("{text}-01T00:00:00Z")),
        None => Some(format!("{text}T00:00:00Z")),
        Some((day, time)) => {
            // What follows is the time zone.
            let (minutes, zone) = time.split_at_checked("12:30".len())?;
            Some(format!("{day}T{minutes}:00{zone}"))
        }
    }
}

/// A range of addresses of one family, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u128,
    prefix: u32,
    is_v4: bool,
}

impl Range {
    fn contains(self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits(address);
        is_v4 == self.is_v4 && masked(bits, is_v4, self.prefix) == self.first
    }
}

/// An address as a number. An IPv4 address that came over an IPv6 socket is an IPv4 address.
fn bits(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (address.to_bits().into(), true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

fn masked(bits: u128, is_v4: bool, prefix: u32) -> u128 {
    let width = if is_v4 { 32 } else { 128 };
    bits.checked_shr(width - prefix).unwrap_or(0).checked_shl(width - prefix).unwrap_or(0)
}

fn address(text: &str) -> Option<Range> {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let (bits, is_v4) = bits(address.parse().ok()?);
    let width = if is_v4 { 32 } else { 128 };
    let prefix =
        prefix.map_or(Some(width), |prefix| prefix.parse().ok().filter(|prefix| *prefix <= width))?;
    Some(Range { first: masked(bits, is_v4, prefix), prefix, is_v4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, values: &[&str], given: Option<&[&str]>) -> bool {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let condition = Condition::new(operator, "Key", &values, Variables::Read).expect("an operator");
        let mut context = Context::new();
        if let Some(given) = given {
            context.set_all("kEY", given.iter().map(|value| (*value).to_owned()));
        }
        condition.holds(&context)
    }

    #[test]
    fn operators() {
        for (operator, value, good, bad) in [
            ("StringEquals", "a*", "a*", "ab"),
            ("StringEqualsIgnoreCase", "Red", "rED", "re"),
            ("StringLike", "a*", "ab", "Ab"),
            ("NumericLessThanEquals", "10.5", "10.50", "10.51"),
            ("NumericEquals", "10", "1e1", "x"),
            ("NumericGreaterThan", "-1", "0", "inf"),
            ("DateLessThan", "2026-01-01T00:00:00Z", "1767225599", "1767225600"),
            ("DateGreaterThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z"),
            ("Bool", "true", "TRUE", "false"),
            ("BinaryEquals", "AAE=", "AAE=", "AAA="),
            ("IpAddress", "10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("IpAddress", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("IpAddress", "2001:db8::/32", "2001:db8::1", "2001:db9::1"),
            ("IpAddress", "0.0.0.0/0", "1.2.3.4", "::1"),
            ("ArnEquals", "arn:aws:iam::*:role/a", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b"),
            ("ArnLike", "arn:aws:s3:::b/*", "arn:aws:s3:::b/x:y/z", "arn:aws:sns:::b/x"),
        ] {
            assert!(holds(operator, &[value], Some(&[good])), "{operator} {value} {good}");
            assert!(!holds(operator, &[value], Some(&[bad])), "{operator} {value} {bad}");
        }
        for (negated, value, good, bad) in [
            ("StringNotEquals", "a", "b", "a"),
            ("StringNotLike", "a*", "b", "ab"),
            ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", "10.0.0.1"),
            ("NumericNotEquals", "1", "2", "1"),
            ("ArnNotLike", "arn:aws:s3:::*", "arn:aws:sns:::b", "arn:aws:s3:::b"),
        ] {
            assert!(holds(negated, &[value], Some(&[good])), "{negated} {good}");
            assert!(!holds(negated, &[value], Some(&[bad])), "{negated} {bad}");
            assert!(!holds(negated, &["zzz", value], Some(&[bad])), "none of the values may match");
        }
    }

    #[test]
    fn absent_keys() {
        for (operator, expected) in [
            ("StringEquals", false),
            ("StringNotEquals", true),
            ("StringEqualsIfExists", true),
            ("ForAllValues:StringEquals", true),
            ("ForAnyValue:StringEquals", false),
            ("ForAnyValue:StringNotEquals", false),
            ("NotIpAddress", true),
            ("Bool", false),
        ] {
            assert_eq!(holds(operator, &["true"], None), expected, "{operator}");
        }
        assert!(holds("Null", &["true"], None) && !holds("Null", &["false"], None));
        assert!(holds("Null", &["false"], Some(&["x"])) && !holds("Null", &["true"], Some(&["x"])));
    }

    #[test]
    fn several_values() {
        let tags: Option<&[&str]> = Some(&["a", "b"]);
        assert!(holds("ForAllValues:StringEquals", &["a", "b", "c"], tags));
        assert!(!holds("ForAllValues:StringEquals", &["a"], tags));
        assert!(holds("ForAllValues:StringEquals", &["a"], Some(&[])));
        assert!(holds("ForAnyValue:StringEquals", &["b"], tags));
        assert!(!holds("ForAnyValue:StringEquals", &["b"], Some(&[])));
        assert!(holds("ForAllValues:StringNotEquals", &["c"], tags));
        assert!(holds("ForAnyValue:StringNotEquals", &["a"], tags));
    }

    #[test]
    fn what_is_no_operator() {
        for operator in
            ["", "stringequals", "StringEqualsIfexists", "NullIfExists", "ForSome:StringLike", "DateNear"]
        {
            assert_eq!(Condition::new(operator, "k", &[], Variables::Read), None, "{operator}");
        }
    }
}
