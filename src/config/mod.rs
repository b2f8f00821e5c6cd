//! Configuration: raw (as typed, with spans) to checked (as meant); schema; reload.

mod checked;
mod names;
mod network;
mod number;
mod number_index;

pub use checked::*;
pub use names::{CarrierId, HostName, Invalid, ListenerName, Secret, TenantFqdn, TenantId};
pub use network::Network;
pub use number::{DialString, E164, NumberSpan};
