//! Golden comparisons over the example configuration: `tests/data/onboarding/drift-*`.
//!
//! `PORTCULLIS_UPDATE=1 cargo test onboarding` writes the reports anew.

use super::*;
use crate::config::Cloud;
use crate::teams::onboarding::tests::{below_another, config, golden};

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

#[test]
fn teams_110_what_is_as_generated_does_not_differ() {
    let found = compared(
        "drift-none",
        CONTOSO,
        &[include_bytes!("../../../../tests/data/onboarding/drift-none.json")],
    );
    assert!(found.is_empty(), "{found:?}");
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
