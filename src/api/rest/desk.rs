//! The door to calls.

use crate::config::{TenantId, TokenDigest};
use serde::Serialize;
use serde_json::{Map, Value};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// What a desk is still doing.
pub type Doing<'d, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'd>>;

/// Whose calls are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `account_sid`: a UUID.
    pub sid: String,
    pub tenant: TenantId,
    /// What the token is called: who asks.
    pub token: String,
}

/// Keeps calls, for one account at a time: an implementation never shows or changes another account's.
pub trait CallDesk: Send + Sync + 'static {
    /// The account that a token opens, by the configuration in force.
    fn account(&self, token: &TokenDigest) -> Option<Account>;

    /// Whether a token that opens an account may ask now; the error is how long it should wait.
    fn admit(&self, token: &TokenDigest) -> Result<(), Duration>;

    /// Places a call; done as soon as its INVITE is sent.
    fn place<'d>(&'d self, account: &'d Account, body: Value) -> Doing<'d, Placed>;

    /// Calls that live or ended lately, the newest first, as the properties that applications know.
    fn calls(&self, account: &Account) -> Vec<Map<String, Value>>;

    /// The call or leg of this sid.
    fn call(&self, account: &Account, sid: &str) -> Option<Map<String, Value>>;

    /// Changes a call that lives: the wish is with the call when this is done, and a request inside the dialog answered.
    fn update<'d>(&'d self, account: &'d Account, sid: &'d str, body: Value) -> Doing<'d, Updated>;

    /// Forgets the record of a call that is over.
    fn forget(&self, account: &Account, sid: &str) -> Result<(), Refusal>;

    /// Somebody has changed a call, `what` of it says in words: for the log.
    fn changed(&self, account: &Account, call_sid: &str, what: &str);

    /// Calls that live now.
    fn count(&self, account: &Account) -> CallCount;

    /// What the configuration holds for the account.
    fn resources(&self, account: &Account, resource: Resource) -> Vec<Map<String, Value>>;
}

/// A call that was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Its `call_sid`.
    pub sid: String,
    /// The Call-ID of its INVITE.
    #[serde(rename = "callId")]
    pub call_id: String,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// It is with the call.
    Taken,
    /// The far side's final response to a `sip_request`.
    Answered { status: u16, reason: String },
}

/// Calls that live now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CallCount {
    pub inbound: usize,
    pub outbound: usize,
}

/// What can be read of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Applications,
    PhoneNumbers,
}

/// Why something is not done. The text is for the client to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is wrong: 400.
    #[error("{0}")]
    Wrong(String),
    /// The account has no such call: 404.
    #[error("there is no such call")]
    NoSuchCall,
    /// The call is not in a state for this: 422.
    #[error("{0}")]
    State(String),
    /// No call can be placed now: 480, as jambonz says it.
    #[error("{0}")]
    Unavailable(String),
    /// A limit is reached: 429.
    #[error("{why}")]
    TooMany { why: String, retry_after: Duration },
}
