//! The REST protocols: members travel in the path, the URL, headers and the body.

use std::borrow::Cow;

use longshore_base::{Timestamp, percent};

use crate::document::Document;
use crate::json::{JsonReader, JsonWriter};
use crate::schema::{Kind, Location, MemberSchema, StructSchema, TimestampFormat, TypeSchema};
use crate::shape::{
    DecodeError, DecodeReason, EachElement, EachEntry, EachMember, ShapeReader, ShapeWriter, Structure,
};
use crate::text::{self, TextReader};
use crate::xml::{Element, Style, XmlReader, XmlWriter, escape};

/// What the body is written in, where it is not bytes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Json,
    Xml,
}

/// A request, as far as members travel in it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// As on the wire, percent-encoded.
    pub path: &'a str,
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl std::fmt::Debug for Request<'_> {
    /// Without what may be secret: that is the body, the query and every header.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("path", &self.path).field("body_bytes", &self.body.len()).finish()
    }
}

/// An answer, as far as members travel in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// If the output has a member for it.
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body is a member as it is: what type it has, the caller knows.
    pub is_raw: bool,
}

/// The labels of a path that has the form of `pattern` (`/{Bucket}/{Key+}`), decoded; `None` if it has another.
pub fn labels(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    walk(pattern, path, &mut |label, text| {
        found.push((label, percent::decode_path(text)?.into_owned()));
        Some(())
    })?;
    Some(found)
}

/// Whether a path has the form of `pattern`, whatever its labels hold.
pub fn has_form(pattern: &'static str, path: &str) -> bool {
    walk(pattern, path, &mut |_, _| Some(())).is_some()
}

/// Goes along a path and shows what stands for each label; `None` if it leaves the pattern, or `see` ends it.
fn walk(
    pattern: &'static str,
    path: &str,
    see: &mut dyn FnMut(&'static str, &str) -> Option<()>,
) -> Option<()> {
    let pattern = pattern.split('?').next().unwrap_or_default();
    let mut rest = Some(path.strip_prefix('/')?);
    for segment in pattern.strip_prefix('/')?.split('/') {
        let here = rest?;
        let label = segment.strip_prefix('{').and_then(|label| label.strip_suffix('}'));
        // A greedy label takes all that is left, slashes included.
        let is_greedy = label.is_some_and(|label| label.ends_with('+'));
        let (taken, after) = match here.split_once('/') {
            Some((taken, after)) if !is_greedy => (taken, Some(after)),
            Some(_) | None => (here, None),
        };
        rest = after;
        match label {
            Some(_) if taken.is_empty() => return None,
            Some(label) => see(label.trim_end_matches('+'), taken)?,
            None if segment == taken => {}
            None => return None,
        }
    }
    // A slash at the end is forgiven, as by most servers.
    rest.is_none_or(str::is_empty).then_some(())
}

/// Lends `take` a reader of an input whose operation has the path `pattern`.
pub(crate) fn read(
    request: &Request<'_>,
    pattern: &'static str,
    body: Body,
    take: &mut EachElement<'_>,
) -> Result<(), DecodeError> {
    let malformed = |what| DecodeError::new(DecodeReason::Malformed(what));
    let labels = labels(pattern, request.path).ok_or_else(|| malformed("path"))?;
    let mut query = Vec::new();
    for pair in request.query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |part| percent::decode(part).ok_or_else(|| malformed("query"));
        query.push((decoded(name)?, decoded(value)?));
    }
    take(&mut RestReader { labels, query, request, body })
}

/// Reads the outermost structure, which alone has members outside of the body.
struct RestReader<'a> {
    labels: Vec<(&'static str, String)>,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    request: &'a Request<'a>,
    body: Body,
}

