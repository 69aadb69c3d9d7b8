use super::*;

const LIMIT: Duration = Duration::from_secs(15);

fn standby() -> (watch::Sender<LeaderState>, Leadership) {
    Leadership::channel()
}

/// What a lease gives that was renewed just now.
const RENEWED: Duration = Duration::from_millis(300);

fn leads(term: u64) -> LeaderState {
    LeaderState::Leading {
        term,
        until: Some(Instant::now() + RENEWED),
    }
}

#[tokio::test]
async fn without_election_only_the_timeout_applies() {
    let leadership = Leadership::without_election();
    assert!(leadership.is_leading());
    assert_eq!(leadership.next_term(None).await, 1);
    assert_eq!(leadership.while_leading(async { 1 }).await, Some(1));
    assert_eq!(leadership.guard_write(LIMIT, async { 1 }).await, Ok(1));
    let limit = Duration::from_millis(10);
    assert_eq!(
        leadership.guard_write(limit, pending::<()>()).await,
        Err(Interrupted::TimedOut)
    );
}

#[tokio::test]
async fn a_standby_starts_no_write() {
    let (_decides, leadership) = standby();
    let step = async { unreachable!("it was begun") };
    assert_eq!(
        leadership.guard_write(LIMIT, step).await,
        Err::<(), _>(Interrupted::NotLeading)
    );
    let step = async { unreachable!("it was begun") };
    assert_eq!(leadership.while_leading(step).await, None::<()>);
    assert!(!leadership.is_leading());
}

#[tokio::test]
async fn a_write_is_cancelled_at_the_renew_deadline() {
    let (decides, leadership) = standby();
    let began = Instant::now();
    decides.send_replace(leads(1));
    assert_eq!(
        leadership.guard_write(LIMIT, pending::<()>()).await,
        Err(Interrupted::NotLeading)
    );
    assert!((RENEWED..LIMIT).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_renewal_extends_a_running_write() {
    let (decides, leadership) = standby();
    decides.send_replace(leads(1));
    // Only what is said in the end is looked at, and so it needs no moment of its own.
    let renewal = async {
        decides.send_if_modified(|state| {
            *state = LeaderState::Leading {
                term: 1,
                until: Some(Instant::now() + LIMIT),
            };
            false
        });
    };
    let work = leadership.guard_write(LIMIT, tokio::time::sleep(2 * RENEWED));
    let (done, ()) = tokio::join!(work, renewal);
    assert_eq!(done, Ok(()));
}

#[tokio::test]
async fn the_clock_cancels_a_write_before_late_timers_do() {
    let (decides, leadership) = standby();
    decides.send_replace(LeaderState::Leading {
        term: 1,
        until: Some(Instant::now() + Duration::from_millis(5)),
    });
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let step = async {
        is_ready.await.unwrap();
        unreachable!("it was gone on with");
    };
    // As in a process that is stopped: neither this thread nor its timers get on.
    let stopped = async {
        std::thread::sleep(Duration::from_millis(10));
        ready.send(()).unwrap();
    };
    let (done, ()) = tokio::join!(leadership.guard_write(LIMIT, step), stopped);
    assert_eq!(done, Err::<(), _>(Interrupted::NotLeading));
}

#[tokio::test]
async fn work_ends_with_its_term_even_if_the_next_has_begun() {
    let (decides, leadership) = standby();
    decides.send_replace(leads(1));
    let change = async {
        decides.send_replace(LeaderState::Standby);
        decides.send_replace(leads(2));
    };
    let (done, ()) = tokio::join!(leadership.while_leading(pending::<()>()), change);
    assert_eq!(done, None);
    assert_eq!(leadership.next_term(Some(1)).await, 2);
}
