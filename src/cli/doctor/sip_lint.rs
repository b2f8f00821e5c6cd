//! The messages that this configuration makes, before Teams sees them: by the rules that the simulated hub enforces, and some
//! that only who knows both sides of a call can judge.

use super::finding::{Check, Group, Needs, Verdict};
use super::rehearsal::{Rehearsal, Said, Scene};
use super::world::World;
use crate::guard::options_to_hubs;
use crate::sdp::Session;
use crate::sim::{Inside, Violation, inspected, judged, said_of_ice, told_of_transfer, transfers};
use crate::sip::header::Reason;
use crate::sip::message::{HeaderName, Message};
use crate::sip::{Method, PeerCertificate};
use std::collections::HashSet;

pub const CHECKS: &[Check] = &[
    Group::SipLint.check("sip-lint.rehearsal", Needs::Files, rehearsal),
    Group::SipLint.check("sip-lint.options", Needs::Files, options),
    Group::SipLint.check("sip-lint.invite", Needs::Call, invite),
    Group::SipLint.check("sip-lint.call", Needs::Call, call),
    Group::SipLint.check("sip-lint.ack", Needs::Call, ack),
    Group::SipLint.check("sip-lint.hold", Needs::Call, hold),
    Group::SipLint.check("sip-lint.transfer", Needs::CallFromTeams, transfer),
    Group::SipLint.check("sip-lint.busy", Needs::CallToTeams, busy),
];

const FIX: &str = "portcullis makes this message by itself: report it with the output of `portcullis doctor --json`.";

fn rehearsal(world: &World) -> Vec<Verdict> {
    let of = |way: &str, rehearsal: &Result<Rehearsal, String>| {
        let why = rehearsal.as_ref().err()?;
        Some(Verdict::note(
            format!("calls {way} Teams were not rehearsed: {why}"),
            "Nothing, where no such calls are wanted.",
        ))
    };
    let both = [of("to", &world.to_teams), of("from", &world.from_teams)];
    both.into_iter().flatten().collect()
}

/// What a hub objects to in a request outside calls. Where no certificate can be used, or the trunk's can't, it is not asked whose name
/// it bears.
fn objections(world: &World, request: &Message, bypass: bool) -> Vec<Violation> {
    let contact = request.contact().ok().flatten();
    let trunk = contact.as_ref().map_or("", |contact| contact.uri().host());
    let certificate = certificate(world, trunk);
    let is_judged = certificate.is_some() && !world.waits_for(trunk);
    let mut found = judged(request, certificate.as_ref(), bypass);
    found.retain(|violation| is_judged || violation.rule != "trunk");
    found
}

/// The certificate that a hub sees on a connection for this trunk.
fn certificate(world: &World, trunk: &str) -> Option<PeerCertificate> {
    let (_, certificate) = world.shown_for(trunk)?;
    Some(PeerCertificate {
        common_name: certificate.common_name.clone(),
        dns_names: certificate.names.clone(),
        serial: certificate.serial.clone(),
        not_after: certificate.not_after,
    })
}

/// What to do about a breach of a rule of Teams.
fn cure(rule: &str) -> &'static str {
    match rule {
        "address" | "trunk" => {
            "Contact and Record-Route toward Teams name the trunk, never an address, and the certificate covers that name: see tls.names."
        }
        "direction" | "blackhole" => "Teams knows `a=inactive` alone as hold: see sip-lint.hold.",
        "media-moved" => "Teams ignores another address or port in a dialog: media would go to the old one.",
        "crypto-key" => "It is 40 characters of Base64 without padding: 30 octets of key and salt.",
        "payload-types" => "Each format needs a number of its own: Teams refuses such an offer.",
        "codec" => "Offer PCMU, PCMA, G722 or G729: `codecs` of the carrier.",
        "ice" => {
            "Teams takes one IPv4 host candidate, the address and port of `c=` and `m=`: `advertise` under [media] is what clients reach."
        }
        "ice-changed" => "183, 200 and everything after them say the same; Teams hangs up otherwise (531004).",
        "transfer-invite" | "referred-by" | "notify" => TRANSFER_FIX,
        "srtp" | "crypto" => "Teams wants SRTP with AES_CM_128_HMAC_SHA1_80; without it calls end with 488 (531000).",
        "100rel" => "Teams refuses it with 420.",
        "content-type" => "Teams takes application/sdp alone, and answers others with 415.",
        "route" | "request-uri" => {
            "Inside a call everything goes by Record-Route to the very Contact of Teams; an ACK that goes elsewhere costs the call after four \
             seconds."
        }
        _ => FIX,
    }
}

