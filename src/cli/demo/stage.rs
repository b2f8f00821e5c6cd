//! Everything that runs during the demonstration.

use super::DemoError;
use super::plan::{BASE, CARRIER, Folder, HUBS, Ports, SBC, TEAMS, TRUNK, write};
use super::printing::Printer;
use super::witness::Witness;
use crate::api::{self, AdminState, HttpServer};
use crate::cli::run::{Running, start};
use crate::config;
use crate::observe::{Observation, Observers};
use crate::sim::{CarrierSettings, CarrierSim, CarrierWire, Papers, Showing, TeamsSettings, TeamsSim};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long calls may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// The running pieces.
pub(super) struct Stage {
    pub(super) folder: Folder,
    pub(super) ports: Ports,
    pub(super) carrier: CarrierSim,
    pub(super) teams: TeamsSim,
    pub(super) witness: Arc<Witness>,
    running: Running,
    admin: HttpServer,
}

impl Stage {
    /// Makes and starts all of it.
    pub(super) async fn build(printer: &Printer) -> Result<Stage, DemoError> {
        printer.title();
        let folder = Folder::make(&std::env::temp_dir())?;
        let papers = Papers::make(folder.path(), BASE, HUBS)?;
        printer.line(
            "certificates",
            "a throw-away CA, RSA-2048 leafs; Teams' is for serverAuth alone",
        );
        let ports = Ports::find().map_err(DemoError::machine(format!("no port on {SBC}")))?;
        let carrier = CarrierSim::start(CarrierSettings {
            listen: SocketAddr::new(CARRIER, 0),
            sbc: Some(ports.carrier_listener()),
            wire: CarrierWire::Udp,
            tone: 440.0,
        })?;
        let teams = TeamsSim::start(TeamsSettings {
            listen: SocketAddr::new(TEAMS, 0),
            sbc: Some(ports.teams_listener()),
            trunk: TRUNK.to_owned(),
            hub: HUBS[0].to_owned(),
            certificate: papers.teams_certificate.clone(),
            key: papers.teams_key.clone(),
            roots: papers.root.clone(),
            tone: 620.0,
            bypass: false,
            strict: true,
            idle: None,
            showing: Showing::Sound,
        })?;
        write(
            &folder,
            &papers,
            ports,
            carrier.address(),
            teams.address(),
            &teams.names(),
        )
        .map_err(DemoError::machine(format!(
            "{} can't be written to",
            folder.path().display()
        )))?;
        let config = config::load(folder.path()).map_err(DemoError::Config)?;
        printer.line("configuration", &format!("{} is right", folder.path().display()));
        let witness = Arc::new(Witness::default());
        let observation = Arc::new(Observation::without_logging(&config)?);
        let observers = Observers::new(vec![witness.clone(), observation.observer(&config)]);
        let running = start(config, Arc::new(observers)).await?;
        let certificates = running.papers.certificates().to_vec();
        let state = AdminState::new(
            running.node.clone(),
            running.signalling.clone(),
            certificates,
            observation,
        );
        let admin = api::serve(SocketAddr::new(SBC, 0), Arc::new(state)).await?;
        printer.line(
            "portcullis",
            &format!(
                "SIP over TLS on {}, over UDP on {}",
                ports.teams_listener(),
                ports.carrier_listener()
            ),
        );
        printer.line("carrier", &format!("simulated on {}, UDP, RTP", carrier.address()));
        printer.line(
            "Teams",
            &format!(
                "simulated on {}, mutual TLS, SRTP; known as {}",
                teams.address(),
                HUBS.join(", ")
            ),
        );
        Ok(Stage {
            folder,
            ports,
            carrier,
            teams,
            witness,
            running,
            admin,
        })
    }

    /// Where metrics, health and live calls are served.
    pub(super) fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Ends all of it.
    pub(super) async fn strike(self) {
        self.running.drain(PATIENCE).await;
        self.admin.shut_down(PATIENCE).await;
        self.carrier.shut_down().await;
        self.teams.shut_down().await;
        self.running.shut_down().await;
    }

    /// Until portcullis counts no call any more.
    pub(super) async fn calls_over(&self) {
        let node = &self.running.node;
        let wait = async {
            while node.calls.count() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // The record of a call that does not end is missing in the report, which says so.
        let _ = tokio::time::timeout(PATIENCE, wait).await;
    }
}
