//! Those of the other eight that show in calls that are up, and what else is seen.

use super::well::{call, refused, rewrite, sbc};
use super::wrong::{anything, certificate, expect, hub, invite_to_teams, node, online, records};
use super::{complaints, said, well};
use crate::cli::doctor::rehearsal::{self, Said, Scene};
use crate::cli::doctor::world::{PastCall, World};
use crate::config::{Cloud, HostName, Hub, Network, Purpose};
use crate::sip::Method;
use std::sync::Arc;

#[test]
fn failure_14_the_ack_goes_elsewhere_or_is_lost() {
    expect(
        |world| {
            let rehearsal = world.to_teams.as_mut().expect("a rehearsal");
            for said in rehearsal
                .said
                .iter_mut()
                .filter(|said| said.message.method() == Some(&Method::Ack))
            {
                said.next = Some("api-du-a-euno.pstnhub.microsoft.com".to_owned());
            }
        },
        &["sip-lint.ack"],
    );
    expect(
        |world| {
            let is_ack = |said: &Said| said.to_teams && said.message.method() == Some(&Method::Ack);
            rewrite(
                &mut world.to_teams,
                is_ack,
                "sip-du-a-eu.pstnhub",
                "sip-du-a-xx.pstnhub",
            );
        },
        &["sip-lint.call.route"],
    );
    expect(
        |world| {
            let early = |id: &str| PastCall {
                talked_ms: 4_200,
                ended_by: "callee".to_owned(),
                ..call(id)
            };
            records(world).extend(["d", "e", "f"].map(early));
        },
        &["timers.early-end"],
    );
    expect(
        |world| {
            let lost = |id: &str| PastCall {
                talked_ms: 32_000,
                cause: "ack_lost".to_owned(),
                ended_by: "node".to_owned(),
                ..call(id)
            };
            records(world).extend(["d", "e", "f"].map(lost));
        },
        &["timers.early-end"],
    );
}

/// What Teams says with its BYE tells them apart, whatever their length.
#[test]
fn short_calls_are_no_lost_acks() {
    let found = |talked_ms, phrase: &str, class: &str| {
        let mut world = well::world();
        let ended = |id: &str| {
            let mut past = PastCall {
                talked_ms,
                ended_by: "callee".to_owned(),
                ..call(id)
            };
            for leg in past.legs.iter_mut().filter(|leg| leg.side == "teams") {
                leg.reason_phrase = Some(phrase.to_owned());
                leg.cause_class = Some(class.to_owned());
            }
            past
        };
        records(&mut world).extend(["d", "e", "f"].map(ended));
        said(&world, "timers.early-end")
    };
    assert_eq!(found(4_200, "Call terminated", "normal"), "");
    let lost = "Teams ended 3 of ";
    assert!(found(4_200, "Acknowledgement for acceptance timed out", "network").contains(lost));
    assert!(found(9_500, "No ACK received", "network").contains(lost));
    assert_eq!(found(9_500, "Media connectivity failure", "media"), "");
}

#[test]
fn failure_15_no_media_at_all() {
    expect(
        |world| sbc(world).media.address.advertise = "192.168.1.5".parse().expect("an address"),
        &["media.address", "dns.own"],
    );
    expect(
        |world| {
            let mut silent = call("d");
            silent.legs[1].media.as_mut().expect("media").received_packets = 0;
            records(world).push(silent);
        },
        &["media.silent"],
    );
    // A silent call that others came well after is told, and fails nothing.
    let world = expect(
        |world| {
            let mut silent = call("d");
            silent.legs[1].media.as_mut().expect("media").received_packets = 0;
            let after = PastCall {
                began_ms: 1,
                ..call("e")
            };
            records(world).extend([silent, after]);
        },
        &[],
    );
    let told = said(&world, "media.silent");
    assert!(
        told.contains("the last of them d of 1970-01-01T00:00Z; since then it has worked"),
        "{told}"
    );
    assert!(told.contains("52.112.0.0/14"), "{told}");
    // Many are a pattern, whatever worked.
    let world = expect(
        |world| {
            sbc(world).teams.bypass = true;
            let silent = |id| {
                let mut silent = call(id);
                silent.legs[1].media.as_mut().expect("media").received_packets = 0;
                silent
            };
            let after = PastCall {
                began_ms: 1,
                ..call("g")
            };
            records(world).extend(["d", "e", "f"].map(silent).into_iter().chain([after]));
        },
        &["media.silent"],
    );
    assert!(said(&world, "media.silent").contains("let everybody in"));
    let world = expect(
        |world| {
            let mut wrong = call("d");
            let media = wrong.legs[1].media.as_mut().expect("media");
            media.dropped.insert("auth_failures".to_owned(), 400);
            records(world).push(wrong);
        },
        &["media.unauthenticated"],
    );
    assert!(said(&world, "media.unauthenticated").starts_with("1 call had SRTP packets"));
    expect(
        |world| {
            records(world).push(PastCall {
                cause: "media_lost".to_owned(),
                ..call("d")
            });
        },
        &["media.silent"],
    );
}

