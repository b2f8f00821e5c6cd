//! The targets of a dial verb, planned to the last header by the functions that plan static routes.

use super::identity::{self, Shown};
use super::outcome::AttemptFailure;
use super::plan::{Attempt, DialPlan, PeerName, PlannedHop};
use super::refusal::DialRefusal;
use super::target_name::TargetName;
use super::uri_target;
use crate::app::verb::{Dial, Target, TargetKind};
use crate::carrier::{self, PlanFacts};
use crate::config::{Carrier, CarrierId, Config, Destination as Owned, E164, Tenant, UserName, nearest};
use crate::registrar::{self, Aor, Binding, UserCall};
use crate::route::{self, Caller, Decision, Diversion, Elin, Trace};
use crate::sdp::Security;
use crate::sip::Uri;
use crate::teams;
use std::sync::Arc;

/// Steps of one decision that a record keeps.
pub const MOST_STEPS: usize = 32;

/// Who the first leg of a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstLeg {
    /// It called us: it is the caller.
    Calls,
    /// It was called, or is not there yet: the caller is whom its application is told of.
    IsCalled,
}

/// What is known when an application dials.
#[derive(Clone, Copy)]
pub struct DialFacts<'a> {
    pub config: &'a Config,
    /// The account that dials.
    pub tenant: &'a Arc<Tenant>,
    pub first: FirstLeg,
    /// The caller, every number read by the rules of the trunk it came from.
    pub caller: &'a Caller,
    /// What the application was told of the caller as `from`: the number as it came, before any rule read it. Empty where it
    /// was told of nobody.
    pub told_from: &'a str,
    /// The caller, when it is a user of the tenant.
    pub colleague: Option<&'a UserName>,
    /// Shown instead of the caller, as the call's route decided.
    pub shown_instead: Option<E164>,
    pub diversions: &'a [Diversion],
    /// Where a user's devices are.
    pub devices: &'a dyn Fn(&Aor) -> Vec<Binding>,
}

impl DialFacts<'_> {
    /// The caller as E.164, where the number is one.
    pub(super) fn number(&self) -> Option<E164> {
        E164::parse(&self.caller.number).ok()
    }

    pub(super) fn realm(&self) -> Option<&str> {
        self.tenant.realm.as_ref().map(|realm| realm.name.as_str())
    }
}

/// The plan of a dial, or the first thing that is wrong with it; the trace tells each step, whatever the result. A user
/// that is registered nowhere is an attempt that fails with 404: the other targets ring. Where an emergency number is among
/// the targets, so is every other one that can't be planned.
pub fn plan(
    facts: DialFacts<'_>,
    dial: &Dial,
    held: &dyn Fn(&PeerName) -> bool,
) -> (Result<DialPlan, DialRefusal>, Trace) {
    let mut trace = Trace::default();
    let mut left_out = Trace::default();
    let result = attempts(facts, dial, held, (&mut trace, &mut left_out)).map(|attempts| DialPlan {
        attempts,
        timeout: dial.timeout,
        ringing: dial.timeout,
        left_out: left_out.bounded(MOST_STEPS),
    });
    if let Err(refusal) = &result {
        trace.step("refused", refusal.place(), format!("{}; {}", refusal.what, refusal.fix));
    }
    (result, trace)
}

