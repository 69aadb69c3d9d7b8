//! The terminals of the grammar.

/// `[a-z0-9]+` words joined by one `.`, one or two `_`, or any number of `-`.
pub(super) fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    is_word(*first)
        && is_word(*last)
        && text
            .split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__")
                    || separator.bytes().all(|byte| byte == b'-')
            })
}

/// Path components joined by `/`.
pub(super) fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// A DNS name or an IPv6 address in brackets, with an optional port. The grammar checks neither the
/// address nor the port's range.
pub(crate) fn is_host(text: &str) -> bool {
    let (name, port) = split_port(text);
    let port_is_number = port.is_none_or(is_port);
    let name_is_host = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| {
            !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte == b':' || byte.is_ascii_hexdigit())
        }),
        None => name.split('.').all(is_host_label),
    };
    port_is_number && name_is_host
}

/// Splits `host:port`, with bracketed IPv6.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rfind(':') {
        Some(colon) if !text[colon..].contains(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_alphanumeric())
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
pub(super) fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// Whether the first element is a host rather than a Docker Hub path.
pub(super) fn looks_like_host(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.chars().flat_map(char::to_lowercase).ne(first.chars())
}