#[test]
fn failure_16_the_offer_is_not_acceptable() {
    for (from, to, ids) in [
        ("RTP/SAVP", "RTP/AVP", &["sip-lint.invite.srtp"][..]),
        (
            "AES_CM_128_HMAC_SHA1_80",
            "AES_CM_128_HMAC_SHA1_32",
            &["sip-lint.invite.crypto"][..],
        ),
        ("|2^31", "==|2^31", &["sip-lint.invite.crypto-key"][..]),
        (" RTP/SAVP 8 ", " RTP/SAVP 8 8 ", &["sip-lint.invite.payload-types"][..]),
        (
            "application/sdp",
            "application/pidf+xml",
            &["sip-lint.invite.content-type"][..],
        ),
    ] {
        expect(|world| rewrite(&mut world.to_teams, invite_to_teams, from, to), ids);
    }
    expect(
        |world| records(world).push(refused("d", 488, "InternalDiagCode: SrtpEncryptionRequired", "media")),
        &["media.refused"],
    );
    let mended = |world: &mut World| {
        records(world).push(refused("d", 488, "InternalDiagCode: SrtpEncryptionRequired", "media"));
        records(world).push(PastCall {
            began_ms: 1,
            ..call("e")
        });
    };
    assert!(said(&expect(mended, &[]), "media.refused").contains("since then it has worked"));
}

#[test]
fn failure_17_hold_that_kills_the_audio() {
    let held = |said: &Said| {
        said.to_teams && said.scene == Scene::CarrierHolds && said.message.method() == Some(&Method::Invite)
    };
    expect(
        |world| rewrite(&mut world.to_teams, held, "a=inactive", "a=sendonly"),
        &["sip-lint.call.direction", "sip-lint.hold"],
    );
    expect(
        |world| rewrite(&mut world.to_teams, held, "c=IN IP4 198.51.100.10", "c=IN IP4 0.0.0.0"),
        &["sip-lint.call.blackhole", "sip-lint.call.media-moved", "sip-lint.hold"],
    );
    expect(
        |world| rewrite(&mut world.to_teams, held, "m=audio 2", "m=audio 3"),
        &["sip-lint.call.media-moved"],
    );
}

#[test]
fn failure_18_a_transfer_that_goes_nowhere() {
    // Nothing listed, nothing promised: Teams transfers by itself.
    let mut world = well::world();
    world.from_teams.as_mut().expect("a rehearsal").allows_refer = false;
    assert_eq!(complaints(&world), Vec::<String>::new());
    expect(
        |world| {
            let rehearsal = world.from_teams.as_mut().expect("a rehearsal");
            rehearsal.allows_refer = true;
            for said in rehearsal
                .said
                .iter_mut()
                .filter(|said| said.scene == Scene::TeamsRefers)
            {
                said.to_teams = false;
            }
        },
        &["sip-lint.transfer"],
    );
    let (uri, by) = ("x-t=9b2c;x-ti=77%3d", "Referred-By: ");
    let after_refer = |method: Method| {
        move |said: &Said| said.to_teams && said.scene == Scene::TeamsRefers && said.message.method() == Some(&method)
    };
    let invite = || after_refer(Method::Invite);
    for (from, to, ids) in [
        (uri, "x-t=9b2c", &["sip-lint.transfer.transfer-invite"][..]),
        (by, "X-Nothing: ", &["sip-lint.transfer.referred-by"][..]),
        ("a=sendrecv", "a=inactive", &["sip-lint.transfer.transfer-invite"][..]),
        ("NOTIFY, REFER", "REFER", &["sip-lint.invite.allow"][..]),
    ] {
        expect(|world| rewrite(&mut world.from_teams, invite(), from, to), ids);
    }
    let notify = after_refer(Method::Notify);
    expect(
        |world| rewrite(&mut world.from_teams, &notify, "Event: refer", "Event: else"),
        &["sip-lint.transfer.notify"],
    );
    expect(
        |world| {
            let rehearsal = world.from_teams.as_mut().expect("a rehearsal");
            rehearsal.said.retain(|said| !notify(said));
        },
        &["sip-lint.transfer"],
    );
}

