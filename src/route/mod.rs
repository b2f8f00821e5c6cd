//! Call facts to decision and trace.
//!
//! In: the configuration and what an INVITE says ([`Facts`]). Out: a [`Decision`] or a [`Refusal`], and the [`TraceStep`]s
//! that led there. Pure: live calls, `explain` and tests ask the same function.

mod decide;
mod facts;
mod from_user;
mod home_carrier;
mod refusal;
mod trace;

pub use decide::{Callee, Decision, Target, decide};
pub use facts::{Caller, Diversion, Facts, Origin};
pub use refusal::Refusal;
pub use trace::{Trace, TraceStep};

#[cfg(test)]
mod tests;
