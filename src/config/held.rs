//! What a running node keeps of `sbc.toml` until its next start: sockets, threads and timers are made once, and what is
//! read call by call has to agree with them.

use super::checked::{Api, Carrier, Gateway, Listener, ListenerTls, Media, Purpose, Sbc, Teams, Timers};
use super::names::TenantFqdn;
use crate::sip::ListenerId;
use std::net::SocketAddr;
use std::sync::Arc;

/// `written` as far as it comes into force in a node that runs with `in_force`, and the keys of which something waits for
/// the next start. Listeners go by their names, wherever they stand in the file.
pub fn hold(in_force: &Sbc, written: &Sbc) -> (Sbc, Vec<&'static str>) {
    let (carriers, gateways_wait) = carriers(in_force, written);
    let mut held = Sbc {
        node: in_force.node.clone(),
        listeners: listeners(in_force, written),
        media: Media {
            hold_timeout: written.media.hold_timeout,
            recoded_calls: written.media.recoded_calls,
            ..in_force.media.clone()
        },
        carriers,
        admin: in_force.admin.clone(),
        api: match (&in_force.api, &written.api) {
            (Some(bound), Some(api)) => Some(Api {
                bind: bound.bind,
                ..api.clone()
            }),
            (bound, _) => bound.clone(),
        },
        timers: Timers {
            ringing: written.timers.ringing,
            setup: written.timers.setup,
            ..in_force.timers.clone()
        },
        ..written.clone()
    };
    // What the Teams listener shows is settled when it is bound.
    held.teams.base = in_force.teams.base.clone();
    held.teams.further_bases = further_bases(&in_force.teams, &written.teams);
    held.teams.listener = in_force.teams.listener;
    held.registrar.store = in_force.registrar.store.clone();
    held.log.format = in_force.log.format;
    let first = [
        ("node", held.node != written.node),
        ("listeners", sockets_differ(&held.listeners, &written.listeners)),
        ("carriers.gateways", gateways_wait),
        ("teams.base", held.teams.base != written.teams.base),
        ("registrar.store", held.registrar.store != written.registrar.store),
        ("admin.bind", held.admin != written.admin),
        ("log.format", held.log.format != written.log.format),
        ("api.bind", bound(&held) != bound(written)),
    ];
    let of_media = media_differs(&held.media, &written.media);
    let differ = first
        .into_iter()
        .chain(of_media)
        .chain(timers_differ(&held.timers, &written.timers));
    let waiting = differ.filter_map(|(key, differs)| differs.then_some(key));
    let waiting = waiting.collect();
    (held, waiting)
}

/// The further carrier trunks are names that requests bear, and wait for nothing; the one that becomes the first stays among them
/// until then.
fn further_bases(in_force: &Teams, written: &Teams) -> Vec<TenantFqdn> {
    let is_known = |base: &TenantFqdn| *base != written.base || in_force.bases().any(|known| known == base);
    let others = written.bases().filter(|base| **base != in_force.base);
    others.filter(|base| is_known(base)).cloned().collect()
}

fn media_differs(held: &Media, written: &Media) -> [(&'static str, bool); 8] {
    let Media {
        address,
        further,
        ports,
        dscp,
        workers,
        recoded_calls: _,
        timeout,
        hold_timeout: _,
        allow_loopback,
    } = held;
    [
        ("media.bind", address.bind != written.address.bind),
        ("media.advertise", address.advertise != written.address.advertise),
        ("media.addresses", *further != written.further),
        ("media.ports", *ports != written.ports),
        ("media.dscp", *dscp != written.dscp),
        ("media.workers", *workers != written.workers),
        ("media.timeout", *timeout != written.timeout),
        ("media.allow_loopback", *allow_loopback != written.allow_loopback),
    ]
}

fn timers_differ(held: &Timers, written: &Timers) -> [(&'static str, bool); 5] {
    let Timers {
        t1,
        t2,
        t4,
        ringing: _,
        setup: _,
        idle_connection,
        connect,
    } = held;
    [
        ("timers.t1", *t1 != written.t1),
        ("timers.t2", *t2 != written.t2),
        ("timers.t4", *t4 != written.t4),
        ("timers.idle_connection", *idle_connection != written.idle_connection),
        ("timers.connect", *connect != written.connect),
    ]
}

fn bound(sbc: &Sbc) -> Option<SocketAddr> {
    sbc.api.as_ref().map(|api| api.bind)
}

fn named<'l>(listeners: &'l [Listener], like: &Listener) -> Option<&'l Listener> {
    listeners.iter().find(|listener| listener.name == like.name)
}

