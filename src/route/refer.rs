//! REFER of a carrier or of a user that registers here (TEAMS-091): whom it names, and whether the one who refers may call
//! there itself. What it names leads to a user, to a Teams user or to a number of the same tenant, or as a call of that
//! user's to the telephone network: never to a host of its choice, to another tenant, or past a right.

use super::decide::{Decision, Target, decide, is_emergency, name_for_teams};
use super::elin::ElinFacts;
use super::extension::extension_of;
use super::facts::{Caller, Facts, Origin, number_of};
use super::refusal::Refusal;
use super::trace::Trace;
use super::voucher::Vouched;
use crate::config::{Carrier, Config, E164, Host, Tenant};
use crate::sip::header::Replaces;
use crate::sip::message::{HeaderName, Message};
use crate::sip::{NameAddr, Scheme, Uri};

/// Bytes of what a REFER names that are kept as it came: a Replaces has room.
const LONGEST_SAID: usize = 1_024;

/// Whom a REFER wants called, and by whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferTo {
    /// Without headers.
    pub target: Uri,
    /// As it came, for the record and the log: at most 1,024 bytes of it.
    pub said: String,
    /// The dialog that the one who refers has with whom it names (RFC 5589 §7): the two are joined.
    pub replaces: Option<Replaces>,
    /// Referred-By, byte for byte.
    pub referred_by: Option<String>,
}

/// A REFER that leads nowhere: what answers it, and for those who run the node a sentence where the status says too little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreferable {
    pub status: u16,
    pub why: Option<String>,
}

impl Unreferable {
    pub(crate) fn forbidden(why: String) -> Unreferable {
        let why = Some(why);
        Unreferable { status: 403, why }
    }
}

impl From<u16> for Unreferable {
    fn from(status: u16) -> Unreferable {
        Unreferable { status, why: None }
    }
}

/// The one URI that a REFER names (RFC 3515 §2.4.2).
///
/// # Errors
/// 400: not exactly one Refer-To, or none that can be read.
pub fn refer_target(refer: &Message) -> Result<Uri, u16> {
    let mut values = refer.headers(HeaderName::ReferTo);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(400);
    };
    let address = NameAddr::parse(HeaderName::ReferTo, value).map_err(|_| 400_u16)?;
    Ok(address.uri().clone())
}

/// That a URI asks for nothing else than an INVITE.
///
/// # Errors
/// 403: another method.
pub fn wants_invite(target: &Uri) -> Result<(), Unreferable> {
    match target.param("method") {
        Some(method) if !method.eq_ignore_ascii_case("INVITE") => Err(Unreferable::forbidden(format!(
            "it asks for {method} by method={method} in its URI: nothing but an INVITE is sent"
        ))),
        _ => Ok(()),
    }
}

impl ReferTo {
    /// Reads a REFER.
    ///
    /// # Errors
    /// The status that answers it: 400 for what can't be read, 403 for what asks for more than a call.
    pub fn read(refer: &Message) -> Result<ReferTo, Unreferable> {
        let target = refer_target(refer)?;
        if !matches!(target.scheme(), Scheme::Sip | Scheme::Tel) {
            let scheme = target.scheme_name();
            let why = format!("it names a {scheme}: URI: only sip: and tel: ones are called");
            return Err(Unreferable::forbidden(why));
        }
        wants_invite(&target)?;
        let mut replaces = None;
        for (name, value) in target.headers() {
            let value = unescaped(value.unwrap_or_default()).ok_or(400_u16)?;
            // Softphones demand what the INVITE of RFC 3891 §5 needs anyway: the two are joined here.
            if name.eq_ignore_ascii_case("Require") && value.trim().eq_ignore_ascii_case("replaces") {
                continue;
            }
            // Nothing else of it may stand in an INVITE of ours.
            if !name.eq_ignore_ascii_case("Replaces") || replaces.is_some() {
                let why = format!("its URI brings the header {name}: nothing but one Replaces is taken from there");
                return Err(Unreferable::forbidden(why));
            }
            replaces = Some(value.parse().map_err(|_| 400_u16)?);
        }
        let said = target.as_str();
        let said = said.get(..said.floor_char_boundary(LONGEST_SAID)).unwrap_or_default();
        Ok(ReferTo {
            said: said.to_owned(),
            target: target.without_headers(),
            replaces,
            referred_by: refer.header(HeaderName::ReferredBy).map(str::to_owned),
        })
    }
}