fn attempts(
    facts: DialFacts<'_>,
    dial: &Dial,
    held: &dyn Fn(&PeerName) -> bool,
    (all_steps, left_out): (&mut Trace, &mut Trace),
) -> Result<Vec<Attempt>, DialRefusal> {
    let mut all = Vec::with_capacity(dial.targets.len());
    let mut rung = Vec::with_capacity(dial.targets.len());
    // What is wrong with one is no reason to keep the other from help (promise 6).
    let keeps_ringing = dial.targets.len() > 1 && dial.targets.iter().any(|target| is_emergency(facts.config, target));
    let mut first_refusal = None;
    for (position, target) in dial.targets.iter().enumerate() {
        let name = name_of(target);
        let mut trace = Trace::default();
        trace.step("target", format!("target[{position}]"), name.to_string());
        let planning = Planning {
            facts,
            dial,
            position,
            target,
            held,
        };
        if let Some(destination) = planning.destination() {
            if rung.contains(&destination) {
                trace.step(
                    "left out",
                    format!("target[{position}]"),
                    "an earlier target is the same",
                );
                left_out.0.extend_from_slice(&trace.0);
                all_steps.0.append(&mut trace.0);
                continue;
            }
            rung.push(destination);
        }
        let planned = planning.attempts(&mut trace);
        let planned = planned.and_then(|planned| planning.keeps_secret(&planned).map(|()| planned));
        let planned = match planned {
            Err(refusal) if keeps_ringing => {
                trace.step(
                    "not rung",
                    refusal.place(),
                    format!("{}; {}", refusal.what, refusal.fix),
                );
                let failure = AttemptFailure::local(500, "Server Internal Error", refusal.to_string());
                first_refusal.get_or_insert(refusal);
                Ok(vec![Attempt::hopeless(failure)])
            }
            planned => planned,
        };
        all_steps.0.extend_from_slice(&trace.0);
        let mut planned = planned?;
        for attempt in &mut planned {
            attempt.target = Some(name.clone());
            if !attempt.emergency {
                attempt.ringing = target.timeout;
                attempt.confirm.clone_from(&target.confirm_hook);
            }
            let mut hops = Trace::default();
            for hop in &mut attempt.hops {
                hop.terms = hop.terms.steered();
                hop.extra_headers = merged(&dial.headers, &target.headers);
                hops.step("hop", hop.peer.to_string(), &hop.request_uri);
                if hop.held {
                    hops.step("held", hop.peer.to_string(), "has failed lately: tried last");
                }
            }
            all_steps.0.extend_from_slice(&hops.0);
            let own = Trace([trace.0.as_slice(), &hops.0].concat());
            attempt.trace = own.bounded(MOST_STEPS);
        }
        all.append(&mut planned);
    }
    match first_refusal {
        Some(refusal) if all.iter().all(|attempt| attempt.hops.is_empty()) => Err(refusal),
        _ => Ok(all),
    }
}

fn is_emergency(config: &Config, target: &Target) -> bool {
    matches!(&target.kind, TargetKind::Phone { number, .. } if route::emergency_number(config, number).is_some())
}

fn name_of(target: &Target) -> TargetName {
    match &target.kind {
        TargetKind::Phone { number, .. } => TargetName::phone(number),
        TargetKind::Sip { uri } => TargetName::sip(uri),
        TargetKind::User { name, .. } => TargetName::user(name),
        TargetKind::Teams { number, .. } => TargetName::teams(number),
    }
}

/// A user by name, of the realm `own` where it says none.
pub(super) fn aor(name: &str, own: &str) -> Aor {
    Aor::parse(name).unwrap_or_else(|| Aor::new(name, own))
}

/// The dial's headers, and the target's, which win.
fn merged(dial: &[(String, String)], target: &[(String, String)]) -> Vec<(String, String)> {
    let overridden = |name: &str| target.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    dial.iter()
        .filter(|(name, _)| !overridden(name))
        .chain(target)
        .cloned()
        .collect()
}

/// One target on its way to attempts.
pub(super) struct Planning<'a> {
    pub facts: DialFacts<'a>,
    pub dial: &'a Dial,
    pub position: usize,
    pub target: &'a Target,
    pub held: &'a dyn Fn(&PeerName) -> bool,
}

impl<'a> Planning<'a> {
    fn attempts(&self, trace: &mut Trace) -> Result<Vec<Attempt>, DialRefusal> {
        match &self.target.kind {
            TargetKind::Phone { number, trunk } => self.phone(number, trunk.as_deref(), trace).map(|one| vec![one]),
            TargetKind::Teams {
                number,
                tenant,
                voicemail,
            } => self
                .teams(number, tenant.as_deref(), *voicemail, trace)
                .map(|one| vec![one]),
            TargetKind::User { name, override_to } => self.user(name, override_to.as_deref(), trace),
            TargetKind::Sip { uri } => self.sip(uri, trace),
        }
    }

