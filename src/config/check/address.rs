//! Addresses, host names and ports as people write them.

use crate::config::checked::Host;
use crate::config::names::{HostName, Invalid};
use std::net::{IpAddr, SocketAddr};

/// A host, with the port when one was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    pub host: Host,
    pub port: Option<u16>,
}

/// One IP address.
pub fn ip(text: &str) -> Result<IpAddr, Invalid> {
    text.parse().map_err(|_| Invalid("an IP address such as 192.0.2.10"))
}

/// An address that a machine can have, or every one.
pub fn own(text: &str) -> Result<IpAddr, Invalid> {
    match ip(text)? {
        group if group.is_multicast() => Err(Invalid("an address of this machine: this one is a group's")),
        address => Ok(address),
    }
}

/// Address and port; the port is not 0.
pub fn socket(text: &str) -> Result<SocketAddr, Invalid> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => Err(Invalid("a port from 1 to 65535: peers have to know it")),
        _ => Err(Invalid("an address and a port, such as 0.0.0.0:5060 or [::]:5060")),
    }
}

/// An address, with port 53 unless one is written.
pub fn name_server(text: &str) -> Result<SocketAddr, Invalid> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, 53)),
        Err(_) => socket(text).map_err(|_| Invalid("an address, or an address and a port")),
    }
}

/// A host name or one IP address.
pub fn host(text: &str) -> Result<Host, Invalid> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(address) if is_nobodys(address) => Err(Invalid("one address that peers can reach")),
        Ok(address) => Ok(Host::Address(address)),
        Err(_) => HostName::parse(text)
            .map(Host::Name)
            .map_err(|_| Invalid("a host name or an IP address")),
    }
}

/// Whether no single host has this address.
pub fn is_nobodys(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    address.is_unspecified() || address.is_multicast() || broadcast
}

/// A host, or host:port.
pub fn host_and_port(text: &str) -> Result<Advertised, Invalid> {
    if let Ok(host) = host(text) {
        return Ok(Advertised { host, port: None });
    }
    let (name, port) = text.rsplit_once(':').ok_or(Invalid("a host name or an IP address"))?;
    match port.parse::<u16>() {
        Ok(port) if port != 0 => Ok(Advertised {
            host: host(name)?,
            port: Some(port),
        }),
        _ => Err(Invalid("a port from 1 to 65535 after the colon")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        for (text, printed, port) in [
            ("sbc1.example.net", "sbc1.example.net", None),
            ("SBC1.example.net:5081", "sbc1.example.net", Some(5081)),
            ("192.0.2.1:5060", "192.0.2.1", Some(5060)),
            ("2001:db8::1", "[2001:db8::1]", None),
            ("[2001:db8::1]:5060", "[2001:db8::1]", Some(5060)),
        ] {
            let parsed = host_and_port(text).map(|parsed| (parsed.host.to_string(), parsed.port));
            assert_eq!(parsed, Ok((printed.to_owned(), port)), "{text}");
        }
        for wrong in [
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "",
            ":5060",
            "a:0",
            "a:99999",
            "0.0.0.0",
            "sip:a.example",
            "a b",
        ] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_listener_needs_a_port() {
        assert!(socket("0.0.0.0:5060").is_ok());
        assert!(socket("0.0.0.0:0").is_err());
        assert!(socket("0.0.0.0").is_err());
        assert_eq!(name_server("192.0.2.53"), Ok(SocketAddr::from(([192, 0, 2, 53], 53))));
    }
}
