//! Calls from users that register here: emergency numbers first, then colleagues, the tenant's numbers, the telephone
//! network.

use super::decide::{Callee, Decision, Target, emergency, is_dial_string, is_emergency, reads_as_another, trace_teams};
use super::destinations::may_reach;
use super::elin::Elin;
use super::extension::number_called;
use super::facts::Facts;
use super::home_carrier;
use super::refusal::Refusal;
use super::to_application::{asked, of_own_number, to_application};
use super::trace::Trace;
use super::voucher::Steering;
use crate::carrier;
use crate::config::{Config, Destination, E164, OutsideCaller, Realm, Tenant, TenantId, User, UserName};
use std::borrow::Cow;
use std::sync::Arc;

pub(super) fn from_user(
    config: &Config,
    facts: &Facts,
    (tenant, name): (&TenantId, &UserName),
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    let found = config.tenant(tenant).and_then(|tenant| {
        let realm = tenant.realm.as_ref()?;
        let voucher = facts.vouched.caller.as_ref().filter(|_| realm.hook.is_some());
        let user = match realm.user(name.as_str()) {
            Some(listed) => Cow::Borrowed(listed),
            None => Cow::Owned(voucher?.user(tenant, name)),
        };
        Some((tenant, realm, user))
    });
    // The configuration changed between the proof and the route.
    let (tenant, realm, user) =
        found.ok_or_else(|| Refusal::not_allowed(name.as_str(), "call: it is no user any more"))?;
    let user: &User = &user;
    let address = format!("{name}@{}", realm.name);
    trace.step("user", &address, format!("registers with tenant '{}'", tenant.id));
    if is_emergency(config, &facts.dialled) {
        let mut decision = emergency(config, facts, tenant, None, trace)?;
        // Who has no number is called back at the tenant's.
        decision.shown_instead = substitute(tenant).filter(|_| user.number.is_none());
        return Ok(decision);
    }
    if let Some(steering) = steering(facts, realm, name) {
        let numbers = numbers(tenant, user, &address, trace);
        return steered(config, tenant, steering, &facts.dialled, numbers, trace);
    }
    let here = facts.host.eq_ignore_ascii_case(realm.name.as_str());
    if let Some(colleague) = realm.user(&facts.dialled).filter(|_| here) {
        return to_user(tenant, user, &address, &colleague.name, trace);
    }
    if let Some(colleague) = vouched_callee(facts, realm).filter(|_| here) {
        return to_user(tenant, user, &address, &colleague, trace);
    }
    let callee = read_callee(config, tenant, &facts.dialled, trace)
        .ok_or_else(|| unreadable(&facts.dialled, realm.name.as_str()))?;
    let callee = match callee {
        Callee::Number(number) => Callee::Number(number_called(config, Some(tenant), facts, number, trace)),
        code => code,
    };
    let own = match &callee {
        Callee::Number(number) => config.number(*number).filter(|(owner, _)| owner.id == tenant.id),
        Callee::Code(_) => None,
    };
    if let Some(application) = of_own_number(config, tenant, &callee) {
        let numbers = numbers(tenant, user, &address, trace);
        return to_application(tenant, application, callee, numbers, trace);
    }
    let teams = |number, voicemail, trace: &mut Trace| {
        if !user.may_call.teams {
            return Err(Refusal::not_allowed(&address, "call Teams users"));
        }
        trace_teams(tenant, voicemail, trace);
        let shown = user.number.or(substitute(tenant));
        let outcome = match (user.number, shown) {
            _ if facts.caller.private => "asks for privacy: Anonymous".to_owned(),
            (Some(number), _) => format!("shown as {number}, its number"),
            (None, Some(shown)) => format!("has no number: {shown} is shown"),
            (None, None) if reads_as_another(name.as_str()) => {
                "has no number, and its name would be read as one: Anonymous".to_owned()
            }
            (None, None) => "has no number: shown by its name".to_owned(),
        };
        trace.step("caller", &address, outcome);
        Ok(decision(tenant, Target::Teams { number, voicemail }, shown, None))
    };
    match (&callee, own.map(|(_, entry)| &entry.to)) {
        (Callee::Number(number), Some(Destination::Teams)) => teams(*number, false, trace),
        (Callee::Number(number), Some(Destination::TeamsVoicemail)) => teams(*number, true, trace),
        (_, Some(Destination::User(callee))) => to_user(tenant, user, &address, callee, trace),
        _ => to_phone(config, tenant, user, &address, callee, trace),
    }
}

