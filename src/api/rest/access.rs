//! Who asks: a bearer token and the account that it opens.

use super::desk::{Account, CallDesk};
use super::problem::Problem;
use crate::config::TokenDigest;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header;
use axum::http::request::Parts;
use std::sync::Arc;

/// The account of the request's token. Where the path names an account, it is this one.
pub(super) struct Caller(pub Account);

impl FromRequestParts<Arc<dyn CallDesk>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<dyn CallDesk>) -> Result<Caller, Problem> {
        let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
        let header = headers.next().and_then(|value| value.to_str().ok());
        // Something in front may have looked at the other (RFC 9110 §5.3: only lists are said in several lines).
        if headers.next().is_some() {
            return Err(Problem::new(400, "Authorization is there twice"));
        }
        let token = header
            .and_then(|text| text.split_once(' '))
            .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start()));
        let token = token.ok_or_else(|| Problem::new(401, "a bearer token is needed"))?;
        // Looked up by its hash: the time that takes says nothing about any token.
        let token = TokenDigest::of(token);
        let account = desk.account(&token);
        let account = account.ok_or_else(|| Problem::new(401, "the token is not known"))?;
        let asked = desk.admit(&token);
        asked.map_err(|wait| Problem::later("this token asks too often", wait))?;
        let params = RawPathParams::from_request_parts(parts, desk).await;
        let params = params.map_err(|_| Problem::new(400, "the path is no text"))?;
        // The same answer whether the other account exists or not.
        match params.iter().find(|(name, _)| *name == "account_sid") {
            Some((_, sid)) if sid != account.sid => Err(Problem::new(403, "the token is for another account")),
            _ => Ok(Caller(account)),
        }
    }
}
