//! XML to shapes: the bodies of the REST-XML protocol.

use longshore_base::Timestamp;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::document::Document;
use crate::json::DEPTH_MAX;
use crate::schema::{Collection, Entries, Kind, MemberSchema, StructSchema, TypeSchema};
use crate::shape::{DecodeError, DecodeReason, EachElement, EachEntry, EachMember, ShapeReader};
use crate::text;

/// What the elements of all lists and maps may occupy, per byte of the body and besides. As in JSON.
const MEMORY_PER_BYTE: usize = 16;
const MEMORY_FLOOR: usize = 1024 * 1024;

/// How many elements a body may have: 1,000 objects of a DeleteObjects with five members each, and room.
const ELEMENTS_MAX: usize = 20_000;

/// One element of a body that was read whole. Names are without their prefix, as AWS reads them.
#[derive(Debug, Default)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a whole body; an empty one is an element without anything. A document type is refused: what it may define
    /// has no place in a request.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        Self::parse_up_to(body, ELEMENTS_MAX)
    }

    /// The same with a bound of its own: an answer that was asked for may have more elements than a request.
    pub fn parse_up_to(body: &[u8], elements_max: usize) -> Result<Self, DecodeError> {
        let syntax = |reader: &Reader<&[u8]>, what| {
            let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            DecodeError::new(DecodeReason::Syntax(what, at))
        };
        let text =
            std::str::from_utf8(body).map_err(|_| DecodeError::new(DecodeReason::Malformed("UTF-8")))?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Element> = Vec::new();
        let mut root: Option<Element> = None;
        let mut count = 0;
        loop {
            let event = reader.read_event().map_err(|_| syntax(&reader, "not well-formed XML"))?;
            match event {
                Event::Start(tag) | Event::Empty(tag) if count == elements_max || open.len() == DEPTH_MAX => {
                    let _ = tag;
                    return Err(DecodeError::new(DecodeReason::TooLarge));
                }
                Event::Start(tag) => {
                    count += 1;
                    open.push(
                        Self::begin(&tag).ok_or_else(|| syntax(&reader, "an attribute cannot be read"))?,
                    );
                }
                Event::Empty(tag) => {
                    count += 1;
                    let made =
                        Self::begin(&tag).ok_or_else(|| syntax(&reader, "an attribute cannot be read"))?;
                    Self::end(made, &mut open, &mut root).ok_or_else(|| syntax(&reader, "a second root"))?;
                }
                Event::End(_) => {
                    let made = open.pop().ok_or_else(|| syntax(&reader, "not well-formed XML"))?;
                    Self::end(made, &mut open, &mut root).ok_or_else(|| syntax(&reader, "a second root"))?;
                }
                Event::Text(part) => {
                    let part = part.decode().map_err(|_| syntax(&reader, "text that cannot be read"))?;
                    match open.last_mut() {
                        Some(element) => element.text.push_str(&part),
                        None if part.trim().is_empty() => {}
                        None => return Err(syntax(&reader, "text outside of the root")),
                    }
                }
                Event::CData(part) => {
                    let part = part.decode().map_err(|_| syntax(&reader, "text that cannot be read"))?;
                    let element =
                        open.last_mut().ok_or_else(|| syntax(&reader, "text outside of the root"))?;
                    element.text.push_str(&part);
                }
                Event::GeneralRef(reference) => {
                    let element =
                        open.last_mut().ok_or_else(|| syntax(&reader, "text outside of the root"))?;
                    let meant = meaning(&reference).ok_or_else(|| syntax(&reader, "unknown entity"))?;
                    element.text.push_str(&meant);
                }
                Event::DocType(_) => return Err(syntax(&reader, "a document type")),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof if open.is_empty() => return Ok(root.unwrap_or_default()),
                Event::Eof => return Err(syntax(&reader, "unexpected end")),
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own text, without that of its children.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn begin(tag: &BytesStart<'_>) -> Option<Self> {
        let local = |name: quick_xml::name::QName<'_>| {
            std::str::from_utf8(name.local_name().into_inner()).ok().map(str::to_owned)
        };
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            // The prefix counts: `xsi:type` is a member's own name.
            let name = std::str::from_utf8(attribute.key.into_inner()).ok()?.to_owned();
            attributes.push((name, attribute.unescape_value().ok()?.into_owned()));
        }
        Some(Self { name: local(tag.name())?, attributes, ..Self::default() })
    }

    /// Puts a complete element where it belongs; `None` if it is a second root.
    fn end(made: Self, open: &mut [Element], root: &mut Option<Element>) -> Option<()> {
        match open.last_mut() {
            Some(parent) => parent.children.push(made),
            None if root.is_none() => *root = Some(made),
            None => return None,
        }
        Some(())
    }

    fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>() + self.children.iter().map(Self::bytes).sum::<usize>()
    }
}

/// What an entity stands for: one of XML's five, or a character by its number.
fn meaning(reference: &BytesRef<'_>) -> Option<String> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Some(character.to_string());
    }
    let name = reference.decode().ok()?;
    resolve_predefined_entity(&name).map(str::to_owned)
}

/// Reads the value that one element holds, or that several of one name do.
pub struct XmlReader<'e> {
    /// More than one only where a flattened list or map stands.
    elements: Vec<&'e Element>,
    /// A member that is an attribute.
    attribute: Option<&'e str>,
    schema: Option<&'static TypeSchema>,
    memory: usize,
}

