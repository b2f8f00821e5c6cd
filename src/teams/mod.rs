//! Teams: the contract of a Teams leg and the INVITE toward one.
//!
//! In: configuration, a routed call, the health of the hubs, final answers. Out: planned hops, and what goes on of an answer. What Teams forbids (an IP address in
//! Contact, plain RTP, Replaces, `Require: 100rel`) has no place in what is built here.

pub mod catalogue;
pub mod codes;
pub mod onboarding;
mod plan;
mod reason;
pub mod transfer;
mod user_place;

pub use plan::{allow, hub_name, plan, terms, terms_under};
pub use reason::{TeamsReason, is_guid};
pub use user_place::UserPlace;
