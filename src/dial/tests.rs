//! Golden plans: `tests/data/dial_plan/<case>.txt`, the caller in the first line, then the verb, then what is made of it.
//!
//! `PORTCULLIS_UPDATE=1 cargo test dial::tests` writes the plans anew.

use super::targets::FirstLeg;
use super::*;
use crate::app::verb::{Dial, Verb, parse_application};
use crate::config::{Config, E164, Tenant, UserName};
use crate::registrar::Aor;
use crate::route::{Caller, Claimed};
use crate::sip::locate::Host;
use crate::sip::message::HeaderName;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const SBC: &str = r#"
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "0.0.0.0:5061"
certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]

[[listeners]]
name = "udp"
purpose = "carrier"
transport = "udp"
bind = "192.0.2.10:5060"

[[listeners]]
name = "secure"
purpose = "carrier"
transport = "tls"
bind = "192.0.2.10:5071"
certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]

[[listeners]]
name = "phones"
purpose = "users"
transport = "udp"
bind = "192.0.2.10:5080"

[media]
advertise = "198.51.100.10"

[teams]
base = "sbc1.example.net"
further_bases = ["sbc1.example.org"]
hubs = ["sip.hub.example"]

[emergency]
numbers = ["112"]
carriers = ["south"]

[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "203.0.113.2", listener = "udp" }, { host = "203.0.113.3", listener = "udp" }]

[[carriers]]
id = "south"
networks = ["203.0.112.0/24"]
gateways = [{ host = "203.0.112.2", listener = "udp" }]
numbers = { format = "digits" }
"#;

const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
realm = "sip.contoso.example"
allow_sip_networks = ["203.0.113.64/26"]
carriers = ["north", "south"]

[[users]]
name = "ada"
ha1_sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

[[numbers]]
range = "+14255550100-+14255550198"
[[numbers]]
number = "+14255550199"
to = { application = "reception" }

[application.reception]
hook = "https://app.contoso.example/incoming"
"#;

const FABRIKAM: &str = r#"
domains = ["fabrikam.example"]
label = "fabrikam"
carriers = ["south"]

[[numbers]]
number = "+442079460100"
"#;

/// The verb, or why its reader refuses it before anything is planned.
fn dial(verb: &str) -> Result<Box<Dial>, String> {
    let verbs = parse_application(verb.as_bytes()).map_err(|error| error.to_string())?;
    match verbs.into_iter().next() {
        Some(Verb::Dial(dial)) => Ok(dial),
        other => panic!("no dial: {other:?}"),
    }
}

/// `+12065550100`, `12065550100 read as +12065550100`, `anonymous`, `anonymous +12065550100`, `+12065550100 in From +12065550101` where one is asserted and the other is
/// not, `user ada`, or `nobody`; where nobody called, `nobody as` +14255550100, anonymous or anonymous +14255550100, for whom the dial is made.
fn caller(line: &str) -> Caller {
    if let Some(stands_for) = line.strip_prefix("nobody as ") {
        let hidden = stands_for.strip_prefix("anonymous");
        return Caller {
            number: hidden.unwrap_or(stands_for).trim_start().to_owned(),
            private: hidden.is_some(),
            ..Caller::default()
        };
    }
    let line = line.split_once(" read as ").map_or(line, |(_, read)| read);
    let (private, number) = match line.strip_prefix("anonymous") {
        Some(number) => (true, number.trim_start()),
        None => (false, line),
    };
    let (number, claimed) = match number.split_once(" in From ") {
        Some((number, claimed)) => (number, Some(claimed.trim().to_owned())),
        None => (number, None),
    };
    let shown = Caller {
        display: Some("Grace".into()),
        private,
        ..Caller::default()
    };
    match number {
        "nobody" => Caller::default(),
        "" => shown,
        number if number.starts_with("user ") => shown,
        number => Caller {
            number: number.to_owned(),
            asserted: Some(number.to_owned()),
            claimed: claimed.map(|number| Claimed {
                number,
                display: shown.display.clone(),
            }),
            ..shown
        },
    }
}

/// What the application is told as `from` in such a line.
fn told(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["nobody"] => "",
        ["nobody", "as", .., told] => told,
        ["anonymous", "user", name, ..] | ["user", name, ..] | ["anonymous", name] => name,
        [first, ..] => first,
        [] => "",
    }
    .to_owned()
}

/// The user in such a line.
fn user(line: &str) -> Option<UserName> {
    let (_, rest) = line.split_once("user ")?;
    UserName::parse(rest.split(' ').next()?).ok()
}

/// The number that the tenant shows in the caller's place, in such a line.
fn instead(line: &str) -> Option<E164> {
    E164::parse(line.split_once(" shown as ")?.1).ok()
}

fn answer(config: &Config, case: &str) -> String {
    let (line, verb) = case.split_once('\n').expect("a caller and a verb");
    let told = told(line);
    let (caller, user) = (caller(line), user(line));
    let dial = match dial(verb) {
        Ok(dial) => dial,
        Err(unread) => return format!("not read: {unread}\n"),
    };
    let tenant = config.tenant_by_name("contoso.example").expect("the account");
    let nobody = |_: &Aor| Vec::new();
    let facts = targets::DialFacts {
        config,
        tenant,
        first: match line.starts_with("nobody") {
            true => FirstLeg::IsCalled,
            false => FirstLeg::Calls,
        },
        caller: &caller,
        told_from: &told,
        colleague: user.as_ref(),
        shown_instead: instead(line),
        diversions: &[],
        devices: &nobody,
    };
    let (plan, trace) = targets::plan(facts, &dial, &|_| false);
    let mut out = String::new();
    for step in &trace.0 {
        writeln!(out, "{} {}: {}", step.rule, step.subject, step.outcome).expect("a text");
    }
    match plan {
        Err(refusal) => writeln!(out, "\nrefused: {refusal}").expect("a text"),
        Ok(plan) => {
            writeln!(out, "\nrings for {:?}", plan.ringing).expect("a text");
            plan.attempts
                .iter()
                .for_each(|attempt| write_attempt(attempt, &mut out));
        }
    }
    out
}

