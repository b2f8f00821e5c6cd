//! One function for each operation.

use super::access::Caller;
use super::desk::{CallDesk, Resource, Updated};
use super::page::{CallFilter, no_filters, scalars};
use super::problem::Problem;
use super::routes::BODY;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

type Desk = State<Arc<dyn CallDesk>>;
type Answer = Result<Response, Problem>;
/// The account, which [`Caller`] has compared, and the call.
type Named = Path<(String, String)>;

/// How long a body may take once its head is there.
pub(super) const ARRIVAL: Duration = Duration::from_secs(10);

/// A body that is there, not too long and in time.
pub(super) struct Body(Bytes);

impl FromRequest<Arc<dyn CallDesk>> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, desk: &Arc<dyn CallDesk>) -> Result<Body, Problem> {
        let too_long = || Problem::new(413, format!("the body is longer than {BODY} bytes"));
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > BODY) {
            return Err(too_long());
        }
        match timeout(ARRIVAL, Bytes::from_request(request, desk)).await {
            Ok(Ok(body)) => Ok(Body(body)),
            Ok(Err(refused)) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_long()),
            Ok(Err(refused)) => Err(Problem::new(400, refused.body_text())),
            Err(_) => Err(Problem::new(
                408,
                format!("the body was not whole {} seconds after its head", ARRIVAL.as_secs()),
            )),
        }
    }
}

/// A JSON object. Depth is bounded by the parser (128).
fn object(Body(body): Body) -> Result<Value, Problem> {
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
