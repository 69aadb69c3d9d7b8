//! Durations as Go writes them: `1s`, `1m30s`, `1.5h`.

use std::time::Duration;

/// The units, and their nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The longest that Go can tell.
const LONGEST: u128 = i64::MAX as u128;

/// Reads a duration; `None` for nothing, which Go takes for no limit. The error says what to write.
pub(super) fn parse(text: &str) -> Result<Option<Duration>, String> {
    let nanoseconds = nanoseconds(text)
        .filter(|nanoseconds| *nanoseconds <= LONGEST)
        .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
        .ok_or_else(|| format!("{text:?} is no duration: write one such as \"1s\" or \"500ms\""))?;
    Ok((nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds)))
}

fn nanoseconds(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut sum: u128 = 0;
    loop {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|letter: char| letter == '.' || letter.is_ascii_digit());
        let (name, after) = after.split_at(end.unwrap_or(after.len()));
        let (_, unit) = UNITS.iter().find(|(known, _)| *known == name)?;
        let whole: u128 = match whole {
            "" => 0,
            whole => whole.parse().ok()?,
        };
        // Digits below a billionth of an hour do not count in nanoseconds.
        let fraction = &fraction[..fraction.len().min(18)];
        let part = match fraction {
            "" => 0,
            digits => digits.parse::<u128>().ok()? * unit / 10u128.pow(digits.len() as u32),
        };
        sum = sum.checked_add(whole.checked_mul(*unit)?.checked_add(part)?)?;
        if after.is_empty() {
            return Some(sum);
        }
        rest = after;
    }
}

/// The digits at the start, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}
