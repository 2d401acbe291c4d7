//! Ids that Longshore draws.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct IdError;

/// Reads 32 lower-case hex digits, or the 36 characters of a UUID.
fn parse_hex128(text: &str) -> Result<u128, IdError> {
    let mut bits = 0_u128;
    let mut digits = 0;
    for (at, byte) in text.bytes().enumerate() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'-' if text.len() == 36 && matches!(at, 8 | 13 | 18 | 23) => continue,
            _ => return Err(IdError),
        };
        bits = (bits << 4) | u128::from(digit);
        digits += 1;
    }
    if digits == 32 { Ok(bits) } else { Err(IdError) }
}

/// The 32 lower-case hex digits. Answers are full of ids, and padding by `write!` is several times slower.
fn hex_digits(bits: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for (byte, pair) in bits.to_be_bytes().into_iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    digits
}

fn write_ascii(digits: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)
}

fn write_uuid(bits: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits = hex_digits(bits);
    let mut uuid = [b'-'; 36];
    for (from, to) in [(0..8, 0), (8..12, 9), (12..16, 14), (16..20, 19), (20..32, 24)] {
        uuid[to..to + from.len()].copy_from_slice(&digits[from]);
    }
    write_ascii(&uuid, f)
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        ///
        /// 32 hex digits in current ARNs, a UUID of 36 characters in the old format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(u128);

        impl $type {
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            pub const fn bits(self) -> u128 {
                self.0
            }

            /// Takes either text form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                parse_hex128(text).map(Self)
            }

            /// The UUID form, as old ARNs carry it.
            pub fn uuid(self) -> String {
                ContainerId(self.0).to_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_ascii(&hex_digits(self.0), f)
            }
        }
    };
}

hex_id! {
    /// A task.
    TaskId
}
hex_id! {
    /// A container instance.
    InstanceId
}

/// A container of a task: a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(u128);

impl ContainerId {
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    pub fn parse(text: &str) -> Result<Self, IdError> {
        parse_hex128(text).map(Self)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(self.0, f)
    }
}

/// A deployment of a service, a task set or a service revision: nineteen digits.
///
/// Shown as `ecs-svc/<digits>` where a deployment is meant (`deployments[].id`, `startedBy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(u64);

impl DeploymentId {
    const LOW: u64 = 1_000_000_000_000_000_000;
    /// The largest is `i64::MAX`, because clients may read the digits as a signed number.
    const HIGH: u64 = i64::MAX as u64;

    /// Any bits give a valid id.
    pub const fn from_bits(bits: u64) -> Self {
        Self(Self::LOW + bits % (Self::HIGH - Self::LOW))
    }

    /// The nineteen digits alone.
    pub const fn digits(self) -> u64 {
        self.0
    }

    /// Takes `ecs-svc/<19 digits>` or the digits alone.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("ecs-svc/").unwrap_or(text);
        if digits.len() != 19 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(IdError);
        }
        let number: u64 = digits.parse().map_err(|_| IdError)?;
        if (Self::LOW..=Self::HIGH).contains(&number) { Ok(Self(number)) } else { Err(IdError) }
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ecs-svc/{}", self.0)
    }
}

/// A service deployment (`ListServiceDeployments`): 21 characters of `A-Za-z0-9_-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceDeploymentId(u128);

impl ServiceDeploymentId {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    const LEN: usize = 21;
    /// 21 characters of six bits each.
    const MASK: u128 = (1 << (Self::LEN * 6)) - 1;

    pub const fn from_bits(bits: u128) -> Self {
        Self(bits & Self::MASK)
    }

    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() != Self::LEN {
            return Err(IdError);
        }
        text.bytes()
            .try_fold(0_u128, |bits, byte| {
                let digit = Self::ALPHABET.iter().position(|&b| b == byte).ok_or(IdError)?;
                Ok((bits << 6) | digit as u128)
            })
            .map(Self)
    }
}

impl fmt::Display for ServiceDeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in (0..Self::LEN).rev() {
            let digit = (self.0 >> (at * 6)) & 63;
            write!(f, "{}", char::from(Self::ALPHABET[digit as usize]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_task_id_parse() {
        let id = TaskId::from_bits(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef");
        assert_eq!(id.uuid(), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(TaskId::parse(&id.to_string()), Ok(id));
        assert_eq!(TaskId::parse(&id.uuid()), Ok(id));
        for bad in ["", "0123", "0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcde-"] {
            assert_eq!(TaskId::parse(bad), Err(IdError), "{bad}");
        }
    }

    #[test]
    fn deployment_ids_have_nineteen_digits() {
        for bits in [0, 1, u64::MAX, 12345] {
            let id = DeploymentId::from_bits(bits);
            assert_eq!(id.digits().to_string().len(), 19);
            assert_eq!(DeploymentId::parse(&id.to_string()), Ok(id));
        }
        assert_eq!(DeploymentId::parse("ecs-svc/1"), Err(IdError));
    }

    #[test]
    fn service_deployment_ids_round_trip() {
        for bits in [0, u128::MAX, 99] {
            let id = ServiceDeploymentId::from_bits(bits);
            assert_eq!(id.to_string().len(), 21);
            assert_eq!(ServiceDeploymentId::parse(&id.to_string()), Ok(id));
        }
    }
}
