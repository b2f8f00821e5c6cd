//! Certificates, keys, suites, trust: what Teams sees of us, and whom we believe.

use super::finding::{Check, Group, Needs, Verdict};
use super::peers::by_hub;
use super::world::{Certificate, Chain, UnusableKind, World};
use crate::config::ClientCertificate;
use crate::net::tls::{KeyKind, Offered, PeerRejected, ROOTS_OF_TEAMS, covers};
use crate::observe::rfc3339;

pub const CHECKS: &[Check] = &[
    Group::Tls.check("tls.files", Needs::Files, files),
    Group::Tls.check("tls.expired", Needs::Files, expired),
    Group::Tls.check("tls.expiry", Needs::Files, expiry),
    Group::Tls.check("tls.chain", Needs::Files, chain),
    Group::Tls.check("tls.root", Needs::Files, root),
    Group::Tls.check("tls.key-kind", Needs::Files, key_kind),
    Group::Tls.check("tls.suites", Needs::Handshakes, suites),
    Group::Tls.check("tls.usage", Needs::Files, usage),
    Group::Tls.check("tls.names", Needs::Files, names),
    Group::Tls.check("tls.wildcard", Needs::Files, wildcard),
    Group::Tls.check("tls.common-name", Needs::Files, common_name),
    Group::Tls.check("tls.trust", Needs::Files, trust),
    Group::Tls.check("tls.server-only-client", Needs::Connection, server_only_client),
    Group::Tls.check("tls.client-certificate", Needs::Files, client_certificate),
    Group::Tls.check("tls.hub", Needs::Network, hub),
    Group::Tls.check("tls.test-name", Needs::TestName, test_name),
    Group::Tls.check("tls.stale", Needs::Node, stale),
    Group::Tls.check("tls.old-connections", Needs::Node, old_connections),
];

const DAY: i64 = 86_400;
/// Microsoft's own dashboard warns from then on (TEAMS-013).
const SOON: i64 = 30 * DAY;
const URGENT: i64 = 7 * DAY;
/// Connections of ours are renewed well before an hour (TEAMS-017).
const OLD: u64 = 3_900;

fn unusable(world: &World, kind: UnusableKind) -> impl Iterator<Item = &str> {
    world.certificates.iter().filter_map(move |file| {
        let unusable = file.certificate.as_ref().err()?;
        (unusable.kind == kind).then_some(unusable.why.as_str())
    })
}

fn files(world: &World) -> Vec<Verdict> {
    let mut found: Vec<Verdict> = unusable(world, UnusableKind::Other)
        .map(|why| {
            Verdict::fail(
                why,
                "Without it `portcullis run` does not start; `portcullis check` shows the place.",
            )
        })
        .collect();
    if world.certificates.is_empty() {
        found.push(Verdict::fail(
            "the Teams listener has no certificate",
            "Name one under `certificates` of the listener.",
        ));
    }
    found
}

fn expired(world: &World) -> Vec<Verdict> {
    const FIX: &str =
        "Renew it; Teams gives up with code 569008. New files are taken within a minute, connections renewed.";
    let now = world.now;
    let over = world.usable().filter(|(_, certificate)| certificate.not_after < now);
    let over = over.map(|(path, certificate)| {
        let end = date(certificate.not_after);
        Verdict::fail(format!("the certificate in {path} ended on {end}"), FIX)
    });
    let unusable = unusable(world, UnusableKind::Expired).map(|why| Verdict::fail(why, FIX));
    over.chain(unusable).collect()
}

fn expiry(world: &World) -> Vec<Verdict> {
    let left = |certificate: &Certificate| certificate.not_after - world.now;
    let soon = world
        .usable()
        .filter(|(_, certificate)| (0..SOON).contains(&left(certificate)));
    let verdict = |(path, certificate): (&str, &Certificate)| {
        let days = left(certificate) / DAY;
        let evidence = format!(
            "the certificate in {path} (serial {}) ends on {}, in {days} days",
            certificate.serial,
            date(certificate.not_after)
        );
        let fix = "Renew it now, with an RSA key and all intermediates in the file.";
        match left(certificate) < URGENT {
            _ if world.is_laboratory() => Verdict::note(evidence, fix),
            true => Verdict::fail(evidence, fix),
            false => Verdict::warn(evidence, fix),
        }
    };
    soon.map(verdict).collect()
}

