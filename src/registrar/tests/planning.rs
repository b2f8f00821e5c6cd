//! How a user's devices are rung.

use super::*;
use crate::config::{Tenant, UserName};
use crate::dial::{Attempt, LegKind};
use crate::route::Caller;
use crate::sdp::Security;
use std::sync::Arc;

fn plan_for(config: &Config, registrar: &Registrar, caller: &Caller, colleague: Option<&UserName>) -> Vec<Attempt> {
    let tenant: &Arc<Tenant> = &config.tenants[0];
    let name = UserName::parse("alice").expect("a name");
    let call = UserCall {
        config,
        tenant,
        name: &name,
        caller,
        number: None,
        colleague,
        override_to: None,
    };
    plan(call, &registrar.bindings(&Aor::new("alice", REALM), at(10)))
}

fn somebody() -> Caller {
    Caller {
        number: "+441632960001".into(),
        display: Some("Ada \"J\"".into()),
        ..Caller::default()
    }
}

#[test]
fn every_device_is_an_attempt_and_the_flows_of_one_are_its_hops() {
    let (registrar, config) = (registrar(), config());
    Phone::alice().register(
        &registrar,
        &config,
        "Contact: <sip:alice@10.0.0.9:5060;ob>;q=0.2\r\n",
        10,
    );
    for (port, connection, reg_id) in [(50000, 5, 1), (50001, 6, 2)] {
        let mut phone = Phone::new("alice", "wonderland", tcp(&format!("203.0.113.8:{port}"), connection));
        let contact = format!(
            "Contact: <sip:alice@10.0.0.4:5060;transport=tcp>;+sip.instance=\"<urn:uuid:1>\";reg-id={reg_id};expires={}\r\n\
             Supported: outbound\r\n",
            600 + reg_id
        );
        assert_eq!(phone.register(&registrar, &config, &contact, 10).status(), 200);
    }
    let attempts = plan_for(&config, &registrar, &somebody(), None);
    let connections: Vec<Vec<Option<ConnectionId>>> = attempts
        .iter()
        .map(|attempt| {
            attempt
                .hops
                .iter()
                .map(|hop| hop.direct.as_ref().and_then(|hop| hop.connection))
                .collect()
        })
        .collect();
    assert_eq!(
        connections,
        [vec![Some(ConnectionId(6)), Some(ConnectionId(5))], vec![None]],
        "the preferred device first, the latest flow first"
    );
    let hop = &attempts[1].hops[0];
    assert_eq!(hop.request_uri, "sip:alice@10.0.0.9:5060;ob", "as registered");
    assert_eq!(hop.direct.as_ref().map(|hop| hop.remote), NAT.parse().ok());
    assert_eq!(hop.to, format!("<sip:alice@{REALM}>"));
    assert_eq!(
        hop.from,
        format!("\"Ada \\\"J\\\"\" <sip:+441632960001@{REALM};user=phone>")
    );
    assert_eq!(&*hop.terms.contact, "192.0.2.10:5080;transport=udp");
    assert!(matches!(hop.terms.kind, LegKind::User { .. }) && hop.terms.behind_nat && hop.terms.keeps_flow());
}

#[test]
fn who_is_not_to_be_known_is_not_shown_and_a_colleague_is_shown_by_its_address() {
    let (registrar, config) = (registrar(), config());
    Phone::alice().register(&registrar, &config, "Contact: <sip:alice@10.0.0.9>\r\n", 10);
    let private = Caller {
        private: true,
        ..somebody()
    };
    let hop = plan_for(&config, &registrar, &private, None).remove(0).hops.remove(0);
    assert!(!format!("{hop:?}").contains("441632960001"), "{hop:?}");
    let bob = UserName::parse("bob").expect("a name");
    let hop = plan_for(&config, &registrar, &somebody(), Some(&bob))
        .remove(0)
        .hops
        .remove(0);
    assert!(hop.from.ends_with(&format!("<sip:bob@{REALM}>")), "{}", hop.from);
}

#[test]
fn a_device_whose_connection_is_gone_is_rung_at_its_contact_only_where_that_leads_to_it() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::new("alice", "wonderland", tcp("203.0.113.8:50000", 5));
    phone.register(
        &registrar,
        &config,
        "Contact: <sip:alice@203.0.113.8:5062;transport=tcp>\r\n",
        10,
    );
    let mut binding = registrar.bindings(&Aor::new("alice", REALM), at(10)).remove(0);
    binding.connection = None;
    assert!(binding.is_reachable() && binding.flow().is_none());
    binding.behind_nat = true;
    assert!(!binding.is_reachable());
    assert!(
        plan_for(&config, &super::registrar(), &somebody(), None).is_empty(),
        "nowhere"
    );
}

#[test]
fn a_user_with_encrypted_media_gets_no_other() {
    let hash = Algorithm::Md5.hashed_secret("carol", REALM, "x");
    let config = config_with(&format!(
        "[[users]]\nname = \"carol\"\nha1_md5 = \"{hash}\"\nsrtp = true\n"
    ));
    let tenant = &config.tenants[0];
    let security = |name: &str| {
        terms(&config, tenant, &UserName::parse(name).unwrap(), ListenerId(2), false)
            .media
            .security
    };
    assert_eq!(security("carol"), Security::SdesRequired);
    assert_eq!(security("alice"), Security::Plain);
}
