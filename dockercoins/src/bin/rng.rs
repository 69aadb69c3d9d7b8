//! rng answers random bytes, after 0.1 s, **one request at a time, on purpose**.
//!
//! DockerCoins exists to teach how to find a bottleneck, and this is it: one rng makes ten answers a
//! second at the most, however many workers ask. More workers then only wait longer; another replica
//! of rng helps. So don't make this faster.
//!
//! With `--flaw=no-start` it ends at once: the course's second version, whose rollout must not replace what works.

use std::{
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use dockercoins::{
    program::{self, host_name},
    server::{Whole, not_found, reads, serve, text, wrong_method},
};
use http_body_util::Either;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{CONNECTION, CONTENT_TYPE, HeaderValue},
};
use tokio::sync::Mutex;

/// The work that making random bytes stands for takes this long.
const WORK: Duration = Duration::from_millis(100);
/// The most bytes that one answer has: 32 MiB, about what one read of Linux's random device gave the
/// original.
const MOST: u64 = 32 << 20;
/// The bytes made at one time.
const CHUNK: u64 = 8192;

fn main() -> ExitCode {
    program::run(async |stop| {
        if program::has_flaw("no-start")? {
            return Err(
                "this version can't start, on purpose: it is for the lesson on rolling updates"
                    .into(),
            );
        }
        // Tried now, since later it would break an answer off in the middle. A static program may
        // read the device rather than call the kernel, and a bare chroot has no device.
        getrandom::fill(&mut [0]).map_err(|error| format!("no random bytes here: {error}"))?;
        let greeting: Bytes = format!("RNG running on {}\n", host_name()).into();
        let turn = Arc::new(Mutex::new(()));
        serve(stop, move |request| {
            let (turn, greeting) = (Arc::clone(&turn), greeting.clone());
            async move {
                // Every request waits for its turn, in the order of arrival, those that take no time
                // too: that a probe of `/` queues behind the work, and fails under load, is part of
                // the lesson. A client that gives up leaves the queue.
                let _turn = turn.lock().await;
                let mut response = answer(&request, greeting).await;
                // The next request is balanced over the replicas anew, whoever the client is.
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
        })
        .await
    })
}

async fn answer(
    request: &Request<Incoming>,
    greeting: Bytes,
) -> Response<Either<Whole, RandomBytes>> {
    let path = &request.uri().path()[1..];
    let is_number = path.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return not_found().map(Either::Left);
    }
    if !reads(request) {
        return wrong_method("GET, HEAD").map(Either::Left);
    }
    if path.is_empty() {
        return text(StatusCode::OK, greeting).map(Either::Left);
    }
    match path.parse() {
        Ok(count @ 0..=MOST) => {
            tokio::time::sleep(WORK).await;
            let mut response = Response::new(Either::Right(RandomBytes { left: count }));
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            response
        }
        _ => text(
            StatusCode::BAD_REQUEST,
            format!("{path} bytes are too many: ask for {MOST} at the most\n"),
        )
        .map(Either::Left),
    }
}

/// Random bytes, made while they are sent, so that many of them take no memory.
struct RandomBytes {
    left: u64,
}

impl Body for RandomBytes {
    type Data = Bytes;
    type Error = getrandom::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, getrandom::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let count = self.left.min(CHUNK);
        self.left -= count;
        let mut chunk = vec![0; count as usize];
        Poll::Ready(Some(
            getrandom::fill(&mut chunk).map(|()| Frame::data(chunk.into())),
        ))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
