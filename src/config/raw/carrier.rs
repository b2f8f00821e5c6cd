//! `[[carriers]]` as typed.

use super::{At, DurationText, RawAlgorithm, RawLimits, RawTransport, SecretText};
use schemars::JsonSchema;
use serde::Deserialize;

/// A trunk to the telephone network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCarrier {
    /// What tenants and logs call it.
    pub id: At<String>,
    /// Addresses and networks that it calls from. The carrier with the narrowest matching network is the caller. Inside a call,
    /// over UDP, it is heard where its Contact leads as well; connections have to come from here or from its gateways.
    #[serde(default)]
    pub networks: Vec<At<String>>,
    /// Transports that it calls over. Without it: any.
    #[serde(default)]
    pub transports: Vec<At<RawTransport>>,
    /// TLS: names of which its certificate has to bear one when it calls; wildcards in the certificate count for none. The
    /// listener has to ask for certificates (`client_certificate`), and then it calls over TLS alone. A certificate with such a
    /// name is nobody else's. Without it: any certificate that the listener's `roots` prove.
    #[serde(default)]
    pub client_names: Vec<At<String>>,
    /// User name and password that it has to prove on every call to us. Ten wrong ones of one address for one user name, or a
    /// hundred in all, and for five to ten minutes the address gets 403 without a look at what it says, calls without a password too unless another carrier may call from there. Calls to emergency numbers are asked for the password all the same.
    pub digest: Option<At<RawCredentials>>,
    /// What `digest` may be proven with. Without `"MD5"` an answer that uses it proves nothing.
    #[schemars(extend("default" = ["SHA-256", "MD5"]))]
    pub digest_algorithms: Option<At<Vec<At<RawAlgorithm>>>>,
    /// TLS: the name that its servers' certificates have to prove on requests inside calls that came from it, whatever
    /// address its Contact gives. Without it: that of its gateway on the same listener.
    pub server_name: Option<At<String>>,
    /// Ways into the carrier, tried in this order. Without any it only calls us.
    #[serde(default)]
    pub gateways: Vec<At<RawGateway>>,
    /// Between OPTIONS to each gateway; `0s`: none are sent, calls alone tell a gateway's health.
    #[schemars(extend("default" = "60s"))]
    pub options_interval: Option<At<DurationText>>,
    /// When the next gateway, or the tenant's next carrier, is tried.
    pub failover: Option<RawFailover>,
    /// How numbers are written on this trunk.
    pub numbers: Option<RawNumberRules>,
    /// Who is shown as the caller.
    pub caller: Option<At<RawCaller>>,
    /// How a diverted call tells the carrier who diverted it. Numbers of other tenants of this node are left out.
    #[schemars(extend("default" = "diversion"))]
    pub history: Option<At<RawHistory>>,
    /// Caps on its calls, both ways together. Emergency calls are exempt. Without `calls` one carrier can use up the whole range of
    /// media ports, but for what is kept for emergency calls.
    pub limits: Option<RawLimits>,
    /// Codecs that may be offered to it, the preferred first. `SILK` is Teams' own, at 8 and 16 kHz: it passes between Teams and carriers that
    /// have it, and is never recoded.
    #[schemars(extend("default" = ["PCMA", "PCMU", "G722", "G729"]))]
    pub codecs: Option<At<Vec<At<RawCodec>>>>,
    /// Its media may come from another address than its SDP says; it is followed there once, in the first 5 s after an answer.
    /// Whoever sends to the port first is believed then, until the signalled address is heard: only for carriers that need it.
    /// Requests inside its calls go back the same way: over UDP to where it sent from, over TCP and TLS on the connection that
    /// it opened, and to its Contact when that is gone.
    #[schemars(extend("default" = false))]
    pub nat: Option<At<bool>>,
    /// Keys (DTMF) in calls that the carrier settles no telephone-event (RFC 4733) in: `events`: none go to it; `tones`: they go
    /// to it as tones in the audio, and tones in its audio count as keys; `info`: they go to it as INFO
    /// (`application/dtmf-relay`). INFO of the carrier counts as a key whatever stands here.
    #[schemars(extend("default" = "events"))]
    pub dtmf: Option<At<RawDtmf>>,
    /// Let the other side hear what the carrier sends while it holds a call (`sendonly`), such as music of its own. The other
    /// side is not told of such a hold. Otherwise it is, as of every other form of hold, and hears nothing.
    #[schemars(extend("default" = false))]
    pub music_on_hold: Option<At<bool>>,
    /// Take a REFER of the carrier, such as a PBX sends to transfer a call: whom it names is called as a call of the carrier's
    /// own would be, within the tenant of the call, and takes the carrier's place. Otherwise it is answered 405.
    #[schemars(extend("default" = false))]
    pub refer: Option<At<bool>>,
    /// Session timer that we offer (RFC 4028). Without it: none, but the carrier's own is honoured.
    pub session_expires: Option<At<DurationText>>,
    /// How we answer when the carrier asks for user name and password, in calls from it as well.
    pub credentials: Option<At<RawCredentials>>,
    /// What callers on this trunk are told while somebody rings: `media` (180 once, and 183 with a description as soon as there is
    /// audio), `first` (the first 180 or 183 alone), `all` (every response as it comes), `plain` (180 once, never a description
    /// before the answer) or `tone` (183, and a ringing tone of ours until there is audio).
    #[schemars(extend("default" = "media"))]
    pub ringing: Option<At<RawRinging>>,
    /// Tell callers on this trunk of 181 (being forwarded) and 182 (queued). With `first` and `plain` they never are.
    #[schemars(extend("default" = true))]
    pub pass_forwarding: Option<At<bool>>,
    /// People call through it, such as those of a PBX: its calls to emergency numbers are served, by other carriers than this
    /// one.
    #[schemars(extend("default" = false))]
    pub emergency: Option<At<bool>>,
    /// Pass the caller's location (PIDF-LO) on emergency calls.
    #[schemars(extend("default" = false))]
    pub pass_location: Option<At<bool>>,
    /// Show an emergency location identification number (ELIN) instead of an emergency caller's own number, where the caller's
    /// location record names one that is the tenant's (`elin` in its `[[numbers]]`).
    #[schemars(extend("default" = false))]
    pub elin: Option<At<bool>>,
}

