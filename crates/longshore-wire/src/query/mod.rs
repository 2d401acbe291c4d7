//! The Query protocols: a form goes in, XML comes out.
//!
//! A member is a path of names with dots between, `Tags.member.1.Key`. EC2's dialect names members otherwise and
//! flattens every list.

mod reader;
mod writer;

pub use reader::QueryReader;
pub use writer::QueryWriter;

use reader::member_name;

use crate::form::Form;
use crate::shape::{DecodeError, EachElement};

/// Which of the two protocols a form is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Query,
    Ec2,
}

/// Lends `take` a reader of an input. Parameters that it does not know are passed over, as AWS does; `Action`,
/// `Version` and the signature's are among them.
pub(crate) fn read(form: &Form<'_>, dialect: Dialect, take: &mut EachElement<'_>) -> Result<(), DecodeError> {
    take(&mut QueryReader::new(form, dialect))
}
