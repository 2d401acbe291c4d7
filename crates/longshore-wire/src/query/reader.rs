//! A form to shapes, by the schema: the form itself says nothing of types.

use std::borrow::Cow;
use std::cmp::Ordering;

use longshore_base::Timestamp;

use super::Dialect;
use crate::document::Document;
use crate::form::Form;
use crate::schema::{Collection, Entries, Kind, MemberSchema, StructSchema, TypeSchema};
use crate::shape::{DecodeError, DecodeReason, EachElement, EachEntry, EachMember, ShapeReader};
use crate::text;

/// What the elements of all lists and maps may occupy in memory, per byte of the form and besides: as in JSON, so that
/// in no protocol a short request becomes a large one.
const MEMORY_PER_BYTE: usize = 16;
const MEMORY_FLOOR: usize = 1024 * 1024;

/// How deep names may nest. The deepest modelled input has eight parts.
const DEPTH_MAX: usize = 32;

type Pairs<'f> = &'f [(Cow<'f, str>, Cow<'f, str>)];

/// Reads the value at one path of a form.
pub struct QueryReader<'f> {
    dialect: Dialect,
    /// All pairs that begin with the path and a dot, sorted.
    below: Pairs<'f>,
    /// Bytes of the path and its dot; zero at the top.
    skip: usize,
    /// The value of the path itself.
    value: Option<&'f str>,
    /// What stands here; `None` at the top, where the caller says it.
    schema: Option<&'static TypeSchema>,
    depth: usize,
    memory: usize,
}