/// A world in which media of Teams come from clients.
fn bypassing(world: &mut World) {
    sbc(world).teams.bypass = true;
    world.to_teams = rehearsal::to_teams(&world.config);
    world.from_teams = rehearsal::from_teams(&world.config);
}

#[test]
fn with_media_bypass_the_descriptions_are_those_of_live_calls_and_judged() {
    expect(bypassing, &[]);
    let wrong = |is_meant: fn(&Said) -> bool, from: &str, to: &str, ids: &[&str]| {
        expect(
            |world| {
                bypassing(world);
                rewrite(&mut world.to_teams, is_meant, from, to);
            },
            ids,
        );
    };
    for (from, to) in [
        ("a=ice-lite\r\n", ""),
        ("a=candidate:1 1", "a=candidate:1 2"),
        ("198.51.100.10 20002 typ", "10.0.0.5 20002 typ"),
    ] {
        // What comes after it says something else, then.
        let ids = ["sip-lint.call.ice-changed", "sip-lint.invite.ice"];
        wrong(invite_to_teams, from, to, &ids);
    }
    let held = |said: &Said| {
        said.to_teams && said.scene == Scene::CarrierHolds && said.message.method() == Some(&Method::Invite)
    };
    wrong(held, "a=ice-pwd:", "a=ice-pwd:x", &["sip-lint.call.ice-changed"]);
}

#[test]
fn a_tenant_of_each_kind_is_rehearsed() {
    assert!(well::world().of_other_kinds.is_empty());
    let fabrikam = well::CONTOSO
        .replace("contoso", "fabrikam")
        .replace("+49305551", "+49305552")
        .replace("carriers =", "refer = false\ncarriers =");
    let sbc = crate::config::fixture::machine(well::CARRIER);
    let tenants = [("contoso", well::CONTOSO), ("fabrikam", &fabrikam)];
    let config = crate::config::Config::from_toml_strs(&sbc, &tenants).unwrap_or_else(|wrong| panic!("{wrong}"));
    let of_other_kinds = rehearsal::of_other_kinds(&config);
    assert_eq!(of_other_kinds.len(), 2, "one each way");
    assert!(of_other_kinds.iter().all(|rehearsal| !rehearsal.allows_refer));
}

#[test]
fn a_transfer_is_rehearsed_by_the_hub_of_the_configuration() {
    for (host, port) in [
        ("sip.pstnhub.gov.teams.microsoft.us", 5_061),
        ("sip.pstnhub.dod.teams.microsoft.us", 5_061),
        ("sip.pstnhub.microsoft.com", 15_061),
    ] {
        let mut world = well::world();
        sbc(&mut world).teams.cloud = Cloud::of_hub(host).expect("a cloud");
        let host = HostName::parse(host).expect("a name");
        sbc(&mut world).teams.hubs = vec![Hub { host, port }];
        world.to_teams = rehearsal::to_teams(&world.config);
        world.from_teams = rehearsal::from_teams(&world.config);
        assert_eq!(said(&world, "sip-lint.transfer"), "");
        let rehearsal = world.from_teams.as_ref().expect("a rehearsal");
        let asked = rehearsal.of(Scene::TeamsRefers).filter(|said| said.to_teams);
        let uris: Vec<&str> = asked.filter_map(|said| said.message.request_uri()).collect();
        let hub = format!("{}:{port};x-m=", world.config.sbc.teams.hubs[0].host);
        assert!(uris.iter().any(|uri| uri.contains(&hub)), "{uris:?}");
        // Whatever else Teams says of itself is of that cloud too.
        let domain = world.config.sbc.teams.hubs[0].host.as_str().trim_start_matches("sip.");
        let teams = &rehearsal.teams;
        let published = world.config.sbc.teams.cloud.signalling();
        let is_its = |network: &Network| network.contains(teams.address.ip());
        assert!(published.iter().any(is_its), "{teams:?}");
        for said in [&teams.contact, &teams.route, &teams.route_host, &teams.referred_by] {
            assert!(said.contains(domain), "{said}");
        }
        assert_eq!(said(&world, "sip-lint.ack") + &said(&world, "sip-lint.call"), "");
    }
}

