//! The first twelve of the twenty failures that administrators hit: nothing works, or one tenant's calls don't.

use super::well::{refused, rewrite, sbc};
use super::wrong::{answered, certificate, expect, hub, node, online, records, test_name};
use super::{complaints, said, well};
use crate::cli::doctor::world::{CertificateSeen, Chain, ConnectionSeen, PastCall, PeerSeen, World};
use crate::config::Network;
use crate::net::tls::{KeyKind, Offered};
use std::time::Duration;

#[test]
fn failure_01_a_certificate_of_nobody_whom_microsoft_trusts() {
    expect(
        |world| {
            certificate(world).ends_in_its_own_issuer = true;
            certificate(world).chain = Chain::Broken {
                label: "self_signed",
                why: "the certificate of sbc1.example.net is self-signed".to_owned(),
            };
        },
        &["tls.root"],
    );
    expect(
        |world| hub(world).connected = Err(("alert".to_owned(), "TLS alert UnknownCA".to_owned())),
        &["tls.hub"],
    );
    let world = expect(
        |world| test_name(world).connected = Err(("alert".to_owned(), "TLS alert UnknownCA".to_owned())),
        &["tls.test-name"],
    );
    let told = said(&world, "tls.test-name");
    assert!(
        told.starts_with("sip.g1.pstnhub.microsoft.com, Microsoft's name for tests, does not like our certificate"),
        "{told}"
    );
    assert!(told.contains("It shows what hubs come to show"), "{told}");
}

/// Of the name for tests less uptime is promised, and no call goes there.
#[test]
fn a_test_name_that_does_not_answer_is_worth_a_note() {
    let noted = |wrong: fn(&mut World), what: &str| {
        let told = said(&expect(wrong, &[]), "tls.test-name");
        assert!(told.contains(what), "{what} in {told}");
    };
    noted(
        |world| test_name(world).addresses = Err("NXDOMAIN".to_owned()),
        "is not reached: NXDOMAIN",
    );
    noted(
        |world| test_name(world).connected = Err(("connect".to_owned(), "cannot connect: no answer by TCP".to_owned())),
        "is not reached: cannot connect",
    );
    noted(
        |world| test_name(world).connected = Err(("wrong_name".to_owned(), "it is for another".to_owned())),
        "for other names",
    );
    noted(
        |world| test_name(world).answer = Err("no answer within 5000 ms".to_owned()),
        "takes our certificate over TLSv1_2 and answers no OPTIONS",
    );
    noted(
        |world| test_name(world).answer = answered(403, "Q.850;cause=63;text=\"No trunk config was found\""),
        "answers OPTIONS with 403",
    );
    // Where hubs are simulated ones nobody looks.
    let mut world = well::world();
    online(&mut world).test_name = None;
    let skipped = crate::cli::doctor::diagnose(&world).skipped;
    assert!(skipped.iter().any(|skipped| skipped.id == "tls.test-name"));
}

#[test]
fn failure_02_an_intermediate_that_is_not_sent() {
    expect(
        |world| {
            certificate(world).length = 1;
            certificate(world).chain = Chain::Broken {
                label: "unknown_issuer",
                why: "it leads to no trusted root".to_owned(),
            };
        },
        &["tls.chain"],
    );
}