/// `%3B` is `;` (RFC 3261 §19.1.2). None: it is no text.
fn unescaped(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Who refers the other side of its call.
#[derive(Debug, Clone)]
pub struct Referrer<'a> {
    pub origin: Origin,
    /// Whose the call is.
    pub tenant: &'a Tenant,
    /// The other side, as the one who refers knows it: a number in its own way of writing, or a name.
    pub stays: &'a str,
    /// What a registration hook says of the user who refers, and of whom it names.
    pub vouched: Vouched,
}

/// Routes the call that a REFER asks for as a call of whoever refers. The facts are those that it is planned from: whoever
/// is inside sees who will talk to it, the telephone network sees the number of the user who refers.
pub fn decide_refer(
    config: &Config,
    referrer: &Referrer<'_>,
    target: &Uri,
) -> (Result<(Decision, Facts), Refusal>, Trace) {
    let who = match &referrer.origin {
        Origin::Teams => "Teams".to_owned(),
        Origin::Carrier(id) => format!("carrier '{id}'"),
        Origin::User { name, .. } => name.to_string(),
    };
    let refused = |what: &str| Refusal::not_allowed(&who, what);
    let carrier = match &referrer.origin {
        Origin::Carrier(id) => config.carrier(id),
        _ => None,
    };
    if !is_here(config, referrer.tenant, carrier.map(AsRef::as_ref), target) {
        let what = format!("refer to '{}': calls of this node alone", target.host());
        return (Err(refused(&what)), Trace::default());
    }
    let dialled = number_of(target);
    let emergency = || refused("refer to an emergency number: who needs help has to call it");
    // Before the carrier's own right to call there, which would help nobody.
    if is_emergency(config, &dialled) {
        return (Err(emergency()), Trace::default());
    }
    let facts = Facts {
        origin: referrer.origin.clone(),
        dialled,
        extension: extension_of(target),
        host: target.host().to_owned(),
        caller: shown(referrer.stays),
        colleague: None,
        diversions: Vec::new(),
        vouched: referrer.vouched.clone(),
        elin: ElinFacts::None,
    };
    let (decision, trace) = decide(config, &facts);
    let allowed = decision.and_then(|decision| {
        if decision.tenant.id != referrer.tenant.id {
            return Err(refused("refer to a number of another tenant"));
        }
        if decision.emergency {
            return Err(emergency());
        }
        match decision.target {
            Target::Application { .. } => Err(refused("refer to an application")),
            _ => Ok(decision),
        }
    });
    (
        allowed.map(|decision| as_seen(decision, facts, carrier.map(AsRef::as_ref))),
        trace,
    )
}

/// A name in the place of a number is nobody's number.
fn shown(stays: &str) -> Caller {
    let private = stays.is_empty() || stays == "anonymous";
    Caller {
        number: if private { String::new() } else { stays.to_owned() },
        private,
        ..Caller::default()
    }
}

/// The facts as those see them who are called: inside, who will talk, a number or a colleague; who has nothing to show is
/// announced by whoever refers it, as everybody is to the telephone network.
fn as_seen(mut decision: Decision, facts: Facts, carrier: Option<&Carrier>) -> (Decision, Facts) {
    let mut facts = match carrier {
        Some(carrier) => facts.understood(&carrier.numbers),
        None => facts,
    };
    let Origin::User { name, .. } = facts.origin.clone() else {
        return (decision, facts);
    };
    let inside = matches!(decision.target, Target::Teams { .. } | Target::User { .. });
    let number = E164::parse(&facts.caller.number).ok();
    if inside && (number.is_some() || facts.caller.private) {
        (decision.caller, decision.shown_instead) = (number, None);
        return (decision, facts);
    }
    let tenant = decision.tenant.clone();
    let realm = tenant.realm.as_ref().filter(|_| inside);
    let colleague = realm.and_then(|realm| realm.user(&facts.caller.number));
    if let Some(number) = colleague.and_then(|colleague| colleague.number) {
        (decision.caller, decision.shown_instead) = (Some(number), None);
    }
    facts.colleague = Some(colleague.map_or(name, |colleague| colleague.name.clone()));
    facts.caller = Caller {
        number: decision.caller.map(|number| number.to_string()).unwrap_or_default(),
        display: colleague.and_then(|colleague| colleague.display.clone()),
        ..Caller::default()
    };
    if let Some(name) = name_for_teams(&decision, &facts) {
        facts.caller.number = name.to_string();
    }
    (decision, facts)
}

