//! The routing function.

use super::circle;
use super::destinations::may_reach;
use super::elin::{self, Elin};
use super::extension::number_called;
use super::facts::{Caller, Facts, Origin, number_of};
use super::from_user::from_user;
use super::home_carrier;
use super::refusal::Refusal;
use super::to_application::{self, to_application};
use super::trace::Trace;
use crate::carrier;
use crate::config::{
    Application, Carrier, CarrierId, Config, Destination, DialString, E164, OutsideCaller, Tenant, UserName,
};
use crate::sip::message::Message;
use crate::sip::{Method, dialled_with};
use std::borrow::Cow;
use std::sync::Arc;

/// Whom the call is for, as the route understands the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    Number(E164),
    /// Short codes, emergency numbers, star codes: sent as dialled.
    Code(String),
}

impl std::fmt::Display for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Callee::Number(number) => number.fmt(f),
            Callee::Code(code) => f.write_str(code),
        }
    }
}

/// Where the call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Teams {
        number: E164,
        voicemail: bool,
    },
    Carriers {
        carriers: Vec<Arc<Carrier>>,
        callee: Callee,
    },
    /// A user that registers with the tenant's realm.
    User {
        name: UserName,
    },
    /// The application is asked what to do with the call.
    Application {
        application: Arc<Application>,
        callee: Callee,
    },
}

/// A routed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub tenant: Arc<Tenant>,
    pub target: Target,
    /// The caller as E.164, where the number is one.
    pub caller: Option<E164>,
    /// Shown instead of the caller, by the tenant's policy.
    pub shown_instead: Option<E164>,
    /// A call to an emergency number, or back to somebody who called one: it passes before policy and limits.
    pub emergency: bool,
    pub elin: Elin,
}

impl Decision {
    /// Whether an emergency number is called: somebody has to take the call. A call back has one callee alone.
    pub fn calls_for_help(&self) -> bool {
        self.emergency && !matches!(self.elin, Elin::CalledBack(_))
    }

    /// Whom the call is for, in words of records: a number, or a user's address.
    pub fn target_text(&self) -> String {
        match &self.target {
            Target::Teams { number, .. } => number.to_string(),
            Target::Carriers { callee, .. } | Target::Application { callee, .. } => callee.to_string(),
            Target::User { name } => self.address(name),
        }
    }

    /// Who calls: a number as it was understood, or a user's address.
    pub fn caller_text(&self, facts: &Facts) -> String {
        match (&facts.origin, self.caller) {
            (_, Some(number)) => number.to_string(),
            (Origin::User { name, .. }, None) => self.address(name),
            (_, None) => facts.caller.number.clone(),
        }
    }

    fn address(&self, name: &UserName) -> String {
        match &self.tenant.realm {
            Some(realm) => format!("{name}@{}", realm.name),
            None => name.to_string(),
        }
    }
}

/// Routes a call. The trace tells each step, whatever the result.
pub fn decide(config: &Config, facts: &Facts) -> (Result<Decision, Refusal>, Trace) {
    let mut trace = Trace::default();
    let result = match &facts.origin {
        Origin::Teams => from_teams(config, facts, &mut trace),
        Origin::Carrier(id) => from_carrier(config, facts, id, &mut trace),
        Origin::User { tenant, name } => from_user(config, facts, (tenant, name), &mut trace),
    };
    if let Err(refusal) = &result {
        trace.step(
            "refused",
            format!("{} {}", refusal.status, refusal.phrase),
            refusal.sentence.clone(),
        );
    }
    (result, trace)
}

/// Whether a request is a call to an emergency number, by its Request-URI as it stands.
pub fn is_emergency_call(config: &Config, message: &Message) -> bool {
    let dialled = || message.uri().as_ref().map(number_of);
    *message.cseq_method() == Method::Invite && dialled().is_some_and(|dialled| is_emergency(config, &dialled))
}

/// Whether what was dialled is an emergency number.
pub fn is_emergency(config: &Config, dialled: &str) -> bool {
    emergency_number(config, dialled).is_some()
}

/// The emergency number that was dialled, however its digits are written ([`dialled_with`]), with or without a plus, or
/// behind the country code of a trunk that writes nationally: it would leave as that number there. Whatever names a number
/// asks here, before anybody reads it by other rules (promise 6).
pub fn emergency_number<'c>(config: &'c Config, dialled: &str) -> Option<&'c str> {
    let numbers = &config.sbc.emergency.numbers;
    let named = |text: &str| {
        numbers
            .iter()
            .find(|number| number.as_str() == text)
            .map(DialString::as_str)
    };
    let dialled = &*dialled_with(dialled);
    let bare = dialled.strip_prefix('+').unwrap_or(dialled);
    named(dialled).or_else(|| named(bare)).or_else(|| {
        let carriers = config.sbc.carriers.iter();
        let mut codes = carriers.filter_map(|carrier| carrier::national_code(&carrier.numbers, dialled));
        codes.find_map(named)
    })
}

