//! Handshakes in memory: both directions, every reason of refusal, SNI, hot swap.

use super::authority::{Authority, LeafUsage, PemPair};
use super::fixtures::*;
use super::*;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConnection, ServerConnection};
use std::sync::Arc;

/// What became of a handshake on either side.
struct Handshake {
    server: Result<(), rustls::Error>,
    client: Result<(), rustls::Error>,
    server_evidence: Evidence,
    client_evidence: Evidence,
    server_saw: Option<crate::sip::PeerCertificate>,
    client_saw: Option<crate::sip::PeerCertificate>,
}

fn handshake(server: &TlsProfile, client: &TlsProfile, name: &str) -> Handshake {
    let (server_config, server_evidence) = server.accept().unwrap();
    let (client_config, client_evidence) = client.connect(client.presented(None)).unwrap();
    shake(server_config, server_evidence, client_config, client_evidence, name)
}

fn shake(
    server_config: Arc<rustls::ServerConfig>,
    server_evidence: Evidence,
    client_config: Arc<rustls::ClientConfig>,
    client_evidence: Evidence,
    name: &str,
) -> Handshake {
    let mut server = ServerConnection::new(server_config).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client_config, name).unwrap();
    let mut results = (Ok(()), Ok(()));
    while results.0.is_ok()
        && results.1.is_ok()
        && (server.is_handshaking() || client.is_handshaking() || server.wants_write())
    {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() && results.0.is_ok() {
            server.read_tls(&mut wire).unwrap();
            results.0 = server.process_new_packets().map(|_| ());
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() && results.1.is_ok() {
            client.read_tls(&mut wire).unwrap();
            results.1 = client.process_new_packets().map(|_| ());
        }
    }
    let seen = |certificates: Option<&[rustls::pki_types::CertificateDer<'static>]>| {
        certificates.and_then(|chain| peer_certificate(chain.first()?))
    };
    Handshake {
        server_saw: seen(server.peer_certificates()),
        client_saw: seen(client.peer_certificates()),
        server: results.0,
        client: results.1,
        server_evidence,
        client_evidence,
    }
}

/// A node and a peer under one CA; the peer shows `peer` when it calls.
struct Pair {
    _directory: Directory,
    node: TlsProfile,
    peer: TlsProfile,
}

fn pair(clients: impl FnOnce(Arc<TrustRoots>) -> ClientCertificates, peer: impl FnOnce(&Authority) -> PemPair) -> Pair {
    let directory = Directory::new();
    let authority = authority();
    let node = leaf(
        &authority,
        &["sbc1.example.net", "*.sbc1.example.net"],
        LeafUsage::Server,
    );
    let node = directory.store(&[("node", &node)]);
    let peer = directory.store(&[("peer", &peer(&authority))]);
    let roots = roots(&authority);
    Pair {
        _directory: directory,
        node: TlsProfile::new(node, clients(roots.clone()), roots.clone(), "sbc1.example.net"),
        peer: TlsProfile::new(peer, ClientCertificates::Ignore, roots, HUB),
    }
}

fn teams(roots: Arc<TrustRoots>) -> ClientCertificates {
    ClientCertificates::Require(ClientTrust::teams(roots, vec![HUB.to_owned()]))
}

fn carrier(roots: Arc<TrustRoots>) -> ClientCertificates {
    ClientCertificates::Require(ClientTrust::carrier(roots, vec![]))
}

fn call_node(pair: &Pair) -> Handshake {
    handshake(&pair.node, &pair.peer, "sbc1.example.net")
}

fn refusal(handshake: &Handshake) -> &'static str {
    assert!(handshake.server.is_err());
    handshake.server_evidence.rejection().expect("a reason").label()
}

#[test]
fn teams_may_show_a_certificate_with_server_auth_alone() {
    let pair = pair(teams, |ca| leaf(ca, &[HUB], LeafUsage::Server));
    let shaken = call_node(&pair);
    assert_eq!((shaken.server, shaken.client), (Ok(()), Ok(())));
    assert_eq!(shaken.server_saw.unwrap().dns_names, [HUB]);
    assert_eq!(
        shaken.client_saw.unwrap().dns_names,
        ["sbc1.example.net", "*.sbc1.example.net"]
    );
}

