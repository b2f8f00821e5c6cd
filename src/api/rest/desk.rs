//! The door to calls.

use crate::config::{TenantId, TokenDigest};
use serde::Serialize;
use serde_json::{Map, Value};
use std::future::Future;
use std::pin::Pin;

/// What a desk is still doing.
pub type Doing<'d, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'd>>;

/// Whose calls are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `account_sid`: a UUID.
    pub sid: String,
    pub tenant: TenantId,
}

/// Keeps calls, for one account at a time: an implementation never shows or changes another account's.
pub trait CallDesk: Send + Sync + 'static {
    /// The account that a token opens, by the configuration in force.
    fn account(&self, token: &TokenDigest) -> Option<Account>;

    /// Places a call; done as soon as its INVITE is sent.
    fn place<'d>(&'d self, account: &'d Account, body: Value) -> Doing<'d, Placed>;

    /// Calls that live or ended lately, the newest first, as the properties that applications know.
    fn calls(&self, account: &Account) -> Vec<Map<String, Value>>;

    /// The call or leg of this sid.
    fn call(&self, account: &Account, sid: &str) -> Option<Map<String, Value>>;

    /// Changes a call that lives: the wish is with the call when this returns.
    fn update(&self, account: &Account, sid: &str, body: Value) -> Result<(), Refusal>;

    /// Forgets the record of a call that is over.
    fn forget(&self, account: &Account, sid: &str) -> Result<(), Refusal>;

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
}
