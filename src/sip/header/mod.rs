//! Typed views of header values: text comes in, one type for each kind of value comes out, and prints back. Strict where we
//! route on the value, lenient where we show or relay it.

mod auth;
mod cseq;
mod error;
mod name_addr;
mod params;
mod reason;
mod replaces;
mod retry_after;
mod via;
mod warning;

pub use auth::{Challenge, Credentials};
pub use cseq::CSeq;
pub use error::HeaderError;
pub use name_addr::NameAddr;
pub use params::Params;
pub(crate) use params::push_quoted;
pub use reason::Reason;
pub use replaces::Replaces;
pub use retry_after::RetryAfter;
pub use via::Via;
pub use warning::Warning;

pub(super) use name_addr::AddressLayout;
pub(super) use via::ViaLayout;
