//! The paths.

use super::calls::{self, Clearing};
use super::state::AdminState;
use super::{health, host, registrations, status};
use crate::observe::metrics::CONTENT_TYPE;
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

type Shared = State<Arc<AdminState>>;

/// Everything that is served. `checks_host`: only numeric hosts and `localhost` are answered.
pub fn router(state: Arc<AdminState>, checks_host: bool) -> Router {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/v1/calls", get(list_calls))
        .route("/v1/calls/{id}", get(show_call).delete(clear_call))
        .route("/v1/registrations", get(list_registrations))
        .route("/v1/peers", get(peers))
        .route("/v1/connections", get(connections))
        .route("/v1/certificates", get(certificates))
        .route("/v1/config", get(config))
        .route("/v1/ladders", put(switch_ladders).get(ladders))
        .route("/v1/ladders/{id}", get(show_ladder))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .with_state(state);
    if checks_host {
        routes.layer(middleware::from_fn(check_host))
    } else {
        routes
    }
}

/// A page on the Internet can give its own name this machine's loopback address, and so make a browser here ask on its
/// behalf (DNS rebinding); then that name is the host.
async fn check_host(request: Request, next: Next) -> Response {
    match host::named(request.uri(), request.headers()) {
        Some(host) if !is_local(host) => error(
            StatusCode::FORBIDDEN,
            "ask by address or by localhost: this listener serves this machine alone",
        ),
        _ => next.run(request).await,
    }
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

/// What the query says; a query that can't be read is told as every error here.
struct Asked<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Response> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(wrong) => Err(error(wrong.status(), &wrong.body_text())),
        }
    }
}

/// The `{id}` of the path.
struct Named(String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Named(id)),
            Err(wrong) => Err(error(wrong.status(), &wrong.body_text())),
        }
    }
}

async fn metrics(State(state): Shared) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], state.metrics()).into_response()
}

async fn healthz(State(state): Shared) -> Response {
    Json(health::health(&state)).into_response()
}

async fn readyz(State(state): Shared) -> Response {
    let readiness = health::readiness(&state);
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}

#[derive(Debug, Deserialize)]
struct CallFilter {
    tenant: Option<String>,
}

async fn list_calls(State(state): Shared, Asked(filter): Asked<CallFilter>) -> Response {
    let calls = calls::list(&state, filter.tenant.as_deref());
    Json(json!({ "count": calls.len(), "calls": calls })).into_response()
}

async fn show_call(State(state): Shared, Named(id): Named) -> Response {
    match calls::detail(&state, &id) {
        Some(call) => Json(call).into_response(),
        None => error(StatusCode::NOT_FOUND, "no such live call"),
    }
}

async fn clear_call(State(state): Shared, Named(id): Named) -> Response {
    match calls::clear(&state, &id) {
        Clearing::Begun => {
            tracing::info!(call = id, "an administrator ends the call");
            (StatusCode::ACCEPTED, Json(json!({ "cleared": id }))).into_response()
        }
        Clearing::NoSuchCall => error(StatusCode::NOT_FOUND, "no such live call"),
        Clearing::Busy => error(StatusCode::SERVICE_UNAVAILABLE, "the call is busy: ask again"),
    }
}

#[derive(Debug, Deserialize)]
struct RegistrationFilter {
    realm: Option<String>,
    user: Option<String>,
}

async fn list_registrations(State(state): Shared, Asked(filter): Asked<RegistrationFilter>) -> Response {
    let found = registrations::list(&state, filter.realm.as_deref(), filter.user.as_deref());
    Json(json!({ "count": found.len(), "registrations": found })).into_response()
}

async fn peers(State(state): Shared) -> Response {
    let peers = status::peers(&state);
    let elsewhere = state.node.peers.elsewhere();
    let last = state.node.peers.last_elsewhere(state.node.clock.now());
    let last = last.map(|ago| ago.as_secs());
    Json(json!({ "peers": peers, "heard_elsewhere": elsewhere, "heard_elsewhere_seconds_ago": last })).into_response()
}

async fn connections(State(state): Shared) -> Response {
    Json(json!({ "connections": status::connections(&state) })).into_response()
}

async fn certificates(State(state): Shared) -> Response {
    Json(json!({ "certificates": status::certificates(&state) })).into_response()
}

async fn config(State(state): Shared) -> Response {
    Json(status::config(&state)).into_response()
}

#[derive(Debug, Deserialize)]
struct LadderSwitch {
    on: bool,
}

async fn ladders(State(state): Shared) -> Response {
    Json(json!({ "on": state.observation.ladders.is_on() })).into_response()
}

async fn switch_ladders(state: Shared, Asked(switch): Asked<LadderSwitch>) -> Response {
    state.observation.ladders.switch(switch.on);
    tracing::info!(on = switch.on, "ladders switched");
    ladders(state).await
}

async fn show_ladder(State(state): Shared, Named(id): Named) -> Response {
    match calls::ladder(&state, &id) {
        Some(ladder) => Json(ladder).into_response(),
        None if state.observation.ladders.is_on() => error(
            StatusCode::NOT_FOUND,
            "no ladder of such a call: it began before they were on, was refused before it was a call, or is over for long",
        ),
        None => error(StatusCode::NOT_FOUND, "ladders are off"),
    }
}

async fn nothing_here() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "there are /healthz, /readyz, /metrics, /v1/calls, /v1/calls/{id}, /v1/peers, /v1/connections, /v1/certificates, /v1/registrations, /v1/config, /v1/ladders, /v1/ladders/{id}",
    )
}

/// `Allow` says which methods there are.
async fn other_method(method: Method) -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("{method} is not for this path: see Allow"),
    )
}

#[cfg(test)]
mod tests {
    use super::{is_local, nothing_here};

    #[tokio::test]
    async fn who_asks_for_nothing_hears_of_every_path() {
        let body = axum::body::to_bytes(nothing_here().await.into_body(), 10_000).await;
        let said = String::from_utf8(body.expect("a body").to_vec()).expect("text");
        let routes = include_str!("routes.rs").split(".route(\"/").skip(1);
        let paths = routes.filter_map(|rest| rest.split('"').next());
        let listed = |path: &&str| said.contains(&format!(" /{path},")) || said.contains(&format!(" /{path}\""));
        let (listed, missing): (Vec<_>, Vec<_>) = paths.filter(|path| !path.is_empty()).partition(listed);
        assert!(listed.len() > 10 && missing.is_empty(), "{missing:?} in {said}");
    }

    #[test]
    fn names_of_strangers_are_not_local() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "192.0.2.7"] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "[x]",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
