//! Text for people, in conditions, events and errors.

use std::fmt;

/// Text for people. It has no `PartialEq` and no `Deref` to `str`, so that no control flow can depend on its wording.
#[derive(Clone, Debug, Default)]
pub struct Message(String);

impl Message {
    /// The sentences as one message.
    pub fn sentences(parts: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        let parts: Vec<String> = parts.into_iter().map(|part| part.to_string()).collect();
        Self(parts.join(". "))
    }
}

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

/// A text cut to `max` bytes, with an ellipsis where something is left out.
pub fn truncated(text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(truncated("rng".into(), 3), "rng");
        assert_eq!(truncated("rngs".into(), 3), "rng…");
        assert_eq!(truncated("rü…".into(), 2), "r…");
    }
}
