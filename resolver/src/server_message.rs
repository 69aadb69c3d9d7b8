//! Error messages of servers, made safe to show.

use std::fmt::Display;

use hyper::body::Bytes;
use serde_json::Value;

/// The most characters of a message.
const MESSAGE_MAX: usize = 300;

/// The replacement of a credential.
const HIDDEN: &str = "[hidden]";

/// The message of an error's body: its known JSON fields, or plain text. One bounded line without
/// control characters and `secrets`.
pub(crate) fn server_message(body: &Bytes, secrets: &[String]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(document) => document_message(&document),
        Err(_) => match str::from_utf8(body) {
            Ok(text) if !text.trim_start().starts_with('<') => text.to_owned(),
            _ => String::new(),
        },
    };
    let mut line = one_line(&text);
    let forms = |secret: &String| [one_line(secret), one_line(&escaped(secret))];
    let mut secrets: Vec<_> = secrets.iter().flat_map(forms).collect();
    // A secret of spaces alone is empty after the normalization.
    secrets.retain(|secret| !secret.is_empty());
    // The longest first: one secret may contain another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        line = line.replace(&secret, HIDDEN);
    }
    truncated(line, MESSAGE_MAX)
}

/// The text as one line of at most `length_max` visible characters.
pub(crate) fn bounded_line(text: &str, length_max: usize) -> String {
    truncated(one_line(text), length_max)
}

/// An error's text as one bounded line: it may quote the server.
pub(crate) fn bounded_error(error: &dyn Display) -> String {
    bounded_line(&error.to_string(), MESSAGE_MAX)
}

fn truncated(line: String, length_max: usize) -> String {
    match line.char_indices().nth(length_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn document_message(document: &Value) -> String {
    let field =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(errors) = document.get("errors").and_then(Value::as_array) {
        let messages: Vec<_> = errors
            .iter()
            .map(
                |error| match (field(error, "code"), field(error, "message")) {
                    (Some(code), Some(message)) => format!("{code}: {message}"),
                    (code, message) => code.or(message).unwrap_or_default(),
                },
            )
            .collect();
        return messages.join("; ");
    }
    ["details", "error_description", "message", "error"]
        .iter()
        .find_map(|name| field(document, name))
        .unwrap_or_default()
}

/// JSON-escaped, for documents that are truncated and so shown as text.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn one_line(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|letter| if is_hidden(letter) { ' ' } else { letter })
        .collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a character is invisible or changes the display of others.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> String {
        server_message(&Bytes::copy_from_slice(body.as_bytes()), &[])
    }

    #[test]
    fn errors_of_registries_and_token_servers_are_read() {
        let registry = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}},{"code":"DENIED"},{"message":"why"}]}"#;
        assert_eq!(
            of(registry),
            "MANIFEST_UNKNOWN: manifest unknown; DENIED; why"
        );
        assert_eq!(
            of(r#"{"details":"incorrect username or password"}"#),
            "incorrect username or password"
        );
        assert_eq!(
            of(r#"{"error":"invalid_grant","error_description":"no such user"}"#),
            "no such user"
        );
        assert_eq!(of("too many requests\n"), "too many requests");
    }

    #[test]
    fn html_and_unknown_json_give_no_message() {
        for body in [
            "",
            "<html><body>502",
            "[1,2]",
            r#"{"errors":"x"}"#,
            r#"{"errors":[]}"#,
            "null",
        ] {
            assert_eq!(of(body), "", "{body}");
        }
    }

    #[test]
    fn message_is_one_bounded_line() {
        assert_eq!(of("a\r\nb\u{1b}[31mc\u{202e}\u{0}d"), "a b [31mc d");
        assert_eq!(of(&"ä".repeat(1000)), format!("{}…", "ä".repeat(300)));
    }

    #[test]
    fn echoed_credentials_are_hidden() {
        let body = Bytes::from_static(b"user bob, pass hunter2 (Ym9iOmh1bnRlcjI=)");
        let secrets = [
            "hunter2".to_owned(),
            "Ym9iOmh1bnRlcjI=".to_owned(),
            String::new(),
        ];
        assert_eq!(
            server_message(&body, &secrets),
            "user bob, pass [hidden] ([hidden])"
        );
    }

    #[test]
    fn credentials_in_a_truncated_document_are_hidden() {
        let body = Bytes::from_static(br#"{"details":"no h\"un\\ter2 here"#);
        let secrets = [r#"h"un\ter2"#.to_owned()];
        assert_eq!(
            server_message(&body, &secrets),
            r#"{"details":"no [hidden] here"#
        );
    }

    #[test]
    fn a_password_of_spaces_hides_nothing() {
        let body = Bytes::from_static(b"no such  user");
        assert_eq!(server_message(&body, &["  ".to_owned()]), "no such user");
    }
}