/// A user name and its password, given in exactly one of three ways.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCredentials {
    /// The user name.
    pub username: At<String>,
    /// The password itself.
    pub password: Option<At<SecretText>>,
    /// The environment variable that holds the password.
    pub password_env: Option<At<String>>,
    /// The file that holds the password; a line end after it is not part of it.
    pub password_file: Option<At<String>>,
    /// The realm. In `credentials`: the carrier's, and needed, for no other challenge is answered. In `digest`: the
    /// one that we ask for, the base trunk name without it.
    pub realm: Option<At<String>>,
}

/// One way into a carrier.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGateway {
    /// A host name or an address. The addresses of a name are tried one after the other where one is silent, can't be reached
    /// or answers 503, and all of them get OPTIONS. Only addresses of a family (IPv4, IPv6) that some listener is bound in are looked up.
    pub host: At<String>,
    /// Without it: by DNS (SRV of the transport; NAPTR is not asked, the transport being settled here), or the transport's own port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<At<u16>>,
    /// Without it: the listener's.
    pub transport: Option<At<RawTransport>>,
    /// The listener that calls leave from. Without it: the only carrier listener with this transport.
    pub listener: Option<At<String>>,
    /// TLS: the name that the gateway's certificate has to prove. Without it: `host`.
    pub server_name: Option<At<String>>,
}

/// When the next gateway, or the tenant's next carrier, is tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFailover {
    /// Final codes that move on. What a user answers (486, 487, every 6xx) is always final, and so is an answer whose Reason has
    /// one of a user's Q.850 causes: 17 (busy), 19 (no answer), 21 (rejected), and one that comes after a 180. 401 and 407 are
    /// answered, and move nothing on.
    #[schemars(inner(range(min = 300, max = 599)), extend("default" = [408, 500, 502, 503, 504]))]
    pub codes: Option<Vec<At<u16>>>,
    /// How long an INVITE may stay without any response.
    #[schemars(extend("default" = "4s"))]
    pub response_timeout: Option<At<DurationText>>,
    /// How long an INVITE may stay with 100 Trying alone, from there on, while another gateway that is not held down is left
    /// to try; the last one has `timers.ringing`. Calls from Teams gain from it below their trunk's FailoverTimeSeconds.
    #[schemars(extend("default" = "15s"))]
    pub progress_timeout: Option<At<DurationText>>,
    /// How long a failed gateway is tried last, or as long as its `Retry-After` says, up to an hour; unless a call is answered there before.
    #[schemars(extend("default" = "30s"))]
    pub hold_down: Option<At<DurationText>>,
}