fn from_carrier(config: &Config, facts: &Facts, id: &CarrierId, trace: &mut Trace) -> Result<Decision, Refusal> {
    let Some(carrier) = config.carrier(id) else {
        // The configuration changed between identification and routing.
        return Err(Refusal::unknown_number(&facts.dialled));
    };
    if is_emergency(config, &facts.dialled) {
        return emergency_from_carrier(config, facts, carrier, trace);
    }
    let number = carrier::read_number(&carrier.numbers, &facts.dialled)
        .ok_or_else(|| Refusal::address_incomplete(&facts.dialled))?;
    trace.step(
        "number",
        &facts.dialled,
        format!("read as {number} by the rules of carrier '{id}'"),
    );
    let number = number_called(config, None, facts, number, trace);
    let (tenant, entry) = config
        .number(number)
        .ok_or_else(|| Refusal::unknown_number(&number.to_string()))?;
    let span = if entry.span.count() == 1 {
        "number".to_owned()
    } else {
        format!("range {}", entry.span)
    };
    trace.step(
        "tenant",
        number.to_string(),
        format!("{span} of tenant '{}'", tenant.id),
    );
    let caller = carrier::read_number(&carrier.numbers, &facts.caller.number);
    if entry.elin
        && let Some(decision) = elin::call_back(config, facts, (tenant, number), (id, caller), trace)
    {
        return Ok(decision);
    }
    circle::check(number, &facts.understood(&carrier.numbers).diversions, trace)?;
    match caller {
        Some(caller) => trace.step("caller", &facts.caller.number, format!("read as {caller}")),
        None => trace.step("caller", &facts.caller.number, "no telephone number: shown as it came"),
    }
    if let Destination::User(name) = &entry.to {
        trace.step("target", name.to_string(), "a user that registers here");
        return Ok(Decision {
            tenant: tenant.clone(),
            target: Target::User { name: name.clone() },
            caller,
            shown_instead: None,
            emergency: false,
            elin: Elin::None,
        });
    }
    if let Destination::Application(name) = &entry.to {
        return to_application(tenant, name, Callee::Number(number), (caller, None), trace);
    }
    if let Destination::Carrier(home) = &entry.to {
        return home_carrier::to_home(config, tenant, number, caller, (id, home), trace);
    }
    let voicemail = entry.to == Destination::TeamsVoicemail;
    trace_teams(tenant, voicemail, trace);
    Ok(Decision {
        tenant: tenant.clone(),
        target: Target::Teams { number, voicemail },
        caller,
        shown_instead: None,
        emergency: false,
        elin: Elin::None,
    })
}

pub(super) fn trace_teams(tenant: &Tenant, voicemail: bool, trace: &mut Trace) {
    let outcome = match voicemail {
        true => "voicemail of the Teams user",
        false => "the Teams user",
    };
    trace.step("target", tenant.fqdn.to_string(), outcome);
}

fn from_teams(config: &Config, facts: &Facts, trace: &mut Trace) -> Result<Decision, Refusal> {
    let named = config.tenant_by_host(&facts.host);
    if let Some(tenant) = named {
        trace.step("tenant", &facts.host, format!("trunk of tenant '{}'", tenant.id));
    }
    if is_emergency(config, &facts.dialled) {
        let found = named.or_else(|| tenant_in_need(config, facts, trace));
        let tenant = found.ok_or_else(|| Refusal::unknown_tenant(&facts.host))?;
        return emergency(config, facts, tenant, None, trace);
    }
    let tenant = named.ok_or_else(|| Refusal::unknown_tenant(&facts.host))?;
    let callee = match E164::parse(&facts.dialled) {
        Ok(number) => Callee::Number(number),
        Err(_) if is_dial_string(&facts.dialled) => Callee::Code(facts.dialled.clone()),
        Err(_) => return Err(Refusal::address_incomplete(&facts.dialled)),
    };
    if let Callee::Number(number) = &callee {
        if let Some(extension) = &facts.extension {
            trace.step("extension", extension, "passed over: the main number is called");
        }
        circle::check(*number, &facts.diversions, trace)?;
    }
    let shown_instead = check_caller(config, facts, tenant, trace)?;
    if let Callee::Number(number) = &callee
        && let Some((owner, entry)) = config.number(*number)
        && let Destination::User(name) = &entry.to
        && owner.id == tenant.id
    {
        trace.step("target", name.to_string(), "a user that registers here");
        return Ok(Decision {
            tenant: tenant.clone(),
            target: Target::User { name: name.clone() },
            caller: E164::parse(&facts.caller.number).ok(),
            shown_instead,
            emergency: false,
            elin: Elin::None,
        });
    }
    if let Some(name) = to_application::of_call_out_of_teams(config, tenant, &callee) {
        let caller = E164::parse(&facts.caller.number).ok();
        return to_application(tenant, name, callee, (caller, shown_instead), trace);
    }
    may_reach(config, tenant, &callee, trace)?;
    let carriers = home_carrier::ways_out(config, tenant, &callee, trace);
    if carriers.is_empty() {
        return Err(Refusal::no_carrier(tenant.id.as_str()));
    }
    Ok(Decision {
        tenant: tenant.clone(),
        target: Target::Carriers { carriers, callee },
        caller: E164::parse(&facts.caller.number).ok(),
        shown_instead,
        emergency: false,
        elin: Elin::None,
    })
}