#[test]
fn a_carrier_may_not() {
    let refused = pair(carrier, |ca| leaf(ca, &["pbx.example.org"], LeafUsage::Server));
    assert_eq!(refusal(&call_node(&refused)), "wrong_usage");
    let accepted = pair(carrier, |ca| leaf(ca, &["pbx.example.org"], LeafUsage::Client));
    assert_eq!(call_node(&accepted).server, Ok(()));
}

#[test]
fn each_refusal_of_a_client_has_its_own_reason() {
    let label = |peer: fn(&Authority) -> PemPair| refusal(&call_node(&pair(teams, peer)));
    assert_eq!(
        label(|ca| leaf(ca, &["sip.example.org"], LeafUsage::Server)),
        "wrong_name"
    );
    assert_eq!(
        label(|ca| leaf(ca, &["*.microsoft.com"], LeafUsage::Server)),
        "wrong_name"
    );
    assert_eq!(
        label(|_| leaf(&authority(), &[HUB], LeafUsage::Server)),
        "bad_signature"
    );
    assert_eq!(
        label(|_| {
            let other = Authority::new("Other Root", now() - DAY, now() + DAY).unwrap();
            leaf(&other, &[HUB], LeafUsage::Server)
        }),
        "unknown_issuer"
    );
}

#[test]
fn time_of_a_client_certificate_is_checked() {
    let verify = |not_before: u64, not_after: u64| {
        let ca = authority();
        let pem = leaf_valid(&ca, &[HUB], LeafUsage::Server, not_before, not_after);
        let der = der(&pem.certificate);
        let trusted = roots(&ca);
        super::verify::verify_chain(
            &der,
            &[],
            &trusted,
            super::verify::Usage::ClientOrServer,
            UnixTime::now(),
        )
    };
    let expired = verify(now() - 5 * DAY, now() - DAY).unwrap_err();
    assert_eq!(expired.label(), "expired");
    let early = verify(now() + DAY, now() + 5 * DAY).unwrap_err();
    assert_eq!(early.label(), "not_yet_valid");
    assert!(early.to_string().contains("check the clock"), "{early}");
    assert_eq!(verify(now() - DAY, now() + DAY), Ok(()));
}

fn der(pem: &str) -> rustls::pki_types::CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn a_self_signed_certificate_is_named_so() {
    let ca = authority();
    let lone = Authority::new("Lone", now() - DAY, now() + DAY).unwrap();
    let refused = super::verify::verify_chain(
        &der(&lone.root_pem()),
        &[],
        &roots(&ca),
        super::verify::Usage::Server,
        UnixTime::now(),
    );
    assert_eq!(
        refused,
        Err(PeerRejected::SelfSigned {
            subject: "Lone".to_owned()
        })
    );
}

#[test]
fn no_certificate_is_refused_when_required_and_passes_when_requested() {
    let directory = Directory::new();
    let ca = authority();
    let node = leaf(&ca, &["sbc1.example.net"], LeafUsage::Server);
    let node = directory.store(&[("node", &node)]);
    let nobody = Arc::new(IdentityStore::open(vec![]).unwrap());
    let peer = TlsProfile::new(nobody, ClientCertificates::Ignore, roots(&ca), HUB);
    let trust = ClientTrust::teams(roots(&ca), vec![HUB.to_owned()]);

    let require = ClientCertificates::Require(trust.clone());
    let require = TlsProfile::new(node.clone(), require, roots(&ca), "sbc1.example.net");
    let shaken = handshake(&require, &peer, "sbc1.example.net");
    assert_eq!(shaken.server, Err(rustls::Error::NoCertificatesPresented));

    let request = ClientCertificates::Request(trust);
    let request = TlsProfile::new(node, request, roots(&ca), "sbc1.example.net");
    let shaken = handshake(&request, &peer, "sbc1.example.net");
    assert_eq!(shaken.server, Ok(()));
    assert_eq!(shaken.server_saw, None);
}

