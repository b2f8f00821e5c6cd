//! Who is shown to a carrier, from INVITEs as Teams sends them.

use super::*;
use crate::config::fixture::machine;
use crate::config::{CallerHeader, Config, E164};
use crate::dial::Attempt;
use crate::route::{ElinFacts, EmergencyCaller, Facts, Origin, Target, believed_caller, decide};
use crate::sip::NameAddr;
use crate::sip::message::{HeaderName, Message};

const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]

[[numbers]]
range = "+14255550100-+14255550198"
"#;

const WOODGROVE: &str = r#"
domains = ["woodgrove.example"]
label = "woodgrove"
carriers = ["north"]

[[numbers]]
number = "+12065550177"
"#;

/// TV-16: somebody outside called +14255550111, who forwards its calls.
const FORWARDED: &str = "FROM: <sip:+12065550100@sip.pstnhub.example.com:5061;user=phone>;tag=a2\r\n\
    P-ASSERTED-IDENTITY: <tel:+14255550112>,<sip:ada@contoso.example>\r\n\
    HISTORY-INFO: <sip:+14255550111@sip.pstnhub.example.com:5061;user=phone?Reason=SIP%3Bcause%3D302>;index=1,\
    <sip:+442079460188@sip.pstnhub.example.com;user=phone?Reason=SIP%3Bcause%3D302>;index=1.1,\
    <sip:+442079460199@sip.pstnhub.example.com:5061;user=phone>;index=1.1.1\r\n";

/// TV-03: a call on a trunk with ForwardPai.
const ASSERTED: &str = "FROM: <sip:anonymous@anonymous.invalid>;tag=17\r\n\
    P-ASSERTED-IDENTITY: <tel:+14255550111>,<sip:ada@contoso.example>\r\nPRIVACY: id\r\n";

/// What the carrier is called with.
fn attempt(carrier: &str, tenant: &str, head: &str) -> Attempt {
    let carriers = format!(
        "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\ngateways = [{{ host = \"203.0.113.2\" }}]\n{carrier}"
    );
    let tenants = [("contoso", &*format!("{CONTOSO}{tenant}")), ("woodgrove", WOODGROVE)];
    let config = Config::from_toml_strs(&machine(&carriers), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"));
    let text = format!(
        "INVITE sip:+442079460199@contoso.sbc1.example.net:5061;user=phone;transport=tls SIP/2.0\r\n\
         TO: <sip:+442079460199@contoso.sbc1.example.net:5061;user=phone>\r\nCSEQ: 1 INVITE\r\nCALL-ID: 0a3d\r\n\
         VIA: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7a6f150b\r\n{head}CONTENT-LENGTH: 0\r\n\r\n"
    );
    let invite = Message::parse(text.into_bytes().into()).expect("an INVITE");
    let facts = Facts::from_teams(&config, &invite);
    let (decision, _) = decide(&config, &facts);
    let decision = decision.unwrap_or_else(|refusal| panic!("{}", refusal.sentence));
    let caller = believed_caller(&config, &decision, &facts);
    let plan_facts = PlanFacts {
        config: &config,
        decision: &decision,
        caller: &caller,
        diversions: &facts.diversions,
    };
    let Target::Carriers { carriers, callee } = &decision.target else {
        panic!("it goes to the carrier")
    };
    plan(plan_facts, carriers, callee, |_| false)
}

/// From, P-Asserted-Identity and Privacy of the INVITE that the carrier gets.
fn shown(carrier: &str, tenant: &str, head: &str) -> (String, Option<String>, Option<String>) {
    let attempt = attempt(carrier, tenant, head);
    let hop = &attempt.hops[0];
    let number = |name, value: &str| {
        let address = NameAddr::parse(name, value).expect("an address");
        address.uri().user().unwrap_or_default().to_owned()
    };
    let header = |wanted| {
        hop.headers
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.as_str())
    };
    (
        number(HeaderName::From, &hop.from),
        header(HeaderName::PAssertedIdentity).map(|value| number(HeaderName::PAssertedIdentity, value)),
        header(HeaderName::Privacy).map(str::to_owned),
    )
}

#[test]
fn teams_050_each_source_of_the_callers_number() {
    let tenant = "[caller]\noutside = \"replace\"\nnumber = \"+14255550100\"\n";
    for (source, from, asserted) in [
        ("present = \"from\"", "+12065550100", "+14255550112"),
        ("present = \"pai\"", "+14255550112", "+14255550112"),
        (
            "present = \"fixed\"\nnumber = \"+14255550100\"",
            "+14255550100",
            "+14255550100",
        ),
        ("present = \"diverting\"", "+14255550111", "+14255550111"),
    ] {
        let (shown, told, privacy) = shown(&format!("\n[carriers.caller]\n{source}\n"), tenant, FORWARDED);
        assert_eq!((shown.as_str(), told.as_deref()), (from, Some(asserted)), "{source}");
        assert_eq!(privacy, None);
    }
    let direct = "FROM: <sip:+14255550112@sip.pstnhub.example.com:5061;user=phone>;tag=a2\r\n";
    let (shown, ..) = shown("\n[carriers.caller]\npresent = \"diverting\"\n", tenant, direct);
    assert_eq!(shown, "+14255550112", "a call that nobody has forwarded");
    let outside = "FROM: <sip:+12065550100@sip.pstnhub.example.com:5061;user=phone>;tag=a2\r\n";
    let fixed = "\n[carriers.caller]\npresent = \"fixed\"\nnumber = \"+14255550101\"\n";
    let (shown, ..) = self::shown(fixed, tenant, outside);
    assert_eq!(shown, "+14255550101", "it takes no other, whoever calls");
}