/// Whether a URI names this node, the tenant, or the carrier that refers: whatever else it names is not called, and what it
/// means there is not what it would mean here.
fn is_here(config: &Config, tenant: &Tenant, carrier: Option<&Carrier>, target: &Uri) -> bool {
    if target.scheme() == Scheme::Tel {
        return true;
    }
    let host = target.host();
    let is_name = |name: &str| name.eq_ignore_ascii_case(host);
    let is_it = |known: &Host| match known {
        Host::Address(address) => target.host_ip() == Some(*address),
        Host::Name(name) => is_name(name.as_str()),
    };
    let of_carrier = carrier.is_some_and(|carrier| {
        let networks = &carrier.identify.networks;
        let address = target.host_ip();
        carrier.gateways.iter().any(|gateway| is_it(&gateway.host))
            || address.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
    });
    let trunks = tenant.aliases.iter().chain([&tenant.fqdn]);
    let domains = tenant
        .domains
        .iter()
        .chain(tenant.realm.as_ref().map(|realm| &realm.name));
    of_carrier
        || trunks
            .map(|name| name.as_str())
            .chain(domains.map(|name| name.as_str()))
            .any(is_name)
        || config.sbc.teams.is_base(host)
        || config.sbc.listeners.iter().any(|listener| is_it(&listener.advertise))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CarrierId, UserName};

    const SBC: &str = include_str!("../../config/sbc.toml");
    const MORE: &str = "\n[[listeners]]\nname = \"users\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"0.0.0.0:5080\"\n\
                        advertise = \"198.51.100.10\"\n";
    const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
realm = "sip.contoso.example"
carriers = ["north"]

[[numbers]]
range = "+14255550100-+14255550149"

[[numbers]]
number = "+14255550190"
to = { application = "reception" }

[[numbers]]
number = "+14255550150"
to = { user = "alice@sip.contoso.example" }

[application.reception]
hook = "https://app.contoso.example/in"

[[users]]
name = "alice"
number = "+14255550150"
ha1_md5 = "00000000000000000000000000000000"

[[users]]
name = "bob"
ha1_md5 = "00000000000000000000000000000000"
may_call = ["users"]

