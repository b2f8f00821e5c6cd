//! What routing needs to know of an INVITE.

use crate::config::{CarrierId, E164};
use serde::{Deserialize, Serialize};

/// Where a call came from, proven by address and certificate before routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Teams,
    Carrier(CarrierId),
}

/// The facts of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub origin: Origin,
    /// User part of the Request-URI, or the number of a `tel:` URI; parameters of the user part cut off.
    pub dialled: String,
    /// Host of the Request-URI, empty for `tel:`.
    pub host: String,
    pub caller: Caller,
    /// Who the call was diverted by, the latest last.
    pub diversions: Vec<Diversion>,
}

/// Who is calling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The number as written by the source that the trunk's policy believes: `+14255550111`, `0151…`, empty when unknown.
    pub number: String,
    /// The number that the network vouches for in P-Asserted-Identity, as written.
    pub asserted: Option<String>,
    pub display: Option<String>,
    /// `Privacy: id` (or stronger), or an anonymous From (RFC 3323, RFC 3325).
    pub private: bool,
}

/// One diverting party: an entry of History-Info or Diversion, or Referred-By.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// The number, as written.
    pub number: String,
    /// Why: the Diversion header's words (`unconditional`, `user-busy`, `no-answer` …), empty when unknown.
    pub reason: String,
}

impl Diversion {
    /// The number, where it is E.164.
    pub fn e164(&self) -> Option<E164> {
        E164::parse(&self.number).ok()
    }
}
