//! `resolve`: resolves images as the operator does, and shows how: for finding out why a condition is false.

use std::fmt;
use std::io::{BufRead as _, Write as _};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use futures::{Stream, StreamExt as _, stream};
use resolver::{Credential, NameError, Reference, Request, Resolved, Resolver};
use serde::Serialize;

use super::lookup::{Lookup, LookupArgs, print_plugin_failures, with_flag_hint};
use super::{CliError, RegistryArgs};

/// The most images resolved at once.
const AT_ONCE: usize = 8;

#[derive(Debug, Args)]
pub(super) struct Resolve {
    /// Images, such as redis:7 or registry.example.com/team/rng:v0.1; `-` reads one image from each line of the
    /// standard input.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Query no registry: show the parsed names and, with --docker-config, the credentials that would be tried if
    /// that file were a pull secret (without identity tokens and credential helpers, like the kubelet).
    #[arg(long)]
    offline: bool,

    /// The output format.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,

    #[command(flatten)]
    lookup: LookupArgs,

    #[command(flatten)]
    registries: RegistryArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table.
    Table,
    /// One JSON object a line.
    Json,
}

/// The result for one image.
#[derive(Serialize)]
struct Line {
    input: String,
    #[serde(flatten)]
    name: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Vec<Login>>,
    #[serde(flatten)]
    answer: Option<Answer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The parts of an image's name.
#[derive(Serialize)]
struct Name {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
    normalized: String,
    familiar: String,
}

/// A credential that would be tried.
#[derive(Serialize)]
struct Login {
    key: String,
    username: String,
}

/// The registry's answer.
#[derive(Serialize)]
struct Answer {
    pinned: String,
    #[serde(rename = "mediaType")]
    media_type: String,
    endpoint: String,
    credential: Option<Login>,
    /// The platforms of the image; empty if unknown.
    platforms: Vec<String>,
    #[serde(rename = "rateLimit")]
    rate_limit: Option<RateLimit>,
}

/// The registry's rate limit for this credential.
#[derive(Serialize)]
struct RateLimit {
    remaining: u64,
    limit: Option<u64>,
    seconds: Option<u64>,
}

impl Name {
    fn of(reference: &Reference) -> Self {
        Self {
            registry: reference.host().to_owned(),
            repository: reference.repository().to_owned(),
            tag: reference.tag().map(str::to_owned),
            digest: reference.digest().map(ToString::to_string),
            normalized: reference.to_string(),
            familiar: reference.familiar(),
        }
    }
}

impl Answer {
    fn of(resolved: Resolved, platforms: Vec<String>) -> Self {
        Self {
            pinned: resolved.reference.with_digest(&resolved.digest).to_string(),
            media_type: resolved.media_type,
            endpoint: resolved.endpoint.to_string(),
            credential: resolved.credential.map(|login| Login {
                key: login.key,
                username: login.username,
            }),
            platforms,
            rate_limit: resolved.remaining.map(RateLimit::from),
        }
    }
}

impl fmt::Display for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.username, self.key)
    }
}

impl From<resolver::RateLimit> for RateLimit {
    fn from(remaining: resolver::RateLimit) -> Self {
        Self {
            remaining: remaining.remaining,
            limit: remaining.limit,
            seconds: remaining.window.map(|window| window.as_secs()),
        }
    }
}

impl fmt::Display for RateLimit {
    /// Such as `76 of 100 in 6 h`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.remaining)?;
        if let Some(limit) = self.limit {
            write!(out, " of {limit}")?;
        }
        match self.seconds {
            Some(seconds) if seconds >= 3600 && seconds % 3600 == 0 => {
                write!(out, " in {} h", seconds / 3600)
            }
            Some(seconds) => write!(out, " in {seconds} s"),
            None => Ok(()),
        }
    }
}

impl Line {
    fn refused(input: String, error: &NameError) -> Self {
        Self {
            error: Some(error.to_string()),
            ..Self::of(input)
        }
    }

    fn of(input: String) -> Self {
        Self {
            input,
            name: None,
            credentials: None,
            answer: None,
            seconds: None,
            reason: None,
            error: None,
        }
    }
}

impl Resolve {
    /// Prints a result for each image. Returns whether all were resolved.
    pub(super) async fn run(self) -> Result<bool, CliError> {
        let lookup = self.lookup.read(&self.registries, self.offline)?;
        let mut lines = stream::iter(inputs(&self.images))
            .map(|input| line(input, &lookup))
            .buffered(AT_ONCE)
            .boxed_local();
        match self.output {
            Output::Json => print_json(&mut lines).await,
            Output::Table => print_table(&mut lines).await,
        }
    }
}

