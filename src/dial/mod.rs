//! What to ring: the plan that a route (or an application) makes and a call carries out, and the outcome of a failed one.
//!
//! In: planned hops from `carrier::plan` and `teams::plan`. Out: [`DialPlan`], plain data that the call value owns.
//! Pure; may touch `sip` and `sdp` types only.

mod outcome;
mod plan;
mod target_name;

pub use outcome::{AttemptFailure, best_failure};
pub use plan::{
    Attempt, Credentials, DialPlan, HuntOn, LegKind, LegTerms, NextHop, PeerName, PlannedHop, Secret, SessionTimer,
};
pub use target_name::TargetName;