#[test]
fn failure_20_calls_that_end_at_fixed_minutes() {
    expect(
        |world| {
            let rehearsal = world.to_teams.as_mut().expect("a rehearsal");
            let held = |said: &&Said| said.to_teams && said.scene == Scene::CarrierHolds;
            let passed = rehearsal.said.iter().find(held).expect("a re-INVITE").clone();
            rehearsal.said.push(Said {
                scene: Scene::CarrierRefreshes,
                ..passed
            });
        },
        &["timers.refresh"],
    );
    expect(
        |world| {
            let cut = |id: &str| PastCall {
                talked_ms: 30 * 60_000 + 400,
                ..call(id)
            };
            records(world).extend(["d", "e", "f"].map(cut));
        },
        &["timers.fixed-minutes"],
    );
    let expired = |id: &str| PastCall {
        cause: "session_expired".to_owned(),
        talked_ms: 47 * 60_000,
        ..call(id)
    };
    let world = expect(
        |world| records(world).extend(["d", "e", "f"].map(expired)),
        &["timers.fixed-minutes"],
    );
    let told = said(&world, "timers.fixed-minutes");
    let all = "of 3 calls with carrier 'north' of 47 minutes and more 3 ended because a session was not refreshed";
    assert!(told.starts_with(all), "{told}");
    // The side whose session it was is named, and no carrier for Teams'.
    for (side, wanted) in [
        ("caller", "of 3 calls with carrier 'north' of 47 minutes and more 3"),
        (
            "called side",
            "of 3 calls of 47 minutes and more 3 ended because the session with Teams",
        ),
    ] {
        let on = |id: &str| PastCall {
            cause_text: format!("the session timer of the {side} expired: our refresh got 488"),
            ..expired(id)
        };
        let world = expect(
            |world| records(world).extend(["d", "e", "f"].map(on)),
            &["timers.fixed-minutes"],
        );
        let told = said(&world, "timers.fixed-minutes");
        assert!(told.starts_with(wanted), "{told}");
    }
    // One of them is an accident, and so are three of many.
    expect(|world| records(world).push(expired("d")), &[]);
    expect(
        |world| {
            records(world).extend(["d", "e", "f"].map(expired));
            let long = |minutes: u64| PastCall {
                talked_ms: (48 + minutes) * 60_000,
                ..call("g")
            };
            records(world).extend((0..60).map(long));
        },
        &[],
    );
}

/// What Teams says no to because of this side's messages or settings is told, whatever the code.
#[test]
fn failure_21_calls_that_teams_refuses_otherwise() {
    for (status, phrase, class, wanted) in [
        (
            420,
            "Bad Extension",
            "protocol",
            "such as 100rel. portcullis never requires 100rel",
        ),
        (
            422,
            "Session Interval Too Small",
            "protocol",
            "wants a longer session timer",
        ),
        (
            500,
            "Duplicate CreateCallAsync request",
            "protocol",
            "The same call was sent twice",
        ),
        (500, "Loop detected", "configuration", "look at the number's forwarding"),
        (500, "something", "service", "portcullis explain --sip 500"),
    ] {
        let world = expect(
            |world| {
                let of_another = PastCall {
                    tenant: "fabrikam".to_owned(),
                    ..refused("e", status, phrase, class)
                };
                *records(world) = vec![refused("d", status, phrase, class), of_another];
            },
            &["tenants.refused"],
        );
        let told = said(&world, "tenants.refused");
        assert!(
            told.contains("refused 2 of 2 calls (tenants 'contoso', 'fabrikam')"),
            "{told}"
        );
        assert!(
            told.contains(&format!("with {status} \"{phrase}\"")) && told.contains(wanted),
            "{told}"
        );
    }
    // What a hub or a user says, and what other checks tell of, is not told twice.
    for (status, phrase, class) in [
        (503, "DrainingTransactions", "service"),
        (486, "Callee is busy", "busy"),
        (487, "", "normal"),
    ] {
        expect(|world| records(world).push(refused("d", status, phrase, class)), &[]);
    }
}

