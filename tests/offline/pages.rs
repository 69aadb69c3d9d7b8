//! Every test that a page names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The pages whose sentences are backed by tests.
const PAGES: [&str; 2] = ["docs/dependencies.md", "docs/operations.md"];

/// A word that is so long and has so many underscores is a test's name.
fn is_test(word: &str) -> bool {
    word.matches('_').count() >= 3 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for path in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| {
                let name = line
                    .trim_start()
                    .trim_start_matches("async ")
                    .strip_prefix("fn ")?;
                Some(name.split('(').next()?.to_owned())
            });
            found.extend(names);
        }
    }
}

#[test]
fn every_test_that_a_page_names_exists() {
    let mut known = BTreeSet::new();
    for folder in ["src", "tests", "resolver/src", "resolver/tests"] {
        tests(Path::new(folder), &mut known);
    }
    for page in PAGES {
        let text = fs::read_to_string(page).unwrap();
        let named = text.split('`').filter(|word| is_test(word));
        let named: BTreeSet<String> = named.map(ToOwned::to_owned).collect();
        assert!(!named.is_empty(), "{page} names tests");
        let unknown: Vec<&String> = named.difference(&known).collect();
        assert_eq!(
            unknown,
            Vec::<&String>::new(),
            "{page} names tests that don't exist"
        );
    }
}

#[test]
fn each_row_of_what_happens_when_something_is_down_names_a_test() {
    let text = fs::read_to_string("docs/dependencies.md").unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(2);
    for row in rows {
        assert!(row.split('`').any(is_test), "{row}");
    }
}