#[test]
fn requested_does_not_let_a_wrong_certificate_pass() {
    let request = |roots| ClientCertificates::Request(ClientTrust::teams(roots, vec![HUB.to_owned()]));
    let wrong = pair(request, |ca| leaf(ca, &["sip.example.org"], LeafUsage::Server));
    assert_eq!(refusal(&call_node(&wrong)), "wrong_name");
}

#[test]
fn each_refusal_of_a_server_has_its_own_reason() {
    let label = |pair: Pair, name: &str| {
        let shaken = handshake(&pair.peer, &pair.node, name);
        assert!(shaken.client.is_err());
        shaken.client_evidence.rejection().expect("a reason").label()
    };
    let with = |peer: fn(&Authority) -> PemPair| pair(carrier, peer);
    let hub: fn(&Authority) -> PemPair = |ca| leaf(ca, &[HUB], LeafUsage::Server);
    assert_eq!(label(with(hub), "sip2.pstnhub.microsoft.com"), "wrong_name");
    assert_eq!(
        label(with(|ca| leaf(ca, &[HUB], LeafUsage::Client)), HUB),
        "wrong_usage"
    );
    let deep: fn(&Authority) -> PemPair = |ca| leaf(ca, &["*.microsoft.com"], LeafUsage::Server);
    assert_eq!(label(with(deep), HUB), "wrong_name");
    let foreign: fn(&Authority) -> PemPair = |_| {
        let other = Authority::new("Other Root", now() - DAY, now() + DAY).unwrap();
        leaf(&other, &[HUB], LeafUsage::Server)
    };
    assert_eq!(label(with(foreign), HUB), "unknown_issuer");
    let good = with(hub);
    let shaken = handshake(&good.peer, &good.node, HUB);
    assert_eq!(shaken.client, Ok(()));
}

#[test]
fn sni_chooses_the_identity_and_the_first_is_the_default() {
    let directory = Directory::new();
    let ca = authority();
    let base = leaf(&ca, &["sbc1.example.net", "*.sbc1.example.net"], LeafUsage::Server);
    let own = leaf(&ca, &["voice.contoso.example"], LeafUsage::Server);
    let store = directory.store(&[("base", &base), ("own", &own)]);
    let chosen = |host| store.resolve(host).unwrap().name.clone();
    assert_eq!(chosen(Some("voice.contoso.example")), "own");
    assert_eq!(chosen(Some("contoso.sbc1.example.net")), "base");
    assert_eq!(chosen(Some("VOICE.contoso.example.")), "own");
    assert_eq!(chosen(Some("unknown.example")), "base");
    assert_eq!(chosen(None), "base");

    let node = TlsProfile::new(store, ClientCertificates::Ignore, roots(&ca), "sbc1.example.net");
    let shaken = handshake(&node, &node, "voice.contoso.example");
    assert_eq!(shaken.client_saw.unwrap().dns_names, ["voice.contoso.example"]);
}

#[test]
fn teams_011_the_certificate_of_a_client_is_the_one_that_bears_the_trunk() {
    let directory = Directory::new();
    let ca = authority();
    let alone = leaf(&ca, &["tailspin.sbc1.example.net"], LeafUsage::Server);
    let base = leaf(&ca, &["sbc1.example.net", "*.sbc1.example.net"], LeafUsage::Server);
    let own = leaf(&ca, &["voice.contoso.example"], LeafUsage::Server);
    let store = directory.store(&[("alone", &alone), ("base", &base), ("own", &own)]);
    let node = TlsProfile::new(
        store.clone(),
        ClientCertificates::Ignore,
        roots(&ca),
        "sbc1.example.net",
    );
    let shown = |host| store.at(node.presented(host)).unwrap().name.clone();
    assert_eq!(shown(Some("voice.contoso.example")), "own");
    assert_eq!(shown(Some("VOICE.contoso.example")), "own");
    assert_eq!(shown(Some("fabrikam.sbc1.example.net")), "base");
    assert_eq!(shown(Some("tailspin.sbc1.example.net")), "alone", "before the wildcard");
    assert_eq!(
        shown(Some("a.b.sbc1.example.net")),
        "base",
        "nobody's: the listener's own"
    );
    assert_eq!(shown(None), "base");
    let elsewhere = TlsProfile::new(
        store.clone(),
        ClientCertificates::Ignore,
        roots(&ca),
        "sbc9.example.net",
    );
    assert_eq!(store.at(elsewhere.presented(None)).unwrap().name, "alone", "the first");
}

