//! One function for each operation.

use super::access::Caller;
use super::desk::{CallDesk, Resource, Updated};
use super::page::{CallFilter, no_filters, scalars};
use super::problem::Problem;
use super::routes::BODY;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

type Desk = State<Arc<dyn CallDesk>>;
type Answer = Result<Response, Problem>;
/// The account, which [`Caller`] has compared, and the call.
type Named = Path<(String, String)>;

type Body = Result<Bytes, BytesRejection>;

/// A JSON object. Depth is bounded by the parser (128), size by the router.
fn object(body: Body) -> Result<Value, Problem> {
    let body = body.map_err(|refused| match refused.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(413, format!("the body is longer than {BODY} bytes")),
        _ => Problem::new(400, refused.body_text()),
    })?;
    match crate::app::json::read(&body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Problem::new(400, "the body is a JSON object")),
        Err(error) => Err(Problem::new(400, format!("the body is JSON: {error}"))),
    }
}

fn no_such_call() -> Problem {
    Problem::new(404, "there is no such call")
}

pub(super) async fn create_call(State(desk): Desk, Caller(account): Caller, body: Body) -> Answer {
    let placed = desk.place(&account, object(body)?).await?;
    desk.changed(&account, &placed.sid, "placed");
    Ok((StatusCode::CREATED, Json(placed)).into_response())
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The pairs of a query, as they stand.
fn pairs(query: Pairs) -> Result<Vec<(String, String)>, Problem> {
    let Query(pairs) = query.map_err(|error| Problem::new(400, format!("the query: {}", error.body_text())))?;
    Ok(pairs)
}

pub(super) async fn list_calls(State(desk): Desk, Caller(account): Caller, query: Pairs) -> Answer {
    let filter = CallFilter::read(pairs(query)?)?;
    Ok(Json(filter.apply(desk.calls(&account))).into_response())
}

pub(super) async fn show_call(State(desk): Desk, Caller(account): Caller, Path((_, sid)): Named) -> Answer {
    let call = desk.call(&account, &sid).ok_or_else(no_such_call)?;
    Ok(Json(scalars(call)).into_response())
}

pub(super) async fn update_call(
    State(desk): Desk,
    Caller(account): Caller,
    Path((_, sid)): Named,
    body: Body,
) -> Answer {
    let body = object(body)?;
    // What they say may hold secrets and numbers; a body that is taken has no other names than the interface's own.
    let names = body.as_object().into_iter().flat_map(|body| body.keys());
    let what = names.map(String::as_str).collect::<Vec<&str>>().join(" ");
    let updated = desk.update(&account, &sid, body).await?;
    desk.changed(&account, &sid, &what);
    Ok(match updated {
        Updated::Taken => StatusCode::ACCEPTED.into_response(),
        Updated::Answered { status, reason } => Json(json!({ "status": status, "reason": reason })).into_response(),
    })
}

pub(super) async fn delete_call(State(desk): Desk, Caller(account): Caller, Path((_, sid)): Named) -> Answer {
    desk.forget(&account, &sid)?;
    desk.changed(&account, &sid, "forgotten");
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn count_calls(State(desk): Desk, Caller(account): Caller, query: Pairs) -> Answer {
    no_filters(&pairs(query)?)?;
    Ok(Json(desk.count(&account)).into_response())
}

pub(super) async fn list_applications(State(desk): Desk, Caller(account): Caller, query: Pairs) -> Answer {
    no_filters(&pairs(query)?)?;
    Ok(Json(desk.resources(&account, Resource::Applications)).into_response())
}

pub(super) async fn list_phone_numbers(State(desk): Desk, Caller(account): Caller, query: Pairs) -> Answer {
    no_filters(&pairs(query)?)?;
    Ok(Json(desk.resources(&account, Resource::PhoneNumbers)).into_response())
}

pub(super) async fn nothing_here() -> Problem {
    Problem::new(404, "there is nothing here; /v1/openapi.json lists what is")
}

pub(super) async fn wrong_method() -> Problem {
    Problem::new(405, "this path has other methods; /v1/openapi.json lists them")
}
