//! Which IP addresses may be connected to.
//!
//! Users name hosts, and DNS names may lead anywhere. Public and private networks are allowed.
//! Loopback, link-local, metadata, unspecified, multicast and reserved addresses are forbidden
//! unless an administrator allows their network. Denied networks take precedence.
//!
//! Embedded IPv4 addresses (mapped, NAT64, 6to4) are checked as such.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The administrator's networks.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    /// Allowed networks, whatever the kind of address.
    pub allow: Vec<IpNet>,
    /// Denied networks; they take precedence.
    pub deny: Vec<IpNet>,
}

/// Why an address is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// A loopback address.
    Loopback,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// A cloud's metadata service.
    Metadata,
    /// 0.0.0.0/8 and ::, which many systems treat as loopback.
    Unspecified,
    /// A multicast address.
    Multicast,
    /// Reserved: 240.0.0.0/4, with the broadcast address.
    Reserved,
    /// In this denied network.
    Denied(IpNet),
}

impl fmt::Display for Forbidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Forbidden::Loopback => "a loopback address",
            Forbidden::LinkLocal => "a link-local address",
            Forbidden::Metadata => "the address of a cloud's metadata service",
            Forbidden::Unspecified => "an unspecified address",
            Forbidden::Multicast => "a multicast address",
            Forbidden::Reserved => "a reserved address",
            Forbidden::Denied(network) => return write!(out, "in the network {network}"),
        };
        out.write_str(kind)
    }
}

/// Metadata services outside link-local networks: Alibaba Cloud, Azure, Oracle's old one, and the
/// IPv6 ones of Amazon and Google.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Checks an address.
///
/// # Errors
/// The reason why it is forbidden.
pub fn check(address: IpAddr, networks: &Networks) -> Result<(), Forbidden> {
    let inner = innermost(address);
    // Networks and addresses may be in either family.
    let mapped = match inner {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        IpAddr::V6(_) => inner,
    };
    let holds = |network: &&IpNet| {
        [address, inner, mapped]
            .iter()
            .any(|form| network.contains(form))
    };
    if let Some(network) = networks.deny.iter().find(holds) {
        return Err(Forbidden::Denied(*network));
    }
    if networks.allow.iter().any(|network| holds(&network)) {
        return Ok(());
    }
    match classify(inner) {
        Some(forbidden) => Err(forbidden),
        None => Ok(()),
    }
}

/// The IP address of a literal in every spelling that systems accept: `127.0.0.1`, `::1`, `127.1`,
/// `0x7f.1`, `0177.0.0.1`, `2130706433`. `None` for a DNS name.
pub fn literal(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Some(address);
    }
    let parts: Option<Vec<u64>> = host.split('.').map(number).collect();
    let parts = parts.filter(|parts| parts.len() <= 4)?;
    let (last, first) = parts.split_last()?;
    let room = 8 * (4 - first.len() as u32);
    if first.iter().any(|part| *part > 255) || *last >= 1 << room {
        return None;
    }
    let high = first.iter().fold(0, |sum, part| sum << 8 | part);
    let bits = u32::try_from(high << room | last).ok()?;
    Some(IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

/// Parses a number in C's notation: decimal, octal or hexadecimal.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    let is_plain = digits.chars().all(|digit| digit.is_digit(radix));
    if !is_plain {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

fn classify(address: IpAddr) -> Option<Forbidden> {
    if METADATA.contains(&address) || address == IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)) {
        return Some(Forbidden::Metadata);
    }
    match address {
        IpAddr::V4(address) if address.is_loopback() => Some(Forbidden::Loopback),
        IpAddr::V4(address) if address.is_link_local() => Some(Forbidden::LinkLocal),
        IpAddr::V4(address) if address.octets()[0] == 0 => Some(Forbidden::Unspecified),
        IpAddr::V4(address) if address.is_multicast() => Some(Forbidden::Multicast),
        IpAddr::V4(address) if address.octets()[0] >= 240 => Some(Forbidden::Reserved),
        IpAddr::V4(_) => None,
        IpAddr::V6(address) if address.is_loopback() => Some(Forbidden::Loopback),
        IpAddr::V6(address) if address.is_unspecified() => Some(Forbidden::Unspecified),
        IpAddr::V6(address) if address.is_multicast() => Some(Forbidden::Multicast),
        // fe80::/10, and the deprecated site-local fec0::/10.
        IpAddr::V6(address) if address.segments()[0] & 0xff80 == 0xfe80 => {
            Some(Forbidden::LinkLocal)
        }
        IpAddr::V6(_) => None,
    }
}