#[test]
fn a_swapped_certificate_is_shown_in_the_next_handshake() {
    let directory = Directory::new();
    let ca = authority();
    let name = "sbc1.example.net";
    let store = directory.store(&[("node", &leaf(&ca, &[name], LeafUsage::Server))]);
    let node = TlsProfile::new(
        store.clone(),
        ClientCertificates::Ignore,
        roots(&ca),
        "sbc1.example.net",
    );
    let before = handshake(&node, &node, name).client_saw.unwrap().serial;
    assert_eq!(store.reload(), Reload::default());
    assert_eq!(store.generation(), 0);

    directory.put("node", &leaf(&ca, &[name], LeafUsage::Server));
    assert_eq!(store.reload().replaced, ["node"]);
    assert_eq!(store.generation(), 1);
    let after = handshake(&node, &node, name).client_saw.unwrap().serial;
    assert_ne!(before, after);
}

#[test]
fn wrong_files_leave_the_old_certificate_in_use() {
    let directory = Directory::new();
    let ca = authority();
    let first = leaf(&ca, &["sbc1.example.net"], LeafUsage::Server);
    let other = leaf(&ca, &["sbc1.example.net"], LeafUsage::Server);
    let store = directory.store(&[("node", &first)]);
    let files = directory.files("node");
    let serial = store.resolve(None).unwrap().serial.clone();
    let refuse = |certificate: &str, key: &str| {
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let reload = store.reload();
        assert_eq!(reload.replaced, [""; 0]);
        assert_eq!(store.resolve(None).unwrap().serial, serial);
        assert_eq!(store.generation(), 0);
        let (name, error) = reload.failed.into_iter().next().expect("a failure");
        assert_eq!(name, "node");
        error
    };
    let half = &first.certificate[..first.certificate.len() / 2];
    let broken = refuse(half, &first.key);
    assert!(matches!(broken, IdentityError::BrokenPem { .. }));
    assert!(
        broken
            .to_string()
            .contains("the file ends before `-----END CERTIFICATE-----`"),
        "{broken}"
    );
    let mismatch = refuse(&other.certificate, &first.key);
    assert!(matches!(mismatch, IdentityError::KeyMismatch { .. }));
    assert!(mismatch.to_string().contains("node.key"), "{mismatch}");
    assert!(matches!(refuse("", &first.key), IdentityError::NoCertificate { .. }));
    assert!(matches!(refuse(&first.certificate, ""), IdentityError::NoKey { .. }));
    let old = leaf_valid(&ca, &["a.example"], LeafUsage::Server, now() - 9 * DAY, now() - DAY);
    assert!(matches!(
        refuse(&old.certificate, &old.key),
        IdentityError::Expired { .. }
    ));
    let early = leaf_valid(&ca, &["a.example"], LeafUsage::Server, now() + DAY, now() + 9 * DAY);
    assert!(matches!(
        refuse(&early.certificate, &early.key),
        IdentityError::NotYetValid { .. }
    ));
    let disordered = format!("{}{}", first.certificate, other.certificate);
    assert!(matches!(
        refuse(&disordered, &first.key),
        IdentityError::ChainBroken { .. }
    ));
    std::fs::remove_file(&files.certificate).unwrap();
    let reload = store.reload();
    assert!(matches!(&reload.failed[..], [(_, IdentityError::Unreadable { .. })]));
}

#[test]
fn generated_keys_are_rsa_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let store = directory.store(&[("node", &leaf(&authority(), &["a.example"], LeafUsage::ServerAndClient))]);
    let identity = store.resolve(None).unwrap();
    assert_eq!(identity.key_kind, KeyKind::Rsa { bits: 2048 });
    assert!(identity.server_usage && identity.client_usage);
    let mode = std::fs::metadata(directory.files("node").key)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A root, an intermediate below it, and a leaf that says where its issuer is published.
