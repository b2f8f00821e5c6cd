//! What a URI says about its server, and which lookup that starts (RFC 3263 §4.1, §4.2).

use crate::sip::{Scheme, Transport, Uri};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The host of a URI: a literal address needs no lookup at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    Ip(IpAddr),
    /// Lower case, without a final dot.
    Name(Arc<str>),
}

impl Host {
    /// Reads `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` or a host name. A name has at most 253 characters, its labels 1 to
    /// 63 of letters, digits, `-` and `_` (RFC 1035 §2.3.4; underscores occur in private zones).
    pub fn parse(text: &str) -> Result<Host, TargetError> {
        let unbracketed = text
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(ip) = unbracketed.parse() {
            return Ok(Host::Ip(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let good_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        // A last label of digits alone is a mistyped address, never a name (RFC 3261 §25.1, toplabel).
        let numeric_end = name
            .rsplit('.')
            .next()
            .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
        if name.len() > 253 || numeric_end || !name.split('.').all(good_label) {
            return Err(TargetError::BadName(text.to_owned()));
        }
        Ok(Host::Name(name.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Ip(ip) => write!(f, "{ip}"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// What decides where a request goes: the next-hop URI's `maddr` or host, port, `transport` and scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub host: Host,
    /// The port written in the URI.
    pub port: Option<u16>,
    /// The transport written in the URI or configured.
    pub transport: Option<Transport>,
    /// A `sips:` URI: only TLS will do.
    pub secure: bool,
}

impl Target {
    /// A target by name or address with nothing else said.
    pub fn new(host: &str) -> Result<Target, TargetError> {
        Ok(Target {
            host: Host::parse(host)?,
            port: None,
            transport: None,
            secure: false,
        })
    }

    /// What a `sip:` or `sips:` URI says; its `maddr` stands in for its host (RFC 3263 §4).
    pub fn from_uri(uri: &Uri) -> Result<Target, TargetError> {
        let secure = match uri.scheme() {
            Scheme::Sip => false,
            Scheme::Sips => true,
            _ => return Err(TargetError::NotSip(uri.as_str().to_owned())),
        };
        let known = [Transport::Udp, Transport::Tcp, Transport::Tls];
        let transport = match uri.param("transport") {
            Some(word) => match known.into_iter().find(|t| t.uri_name().eq_ignore_ascii_case(word)) {
                Some(transport) => Some(transport),
                None => return Err(TargetError::UnknownTransport(word.to_owned())),
            },
            None => None,
        };
        let host = Host::parse(
            uri.param("maddr")
                .filter(|maddr| !maddr.is_empty())
                .unwrap_or(uri.host()),
        )?;
        Ok(Target {
            host,
            port: uri.port(),
            transport,
            secure,
        })
    }

    /// The same with a port.
    pub fn with_port(self, port: u16) -> Target {
        Target {
            port: Some(port),
            ..self
        }
    }

    /// The same over a given transport.
    pub fn with_transport(self, transport: Transport) -> Target {
        Target {
            transport: Some(transport),
            ..self
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", if self.secure { "sips" } else { "sip" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.transport {
            Some(transport) => write!(f, ";transport={transport}"),
            None => Ok(()),
        }
    }
}

/// Why a target can't be looked up, whatever a name server says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("`{0}` is neither a host name nor an IP address")]
    BadName(String),
    #[error("`{0}` is not a sip: or sips: URI, so it has no server")]
    NotSip(String),
    #[error("transport `{0}` is none of udp, tcp, tls")]
    UnknownTransport(String),
    #[error("{target} needs {wanted}, but this node has listeners only for {spoken}")]
    NotSpoken {
        target: Box<Target>,
        wanted: &'static str,
        spoken: String,
    },
}

/// A transport and the port to use where no SRV record gives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    pub transport: Transport,
    pub port: u16,
}

impl Route {
    /// `transport` at its default port.
    pub const fn default_for(transport: Transport) -> Route {
        Route {
            transport,
            port: transport.default_port(),
        }
    }
}

/// One SRV lookup: `_sip._udp.example.net` leads to servers that speak UDP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SrvQuery {
    pub transport: Transport,
    pub name: Arc<str>,
}

/// The first thing to do for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The URI says everything.
    Address { transport: Transport, address: SocketAddr },
    /// Name and port are given: only the addresses are asked for.
    Addresses { name: Arc<str>, route: Route },
    /// The transport is given: ask this SRV, and without an answer the name's addresses at `fallback`.
    Srv { query: SrvQuery, fallback: Route },
    /// Nothing is given: NAPTR of the name, then [`srv_queries`], then the name's addresses at `fallback`.
    Naptr { name: Arc<str>, fallback: Route },
}

/// The first lookup for `target`, given the transports that this node speaks.
///
/// `sips:` and `transport=tls` both mean TLS; `sips:` with `transport=tcp` does too (RFC 3261 §26.2.2).
pub fn start(target: &Target, spoken: &[Transport]) -> Result<Start, TargetError> {
    let not_spoken = |wanted| TargetError::NotSpoken {
        target: Box::new(target.clone()),
        wanted,
        spoken: match spoken {
            [] => "no transport at all".to_owned(),
            some => some.iter().map(|t| t.via_name()).collect::<Vec<_>>().join(", "),
        },
    };
    let given = match (target.transport, target.secure) {
        (Some(Transport::Udp), true) => return Err(not_spoken("sips: over UDP, which does not exist;")),
        (_, true) => Some(Transport::Tls),
        (given, false) => given,
    };
    if let Some(transport) = given
        && !spoken.contains(&transport)
    {
        return Err(not_spoken(transport.via_name()));
    }
    // RFC 3263 §4.1: UDP where nothing is said; a node without UDP uses what it has.
    let unsaid = [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .find(|t| spoken.contains(t));
    let transport = given.or(unsaid).ok_or_else(|| not_spoken("a listener"))?;
    let route = Route {
        transport,
        port: target.port.unwrap_or(transport.default_port()),
    };
    Ok(match (&target.host, target.port, given) {
        (Host::Ip(ip), _, _) => Start::Address {
            transport,
            address: SocketAddr::new(*ip, route.port),
        },
        (Host::Name(name), Some(_), _) => Start::Addresses {
            name: name.clone(),
            route,
        },
        // `sips:` still asks NAPTR (§4.1); only an explicit transport skips it.
        (Host::Name(name), None, _) if target.transport.is_some() => Start::Srv {
            query: srv_query(transport, name),
            fallback: route,
        },
        (Host::Name(name), None, _) => Start::Naptr {
            name: name.clone(),
            fallback: route,
        },
    })
}

/// The SRV lookups to try for a name that has no usable NAPTR record, in our order of preference (RFC 3263 §4.1).
pub fn srv_queries(target: &Target, name: &str, spoken: &[Transport]) -> Vec<SrvQuery> {
    spoken
        .iter()
        .filter(|t| !target.secure || **t == Transport::Tls)
        .map(|t| srv_query(*t, name))
        .collect()
}

fn srv_query(transport: Transport, name: &str) -> SrvQuery {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    SrvQuery {
        transport,
        name: format!("{prefix}.{name}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Tcp, Tls, Udp};

    const ALL: &[Transport] = &[Tls, Tcp, Udp];

    fn target(host: &str) -> Target {
        Target::new(host).unwrap()
    }

    #[test]
    fn hosts_are_read_strictly_and_folded() {
        assert_eq!(
            Host::parse("SIP.Example.NET.").unwrap(),
            Host::Name("sip.example.net".into())
        );
        assert_eq!(
            Host::parse("[2001:db8::1]").unwrap(),
            Host::Ip("2001:db8::1".parse().unwrap())
        );
        assert_eq!(Host::parse("192.0.2.7").unwrap().to_string(), "192.0.2.7");
        let too_long = "a.".repeat(130) + "b";
        for bad in [
            "",
            ".",
            "a..b",
            "192.0.2.300",
            "192.0.2",
            "[::1",
            "a b",
            "exa\0mple",
            "ex%41mple",
            "é.example",
            &too_long,
        ] {
            assert_eq!(Host::parse(bad), Err(TargetError::BadName(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn a_uri_gives_host_port_transport_and_scheme() {
        let read = |text: &str| Target::from_uri(&Uri::parse(text).unwrap()).map(|target| target.to_string());
        assert_eq!(
            read("sip:+1@SIP.example.net:5061;transport=TLS;lr"),
            Ok("sip:sip.example.net:5061;transport=tls".into())
        );
        assert_eq!(read("sips:a@[2001:db8::1]"), Ok("sips:[2001:db8::1]".into()));
        assert_eq!(read("sip:a@example.net;maddr=192.0.2.1"), Ok("sip:192.0.2.1".into()));
        assert_eq!(
            read("sip:a@b;transport=sctp"),
            Err(TargetError::UnknownTransport("sctp".into()))
        );
        assert_eq!(
            read("tel:+14255550100"),
            Err(TargetError::NotSip("tel:+14255550100".into()))
        );
    }

    #[test]
    fn a_literal_address_needs_no_lookup() {
        let start = |t: Target| start(&t, ALL).unwrap();
        let at = |transport, text: &str| Start::Address {
            transport,
            address: text.parse().unwrap(),
        };
        assert_eq!(start(target("192.0.2.1")), at(Udp, "192.0.2.1:5060"));
        assert_eq!(
            start(target("[2001:db8::1]").with_transport(Tls)),
            at(Tls, "[2001:db8::1]:5061")
        );
        assert_eq!(
            start(target("192.0.2.1").with_port(5070).with_transport(Tcp)),
            at(Tcp, "192.0.2.1:5070")
        );
        assert_eq!(
            start(Target {
                secure: true,
                ..target("192.0.2.1")
            }),
            at(Tls, "192.0.2.1:5061")
        );
    }

    #[test]
    fn a_port_skips_naptr_and_srv_and_a_transport_skips_naptr() {
        let name: Arc<str> = "example.net".into();
        assert_eq!(
            start(&target("example.net").with_port(5080), ALL).unwrap(),
            Start::Addresses {
                name: name.clone(),
                route: Route {
                    transport: Udp,
                    port: 5080
                }
            }
        );
        assert_eq!(
            start(&target("example.net").with_transport(Tls), ALL).unwrap(),
            Start::Srv {
                query: SrvQuery {
                    transport: Tls,
                    name: "_sips._tcp.example.net".into()
                },
                fallback: Route::default_for(Tls)
            }
        );
        assert_eq!(
            start(&target("example.net"), ALL).unwrap(),
            Start::Naptr {
                name: name.clone(),
                fallback: Route::default_for(Udp)
            }
        );
        assert_eq!(
            start(
                &Target {
                    secure: true,
                    ..target("example.net")
                },
                ALL
            )
            .unwrap(),
            Start::Naptr {
                name,
                fallback: Route::default_for(Tls)
            }
        );
    }

    #[test]
    fn only_spoken_transports_are_used_and_the_error_says_which() {
        let error = start(&target("example.net").with_transport(Tls), &[Udp, Tcp]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sip:example.net;transport=tls needs TLS, but this node has listeners only for UDP, TCP"
        );
        assert!(
            start(
                &Target {
                    secure: true,
                    ..target("example.net").with_transport(Udp)
                },
                ALL
            )
            .is_err()
        );
        assert!(start(&target("192.0.2.1"), &[]).is_err());
        assert_eq!(
            start(&target("192.0.2.1"), &[Tls]).unwrap(),
            Start::Address {
                transport: Tls,
                address: "192.0.2.1:5061".parse().unwrap()
            }
        );
    }

    #[test]
    fn srv_names_follow_our_preference_and_sips_asks_tls_alone() {
        let names = |target: &Target| {
            srv_queries(target, "example.net", ALL)
                .into_iter()
                .map(|q| q.name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&target("example.net")),
            [
                "_sips._tcp.example.net",
                "_sip._tcp.example.net",
                "_sip._udp.example.net"
            ]
        );
        assert_eq!(
            names(&Target {
                secure: true,
                ..target("example.net")
            }),
            ["_sips._tcp.example.net"]
        );
    }
}
