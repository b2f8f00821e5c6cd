//! Requests outside dialogs, as Teams judges them before anything rings.

use super::everywhere::{everywhere, is_bare_number, marked_as_numbers, unsupported};
use super::{ALLOW, contact_host, media, refusal};
use crate::net::tls::covers;
use crate::sdp::{Protocol, Session};
use crate::sim::persona::Judgement;
use crate::sim::violation::Violation;
use crate::sip::{HeaderName, Message, Method, PeerCertificate, ResponseDraft, Uri};

/// A shorter session interval is refused, in seconds (RFC 4028).
const REFUSED_UNDER: u64 = 90;
/// Less is never to be proposed, in seconds (TEAMS-075).
const MIN_SE: u64 = 300;

/// Judges a request outside dialogs, as Teams does before anything rings; `bypass`: the trunk has media bypass.
pub(in crate::sim::teams) fn judge(
    request: &Message,
    certificate: Option<&PeerCertificate>,
    bypass: bool,
) -> Judgement {
    let mut verdict = Verdict::default();
    let method = request.method().cloned().unwrap_or(Method::Options);
    if !matches!(method, Method::Invite | Method::Options | Method::Notify) {
        verdict.breach("method", format!("{method} is not in Allow: {ALLOW}"));
        verdict.refuse(ResponseDraft::new(405));
        return verdict.0;
    }
    verdict.0.violations.extend(everywhere(request));
    trunk(request, certificate, &mut verdict);
    if method == Method::Options {
        ping(request, &mut verdict);
    }
    if method == Method::Invite {
        extensions(request, &mut verdict);
        numbers(request, &mut verdict);
        offer(request, bypass, &mut verdict);
    }
    verdict.0
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
        // The common name mostly stands among the others, too; Teams' own text has it twice.
        let mut each: Vec<&str> = Vec::new();
        for name in names {
            if !each.contains(&name) {
                each.push(name);
            }
        }
        let evidence = format!("Contact host {host} is not covered by {}", each.join(", "));
        verdict.breach("trunk", evidence);
        verdict.refuse(refusal(403, 63, &text));
    }
}

fn extensions(invite: &Message, verdict: &mut Verdict) {
    if invite.lists(HeaderName::Require, "100rel") {
        let draft = refusal(420, 111, "Bad Extension").header(HeaderName::Unsupported, "100rel");
        verdict.refuse(draft);
    }
    let others: Vec<&str> = unsupported(invite).collect();
    if !others.is_empty() {
        let draft = refusal(420, 111, "Bad Extension").header(HeaderName::Unsupported, others.join(", "));
        verdict.refuse(draft);
    }
    if invite.header(HeaderName::Replaces).is_some() {
        verdict.refuse(refusal(403, 21, "Replaces is not allowed"));
    }
    let interval = seconds_of(invite, HeaderName::SessionExpires);
    if interval.is_some_and(|seconds| seconds < REFUSED_UNDER) {
        let draft = refusal(422, 102, "Session Interval Too Small").header(HeaderName::MinSe, MIN_SE.to_string());
        verdict.refuse(draft);
    }
    for (name, rule) in [
        (HeaderName::SessionExpires, "session-interval"),
        (HeaderName::MinSe, "min-se"),
    ] {
        if seconds_of(invite, name).is_some_and(|seconds| seconds < MIN_SE) {
            let value = invite.header(name).unwrap_or_default();
            verdict.breach(rule, format!("{}: {value}", name.as_str()));
        }
    }
}

/// Numbers are E.164 with `+` and say that they are numbers (TEAMS-039, TEAMS-040).
fn numbers(invite: &Message, verdict: &mut Verdict) {
    let Some(uri) = invite.uri() else { return };
    let user = uri.user().unwrap_or_default();
    if is_bare_number(user) {
        verdict.breach("e164", format!("Request-URI user {user} has no +"));
    }
    if user.starts_with('+') && uri.param("user") != Some("phone") {
        verdict.breach("user-phone", format!("Request-URI {}", uri.as_str()));
    }
    for name in [HeaderName::From, HeaderName::To, HeaderName::PAssertedIdentity] {
        let marked = invite.addresses(name).flatten();
        verdict
            .0
            .violations
            .extend(marked.filter_map(|address| marked_as_numbers(name, &address)));
    }
    let Ok(from) = invite.from() else { return };
    let caller = from.uri().user().unwrap_or_default();
    if is_bare_number(caller) {
        verdict.breach("from-e164", format!("From user {caller} has no +"));
    }
    let privacy = invite.header(HeaderName::Privacy).unwrap_or_default();
    let is_hidden = privacy.split(';').any(|value| value.trim().eq_ignore_ascii_case("id"));
    if caller.eq_ignore_ascii_case("anonymous") && !is_hidden {
        verdict.breach("privacy", format!("{} with Privacy: {privacy}", from.uri().as_str()));
    }
    if caller.eq_ignore_ascii_case("anonymous") && !from.uri().host().eq_ignore_ascii_case("anonymous.invalid") {
        verdict.breach("anonymous", from.uri().as_str());
    }
}

/// The Contact of an OPTIONS is where Teams sends its own (TEAMS-023).
fn ping(request: &Message, verdict: &mut Verdict) {
    let Ok(Some(contact)) = request.contact() else { return };
    let uri = contact.uri();
    let is_tls = uri
        .param("transport")
        .is_some_and(|transport| transport.eq_ignore_ascii_case("tls"));
    if uri.port().is_none() || !is_tls || uri.user() == Some("") {
        verdict.breach("options-contact", uri.as_str());
    }
}

fn seconds_of(invite: &Message, name: HeaderName) -> Option<u64> {
    let value = invite.header(name)?;
    value.split(';').next()?.trim().parse().ok()
}

fn offer(invite: &Message, bypass: bool, verdict: &mut Verdict) {
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
    verdict.0.violations.extend(media::offered(invite.body(), audio));
    if bypass && audio.ice.is_none() {
        verdict.breach("ice", "an offer without ICE on a trunk with media bypass");
        verdict.refuse(refusal(488, 88, "No ICE candidates"));
    }
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
