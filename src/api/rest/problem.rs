//! What a client is told when something is not done: `{"msg": "…"}`.

use super::desk::Refusal;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A status and its sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub status: u16,
    pub msg: String,
}

impl Problem {
    pub(super) fn new(status: u16, msg: impl Into<String>) -> Problem {
        let msg = msg.into();
        Problem { status, msg }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = match refusal {
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
        match status {
            StatusCode::UNAUTHORIZED => (status, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response(),
            _ => (status, body).into_response(),
        }
    }
}
