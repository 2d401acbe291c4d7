//! What shapes look like, as static data that the code generator writes.
//!
//! Everything that does not need the Rust type of a member works from these tables: the member
//! names of every protocol, the checks of [`crate::check`], redaction in [`crate::debug_structure`].

/// One structure of a service model.
#[derive(Debug)]
pub struct StructSchema {
    /// The shape's name in the model.
    pub name: &'static str,
    /// The whole structure is a secret.
    pub sensitive: bool,
    /// Its element's name in XML, where it is the outermost and the model says another one than the shape's.
    pub xml_name: Option<&'static str>,
    pub xml_namespace: Option<XmlNamespace>,
    /// The member that is the whole body in the REST protocols.
    pub payload: Option<&'static str>,
    /// Sorted by name, so that a reader can look a member up by bisection.
    pub members: &'static [MemberSchema],
}

/// The name space that an XML element declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlNamespace {
    pub prefix: Option<&'static str>,
    pub uri: &'static str,
}

impl StructSchema {
    pub const fn new(name: &'static str, members: &'static [MemberSchema]) -> Self {
        let (xml_name, xml_namespace, payload) = (None, None, None);
        Self { name, sensitive: false, xml_name, xml_namespace, payload, members }
    }

    pub const fn xml_name(mut self, name: &'static str) -> Self {
        self.xml_name = Some(name);
        self
    }

    pub const fn xml_namespace(mut self, prefix: Option<&'static str>, uri: &'static str) -> Self {
        self.xml_namespace = Some(XmlNamespace { prefix, uri });
        self
    }

    pub const fn payload(mut self, member: &'static str) -> Self {
        self.payload = Some(member);
        self
    }

    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Position of the member that JSON and CBOR call `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.members.binary_search_by(|member| member.name.cmp(name)).ok()
    }
}

/// One member of a structure.
#[derive(Debug)]
pub struct MemberSchema {
    /// The member's name in the model, which is also its name in JSON and CBOR.
    pub name: &'static str,
    /// Its name in Query requests and XML responses (`locationName`), if that is another.
    pub xml_name: Option<&'static str>,
    /// Its name in EC2 requests (`queryName`), if the model gives one.
    pub ec2_name: Option<&'static str>,
    /// Where the REST protocols carry it.
    pub location: Location,
    /// An attribute of its structure's XML element, not an element of its own.
    pub xml_attribute: bool,
    pub required: bool,
    /// A secret: by the member itself or by the shape it has.
    pub sensitive: bool,
    /// A client fills it with a fresh token when the caller gives none.
    pub idempotency_token: bool,
    /// A text that stands for no value when it is empty: readers take it as absent. No model says so; patches do, for a
    /// service's requests and for the members in which an empty text is a value after all.
    pub absent_if_empty: bool,
    pub target: &'static TypeSchema,
}

impl MemberSchema {
    pub const fn new(name: &'static str, target: &'static TypeSchema) -> Self {
        Self {
            name,
            xml_name: None,
            ec2_name: None,
            location: Location::Body,
            xml_attribute: false,
            required: false,
            sensitive: false,
            idempotency_token: false,
            absent_if_empty: false,
            target,
        }
    }

    pub const fn location(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    pub const fn xml_attribute(mut self) -> Self {
        self.xml_attribute = true;
        self
    }

    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    pub const fn idempotency_token(mut self) -> Self {
        self.idempotency_token = true;
        self
    }

    pub const fn absent_if_empty(mut self) -> Self {
        self.absent_if_empty = true;
        self
    }

    pub const fn xml_name(mut self, name: &'static str) -> Self {
        self.xml_name = Some(name);
        self
    }

    pub const fn ec2_name(mut self, name: &'static str) -> Self {
        self.ec2_name = Some(name);
        self
    }
}

/// Where the REST protocols carry a member; the others know only the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    Body,
    Header(&'static str),
    /// All headers with this prefix are a map's entries.
    Headers(&'static str),
    /// A label of the path.
    Uri(&'static str),
    /// A parameter of the URL.
    Query(&'static str),
    /// The status of the answer.
    StatusCode,
}

/// A shape that can be the type of a member, with its constraints.
#[derive(Debug)]
pub struct TypeSchema {
    /// The shape's name in the model.
    pub name: &'static str,
    pub kind: Kind,
    /// Bounds of a number's value, or of the length of a string (in characters), list or map.
    pub min: Option<i64>,
    pub max: Option<i64>,
    /// A regular expression over a whole string. Checked only where it is a repeated character class.
    pub pattern: Option<&'static str>,
}

/// What a [`TypeSchema`] is made of.
#[derive(Debug)]
pub enum Kind {
    String,
    /// A string with a list of known values.
    Enum(&'static [&'static str]),
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Blob,
    Timestamp(TimestampFormat),
    Document,
    List(Collection),
    Map(Entries),
    Structure(&'static StructSchema),
}

/// The element of a list, and how XML and Query spell it.
#[derive(Debug)]
pub struct Collection {
    pub element: &'static TypeSchema,
    /// Element name in XML and Query; `member` when the model gives none.
    pub element_name: Option<&'static str>,
    pub flattened: bool,
}

/// The entries of a map, and how XML and Query spell them.
#[derive(Debug)]
pub struct Entries {
    pub key: &'static TypeSchema,
    pub value: &'static TypeSchema,
    /// Element names in XML and Query; `key` and `value` when the model gives none.
    pub key_name: Option<&'static str>,
    pub value_name: Option<&'static str>,
    pub flattened: bool,
}

/// How a model wants a timestamp spelled; `Default` leaves it to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    Default,
    EpochSeconds,
    Iso8601,
    Rfc822,
}

impl TypeSchema {
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, min: None, max: None, pattern: None }
    }

    pub const fn list(name: &'static str, element: &'static TypeSchema) -> Self {
        Self::new(name, Kind::List(Collection { element, element_name: None, flattened: false }))
    }

    pub const fn map(name: &'static str, key: &'static TypeSchema, value: &'static TypeSchema) -> Self {
        let entries = Entries { key, value, key_name: None, value_name: None, flattened: false };
        Self::new(name, Kind::Map(entries))
    }

    pub const fn min(mut self, min: i64) -> Self {
        self.min = Some(min);
        self
    }

    pub const fn max(mut self, max: i64) -> Self {
        self.max = Some(max);
        self
    }

    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }
}
