//! What can be said on the command line.

use super::CommandError;
use super::behaviour::{Behaviour, Peer};
use super::beside::{Beside, Conduct};
use crate::config::Cloud;
use crate::sim::{CarrierPapers, CarrierSettings, CarrierWire, Dial, Showing, TeamsSettings, WrongPaper};
use crate::sip::digest::Credentials;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
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
    Teams(Box<TeamsArgs>),
    /// A carrier: UDP, TCP or TLS, RTP, passwords
    Carrier(Box<CarrierArgs>),
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
    /// Note what is only noted by strict hubs, too (see `sim rules`)
    #[arg(long)]
    pub strict: bool,
    /// The number that calls
    #[arg(long, value_name = "NUMBER", default_value = "+14255550100")]
    pub from: String,
    /// Close connections that carried no message for so many seconds, as Teams does after two minutes
    #[arg(long, value_name = "SECONDS")]
    pub idle: Option<u64>,
    /// Show a certificate that is wrong in this way, which `certs dev --wrong` has made beside the right one; none: as client no
    /// certificate at all
    #[arg(long, value_name = "KIND", value_parser = wrong_kind())]
    pub wrong: Option<Wrong>,
    /// Another hub of the same Teams in this process, such as `sip2.pstnhub.microsoft.com=127.0.0.4:5061`; behind a space `draining`,
    /// `stalled`, `mute`, `dead` or a script of its own; repeat it for more
    #[arg(long, value_name = "NAME=ADDRESS:PORT")]
    pub beside: Vec<Beside>,
    /// Open so many connections to the SBC at once, with an OPTIONS on each
    #[arg(long, value_name = "COUNT", requires = "sbc", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub connections: Option<u64>,
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
    /// Over TLS, show a certificate that is wrong in this way, which `certs dev --wrong` has made beside the right one; none: as
    /// client no certificate at all
    #[arg(long, value_name = "KIND", requires = "certificate", value_parser = wrong_kind())]
    pub wrong: Option<Wrong>,
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

/// What is wrong with the certificate that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    Paper(WrongPaper),
    /// None is shown as client.
    NoneAsClient,
}

impl Wrong {
    const NONE: &str = "none";

    fn of(word: &str) -> Option<Wrong> {
        let paper = WrongPaper::ALL.into_iter().find(|paper| paper.word() == word);
        paper
            .map(Wrong::Paper)
            .or((word == Wrong::NONE).then_some(Wrong::NoneAsClient))
    }
}

fn wrong_kind() -> impl TypedValueParser<Value = Wrong> {
    let words = WrongPaper::ALL.iter().map(|paper| paper.word()).chain([Wrong::NONE]);
    PossibleValuesParser::new(words).try_map(|word| Wrong::of(&word).ok_or("no such kind"))
}

/// The files to show, and how.
fn shown(files: [&Path; 2], wrong: Option<Wrong>) -> ([PathBuf; 2], Showing) {
    match wrong {
        None => (files.map(Path::to_owned), Showing::Sound),
        Some(Wrong::NoneAsClient) => (files.map(Path::to_owned), Showing::NoneAsClient),
        Some(Wrong::Paper(paper)) => {
            let showing = if paper.is_untimely() {
                Showing::Untimely
            } else {
                Showing::Sound
            };
            (files.map(|file| paper.beside(file)), showing)
        }
    }
}