[[users]]
name = "carol"
ha1_md5 = "00000000000000000000000000000000"
"#;
    const FABRIKAM: &str = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n[[numbers]]\nnumber = \"+442079460100\"\n";

    fn config() -> Config {
        let tenants = [("contoso", CONTOSO), ("fabrikam", FABRIKAM)];
        let sbc = SBC.replace("# further_bases", "further_bases");
        Config::from_toml_strs(&format!("{sbc}{MORE}"), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// Whom a REFER reaches, and as whom; the status that refuses it.
    fn refer(origin: Origin, stays: &str, target: &str) -> Result<(Target, Facts, Decision), u16> {
        let config = config();
        let contoso = config.tenants.iter().find(|tenant| tenant.id.as_str() == "contoso");
        let referrer = Referrer {
            origin,
            tenant: contoso.expect("a tenant"),
            stays,
            vouched: Vouched::default(),
        };
        let target = Uri::parse(target).expect("a URI");
        let (decided, _) = decide_refer(&config, &referrer, &target);
        let (decision, facts) = decided.map_err(|refusal| refusal.status)?;
        Ok((decision.target.clone(), facts, decision))
    }

    fn carrier() -> Origin {
        Origin::Carrier(CarrierId::parse("north").expect("an id"))
    }

    fn user(name: &str) -> Origin {
        Origin::User {
            tenant: config().tenants[0].id.clone(),
            name: UserName::parse(name).expect("a name"),
        }
    }

    #[test]
    fn teams_091_a_carrier_refers_within_the_tenant_of_the_call() {
        let (target, facts, decision) =
            refer(carrier(), "+441632960001", "sip:+14255550101@198.51.100.10").expect("routed");
        assert!(matches!(target, Target::Teams { .. }));
        assert_eq!(decision.caller, E164::parse("+441632960001").ok());
        assert_eq!(facts.caller.number, "+441632960001", "who will talk is shown");
        for target in [
            "tel:+14255550150",
            "sip:+14255550150@sip.contoso.example",
            "sip:+14255550150@contoso.sbc1.example.net",
            "sip:+14255550150@SBC1.example.org",
        ] {
            let (reached, ..) = refer(carrier(), "+441632960001", target).expect(target);
            assert!(matches!(reached, Target::User { .. }), "{target}");
        }
    }

    #[test]
    fn teams_091_no_refer_leads_to_another_tenant_or_to_a_host_or_past_what_may_be_called() {
        for (target, status) in [
            ("sip:+442079460100@198.51.100.10", 403),
            ("sip:+14255550190@198.51.100.10", 403),
            ("sip:+19005550100@198.51.100.10", 404),
            ("sip:+14255550101@127.0.0.1", 403),
            ("sip:+14255550101@10.0.0.1", 403),
            ("sip:+14255550101@fabrikam.sbc1.example.net", 403),
            ("sip:+14255550101@elsewhere.example", 403),
            ("sip:+14255550101@sbc2.example.org", 403),
            ("sip:198.51.100.10", 484),
        ] {
            assert_eq!(
                refer(carrier(), "+441632960001", target).err(),
                Some(status),
                "{target}"
            );
        }
        for (name, target, status) in [
            ("alice", "sip:911@sip.contoso.example", 403),
            ("alice", "sip:+14255550190@sip.contoso.example", 403),
            ("alice", "sip:alice@127.0.0.1", 403),
            ("bob", "sip:+19005550100@sip.contoso.example", 403),
            ("bob", "sip:+14255550101@sip.contoso.example", 403),
            ("mallory", "sip:alice@sip.contoso.example", 403),
        ] {
            assert_eq!(
                refer(user(name), "+441632960001", target).err(),
                Some(status),
                "{name} {target}"
            );
        }
    }

    /// Whoever refers, and whatever it may call itself: `emergency = true` of a carrier would not help.
    #[test]
    fn no_refer_leads_to_an_emergency_number_and_the_sentence_says_so() {
        let config = config();
        for origin in [carrier(), user("alice")] {
            for target in [
                "sip:911@198.51.100.10",
                "tel:112",
                "sip:911@sip.contoso.example",
                "sip:9-1-1@198.51.100.10",
                "sip:(911)@sip.contoso.example",
                "sip:%39.1.1%20@sip.contoso.example",
            ] {
                let referrer = Referrer {
                    origin: origin.clone(),
                    tenant: &config.tenants[0],
                    stays: "+441632960001",
                    vouched: Vouched::default(),
                };
                let (decided, _) = decide_refer(&config, &referrer, &Uri::parse(target).expect("a URI"));
                let refusal = decided.expect_err("refused");
                assert_eq!(refusal.status, 403);
                assert!(
                    refusal
                        .sentence
                        .contains("may not refer to an emergency number: who needs help has to call it"),
                    "{}",
                    refusal.sentence
                );
            }
        }
    }

    #[test]
    fn no_refer_leads_to_a_number_that_is_denied() {
        let premium = "sip:+19005550100@sip.contoso.example";
        assert!(matches!(
            refer(user("alice"), "+441632960001", premium),
            Ok((Target::Carriers { .. }, ..))
        ));
        let denying = format!("{CONTOSO}\n[destinations]\ndeny = [\"+1900\"]\n");
        let config = Config::from_toml_strs(&format!("{SBC}{MORE}"), &[("contoso", &denying)])
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        let referrer = Referrer {
            origin: user("alice"),
            tenant: &config.tenants[0],
            stays: "+441632960001",
            vouched: Vouched::default(),
        };
        for (target, refused) in [(premium, true), ("sip:+12065550100@sip.contoso.example", false)] {
            let (decided, _) = decide_refer(&config, &referrer, &Uri::parse(target).expect("a URI"));
            let status = decided.err().map(|refusal| refusal.status);
            assert_eq!(status, refused.then_some(403), "{target}");
        }
    }

    #[test]
    fn inside_who_will_talk_is_shown_and_outside_the_user_who_refers() {
        let (_, facts, decision) =
            refer(user("alice"), "+441632960001", "sip:bob@sip.contoso.example").expect("routed");
        assert_eq!(
            (facts.caller.number.as_str(), decision.caller),
            ("+441632960001", E164::parse("+441632960001").ok())
        );
        let (_, facts, decision) =
            refer(user("alice"), "anonymous", "sip:+14255550101@sip.contoso.example").expect("routed");
        assert_eq!((facts.caller.private, decision.caller), (true, None));
        let (target, facts, decision) =
            refer(user("alice"), "+441632960001", "sip:+12065550100@sip.contoso.example").expect("routed");
        assert!(matches!(target, Target::Carriers { .. }));
        assert_eq!(
            (facts.caller.number.as_str(), decision.caller),
            ("+14255550150", E164::parse("+14255550150").ok())
        );
        let (_, facts, _) = refer(user("alice"), "bob", "sip:+14255550101@sip.contoso.example").expect("routed");
        assert_eq!(facts.caller.number, "+14255550150", "a colleague has no number to show");
        let (_, facts, _) = refer(user("carol"), "1001", "sip:+14255550101@sip.contoso.example").expect("routed");
        assert_eq!(
            facts.caller.number, "carol",
            "Teams is shown her name, who has no number"
        );
        let colleague = |stays: &str| {
            let (_, facts, _) = refer(user("alice"), stays, "sip:bob@sip.contoso.example").expect("routed");
            facts.colleague.map(|name| name.to_string())
        };
        assert_eq!(
            colleague("bob").as_deref(),
            Some("bob"),
            "to another user a name is enough"
        );
        assert_eq!(colleague("1001").as_deref(), Some("alice"), "who has nothing to show");
        assert_eq!((colleague("+441632960001"), colleague("anonymous")), (None, None));
    }

    #[test]
    fn a_refer_names_one_uri_and_asks_for_a_call() {
        let read = |line: &str| {
            let text = format!(
                "REFER sip:x@198.51.100.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.2;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:c@d>;tag=2\r\nCall-ID: 1\r\nCSeq: 2 REFER\r\n{line}Content-Length: 0\r\n\r\n"
            );
            ReferTo::read(&Message::parse(text.into_bytes().into()).expect("a REFER"))
        };
        let named = "Refer-To: <sip:c@d?Replaces=a%40b%3Bto-tag%3D1%3bfrom-tag%3D2>\r\n";
        let wanted = read(named).expect("a dialog");
        let replaces = wanted.replaces.expect("Replaces");
        assert_eq!((replaces.call_id.as_str(), replaces.to_tag.as_str()), ("a@b", "1"));
        assert_eq!(wanted.target.as_str(), "sip:c@d");
        let demanded = "Refer-To: <sip:c@d?Require=replaces&Replaces=a%40b%3Bto-tag%3D1%3bfrom-tag%3D2>\r\n";
        assert_eq!(read(demanded).expect("a dialog").replaces, Some(replaces));
        for (line, status) in [
            ("", 400),
            ("Refer-To: <sip:c@d?Require=100rel>\r\n", 403),
            ("Refer-To: <sip:c@d?Require=replaces%2C100rel>\r\n", 403),
            ("Refer-To: <sip:c@d?Replaces=a>\r\n", 400),
            (
                "Refer-To: <sip:c@d?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n",
                403,
            ),
            ("Refer-To: <sip:c@d?Route=%3Csip:x%3E>\r\n", 403),
            ("Refer-To: <sip:c@d;method=SUBSCRIBE>\r\n", 403),
            ("Refer-To: <http://c/d>\r\n", 403),
        ] {
            assert_eq!(read(line).err().map(|fault| fault.status), Some(status), "{line}");
        }
    }
}