/// Why nobody can be called who is no user here and no number.
fn unreadable(dialled: &str, realm: &str) -> Refusal {
    match dialled.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        true => Refusal::unknown_user(dialled, realm),
        false => Refusal::address_incomplete(dialled),
    }
}

/// What the registration hook wants to decide about the calls of a user that is not listed.
fn steering<'f>(facts: &'f Facts, realm: &Realm, name: &UserName) -> Option<&'f Steering> {
    let voucher = facts.vouched.caller.as_ref()?;
    let vouched = realm.hook.is_some() && realm.user(name.as_str()).is_none();
    voucher.steered_by.as_ref().filter(|_| vouched)
}

/// A colleague that the registration hook vouched for: the dialled name, whatever else it looks like.
fn vouched_callee(facts: &Facts, realm: &Realm) -> Option<UserName> {
    let vouched = facts.vouched.callee && realm.hook.is_some();
    UserName::parse(&facts.dialled).ok().filter(|_| vouched)
}

fn steered(
    config: &Config,
    tenant: &Arc<Tenant>,
    steering: &Steering,
    dialled: &str,
    numbers: (Option<E164>, Option<E164>),
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    let application = steering
        .application(&tenant.account)
        .ok_or_else(|| Refusal::unavailable("the user's application is not there any more".into(), None))?;
    let callee = read_callee(config, tenant, dialled, trace).unwrap_or_else(|| Callee::Code(dialled.to_owned()));
    Ok(asked(tenant, &application, callee, numbers, trace))
}

fn to_user(
    tenant: &Arc<Tenant>,
    user: &User,
    address: &str,
    callee: &UserName,
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    if !user.may_call.users {
        return Err(Refusal::not_allowed(address, "call other users"));
    }
    trace.step("target", callee.to_string(), "a user that registers here");
    Ok(decision(
        tenant,
        Target::User { name: callee.clone() },
        user.number,
        None,
    ))
}

fn to_phone(
    config: &Config,
    tenant: &Arc<Tenant>,
    user: &User,
    address: &str,
    callee: Callee,
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    if !user.may_call.phones {
        return Err(Refusal::not_allowed(address, "call telephone numbers"));
    }
    may_reach(config, tenant, &callee, trace)?;
    let instead = substitute(tenant);
    match (user.number, instead) {
        (Some(number), _) => trace.step("caller", address, format!("shown as {number}, its number")),
        (None, Some(shown)) => trace.step("caller", address, format!("has no number: {shown} is shown")),
        (None, None) => {
            return Err(Refusal::not_allowed(
                address,
                "call telephone numbers: it has no number to show",
            ));
        }
    }
    let carriers = home_carrier::ways_out(config, tenant, &callee, trace);
    if carriers.is_empty() {
        return Err(Refusal::no_carrier(tenant.id.as_str()));
    }
    let shown = instead.filter(|_| user.number.is_none());
    Ok(decision(
        tenant,
        Target::Carriers { carriers, callee },
        user.number,
        shown,
    ))
}

fn decision(tenant: &Arc<Tenant>, target: Target, caller: Option<E164>, shown_instead: Option<E164>) -> Decision {
    Decision {
        tenant: tenant.clone(),
        target,
        caller,
        shown_instead,
        emergency: false,
        elin: Elin::None,
    }
}

/// The user's own number, and the one that an application's dials show in its place where it has none.
fn numbers(tenant: &Tenant, user: &User, address: &str, trace: &mut Trace) -> (Option<E164>, Option<E164>) {
    let shown = substitute(tenant).filter(|_| user.number.is_none());
    let outcome = match (user.number, shown) {
        (Some(number), _) => format!("shown as {number}, its number"),
        (None, Some(shown)) => format!("has no number: its name is shown, and {shown} where that says nothing"),
        (None, None) => "has no number: its name is shown, and Anonymous where that says nothing".to_owned(),
    };
    trace.step("caller", address, outcome);
    (user.number, shown)
}

/// The number that the tenant shows for those who have none of their own.
fn substitute(tenant: &Tenant) -> Option<E164> {
    match tenant.outside_caller {
        OutsideCaller::Replace(number) => Some(number),
        OutsideCaller::Refuse => None,
    }
}

