//! Keys of a Docker configuration, parsed like Go's `net/url` and matched like the kubelet.
//!
//! Like Go strings they are bytes: decoded ones need not be UTF-8.

use std::net::Ipv6Addr;

/// A host with its port, and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    host: Vec<u8>,
    path: Vec<u8>,
}

impl Location {
    /// Parses a key: `[http[s]://]host[:port][/path]`. A leading `/v1/` or `/v2/` is dropped.
    pub(super) fn of_key(text: &str) -> Result<Location, &'static str> {
        let without_scheme = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let mut location = Location::parse(without_scheme.as_bytes())?;
        if location.path.starts_with(b"/v1/") || location.path.starts_with(b"/v2/") {
            location.path.drain(..3);
        }
        if location.path == b"/" {
            location.path.clear();
        }
        Ok(location)
    }

    /// Parses `host[:port][/path]`. Userinfo, query and fragment are dropped, percent-encoding is
    /// decoded.
    pub(crate) fn parse(text: &[u8]) -> Result<Location, &'static str> {
        let (rest, fragment) = split_before(text, b"#");
        if rest.iter().any(u8::is_ascii_control) {
            return Err(
                "its key has control characters: write a host such as `registry.example.com:5000`",
            );
        }
        percent_decode(fragment)
            .ok_or("its key has an invalid `%` escape after the `#`: remove both")?;
        let (rest, _) = split_before(rest, b"?");
        let (authority, path) = split_before(rest, b"/");
        let (login, host) = match authority.iter().rposition(|byte| *byte == b'@') {
            Some(at) => (&authority[..at], &authority[at + 1..]),
            None => (&b""[..], authority),
        };
        Ok(Location {
            host: read_host(host).filter(|_| is_login(login)).ok_or(
                "its key has an invalid host: write one such as `registry.example.com:5000`",
            )?,
            path: percent_decode(path)
                .ok_or("its key's path has an invalid `%` escape: write the path unescaped")?,
        })
    }

    /// Host and path, the sort key of credentials.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.host.as_slice(), &self.path].concat()
    }

    /// Whether a credential with this key matches the target.
    pub(crate) fn matches(&self, target: &Location) -> bool {
        let (host, port) = split_port(&self.host);
        let (target_host, target_port) = split_port(&target.host);
        let is_dot = |byte: &u8| *byte == b'.';
        port == target_port
            && target.path.starts_with(&self.path)
            && host.split(is_dot).count() == target_host.split(is_dot).count()
            && host
                .split(is_dot)
                .zip(target_host.split(is_dot))
                .all(|(glob, label)| glob_matches(glob, label))
    }
}

/// Whether an image, `host[:port]/repository` or a short name, is on Docker Hub.
pub(super) fn is_on_docker_hub(image: &str) -> bool {
    match image.split_once('/') {
        Some((host, _)) => {
            matches!(host, "docker.io" | "index.docker.io")
                || !host.is_empty() && !host.contains(['.', ':'])
        }
        None => !image.is_empty(),
    }
}

/// Splits before the first separator.
fn split_before<'a>(text: &'a [u8], separator: &[u8; 1]) -> (&'a [u8], &'a [u8]) {
    let end = text.iter().position(|byte| *byte == separator[0]);
    text.split_at(end.unwrap_or(text.len()))
}

/// Whether this is valid userinfo.
fn is_login(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte))
        && percent_decode(text).is_some()
}

/// Decodes a host and port; `None` if it is neither a name nor an address in brackets.
fn read_host(text: &[u8]) -> Option<Vec<u8>> {
    let is_port = |text: &[u8]| match text.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    match text.iter().rposition(|byte| *byte == b'[') {
        Some(0) => {
            let end = text.iter().rposition(|byte| *byte == b']')?;
            let (address, port) = (&text[1..end], &text[end + 1..]);
            if !is_port(port) {
                return None;
            }
            let address = decode_address(address)?;
            Some([b"[", address.as_slice(), b"]", port].concat())
        }
        Some(_) => None,
        None => {
            let (_, port) = split_before(text, b":");
            decode_name(text).filter(|_| is_port(port))
        }
    }
}

/// In a name only non-ASCII bytes and `%` may be encoded.
fn decode_name(text: &[u8]) -> Option<Vec<u8>> {
    let encodes = |escape: &[u8]| escape[0] >= b'8' || escape == b"25";
    let are_good = text.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => text.get(at + 1..at + 3).is_some_and(encodes),
        byte => is_host_byte(*byte),
    });
    percent_decode(text).filter(|_| are_good)
}

/// An IPv6 address with an optional zone after `%25`.
fn decode_address(text: &[u8]) -> Option<Vec<u8>> {
    let zone_at = text.windows(3).position(|three| three == b"%25");
    let (address, zone) = text.split_at(zone_at.unwrap_or(text.len()));
    let address = decode_name(address)?;
    let is_address = str::from_utf8(&address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    let decoded = percent_decode(zone)?;
    let is_zone = match decoded.split_first() {
        None => true,
        Some((_, name)) => {
            !name.is_empty()
                && name
                    .iter()
                    .all(|byte| is_host_byte(*byte) || matches!(byte, b' ' | b'%'))
        }
    };
    (is_address && is_zone).then(|| [address, decoded].concat())
}

fn is_host_byte(byte: u8) -> bool {
    !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

/// Decodes percent-encoding; `None` if an escape is invalid.
fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        let digits = str::from_utf8(tail.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    Some(bytes)
}

/// Splits like Go's `net.SplitHostPort`; on its errors, the whole text is the host.
fn split_port(text: &[u8]) -> (&[u8], &[u8]) {
    let whole = (text, &b""[..]);
    let Some(colon) = text.iter().rposition(|byte| *byte == b':') else {
        return whole;
    };
    let (host, port) = (&text[..colon], &text[colon + 1..]);
    let host = match text.starts_with(b"[") {
        true => match host {
            [b'[', address @ .., b']'] => address,
            _ => return whole,
        },
        false if host.contains(&b':') => return whole,
        false => host,
    };
    match host.iter().any(|byte| b"[]".contains(byte)) {
        true => whole,
        false => (host, port),
    }
}

/// Go's `filepath.Match`: `*` is any text, brackets are a set of bytes. So an IPv6 address without
/// a port, which keeps its brackets, matches another host.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| glob_matches(rest, &text[skip..])),
        Some((b'[', rest)) => match (text.split_first(), read_set(rest)) {
            (Some((first, text)), Some((ranges, rest))) => {
                ranges.iter().any(|range| range.contains(first)) && glob_matches(rest, text)
            }
            _ => false,
        },
        Some((letter, rest)) => text
            .split_first()
            .is_some_and(|(first, text)| first == letter && glob_matches(rest, text)),
    }
}

/// An inclusive range of bytes.
type Range = std::ops::RangeInclusive<u8>;

/// The ranges of a set after its opening bracket, and the rest; `None` if it is invalid.
fn read_set(mut glob: &[u8]) -> Option<(Vec<Range>, &[u8])> {
    let member = |glob: &mut &[u8]| {
        let (byte, rest) = glob.split_first()?;
        *glob = rest;
        (!b"-]".contains(byte) && !rest.is_empty()).then_some(*byte)
    };
    let mut ranges = Vec::new();
    loop {
        match glob {
            [b']', rest @ ..] if !ranges.is_empty() => return Some((ranges, rest)),
            _ => {
                let low = member(&mut glob)?;
                let high = match glob {
                    [b'-', rest @ ..] => {
                        glob = rest;
                        member(&mut glob)?
                    }
                    _ => low,
                };
                ranges.push(low..=high);
            }
        }
    }
}