/// How numbers are written on this trunk. Inside, numbers are E.164 with `+`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawNumberRules {
    /// Country calling code of national numbers, such as `1` or `44`.
    pub country_code: Option<At<String>>,
    /// Trunk prefix in front of national numbers: `0` in most of Europe.
    #[schemars(extend("default" = ""))]
    pub national_prefix: Option<At<String>>,
    /// International access code.
    #[schemars(extend("default" = "00"))]
    pub international_prefix: Option<At<String>>,
    /// What a number from the carrier is that has neither `+` nor a prefix: `international` (country code first) or
    /// `national`.
    #[schemars(extend("default" = "international"))]
    pub bare: Option<At<RawBare>>,
    /// How numbers are sent to the carrier: `plus` (+14255550100), `digits` (14255550100), `prefixed`
    /// (0014255550100), or `national` (numbers of `country_code` with the national prefix, others prefixed).
    #[schemars(extend("default" = "plus"))]
    pub format: Option<At<RawFormat>>,
    /// Rewrites numbers from the carrier before they are read; the first that matches does it.
    #[serde(default)]
    pub inbound: Vec<At<RawNumberRule>>,
    /// Rewrites numbers to the carrier instead of `format`; the first that matches does it.
    #[serde(default)]
    pub outbound: Vec<At<RawNumberRule>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawBare {
    International,
    National,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawFormat {
    Plus,
    Digits,
    Prefixed,
    National,
}

/// Matches a number and rewrites it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawNumberRule {
    /// The number begins with this. Without it: every number matches.
    #[schemars(extend("default" = ""))]
    pub prefix: Option<At<String>>,
    /// The number has at least this many characters, `+` included.
    #[schemars(range(min = 1, max = 32))]
    pub min_length: Option<At<u8>>,
    /// The number has at most this many characters, `+` included.
    #[schemars(range(min = 1, max = 32))]
    pub max_length: Option<At<u8>>,
    /// Characters taken off the beginning.
    #[schemars(range(min = 0, max = 32), extend("default" = 0))]
    pub strip: Option<At<u8>>,
    /// Put in front afterwards.
    #[schemars(extend("default" = ""))]
    pub add: Option<At<String>>,
}

/// Who is shown as the caller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCaller {
    /// Calls from the carrier: the header that is believed; the other one serves when it is absent. The name comes from the same
    /// header; where that has none, from the other one if it has the same number. Of two values of P-Asserted-Identity, a `sip` and
    /// a `tel` one, the last one's number counts, and the name that stands at either.
    #[schemars(extend("default" = "pai"))]
    pub read: Option<At<RawHeader>>,
    /// Calls to the carrier: the number shown is that of From, of P-Asserted-Identity, `number`, or, with `diverting`, the one of
    /// the tenant's that has forwarded the call last, else that of From. With `fixed` P-Asserted-Identity has `number` too, whatever
    /// Teams asserts, but in emergency calls, which show the caller's own; who has forwarded stands in `history`.
    #[schemars(extend("default" = "from"))]
    pub present: Option<At<RawSource>>,
    /// The number for `present = "fixed"`.
    pub number: Option<At<String>>,
    /// Send P-Asserted-Identity to the carrier.
    #[schemars(extend("default" = true))]
    pub assert: Option<At<bool>>,
    /// A caller, or who has forwarded the call, who asked for privacy: `assert` (the carrier alone learns the number, in
    /// P-Asserted-Identity with `Privacy: id`) or `withhold` (nobody does).
    #[schemars(extend("default" = "assert"))]
    pub privacy: Option<At<RawPrivacy>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawHeader {
    From,
    Pai,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawSource {
    From,
    Pai,
    Fixed,
    Diverting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawPrivacy {
    Assert,
    Withhold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawHistory {
    Diversion,
    HistoryInfo,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawRinging {
    Media,
    First,
    All,
    Plain,
    Tone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawDtmf {
    Events,
    Tones,
    Info,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum RawCodec {
    Pcmu,
    Pcma,
    G722,
    G729,
    Silk,
}
