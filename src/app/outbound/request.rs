//! What is asked of an application server, and what comes back.

use super::room::Room;
use super::url::{HookUrl, UrlFault};
use crate::config::Secret;
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How a hook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// The scalar properties in the query, no body.
    Get,
    /// The properties as a JSON body.
    #[default]
    Post,
}

/// A user name and password for HTTP's basic authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    pub username: String,
    pub password: Secret,
}

/// The application on whose behalf a hook is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account that requests count for.
    pub account: Arc<str>,
    /// The application's own hook: relative URLs belong to its origin.
    pub hook: HookUrl,
    /// Sent to that origin alone.
    pub auth: Option<BasicAuth>,
    /// The account's webhook secret; without it nothing is signed.
    pub secret: Option<Secret>,
}

/// One hook to be asked.
#[derive(Debug, Clone)]
pub struct HookRequest {
    pub url: HookUrl,
    pub method: Method,
    /// The hook's own credentials; where it has none, the application's go to the application's origin.
    pub auth: Option<BasicAuth>,
    pub caller: Arc<Caller>,
    /// An object.
    pub properties: Value,
    /// The `b3` header, where the call is traced.
    pub trace: Option<String>,
    /// For one attempt, from the connection to the last byte; `None`: the client's own.
    pub patience: Option<Duration>,
}

impl HookRequest {
    /// A POST of `properties` to `url`, absolute or a path of the application's origin.
    pub fn new(caller: Arc<Caller>, url: &str, properties: Value) -> Result<HookRequest, UrlFault> {
        Ok(HookRequest {
            url: HookUrl::parse(url, Some(&caller.hook))?,
            method: Method::Post,
            auth: None,
            caller,
            properties,
            trace: None,
            patience: None,
        })
    }

    pub(super) fn auth(&self) -> Option<&BasicAuth> {
        let callers = || match self.url.same_origin(&self.caller.hook) {
            true => self.caller.auth.as_ref(),
            false => None,
        };
        self.auth.as_ref().or_else(callers)
    }

    /// Top-level properties that fit into a query: text, numbers, true and false.
    pub(super) fn scalars(&self) -> impl Iterator<Item = (&str, String)> {
        self.properties
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| match value {
                Value::String(text) => Some((name.as_str(), text.clone())),
                Value::Number(number) => Some((name.as_str(), number.to_string())),
                Value::Bool(flag) => Some((name.as_str(), flag.to_string())),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            })
    }
}

/// A hook's good answer: status 200, 202 or 204.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReply {
    pub status: u16,
    /// The body, where its content type says JSON and it has one. It has not been parsed.
    pub json: Option<Bytes>,
    /// The content type of a body that is no JSON, empty where none was said.
    pub foreign: Option<String>,
    /// Requests that were sent, at least 1.
    pub attempts: u8,
    /// From the first request to the answer, pauses included.
    pub took: Duration,
}

/// A file that a server makes of what it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    pub url: HookUrl,
    /// Sent to that origin alone (RFC 6750).
    pub bearer: Option<Secret>,
    /// The JSON body of the POST.
    pub json: Value,
}

/// A file from an application server.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub bytes: Bytes,
    /// The memory that it takes, held until this is dropped.
    pub room: Room,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `ETag` header.
    pub etag: Option<String>,
}