/// People dial as their country does: what is no E.164 is read by the rules of the tenant's first carrier.
pub fn read_callee(config: &Config, tenant: &Tenant, dialled: &str, trace: &mut Trace) -> Option<Callee> {
    if let Ok(number) = E164::parse(dialled) {
        return Some(Callee::Number(number));
    }
    let rules = tenant.carriers.first().and_then(|id| config.carrier(id));
    let read = rules.and_then(|carrier| Some((carrier, carrier::read_number(&carrier.numbers, dialled)?)));
    if let Some((carrier, number)) = read {
        trace.step(
            "number",
            dialled,
            format!("read as {number} by the rules of carrier '{}'", carrier.id),
        );
        return Some(Callee::Number(number));
    }
    is_dial_string(dialled).then(|| Callee::Code(dialled.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::{Caller, Origin, Vouched, Voucher, decide};
    use super::*;

    const SBC: &str = include_str!("../../config/sbc.toml");
    const LISTENER: &str = "\n[[listeners]]\nname = \"users\"\npurpose = \"users\"\ntransport = \"udp\"\n\
                            bind = \"0.0.0.0:5080\"\nadvertise = \"198.51.100.10\"\n";
    const USERS: &str = r#"
domains = ["contoso.example"]
label = "contoso"
realm = "sip.contoso.example"
carriers = ["north"]

[[numbers]]
range = "+14255550100-+14255550149"

[[numbers]]
number = "+14255550199"
voicemail = true

[[numbers]]
number = "+14255550150"
to = { user = "alice@sip.contoso.example" }

[[users]]
name = "alice"
number = "+14255550150"
ha1_md5 = "00000000000000000000000000000000"

[[users]]
name = "bob"
ha1_md5 = "00000000000000000000000000000000"

[[users]]
name = "911"
ha1_md5 = "00000000000000000000000000000000"
may_call = []
"#;

    fn config(more: &str) -> Config {
        let sbc = format!("{SBC}{LISTENER}");
        Config::from_toml_strs(&sbc, &[("contoso", &format!("{USERS}{more}"))])
            .unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    fn route_in(config: &Config, user: &str, dialled: &str) -> Result<Decision, Refusal> {
        let facts = Facts {
            origin: Origin::User {
                tenant: TenantId::parse("contoso").expect("an id"),
                name: UserName::parse(user).expect("a name"),
            },
            dialled: dialled.into(),
            extension: None,
            host: "sip.contoso.example".into(),
            caller: Caller::default(),
            colleague: None,
            diversions: Vec::new(),
            vouched: Vouched::default(),
            elin: Default::default(),
        };
        decide(config, &facts).0
    }

    fn route(user: &str, dialled: &str) -> Result<Target, Refusal> {
        route_in(&config(""), user, dialled).map(|decision| decision.target)
    }

    fn number(text: &str) -> E164 {
        E164::parse(text).expect("a number")
    }

    #[test]
    fn colleagues_by_name_and_by_number_and_teams_users() {
        let user = |name: &str| Target::User {
            name: UserName::parse(name).expect("a name"),
        };
        assert_eq!(route("alice", "bob").expect("routed"), user("bob"));
        assert_eq!(route("bob", "+14255550150").expect("routed"), user("alice"));
        let teams = |dialled: &str| route("alice", dialled).expect("routed");
        let expected = |text: &str, voicemail| Target::Teams {
            number: number(text),
            voicemail,
        };
        assert_eq!(teams("+14255550101"), expected("+14255550101", false));
        assert_eq!(
            teams("4255550101"),
            expected("+14255550101", false),
            "as the country dials"
        );
        assert_eq!(teams("+14255550199"), expected("+14255550199", true));
    }

    #[test]
    fn the_telephone_network_sees_the_users_number_or_the_tenants() {
        let decision = route_in(&config(""), "alice", "+441632960001").expect("routed");
        assert_eq!(
            (decision.caller, decision.shown_instead),
            (Some(number("+14255550150")), None)
        );
        let refused = route("bob", "+441632960001").expect_err("no number to show");
        assert_eq!(refused.status, 403);
        let lends = config("\n[caller]\noutside = \"replace\"\nnumber = \"+14255550100\"\n");
        let decision = route_in(&lends, "bob", "+441632960001").expect("routed");
        assert_eq!(
            (decision.caller, decision.shown_instead),
            (None, Some(number("+14255550100")))
        );
    }

    #[test]
    fn emergency_numbers_come_before_rights_and_before_a_user_of_that_name() {
        for user in ["alice", "bob", "911"] {
            for dialled in ["911", "9-1-1", "9.1.1", "(911)", "911%20", "+9-1-1"] {
                let decision = route_in(&config(""), user, dialled).expect("routed");
                let code = Callee::Code("911".into());
                assert!(
                    decision.emergency && matches!(decision.target, Target::Carriers { callee, .. } if callee == code),
                    "{user} {dialled}"
                );
            }
        }
        for dialled in ["bob", "+14255550101", "+441632960001"] {
            assert_eq!(route("911", dialled).expect_err(dialled).status, 403, "{dialled}");
        }
    }

    #[test]
    fn nonsense_and_users_that_are_gone_are_refused() {
        for (dialled, status) in [("nobody", 404), ("+0", 484), ("12;34", 484)] {
            assert_eq!(route("alice", dialled).expect_err(dialled).status, status, "{dialled}");
        }
        assert_eq!(route("mallory", "bob").expect_err("no user").status, 403);
    }

    /// A call of joe, whom the file does not list.
    fn of_joe(dialled: &str, caller: Option<Voucher>, callee: bool) -> Result<Decision, Refusal> {
        let hook = "realm = \"sip.contoso.example\"\nregistration_hook = \"https://app.contoso.example/who\"\n";
        let users = USERS.replace("realm = \"sip.contoso.example\"\n", hook);
        let number = "\n[[numbers]]\nnumber = \"+14255550151\"\nto = { user = \"joe@sip.contoso.example\" }\n";
        let application = "\n[application.reception]\nhook = \"https://app.contoso.example/in\"\n";
        let sbc = format!("{SBC}{LISTENER}");
        let config = Config::from_toml_strs(&sbc, &[("contoso", &format!("{users}{number}{application}"))])
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        let facts = Facts {
            origin: Origin::User {
                tenant: TenantId::parse("contoso").expect("an id"),
                name: UserName::parse("joe").expect("a name"),
            },
            dialled: dialled.into(),
            extension: None,
            host: "sip.contoso.example".into(),
            caller: Caller::default(),
            colleague: None,
            diversions: Vec::new(),
            vouched: Vouched { caller, callee },
            elin: Default::default(),
        };
        decide(&config, &facts).0
    }

    #[test]
    fn whom_the_hook_vouches_for_calls_and_is_called_like_a_listed_user() {
        let of = |dialled, callee| of_joe(dialled, Some(Voucher::default()), callee);
        let decision = of("+441632960001", false).expect("routed");
        assert!(matches!(decision.target, Target::Carriers { .. }));
        assert_eq!(
            decision.caller,
            Some(number("+14255550151")),
            "the number that leads to it"
        );
        let target = |dialled, callee| of(dialled, callee).expect("routed").target;
        assert!(matches!(target("alice", false), Target::User { name } if name.as_str() == "alice"));
        assert!(matches!(target("1001", true), Target::User { name } if name.as_str() == "1001"));
        assert!(
            matches!(target("1001", false), Target::Carriers { .. }),
            "nobody of that name"
        );
        assert_eq!(of_joe("alice", None, false).expect_err("no user").status, 403);
    }

    #[test]
    fn what_the_hook_takes_away_is_refused_and_what_it_gives_to_an_application_goes_there() {
        let alone = Voucher {
            no_users: true,
            ..Voucher::default()
        };
        assert_eq!(
            of_joe("alice", Some(alone), false).expect_err("not allowed").status,
            403
        );
        let steered = |steered_by| Voucher {
            steered_by: Some(steered_by),
            ..Voucher::default()
        };
        let hooks = steered(Steering::Hook {
            call: "https://joe.example/in".into(),
            status: None,
        });
        let target = |dialled: &str| of_joe(dialled, Some(hooks.clone()), false).expect("routed").target;
        for dialled in ["alice", "+441632960001"] {
            let Target::Application { application, callee } = target(dialled) else {
                panic!("an application")
            };
            assert_eq!(application.hook.url.as_str(), "https://joe.example/in");
            assert_eq!(callee.to_string(), dialled);
        }
        assert!(
            matches!(target("911"), Target::Carriers { .. }),
            "emergency numbers ask nobody"
        );
        let gone = Steering::Application(crate::config::Sid::derived("gone"));
        assert_eq!(
            of_joe("alice", Some(steered(gone)), false).expect_err("gone").status,
            503
        );
    }

    #[test]
    fn carriers_and_teams_reach_a_user_by_number() {
        let config = config("");
        for (origin, host) in [
            (Origin::Teams, "contoso.sbc1.example.net"),
            (Origin::Carrier(config.sbc.carriers[0].id.clone()), "198.51.100.10"),
        ] {
            let facts = Facts {
                origin,
                dialled: "+14255550150".into(),
                extension: None,
                host: host.into(),
                caller: Caller {
                    number: "+14255550101".into(),
                    ..Caller::default()
                },
                colleague: None,
                diversions: Vec::new(),
                vouched: Vouched::default(),
                elin: Default::default(),
            };
            let decision = decide(&config, &facts).0.expect("routed");
            assert_eq!(decision.target_text(), "alice@sip.contoso.example");
            assert_eq!(decision.caller, Some(number("+14255550101")));
        }
    }
}
