//! Text to tree, by recursive descent. Everything that can be wrong is found here.

use std::borrow::Cow;
use std::ops::Range;

use longshore_base::Timestamp;
use regex_lite::{Regex, RegexBuilder};

use super::value::{Version, timestamp, whole_number};
use super::{DEPTH_MAX, EXPRESSION_LEN_MAX, QueryError};

/// What all compiled patterns of an expression may take together, in bytes. `t2.*` takes a few hundred.
///
/// The bound keeps counted repetitions such as `(a{1000}){1000}` from costing memory and time, and
/// so do many smaller ones: ninety of `a{900}` fit the longest expression, ten expressions fit a
/// request, and the views of a fleet remember hundreds of requests.
const PATTERNS_BYTES_MAX: usize = 32 * 1024;
/// The least that a pattern is charged; compilers tell no size, so it is found by doubling.
const PATTERN_BYTES_MIN: usize = 512;
const PATTERN_DEPTH_MAX: u32 = 32;
/// What Java puts around text that is no pattern.
const QUOTE: &str = r"\Q";
const UNQUOTE: &str = r"\E";

#[derive(Debug)]
pub(crate) enum Node {
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    Predicate(Predicate),
}

#[derive(Debug)]
pub(crate) enum Predicate {
    AgentConnected(TextTest),
    AgentVersion(Ordering, Version),
    Ec2InstanceId(TextTest),
    RegisteredAt(Ordering, Timestamp),
    RunningTasksCount(Ordering, u64),
    AttributeExists { name: String, exists: bool },
    AttributeText { name: String, test: TextTest },
    AttributeOrder { name: String, ordering: Ordering, value: String },
    Group(GroupTest),
}

/// A test of one text. Equality is membership in a list of one.
#[derive(Debug)]
pub(crate) enum TextTest {
    In { values: Vec<String>, negated: bool },
    Pattern { regex: Regex, negated: bool },
}

