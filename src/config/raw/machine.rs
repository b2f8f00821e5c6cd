//! `sbc.toml` as typed.

use super::{At, DurationText, RawApi, RawApplicationServers, RawCarrier, RawRegistrar, SizeText};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The machine: its listeners, media, trunk toward Teams and carriers. One file, `sbc.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSbc {
    /// This node's name in logs, call detail records and metrics. Without it: the base trunk name (`teams.base`).
    pub node: Option<At<String>>,
    /// How long calls may go on after a stop was asked for; then they are ended, emergency calls an hour later.
    #[schemars(extend("default" = "5m"))]
    pub drain: Option<At<DurationText>>,
    /// Sockets that SIP arrives on and leaves from: exactly one for Teams, others for carriers and users.
    pub listeners: Vec<RawListener>,
    /// Where RTP and RTCP arrive and leave.
    pub media: At<RawMedia>,
    /// The trunk toward Microsoft Teams.
    pub teams: At<RawTeams>,
    /// Trunks to the telephone network.
    #[serde(default)]
    pub carriers: Vec<At<RawCarrier>>,
    /// Users that register here.
    pub registrar: Option<RawRegistrar>,
    /// The servers that applications are asked at, and where sounds come from.
    pub application_servers: Option<RawApplicationServers>,
    /// Numbers that pass before everything else.
    pub emergency: Option<RawEmergency>,
    /// Who is let in, and how much of it.
    pub guard: Option<RawGuard>,
    /// Health, metrics and status over HTTP.
    pub admin: Option<RawAdmin>,
    /// The REST interface: calls placed and changed by programs.
    pub api: Option<RawApi>,
    /// Logging, on standard error.
    pub log: Option<RawLog>,
    /// Call detail records, one JSON object a line. Without this table none are written.
    pub cdr: Option<RawCdr>,
    /// Name resolution.
    pub dns: Option<RawDns>,
    /// SIP timers. The defaults are right for the Internet; tests shorten them.
    pub timers: Option<RawTimers>,
}

/// A socket for SIP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawListener {
    /// What gateways and logs call it.
    pub name: At<String>,
    /// Whom it serves.
    pub purpose: At<RawPurpose>,
    /// The transport protocol. Teams takes only `tls`.
    pub transport: At<RawTransport>,
    /// Address and port to listen on, such as `0.0.0.0:5061` or `[::]:5061`.
    pub bind: At<String>,
    /// What peers are told, in Via and Contact: a name or an address, with `:port` when that differs from `bind`'s.
    /// Behind 1:1 NAT this is the public address. Without it: on the Teams listener `teams.base`, elsewhere `bind`.
    pub advertise: Option<At<String>>,
    /// TLS: certificate chains and their keys. The one whose certificate names the host that the client asks for (SNI)
    /// is shown, the first when none does. On connections to Teams it is the one that names the trunk in Contact, else the
    /// one for `teams.base`. Read again when the files change.
    #[serde(default)]
    pub certificates: Vec<At<RawCertificate>>,
    /// TLS, carriers and users: whether clients have to show a certificate. For Teams this is `teams.client_certificate`.
    #[schemars(extend("default" = "none"))]
    pub client_certificate: Option<At<RawClientCertificate>>,
    /// TLS, carriers and users: whom to trust: `system`, or a PEM file. For Teams this is `teams.roots`.
    #[schemars(extend("default" = "system"))]
    pub roots: Option<At<String>>,
    /// TCP and TLS: connections at a time from one source: an IPv4 address, or an IPv6 /64. One more is closed at once. All phones
    /// behind one NAT are one source. Without it: 64, and 256 for users. A TLS handshake has 10 s, and one unknown
    /// source 16 of them at a time.
    #[schemars(range(min = 1, max = 4096))]
    pub connections_per_source: Option<At<u32>>,
    /// Which of `[[media.addresses]]` the media of calls over this listener have, by name. Without it: that of `[media]`.
    pub media: Option<At<String>>,
    /// DSCP mark of what leaves from here: 24 is CS3, as call signalling usually has, 0 no mark.
    #[schemars(range(min = 0, max = 63), extend("default" = 24))]
    pub dscp: Option<At<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawPurpose {
    Teams,
    Carrier,
    Users,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawTransport {
    Udp,
    Tcp,
    Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawClientCertificate {
    None,
    Request,
    Require,
}

/// A certificate and its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCertificate {
    /// PEM file with the certificate and the intermediates. Relative paths begin at the configuration folder.
    pub certificate: At<String>,
    /// PEM file with the private key.
    pub key: At<String>,
}

/// Where RTP and RTCP arrive and leave.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMedia {
    /// Address to bind to.
    #[schemars(extend("default" = "0.0.0.0"))]
    pub bind: Option<At<String>>,
    /// Address in SDP: behind 1:1 NAT the public one. Without it: `bind`, which then has to be one address.
    pub advertise: Option<At<String>>,
    /// UDP ports, both ends included. Two for each call leg; the last 16 are for emergency calls, or a sixteenth of a smaller range, but four at least: those of one call. Of fewer than 16 ports none are.
    #[schemars(extend("default" = "20000-39999"))]
    pub ports: Option<At<String>>,
    /// DSCP mark of media packets; 46 is EF.
    #[schemars(range(min = 0, max = 63), extend("default" = 46))]
    pub dscp: Option<At<u8>>,
    /// Media threads. Without it: one for each core.
    #[schemars(range(min = 1, max = 256))]
    pub workers: Option<At<u16>>,
    /// Calls whose audio is recoded from or to G.722 at a time. Without it: 200 for each media thread.
    #[schemars(range(min = 0, max = 100_000))]
    pub recoded_calls: Option<At<u32>>,
    /// A leg that is not on hold and receives nothing for this long ends its call.
    #[schemars(extend("default" = "20s"))]
    pub timeout: Option<At<DurationText>>,
    /// The same for a leg on hold.
    #[schemars(extend("default" = "1h"))]
    pub hold_timeout: Option<At<DurationText>>,
    /// Accept loopback addresses in SDP. Only for demonstrations and tests on one machine.
    #[schemars(extend("default" = false))]
    pub allow_loopback: Option<At<bool>>,
    /// Further addresses for media, which listeners (`media`) and tenants (`local_media`) name. Each has all of `ports`.
    #[serde(default)]
    pub addresses: Vec<RawMediaAddress>,
}

/// One more address for media.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMediaAddress {
    /// What listeners and tenants call it.
    pub name: At<String>,
    /// Address to bind to.
    pub bind: At<String>,
    /// Address in SDP. Without it: `bind`, which then has to be one address.
    pub advertise: Option<At<String>>,
}

/// One of Microsoft's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawCloud {
    Commercial,
    GccHigh,
    Dod,
}

/// The trunk toward Microsoft Teams.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTeams {
    /// This node's trunk name, as registered with Microsoft. OPTIONS carry it; a tenant's name is its label in front.
    pub base: At<String>,
    /// Further trunk names of this node, each registered with Microsoft as `base` is, and asked for by OPTIONS of its own: tenants that
    /// say `base = "…"` have their label in front of one of them. None may be one label in front of another.
    #[serde(default)]
    pub further_bases: Vec<At<String>>,
    /// Whether Teams has to show its certificate. `request` leaves the published ranges as the only proof.
    #[schemars(with = "Option<RawTeamsClientCertificate>", extend("default" = "require"))]
    pub client_certificate: Option<At<RawClientCertificate>>,
    /// Whom to trust: `teams` (the authorities that Microsoft publishes, built in), `system`, or a PEM file.
    #[schemars(extend("default" = "teams"))]
    pub roots: Option<At<String>>,
    /// Which of Microsoft's clouds the tenants are in: it settles `hubs` and `networks`. GCC is `commercial`. The clouds of the
    /// government connect to port 5061 alone, and take certificates of two roots alone.
    #[schemars(extend("default" = "commercial"))]
    pub cloud: Option<At<RawCloud>>,
    /// Microsoft's SIP proxies, the preferred first: `host` or `host:port` (port 5061 when absent). Without it: those that Microsoft
    /// publishes for `cloud`.
    pub hubs: Option<At<Vec<At<String>>>>,
    /// Networks that Teams may call from. Without it: those that Microsoft publishes for `cloud`.
    pub networks: Option<Vec<At<String>>>,
    /// Between OPTIONS to each hub. Microsoft asks for 60s to 180s.
    #[schemars(extend("default" = "60s"))]
    pub options_interval: Option<At<DurationText>>,
    /// Percent of network effectiveness (NER, as Microsoft's dashboard counts it) of a tenant, one way, below which `/healthz` says
    /// `degraded`; at least 100 attempts of the last day make a ratio, the last 1,000 count. 0: never.
    #[schemars(range(min = 0, max = 100), extend("default" = 90))]
    pub ner_alert: Option<At<u8>>,
    /// Whether hubs get OPTIONS while every gateway of every carrier is known to be down. With `false` Teams hears nothing from
    /// here then, and prefers another SBC after some minutes. While the node drains hubs get none in any case.
    #[schemars(extend("default" = true))]
    pub options_without_carriers: Option<At<bool>>,
    /// How long an OPTIONS may stay unanswered.
    #[schemars(extend("default" = "10s"))]
    pub options_timeout: Option<At<DurationText>>,
    /// Failed OPTIONS in a row that mark a hub down. One 200 marks it up.
    #[schemars(range(min = 1, max = 100), extend("default" = 3))]
    pub options_failures: Option<At<u32>>,
    /// How long a hub is left alone after a failed connection, or a 503 that names no time, unless a call is answered there before.
    #[schemars(extend("default" = "30s"))]
    pub hold_down: Option<At<DurationText>>,
    /// How long an INVITE may stay without any response before the next hub is tried.
    #[schemars(extend("default" = "4s"))]
    pub response_timeout: Option<At<DurationText>>,
    /// How long an INVITE may stay with 100 Trying alone, from there on, while another hub that is not held down is
    /// left to try.
    #[schemars(extend("default" = "15s"))]
    pub progress_timeout: Option<At<DurationText>>,
    /// How long a call out of Teams may hear nothing but 100 Trying. Then it is told that it rings where whoever is tried has
    /// said 100 at least, and else 503, so that Teams tries its next SBC. Less than FailoverTimeSeconds of the trunks, which is
    /// 10 s where nobody changed it.
    #[schemars(extend("default" = "9s"))]
    pub patience: Option<At<DurationText>>,
    /// Session timer that Teams is offered (RFC 4028), 5 minutes at least.
    #[schemars(extend("default" = "30m"))]
    pub session_expires: Option<At<DurationText>>,
    /// Shortest session timer that we accept, and what Min-SE says (RFC 4028). 90 seconds at least; Teams itself says 5 minutes, and is
    /// offered no less, unless it has agreed to less.
    #[schemars(extend("default" = "5m"))]
    pub min_se: Option<At<DurationText>>,
    /// Media bypass: media of Teams' users come from their clients, or from Microsoft's transport relays, and find us by
    /// ICE. As the trunk is set in Teams (`-MediaBypass`), and each further one. Needs IPv4 for media.
    #[schemars(extend("default" = false))]
    pub bypass: Option<At<bool>>,
    /// Whether Teams transfers calls by having us do it (REFER), so that whoever waits hears it ring. Otherwise it transfers by
    /// itself. A tenant may say otherwise.
    #[schemars(extend("default" = true))]
    pub refer: Option<At<bool>>,
    /// What X-MS-SBC, User-Agent and Server say: Vendor/Product/Version.
    #[schemars(extend("default" = concat!("Portcullis/portcullis/", env!("CARGO_PKG_VERSION"))))]
    pub product: Option<At<String>>,
}

/// Schema only: Teams always has a certificate, so `none` is no choice.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "kebab-case")]
#[expect(dead_code, reason = "never built: it narrows the schema of teams.client_certificate")]
enum RawTeamsClientCertificate {
    Request,
    Require,
}

/// Numbers that pass before everything else: no limit and no caller rule applies to them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEmergency {
    /// As dialled, without `+`.
    #[schemars(extend("default" = ["112", "911", "933", "999", "000"]))]
    pub numbers: Option<Vec<At<String>>>,
    /// Carriers for emergency calls, in order. Without it: the tenant's carriers.
    #[serde(default)]
    pub carriers: Vec<At<String>>,
    /// How long after an emergency call that an ELIN was shown for calls to that number go to who had called. At most `"24h"`.
    #[schemars(extend("default" = "30m"))]
    pub callback: Option<At<DurationText>>,
}

/// Who is let in, and how much of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGuard {
    /// What a request from an unknown address gets: no answer at all, or a 403. The log says of either why it is unknown. Who knows the Call-ID and both tags of a live
    /// call gets 481 from anywhere.
    #[schemars(extend("default" = "silence"))]
    pub unknown_source: Option<At<RawUnknownSource>>,
    /// Calls at the same time on the whole machine. Without it: no cap.
    #[schemars(range(min = 1))]
    pub calls: Option<At<u32>>,
    /// New calls a second on the whole machine. Without it: no cap.
    #[schemars(range(min = 1))]
    pub calls_per_second: Option<At<u32>>,
    /// What a refused call is told to wait (Retry-After), in whole seconds.
    #[schemars(extend("default" = "5s"))]
    pub retry_after: Option<At<DurationText>>,
    /// Messages a second from one unknown address, or IPv6 /64: of what is above, datagrams are dropped unread, and connections
    /// are read on a second later. Datagrams, connections that are opened, and what is said on them before and after something
    /// was granted there count apart.
    #[schemars(range(min = 1), extend("default" = 20))]
    pub requests_per_source: Option<At<u32>>,
    /// Calls of one tenant that its programs and applications place and nobody has answered yet, at the same time.
    #[schemars(range(min = 1), extend("default" = 100))]
    pub max_placing: Option<At<u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RawUnknownSource {
    #[serde(rename = "silence")]
    Silence,
    #[serde(rename = "403")]
    Forbid,
}

/// Caps on calls. Emergency calls are exempt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// Calls at the same time, in set-up and answered. Without it: no cap.
    #[schemars(range(min = 1))]
    pub calls: Option<At<u32>>,
    /// New calls a second. Without it: no cap.
    #[schemars(range(min = 1))]
    pub calls_per_second: Option<At<u32>>,
}

/// Health, metrics and status over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAdmin {
    /// Address and port. It has no log-in, so only a loopback address is taken unless `allow_remote` is true.
    #[schemars(extend("default" = "127.0.0.1:8080"))]
    pub bind: Option<At<String>>,
    /// Allow `bind` to be an address that others can reach.
    #[schemars(extend("default" = false))]
    pub allow_remote: Option<At<bool>>,
}

/// Logging, on standard error.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLog {
    /// For eyes or for machines.
    #[schemars(extend("default" = "human"))]
    pub format: Option<At<RawLogFormat>>,
    /// The least important lines that are written.
    #[schemars(extend("default" = "info"))]
    pub level: Option<At<RawLogLevel>>,
    /// Mask telephone numbers but for their last two digits.
    #[schemars(extend("default" = false))]
    pub redact_numbers: Option<At<bool>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawLogFormat {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawLogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Call detail records, one JSON object a line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCdr {
    /// The file that is written. Relative paths begin at the configuration folder.
    pub path: At<String>,
    /// A new file is begun after this much.
    #[schemars(extend("default" = "100MB"))]
    pub rotate_size: Option<At<SizeText>>,
    /// A new file is begun after this long.
    #[schemars(extend("default" = "24h"))]
    pub rotate_after: Option<At<DurationText>>,
    /// Finished files that are kept. Without it: all.
    #[schemars(range(min = 1))]
    pub keep: Option<At<u32>>,
}

/// Name resolution.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDns {
    /// Name servers: an address, or address:port. Without it: those of the operating system.
    #[serde(default)]
    pub servers: Vec<At<String>>,
    /// Host names whose addresses are given here; they win over DNS.
    #[serde(default)]
    pub hosts: BTreeMap<String, Vec<At<String>>>,
    /// No answer is believed for longer than this.
    #[schemars(extend("default" = "15m"))]
    pub ttl_ceiling: Option<At<DurationText>>,
    /// For one query.
    #[schemars(extend("default" = "2s"))]
    pub timeout: Option<At<DurationText>>,
}

/// SIP timers (RFC 3261 Table 4).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTimers {
    /// Round-trip time estimate. A request is given up after 64 of it.
    #[schemars(extend("default" = "500ms"))]
    pub t1: Option<At<DurationText>>,
    /// Longest interval between retransmissions.
    #[schemars(extend("default" = "4s"))]
    pub t2: Option<At<DurationText>>,
    /// Longest time that a message stays in the network.
    #[schemars(extend("default" = "5s"))]
    pub t4: Option<At<DurationText>>,
    /// How long a called party may ring, an hour at most.
    #[schemars(extend("default" = "2m"))]
    pub ringing: Option<At<DurationText>>,
    /// From the INVITE to the answer, all attempts together, an hour at most. A dial of an application that rings then is waited for.
    #[schemars(extend("default" = "3m"))]
    pub setup: Option<At<DurationText>>,
    /// To open a TCP connection; TLS gets as long again.
    #[schemars(extend("default" = "2s"))]
    pub connect: Option<At<DurationText>>,
    /// A TCP or TLS connection without a message either way is closed after this long, and one that a peer opened who has
    /// proven nothing on it whatever it says.
    #[schemars(extend("default" = "10m"))]
    pub idle_connection: Option<At<DurationText>>,
}
