//! Whether two amounts are the same: the API server writes `0.5` as `500m`.

use serde_json::Value;

/// Whether both are Kubernetes quantities of the same size.
pub fn are_equal(a: &Value, b: &Value) -> bool {
    match (a.as_str().and_then(size), b.as_str().and_then(size)) {
        // The API server caps what is beyond 64 bits.
        (Some(a), Some(b)) => a.min(LARGEST) == b.min(LARGEST),
        _ => false,
    }
}

/// Everything is counted in thousandths: the API server rounds the amounts of resources up to them.
const DECIMALS: i32 = 3;
/// The largest amount that the API server keeps, in thousandths.
const LARGEST: i128 = (i64::MAX as i128) * 1000;

/// A quantity as digits × 10^exponent × 2^exponent, in the lowest terms of ten, so that equal amounts in one
/// family of suffixes have equal sizes; `None` if it isn't one, or too large to tell.
fn size(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (ten, two) = match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        exponent => (exponent.strip_prefix(['e', 'E'])?.parse().ok()?, 0),
    };
    let ten: i32 = ten;
    let scale = ten + DECIMALS - i32::try_from(fraction.len()).ok()?;
    let digits = digits.checked_mul(1 << two)?;
    match u32::try_from(scale) {
        Ok(scale) => digits.checked_mul(10i128.checked_pow(scale)?),
        Err(_) => {
            let divisor = 10i128.checked_pow(scale.unsigned_abs())?;
            Some(digits.div_euclid(divisor) + i128::from(digits.rem_euclid(divisor) != 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_equal_however_they_are_written() {
        for (a, b) in [
            ("0.5", "500m"),
            ("1", "1000m"),
            ("1.", "1"),
            (".5", "500m"),
            ("64Mi", "65536Ki"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("1.5Gi", "1536Mi"),
            // The API server rounds up to thousandths.
            ("100u", "1m"),
            ("0.0005", "1m"),
            ("9Ei", "9223372036854775807"),
        ] {
            assert!(are_equal(&a.into(), &b.into()), "{a} and {b}");
        }
    }

    #[test]
    fn amounts_differ_where_their_sizes_do_or_they_are_no_amounts() {
        for (a, b) in [
            ("0.5", "501m"),
            ("64Mi", "64M"),
            ("1", "1Ki"),
            ("", ""),
            ("x", "x"),
            ("1", "1x"),
        ] {
            assert!(!are_equal(&a.into(), &b.into()), "{a} and {b}");
        }
    }
}
