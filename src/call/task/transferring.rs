//! What the REFER of a carrier or a user leads to, by the configuration in force.

use super::CallTask;
use crate::call::event::Event;
use crate::call::leg::Leg;
use crate::call::transfer::TransferWish;
use crate::config::{CarrierId, Tenant, TenantId, UserName};
use crate::dial::{Attempt, LegKind};
use crate::guard::Place;
use crate::registrar::Aor;
use crate::route::{Origin, Referrer, Refusal, Trace, Vouched, decide_refer, number_of};
use crate::sip::Uri;

impl CallTask {
    pub(super) fn plan_transfer(&mut self, wish: Box<TransferWish>) {
        let mut trace = Trace::default();
        let plan = self.route_transfer(&wish, &mut trace).map(|(attempts, place)| {
            self.transfer_place = Some(place);
            attempts
        });
        self.pending.push_back(Event::TransferPlanned { wish, plan, trace });
    }

    /// Whom the REFER rings, and the place that this takes under the limits that a call would meet.
    fn route_transfer(&self, wish: &TransferWish, trace: &mut Trace) -> Result<(Vec<Attempt>, Place), Refusal> {
        let config = self.node.config.load_full();
        let unknown = || Refusal::not_allowed("who is not configured any more", "refer");
        let tenant = TenantId::parse(&self.live.facts.tenant).ok();
        let tenant = tenant.and_then(|tenant| config.tenant(&tenant)).ok_or_else(unknown)?;
        let leg = self.call.legs().get(usize::from(wish.by.0)).ok_or_else(unknown)?;
        let referrer = self.referrer(tenant, leg, &wish.refer_to.target).ok_or_else(unknown)?;
        let (decided, steps) = decide_refer(&config, &referrer, &wish.refer_to.target);
        *trace = steps;
        let (decision, facts) = decided?;
        self.node.reachable(&decision)?;
        let attempts = self.node.attempts(&config, &facts, &decision, &facts.caller);
        let carrier = match &referrer.origin {
            Origin::Carrier(id) => config.carrier(id),
            _ => None,
        };
        let place = self
            .node
            .take_place(&config, tenant, carrier.map(|carrier| &**carrier), false)?;
        Ok((attempts, place))
    }

    /// Who the peer of a leg is, as far as it may refer.
    fn referrer<'t>(&'t self, tenant: &'t Tenant, leg: &'t Leg, target: &Uri) -> Option<Referrer<'t>> {
        let (origin, vouched) = match &leg.terms.kind {
            LegKind::Carrier { carrier } => (Origin::Carrier(CarrierId::parse(carrier).ok()?), Vouched::default()),
            LegKind::User { tenant: of, user } if **of == *tenant.id.as_str() => {
                let realm = tenant.realm.as_ref()?;
                let (name, _) = user.rsplit_once('@')?;
                let (name, now) = (UserName::parse(name).ok()?, self.node.clock.now());
                let aor = Aor::new(name.as_str(), realm.name.as_str());
                let voucher = |aor: &Aor| match realm.hook {
                    Some(_) => self.node.registrar.voucher(aor, now),
                    None => None,
                };
                let named = Aor::new(&number_of(target), realm.name.as_str());
                let vouched = Vouched {
                    caller: voucher(&aor),
                    callee: voucher(&named).is_some(),
                };
                let tenant = tenant.id.clone();
                (Origin::User { tenant, name }, vouched)
            }
            LegKind::Teams { .. } | LegKind::User { .. } | LegKind::SipUri { .. } => return None,
        };
        Some(Referrer {
            origin,
            tenant,
            stays: &leg.contact_user,
            vouched,
        })
    }
}