/// Who calls through a carrier that serves people is helped like a user of Teams, by any other carrier.
fn emergency_from_carrier(
    config: &Config,
    facts: &Facts,
    from: &Carrier,
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    let facts = &facts.understood(&from.numbers);
    let tenant = Some(from)
        .filter(|from| from.emergency)
        .and_then(|_| tenant_in_need(config, facts, trace));
    let tenant = tenant.ok_or_else(|| Refusal::emergency_from_carrier(&facts.dialled))?;
    emergency(config, facts, tenant, Some(&from.id), trace)
}

/// Whose an emergency call is that no trunk name tells: of the tenant that owns the caller's number, else of one that has
/// carriers, rather than of none (promise 6).
fn tenant_in_need<'c>(config: &'c Config, facts: &Facts, trace: &mut Trace) -> Option<&'c Arc<Tenant>> {
    let caller = E164::parse(&facts.caller.number).ok();
    if let Some((owner, _)) = caller.and_then(|caller| config.number(caller)) {
        let why = format!("tenant '{}' owns it", owner.id);
        trace.step("tenant", &facts.caller.number, why);
        return Some(owner);
    }
    let mut tenants = config.tenants.iter();
    let tenant = tenants
        .find(|tenant| !tenant.carriers.is_empty())
        .or(config.tenants.first())?;
    let why = format!("says of no tenant: '{}' stands in", tenant.id);
    trace.step("tenant", &facts.host, why);
    Some(tenant)
}

/// Emergency calls pass before caller policy, limits and applications (promise 6; TEAMS-054). They don't go back to the
/// carrier that they come `from`.
pub(super) fn emergency(
    config: &Config,
    facts: &Facts,
    tenant: &Arc<Tenant>,
    from: Option<&CarrierId>,
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    trace.step(
        "emergency",
        &facts.dialled,
        "emergency number: passes before policy and limits",
    );
    let carriers = ways_of(config, tenant, from, trace);
    if carriers.is_empty() {
        return Err(Refusal::no_carrier(tenant.id.as_str()));
    }
    let code = emergency_number(config, &facts.dialled)
        .unwrap_or(&facts.dialled)
        .to_owned();
    let elin = elin::fitting(config, facts, tenant, &carriers, trace);
    Ok(Decision {
        tenant: tenant.clone(),
        target: Target::Carriers {
            carriers,
            callee: Callee::Code(code),
        },
        caller: E164::parse(&facts.caller.number).ok(),
        shown_instead: None,
        emergency: true,
        elin,
    })
}

/// The carriers that an emergency call of `tenant` is tried at, in order; empty when there is none at all.
pub fn emergency_carriers(config: &Config, tenant: &Tenant, trace: &mut Trace) -> Vec<Arc<Carrier>> {
    ways_of(config, tenant, None, trace)
}

fn ways_of(config: &Config, tenant: &Tenant, from: Option<&CarrierId>, trace: &mut Trace) -> Vec<Arc<Carrier>> {
    let mut wanted = config.sbc.emergency.carriers.clone();
    wanted.extend(
        tenant
            .carriers
            .iter()
            .filter(|id| !config.sbc.emergency.carriers.contains(id))
            .cloned(),
    );
    wanted.retain(|id| Some(id) != from);
    let carriers = carriers_of(config, &wanted, trace);
    if !carriers.is_empty() {
        return carriers;
    }
    // Nobody configured a way: every carrier there is, rather than none.
    let all = config.sbc.carriers.iter().map(|carrier| carrier.id.clone());
    let others: Vec<CarrierId> = all.filter(|id| Some(id) != from).collect();
    carriers_of(config, &others, trace)
}