/// One certificate, that is no root, and nobody whom a peer knows has issued it.
fn lacks_its_issuer(certificate: &Certificate) -> bool {
    let unknown = matches!(&certificate.chain, Chain::Broken { label, .. } if *label == "unknown_issuer");
    unknown && certificate.length == 1 && !certificate.ends_in_its_own_issuer
}

fn chain(world: &World) -> Vec<Verdict> {
    const FIX: &str = "Append the certificate of the issuer (your CA's \"intermediate\" or \"chain\" file) behind the leaf. \
                       Browsers fetch it by themselves, Teams does not. Where the issuer is a CA of your own, as that of \
                       `certs dev` is, nothing helps but a certificate of a public one: Teams knows no others.";
    let broken = unusable(world, UnusableKind::Chain).map(|why| Verdict::fail(why, FIX));
    let alone = world.usable().filter(|(_, certificate)| lacks_its_issuer(certificate));
    let alone = alone.map(|(path, certificate)| {
        let evidence = format!(
            "{path} holds the leaf alone, and its issuer {} is no root that Teams knows",
            certificate.issuer
        );
        Verdict::fail(evidence, FIX)
    });
    broken.chain(alone).collect()
}

fn root(world: &World) -> Vec<Verdict> {
    let verdict = |(path, certificate): (&str, &Certificate)| match &certificate.chain {
        Chain::Leads { .. } => of_the_cloud(world, path, certificate),
        Chain::NotTried { why } => Some(Verdict::note(
            format!("whether {path} leads to a root was not tried: {why}"),
            "Install the package ca-certificates, and look again.",
        )),
        Chain::Broken { .. } if certificate.not_after < world.now => None,
        Chain::Broken { .. } if lacks_its_issuer(certificate) => Some(Verdict::note(
            format!("whether {path} leads to a root can't be seen: the certificate of its issuer is missing"),
            "Append that: see tls.chain.",
        )),
        Chain::Broken {
            label: "wrong_usage", ..
        } => Some(Verdict::note(
            format!("whether {path} leads to a root can't be seen: it may not be used by a TLS server"),
            "Order one for a server: see tls.usage.",
        )),
        Chain::Broken { why, .. } => Some(Verdict::fail(
            format!("{path}: {why}"),
            "Use a certificate of a public CA in Microsoft's Trusted Root Program; self-signed ones and private CAs are refused \
             (code 569009).",
        )),
    };
    world.usable().filter_map(verdict).collect()
}

/// In the clouds of the government Microsoft names the roots, and they are few.
fn of_the_cloud(world: &World, path: &str, certificate: &Certificate) -> Option<Verdict> {
    let cloud = world.config.sbc.teams.cloud;
    let authorities = cloud.authorities()?;
    let issuer = certificate.last_issuer.as_deref().unwrap_or("nobody with a name");
    if authorities.contains(&issuer) || world.is_laboratory() {
        return None;
    }
    Some(Verdict::warn(
        format!(
            "{path} leads to {issuer}, and in the cloud {} Microsoft names no other roots than {}",
            cloud.name(),
            authorities.join(" and ")
        ),
        "Order one below these, or ask Microsoft whether this one is taken by now: else connections end as with a private CA (code \
         569009).",
    ))
}

fn key_kind(world: &World) -> Vec<Verdict> {
    let verdict = |(path, certificate): (&str, &Certificate)| {
        let kind = match certificate.key {
            KeyKind::Rsa { .. } => return None,
            KeyKind::Ecdsa => "an ECDSA key",
            KeyKind::Other => "a key that is not RSA",
        };
        Some(Verdict::fail(
            format!(
                "{path} has {kind}; all suites of Teams need RSA, and the handshake ends with \"no shared cipher\""
            ),
            "Order the certificate again with an RSA key of 2048 bits or more (certbot: --key-type rsa).",
        ))
    };
    world.usable().filter_map(verdict).collect()
}

fn suites(world: &World) -> Vec<Verdict> {
    let failed = world.handshakes.iter().filter_map(|handshake| {
        let why = handshake.outcome.as_ref().err()?;
        let evidence = format!(
            "a client that asks for {} and offers {} alone gets no connection: {why}",
            handshake.trunk,
            handshake.offered.text()
        );
        Some(match handshake.offered {
            Offered::Aes256Gcm | Offered::Aes128Gcm => Verdict::fail(
                evidence,
                "Teams speaks TLS 1.2 with ECDHE-RSA suites: the certificate needs an RSA key.",
            ),
            Offered::Tls13 => Verdict::note(evidence, "Teams does not need TLS 1.3."),
        })
    });
    failed.collect()
}

