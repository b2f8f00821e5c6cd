//! A peer like Teams: mutual TLS, SRTP, and the rules of Direct Routing, answered and enforced as Teams does.
//!
//! One [`TeamsSim`] is one hub (`sip.pstnhub.microsoft.com`); several hubs are several simulators.

mod persona;
mod rule_book;
mod rules;

/// The host of a hub's Record-Route: `sip-du-a-eu` beside `sip`, and one of its own beside each other.
pub fn proxy_of(hub: &str) -> String {
    let (label, base) = hub.split_once('.').unwrap_or((hub, ""));
    format!("{label}-du-a-eu.{base}")
}

/// The host of a hub's Contact, which takes no SIP.
pub fn api_of(hub: &str) -> String {
    let (_, base) = hub.split_once('.').unwrap_or((hub, ""));
    format!("api-du-a-euno.{base}")
}

#[cfg(test)]
mod tests;

pub(super) use rules::{contact_host, ice_lines, is_completed_elsewhere, notified, transferred};

use super::beside::Beside;
use super::papers::Showing;
use super::simulator::{Settings, SimStartError, Simulator};
use crate::net::ListenerProtocol;
use crate::net::tls::{ClientCertificates, ClientTrust, IdentityFiles, TlsProfile, TrustRoots};
use crate::sip::Uri;
use persona::TeamsPersona;
pub use rule_book::{Inside, inspected, judged, said_of_ice, told_of_transfer, transfers};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::call::{Call, Dial, SimError, judge_end, replaces};
use super::violation::Rule;

/// What a simulated hub begins with.
#[derive(Debug, Clone)]
pub struct TeamsSettings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where portcullis' Teams listener is; `None`: only answering, at where portcullis calls from.
    pub sbc: Option<SocketAddr>,
    /// The tenant's trunk name: host of our INVITEs.
    pub trunk: String,
    /// The hub's name; the certificate must bear it.
    pub hub: String,
    /// PEM: our certificate (serverAuth alone, as Teams' own since 2026), shown in both directions.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// PEM: the roots that portcullis' certificate chains to.
    pub roots: PathBuf,
    /// Hz.
    pub tone: f64,
    /// The trunk has media bypass: clients with full ICE speak for themselves.
    pub bypass: bool,
    /// Notes too what only strict simulators do: see [`Rule`].
    pub strict: bool,
    /// Connections without a message for this long are closed, as Teams does after two minutes; `None`: after ten.
    pub idle: Option<Duration>,
    /// What is done with the certificate.
    pub showing: Showing,
}

/// Every rule that a simulated hub enforces, with its number.
pub const fn catalogue() -> &'static [Rule] {
    rules::RULES
}

/// One simulated hub.
pub struct TeamsSim {
    simulator: Simulator,
    settings: TeamsSettings,
}

impl TeamsSim {
    /// Binds and starts it. Needs a tokio runtime.
    pub fn start(settings: TeamsSettings) -> Result<TeamsSim, SimStartError> {
        TeamsSim::of(settings, Arc::default())
    }

    /// Another hub of the same Teams: what one call does at both is seen (TEAMS-064, TEAMS-070).
    pub fn start_beside(&self, settings: TeamsSettings) -> Result<TeamsSim, SimStartError> {
        TeamsSim::of(settings, self.simulator.line().beside.clone())
    }