fn write_attempt(attempt: &Attempt, out: &mut String) {
    let name = attempt.target.as_ref().map(ToString::to_string).unwrap_or_default();
    write!(out, "\n{name}").expect("a text");
    if attempt.emergency {
        out.push_str(", an emergency call");
    }
    if let Some(limit) = attempt.ringing {
        write!(out, ", for {limit:?}").expect("a text");
    }
    if let Some(confirm) = &attempt.confirm {
        write!(out, ", screened by {}", confirm.url).expect("a text");
    }
    out.push('\n');
    if let Some(failure) = &attempt.failed {
        writeln!(
            out,
            "  fails: {} {} ({})",
            failure.status,
            failure.phrase,
            failure.explain()
        )
        .expect("a text");
    }
    for hop in &attempt.hops {
        let next = &hop.next;
        let port = next.port.map(|port| format!(":{port}")).unwrap_or_default();
        let transport = next.transport.map(|transport| transport.uri_name()).unwrap_or_default();
        writeln!(out, "  {} at {}{port} by {transport}", hop.peer, next.host).expect("a text");
        writeln!(out, "    INVITE {}", hop.request_uri).expect("a text");
        writeln!(out, "    From: {}\n    To: {}", hop.from, hop.to).expect("a text");
        let named = hop
            .headers
            .iter()
            .map(|(name, value): &(HeaderName, String)| (name.as_str(), value));
        let extra = hop.extra_headers.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in named.chain(extra) {
            writeln!(out, "    {name}: {value}").expect("a text");
        }
        writeln!(out, "    media: {:?}", hop.terms.media.security).expect("a text");
        if let Some(credentials) = &hop.terms.credentials {
            writeln!(out, "    answers a challenge as {}", credentials.username).expect("a text");
        }
    }
}

#[test]
fn every_dial_gets_exactly_its_plan() {
    let config = Config::from_toml_strs(SBC, &[("contoso", CONTOSO), ("fabrikam", FABRIKAM)])
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dial_plan");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("the cases").filter_map(Result::ok) {
        let stored = fs::read_to_string(entry.path()).expect("a case");
        let (case, expected) = stored.split_once("\n\n").unwrap_or((stored.trim_end(), ""));
        let found = answer(&config, case);
        assert!(!found.contains("hush"), "a password is shown: {found}");
        if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
            fs::write(entry.path(), format!("{case}\n\n{found}")).expect("write");
        } else {
            assert_eq!(expected, found, "{}", entry.path().display());
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen} cases in {}", folder.display());
}

#[test]
fn only_teams_is_not_told_that_info_is_taken() {
    let config = Config::from_toml_strs(SBC, &[("contoso", CONTOSO), ("fabrikam", FABRIKAM)])
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let verb = r#"[{ "verb": "dial", "target": [
        { "type": "phone", "number": "+12065550101" }, { "type": "teams", "number": "+14255550100" },
        { "type": "sip", "sipUri": "sip:ada@pbx.example" } ] }]"#;
    let (caller, told) = (caller("+12065550100"), String::new());
    let facts = targets::DialFacts {
        config: &config,
        tenant: config.tenant_by_name("contoso.example").expect("the account"),
        first: FirstLeg::Calls,
        caller: &caller,
        told_from: &told,
        colleague: None,
        shown_instead: None,
        diversions: &[],
        devices: &|_: &Aor| Vec::new(),
    };
    let dial = dial(verb).expect("a dial");
    let plan = targets::plan(facts, &dial, &|_| false).0.expect("a plan");
    let refers: Vec<bool> = plan
        .attempts
        .iter()
        .map(|attempt| attempt.hops[0].terms.allow.contains("INFO, NOTIFY, REFER"))
        .collect();
    assert_eq!(refers, [true, false, true]);
    assert_eq!(
        &*plan.attempts[1].hops[0].terms.allow,
        "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER"
    );
}

#[test]
fn servers_of_sip_targets_are_public_or_in_the_tenants_networks() {
    let config = Config::from_toml_strs(SBC, &[("contoso", CONTOSO), ("fabrikam", FABRIKAM)])
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let tenant = |name: &str| config.tenant_by_name(name).expect("a tenant");
    let (contoso, fabrikam) = (tenant("contoso.example"), tenant("fabrikam.example"));
    let reach = |tenant: &Tenant, address: &str| {
        let host = Host::parse(address).expect("an address");
        may_reach(&config, tenant, &host, 5060).is_ok()
    };
    for address in ["198.41.0.4", "2606:4700::1111", "64:ff9b::808:808"] {
        assert!(reach(contoso, address) && reach(fabrikam, address), "{address}");
    }
    assert!(reach(contoso, "203.0.113.77"));
    assert!(!reach(fabrikam, "203.0.113.77"), "another tenant's network");
    for address in [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fd00::1",
        "::ffff:10.1.2.3",
        "64:ff9b::a01:203",
        "2002:a01:203::1",
        "127.0.0.1",
        "169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::c000:20a",
        "0.0.0.0",
        "224.0.0.1",
    ] {
        assert!(!reach(contoso, address) && !reach(fabrikam, address), "{address}");
    }
}
