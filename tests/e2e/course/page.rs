//! Parses the steps of a page from its code blocks. Pure.
//!
//! `docs/course/README.md` explains the notation to readers and authors.

use super::seen::Seen;

/// What a paragraph begins with that speaks of a block which the tests leave out.
const NOT_RUN: &str = "*Not run by the tests";

/// A page, as far as it is done.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// What is typed, in order.
    pub steps: Vec<Step>,
    /// How many blocks aren't run.
    pub left_out: usize,
}

/// Something to type.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// The line of the page on which it begins.
    pub line: usize,
    /// The commands.
    pub commands: String,
    /// What must be seen.
    pub seen: Expected,
}

/// What must be seen of a step.
#[derive(Debug, PartialEq)]
pub enum Expected {
    /// That it succeeds.
    Success,
    /// That it succeeds, and prints this and nothing else.
    Exactly(Seen),
    /// That it prints this after a while; then it is ended by Ctrl-C.
    Sometime(Seen),
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// Where a block is of no kind that can be run and isn't said to be left out, by its line.
    pub fn read(markdown: &str) -> Result<Self, String> {
        let mut page = Self {
            steps: Vec::new(),
            left_out: 0,
        };
        let mut paragraph = Paragraph::default();
        let mut lines = markdown.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let Some(kind) = line.trim_start().strip_prefix("```") else {
                paragraph.read(line);
                continue;
            };
            let at = format!("line {}", index + 1);
            if line.starts_with(' ') {
                return Err(format!(
                    "{at}: a block is indented, which this reader doesn't follow"
                ));
            }
            let block: Vec<(usize, &str)> = lines
                .by_ref()
                .map(|(index, line)| (index + 1, line))
                .take_while(|(_, line)| *line != "```")
                .collect();
            if std::mem::take(&mut paragraph).text.starts_with(NOT_RUN) {
                page.left_out += 1;
                continue;
            }
            match kind {
                "sh" => page.steps.push(script(index + 2, &block)),
                "console" => page.steps.extend(session(&block)?),
                other => {
                    return Err(format!(
                        "{at}: a block of the kind {other:?} is neither sh nor console, and isn't said to be left out"
                    ));
                }
            }
        }
        Ok(page)
    }
}

/// The paragraph before a block.
#[derive(Default)]
struct Paragraph {
    text: String,
    is_over: bool,
}

impl Paragraph {
    fn read(&mut self, line: &str) {
        if line.trim().is_empty() {
            self.is_over = true;
            return;
        }
        if self.is_over {
            *self = Self::default();
        }
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// A block to be copied and pasted.
fn script(line: usize, block: &[(usize, &str)]) -> Step {
    let commands: Vec<&str> = block.iter().map(|(_, line)| *line).collect();
    Step {
        line,
        commands: commands.join("\n"),
        seen: Expected::Success,
    }
}

/// A block that shows what is typed after a `$`, and what is then seen.
fn session(block: &[(usize, &str)]) -> Result<Vec<Step>, String> {
    let mut steps: Vec<(usize, Vec<&str>, Vec<&str>)> = Vec::new();
    for (line, text) in block {
        match (text.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((*line, vec![command], Vec::new())),
            (None, None) => {
                return Err(format!(
                    "line {line}: a console block begins with `$ ` and a command"
                ));
            }
            (None, Some((_, commands, shown))) => {
                let goes_on =
                    shown.is_empty() && commands.last().is_some_and(|c| c.ends_with('\\'));
                match text.strip_prefix("> ") {
                    Some(command) if shown.is_empty() => commands.push(command),
                    _ if goes_on => commands.push(text),
                    _ => shown.push(text),
                }
            }
        }
    }
    let step = |(line, commands, mut shown): (usize, Vec<&str>, Vec<&str>)| {
        let is_ended = shown.pop_if(|last| *last == "^C").is_some();
        let seen = Seen::read(&shown).map_err(|error| format!("line {line}: {error}"))?;
        Ok(Step {
            line,
            commands: commands.join("\n"),
            seen: match is_ended {
                true => Expected::Sometime(seen),
                false => Expected::Exactly(seen),
            },
        })
    };
    steps.into_iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Result<Page, String> {
        // A fence can't stand in this file's own strings as it is, for the sake of those who read it as Markdown.
        Page::read(&text.replace("'''", "```"))
    }

    fn seen(lines: &[&str]) -> Seen {
        Seen::read(lines).unwrap()
    }

    #[test]
    fn a_block_of_sh_is_one_step_that_must_succeed() {
        let read = page("# A page\n\n'''sh\nfor i in 1 2; do\n  echo $i\ndone\n'''\n");
        let step = Step {
            line: 4,
            commands: "for i in 1 2; do\n  echo $i\ndone".to_owned(),
            seen: Expected::Success,
        };
        assert_eq!(
            read,
            Ok(Page {
                steps: vec![step],
                left_out: 0
            })
        );
    }

    #[test]
    fn a_console_is_a_step_for_each_prompt_with_what_is_seen_below_it() {
        let read = page(
            "'''console\n$ echo one \\\n    two\none two\n$ cat <<EOF\n> three\n> EOF\nthree\n$ true\n$ watch\n4\n^C\n'''\n",
        );
        let step = |line, commands: &str, seen| Step {
            line,
            commands: commands.to_owned(),
            seen,
        };
        let steps = vec![
            step(
                2,
                "echo one \\\n    two",
                Expected::Exactly(seen(&["one two"])),
            ),
            step(
                5,
                "cat <<EOF\nthree\nEOF",
                Expected::Exactly(seen(&["three"])),
            ),
            step(9, "true", Expected::Exactly(seen(&[]))),
            step(10, "watch", Expected::Sometime(seen(&["4"]))),
        ];
        assert_eq!(read, Ok(Page { steps, left_out: 0 }));
    }

    #[test]
    fn a_block_is_left_out_where_the_paragraph_before_it_says_so_and_is_counted() {
        let said = "*Not run by the tests: it takes a cloud.* Like this,\nor so:\n";
        let block = "'''sh\nrm -r /\n'''\n";
        let none = |left_out| {
            Ok(Page {
                steps: Vec::new(),
                left_out,
            })
        };
        assert_eq!(page(&format!("{said}\n{block}{said}{block}")), none(2));
        let other = page(&format!("{said}\nAnother paragraph.\n\n{block}"));
        assert_eq!(other.unwrap().left_out, 0);
        let second = page(&format!("{said}\n{block}\n{block}"));
        assert_eq!(
            second.unwrap().steps.len(),
            1,
            "only one block is spoken of"
        );
    }

    #[test]
    fn a_block_that_could_lie_is_refused() {
        for (text, told) in [
            (
                "Text.\n'''yaml\na: 1\n'''\n",
                "line 2: a block of the kind \"yaml\" is neither sh nor console, and isn't said to be left out",
            ),
            (
                "'''console\nhello\n'''\n",
                "line 2: a console block begins with `$ ` and a command",
            ),
            (
                "- 1\n  '''sh\n  true\n  '''\n",
                "line 2: a block is indented, which this reader doesn't follow",
            ),
            (
                "'''console\n$ watch\n≈many\n'''\n",
                "line 2: after ≈ comes a number: \"≈many\"",
            ),
        ] {
            assert_eq!(page(text), Err(told.to_owned()));
        }
    }
}
