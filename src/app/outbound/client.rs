//! The HTTP client: one pool of connections for all calls.

use super::connect::Connector;
use super::failure::{ConnectFailure, HookFailure};
use super::figures::{Asked, Figures};
use super::kept::{Dialer, answered, is_lost};
use super::places::{Place, Places};
use super::request::{BasicAuth, Fetched, FileRequest, HookReply, HookRequest, Method};
use super::room::{Rooms, Unread};
use super::signature::{SIGNATURE, sign};
use super::url::HookUrl;
use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout_at};

const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
/// Redirects followed in a row.
const MOST_REDIRECTS: usize = 3;
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 32 * 1_024;
/// Idle connections kept of one origin.
const IDLE_CONNECTIONS: usize = 32;
/// How long they are kept: less than the 5 s after which Node's server closes an idle connection. A hook's POST that meets the
/// close on its way has failed, and can't be repeated unasked.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// Limits of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings {
    /// For one attempt, from the connection to the answer's last byte.
    pub patience: Duration,
    /// Bytes of a request's body.
    pub most_sent: usize,
    /// Bytes of an answer's body.
    pub most_received: usize,
    /// Requests under way at once, files included; one account gets at most half of them.
    pub most_at_once: usize,
    /// Bytes of files that are on their way or wait to be decoded; one account gets at most half of them. What is above waits.
    pub most_file_bytes: usize,
}

impl Default for ClientSettings {
    fn default() -> ClientSettings {
        ClientSettings {
            patience: Duration::from_secs(10),
            most_sent: 256 * 1_024,
            most_received: 256 * 1_024,
            most_at_once: 1_024,
            most_file_bytes: 256 << 20,
        }
    }
}

/// Asks hooks and fetches files. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct HookClient {
    shared: Arc<Shared>,
}

struct Shared {
    settings: ClientSettings,
    /// To what the configuration and applications name.
    named: Client<Dialer, Full<Bytes>>,
    /// To where redirects lead: public addresses alone, and no connection is kept.
    strangers: Client<Dialer, Full<Bytes>>,
    places: Places,
    rooms: Rooms,
    figures: Arc<Figures>,
}

impl HookClient {
    /// A client over `connector`.
    pub fn new(connector: Connector, settings: ClientSettings) -> HookClient {
        let places = Places::new(settings.most_at_once);
        let rooms = Rooms::new(settings.most_file_bytes);
        HookClient::over(connector, settings, places, rooms)
    }

    /// One that takes the place of this one: what is under way over either counts for both, within the bounds of this one.
    pub fn anew(&self, connector: Connector, settings: ClientSettings) -> HookClient {
        let Shared { places, rooms, .. } = &*self.shared;
        HookClient::over(connector, settings, places.clone(), rooms.clone())
    }