pub(super) fn carriers_of(config: &Config, ids: &[CarrierId], trace: &mut Trace) -> Vec<Arc<Carrier>> {
    let mut carriers = Vec::with_capacity(ids.len());
    for id in ids {
        match config.carrier(id) {
            Some(carrier) if carrier.gateways.is_empty() => {
                trace.step("carrier", id.to_string(), "has no gateway: passed over");
            }
            Some(carrier) => {
                trace.step(
                    "carrier",
                    id.to_string(),
                    format!("tried as number {}", carriers.len() + 1),
                );
                carriers.push(carrier.clone());
            }
            None => trace.step("carrier", id.to_string(), "not configured: passed over"),
        }
    }
    carriers
}

/// The caller as it may be shown: a number that Teams asserts stays only where it is the tenant's, for nothing else
/// vouches for it, and a user without a number is known to Teams by its name. Emergency calls keep all that may help to
/// call back (promise 6).
pub fn believed_caller<'f>(config: &Config, decision: &Decision, facts: &'f Facts) -> Cow<'f, Caller> {
    if let Some(name) = name_for_teams(decision, facts) {
        return Cow::Owned(Caller {
            number: name.to_string(),
            ..facts.caller.clone()
        });
    }
    let is_foreign = |asserted: &str| !owns(config, &decision.tenant, asserted);
    let checked = facts.origin == Origin::Teams && !decision.emergency;
    match facts
        .caller
        .asserted
        .as_deref()
        .filter(|asserted| checked && is_foreign(asserted))
    {
        Some(_) => Cow::Owned(Caller {
            asserted: None,
            ..facts.caller.clone()
        }),
        None => Cow::Borrowed(&facts.caller),
    }
}

/// The name that Teams is shown of a user without a number.
pub(super) fn name_for_teams<'f>(decision: &Decision, facts: &'f Facts) -> Option<&'f UserName> {
    let nameless = decision.caller.is_some() || !facts.caller.number.is_empty() || facts.caller.private;
    let is_named = matches!(decision.target, Target::Teams { .. }) && !nameless;
    facts
        .colleague
        .as_ref()
        .filter(|name| is_named && !reads_as_another(name.as_str()))
}

/// Whether Teams would take a name for a telephone number, or for nobody.
pub fn reads_as_another(name: &str) -> bool {
    let digits = name.strip_prefix('+').unwrap_or(name);
    // Visual separators (RFC 3966 §5.1.1) are no part of a number.
    let mut digits = digits.bytes().filter(|byte| !b"-.()".contains(byte));
    let is_number = digits.clone().count() > 6 && digits.all(|byte| byte.is_ascii_digit());
    is_number || name.eq_ignore_ascii_case("anonymous")
}

fn owns(config: &Config, tenant: &Tenant, number: &str) -> bool {
    let owner = E164::parse(number).ok().and_then(|number| config.number(number));
    owner.is_some_and(|(owner, _)| owner.id == tenant.id)
}

/// Whether the tenant may show this caller; the number shown instead when its policy says so. A forwarded call shows
/// the original caller, and the tenant's user who forwarded it vouches for it (facts of Teams: From is the original
/// caller, the user stands in History-Info, Referred-By or P-Asserted-Identity).
fn check_caller(config: &Config, facts: &Facts, tenant: &Tenant, trace: &mut Trace) -> Result<Option<E164>, Refusal> {
    let number = &facts.caller.number;
    let owned = |text: &str| owns(config, tenant, text);
    if let Some(asserted) = facts.caller.asserted.as_deref().filter(|asserted| !owned(asserted)) {
        trace.step(
            "asserted",
            asserted,
            format!("not a number of tenant '{}': left out", tenant.id),
        );
    }
    if owned(number) {
        trace.step("caller", number, format!("a number of tenant '{}'", tenant.id));
        return Ok(None);
    }
    if let Some(asserted) = facts.caller.asserted.as_deref().filter(|asserted| owned(asserted)) {
        trace.step(
            "caller",
            number,
            format!("asserted as {asserted}, a number of tenant '{}'", tenant.id),
        );
        return Ok(None);
    }
    if let Some(by) = facts.diversions.iter().find(|diversion| owned(&diversion.number)) {
        trace.step(
            "caller",
            number,
            format!("forwarded by {}, a number of tenant '{}'", by.number, tenant.id),
        );
        return Ok(None);
    }
    if number.is_empty() && facts.caller.private {
        trace.step("caller", "anonymous", "no number to check");
        return Ok(None);
    }
    match tenant.outside_caller {
        OutsideCaller::Replace(shown) => {
            trace.step(
                "caller",
                number,
                format!("not a number of tenant '{}': {shown} is shown", tenant.id),
            );
            Ok(Some(shown))
        }
        OutsideCaller::Refuse => Err(Refusal::foreign_caller(number, tenant.id.as_str())),
    }
}

/// Digits, `*` and `#`: what a telephone can dial. Behind a `+` stands a number of E.164 or nothing: a switch may pass over
/// `*` and `#` there, and dial what nobody was asked about.
pub(super) fn is_dial_string(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#'))
}
