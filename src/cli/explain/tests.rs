//! Golden answers over the example configuration: `tests/data/explain/<case>.txt`, the first line asks, the rest answers.
//!
//! `PORTCULLIS_UPDATE=1 cargo test explain` writes the answers anew.

use super::*;
use crate::config::Config;
use clap::Parser;
use std::fs;
use std::path::Path;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ExplainArgs,
}

fn example() -> Config {
    let sbc = include_str!("../../../config/sbc.toml");
    let contoso = include_str!("../../../config/tenants/contoso.toml");
    Config::from_toml_strs(sbc, &[("contoso", contoso)]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn args(line: &str) -> ExplainArgs {
    let words = line.split(" | ").flat_map(|part| part.splitn(2, ' '));
    Line::parse_from(words).args
}

fn answer(line: &str) -> String {
    let mut out = Vec::new();
    let asked = args(line);
    if let Some(explanation) = Explanation::asked(&asked) {
        failure::text(&explanation, &mut out).expect("a vector takes everything");
        return String::from_utf8(out).expect("text");
    }
    match Question::read(&asked, &example()) {
        Ok(question) => {
            let answer = Answer::find(&example(), question);
            print::text(&answer, &mut out).expect("a vector takes everything");
        }
        Err(error) => out.extend(format!("portcullis: {error}\n").into_bytes()),
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn every_question_gets_exactly_its_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/explain");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("the cases").filter_map(Result::ok) {
        let stored = fs::read_to_string(entry.path()).expect("a case");
        let (line, expected) = stored.split_once("\n\n").unwrap_or((stored.trim_end(), ""));
        let found = answer(line);
        if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
            fs::write(entry.path(), format!("{line}\n\n{found}")).expect("write");
        } else {
            assert_eq!(expected, found, "{}", entry.path().display());
        }
        seen += 1;
    }
    assert!(seen > 8, "{seen} cases in {}", folder.display());
}

#[test]
fn scripts_get_the_same_as_json() {
    let question = args("explain | --from +441632960001 | --to 4255550100");
    let question = Question::read(&question, &example()).expect("a question");
    let mut out = Vec::new();
    print::json(&Answer::find(&example(), question), &mut out).expect("a vector takes everything");
    let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(json["tenant"], "contoso");
    assert_eq!(json["hops"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["hops"][0]["headers"][0][0], "From");
    assert_eq!(json["others"][1]["subject"], "north, south");
}

/// Two tenants, a PBX, a carrier that only calls, one of nobody's, and applications.
fn crowded() -> Config {
    let sbc = include_str!("../../../config/sbc.toml");
    let more = r#"
[[carriers]]
id = "pbx"
networks = ["192.0.2.99/32"]
gateways = [{ host = "192.0.2.99", listener = "carriers-udp" }]

[[carriers]]
id = "inbound"
networks = ["192.0.2.98/32"]

[[carriers]]
id = "west"
networks = ["192.0.2.97/32"]
gateways = [{ host = "192.0.2.97", listener = "carriers-udp" }]
"#;
    let contoso = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north", "inbound", "south"]

[[numbers]]
range = "+14255550100-+14255550199"

[[numbers]]
range = "+14255550110-+14255550119"
to = { carrier = "pbx" }

[[numbers]]
number = "+14255550115"
voicemail = true

[[numbers]]
number = "+14255550190"
to = { application = "reception" }

[application.reception]
hook = "https://app.contoso.example/in"
"#;
    let fabrikam = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n\
                    from_teams = { application = \"out\" }\n[[numbers]]\nnumber = \"+442079460100\"\n\
                    [application.out]\nhook = \"https://app.fabrikam.example/out\"\n";
    let listener = sbc.replacen("[[carriers]]", &format!("{more}\n[[carriers]]"), 1);
    let tenants = [("contoso", contoso), ("fabrikam", fabrikam)];
    Config::from_toml_strs(&listener, &tenants).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// `rule subject: outcome` of each other way.
fn others(line: &str) -> Vec<String> {
    let config = crowded();
    let question = Question::read(&args(line), &config).expect("a question");
    let answer = Answer::find(&config, question);
    assert_eq!(answer.refusal, None, "{line}");
    let words = |step: &crate::route::TraceStep| format!("{} {}: {}", step.rule, step.subject, step.outcome);
    let told = answer
        .others
        .iter()
        .filter(|step| step.rule != "hub" && step.rule != "gateway");
    told.map(words).collect()
}

#[test]
fn what_else_there_is_has_its_reason() {
    let wide = "range +14255550100-+14255550199: holds it too, for the Teams user: ";
    let exact = "the number +14255550115 by itself comes before a range";
    assert_eq!(
        others("explain | --from +12065550100 | --to +14255550115 | --carrier north"),
        [
            format!("{wide}{exact}"),
            format!("range +14255550110-+14255550119: holds it too, for carrier 'pbx': {exact}"),
            "user +14255550115: +14255550115 says `voicemail = true`".to_owned(),
            "carrier inbound, north, south: never: +14255550115 leads to voicemail of the Teams user".to_owned(),
        ]
    );
    assert_eq!(
        others("explain | --from +12065550100 | --to +14255550112 | --carrier north"),
        [
            format!("{wide}+14255550110-+14255550119 is narrower"),
            "teams contoso.sbc1.example.net: +14255550110-+14255550119 leads to carrier 'pbx'".to_owned(),
            "carrier inbound, north, south: never: +14255550110-+14255550119 lives on carrier 'pbx'".to_owned(),
        ]
    );
    assert_eq!(
        others("explain | --from +14255550100 | --to +442079460100 | --tenant contoso"),
        [
            "tenant fabrikam: has +442079460100, but calls of tenant 'contoso' leave by its own carriers",
            "application any: neither the called number nor `from_teams` names one",
            "carrier south: after 'north', when none of its gateways takes the call",
            "carrier pbx, west: never: not in `carriers` of tenant 'contoso'",
            "carrier inbound: never: it has no gateway",
        ]
    );
    assert_eq!(
        others("explain | --from +442079460100 | --to +12065550100 | --tenant fabrikam"),
        ["carrier north: never: application 'out' decides, and may dial them"]
    );
    assert_eq!(
        others("explain | --from +12065550100 | --to +14255550190 | --carrier north"),
        [
            &format!("{wide}the number +14255550190 by itself comes before a range"),
            "teams contoso.sbc1.example.net: +14255550190 leads to application 'reception'",
            "carrier inbound, north, south: never: application 'reception' decides, and may dial them",
        ]
    );
}

#[test]
fn an_application_is_named_with_its_hooks_and_without_its_secrets() {
    let sbc = include_str!("../../../config/sbc.toml");
    let contoso = include_str!("../../../config/tenants/contoso.toml").to_owned()
        + r#"
[[numbers]]
number = "+14255550250"
to = { application = "reception" }

[application.reception]
hook = { url = "https://app.contoso.example/in", method = "GET", username = "sbc", password = "hush" }
call_status_hook = "https://app.contoso.example/status"
fallback = "closed"
webhook_secret = "hush"
env_vars = { QUEUE = "hush", LEVEL = "hush" }

[application.closed]
hook = "https://backup.contoso.example/closed"
"#;
    let config = Config::from_toml_strs(sbc, &[("contoso", &contoso)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let question = args("explain | --carrier north | --from +12065550100 | --to +14255550250");
    let question = Question::read(&question, &config).expect("a question");
    let answer = Answer::find(&config, question);
    let (mut text, mut json) = (Vec::new(), Vec::new());
    print::text(&answer, &mut text).expect("a vector takes everything");
    print::json(&answer, &mut json).expect("a vector takes everything");
    let text = String::from_utf8(text).expect("text");
    for line in [
        "application 'reception' decides",
        "hook: GET https://app.contoso.example/in",
        "when that fails: POST https://backup.contoso.example/closed",
        "call status: POST https://app.contoso.example/status",
        "env_vars: LEVEL, QUEUE",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["asks"]["application"], "reception");
    assert_eq!(json["hops"], serde_json::json!([]));
    assert!(!format!("{text}{json}{config:?}").contains("hush"));
}

#[test]
fn nothing_that_is_typed_breaks_the_invite() {
    for hostile in ["", "\r\nX: y", "<sip:", "sip:@@", "é", "tel:", "\0", "+1 425"] {
        let args = ExplainArgs {
            from: Some(hostile.to_owned()),
            to: Some(hostile.to_owned()),
            sip: None,
            code: None,
            reason: None,
            carrier: None,
            tenant: None,
            headers: vec![format!("X:{hostile}")],
            location: None,
            emergency_caller: None,
            config: PathBuf::new(),
            json: false,
        };
        if let Ok(question) = Question::read(&args, &example()) {
            let answer = Answer::find(&example(), question);
            assert!(answer.refusal.is_some(), "{hostile:?}: {answer:?}");
        }
    }
}

#[test]
fn users_are_callers_and_callees_by_their_address() {
    let sbc = include_str!("../../../config/sbc.toml");
    let listener =
        "\n[[listeners]]\nname = \"users\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"192.0.2.1:5080\"\n";
    let user = |name: &str| format!("[[users]]\nname = \"{name}\"\nha1_md5 = \"00000000000000000000000000000000\"\n");
    let tenant = format!(
        "domains = [\"contoso.example\"]\nlabel = \"contoso\"\nrealm = \"sip.contoso.example\"\ncarriers = [\"north\"]\n{}{}",
        user("alice"),
        user("bob")
    );
    let config = Config::from_toml_strs(&format!("{sbc}{listener}"), &[("contoso", &tenant)]);
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let answer = |line: &str| {
        let question = Question::read(&args(line), &config).expect("a question");
        let mut out = Vec::new();
        print::text(&Answer::find(&config, question), &mut out).expect("a vector takes everything");
        String::from_utf8(out).expect("text")
    };
    let found = answer("explain | --from alice@sip.contoso.example | --to bob");
    assert!(found.starts_with("alice calls bob from user 'alice'\n"), "{found}");
    assert!(
        found.contains("rings every device that bob@sip.contoso.example has registered"),
        "{found}"
    );
    assert!(
        found.contains("carrier  north: never: a colleague is called"),
        "{found}"
    );
    let found = answer("explain | --from sip:alice@sip.contoso.example | --to 911");
    assert!(found.contains("an emergency call of tenant 'contoso'"), "{found}");
    let found = answer("explain | --from alice@sip.contoso.example | --to +441632960001");
    assert!(found.contains("Refused with 403"), "{found}");
}

#[test]
fn teams_is_shown_the_name_of_a_user_without_a_number() {
    let sbc = include_str!("../../../config/sbc.toml");
    let listener =
        "\n[[listeners]]\nname = \"users\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"192.0.2.1:5080\"\n";
    let user = |name: &str| format!("[[users]]\nname = \"{name}\"\nha1_md5 = \"00000000000000000000000000000000\"\n");
    let from = |caller: &str, more: &str, policy: &str| {
        let tenant = format!(
            "domains = [\"contoso.example\"]\nlabel = \"contoso\"\nrealm = \"sip.contoso.example\"\ncarriers = [\"north\"]\n\
             [[numbers]]\nrange = \"+14255550100-+14255550198\"\n{}{}{policy}",
            user("bob"),
            user("4255550")
        );
        let config = Config::from_toml_strs(&format!("{sbc}{listener}"), &[("contoso", &tenant)]);
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let line = format!("explain | --from {caller}@sip.contoso.example | --to +14255550101{more}");
        let answer = Answer::find(&config, Question::read(&args(&line), &config).expect("a question"));
        let step = answer.trace.into_iter().find(|step| step.rule == "caller");
        let header = answer
            .hops
            .into_iter()
            .next()
            .and_then(|hop| hop.headers.into_iter().next());
        (header.map(|(_, from)| from), step.map(|step| step.outcome))
    };
    let told = |from: &str, why: &str| (Some(from.to_owned()), Some(why.to_owned()));
    let nobody = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    assert_eq!(
        from("bob", "", ""),
        told("<sip:bob@contoso.sbc1.example.net>", "has no number: shown by its name")
    );
    assert_eq!(
        from("4255550", "", ""),
        told(nobody, "has no number, and its name would be read as one: Anonymous")
    );
    assert_eq!(
        from("bob", " | --header Privacy: id", ""),
        told(nobody, "asks for privacy: Anonymous")
    );
    assert_eq!(
        from(
            "bob",
            "",
            "[caller]\noutside = \"replace\"\nnumber = \"+14255550100\"\n"
        ),
        told(
            "<sip:+14255550100@contoso.sbc1.example.net;user=phone>",
            "has no number: +14255550100 is shown"
        )
    );
}

#[test]
fn a_failure_is_asked_about_without_a_call_and_a_call_needs_both_sides() {
    let parse = |words: &[&str]| Line::try_parse_from([&["explain"], words].concat()).map(|line| line.args);
    for wrong in [
        &["--from", "+1"][..],
        &["--sip", "403", "--to", "+1"],
        &["--sip", "200"],
        &[],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    let known = parse(&["--sip", "404", "--code", "511404", "--json"]).expect("right");
    let explanation = Explanation::asked(&known).expect("a failure");
    let mut out = Vec::new();
    failure::json(&explanation, &mut out).expect("a vector takes everything");
    let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(
        (&json["class"], &json["certain"]),
        (&"wrong_number".into(), &true.into())
    );
    assert_eq!(json["entries"][0]["code"], 511_404);
    let unknown = parse(&["--code", "999999"]).expect("right");
    assert!(!Explanation::asked(&unknown).expect("a failure").says_something());
}

fn told(words: &[&str]) -> String {
    let line = Line::try_parse_from([&["explain"], words].concat()).expect("right");
    let mut out = Vec::new();
    failure::text(&Explanation::asked(&line.args).expect("a failure"), &mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_q850_cause_is_explained_by_itself_and_before_what_a_status_may_be() {
    let alone = told(&["--reason", "Q.850;cause=34"]);
    for line in [
        "Q.850 cause 34: no circuit or channel available",
        "From Teams to carriers, 486 with it goes on as 486 Busy Here with cause 17: the user is busy",
        "From carriers to Teams, 480 with it goes on as 503 Service Unavailable: the network fails",
    ] {
        assert!(alone.contains(line), "{alone}");
    }
    assert!(!alone.contains("Nothing is known"), "{alone}");
    let busy = told(&["--sip", "486", "--reason", "Q.850;cause=34"]);
    assert!(
        busy.contains("goes on as 486 Busy Here") && !busy.contains("503"),
        "{busy}"
    );
    let place = |text: &str| busy.find(text).unwrap_or_else(|| panic!("{busy}"));
    assert!(
        place("no circuit") < place("the user is busy (486)")
            && place("the user is busy (486)") < place("the bot is busy")
    );
    let unknown = told(&["--reason", "Q.850;cause=125"]);
    assert!(unknown.contains("Nothing is known"), "{unknown}");
}

#[test]
fn a_bare_number_of_six_digits_is_microsofts_code() {
    let by_code = told(&["--sip", "504", "--code", "560403"]);
    assert_eq!(told(&["--sip", "504", "--reason", "560403"]), by_code);
    assert_eq!(
        told(&["--reason", " 560403 "]),
        told(&["--code", "560403"]),
        "without a status"
    );
    assert_eq!(
        told(&["--code", "10037", "--reason", "560403"]),
        told(&["--code", "10037"]),
        "what is asked for counts"
    );
    assert_ne!(
        told(&["--sip", "504", "--reason", "5604031"]),
        by_code,
        "seven are none"
    );
}

#[test]
fn a_status_in_a_reason_is_the_status() {
    let named = told(&["--reason", "SIP;cause=480;text=\"Temporarily Unavailable\""]);
    assert!(named.starts_with("480 Temporarily Unavailable"), "{named}");
    assert!(!named.contains("Nothing is known of it"), "{named}");
    assert_eq!(
        told(&["--reason", "Reason: SIP;cause=480"]),
        told(&["--sip", "480"]),
        "with the header's name or without"
    );
    // What is asked for counts, and a status of another class is none of a failure.
    assert!(told(&["--sip", "403", "--reason", "SIP;cause=480"]).starts_with("403 Forbidden"));
    assert!(
        told(&["--reason", "SIP;cause=200;text=\"Call completed elsewhere\""]).contains("Call completed elsewhere")
    );
}

#[test]
fn every_cause_of_the_map_has_a_name() {
    use crate::teams::{catalogue::cause_name, codes};
    for row in codes::TO_TEAMS.iter().chain(codes::FROM_TEAMS) {
        for cause in row.causes.iter().copied().chain(row.cause) {
            assert!(cause_name(cause).is_some(), "{cause}");
        }
    }
}

#[test]
fn a_status_that_does_not_fit_the_code_is_told_so() {
    let wrong = told(&["--sip", "500", "--code", "500001"]);
    assert!(
        wrong.contains("The status does not fit: 500001 goes with 408"),
        "{wrong}"
    );
    let wrong = told(&["--sip", "500", "--code", "560404"]);
    assert!(
        wrong.contains("The status does not fit: 560404 goes with 404"),
        "{wrong}"
    );
    for right in [
        &["--sip", "408", "--code", "500001"][..],
        &["--code", "500001"],
        &["--sip", "488", "--code", "531000"],
    ] {
        assert!(!told(right).contains("does not fit"), "{right:?}");
    }
}

/// A carrier that is shown ELINs, and a tenant that has some.
fn explained(line: &str) -> String {
    let sbc = include_str!("../../../config/sbc.toml").replacen("id = \"north\"", "id = \"north\"\nelin = true", 1);
    let contoso = include_str!("../../../config/tenants/contoso.toml");
    let contoso = format!("{contoso}\n[[numbers]]\nrange = \"+14255550180-+14255550181\"\nelin = true\n");
    let config = Config::from_toml_strs(&sbc, &[("contoso", &contoso)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut out = Vec::new();
    match Question::read(&args(line), &config) {
        Ok(question) => print::text(&Answer::find(&config, question), &mut out).expect("a vector takes everything"),
        Err(error) => out.extend(error.to_string().into_bytes()),
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn elins_are_previewed_both_ways() {
    let record = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pidf/elin.xml");
    let shown = explained(&format!(
        "explain | --from +14255550100 | --to 911 | --location {record}"
    ));
    for line in [
        "+14255550180: in the location record, an ELIN of tenant 'contoso'",
        "+14255550180: shown as the caller, where it stands for nobody else at that time",
        "From: <sip:+14255550180@",
        "Routed: an emergency call of tenant 'contoso'",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let back = explained(
        "explain | --from +12065550100 | --to +14255550180 | --carrier north | --emergency-caller +14255550100",
    );
    for line in [
        "+14255550180: shown for an emergency call of +14255550100 in Teams: the call goes back there, past limits",
        "Routed: back to an emergency caller of tenant 'contoso'",
        "INVITE sip:+14255550100@",
    ] {
        assert!(back.contains(line), "{line}\n{back}");
    }
    let none =
        explained("explain | --from +12065550100 | --to +14255550100 | --carrier north | --emergency-caller alice");
    assert!(none.contains("+14255550100 is none that they call"), "{none}");
    let none = explained("explain | --from +14255550100 | --to 911 | --location /nowhere/record.xml");
    assert!(none.starts_with("--location /nowhere/record.xml: "), "{none}");
}

#[test]
fn whose_caller_is_nobodys_hears_how_forwards_pass() {
    let sbc = include_str!("../../../config/sbc.toml");
    let tenant = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n";
    let config = Config::from_toml_strs(sbc, &[("fabrikam", tenant)]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let asked = args("explain | --from +12065550111 | --to +441632960001 | --tenant fabrikam.example");
    let question = Question::read(&asked, &config).expect("a question");
    let answer = Answer::find(&config, question);
    assert_eq!(answer.refusal.map(|refusal| refusal.status), Some(403));
    assert!(
        answer.hints[0].contains("-ForwardCallHistory $true"),
        "{:?}",
        answer.hints
    );
}
