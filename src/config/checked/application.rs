//! Applications: servers that are asked what to do with a call.

use crate::config::hook_url::{HookProtocol, HookUrl};
use crate::config::names::{ApplicationName, Secret, Sid, SpeechServiceName};
use crate::config::network::Network;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An application of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub name: ApplicationName,
    pub sid: Sid,
    /// Asked for the first verbs; its server is where relative hooks lead.
    pub hook: Hook,
    /// Told of every change of a call. Of HTTP where the application itself is on the WebSocket API.
    pub status_hook: Option<Hook>,
    pub fallback: Option<Fallback>,
    /// Signs requests: the application's own, else the tenant's. None: they are not signed.
    pub secret: Option<Secret>,
    pub speech: Speech,
    /// What it is told of itself with its first question, by name.
    pub env_vars: Vec<(String, Secret)>,
}

impl Application {
    /// Whether the application is on the WebSocket API: one connection for each call.
    pub fn is_connected(&self) -> bool {
        self.hook.url.protocol() == HookProtocol::WebSocket
    }
}

/// A hook that an administrator typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub url: HookUrl,
    /// Means nothing on the WebSocket API.
    pub method: HookMethod,
    pub login: Option<HookLogin>,
}

/// How a hook of HTTP is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookMethod {
    /// Scalars in the query.
    Get,
    /// JSON in the body.
    Post,
}

impl HookMethod {
    /// The method as it is sent.
    pub const fn word(self) -> &'static str {
        match self {
            HookMethod::Get => "GET",
            HookMethod::Post => "POST",
        }
    }
}

/// HTTP basic authentication, sent to the hook's own server only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookLogin {
    pub username: String,
    pub password: Secret,
}

/// Asked once when the hook of an application fails. Always of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The application whose hook it is; None: a hook of its own.
    pub application: Option<ApplicationName>,
    pub hook: Hook,
}

/// What `say` speaks with when the verb does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speech {
    /// Such as `en-US`.
    pub language: String,
    /// None: the language's own voice.
    pub voice: Option<String>,
    /// None: the synthesiser of this machine.
    pub vendor: Option<SpeechVendor>,
}

/// The vendor `custom:<name>` of a `say`: a speech service of the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeechVendor(pub SpeechServiceName);

impl fmt::Display for SpeechVendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", SpeechService::VENDOR_PREFIX, self.0)
    }
}

/// A server that speaks texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeechService {
    pub name: SpeechServiceName,
    /// Always of HTTP.
    pub url: HookUrl,
    /// Sent to that server alone.
    pub token: Option<Secret>,
}

impl SpeechService {
    /// What verbs put in front of its name.
    pub const VENDOR_PREFIX: &str = "custom:";
}

/// An account is a tenant as applications and the REST interface see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub sid: Sid,
    /// Signs requests of calls whose application is not one of these.
    pub secret: Option<Secret>,
    /// By name.
    pub applications: Vec<Arc<Application>>,
    /// By name.
    pub speech_services: Vec<Arc<SpeechService>>,
}

impl Account {
    /// The application of this name.
    pub fn application(&self, name: &ApplicationName) -> Option<&Arc<Application>> {
        let position = self.applications.binary_search_by(|known| known.name.cmp(name)).ok()?;
        self.applications.get(position)
    }

    /// The speech service of this name, as a verb writes it.
    pub fn speech_service(&self, name: &str) -> Option<&Arc<SpeechService>> {
        self.speech_services.iter().find(|known| known.name.as_str() == name)
    }
}

/// `[application_servers]`: how application servers are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationServers {
    /// Allowed beside public addresses.
    pub allow_networks: Vec<Network>,
    /// Only for demonstrations and tests.
    pub allow_loopback: bool,
    /// To open a connection; TLS gets as long again.
    pub connect_timeout: Duration,
    /// From a question to its whole answer.
    pub timeout: Duration,
    /// The same for the first question of a call.
    pub initial_timeout: Duration,
    /// Bytes of the longest answer that is read.
    pub max_answer: u64,
    /// Where sounds are that verbs name by path.
    pub media_folder: Option<PathBuf>,
}
