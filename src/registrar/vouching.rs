//! Users that a tenant's registration hook knows: what it is asked, what it says, and what then becomes of the request.
//! The shapes are jambonz's, so that a server written for it needs no change.

use super::aor::Aor;
use super::crowd::Place;
use super::door::{Registrar, Reply, Unasked, answer, lock};
use super::proving::{Refused, denial};
use super::register::{Register, Wish};
use super::stored::Clocks;
use crate::app::json;
use crate::app::outbound::{
    BasicAuth, Caller, Forbidden, HookFailure, HookReply, HookRequest, HookUrl, Method as HttpMethod,
};
use crate::config::{self, Config, HookMethod, HookProtocol, Realm, Sbc, Sid, Tenant, UserName};
use crate::moment::Moment;
use crate::route::{Steering, Voucher};
use crate::sip::digest::{Claim, Unproven};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::{Flow, Method};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Characters of a hook's `msg` that are kept for the log.
const LONGEST_MESSAGE: usize = 200;

/// A request of somebody whom only the tenant's registration hook may know.
#[derive(Debug)]
pub struct Question {
    /// As it was when the request came.
    pub tenant: Arc<Tenant>,
    /// Who it claims to be.
    pub aor: Aor,
    pub method: Method,
    claim: Claim,
    register: Option<Register>,
    properties: Map<String, Value>,
    /// Held until the verdict was carried out.
    _place: Place,
}

/// What the hook says of the claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Granted(Grant),
    Denied {
        /// For the log.
        why: String,
        /// The sender is not to be listened to for a while.
        blacklist: bool,
    },
    /// It says nothing that can be understood, or nothing at all; for the log.
    Failed(String),
}

/// A yes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The longest that a device may be bound.
    pub expires: Option<Duration>,
    pub voucher: Voucher,
}

impl Question {
    /// Whether the request is a REGISTER.
    pub fn is_register(&self) -> bool {
        self.register.is_some()
    }

    /// The question as it is sent; the error is for the log.
    pub fn request(&self, patience: Option<Duration>) -> Result<HookRequest, String> {
        let hook = self.tenant.realm.as_ref().and_then(|realm| realm.hook.as_ref());
        let hook = hook.ok_or("the realm has no hook")?;
        let url = HookUrl::parse(hook.url.as_str(), None).map_err(|fault| fault.to_string())?;
        let auth = hook.login.as_ref().map(|login| BasicAuth {
            username: login.username.clone(),
            password: login.password.clone(),
        });
        Ok(HookRequest {
            url: url.clone(),
            method: match hook.method {
                HookMethod::Get => HttpMethod::Get,
                HookMethod::Post => HttpMethod::Post,
            },
            auth,
            caller: Arc::new(Caller {
                account: self.tenant.account.sid.as_str().into(),
                hook: url,
                auth: None,
                secret: self.tenant.account.secret.clone(),
            }),
            properties: Value::Object(self.properties.clone()),
            trace: None,
            patience,
        })
    }
}

impl Verdict {
    /// The verdict in what came back. Only a 200 with JSON says anything; 403 is a no.
    /// `permits` judges the hooks that it names.
    pub fn read(
        tenant: &Tenant,
        permits: impl Fn(&HookUrl) -> Result<(), Forbidden>,
        asked: Result<HookReply, HookFailure>,
    ) -> Verdict {
        let json = match asked {
            Ok(reply) if reply.status == 200 => reply.json,
            Ok(reply) => return Verdict::Failed(format!("status {} says neither ok nor fail", reply.status)),
            Err(HookFailure::Status { status: 403, .. }) => return denied("status 403", false),
            Err(failure) => return Verdict::Failed(failure.to_string()),
        };
        let body = match json.as_deref().map(json::read) {
            Some(Ok(Value::Object(body))) => body,
            Some(Err(error)) => return Verdict::Failed(format!("the answer can't be read: {error}")),
            Some(Ok(_)) | None => return Verdict::Failed("the answer is no JSON object".into()),
        };
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Documented as seconds, used as true or false.
        let blacklist = match body.get("blacklist") {
            Some(Value::Bool(blacklist)) => *blacklist,
            Some(Value::Number(seconds)) => seconds.as_f64().is_some_and(|seconds| seconds > 0.0),
            _ => false,
        };
        match text("status") {
            Some("ok") => match granted(tenant, permits, &body) {
                Ok(grant) => Verdict::Granted(grant),
                Err(why) => Verdict::Failed(why),
            },
            Some("fail") => denied(text("msg").unwrap_or("fail"), blacklist),
            _ => Verdict::Failed("`status` is neither \"ok\" nor \"fail\"".into()),
        }
    }
}

fn denied(why: &str, blacklist: bool) -> Verdict {
    Verdict::Denied {
        why: why.chars().take(LONGEST_MESSAGE).collect(),
        blacklist,
    }
}