pub(crate) type GroupTest = TextTest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ordering {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Node {
    pub(crate) fn is_static(&self) -> bool {
        match self {
            Node::Or(parts) | Node::And(parts) => parts.iter().all(Node::is_static),
            Node::Not(inner) => inner.is_static(),
            Node::Predicate(predicate) => match predicate {
                Predicate::AgentConnected(_)
                | Predicate::AgentVersion(..)
                | Predicate::Ec2InstanceId(_)
                | Predicate::RegisteredAt(..)
                | Predicate::AttributeExists { .. }
                | Predicate::AttributeText { .. }
                | Predicate::AttributeOrder { .. } => true,
                Predicate::RunningTasksCount(..) | Predicate::Group(_) => false,
            },
        }
    }

    pub(crate) fn reads_attribute(&self, wanted: &str) -> bool {
        match self {
            Node::Or(parts) | Node::And(parts) => parts.iter().any(|part| part.reads_attribute(wanted)),
            Node::Not(inner) => inner.reads_attribute(wanted),
            Node::Predicate(predicate) => match predicate {
                Predicate::AttributeExists { name, .. }
                | Predicate::AttributeText { name, .. }
                | Predicate::AttributeOrder { name, .. } => name == wanted,
                Predicate::AgentConnected(_)
                | Predicate::AgentVersion(..)
                | Predicate::Ec2InstanceId(_)
                | Predicate::RegisteredAt(..)
                | Predicate::RunningTasksCount(..)
                | Predicate::Group(_) => false,
            },
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Node, QueryError> {
    if text.chars().count() > EXPRESSION_LEN_MAX {
        return Err(QueryError {
            span: 0..text.len(),
            problem: format!("the expression is longer than {EXPRESSION_LEN_MAX} characters"),
            hint: "shorten it, for example with in [..] or a pattern".to_owned(),
        });
    }
    let mut parser = Parser { text, at: 0, depth: 0, pattern_bytes: PATTERNS_BYTES_MAX };
    let node = parser.or()?;
    parser.skip_space();
    if parser.at < text.len() {
        let (problem, hint) = if parser.peek_char() == Some(')') {
            ("a closing parenthesis without an opening one", "remove it, or open one before")
        } else {
            (
                "the expression should have ended",
                "join predicates with `and` or `or`, and quote values with spaces",
            )
        };
        return Err(parser.error(parser.at..parser.word_end(), problem, hint));
    }
    Ok(node)
}

/// What an operator does, however it is written. `false` is the negated form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal(bool),
    /// One of the four that need an order.
    Order(Ordering),
    Exists(bool),
    In(bool),
    Matches(bool),
}

/// Longer spellings before their prefixes. Those that are words must end where a word ends.
const OPS: [(&str, Op); 22] = [
    ("==", Op::Equal(true)),
    ("=~", Op::Matches(true)),
    ("!=", Op::Equal(false)),
    ("!~", Op::Matches(false)),
    (">=", Op::Order(Ordering::GreaterOrEqual)),
    ("<=", Op::Order(Ordering::LessOrEqual)),
    (">", Op::Order(Ordering::Greater)),
    ("<", Op::Order(Ordering::Less)),
    ("equals", Op::Equal(true)),
    ("not_equals", Op::Equal(false)),
    ("greater_than_equal", Op::Order(Ordering::GreaterOrEqual)),
    ("greater_than", Op::Order(Ordering::Greater)),
    ("less_than_equal", Op::Order(Ordering::LessOrEqual)),
    ("less_than", Op::Order(Ordering::Less)),
    ("exists", Op::Exists(true)),
    ("!exists", Op::Exists(false)),
    ("not_exists", Op::Exists(false)),
    ("in", Op::In(true)),
    ("!in", Op::In(false)),
    ("not_in", Op::In(false)),
    ("matches", Op::Matches(true)),
    ("not_matches", Op::Matches(false)),
];

enum SubjectName {
    Text(TextSubject),
    Ordered(OrderedSubject),
    Attribute(String),
}

/// Compared as text, without an order.
enum TextSubject {
    AgentConnected,
    Ec2InstanceId,
    Group,
}

/// Compared by order only.
enum OrderedSubject {
    AgentVersion,
    RegisteredAt,
    RunningTasksCount,
}

struct Parser<'a> {
    text: &'a str,
    /// A byte offset on a character boundary.
    at: usize,
    depth: usize,
    /// What further patterns may take.
    pattern_bytes: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek_char(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// The end of the run without white space that begins here.
    fn word_end(&self) -> usize {
        self.rest().find(char::is_whitespace).map_or(self.text.len(), |len| self.at + len)
    }

    fn error(&self, span: Range<usize>, problem: impl Into<String>, hint: impl Into<String>) -> QueryError {
        QueryError { span, problem: problem.into(), hint: hint.into() }
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Eats a word that ends where a name could not go on.
    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.rest().strip_prefix(word).is_some_and(|after| !after.starts_with(is_name_char));
        if found {
            self.at += word.len();
        }
        found
    }

    fn or(&mut self) -> Result<Node, QueryError> {
        let mut parts = vec![self.and()?];
        loop {
            self.skip_space();
            if !(self.eat("||") || self.eat_word("or")) {
                break;
            }
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Node::Or(parts) })
    }

    fn and(&mut self) -> Result<Node, QueryError> {
        let mut parts = vec![self.unary()?];
        loop {
            self.skip_space();
            if !(self.eat("&&") || self.eat_word("and")) {
                break;
            }
            parts.push(self.unary()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Node::And(parts) })
    }

    fn unary(&mut self) -> Result<Node, QueryError> {
        self.skip_space();
        let start = self.at;
        if self.eat("!") || self.eat_word("not") {
            self.deeper(start)?;
            let inner = self.unary()?;
            self.depth -= 1;
            return Ok(Node::Not(Box::new(inner)));
        }
        if self.eat("(") {
            self.deeper(start)?;
            let inner = self.or()?;
            self.depth -= 1;
            self.skip_space();
            if !self.eat(")") {
                return Err(self.error(start..start + 1, "a parenthesis that is not closed", "add a `)`"));
            }
            return Ok(inner);
        }
        self.predicate().map(Node::Predicate)
    }

    fn deeper(&mut self, start: usize) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(
                start..self.at,
                format!("nested deeper than {DEPTH_MAX} levels"),
                "leave out parentheses that change nothing",
            ));
        }
        Ok(())
    }

    fn predicate(&mut self) -> Result<Predicate, QueryError> {
        let start = self.at;
        let subject = self.subject()?;
        let subject_span = start..self.at;
        self.skip_space();
        let (op, op_span) = self.op()?;
        let wrong_op = |parser: &Self, hint: &str| {
            let (op, subject) = (&parser.text[op_span.clone()], &parser.text[subject_span.clone()]);
            parser.error(op_span.clone(), format!("operator {op} cannot be used with {subject}"), hint)
        };
        match (subject, op) {
            (SubjectName::Ordered(subject), Op::Equal(true)) => self.ordered(subject, Ordering::Equal),
            (SubjectName::Ordered(subject), Op::Equal(false)) => self.ordered(subject, Ordering::NotEqual),
            (SubjectName::Ordered(subject), Op::Order(ordering)) => self.ordered(subject, ordering),
            (SubjectName::Ordered(_), Op::Exists(_) | Op::In(_) | Op::Matches(_)) => {
                Err(wrong_op(self, "use ==, !=, >, >=, < or <="))
            }
            (SubjectName::Text(_), Op::Order(_) | Op::Exists(_)) => {
                Err(wrong_op(self, "use ==, !=, in, !in, =~ or !~"))
            }
            (SubjectName::Text(subject), Op::Equal(positive)) => {
                let values = vec![self.value()?];
                self.text_predicate(subject, values, !positive)
            }
            (SubjectName::Text(subject), Op::In(positive)) => {
                let values = self.list()?;
                self.text_predicate(subject, values, !positive)
            }
            (SubjectName::Text(subject), Op::Matches(positive)) => {
                Ok(subject.tested(TextTest::Pattern { regex: self.pattern()?, negated: !positive }))
            }
            (SubjectName::Attribute(name), Op::Exists(exists)) => {
                Ok(Predicate::AttributeExists { name, exists })
            }
            (SubjectName::Attribute(name), Op::Order(ordering)) => {
                Ok(Predicate::AttributeOrder { name, ordering, value: self.value()?.0 })
            }
            (SubjectName::Attribute(name), Op::Equal(positive)) => {
                let test = TextTest::In { values: vec![self.value()?.0], negated: !positive };
                Ok(Predicate::AttributeText { name, test })
            }
            (SubjectName::Attribute(name), Op::In(positive)) => {
                let values = self.list()?.into_iter().map(|(value, _)| value).collect();
                Ok(Predicate::AttributeText { name, test: TextTest::In { values, negated: !positive } })
            }
            (SubjectName::Attribute(name), Op::Matches(positive)) => {
                let test = TextTest::Pattern { regex: self.pattern()?, negated: !positive };
                Ok(Predicate::AttributeText { name, test })
            }
        }
    }

    fn ordered(&mut self, subject: OrderedSubject, ordering: Ordering) -> Result<Predicate, QueryError> {
        let (value, span) = self.value()?;
        let invalid = |parser: &Self, what: &str, hint: &str| {
            parser.error(span.clone(), format!("`{}` is not {what}", clip(&value)), hint)
        };
        match subject {
            OrderedSubject::AgentVersion => Version::parse(&value)
                .map(|version| Predicate::AgentVersion(ordering, version))
                .ok_or_else(|| invalid(self, "a version", "write numbers with dots, such as 1.70.0")),
            OrderedSubject::RegisteredAt => timestamp(&value)
                .map(|at| Predicate::RegisteredAt(ordering, at))
                .ok_or_else(|| invalid(self, "a date", "write 2018-06-18 or 2018-06-18T22:28:28Z")),
            OrderedSubject::RunningTasksCount => whole_number(&value)
                .map(|count| Predicate::RunningTasksCount(ordering, count))
                .ok_or_else(|| invalid(self, "a number of tasks", "write a whole number")),
        }
    }

    fn text_predicate(
        &self,
        subject: TextSubject,
        values: Vec<(String, Range<usize>)>,
        negated: bool,
    ) -> Result<Predicate, QueryError> {
        let truth = |value: &str| matches!(value, "true" | "false");
        if matches!(subject, TextSubject::AgentConnected)
            && let Some((value, span)) = values.iter().find(|(value, _)| !truth(value))
        {
            return Err(self.error(
                span.clone(),
                format!("`{}` is neither true nor false", clip(value)),
                "agentConnected compares with true or false",
            ));
        }
        let values = values.into_iter().map(|(value, _)| value).collect();
        Ok(subject.tested(TextTest::In { values, negated }))
    }

    fn subject(&mut self) -> Result<SubjectName, QueryError> {
        let start = self.at;
        let len = self.rest().find(|c| !is_name_char(c)).unwrap_or(self.rest().len());
        self.at += len;
        let name = &self.text[start..self.at];
        let text = |subject| Ok(SubjectName::Text(subject));
        let ordered = |subject| Ok(SubjectName::Ordered(subject));
        match name {
            "agentConnected" => text(TextSubject::AgentConnected),
            "ec2InstanceId" => text(TextSubject::Ec2InstanceId),
            "task:group" => text(TextSubject::Group),
            "agentVersion" => ordered(OrderedSubject::AgentVersion),
            "registeredAt" => ordered(OrderedSubject::RegisteredAt),
            "runningTasksCount" => ordered(OrderedSubject::RunningTasksCount),
            "" => Err(self.error(
                start..self.word_end(),
                if start == self.text.len() {
                    "a predicate is missing"
                } else {
                    "a predicate should begin here"
                },
                "a predicate is like attribute:stack == prod",
            )),
            _ => match name.strip_prefix("attribute:") {
                Some("") => Err(self.error(
                    start..self.at,
                    "the attribute has no name",
                    "write the name directly after attribute:",
                )),
                Some(name) => Ok(SubjectName::Attribute(name.to_owned())),
                None => Err(self.error(
                    start..self.at,
                    format!("unknown subject `{}`", clip(name)),
                    "use agentConnected, agentVersion, ec2InstanceId, registeredAt, runningTasksCount, \
                     attribute:<name> or task:group",
                )),
            },
        }
    }

    fn op(&mut self) -> Result<(Op, Range<usize>), QueryError> {
        let start = self.at;
        for (spelling, op) in OPS {
            let is_word = spelling.ends_with(|c: char| c.is_ascii_alphabetic());
            if if is_word { self.eat_word(spelling) } else { self.eat(spelling) } {
                return Ok((op, start..self.at));
            }
        }
        let problem = if start == self.text.len() { "an operator is missing" } else { "unknown operator" };
        Err(self.error(
            start..self.word_end(),
            problem,
            "use ==, !=, >, >=, <, <=, in, !in, =~, !~, exists or !exists",
        ))
    }

    /// `[a, b]`, or a single value.
    fn list(&mut self) -> Result<Vec<(String, Range<usize>)>, QueryError> {
        self.skip_space();
        let start = self.at;
        if !self.eat("[") {
            return Ok(vec![self.value()?]);
        }
        let mut values = Vec::new();
        loop {
            values.push(self.scalar(Inside::List)?);
            self.skip_space();
            if self.eat("]") {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(self.error(
                    start..self.at,
                    "a list that is not closed",
                    "separate values with `,` and end the list with `]`",
                ));
            }
        }
    }

    fn value(&mut self) -> Result<(String, Range<usize>), QueryError> {
        self.scalar(Inside::Predicate)
    }

    /// A quoted text or a bare word.
    fn scalar(&mut self, inside: Inside) -> Result<(String, Range<usize>), QueryError> {
        self.skip_space();
        let start = self.at;
        if let Some(quote @ ('"' | '\'')) = self.peek_char() {
            self.at += 1;
            let Some(len) = self.rest().find(quote) else {
                return Err(self.error(
                    start..self.text.len(),
                    "a quoted value that is not closed",
                    format!("end it with {quote}"),
                ));
            };
            let value = self.rest()[..len].to_owned();
            self.at += len + 1;
            return Ok((value, start..self.at));
        }
        let len = bare_len(self.rest(), inside);
        let word = &self.rest()[..len];
        if word.is_empty() || matches!(word, "and" | "or" | "not") {
            return Err(self.error(
                start..start + len,
                "a value is missing",
                "write a word, or a text in quotes",
            ));
        }
        self.at += len;
        Ok((word.to_owned(), start..self.at))
    }

    fn pattern(&mut self) -> Result<Regex, QueryError> {
        let (pattern, span) = self.scalar(Inside::Pattern)?;
        let pattern = spelt_out(&pattern);
        let compile = |text: &str, most: usize| {
            RegexBuilder::new(text).size_limit(most).nest_limit(PATTERN_DEPTH_MAX).build()
        };
        // By itself first: `a)(b` would become valid between the parentheses that are added.
        let whole = format!("^(?:{pattern})$");
        let compiled = compile(&pattern, self.pattern_bytes).and_then(|_| {
            let mut most = PATTERN_BYTES_MIN;
            while most < self.pattern_bytes {
                if let Ok(regex) = compile(&whole, most) {
                    return Ok((regex, most));
                }
                most *= 2;
            }
            compile(&whole, self.pattern_bytes).map(|regex| (regex, self.pattern_bytes))
        });
        let (regex, charged) = compiled.map_err(|error| {
            self.error(
                span,
                format!("`{}` is not a usable pattern ({error})", clip(&pattern)),
                "patterns are regular expressions over the whole value, such as t2.*",
            )
        })?;
        self.pattern_bytes -= charged;
        Ok(regex)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Predicate,
    List,
    Pattern,
}

