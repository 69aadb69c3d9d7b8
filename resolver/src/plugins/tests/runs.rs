//! Programs that do what programs do.

use std::os::unix::fs::PermissionsExt as _;

use tokio::time::{self, Instant};

use super::*;

const ANSWERS: &str = r#"cat > "$DIR/request"; printf x >> "$DIR/runs"; cat "$DIR/answer""#;

/// Notes itself and a process that it starts, and waits for that one.
const HANGS: &str =
    r#"sleep 600 & echo "$$ $!" > "$DIR/new"; mv "$DIR/new" "$DIR/processes"; wait"#;

/// Time enough for what does happen.
const LONG: Duration = Duration::from_secs(30);

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "in vain: {what}");
        time::sleep(Duration::from_millis(5)).await;
    }
}

impl Folder {
    /// Waits until the processes that the plugin has noted have ended. One that nobody has waited
    /// for yet is a zombie, and has ended too.
    async fn until_all_have_ended(&self) {
        let noted = self.read("processes");
        assert_eq!(noted.split_whitespace().count(), 2, "{noted}");
        until("the processes end", || {
            noted.split_whitespace().all(|id| {
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
                stat.is_empty() || stat.contains(") Z ")
            })
        })
        .await;
    }

    /// The one failure for an image, without the path of this folder.
    async fn failure(&self, plugins: &Plugins) -> String {
        let (credentials, failures) = plugins.lookup("r.io/a").await;
        assert_eq!(credentials, []);
        let [failure] = &failures[..] else {
            panic!("{failures:?}")
        };
        assert_eq!(
            (failure.plugin.as_str(), failure.image.as_str()),
            ("a", "r.io/a")
        );
        self.shown(&failure.problem)
    }
}

/// The names of those who would log in.
fn names((credentials, failures): (Vec<Credential>, Vec<PluginFailure>)) -> Vec<String> {
    assert_eq!(failures, []);
    credentials
        .iter()
        .map(|credential| credential.username().to_owned())
        .collect()
}