fn verdicts(said: &str, found: Vec<Violation>) -> impl Iterator<Item = Verdict> {
    found.into_iter().map(move |violation| {
        let evidence = format!("{said}: {}", violation.evidence);
        Verdict::fail(evidence, cure(violation.rule)).of_rule(violation.rule)
    })
}

/// Each evidence once: the same header stands in many messages.
fn once(verdicts: impl Iterator<Item = Verdict>) -> Vec<Verdict> {
    let mut seen = HashSet::new();
    verdicts
        .filter(|verdict| seen.insert((verdict.rule, verdict.evidence.clone())))
        .collect()
}

fn options(world: &World) -> Vec<Verdict> {
    let all = options_to_hubs(&world.config).into_iter().flat_map(|options| {
        let message = Message::parse(
            options
                .draft
                .to_bytes("SIP/2.0/TLS sbc.portcullis.invalid;branch=z9hG4bKdoctor"),
        );
        match message {
            Ok(message) => verdicts("OPTIONS", objections(world, &message, false)).collect::<Vec<_>>(),
            Err(error) => vec![Verdict::fail(format!("OPTIONS can't be read: {error}"), FIX)],
        }
    });
    once(all)
}

fn is_first_invite(said: &Said) -> bool {
    said.message.method() == Some(&Method::Invite) && said.message.to_tag().is_none()
}

fn invite(world: &World) -> Vec<Verdict> {
    let all = world.rehearsals().flat_map(|rehearsal| {
        let invites = rehearsal.to_teams().filter(|said| is_first_invite(said));
        let found = invites.flat_map(|said| {
            verdicts("INVITE", objections(world, &said.message, rehearsal.bypass)).collect::<Vec<_>>()
        });
        found.collect::<Vec<_>>()
    });
    once(all)
}

fn call(world: &World) -> Vec<Verdict> {
    let mut all = Vec::new();
    for rehearsal in world.rehearsals() {
        let mut media = None;
        let mut ice: Option<String> = None;
        let mut answered = false;
        for said in rehearsal.to_teams() {
            if !is_first_invite(said) && said.message.method() != Some(&Method::Cancel) {
                let inside = Inside {
                    contact: &rehearsal.teams.contact,
                    record_route: Some(&rehearsal.teams.route),
                    media,
                    bypass: rehearsal.bypass,
                    ice: ice.as_deref(),
                    answered,
                };
                let found = inspected(&said.message, inside);
                all.extend(verdicts(
                    &format!("{} when {}", named(&said.message), said.scene.text()),
                    found,
                ));
            }
            if is_first_invite(said) {
                (media, ice, answered) = (None, None, false);
            }
            let session = Session::parse(said.message.body()).ok();
            let audio = session.as_ref().and_then(Session::audio);
            media = media.or_else(|| audio.map(|audio| audio.rtp()));
            ice = ice.or_else(|| audio.map(|_| said_of_ice(said.message.body())));
            answered |= said.message.status() == Some(200) || said.message.method() == Some(&Method::Ack);
        }
    }
    once(all.into_iter())
}

fn named(message: &Message) -> String {
    match (message.method(), message.status()) {
        (Some(method), _) => method.to_string(),
        (None, status) => format!("{} to {}", status.unwrap_or(0), message.cseq_method()),
    }
}

fn ack(world: &World) -> Vec<Verdict> {
    let acks = world.rehearsals().flat_map(|rehearsal| {
        let acks = rehearsal
            .to_teams()
            .filter(|said| said.message.method() == Some(&Method::Ack));
        acks.map(|said| (said.next.as_deref(), rehearsal.teams.route_host.as_str()))
    });
    let wrong = acks.filter(|(next, wanted)| *next != Some(*wanted));
    let all = wrong.map(|(next, wanted)| {
        Verdict::fail(
            format!(
                "the ACK would go to {}, and Record-Route names {wanted}",
                next.unwrap_or("nowhere")
            ),
            "Teams hangs up about four seconds after the answer when no ACK comes; its Contact (port 443) takes no SIP.",
        )
    });
    once(all)
}