    fn over(connector: Connector, settings: ClientSettings, places: Places, rooms: Rooms) -> HookClient {
        let strangers = connector.public_only();
        let figures = connector.figures().clone();
        let builder = || {
            let mut builder = Client::builder(TokioExecutor::new());
            builder
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_FOR)
                .http1_max_buf_size(HEAD_BYTES);
            builder
        };
        HookClient {
            shared: Arc::new(Shared {
                settings,
                named: builder()
                    .pool_max_idle_per_host(IDLE_CONNECTIONS)
                    .build(Dialer(connector)),
                strangers: builder().pool_max_idle_per_host(0).build(Dialer(strangers)),
                places,
                rooms,
                figures,
            }),
        }
    }

    /// Asks a hook, again where its URL says so.
    pub async fn ask(&self, request: &HookRequest) -> Result<HookReply, HookFailure> {
        let begun = Instant::now();
        let ready = self.prepare(request)?;
        let retry = request.url.retry();
        let mut attempts = 0;
        loop {
            let owner = &request.caller.account;
            let attempt = self.attempt(owner, &ready, self.shared.settings.most_received).await;
            let outcome = attempt.as_ref().map_or_else(HookFailure::label, |_| "ok");
            self.shared.figures.count(Asked::Hook, outcome);
            let failure = match attempt {
                Ok(Good { status, json, foreign }) => {
                    return Ok(HookReply {
                        status,
                        json,
                        foreign,
                        attempts: attempts + 1,
                        took: begun.elapsed(),
                    });
                }
                Err(failure) => failure,
            };
            match retry.pause(attempts, 0).filter(|_| failure.is_repeatable(retry)) {
                Some(pause) => sleep(pause).await,
                None => return Err(failure),
            }
            attempts += 1;
        }
    }

    /// Fetches a file of at most `most` bytes within `patience`, for the account `owner`.
    pub async fn fetch(
        &self,
        owner: &str,
        url: &HookUrl,
        most: usize,
        patience: Duration,
    ) -> Result<Fetched, HookFailure> {
        let ready = Ready::file(url, Vec::new(), patience);
        self.file(Asked::File, owner, &ready, most).await
    }

    /// The same for a file that was fetched with this `ETag`; `None`: it is still that one (RFC 9110 §13.1.2).
    pub async fn fetch_changed(
        &self,
        owner: &str,
        url: &HookUrl,
        etag: &str,
        most: usize,
        patience: Duration,
    ) -> Result<Option<Fetched>, HookFailure> {
        let headers = HeaderValue::from_str(etag).map(|etag| (header::IF_NONE_MATCH, etag));
        let ready = Ready::file(url, headers.into_iter().collect(), patience);
        match self.file(Asked::File, owner, &ready, most).await {
            Err(HookFailure::Status { status: 304, .. }) => Ok(None),
            fetched => fetched.map(Some),
        }
    }

    /// Has a text spoken for the account `owner`: a file of at most `most` bytes within `patience`.
    pub async fn speak(
        &self,
        owner: &str,
        request: &FileRequest,
        most: usize,
        patience: Duration,
    ) -> Result<Fetched, HookFailure> {
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        headers.extend(
            request
                .bearer
                .as_ref()
                .map(|token| (header::AUTHORIZATION, bearer(token))),
        );
        let ready = Ready {
            url: request.url.clone(),
            method: Method::Post,
            headers,
            body: Bytes::from(request.json.to_string()),
            patience,
            // The same text sounds the same.
            idempotent: true,
        };
        self.file(Asked::Speech, owner, &ready, most).await
    }

    async fn file(&self, asked: Asked, owner: &str, ready: &Ready, most: usize) -> Result<Fetched, HookFailure> {
        let fetched = self.file_once(owner, ready, most).await;
        let outcome = match &fetched {
            Ok(_) | Err(HookFailure::Status { status: 304, .. }) => "ok",
            Err(failure) => failure.label(),
        };
        self.shared.figures.count(asked, outcome);
        fetched
    }

    async fn file_once(&self, owner: &str, ready: &Ready, most: usize) -> Result<Fetched, HookFailure> {
        let patience = ready.patience;
        let _place = self.place(owner, &ready.url)?;
        let deadline = Instant::now() + patience;
        let (answer, at) = self.exchange(ready, deadline).await?;
        if answer.status() != 200 {
            let status = answer.status().as_u16();
            return Err(HookFailure::Status {
                url: at.to_string(),
                status,
            });
        }
        not_encoded(&answer, &at)?;
        let text = |name| {
            let value: Option<&HeaderValue> = answer.headers().get(name);
            value.and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (content_type, etag) = (text(header::CONTENT_TYPE), text(header::ETAG));
        let url = || at.to_string();
        let (waits, reading) = self.shared.rooms.read(owner, answer, most);
        let (bytes, room) = match timeout_at(deadline, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(Unread::TooLarge)) => {
                return Err(HookFailure::AnswerTooLarge {
                    url: url(),
                    limit: most,
                });
            }
            Ok(Err(Unread::Broken(error))) => {
                let detail = error.to_string();
                return Err(HookFailure::Broken { url: url(), detail });
            }
            Err(_) if waits.load(Relaxed) => {
                return Err(HookFailure::NoRoom {
                    url: url(),
                    after: patience,
                });
            }
            Err(_) => {
                return Err(HookFailure::TimedOut {
                    url: url(),
                    after: patience,
                });
            }
        };
        Ok(Fetched {
            bytes,
            room,
            content_type,
            etag,
        })
    }

    fn place(&self, owner: &str, url: &HookUrl) -> Result<Place<'_>, HookFailure> {
        let taken = self.shared.places.take(owner);
        taken.map_err(|under_way| HookFailure::Busy {
            url: url.to_string(),
            under_way,
        })
    }

    /// The request as it will be sent, repetitions included: the last one leaves within the time that receivers allow a
    /// signature (300 s).
    fn prepare(&self, request: &HookRequest) -> Result<Ready, HookFailure> {
        let (url, body) = match request.method {
            Method::Get => (request.url.with_query(request.scalars())?, Bytes::new()),
            Method::Post => (request.url.clone(), Bytes::from(request.properties.to_string())),
        };
        let limit = self.shared.settings.most_sent;
        if body.len() > limit {
            return Err(HookFailure::RequestTooLarge {
                url: url.to_string(),
                bytes: body.len(),
                limit,
            });
        }
        let mut headers = Vec::new();
        if request.method == Method::Post {
            headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        if let Some(trace) = request
            .trace
            .as_deref()
            .and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.push((HeaderName::from_static("b3"), trace));
        }
        if let Some(auth) = request.auth() {
            headers.push((header::AUTHORIZATION, auth.header()));
        }
        if let Some(secret) = &request.caller.secret {
            let signed = match request.method {
                Method::Get => url.query().as_bytes(),
                Method::Post => &body,
            };
            let signature = sign(secret.reveal(), unix_seconds(), signed);
            if let Ok(value) = HeaderValue::try_from(signature) {
                headers.push((HeaderName::from_static(SIGNATURE), value));
            }
        }
        Ok(Ready {
            url,
            method: request.method,
            headers,
            body,
            patience: request.patience.unwrap_or(self.shared.settings.patience),
            idempotent: request.method == Method::Get,
        })
    }

    /// One request with its redirects, and what is good of a good answer.
    async fn attempt(&self, owner: &str, ready: &Ready, most: usize) -> Result<Good, HookFailure> {
        let _place = self.place(owner, &ready.url)?;
        let deadline = Instant::now() + ready.patience;
        let (answer, at) = self.exchange(ready, deadline).await?;
        let status = answer.status().as_u16();
        if !matches!(status, 200 | 202 | 204) {
            return Err(HookFailure::Status {
                url: at.to_string(),
                status,
            });
        }
        not_encoded(&answer, &at)?;
        let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
        let is_json = kind
            .as_ref()
            .is_some_and(|kind| contains(kind.as_bytes(), b"application/json"));
        let body = read(answer, &at, most, deadline, ready.patience).await;
        let (json, foreign) = match is_json {
            // Read nevertheless, so that the connection can be used again; how it ends is nobody's concern.
            false => {
                let named = || kind.map_or_else(String::new, |kind| String::from_utf8_lossy(kind.as_bytes()).into());
                (None, body.is_ok_and(|bytes| !bytes.is_empty()).then(named))
            }
            true => (Some(body?).filter(|bytes| !bytes.is_empty()), None),
        };
        Ok(Good { status, json, foreign })
    }

    /// Sends, follows redirects, and returns the head of the last answer with the URL that gave it.
    async fn exchange(&self, ready: &Ready, deadline: Instant) -> Result<(Response<Incoming>, HookUrl), HookFailure> {
        let (mut at, mut status) = (ready.url.clone(), 302);
        for _ in 0..=MOST_REDIRECTS {
            let home = at.same_origin(&ready.url);
            let client = match home {
                true => &self.shared.named,
                false => &self.shared.strangers,
            };
            let sent = || ready.request(&at, home).map(|request| client.request(request));
            let late = |_| HookFailure::TimedOut {
                url: at.to_string(),
                after: ready.patience,
            };
            let mut answer = timeout_at(deadline, sent()?).await.map_err(late)?;
            if ready.idempotent && answer.as_ref().is_err_and(is_lost) {
                answer = timeout_at(deadline, sent()?).await.map_err(late)?;
            }
            let answer = answer.map_err(|error| explain(&at, &error))?;
            answered(answer.extensions());
            if !answer.status().is_redirection() || answer.status() == 304 {
                return Ok((answer, at));
            }
            status = answer.status().as_u16();
            at = redirected(&answer, &at, ready.method)?;
        }
        Err(HookFailure::Redirect {
            url: ready.url.to_string(),
            status,
            why: format!("{MOST_REDIRECTS} were followed already"),
        })
    }
}

