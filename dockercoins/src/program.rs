//! How each program starts, logs, reads its settings and stops.

use std::{env, error::Error, fmt, future::Future, process::ExitCode};

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Why a program could not go on. It is printed with all its sources, then the program exits with 1.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Tells when the program was asked to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns as soon as SIGTERM or SIGINT has arrived; at once if it already had.
    pub async fn requested(&mut self) {
        // The sender lives as long as the runtime, so waiting can only end with a signal.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// Runs `program` until it returns, on one thread: all these programs do is wait.
///
/// The signal handlers are in place before `program` starts: as process 1 of a container, a program
/// without a handler for SIGTERM ignores it, and its pod takes the whole grace period to go.
///
/// The exit code is 0 when `program` returns `Ok`, 1 otherwise; the reason is logged.
pub fn run<F, P>(program: P) -> ExitCode
where
    P: FnOnce(Stop) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        let stop = stop_at_signal()?;
        program(stop).await
    });
    // A name being looked up occupies a thread for seconds; dropping the runtime would wait for it.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{}", Chain(failure.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn stop_at_signal() -> Result<Stop, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("{name}: stopping");
        sender.send_replace(true);
        // Kept, since a receiver takes a dropped sender for a signal.
        std::future::pending::<()>().await;
    });
    Ok(Stop(receiver))
}

/// The environment variable `name`, or `default` where it is unset or empty.
///
/// # Errors
/// When the value is not UTF-8. The value itself is not repeated: a URL may hold a password.
pub fn setting(name: &'static str, default: &str) -> Result<String, Failure> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(default.to_owned()),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not valid UTF-8").into()),
    }
}

/// Whether the command line asks for the one flaw that this program can have: `--flaw=NAME`.
///
/// The second versions of the course are the first ones with a flaw each, on purpose: their images have it as
/// their command.
///
/// # Errors
/// When the command line says anything else.
pub fn has_flaw(name: &str) -> Result<bool, Failure> {
    let mut asked = false;
    for argument in env::args_os().skip(1) {
        if argument != *format!("--flaw={name}") {
            let unknown = argument.to_string_lossy();
            return Err(format!("{unknown} is unknown: write --flaw={name}, or nothing").into());
        }
        asked = true;
    }
    Ok(asked)
}

/// The name of this host; in a pod, the pod's name. `localhost` where the kernel doesn't tell.
#[must_use]
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Displays an error and all its sources on one line, outermost first. A source that its error
/// repeats at its end is left out.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            next = error.source();
        }
        Ok(())
    }
}