/// The embedded IPv4 address of an IPv6 address, or the address itself.
fn innermost(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // Of ::/96, all but ::1 and :: are IPv4-compatible addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        // IPv4-translated addresses of SIIT.
        [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // NAT64: the well-known prefix, and the one for local use.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 1, _, _, _, high, low] => v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(address: &str, allow: &[&str]) -> Result<(), Forbidden> {
        checked_with(address, allow, &[])
    }

    fn checked_with(address: &str, allow: &[&str], deny: &[&str]) -> Result<(), Forbidden> {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let networks = Networks {
            allow: networks(allow),
            deny: networks(deny),
        };
        check(address.parse().unwrap(), &networks)
    }

    #[test]
    fn public_and_private_addresses_are_allowed() {
        for address in [
            "8.8.8.8",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "100.64.0.1",
            "2001:db8::1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(checked(address, &[]), Ok(()), "{address}");
        }
    }

    #[test]
    fn special_addresses_are_forbidden() {
        let cases = [
            ("127.0.0.1", Forbidden::Loopback),
            ("127.255.0.9", Forbidden::Loopback),
            ("::1", Forbidden::Loopback),
            ("169.254.0.1", Forbidden::LinkLocal),
            ("fe80::1", Forbidden::LinkLocal),
            ("febf::1", Forbidden::LinkLocal),
            ("fec0::1", Forbidden::LinkLocal),
            ("169.254.169.254", Forbidden::Metadata),
            ("100.100.100.200", Forbidden::Metadata),
            ("168.63.129.16", Forbidden::Metadata),
            ("fd00:ec2::254", Forbidden::Metadata),
            ("fd20:ce::254", Forbidden::Metadata),
            ("0.0.0.0", Forbidden::Unspecified),
            ("0.1.2.3", Forbidden::Unspecified),
            ("::", Forbidden::Unspecified),
            ("224.0.0.1", Forbidden::Multicast),
            ("ff02::1", Forbidden::Multicast),
            ("255.255.255.255", Forbidden::Reserved),
            ("240.0.0.1", Forbidden::Reserved),
        ];
        for (address, forbidden) in cases {
            assert_eq!(checked(address, &[]), Err(forbidden), "{address}");
        }
    }

    #[test]
    fn embedded_ipv4_address_is_checked() {
        let cases = [
            ("::ffff:127.0.0.1", Forbidden::Loopback),
            ("::ffff:169.254.169.254", Forbidden::Metadata),
            ("::127.0.0.1", Forbidden::Loopback),
            ("::ffff:0:127.0.0.1", Forbidden::Loopback),
            ("64:ff9b::169.254.169.254", Forbidden::Metadata),
            ("64:ff9b:1::127.0.0.1", Forbidden::Loopback),
            ("2002:7f00:1::", Forbidden::Loopback),
            ("::ffff:0.0.0.0", Forbidden::Unspecified),
        ];
        for (address, forbidden) in cases {
            assert_eq!(checked(address, &[]), Err(forbidden), "{address}");
        }
    }

    #[test]
    fn allowed_networks_are_allowed() {
        assert_eq!(checked("127.0.0.1", &["127.0.0.0/8"]), Ok(()));
        assert_eq!(checked("::ffff:127.0.0.1", &["127.0.0.0/8"]), Ok(()));
        assert_eq!(checked("::1", &["127.0.0.0/8"]), Err(Forbidden::Loopback));
        assert_eq!(checked("::1", &["127.0.0.0/8", "::1/128"]), Ok(()));
        assert_eq!(
            checked("169.254.169.254", &["127.0.0.0/8"]),
            Err(Forbidden::Metadata)
        );
    }

    #[test]
    fn denied_networks_win_over_allowed_ones() {
        let denied = |network: &str| Err(Forbidden::Denied(network.parse().unwrap()));
        let deny = ["192.168.0.0/16", "10.0.0.0/8", "fd00::/8"];
        let cases = [
            ("10.1.2.3", denied("10.0.0.0/8")),
            ("192.168.0.1", denied("192.168.0.0/16")),
            ("fd12::1", denied("fd00::/8")),
            ("::ffff:10.1.2.3", denied("10.0.0.0/8")),
            ("64:ff9b::10.1.2.3", denied("10.0.0.0/8")),
            ("2002:a01:203::", denied("10.0.0.0/8")),
            ("172.16.0.1", Ok(())),
            ("11.0.0.1", Ok(())),
            ("127.0.0.1", Err(Forbidden::Loopback)),
        ];
        for (address, expected) in cases {
            assert_eq!(checked_with(address, &[], &deny), expected, "{address}");
        }
        for allow in ["10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"] {
            let found = checked_with("10.1.2.3", &[allow], &deny);
            assert_eq!(found, denied("10.0.0.0/8"), "{allow}");
        }
        let mapped = "::ffff:10.0.0.0/104";
        assert_eq!(checked_with("10.1.2.3", &[], &[mapped]), denied(mapped));
        let all = ["0.0.0.0/0", "::/0"];
        assert_eq!(checked_with("8.8.8.8", &[], &all), denied("0.0.0.0/0"));
        assert_eq!(checked_with("2001:db8::1", &[], &all), denied("::/0"));
    }

    #[test]
    fn ip_literals_are_parsed_in_every_spelling() {
        let loopback = [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0X7F.0.0.1",
            "0177.0.0.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
        ];
        for host in loopback {
            assert_eq!(literal(host), "127.0.0.1".parse().ok(), "{host}");
        }
        assert_eq!(literal("[::1]"), "::1".parse().ok());
        assert_eq!(literal("0"), "0.0.0.0".parse().ok());
        for name in [
            "registry",
            "a.1",
            "1.2.3.4.5",
            "256.1",
            "1.2.65536",
            "08.1",
            "0xg",
            "4294967296",
            "1..2",
            "-1",
            "+1",
            "",
        ] {
            assert_eq!(literal(name), None, "{name}");
        }
    }
}
