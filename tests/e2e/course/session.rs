//! A learner's shell: one bash per page, which runs the page's steps in order.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::page::{Expected, Step};
use crate::support::until_within;

/// How long a step may take: longer than any deadline that a page gives its commands.
const PATIENCE: Duration = Duration::from_secs(300);

/// A shell that waits for the next step.
pub struct Session {
    shell: Child,
    keyboard: ChildStdin,
    /// What the shell says of the steps; what they print goes elsewhere.
    told: Lines<BufReader<ChildStdout>>,
    /// Where what they print goes.
    printed: PathBuf,
}

impl Session {
    /// A new shell in the checkout, with these variables. What the steps print is kept in a folder meanwhile.
    pub async fn open(variables: &[(&str, &str)], folder: &Path) -> Self {
        // Ctrl-C must end what it runs, although whoever began the tests in the background has them ignore it.
        let mut shell = Command::new("env")
            .args(["--default-signal=INT", "bash"])
            .args(["--noprofile", "--norc", "-euo", "pipefail", "-s"])
            .envs(variables.iter().copied())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a bash");
        let keyboard = shell.stdin.take().expect("it is piped");
        let told = BufReader::new(shell.stdout.take().expect("it is piped")).lines();
        let mut session = Self {
            shell,
            keyboard,
            told,
            printed: folder.join("printed"),
        };
        // With job control, as in a shell that people type into: Ctrl-C then ends a job and not the shell. What a page
        // leaves running ends with the shell, which ends when nothing more can be typed into it.
        session.type_in("set -m").await;
        session
            .type_in("trap 'for job in $(jobs -p); do kill -- -$job; done' EXIT")
            .await;
        session
    }

    /// Does a step.
    ///
    /// # Errors
    /// What happened in place of what must be seen.
    pub async fn follow(&mut self, step: &Step) -> Result<(), String> {
        let at = format!("line {}: {}", step.line, step.commands);
        match &step.seen {
            Expected::Success => self.run(&step.commands).await,
            Expected::Exactly(seen) => {
                self.run(&step.commands)
                    .await
                    .and_then(|printed| match seen.is_all_of(&printed) {
                        true => Ok(printed),
                        false => Err(format!(
                            "what was seen isn't what the page says:\n{printed}"
                        )),
                    })
            }
            Expected::Sometime(seen) => {
                let is_seen = |printed: &str| seen.is_begun_by(printed);
                self.run_until(&step.commands, is_seen).await
            }
        }
        .map(drop)
        .map_err(|error| format!("{at}\n{error}"))
    }

    /// Runs commands, and gives what they printed. They must succeed.
    async fn run(&mut self, commands: &str) -> Result<String, String> {
        let to = self.printed.display().to_string();
        self.type_in(&format!(
            "{{\n{commands}\n}} >'{to}' 2>&1 </dev/null\necho done"
        ))
        .await;
        self.done().await
    }

    /// Runs commands until what they have printed is enough, and ends them as Ctrl-C does.
    async fn run_until(
        &mut self,
        commands: &str,
        is_enough: impl Fn(&str) -> bool,
    ) -> Result<String, String> {
        let to = self.printed.display().to_string();
        std::fs::remove_file(&self.printed).ok();
        self.type_in(&format!(
            "{{\n{commands}\n}} >'{to}' 2>&1 </dev/null &\necho $!"
        ))
        .await;
        let Some(job) = self.hear().await? else {
            return Err(self.end().await);
        };
        let what = format!("this shows what the page says: {commands}");
        until_within(PATIENCE, &what, async || {
            let printed = self.printed();
            match is_enough(&printed) {
                true => Ok(()),
                false => Err(printed),
            }
        })
        .await;
        self.type_in(&format!(
            // A loop whose program ends by itself at the signal goes on, and then people press again. With which code it
            // ends is its own affair.
            "while kill -INT -- -{job} 2>/dev/null; do sleep 0.2; done\nwait {job} || true\necho done"
        ))
        .await;
        self.done().await
    }

    async fn type_in(&mut self, line: &str) {
        // A shell that has ended is noticed by what it no longer says.
        let _ = self
            .keyboard
            .write_all(format!("{line}\n").as_bytes())
            .await;
    }

    /// Waits until the shell says that it is done, and gives what was printed.
    async fn done(&mut self) -> Result<String, String> {
        match self.hear().await? {
            Some(_) => Ok(self.printed()),
            None => Err(self.end().await),
        }
    }

    /// What the shell says next; none once it has ended.
    async fn hear(&mut self) -> Result<Option<String>, String> {
        match timeout(PATIENCE, self.told.next_line()).await {
            Ok(told) => Ok(told.expect("it is text")),
            Err(_) => Err(format!(
                "it isn't done after {} s, and has printed:\n{}",
                PATIENCE.as_secs(),
                self.printed()
            )),
        }
    }

    /// How the shell ended, for people.
    async fn end(&mut self) -> String {
        let status = self.shell.wait().await.expect("it is ours");
        format!("it failed ({status}), and printed:\n{}", self.printed())
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.printed).unwrap_or_default()
    }
}

impl Drop for Session {
    /// Ends the shell even where a step hangs, and by its trap what the page left running.
    fn drop(&mut self) {
        if let Some(shell) = self.shell.id() {
            let shell = shell.to_string();
            let _ = std::process::Command::new("kill").arg(shell).status();
        }
    }
}