#[tokio::test]
async fn plugin_runs_with_its_arguments_and_environment() {
    let script =
        format!(r#"printf '%s|' "$@" "$WORD" "$HOME" "${{PATH:+set}}" > "$DIR/seen"; {ANSWERS}"#);
    let folder = Folder::with_plugin(&script);
    let mut provider = folder.provider("a");
    provider["args"] = json!(["get", "$HOME ; x", ""]);
    let env = provider["env"].as_array_mut().unwrap();
    for (name, value) in [
        ("WORD", "first"),
        ("WORD", "second"),
        ("HOME", "/elsewhere"),
    ] {
        env.push(json!({ "name": name, "value": value }));
    }
    folder.file("config", &configuration(&provider));

    let (credentials, failures) = folder.open().lookup("r.io/team/app").await;

    assert_eq!(failures, []);
    let [credential] = &credentials[..] else {
        panic!("{credentials:?}")
    };
    assert_eq!(
        (
            credential.source(),
            credential.key(),
            credential.username(),
            credential.proof().value()
        ),
        ("credential provider a", "r.io", "r.io", "hunter2")
    );
    assert_eq!(folder.read("seen"), "get|$HOME ; x||second|/elsewhere|set|");
    let request: serde_json::Value = serde_json::from_str(&folder.read("request")).unwrap();
    assert_eq!(
        request,
        json!({
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "kind": "CredentialProviderRequest",
            "image": "r.io/team/app",
        })
    );
}

#[tokio::test]
async fn hanging_plugin_is_killed_with_its_children() {
    let folder = Folder::with_plugin(HANGS);
    // Long enough for the script to have begun; the test waits for all of it.
    let plugins = folder.open().with_deadline(Duration::from_secs(2));
    assert_eq!(
        folder.failure(&plugins).await,
        "it did not answer within 2s and was killed: check that it reaches its login service"
    );
    folder.until_all_have_ended().await;
}

#[tokio::test]
async fn cancelled_plugin_is_killed_with_its_children() {
    let folder = Folder::with_plugin(HANGS);
    let plugins = folder.open();
    tokio::select! {
        found = plugins.lookup("r.io/a") => panic!("{found:?}"),
        () = until("the plugin runs", || folder.path("processes").exists()) => {}
    }
    folder.until_all_have_ended().await;
}

#[tokio::test]
async fn images_are_looked_up_from_any_task() {
    let folder = Folder::with_plugin(ANSWERS);
    let plugins = folder.open();
    let asked = tokio::spawn(async move { plugins.lookup("r.io/a").await });
    assert_eq!(names(asked.await.unwrap()), ["r.io"]);
}

#[tokio::test]
async fn concurrent_lookups_share_a_run() {
    let folder = Folder::with_plugin(ANSWERS);
    let plugins = folder.open();
    let (one, other) = tokio::join!(plugins.lookup("r.io/a"), plugins.lookup("r.io/a"));
    assert_eq!(
        (names(one), names(other)),
        (vec!["r.io".to_owned()], vec!["r.io".to_owned()])
    );
    assert_eq!(folder.read("runs"), "x");
}

#[tokio::test]
async fn run_continues_for_remaining_waiters() {
    let script = format!(r#"mkfifo "$DIR/gate"; cat "$DIR/gate" > "$DIR/null"; {ANSWERS}"#);
    let folder = Folder::with_plugin(&script);
    let plugins = folder.open();
    let mut leaves = Box::pin(plugins.lookup("r.io/a"));
    let mut stays = Box::pin(plugins.lookup("r.io/a"));
    tokio::select! {
        found = &mut leaves => panic!("{found:?}"),
        found = &mut stays => panic!("{found:?}"),
        () = until("the plugin waits", || folder.path("null").exists()) => {}
    }
    drop(leaves);
    let gate = folder.path("gate");
    let opened = tokio::task::spawn_blocking(move || fs::write(gate, "go"));
    assert_eq!(names(stays.await), ["r.io"]);
    opened.await.unwrap().unwrap();
    assert_eq!(folder.read("runs"), "x");
}

#[tokio::test]
async fn concurrent_runs_are_limited_and_share_the_cache() {
    let folder = Folder::with_plugin(ANSWERS);
    folder.file("answer", &answer("Registry", &["r.io"]));
    let plugins = folder.open();
    let images: Vec<_> = (0..50).map(|index| format!("r.io/{index}")).collect();
    for found in join_all(images.iter().map(|image| plugins.lookup(image))).await {
        assert_eq!(names(found), ["r.io"]);
    }
    assert_eq!(folder.read("runs"), "x".repeat(8));
}

#[tokio::test]
async fn answer_is_cached_until_it_expires() {
    let folder = Folder::with_plugin(ANSWERS);
    let plugins = folder.open();
    // Time stands still but while a program runs, whose deadline would otherwise come at once.
    let mut runs = Vec::new();
    for hours in [0, 11, 1, 1] {
        time::pause();
        time::advance(Duration::from_secs(60 * 60 * hours)).await;
        time::resume();
        assert_eq!(names(plugins.lookup("r.io/a").await), ["r.io"]);
        runs.push(folder.read("runs").len());
    }
    assert_eq!(runs, [1, 1, 2, 2]);
}

#[tokio::test]
async fn failed_plugin_is_reported_with_start_of_stderr() {
    let cases = [
        (
            r#"printf 'no such role\r\n\033[31m\n' >&2; exit 3"#,
            "it failed (exit status: 3): no such role [31m".to_owned(),
        ),
        (
            r#"printf '%1000s' '' | tr ' ' s >&2; exit 1"#,
            format!("it failed (exit status: 1): {}…", "s".repeat(200)),
        ),
        (
            r#"cat "$DIR/answer"; exit 1"#,
            "it failed (exit status: 1) without a message on stderr: run it by hand with the same arguments and variables".to_owned(),
        ),
        (
            "kill -9 $$",
            "it failed (signal: 9 (SIGKILL)) without a message on stderr: run it by hand with the same arguments and variables".to_owned(),
        ),
        (
            "echo hunter2",
            "its output is not a JSON object (line 1, column 1): it must print a CredentialProviderResponse and nothing else".to_owned(),
        ),
        (
            "exec yes hunter2",
            "it printed more than 1048576 bytes and was killed: it must print a CredentialProviderResponse and nothing else".to_owned(),
        ),
    ];
    for (script, expected) in cases {
        let folder = Folder::with_plugin(script);
        assert_eq!(folder.failure(&folder.open()).await, expected, "{script}");
    }
}

#[tokio::test]
async fn removed_program_is_reported() {
    let folder = Folder::with_plugin(ANSWERS);
    let plugins = folder.open();
    let program = folder.path("bin/a");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        folder.failure(&plugins).await,
        "/bin/a cannot be started: it is not executable: make it executable"
    );
    fs::remove_file(&program).unwrap();
    assert_eq!(
        folder.failure(&plugins).await,
        "/bin/a cannot be started: it or its interpreter does not exist: install it in the plugin folder"
    );
    folder.program("a", ANSWERS);
    assert_eq!(
        names(plugins.lookup("r.io/a").await),
        ["r.io"],
        "a failure is not kept"
    );
}

#[tokio::test]
async fn failed_plugin_does_not_affect_others() {
    let folder = Folder::with_plugin("exit 1");
    folder.program("b", ANSWERS);
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [folder.provider("a"), folder.provider("b")],
    });
    folder.file("config", &config.to_string());
    folder.file("answer", &answer("Image", &["r.io", "r.io/%zz"]));
    let (credentials, failures) = folder.open().lookup("r.io/a").await;
    let sources: Vec<_> = credentials.iter().map(Credential::source).collect();
    assert_eq!(sources, ["credential provider b"]);
    let told: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the credential provider a failed for r.io/a: it failed (exit status: 1) without a message on stderr: run it by hand with the same arguments and variables",
            "the credential provider b failed for r.io/a: an entry of its answer is skipped: its key's path has an invalid `%` escape: write the path unescaped",
        ]
    );
}