/// What stands beside `ok`. What has another type than it should is not taken for what was left out: that would allow more.
fn granted(
    tenant: &Tenant,
    permits: impl Fn(&HookUrl) -> Result<(), Forbidden>,
    body: &Map<String, Value>,
) -> Result<Grant, String> {
    let no_users = match body.get("allow_direct_user_calling") {
        None | Some(Value::Null | Value::Bool(true)) => false,
        Some(Value::Bool(false)) => true,
        Some(_) => return Err("`allow_direct_user_calling` is neither true nor false".into()),
    };
    Ok(Grant {
        expires: expires(body.get("expires"))?,
        voucher: Voucher {
            no_users,
            steered_by: steering(tenant, permits, body)?,
        },
    })
}

/// Seconds, as a number or its text; 0 as if it was left out.
fn expires(value: Option<&Value>) -> Result<Option<Duration>, String> {
    let seconds = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(seconds)) => seconds.as_f64(),
        Some(Value::String(seconds)) => seconds.parse::<u32>().ok().map(f64::from),
        Some(_) => None,
    };
    let seconds = seconds.filter(|seconds| seconds.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(seconds));
    let seconds = seconds.ok_or_else(|| format!("`expires` is no whole number of seconds from 0 to {}", u32::MAX))?;
    Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds)))
}

