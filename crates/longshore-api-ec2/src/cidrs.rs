//! Ranges of addresses as requests give them. EC2 takes any address of a network, and shows the first one.

use std::net::Ipv6Addr;
use std::sync::Arc;

use longshore_base::Cidr;

/// An IPv4 network; `None` if the text is none.
pub(crate) fn ipv4(text: &str) -> Option<Cidr> {
    let (_, prefix) = text.split_once('/')?;
    (text.trim() == text && is_number(prefix)).then(|| text.parse().ok()).flatten()
}

/// An IPv6 network in its canonical form (RFC 5952); `None` if the text is none.
pub(crate) fn ipv6(text: &str) -> Option<Arc<str>> {
    let (address, prefix) = text.split_once('/')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok().filter(|length| *length <= 128 && is_number(prefix))?;
    let mask = if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) };
    let first = Ipv6Addr::from_bits(address.to_bits() & mask);
    Some(format!("{first}/{prefix}").into())
}

fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_brought_to_their_form() {
        let four = |text| ipv4(text).map(|cidr| cidr.to_string());
        assert_eq!(four("10.1.2.3/16").as_deref(), Some("10.1.0.0/16"));
        assert_eq!(four("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        for bad in
            ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/08", " 10.0.0.0/8", "10.0.0/8", "::/0", ""]
        {
            assert_eq!(four(bad), None, "{bad}");
        }
        assert_eq!(ipv6("::/0").as_deref(), Some("::/0"));
        assert_eq!(ipv6("2001:DB8:0:0::1/32").as_deref(), Some("2001:db8::/32"));
        assert_eq!(ipv6("::1/128").as_deref(), Some("::1/128"));
        for bad in ["::", "::/129", "::/+1", "10.0.0.0/8", "g::/1"] {
            assert_eq!(ipv6(bad), None, "{bad}");
        }
    }
}
