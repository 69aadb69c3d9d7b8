//! Runs every page of `docs/course` on a real node, as a learner would.
//!
//! Commands and expected output come from the page itself. `page` parses it, `seen` compares output, `session` runs the
//! shell, and `class` prepares what a learner has before the first page.

mod class;
mod page;
mod seen;
mod session;
use std::collections::BTreeSet;

use class::{INDEX, begin, learn, page};

/// One test for each page.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        /// The pages that are run.
        const RUN: &[&str] = &[$($page),*];

        $(
            #[tokio::test]
            #[ignore = "needs a node: make test"]
            async fn $test() {
                learn($page).await;
            }
        )*
    };
}

pages! {
    scaling_and_the_bottleneck: "scaling",
    rng_on_every_node: "daemonset",
    a_rolling_update_and_its_flaws: "rolling-update",
    a_stuck_rollout_and_its_undo: "stuck-rollout",
    health_checks: "health-checks",
    a_private_registry_with_a_login: "private-registry",
    an_hpa: "autoscaling",
    network_policies: "network-policies",
    an_ingress: "ingress",
    kustomize: "kustomize",
    helm: "helm",
    flux: "flux",
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn before_the_first_page() {
    begin().await;
}

/// What the index's table says of each page: its file's name without `.md`, and how much of it is run.
fn told() -> Vec<(String, String)> {
    let index = std::fs::read_to_string(INDEX).unwrap();
    let rows = index.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let (_, link) = cells.first()?.split_once("](")?;
        let name = link.strip_suffix(".md)")?;
        Some((name.to_owned(), (*cells.get(2)?).to_owned()))
    });
    rows.collect()
}

#[test]
fn every_page_is_in_the_index_and_run() {
    let files = std::fs::read_dir("docs/course").unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = files
        .filter(|name| name != "README.md")
        .map(|name| {
            name.strip_suffix(".md")
                .expect("a page is Markdown")
                .to_owned()
        })
        .collect();
    let run: BTreeSet<String> = RUN.iter().map(ToString::to_string).collect();
    assert_eq!(run, pages, "the pages that are run, and the pages");
    let told: BTreeSet<String> = told().into_iter().map(|(name, _)| name).collect();
    assert_eq!(told, pages, "the pages in the index, and the pages");
}

#[test]
fn index_counts_the_blocks_left_out() {
    for (name, told) in told() {
        let said = match page(&format!("docs/course/{name}.md")).left_out {
            0 => "in full".to_owned(),
            1 => "but for 1 block".to_owned(),
            several => format!("but for {several} blocks"),
        };
        // Which ones, and why, may follow.
        let begin = told.split(": ").next();
        assert_eq!(begin, Some(said.as_str()), "{name}: {told}");
    }
}