/// `application_sid`, else `call_hook` with `call_status_hook`.
fn steering(
    tenant: &Tenant,
    permits: impl Fn(&HookUrl) -> Result<(), Forbidden>,
    body: &Map<String, Value>,
) -> Result<Option<Steering>, String> {
    let text = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{name}` is no text")),
    };
    if let Some(sid) = text("application_sid")? {
        let known = Sid::parse(sid).ok().filter(|sid| {
            let mut applications = tenant.account.applications.iter();
            applications.any(|application| application.sid == *sid)
        });
        let sid = known.ok_or("`application_sid` is no application of the account")?;
        return Ok(Some(Steering::Application(sid)));
    }
    let (call, status) = (text("call_hook")?, text("call_status_hook")?);
    let Some(call) = call else {
        return Ok(None);
    };
    // The URLs may hold passwords: they are not told.
    config::HookUrl::parse(call).map_err(|_| "`call_hook` is no absolute URL")?;
    if let Some(status) = status {
        let url = config::HookUrl::parse(status).ok();
        url.filter(|url| url.protocol() == HookProtocol::Http)
            .ok_or("`call_status_hook` is no absolute URL of http or https")?;
    }
    for (name, url) in [("call_hook", Some(call)), ("call_status_hook", status)] {
        let Some(url) = url else { continue };
        let url = HookUrl::parse(url, None).map_err(|_| format!("`{name}` can't be asked"))?;
        permits(&url).map_err(|why| format!("`{name}`: {} is never asked: it is {why}", url.host()))?;
    }
    Ok(Some(Steering::Hook {
        call: call.to_owned(),
        status: status.map(str::to_owned),
    }))
}

impl Registrar {
    /// What becomes of a claim that the realm's hook is to judge: a question, or an answer at once.
    pub(super) fn question(
        &self,
        config: &Config,
        tenant: &Arc<Tenant>,
        claim: Claim,
        register: Option<Register>,
        message: &Message,
        (flow, now): (&Flow, Moment),
    ) -> Reply {
        let realm = tenant.realm.as_ref().map_or("", |realm| realm.name.as_str());
        if UserName::parse(&claim.username).is_err() {
            let why = "it is longer than 64 characters, or has some that need an escape in an address, or ;";
            return self.unasked(config, tenant, &claim.username, why, (flow, now));
        }
        let Some(place) = self.crowd.enter(&tenant.id, flow.remote.ip()) else {
            self.counts.crowded.fetch_add(1, Relaxed);
            return Reply::Forgotten(later(&config.sbc));
        };
        Reply::Ask(Box::new(Question {
            tenant: tenant.clone(),
            aor: Aor::new(&claim.username, realm),
            method: message.cseq_method().clone(),
            properties: properties(realm, &claim, register.as_ref(), message, flow),
            claim,
            register,
            _place: place,
        }))
    }

    /// The answer to a REGISTER, now that the hook has spoken.
    pub fn registered(
        &self,
        config: &Config,
        question: &Question,
        verdict: &Verdict,
        flow: &Flow,
        clocks: Clocks,
    ) -> ResponseDraft {
        let settled = self.settle(config, question, verdict, flow, clocks.now);
        match (settled, &question.register) {
            (Ok((_, grant)), Some(register)) => self.change(config, register, Some(grant), flow, clocks),
            (Ok(_), None) => later(&config.sbc),
            (Err(draft), _) => *draft,
        }
    }

    /// Who sent another request, now that the hook has spoken; else its answer.
    pub fn vouched<'c>(
        &self,
        config: &'c Config,
        question: &Question,
        verdict: &Verdict,
        flow: &Flow,
        now: Moment,
    ) -> Result<(&'c Arc<Tenant>, Voucher), Box<ResponseDraft>> {
        let (tenant, grant) = self.settle(config, question, verdict, flow, now)?;
        Ok((tenant, grant.voucher.clone()))
    }

    /// Spends the nonce of a claim that was granted.
    fn settle<'c, 'v>(
        &self,
        config: &'c Config,
        question: &Question,
        verdict: &'v Verdict,
        flow: &Flow,
        now: Moment,
    ) -> Result<(&'c Arc<Tenant>, &'v Grant), Box<ResponseDraft>> {
        let sbc = &config.sbc;
        let grant = match verdict {
            Verdict::Granted(grant) => grant,
            Verdict::Denied { blacklist, .. } => {
                self.counts.denied.fetch_add(1, Relaxed);
                if *blacklist {
                    lock(&self.failures).ban(flow.remote.ip(), now);
                }
                return Err(Box::new(self.deny(sbc, &question.claim.username, flow, now)));
            }
            Verdict::Failed(_) => {
                self.counts.failed.fetch_add(1, Relaxed);
                return Err(Box::new(later(sbc)));
            }
        };
        self.counts.granted.fetch_add(1, Relaxed);
        // The configuration may have changed while the hook was asked.
        let hooked = |(tenant, realm): &(&Arc<Tenant>, &Realm)| {
            tenant.id == question.tenant.id && realm.hook.is_some() && realm.user(&question.aor.user).is_none()
        };
        let found = config.realm(&question.aor.realm).filter(hooked);
        let Some((tenant, realm)) = found else {
            return Err(Box::new(later(sbc)));
        };
        let spent = lock(&self.used).spend(&question.claim, now);
        match spent {
            Ok(()) => Ok((tenant, grant)),
            Err(_) => {
                let header = match question.register {
                    Some(_) => HeaderName::WwwAuthenticate,
                    None => HeaderName::ProxyAuthenticate,
                };
                let stale = Refused::Unproven(Unproven::Stale);
                Err(Box::new(self.challenge(sbc, realm, stale, header, flow, now)))
            }
        }
    }

    /// A name that the hook is not asked about counts, and is answered, as a wrong password.
    pub(super) fn unasked(
        &self,
        config: &Config,
        tenant: &Tenant,
        username: &str,
        why: &'static str,
        (flow, now): (&Flow, Moment),
    ) -> Reply {
        let unasked = Unasked {
            tenant: tenant.id.clone(),
            username: username.to_owned(),
            why,
        };
        Reply::Unasked(self.deny(&config.sbc, username, flow, now), Box::new(unasked))
    }

    /// Counts a wrong password where a hook is asked, and its answer.
    fn deny(&self, sbc: &Sbc, username: &str, flow: &Flow, now: Moment) -> ResponseDraft {
        lock(&self.failures).note(flow.remote.ip(), username, now);
        self.counts.wrong.fetch_add(1, Relaxed);
        denial(sbc)
    }
}

/// The hook can't be asked now.
fn later(sbc: &Sbc) -> ResponseDraft {
    let seconds = sbc.guard.retry_after.as_secs().max(1);
    answer(sbc, 503)
        .reason("Registration Hook Unavailable")
        .header(HeaderName::RetryAfter, seconds.to_string())
}

fn properties(
    realm: &str,
    claim: &Claim,
    register: Option<&Register>,
    message: &Message,
    flow: &Flow,
) -> Map<String, Value> {
    let expires = register.and_then(|register| match &register.wish {
        Wish::Query => None,
        Wish::RemoveAll => Some(0),
        Wish::Change(devices) => devices.first().and_then(|(_, asked)| *asked),
    });
    let properties = serde_json::json!({
        "source_address": flow.remote.ip().to_canonical().to_string(),
        "source_port": flow.remote.port(),
        "method": message.cseq_method().as_str(),
        "headers": headers(message),
        "expires": expires,
        "scheme": "digest",
        "username": claim.username,
        "realm": realm,
        "nonce": claim.nonce,
        "uri": claim.uri,
        "algorithm": claim.algorithm.name(),
        "response": claim.response,
        "qop": "auth",
        "nc": format!("{:08x}", claim.count),
        "cnonce": claim.cnonce,
        "opaque": "",
    });
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

/// The headers of the request, names in lower case; those that occur more than once with commas between.
fn headers(message: &Message) -> Map<String, Value> {
    let mut headers = Map::new();
    for header in message.raw_headers() {
        let name = header.name().to_ascii_lowercase();
        let Ok(value) = std::str::from_utf8(header.value) else {
            continue;
        };
        // What proves the user stands in properties of its own, for this realm alone.
        if matches!(name.as_str(), "authorization" | "proxy-authorization") {
            continue;
        }
        match headers.get_mut(&name) {
            Some(Value::String(known)) => {
                known.push_str(", ");
                known.push_str(value);
            }
            _ => {
                headers.insert(name, value.into());
            }
        }
    }
    headers
}
