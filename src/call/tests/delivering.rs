//! Where requests go once names are resolved.

use super::peers::{CONTOSO, SBC};
use super::scenario::attempt_to;
use crate::call::delivery::{hops, target};
use crate::call::leg::next_hop;
use crate::carrier;
use crate::config::Config;
use crate::dial::NextHop;
use crate::sip::locate::Candidate;
use crate::sip::{ConnectionId, Flow, Hop, Transport, Uri};
use std::net::SocketAddr;

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
    let sbc = SBC.replace("{ host", "{ listener = \"udp\", host") + SECURE;
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
