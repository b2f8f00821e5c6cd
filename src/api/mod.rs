//! What is served over HTTP: the admin listener here, the REST interface in [`rest`].
//!
//! The admin listener has health, metrics, status; `docs/api.md` describes it.
//!
//! In: requests on the address of `[admin]`, loopback unless the configuration says otherwise; there is no log-in.
//! Out: JSON, and Prometheus' text format. Reads the node's state, and changes two things alone: it ends a call, and
//! switches ladders. Deadlines, a cap on connections and a check of the host that is named keep strangers and browsers' tricks out.

mod calls;
mod health;
mod host;
mod registrations;
pub mod rest;
mod routes;
mod server;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use server::{HttpServer, ServeError, serve, serve_rest};
pub use state::AdminState;
