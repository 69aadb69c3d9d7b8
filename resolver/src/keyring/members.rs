//! JSON as Go's `encoding/json` decodes it into a struct: members in order, with duplicates, names
//! without case.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON value; only the kinds that matter here have content.
pub(super) enum Value {
    /// `null`.
    Null,
    /// A string.
    Text(String),
    /// An object.
    Object(Members),
    /// A number, a boolean or an array.
    Other,
}

/// The members of an object.
#[derive(Default)]
pub(super) struct Members(Vec<(String, Value)>);

impl Members {
    /// The values of a name, in order.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0
            .iter()
            .filter(move |(key, _)| is_same_name(key, name))
            .map(|(_, value)| value)
    }

    /// The same, by value.
    pub(super) fn into_named(self, name: &str) -> impl Iterator<Item = Value> {
        self.into_iter()
            .filter(move |(key, _)| is_same_name(key, name))
            .map(|(_, value)| value)
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl IntoIterator for Members {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Unicode case folding, by which `ſ` is an `s`; the names are ASCII.
fn is_same_name(key: &str, name: &str) -> bool {
    let folded = |letter: char| match letter {
        'ſ' => 's',
        _ => letter.to_ascii_lowercase(),
    };
    key.chars().map(folded).eq(name.chars().map(folded))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        from.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(member) = members.next_entry()? {
            read.push(member);
        }
        Ok(Value::Object(Members(read)))
    }
}