/// A carrier's hold reaches Teams as `inactive` or not at all, and its resume opens the side again (TEAMS-071, TEAMS-073).
fn hold(world: &World) -> Vec<Verdict> {
    let mut all = Vec::new();
    for rehearsal in world.rehearsals() {
        for said in rehearsal.to_teams().filter(|said| {
            matches!(
                said.scene,
                Scene::CarrierHolds | Scene::CarrierResumes | Scene::TeamsHolds
            )
        }) {
            let text = String::from_utf8_lossy(said.message.body()).into_owned();
            let line = |wanted: &str| text.lines().find(|line| line.trim_end() == wanted).map(str::to_owned);
            let wrong = line("a=sendonly")
                .or_else(|| line("a=recvonly"))
                .or_else(|| line("c=IN IP4 0.0.0.0"));
            let closed = (said.scene == Scene::CarrierResumes)
                .then(|| line("a=inactive"))
                .flatten();
            for bad in [wrong, closed].into_iter().flatten() {
                all.push(Verdict::fail(
                    format!("{} when {} says {bad}", named(&said.message), said.scene.text()),
                    "Toward Teams hold is `a=inactive` and its end `a=sendrecv`, with the same address and port; anything else costs the audio.",
                ));
            }
        }
    }
    once(all.into_iter())
}

const TRANSFER_FIX: &str = "Transfers fail or drop: the INVITE goes to the hub in Refer-To, its parameters and Referred-By word for word, and \
     NOTIFY tells how it goes. Report it; until then `refer = false` has Teams transfer by itself, but not where it bypasses media.";

/// With REFER in `Allow` Teams sends it, and wants 202, NOTIFY, and the INVITE word for word; without, it transfers by itself.
fn transfer(world: &World) -> Vec<Verdict> {
    let asked = world
        .rehearsals()
        .filter(|rehearsal| rehearsal.allows_refer && rehearsal.refers);
    once(asked.flat_map(|rehearsal| {
        let said = || rehearsal.of(Scene::TeamsRefers).filter(|said| said.to_teams);
        let status = said().find_map(|said| said.message.status());
        if status != Some(202) {
            let got = status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
            let evidence = format!("`Allow` lists REFER, and a REFER of Teams gets {got} instead of 202");
            return vec![Verdict::fail(evidence, TRANSFER_FIX)];
        }
        let mut found: Vec<Verdict> = Vec::new();
        let mut missing = |what: &str| found.push(Verdict::fail(what, TRANSFER_FIX));
        let invite = said().find(|said| is_first_invite(said));
        if invite.is_none() {
            missing("after a REFER no INVITE goes to Teams");
        }
        let told = || said().filter(|said| said.message.method() == Some(&Method::Notify));
        if told().next().is_none() {
            missing("a REFER is taken, and no NOTIFY tells how it goes");
        }
        let teams = &rehearsal.teams;
        let broken = invite.map(|said| transfers(&said.message, &teams.refer_to, Some(&teams.referred_by)));
        found.extend(verdicts("the INVITE after a REFER", broken.unwrap_or_default()));
        let broken = told().filter_map(|said| told_of_transfer(&said.message)).collect();
        found.extend(verdicts("the NOTIFY of a REFER", broken));
        found
    }))
}

/// Teams says 34 with 486; carriers would try another route (TEAMS-065).
fn busy(world: &World) -> Vec<Verdict> {
    let finals = world
        .rehearsals()
        .flat_map(|rehearsal| rehearsal.of(Scene::Busy).filter(|said| !said.to_teams));
    let causes = finals.flat_map(|said| said.message.headers(HeaderName::Reason).collect::<Vec<_>>());
    let wrong = causes.filter(|value| value.parse::<Reason>().is_ok_and(|reason| reason.cause == Some(34)));
    let all = wrong.map(|value| {
        Verdict::fail(
            format!("a carrier is told of a busy user with {value}"),
            "Cause 34 means \"no circuit\": carriers try again, and the user sees missed calls. It has to be 17.",
        )
    });
    once(all)
}