    /// The next hop of a SIP URI, where one is named: the target's, else the dial's.
    pub fn proxy(&self) -> Option<&'a str> {
        let target: &'a Target = self.target;
        target.proxy.as_deref().or(self.dial.proxy.as_deref())
    }

    pub(super) fn is_of_our_realm(&self, uri: &Uri) -> bool {
        self.facts
            .realm()
            .is_some_and(|own| uri.host().eq_ignore_ascii_case(own))
    }

    /// A refusal of one of the target's properties.
    pub fn refuse(&self, property: &'static str, what: impl Into<String>, fix: impl Into<String>) -> DialRefusal {
        DialRefusal {
            target: Some(self.position),
            property,
            what: what.into(),
            fix: fix.into(),
        }
    }

    /// What is to be encrypted goes to nobody in clear; an emergency call goes out as it can.
    fn keeps_secret(&self, planned: &[Attempt]) -> Result<(), DialRefusal> {
        let hops = planned
            .iter()
            .filter(|attempt| !attempt.emergency)
            .flat_map(|attempt| &attempt.hops);
        let mut plain = hops.filter(|hop| hop.terms.media.security == Security::Plain);
        match plain.next().filter(|_| self.dial.sdes) {
            None => Ok(()),
            Some(hop) => Err(DialRefusal {
                target: None,
                property: "srtpEncryption",
                what: format!("target[{}] is rung without SRTP ({})", self.position, hop.peer),
                fix: "`srtp = true` of a user has it encrypted; toward carriers leave it out".to_owned(),
            }),
        }
    }

    /// Credentials and a next hop belong to SIP URIs: elsewhere the configuration has them.
    fn only_for_uris(&self, whose: &str) -> Result<(), DialRefusal> {
        if self.target.auth.is_some() {
            return Err(self.refuse(
                "auth",
                format!("{whose} has its credentials in the configuration"),
                "leave it out",
            ));
        }
        if self.target.proxy.is_some() {
            return Err(self.refuse(
                "proxy",
                format!("{whose} has its way in the configuration"),
                "leave it out",
            ));
        }
        Ok(())
    }

    fn decision(&self, target: route::Target, shown: &Shown, emergency: bool) -> Decision {
        Decision {
            tenant: self.facts.tenant.clone(),
            target,
            caller: shown.number,
            shown_instead: shown.instead,
            emergency,
            elin: Elin::None,
        }
    }

    fn phone(&self, number: &str, trunk: Option<&str>, trace: &mut Trace) -> Result<Attempt, DialRefusal> {
        let DialFacts { config, tenant, .. } = self.facts;
        let code = route::emergency_number(config, number);
        let emergency = code.is_some();
        if !emergency {
            self.only_for_uris("a carrier")?;
        }
        let (callee, carriers) = if let Some(code) = code {
            trace.step("emergency", number, "emergency number: passes before policy and limits");
            let carriers = route::emergency_carriers(config, tenant, trace);
            (route::Callee::Code(code.to_owned()), carriers)
        } else {
            let callee = route::read_callee(config, tenant, number, trace).ok_or_else(|| {
                let what = format!("'{}' is not a telephone number", number.escape_debug());
                self.refuse("number", what, "say it in E.164, such as +14255550100")
            })?;
            self.refuse_own_application(&callee)?;
            route::may_reach(config, tenant, &callee, trace).map_err(|refusal| {
                let advice = "a number that `[destinations]` of the tenant allows";
                self.refuse("number", refusal.sentence, advice)
            })?;
            let carriers = match trunk {
                Some(trunk) => vec![self.trunk(trunk, trace)?],
                None => route::ways_out(config, tenant, &callee, trace),
            };
            (callee, carriers)
        };
        if carriers.is_empty() {
            let what = format!("tenant '{}' has no carrier with a gateway", tenant.id);
            return Err(self.refuse("number", what, "give one of its `carriers` a gateway in sbc.toml"));
        }
        let shown = identity::shown(self.facts, self.dial, (self.position, self.target), emergency, trace)?;
        let target = route::Target::Carriers {
            carriers: carriers.clone(),
            callee: callee.clone(),
        };
        let decision = self.decision(target, &shown, emergency);
        let facts = PlanFacts {
            config,
            decision: &decision,
            caller: &shown.caller,
            diversions: self.facts.diversions,
        };
        let mut attempt = carrier::plan(facts, &carriers, &callee, self.held);
        if let Some(host) = &shown.host {
            for hop in &mut attempt.hops {
                self.set_from_host(hop, host)?;
            }
        }
        Ok(attempt)
    }

    /// Refuses a number that an application of the tenant answers: a carrier would send the call back, and the application
    /// ring itself, each time anew.
    fn refuse_own_application(&self, callee: &route::Callee) -> Result<(), DialRefusal> {
        let DialFacts { config, tenant, .. } = self.facts;
        let route::Callee::Number(number) = callee else {
            return Ok(());
        };
        match config.number(*number) {
            Some((owner, entry)) if owner.id == tenant.id => match &entry.to {
                Owned::Application(name) => {
                    let what = format!("application '{name}' answers {number}: the call would come back");
                    Err(self.refuse("number", what, "`redirect` to its hook, or dial another number"))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// One carrier of the tenant, by name.
    fn trunk(&self, name: &str, trace: &mut Trace) -> Result<Arc<Carrier>, DialRefusal> {
        let DialFacts { config, tenant, .. } = self.facts;
        let own = CarrierId::parse(name).ok().filter(|id| tenant.carriers.contains(id));
        let Some(found) = own.and_then(|id| config.carrier(&id)) else {
            let names = || tenant.carriers.iter().map(CarrierId::as_str);
            let fix = match nearest(name, names()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("say one of {}", names().collect::<Vec<_>>().join(", ")),
            };
            let what = format!("tenant '{}' has no carrier '{}'", tenant.id, name.escape_debug());
            return Err(self.refuse("trunk", what, fix));
        };
        if found.gateways.is_empty() {
            let what = format!("carrier '{name}' only calls us: it has no gateway");
            return Err(self.refuse("trunk", what, "name another, or leave it out"));
        }
        trace.step("carrier", name, "named by the target");
        Ok(found.clone())
    }

    fn teams(
        &self,
        number: &str,
        tenant: Option<&str>,
        voicemail: bool,
        trace: &mut Trace,
    ) -> Result<Attempt, DialRefusal> {
        let DialFacts {
            config, tenant: own, ..
        } = self.facts;
        self.only_for_uris("Teams")?;
        if let Some(name) = tenant
            && config.tenant_by_name(name).is_none_or(|named| named.id != own.id)
        {
            let domains = own.domains.iter().map(|domain| domain.as_str());
            let names: Vec<&str> = domains.chain([own.fqdn.as_str()]).collect();
            let what = format!("'{}' is no name of tenant '{}'", name.escape_debug(), own.id);
            return Err(self.refuse("tenant", what, format!("say {}, or leave it out", names.join(" or "))));
        }
        if let Some(code) = route::emergency_number(config, number) {
            let what = format!(
                "'{}' is the emergency number {code}: nobody in Teams has it",
                number.escape_debug()
            );
            return Err(self.refuse("number", what, "say a target of type phone"));
        }
        let number = self.e164(number)?;
        let shown = identity::shown(self.facts, self.dial, (self.position, self.target), false, trace)?;
        if shown.host.is_some() {
            let what = "toward Teams the host in From is the tenant's trunk name";
            return Err(self.refuse("from.host", what, "leave it out"));
        }
        let end = if voicemail {
            "voicemail of the Teams user"
        } else {
            "the Teams user"
        };
        trace.step("teams", own.fqdn.as_str(), end);
        let decision = self.decision(route::Target::Teams { number, voicemail }, &shown, false);
        // Teams is shown the number that the tenant's policy puts in the caller's place, else a user's name.
        let decision = Decision {
            caller: shown.instead.or(shown.number),
            ..decision
        };
        let caller = Caller {
            number: match &shown.user {
                Some(user) => user.to_string(),
                None => shown.caller.number.clone(),
            },
            ..shown.caller.clone()
        };
        let facts = PlanFacts {
            config,
            decision: &decision,
            caller: &caller,
            diversions: self.facts.diversions,
        };
        Ok(teams::plan(facts, number, voicemail, self.held))
    }

    pub(super) fn e164(&self, number: &str) -> Result<E164, DialRefusal> {
        E164::parse(number)
            .ok()
            .or_else(|| E164::from_digits(number))
            .ok_or_else(|| {
                let what = format!("'{}' is no E.164 number", number.escape_debug());
                self.refuse("number", what, "say it such as +14255550100")
            })
    }

    fn user(&self, name: &str, override_to: Option<&str>, trace: &mut Trace) -> Result<Vec<Attempt>, DialRefusal> {
        self.only_for_uris("a registered user")?;
        let own = self.facts.realm().ok_or_else(|| {
            let what = format!(
                "tenant '{}' has no realm that users register with",
                self.facts.tenant.id
            );
            self.refuse("name", what, "`realm` in the tenant's file")
        })?;
        let aor = aor(name, own);
        if *aor.realm != *own {
            let what = format!(
                "'{}' is not a realm of tenant '{}'",
                aor.realm.escape_debug(),
                self.facts.tenant.id
            );
            return Err(self.refuse("name", what, format!("say {}@{own}", aor.user.escape_debug())));
        }
        self.ring(&aor, override_to, trace)
    }

    /// Rings every device of a user of the tenant's realm.
    fn ring(&self, aor: &Aor, override_to: Option<&str>, trace: &mut Trace) -> Result<Vec<Attempt>, DialRefusal> {
        let shown = identity::shown(self.facts, self.dial, (self.position, self.target), false, trace)?;
        if shown.host.is_some() {
            let what = "toward a registered user the host in From is its realm";
            return Err(self.refuse("from.host", what, "leave it out"));
        }
        let known = UserName::parse(&aor.user).ok();
        let attempts = known.map(|name| {
            let call = UserCall {
                config: self.facts.config,
                tenant: self.facts.tenant,
                name: &name,
                caller: &shown.caller,
                number: shown.instead.or(shown.number),
                colleague: shown.user.as_ref(),
                override_to,
            };
            registrar::plan(call, &(self.facts.devices)(aor))
        });
        match attempts.filter(|attempts| !attempts.is_empty()) {
            Some(attempts) => {
                trace.step("user", aor.to_string(), format!("{} devices", attempts.len()));
                Ok(attempts)
            }
            None => {
                trace.step("user", aor.to_string(), "registered nowhere");
                let failure = AttemptFailure::local(404, "Not Found", format!("{aor} is registered nowhere"));
                Ok(vec![Attempt::hopeless(failure)])
            }
        }
    }

    fn sip(&self, text: &str, trace: &mut Trace) -> Result<Vec<Attempt>, DialRefusal> {
        let uri = uri_target::read(self, text)?;
        if self.is_of_our_realm(&uri) {
            self.only_for_uris("a registered user")?;
            let aor = Aor::of(&uri).unwrap_or_else(|| Aor::new("", uri.host()));
            return self.ring(&aor, None, trace);
        }
        let shown = identity::shown(self.facts, self.dial, (self.position, self.target), false, trace)?;
        uri_target::plan(self, &uri, &shown, trace).map(|hop| vec![Attempt::routed(vec![hop])])
    }

    /// Another host in the From of a hop that names a number.
    fn set_from_host(&self, hop: &mut PlannedHop, host: &str) -> Result<(), DialRefusal> {
        let Some((before, rest)) = hop.from.rsplit_once("<sip:") else {
            return Ok(());
        };
        let Some((uri, after)) = rest.split_once('>') else {
            return Ok(());
        };
        if uri.ends_with("@anonymous.invalid") {
            return Ok(());
        }
        let changed = Uri::parse(&format!("sip:{uri}")).and_then(|uri| uri.with_host(host, None));
        match changed {
            Ok(changed) => {
                hop.from = format!("{before}<{}>{after}", changed.as_str());
                Ok(())
            }
            Err(_) => Err(self.refuse(
                "from.host",
                format!("'{}' is no host", host.escape_debug()),
                "say a host name or an address",
            )),
        }
    }
}
