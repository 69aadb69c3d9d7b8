//! Texts that must fit somewhere.

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
