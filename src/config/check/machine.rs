//! `sbc.toml`: what its values mean together.

use super::address::{self, Advertised};
use super::listener;
use super::reader::Reader;
use super::tenant::{bypass_needs_refer, needs_ipv4};
use super::{api, application, bases, carrier, media, sockets, teams, users};
use crate::config::checked::{
    Admin, Cdr, Dns, Emergency, Guard, Limits, Log, LogFormat, LogLevel, Sbc, Timers, UnknownSource,
};
use crate::config::names::{HostName, Invalid};
use crate::config::number::DialString;
use crate::config::raw::{
    At, RawAdmin, RawCdr, RawDns, RawEmergency, RawGuard, RawLimits, RawLog, RawLogFormat, RawLogLevel, RawPurpose,
    RawSbc, RawTimers, RawUnknownSource,
};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Where the admin listener is unless something else is written.
pub const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Behind it the transactions of an INVITE that was forgotten are ended (`sip::transaction::Timers`).
const LONGEST_RINGING: Duration = Duration::from_secs(3_600);

/// The machine, or `None` when something was wrong.
pub fn check(raw: &RawSbc, reader: &mut Reader<'_>) -> Option<Sbc> {
    let base = bases::first(&raw.teams, reader);
    let further_bases = bases::further(&raw.teams, base.as_ref(), reader);
    let node = match &raw.node {
        Some(node) => reader.parse(node, "host name", HostName::parse),
        None => base.clone().map(HostName::from),
    };
    let listeners = listener::check(raw, base.as_ref(), reader);
    let media = media::check(&raw.media, reader);
    let teams = teams::check(&raw.teams, (base, further_bases), listeners.as_deref(), reader);
    let machine = raw.teams.value();
    bypass_needs_refer(
        flag(machine.bypass.as_ref(), false),
        flag(machine.refer.as_ref(), true),
        machine.refer.as_ref(),
        reader,
    );
    let speaks_ipv6 = media::is_ipv4(raw, media::of_teams(raw)) == Some(false);
    if let Some(bypass) = raw.teams.value().bypass.as_ref().filter(|_| speaks_ipv6) {
        needs_ipv4(bypass, reader);
    }
    let listeners_as_typed = raw.listeners.as_slice();
    let carriers: Vec<_> = raw
        .carriers
        .iter()
        .map(|raw| carrier::check(raw, listeners_as_typed, reader))
        .collect();
    carrier::check_together(raw, reader);
    let ids = carrier::ids(raw);
    let registrar = users::registrar(raw.registrar.as_ref(), reader);
    let application_servers = application::servers(raw.application_servers.as_ref(), reader);
    let emergency = emergency(raw.emergency.as_ref(), ids.as_deref(), reader);
    let guard = guard(raw.guard.as_ref(), reader);
    let admin = admin(raw.admin.as_ref(), reader);
    let api = raw
        .api
        .as_ref()
        .map_or(Some(None), |raw| api::api(raw, reader).map(Some));
    let cdr = raw.cdr.as_ref().map_or(Some(None), |raw| cdr(raw, reader).map(Some));
    sockets::beside(
        raw,
        admin.as_ref(),
        api.as_ref().and_then(Option::as_ref),
        media.as_ref(),
        reader,
    );
    if let Some(networks) = &raw.teams.value().networks {
        sockets::open_to_all(networks, RawPurpose::Teams, &raw.listeners, reader);
    }
    let dns = dns(raw.dns.as_ref(), reader);
    let timers = timers(raw.timers.as_ref(), reader);
    let drain = reader.duration_or_zero(raw.drain.as_ref(), Duration::from_secs(300));
    Some(Sbc {
        node: node?,
        listeners: listeners?,
        media: media?,
        teams: teams?,
        carriers: carriers
            .into_iter()
            .map(|carrier| carrier.map(Arc::new))
            .collect::<Option<Vec<_>>>()?,
        registrar: registrar?,
        application_servers: application_servers?,
        emergency: emergency?,
        guard: guard?,
        admin: admin?,
        api: api?,
        log: log(raw.log.as_ref()),
        cdr: cdr?,
        dns: dns?,
        timers: timers?,
        drain: drain?,
    })
}

