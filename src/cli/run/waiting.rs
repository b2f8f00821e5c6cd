//! What of a new configuration waits for a restart: sockets, threads and timers that are made once.

use crate::config::{Listener, ListenerTls, Media, Sbc, Timers};
use std::net::SocketAddr;

/// The keys of `sbc.toml` that differ from what the node began with and are read at its start only.
pub fn waiting(began: &Sbc, now: &Sbc) -> Vec<&'static str> {
    let differ = [
        ("node", began.node != now.node),
        ("listeners", sockets_differ(&began.listeners, &now.listeners)),
        ("media", planes_differ(&began.media, &now.media)),
        // What a TLS listener shows is settled when it is bound.
        ("teams.base", began.teams.base != now.teams.base && any_tls(began)),
        ("timers", transactions_differ(&began.timers, &now.timers)),
        ("registrar.store", began.registrar.store != now.registrar.store),
        ("admin.bind", began.admin.bind != now.admin.bind),
        ("api.bind", bound(began) != bound(now)),
    ];
    differ
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}

fn bound(sbc: &Sbc) -> Option<SocketAddr> {
    sbc.api.as_ref().map(|api| api.bind)
}

fn any_tls(sbc: &Sbc) -> bool {
    sbc.listeners.iter().any(|listener| listener.tls.is_some())
}

/// Whom a TLS listener trusts follows the configuration.
fn sockets_differ(began: &[Listener], now: &[Listener]) -> bool {
    let same = |(began, now): (&Listener, &Listener)| match (&began.tls, &now.tls) {
        (Some(before), Some(tls)) => {
            let tls = ListenerTls {
                roots: before.roots.clone(),
                client_certificate: before.client_certificate,
                ..tls.clone()
            };
            let tls = Some(tls);
            *began == Listener { tls, ..now.clone() }
        }
        _ => began == now,
    };
    began.len() != now.len() || !began.iter().zip(now).all(same)
}

/// `hold_timeout` is read call by call.
fn planes_differ(began: &Media, now: &Media) -> bool {
    let same = Media {
        hold_timeout: began.hold_timeout,
        ..now.clone()
    };
    *began != same
}

/// `ringing` and `setup` are read call by call.
fn transactions_differ(began: &Timers, now: &Timers) -> bool {
    let same = Timers {
        ringing: began.ringing,
        setup: began.setup,
        ..now.clone()
    };
    *began != same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const SBC: &str = include_str!("../../../config/sbc.toml");

    fn waiting_after(edit: impl FnOnce(&str) -> String) -> Vec<&'static str> {
        let read = |text: &str| Config::from_toml_strs(text, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let edited = edit(SBC);
        assert_ne!(edited, SBC, "the edit has to hit something");
        waiting(&read(SBC).sbc, &read(&edited).sbc)
    }

    fn table(name: &str, line: &str) -> String {
        match SBC.contains(&format!("\n[{name}]\n")) {
            true => SBC.replace(&format!("\n[{name}]\n"), &format!("\n[{name}]\n{line}\n")),
            false => format!("{SBC}\n[{name}]\n{line}\n"),
        }
    }

    #[test]
    fn what_is_read_call_by_call_waits_for_nothing() {
        assert!(waiting_after(|_| table("timers", "ringing = \"77s\"\nsetup = \"88s\"")).is_empty());
        assert!(waiting_after(|_| table("media", "hold_timeout = \"7m\"")).is_empty());
        let asking = |text: &str| text.replace("# client_certificate = \"none\"", "client_certificate = \"request\"");
        assert!(waiting_after(asking).is_empty());
    }

    #[test]
    fn what_is_made_once_is_named() {
        assert_eq!(waiting_after(|_| table("timers", "t4 = \"4s\"")), ["timers"]);
        assert_eq!(waiting_after(|_| table("media", "dscp = 3")), ["media"]);
        assert_eq!(
            waiting_after(|text| text.replace("0.0.0.0:5071", "0.0.0.0:5072")),
            ["listeners"]
        );
    }
}
