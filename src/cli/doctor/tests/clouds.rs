//! Nodes in the clouds of the government, and nodes with several carrier trunks.

use super::papers::{Folder, Issuers, Leaf};
use super::well::{CARRIER, CONTOSO, now, sbc};
use super::wrong::{certificate, node, records};
use super::{complaints, said, well};
use crate::cli::doctor::files;
use crate::cli::doctor::world::{PeerSeen, World};
use crate::config::fixture::machine;
use crate::config::{Cloud, Config, HostName, Hub};
use std::sync::Arc;

/// A node that is well in a cloud.
fn in_cloud(cloud: Cloud) -> World {
    let mut world = well::world();
    let hub = |name: &&str| Hub {
        host: HostName::parse(name).expect("a name"),
        port: 5_061,
    };
    let teams = &mut sbc(&mut world).teams;
    teams.cloud = cloud;
    teams.hubs = cloud.hubs().iter().map(hub).collect();
    teams.networks = cloud.networks();
    let hubs = cloud.hubs();
    let node = node(&mut world);
    node.peers.retain(|peer| peer.peer.starts_with("north"));
    node.peers.extend(hubs.iter().map(|hub| PeerSeen {
        peer: (*hub).to_owned(),
        up: true,
        answered_seconds_ago: Some(20),
        heard_seconds_ago: Some(30),
        ..PeerSeen::default()
    }));
    if let Some(authorities) = cloud.authorities() {
        certificate(&mut world).last_issuer = Some(authorities[0].to_owned());
    }
    world
}

#[test]
fn each_cloud_is_judged_by_what_microsoft_publishes_for_it() {
    for cloud in Cloud::ALL {
        let none: [&str; 0] = [];
        assert_eq!(complaints(&in_cloud(cloud)), none, "{cloud:?}");
        for other in Cloud::ALL.into_iter().filter(|other| *other != cloud) {
            let mut world = in_cloud(cloud);
            sbc(&mut world).teams.networks = other.networks();
            assert_eq!(complaints(&world), ["net.networks"], "{cloud:?}");
            let told = said(&world, "net.networks");
            for network in cloud.signalling() {
                assert!(told.contains(&network.to_string()), "{told}");
            }
        }
        let mut world = in_cloud(cloud);
        sbc(&mut world).teams.hubs[0].host = HostName::parse("hub.example").expect("a name");
        assert!(complaints(&world).contains(&"options.hubs".to_owned()), "{cloud:?}");
        assert!(said(&world, "options.hubs").contains(cloud.hubs()[0]), "{cloud:?}");

        let mut world = in_cloud(cloud);
        let mut silent = well::call("d");
        silent.legs[1].media.as_mut().expect("media").received_packets = 0;
        records(&mut world).push(silent);
        let told = said(&world, "media.silent");
        for network in cloud.media() {
            assert!(told.contains(&network.to_string()), "{told}");
        }

        let mut world = in_cloud(cloud);
        let listener = &mut sbc(&mut world).listeners[0];
        (listener.bind, listener.advertise_port) = (([0, 0, 0, 0], 5_071).into(), 5_071);
        assert_eq!(
            complaints(&world).contains(&"net.port".to_owned()),
            cloud.port().is_some()
        );
    }
}

/// Any root of Microsoft's program will do in the commercial cloud, two in the others.
#[test]
fn a_certificate_of_another_root_is_told_in_the_clouds_of_the_government() {
    for cloud in Cloud::ALL {
        let mut world = in_cloud(cloud);
        certificate(&mut world).last_issuer = Some("ISRG Root X1".to_owned());
        let wanted: &[&str] = if cloud == Cloud::Commercial { &[] } else { &["tls.root"] };
        assert_eq!(complaints(&world), wanted, "{cloud:?}");
    }
    let issuers = Issuers::new(now());
    let mut world = well::gathered(&issuers, &issuers.leaf(&Leaf::default()));
    assert_eq!(certificate(&mut world).last_issuer.as_deref(), Some("Test Root"));
}

const FURTHER: &str = "sbc1.example.org";

/// Files of a node with a further carrier trunk, and a tenant below each.
fn with_two_bases(names: &[&str]) -> World {
    let (folder, issuers) = (Folder::new(), Issuers::new(now()));
    issuers.write_root(&folder.path("root.pem"));
    folder.put(&issuers.leaf(&Leaf {
        names,
        ..Leaf::default()
    }));
    let place = |name: &str| format!("{:?}", folder.path(name).display().to_string());
    let sbc = machine(CARRIER)
        .replace("\"sbc.pem\"", &place("sbc.pem"))
        .replace("\"sbc.key\"", &place("sbc.key"))
        .replace(
            "base = \"sbc1.example.net\"",
            &format!(
                "base = \"sbc1.example.net\"\nfurther_bases = [\"{FURTHER}\"]\nroots = {}",
                place("root.pem")
            ),
        );
    let adatum = CONTOSO
        .replace("contoso", "adatum")
        .replace("+49305551", "+49305552")
        .replace("label =", &format!("base = \"{FURTHER}\"\nlabel ="));
    let config = Config::from_toml_strs(&sbc, &[("contoso", CONTOSO), ("adatum", &adatum)]);
    let config = Arc::new(config.unwrap_or_else(|wrong| panic!("{wrong}")));
    files::gather(config, i64::try_from(now()).expect("now"))
}

#[test]
fn the_certificate_of_each_carrier_trunk_is_judged_by_itself() {
    let of_tls = |world: &World| {
        let mut found = complaints(world);
        found.retain(|id| id.starts_with("tls.") && id != "tls.trust");
        found
    };
    let both = ["sbc1.example.net", "*.sbc1.example.net", FURTHER, "*.sbc1.example.org"];
    let world = with_two_bases(&both);
    assert_eq!(of_tls(&world), Vec::<String>::new());
    assert_eq!(world.handshakes.len(), 3, "one certificate is for both");
    assert!(world.trunks().contains(&FURTHER));

    let world = with_two_bases(&both[..2]);
    assert_eq!(of_tls(&world), ["tls.names", "tls.names"]);
    let told = said(&world, "tls.names");
    assert!(told.contains(&format!("no certificate is for {FURTHER};")), "{told}");
    assert!(
        told.contains(&format!("no certificate is for adatum.{FURTHER};")),
        "{told}"
    );

    let world = with_two_bases(&["sbc1.example.net", "*.sbc1.example.net", "*.sbc1.example.org"]);
    assert_eq!(of_tls(&world), ["tls.wildcard"]);
    let told = said(&world, "tls.wildcard");
    assert!(
        told.contains(&format!("*.{FURTHER} does not cover {FURTHER} itself")),
        "{told}"
    );
}

#[test]
fn a_carrier_trunk_that_teams_refuses_is_to_be_paired_by_the_carrier() {
    let mut world = well::world();
    let further = crate::config::TenantFqdn::parse(FURTHER).expect("a name");
    sbc(&mut world).teams.further_bases.push(further);
    node(&mut world).peers.push(PeerSeen {
        peer: format!("sip.pstnhub.microsoft.com for {FURTHER}"),
        up: true,
        trouble: Some("it answers OPTIONS with 403".to_owned()),
        ..PeerSeen::default()
    });
    let told = said(&world, "tenants.trunk");
    assert!(told.contains("not paired in the carrier's Microsoft tenant"), "{told}");
}
