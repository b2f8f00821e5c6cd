//! The admin listener: health, metrics, status over HTTP. `docs/api.md` describes it.
//!
//! In: requests on the address of `[admin]`, loopback unless the configuration says otherwise; there is no log-in.
//! Out: JSON, and Prometheus' text format. Reads the node's state, and changes two things alone: it ends a call, and
//! switches ladders. Deadlines, a cap on connections and a check of `Host` keep strangers and browsers' tricks out.

mod calls;
mod health;
mod registrations;
mod routes;
mod server;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use server::{AdminServer, ServeError, serve};
pub use state::AdminState;