#[test]
fn failure_21_what_else_is_seen() {
    expect(
        |world| {
            rewrite(
                &mut world.to_teams,
                invite_to_teams,
                "Supported: ",
                "Require: 100rel\r\nSupported: ",
            )
        },
        &["sip-lint.invite.100rel"],
    );
    expect(
        |world| {
            records(world).push(PastCall {
                direction: "teams_to_carrier".to_owned(),
                ringing_after_ms: Some(14_000),
                ..call("d")
            });
        },
        &["carriers.slow"],
    );
    expect(
        |world| hub(world).connected = Err(("connect".to_owned(), "cannot connect: no answer by TCP".to_owned())),
        &["net.hubs"],
    );
    let hangs = expect(
        |world| hub(world).connected = Err(("timeout".to_owned(), "TCP is connected, and TLS is not".to_owned())),
        &["tls.hub"],
    );
    assert!(said(&hangs, "tls.hub").contains("inspects or opens TLS"));
    expect(
        |world| online(world).listener = Err("refused".to_owned()),
        &["net.listener"],
    );
    expect(
        |world| {
            hub(world).addresses = Err("NXDOMAIN".to_owned());
            hub(world).connected = Err(("unknown".to_owned(), "its name leads nowhere".to_owned()));
        },
        &["dns.hubs"],
    );
    expect(|world| sbc(world).media.allow_loopback = true, &["media.loopback"]);
    expect(|world| sbc(world).guard.limits.calls = Some(50_000), &["media.ports"]);
    expect(
        |world| {
            let listeners = &mut sbc(world).listeners;
            let carriers = listeners
                .iter_mut()
                .find(|listener| listener.purpose == Purpose::Carrier);
            carriers.expect("a listener").bind = "[2001:db8::5]:5060".parse().expect("an address");
        },
        &["media.family"],
    );
    let teams_alone = |world: &mut World| {
        let listeners = &mut sbc(world).listeners;
        let teams = listeners.iter_mut().find(|listener| listener.purpose == Purpose::Teams);
        teams.expect("a listener").bind = "[2001:db8::5]:5061".parse().expect("an address");
    };
    // Its name still leads to the other one.
    expect(teams_alone, &["dns.own", "media.family"]);
    expect(
        |world| records(world).push(refused("d", 403, "No PSTN calls", "policy")),
        &["numbers.policy"],
    );
    expect(|world| sbc(world).emergency.numbers.clear(), &["numbers.emergency"]);
    expect(
        |world| Arc::make_mut(&mut sbc(world).carriers[0]).elin = true,
        &["numbers.elin"],
    );
    expect(
        |world| {
            let down = node(world)
                .peers
                .iter_mut()
                .find(|peer| peer.peer.starts_with("north/"));
            down.expect("the gateway").up = false;
        },
        &["carriers.health"],
    );
    expect(
        |world| {
            let first = &mut node(world).peers[0];
            (first.up, first.failures, first.trouble) = (false, 3, Some("no answer to OPTIONS".to_owned()));
        },
        &["options.health"],
    );
    expect(|world| certificate(world).server_usage = false, &["tls.usage"]);
    expect(|world| certificate(world).common_name = None, &["tls.common-name"]);
    expect(
        |world| sbc(world).teams.client_certificate = crate::config::ClientCertificate::Request,
        &["tls.client-certificate"],
    );
    expect(
        |world| {
            rewrite(
                &mut world.from_teams,
                anything,
                "<sip:sip-du-a-eu.pstnhub",
                "<sip:sip-du-a-xx.pstnhub",
            )
        },
        &["sip-lint.call.record-route", "sip-lint.call.route"],
    );
}