/// The result for one input.
async fn line(input: Result<String, CliError>, lookup: &Lookup) -> Result<Line, CliError> {
    let input = input?;
    let reference = match Reference::parse(&input) {
        Ok(reference) => reference.or_latest(),
        Err(error) => return Ok(Line::refused(input, &error)),
    };
    let mut line = Line {
        name: Some(Name::of(&reference)),
        ..Line::of(input)
    };
    let of_file = lookup.of_file();
    let mut request = Request {
        reference: &reference,
        endpoint: lookup.endpoint.as_ref(),
        keyring: &of_file,
        certificate_authority: lookup.authority.as_deref(),
    };
    let Some(resolver) = &lookup.resolver else {
        let login = |login: &Credential| Login {
            key: login.key().to_owned(),
            username: login.username().to_owned(),
        };
        let logins = lookup.logins.as_ref();
        line.credentials = logins.map(|_| request.logins().into_iter().map(login).collect());
        return Ok(line);
    };
    let at_hand = lookup.keyring(&request).await;
    request.keyring = &at_hand;
    let began = Instant::now();
    let answer = resolver.resolve(&request).await;
    line.seconds = Some(rounded(began.elapsed()));
    match answer {
        Ok(resolved) => {
            print_plugin_failures(&resolved);
            let platforms = platforms(resolver, &request, &resolved).await;
            line.answer = Some(Answer::of(resolved, platforms));
        }
        // The error names failed plugins.
        Err(error) => {
            line.reason = Some(error.reason());
            line.error = Some(with_flag_hint(&error));
        }
    }
    Ok(line)
}

/// The image's platforms; empty if they can't be read, or if few pulls are left.
async fn platforms(resolver: &Resolver, request: &Request<'_>, resolved: &Resolved) -> Vec<String> {
    if resolved.remaining.is_some_and(|left| left.is_low()) {
        return Vec::new();
    }
    let pinned = resolved.reference.with_digest(&resolved.digest);
    let request = Request {
        reference: &pinned,
        ..*request
    };
    resolver.platforms(&request).await.unwrap_or_default()
}

/// The images of the command line; `-` stands for the lines of the standard input.
fn inputs(images: &[String]) -> impl Iterator<Item = Result<String, CliError>> + '_ {
    images.iter().flat_map(|image| {
        let lines: Box<dyn Iterator<Item = Result<String, CliError>>> = match image.as_str() {
            "-" => Box::new(std::io::stdin().lock().split(b'\n').map(|line| {
                let line =
                    line.map_err(|error| CliError::File("the standard input".into(), error))?;
                Ok(String::from_utf8_lossy(&line).into_owned())
            })),
            image => Box::new(std::iter::once(Ok(image.to_owned()))),
        };
        lines
    })
}

fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

async fn print_json(
    lines: &mut (impl Stream<Item = Result<Line, CliError>> + Unpin),
) -> Result<bool, CliError> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let failed = |error| CliError::File("the standard output".into(), error);
    let mut are_well = true;
    while let Some(line) = lines.next().await {
        let line = line?;
        are_well &= line.error.is_none();
        let text = serde_json::to_string(&line).expect("texts and numbers are JSON");
        writeln!(out, "{text}").map_err(failed)?;
        // Each answer is shown as it arrives.
        if line.seconds.is_some() {
            out.flush().map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(are_well)
}

/// Prints one row per image, and the errors below.
async fn print_table(
    lines: &mut (impl Stream<Item = Result<Line, CliError>> + Unpin),
) -> Result<bool, CliError> {
    let mut offline =
        vec![["REGISTRY", "REPOSITORY", "TAG", "DIGEST", "LOGINS"].map(str::to_owned)];
    let mut asked = vec![
        [
            "IMAGE",
            "DIGEST",
            "PLATFORMS",
            "LOGIN",
            "ASKED AT",
            "SECONDS",
            "PULLS LEFT",
        ]
        .map(str::to_owned),
    ];
    let mut problems = Vec::new();
    while let Some(line) = lines.next().await {
        let Line {
            input,
            name,
            credentials,
            answer,
            seconds,
            reason: _,
            error,
        } = line?;
        if let Some(error) = error {
            problems.push(format!("{input:?}: {error}"));
            continue;
        }
        let Some(name) = name else { continue };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        match answer {
            Some(answer) => asked.push([
                name.familiar,
                answer
                    .pinned
                    .rsplit('@')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                or_none(Some(answer.platforms.join(", ")).filter(|names| !names.is_empty())),
                or_none(answer.credential.map(|login| login.to_string())),
                answer.endpoint,
                seconds.unwrap_or_default().to_string(),
                or_none(answer.rate_limit.map(|limit| limit.to_string())),
            ]),
            None => {
                let logins = credentials.into_iter().flatten();
                let logins = logins.map(|login| login.to_string()).collect::<Vec<_>>();
                let logins = (!logins.is_empty()).then(|| logins.join(", "));
                offline.push([
                    name.registry,
                    name.repository,
                    or_none(name.tag),
                    or_none(name.digest),
                    or_none(logins),
                ]);
            }
        }
    }
    super::write_out(&format!("{}{}", table(&offline), table(&asked)))?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    Ok(problems.is_empty())
}

/// Formats aligned columns; nothing if there is only the header.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    if rows.len() < 2 {
        return String::new();
    }
    let widths: [usize; N] = std::array::from_fn(|i| {
        let width = |row: &[String; N]| row[i].chars().count();
        rows.iter().map(width).max().unwrap_or_default()
    });
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
