//! Runs a plugin's program in bounded time and memory.
//!
//! The program leads its own process group, which is killed if the run does not finish (timeout,
//! too much output, cancelled). The kubelet kills only the program, and then waits for its children
//! to close the output.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::server_message::bounded_line;

/// The most bytes of standard output.
const OUTPUT_MAX: usize = 1 << 20;

/// The most bytes of standard error that are kept.
const STDERR_READ_MAX: usize = 4096;

/// The most characters of standard error in a message: it may contain a secret.
const STDERR_SHOWN_MAX: usize = 200;

/// How long children may hold the output open after the program has exited.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// A program with its arguments and environment.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    pub(super) path: &'a Path,
    pub(super) args: &'a [String],
    /// Added to the environment of this process.
    pub(super) env: &'a BTreeMap<String, String>,
}

/// Runs a program and returns its standard output. The error names the fault and the fix.
pub(super) async fn run(
    program: Program<'_>,
    request: &[u8],
    deadline: Duration,
) -> Result<Vec<u8>, String> {
    match timeout(deadline, run_to_end(program, request)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!(
            "it did not answer within {deadline:?} and was killed: check that it reaches its login service"
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
    // Dropped before the child, so that the group is killed while its leader exists.
    let mut process_group = ProcessGroup::of(&child);
    let (input, output, stderr_pipe) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut response, mut stderr) = (Vec::new(), Vec::new());
    let mut io = Box::pin(async {
        tokio::try_join!(
            write(input, request),
            read_response(output, &mut response),
            read_stderr(stderr_pipe, &mut stderr),
        )
        .map(|_| ())
    });
    let (status, is_complete) = tokio::select! {
        result = &mut io => {
            result?;
            (child.wait().await, true)
        }
        status = child.wait() => match timeout(OUTPUT_GRACE, &mut io).await {
            Ok(result) => {
                result?;
                (status, true)
            }
            Err(_) => (status, false),
        },
    };
    drop(io);
    if is_complete {
        process_group.disarm();
    }
    let status = status.map_err(|error| format!("waiting for it failed: {error}"))?;
    match status.success() {
        true => Ok(response),
        false => Err(failed(status, &stderr)),
    }
}

async fn write(input: Option<ChildStdin>, request: &[u8]) -> Result<(), String> {
    if let Some(mut input) = input {
        // A program may answer without reading its input.
        let _ = input.write_all(request).await;
    }
    Ok(())
}

async fn read_response(
    output: Option<impl AsyncRead + Unpin>,
    response: &mut Vec<u8>,
) -> Result<(), String> {
    let Some(mut output) = output else {
        return Ok(());
    };
    loop {
        match output.read_buf(response).await {
            Ok(0) => return Ok(()),
            Ok(_) if response.len() > OUTPUT_MAX => {
                return Err(format!(
                    "it printed more than {OUTPUT_MAX} bytes and was killed: it must print a CredentialProviderResponse and nothing else"
                ));
            }
            Ok(_) => {}
            Err(error) => return Err(format!("its output cannot be read: {error}")),
        }
    }
}

/// Keeps the start and reads on, so that the program is not blocked.
async fn read_stderr(
    stderr_pipe: Option<impl AsyncRead + Unpin>,
    stderr: &mut Vec<u8>,
) -> Result<(), String> {
    let Some(mut stderr_pipe) = stderr_pipe else {
        return Ok(());
    };
    let mut buffer = [0; 1024];
    // An unreadable standard error does not matter.
    while let Ok(read @ 1..) = stderr_pipe.read(&mut buffer).await {
        let room = STDERR_READ_MAX.saturating_sub(stderr.len());
        stderr.extend_from_slice(&buffer[..read.min(room)]);
    }
    Ok(())
}

fn not_started(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{path} cannot be started: it or its interpreter does not exist: install it in the plugin folder"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{path} cannot be started: it is not executable: make it executable")
        }
        _ => format!("{path} cannot be started: {error}"),
    }
}

fn failed(status: ExitStatus, stderr: &[u8]) -> String {
    let said = bounded_line(&String::from_utf8_lossy(stderr), STDERR_SHOWN_MAX);
    match said.as_str() {
        "" => format!(
            "it failed ({status}) without a message on stderr: run it by hand with the same arguments and variables"
        ),
        said => format!("it failed ({status}): {said}"),
    }
}

/// The process group of a run, killed on drop.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(leader: &Child) -> ProcessGroup {
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        ProcessGroup(id.and_then(Pid::from_raw))
    }

    /// Does not kill: the group has ended, and its id may be reused.
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Fails if no process is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