/// Files that `certs dev --wrong` has to have made.
fn made(files: &[PathBuf; 2], wrong: Option<Wrong>) -> Result<(), CommandError> {
    let missing = files.iter().find(|file| !file.exists());
    match (wrong, missing) {
        (Some(Wrong::Paper(_)), Some(file)) => Err(CommandError::Usage(format!(
            "{} is not there: `portcullis certs dev --wrong` makes it beside the right one",
            file.display()
        ))),
        _ => Ok(()),
    }
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

fn text_of(file: &str) -> Result<String, std::io::Error> {
    std::fs::read_to_string(file)
}

impl TeamsArgs {
    /// The call to place.
    pub(super) fn dial(&self) -> Option<Dial> {
        let dial = self.behaviour.dial(&self.from)?;
        Some(match &self.location {
            Some(record) => dial.located(record),
            None => dial,
        })
    }

    /// What can't be, with what to do.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let scripts = self.beside.iter().filter_map(|beside| match &beside.conduct {
            Conduct::Script(script) => Some(script),
            _ => None,
        });
        let peer = if self.bypass {
            Peer::TeamsWithBypass
        } else {
            Peer::Teams
        };
        self.behaviour.objection(&scripts.collect::<Vec<_>>(), peer)?;
        let settings = self.settings();
        made(&[settings.certificate, settings.key], self.wrong)?;
        let mut hubs = vec![(settings.hub.as_str(), self.listen)];
        for beside in &self.beside {
            let known = hubs
                .iter()
                .find(|(hub, at)| *hub == beside.hub || (*at == beside.listen && at.port() != 0));
            if let Some((hub, at)) = known {
                let Beside { hub: other, listen, .. } = beside;
                return Err(CommandError::Usage(format!(
                    "--beside {other}={listen}: {hub} stands on {at} already; each hub needs a name and an address of its own"
                )));
            }
            hubs.push((&beside.hub, beside.listen));
        }
        Ok(())
    }

    pub(super) fn settings(&self) -> TeamsSettings {
        let ([certificate, key], showing) = shown([&self.certificate, &self.key], self.wrong);
        TeamsSettings {
            listen: self.listen,
            sbc: self.sbc,
            trunk: self.trunk.clone(),
            hub: self
                .hub
                .clone()
                .or_else(|| Some((*self.cloud.hubs().first()?).to_owned()))
                .unwrap_or_default(),
            certificate,
            key,
            roots: self.roots.clone(),
            tone: self.behaviour.tone,
            bypass: self.bypass,
            strict: self.strict,
            idle: self.idle.map(Duration::from_secs),
            showing,
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

    fn shown(&self) -> ([PathBuf; 2], Showing) {
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        shown([&file(&self.certificate), &file(&self.key)], self.wrong)
    }

    /// What can't be, with what to do.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        self.behaviour.objection(&[], Peer::Carrier)?;
        made(&self.shown().0, self.wrong)
    }

    pub(super) fn settings(&self) -> CarrierSettings {
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        let ([certificate, key], showing) = self.shown();
        CarrierSettings {
            listen: self.listen,
            sbc: self.sbc,
            wire: match self.transport {
                WireName::Udp => CarrierWire::Udp,
                WireName::Tcp => CarrierWire::Tcp,
                WireName::Tls => CarrierWire::Tls(CarrierPapers {
                    certificate,
                    key,
                    roots: file(&self.roots),
                    showing,
                }),
            },
            tone: self.behaviour.tone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_hub_shows_the_wrong_certificate_that_lies_beside_the_right_one() {
        use clap::Parser;
        let hub = |more: &str| {
            let line = format!("sim --certificate a/hub.example.pem --key a/hub.example.key --roots r.pem{more}");
            Hub::try_parse_from(line.split(' ')).map(|hub| hub.args)
        };
        let expired = hub(" --wrong expired").unwrap();
        let settings = expired.settings();
        assert_eq!(settings.certificate, Path::new("a/hub.example.expired.pem"));
        assert_eq!(settings.key, Path::new("a/hub.example.expired.key"));
        assert_eq!(settings.showing, Showing::Untimely);
        let told = expired.check().unwrap_err().to_string();
        assert!(
            told.starts_with("a/hub.example.expired.pem is not there: `portcullis certs dev --wrong`"),
            "{told}"
        );
        let settings = hub(" --wrong none").unwrap().settings();
        assert_eq!(
            (settings.certificate.as_path(), settings.showing),
            (Path::new("a/hub.example.pem"), Showing::NoneAsClient)
        );
        assert!(hub(" --wrong old").unwrap_err().to_string().contains("self-signed"));
        for paper in WrongPaper::ALL {
            assert_eq!(Wrong::of(paper.word()), Some(Wrong::Paper(paper)));
        }
    }

    #[test]
    fn two_hubs_can_not_have_one_name_or_one_address() {
        use clap::Parser;
        for (beside, told) in [
            ("sip.pstnhub.microsoft.com=127.0.0.4:5061", "each hub needs a name"),
            (
                "sip2.pstnhub.microsoft.com=127.0.0.3:5061",
                "sip.pstnhub.microsoft.com stands on 127.0.0.3:5061 already",
            ),
        ] {
            let line = [
                "sim",
                "--certificate",
                "c",
                "--key",
                "k",
                "--roots",
                "r",
                "--beside",
                beside,
            ];
            let told_now = Hub::try_parse_from(line).unwrap().args.check().unwrap_err().to_string();
            assert!(told_now.contains(told), "{told_now}");
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