impl<'e> XmlReader<'e> {
    pub fn new(root: &'e Element) -> Self {
        let memory = root.bytes().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FLOOR);
        Self { elements: vec![root], attribute: None, schema: None, memory }
    }

    fn below(&self, elements: Vec<&'e Element>, schema: &'static TypeSchema) -> Self {
        Self { elements, attribute: None, schema: Some(schema), memory: self.memory }
    }

    fn member(&self, member: &'static MemberSchema) -> Option<Self> {
        let root = self.elements.first()?;
        let name = super::element_name(member);
        if member.xml_attribute {
            let (_, value) = root.attributes.iter().find(|(other, _)| other == name)?;
            let schema = Some(member.target);
            return Some(Self { elements: Vec::new(), attribute: Some(value), schema, memory: self.memory });
        }
        let found: Vec<&Element> = root.children.iter().filter(|child| child.name == name).collect();
        (!found.is_empty()).then(|| self.below(found, member.target))
    }

    fn one(&self, expected: &'static str) -> Result<&'e Element, DecodeError> {
        match self.elements[..] {
            [element] => Ok(element),
            [] => Err(DecodeError::wrong_type("nothing", expected)),
            [_, ..] => Err(DecodeError::wrong_type("several elements", expected)),
        }
    }

    fn text(&self, expected: &'static str) -> Result<&'e str, DecodeError> {
        match self.attribute {
            Some(text) => Ok(text),
            None => self.one(expected).map(|element| element.text.as_str()),
        }
    }

    fn with(
        &mut self,
        mut inner: Self,
        take: impl FnOnce(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        inner.memory = self.memory;
        let taken = take(&mut inner);
        self.memory = inner.memory;
        taken
    }
}

impl ShapeReader for XmlReader<'_> {
    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.memory =
            self.memory.checked_sub(bytes).ok_or_else(|| DecodeError::new(DecodeReason::TooLarge))?;
        Ok(())
    }

    fn structure(
        &mut self,
        schema: &'static StructSchema,
        each: &mut EachMember<'_>,
    ) -> Result<(), DecodeError> {
        self.one("Structure")?;
        for (position, member) in schema.members.iter().enumerate() {
            let Some(inner) = self.member(member) else { continue };
            self.with(inner, |inner| each(position, inner)).map_err(|error| error.within(member.name))?;
        }
        Ok(())
    }

    fn list(&mut self, each: &mut EachElement<'_>) -> Result<(), DecodeError> {
        let Some(Kind::List(Collection { element, element_name, flattened })) =
            self.schema.map(|schema| &schema.kind)
        else {
            return Err(DecodeError::new(DecodeReason::Malformed("list")));
        };
        let found: Vec<&Element> = if *flattened {
            self.elements.clone()
        } else {
            // Where the model has no name, EC2 says `item`, and the others `member`.
            let is_element = |child: &&Element| match element_name {
                Some(name) => child.name == *name,
                None => matches!(child.name.as_str(), "member" | "item"),
            };
            self.one("List")?.children.iter().filter(is_element).collect()
        };
        for (index, one) in found.into_iter().enumerate() {
            let inner = self.below(vec![one], element);
            self.with(inner, |inner| each(inner)).map_err(|error| error.within(format!("[{index}]")))?;
        }
        Ok(())
    }

    fn map(&mut self, each: &mut EachEntry<'_>) -> Result<(), DecodeError> {
        let Some(Kind::Map(Entries { value, key_name, value_name, flattened, .. })) =
            self.schema.map(|schema| &schema.kind)
        else {
            return Err(DecodeError::new(DecodeReason::Malformed("map")));
        };
        let entries: Vec<&Element> = if *flattened {
            self.elements.clone()
        } else {
            self.one("Map")?.children.iter().filter(|child| child.name == "entry").collect()
        };
        for entry in entries {
            let part = |name| entry.children.iter().find(|child| child.name == name);
            let (Some(key), Some(found)) =
                (part(key_name.unwrap_or("key")), part(value_name.unwrap_or("value")))
            else {
                return Err(DecodeError::new(DecodeReason::Malformed("map: an entry lacks a part")));
            };
            let inner = self.below(vec![found], value);
            self.with(inner, |inner| each(key.text.clone(), inner)).map_err(|error| error.within("[..]"))?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.text("String").map(str::to_owned)
    }
    fn integer(&mut self) -> Result<i32, DecodeError> {
        text::parsed(self.text("Integer")?, "Integer")
    }
    fn long(&mut self) -> Result<i64, DecodeError> {
        text::parsed(self.text("Long")?, "Long")
    }
    fn float(&mut self) -> Result<f32, DecodeError> {
        text::parsed(self.text("Float")?, "Float")
    }
    fn double(&mut self) -> Result<f64, DecodeError> {
        text::parsed(self.text("Double")?, "Double")
    }
    fn boolean(&mut self) -> Result<bool, DecodeError> {
        text::boolean(self.text("Boolean")?)
    }
    fn blob(&mut self) -> Result<Vec<u8>, DecodeError> {
        text::blob(self.text("Blob")?)
    }
    fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        text::timestamp(self.text("Timestamp")?)
    }
    fn document(&mut self) -> Result<Document, DecodeError> {
        self.text("Document").map(|text| Document::String(text.to_owned()))
    }
}
