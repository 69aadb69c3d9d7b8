//! What is wrong with a name, and what to write instead.

/// Why a text is not an image reference, a registry prefix or a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("an image name is missing: write one, for example `redis:7`")]
    EmptyReference,
    /// A scheme stands before the name.
    #[error("`{text}` has a scheme: write `{without}`{}", plain_hint(.text, .without))]
    Scheme {
        /// What was written.
        text: String,
        /// The same without its scheme.
        without: String,
    },
    /// There are spaces, tabs or line ends in it.
    #[error("`{}` has spaces {}", .text.escape_debug(), where_spaces_are(.text))]
    Spaces {
        /// What was written.
        text: String,
    },
    /// The repository has uppercase letters.
    #[error("`{name}` has uppercase letters, which only a tag may have: write `{lowercase}`")]
    Uppercase {
        /// The part with uppercase letters, as written.
        name: String,
        /// The same in lowercase.
        lowercase: String,
    },
    /// The name is 64 hexadecimal digits, which would be confused with an image's id.
    #[error(
        "`{name}` is read as an image id, not as a name: for a digest write `NAME@sha256:{name}`"
    )]
    ImageId {
        /// The name as written.
        name: String,
    },
    /// What stands before the first slash must be a host, and is none.
    #[error(
        "`{host}` is not a registry host: write a DNS name without underscores, or an IPv6 address in brackets, and a port if there is one, for example `registry.example.com:5000`"
    )]
    Host {
        /// The first element of the name.
        host: String,
    },
    /// The repository's path does not follow the grammar.
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
    /// The tag does not follow the grammar.
    #[error(
        "{} a tag: write at most 128 letters, digits, `_`, `.` and `-`, the first a letter, a digit or `_`",
        is_not(.tag)
    )]
    Tag {
        /// The tag as written.
        tag: String,
    },
    /// The digest's algorithm is not one that registries use.
    #[error(
        "`{digest}` names no known digest algorithm: write `sha256:` and 64 hexadecimal digits"
    )]
    DigestAlgorithm {
        /// The digest as written.
        digest: String,
    },
    /// The digest's algorithm is known, what follows it is not lowercase hexadecimal of its length.
    #[error(
        "`{digest}` is not a digest: {algorithm}: is followed by {length} lowercase hexadecimal digits"
    )]
    DigestHex {
        /// The digest as written.
        digest: String,
        /// Its algorithm.
        algorithm: &'static str,
        /// How many digits the algorithm gives.
        length: usize,
    },
    /// No registry prefix was written.
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

/// A part that is wrong, or isn't there although a sign before it announces it.
fn is_not(part: &str) -> String {
    match part {
        "" => "nothing stands in the place of".to_owned(),
        part => format!("`{part}` is not"),
    }
}

/// Around a name they are a slip; within it no one knows what was meant.
fn where_spaces_are(text: &str) -> String {
    let trimmed = text.trim();
    match trimmed.contains(char::is_whitespace) {
        true => "in it, which no image's name has".to_owned(),
        false => format!("around it: write `{trimmed}`"),
    }
}

/// People who write `http://` want plain HTTP: say where that is said.
fn plain_hint(text: &str, without: &str) -> String {
    if !text.starts_with("http://") {
        return String::new();
    }
    let host = without.split('/').next().unwrap_or(without);
    format!(", and for plain HTTP the endpoint `http://{host}`")
}

impl NameError {
    /// The stable word for every one of these, for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        "InvalidReference"
    }
}
