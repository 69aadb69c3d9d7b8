//! Durations in the syntax of Go's `time.ParseDuration`.

/// The units in nanoseconds. Unicode has two micro signs.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The most nanoseconds of a negative duration: Go counts them in an `int64`.
const NANOS_MAX: u64 = 1 << 63;

/// Parses `12h`, `1h30m`, `1.5s`, `-5m` or `0` into nanoseconds; `None` if invalid or out of range.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest)?;
        nanos = nanos.checked_add(part).filter(|sum| *sum <= NANOS_MAX)?;
        rest = after;
    }
    match negative {
        true => 0_i64.checked_sub_unsigned(nanos),
        false => i64::try_from(nanos).ok(),
    }
}

/// Parses one number with its unit; returns the rest.
fn parse_part(text: &str) -> Option<(u64, &str)> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest
        .find(|letter: char| letter == '.' || letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name)?;
    let whole = match whole {
        "" => 0,
        digits => digits.parse::<u64>().ok()?.checked_mul(*unit)?,
    };
    // Like Go, digits beyond 63 bits are ignored.
    let (fraction, scale) = fraction
        .bytes()
        .take(18)
        .fold((0_u64, 1_f64), |(value, scale), digit| {
            (value * 10 + u64::from(digit - b'0'), scale * 10.0)
        });
    let fraction = (fraction as f64 * (*unit as f64 / scale)) as u64;
    Some((
        whole
            .checked_add(fraction)
            .filter(|nanos| *nanos <= NANOS_MAX)?,
        rest,
    ))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0s", Some(0)),
            ("12h", Some(43_200_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("+1.5s", Some(1_500_000_000)),
            (".5m", Some(30_000_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("-5m", Some(-300_000_000_000)),
            ("3us4µs5μs", Some(12_000)),
            ("1m1m", Some(120_000_000_000)),
            ("0.1234567890123456789h", Some(444_444_440_444)),
            ("2562047h47m16.854775807s", Some(i64::MAX)),
            ("2562047h47m16.854775808s", None),
            ("-2562047h47m16.854775808s", Some(i64::MIN)),
            ("9999999999999999999s", None),
            ("", None),
            ("-", None),
            ("5", None),
            ("1d", None),
            (".s", None),
            ("1h ", None),
            (" 1h", None),
            ("--1h", None),
            ("1H", None),
            ("1 h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