impl<'f> QueryReader<'f> {
    pub fn new(form: &'f Form<'f>, dialect: Dialect) -> Self {
        let below = form.pairs();
        let bytes: usize = below.iter().map(|(name, value)| name.len() + value.len()).sum();
        let memory = bytes.saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FLOOR);
        Self { dialect, below, skip: 0, value: None, schema: None, depth: 0, memory }
    }

    /// The value at `name` below here, if anything is there.
    fn at(&self, name: &str, schema: &'static TypeSchema) -> Option<Self> {
        let against = |pair: &(Cow<'f, str>, Cow<'f, str>), end: &[u8]| -> Ordering {
            let rest = pair.0.as_bytes()[self.skip..].iter().copied();
            rest.cmp(name.bytes().chain(end.iter().copied()))
        };
        let value = self.below.binary_search_by(|pair| against(pair, b"")).ok().map(|at| &*self.below[at].1);
        // A slash is the byte after the dot.
        let start = self.below.partition_point(|pair| against(pair, b".") == Ordering::Less);
        let end = self.below.partition_point(|pair| against(pair, b"/") == Ordering::Less);
        let below = &self.below[start..end];
        if value.is_none() && below.is_empty() {
            return None;
        }
        let (skip, depth) = (self.skip + name.len() + 1, self.depth + 1);
        Some(Self {
            dialect: self.dialect,
            below,
            skip,
            value,
            schema: Some(schema),
            depth,
            memory: self.memory,
        })
    }

    /// What stands below here under numbers, in their order: the elements of a list.
    fn numbered(&self) -> Result<Vec<(u32, &'f str)>, DecodeError> {
        let mut found: Vec<(u32, &'f str)> = Vec::new();
        for (name, _) in self.below {
            let rest = &name[self.skip..];
            let segment = rest.split('.').next().unwrap_or_default();
            if found.last().is_some_and(|(_, last)| *last == segment) {
                continue;
            }
            let is_canonical = segment.bytes().all(|byte| byte.is_ascii_digit()) && !segment.starts_with('0');
            let number = segment.parse().ok().filter(|_| is_canonical);
            found.push((
                number.ok_or_else(|| DecodeError::new(DecodeReason::Malformed("list index")))?,
                segment,
            ));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Refuses what nests too deep.
    fn enter(&self) -> Result<(), DecodeError> {
        if self.depth > DEPTH_MAX { Err(DecodeError::new(DecodeReason::TooDeep(DEPTH_MAX))) } else { Ok(()) }
    }

    /// The text that stands here, of whatever type it should be.
    fn scalar(&self, expected: &'static str) -> Result<&'f str, DecodeError> {
        let found = || if self.below.is_empty() { "nothing" } else { "a structure" };
        self.value.ok_or_else(|| DecodeError::wrong_type(found(), expected))
    }

    /// Where the numbers of a list or map are: here, or below a name of their own.
    fn inner(&self, name: Option<&str>) -> Option<Self> {
        let schema = self.schema?;
        match name {
            Some(name) => self.at(name, schema),
            None => Some(Self { ..*self }),
        }
    }

    /// Hands the reader's budget to one below and takes it back.
    fn with<R>(
        &mut self,
        mut inner: Self,
        take: impl FnOnce(&mut Self) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        inner.memory = self.memory;
        let taken = take(&mut inner);
        self.memory = inner.memory;
        taken
    }
}

/// What a member is called in a form.
pub(super) fn member_name(member: &'static MemberSchema, dialect: Dialect) -> Cow<'static, str> {
    match dialect {
        Dialect::Ec2 => match (member.ec2_name, member.xml_name) {
            (Some(name), _) => Cow::Borrowed(name),
            // EC2 spells names of answers small, and of requests large.
            (None, name) => Cow::Owned(capitalised(name.unwrap_or(member.name))),
        },
        Dialect::Query => {
            // A flattened list is called as its elements are.
            if let Kind::List(Collection { element_name: Some(name), flattened: true, .. }) =
                &member.target.kind
            {
                return Cow::Borrowed(name);
            }
            Cow::Borrowed(member.xml_name.unwrap_or(member.name))
        }
    }
}

fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

impl ShapeReader for QueryReader<'_> {
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
        self.enter()?;
        for (position, member) in schema.members.iter().enumerate() {
            let Some(inner) = self.at(&member_name(member, self.dialect), member.target) else { continue };
            self.with(inner, |inner| each(position, inner)).map_err(|error| error.within(member.name))?;
        }
        Ok(())
    }

    fn list(&mut self, each: &mut EachElement<'_>) -> Result<(), DecodeError> {
        self.enter()?;
        let Some(Kind::List(Collection { element, element_name, flattened })) =
            self.schema.map(|schema| &schema.kind)
        else {
            return Err(DecodeError::new(DecodeReason::Malformed("list")));
        };
        // `Names=` is how an empty list is told.
        let is_flat = *flattened || self.dialect == Dialect::Ec2;
        let name = if is_flat { None } else { Some(element_name.unwrap_or("member")) };
        let Some(mut inner) = self.inner(name) else { return Ok(()) };
        inner.memory = self.memory;
        for (index, segment) in inner.numbered()? {
            let Some(found) = inner.at(segment, element) else { continue };
            inner.with(found, |found| each(found)).map_err(|error| error.within(format!("[{index}]")))?;
        }
        self.memory = inner.memory;
        Ok(())
    }

    fn map(&mut self, each: &mut EachEntry<'_>) -> Result<(), DecodeError> {
        self.enter()?;
        let Some(Kind::Map(Entries { key, value, key_name, value_name, flattened })) =
            self.schema.map(|schema| &schema.kind)
        else {
            return Err(DecodeError::new(DecodeReason::Malformed("map")));
        };
        let Some(mut inner) = self.inner((!flattened).then_some("entry")) else { return Ok(()) };
        inner.memory = self.memory;
        for (_, segment) in inner.numbered()? {
            // The schema of an entry is that of its map; only its two parts are asked for.
            let Some(entry) = self.schema.and_then(|schema| inner.at(segment, schema)) else { continue };
            let name = entry.at(key_name.unwrap_or("key"), key).map(|mut key| key.string()).transpose()?;
            let name =
                name.ok_or_else(|| DecodeError::new(DecodeReason::Malformed("map: an entry has no key")))?;
            let Some(found) = entry.at(value_name.unwrap_or("value"), value) else { continue };
            inner.with(found, |found| each(name, found)).map_err(|error| error.within("[..]"))?;
        }
        self.memory = inner.memory;
        Ok(())
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.scalar("String").map(str::to_owned)
    }

    fn integer(&mut self) -> Result<i32, DecodeError> {
        text::parsed(self.scalar("Integer")?, "Integer")
    }

    fn long(&mut self) -> Result<i64, DecodeError> {
        text::parsed(self.scalar("Long")?, "Long")
    }

    fn float(&mut self) -> Result<f32, DecodeError> {
        text::parsed(self.scalar("Float")?, "Float")
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        text::parsed(self.scalar("Double")?, "Double")
    }

    fn boolean(&mut self) -> Result<bool, DecodeError> {
        text::boolean(self.scalar("Boolean")?)
    }

    fn blob(&mut self) -> Result<Vec<u8>, DecodeError> {
        text::blob(self.scalar("Blob")?)
    }

    fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        text::timestamp(self.scalar("Timestamp")?)
    }

    fn document(&mut self) -> Result<Document, DecodeError> {
        // No Query service models one.
        self.scalar("Document").map(|text| Document::String(text.to_owned()))
    }
}
