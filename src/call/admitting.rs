//! Whether a call that was routed is taken: what it insists on, and its place under every limit.

use super::node::Node;
use super::readable::description_of;
use super::sender::Sender;
use super::switchboard::Switchboard;
use crate::config::{Config, Limits, TenantId};
use crate::dial::allow;
use crate::guard::{FullLimit, Place};
use crate::route::{Decision, Elin, Refusal};
use crate::sip::message::{HeaderName, Message};

/// Who rings for help, and be it a whole office behind one user or an application, needs no more lines at once, and somebody
/// else's call for help may need the ports.
const EMERGENCIES_OF_ONE: Limits = Limits {
    calls: Some(8),
    calls_per_second: None,
    calls_per_day: None,
};
/// Calls to one ELIN that are exempt from limits at once: whoever knows the number may call it, and not all of them are the
/// emergency service. Further ones are calls like others.
const CALLS_BACK: Limits = Limits {
    calls: Some(8),
    calls_per_second: None,
    calls_per_day: None,
};

impl Node {
    /// A place among the emergency calls that a tenant's applications and programs have up, or why there is none.
    pub(super) fn take_emergency_place(&self, tenant: &TenantId) -> Result<Place, String> {
        let owner = format!("emergency calls that applications of tenant {tenant} make");
        let taken = self
            .places
            .take(&[(&owner, EMERGENCIES_OF_ONE)], false, self.clock.now());
        taken.map_err(|full| match full.limit {
            FullLimit::Calls(most) => {
                format!("{most} emergency calls that applications or REST have made for this account are up already")
            }
            _ => full.to_string(),
        })
    }
}

impl Switchboard {
    /// A place under every limit that the call meets, or why there is none.
    pub(super) fn admit(
        &self,
        config: &Config,
        sender: &Sender,
        mut decision: Decision,
    ) -> Result<(Decision, Place), Refusal> {
        let usual = config.sbc.guard.retry_after;
        let few = |owner: &str, limits| self.node.places.take(&[(owner, limits)], false, self.node.clock.now());
        let own = match (sender, &decision.elin) {
            (_, Elin::CalledBack(number)) => {
                let place = few(&format!("calls back to {number}"), CALLS_BACK).ok();
                decision.emergency = place.is_some();
                place
            }
            (Sender::User { tenant, name, .. }, _) if decision.emergency => {
                let place = few(
                    &format!("emergency calls of {name} of {}", tenant.id),
                    EMERGENCIES_OF_ONE,
                );
                Some(place.map_err(|full| Refusal::unavailable(full.to_string(), Some(usual)))?)
            }
            _ => None,
        };
        // Who calls for help and comes here may find no other node in time (promise 6).
        if self.node.is_draining() && !decision.emergency {
            return Err(Refusal::unavailable(
                "this node is going out of service".into(),
                Some(usual),
            ));
        }
        let carrier = match sender {
            Sender::Carrier(carrier) => Some(&**carrier),
            _ => None,
        };
        let place = self
            .node
            .take_place(config, &decision.tenant, carrier, decision.emergency)?;
        Ok(match own {
            Some(own) => (decision, place.with(own)),
            None => (decision, place),
        })
    }
}

/// Refuses what the caller insists on and would not get (RFC 3261 §8.2.2.3), such as reliable provisional responses, a
/// Replaces of others than Teams, which would ring as a second call, and a body that can't be read. An emergency call is worth
/// more than its extensions, and than how its body is wrapped.
pub(super) fn can_serve(invite: &Message, decision: Decision) -> Result<Decision, Refusal> {
    match allow::foreign_extensions(invite) {
        _ if decision.emergency => Ok(decision),
        Some(foreign) => Err(Refusal::bad_extension(foreign)),
        None if invite.header(HeaderName::Replaces).is_some() => Err(Refusal::replaces_nothing()),
        None => match description_of(invite) {
            Err(unreadable) => Err(unreadable.into()),
            Ok(_) => Ok(decision),
        },
    }
}
