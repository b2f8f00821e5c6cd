//! `[media]`: addresses, ports, patience.

use super::address;
use super::machine::{duplicates, flag};
use super::reader::Reader;
use crate::config::checked::{Media, MediaAddressId, NamedMediaAddress, PortRange};
use crate::config::names::{Invalid, MediaAddressName};
use crate::config::raw::{At, RawListener, RawMedia, RawMediaAddress, RawPurpose, RawSbc};
use crate::media::MediaAddress;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::time::Duration;

/// Calls from or to G.722 that a media worker recodes beside those that it relays: about a quarter of a core
/// (docs/performance.md).
const RECODED_PER_WORKER: u32 = 200;

/// The table, or `None` when something was wrong.
pub fn check(raw: &At<RawMedia>, reader: &mut Reader<'_>) -> Option<Media> {
    let (place, raw) = (raw.span(), raw.value());
    let bind = match &raw.bind {
        Some(bind) => reader.parse(bind, "address", address::own),
        None => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    let address = told(bind, raw.advertise.as_ref(), place, "`media`", reader);
    duplicates(
        raw.addresses.iter().map(|further| &further.name),
        "media address",
        reader,
    );
    let further: Vec<Option<NamedMediaAddress>> = raw.addresses.iter().map(|raw| named(raw, reader)).collect();
    let ports = match &raw.ports {
        Some(ports) => reader.parse(ports, "port range", port_range),
        None => Some(PortRange {
            first: 20_000,
            last: 39_999,
        }),
    };
    let timeout = reader.duration(raw.timeout.as_ref(), Duration::from_secs(20));
    let hold_timeout = reader.duration(raw.hold_timeout.as_ref(), Duration::from_secs(3600));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = raw
        .workers
        .as_ref()
        .map_or(cores, |workers| usize::from(*workers.value()));
    Some(Media {
        address: address?,
        further: further.into_iter().collect::<Option<_>>()?,
        ports: ports?,
        dscp: raw.dscp.as_ref().map_or(46, |dscp| *dscp.value()),
        workers,
        recoded_calls: raw.recoded_calls.as_ref().map_or_else(
            || {
                u32::try_from(workers)
                    .unwrap_or(u32::MAX)
                    .saturating_mul(RECODED_PER_WORKER)
            },
            |calls| *calls.value(),
        ),
        timeout: timeout?,
        hold_timeout: hold_timeout?,
        allow_loopback: flag(raw.allow_loopback.as_ref(), false),
    })
}

fn port_range(text: &str) -> Result<PortRange, Invalid> {
    let (first, last) = text
        .split_once('-')
        .ok_or(Invalid("two ports joined by '-', such as 20000-39999"))?;
    let port = |text: &str| {
        text.trim()
            .parse::<u16>()
            .map_err(|_| Invalid("two ports joined by '-', such as 20000-39999"))
    };
    let (first, last) = (port(first)?, port(last)?);
    if first < 1024 {
        return Err(Invalid("ports from 1024 up"));
    }
    if last.checked_sub(first).is_none_or(|more| more < 3) {
        return Err(Invalid(
            "the lower port first and at least four ports: two for each leg of a call",
        ));
    }
    Ok(PortRange { first, last })
}

fn named(raw: &RawMediaAddress, reader: &mut Reader<'_>) -> Option<NamedMediaAddress> {
    let name = reader.parse(&raw.name, "name of a media address", MediaAddressName::parse);
    let bind = reader.parse(&raw.bind, "address", address::own);
    let what = format!("media address {:?}", raw.name.value());
    let address = told(bind, raw.advertise.as_ref(), raw.bind.span(), &what, reader);
    Some(NamedMediaAddress {
        name: name?,
        address: address?,
    })
}

/// What is bound, and what descriptions say of it.
fn told(
    bind: Option<IpAddr>,
    advertise: Option<&At<String>>,
    place: Range<usize>,
    what: &str,
    reader: &mut Reader<'_>,
) -> Option<MediaAddress> {
    let told = match (advertise, bind) {
        (Some(advertise), _) => reader.parse(advertise, "address", |text| match address::ip(text)? {
            nobodys if address::is_nobodys(nobodys) => Err(Invalid("one address that peers can reach")),
            ip => Ok(ip),
        }),
        (None, Some(bind)) if !bind.is_unspecified() => Some(bind),
        (None, Some(_)) => {
            let expected = "`advertise`, the address that Teams and carriers send media to";
            let message = format!("{what} has no `advertise`, and `bind` is every address");
            reader.fault_expecting(place, message, expected);
            None
        }
        (None, None) => None,
    };
    let (bind, told) = (bind?, told?);
    if let (false, Some(advertise)) = (bind.is_ipv4() == told.is_ipv4(), advertise) {
        reader.fault(
            advertise.span(),
            "`bind` and `advertise` are not both IPv4 or both IPv6",
        );
        return None;
    }
    Some(MediaAddress { bind, advertise: told })
}

/// The media address that a listener names.
pub fn of_listener(text: &At<String>, sbc: &RawSbc, reader: &mut Reader<'_>) -> Option<MediaAddressId> {
    let names = names(sbc);
    reference(text, &names, reader)?;
    let place = names.iter().position(|name| name == text.value())?;
    u16::try_from(place + 1).ok().map(MediaAddressId)
}

/// The name of a further address, if it is one of `names`.
pub fn reference(text: &At<String>, names: &[&str], reader: &mut Reader<'_>) -> Option<MediaAddressName> {
    let typed = text.value().as_str();
    if names.contains(&typed) {
        return MediaAddressName::parse(typed).ok();
    }
    // One without a name may be the one that is meant.
    if !names.contains(&"") {
        reader.tell(text.span(), format!("there is no media address {typed:?}"), |mistake| {
            let mistake = mistake.near(typed, names.iter().copied());
            mistake.expected(match names {
                [] => format!("[[media.addresses]] with name = {typed:?} in sbc.toml"),
                names => format!("one of [[media.addresses]] in sbc.toml: {}", names.join(", ")),
            })
        });
    }
    None
}

/// As typed: the names under `[[media.addresses]]`.
pub fn names(raw: &RawSbc) -> Vec<&str> {
    let further = raw.media.value().addresses.iter();
    further.map(|address| address.name.value().as_str()).collect()
}

/// As typed: whether the address of that name, or that of `[media]`, is advertised as IPv4; `None` when that can't be read.
pub fn is_ipv4(raw: &RawSbc, name: Option<&str>) -> Option<bool> {
    let media = raw.media.value();
    let (bind, advertise) = match name {
        None => (media.bind.as_ref(), media.advertise.as_ref()),
        Some(name) => {
            let further = media.addresses.iter().find(|address| address.name.value() == name)?;
            (Some(&further.bind), further.advertise.as_ref())
        }
    };
    let told: IpAddr = advertise.or(bind)?.value().parse().ok()?;
    Some(told.is_ipv4())
}

/// As typed: the name of the address that the listener for Teams has, if it is not that of `[media]`.
pub fn of_teams(raw: &RawSbc) -> Option<&str> {
    let is_for_teams = |listener: &&RawListener| *listener.purpose.value() == RawPurpose::Teams;
    let named = raw.listeners.iter().find(is_for_teams)?.media.as_ref()?;
    Some(named.value().as_str())
}
