//! A peer like a carrier: UDP and TCP, or TLS, RTP, G.711, ordinary spelling; and the check that nothing of Teams shows there.

mod persona;
mod rules;
#[cfg(test)]
mod tests;

use super::call::{Call, Dial, SimError};
use super::papers::Showing;
use super::simulator::{Settings, SimStartError, Simulator};
use super::violation::Violation;
use crate::net::ListenerProtocol;
use crate::net::tls::{ClientCertificates, IdentityFiles, TlsProfile, TrustRoots};
use crate::sip::{Transport, Uri};
use persona::CarrierPersona;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// What a simulated carrier begins with.
#[derive(Debug, Clone)]
pub struct CarrierSettings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where portcullis' carrier listener is; `None`: only answering.
    pub sbc: Option<SocketAddr>,
    pub wire: CarrierWire,
    /// Hz.
    pub tone: f64,
}

/// What a carrier listens on and calls over.
#[derive(Debug, Clone)]
pub enum CarrierWire {
    /// TCP is heard on the same port.
    Udp,
    /// UDP is heard on the same port.
    Tcp,
    /// Nothing else is heard there.
    Tls(CarrierPapers),
}

/// PEM files of a carrier that speaks TLS.
#[derive(Debug, Clone)]
pub struct CarrierPapers {
    /// Shown in both directions; no certificate is asked of callers.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The roots that portcullis' certificate chains to.
    pub roots: PathBuf,
    /// What is done with the certificate.
    pub showing: Showing,
}

impl CarrierWire {
    const fn transport(&self) -> Transport {
        match self {
            CarrierWire::Udp => Transport::Udp,
            CarrierWire::Tcp => Transport::Tcp,
            CarrierWire::Tls(_) => Transport::Tls,
        }
    }

    fn protocols(&self) -> Result<Vec<ListenerProtocol>, SimStartError> {
        Ok(match self {
            CarrierWire::Udp => vec![ListenerProtocol::Udp { sockets: 1 }, ListenerProtocol::Tcp],
            CarrierWire::Tcp => vec![ListenerProtocol::Tcp, ListenerProtocol::Udp { sockets: 1 }],
            CarrierWire::Tls(papers) => vec![ListenerProtocol::Tls(papers.profile()?)],
        })
    }
}

impl CarrierPapers {
    fn profile(&self) -> Result<TlsProfile, SimStartError> {
        let name = "carrier";
        let identities = self
            .showing
            .open(IdentityFiles {
                name: name.to_owned(),
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            })
            .map_err(SimStartError::Identity)?;
        let roots = Arc::new(TrustRoots::from_file(&self.roots)?);
        Ok(self.showing.dressed(TlsProfile::new(
            Arc::new(identities),
            ClientCertificates::Ignore,
            roots,
            name,
        )))
    }
}

/// One simulated carrier.
pub struct CarrierSim {
    simulator: Simulator,
    settings: CarrierSettings,
}

impl CarrierSim {
    /// Binds and starts it. Needs a tokio runtime.
    pub fn start(settings: CarrierSettings) -> Result<CarrierSim, SimStartError> {
        let local = Arc::new(OnceLock::new());
        let persona = CarrierPersona {
            local: local.clone(),
            sbc: settings.sbc,
            transport: settings.wire.transport(),
        };
        let protocols = settings.wire.protocols()?.into_iter();
        let simulator = Simulator::start(Settings {
            listeners: protocols.map(|protocol| (protocol, settings.listen)).collect(),
            persona: Arc::new(persona),
            tone: settings.tone,
            strict: false,
            beside: Arc::default(),
            idle: None,
        })?;
        // Set once, here.
        let _ = local.set(simulator.address());
        Ok(CarrierSim { simulator, settings })
    }

    /// A caller of the telephone network.
    pub async fn place_call(&self, dial: Dial) -> Result<Call, SimError> {
        let sbc = self.settings.sbc.ok_or_else(|| SimError::NoAddress(dial.to.clone()))?;
        let host = dial.host.clone().unwrap_or_else(|| match sbc.ip() {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        });
        let uri = Uri::sip(Some(&dial.to), &host, Some(sbc.port()))
            .and_then(|uri| match self.settings.wire.transport() {
                Transport::Udp => Ok(uri),
                other => uri.with_param("transport", Some(other.uri_name())),
            })
            .map_err(|_| SimError::NoAddress(dial.to.clone()))?;
        Ok(self.simulator.place(uri, dial))
    }

    /// Messages in which one of these words stands: Call-IDs and tags of the Teams side must not be seen here.
    pub fn leaks_of(&self, words: &[String]) -> Vec<Violation> {
        let transcript = self.simulator.transcript();
        transcript
            .iter()
            .flat_map(|message| rules::leaks(message, words))
            .collect()
    }
}

impl Deref for CarrierSim {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}
