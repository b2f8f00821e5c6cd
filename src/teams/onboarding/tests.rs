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
