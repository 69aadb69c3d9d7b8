//! Text for people, in conditions, events and errors.

use std::fmt;

/// Text for people. It has no `PartialEq` and no `Deref` to `str`, so that no control flow can depend on its wording.
#[derive(Clone, Debug, Default)]
pub struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The longest text of a condition or an event, in bytes.
pub const TEXT_MAX: usize = 1000;

/// Cuts a text to at most `max` bytes, at a character's boundary, and marks the cut with `…` beyond them.
pub fn truncate(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_boundary() {
        let cases = [
            ("", 0, ""),
            ("rng", 3, "rng"),
            ("hasher", 3, "has…"),
            ("añb", 2, "a…"),
            ("añb", 3, "añ…"),
            ("añb", 4, "añb"),
        ];
        for (text, max, expected) in cases {
            assert_eq!(truncate(text, max), expected, "{text:?} to {max}");
        }
    }
}
