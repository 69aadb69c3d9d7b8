//! The exposition formats: OpenMetrics, and Prometheus' text format, which is the default.
//!
//! The library only writes OpenMetrics. The text format puts the suffix into `HELP` and `TYPE` of counters and infos, and
//! has neither units nor an end mark.

use std::fmt::Write as _;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    OpenMetrics,
    /// [Prometheus' text format 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/).
    Text,
}

impl Format {
    /// The format for an `Accept` header: OpenMetrics if it is named there.
    pub fn from_accept(accept: &str) -> Format {
        let is_open = |part: &str| {
            let mut parts = part.split(';').map(str::trim);
            let is_named = parts.next().is_some_and(|media_type| {
                media_type.eq_ignore_ascii_case("application/openmetrics-text")
            });
            // RFC 9110, 12.4.2: weight 0 means not acceptable.
            is_named && !parts.any(|part| part.starts_with("q=0") && part[2..].parse() == Ok(0.0))
        };
        match accept.split(',').any(is_open) {
            true => Format::OpenMetrics,
            false => Format::Text,
        }
    }

    /// The format's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes all metrics of the registries.
pub(super) fn write(registries: &[&Registry], format: Format) -> String {
    let mut text = String::new();
    for registry in registries {
        encode_registry(&mut text, registry).expect("a string takes everything");
    }
    match format {
        Format::OpenMetrics => {
            encode_eof(&mut text).expect("a string takes everything");
            text
        }
        Format::Text => as_text(&text),
    }
}

fn as_text(open: &str) -> String {
    let mut text = String::new();
    let mut help = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            // `HELP` precedes `TYPE`, which decides the suffix.
            if let Some((_, help)) = help.take() {
                writeln!(text, "# HELP {name}{suffix} {help}").expect("a string takes everything");
            }
            writeln!(text, "# TYPE {name}{suffix} {kind}").expect("a string takes everything");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Converts `RateLimited` to `rate_limited`.
pub(super) fn snake_case(reason: &str) -> String {
    let mut name = String::new();
    for letter in reason.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_sent_if_accepted_by_name() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        let cases = [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; q=0.0", Format::Text),
            ("application/openmetrics-text;q=0.05", Format::OpenMetrics),
            ("text/plain;version=0.0.4", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::from_accept(accept), format, "{accept}");
        }
    }

    #[test]
    fn reasons_become_snake_case() {
        let names = ["RateLimited", "NotFoundOrNoAccess", "Timeout"].map(snake_case);
        assert_eq!(names, ["rate_limited", "not_found_or_no_access", "timeout"]);
    }
}