#[test]
fn who_takes_one_number_alone_gets_it_wherever_a_number_of_the_caller_stands() {
    let fixed = "\n[carriers.caller]\npresent = \"fixed\"\nnumber = \"+14255550101\"\n";
    let told = "[caller]\nforward_pai = true\n";
    let own = |shown: (String, Option<String>, Option<String>)| (shown.0, shown.1);
    let only = ("+14255550101".to_owned(), Some("+14255550101".to_owned()));
    assert_eq!(own(shown(fixed, told, ASSERTED)), only);
    assert_eq!(own(shown(fixed, told, FORWARDED)), only);
    let (from, asserted, privacy) = shown(fixed, "", ASSERTED);
    assert_eq!((from.as_str(), privacy.as_deref()), ("anonymous", Some("id")));
    assert_eq!(
        asserted.as_deref(),
        Some("+14255550101"),
        "who hides is no other to the carrier"
    );
    let hop = attempt(fixed, told, FORWARDED).hops.remove(0);
    let diverted = hop.headers.iter().filter(|(name, _)| *name == HeaderName::Diversion);
    let diverted: Vec<_> = diverted.map(|(_, value)| value.as_str()).collect();
    assert!(
        diverted.iter().any(|value| value.contains("+14255550111")),
        "{diverted:?}"
    );
}

#[test]
fn teams_049_a_trunk_with_forward_pai_makes_nobody_anonymous_where_the_tenant_says_so() {
    let (from, asserted, privacy) = shown("", "", ASSERTED);
    assert_eq!((from.as_str(), privacy.as_deref()), ("anonymous", Some("id")));
    assert_eq!(asserted.as_deref(), Some("+14255550111"));
    let told = "[caller]\nforward_pai = true\n";
    let (from, asserted, privacy) = shown("", told, ASSERTED);
    assert_eq!((from.as_str(), privacy.as_deref()), ("+14255550111", None));
    assert_eq!(asserted.as_deref(), Some("+14255550111"));
    let foreign = ASSERTED.replace("+14255550111", "+12065550100");
    let (from, asserted, privacy) = shown("", told, &foreign);
    assert_eq!((from.as_str(), privacy.as_deref()), ("anonymous", Some("id")));
    assert_eq!(asserted, None, "a number of somebody else's");
    let hidden = "FROM: <sip:anonymous@anonymous.invalid>;tag=17\r\n";
    assert_eq!(shown("", told, hidden).0, "anonymous", "who asserts nothing");
}