impl RestReader<'_> {
    /// The texts that carry a member outside of the body.
    fn texts(&self, member: &'static MemberSchema) -> Vec<&str> {
        let header = |wanted: &'static str| {
            self.request.headers.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| *value)
        };
        match member.location {
            Location::Uri(name) => self
                .labels
                .iter()
                .filter(|(label, _)| *label == name)
                .map(|(_, text)| text.as_str())
                .collect(),
            Location::Query(name) => {
                self.query.iter().filter(|(other, _)| other == name).map(|(_, value)| &**value).collect()
            }
            // A list in a header has commas between its elements.
            Location::Header(name) if matches!(member.target.kind, Kind::List(_)) => {
                header(name).flat_map(|value| value.split(',')).map(str::trim).collect()
            }
            Location::Header(name) => header(name).collect(),
            Location::Headers(_) | Location::StatusCode | Location::Body => Vec::new(),
        }
    }

    fn read_body(
        &self,
        schema: &'static StructSchema,
        each: &mut EachMember<'_>,
        payload: Option<usize>,
    ) -> Result<(), DecodeError> {
        let bytes = self.request.body;
        if let Some(position) = payload {
            let member = &schema.members[position];
            let is_raw = !matches!(member.target.kind, Kind::Structure(_) | Kind::Document | Kind::List(_));
            return match self.body {
                // An absent body is an absent member.
                _ if bytes.is_empty() => Ok(()),
                _ if is_raw => each(position, &mut TextReader { texts: &[], raw: Some(bytes) }),
                _ if bytes.iter().all(u8::is_ascii_whitespace) => Ok(()),
                Body::Json => {
                    let mut reader = JsonReader::new(bytes)?;
                    each(position, &mut reader)?;
                    reader.finish()
                }
                Body::Xml => each(position, &mut XmlReader::new(&Element::parse(bytes)?)),
            }
            .map_err(|error| error.within(member.name));
        }
        let mut in_body =
            |position: usize, reader: &mut dyn ShapeReader| match schema.members[position].location {
                Location::Body => each(position, reader),
                // A member has one place; what stands in another is passed over, as AWS does.
                Location::Header(_)
                | Location::Headers(_)
                | Location::Uri(_)
                | Location::Query(_)
                | Location::StatusCode => reader.document().map(|_| ()),
            };
        match self.body {
            Body::Json => {
                let mut reader = JsonReader::new(bytes)?;
                reader.structure(schema, &mut in_body)?;
                reader.finish()
            }
            Body::Xml => XmlReader::new(&Element::parse(bytes)?).structure(schema, &mut in_body),
        }
    }
}

impl ShapeReader for RestReader<'_> {
    fn charge(&mut self, _bytes: usize) -> Result<(), DecodeError> {
        Ok(())
    }

    fn structure(
        &mut self,
        schema: &'static StructSchema,
        each: &mut EachMember<'_>,
    ) -> Result<(), DecodeError> {
        for (position, member) in schema.members.iter().enumerate() {
            if let Location::Headers(prefix) = member.location {
                let mut headers = PrefixReader { prefix, headers: self.request.headers };
                if headers.entries().next().is_some() {
                    each(position, &mut headers).map_err(|error| error.within(member.name))?;
                }
                continue;
            }
            let texts = self.texts(member);
            if !texts.is_empty() {
                let mut reader = TextReader { texts: &texts, raw: None };
                each(position, &mut reader).map_err(|error| error.within(member.name))?;
            }
        }
        let payload = schema.payload.and_then(|name| schema.position(name));
        let has_body = schema.members.iter().any(|member| member.location == Location::Body);
        if has_body { self.read_body(schema, each, payload) } else { Ok(()) }
    }

    fn list(&mut self, _: &mut EachElement<'_>) -> Result<(), DecodeError> {
        Err(DecodeError::wrong_type("a request", "List"))
    }
    fn map(&mut self, _: &mut EachEntry<'_>) -> Result<(), DecodeError> {
        Err(DecodeError::wrong_type("a request", "Map"))
    }
    fn string(&mut self) -> Result<String, DecodeError> {
        Err(DecodeError::wrong_type("a request", "String"))
    }
    fn integer(&mut self) -> Result<i32, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Integer"))
    }
    fn long(&mut self) -> Result<i64, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Long"))
    }
    fn float(&mut self) -> Result<f32, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Float"))
    }
    fn double(&mut self) -> Result<f64, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Double"))
    }
    fn boolean(&mut self) -> Result<bool, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Boolean"))
    }
    fn blob(&mut self) -> Result<Vec<u8>, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Blob"))
    }
    fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Timestamp"))
    }
    fn document(&mut self) -> Result<Document, DecodeError> {
        Err(DecodeError::wrong_type("a request", "Document"))
    }
}

