//! Golden comparisons over the example configuration: `tests/data/onboarding/drift-*`.
//!
//! `PORTCULLIS_UPDATE=1 cargo test onboarding` writes the reports anew.

mod obeyed;

use super::*;
use crate::config::Cloud;
use crate::teams::onboarding::powershell;
use crate::teams::onboarding::tests::{below_another, config, golden, over_ipv6, settings};

const CONTOSO: &str = include_str!("../../../../config/tenants/contoso.toml");

/// A trunk that stands alone: one number of its own, one of a PBX, one of an application.
const OWN: &str = r#"
fqdn = "sbc.contoso.example"
domains = ["contoso.example"]
carriers = ["north"]
[limits]
calls = 40
[application.reception]
hook = { url = "https://app.contoso.example/incoming", method = "POST" }
[[numbers]]
range = "+14255550100-+14255550109"
to = "teams"
[[numbers]]
number = "+14255550105"
to = { carrier = "north" }
[[numbers]]
number = "+14255550106"
to = { application = "reception" }
"#;

fn compared(name: &str, tenant: &str, outputs: &[&[u8]]) -> Vec<Difference> {
    compared_with(name, &config(tenant), outputs)
}

fn compared_with(name: &str, config: &Config, outputs: &[&[u8]]) -> Vec<Difference> {
    let [tenant] = &*config.tenants else {
        panic!("one tenant")
    };
    let export = outputs.iter().fold(Export::default(), |all, output| {
        all.and(read(&decode(output).expect("text")).expect("an output"))
    });
    let found = compare(config, tenant, &export);
    golden(
        &format!("{name}.report"),
        &report(&found, Compared::of(config, tenant, &export)),
    );
    found
}

#[test]
fn teams_110_a_carriers_trunk_and_a_customers_routes_are_compared() {
    let found = compared(
        "drift-derived",
        CONTOSO,
        &[
            include_bytes!("../../../../tests/data/onboarding/drift-derived-gateways.txt"),
            include_bytes!("../../../../tests/data/onboarding/drift-derived-routes.txt"),
            include_bytes!("../../../../tests/data/onboarding/drift-derived-users.json"),
        ],
    );
    assert_eq!(found.first().map(|first| first.weight), Some(Weight::Breaks));
}

#[test]
fn teams_110_a_trunk_of_its_own_is_compared() {
    compared(
        "drift-own",
        OWN,
        &[include_bytes!("../../../../tests/data/onboarding/drift-own.json")],
    );
}

/// What the script makes of a Microsoft tenant that has nothing of it yet, as the Get commands print it.
#[test]
fn teams_110_what_is_as_generated_does_not_differ() {
    for config in [config(CONTOSO), config(OWN), settings(), over_ipv6()] {
        let tenant = config.tenant_by_name("contoso.example").expect("a tenant");
        let script = powershell(&config, tenant);
        let export = read(&obeyed::obey(&script).to_string()).expect("an output");
        let found = compare(&config, tenant, &export);
        assert!(found.is_empty(), "{script}\n{found:#?}");
        let compared = Compared::of(&config, tenant, &export);
        assert!(compared.gateways > 0 && compared.routes == 1 && compared.trunk_absent.is_none());
    }
}

/// A trunk whose settings are the defaults of Microsoft, a name of its own that nobody has paired, one below the base that was, and
/// routes with names that can't be ours.
#[test]
fn teams_110_settings_that_the_configuration_depends_on_are_compared() {
    let config = settings();
    let tenant = config.tenant_by_name("contoso.example").expect("a tenant");
    let export = read(include_str!("../../../../tests/data/onboarding/drift-settings.json")).expect("an output");
    let found = compare(&config, tenant, &export);
    golden(
        "drift-settings.report",
        &report(&found, Compared::of(&config, tenant, &export)),
    );
    for property in ["ForwardPai", "PidfLoSupported", "BypassMode", "GatewaySiteId"] {
        let of_it: Vec<_> = found.iter().filter(|one| one.what.starts_with(property)).collect();
        assert!(
            matches!(&of_it[..], [one] if one.weight == Weight::Breaks),
            "{property}: {found:?}"
        );
    }
    let config = over_ipv6();
    let gateway =
        r#"[{"Fqdn":"sbc1.example.net","SipSignalingPort":5061,"IPAddressVersion":"IPv4","ForwardPai":true}]"#;
    let found = compare(&config, &config.tenants[0], &read(gateway).expect("an output"));
    let what: Vec<&str> = found
        .iter()
        .map(|one| one.what.split(':').next().expect("a word"))
        .collect();
    assert_eq!(what, ["IPAddressVersion", "ForwardPai"]);
}

