//! Enumerations that survive values which the model does not list yet.

/// Defines a string enumeration of a service model: one variant per value, and `Unrecognized` for
/// any other text, so that decoding keeps what a caller sent and a check can name it.
///
/// (`Unrecognized`, because some models list a value `UNKNOWN`.)
#[macro_export]
macro_rules! string_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident = $value:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($variant,)*
            /// A value that the model does not list.
            Unrecognized(Box<str>),
        }

        impl $name {
            /// The values of the model, in its order.
            pub const VALUES: &'static [&'static str] = &[$($value),*];

            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $value,)*
                    Self::Unrecognized(value) => value,
                }
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                match value {
                    $($value => Self::$variant,)*
                    other => Self::Unrecognized(other.into()),
                }
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self::from(value.as_str())
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::Shape for $name {
            fn encode(&self, writer: &mut dyn $crate::ShapeWriter) {
                writer.string(self.as_str());
            }
            fn decode(reader: &mut dyn $crate::ShapeReader) -> Result<Self, $crate::DecodeError> {
                reader.string().map(Self::from)
            }
        }
    };
}
