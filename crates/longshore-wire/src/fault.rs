//! What a call answers instead of its output: modelled errors, and faults. The errors that every service shares are in
//! [`crate::generic`].

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::generic::GenericErrorKind;
use crate::protocol::Family;
use crate::schema::{Kind, MemberSchema, StructSchema, TypeSchema};
use crate::shape::{ShapeWriter, Structure};

/// An error that a caller can be told, in any protocol.
pub trait ModeledError: Error + Send + Sync {
    /// The name that clients match on.
    fn code(&self) -> &'static str;
    /// The name of its shape, which the JSON protocols tell (`__type`) where the code is another.
    fn shape_name(&self) -> &'static str {
        self.code()
    }
    fn message(&self) -> &str;
    fn http_status(&self) -> u16;
    /// The name and the status by which clients of a family of protocols know it: names of shapes, or, in XML, Query's
    /// older codes. Errors that no model has differ more.
    fn told_in(&self, family: Family) -> (&'static str, u16) {
        let name = match family {
            Family::AwsJson | Family::RestJson => self.shape_name(),
            Family::Query | Family::Ec2 | Family::RestXml => self.code(),
        };
        (name, self.http_status())
    }
    /// The server's mistake rather than the caller's; clients retry these.
    fn is_server_fault(&self) -> bool;
    /// Writes the error as a structure: its message and whatever other members it has.
    fn encode(&self, writer: &mut dyn ShapeWriter);
    /// The cause that stays inside, for the log.
    fn hidden_cause(&self) -> Option<&(dyn Error + 'static)> {
        None
    }
}

/// A generated error structure. Every one of them is also a [`ModeledError`].
pub trait ErrorShape: Structure + Sized {
    const CODE: &'static str;
    const HTTP_STATUS: u16;
    const SERVER_FAULT: bool;

    fn new(message: impl Into<String>) -> Self;
    fn message(&self) -> &str;
}

/// Gives an error structure its text, status and `std::error::Error`.
///
/// `$message` is the member that holds the text.
#[macro_export]
macro_rules! error_shape {
    ($name:ident, code = $code:literal, status = $status:literal, server_fault = $fault:literal, message = $message:ident) => {
        impl $crate::ErrorShape for $name {
            const CODE: &'static str = $code;
            const HTTP_STATUS: u16 = $status;
            const SERVER_FAULT: bool = $fault;

            #[allow(clippy::needless_update, reason = "most errors have no other member, some do")]
            fn new(message: impl Into<String>) -> Self {
                Self { $message: Some(message.into()), ..Self::default() }
            }
            fn message(&self) -> &str {
                self.$message.as_deref().unwrap_or_default()
            }
        }

        impl $name {
            /// The error with this text and nothing else.
            pub fn new(message: impl Into<String>) -> Self {
                <Self as $crate::ErrorShape>::new(message)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str($crate::ErrorShape::message(self))
            }
        }

        impl ::std::error::Error for $name {}

        impl $crate::ModeledError for $name {
            fn code(&self) -> &'static str {
                $code
            }
            fn shape_name(&self) -> &'static str {
                stringify!($name)
            }
            fn message(&self) -> &str {
                $crate::ErrorShape::message(self)
            }
            fn http_status(&self) -> u16 {
                $status
            }
            fn is_server_fault(&self) -> bool {
                $fault
            }
            fn encode(&self, writer: &mut dyn $crate::ShapeWriter) {
                $crate::Shape::encode(self, writer);
            }
        }
    };
}

/// Defines what one operation may answer other than its output: one variant per modelled error,
/// [`Fault`] for whatever goes wrong inside, and [`Denied`] for what the caller may not do.
///
/// Each error structure converts into each enumeration that lists it. A function that serves many
/// operations returns the structure itself (`?` converts), or is generic over
/// `E: From<ClusterNotFoundException> + From<ClientException>`.
#[macro_export]
macro_rules! operation_error {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub enum $name {
            $($variant($variant),)*
            /// A failure inside, told to the caller without its cause.
            Fault($crate::Fault),
            /// The caller may not do it.
            Denied($crate::Denied),
        }

        impl $name {
            fn inner(&self) -> &dyn $crate::ModeledError {
                match self {
                    $(Self::$variant(error) => error,)*
                    Self::Fault(error) => error,
                    Self::Denied(error) => error,
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(error: $variant) -> Self {
                Self::$variant(error)
            }
        })*

        impl From<$crate::Fault> for $name {
            fn from(fault: $crate::Fault) -> Self {
                Self::Fault(fault)
            }
        }

        impl From<$crate::Denied> for $name {
            fn from(denied: $crate::Denied) -> Self {
                Self::Denied(denied)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.inner().message())
            }
        }

        impl ::std::error::Error for $name {
            fn source(&self) -> Option<&(dyn ::std::error::Error + 'static)> {
                self.inner().hidden_cause()
            }
        }

        impl $crate::ModeledError for $name {
            fn code(&self) -> &'static str {
                self.inner().code()
            }
            fn shape_name(&self) -> &'static str {
                self.inner().shape_name()
            }
            fn message(&self) -> &str {
                self.inner().message()
            }
            fn http_status(&self) -> u16 {
                self.inner().http_status()
            }
            fn told_in(&self, family: $crate::Family) -> (&'static str, u16) {
                self.inner().told_in(family)
            }
            fn is_server_fault(&self) -> bool {
                self.inner().is_server_fault()
            }
            fn encode(&self, writer: &mut dyn $crate::ShapeWriter) {
                self.inner().encode(writer);
            }
            fn hidden_cause(&self) -> Option<&(dyn ::std::error::Error + 'static)> {
                self.inner().hidden_cause()
            }
        }
    };
}

