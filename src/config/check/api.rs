//! `[api]` of the machine, `[[tokens]]` of a tenant.

use super::address;
use super::reader::Reader;
use crate::config::checked::{Api, ApiToken};
use crate::config::names::Invalid;
use crate::config::raw::{At, RawApi, RawToken};
use crate::config::token::TokenDigest;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the REST interface listens unless something else is written.
pub const REST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// Where the REST interface listens.
pub fn api(raw: &RawApi, reader: &mut Reader<'_>) -> Option<Api> {
    let mut bind = match &raw.bind {
        Some(text) => reader.parse(text, "address and port", address::socket),
        None => Some(REST),
    };
    let remote = raw.allow_remote.as_ref().is_some_and(|remote| *remote.value());
    if let (Some(text), false, Some(false)) = (&raw.bind, remote, bind.map(|bind| bind.ip().is_loopback())) {
        let expected =
            "a loopback address such as 127.0.0.1:8081, or allow_remote = true behind something that speaks TLS";
        reader.fault_expecting(text.span(), "tokens would travel unencrypted to this address", expected);
        bind = None;
    }
    let base_url = reader.parse_optional(raw.base_url.as_ref(), "URL", |text| {
        let expected = Invalid("an http or https URL such as https://sbc1.example.net/v1, without a query");
        let url = url::Url::parse(text).map_err(|_| expected)?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        match url.scheme() {
            "http" | "https" if plain => Ok(text.trim_end_matches('/').to_owned()),
            _ => Err(expected),
        }
    });
    Some(Api {
        bind: bind?,
        base_url: base_url?,
        requests_per_second: raw.requests_per_second.as_ref().map_or(50, |rate| *rate.value()),
    })
}

/// The tokens of a tenant that are right.
pub fn tokens(raw: &[At<RawToken>], reader: &mut Reader<'_>) -> Vec<ApiToken> {
    let mut tokens = Vec::with_capacity(raw.len());
    for (position, at) in raw.iter().enumerate() {
        let typed = at.value();
        let same = |other: &At<RawToken>| other.value().name.value() == typed.name.value();
        if !reader.is_mended(&typed.name.span()) && raw.iter().take(position).any(same) {
            let message = format!("token {:?} is there already", typed.name.value());
            reader.fault_expecting(typed.name.span(), message, "a name of its own");
        }
        let name = reader.parse(&typed.name, "token name", token_name);
        let digest = reader.parse(&typed.sha256, "SHA-256", TokenDigest::parse);
        tokens.extend(name.zip(digest).map(|(name, digest)| ApiToken { name, digest }));
    }
    tokens
}

/// Whether a token can be read.
pub fn is_token(raw: &At<RawToken>) -> bool {
    let raw = raw.value();
    token_name(raw.name.value()).is_ok() && TokenDigest::parse(raw.sha256.value()).is_ok()
}

fn token_name(text: &str) -> Result<String, Invalid> {
    match text.trim() {
        "" => Err(Invalid("a name, such as the program that uses the token")),
        name => Ok(name.to_owned()),
    }
}
