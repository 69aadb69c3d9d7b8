//! Compares printed text with what a page shows. Pure.
//!
//! | in a page | stands for |
//! |---|---|
//! | `…` alone on a line | any lines, or none |
//! | `…` in a line | any text, or none |
//! | `≈10` | a number within 25 % of 10 |
//! | blanks | any number of blanks: column widths vary |

/// How far a number may be from the one in the page, as a share of that.
const ABOUT: f64 = 0.25;

/// What is seen: lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen(Vec<Line>);

#[derive(Clone, Debug, PartialEq)]
enum Line {
    Any,
    Of(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Any,
    Text(String),
    About(f64),
}

impl Seen {
    /// Reads the lines of a page.
    ///
    /// # Errors
    /// Where `≈` is followed by no number.
    pub fn read(lines: &[&str]) -> Result<Self, String> {
        lines
            .iter()
            .map(|line| match plain(line) {
                line if line == "…" => Ok(Line::Any),
                line => parts(&line).map(Line::Of),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether all that was printed is this.
    pub fn is_all_of(&self, printed: &str) -> bool {
        let printed: Vec<String> = printed.lines().map(plain).collect();
        is_all(&self.0, &printed)
    }

    /// Whether what was printed so far begins with this.
    pub fn is_begun_by(&self, printed: &str) -> bool {
        let mut lines = self.0.clone();
        lines.push(Line::Any);
        // The last line may not be whole yet.
        let whole = printed.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let printed: Vec<String> = whole.lines().map(plain).collect();
        is_all(&lines, &printed)
    }
}

/// A line with one blank where there are several, and none at its ends.
fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parts(line: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let after = &rest[next.len_utf8()..];
        rest = match next {
            '…' => {
                parts.push(Part::Any);
                after
            }
            '≈' => {
                let (number, after) =
                    number(after).ok_or_else(|| format!("after ≈ comes a number: {rest:?}"))?;
                parts.push(Part::About(number));
                after
            }
            _ => {
                let end = rest.find(['…', '≈']).unwrap_or(rest.len());
                parts.push(Part::Text(rest[..end].to_owned()));
                &rest[end..]
            }
        };
    }
    Ok(parts)
}

/// The number at the beginning of a text, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(text);
    if let Some(fraction) = text[end..].strip_prefix('.') {
        end += match digits(fraction) {
            0 => 0,
            some => some + 1,
        };
    }
    text[..end]
        .parse()
        .ok()
        .map(|number| (number, &text[end..]))
}

fn is_all(lines: &[Line], printed: &[String]) -> bool {
    match lines {
        [] => printed.is_empty(),
        [Line::Any, rest @ ..] => (0..=printed.len()).any(|from| is_all(rest, &printed[from..])),
        [Line::Of(parts), rest @ ..] => printed
            .split_first()
            .is_some_and(|(first, printed)| is_line(parts, first) && is_all(rest, printed)),
    }
}

fn is_line(parts: &[Part], printed: &str) -> bool {
    match parts {
        [] => printed.is_empty(),
        [Part::Text(text), rest @ ..] => printed
            .strip_prefix(text.as_str())
            .is_some_and(|printed| is_line(rest, printed)),
        [Part::About(wanted), rest @ ..] => number(printed).is_some_and(|(found, printed)| {
            (found - wanted).abs() <= wanted * ABOUT && is_line(rest, printed)
        }),
        [Part::Any, rest @ ..] => printed
            .char_indices()
            .map(|(from, _)| from)
            .chain([printed.len()])
            .any(|from| is_line(rest, &printed[from..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(lines: &[&str], printed: &str) -> bool {
        Seen::read(lines).unwrap().is_all_of(printed)
    }

    #[test]
    fn what_is_printed_is_seen_as_it_stands_but_for_blanks() {
        assert!(is(
            &["NAME   READY", "rng  1/1"],
            "NAME READY  \nrng    1/1\n"
        ));
        assert!(!is(&["NAME", "rng"], "NAME\n"));
        assert!(!is(&["NAME"], "NAME\nrng\n"));
        assert!(!is(&["rng"], "rng-1\n"));
        assert!(is(&[], ""));
        assert!(!is(&[], "Error\n"));
    }

    #[test]
    fn an_ellipsis_is_any_text_or_any_lines() {
        assert!(is(&["pod/rng-… created"], "pod/rng-7d8-x created\n"));
        assert!(is(&["rng …"], "rng 4 of 5 ≈ …\n"));
        assert!(!is(&["pod/rng-… created"], "pod/hasher-7d8 created\n"));
        assert!(is(&["a", "…", "b", "…"], "a\nx\ny\nb\n"));
        assert!(is(&["a", "…", "b"], "a\nb\n"));
        assert!(!is(&["a", "…", "b"], "a\nx\n"));
    }

    #[test]
    fn about_a_number_is_a_quarter_more_or_less() {
        for (printed, is_about) in [
            ("7.4", false),
            ("7.5", true),
            ("10", true),
            ("12.5", true),
            ("12.6", false),
            ("-", false),
            ("10.", false),
        ] {
            assert_eq!(is(&["≈10"], printed), is_about, "{printed}");
        }
        assert!(is(&["GET /32 ≈800 ms"], "GET /32 799 ms"));
        assert!(!is(&["GET /32 ≈800 ms"], "GET /32 100 ms"));
        assert!(is(&["≈6.7/s."], "6.8/s."));
    }

    #[test]
    fn what_was_printed_so_far_begins_with_it_once_the_line_is_whole() {
        let seen = Seen::read(&["READY", "…", "True ≈10 …"]).unwrap();
        for (printed, is_begun) in [
            ("", false),
            ("READY\nFalse 3 -\n", false),
            ("READY\nFalse 3 -\nTrue 9.9 1", false),
            ("READY\nFalse 3 -\nTrue 9.9 1\n", true),
            ("READY\nFalse 3 -\nTrue 9.9 1\nTrue 3 1\nTr", true),
        ] {
            assert_eq!(seen.is_begun_by(printed), is_begun, "{printed:?}");
        }
    }
}