/// A failure of the server's own, or an error that no model has. Of the former the caller reads a fixed text; the cause
/// goes to the log.
///
/// Told as `ServerException`, HTTP 500, the name that ECS and its relatives model, and in XML as `InternalFailure` or
/// `InternalError`; what the caller has to change, as `ClientException`, 400, or XML's words for it, unless its service
/// has a name for it.
#[derive(Clone)]
pub struct Fault {
    message: Cow<'static, str>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
    kind: FaultKind,
}

/// Whose doing it is, and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultKind {
    /// The server's.
    Inside,
    /// The caller's after all, so that asking again is of no use.
    Final,
    /// The caller's, by the name and the status that the service documents.
    Named(&'static str, u16),
}

impl Fault {
    /// Hides `cause` behind a general text.
    pub fn hidden(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            message: Cow::Borrowed("An internal error occurred. Try the request again."),
            cause: Some(Arc::from(cause.into())),
            kind: FaultKind::Inside,
        }
    }

    /// A request that cannot be carried out as it is, for a reason that no model knows. The caller reads how to change it.
    pub fn final_refusal(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), cause: None, kind: FaultKind::Final }
    }

    /// The same where a service calls it a `ValidationException` and models none, as Secrets Manager, Systems Manager and
    /// KMS do.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::named(GenericErrorKind::Validation.code(), 400, message)
    }

    /// A refusal by an error that its service documents and its model does not list, as all of EC2's are. It is told by
    /// this name and this status, below 500, in every protocol.
    pub fn named(code: &'static str, http_status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), cause: None, kind: FaultKind::Named(code, http_status) }
    }

    /// A fault whose text the caller may read.
    pub fn told(message: &'static str) -> Self {
        Self { message: message.into(), cause: None, kind: FaultKind::Inside }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").field("message", &self.message).field("cause", &self.cause).finish()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.hidden_cause()
    }
}

impl ModeledError for Fault {
    fn code(&self) -> &'static str {
        match self.kind {
            FaultKind::Inside => "ServerException",
            FaultKind::Final => "ClientException",
            FaultKind::Named(code, _) => code,
        }
    }
    fn message(&self) -> &str {
        &self.message
    }
    fn http_status(&self) -> u16 {
        match self.kind {
            FaultKind::Inside => 500,
            FaultKind::Final => 400,
            FaultKind::Named(_, status) => status,
        }
    }
    fn told_in(&self, family: Family) -> (&'static str, u16) {
        let code = match (family, self.kind) {
            (_, FaultKind::Named(code, _)) => code,
            (Family::AwsJson | Family::RestJson, FaultKind::Inside | FaultKind::Final) => self.code(),
            (Family::Query, FaultKind::Final) => "ValidationError",
            (Family::Ec2 | Family::RestXml, FaultKind::Final) => "InvalidRequest",
            (Family::Query, FaultKind::Inside) => "InternalFailure",
            (Family::Ec2 | Family::RestXml, FaultKind::Inside) => "InternalError",
        };
        (code, self.http_status())
    }
    fn is_server_fault(&self) -> bool {
        self.kind == FaultKind::Inside
    }
    fn encode(&self, writer: &mut dyn ShapeWriter) {
        encode_message(&self.message, writer);
    }
    fn hidden_cause(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// The caller may not do what he asks for. Told as the services tell it, whether a model says so or not
/// ([`GenericErrorKind::AccessDenied`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    message: String,
}

impl Denied {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Denied {}

impl ModeledError for Denied {
    fn code(&self) -> &'static str {
        GenericErrorKind::AccessDenied.code()
    }
    fn message(&self) -> &str {
        &self.message
    }
    fn http_status(&self) -> u16 {
        self.told_in(Family::AwsJson).1
    }
    fn told_in(&self, family: Family) -> (&'static str, u16) {
        GenericErrorKind::AccessDenied.told_in(family)
    }
    fn is_server_fault(&self) -> bool {
        false
    }
    fn encode(&self, writer: &mut dyn ShapeWriter) {
        encode_message(&self.message, writer);
    }
}

static MESSAGE: TypeSchema = TypeSchema::new("String", Kind::String);
static MESSAGE_ONLY: StructSchema = StructSchema::new("Error", &[MemberSchema::new("message", &MESSAGE)]);

/// An error that is nothing but its text.
pub(crate) fn encode_message(message: &str, writer: &mut dyn ShapeWriter) {
    writer.begin_structure(&MESSAGE_ONLY);
    writer.member(&MESSAGE_ONLY.members[0]);
    writer.string(message);
    writer.end_structure();
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [Family; 5] =
        [Family::AwsJson, Family::RestJson, Family::Query, Family::Ec2, Family::RestXml];

    #[test]
    fn a_named_refusal_has_its_name_in_every_protocol() {
        let fault = Fault::named("DryRunOperation", 412, "would have succeeded");
        for family in FAMILIES {
            assert_eq!(fault.told_in(family), ("DryRunOperation", 412));
        }
        assert!(!fault.is_server_fault() && fault.hidden_cause().is_none());
        assert_eq!(
            (fault.code(), fault.http_status(), fault.message()),
            ("DryRunOperation", 412, "would have succeeded")
        );
    }

    #[test]
    fn what_is_the_servers_fault_hides_its_cause() {
        let fault = Fault::hidden("the disk is gone");
        assert_eq!(fault.told_in(Family::Ec2), ("InternalError", 500));
        assert!(fault.is_server_fault() && !fault.to_string().contains("disk"));
        assert_eq!(Fault::final_refusal("no").told_in(Family::Ec2), ("InvalidRequest", 400));
    }
}
