//! Shapes to XML, by the schema: element names come from members, lists and maps.

use base64::Engine as _;
use longshore_base::Timestamp;

use super::{element_name, escape};
use crate::document::Document;
use crate::schema::{Collection, Entries, Kind, MemberSchema, StructSchema, TimestampFormat, TypeSchema};
use crate::shape::ShapeWriter;
use crate::text;

/// How a protocol spells what models leave open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Query and REST-XML.
    Aws,
    /// EC2, which repeats nothing: the elements of a list stand below its member as `item`.
    Ec2,
}

/// Elements that close with a value, innermost first.
type Tags = [Option<&'static str>; 2];
const NO_TAGS: Tags = [None, None];

/// The value that is written next, or what it is in.
#[derive(Debug)]
enum Frame {
    /// The members of a structure. `slot` is the one whose value comes next; `tag_end` is where attributes may still
    /// go into the structure's own tag.
    Structure {
        slot: Option<&'static MemberSchema>,
        tag_end: Option<usize>,
    },
    List {
        name: &'static str,
        element: &'static TypeSchema,
    },
    Map {
        entries: &'static Entries,
        entry: &'static str,
    },
}

/// Writes one structure. Its outermost element is the caller's: see [`XmlWriter::inside`].
#[derive(Debug)]
pub struct XmlWriter {
    style: Style,
    out: String,
    frames: Vec<Frame>,
    /// Elements to close after the value that is being written, per open value.
    closing: Vec<Tags>,
}

impl XmlWriter {
    /// A writer whose value's members go straight into `out`, which ends inside of their element.
    pub fn inside(out: String, style: Style) -> Self {
        Self { style, out, frames: Vec::new(), closing: Vec::new() }
    }

    pub fn into_text(self) -> String {
        self.out
    }

    fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Opens the elements of the value that comes now. Gives what is to be closed after it, and its schema.
    fn begin(&mut self) -> (Tags, Option<&'static TypeSchema>) {
        let (name, schema) = match self.frames.last_mut() {
            None => return (NO_TAGS, None),
            Some(Frame::Structure { slot, .. }) => {
                let member = slot.take().expect("a member is announced before its value");
                (element_name(member), member.target)
            }
            Some(Frame::List { name, element }) => (*name, *element),
            // The key has opened the entry.
            Some(Frame::Map { entries, entry }) => {
                let (name, entry, schema) = (entries.value_name.unwrap_or("value"), *entry, entries.value);
                self.open(name);
                return ([Some(name), Some(entry)], Some(schema));
            }
        };
        // The elements of a flattened collection stand where the collection would.
        let is_flat = match &schema.kind {
            Kind::List(Collection { flattened, .. }) | Kind::Map(Entries { flattened, .. }) => *flattened,
            Kind::String
            | Kind::Enum(_)
            | Kind::Integer
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::Boolean
            | Kind::Blob
            | Kind::Timestamp(_)
            | Kind::Document
            | Kind::Structure(_) => false,
        };
        if is_flat {
            return (NO_TAGS, Some(schema));
        }
        self.open(name);
        ([Some(name), None], Some(schema))
    }

    fn end(&mut self, names: Tags) {
        for name in names.into_iter().flatten() {
            self.close(name);
        }
    }

    /// The name of the member that a flattened collection stands for.
    fn slot_name(&self) -> &'static str {
        match self.frames.last() {
            Some(Frame::Structure { slot: Some(member), .. }) => element_name(member),
            Some(Frame::Structure { slot: None, .. } | Frame::List { .. } | Frame::Map { .. }) | None => {
                "member"
            }
        }
    }

    fn scalar(&mut self, text: &str) {
        // An attribute goes into the tag that its structure has just opened.
        if let Some(Frame::Structure { slot, tag_end: Some(at) }) = self.frames.last_mut()
            && let Some(member) = slot.filter(|member| member.xml_attribute)
        {
            let attribute = format!(" {}=\"{}\"", element_name(member), escape(text));
            self.out.insert_str(*at, &attribute);
            *slot = None;
            *at += attribute.len();
            return;
        }
        let (names, _) = self.begin();
        self.out.push_str(&escape(text));
        self.end(names);
    }

    fn finish(&mut self) {
        self.frames.pop();
        let names = self.closing.pop().unwrap_or(NO_TAGS);
        self.end(names);
    }
}

