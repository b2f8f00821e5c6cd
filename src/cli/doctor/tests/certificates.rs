//! Certificates as real files: each wrong one is told by its own id.

use super::papers::{Folder, Issuers, Leaf};
use super::well::{CARRIER, CONTOSO, config, gathered, now, world};
use super::wrong::certificate;
use super::{complaints, said};
use crate::cli::doctor::world::{CertificateFile, Unusable, UnusableKind, World};
use crate::cli::doctor::{files, finding::Severity};
use crate::config::Config;
use crate::config::fixture::machine;
use std::sync::Arc;

fn tls_complaints(world: &World) -> Vec<String> {
    let mut found = complaints(world);
    found.retain(|id| id.starts_with("tls."));
    found
}

#[test]
fn a_whole_chain_with_an_rsa_key_is_right_and_handshakes_are_tried() {
    let issuers = Issuers::new(now());
    let world = gathered(&issuers, &issuers.leaf(&Leaf::default()));
    assert_eq!(complaints(&world), Vec::<String>::new());
    assert_eq!(world.handshakes.len(), 3);
    assert!(
        world.handshakes.iter().all(|handshake| handshake.outcome == Ok(2)),
        "{:?}",
        world.handshakes
    );
    assert_eq!(world.server_only_client, Ok(()));
}

#[test]
fn every_wrong_pair_of_files_has_its_id() {
    let issuers = Issuers::new(now());
    let leaf = |leaf: Leaf<'_>| gathered(&issuers, &issuers.leaf(&leaf));
    let alone = Leaf {
        whole: false,
        ..Leaf::default()
    };
    let world = leaf(alone);
    assert_eq!(tls_complaints(&world), ["tls.chain"]);
    // It has not passed what could not be tried.
    let told = said(&world, "tls.root");
    assert!(told.contains("the certificate of its issuer is missing"), "{told}");
    let over = Leaf {
        ends_in: -2,
        ..Leaf::default()
    };
    let over = leaf(over);
    assert_eq!(tls_complaints(&over), ["tls.expired"]);
    assert!(over.waits_for("sbc1.example.net") && !over.waits_for("sbc1.example.org"));
    let soon = Leaf {
        ends_in: 12,
        ..Leaf::default()
    };
    assert_eq!(tls_complaints(&leaf(soon)), ["tls.expiry"]);
    let ecdsa = Leaf {
        rsa: false,
        ..Leaf::default()
    };
    // Both suites of Teams fail with it.
    assert_eq!(
        tls_complaints(&leaf(ecdsa)),
        ["tls.key-kind", "tls.suites", "tls.suites"]
    );
    let elsewhere = Leaf {
        names: &["sbc1.example.org", "*.sbc1.example.org"],
        ..Leaf::default()
    };
    assert_eq!(tls_complaints(&leaf(elsewhere)), ["tls.names", "tls.names"]);
    let above = Leaf {
        names: &["sbc1.example.net", "*.example.net"],
        ..Leaf::default()
    };
    assert_eq!(tls_complaints(&leaf(above)), ["tls.wildcard"]);

    let own = gathered(&issuers, &issuers.self_signed(&Leaf::default()));
    assert_eq!(tls_complaints(&own), ["tls.root"]);
    let strangers = Issuers::new(now());
    let of_strangers = gathered(&issuers, &strangers.leaf(&Leaf::default()));
    assert_eq!(tls_complaints(&of_strangers), ["tls.root"]);
}

#[test]
fn each_trunk_is_judged_by_the_certificate_that_is_shown_for_it() {
    const OWN: &str = "sbc.fabrikam.example";
    let tenant = format!("domains = [\"fabrikam.example\"]\nfqdn = \"{OWN}\"\ncarriers = [\"north\"]\n");
    let tenants = [("contoso", CONTOSO), ("fabrikam", tenant.as_str())];
    let config = Config::from_toml_strs(&machine(CARRIER), &tenants).unwrap_or_else(|wrong| panic!("{wrong}"));
    let with_second = |name: &str| {
        let mut world = world();
        let mut second = certificate(&mut world).clone();
        (second.names, second.common_name) = (vec![name.to_owned()], Some(name.to_owned()));
        world.config = Arc::new(config.clone());
        world.certificates.push(CertificateFile {
            path: "second.pem".to_owned(),
            certificate: Ok(second),
        });
        world
    };
    let of_names = |world: &World| {
        let mut found = complaints(world);
        found.retain(|id| id.starts_with("tls.names") || id.ends_with(".trunk"));
        found.dedup();
        found
    };
    let right = with_second(OWN);
    assert_eq!(of_names(&right), Vec::<String>::new());
    let shown = |trunk: &str| right.shown_for(trunk).expect("one").0.to_owned();
    assert_eq!(
        (shown(OWN), shown("SBC.fabrikam.example")),
        ("second.pem".into(), "second.pem".into())
    );
    assert_ne!(shown("contoso.sbc1.example.net"), "second.pem");
    assert_ne!(shown("nobody.example"), "second.pem");

    let wrong = with_second("sbc.tailspin.example");
    assert_eq!(of_names(&wrong), ["tls.names", "sip-lint.options.trunk"]);
    let shown = format!("no certificate is for {OWN}; {} is shown", wrong.certificates[0].path);
    let said = said(&wrong, "tls.names");
    assert!(said.contains(&shown), "{said}");

    // One that bears the name and can't be used is told of itself alone, by whatever is wrong with it.
    let mut over = right.clone();
    over.certificates[1].certificate = Err(Unusable {
        kind: UnusableKind::Expired,
        why: "second.pem: the certificate ended".to_owned(),
        names: vec![OWN.to_owned()],
    });
    let of_tls = |id: &String| id.starts_with("tls.") || id.ends_with(".trunk");
    let found: Vec<String> = complaints(&over).into_iter().filter(of_tls).collect();
    assert_eq!(found, ["tls.expired"]);
}

#[test]
fn files_that_are_none_and_roots_of_another_ca_are_told() {
    let folder = Folder::new();
    let issuers = Issuers::new(now());
    issuers.write_root(&folder.path("root.pem"));
    folder.put(&issuers.leaf(&Leaf::default()));
    std::fs::write(folder.path("sbc.key"), "no key").expect("a file");
    let world = files::gather(config(&folder), i64::try_from(now()).expect("now"));
    // A private CA's root alone is none of the seven. Whose name a certificate bears that can't be used is nobody's business.
    assert_eq!(complaints(&world), ["tls.files", "tls.trust"]);
    let diagnosis = crate::cli::doctor::diagnose(&world);
    assert_eq!(diagnosis.worst(), Some(Severity::Fail));
    assert!(diagnosis.skipped.iter().any(|skipped| skipped.id == "media.silent"));
}
