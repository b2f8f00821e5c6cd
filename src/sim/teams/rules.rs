//! What Teams demands of a session border controller's messages (facts of Direct Routing, rules TEAMS-…). Pure.

use crate::net::tls::covers;
use crate::sdp::{Direction, Protocol, Session};
use crate::sim::persona::{Judgement, Known, within_brackets};
use crate::sim::violation::Violation;
use crate::sip::{HeaderName, Message, Method, PeerCertificate, ResponseDraft, Scheme, Uri};

/// What Teams' Allow lists.
pub(super) const ALLOW: &str = "INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY";
/// The shortest session interval that is taken, in seconds.
const MIN_SE: u64 = 90;

/// Judges a request outside dialogs, as Teams does before anything rings.
pub(super) fn judge(request: &Message, certificate: Option<&PeerCertificate>) -> Judgement {
    let mut verdict = Verdict::default();
    let method = request.method().cloned().unwrap_or(Method::Options);
    if !matches!(method, Method::Invite | Method::Options | Method::Notify) {
        verdict.breach("method", format!("{method} is not in Allow: {ALLOW}"));
        verdict.refuse(ResponseDraft::new(405));
        return verdict.0;
    }
    verdict.0.violations.extend(everywhere(request));
    trunk(request, certificate, &mut verdict);
    if method == Method::Invite {
        extensions(request, &mut verdict);
        numbers(request, &mut verdict);
        offer(request, &mut verdict);
    }
    verdict.0
}

/// What is wrong with a message inside a call.
pub(super) fn inspect(message: &Message, known: &Known) -> Vec<Violation> {
    let mut found = everywhere(message);
    let answers_invite = message.is_response() && message.cseq_method() == &Method::Invite;
    let needs_contact = message.method() == Some(&Method::Invite)
        || (answers_invite && message.status().is_some_and(|status| (101..300).contains(&status)));
    if needs_contact && contact_host(message).is_none() {
        found.push(Violation::new("contact", "no Contact that can be read"));
    }
    if let Some(method) = message.method()
        && message.to_tag().is_some()
    {
        found.extend(routing(method, message, known));
    }
    if answers_invite
        && let Some(route) = &known.face.record_route
        && message.to_tag().is_some()
        && message.status().is_some_and(|status| (180..300).contains(&status))
        && !known.answered
        && !message.headers(HeaderName::RecordRoute).any(|value| value == route)
    {
        found.push(Violation::new(
            "record-route",
            "the response does not repeat Record-Route",
        ));
    }
    if !message.body().is_empty() {
        found.extend(description(message.body(), known));
    }
    found
}

/// In-dialog requests take Contact as Request-URI, byte for byte, and go by Record-Route (TEAMS-033, TEAMS-034).
fn routing(method: &Method, request: &Message, known: &Known) -> Vec<Violation> {
    let mut found = Vec::new();
    let uri = request.request_uri().unwrap_or_default();
    if uri != known.face.contact_uri() {
        let wanted = known.face.contact_uri();
        found.push(Violation::new(
            "request-uri",
            format!("{method} to {uri}, Contact is {wanted}"),
        ));
    }
    if let Some(route) = &known.face.record_route {
        let given: Vec<&str> = request.headers(HeaderName::Route).collect();
        if given != [route.as_str()] {
            found.push(Violation::new(
                "route",
                format!("{method} with Route {given:?}, Record-Route is {route}"),
            ));
        }
    }
    found
}

/// What may stand in no message at all.
fn everywhere(message: &Message) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in [HeaderName::Contact, HeaderName::RecordRoute] {
        let own = message.is_request() || name == HeaderName::Contact;
        for address in message.addresses(name).flatten().filter(|_| own) {
            let uri = address.uri();
            if uri.host_ip().is_some() {
                found.push(Violation::new(
                    "address",
                    format!("{} is {}", name.as_str(), uri.as_str()),
                ));
            }
        }
    }
    let targets = [message.request_uri(), message.header(HeaderName::Contact)];
    for target in targets.into_iter().flatten() {
        if Uri::parse(within_brackets(target)).is_ok_and(|uri| uri.scheme() == Scheme::Sips) {
            found.push(Violation::new("sips", target));
        }
    }
    let requires: Vec<&str> = message.headers(HeaderName::Require).collect();
    if requires.iter().any(|option| option.eq_ignore_ascii_case("100rel")) {
        found.push(Violation::new("100rel", "Require: 100rel"));
    }
    if message.header(HeaderName::Replaces).is_some() {
        found.push(Violation::new("replaces", "a Replaces header toward Teams"));
    }
    found
}

/// The first Contact names a trunk that the connection's certificate covers (section 4.1).
fn trunk(request: &Message, certificate: Option<&PeerCertificate>, verdict: &mut Verdict) {
    let Some(host) = contact_host(request) else {
        verdict.breach("contact", "no Contact that can be read");
        return verdict.refuse(ResponseDraft::new(400));
    };
    let names: Vec<&str> = certificate.map_or_else(Vec::new, |certificate| {
        let common = certificate.common_name.iter();
        common.chain(&certificate.dns_names).map(String::as_str).collect()
    });
    let is_address = Uri::sip(None, &host, None).is_ok_and(|uri| uri.host_ip().is_some());
    if is_address || !names.iter().any(|name| covers(name, &host)) {
        let allowed = names.join(", ");
        let text =
            format!("Provided Trunk FQDN '{host}' is not allowed. Connection allows following fqdns: {allowed}.");
        verdict.breach("trunk", format!("Contact host {host} is not covered by {allowed}"));
        verdict.refuse(refusal(403, 63, &text));
    }
}