/// What a good answer holds.
struct Good {
    status: u16,
    json: Option<Bytes>,
    foreign: Option<String>,
}

/// A request without its place.
struct Ready {
    url: HookUrl,
    method: Method,
    /// Credentials and signature among them: for the origin of `url` alone.
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    patience: Duration,
    /// To be asked twice is to be asked once (RFC 9110 §9.2.2): what a kept connection has lost is sent again unasked.
    idempotent: bool,
}

impl Ready {
    fn file(url: &HookUrl, headers: Vec<(HeaderName, HeaderValue)>, patience: Duration) -> Ready {
        Ready {
            url: url.clone(),
            method: Method::Get,
            headers,
            body: Bytes::new(),
            patience,
            idempotent: true,
        }
    }

    fn request(&self, at: &HookUrl, home: bool) -> Result<Request<Full<Bytes>>, HookFailure> {
        let not_http = |detail: String| HookFailure::NotHttp {
            url: at.to_string(),
            detail,
        };
        let method = match self.method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
        };
        let uri: Uri = at.as_str().parse().map_err(|error| not_http(format!("{error}")))?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in &self.headers {
            let private = *name == header::AUTHORIZATION || *name == SIGNATURE;
            if home || !private {
                headers.insert(name, value.clone());
            }
        }
        Ok(request)
    }
}

