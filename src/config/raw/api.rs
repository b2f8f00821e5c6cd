//! The REST interface and its tokens, as typed.

use super::At;
use schemars::JsonSchema;
use serde::Deserialize;

/// The REST interface over HTTP: calls placed and changed by programs with a token. Without this table there is none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawApi {
    /// Address and port.
    #[schemars(extend("default" = "127.0.0.1:8081"))]
    pub bind: Option<At<String>>,
    /// Listen on an address that others can reach. Tokens travel as they are: put something that speaks TLS in front.
    #[schemars(extend("default" = false))]
    pub allow_remote: Option<At<bool>>,
    /// The URL that applications are told, with `/v1` at its end. Without it they are told none.
    pub base_url: Option<At<String>>,
    /// Requests a second with one token; what is above is answered 429.
    #[schemars(range(min = 1), extend("default" = 50))]
    pub requests_per_second: Option<At<u32>>,
}

/// A token of the REST interface. `portcullis token new` makes one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawToken {
    /// What logs call it: who uses it.
    pub name: At<String>,
    /// The SHA-256 of the token, 64 hexadecimal digits. The token itself is written nowhere.
    pub sha256: At<String>,
}
