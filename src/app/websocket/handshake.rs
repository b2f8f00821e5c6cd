//! From a URL to an open WebSocket.

use super::failure::SessionFailure;
use super::session::{MOST_SENT, SessionSettings};
use crate::app::outbound::{Connector, HookUrl, ReadRate, Stream};
use hyper::header::{self, HeaderValue};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The subprotocol of applications.
pub(super) const SUBPROTOCOL: &str = "ws.jambonz.org";
const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
/// Redirects followed in a row.
const MOST_REDIRECTS: usize = 2;

/// How fast a connection is read, TLS included. Messages have a pace of their own; frames of a message that does not end,
/// empty ones too, have only this one: tungstenite takes them all before it says anything. A connection of empty ones, two
/// bytes each, costs 2 % of a core; without a rate it has all of it.
pub(super) const RATE: ReadRate = ReadRate {
    at_once: 512 << 10,
    per_second: 256 << 10,
};
/// Bytes of one read: after 128 reads tokio has others run.
const READ: usize = 2 * 1_024;

/// Connects within the time that `settings` give.
pub(super) async fn connect(
    connector: &Connector,
    settings: &SessionSettings,
) -> Result<WebSocketStream<Stream>, SessionFailure> {
    let after = settings.handshake;
    match timeout(after, follow(connector, settings)).await {
        Ok(result) => result,
        Err(_) => Err(SessionFailure::HandshakeTimeout {
            url: settings.url.to_string(),
            after,
        }),
    }
}

/// What the handshake's reader calls an attack.
const TOO_LONG: &str = "the head of the answer is longer than 64 KiB, or comes in too many pieces";

async fn follow(connector: &Connector, settings: &SessionSettings) -> Result<WebSocketStream<Stream>, SessionFailure> {
    let mut at = settings.url.clone();
    let mut left = MOST_REDIRECTS;
    loop {
        let home = at.same_origin(&settings.url);
        let stream = match home {
            true => connector.open(&at, RATE).await,
            false => connector.public_only().open(&at, RATE).await,
        };
        let url = at.to_string();
        let stream = stream.map_err(|failure| SessionFailure::Connect {
            url: url.clone(),
            failure,
        })?;
        let request = request(&at, settings, home)?;
        match client_async_with_config(request, stream, Some(limits(settings))).await {
            // None was offered (RFC 6455 §4.1).
            Ok((_, answer)) if answer.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS) => {
                let detail = "the answer has an extension that was not offered".to_owned();
                return Err(SessionFailure::Handshake { url, detail });
            }
            Ok((socket, _)) => return Ok(socket),
            Err(Error::Http(answer)) if answer.status().is_redirection() => {
                let refused = |why: String| SessionFailure::Redirect { url: url.clone(), why };
                left = left
                    .checked_sub(1)
                    .ok_or_else(|| refused(format!("{MOST_REDIRECTS} were followed already")))?;
                let location = answer
                    .headers()
                    .get(header::LOCATION)
                    .and_then(|text| text.to_str().ok());
                let location = location.ok_or_else(|| refused("it has no readable Location".to_owned()))?;
                at = redirected(&at, location).map_err(refused)?;
            }
            Err(Error::Http(answer)) => {
                let status = answer.status().as_u16();
                return Err(SessionFailure::Refused { url, status });
            }
            // As where a proxy has nobody behind it yet.
            Err(
                error @ (Error::Io(_) | Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete)),
            ) => {
                let detail = error.to_string();
                return Err(SessionFailure::Broken { url, detail });
            }
            Err(error) => {
                let detail = match error {
                    Error::AttackAttempt => TOO_LONG.to_owned(),
                    other => other.to_string(),
                };
                return Err(SessionFailure::Handshake { url, detail });
            }
        }
    }
}

/// What a connection holds at most.
pub(super) fn limits(settings: &SessionSettings) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(settings.most_received))
        .max_frame_size(Some(settings.most_received))
        .read_buffer_size(READ)
        // Room for a message behind one that is not taken yet, and for pongs.
        .max_write_buffer_size(4 * MOST_SENT)
}

fn redirected(from: &HookUrl, location: &str) -> Result<HookUrl, String> {
    let to = from.follow(location).map_err(|fault| fault.to_string())?;
    if !to.is_websocket() {
        return Err("it leads away from WebSockets".to_owned());
    }
    if from.is_secure() && !to.is_secure() {
        return Err("it leads from wss to ws".to_owned());
    }
    Ok(to)
}

fn request(at: &HookUrl, settings: &SessionSettings, home: bool) -> Result<Request, SessionFailure> {
    let mut request = at
        .as_str()
        .into_client_request()
        .map_err(|error| SessionFailure::Handshake {
            url: at.to_string(),
            detail: error.to_string(),
        })?;
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let Some(auth) = settings.auth.as_ref().filter(|_| home) {
        headers.insert(header::AUTHORIZATION, auth.header());
    }
    Ok(request)
}
