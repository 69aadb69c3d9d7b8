//! The name of an object within its namespace.

use std::borrow::Cow;
use std::fmt;

use kube::{Resource, ResourceExt as _};

/// The kind and name of an object in a namespace that the context gives. Displays as `Service redis`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind, such as `Service`.
    pub kind: Cow<'static, str>,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of the kind `K` with this name.
    pub fn new<K: Resource<DynamicType = ()>>(name: impl Into<String>) -> Self {
        Self {
            kind: K::kind(&()),
            name: name.into(),
        }
    }

    /// The key of an object.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self::new::<K>(object.name_any())
    }

    /// Whether the object is of the kind `K`.
    pub fn is<K: Resource<DynamicType = ()>>(&self) -> bool {
        self.kind == K::kind(&())
    }

    /// The object as kubectl's arguments name it, such as `service redis`.
    pub fn kubectl(&self) -> String {
        format!("{} {}", self.kind.to_lowercase(), self.name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