/// A busy callee is busy behind every trunk.
#[test]
fn teams_110_failover_after_what_whoever_is_called_says_is_noted() {
    let config = over_ipv6();
    let about = |codes: &str| -> Vec<(Weight, String)> {
        let gateway =
            format!(r#"[{{"Fqdn":"sbc1.example.net","SipSignalingPort":5061,"FailoverResponseCodes":"{codes}"}}]"#);
        let found = compare(&config, &config.tenants[0], &read(&gateway).expect("an output"));
        let of_it = found
            .into_iter()
            .filter(|one| one.what.starts_with("FailoverResponseCodes"));
        of_it.map(|one| (one.weight, one.here)).collect()
    };
    let defaults = "408,503,504".to_owned();
    assert_eq!(about(&defaults), []);
    assert_eq!(about("408,500,503,504"), []);
    assert_eq!(about("408,486,503,504,603"), [(Weight::Note, defaults.clone())]);
    assert_eq!(
        about("408,486,503"),
        [(Weight::Breaks, "408,486,503,504".to_owned()), (Weight::Note, defaults)]
    );
}

/// What is right for the others below a carrier's trunk is not taken from them.
#[test]
fn a_setting_that_another_tenant_needs_is_mended_in_the_configuration() {
    let config = settings();
    let adatum = config.tenant_by_name("adatum.example").expect("a tenant");
    let gateway = r#"[{"Fqdn":"sbc1.example.net","SipSignalingPort":5061,"ForwardPai":true}]"#;
    let found = compare(&config, adatum, &read(gateway).expect("an output"));
    let [
        Difference {
            fix: Fix::Config { file, lines },
            ..
        },
    ] = &found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(
        (file.as_str(), lines.as_str()),
        ("tenants/adatum.toml", "[caller]\nforward_pai = true")
    );
}

/// Users that share a number, one of them without an extension; one whose extension nothing here leads to, one whose number is
/// called by another form, and one of another tenant.
#[test]
fn teams_040_numbers_with_extensions_are_compared_as_a_whole() {
    const EXTENSIONS: &str = r#"
label = "contoso"
domains = ["contoso.example"]
carriers = ["north"]
[[numbers]]
number = "+12065550100"
[[numbers]]
number = "+12065550123"
assigned = "+12065550100;ext=1234"
[[numbers]]
number = "+12065550124"
assigned = "+12065550100;ext=1235"
[[numbers]]
number = "+12065550125"
assigned = "+12065550100;ext=1236"
"#;
    let found = compared(
        "drift-extensions",
        EXTENSIONS,
        &[include_bytes!(
            "../../../../tests/data/onboarding/drift-extensions.json"
        )],
    );
    let of = |form: &str| {
        let of_it = found.iter().filter(|one| one.subject == format!("number {form}"));
        of_it.map(|one| one.weight).collect::<Vec<_>>()
    };
    for assigned in ["+12065550100", "+12065550100;ext=1234", "+12065550100;ext=1235"] {
        assert_eq!(of(assigned), [], "{assigned}: {found:?}");
    }
    assert_eq!(of("+12065550100;ext=1299"), [Weight::Note]);
    assert_eq!(of("+12065550125"), [Weight::Breaks]);
    assert_eq!(of("+12065550100;ext=1236"), [Weight::Note]);
    assert_eq!(of("+12065559999;ext=1"), [Weight::Breaks]);
}

#[test]
fn numbers_may_be_those_of_another_sbc_that_there_is() {
    let number =
        r#"{"TelephoneNumber":"+12065559999","NumberType":"DirectRouting","PstnAssignmentStatus":"UserAssigned"}"#;
    let route = r#"{"Identity":"a","OnlinePstnUsages":["a"],"OnlinePstnGatewayList":["contoso.sbc1.example.net","sbc.other.example"]}"#;
    let config = config(CONTOSO);
    let weight = |text: &str| {
        let found = compare(&config, &config.tenants[0], &read(text).expect("an output"));
        let mut of_it = found.into_iter().filter(|one| one.subject == "number +12065559999");
        of_it
            .next()
            .map(|one| (one.weight, one.what.contains("sbc.other.example")))
    };
    assert_eq!(weight(number), Some((Weight::Breaks, false)));
    assert_eq!(weight(&format!("{route}{number}")), Some((Weight::Note, true)));
    let gateway = r#"{"Fqdn":"sbc.other.example","SipSignalingPort":5061}"#;
    assert_eq!(weight(&format!("{gateway}{number}")), Some((Weight::Note, true)));
}

/// What is below a further carrier trunk is compared with that one, and routes that name the node's other trunk are wrong.
#[test]
fn teams_110_a_trunk_below_a_further_base_is_compared_with_that() {
    let gateways =
        br#"[{"Identity":"sbc1.example.net","Fqdn":"sbc1.example.net","SipSignalingPort":5071,"Enabled":true},
        {"Identity":"sbc2.example.org","Fqdn":"sbc2.example.org","SipSignalingPort":5061,"Enabled":false},
        {"Identity":"contoso.sbc2.example.org","Fqdn":"contoso.sbc2.example.org","SipSignalingPort":5061,"Enabled":true}]"#;
    let routes = br#"[{"Identity":"one","NumberPattern":".*","OnlinePstnUsages":["a"],
        "OnlinePstnGatewayList":["sbc1.example.net","SBC2.example.org","contoso.sbc1.example.net","contoso.sbc2.example.org"]}]"#;
    let config = below_another(CONTOSO, Cloud::Commercial);
    let found = compared_with("drift-further", &config, &[gateways, routes]);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found.iter().all(|one| one.weight == Weight::Breaks), "{found:?}");
}

