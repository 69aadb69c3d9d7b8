//! What a registry asks for when it answers 401: the `WWW-Authenticate` header.
//!
//! One header may hold several challenges, and there may be several headers (RFC 9110, 11.6.1).
//! What can't be read ends the reading of its header; what was read before it holds.

/// One way to log in that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, fetched from elsewhere.
    Bearer(Bearer),
}

/// Where a token is had, and what for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The address of the token server, as the registry wrote it.
    pub realm: String,
    /// What the registry calls itself there.
    pub service: Option<String>,
    /// What the token must allow, such as `repository:library/redis:pull`.
    pub scope: Option<String>,
}

/// Reads the values of a response's `WWW-Authenticate` headers. Schemes other than Basic and
/// Bearer are passed over, and so is a Bearer that names no realm.
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

/// What is left to read of a header.
struct Text<'a> {
    rest: &'a str,
}

impl<'a> Text<'a> {
    /// The scheme that starts the next challenge.
    fn next_scheme(&mut self) -> Option<&'a str> {
        self.skip(|letter| letter == ',' || is_space(letter));
        let scheme = self.token()?;
        // A challenge without parameters may hold one text without a name (`token68`) instead.
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

    /// The next `name=value` of the same challenge; nothing is consumed if there is none.
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
            // Some servers leave out the quotes where the standard wants them.
            None => {
                let value = self.take(|letter| letter != ',' && letter != '"' && !is_space(letter));
                (!value.is_empty()).then(|| (name, value.to_owned()))
            }
        }
    }

    /// What stands up to the closing quote, with `\x` read as `x`.
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
    fn quotes_spaces_and_case_are_read_as_the_standard_has_them() {
        assert_eq!(
            parse([
                "bEaReR\t REALM = \"https://r/\\\"t\\\\\" ,, Service=plain , service=\"second\""
            ]),
            [bearer("https://r/\"t\\", Some("plain"), None)]
        );
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
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
