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
async fn one_that_is_alone_is_bound_by_nothing_but_the_limit() {
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
async fn whoever_stands_by_takes_no_first_step() {
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
async fn a_write_ends_when_the_lease_does_and_not_before() {
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
async fn a_write_goes_on_when_the_lease_is_renewed_meanwhile() {
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
async fn a_step_that_could_be_taken_is_not_when_the_clock_says_no_whatever_the_timers_say() {
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
async fn work_is_dropped_when_the_term_is_over_even_if_the_next_has_begun() {
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
