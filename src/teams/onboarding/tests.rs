//! Golden texts over the example configuration: `tests/data/onboarding/`.
//!
//! `PORTCULLIS_UPDATE=1 cargo test onboarding` writes them anew.

use super::*;
use crate::config::{Cloud, Config};
use std::path::Path;

const SBC: &str = include_str!("../../../config/sbc.toml");

pub(super) fn config(tenant: &str) -> Config {
    Config::from_toml_strs(SBC, &[("contoso", tenant)]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// `tenant` below a further carrier trunk, sbc2.example.org, in a cloud.
pub(super) fn below_another(tenant: &str, cloud: Cloud) -> Config {
    const BASE: &str = "base = \"sbc1.example.net\" ";
    assert!(SBC.contains(BASE));
    let more = format!(
        "further_bases = [\"sbc2.example.org\"]\ncloud = \"{}\"\n{BASE}",
        cloud.name()
    );
    let tenant = tenant.replace("label =", "base = \"sbc2.example.org\"\nlabel =");
    let config = Config::from_toml_strs(&SBC.replace(BASE, &more), &[("contoso", &tenant)]);
    config.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

pub(super) fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/onboarding")
        .join(name);
    if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
        std::fs::write(&path, found).expect("write");
    }
    let stored = std::fs::read_to_string(&path).expect("a golden file");
    assert_eq!(stored, found, "{}", path.display());
}

fn both(name: &str, tenant: &str) {
    written(name, &config(tenant));
}

fn written(name: &str, config: &Config) {
    let [tenant] = &*config.tenants else {
        panic!("one tenant")
    };
    golden(&format!("{name}.ps1"), &powershell(config, tenant));
    golden(&format!("{name}.zone"), &zone(&records(config, tenant)));
}

#[test]
fn a_derived_trunk_is_paired_with_the_carrier_and_routed_by_the_customer() {
    both("derived", include_str!("../../../config/tenants/contoso.toml"));
}

#[test]
fn a_trunk_of_its_own_is_paired_by_the_customer() {
    let tenant = r#"
fqdn = "sbc.contoso.example"
bypass = true
domains = ["contoso.example"]
carriers = ["north"]
[limits]
calls = 40
[[numbers]]
range = "+14255550100-+14255550102"
to = "teams"
[[numbers]]
range = "+14255551000-+14255551999"
to = "teams"
[[numbers]]
number = "+14255550199"
to = { carrier = "north" }
"#;
    both("own", tenant);
}

/// A trunk that needs each setting, beside a name of its own and one below the base. The base has another limit, and one more
/// tenant, that has other wishes.
pub(super) fn settings() -> Config {
    let tenant = r#"
fqdn = "sbc.contoso.example"
aliases = ["old.contoso.example", "contoso.sbc1.example.net"]
bypass = true
local_media = "inside"
domains = ["contoso.example"]
carriers = ["north"]
[caller]
forward_pai = true
[limits]
calls = 40
[[numbers]]
number = "+12065550123"
assigned = "+12065550100;ext=1234"
[[numbers]]
range = "+14255550100-+14255550102"
[[numbers]]
number = "+14255550101"
to = { carrier = "north" }
"#;
    let other = "label = \"adatum\"\ndomains = [\"adatum.example\"]\ncarriers = [\"south\"]\n";
    let machine = changed(&[
        ("# addresses = [{", "addresses = [{"),
        ("id = \"north\" ", "pass_location = true\nid = \"north\" "),
    ]);
    let config = Config::from_toml_strs(&machine, &[("contoso", tenant), ("adatum", other)]);
    config.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The example's machine with an IPv6 address toward Teams.
pub(super) fn over_ipv6() -> Config {
    let machine = changed(&[
        ("bind = \"0.0.0.0:5061\"", "bind = \"[::]:5061\""),
        (
            "# bind = \"0.0.0.0\"\nadvertise = \"198.51.100.10\"",
            "bind = \"::\"\nadvertise = \"2001:db8::10\"",
        ),
    ]);
    let config = Config::from_toml_strs(&machine, &[("contoso", BRIEF)]);
    config.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(SBC.to_owned(), |machine, (old, new)| {
        assert!(machine.contains(old), "{old}");
        machine.replace(old, new)
    })
}

fn contoso(config: &Config) -> &crate::config::Tenant {
    config.tenant_by_name("contoso.example").expect("a tenant")
}

#[test]
fn teams_110_each_setting_of_a_trunk_is_in_the_script_and_further_names_are_paired_and_proven() {
    let config = settings();
    let script = powershell(&config, contoso(&config));
    for parameter in [
        "-ForwardPai $true",
        "-PidfLoSupported $true",
        "-BypassMode 'Always'",
        "-GatewaySiteId $site",
    ] {
        assert!(script.contains(parameter), "{parameter}");
    }
    golden("settings.ps1", &script);
    golden("settings.zone", &zone(&records(&config, contoso(&config))));
}

#[test]
fn teams_020_a_trunk_over_ipv6_is_paired_as_such() {
    written("ipv6", &over_ipv6());
    let config = over_ipv6();
    assert!(powershell(&config, contoso(&config)).contains("-IPAddressVersion IPv6"));
}

/// Signalling that has another public address than media.
#[test]
fn names_lead_to_where_signaling_is() {
    let machine = changed(&[("bind = \"0.0.0.0:5061\"", "bind = \"198.51.100.7:5061\"")]);
    let config =
        Config::from_toml_strs(&machine, &[("contoso", BRIEF)]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let found = records(&config, contoso(&config));
    let addresses: Vec<_> = found
        .iter()
        .filter(|record| record.kind == RecordKind::A)
        .map(|record| record.value.as_deref())
        .collect();
    assert_eq!(addresses, [Some("198.51.100.7"); 2]);
    // Nothing says which outer address of the two leads there.
    let machine = changed(&[
        ("bind = \"0.0.0.0:5061\"", "bind = \"10.0.0.4:5061\""),
        ("bind = \"0.0.0.0:5060\"", "bind = \"10.0.0.5:5060\""),
        ("# bind = \"0.0.0.0\"\n", "bind = \"10.0.0.5\"\n"),
    ]);
    let config =
        Config::from_toml_strs(&machine, &[("contoso", BRIEF)]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    golden("nat.zone", &zone(&records(&config, contoso(&config))));
}

const BRIEF: &str = "label = \"contoso\"\ndomains = [\"contoso.example\"]\ncarriers = [\"north\"]\n";

#[test]
fn a_trunk_below_a_further_base_is_paired_with_that() {
    written("further", &below_another(BRIEF, Cloud::Commercial));
}

/// Without the environment the module signs in to the commercial cloud.
#[test]
fn the_commands_sign_in_to_the_cloud_of_the_configuration() {
    for (cloud, environment) in [(Cloud::GccHigh, "TeamsGCCH"), (Cloud::Dod, "TeamsDOD")] {
        let config = below_another(BRIEF, cloud);
        let script = powershell(&config, &config.tenants[0]);
        let connects = script.lines().filter(|line| line.starts_with("Connect-"));
        let wanted = format!("Connect-MicrosoftTeams -TeamsEnvironmentName {environment}");
        assert_eq!(connects.collect::<Vec<_>>(), [wanted.as_str(); 2]);
    }
}
