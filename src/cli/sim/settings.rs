//! What can be said on the command line.

use crate::sim::{CarrierSettings, Dial, Manner, Script, TeamsSettings};
use crate::sip::Transport;
use clap::{Args, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Arguments of `sim`.
#[derive(Debug, Args)]
pub struct SimArgs {
    #[command(subcommand)]
    pub command: SimCommand,
}

/// Who is simulated.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// A hub of Teams: TLS with client certificates, SRTP, and the rules of Direct Routing
    Teams(TeamsArgs),
    /// A carrier: UDP and TCP, RTP
    Carrier(CarrierArgs),
    /// A name server whose answers change: `NAME=ADDRESS,ADDRESS` on standard input moves a name, `NAME=` takes it away
    Dns(DnsArgs),
    /// Print every rule that `sim teams` enforces, with its number
    Rules {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `sim teams`.
#[derive(Debug, Args)]
pub struct TeamsArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.3:5061")]
    pub listen: SocketAddr,
    /// The SBC's TLS listener, for calls and OPTIONS to it
    #[arg(long, value_name = "ADDRESS")]
    pub sbc: Option<SocketAddr>,
    /// The tenant's trunk name: the host of our INVITEs
    #[arg(long, value_name = "NAME", default_value = "contoso.sbc1.example.net")]
    pub trunk: String,
    /// The hub's name; the certificate bears it
    #[arg(long, value_name = "NAME", default_value = "sip.pstnhub.microsoft.com")]
    pub hub: String,
    /// PEM: the hub's certificate
    #[arg(long, value_name = "FILE")]
    pub certificate: PathBuf,
    /// PEM: its key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// PEM: the roots that the SBC's certificate chains to
    #[arg(long, value_name = "FILE")]
    pub roots: PathBuf,
    /// The trunk has media bypass: clients with full ICE, found by connectivity checks alone
    #[arg(long)]
    pub bypass: bool,
    /// Note what is only noted by strict hubs, too (see `sim rules`)
    #[arg(long)]
    pub strict: bool,
    /// Close connections that carried no message for so many seconds, as Teams does after two minutes
    #[arg(long, value_name = "SECONDS")]
    pub idle: Option<u64>,
    #[command(flatten)]
    pub behaviour: Behaviour,
}

/// Arguments of `sim carrier`.
#[derive(Debug, Args)]
pub struct CarrierArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.2:5060")]
    pub listen: SocketAddr,
    /// The SBC's carrier listener, for calls to it
    #[arg(long, value_name = "ADDRESS")]
    pub sbc: Option<SocketAddr>,
    /// Call over TCP
    #[arg(long)]
    pub tcp: bool,
    #[command(flatten)]
    pub behaviour: Behaviour,
}

/// Arguments of `sim dns`.
#[derive(Debug, Args)]
pub struct DnsArgs {
    /// Address and port to listen on, UDP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5353")]
    pub listen: SocketAddr,
    /// A name and its addresses, such as sip.pstnhub.microsoft.com=127.0.0.3
    #[arg(long = "host", value_name = "NAME=ADDRESS,…")]
    pub hosts: Vec<Lead>,
    /// Seconds that an answer is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub ttl: u64,
}

/// A name and where it leads; nowhere: it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    pub name: String,
    pub addresses: Vec<IpAddr>,
}

impl FromStr for Lead {
    type Err = String;

    fn from_str(text: &str) -> Result<Lead, String> {
        let (name, addresses) = text.split_once('=').ok_or("NAME=ADDRESS is expected")?;
        let addresses = addresses.split(',').map(str::trim).filter(|part| !part.is_empty());
        let addresses = addresses
            .map(|part| part.parse().map_err(|_| format!("{part} is no address")))
            .collect::<Result<Vec<IpAddr>, String>>()?;
        match name.trim() {
            "" => Err("NAME=ADDRESS is expected".to_owned()),
            name => Ok(Lead {
                name: name.to_owned(),
                addresses,
            }),
        }
    }
}

/// What both can be told.
#[derive(Debug, Args)]
pub struct Behaviour {
    /// What becomes of calls, such as `ring, wait 2s, answer, wait 10s, hang-up`
    #[arg(long, value_name = "STEPS")]
    pub script: Option<Script>,
    /// Hz of the tone that is sent
    #[arg(long, value_name = "HERTZ", default_value_t = 440.0)]
    pub tone: f64,
    /// Place one call to this number, and end with it
    #[arg(long, value_name = "NUMBER", requires = "sbc")]
    pub call: Option<String>,
    /// The number that calls
    #[arg(long, value_name = "NUMBER", default_value = "+14255550100")]
    pub from: String,
    /// How long that call is held, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub seconds: u64,
    /// Answer every INVITE and OPTIONS with 503
    #[arg(long, conflicts_with = "stalled")]
    pub unavailable: bool,
    /// Answer no request at all
    #[arg(long)]
    pub stalled: bool,
    /// Print what happens and which rules are broken as JSON, a line each
    #[arg(long)]
    pub json: bool,
}

impl Behaviour {
    pub(super) fn dial(&self) -> Option<Dial> {
        let mut dial = Dial::new(&self.from, self.call.as_ref()?);
        dial.hang_up_after = Some(Duration::from_secs(self.seconds));
        Some(dial)
    }

    pub(super) fn manner(&self) -> Manner {
        match (self.unavailable, self.stalled) {
            (true, _) => Manner::Unavailable { retry_after: 1 },
            (false, true) => Manner::Stalled,
            (false, false) => Manner::Normal,
        }
    }
}

impl TeamsArgs {
    pub(super) fn settings(&self) -> TeamsSettings {
        TeamsSettings {
            listen: self.listen,
            sbc: self.sbc,
            trunk: self.trunk.clone(),
            hub: self.hub.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            roots: self.roots.clone(),
            tone: self.behaviour.tone,
            bypass: self.bypass,
            strict: self.strict,
            idle: self.idle.map(Duration::from_secs),
        }
    }
}

impl CarrierArgs {
    pub(super) fn settings(&self) -> CarrierSettings {
        CarrierSettings {
            listen: self.listen,
            sbc: self.sbc,
            transport: if self.tcp { Transport::Tcp } else { Transport::Udp },
            tone: self.behaviour.tone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_somewhere_or_is_gone() {
        let lead: Lead = "sip.example=127.0.0.3, 2001:db8::1".parse().unwrap();
        assert_eq!(lead.name, "sip.example");
        assert_eq!(lead.addresses.len(), 2);
        assert!("sip.example=".parse::<Lead>().unwrap().addresses.is_empty());
        for bad in ["sip.example", "=127.0.0.1", "a=b"] {
            assert!(bad.parse::<Lead>().is_err(), "{bad}");
        }
    }
}
