//! The routing function over whole configurations.

use super::*;
use crate::carrier::PlanFacts;
use crate::config::fixture::machine;
use crate::config::{CallerHeader, CarrierId, Config};
use crate::sip::Uri;
use crate::sip::message::Message;
use crate::teams;

const CARRIERS: &str = r#"
[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "203.0.113.2" }]
"#;

const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]

[[numbers]]
range = "+14255550100-+14255550198"

[[numbers]]
number = "+14255550150"
voicemail = true

[caller]
outside = "refuse"
"#;

#[test]
fn a_number_that_teams_asserts_is_believed_where_it_is_the_tenants() {
    let config =
        Config::from_toml_strs(&machine(CARRIERS), &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let believed = |number: &str, asserted: &str, dialled: &str| {
        let facts = Facts {
            dialled: dialled.into(),
            extension: None,
            host: "contoso.sbc1.example.net".into(),
            caller: Caller {
                number: number.into(),
                asserted: Some(asserted.into()),
                private: number.is_empty(),
                ..Caller::default()
            },
            origin: Origin::Teams,
            colleague: None,
            diversions: Vec::new(),
            vouched: Vouched::default(),
            elin: Default::default(),
        };
        let (decision, trace) = decide(&config, &facts);
        let decision = decision.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let told = trace.0.iter().any(|step| step.rule == "asserted");
        let kept = believed_caller(&config, &decision, &facts).asserted.is_some();
        assert_ne!(told, kept || decision.emergency, "explain says why");
        kept
    };
    let (own, foreign, callee) = ("+14255550100", "+12065550199", "+441632960001");
    assert!(believed(own, own, callee) && believed("", own, callee));
    assert!(!believed(own, foreign, callee) && !believed("", foreign, callee));
    assert!(believed(own, foreign, "112"), "whoever may help to call back");
}

fn route(origin: Origin, host: &str, caller: &str, dialled: &str) -> Result<Decision, u16> {
    let config =
        Config::from_toml_strs(&machine(CARRIERS), &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let facts = Facts {
        origin,
        dialled: dialled.into(),
        extension: None,
        host: host.into(),
        caller: Caller {
            number: caller.into(),
            ..Caller::default()
        },
        colleague: None,
        diversions: Vec::new(),
        vouched: Vouched::default(),
        elin: Default::default(),
    };
    decide(&config, &facts).0.map_err(|refusal| refusal.status)
}

fn north() -> Origin {
    Origin::Carrier(CarrierId::parse("north").expect("an id"))
}

#[test]
fn calls_of_a_carrier() {
    let target = |dialled| route(north(), "192.0.2.10", "+12065550100", dialled).map(|decision| decision.target);
    for (dialled, voicemail) in [("+14255550149", false), ("+14255550150", true), ("+14255550151", false)] {
        let found = target(dialled).expect("a user");
        let Target::Teams { number, voicemail: is } = found else {
            panic!("not to Teams")
        };
        assert_eq!(
            (number.to_string().as_str(), is),
            (dialled, voicemail),
            "exact beats range"
        );
    }
    for (dialled, status) in [
        ("+14255550199", 404),
        ("112", 404),
        ("+112", 404),
        ("", 484),
        ("ada", 484),
    ] {
        assert_eq!(target(dialled), Err(status), "{dialled}");
    }
}

#[test]
fn calls_of_teams() {
    let host = "CONTOSO.sbc1.example.net";
    let call = |caller: &str, dialled: &str| route(Origin::Teams, host, caller, dialled);
    for dialled in ["+12065550100", "1234", "*21#"] {
        let decision = call("+14255550100", dialled).expect("routed");
        assert!(!decision.emergency && matches!(decision.target, Target::Carriers { .. }));
    }
    for dialled in ["112", "+112"] {
        let decision = call("+4930123456", dialled).expect("an emergency call passes before caller policy");
        let Target::Carriers { callee, .. } = &decision.target else {
            panic!("not to a carrier")
        };
        assert!(decision.emergency);
        assert_eq!(callee.to_string(), "112");
    }
    assert_eq!(
        call("+4930123456", "+12065550100").map(|_| ()),
        Err(403),
        "another's number is shown"
    );
    assert_eq!(call("+14255550100", "ada").map(|_| ()), Err(484));
    let foreign = route(
        Origin::Teams,
        "fabrikam.sbc1.example.net",
        "+14255550100",
        "+12065550100",
    );
    assert_eq!(foreign.map(|_| ()), Err(404), "unknown tenant");
    for caller in ["+14255550100", "+4930123456", "anonymous"] {
        let decision = route(Origin::Teams, "fabrikam.sbc1.example.net", caller, "112").expect("somebody takes it");
        assert!(decision.emergency, "{caller}");
    }
}

#[test]
fn a_carrier_that_serves_people_may_call_emergency_numbers_by_another_carrier() {
    let south =
        "[[carriers]]\nid = \"south\"\nnetworks = [\"198.51.100.0/24\"]\ngateways = [{ host = \"198.51.100.2\" }]\n";
    let decided = |more: &str, carriers: &str| {
        let machine = machine(&format!("{CARRIERS}{more}\n{carriers}"));
        let config =
            Config::from_toml_strs(&machine, &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let facts = Facts {
            dialled: "112".into(),
            extension: None,
            host: "192.0.2.10".into(),
            caller: Caller {
                number: "+14255550100".into(),
                ..Caller::default()
            },
            origin: Origin::Carrier(CarrierId::parse("north").expect("an id")),
            colleague: None,
            diversions: Vec::new(),
            vouched: Vouched::default(),
            elin: Default::default(),
        };
        let decision = decide(&config, &facts).0.map_err(|refusal| refusal.status)?;
        let Target::Carriers { carriers, .. } = &decision.target else {
            panic!("not to a carrier")
        };
        assert!(decision.emergency);
        Ok(carriers
            .iter()
            .map(|carrier| carrier.id.to_string())
            .collect::<Vec<_>>())
    };
    assert_eq!(decided("", south), Err(404));
    assert_eq!(decided("emergency = true", south), Ok(vec!["south".to_owned()]));
    assert_eq!(decided("emergency = true", ""), Err(503), "it would come back");
}

#[test]
fn teams_052_forwardings_in_a_circle_are_refused_from_either_side() {
    let config =
        Config::from_toml_strs(&machine(CARRIERS), &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let north = || Origin::Carrier(CarrierId::parse("north").expect("an id"));
    let (inside, outside) = ("+14255550100", "+441632960001");
    let by = |number: &str| Diversion {
        number: number.into(),
        reason: "unconditional".into(),
        private: false,
    };
    let routed = |origin: Origin, dialled: &str, rounds: usize| {
        let facts = Facts {
            origin,
            dialled: dialled.into(),
            extension: None,
            host: "contoso.sbc1.example.net".into(),
            caller: Caller::default(),
            colleague: None,
            diversions: (0..rounds).flat_map(|_| [by(inside), by(outside)]).collect(),
            vouched: Vouched::default(),
            elin: Default::default(),
        };
        decide(&config, &facts).0.map_or_else(|refusal| refusal.status, |_| 200)
    };
    for (rounds, status) in [(0, 200), (2, 200), (3, 482)] {
        assert_eq!(routed(north(), inside, rounds), status, "from a carrier, {rounds}");
        let emergency = routed(Origin::Teams, "112", rounds);
        assert_eq!(emergency, 200, "emergency calls pass");
    }
    assert_eq!(
        (routed(Origin::Teams, outside, 2), routed(Origin::Teams, outside, 3)),
        (200, 482)
    );
}

#[test]
fn teams_109_calls_reach_the_destinations_of_the_tenant_its_own_numbers_and_help() {
    let lists = "[destinations]\nallow = [\"+44\", \"+1\"]\ndeny = [\"+1900\", \"+44871\"]\n";
    let tenants = [("contoso", &*format!("{CONTOSO}{lists}"))];
    let config = Config::from_toml_strs(&machine(CARRIERS), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"));
    let routed = |dialled: &str| {
        let facts = Facts {
            origin: Origin::Teams,
            dialled: dialled.into(),
            extension: None,
            host: "contoso.sbc1.example.net".into(),
            caller: Caller {
                number: "+14255550100".into(),
                ..Caller::default()
            },
            colleague: None,
            diversions: Vec::new(),
            vouched: Vouched::default(),
            elin: Default::default(),
        };
        let (decision, trace) = decide(&config, &facts);
        let told = trace.0.into_iter().find(|step| step.rule == "destination");
        (
            decision.map_or_else(|refusal| refusal.status, |_| 200),
            told.map(|step| step.outcome),
        )
    };
    assert_eq!(
        routed("+441632960001"),
        (200, Some("allowed by +44".into())),
        "explain shows it"
    );
    for (dialled, status) in [
        ("+19005550100", 403),
        ("+4915112345678", 403),
        ("0019005550100", 403),
        ("+448715550000", 403),
        ("+4408715550000", 403),
        ("*21", 403),
        ("+14255550150", 200),
        ("112", 200),
    ] {
        assert_eq!(routed(dialled).0, status, "{dialled}");
    }
}

/// RFC 3261 §19.1.4: what needs no escape is the same with one.
#[test]
fn no_check_is_passed_by_escapes() {
    let lists = "[destinations]\nallow = [\"+44\", \"+1\"]\ndeny = [\"+1900\"]\n";
    let tenants = [("contoso", &*format!("{CONTOSO}{lists}"))];
    let config = Config::from_toml_strs(&machine(CARRIERS), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"));
    let invite = |to: &str, from: &str| {
        let text = format!(
            "INVITE sip:{to}@contoso.sbc1.example.net SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7\r\n\
             From: <sip:{from}@sip.pstnhub.microsoft.com>;tag=1\r\nTo: <sip:{to}@x.example>\r\nCall-ID: c\r\n\
             CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).expect("an INVITE")
    };
    let from_teams = |to: &str, from: &str| {
        let facts = Facts::from_teams(&config, &invite(to, from));
        let (decision, _) = decide(&config, &facts);
        decision.map_or_else(|refusal| (refusal.status, false), |decision| (200, decision.emergency))
    };
    let own = "+14255550100";
    for (to, from, expected) in [
        ("+441632960001", own, (200, false)),
        ("%2B44163296000%31", "%2b1425%35550100", (200, false)),
        ("%31%31%32", own, (200, true)),
        ("+%311%32", own, (200, true)),
        ("1-1-2", own, (200, true)),
        ("(1)1.2", own, (200, true)),
        ("%31-1%2D2%20", own, (200, true)),
        // Neither a longer number nor what stands behind another sign.
        ("1-1-2-0", own, (484, false)),
        ("+1-1-2-0", own, (200, false)),
        ("1_1_2", own, (484, false)),
        ("%2B19005550100", own, (403, false)),
        ("+1%39%30%30555%2D0100", own, (403, false)),
        ("%2b%31%39005550100", own, (403, false)),
        // An escape of `%` is one of `%` alone.
        ("+1%2539005550100", own, (484, false)),
        ("%2531%2531%2532", own, (484, false)),
        // The caller is no number of the tenant's.
        ("+441632960001", "%2B12065550199", (403, false)),
    ] {
        assert_eq!(from_teams(to, from), expected, "{to} {from}");
    }
    for to in ["%31%31%32", "1-1-2", "1.1.2", "(112)", "112%20"] {
        assert!(is_emergency_call(&config, &invite(to, own)), "{to}");
    }
    assert!(!is_emergency_call(&config, &invite("%2531%2531%2532", own)));
    let to_contoso = Facts::read(north(), &invite("+1425555010%30", "+441632960001"), CallerHeader::From);
    let (decision, _) = decide(&config, &to_contoso);
    assert!(decision.is_ok_and(|decision| matches!(decision.target, Target::Teams { .. })));
}

#[test]
fn teams_040_a_number_that_teams_has_with_an_extension_is_called_and_shown() {
    let numbers = "\n[[numbers]]\nnumber = \"+12065550123\"\nassigned = \"+12065550100;ext=1234\"\n";
    let tenants = [("contoso", &*format!("{CONTOSO}{numbers}"))];
    let config = Config::from_toml_strs(&machine(CARRIERS), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"));
    let invite = |uri: &str, from: &str| {
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7\r\nFrom: <{from}>;tag=1\r\n\
             To: <{uri}>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).expect("an INVITE")
    };
    let facts = Facts {
        origin: Origin::Carrier(CarrierId::parse("north").expect("an id")),
        ..Facts::from_teams(
            &config,
            &invite("sip:+12065550123@192.0.2.10", "sip:+441632960001@203.0.113.2"),
        )
    };
    let (decision, _) = decide(&config, &facts);
    let decision = decision.unwrap_or_else(|refusal| panic!("{}", refusal.sentence));
    let Target::Teams { number, voicemail } = decision.target else {
        panic!("{:?}", decision.target)
    };
    let plan_facts = PlanFacts {
        config: &config,
        decision: &decision,
        caller: &facts.caller,
        diversions: &[],
    };
    let hop = teams::plan(plan_facts, number, voicemail, |_| false).hops.remove(0);
    assert!(
        hop.request_uri
            .starts_with("sip:+12065550100;ext=1234@sip.pstnhub.microsoft.com"),
        "{}",
        hop.request_uri
    );
    assert_eq!(
        hop.to,
        "<sip:+12065550100;ext=1234@contoso.sbc1.example.net;user=phone>"
    );
    let uri = Uri::parse(&hop.request_uri).expect("a URI");
    assert_eq!(uri.user(), Some("+12065550100;ext=1234"));

    let out = "sip:+441632960001@contoso.sbc1.example.net:5061";
    let facts = Facts::from_teams(
        &config,
        &invite(out, "sip:+12065550100;ext=1234@sip.pstnhub.microsoft.com"),
    );
    assert_eq!(facts.caller.number, "+12065550123");
    assert!(decide(&config, &facts).0.is_ok(), "it is the tenant's");
    let facts = Facts::from_teams(
        &config,
        &invite(out, "sip:+12065550100;ext=99@sip.pstnhub.microsoft.com"),
    );
    assert_eq!(
        decide(&config, &facts).0.map_err(|refusal| refusal.status).err(),
        Some(403)
    );
}

#[test]
fn teams_040_an_extension_is_read_wherever_teams_names_somebody() {
    let numbers = "\n[[numbers]]\nnumber = \"+12065550200\"\nassigned = \"+12065550100;ext=200\"\n\
        [[numbers]]\nnumber = \"+12065550100\"\n";
    let tenants = [("contoso", &*format!("{CONTOSO}{numbers}"))];
    let config = Config::from_toml_strs(&machine(CARRIERS), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"));
    let facts = |dialled: &str, headers: &str| {
        let text = format!(
            "INVITE sip:{dialled}@contoso.sbc1.example.net:5061 SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7\r\n\
             {headers}\r\nTo: <sip:{dialled}@contoso.sbc1.example.net>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        Facts::from_teams(&config, &Message::parse(text.into_bytes().into()).expect("an INVITE"))
    };
    let anonymous = "From: <sip:anonymous@anonymous.invalid>;tag=1\r\nPrivacy: id\r\nP-Asserted-Identity: ";
    let another = "From: <sip:+441632960001@x.example>;tag=1\r\n";
    let sip = "sip:+12065550100;ext=200@sip.pstnhub.microsoft.com;user=phone";
    for headers in [
        format!("From: <{sip}>;tag=1"),
        "From: <tel:+12065550100;ext=200>;tag=1".to_owned(),
        "From: <tel:+1-206-555-0100;phone-context=x;EXT=2-00>;tag=1".to_owned(),
        "From: <sip:+12065550100;EXT=200@x.example>;tag=1".to_owned(),
        format!("{anonymous}<tel:+12065550100;ext=200>"),
        format!("{anonymous}<tel:+12065550100;ext=200>,<sip:bo@contoso.example>"),
        format!("{anonymous}<{sip}>,<tel:+12065550100>"),
        format!(
            "{another}History-Info: <{sip}?Reason=SIP%3Bcause%3D302>;index=1,<sip:+441632960002@x.example>;index=1.1"
        ),
        format!("{another}Referred-By: <{sip}>"),
        format!("{another}Diversion: <tel:+12065550100;ext=200>"),
    ] {
        for dialled in ["+441632960002", "112"] {
            let facts = facts(dialled, &headers);
            let diverted = facts.diversions.last().map(|diversion| diversion.number.as_str());
            let own = match facts.caller.number.as_str() {
                "" => facts.caller.asserted.as_deref(),
                "+441632960001" => diverted,
                number => Some(number),
            };
            assert_eq!(own, Some("+12065550200"), "{headers}");
            assert!(decide(&config, &facts).0.is_ok(), "{headers}");
        }
    }
    // The main number, and an extension that nobody has here.
    for user in [
        "+12065550100",
        "+12065550100;ext=201",
        "+12065550100;ext=",
        "+12065550100;x=ext=200",
    ] {
        let facts = facts("+441632960002", &format!("From: <sip:{user}@x.example>;tag=1"));
        assert_eq!(facts.caller.number, "+12065550100", "{user}");
    }
}

#[test]
fn an_extension_that_is_dialled_reaches_the_number_that_teams_has_so() {
    let numbers = "\n[[numbers]]\nnumber = \"+12065550200\"\nassigned = \"+12065550100;ext=200\"\n";
    let main = "[[numbers]]\nnumber = \"+12065550100\"\n";
    let of = |main: &str, others: &str| {
        let tenants = [
            ("contoso", &*format!("{CONTOSO}{numbers}{main}")),
            (
                "fabrikam",
                &*format!("domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n{others}"),
            ),
        ];
        Config::from_toml_strs(&machine(CARRIERS), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"))
    };
    let called = |config: &Config, user: &str| {
        let text = format!(
            "INVITE sip:{user}@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.2;branch=z9hG4bK7\r\n\
             From: <sip:+441632960001@203.0.113.2>;tag=1\r\nTo: <sip:{user}@192.0.2.10>\r\nCall-ID: c\r\n\
             CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        let invite = Message::parse(text.into_bytes().into()).expect("an INVITE");
        let north = Origin::Carrier(CarrierId::parse("north").expect("an id"));
        let (decision, trace) = decide(config, &Facts::read(north, &invite, CallerHeader::From));
        let passed_over = trace.0.iter().any(|step| step.outcome.ends_with("passed over"));
        let number = decision.map(|decision| match decision.target {
            Target::Teams { number, .. } => number.to_string(),
            other => panic!("{other:?}"),
        });
        (number.map_err(|refusal| refusal.status), passed_over)
    };
    let number = |number: &str| Ok(number.to_owned());
    let shared = of(main, "");
    for (user, expected) in [
        ("+12065550100;ext=200", (number("+12065550200"), false)),
        ("+12065550100;EXT=200", (number("+12065550200"), false)),
        ("+12065550100;ext=201", (number("+12065550100"), true)),
        ("+12065550100", (number("+12065550100"), false)),
    ] {
        assert_eq!(called(&shared, user), expected, "{user}");
    }
    assert_eq!(
        called(&of("", ""), "+12065550100;ext=200"),
        (number("+12065550200"), false)
    );
    assert_eq!(called(&of("", ""), "+12065550100;ext=201"), (Err(404), true));
    // Whose the main number is, whose its extensions are.
    let elsewhere = of("", main);
    assert_eq!(
        called(&elsewhere, "+12065550100;ext=200"),
        (number("+12065550100"), true)
    );
}
