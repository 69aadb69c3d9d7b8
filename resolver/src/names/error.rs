//! Errors of names.

/// Why an image reference, registry prefix or digest is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The reference is empty.
    #[error("an image name is missing: write one, for example `redis:7`")]
    EmptyReference,
    /// It has a scheme.
    #[error("`{text}` has a scheme: write `{without}`{}", plain_hint(.text, .without))]
    Scheme {
        /// The text.
        text: String,
        /// The text without the scheme.
        without: String,
    },
    /// It has white space.
    #[error("`{}` has spaces {}", .text.escape_debug(), where_spaces_are(.text))]
    Spaces {
        /// The text.
        text: String,
    },
    /// The repository has uppercase letters.
    #[error("`{name}` has uppercase letters, which only a tag may have: write `{lowercase}`")]
    Uppercase {
        /// The part with uppercase letters.
        name: String,
        /// The same in lowercase.
        lowercase: String,
    },
    /// It is 64 hexadecimal digits, the form of an image id.
    #[error(
        "`{name}` is read as an image id, not as a name: for a digest write `NAME@sha256:{name}`"
    )]
    ImageId {
        /// The name as written.
        name: String,
    },
    /// The first element is not a host.
    #[error(
        "`{host}` is not a registry host: write a DNS name without underscores, or an IPv6 address in brackets, and a port if there is one, for example `registry.example.com:5000`"
    )]
    Host {
        /// The first element of the name.
        host: String,
    },
    /// The repository's path is invalid.
    #[error(
        "{} a repository name: write lowercase letters and digits, with single `.`, `_` or `-` between them and `/` between the parts, for example `team/app`",
        is_not(.path)
    )]
    Path {
        /// The path as written.
        path: String,
    },
    /// The repository's path is longer than 255 characters.
    #[error("the repository name has {length} characters: 255 are the most a registry takes")]
    PathTooLong {
        /// Its length, the host not counted.
        length: usize,
    },
    /// The tag is invalid.
    #[error(
        "{} a tag: write at most 128 letters, digits, `_`, `.` and `-`, the first a letter, a digit or `_`",
        is_not(.tag)
    )]
    Tag {
        /// The tag as written.
        tag: String,
    },
    /// The digest's algorithm is unknown.
    #[error(
        "`{digest}` has an unknown digest algorithm: write `sha256:` and 64 hexadecimal digits"
    )]
    DigestAlgorithm {
        /// The digest as written.
        digest: String,
    },
    /// The digest's hexadecimal part is invalid.
    #[error(
        "`{digest}` is not a digest: {algorithm}: is followed by {length} lowercase hexadecimal digits"
    )]
    DigestHex {
        /// The digest as written.
        digest: String,
        /// Its algorithm.
        algorithm: &'static str,
        /// The number of digits of the algorithm.
        length: usize,
    },
    /// The registry prefix is empty.
    #[error(
        "the registry prefix is empty: write a host and path such as `registry.example.com/team`, or a Docker Hub namespace such as `dockercoins`"
    )]
    EmptyPrefix,
    /// The prefix ends with a tag.
    #[error(
        "the registry prefix `{prefix}` has a tag: write `{without}`, and the tag in the field for it"
    )]
    PrefixTag {
        /// The prefix as written.
        prefix: String,
        /// The same without its tag.
        without: String,
    },
    /// The prefix has a digest.
    #[error(
        "the registry prefix `{prefix}` has a digest: write `{without}`; a digest belongs to one image"
    )]
    PrefixDigest {
        /// The prefix as written.
        prefix: String,
        /// The same without its digest.
        without: String,
    },
}

/// The subject of the message: the part, or that it is empty.
fn is_not(part: &str) -> String {
    match part {
        "" => "an empty string is not".to_owned(),
        part => format!("`{part}` is not"),
    }
}

/// White space around a name can be removed; the fix for one within is unknown.
fn where_spaces_are(text: &str) -> String {
    let trimmed = text.trim();
    match trimmed.contains(char::is_whitespace) {
        true => "in it: an image name has none".to_owned(),
        false => format!("around it: write `{trimmed}`"),
    }
}

/// The hint for `http://`: plain HTTP is set by an endpoint.
fn plain_hint(text: &str, without: &str) -> String {
    if !text.starts_with("http://") {
        return String::new();
    }
    let host = without.split('/').next().unwrap_or(without);
    format!(", and for plain HTTP the endpoint `http://{host}`")
}

impl NameError {
    /// The stable reason, for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        "InvalidReference"
    }
}