    fn of(settings: TeamsSettings, beside: Arc<Beside>) -> Result<TeamsSim, SimStartError> {
        let identities = settings
            .showing
            .open(IdentityFiles {
                name: settings.hub.clone(),
                certificate: settings.certificate.clone(),
                key: settings.key.clone(),
            })
            .map_err(SimStartError::Identity)?;
        let roots = Arc::new(TrustRoots::from_file(&settings.roots)?);
        let profile = settings.showing.dressed(TlsProfile::new(
            Arc::new(identities),
            // Any name: what Contact says is compared with it later (section 4.1).
            ClientCertificates::Require(ClientTrust::controller(roots.clone())),
            roots,
            &settings.hub,
        ));
        let profile = profile.of_teams();
        let port = Arc::new(OnceLock::new());
        let persona = TeamsPersona {
            hub: settings.hub.clone(),
            proxy: proxy_of(&settings.hub),
            api: api_of(&settings.hub),
            port: port.clone(),
            sbc: settings.sbc,
            bypass: settings.bypass,
            strict: settings.strict,
        };
        let simulator = Simulator::start(Settings {
            listeners: vec![(ListenerProtocol::Tls(profile), settings.listen)],
            persona: Arc::new(persona),
            tone: settings.tone,
            strict: settings.strict,
            idle: settings.idle,
            beside: beside.clone(),
        })?;
        beside.add(&settings.hub);
        // Set once, here.
        let _ = port.set(simulator.address().port());
        Ok(TeamsSim { simulator, settings })
    }

    /// The names that have to resolve to this simulator: the hub's own, and that of its Record-Route.
    pub fn names(&self) -> [String; 2] {
        [self.settings.hub.clone(), proxy_of(&self.settings.hub)]
    }

    /// A Teams user calls out: INVITE on a connection of our own.
    pub async fn place_call(&self, dial: Dial) -> Result<Call, SimError> {
        let (host, port) = (dial.host.as_ref().unwrap_or(&self.settings.trunk), self.settings.sbc);
        let uri = Uri::sip(Some(&dial.to), host, port.map(|sbc| sbc.port()))
            .and_then(|uri| uri.with_param("user", Some("phone")))
            .and_then(|uri| uri.with_param("transport", Some("tls")))
            .map_err(|_| SimError::NoAddress(dial.to.clone()))?;
        Ok(self.simulator.place(uri, dial))
    }

    /// OPTIONS on so many connections at once, each with its own (TEAMS-016). Needs a certificate of portcullis with a wildcard for
    /// the trunk's siblings.
    ///
    /// # Errors
    /// Not all were answered in time.
    pub async fn ping_on_connections(&self, count: u64) -> Result<(), SimError> {
        let trunk = &self.settings.trunk;
        let no_address = || SimError::NoAddress(trunk.clone());
        let port = self.settings.sbc.ok_or_else(no_address)?.port();
        let (_, base) = trunk.split_once('.').ok_or_else(no_address)?;
        let uri = Uri::sip(None, trunk, Some(port)).map_err(|_| no_address())?;
        let line = self.simulator.line();
        let before = self.pings().answered;
        for number in 0..count {
            let mut hop = line.persona.hop(&uri, None).ok_or_else(no_address)?;
            // Connections are shared by name, and every name under the wildcard is the same server.
            hop.server_name = Some(format!("connection-{number}.{base}").into());
            let ping = line.ping(&uri, hop).ok_or_else(no_address)?;
            // The wire ends with the whole simulator.
            let _ = line.commands.send(ping).await;
        }
        self.pings_until(|pings| pings.answered >= before + count).await?;
        Ok(())
    }

    /// A Teams user takes `call` over, as from a queue or a park: INVITE with Replaces, answered; the replaced call is ended
    /// by portcullis (TEAMS-088).
    ///
    /// # Errors
    /// It was refused, or something did not come in time.
    pub async fn replace(&self, call: &Call, dial: Dial) -> Result<Call, SimError> {
        let replaces = replaces(&call.view()).ok_or(SimError::Over)?;
        let taken = self.place_call(dial.header("Replaces", &replaces)).await?;
        taken.answered().await?;
        judge_end(self.simulator.line(), call.watch()).await;
        Ok(taken)
    }
}

impl Deref for TeamsSim {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}

/// A correlation id as Teams has them.
pub(super) fn guid() -> String {
    let bits: u128 = rand::random();
    let text = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}
