//! Where an application wants to be asked or told.

use super::read::{Object, PayloadError, Read, kind};
use crate::app::outbound::{HookUrl, RetryPolicy};
use crate::dial::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a hook over HTTP is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HookMethod {
    Get,
    #[default]
    Post,
}

/// A hook: an absolute URL (http, https, ws, wss), or one relative to the application's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub url: String,
    pub method: HookMethod,
    /// Basic authentication, sent to the origin of this URL alone.
    pub credentials: Option<(String, Secret)>,
}

/// Longer URLs are refused.
const LONGEST_URL: usize = 2_048;

impl Hook {
    /// POST to this URL.
    pub fn post(url: &str) -> Hook {
        Hook {
            url: url.to_owned(),
            method: HookMethod::Post,
            credentials: None,
        }
    }

    /// Whether the URL itself names a WebSocket; a relative one goes where the application's own goes.
    pub fn is_websocket(&self) -> bool {
        let scheme = self.url.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| ["ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))
    }
}

/// Reads a hook: a URL, or an object with one.
pub(super) fn read_hook(place: String, value: Value) -> Read<Hook> {
    match value {
        Value::String(url) => checked(&place, Hook::post(&url)),
        Value::Object(map) => {
            let mut object = Object::new(place.clone(), map);
            let url = object.required_text("url")?;
            let method = match object.text("method")? {
                None => HookMethod::Post,
                Some(method) if method.eq_ignore_ascii_case("POST") => HookMethod::Post,
                Some(method) if method.eq_ignore_ascii_case("GET") => HookMethod::Get,
                Some(method) => return object.wrong("method", format!("'{method}' is neither GET nor POST")),
            };
            let mut basic = object.object("basicAuth")?;
            let from = basic.as_mut().unwrap_or(&mut object);
            let username = from.line("username")?;
            let password = from.line("password")?;
            if let Some(basic) = basic {
                basic.finish()?;
            }
            object.finish()?;
            let credentials = match (username, password) {
                (Some(username), Some(password)) => Some((username, Secret(password))),
                (None, None) => None,
                _ => return Err(PayloadError::new(place, "username and password belong together")),
            };
            let hook = Hook {
                url,
                method,
                credentials,
            };
            checked(&place, hook)
        }
        other => Err(PayloadError::new(
            place,
            format!("a URL or an object with one is expected, not {}", kind(&other)),
        )),
    }
}

/// What every URL of an application has to keep to.
pub(super) fn check_url(url: &str) -> Result<(), &'static str> {
    if url.is_empty() {
        return Err("the URL is empty");
    }
    if url.len() > LONGEST_URL {
        return Err("the URL is longer than 2048 bytes");
    }
    if url.chars().any(|c| c.is_control() || c == ' ') {
        return Err("the URL has a space or a control character in it");
    }
    Ok(())
}

fn checked(place: &str, hook: Hook) -> Read<Hook> {
    let wrong = |problem: &str| Err(PayloadError::new(place, problem));
    if let Err(problem) = check_url(&hook.url) {
        return wrong(problem);
    }
    match hook.url.split_once("://") {
        Some((scheme, _)) if !["http", "https", "ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str()) => {
            return wrong("the scheme of the URL is none of http, https, ws and wss");
        }
        Some(_) => {
            if let Err(fault) = HookUrl::parse(&hook.url, None) {
                return wrong(&fault.to_string());
            }
        }
        None if hook.url.starts_with('/') && !hook.url.starts_with("//") => {}
        None => return wrong("the URL is neither a whole one nor a path that begins with one slash"),
    }
    let fragment = hook.url.split_once('#').map_or("", |(_, fragment)| fragment);
    match RetryPolicy::from_fragment(fragment) {
        Ok(_) => Ok(hook),
        Err(fault) => wrong(&fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_that_mean_nothing_are_named() {
        let read = |url: &str| read_hook("actionHook".into(), Value::from(url)).map_err(|error| error.to_string());
        for (url, words) in [
            ("/done#rc=many", "`rc=many` is no number"),
            ("https://app.example/#rp=zz", "`rp=zz` is none of"),
        ] {
            let said = read(url).expect_err(url);
            assert!(said.contains("actionHook") && said.contains(words), "{url}: {said}");
        }
        let said = read("http://a:hush@app.example/").expect_err("credentials");
        assert!(said.contains("user name") && !said.contains("hush"), "{said}");
        assert!(read("/done#rc=3&rp=ct,5xx").is_ok() && read("/done#top").is_ok());
    }
}
