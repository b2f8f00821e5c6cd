//! The REST interface: calls of an account, placed, listed, changed. `docs/rest.md` describes it.
//!
//! In: requests with a bearer token on the address of `[api]`. Out: JSON as jambonz' interface has it. The door to calls is
//! the trait [`CallDesk`]; what a body means is the desk's to read. A token opens its own account and nothing else, which one
//! extractor checks for every path. Bodies, answers and pages are bounded, and so is how often a token may ask.

mod access;
mod desk;
mod handlers;
mod node_desk;
mod openapi;
mod pace;
mod page;
mod problem;
mod routes;
#[cfg(test)]
mod tests;

pub use desk::{Account, CallCount, CallDesk, Doing, Placed, Refusal, Resource, Updated};
pub use node_desk::NodeDesk;
pub use openapi::openapi;
pub use routes::router;