fn three_tiers() -> (String, String, PemPair) {
    use rcgen::*;
    let ca = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    };
    let (params, key) = ca("Root");
    let root = CertifiedIssuer::self_signed(params, key).unwrap();
    let (params, key) = ca("Intermediate");
    let intermediate = CertifiedIssuer::signed_by(params, key, &root).unwrap();
    let mut params = CertificateParams::new(vec!["sbc1.example.net".to_owned()]).unwrap();
    // SEQUENCE { SEQUENCE { id-ad-caIssuers, [6] "http://a" } }
    let mut access = vec![
        0x30, 0x16, 0x30, 0x14, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02, 0x86, 8,
    ];
    access.extend_from_slice(b"http://a");
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access));
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let leaf = params.signed_by(&key, &intermediate).unwrap();
    (
        root.pem(),
        intermediate.pem(),
        PemPair {
            certificate: leaf.pem(),
            key: key.serialize_pem(),
        },
    )
}

#[test]
fn intermediates_are_demanded_and_sent() {
    let directory = Directory::new();
    let (root, intermediate, leaf) = three_tiers();
    let files = directory.put("node", &leaf);
    let missing = IdentityStore::open(vec![files.clone()]).unwrap_err().remove(0);
    assert!(matches!(missing, IdentityError::MissingIntermediate { .. }));
    assert!(missing.to_string().contains("Intermediate"), "{missing}");

    let chain = PemPair {
        certificate: leaf.certificate + &intermediate,
        key: leaf.key,
    };
    let store = directory.store(&[("node", &chain)]);
    let roots = Arc::new(TrustRoots::from_pem(root.as_bytes(), "test").unwrap());
    let node = TlsProfile::new(store, ClientCertificates::Ignore, roots, "sbc1.example.net");
    assert_eq!(handshake(&node, &node, "sbc1.example.net").client, Ok(()));
}

#[test]
fn both_gcm_suites_of_teams_are_spoken_in_tls_1_2_by_either_side() {
    use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let directory = Directory::new();
    let ca = authority();
    let pair = leaf(&ca, &["sbc1.example.net"], LeafUsage::Server);
    let store = directory.store(&[("node", &pair)]);
    let node = TlsProfile::new(store, ClientCertificates::Ignore, roots(&ca), "sbc1.example.net");
    for suite in [
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ] {
        let mut provider = default_provider();
        provider.cipher_suites = vec![suite];
        let provider = Arc::new(provider);
        let mut trusted = rustls::RootCertStore::empty();
        trusted.add(der(&ca.root_pem())).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let (ours, evidence) = node.accept().unwrap();
        let shaken = shake(
            ours,
            evidence,
            Arc::new(client),
            Evidence::default(),
            "sbc1.example.net",
        );
        assert_eq!((shaken.server, shaken.client), (Ok(()), Ok(())));

        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (ours, evidence) = node.connect(node.presented(None)).unwrap();
        let shaken = shake(
            Arc::new(server),
            Evidence::default(),
            ours,
            evidence,
            "sbc1.example.net",
        );
        assert_eq!((shaken.server, shaken.client), (Ok(()), Ok(())));
    }
}

#[test]
fn teams_004_and_007_what_teams_refuses_of_a_certificate_is_known() {
    let issuer = authority();
    let objection = |pair: &PemPair| {
        let files = Directory::new().files("sbc");
        let (certificate, key) = (pair.certificate.as_bytes(), pair.key.as_bytes());
        let identity = Identity::from_pem(&files, certificate, key, Some(i64::try_from(now()).unwrap())).unwrap();
        identity.objection_of_teams()
    };
    for usage in [LeafUsage::Server, LeafUsage::ServerAndClient] {
        assert_eq!(objection(&leaf(&issuer, &["sbc1.example.net"], usage)), None);
    }
    let client = objection(&leaf(&issuer, &["sbc1.example.net"], LeafUsage::Client));
    assert!(client.is_some_and(|why| why.contains("serverAuth")), "{client:?}");
    let ecdsa = objection(&ecdsa("sbc1.example.net"));
    assert!(ecdsa.is_some_and(|why| why.contains("RSA")), "{ecdsa:?}");
}
