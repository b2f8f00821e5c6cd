//! Users that register: who they are, where they are, and how they are reached.
//!
//! In: REGISTER requests, and questions where a user is. Out: answers, [`Binding`]s, and the attempts that ring a user's
//! devices ([`plan`]). [`Registrar`] is shared by all shards and calls; behind its locks everything is a pure function
//! of (configuration, request, time). What it knows is kept in [`crate::store`], written behind the answers.

mod aor;
mod binding;
mod bindings;
mod changing;
mod crowd;
mod door;
mod plan;
mod proving;
mod register;
mod stored;
mod vouching;

pub use aor::Aor;
pub use binding::{Binding, Device, is_caller_behind_nat};
pub use bindings::{Bindings, Full};
pub use door::{Asked, Registrar, RegistrarStatus, Reply, Unasked};
pub use plan::{UserCall, allow, device_name, plan, terms};
pub use proving::UserProof;
pub use register::{Register, Unfit, Wish};
pub use stored::Clocks;
pub use vouching::{Grant, Question, Verdict};

#[cfg(test)]
mod tests;
