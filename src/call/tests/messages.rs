//! What is sent and what is answered, as scenarios speak of it.

use crate::call::{LegIndex, Token};
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message};

/// A message that the call has sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub leg: LegIndex,
    pub message: Message,
    /// Of a request with a transaction.
    pub token: Option<Token>,
}

impl Sent {
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.message.header(name)
    }

    pub fn sdp(&self) -> String {
        String::from_utf8_lossy(self.message.body()).into_owned()
    }

    /// The line of the description that begins so.
    pub fn sdp_line(&self, start: &str) -> Option<String> {
        self.sdp()
            .lines()
            .find(|line| line.starts_with(start))
            .map(str::to_owned)
    }

    pub fn is(&self, method: &Method) -> bool {
        self.message.method() == Some(method)
    }
}

/// A response of a scripted peer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) tag: &'static str,
    pub(super) more: Vec<(HeaderName, String)>,
    pub(super) sdp: Option<String>,
}

/// A response from the usual fork.
pub fn reply(status: u16) -> Reply {
    Reply {
        status,
        tag: "callee-tag",
        more: Vec::new(),
        sdp: None,
    }
}

impl Reply {
    pub fn tag(self, tag: &'static str) -> Reply {
        Reply { tag, ..self }
    }

    pub fn sdp(self, sdp: impl Into<String>) -> Reply {
        Reply {
            sdp: Some(sdp.into()),
            ..self
        }
    }

    pub fn with(mut self, name: HeaderName, value: &str) -> Reply {
        self.more.push((name, value.to_owned()));
        self
    }
}
