//! What a client is told when something is not done: `{"msg": "…"}`.

use super::desk::Refusal;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;

/// A status and its sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub status: u16,
    pub msg: String,
    /// What the client is told to wait: whole seconds, at least one.
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub(super) fn new(status: u16, msg: impl Into<String>) -> Problem {
        let msg = msg.into();
        Problem {
            status,
            msg,
            retry_after: None,
        }
    }

    /// 429: a limit is reached.
    pub(super) fn later(msg: impl Into<String>, wait: Duration) -> Problem {
        Problem {
            retry_after: Some(wait),
            ..Problem::new(429, msg)
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = match refusal {
            Refusal::TooMany { why, retry_after } => return Problem::later(why, retry_after),
            Refusal::Wrong(_) => 400,
            Refusal::NoSuchCall => 404,
            Refusal::State(_) => 422,
            Refusal::Unavailable(_) => 480,
        };
        Problem::new(status, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Json(json!({ "msg": self.msg }));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            return (status, [(header::RETRY_AFTER, seconds.max(1).to_string())], body).into_response();
        }
        match status {
            // What is left of the body is not read.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                (status, [(header::CONNECTION, "close")], body).into_response()
            }
            StatusCode::UNAUTHORIZED => (status, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response(),
            _ => (status, body).into_response(),
        }
    }
}
