//! One run of a plugin's program: a request to its standard input, and what it writes to its
//! standard output, in bounded time and space.
//!
//! The program leads a process group of its own. Where a run does not come to its end (the
//! deadline, too much output, or nobody waiting any more), the whole group is killed. A kubelet
//! kills the program alone, and then waits without end for those it left behind to close its
//! output.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::said::bounded_line;

/// The most bytes of an answer.
const OUTPUT_MAX: usize = 1 << 20;

/// The most bytes of a program's complaints that are read for what is shown of them.
const COMPLAINT_MAX: usize = 4096;

/// The most characters of a program's complaints that are shown: they are for finding what is
/// wrong, and nobody knows whether there is a secret in them.
const SHOWN_MAX: usize = 200;

/// How long after the end of a program others may go on holding its output. What it wrote itself
/// has then long been read.
const LINGER: Duration = Duration::from_secs(1);

/// What is run.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    pub(super) path: &'a Path,
    pub(super) args: &'a [String],
    /// Added to the variables of this process, in place of those by the same name.
    pub(super) env: &'a BTreeMap<String, String>,
}

/// Runs a program and gives what it wrote to its standard output. The error says what happened,
/// and what to do.
pub(super) async fn run(
    program: Program<'_>,
    request: &[u8],
    deadline: Duration,
) -> Result<Vec<u8>, String> {
    match timeout(deadline, run_to_end(program, request)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!(
            "it did not answer within {deadline:?} and was ended; see whether it reaches the service that it asks for logins"
        )),
    }
}

async fn run_to_end(program: Program<'_>, request: &[u8]) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program.path);
    command
        .args(program.args)
        .envs(program.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| not_started(program.path, &error))?;
    // Dropped before the child, so that the group is killed while its leader is still there.
    let mut group = Group::of(&child);
    let (input, output, complaints) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let mut talk = Box::pin(async {
        tokio::try_join!(
            write(input, request),
            read_answer(output, &mut answer),
            read_complaint(complaints, &mut complaint),
        )
        .map(|_| ())
    });
    let (status, whole) = tokio::select! {
        told = &mut talk => {
            told?;
            (child.wait().await, true)
        }
        status = child.wait() => match timeout(LINGER, &mut talk).await {
            Ok(told) => {
                told?;
                (status, true)
            }
            Err(_) => (status, false),
        },
    };
    drop(talk);
    if whole {
        group.spare();
    }
    let status = status.map_err(|error| format!("its end cannot be waited for: {error}"))?;
    match status.success() {
        true => Ok(answer),
        false => Err(failed(status, &complaint)),
    }
}

async fn write(input: Option<ChildStdin>, request: &[u8]) -> Result<(), String> {
    if let Some(mut input) = input {
        // A program may answer without reading what it is asked, and close its input.
        let _ = input.write_all(request).await;
    }
    Ok(())
}

async fn read_answer(
    output: Option<impl AsyncRead + Unpin>,
    answer: &mut Vec<u8>,
) -> Result<(), String> {
    let Some(mut output) = output else {
        return Ok(());
    };
    loop {
        match output.read_buf(answer).await {
            Ok(0) => return Ok(()),
            Ok(_) if answer.len() > OUTPUT_MAX => {
                return Err(format!(
                    "it printed more than {OUTPUT_MAX} bytes and was ended; it must print a CredentialProviderResponse and nothing else"
                ));
            }
            Ok(_) => {}
            Err(error) => return Err(format!("its output cannot be read: {error}")),
        }
    }
}

/// Keeps the beginning and reads on, so that a program that complains much is not held up.
async fn read_complaint(
    complaints: Option<impl AsyncRead + Unpin>,
    complaint: &mut Vec<u8>,
) -> Result<(), String> {
    let Some(mut complaints) = complaints else {
        return Ok(());
    };
    let mut buffer = [0; 1024];
    // An answer is worth having even where the complaints can no longer be read.
    while let Ok(read @ 1..) = complaints.read(&mut buffer).await {
        let room = COMPLAINT_MAX.saturating_sub(complaint.len());
        complaint.extend_from_slice(&buffer[..read.min(room)]);
    }
    Ok(())
}

fn not_started(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{path} cannot be started: it, or the interpreter that it names, is not there; put it in the folder of plugins"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{path} cannot be started: it may not be executed; make it executable")
        }
        _ => format!("{path} cannot be started: {error}"),
    }
}

fn failed(status: ExitStatus, complaint: &[u8]) -> String {
    let said = bounded_line(&String::from_utf8_lossy(complaint), SHOWN_MAX);
    match said.as_str() {
        "" => format!(
            "it failed ({status}) and said nothing; run it by hand with the same arguments and variables"
        ),
        said => format!("it failed ({status}) and said: {said}"),
    }
}

/// The processes of a run; they are killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: &Child) -> Group {
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        Group(id.and_then(Pid::from_raw))
    }

    /// Lets them be: all has come to its end, and the number may soon be another's.
    fn spare(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It fails where none is left, which is as well.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
