//! What can be said on the command line.

use crate::config::Cloud;
use crate::sim::{CarrierPapers, CarrierSettings, CarrierWire, Dial, Manner, Script, SdpShape, TeamsSettings};
use crate::sip::digest::Credentials;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
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
    /// A carrier: UDP, TCP or TLS, RTP, passwords
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
    /// Which of Microsoft's clouds the hub is of
    #[arg(long, value_name = "CLOUD", value_parser = cloud_name(), default_value = Cloud::Commercial.name())]
    pub cloud: Cloud,
    /// The hub's name; the certificate bears it. The first of the cloud's when absent
    #[arg(long, value_name = "NAME")]
    pub hub: Option<String>,
    /// PEM: the hub's certificate
    #[arg(long, value_name = "FILE")]
    pub certificate: PathBuf,
    /// PEM: its key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// PEM: the roots that the SBC's certificate chains to
    #[arg(long, value_name = "FILE")]
    pub roots: PathBuf,
    /// The call bears this file as the caller's location record (PIDF-LO), as emergency calls do
    #[arg(long, value_name = "FILE", requires = "call", value_parser = text_of)]
    pub location: Option<String>,
    /// The trunk has media bypass: clients with full ICE, found by connectivity checks alone
    #[arg(long)]
    pub bypass: bool,
    /// How the descriptions of the placed call are written, such as `UDP/TLS/RTP/SAVP no-rtcp-mux`
    #[arg(long, value_name = "WORDS", requires = "call")]
    pub sdp: Option<SdpShape>,
    /// Note what is only noted by strict hubs, too (see `sim rules`)
    #[arg(long)]
    pub strict: bool,
    /// The number that calls
    #[arg(long, value_name = "NUMBER", default_value = "+14255550100")]
    pub from: String,
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
    /// What calls go over; TLS needs its files, and has the port for itself
    #[arg(long, value_enum, default_value_t = WireName::Udp)]
    pub transport: WireName,
    /// PEM: the carrier's certificate, for TLS
    #[arg(long, value_name = "FILE", required_if_eq("transport", "tls"))]
    pub certificate: Option<PathBuf>,
    /// PEM: its key
    #[arg(long, value_name = "FILE", required_if_eq("transport", "tls"))]
    pub key: Option<PathBuf>,
    /// PEM: the roots that the SBC's certificate chains to
    #[arg(long, value_name = "FILE", required_if_eq("transport", "tls"))]
    pub roots: Option<PathBuf>,
    /// The SBC's name: the host of our INVITEs, and over TLS what its certificate has to bear; its address when absent
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Answer a challenge (401, 407) as this user
    #[arg(long, value_name = "NAME", requires = "password")]
    pub username: Option<String>,
    /// With this password
    #[arg(long, value_name = "PASSWORD", requires = "username")]
    pub password: Option<String>,
    /// The number that calls
    #[arg(long, value_name = "NUMBER", default_value = "+12065550100")]
    pub from: String,
    #[command(flatten)]
    pub behaviour: Behaviour,
}

/// A transport by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WireName {
    Udp,
    Tcp,
    Tls,
}