#[test]
fn failure_03_contact_is_an_address_or_a_name_that_the_certificate_does_not_cover() {
    let world = expect(
        |world| {
            certificate(world).names = vec!["sbc9.example.org".to_owned()];
            certificate(world).common_name = Some("sbc9.example.org".to_owned());
        },
        &["tls.names", "sip-lint.invite.trunk", "sip-lint.options.trunk"],
    );
    let said = said(&world, "tls.names");
    for part in [
        "contoso.sbc1.example.net",
        "CN sbc9.example.org",
        "names sbc9.example.org",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    expect(
        |world| {
            rewrite(
                &mut world.to_teams,
                |said| said.to_teams,
                "@contoso.sbc1.example.net:5061;transport=tls>",
                "@198.51.100.10:5061;transport=tls>",
            );
        },
        &[
            "sip-lint.invite.address",
            "sip-lint.invite.trunk",
            "sip-lint.call.address",
        ],
    );
    let mut world = well::world();
    hub(&mut world).answer = answered(
        403,
        "Q.850;cause=63;text=\"d8534b2e-49b7-41ed-aded-c12126bca54c;Provided Trunk FQDN '198.51.100.5' is not allowed.\"",
    );
    assert_eq!(complaints(&world), ["options.answer"]);
}

#[test]
fn failure_04_a_wildcard_that_stands_for_one_label() {
    let world = expect(
        |world| certificate(world).names = vec!["sbc1.example.net".to_owned(), "*.example.net".to_owned()],
        &["tls.wildcard", "sip-lint.invite.trunk"],
    );
    let said = said(&world, "tls.wildcard");
    assert!(said.contains("*.example.net stands for one label"), "{said}");
    let mut base = well::world();
    certificate(&mut base).names = vec!["*.sbc1.example.net".to_owned()];
    assert!(
        super::said(&base, "tls.wildcard").contains("does not cover sbc1.example.net itself"),
        "the base name"
    );
}

#[test]
fn failure_05_no_shared_cipher() {
    expect(|world| certificate(world).key = KeyKind::Ecdsa, &["tls.key-kind"]);
    expect(
        |world| {
            world
                .handshakes
                .retain(|handshake| handshake.offered == Offered::Aes256Gcm);
            world.handshakes[0].outcome = Err("no common suite".to_owned());
        },
        &["tls.suites"],
    );
    expect(
        |world| hub(world).connected = Err(("protocol".to_owned(), "no common TLS".to_owned())),
        &["tls.hub"],
    );
}

#[test]
fn failure_06_trust_of_another_year() {
    let world = expect(
        |world| world.trust.roots = Ok(vec!["D4DE20D05E66FC53FE1A50882C78DB2852CAE474".to_owned()]),
        &["tls.trust"],
    );
    assert!(said(&world, "tls.trust").contains("DF3C24F9BFD666761B268073FE06D1CC8D4F82A4"));
    expect(
        |world| world.server_only_client = Err("its usages are serverAuth".to_owned()),
        &["tls.server-only-client"],
    );
    expect(
        |world| hub(world).connected = Err(("unknown_issuer".to_owned(), "no trusted root".to_owned())),
        &["tls.hub"],
    );
    expect(
        |world| test_name(world).connected = Err(("unknown_issuer".to_owned(), "no trusted root".to_owned())),
        &["tls.test-name"],
    );
}

#[test]
fn failure_07_a_renewed_certificate_that_nobody_sees() {
    expect(
        |world| {
            let seen = node(world).certificates[0].clone();
            node(world).certificates = vec![CertificateSeen {
                serial: "0bad".to_owned(),
                ..seen
            }];
        },
        &["tls.stale"],
    );
    expect(
        |world| {
            // Of another file: the configuration names a new one.
            let seen = &mut node(world).certificates[0];
            (seen.name, seen.serial) = ("last-year.pem".to_owned(), "0bad".to_owned());
        },
        &["tls.stale"],
    );
    expect(
        |world| {
            node(world).connections.push(ConnectionSeen {
                listener: "teams".to_owned(),
                opener: "us".to_owned(),
                open_seconds: 8_000,
                ..ConnectionSeen::default()
            });
        },
        &["tls.old-connections"],
    );
    let world = expect(
        |world| node(world).connections[0].certificate = Some("0bad".to_owned()),
        &["tls.old-connections"],
    );
    assert!(
        said(&world, "tls.old-connections").contains("our certificate with serial 0bad, which the node shows no more")
    );
    expect(
        |world| {
            let serial = node(world).certificates[0].serial.clone();
            node(world).connections[0].certificate = Some(serial);
        },
        &[],
    );
    expect(|world| certificate(world).not_after = world.now - 1, &["tls.expired"]);
    expect(
        |world| certificate(world).not_after = world.now + 20 * 86_400,
        &["tls.expiry"],
    );
}

#[test]
fn failure_08_options_are_answered_and_none_come_back() {
    let world = expect(
        |world| {
            for peer in &mut node(world).peers {
                peer.heard_seconds_ago = None;
            }
        },
        &["options.heard"],
    );
    let said = said(&world, "options.heard");
    for cause in [
        "received no OPTIONS from Teams in the 60 minutes since the node began",
        "firewall",
        "public DNS",
        "-SipSignalingPort",
    ] {
        assert!(said.contains(cause), "{cause} in {said}");
    }
    expect(
        |world| {
            let elsewhere = Ok(vec!["192.0.2.77".parse().expect("an address")]);
            online(world).own_names.insert("sbc1.example.net".to_owned(), elsewhere);
        },
        &["dns.own"],
    );
    let world = expect(
        |world| {
            let ours = world.config.sbc.media.address.advertise;
            let both = Ok(vec![ours, "192.0.2.77".parse().expect("an address")]);
            online(world).own_names.insert("sbc1.example.net".to_owned(), both);
        },
        &["dns.own"],
    );
    assert!(super::said(&world, "dns.own").contains("leads to 192.0.2.77 too"));
    // Where signalling has an address of its own, that of media is another node's.
    let signaling = |world: &mut World| sbc(world).listeners[0].bind = "198.51.100.7:5061".parse().expect("an address");
    let world = expect(signaling, &["dns.own"]);
    assert!(super::said(&world, "dns.own").contains("not this node (198.51.100.7)"));
    expect(
        |world| {
            signaling(world);
            for found in online(world).own_names.values_mut() {
                *found = Ok(vec!["198.51.100.7".parse().expect("an address")]);
            }
        },
        &[],
    );
    // Behind a NAT of which nothing is said nobody knows.
    let mut world = well::world();
    sbc(&mut world).listeners[0].bind = "10.0.0.4:5061".parse().expect("an address");
    sbc(&mut world).media.address.bind = "10.0.0.5".parse().expect("an address");
    assert!(super::said(&world, "dns.own").contains("whether that is this node the configuration does not say"));
    expect(
        |world| hub(world).answer = Err("no answer within 5000 ms".to_owned()),
        &["options.answer"],
    );
    // A day ago is not now, and it is Teams alone that counts, in both directions.
    let world = expect(
        |world| {
            for peer in &mut node(world).peers {
                peer.heard_seconds_ago = Some(90_000);
            }
        },
        &["options.heard"],
    );
    let of_it = super::said(&world, "options.heard");
    assert!(
        of_it.contains("received no OPTIONS from Teams for 1500 minutes"),
        "{of_it}"
    );
    expect(
        |world| {
            for peer in &mut node(world).peers {
                peer.heard_seconds_ago = Some(90_000);
            }
            node(world).heard_elsewhere_seconds_ago = Some(20);
        },
        &[],
    );
    expect(
        |world| {
            for peer in &mut node(world).peers {
                peer.heard_seconds_ago = None;
                if !peer.peer.starts_with("north/") {
                    peer.answered_seconds_ago = None;
                }
            }
        },
        &[],
    );
    // It has only just begun.
    expect(
        |world| {
            node(world).up_seconds = 60;
            for peer in &mut node(world).peers {
                peer.heard_seconds_ago = None;
            }
        },
        &[],
    );
}

#[test]
fn failure_09_a_trunk_that_turns_active_and_inactive() {
    expect(
        |world| {
            let hub = world.config.sbc.teams.hubs[0].host.clone();
            let address = "52.114.75.24".parse().expect("an address");
            sbc(world).dns.hosts.insert(hub, vec![address]);
        },
        &["dns.pinned"],
    );
    expect(|world| sbc(world).teams.hubs.truncate(1), &["options.hubs"]);
    expect(
        |world| sbc(world).teams.options_interval = Duration::from_secs(600),
        &["options.interval"],
    );
    expect(
        |world| sbc(world).dns.ttl_ceiling = Duration::from_secs(86_400),
        &["dns.ttl"],
    );
}

#[test]
fn failure_10_one_call_out_of_teams_in_four_vanishes() {
    expect(
        |world| {
            sbc(world).teams.networks = vec![Network::parse("52.114.75.24").expect("an address")];
        },
        &["net.networks"],
    );
}

#[test]
fn failure_11_no_trunk_and_no_such_number() {
    let world = expect(
        |world| {
            let call = refused("d", 403, "No trunk config was found", "configuration");
            records(world).push(call);
        },
        &["tenants.unpaired"],
    );
    let told = said(&world, "tenants.unpaired");
    for part in [
        "contoso.sbc1.example.net",
        "needs no gateway of its own",
        "sbc1.example.net is not paired",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    // Paired meanwhile.
    expect(
        |world| {
            records(world).push(refused("d", 403, "No trunk config was found", "configuration"));
            records(world).push(PastCall {
                began_ms: 1,
                ..super::well::call("e")
            });
        },
        &[],
    );
    let world = expect(
        |world| {
            let call = refused("d", 404, "Getting user info by number failed", "wrong_number");
            records(world).push(PastCall {
                to: "30555100".to_owned(),
                ..call
            });
        },
        &["numbers.unknown"],
    );
    let said = said(&world, "numbers.unknown");
    for part in [
        "(the last with 404)",
        "number sent 30555100",
        "trunk contoso.sbc1.example.net",
        "expected is +",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let text = "Q.850;cause=63;text=\"d8534b2e-49b7-41ed-aded-c12126bca54c;No trunk config was found\"";
    let world = expect(|world| hub(world).answer = answered(403, text), &["options.answer"]);
    assert!(super::said(&world, "options.answer").contains("portcullis teams powershell"));
    expect(
        |world| {
            node(world).peers.push(PeerSeen {
                peer: "sip.pstnhub.microsoft.com for sbc.fabrikam.example".to_owned(),
                up: true,
                trouble: Some("it answers OPTIONS with 403".to_owned()),
                ..PeerSeen::default()
            });
        },
        &["tenants.trunk"],
    );
}

/// What is wrong with a hub is one finding, whatever trunks it is asked for; what it says to one trunk is of that trunk.
#[test]
fn a_hub_that_is_down_is_told_once_and_the_cure_fits_what_was_seen() {
    const REFUSED: &str = "cannot connect: Connection refused";
    const HUBS: [&str; 2] = ["sip.pstnhub.microsoft.com", "sip2.pstnhub.microsoft.com"];
    let trouble = |world: &mut World, hub: &str, trunk: &str, why: &str| {
        node(world).peers.push(PeerSeen {
            peer: format!("{hub} for {trunk}"),
            failures: 3,
            trouble: Some(why.to_owned()),
            ..PeerSeen::default()
        });
    };
    let down = |world: &mut World| {
        for peer in node(world).peers.iter_mut().take(1) {
            (peer.up, peer.failures, peer.trouble) = (false, 3, Some(REFUSED.to_owned()));
        }
        for trunk in ["sbc.fabrikam.example", "sbc.tailspin.example"] {
            trouble(world, HUBS[0], trunk, REFUSED);
        }
    };
    let world = expect(down, &["options.health"]);
    let told = said(&world, "options.health");
    assert_eq!(told.lines().count(), 1, "{told}");
    let wanted = "3 OPTIONS in a row to sip.pstnhub.microsoft.com for sbc1.example.net, sbc.fabrikam.example, sbc.tailspin.example in vain: \
                  cannot connect: Connection refused See net.hubs, tls.hub";
    assert!(told.contains(wanted), "{told}");

    // What a hub says to the own trunk is not what is wrong for another one.
    let each_its_own = |world: &mut World| {
        if let Some(peer) = node(world).peers.first_mut() {
            peer.trouble = Some("it answers OPTIONS with 403".to_owned());
        }
        trouble(
            world,
            HUBS[0],
            "sbc.fabrikam.example",
            "the peer refused us with TLS alert UnknownCA",
        );
    };
    let world = expect(each_its_own, &["options.health", "tenants.trunk"]);
    let (of_hub, of_trunk) = (said(&world, "options.health"), said(&world, "tenants.trunk"));
    assert!(of_hub.contains("403") && !of_hub.contains("fabrikam"), "{of_hub}");
    assert!(
        of_trunk.contains("fabrikam") && of_trunk.contains("UnknownCA"),
        "{of_trunk}"
    );

    // Hubs that answer for other trunks.
    let of_trunk = |why: &str| {
        let world = expect(
            |world| {
                HUBS.iter()
                    .for_each(|hub| trouble(world, hub, "sbc.fabrikam.example", why))
            },
            &["tenants.trunk"],
        );
        said(&world, "tenants.trunk")
    };
    let told = of_trunk("it answers OPTIONS with 403");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.contains("(sip.pstnhub.microsoft.com, sip2.pstnhub.microsoft.com)"),
        "{told}"
    );
    assert!(told.contains("teams powershell"), "{told}");
    let told = of_trunk("the peer refused us with TLS alert UnknownCA");
    assert!(
        told.contains("See net.hubs, tls.hub") && !told.contains("powershell"),
        "{told}"
    );
    assert!(told.contains("the certificate that is shown for this one"), "{told}");

    // The network as doctor sees it itself.
    let unreached = |world: &mut World| {
        let mut seen = hub(world).clone();
        seen.connected = Err(("connect".to_owned(), REFUSED.to_owned()));
        *hub(world) = seen.clone();
        seen.peer = format!("{} for sbc.fabrikam.example", HUBS[0]);
        online(world).hubs.push(seen);
    };
    let told = said(&expect(unreached, &["net.hubs"]), "net.hubs");
    assert!(
        told.contains("for sbc1.example.net, sbc.fabrikam.example can't be reached"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn failure_12_no_callee_endpoints() {
    let phrase = "No callee endpoints were found.";
    let world = expect(
        |world| {
            *records(world) = ["d", "e", "f"].map(|id| refused(id, 480, phrase, "unavailable")).into();
        },
        &["tenants.endpoints"],
    );
    assert!(said(&world, "tenants.endpoints").contains("Azure Communication Services"));
    // Others are answered: that user is away, and nothing is wrong.
    expect(
        |world| records(world).push(refused("d", 480, phrase, "unavailable")),
        &[],
    );
}
