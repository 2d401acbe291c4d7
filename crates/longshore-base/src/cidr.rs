//! Ranges of IPv4 addresses in CIDR notation: a network address and the length of its prefix (RFC 4632).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network such as `172.20.0.0/16`. The bits behind the prefix are zero. Stored as that text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The network address, as a number.
    first: u32,
    /// How many of its leading bits name the network: 0 to 32.
    prefix: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IPv4 network: write it like 172.20.0.0/16")]
pub struct CidrError;

impl Cidr {
    /// The network that `address` is in. `None` for a prefix above 32.
    pub fn of(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        let mask = match prefix {
            0 => 0,
            1..=32 => u32::MAX << (32 - prefix),
            33.. => return None,
        };
        Some(Self { first: address.to_bits() & mask, prefix })
    }

    /// The length of the prefix in bits, 0 to 32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The first address: the network address.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first)
    }

    /// The last address: the broadcast address.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first + u32::try_from(self.size() - 1).expect("at most 2^32 addresses"))
    }

    /// How many addresses it has, the first and the last included.
    pub fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        Self::of(address, self.prefix) == Some(self)
    }

    /// True if every address of `other` is in this network.
    pub fn includes(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first())
    }

    /// True if the two have an address in common: then one includes the other.
    pub fn overlaps(self, other: Self) -> bool {
        self.includes(other) || other.includes(self)
    }

    /// The `n`th address, counted from the first, which is number 0.
    pub fn nth(self, n: u64) -> Option<Ipv4Addr> {
        let n = u32::try_from(n).ok().filter(|_| n < self.size())?;
        Some(Ipv4Addr::from_bits(self.first + n))
    }

    /// Subnet number `index`, from 0, of the network divided into `count` subnets of equal size, rounded up to a power
    /// of two. `None` if the network is too small for that, or if there is no subnet of that number.
    pub fn subnet(self, index: u32, count: u32) -> Option<Self> {
        let subnets = count.max(1).checked_next_power_of_two()?;
        let prefix = u32::from(self.prefix) + subnets.trailing_zeros();
        let prefix = u8::try_from(prefix).ok().filter(|prefix| *prefix <= 32 && index < subnets)?;
        let size = 1_u64 << (32 - prefix);
        Self::of(self.nth(u64::from(index) * size)?, prefix)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `address/prefix`; any address of the network may stand for its network address.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.trim().split_once('/').ok_or(CidrError)?;
        let prefix = prefix.parse().map_err(|_| CidrError)?;
        Self::of(address.parse().map_err(|_| CidrError)?, prefix).ok_or(CidrError)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a network")
    }

    #[test]
    fn networks_are_read_and_written() {
        for (text, first, last, size) in [
            ("172.20.0.0/16", "172.20.0.0", "172.20.255.255", 65536),
            ("10.1.2.3/30", "10.1.2.0", "10.1.2.3", 4),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.3", 1),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", 1 << 32),
        ] {
            let cidr = cidr(text);
            assert_eq!((cidr.first().to_string(), cidr.last().to_string()), (first.into(), last.into()));
            assert_eq!(cidr.size(), size, "{text}");
            assert_eq!(cidr.to_string().parse(), Ok(cidr));
        }
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "a/8", "10.0.0.0/x"] {
            assert_eq!(bad.parse::<Cidr>(), Err(CidrError), "{bad}");
        }
    }

    #[test]
    fn addresses_are_inside_or_not() {
        let cidr = cidr("10.1.2.0/30");
        assert!(cidr.contains(Ipv4Addr::new(10, 1, 2, 3)));
        assert!(!cidr.contains(Ipv4Addr::new(10, 1, 2, 4)));
        assert_eq!(cidr.nth(3), Some(Ipv4Addr::new(10, 1, 2, 3)));
        assert_eq!(cidr.nth(4), None);
    }

    #[test]
    fn networks_lie_in_each_other_or_apart() {
        let check = |left: &str, right: &str, includes, overlaps| {
            let (left, right) = (cidr(left), cidr(right));
            assert_eq!((left.includes(right), left.overlaps(right)), (includes, overlaps), "{left} {right}");
            assert_eq!(left.overlaps(right), right.overlaps(left), "{left} {right}");
        };
        check("10.1.0.0/16", "10.1.2.0/24", true, true);
        check("10.1.2.0/24", "10.1.0.0/16", false, true);
        check("10.1.2.0/24", "10.1.2.0/24", true, true);
        check("10.1.2.0/24", "10.1.3.0/24", false, false);
        check("0.0.0.0/0", "255.255.255.255/32", true, true);
    }

    #[test]
    fn subnets_are_of_equal_size_and_do_not_overlap() {
        let whole = cidr("10.1.0.0/16");
        assert_eq!(whole.subnet(0, 1), Some(whole));
        let subnets: Vec<String> = (0..3).filter_map(|n| whole.subnet(n, 3)).map(|p| p.to_string()).collect();
        assert_eq!(subnets, ["10.1.0.0/18", "10.1.64.0/18", "10.1.128.0/18"]);
        assert_eq!(whole.subnet(4, 3), None);
        assert_eq!(cidr("10.1.0.0/31").subnet(0, 3), None);
    }
}
