//! Whole configurations through the front door.

mod folder;
mod golden;
mod published;
mod reloading;

use super::*;

const SBC: &str = r#"
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "0.0.0.0:5061"
certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]

[[listeners]]
name = "north"
purpose = "carrier"
transport = "udp"
bind = "192.0.2.10:5060"

[media]
advertise = "198.51.100.10"

[teams]
base = "sbc1.example.net"

[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "sip.north.example" }]
"#;

const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]

[[numbers]]
range = "+14255550100-+14255550198"

[[numbers]]
number = "+14255550199"
voicemail = true
"#;

fn config(sbc: &str, tenants: &[(&str, &str)]) -> Config {
    Config::from_toml_strs(sbc, tenants).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_smallest_configuration_has_all_defaults() {
    let config = config(SBC, &[]);
    assert_eq!(config.sbc.node.as_str(), "sbc1.example.net");
    assert_eq!(config.sbc.teams.hubs.len(), 3);
    assert_eq!(config.sbc.teams.hubs[0].port, 5061);
    assert_eq!(config.sbc.listeners[0].advertise.to_string(), "sbc1.example.net");
    assert_eq!(config.sbc.carriers[0].gateways[0].listener, config.sbc.listeners[1].id);
}

#[test]
fn a_tenant_is_found_by_host_name_domain_and_number() {
    let config = config(SBC, &[("contoso", CONTOSO)]);
    let tenant = config.tenant_by_host("Contoso.SBC1.example.net").expect("by host");
    assert_eq!(tenant.id.as_str(), "contoso");
    assert!(
        config.tenant_by_host("contoso.example").is_none(),
        "a domain is no trunk name"
    );
    assert!(config.tenant_by_name("CONTOSO.example").is_some());
    let number = |text| {
        E164::parse(text)
            .ok()
            .and_then(|number| config.number(number))
            .map(|(_, entry)| entry.to)
    };
    assert_eq!(number("+14255550150"), Some(Destination::Teams));
    assert_eq!(number("+14255550199"), Some(Destination::TeamsVoicemail));
    assert_eq!(number("+14255550200"), None);
}