/// All headers with a prefix, as the map that they are. Only [`ShapeReader::map`] is ever asked of it.
struct PrefixReader<'a> {
    prefix: &'static str,
    headers: &'a [(&'a str, &'a str)],
}

impl<'a> PrefixReader<'a> {
    fn entries(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let prefix = self.prefix;
        self.headers.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, *value)))
    }
}

macro_rules! only_a_map {
    ($($method:ident -> $type:ty;)*) => {$(
        fn $method(&mut self) -> Result<$type, DecodeError> {
            Err(DecodeError::wrong_type("headers", stringify!($type)))
        }
    )*};
}

impl ShapeReader for PrefixReader<'_> {
    fn charge(&mut self, _bytes: usize) -> Result<(), DecodeError> {
        Ok(())
    }
    fn map(&mut self, each: &mut EachEntry<'_>) -> Result<(), DecodeError> {
        self.entries()
            .try_for_each(|(key, value)| each(key.to_owned(), &mut TextReader { texts: &[value], raw: None }))
    }
    fn structure(&mut self, _: &'static StructSchema, _: &mut EachMember<'_>) -> Result<(), DecodeError> {
        Err(DecodeError::wrong_type("headers", "Structure"))
    }
    fn list(&mut self, _: &mut EachElement<'_>) -> Result<(), DecodeError> {
        Err(DecodeError::wrong_type("headers", "List"))
    }
    only_a_map! {
        string -> String;
        integer -> i32;
        long -> i64;
        float -> f32;
        double -> f64;
        boolean -> bool;
        blob -> Vec<u8>;
        timestamp -> Timestamp;
        document -> Document;
    }
}

/// Writes an output. `namespace` is declared by the outermost element of XML.
pub fn write(output: &dyn Structure, body: Body, namespace: Option<&str>) -> Answer {
    let mut writer = RestWriter::new(output.schema(), body, namespace);
    output.encode(&mut writer);
    writer.finish()
}

enum Inner {
    /// No member has gone into the body yet.
    None,
    Json(JsonWriter),
    Xml {
        writer: Box<XmlWriter>,
        root: &'static str,
    },
    Raw(Vec<u8>),
}

/// Where the value goes that is written now.
enum Target {
    Body,
    Header(String, Vec<String>),
    Headers(&'static str, Option<String>),
    Status,
    /// The whole body is this member.
    Payload,
}

struct RestWriter<'n> {
    schema: &'static StructSchema,
    kind: Body,
    namespace: Option<&'n str>,
    answer: Answer,
    inner: Inner,
    /// Open structures, lists and maps.
    depth: usize,
    target: Target,
    /// What is being written into a header or the status.
    carried: Option<&'static TypeSchema>,
    /// The element that a payload of text stands in, if it does.
    around: Option<&'static str>,
}

impl<'n> RestWriter<'n> {
    fn new(schema: &'static StructSchema, kind: Body, namespace: Option<&'n str>) -> Self {
        let (inner, target) = (Inner::None, Target::Body);
        Self {
            schema,
            kind,
            namespace,
            answer: Answer::default(),
            inner,
            depth: 0,
            target,
            carried: None,
            around: None,
        }
    }

    fn start(&mut self, root: &'static str, structure: Option<&'static StructSchema>) {
        self.inner = match self.kind {
            Body::Json => Inner::Json(JsonWriter::new()),
            Body::Xml => {
                let own = structure.and_then(|schema| schema.xml_namespace).map(|namespace| namespace.uri);
                let declared = own.or(self.namespace).map(|uri| format!(" xmlns=\"{}\"", escape(uri)));
                let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
                let text = format!("{head}<{root}{}>", declared.unwrap_or_default());
                Inner::Xml { writer: Box::new(XmlWriter::inside(text, Style::Aws)), root }
            }
        };
    }

