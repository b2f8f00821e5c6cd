//! What every simulator can do, whatever it simulates.

use super::beside::Beside;
use super::call::{BOUND, Call, Dial, SimError};
use super::line::{Beginning, Line, Manner, Pings, Switch, pings_until};
use super::own_header::OwnHeader;
use super::persona::Persona;
use super::script::Script;
use super::unconnected::Unconnected;
use super::violation::{Violation, Violations};
use super::wire::Wire;
use crate::net::tls::{IdentityError, RootsError};
use crate::net::{AcceptLimits, Clock, ListenError, ListenerProtocol, ListenerSettings, StreamLimits};
use crate::sip::{Flow, ListenerId, Message, Uri};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// Calls that may wait for somebody to ask for them.
const WAITING: usize = 1024;

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimStartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Identity(Vec<IdentityError>),
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error("no listener is bound")]
    NoListener,
}

/// What a simulator begins with.
pub(super) struct Settings {
    /// In the order of their [`ListenerId`]s.
    pub(super) listeners: Vec<(ListenerProtocol, SocketAddr)>,
    pub(super) persona: Arc<dyn Persona>,
    pub(super) tone: f64,
    /// Notes what only strict simulators do.
    pub(super) strict: bool,
    /// Connections without a message for this long are closed; `None`: after ten minutes.
    pub(super) idle: Option<Duration>,
    /// Shared with the hubs beside it.
    pub(super) beside: Arc<Beside>,
}

/// A running simulator: its calls, what it demands, what it heard. Dropping it ends everything at once.
pub struct Simulator {
    wire: Wire,
    line: Arc<Line>,
    incoming: Mutex<mpsc::Receiver<Call>>,
    address: SocketAddr,
}

impl Simulator {
    pub(super) fn start(settings: Settings) -> Result<Simulator, SimStartError> {
        let clock = Clock::start();
        let (waiting, incoming) = mpsc::channel(WAITING);
        let mut listeners = Vec::new();
        let bind = settings.listeners.first().map(|(_, bind)| *bind);
        let bind = bind.ok_or(SimStartError::NoListener)?;
        let mut limits = AcceptLimits::default();
        limits.stream.idle = settings.idle.unwrap_or(StreamLimits::default().idle);
        for (index, (protocol, bind)) in (0u16..).zip(settings.listeners) {
            listeners.push(ListenerSettings {
                id: ListenerId(index),
                name: format!("simulator-{index}"),
                protocol,
                bind,
                advertise_host: None,
                advertise_port: None,
                dscp: 0,
                limits: limits.clone(),
            });
        }
        let persona = settings.persona;
        let violations = Arc::new(Violations::of(persona.rules(), settings.strict));
        let mut line = None;
        let judged = (persona.clone(), violations.clone());
        let wire = Wire::start(listeners, clock, judged, |commands| {
            let begun = Arc::new(Line::new(Beginning {
                persona,
                commands,
                clock,
                address: bind.ip(),
                tone: settings.tone,
                violations,
                beside: settings.beside,
                script: Script::answer(),
                incoming: waiting,
            }));
            line = Some(begun.clone());
            Switch::new(begun)
        })?;
        let address = wire.transports.local_address(ListenerId(0));
        let (Some(line), Some(address)) = (line, address) else {
            return Err(SimStartError::NoListener);
        };
        Ok(Simulator {
            wire,
            line,
            incoming: Mutex::new(incoming),
            address,
        })
    }

    pub(super) fn place(&self, uri: Uri, dial: Dial) -> Call {
        Call::place(&self.line, uri, dial)
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next call that portcullis placed here.
    pub async fn incoming(&self) -> Result<Call, SimError> {
        self.incoming_within(BOUND).await
    }

    /// The same with another bound.
    pub async fn incoming_within(&self, bound: Duration) -> Result<Call, SimError> {
        let mut incoming = self.incoming.lock().await;
        let call = timeout(bound, incoming.recv()).await;
        call.map_err(|_| SimError::Late("a call"))?.ok_or(SimError::Over)
    }

    /// What becomes of calls from now on. At the beginning: 200 at once.
    pub fn set_script(&self, script: Script) {
        self.line.set_script(script);
    }

    /// What becomes of the next call alone; several wait in line.
    pub fn script_once(&self, script: Script) {
        self.line.script_once(script);
    }

    /// What becomes of the next calls, one after the other, and by the last of these of all that follow; none: as before.
    pub fn set_scripts(&self, scripts: &[Script]) {
        if let Some((last, first)) = scripts.split_last() {
            self.line.set_scripts(first, last.clone());
        }
    }

    /// INVITEs that begin calls bear these from now on, in place of the simulator's own of the same names.
    pub fn set_headers(&self, headers: Vec<OwnHeader>) {
        self.line.set_inviting(|inviting| inviting.headers = headers);
    }

    /// Who takes a call over, where neither the script nor the call says it.
    pub fn set_number(&self, number: &str) {
        self.line
            .set_inviting(|inviting| inviting.number = Some(number.to_owned()));
    }

    /// How everybody is treated from now on.
    pub fn set_manner(&self, manner: Manner) {
        self.line.set_manner(manner);
    }

    /// What portcullis did wrong so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.line.violations.list()
    }

    /// Connections that failed since the last call of this: the first few, and how many others there were.
    pub fn take_unconnected(&self) -> (Vec<Unconnected>, u64) {
        self.wire.unconnected().take()
    }

    /// Every message that came, the newest few thousand.
    pub fn transcript(&self) -> Vec<Message> {
        self.overheard().map(|(message, _)| message).collect()
    }

    /// The same with the connections that they came on, and the certificates shown there.
    pub fn overheard(&self) -> impl Iterator<Item = (Message, Flow)> + use<> {
        self.line.transcript().into_iter()
    }

    /// OPTIONS so far.
    pub fn pings(&self) -> Pings {
        *self.line.pings.borrow()
    }

    /// INVITEs that it has answered with 503 as [`Manner::Unavailable`].
    pub fn turned_away(&self) -> u64 {
        self.line.turned_away.load(Ordering::Relaxed)
    }

    /// Until OPTIONS went as `enough` wants.
    pub async fn pings_until(&self, enough: impl FnMut(&Pings) -> bool) -> Result<Pings, SimError> {
        let seen = pings_until(&self.line, BOUND, enough).await;
        seen.ok_or(SimError::Late("OPTIONS"))
    }

    /// Ends all calls without a word, stops listening, closes all connections.
    pub async fn shut_down(&self) {
        self.line.shut_down().await;
        self.wire.shut_down().await;
    }
}
