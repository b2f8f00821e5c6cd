//! The asking side of Digest authentication, for scripts: one user, one nonce, MD5.

use super::script::Step;
use crate::sip::digest::{Credentials as Secret, DigestClient};
use crate::sip::header::Credentials;
use crate::sip::{HeaderName, Message, ResponseDraft};

/// What is asked for.
pub(super) struct Challenge {
    proxy: bool,
    secret: Secret,
    value: String,
}

impl Challenge {
    /// The challenge of a step that is one.
    pub(super) fn of(step: Option<&Step>, nonce: &str) -> Option<Challenge> {
        let Some(Step::Challenge {
            proxy,
            realm,
            username,
            password,
        }) = step
        else {
            return None;
        };
        Some(Challenge {
            proxy: *proxy,
            secret: Secret {
                realm: realm.clone(),
                username: username.clone(),
                password: password.clone(),
            },
            value: format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\""),
        })
    }

    /// 401 or 407.
    pub(super) fn response(&self) -> ResponseDraft {
        match self.proxy {
            true => ResponseDraft::new(407).header(HeaderName::ProxyAuthenticate, &self.value),
            false => ResponseDraft::new(401).header(HeaderName::WwwAuthenticate, &self.value),
        }
    }

    /// True when the request bears the response that our own client would give.
    pub(super) fn is_met_by(&self, request: &Message) -> bool {
        let name = match self.proxy {
            true => HeaderName::ProxyAuthorization,
            false => HeaderName::Authorization,
        };
        let method = request.method().map_or("", |method| method.as_str());
        request.headers(name).any(|value| self.accepts(value, method))
    }

    fn accepts(&self, value: &str, method: &str) -> bool {
        let Ok(given) = value.parse::<Credentials>() else {
            return false;
        };
        let text = |name: &str| given.param(name).unwrap_or_default().into_owned();
        let mut client = DigestClient::new(self.secret.clone());
        let own = client.answer([self.value.as_str()], method, &text("uri"), &text("cnonce"));
        let own = own.ok().and_then(|value| value.parse::<Credentials>().ok());
        own.is_some_and(|own| {
            ["username", "realm", "nonce", "response"]
                .iter()
                .all(|name| own.param(name) == given.param(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_accepted() {
        let step = Step::Challenge {
            proxy: true,
            realm: "carrier.example".to_owned(),
            username: "sbc1".to_owned(),
            password: "secret".to_owned(),
        };
        let challenge = Challenge::of(Some(&step), "abc").unwrap();
        for (password, right) in [("secret", true), ("guess", false)] {
            let mut client = DigestClient::new(Secret {
                password: password.to_owned(),
                ..challenge.secret.clone()
            });
            let value = client
                .answer([challenge.value.as_str()], "INVITE", "sip:1@x.example", "cn")
                .unwrap();
            assert_eq!(challenge.accepts(&value, "INVITE"), right);
            assert!(!challenge.accepts(&value, "BYE"));
        }
    }
}