#[tokio::test]
async fn plugin_may_ignore_stdin_and_fill_stderr() {
    let script = r#"exec < "$DIR/answer"; yes complaint | head -c 1000000 >&2; cat"#;
    let folder = Folder::with_plugin(script);
    assert_eq!(names(folder.open().lookup("r.io/a").await), ["r.io"]);
}

#[tokio::test]
async fn child_holding_output_of_an_exited_plugin_is_killed() {
    let script = format!(r#"sleep 600 & echo "$$ $!" > "$DIR/processes"; {ANSWERS}"#);
    let folder = Folder::with_plugin(&script);
    assert_eq!(names(folder.open().lookup("r.io/a").await), ["r.io"]);
    folder.until_all_have_ended().await;
}

#[tokio::test]
async fn detached_process_holding_the_output_is_not_awaited() {
    let script = format!(r#"setsid sleep 60 & {ANSWERS}"#);
    let folder = Folder::with_plugin(&script);
    let started = Instant::now();
    assert_eq!(names(folder.open().lookup("r.io/a").await), ["r.io"]);
    assert!(started.elapsed() < LONG);
}

#[tokio::test]
async fn unmatched_image_runs_no_plugin() {
    let folder = Folder::with_plugin(ANSWERS);
    let plugins = folder.open();
    for image in ["r.example.com/a", "r.io:5000/a", "not an image"] {
        assert_eq!(
            names(plugins.lookup(image).await),
            [] as [&str; 0],
            "{image}"
        );
    }
    assert_eq!(folder.read("runs"), "");
}

#[test]
fn debug_of_plugins_shows_their_names() {
    let folder = Folder::with_plugin(ANSWERS);
    assert_eq!(format!("{:?}", folder.open()), r#"["a"]"#);
}