fn extensions(invite: &Message, verdict: &mut Verdict) {
    if invite.lists(HeaderName::Require, "100rel") {
        let draft = refusal(420, 111, "Bad Extension").header(HeaderName::Unsupported, "100rel");
        verdict.refuse(draft);
    }
    if invite.header(HeaderName::Replaces).is_some() {
        verdict.refuse(refusal(403, 21, "Replaces is not allowed"));
    }
    let interval = invite.header(HeaderName::SessionExpires).and_then(|value| {
        let seconds = value.split(';').next()?;
        seconds.trim().parse::<u64>().ok()
    });
    if interval.is_some_and(|seconds| seconds < MIN_SE) {
        let draft = refusal(422, 102, "Session Interval Too Small").header(HeaderName::MinSe, MIN_SE.to_string());
        verdict.refuse(draft);
    }
}

/// Numbers are E.164 with `+` and say that they are numbers (TEAMS-039, TEAMS-040).
fn numbers(invite: &Message, verdict: &mut Verdict) {
    let Some(uri) = invite.uri() else { return };
    let user = uri.user().unwrap_or_default();
    if !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit()) && user.len() > 6 {
        verdict.breach("e164", format!("Request-URI user {user} has no +"));
    }
    if user.starts_with('+') && uri.param("user") != Some("phone") {
        verdict.breach("user-phone", format!("{} without user=phone", uri.as_str()));
    }
}

fn offer(invite: &Message, verdict: &mut Verdict) {
    if invite.body().is_empty() {
        verdict.breach("offer", "an INVITE without a description");
        return verdict.refuse(refusal(488, 88, "No offer"));
    }
    let content_type = invite.header(HeaderName::ContentType).unwrap_or_default();
    if !content_type.eq_ignore_ascii_case("application/sdp") {
        verdict.breach("content-type", content_type);
        return verdict.refuse(refusal(415, 79, "Unsupported media type"));
    }
    let Ok(session) = Session::parse(invite.body()) else {
        verdict.breach("offer", "the description cannot be read");
        return verdict.refuse(refusal(488, 88, "Invalid description"));
    };
    let Some(audio) = session.audio() else {
        verdict.breach("offer", "no audio");
        return verdict.refuse(refusal(488, 88, "No audio"));
    };
    if !matches!(audio.protocol, Protocol::RtpSavp | Protocol::UdpTlsRtpSavp) {
        verdict.breach("srtp", audio.protocol.as_str());
        verdict.refuse(refusal(488, 88, "InternalDiagCode: SrtpEncryptionRequired"));
    } else if !audio.crypto.iter().any(|line| line.suite == "AES_CM_128_HMAC_SHA1_80") {
        verdict.breach("crypto", "no AES_CM_128_HMAC_SHA1_80");
        verdict.refuse(refusal(488, 88, "No crypto suite in common"));
    }
}

/// Hold is `inactive` only, and the media address stays for the whole dialog (TEAMS-071, TEAMS-073).
fn description(body: &[u8], known: &Known) -> Vec<Violation> {
    let Ok(session) = Session::parse(body) else {
        return vec![Violation::new("description", "cannot be read")];
    };
    let Some(audio) = session.audio() else {
        return vec![Violation::new("description", "no audio stream with a port")];
    };
    let mut found = Vec::new();
    if matches!(audio.direction, Direction::SendOnly | Direction::RecvOnly) {
        found.push(Violation::new("direction", format!("a={}", audio.direction.as_str())));
    }
    if audio.address.is_unspecified() {
        found.push(Violation::new("blackhole", "c=IN IP4 0.0.0.0"));
    }
    if !audio.protocol.is_secure() {
        found.push(Violation::new("srtp", audio.protocol.as_str()));
    }
    if let Some(first) = known.media
        && first != audio.rtp()
    {
        found.push(Violation::new(
            "media-moved",
            format!("from {first} to {}", audio.rtp()),
        ));
    }
    found
}

fn contact_host(message: &Message) -> Option<String> {
    let contact = message.contact().ok().flatten()?;
    Some(contact.uri().host().to_owned())
}

/// Teams' way of refusing: the GUID, then the phrase (TEAMS-066).
fn refusal(status: u16, cause: u16, phrase: &str) -> ResponseDraft {
    let reason = format!("Q.850;cause={cause};text=\"{};{phrase}\"", super::guid());
    ResponseDraft::new(status).header(HeaderName::Reason, reason)
}

#[derive(Default)]
struct Verdict(Judgement);

impl Verdict {
    fn breach(&mut self, rule: &'static str, evidence: impl Into<String>) {
        self.0.violations.push(Violation::new(rule, evidence));
    }

    /// The first refusal is the one that is sent.
    fn refuse(&mut self, draft: ResponseDraft) {
        self.0.refusal.get_or_insert(draft);
    }
}