/// The pattern without Java's quotes: between `\Q` and `\E`, or the end, every character stands for itself.
fn spelt_out(pattern: &str) -> Cow<'_, str> {
    let Some(first) = quote_at(pattern) else { return Cow::Borrowed(pattern) };
    let (mut out, mut rest) = (pattern[..first].to_owned(), &pattern[first..]);
    while let Some(quoted) = rest.strip_prefix(QUOTE) {
        let (literal, after) = quoted.split_once(UNQUOTE).unwrap_or((quoted, ""));
        for c in literal.chars() {
            if c.is_whitespace() {
                // It may stand where `(?x)` would leave it out.
                out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
            } else {
                out.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
        let next = quote_at(after).unwrap_or(after.len());
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    Cow::Owned(out)
}

/// Where the next quote begins: `\\Q` is a backslash and a letter.
fn quote_at(pattern: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += pattern[at..].find('\\')?;
        if pattern[at..].starts_with(QUOTE) {
            return Some(at);
        }
        // Past the backslash and what it escapes.
        let escaped = pattern[at + 1..].chars().next()?;
        at += 1 + escaped.len_utf8();
    }
}

/// The length of the bare word at the start of `text`. It ends at white space, at the parenthesis
/// or bracket that closes what it stands in, and before `&&` and `||`; a pattern may have pairs
/// of its own.
fn bare_len(text: &str, inside: Inside) -> usize {
    let mut open = 0_usize;
    let mut escaped = false;
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        if quoted && !c.is_whitespace() {
            quoted = !text[..at + c.len_utf8()].ends_with(UNQUOTE);
            continue;
        }
        if escaped {
            escaped = false;
            quoted = c == 'Q';
            if !c.is_whitespace() {
                continue;
            }
        }
        match c {
            _ if c.is_whitespace() => return at,
            '\\' if inside == Inside::Pattern => escaped = true,
            '(' | '[' if inside == Inside::Pattern => open += 1,
            ')' | ']' if open > 0 => open -= 1,
            ')' => return at,
            '(' if inside == Inside::Predicate => return at,
            ']' | ',' if inside == Inside::List => return at,
            '&' | '|' if open == 0 && text[at + 1..].starts_with(c) => return at,
            _ => {}
        }
    }
    text.len()
}

/// Attribute names are letters, digits, `-`, `_`, `/`, `\` and `.`; `:` separates the prefix.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '\\' | '.' | ':')
}

impl TextSubject {
    fn tested(self, test: TextTest) -> Predicate {
        match self {
            TextSubject::AgentConnected => Predicate::AgentConnected(test),
            TextSubject::Ec2InstanceId => Predicate::Ec2InstanceId(test),
            TextSubject::Group => Predicate::Group(test),
        }
    }
}

/// What of a value is worth repeating in an error.
fn clip(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    if text.chars().count() <= SHOWN_MAX {
        text.to_owned()
    } else {
        text.chars().take(SHOWN_MAX).chain("...".chars()).collect()
    }
}