/// Refuses a body that is not as it was meant, which no request asks for (RFC 9110 §12.5.3).
fn not_encoded(answer: &Response<Incoming>, at: &HookUrl) -> Result<(), HookFailure> {
    let plain = |value: &&HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity");
    let mut encodings = answer.headers().get_all(header::CONTENT_ENCODING).iter();
    match encodings.find(|value| !plain(value)) {
        None => Ok(()),
        Some(coded) => Err(HookFailure::Encoded {
            url: at.to_string(),
            encoding: String::from_utf8_lossy(coded.as_bytes()).chars().take(64).collect(),
        }),
    }
}

/// Where a redirect leads, where it may be followed.
fn redirected(answer: &Response<Incoming>, from: &HookUrl, method: Method) -> Result<HookUrl, HookFailure> {
    let status = answer.status().as_u16();
    let refused = |why: String| HookFailure::Redirect {
        url: from.to_string(),
        status,
        why,
    };
    if !matches!((status, method), (307 | 308, _) | (301..=303, Method::Get)) {
        return Err(refused(
            "a POST is repeated elsewhere only after 307 and 308".to_owned(),
        ));
    }
    let location = answer
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| refused("it has no readable Location".to_owned()))?;
    let to = from.follow(location).map_err(|fault| refused(fault.to_string()))?;
    if to.is_websocket() {
        return Err(refused("it leads to a WebSocket".to_owned()));
    }
    if from.is_secure() && !to.is_secure() {
        return Err(refused("it leads from https to http".to_owned()));
    }
    Ok(to)
}

async fn read(
    answer: Response<Incoming>,
    at: &HookUrl,
    limit: usize,
    deadline: Instant,
    after: Duration,
) -> Result<Bytes, HookFailure> {
    let url = || at.to_string();
    let body = Limited::new(answer.into_body(), limit).collect();
    match timeout_at(deadline, body).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(HookFailure::AnswerTooLarge { url: url(), limit }),
        Ok(Err(error)) => Err(HookFailure::Broken {
            url: url(),
            detail: error.to_string(),
        }),
        Err(_) => Err(HookFailure::TimedOut { url: url(), after }),
    }
}

/// The failure under the layers of the pool.
fn explain(at: &HookUrl, error: &legacy::Error) -> HookFailure {
    let url = at.to_string();
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(failure) = cause.downcast_ref::<ConnectFailure>() {
            let failure = failure.clone();
            return HookFailure::Connect { url, failure };
        }
        if let Some(cause) = cause.downcast_ref::<hyper::Error>()
            && (cause.is_parse() || cause.is_user())
        {
            let detail = cause.to_string();
            return HookFailure::NotHttp { url, detail };
        }
        detail = cause.to_string();
        source = cause.source();
    }
    HookFailure::Broken { url, detail }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

#[allow(
    clippy::disallowed_methods,
    reason = "a signature carries the wall clock's time for its receiver to judge"
)]
fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

/// The `Authorization` header's value (RFC 6750 §2.1), hidden from debug output.
fn bearer(token: &Secret) -> HeaderValue {
    let text = format!("Bearer {}", token.reveal());
    // The configuration lets no token through that a header can't hold; without one the server refuses.
    let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

impl BasicAuth {
    /// The `Authorization` header's value (RFC 7617), hidden from debug output.
    pub(in crate::app) fn header(&self) -> HeaderValue {
        let pair = format!("{}:{}", self.username, self.password.reveal());
        let text = format!("Basic {}", STANDARD.encode(pair));
        // Base64 fits into a header; an empty value would be refused by the server as no credentials are.
        let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}
