use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

use super::*;

fn sample(hashes: u64, at: f64) -> Result<Sample, String> {
    Ok(Sample {
        coins: hashes / 16,
        hashes,
        at,
    })
}

fn hash_rate(read: impl IntoIterator<Item = Result<Sample, String>>) -> HashRate {
    let mut hash_rate = HashRate::default();
    read.into_iter().for_each(|read| hash_rate.record(read));
    hash_rate
}

fn status(ready: &str, reason: &str, message: &str) -> DockerCoinsStatus {
    let condition: Condition = serde_json::from_value(json!({
        "type": "Ready", "status": ready, "reason": reason, "message": message,
        "lastTransitionTime": "2026-08-01T00:00:00Z",
    }))
    .unwrap();
    serde_json::from_value(json!({
        "conditions": [condition],
        "components": [
            { "name": "rng", "replicas": 1, "readyReplicas": 1 },
            { "name": "worker", "replicas": 10, "readyReplicas": 9 },
        ],
    }))
    .unwrap()
}

#[test]
fn a_response_is_parsed_with_the_original_types() {
    let read = |body: &str| Sample::of(200, body);
    let at = 1_795_474_245.271;
    assert_eq!(
        read(r#"{"coins":1,"hashes":"4","now":1795474245.271}"#),
        Ok(Sample {
            coins: 1,
            hashes: 4,
            at
        })
    );
    assert_eq!(
        read(r#"{"coins":0,"hashes":null,"now":1795474245.271}"#),
        Ok(Sample {
            coins: 0,
            hashes: 0,
            at
        }),
        "before the first hash"
    );
}

#[test]
fn a_failed_response_names_its_sender() {
    let no_redis = r#"{"error":"redis at redis:6379: Connection refused"}"#;
    let no_pods = r#"{"kind":"Status","message":"no endpoints available for service \"webui:80\"","code":503}"#;
    for (status, body, told) in [
        (
            503,
            no_redis,
            "the web page has no figures: redis at redis:6379: Connection refused",
        ),
        (
            503,
            no_pods,
            "the web page can't be reached: no endpoints available for service \"webui:80\"",
        ),
        (500, "<html>sorry", "the web page's server answered 500"),
        (
            200,
            r#"{"coins":1,"hashes":"many","now":1}"#,
            "the web page's figures can't be read: is it DockerCoins' page?",
        ),
        (
            200,
            "<html>welcome",
            "the web page's figures can't be read: is it DockerCoins' page?",
        ),
    ] {
        assert_eq!(Sample::of(status, body), Err(told.to_owned()));
    }
}

#[test]
fn a_rate_is_the_mean_of_five_to_ten_seconds() {
    let steps = (0..20).map(|second| sample(second * second, second as f64));
    let mut hash_rate = HashRate::default();
    let rates: Vec<Option<f64>> = steps
        .map(|read| {
            hash_rate.record(read);
            hash_rate.rate()
        })
        .collect();
    assert_eq!(rates[..5], [None; 5]);
    assert_eq!(rates[5], Some(5.0));
    assert_eq!(rates[10], Some(10.0));
    assert_eq!(rates[19], Some(28.0), "of the squares of 9 and 19");
}

#[test]
fn shrinking_counters_restart_the_window() {
    let before = [sample(100, 0.0), sample(150, 5.0)];
    let mut hash_rate = hash_rate(before);
    assert_eq!(hash_rate.rate(), Some(10.0));
    hash_rate.record(sample(7, 6.0));
    assert_eq!((hash_rate.rate(), hash_rate.coins()), (None, Some(0)));
    hash_rate.record(sample(22, 11.0));
    assert_eq!(hash_rate.rate(), Some(3.0));
}

#[test]
fn a_repeated_sample_adds_no_time() {
    let hash_rate = hash_rate([sample(100, 5.0), sample(100, 5.0)]);
    assert_eq!(hash_rate.rate(), None);
}

#[test]
fn a_failed_sample_restarts_the_window() {
    let away = Err("the web page can't be reached: why".to_owned());
    let mut hash_rate = hash_rate([sample(0, 0.0), sample(50, 5.0), away]);
    assert_eq!((hash_rate.rate(), hash_rate.coins()), (None, None));
    hash_rate.record(sample(50, 60.0));
    assert_eq!((hash_rate.rate(), hash_rate.coins()), (None, Some(3)));
}

#[test]
fn a_long_note_is_truncated() {
    let long = status("False", "NotFoundOrNoAccess", &"é".repeat(1000));
    let line = HashRate::default().line(&long);
    assert_eq!(
        line,
        format!(
            "False       9/10         -        -  NotFoundOrNoAccess: {}…\n",
            "é".repeat(30)
        )
    );
}

#[test]
fn a_line_is_aligned_with_its_header_and_ends_with_a_note() {
    let mining = hash_rate([sample(0, 0.0), sample(49, 5.0)]);
    let away = hash_rate([Err("the web page can't be reached: why".to_owned())]);
    let well = status("True", "Ready", "all is rolled out");
    let not_yet = status("False", "RolloutInProgress", "worker: 9 of 10\nare ready");
    let lines = [
        mining.line(&well),
        mining.line(&not_yet),
        away.line(&not_yet),
        HashRate::default().line(&DockerCoinsStatus::default()),
    ];
    assert_eq!(
        format!("{HEADING}{}", lines.concat()),
        "READY    WORKERS  HASHES/S    COINS\n\
         True        9/10       9.8        3\n\
         False       9/10       9.8        3  RolloutInProgress: worker: 9 of 10 are ready\n\
         False       9/10         -        -  the web page can't be reached: why\n\
         Unknown        -         -        -  no operator has looked at the resource yet\n"
    );
}
