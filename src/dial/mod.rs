//! What to ring: the plan that a route (or an application) makes and a call carries out, and the outcome of a failed one.
//!
//! In: planned hops from `carrier::plan`, `teams::plan` and `registrar::plan`; the dial verb of an application, whose
//! targets [`targets`] plans by the same functions. Out: [`DialPlan`], plain data that the call value owns. Pure.

pub mod allow;
mod destination;
mod identity;
mod outcome;
mod plan;
mod refusal;
mod target_name;
pub mod targets;
mod uri_target;

pub use identity::{is_the_caller, shown_number};
pub use outcome::{AttemptFailure, best_failure};
pub use plan::{
    Attempt, Credentials, DialPlan, EMERGENCY_RINGING, EMERGENCY_TIMEOUT, HuntOn, KeyForm, LegKind, LegTerms, NextHop,
    PeerName, PlannedHop, Secret, SessionTimer, ToHubs, Transfers,
};
pub use refusal::DialRefusal;
pub use target_name::TargetName;
pub use uri_target::may_reach;

#[cfg(test)]
mod tests;