/// A cloud by its name in the configuration.
fn cloud_name() -> impl TypedValueParser<Value = Cloud> {
    let known = |name: String| Cloud::ALL.into_iter().find(|cloud| cloud.name() == name);
    PossibleValuesParser::new(Cloud::ALL.map(Cloud::name)).try_map(move |name| known(name).ok_or("no such cloud"))
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

fn text_of(file: &str) -> Result<String, std::io::Error> {
    std::fs::read_to_string(file)
}

impl Behaviour {
    fn dial(&self, from: &str) -> Option<Dial> {
        let mut dial = Dial::new(from, self.call.as_ref()?);
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
    /// The call to place.
    pub(super) fn dial(&self) -> Option<Dial> {
        let dial = self.behaviour.dial(&self.from)?;
        let dial = dial.sdp(self.sdp.unwrap_or_default());
        Some(match &self.location {
            Some(record) => dial.located(record),
            None => dial,
        })
    }

    pub(super) fn settings(&self) -> TeamsSettings {
        TeamsSettings {
            listen: self.listen,
            sbc: self.sbc,
            trunk: self.trunk.clone(),
            hub: self
                .hub
                .clone()
                .or_else(|| Some((*self.cloud.hubs().first()?).to_owned()))
                .unwrap_or_default(),
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
    /// The call to place.
    pub(super) fn dial(&self) -> Option<Dial> {
        let mut dial = self.behaviour.dial(&self.from)?;
        dial.host.clone_from(&self.host);
        dial.credentials = self
            .username
            .as_ref()
            .zip(self.password.as_ref())
            .map(|known| Credentials {
                // Whoever asks: it is a laboratory's password.
                realm: String::new(),
                username: known.0.clone(),
                password: known.1.clone(),
            });
        Some(dial)
    }

    pub(super) fn settings(&self) -> CarrierSettings {
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        CarrierSettings {
            listen: self.listen,
            sbc: self.sbc,
            wire: match self.transport {
                WireName::Udp => CarrierWire::Udp,
                WireName::Tcp => CarrierWire::Tcp,
                WireName::Tls => CarrierWire::Tls(CarrierPapers {
                    certificate: file(&self.certificate),
                    key: file(&self.key),
                    roots: file(&self.roots),
                }),
            },
            tone: self.behaviour.tone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: CarrierArgs,
    }

    #[test]
    fn a_carrier_calls_from_its_own_side_and_with_what_it_needs() {
        use clap::Parser;
        let read = |line: &str| Line::try_parse_from(line.split(' ')).map(|line| line.args);
        let plain = read("sim --sbc 127.0.0.1:5060 --call +14255550100").unwrap();
        let dial = plain.dial().unwrap();
        assert_eq!((dial.from.as_str(), dial.credentials), ("+12065550100", None));
        let known =
            read("sim --sbc 127.0.0.1:5060 --call +14255550100 --username a --password b --host sbc1.example.net");
        let dial = known.unwrap().dial().unwrap();
        assert_eq!(dial.host.as_deref(), Some("sbc1.example.net"));
        let credentials = dial.credentials.unwrap();
        assert_eq!(
            (credentials.username.as_str(), credentials.password.as_str()),
            ("a", "b")
        );
        let over_tls = read("sim --transport tls --certificate c.pem --key c.key --roots r.pem").unwrap();
        assert!(matches!(over_tls.settings().wire, CarrierWire::Tls(papers) if papers.key == Path::new("c.key")));
        for wrong in [
            "sim --transport tls",
            "sim --username a",
            "sim --transport tls --certificate c.pem --key c.key",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[derive(Debug, clap::Parser)]
    struct Hub {
        #[command(flatten)]
        args: TeamsArgs,
    }

    #[test]
    fn a_hub_has_the_name_of_its_cloud_unless_another_is_said() {
        use clap::Parser;
        let hub = |more: &str| {
            let line = format!("sim --certificate c.pem --key c.key --roots r.pem{more}");
            Hub::try_parse_from(line.split(' '))
                .expect("a line")
                .args
                .settings()
                .hub
        };
        assert_eq!(hub(""), "sip.pstnhub.microsoft.com");
        assert_eq!(hub(" --cloud gcc-high"), "sip.pstnhub.gov.teams.microsoft.us");
        assert_eq!(hub(" --cloud dod"), "sip.pstnhub.dod.teams.microsoft.us");
        assert_eq!(hub(" --cloud dod --hub hub.example"), "hub.example");
    }

    #[test]
    fn a_placed_call_has_the_descriptions_that_are_asked_for() {
        use clap::Parser;
        let read = |more: &[&str]| {
            let files = "sim --certificate c.pem --key c.key --roots r.pem".split(' ');
            let line = Hub::try_parse_from(files.chain(more.iter().copied()));
            line.map(|line| line.args.dial().map(|dial| dial.sdp))
        };
        let call = ["--sbc", "127.0.0.1:5061", "--call", "+14255550100"];
        assert_eq!(read(&call).unwrap(), Some(SdpShape::default()));
        let shaped = [&call[..], &["--sdp", "UDP/TLS/RTP/SAVP no-rtcp-mux"]].concat();
        assert_eq!(
            read(&shaped).unwrap(),
            Some("UDP/TLS/RTP/SAVP no-rtcp-mux".parse().unwrap())
        );
        for wrong in [&["--sdp", "mki"][..], &[&call[..], &["--sdp", "DTLS"]].concat()] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

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
