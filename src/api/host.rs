//! Whom a request names as its host (RFC 9112 §3.2): one `Host`, and before it the authority of an absolute-form target.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Answers 400 to a request that names no host, or more than one; `told` is the property that says why.
pub(super) async fn one_host(State(told): State<&'static str>, request: Request, next: Next) -> Response {
    match fault(request.version(), request.headers()) {
        None => next.run(request).await,
        Some(why) => (StatusCode::BAD_REQUEST, Json(json!({ told: why }))).into_response(),
    }
}

/// Whom the request is for: what an absolute-form target says counts, whatever `Host` says (RFC 9112 §3.2.2). None: it does
/// not say, as HTTP/1.0 may.
pub(super) fn named<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let authority = uri.authority().map(Authority::as_str);
    // Text that can't be read is nobody's name.
    let host = || headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    authority.or_else(host)
}

fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Some("Host is missing"),
        (Some(_), Some(_)) => Some("Host is there twice"),
        (Some(host), None) if !is_readable(host) => Some("Host is no name or address with or without a port"),
        _ => None,
    }
}

/// Empty is what it says when the target has no authority.
fn is_readable(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(hosts: &[&'static str]) -> HeaderMap {
        hosts
            .iter()
            .map(|host| (header::HOST, HeaderValue::from_static(host)))
            .collect()
    }

    #[test]
    fn a_request_names_one_host() {
        for hosts in [&["a.example"][..], &["127.0.0.1:8080"], &["[::1]:8080"], &[""]] {
            assert_eq!(fault(Version::HTTP_11, &headers(hosts)), None, "{hosts:?}");
        }
        for hosts in [
            &[][..],
            &["a.example", "a.example"],
            &["a b"],
            &["a/b"],
            &["x@a.example"],
        ] {
            assert!(fault(Version::HTTP_11, &headers(hosts)).is_some(), "{hosts:?}");
        }
        assert_eq!(fault(Version::HTTP_10, &headers(&[])), None);
        assert!(fault(Version::HTTP_10, &headers(&["a", "b"])).is_some());
    }

    #[test]
    fn the_authority_of_the_target_counts_before_host() {
        let (absolute, path) = (Uri::from_static("http://evil.example/x"), Uri::from_static("/x"));
        assert_eq!(named(&absolute, &headers(&["localhost"])), Some("evil.example"));
        assert_eq!(named(&path, &headers(&["localhost"])), Some("localhost"));
        assert_eq!(named(&path, &headers(&[])), None);
    }
}
