//! The `WWW-Authenticate` header.
//!
//! A header may contain several challenges, and there may be several headers (RFC 9110, 11.6.1). A
//! syntax error ends one header; the challenges before it count.

/// A supported challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Username and password.
    Basic,
    /// A token from a token server.
    Bearer(Bearer),
}

/// The parameters of a Bearer challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The URL of the token server.
    pub realm: String,
    /// The registry's name at the token server.
    pub service: Option<String>,
    /// The requested scope, such as `repository:library/redis:pull`.
    pub scope: Option<String>,
}

/// Parses the values of `WWW-Authenticate` headers. Other schemes, and Bearer without realm, are
/// skipped.
pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    headers.into_iter().flat_map(parse_header).collect()
}

fn parse_header(header: &str) -> Vec<Challenge> {
    let mut text = Text { rest: header };
    let mut challenges = Vec::new();
    while let Some(scheme) = text.next_scheme() {
        let mut bearer = Bearer::default();
        while let Some((name, value)) = text.next_parameter() {
            let field = match name.to_ascii_lowercase().as_str() {
                "realm" if bearer.realm.is_empty() => {
                    bearer.realm = value;
                    continue;
                }
                "service" => &mut bearer.service,
                "scope" => &mut bearer.scope,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer") && !bearer.realm.is_empty() {
            challenges.push(Challenge::Bearer(bearer));
        }
    }
    challenges
}

/// A parser's rest of a header.
struct Text<'a> {
    rest: &'a str,
}

impl<'a> Text<'a> {
    /// The scheme of the next challenge.
    fn next_scheme(&mut self) -> Option<&'a str> {
        self.skip(|letter| letter == ',' || is_space(letter));
        let scheme = self.token()?;
        // Skips a `token68` after the scheme.
        let before = self.rest;
        self.skip(is_space);
        let blob = self.take(|letter| is_token(letter) || matches!(letter, '/' | '=' | ':'));
        self.skip(is_space);
        let ends_here = self.rest.is_empty() || self.rest.starts_with(',');
        if blob.is_empty() || !ends_here || blob.trim_end_matches('=').contains('=') {
            self.rest = before;
        }
        Some(scheme)
    }

    /// The next parameter of the same challenge; consumes nothing if there is none.
    fn next_parameter(&mut self) -> Option<(&'a str, String)> {
        let before = self.rest;
        let parameter = self.parameter();
        if parameter.is_none() {
            self.rest = before;
        }
        parameter
    }

    fn parameter(&mut self) -> Option<(&'a str, String)> {
        self.skip(|letter| letter == ',' || is_space(letter));
        let name = self.token()?;
        self.skip(is_space);
        self.rest = self.rest.strip_prefix('=')?;
        self.skip(is_space);
        match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                self.quoted().map(|value| (name, value))
            }
            // Some servers omit the required quotes.
            None => {
                let value = self.take(|letter| letter != ',' && letter != '"' && !is_space(letter));
                (!value.is_empty()).then(|| (name, value.to_owned()))
            }
        }
    }

    /// The text up to the closing quote, unescaped.
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(letters.next()?.1),
                _ => value.push(letter),
            }
        }
        None
    }

    fn token(&mut self) -> Option<&'a str> {
        let token = self.take(is_token);
        (!token.is_empty()).then_some(token)
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|letter| !wanted(letter))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.take(unwanted);
    }
}

fn is_space(letter: char) -> bool {
    letter == ' ' || letter == '\t'
}

fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn headers_of_real_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/redis:pull""#;
        let ecr = r#"Basic realm="https://123.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#;
        let error = r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull,push",error="invalid_token""#;
        assert_eq!(
            parse([hub]),
            [bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:library/redis:pull")
            )]
        );
        assert_eq!(parse([ecr]), [Challenge::Basic]);
        assert_eq!(
            parse([error]),
            [bearer(
                "https://ghcr.io/token",
                Some("ghcr.io"),
                Some("repository:a/b:pull,push")
            )]
        );
    }

    #[test]
    fn several_challenges_are_read_from_one_header_or_several() {
        let both = [Challenge::Basic, bearer("https://r/t", None, Some("s"))];
        assert_eq!(
            parse([r#"Basic realm="x", Bearer realm="https://r/t",scope="s""#]),
            both
        );
        assert_eq!(
            parse([
                r#"Basic realm="x""#,
                r#"Bearer scope="s", realm="https://r/t""#
            ]),
            both
        );
        assert_eq!(
            parse([r#"Basic, Bearer realm="https://r/t", scope="s""#]),
            both
        );
        assert_eq!(
            parse([
                r#"Negotiate, Newauth a="b", basic, NTLM dGVzdA==, bearer realm=https://r/t,scope=s"#
            ]),
            both
        );
    }

    #[test]
    fn quotes_spaces_and_case_follow_the_rfc() {
        assert_eq!(
            parse([
                "bEaReR\t REALM = \"https://r/\\\"t\\\\\" ,, Service=plain , service=\"second\""
            ]),
            [bearer("https://r/\"t\\", Some("plain"), None)]
        );
    }

    #[test]
    fn invalid_challenges_are_skipped() {
        for header in [
            "",
            ",",
            "=",
            "Bearer",
            "Bearer realm",
            "Bearer realm=",
            "Bearer realm=\"",
            "Bearer realm=\"\"",
            "Bearer service=\"x\"",
            "\"",
            "Bearer realm=\"https://r/t\\",
        ] {
            assert_eq!(parse([header]), [], "{header}");
        }
        assert_eq!(
            parse(["Basic realm=\"x\", Bearer realm=\"open"]),
            [Challenge::Basic]
        );
    }
}