/// The sockets that are bound. Whom a TLS listener trusts follows the file.
fn listeners(in_force: &Sbc, written: &Sbc) -> Vec<Listener> {
    let trusting = |bound: &Listener| {
        let tls = bound.tls.as_ref().map(|tls| {
            let (client_certificate, roots) = match bound.purpose {
                Purpose::Teams => (written.teams.client_certificate, &written.teams.roots),
                Purpose::Carrier | Purpose::Users => {
                    let followed = named(&written.listeners, bound).and_then(|listener| listener.tls.as_ref());
                    let followed = followed.unwrap_or(tls);
                    (followed.client_certificate, &followed.roots)
                }
            };
            ListenerTls {
                client_certificate,
                roots: roots.clone(),
                ..tls.clone()
            }
        });
        Listener { tls, ..bound.clone() }
    };
    in_force.listeners.iter().map(trusting).collect()
}

fn sockets_differ(held: &[Listener], written: &[Listener]) -> bool {
    let same = |held: &Listener| {
        named(written, held).is_some_and(|listener| {
            *held
                == Listener {
                    id: held.id,
                    ..listener.clone()
                }
        })
    };
    held.len() != written.len() || !held.iter().all(same)
}

/// The carriers as written, with gateways that leave from the sockets that are bound; true when some wait for a socket.
/// A carrier that wants one which isn't there keeps its gateways, and a new one has only those that can be used.
fn carriers(in_force: &Sbc, written: &Sbc) -> (Vec<Arc<Carrier>>, bool) {
    let bound = |gateway: &Gateway| -> Option<ListenerId> {
        let wanted = written.listener(gateway.listener)?;
        let bound = named(&in_force.listeners, wanted)?;
        (bound.transport == gateway.transport && bound.purpose == wanted.purpose).then_some(bound.id)
    };
    let mut wait = false;
    let held = |carrier: &Arc<Carrier>| {
        let ids: Vec<Option<ListenerId>> = carrier.gateways.iter().map(bound).collect();
        let same = carrier
            .gateways
            .iter()
            .zip(&ids)
            .all(|(gateway, id)| *id == Some(gateway.listener));
        if same {
            return carrier.clone();
        }
        let placed = carrier.gateways.iter().zip(ids);
        let mut gateways: Vec<Gateway> = placed
            .filter_map(|(gateway, id)| {
                Some(Gateway {
                    listener: id?,
                    ..gateway.clone()
                })
            })
            .collect();
        if gateways.len() != carrier.gateways.len() {
            wait = true;
            if let Some(known) = in_force.carriers.iter().find(|known| known.id == carrier.id) {
                gateways = known.gateways.clone();
            }
        }
        Arc::new(Carrier {
            gateways,
            ..Carrier::clone(carrier)
        })
    };
    (written.carriers.iter().map(held).collect(), wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const SBC: &str = include_str!("../../config/sbc.toml");

    fn read(text: &str) -> Sbc {
        let config = Config::from_toml_strs(text, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Sbc::clone(&config.sbc)
    }

    fn held_after(edit: impl FnOnce(&str) -> String) -> (Sbc, Vec<&'static str>) {
        let edited = edit(SBC);
        assert_ne!(edited, SBC, "the edit has to hit something");
        hold(&read(SBC), &read(&edited))
    }

    fn table(name: &str, line: &str) -> String {
        match SBC.contains(&format!("\n[{name}]\n")) {
            true => SBC.replace(&format!("\n[{name}]\n"), &format!("\n[{name}]\n{line}\n")),
            false => format!("{SBC}\n[{name}]\n{line}\n"),
        }
    }

    #[test]
    fn what_is_read_call_by_call_waits_for_nothing() {
        let (held, waiting) = held_after(|_| table("timers", "ringing = \"77s\"\nsetup = \"88s\""));
        assert!(waiting.is_empty());
        assert_eq!((held.timers.ringing.as_secs(), held.timers.setup.as_secs()), (77, 88));
        let (held, waiting) = held_after(|_| table("media", "hold_timeout = \"7m\""));
        assert!(waiting.is_empty());
        assert_eq!(held.media.hold_timeout.as_secs(), 420);
        let asking = |text: &str| text.replace("# client_certificate = \"none\"", "client_certificate = \"request\"");
        let (held, waiting) = held_after(asking);
        assert!(waiting.is_empty());
        assert_eq!(held, read(&asking(SBC)));
    }

    #[test]
    fn what_is_made_once_is_named_and_stays() {
        let began = read(SBC);
        for (edited, key) in [
            (table("timers", "t4 = \"4s\""), "timers.t4"),
            (table("media", "dscp = 3"), "media.dscp"),
            (table("media", "ports = \"30000-30999\""), "media.ports"),
            (SBC.replace("0.0.0.0:5071", "0.0.0.0:5072"), "listeners"),
            (SBC.replace("base = \"sbc1.", "base = \"sbc2."), "teams.base"),
            (SBC.replace("format = \"json\"", "format = \"human\""), "log.format"),
        ] {
            let (held, waiting) = hold(&began, &read(&edited));
            assert!(waiting.contains(&key), "{key}: {waiting:?}");
            let of_table = key.starts_with("media.") || key.starts_with("timers.");
            assert!(!of_table || waiting == [key], "{key}: {waiting:?}");
            assert_eq!(held, began);
        }
    }

    /// A listener with the name `name`, before all others of the file.
    fn in_front(text: &str, name: &str) -> String {
        let listener = format!(
            "[[listeners]]\nname = \"{name}\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"192.0.2.77:5099\"\n\n"
        );
        text.replacen("[[listeners]]", &format!("{listener}[[listeners]]"), 1)
    }

    #[test]
    fn a_listener_put_in_front_of_the_others_moves_nobody() {
        let began = read(SBC);
        let (held, waiting) = held_after(|text| in_front(text, "fourth"));
        assert_eq!(waiting, ["listeners"]);
        assert_eq!(held, began);
        // The other way round: it was there at the start, and is taken away.
        let began = read(&in_front(SBC, "fourth"));
        let (held, waiting) = hold(&began, &read(SBC));
        assert_eq!((held, waiting), (began, vec!["listeners"]));
    }

    #[test]
    fn a_carrier_keeps_its_gateways_until_their_listener_is_there() {
        let began = read(SBC);
        let gateways = |sbc: &Sbc, id: &str| {
            let carrier = sbc.carriers.iter().find(|carrier| carrier.id.as_str() == id);
            carrier.map(|carrier| carrier.gateways.clone())
        };
        let id = began.carriers[0].id.to_string();
        let name = began
            .listener(began.carriers[0].gateways[0].listener)
            .map(|listener| listener.name.to_string());
        let name = name.expect("a listener");
        let renamed = SBC.replace(&format!("\"{name}\""), "\"renamed\"");
        let new = format!(
            "{renamed}\n[[carriers]]\nid = \"fresh\"\nnetworks = [\"192.0.2.128/28\"]\n\
             gateways = [{{ host = \"192.0.2.129\", listener = \"renamed\" }}]\n"
        );
        let (held, waiting) = hold(&began, &read(&new));
        assert_eq!(waiting, ["listeners", "carriers.gateways"]);
        assert_eq!(gateways(&held, &id), gateways(&began, &id));
        assert_eq!(gateways(&held, "fresh"), Some(Vec::new()));
    }
}
