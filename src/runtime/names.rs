//! The names under which this operator writes: field managers and annotations.

/// The field manager of every server-side apply, and the value of the label `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "dockercoins-operator";

/// The field manager that takes over a field whose value must stay when the operator no longer applies it.
pub const RELEASE_MANAGER: &str = "dockercoins-operator-released";

/// The annotation with the hash of the applied object. It tells a change of the resource from a change of the object.
pub const APPLIED_HASH: &str = "dockercoins.dev/applied";

/// The annotation that hands an object over to the resource that it names.
pub const ADOPT: &str = "dockercoins.dev/adopt";
