//! Users that a tenant's registration hook knows: what it is asked, what it says, and what then becomes of the request.
//! The shapes are jambonz's, so that a server written for it needs no change.

use super::aor::Aor;
use super::crowd::Place;
use super::door::{Registrar, Reply, answer, lock};
use super::proving::{Refused, denial};
use super::register::{Register, Wish};
use super::stored::Clocks;
use crate::app::outbound::{BasicAuth, Caller, HookFailure, HookReply, HookRequest, HookUrl, Method as HttpMethod};
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
    pub fn read(tenant: &Tenant, asked: Result<HookReply, HookFailure>) -> Verdict {
        let json = match asked {
            Ok(reply) if reply.status == 200 => reply.json,
            Ok(reply) => return Verdict::Failed(format!("status {} says neither ok nor fail", reply.status)),
            Err(HookFailure::Status { status: 403, .. }) => return denied("status 403", false),
            Err(failure) => return Verdict::Failed(failure.to_string()),
        };
        let body: Option<Map<String, Value>> = json.and_then(|json| serde_json::from_slice(&json).ok());
        let Some(body) = body else {
            return Verdict::Failed("the answer is no JSON object".into());
        };
        match body.get("status").and_then(Value::as_str) {
            Some("ok") => grant(tenant, &body).map_or_else(Verdict::Failed, Verdict::Granted),
            Some("fail") => {
                // Documented as seconds, used as true or false. Whatever else stands there, it is a no.
                let blacklist = match body.get("blacklist") {
                    Some(Value::Bool(blacklist)) => *blacklist,
                    Some(Value::Number(seconds)) => seconds.as_f64().is_some_and(|seconds| seconds > 0.0),
                    _ => false,
                };
                let why = body.get("msg").and_then(Value::as_str);
                denied(why.filter(|why| !why.is_empty()).unwrap_or("fail"), blacklist)
            }
            _ => Verdict::Failed("`status` is neither \"ok\" nor \"fail\"".into()),
        }
    }
}

/// What a yes says beside that. A property of another kind than it should be is a mistake of the server: passed over, it
/// would give the user more than was meant.
fn grant(tenant: &Tenant, body: &Map<String, Value>) -> Result<Grant, String> {
    let expires = match given(body, "expires") {
        None => None,
        Some(seconds) => {
            let quoted = || seconds.as_str().and_then(|text| text.parse().ok());
            let seconds = seconds.as_u64().or_else(quoted);
            let seconds = seconds.ok_or("`expires` is no whole number of seconds")?;
            Some(Duration::from_secs(seconds)).filter(|span| !span.is_zero())
        }
    };
    let calls_users = match given(body, "allow_direct_user_calling") {
        None => true,
        Some(allowed) => allowed
            .as_bool()
            .ok_or("`allow_direct_user_calling` is neither true nor false")?,
    };
    Ok(Grant {
        expires,
        voucher: Voucher {
            no_users: !calls_users,
            steered_by: steering(tenant, body)?,
        },
    })
}

/// `null` is as good as absent.
fn given<'b>(body: &'b Map<String, Value>, name: &str) -> Option<&'b Value> {
    body.get(name).filter(|value| !value.is_null())
}

/// So is an empty text.
fn text<'b>(body: &'b Map<String, Value>, name: &str) -> Result<Option<&'b str>, String> {
    match given(body, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{name}` is no string")),
    }
}

fn denied(why: &str, blacklist: bool) -> Verdict {
    Verdict::Denied {
        why: why.chars().take(LONGEST_MESSAGE).collect(),
        blacklist,
    }
}

/// `application_sid`, else `call_hook` with `call_status_hook`.
fn steering(tenant: &Tenant, body: &Map<String, Value>) -> Result<Option<Steering>, String> {
    if let Some(sid) = text(body, "application_sid")? {
        let known = Sid::parse(sid).ok().filter(|sid| {
            let mut applications = tenant.account.applications.iter();
            applications.any(|application| application.sid == *sid)
        });
        let sid = known.ok_or("`application_sid` is no application of the account")?;
        return Ok(Some(Steering::Application(sid)));
    }
    let Some(call) = text(body, "call_hook")? else {
        return Ok(None);
    };
    let status = text(body, "call_status_hook")?;
    // The URLs may hold passwords: they are not told.
    config::HookUrl::parse(call).map_err(|_| "`call_hook` is no absolute URL")?;
    if let Some(status) = status {
        let url = config::HookUrl::parse(status).ok();
        url.filter(|url| url.protocol() == HookProtocol::Http)
            .ok_or("`call_status_hook` is no absolute URL of http or https")?;
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
            return Reply::Answer(self.deny(&config.sbc, &claim.username, flow, now));
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

    /// Counts a wrong password where a hook is asked, and its answer.
    pub(super) fn deny(&self, sbc: &Sbc, username: &str, flow: &Flow, now: Moment) -> ResponseDraft {
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
