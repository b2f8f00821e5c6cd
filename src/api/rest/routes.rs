//! The operations: one table, of which both the router and the OpenAPI document are made.

use super::desk::CallDesk;
use super::handlers::{
    count_calls, create_call, delete_call, list_applications, list_calls, list_phone_numbers, nothing_here, show_call,
    update_call, wrong_method,
};
use super::openapi::{Body, Content, openapi};
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Json, Router};
use std::sync::Arc;

/// Bytes of a request's body.
pub(super) const BODY: usize = 256 * 1_024;

/// One operation.
pub(super) struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    /// `operationId`.
    pub id: &'static str,
    pub summary: &'static str,
    pub queries: &'static [(&'static str, &'static str)],
    pub body: Option<Body>,
    /// Beside 401 and, where the path names an account, 403.
    pub answers: &'static [(u16, &'static str, Content)],
    pub handler: MethodRouter<Arc<dyn CallDesk>>,
}

const CALLS: &str = "/v1/Accounts/{account_sid}/Calls";
const CALL: &str = "/v1/Accounts/{account_sid}/Calls/{call_sid}";
const APPLICATIONS: &str = "List the account's applications; the configuration owns them";
const NUMBERS: &str = "List the account's numbers; the configuration owns them";
const WRONG: (u16, &str, Content) = (
    400,
    "The body or the query is wrong; `msg` says where",
    Content::Problem,
);
const NO_CALL: (u16, &str, Content) = (404, "The account has no such call", Content::Problem);
const UPDATED: &[(u16, &str, Content)] = &[
    (200, "A `sip_request` was answered by the far side", Content::Answered),
    (202, "The change is with the call", Content::None),
    WRONG,
    NO_CALL,
    (422, "The call is not in a state for this", Content::Problem),
];

/// Every operation.
pub(super) fn operations() -> Vec<Operation> {
    let update = |method, id, handler| Operation {
        method,
        path: CALL,
        id,
        summary: "Change a live call: one thing, or a whisper and one thing",
        queries: &[],
        body: Some(Body::Update),
        answers: UPDATED,
        handler,
    };
    let list = |path, id, summary, answers, handler| Operation {
        method: "get",
        path,
        id,
        summary,
        queries: &[],
        body: None,
        answers,
        handler,
    };
    vec![
        Operation {
            method: "post",
            path: CALLS,
            id: "createCall",
            summary: "Place a call",
            queries: &[],
            body: Some(Body::Create),
            answers: &[
                (201, "The INVITE is sent", Content::Placed),
                WRONG,
                (480, "No call can be placed now", Content::Problem),
            ],
            handler: post(create_call),
        },
        Operation {
            method: "get",
            path: CALLS,
            id: "listCalls",
            summary: "List calls that live or ended lately, the newest first",
            queries: &[
                ("direction", "Calls to here, or from here"),
                ("from", "Exactly this caller; a number with or without its plus"),
                ("to", "Exactly this called party; a number with or without its plus"),
                ("callStatus", "Exactly this status; no call is ever `queued`"),
                ("page", "Counted from 1"),
                ("count", "Calls of a page, 1 to 500; 500 without it"),
            ],
            body: None,
            answers: &[(200, "The calls", Content::Calls), WRONG],
            handler: get(list_calls),
        },
        Operation {
            method: "get",
            path: CALL,
            id: "getCall",
            summary: "Show a call",
            queries: &[],
            body: None,
            answers: &[(200, "The call", Content::Call), NO_CALL],
            handler: get(show_call),
        },
        update("put", "updateCall", put(update_call)),
        update("post", "updateCallByPost", post(update_call)),
        Operation {
            method: "delete",
            path: CALL,
            id: "deleteCall",
            summary: "Forget the record of a call that is over",
            queries: &[],
            body: None,
            answers: &[
                (204, "It is forgotten", Content::None),
                NO_CALL,
                (422, "The call is live", Content::Problem),
            ],
            handler: delete(delete_call),
        },
        Operation {
            method: "get",
            path: "/v1/Accounts/{account_sid}/CallCount",
            id: "countCalls",
            summary: "Count live calls",
            queries: &[],
            body: None,
            answers: &[(200, "Their numbers", Content::Count), WRONG],
            handler: get(count_calls),
        },
        list(
            "/v1/Applications",
            "listApplications",
            APPLICATIONS,
            &[(200, "The applications", Content::Resources), WRONG],
            get(list_applications),
        ),
        list(
            "/v1/Accounts/{account_sid}/Applications",
            "listAccountApplications",
            APPLICATIONS,
            &[(200, "The applications", Content::Resources), WRONG],
            get(list_applications),
        ),
        list(
            "/v1/PhoneNumbers",
            "listPhoneNumbers",
            NUMBERS,
            &[(200, "The numbers", Content::Resources), WRONG],
            get(list_phone_numbers),
        ),
        list(
            "/v1/Accounts/{account_sid}/PhoneNumbers",
            "listAccountPhoneNumbers",
            NUMBERS,
            &[(200, "The numbers", Content::Resources), WRONG],
            get(list_phone_numbers),
        ),
    ]
}

/// A path with and without a slash behind it: clients of jambonz write either.
fn both<S: Clone + Send + Sync + 'static>(router: Router<S>, path: &str, handler: MethodRouter<S>) -> Router<S> {
    router.route(path, handler.clone()).route(&format!("{path}/"), handler)
}

/// The whole interface over a desk.
pub fn router(desk: Arc<dyn CallDesk>) -> Router {
    let document = openapi();
    let mut router = both(Router::new(), "/v1/openapi.json", get(async move || Json(document)));
    for operation in operations() {
        router = both(router, operation.path, operation.handler);
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(desk)
}
