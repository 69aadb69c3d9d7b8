//! hasher answers the SHA-256 of what it is sent, after 0.1 s. Many are served at one time.

use std::{process::ExitCode, time::Duration};

use dockercoins::{
    program::{self, host_name},
    server::{Whole, not_found, reads, serve, text, wrong_method},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use sha2::{Digest, Sha256};

/// The work that hashing stands for takes this long.
const WORK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    program::run(|stop| {
        let greeting = format!("HASHER running on {}\n", host_name());
        serve(stop, move |request| answer(request, greeting.clone()))
    })
}

async fn answer(request: Request<Incoming>, greeting: String) -> Response<Whole> {
    if request.uri().path() != "/" {
        not_found()
    } else if reads(&request) {
        text(StatusCode::OK, greeting)
    } else if request.method() == Method::POST {
        hash(request.into_body()).await
    } else {
        wrong_method("GET, HEAD, POST")
    }
}

/// Hashes the body as it arrives, so that its size doesn't matter.
async fn hash(mut body: Incoming) -> Response<Whole> {
    tokio::time::sleep(WORK).await;
    let mut sha256 = Sha256::new();
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => sha256.update(&data),
            Ok(Err(_trailers)) => {}
            Err(error) => {
                return text(
                    StatusCode::BAD_REQUEST,
                    format!("the body broke off: {error}\n"),
                );
            }
        }
    }
    let digest: String = sha256
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut response = Response::new(Full::new(digest.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