impl ShapeWriter for XmlWriter {
    fn begin_structure(&mut self, schema: &'static StructSchema) {
        let (names, _) = self.begin();
        // Attributes and a name space go before the bracket that ends the tag.
        let mut tag_end = (names != NO_TAGS).then(|| self.out.len() - 1);
        if let (Some(at), Some(namespace)) = (&mut tag_end, schema.xml_namespace) {
            let colon = if namespace.prefix.is_some() { ":" } else { "" };
            let declared =
                format!(" xmlns{colon}{}=\"{}\"", namespace.prefix.unwrap_or(""), escape(namespace.uri));
            self.out.insert_str(*at, &declared);
            *at += declared.len();
        }
        self.closing.push(names);
        self.frames.push(Frame::Structure { slot: None, tag_end });
    }

    fn member(&mut self, member: &'static MemberSchema) {
        if let Some(Frame::Structure { slot, .. }) = self.frames.last_mut() {
            *slot = Some(member);
        }
    }

    fn end_structure(&mut self) {
        self.finish();
    }

    fn begin_list(&mut self, _len: usize) {
        let flat_name = self.slot_name();
        let (names, schema) = self.begin();
        let Some(Kind::List(Collection { element, element_name, flattened })) =
            schema.map(|schema| &schema.kind)
        else {
            unreachable!("generated code writes a list where the schema has one");
        };
        let usual = match self.style {
            Style::Aws => "member",
            Style::Ec2 => "item",
        };
        let name = if *flattened { flat_name } else { element_name.unwrap_or(usual) };
        self.closing.push(names);
        self.frames.push(Frame::List { name, element });
    }

    fn end_list(&mut self) {
        self.finish();
    }

    fn begin_map(&mut self, _len: usize) {
        let flat_name = self.slot_name();
        let (names, schema) = self.begin();
        let Some(Kind::Map(entries)) = schema.map(|schema| &schema.kind) else {
            unreachable!("generated code writes a map where the schema has one");
        };
        let entry = if entries.flattened { flat_name } else { "entry" };
        self.closing.push(names);
        self.frames.push(Frame::Map { entries, entry });
    }

    fn key(&mut self, key: &str) {
        let Some(Frame::Map { entries, entry }) = self.frames.last() else {
            unreachable!("generated code writes keys inside of maps");
        };
        let (entry, name) = (*entry, entries.key_name.unwrap_or("key"));
        self.open(entry);
        self.open(name);
        self.out.push_str(&escape(key));
        self.close(name);
    }

    fn end_map(&mut self) {
        self.finish();
    }

    fn string(&mut self, value: &str) {
        self.scalar(value);
    }

    fn integer(&mut self, value: i32) {
        self.scalar(&value.to_string());
    }

    fn long(&mut self, value: i64) {
        self.scalar(&value.to_string());
    }

    fn float(&mut self, value: f32) {
        self.scalar(&text::real(f64::from(value), value.to_string()));
    }

    fn double(&mut self, value: f64) {
        self.scalar(&text::real(value, value.to_string()));
    }

    fn boolean(&mut self, value: bool) {
        self.scalar(if value { "true" } else { "false" });
    }

    fn blob(&mut self, value: &[u8]) {
        self.scalar(&base64::engine::general_purpose::STANDARD.encode(value));
    }

    fn timestamp(&mut self, value: Timestamp) {
        let schema = match self.frames.last() {
            Some(Frame::Structure { slot, .. }) => slot.map(|member| member.target),
            Some(Frame::List { element, .. }) => Some(*element),
            Some(Frame::Map { entries, .. }) => Some(entries.value),
            None => None,
        };
        self.scalar(&text::time(value, schema, TimestampFormat::Iso8601));
    }

    fn document(&mut self, value: &Document) {
        // No XML service models one.
        self.scalar(&format!("{value:?}"));
    }
}