fn emergency(raw: Option<&RawEmergency>, ids: Option<&[&str]>, reader: &mut Reader<'_>) -> Option<Emergency> {
    let numbers = reader.parse_list_or(
        raw.and_then(|raw| raw.numbers.as_ref()),
        &["112", "911", "933", "999", "000"],
        "emergency number",
        |text| match DialString::parse(text)? {
            number if number.as_str().is_empty() || text.starts_with('+') => {
                Err(Invalid("digits as they are dialled, without +"))
            }
            number => Ok(number),
        },
    );
    let carriers = carrier::references(raw.map_or(&[], |raw| &raw.carriers), ids, reader);
    let written = raw.and_then(|raw| raw.callback.as_ref());
    let callback = reader.duration(written, Duration::from_secs(1_800));
    reader.at_most(written, Duration::from_secs(86_400));
    Some(Emergency {
        numbers: numbers?,
        carriers: carriers?,
        callback: callback?,
    })
}

fn guard(raw: Option<&RawGuard>, reader: &mut Reader<'_>) -> Option<Guard> {
    let retry_after = reader.duration(raw.and_then(|raw| raw.retry_after.as_ref()), Duration::from_secs(5));
    if let (Some(text), Some(time)) = (raw.and_then(|raw| raw.retry_after.as_ref()), retry_after)
        && time.subsec_millis() != 0
    {
        reader.fault_expecting(text.span(), "Retry-After has no fractions of a second", "whole seconds");
    }
    Some(Guard {
        unknown_source: match raw.and_then(|raw| raw.unknown_source.as_ref()).map(At::value) {
            Some(RawUnknownSource::Forbid) => UnknownSource::Forbid,
            Some(RawUnknownSource::Silence) | None => UnknownSource::Silence,
        },
        limits: Limits {
            calls: raw.and_then(|raw| raw.calls.as_ref()).map(|calls| *calls.value()),
            calls_per_second: raw
                .and_then(|raw| raw.calls_per_second.as_ref())
                .map(|rate| *rate.value()),
            calls_per_day: None,
        },
        retry_after: retry_after?,
        requests_per_source: raw
            .and_then(|raw| raw.requests_per_source.as_ref())
            .map_or(20, |rate| *rate.value()),
        max_placing: raw
            .and_then(|raw| raw.max_placing.as_ref())
            .map_or(100, |most| *most.value()),
    })
}

/// Caps of a carrier or tenant.
pub fn limits(raw: Option<&RawLimits>) -> Limits {
    Limits {
        calls: raw.and_then(|raw| raw.calls.as_ref()).map(|calls| *calls.value()),
        calls_per_second: raw
            .and_then(|raw| raw.calls_per_second.as_ref())
            .map(|rate| *rate.value()),
        calls_per_day: None,
    }
}

fn admin(raw: Option<&RawAdmin>, reader: &mut Reader<'_>) -> Option<Admin> {
    let text = raw.and_then(|raw| raw.bind.as_ref());
    let bind = match text {
        Some(text) => reader.parse(text, "address and port", address::socket)?,
        None => ADMIN,
    };
    let remote = flag(raw.and_then(|raw| raw.allow_remote.as_ref()), false);
    if let (Some(text), false, false) = (text, remote, bind.ip().is_loopback()) {
        let expected =
            "a loopback address such as 127.0.0.1:8080, or allow_remote = true behind something that checks who asks";
        reader.fault_expecting(
            text.span(),
            "the admin listener has no log-in, and others can reach this address",
            expected,
        );
        return None;
    }
    Some(Admin { bind })
}

fn log(raw: Option<&RawLog>) -> Log {
    Log {
        format: match raw.and_then(|raw| raw.format.as_ref()).map(At::value) {
            Some(RawLogFormat::Json) => LogFormat::Json,
            Some(RawLogFormat::Human) | None => LogFormat::Human,
        },
        level: match raw.and_then(|raw| raw.level.as_ref()).map(At::value) {
            Some(RawLogLevel::Error) => LogLevel::Error,
            Some(RawLogLevel::Warn) => LogLevel::Warn,
            Some(RawLogLevel::Info) | None => LogLevel::Info,
            Some(RawLogLevel::Debug) => LogLevel::Debug,
            Some(RawLogLevel::Trace) => LogLevel::Trace,
        },
        redact_numbers: flag(raw.and_then(|raw| raw.redact_numbers.as_ref()), false),
    }
}

