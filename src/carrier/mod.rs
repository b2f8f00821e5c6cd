//! Carriers: who is calling, how numbers are written on a trunk, which gateways to try, and the INVITE toward one.
//!
//! In: configuration, a routed call, the health of gateways. Out: identification, E.164 numbers, planned hops.
//! Pure, but for the monitor that `guard` runs and the addresses of the interfaces, which are read once.

mod history;
mod identify;
mod leading;
mod number;
mod plan;
mod unidentified;

pub use history::history_info;
pub use identify::{identify, is_certified, server_name};
pub use leading::may_lead;
pub use number::{national_code, party_uri, read_number, without_trunk_prefix, write_number, written_forms};
pub use plan::{PlanFacts, allow, gateway_name, open_terms, plan, quoted, terms};
pub use unidentified::{Comer, Unidentified};

#[cfg(test)]
mod tests;
