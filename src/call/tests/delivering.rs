//! Where requests go once names are resolved.

use super::peers::{CONTOSO, sbc};
use super::scenario::attempt_to;
use crate::call::delivery::{Guard, hops, target};
use crate::call::leg::next_hop;
use crate::carrier;
use crate::config::Config;
use crate::dial::NextHop;
use crate::sip::locate::Candidate;
use crate::sip::{ConnectionId, Flow, Hop, Transport, Uri};
use std::net::SocketAddr;
use std::sync::Arc;

/// A carrier over TLS beside the usual one.
const SECURE: &str = r#"
[[listeners]]
name = "secure"
purpose = "carrier"
transport = "tls"
bind = "192.0.2.10:5071"
certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]

[[carriers]]
id = "secure"
networks = ["203.0.112.0/24"]
gateways = [{ listener = "secure", host = "gw.secure.example" }]
"#;

fn secure() -> Config {
    let sbc = sbc().replace("{ host", "{ listener = \"udp\", host") + SECURE;
    let contoso = CONTOSO.replace("north", "secure");
    Config::from_toml_strs(&sbc, &[("contoso", &contoso)]).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Where a request to `next` goes when DNS knows one address.
fn only_hop(next: &NextHop, address: SocketAddr) -> Hop {
    let target = target(next).expect("a target");
    let candidate = Candidate::new(Transport::Tls, address, &target.host);
    let hops = hops(next, &[candidate], None).expect("hops");
    hops.into_iter().next().expect("a hop")
}

#[test]
fn requests_inside_a_call_use_the_connection_whose_certificate_was_verified() {
    let config = secure();
    let attempt = attempt_to(&config, "+12065550100");
    let gateway: SocketAddr = "203.0.112.9:5061".parse().expect("an address");
    let invite = only_hop(&attempt.hops[0].next, gateway);
    assert_eq!(invite.server_name.as_deref(), Some("gw.secure.example"));

    let contact = Uri::parse("sip:trunk@203.0.112.9:5061;transport=tls").expect("a URI");
    let bye = only_hop(&next_hop(&contact, &attempt.hops[0].terms), gateway);
    assert_eq!(bye, invite, "an address stands in no certificate");

    let carrier = &config.sbc.carriers[1];
    let flow = Flow {
        transport: Transport::Tls,
        listener: invite.listener,
        local: "192.0.2.10:5071".parse().expect("an address"),
        remote: "203.0.112.9:40000".parse().expect("an address"),
        connection: ConnectionId::NONE,
        peer: None,
    };
    let terms = carrier::terms(&config, carrier, flow.listener, carrier::server_name(carrier, &flow));
    assert_eq!(
        only_hop(&next_hop(&contact, &terms), gateway),
        invite,
        "a call that came in"
    );
}

#[test]
fn a_name_that_an_application_dialled_leads_to_no_address_that_its_tenant_may_not_reach() {
    let config = Arc::new(secure());
    let tenant = config.tenant_by_name("contoso.example").expect("a tenant").clone();
    let guard = Guard::Named { config, tenant };
    let next = NextHop {
        host: "pbx.example".into(),
        port: None,
        transport: Some(Transport::Udp),
        listener: crate::sip::ListenerId(0),
        server_name: None,
        presented: None,
    };
    let found = |addresses: &[&str]| {
        let host = target(&next).expect("a target").host;
        let candidates: Vec<Candidate> = addresses
            .iter()
            .map(|address| Candidate::new(Transport::Udp, address.parse().expect("an address"), &host))
            .collect();
        hops(&next, &candidates, Some(&guard))
    };
    let left = found(&["10.1.2.3:5060", "198.41.0.4:5060", "203.0.113.77:5060"]).expect("two of them");
    let left: Vec<_> = left.iter().map(|hop| hop.remote.to_string()).collect();
    assert_eq!(left, ["198.41.0.4:5060", "203.0.113.77:5060"]);
    let why = found(&["10.1.2.3:5060"]).expect_err("a private network");
    assert!(why.contains("10.1.2.3 is private"), "{why}");
}

#[test]
fn a_carrier_leads_requests_neither_to_us_nor_to_what_only_we_can_reach() {
    let config = Arc::new(secure());
    let next = NextHop {
        host: "contact.example".into(),
        port: None,
        transport: Some(Transport::Udp),
        listener: crate::sip::ListenerId(0),
        server_name: None,
        presented: None,
    };
    let leads = |carrier: &str, heard: &[&str], address: &str| {
        let host = target(&next).expect("a target").host;
        let guard = Guard::Carrier {
            config: config.clone(),
            carrier: carrier.into(),
            heard: heard.iter().map(|heard| heard.parse().expect("an address")).collect(),
        };
        let candidate = Candidate::new(Transport::Udp, address.parse().expect("an address"), &host);
        hops(&next, &[candidate], Some(&guard)).map(|hops| hops.len())
    };
    for far in ["10.1.2.3:5060", "198.41.0.4:5060", "192.0.2.10:5072"] {
        assert_eq!(leads("secure", &[], far), Ok(1), "{far}");
    }
    for near in [
        "127.0.0.9:5060",
        "169.254.169.254:80",
        "0.0.0.0:5060",
        "[::1]:5060",
        "[fe80::1]:5060",
        "[::ffff:127.0.0.1]:5060",
        "[64:ff9b::a9fe:a9fe]:80",
        "192.0.2.10:5071",
    ] {
        assert!(leads("secure", &[], near).is_err(), "{near}");
    }
    assert_eq!(
        leads("secure", &["127.0.0.9"], "127.0.0.9:5070"),
        Ok(1),
        "it lives there"
    );
    assert!(
        leads("secure", &["192.0.2.10"], "192.0.2.10:5071").is_err(),
        "a loop all the same"
    );
}