fn cdr(raw: &RawCdr, reader: &mut Reader<'_>) -> Option<Cdr> {
    let path = reader.path(raw.path.value());
    let path = match path.extension().and_then(OsStr::to_str) {
        Some("toml" | "pem" | "key" | "crt") => {
            let expected = "a file of its own, such as /var/log/portcullis/cdr.jsonl";
            reader.fault_expecting(
                raw.path.span(),
                format!("call detail records would be written into {}", path.display()),
                expected,
            );
            None
        }
        _ => Some(path),
    };
    let rotate_size = reader.size(raw.rotate_size.as_ref(), 100_000_000);
    let rotate_after = reader.duration(raw.rotate_after.as_ref(), Duration::from_secs(86_400));
    Some(Cdr {
        path: path?,
        rotate_size: rotate_size?,
        rotate_after: rotate_after?,
        keep: raw.keep.as_ref().map(|keep| *keep.value()),
    })
}

fn dns(raw: Option<&RawDns>, reader: &mut Reader<'_>) -> Option<Dns> {
    let servers = reader.parse_list(raw.map_or(&[], |raw| &raw.servers), "name server", address::name_server);
    let mut hosts = Some(BTreeMap::new());
    for (name, addresses) in raw.into_iter().flat_map(|raw| &raw.hosts) {
        let parsed = reader.parse_list(addresses, "address", address::ip);
        let place = addresses.first().map_or(0..0, At::span);
        let host = HostName::parse(name);
        if let Err(Invalid(expected)) = &host {
            reader.fault_expecting(place, format!("{name:?} is no host name"), *expected);
        }
        hosts = match (hosts, host, parsed) {
            (Some(mut hosts), Ok(host), Some(addresses)) => {
                hosts.insert(host, addresses);
                Some(hosts)
            }
            _ => None,
        };
    }
    let ttl_ceiling = reader.duration(raw.and_then(|raw| raw.ttl_ceiling.as_ref()), Duration::from_secs(900));
    let timeout = reader.duration(raw.and_then(|raw| raw.timeout.as_ref()), Duration::from_secs(2));
    Some(Dns {
        servers: servers?,
        hosts: hosts?,
        ttl_ceiling: ttl_ceiling?,
        timeout: timeout?,
    })
}

fn timers(raw: Option<&RawTimers>, reader: &mut Reader<'_>) -> Option<Timers> {
    let mut time = |text: Option<&At<_>>, default| reader.duration(text, Duration::from_millis(default));
    let t1 = time(raw.and_then(|raw| raw.t1.as_ref()), 500);
    let t2 = time(raw.and_then(|raw| raw.t2.as_ref()), 4_000);
    let t4 = time(raw.and_then(|raw| raw.t4.as_ref()), 5_000);
    let ringing = time(raw.and_then(|raw| raw.ringing.as_ref()), 120_000);
    let setup = time(raw.and_then(|raw| raw.setup.as_ref()), 180_000);
    let connect = time(raw.and_then(|raw| raw.connect.as_ref()), 2_000);
    let idle_connection = time(raw.and_then(|raw| raw.idle_connection.as_ref()), 600_000);
    for text in [
        raw.and_then(|raw| raw.ringing.as_ref()),
        raw.and_then(|raw| raw.setup.as_ref()),
    ] {
        reader.at_most(text, LONGEST_RINGING);
    }
    if let (Some(one), Some(two), Some(text)) = (t1, t2, raw.and_then(|raw| raw.t2.as_ref()))
        && two < one
    {
        reader.fault_expecting(text.span(), "`t2` is shorter than `t1`", "at least `t1`");
    }
    Some(Timers {
        t1: t1?,
        t2: t2?,
        t4: t4?,
        ringing: ringing?,
        setup: setup?,
        connect: connect?,
        idle_connection: idle_connection?,
    })
}

/// A flag or its default.
pub fn flag(raw: Option<&At<bool>>, default: bool) -> bool {
    raw.map_or(default, |flag| *flag.value())
}

/// Says which of `texts` were there before.
pub fn duplicates<'t>(texts: impl IntoIterator<Item = &'t At<String>>, what: &str, reader: &mut Reader<'_>) {
    let mut seen = HashSet::new();
    for text in texts {
        if !reader.is_mended(&text.span()) && !seen.insert(text.value().to_ascii_lowercase()) {
            reader.fault_expecting(
                text.span(),
                format!("{:?} is here twice", text.value()),
                format!("each {what} once"),
            );
        }
    }
}

/// `advertise` of a listener, `host` of a gateway, a hub.
pub fn host_and_port(text: &At<String>, what: &str, reader: &mut Reader<'_>) -> Option<Advertised> {
    reader.parse(text, what, address::host_and_port)
}
