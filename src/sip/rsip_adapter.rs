//! The one place that knows `rsip`: conversions between its vocabulary and ours. It is never fed bytes of the wire and never
//! prints them: its parser loses values (crates measured: 15 of 41 torture messages right).

use super::grammar::text_of;
use super::message::{HeaderName, InvalidHeader, Message, RequestDraft};
use super::method::{InvalidMethod, Method};
use super::uri::{Uri, UriError};
use rsip::headers::UntypedHeader;
use rsip::headers::untyped;

/// Why a value has no counterpart on the other side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RsipError {
    #[error("rsip knows no method {0}")]
    Method(Method),
    #[error("rsip can't read the URI {0:?}")]
    Uri(String),
    #[error("a URI of rsip: {0}")]
    OurUri(#[from] UriError),
    #[error("a method of rsip: {0}")]
    OurMethod(#[from] InvalidMethod),
    #[error("a header of rsip: {0}")]
    OurHeader(#[from] InvalidHeader),
}

impl TryFrom<&Method> for rsip::Method {
    type Error = RsipError;

    fn try_from(method: &Method) -> Result<rsip::Method, RsipError> {
        // rsip compares without case: an extension method `invite` would become INVITE there.
        match method {
            Method::Other(_) => Err(RsipError::Method(method.clone())),
            known => known.as_str().parse().map_err(|_| RsipError::Method(method.clone())),
        }
    }
}

impl TryFrom<&Uri> for rsip::Uri {
    type Error = RsipError;

    fn try_from(uri: &Uri) -> Result<rsip::Uri, RsipError> {
        rsip::Uri::try_from(uri.as_str()).map_err(|_| RsipError::Uri(uri.to_string()))
    }
}

impl TryFrom<&rsip::Uri> for Uri {
    type Error = RsipError;

    fn try_from(uri: &rsip::Uri) -> Result<Uri, RsipError> {
        Ok(Uri::parse(&uri.to_string())?)
    }
}

impl TryFrom<&Message> for rsip::SipMessage {
    type Error = RsipError;

    /// Long names, unfolded, one value in each header of Via, routes and addresses, Content-Length as it was.
    fn try_from(message: &Message) -> Result<rsip::SipMessage, RsipError> {
        let headers = headers_of(message);
        let body = message.body().to_vec();
        let version = rsip::Version::V2;
        match (message.method(), message.uri()) {
            (Some(method), Some(uri)) => Ok(rsip::SipMessage::Request(rsip::Request {
                method: method.try_into()?,
                uri: (&uri).try_into()?,
                version,
                headers,
                body,
            })),
            _ => {
                let status_code = match rsip::StatusCode::from(message.status().unwrap_or_default()) {
                    rsip::StatusCode::Other(code, _) => rsip::StatusCode::Other(code, message.reason().to_owned()),
                    known => known,
                };
                Ok(rsip::SipMessage::Response(rsip::Response {
                    status_code,
                    version,
                    headers,
                    body,
                }))
            }
        }
    }
}

impl TryFrom<&rsip::Request> for RequestDraft {
    type Error = RsipError;

    /// Via and Content-Length are the writer's own and are left out.
    fn try_from(request: &rsip::Request) -> Result<RequestDraft, RsipError> {
        let method: Method = request.method.to_string().parse()?;
        let mut draft = RequestDraft::new(method, request.uri.to_string());
        let mut content_type = None;
        for header in request.headers.iter() {
            let printed = header.to_string();
            let Some((name, value)) = printed.split_once(": ") else {
                continue;
            };
            match HeaderName::parse(name.as_bytes()) {
                Some(HeaderName::Via | HeaderName::ContentLength) => {}
                Some(HeaderName::ContentType) => content_type = Some(value.to_owned()),
                _ => draft = draft.raw_header(name, value)?,
            }
        }
        Ok(match content_type {
            Some(content_type) => draft.body(&content_type, request.body.clone()),
            None => draft,
        })
    }
}

fn headers_of(message: &Message) -> rsip::Headers {
    let mut headers = Vec::with_capacity(24);
    for raw in message.raw_headers() {
        let splits = raw.known.is_some_and(|id| {
            matches!(
                id,
                HeaderName::Via | HeaderName::Route | HeaderName::RecordRoute | HeaderName::Contact
            )
        });
        let values = super::grammar::split_values(raw.value, b',');
        if splits {
            headers.extend(values.map(|value| header(raw.known, raw.name(), text_of(value).into_owned())));
        } else {
            headers.push(header(raw.known, raw.name(), text_of(raw.value).into_owned()));
        }
    }
    headers.into()
}

fn header(known: Option<HeaderName>, name: &str, value: String) -> rsip::Header {
    macro_rules! same_name {
        ($($id:ident),*) => {
            match known {
                $(Some(HeaderName::$id) => rsip::Header::$id(untyped::$id::new(value)),)*
                Some(other) => rsip::Header::Other(other.as_str().to_owned(), value),
                None => rsip::Header::Other(name.to_owned(), value),
            }
        };
    }
    same_name!(
        Accept,
        AcceptEncoding,
        AcceptLanguage,
        AlertInfo,
        Allow,
        AuthenticationInfo,
        Authorization,
        CSeq,
        CallId,
        CallInfo,
        Contact,
        ContentDisposition,
        ContentEncoding,
        ContentLanguage,
        ContentLength,
        ContentType,
        Date,
        ErrorInfo,
        Event,
        Expires,
        From,
        InReplyTo,
        MaxForwards,
        MimeVersion,
        MinExpires,
        Organization,
        Priority,
        ProxyAuthenticate,
        ProxyAuthorization,
        ProxyRequire,
        RecordRoute,
        ReplyTo,
        Require,
        RetryAfter,
        Route,
        Server,
        Subject,
        SubscriptionState,
        Supported,
        Timestamp,
        To,
        Unsupported,
        UserAgent,
        Via,
        Warning,
        WwwAuthenticate
    )
}

#[cfg(test)]
mod tests;
