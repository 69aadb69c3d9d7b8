//! The objects as they are printed for people, who review them or apply them without an operator.
//!
//! They are what the operator applies but for two things, both of which depend on the uid that the API server gives a
//! resource: the owner references, and the hash by which the operator knows its own last write. A hash made without
//! the uid would never be the operator's, and on an object that someone else applied it would be untrue.

use serde_json::{Value, json};

use crate::runtime::names::APPLIED_HASH;

/// Takes from an object what only the operator can give it, and a namespace that isn't known.
pub fn without_owner(object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return;
    };
    metadata.remove("ownerReferences");
    if metadata.get("namespace").is_some_and(|name| name == "") {
        metadata.remove("namespace");
    }
    without_stamp(object);
}

/// Takes from an object the hash of what was last written.
pub(crate) fn without_stamp(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut()
        && let Some(annotations) = metadata.get_mut("annotations")
        && let Some(all) = annotations.as_object_mut()
    {
        all.remove(APPLIED_HASH);
        if all.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// One object as YAML. A long image name stays on its line, where people and `grep` look for it.
pub fn yaml(object: &Value) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(object, options).expect("JSON is YAML")
}

/// The objects as YAML documents.
pub fn to_yaml(objects: &[Value]) -> String {
    let documents: Vec<String> = objects.iter().map(yaml).collect();
    documents.join("---\n")
}

/// The objects as one List in JSON, as kubectl writes several.
pub fn to_json(objects: &[Value]) -> String {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    format!("{list:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_the_owner_is_taken_and_the_rest_stays() {
        let mut object = json!({
            "kind": "Service",
            "metadata": {
                "name": "webui",
                "namespace": "",
                "annotations": { APPLIED_HASH: "0123456789abcdef", "example.com/team": "training" },
                "ownerReferences": [{ "uid": "" }],
            },
        });
        without_owner(&mut object);
        assert_eq!(
            object,
            json!({ "kind": "Service", "metadata": { "name": "webui", "annotations": { "example.com/team": "training" } } })
        );
        let mut bare =
            json!({ "metadata": { "namespace": "demo", "annotations": { APPLIED_HASH: "0" } } });
        without_owner(&mut bare);
        assert_eq!(bare, json!({ "metadata": { "namespace": "demo" } }));
    }

    #[test]
    fn a_long_text_stays_on_its_line_and_lines_are_escaped() {
        let long = format!("registry.example.com/{}", "a ".repeat(100));
        let object = json!({ "image": long, "lines": "a\nb\n" });
        let wanted = format!("image: \"{long}\"\nlines: \"a\\nb\\n\"\n");
        assert_eq!(yaml(&object), wanted);
    }

    #[test]
    fn several_objects_are_documents_or_a_list() {
        let objects = [json!({ "a": "yes" }), json!({ "b": 1 })];
        assert_eq!(to_yaml(&objects), "a: \"yes\"\n---\nb: 1\n");
        let list: Value = serde_json::from_str(&to_json(&objects)).unwrap();
        assert_eq!(
            list,
            json!({ "apiVersion": "v1", "kind": "List", "items": objects })
        );
    }
}