    fn inner(&mut self) -> Option<&mut dyn ShapeWriter> {
        match &mut self.inner {
            Inner::Json(writer) => Some(writer),
            Inner::Xml { writer, .. } => Some(&mut **writer),
            Inner::None | Inner::Raw(_) => None,
        }
    }

    /// Takes the text of a scalar that travels in the head; `false` if the value belongs into the body.
    fn carry(&mut self, text: impl FnOnce(Option<&'static TypeSchema>) -> String) -> bool {
        let schema = self.carried;
        match &mut self.target {
            Target::Body => return false,
            Target::Payload => return matches!(self.inner, Inner::Raw(_)),
            Target::Header(_, texts) => texts.push(text(schema)),
            Target::Headers(prefix, key) => {
                if let Some(key) = key.take() {
                    self.answer.headers.push((format!("{prefix}{key}"), text(schema)));
                }
            }
            Target::Status => self.answer.status = text(schema).parse().ok(),
        }
        if self.depth == 1 {
            self.settle();
        }
        true
    }

    /// A member in the head is complete.
    fn settle(&mut self) {
        if let Target::Header(name, texts) = std::mem::replace(&mut self.target, Target::Body)
            && !texts.is_empty()
        {
            self.answer.headers.push((name, texts.join(",")));
        }
        self.carried = None;
    }

    fn is_in_head(&self) -> bool {
        matches!(self.target, Target::Header(..) | Target::Headers(..) | Target::Status)
    }

    /// Something opens, in the head or in the body.
    fn open(&mut self, begin: impl FnOnce(&mut dyn ShapeWriter)) {
        self.depth += 1;
        if !self.is_in_head()
            && let Some(inner) = self.inner()
        {
            begin(inner);
        }
    }

    fn close(&mut self, end: impl FnOnce(&mut dyn ShapeWriter)) {
        self.depth -= 1;
        if self.is_in_head() {
            if self.depth == 1 {
                self.settle();
            }
        } else if let Some(inner) = self.inner() {
            end(inner);
        }
    }

    fn scalar(
        &mut self,
        text: impl FnOnce(Option<&'static TypeSchema>) -> String,
        value: impl FnOnce(&mut dyn ShapeWriter),
    ) {
        if !self.carry(text)
            && let Some(inner) = self.inner()
        {
            value(inner);
        }
    }

    fn finish(mut self) -> Answer {
        match self.inner {
            Inner::None => {}
            Inner::Json(writer) => self.answer.body = writer.into_bytes(),
            Inner::Xml { writer, root } => {
                self.answer.body = format!("{}</{root}>", writer.into_text()).into_bytes();
            }
            Inner::Raw(bytes) => match self.around {
                None => (self.answer.body, self.answer.is_raw) = (bytes, true),
                Some(root) => {
                    let declared = self.namespace.map(|uri| format!(" xmlns=\"{}\"", escape(uri)));
                    let text = String::from_utf8_lossy(&bytes);
                    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
                    let (declared, text) = (declared.unwrap_or_default(), escape(&text));
                    self.answer.body = format!("{head}<{root}{declared}>{text}</{root}>").into_bytes();
                }
            },
        }
        self.answer
    }
}

impl ShapeWriter for RestWriter<'_> {
    fn begin_structure(&mut self, schema: &'static StructSchema) {
        if self.depth == 0 {
            let has_body = schema.members.iter().any(|member| member.location == Location::Body);
            if has_body && schema.payload.is_none() {
                self.start(schema.xml_name.unwrap_or(schema.name), Some(schema));
            }
            let payload = schema.payload.and_then(|name| schema.position(name));
            let is_text = payload
                .is_some_and(|at| matches!(schema.members[at].target.kind, Kind::String | Kind::Enum(_)));
            if is_text && self.kind == Body::Xml && schema.xml_name.is_some() {
                // It is there without the text too: so S3 tells of its first region.
                (self.around, self.inner) = (schema.xml_name, Inner::Raw(Vec::new()));
            }
        }
        self.open(|inner| inner.begin_structure(schema));
    }

    fn member(&mut self, member: &'static MemberSchema) {
        if self.depth > 1 {
            if let Some(inner) = self.inner() {
                inner.member(member);
            }
            return;
        }
        self.carried = Some(member.target);
        self.target = match member.location {
            Location::Header(name) => Target::Header(name.to_owned(), Vec::new()),
            Location::Headers(prefix) => Target::Headers(prefix, None),
            Location::StatusCode => Target::Status,
            Location::Body | Location::Uri(_) | Location::Query(_)
                if self.schema.payload == Some(member.name) =>
            {
                match &member.target.kind {
                    Kind::Structure(schema) => {
                        let name = schema.xml_name.or(member.xml_name).unwrap_or(schema.name);
                        self.start(name, Some(schema));
                    }
                    _ => self.inner = Inner::Raw(Vec::new()),
                }
                Target::Payload
            }
            Location::Body | Location::Uri(_) | Location::Query(_) => {
                if let Some(inner) = self.inner() {
                    inner.member(member);
                }
                Target::Body
            }
        };
    }

    fn end_structure(&mut self) {
        // With a payload the outermost structure itself was never begun in the body.
        if self.depth == 1 && self.schema.payload.is_some() {
            self.depth = 0;
            return;
        }
        self.close(|inner| inner.end_structure());
    }

    fn begin_list(&mut self, len: usize) {
        self.open(|inner| inner.begin_list(len));
    }
    fn end_list(&mut self) {
        self.close(|inner| inner.end_list());
    }
    fn begin_map(&mut self, len: usize) {
        self.open(|inner| inner.begin_map(len));
    }
    fn end_map(&mut self) {
        self.close(|inner| inner.end_map());
    }
    fn key(&mut self, text: &str) {
        match &mut self.target {
            Target::Headers(_, key) => *key = Some(text.to_owned()),
            Target::Body | Target::Payload | Target::Header(..) | Target::Status => {
                if let Some(inner) = self.inner() {
                    inner.key(text);
                }
            }
        }
    }
    fn string(&mut self, value: &str) {
        if let (Target::Payload, Inner::Raw(raw)) = (&self.target, &mut self.inner) {
            raw.extend_from_slice(value.as_bytes());
            return;
        }
        self.scalar(|_| value.to_owned(), |inner| inner.string(value));
    }
    fn integer(&mut self, value: i32) {
        self.scalar(|_| value.to_string(), |inner| inner.integer(value));
    }
    fn long(&mut self, value: i64) {
        self.scalar(|_| value.to_string(), |inner| inner.long(value));
    }
    fn float(&mut self, value: f32) {
        self.scalar(|_| text::real(f64::from(value), value.to_string()), |inner| inner.float(value));
    }
    fn double(&mut self, value: f64) {
        self.scalar(|_| text::real(value, value.to_string()), |inner| inner.double(value));
    }
    fn boolean(&mut self, value: bool) {
        self.scalar(|_| value.to_string(), |inner| inner.boolean(value));
    }
    fn blob(&mut self, value: &[u8]) {
        if let (Target::Payload, Inner::Raw(raw)) = (&self.target, &mut self.inner) {
            raw.extend_from_slice(value);
            return;
        }
        self.scalar(|_| String::from_utf8_lossy(value).into_owned(), |inner| inner.blob(value));
    }
    fn timestamp(&mut self, value: Timestamp) {
        let text = |schema| text::time(value, schema, TimestampFormat::Rfc822);
        self.scalar(text, |inner| inner.timestamp(value));
    }
    fn document(&mut self, value: &Document) {
        self.scalar(|_| String::new(), |inner| inner.document(value));
    }
}
