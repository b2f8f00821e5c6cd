//! Call facts to decision and trace.
//!
//! In: the configuration and what an INVITE says ([`Facts`]). Out: a [`Decision`] or a [`Refusal`], and the [`TraceStep`]s
//! that led there. Pure: live calls, `explain` and tests ask the same function.

mod circle;
mod decide;
mod destinations;
mod diversions;
mod elin;
mod extension;
mod facts;
mod from_user;
mod hidden;
mod home_carrier;
mod refer;
mod refusal;
mod to_application;
mod trace;
mod voucher;

pub use decide::{
    Callee, Decision, Target, believed_caller, decide, emergency_carriers, emergency_number, is_emergency,
    is_emergency_call, reads_as_another,
};
pub use destinations::may_reach;
pub use diversions::{Diversion, unread};
pub use elin::{Elin, ElinFacts, EmergencyCaller, elin_of};
pub use facts::{Caller, Claimed, Facts, Origin, number_of};
pub use from_user::read_callee;
pub use home_carrier::ways_out;
pub use refer::{ReferTo, Referrer, Unreferable, decide_refer, refer_target, wants_invite};
pub use refusal::Refusal;
pub use trace::{Trace, TraceStep};
pub use voucher::{Steering, Vouched, Voucher};

#[cfg(test)]
mod tests;
