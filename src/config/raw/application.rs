//! Applications, and the servers that they are asked at, as typed.

use super::{At, DurationText, SecretText, SizeText};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// An application: a server of yours that is asked what to do with a call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawApplication {
    /// Asked for the first verbs of a call: a URL, or a table. `http` and `https` are asked by webhook; `ws` and `wss`
    /// mean the WebSocket API for the whole call.
    pub hook: At<RawHook>,
    /// Told of every change of the call and of the calls that it dials; of an application of webhooks a path belongs to the server
    /// of `hook`. Without it no such events are sent; an application on the WebSocket API gets them over its socket.
    pub call_status_hook: Option<At<RawHook>>,
    /// Asked when `hook` fails: the name of another application, a URL, a path at the server of `hook` of an application of webhooks,
    /// or a table. Without it the caller gets 480.
    pub fallback: Option<At<RawHook>>,
    /// Signs requests to this application instead of the tenant's `webhook_secret`.
    pub webhook_secret: Option<At<SecretText>>,
    /// The environment variable that holds it.
    pub webhook_secret_env: Option<At<String>>,
    /// The file that holds it; a line end after it is not part of it.
    pub webhook_secret_file: Option<At<String>>,
    /// What `say` speaks with when the verb does not tell.
    pub speech: Option<RawSpeech>,
    /// What the application is told of itself with its first question, as `env_vars`: names and texts, 64 at most, of 16 KiB
    /// together. A GET does not carry them.
    #[serde(default)]
    pub env_vars: BTreeMap<String, At<SecretText>>,
    /// `application_sid`, a UUID. Without it: one made of the tenant's and the application's name, always the same.
    pub sid: Option<At<String>>,
}

impl RawApplication {
    /// Whether something of it stands in the environment or in other files.
    pub fn reads_elsewhere(&self) -> bool {
        let hooks = [Some(&self.hook), self.call_status_hook.as_ref(), self.fallback.as_ref()];
        self.webhook_secret_env.is_some()
            || self.webhook_secret_file.is_some()
            || hooks.into_iter().flatten().any(|hook| hook.value().reads_elsewhere())
    }
}

/// A hook: its URL alone, or a table.
#[derive(Debug)]
pub enum RawHook {
    Text(String),
    Table(RawHookTable),
}

impl RawHook {
    /// Whether its password stands in the environment or in another file.
    pub fn reads_elsewhere(&self) -> bool {
        match self {
            RawHook::Text(_) => false,
            RawHook::Table(table) => table.password_env.is_some() || table.password_file.is_some(),
        }
    }
}

/// A hook with more than its URL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHookTable {
    /// Where it is asked.
    pub url: At<String>,
    /// How: in the body of a POST, or in the query of a GET.
    #[schemars(extend("default" = "POST"))]
    pub method: Option<At<RawHookMethod>>,
    /// User name for the server (HTTP basic authentication).
    pub username: Option<At<String>>,
    /// The password to it.
    pub password: Option<At<SecretText>>,
    /// The environment variable that holds the password.
    pub password_env: Option<At<String>>,
    /// The file that holds the password; a line end after it is not part of it.
    pub password_file: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum RawHookMethod {
    Get,
    Post,
}

/// What `say` speaks with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSpeech {
    /// A language such as `en-US` or `de`.
    #[schemars(extend("default" = "en-US"))]
    pub language: Option<At<String>>,
    /// A voice of the synthesizer. Without it: the language's own.
    pub voice: Option<At<String>>,
    /// What speaks: `custom:` and the name of a `[speech_service.<name>]` of this file. Without it: this machine's
    /// `espeak-ng`.
    pub vendor: Option<At<String>>,
}

/// A server that speaks texts: it is sent the text by HTTP and answers with the audio. Verbs name it as the vendor
/// `custom:<name>`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSpeechService {
    /// Where texts are sent.
    pub url: At<String>,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<At<SecretText>>,
    /// The environment variable that holds it.
    pub token_env: Option<At<String>>,
    /// The file that holds it; a line end after it is not part of it.
    pub token_file: Option<At<String>>,
}

impl RawSpeechService {
    /// Whether something of it stands in the environment or in other files.
    pub fn reads_elsewhere(&self) -> bool {
        self.token_env.is_some() || self.token_file.is_some()
    }
}

/// The servers that applications are asked at, and where sounds come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawApplicationServers {
    /// Networks that hooks and sounds may be in, beside public addresses: private addresses are refused unless they are
    /// in one of these.
    #[serde(default)]
    pub allow_networks: Vec<At<String>>,
    /// Loopback addresses are allowed. Only for demonstrations and tests on one machine.
    #[schemars(extend("default" = false))]
    pub allow_loopback: Option<At<bool>>,
    /// To open a connection; TLS gets as long again.
    #[schemars(extend("default" = "2s"))]
    pub connect_timeout: Option<At<DurationText>>,
    /// From a question to its whole answer.
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<At<DurationText>>,
    /// The same for the first question of a call, while the caller hears nothing.
    #[schemars(extend("default" = "5s"))]
    pub initial_timeout: Option<At<DurationText>>,
    /// The longest answer that is read.
    #[schemars(extend("default" = "256kB"))]
    pub max_answer: Option<At<SizeText>>,
    /// The folder that holds sounds which verbs name by path. Without it verbs can only name URLs. Relative paths begin
    /// at the configuration folder.
    pub media_folder: Option<At<String>>,
}

impl<'de> Deserialize<'de> for RawHook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawHook, D::Error> {
        deserializer.deserialize_any(HookVisitor)
    }
}

struct HookVisitor;

impl<'de> Visitor<'de> for HookVisitor {
    type Value = RawHook;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes, or a table with url")
    }

    fn visit_str<E>(self, text: &str) -> Result<RawHook, E> {
        Ok(RawHook::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawHook, A::Error> {
        RawHookTable::deserialize(MapAccessDeserializer::new(map)).map(RawHook::Table)
    }
}

impl JsonSchema for RawHook {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Hook".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<RawHookTable>();
        json_schema!({ "oneOf": [{ "type": "string" }, table] })
    }
}
