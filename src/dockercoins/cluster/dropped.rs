//! What the API server drops of a status, since the cluster's CRD is older than this operator and doesn't know it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::Value;
use tracing::warn;

use crate::api::crd_check::UPGRADE;
use crate::runtime::sync::lock;

/// The fields that were seen to be dropped, and told.
#[derive(Default)]
pub(super) struct Dropped(Mutex<BTreeSet<String>>);

impl Dropped {
    /// Gives the fields of a status that are not in what was stored of it, such as `status.components[].digest`, and
    /// says so once of each.
    pub(super) fn note(&self, sent: &Value, stored: &Value) -> BTreeSet<String> {
        let mut fields = BTreeSet::new();
        dropped("status".to_owned(), sent, stored, &mut fields);
        let mut told = lock(&self.0);
        let new: Vec<&str> = fields.difference(&told).map(String::as_str).collect();
        if !new.is_empty() {
            warn!(
                "the cluster's CRD is older than this operator, and drops {}. Upgrade it: {UPGRADE}",
                new.join(", ")
            );
        }
        told.extend(fields.iter().cloned());
        fields
    }
}

fn dropped(path: String, sent: &Value, stored: &Value, found: &mut BTreeSet<String>) {
    match (sent, stored) {
        // A merge patch takes away what is null.
        (Value::Null, _) => {}
        (_, Value::Null) => {
            found.insert(path);
        }
        (Value::Object(sent), stored) => {
            for (name, sent) in sent {
                dropped(format!("{path}.{name}"), sent, &stored[name], found);
            }
        }
        (Value::Array(sent), Value::Array(stored)) => {
            for (sent, stored) in sent.iter().zip(stored) {
                dropped(format!("{path}[]"), sent, stored, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_sent_and_not_stored_is_dropped_and_what_is_null_is_not() {
        let sent = json!({
            "replicas": 1,
            "selector": null,
            "components": [{ "name": "rng", "digest": "a", "login": null }, { "name": "hasher" }],
        });
        let stored =
            json!({ "replicas": 1, "components": [{ "name": "rng" }, { "name": "hasher" }] });
        let all = |stored: &Value| Dropped::default().note(&sent, stored);
        assert_eq!(
            all(&stored),
            ["status.components[].digest".to_owned()].into()
        );
        assert_eq!(
            all(&json!({ "components": sent["components"] })),
            ["status.replicas".to_owned()].into()
        );
        assert_eq!(all(&sent), BTreeSet::new());
    }
}
