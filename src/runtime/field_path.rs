//! Places in objects, and which field manager owns them.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use super::names::{MANAGER, RELEASE_MANAGER};

/// A place in an object. Displays as `spec.template.spec.containers[rng].image`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldPath(pub Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// To a field of an object.
    Field(String),
    /// To the item of a list whose key has this value.
    Item(&'static str, Value),
    /// To the item of a list without keys.
    Index(usize),
}

impl FieldPath {
    /// A path of fields alone.
    pub fn fields<const N: usize>(names: [&str; N]) -> Self {
        Self(names.map(|name| Step::Field(name.to_owned())).into())
    }

    /// A path of fields in dotted notation, such as `spec.worker.replicas`.
    pub fn dotted(path: &str) -> Self {
        Self(
            path.split('.')
                .map(|name| Step::Field(name.to_owned()))
                .collect(),
        )
    }

    /// The names of the fields along the path, without the items of lists.
    pub fn names(&self) -> Vec<&str> {
        let fields = self.0.iter().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            Step::Item(..) | Step::Index(_) => None,
        });
        fields.collect()
    }

    /// Calls `inner` with the path one step longer.
    pub fn within(&mut self, step: Step, inner: impl FnOnce(&mut Self)) {
        self.0.push(step);
        inner(self);
        self.0.pop();
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if name.contains(['.', '/']) => write!(f, "[{name}]")?,
                Step::Field(name) if i == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(_, Value::String(key)) => write!(f, "[{key}]")?,
                Step::Item(_, key) => write!(f, "[{key}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The managers of an object's fields, by its `managedFields`.
#[derive(Clone, Copy)]
pub struct Managers<'a>(pub &'a [ManagedFieldsEntry]);

impl Managers<'_> {
    /// The other manager that took a field last, if another one owns it.
    pub fn other(&self, path: &FieldPath) -> Option<String> {
        let owners = self.0.iter().filter(|entry| !is_ours(entry));
        owners
            .filter(|entry| owns(entry, path))
            .max_by_key(|entry| entry.time.clone())
            .and_then(|entry| entry.manager.clone())
    }

    /// Whether the operator's applies own a field.
    pub fn is_applied_by_us(&self, path: &FieldPath) -> bool {
        let mut ours = self.0.iter().filter(|entry| is_applied(entry));
        ours.any(|entry| owns(entry, path))
    }
}

/// Whether a record is of the operator's applies.
pub fn is_applied(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER)
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    [Some(MANAGER), Some(RELEASE_MANAGER)].contains(&entry.manager.as_deref())
}

fn owns(entry: &ManagedFieldsEntry, path: &FieldPath) -> bool {
    match entry.fields_v1.as_ref().map(|fields| &fields.0) {
        None => false,
        // As the cache keeps our own record, see `compact`.
        Some(Value::String(compact)) => {
            serde_json::from_str(compact).is_ok_and(|fields| has_field(&fields, &path.0))
        }
        Some(fields) => has_field(fields, &path.0),
    }
}

/// Turns a record into JSON text, which takes a tenth of the memory and is parsed only when an object differs.
pub fn compact(entry: &mut ManagedFieldsEntry) {
    if let Some(fields) = &mut entry.fields_v1
        && !fields.0.is_string()
    {
        fields.0 = Value::String(fields.0.to_string());
    }
}

/// Whether a record in the format `FieldsV1` names a field, something below it, or something around it as a whole.
fn has_field(fields: &Value, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return true;
    };
    let below = match step {
        // A list without keys is recorded as one value.
        Step::Index(_) => return true,
        Step::Field(name) => fields.get(format!("f:{name}")),
        Step::Item(key, value) => fields.as_object().and_then(|fields| {
            fields.iter().find_map(|(name, below)| {
                let keys: Value = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
                (keys.get(key) == Some(value)).then_some(below)
            })
        }),
    };
    let is_whole = |below: &Value| below.as_object().is_some_and(|fields| fields.is_empty());
    below.is_some_and(|below| is_whole(below) || has_field(below, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, time: &str, fields: Value) -> ManagedFieldsEntry {
        let entry = json!({ "manager": manager, "time": time, "fieldsV1": fields });
        serde_json::from_value(entry).unwrap()
    }

    fn image() -> FieldPath {
        let mut path = FieldPath::fields(["spec", "template", "spec", "containers"]);
        path.0.push(Step::Item("name", json!("rng")));
        path.0.push(Step::Field("image".into()));
        path
    }

    #[test]
    fn a_path_displays_as_kubectl_would_write_it() {
        let path = image();
        assert_eq!(path.to_string(), "spec.template.spec.containers[rng].image");
        assert_eq!(
            path.names(),
            ["spec", "template", "spec", "containers", "image"]
        );
        let label = FieldPath::fields(["metadata", "labels", "example.com/team"]);
        assert_eq!(label.to_string(), "metadata.labels[example.com/team]");
    }

    #[test]
    fn the_owner_of_a_field_is_the_last_other_manager_and_exactly_us() {
        let fields = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": {
            "k:{\"name\":\"rng\"}": { "f:image": {} },
        } } } } });
        let mut ours = entry(MANAGER, "2026-11-24T11:00:00Z", fields.clone());
        compact(&mut ours);
        let all = [
            entry("kubectl-edit", "2026-11-24T08:00:00Z", fields.clone()),
            entry("kubectl-set", "2026-11-24T09:00:00Z", fields.clone()),
            entry(
                "kubectl-scale",
                "2026-11-24T10:00:00Z",
                json!({ "f:spec": { "f:replicas": {} } }),
            ),
            ours,
            entry("dockercoins-operator-two", "2026-11-24T07:00:00Z", fields),
        ];
        let managers = Managers(&all);
        assert_eq!(managers.other(&image()), Some("kubectl-set".into()));
        assert!(managers.is_applied_by_us(&image()));
        let replicas = FieldPath::fields(["spec", "replicas"]);
        assert_eq!(managers.other(&replicas), Some("kubectl-scale".into()));
        assert!(!managers.is_applied_by_us(&replicas));
        let similar = Managers(&all[4..]);
        assert_eq!(
            similar.other(&image()),
            Some("dockercoins-operator-two".into())
        );
    }
}