/// The customer's own export: gateways of somebody else, and users without what their numbers are.
#[test]
fn teams_110_what_was_not_told_is_not_claimed() {
    let gateways =
        br#"[{"Identity":"sbc.other.example","Fqdn":"sbc.other.example","SipSignalingPort":5061,"Enabled":true}]"#;
    let users =
        br#"[{"UserPrincipalName":"ann@contoso.example","LineUri":"tel:+15550100200","EnterpriseVoiceEnabled":true},
        {"UserPrincipalName":"bo@contoso.example","LineUri":"tel:+15550100201","EnterpriseVoiceEnabled":true}]"#;
    let found = compared("drift-not-told", CONTOSO, &[gateways, users]);
    let of_users: Vec<&Difference> = found
        .iter()
        .filter(|one| one.subject.contains("+15550100200"))
        .collect();
    let [one] = &of_users[..] else { panic!("{found:?}") };
    assert_eq!(one.weight, Weight::Note);
    assert!(matches!(&one.fix, Fix::Powershell(command) if command.starts_with("Get-CsPhoneNumberAssignment")));
}

/// UTF-16 with its mark and CR LF, as `>` of Windows PowerShell writes it.
#[test]
fn a_redirected_output_is_read_like_any_other() {
    let text = include_str!("../../../../tests/data/onboarding/drift-derived-routes.txt").replace('\n', "\r\n");
    let bytes: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    assert_eq!(
        read(&decode(&bytes).unwrap()),
        read(include_str!(
            "../../../../tests/data/onboarding/drift-derived-routes.txt"
        ))
    );
}

/// The command that makes the route names all trunks of the tenant: it would fail when it ran again.
#[test]
fn a_command_that_mends_several_differences_is_told_once() {
    let config = settings();
    let tenant = config.tenant_by_name("contoso.example").expect("a tenant");
    let route = r#"[{ "Identity": "Elsewhere", "NumberPattern": ".*", "OnlinePstnUsages": ["World"],
        "OnlinePstnGatewayList": ["sbc.elsewhere.example"] }]"#;
    let export = read(&decode(route.as_bytes()).expect("text")).expect("an output");
    let found = compare(&config, tenant, &export);
    let trunks = tenant.trunks().count();
    assert!(trunks > 1 && found.len() >= trunks, "{found:?}");
    let text = report(&found, Compared::of(&config, tenant, &export));
    assert_eq!(text.matches("New-CsOnlineVoiceRoute").count(), 1, "{text}");
    assert_eq!(text.matches("the same command mends it").count(), trunks - 1, "{text}");
}
