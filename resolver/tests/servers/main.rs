//! The resolver against real registry servers, in every setting that each has.
//!
//! Each setting is a file with its facts. The lists below make each fact a test of each server with
//! that setting, such as `registry3::tokens::a_token_serves_until_it_ends`; the table at the end
//! assigns the settings.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod mirror;
mod open;
mod passwords;
mod tls;
mod tokens;

use resolver::{CredentialUsed, Digest, Endpoint, Reference, Resolved};
use support::registry::{OCI_INDEX, Program, Registry, Settings};
use tempfile::TempDir;

/// A registry open to all, and the folder that others may serve its images from.
async fn start_open(program: Program) -> (TempDir, Registry) {
    let folder = TempDir::new().unwrap();
    let registry = Registry::start(program, folder.path(), Settings::default()).await;
    (folder, registry)
}

/// Its address by plain HTTP.
fn plain(registry: &Registry) -> String {
    format!("http://{}", registry.host)
}

/// The answer for `team/app:v1`.
fn answer(endpoint: &str, digest: &Digest, credential: Option<CredentialUsed>) -> Resolved {
    Resolved {
        reference: Reference::parse("registry.example.com/team/app:v1").unwrap(),
        digest: digest.clone(),
        media_type: OCI_INDEX.to_owned(),
        credential,
        endpoint: Endpoint::parse(endpoint).unwrap(),
        remaining: None,
        plugins: Vec::new(),
    }
}

fn used(source: &str, key: &str, username: &str) -> Option<CredentialUsed> {
    Some(CredentialUsed {
        source: source.to_owned(),
        key: key.to_owned(),
        username: username.to_owned(),
    })
}

macro_rules! setting {
    (open) => {
        facts! { open:
            it_tells_its_version
            a_head_tells_the_digest_and_the_type
            tag_resolves_to_the_digest_of_its_index_also_after_a_move
            a_digest_stays_where_its_tag_has_moved
            a_reference_is_asked_at_its_own_address_by_tag_and_by_digest
            all_four_types_of_manifest_are_resolved
            what_is_not_there_is_told_in_its_words
        }
    };
    (passwords) => {
        facts! { passwords:
            the_login_that_is_for_it_is_taken
            a_wrong_login_and_a_missing_one_are_told_apart
            a_redirect_takes_no_login_along
        }
    };
    (tokens) => {
        facts! { tokens:
            what_its_token_server_granted_is_taken
            a_token_serves_until_it_ends
            what_was_not_granted_is_not_found
            a_login_that_its_token_server_does_not_know_is_told
            an_identity_token_is_exchanged_for_what_it_may
        }
    };
    (tls) => {
        facts! { tls:
            a_certificate_counts_only_if_its_authority_and_its_name_do
            a_certificate_for_many_other_names_is_told_in_few_words
            an_authoritys_own_certificate_is_told_apart
            wrong_scheme_is_reported_with_the_right_one
            a_redirect_to_it_is_followed
            get_follows_a_head_with_missing_headers
        }
    };
    (clients) => {
        facts! { clients:
            one_is_let_in_by_the_certificate_that_is_named_for_it
            missing_client_certificate_is_reported_with_its_fix
        }
    };
    (mirror) => {
        facts! { mirror:
            it_answers_with_what_its_origin_has_and_follows_it
            it_answers_from_what_it_keeps_when_its_origin_is_gone
            what_its_origin_does_not_have_is_told
        }
    };
}

macro_rules! facts {
    ($setting:ident: $($fact:ident)+) => {
        mod $setting {
            $(
                #[tokio::test]
                #[ignore = "needs registry servers; make test runs it"]
                async fn $fact() {
                    crate::$setting::$fact(super::PROGRAM).await;
                }
            )+
        }
    };
}

macro_rules! servers {
    ($($server:ident: $program:ident has [$($setting:tt)+])+) => {
        $(
            mod $server {
                const PROGRAM: crate::support::registry::Program =
                    crate::support::registry::Program::$program;
                $(setting! { $setting })+
            }
        )+
    };
}

servers! {
    registry2: Registry2 has [open passwords tokens tls clients mirror]
    registry3: Registry3 has [open passwords tokens tls clients mirror]
    olareg:    Olareg    has [open                  tls]
    crane:     Crane     has [open]
}
