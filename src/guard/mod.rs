//! Admission policy: which peers are healthy, how many calls may be up, how fast new ones may come,
//! who guesses passwords.
//!
//! In: verdicts from calls and OPTIONS, requests for a place. Out: `held` for planning, [`Place`]s that free themselves.

mod admission;
mod failures;
mod hub_options;
mod liveness;
mod monitor;
mod overload;
mod places;
mod rounds;
mod timetable;

pub use admission::AdmissionTable;
pub use failures::Failures;
pub use hub_options::{HubOptions, options_to_hubs, options_to_test_name};
pub use liveness::{Fault, Liveness, PeerReport, Peers, Turn};
pub use monitor::{Monitor, Outcome, Surroundings};
pub use overload::{Load, Overload, Shedding};
pub use places::{Full, FullLimit, NODE, Place, Places, RECODING, carrier_owner, payer, tenant_owner};