#[test]
fn who_forwards_privately_is_told_of_where_callers_are() {
    let private = FORWARDED.replace("cause%3D302>;index=1,", "cause%3D302&Privacy=history>;index=1,");
    let told = |carrier: &str| attempt(carrier, "", &private).hops[0].headers.clone();
    let diversions = |headers: &[(HeaderName, String)]| {
        let of = headers.iter().filter(|(name, _)| *name == HeaderName::Diversion);
        of.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let all = diversions(&told(""));
    assert!(
        all.len() == 2 && all[1].ends_with(";privacy=full") && !all[0].contains("privacy"),
        "{all:?}"
    );
    let kept = diversions(&told("\n[carriers.caller]\nprivacy = \"withhold\"\n"));
    assert_eq!(kept, all[..1], "only who did not ask");
    let by_others = FORWARDED.replace("+442079460188", "+12065550177");
    let told = diversions(&attempt("", "", &by_others).hops[0].headers);
    assert_eq!(told.len(), 1, "not who forwards at another tenant: {told:?}");
    assert!(told[0].contains("+14255550111"), "{told:?}");
}

#[test]
fn elin_is_shown_in_the_carriers_form_and_hides_who_calls() {
    let carriers = "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\ngateways = [{ host = \"203.0.113.2\" }]\n\
                    elin = true\nnumbers = { country_code = \"1\", format = \"national\" }\ncaller = { present = \"fixed\", number = \"+14255550100\" }\n\
                    [[carriers]]\nid = \"south\"\nnetworks = [\"203.0.114.0/24\"]\ngateways = [{ host = \"203.0.114.2\" }]\n";
    let tenant = CONTOSO.replace("[\"north\"]", "[\"north\", \"south\"]");
    let tenant = format!("{tenant}[[numbers]]\nnumber = \"+14255550180\"\nelin = true\n");
    let config =
        Config::from_toml_strs(&machine(carriers), &[("contoso", &tenant)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let shown = |from: &str, private: bool| {
        let mut facts = Facts::from_teams(&config, &Message::parse(
            format!(
                "INVITE sip:112@contoso.sbc1.example.net:5061 SIP/2.0\r\nTO: <sip:112@contoso.sbc1.example.net>\r\nCSEQ: 1 INVITE\r\n\
                 CALL-ID: 0a3d\r\nVIA: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7a\r\nFROM: {from};tag=1\r\nCONTENT-LENGTH: 0\r\n\r\n"
            )
            .into_bytes()
            .into(),
        )
        .expect("an INVITE"));
        facts.caller.private |= private;
        facts.elin = crate::route::ElinFacts::Named(vec!["+14255550180".into()]);
        let (decision, mut trace) = decide(&config, &facts);
        let mut decision = decision.expect("routed");
        decision.show_first(&mut trace);
        let Target::Carriers { carriers, callee } = &decision.target else {
            panic!("it goes to the carriers")
        };
        let plan_facts = PlanFacts {
            config: &config,
            decision: &decision,
            caller: &facts.caller,
            diversions: &facts.diversions,
        };
        let hops = plan(plan_facts, carriers, callee, |_| false).hops;
        hops.into_iter()
            .map(|hop| (hop.from, hop.contact_user, hop.headers))
            .collect::<Vec<_>>()
    };
    let asserted = |uri: &str| vec![(HeaderName::PAssertedIdentity, format!("<{uri}>"))];
    let uri = "sip:4255550180@192.0.2.10;user=phone";
    let found = shown("\"Ada\" <sip:+14255550100@sip.pstnhub.example.com>", false);
    assert_eq!(
        found[0],
        (format!("\"Ada\" <{uri}>"), "4255550180".into(), asserted(uri))
    );
    // The one that wants none is shown the caller.
    assert_eq!(found[1].1, "+14255550100");
    for from in [
        "\"Ada\" <sip:+14255550100@sip.pstnhub.example.com>",
        "<sip:anonymous@anonymous.invalid>",
    ] {
        let found = shown(from, true);
        assert_eq!(
            found[0],
            (format!("<{uri}>"), "4255550180".into(), asserted(uri)),
            "{from}"
        );
        assert_eq!(found[1].1, "anonymous");
    }
}

#[test]
fn who_calls_an_elin_back_is_shown_as_any_caller_is() {
    let carriers = "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\ngateways = [{ host = \"203.0.113.2\" }]\n\
                    [[carriers]]\nid = \"pbx\"\nnetworks = [\"203.0.114.0/24\"]\ngateways = [{ host = \"203.0.114.2\" }]\n\
                    history = \"diversion\"\n\
                    caller = { present = \"fixed\", number = \"+14255550100\", privacy = \"withhold\" }\n";
    let tenant = format!("{CONTOSO}[[numbers]]\nnumber = \"+14255550180\"\nelin = true\n");
    let config =
        Config::from_toml_strs(&machine(carriers), &[("contoso", &tenant)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let [north, pbx] = [0, 1].map(|index: usize| config.sbc.carriers[index].id.clone());
    let shown = |private: bool| {
        let invite = Message::parse(
            b"INVITE sip:+14255550180@192.0.2.10 SIP/2.0\r\nTO: <sip:+14255550180@192.0.2.10>\r\nCSEQ: 1 INVITE\r\n\
              CALL-ID: 0a3d\r\nVIA: SIP/2.0/UDP 203.0.113.2;branch=z9hG4bK7a\r\nFROM: <sip:+12065550911@203.0.113.2>;tag=1\r\n\
              DIVERSION: <sip:+12065550912@203.0.113.2>;reason=unconditional;privacy=full\r\nCONTENT-LENGTH: 0\r\n\r\n"
                .to_vec()
                .into(),
        )
        .expect("an INVITE");
        let mut facts = Facts::read(Origin::Carrier(north.clone()), &invite, CallerHeader::From);
        facts.caller.private = private;
        facts.elin = ElinFacts::ShownFor(EmergencyCaller::Carrier {
            id: pbx.clone(),
            number: E164::parse("+14255550142").expect("a number"),
        });
        assert!(facts.diversions.len() == 1 && facts.diversions[0].private);
        let decision = decide(&config, &facts).0.expect("routed");
        assert!(decision.emergency && !decision.calls_for_help());
        let Target::Carriers { carriers, callee } = &decision.target else {
            panic!("it goes to the PBX")
        };
        let plan_facts = PlanFacts {
            config: &config,
            decision: &decision,
            caller: &facts.caller,
            diversions: &facts.diversions,
        };
        let hop = plan(plan_facts, carriers, callee, |_| false).hops.remove(0);
        (hop.contact_user, hop.headers)
    };
    assert_eq!(
        shown(true),
        ("anonymous".into(), vec![(HeaderName::Privacy, "id".into())])
    );
    assert_eq!(shown(false).0, "+14255550100", "what the PBX takes alone");
}
