use super::*;
use crate::config::fixture::machine;
use crate::route::{Caller, Refusal, decide};

const CARRIERS: &str = r#"
[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "203.0.113.2" }]
elin = true
numbers = { country_code = "1", bare = "national" }

[[carriers]]
id = "pbx"
networks = ["198.51.100.0/24"]
gateways = [{ host = "198.51.100.2" }]
emergency = true
"#;

const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]
realm = "sip.contoso.example"

[[numbers]]
range = "+14255550100-+14255550199"

[[numbers]]
number = "+14255550142"
to = { carrier = "pbx" }

[[numbers]]
range = "+14255550180-+14255550189"
elin = true
to = { carrier = "pbx" }
"#;

const FABRIKAM: &str = r#"
domains = ["fabrikam.example"]
label = "fabrikam"
carriers = ["north"]

[[numbers]]
number = "+14255550280"
elin = true
"#;

fn config() -> Config {
    let users =
        "[[listeners]]\nname = \"phones\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"192.0.2.10:5070\"\n";
    let tenants = [("contoso", CONTOSO), ("fabrikam", FABRIKAM)];
    let machine = machine(&format!("{users}{CARRIERS}"));
    Config::from_toml_strs(&machine, &tenants).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn number(text: &str) -> E164 {
    E164::parse(text).expect("a number")
}

fn facts(origin: Origin, from: &str, to: &str, elin: ElinFacts) -> Facts {
    Facts {
        origin,
        dialled: to.into(),
        extension: None,
        host: "contoso.sbc1.example.net".into(),
        caller: Caller {
            number: from.into(),
            ..Caller::default()
        },
        colleague: None,
        diversions: Vec::new(),
        vouched: Default::default(),
        elin,
    }
}

/// What an emergency call out of Teams may show, and the steps that say so.
fn fits(elin: ElinFacts) -> (Vec<E164>, Vec<String>) {
    let (decision, trace) = decide(&config(), &facts(Origin::Teams, "+14255550100", "112", elin));
    let decision = decision.expect("an emergency call always goes out");
    let steps = trace.0.into_iter().filter(|step| step.rule == "elin");
    let told = steps
        .map(|step| format!("{}: {}", step.subject, step.outcome))
        .collect();
    match decision.elin {
        Elin::Fitting(fitting) => (fitting, told),
        other => panic!("{other:?}"),
    }
}

fn named(written: &[&str]) -> ElinFacts {
    ElinFacts::Named(written.iter().map(|number| (*number).to_owned()).collect())
}

#[test]
fn elin_has_to_be_the_tenants_whatever_the_record_says() {
    let (fitting, told) = fits(named(&[
        "+14255550180",
        // By the rules of the carrier that it is for, and once.
        "4255550181",
        "14255550181",
        // A user's, another tenant's, a stranger's, nobody's.
        "+14255550100",
        "+14255550280",
        "+19005550100",
        "911",
    ]));
    assert_eq!(fitting, [number("+14255550180"), number("+14255550181")]);
    assert_eq!(told.len(), 6, "{told:#?}");
    assert!(
        told[0].ends_with("an ELIN of tenant 'contoso'")
            && told[2].ends_with("no ELIN of tenant 'contoso': passed over")
    );
}

#[test]
fn elin_that_does_not_fit_costs_nobody_the_call() {
    for (elin, why) in [
        (ElinFacts::None, "no location record names one"),
        (named(&[]), "no location record names one"),
        (named(&["+14255550280"]), "none of the location record is the tenant's"),
        (ElinFacts::Unread("no XML".into()), "no location record names one"),
    ] {
        let (fitting, told) = fits(elin);
        assert_eq!(fitting, []);
        let expected = format!("none: {why}: the caller's own number is shown");
        assert_eq!(told.last(), Some(&expected), "{told:#?}");
    }
    let (_, told) = fits(ElinFacts::Unread("no XML".into()));
    assert_eq!(told[0], "location record: can't be read: no XML");
}

#[test]
fn elin_is_shown_for_who_calls_through_a_carrier_where_the_callers_number_leads_there() {
    for (from, expected) in [
        ("+14255550142", Elin::Fitting(vec![number("+14255550180")])),
        // A Teams user's, another tenant's, nobody's, none.
        ("+14255550100", Elin::Fitting(Vec::new())),
        ("+14255550280", Elin::Fitting(Vec::new())),
        ("+12065550100", Elin::Fitting(Vec::new())),
        ("", Elin::Fitting(Vec::new())),
    ] {
        let pbx = Origin::Carrier(CarrierId::parse("pbx").expect("an id"));
        let (decision, trace) = decide(&config(), &facts(pbx, from, "112", named(&["+14255550180"])));
        let decision = decision.expect("an emergency call always goes out");
        let passed_over = decision.elin == Elin::Fitting(Vec::new());
        assert_eq!(decision.elin, expected, "{from}");
        let told = trace.0.iter().rfind(|step| step.rule == "elin").expect("a step");
        assert_eq!(
            told.outcome.contains("none of the tenant's that leads"),
            passed_over,
            "{told:?}"
        );
    }
}

#[test]
fn elin_is_looked_for_in_records_only_where_a_carrier_wants_one() {
    let body = "<presence><ELIN>+14255550180</ELIN>";
    for (dialled, record, wanted, expected) in [
        ("112", "</presence>", true, named(&["+14255550180"])),
        ("112", "</presence>", false, ElinFacts::None),
        ("112", "", false, ElinFacts::None),
        ("+14255550100", "</presence>", true, ElinFacts::None),
    ] {
        let (body, machine) = (format!("{body}{record}"), machine(CARRIERS));
        let machine = match wanted {
            true => machine,
            false => machine.replace("elin = true\nnumbers", "numbers"),
        };
        let config =
            Config::from_toml_strs(&machine, &[("fabrikam", FABRIKAM)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let text = format!(
            "INVITE sip:{dialled}@contoso.sbc1.example.net SIP/2.0\r\nTO: <sip:112@contoso.sbc1.example.net>\r\nCSEQ: 1 INVITE\r\n\
             CALL-ID: 0a3d\r\nVIA: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7a\r\nFROM: <sip:+14255550100@a.example>;tag=1\r\n\
             CONTENT-TYPE: application/pidf+xml\r\nCONTENT-LENGTH: {}\r\n\r\n{body}",
            body.len()
        );
        let invite = Message::parse(text.into_bytes().into()).expect("an INVITE");
        let known = facts(Origin::Teams, "+14255550100", dialled, ElinFacts::None).with_location(&config, &invite);
        assert_eq!(known.elin, expected, "{dialled} {wanted}");
    }
}

fn called_back(caller: EmergencyCaller, to: &str) -> (Result<Decision, Refusal>, Vec<String>) {
    let north = Origin::Carrier(CarrierId::parse("north").expect("an id"));
    let (decision, trace) = decide(&config(), &facts(north, "4255550911", to, ElinFacts::ShownFor(caller)));
    let steps = trace.0.into_iter().filter(|step| step.rule == "callback");
    (decision, steps.map(|step| step.outcome).collect())
}

#[test]
fn elin_that_stands_for_somebody_leads_there_past_limits() {
    let user = UserName::parse("alice").expect("a name");
    let pbx = CarrierId::parse("pbx").expect("an id");
    let on_pbx = EmergencyCaller::Carrier {
        id: pbx,
        number: number("+14255550142"),
    };
    for (caller, target) in [
        (EmergencyCaller::Teams(number("+14255550100")), "+14255550100"),
        (EmergencyCaller::User(user), "alice@sip.contoso.example"),
        (on_pbx, "+14255550142"),
    ] {
        let (decision, told) = called_back(caller, "4255550180");
        let decision = decision.expect("routed");
        assert_eq!(decision.target_text(), target);
        assert!(
            decision.emergency && !decision.calls_for_help(),
            "one callee, past limits"
        );
        assert_eq!(decision.elin, Elin::CalledBack(number("+14255550180")));
        assert_eq!(decision.caller, Some(number("+14255550911")));
        assert!(
            told.len() == 1 && told[0].ends_with("goes back there, past limits"),
            "{told:?}"
        );
    }
}

#[test]
fn elin_leads_where_its_entry_says_when_nobody_can_be_called() {
    let gone = EmergencyCaller::Carrier {
        id: CarrierId::parse("gone").expect("an id"),
        number: number("+14255550142"),
    };
    let (decision, told) = called_back(gone, "4255550180");
    let decision = decision.expect("routed");
    assert_eq!(
        (decision.emergency, decision.target_text().as_str()),
        (false, "+14255550180")
    );
    assert!(told[0].ends_with("who can't be called any more"), "{told:?}");
    // No number of the tenant's but an ELIN ever leads to a caller, whatever was remembered of it.
    let (decision, told) = called_back(EmergencyCaller::Teams(number("+14255550100")), "4255550101");
    assert_eq!(decision.expect("routed").target_text(), "+14255550101");
    assert_eq!(told, [""; 0]);
}

#[test]
fn elin_of_a_carrier_that_wants_none_is_not_looked_for() {
    let facts = facts(Origin::Teams, "+14255550100", "112", named(&["+14255550180"]));
    let wanted = machine(CARRIERS).replace("elin = true\nnumbers", "numbers");
    let config = Config::from_toml_strs(&wanted, &[("fabrikam", FABRIKAM)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let (decision, trace) = decide(&config, &facts);
    assert_eq!(decision.expect("routed").elin, Elin::None);
    assert!(!trace.0.iter().any(|step| step.rule == "elin"));
}

#[test]
fn elin_callers_are_known_by_their_number_or_name() {
    let config = config();
    let caller = |facts: Facts| {
        let decision = decide(&config, &facts).0.expect("routed");
        EmergencyCaller::of(&facts, &decision)
    };
    let of_teams = |from: &str, asserted: Option<&str>| {
        let mut facts = facts(Origin::Teams, from, "112", ElinFacts::None);
        facts.caller.asserted = asserted.map(str::to_owned);
        caller(facts)
    };
    let ada = Some(EmergencyCaller::Teams(number("+14255550100")));
    assert_eq!(of_teams("+14255550100", None), ada);
    assert_eq!(of_teams("", Some("+14255550100")), ada);
    assert_eq!(of_teams("", None), None);
    let pbx = CarrierId::parse("pbx").expect("an id");
    let on_pbx = facts(Origin::Carrier(pbx.clone()), "+14255550142", "112", ElinFacts::None);
    let number = number("+14255550142");
    assert_eq!(caller(on_pbx), Some(EmergencyCaller::Carrier { id: pbx, number }));
}