fn usage(world: &World) -> Vec<Verdict> {
    let verdict = |(path, certificate): (&str, &Certificate)| match (certificate.server_usage, certificate.client_usage)
    {
        (false, _) => Some(Verdict::fail(
            format!("{path} may not be used by a TLS server: serverAuth is not among its usages"),
            "Order one for a server.",
        )),
        (true, false) => Some(Verdict::note(
            format!("{path} is for serverAuth alone, without clientAuth"),
            "Nothing: Microsoft takes both kinds, and public CAs issue no others any more.",
        )),
        (true, true) => None,
    };
    world.usable().filter_map(verdict).collect()
}

/// A wildcard that looks as if it covered the name: it stands for exactly one label (TEAMS-011).
fn misleading<'a>(world: &'a World, trunk: &str) -> Option<&'a str> {
    let mut patterns = world.usable().flat_map(|(_, certificate)| &certificate.names);
    let is_near = |pattern: &&String| {
        let base = pattern.strip_prefix("*.");
        base.is_some_and(|base| {
            let trunk = trunk.to_ascii_lowercase();
            let rest = trunk.strip_suffix(&base.to_ascii_lowercase());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    patterns.find(is_near).map(String::as_str)
}

fn uncovered(world: &World) -> Vec<&str> {
    let mut trunks = world.trunks();
    trunks.retain(|trunk| {
        let shown = world.shown_for(trunk);
        let is_covered = |certificate: &Certificate| certificate.names.iter().any(|name| covers(name, trunk));
        shown.is_some_and(|(_, certificate)| !is_covered(certificate)) && !world.waits_for(trunk)
    });
    trunks
}

fn names(world: &World) -> Vec<Verdict> {
    let verdict = |trunk: &str| {
        let shown = world.shown_for(trunk).map_or("none", |(path, _)| path);
        let all: Vec<String> = world
            .usable()
            .map(|(path, certificate)| {
                let common = certificate.common_name.as_deref().unwrap_or("none");
                format!("{path}: CN {common}, names {}", certificate.names.join(", "))
            })
            .collect();
        Verdict::fail(
            format!(
                "Contact: <sip:…@{trunk}:…>, and no certificate is for {trunk}; {shown} is shown. {}",
                all.join("; ")
            ),
            "Get a certificate with this name: the base name and its wildcard cover all derived trunks, and a trunk name of a tenant's own \
             may stand in a certificate of its own, beside the first in `certificates`. Teams refuses such calls with 403, \"Provided \
             Trunk FQDN is not allowed\".",
        )
    };
    let plain = uncovered(world)
        .into_iter()
        .filter(|trunk| misleading(world, trunk).is_none());
    plain.map(verdict).collect()
}

fn wildcard(world: &World) -> Vec<Verdict> {
    let verdict = |trunk: &str| {
        let pattern = misleading(world, trunk)?;
        let base = pattern.trim_start_matches("*.");
        let why = match trunk.eq_ignore_ascii_case(base) {
            true => format!("{pattern} does not cover {base} itself"),
            false => format!("{pattern} stands for one label, and {trunk} has more of them in front of {base}"),
        };
        Some(Verdict::fail(
            format!("no certificate is for {trunk}: {why}"),
            format!(
                "Get a certificate that names {trunk}, or give the trunk a name with one label in front of {base}."
            ),
        ))
    };
    uncovered(world).into_iter().filter_map(verdict).collect()
}

fn common_name(world: &World) -> Vec<Verdict> {
    let without = world
        .usable()
        .filter(|(_, certificate)| certificate.common_name.is_none());
    let verdict = |(path, _): (&str, &Certificate)| {
        Verdict::warn(
            format!("{path} has no common name"),
            "Some of Teams' proxies were seen to refuse those: put the base name in the common name and in the alternative names.",
        )
    };
    without.map(verdict).collect()
}

fn trust(world: &World) -> Vec<Verdict> {
    let roots = match &world.trust.roots {
        Ok(roots) => roots,
        Err(why) => {
            return vec![Verdict::fail(
                why.as_str(),
                "Let `roots` under [teams] be \"teams\", or name a PEM file.",
            )];
        }
    };
    let lacking = ROOTS_OF_TEAMS
        .iter()
        .filter(|(_, sha1)| !roots.iter().any(|known| known == sha1));
    let lacking: Vec<String> = lacking.map(|(name, sha1)| format!("{name} ({sha1})")).collect();
    if lacking.is_empty() {
        return Vec::new();
    }
    let evidence = format!(
        "the roots of {} lack {} of the seven that Microsoft's certificates chain to: {}",
        world.trust.origin,
        lacking.len(),
        lacking.join(", ")
    );
    let fix = "Take `roots` out of [teams]: the seven are built in.";
    match world.is_laboratory() {
        true => vec![Verdict::note(evidence, "Nothing in a laboratory.")],
        false => vec![Verdict::fail(evidence, fix)],
    }
}

fn server_only_client(world: &World) -> Vec<Verdict> {
    let failed = world.server_only_client.as_ref().err();
    let verdict = failed.map(|why| {
        Verdict::fail(
            format!(
                "a hub whose certificate is for serverAuth alone, as Teams' are since 2026, does not get in: {why}"
            ),
            "This is a defect of portcullis, or of its build: report it.",
        )
    });
    verdict.into_iter().collect()
}

fn client_certificate(world: &World) -> Vec<Verdict> {
    match world.config.sbc.teams.client_certificate {
        ClientCertificate::Require => Vec::new(),
        ClientCertificate::Request => vec![Verdict::warn(
            "`client_certificate = \"request\"`: who has no certificate is believed by its address alone",
            "Set it to \"require\" unless Teams' connections are really refused.",
        )],
        ClientCertificate::None => vec![Verdict::warn(
            "`client_certificate = \"none\"`: whoever speaks from the published addresses is taken for Teams",
            "Set it to \"require\".",
        )],
    }
}

fn hub(world: &World) -> Vec<Verdict> {
    let Some(online) = &world.online else { return Vec::new() };
    let verdict = |peer: &str, label: &str, why: &str| match label {
        "alert" | "broken" => Some(Verdict::fail(
            format!("{peer} does not like our certificate or our TLS: {why}"),
            "Self-signed, a CA outside Microsoft's program, a missing intermediate, or an end that has passed: see tls.root, tls.chain, \
             tls.expired.",
        )),
        label if PeerRejected::LABELS.contains(&label) => Some(Verdict::fail(
            format!("{peer} shows a certificate that we do not believe: {why}"),
            "Is something between that opens TLS? Else see tls.trust, and this machine's clock.",
        )),
        "timeout" => Some(Verdict::fail(
            format!("{peer} takes the connection and lets the TLS handshake hang: {why}"),
            "Something between swallows it: a firewall that inspects or opens TLS (let it pass Teams' ranges unopened), a proxy that takes \
             connections in the hub's place, or a path that drops large packets, as a certificate chain fills (MTU: compare `ping -M do -s \
             1472`, and let ICMP \"fragmentation needed\" through).",
        )),
        "protocol" => Some(Verdict::fail(
            format!("{peer} speaks no TLS with us: {why}"),
            "Is something between that answers in its place?",
        )),
        _ => None,
    };
    let failed = online.hubs.iter().filter_map(|hub| {
        let (label, why) = hub.connected.as_ref().err()?;
        Some((hub.peer.as_str(), label, (label, why)))
    });
    let by_hub = by_hub(failed).into_iter();
    let own = world.config.sbc.teams.base.as_str();
    by_hub
        .filter_map(|at| verdict(&at.named(own), at.seen.0, at.seen.1))
        .collect()
}

/// No call goes there, and less is promised of it than of hubs: nothing that is wrong with it alone fails a call yet.
fn test_name(world: &World) -> Vec<Verdict> {
    const NEXT: &str = "It shows what hubs come to show: mend it before they do.";
    let Some(seen) = world.online.as_ref().and_then(|online| online.test_name.as_ref()) else {
        return Vec::new();
    };
    let name = &seen.peer;
    let not_reached = |why: &str| {
        Verdict::note(
            format!("{name}, Microsoft's name for tests, is not reached: {why}"),
            "Nothing, where hubs are reached: of this name less uptime is promised. Look again later.",
        )
    };
    let verdict = match (&seen.addresses, &seen.connected, &seen.answer) {
        (Err(why), ..) => not_reached(why),
        (_, Err((label, why)), _) => match label.as_str() {
            "alert" | "broken" | "protocol" => Verdict::warn(
                format!("{name}, Microsoft's name for tests, does not like our certificate or our TLS: {why}"),
                format!("{NEXT} See tls.root, tls.chain, tls.key-kind, tls.expired."),
            ),
            "wrong_name" => Verdict::note(
                format!("{name}, Microsoft's name for tests, shows a certificate for other names: {why}"),
                "Nothing, where the hubs' own are believed.",
            ),
            label if PeerRejected::LABELS.contains(&label) => Verdict::warn(
                format!("{name}, Microsoft's name for tests, shows a certificate that we do not believe: {why}"),
                format!("{NEXT} See tls.trust, and this machine's clock."),
            ),
            _ => not_reached(why),
        },
        (_, Ok(tls), Err(why)) => Verdict::note(
            format!(
                "{name}, Microsoft's name for tests, takes our certificate over {tls} and answers no OPTIONS: {why}"
            ),
            "Nothing, where hubs answer: see options.answer.",
        ),
        (_, Ok(tls), Ok(answer)) if !(200..300).contains(&answer.status) => Verdict::note(
            format!(
                "{name}, Microsoft's name for tests, takes our certificate over {tls} and answers OPTIONS with {}",
                answer.status
            ),
            "Nothing, where hubs answer: see options.answer.",
        ),
        (_, Ok(_), Ok(_)) => return Vec::new(),
    };
    vec![verdict]
}

fn stale(world: &World) -> Vec<Verdict> {
    let Some(Ok(node)) = world.online.as_ref().map(|online| online.node.as_ref()) else {
        return Vec::new();
    };
    let shown = |path: &str| node.certificates.iter().find(|seen| seen.name == path);
    let is_shown = |serial: &str| node.certificates.iter().any(|seen| seen.serial == serial);
    let differing = world.usable().filter_map(|(path, certificate)| {
        let seen = shown(path)?;
        (seen.serial != certificate.serial).then_some((path, certificate, seen))
    });
    // The configuration may name a file that the node has not read yet.
    let unknown = world.usable().filter(|(path, certificate)| {
        !node.certificates.is_empty() && shown(path).is_none() && !is_shown(&certificate.serial)
    });
    let unread = unknown.map(|(path, certificate)| {
        Verdict::fail(
            format!(
                "{path} holds serial {}, and the running node shows no such certificate",
                certificate.serial
            ),
            "It has not taken this configuration: look at its log for why not, or send it SIGHUP.",
        )
    });
    let verdict = |(path, certificate, seen): (&str, &Certificate, &super::world::CertificateSeen)| {
        Verdict::fail(
            format!(
                "{path} holds serial {}, and the running node still shows serial {}, which ends {}",
                certificate.serial, seen.serial, seen.not_after
            ),
            "The node takes new files within a minute: look at its log for why not, or send it SIGHUP.",
        )
    };
    differing.map(verdict).chain(unread).collect()
}

fn old_connections(world: &World) -> Vec<Verdict> {
    let Some(Ok(node)) = world.online.as_ref().map(|online| online.node.as_ref()) else {
        return Vec::new();
    };
    let listener = world.config.sbc.listener(world.config.sbc.teams.listener);
    let is_teams = |name: &str| listener.is_some_and(|listener| listener.name.as_str() == name);
    let ours = node
        .connections
        .iter()
        .filter(|connection| connection.opener == "us" && is_teams(&connection.listener) && !connection.draining);
    let is_shown = |serial: &str| node.certificates.iter().any(|seen| seen.serial == serial);
    let verdict = |connection: &super::world::ConnectionSeen| {
        let peer = connection.peer.as_deref().unwrap_or("unknown");
        let of_once = connection.certificate.as_deref().filter(|serial| !is_shown(serial));
        match (of_once, connection.open_seconds > OLD) {
            (Some(serial), _) if !node.certificates.is_empty() => Some(Verdict::warn(
                format!(
                    "the connection to {} ({peer}) carries our certificate with serial {serial}, which the node shows no more",
                    connection.remote
                ),
                "They are renewed as soon as the node has taken a new file: look again in a minute, and at its log for why the new one can't \
                 be opened.",
            )),
            (_, true) => Some(Verdict::warn(
                format!(
                    "the connection to {} ({peer}) is {} minutes old, and carries the certificate of then",
                    connection.remote,
                    connection.open_seconds / 60
                ),
                "They are renewed when they are next used after 50 minutes: one that is never used belongs to no hub in use.",
            )),
            (_, false) => None,
        }
    };
    ours.filter_map(verdict).collect()
}

fn date(seconds: i64) -> String {
    rfc3339(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}
