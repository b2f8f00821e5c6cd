//! What a message must agree on to belong to a transaction (RFC 3261 §17.1.3, §17.2.3), as one text to look up.

use super::identifiers::MAGIC_COOKIE;
use crate::sip::{Flow, Message, Method};
use std::fmt::Write as _;

/// A buffer for keys, so that a lookup allocates nothing.
#[derive(Debug, Default)]
pub(super) struct KeyBuffer(String);

impl KeyBuffer {
    /// The key of a request of ours: branch and method; a response bears both (RFC 3261 §17.1.3).
    pub(super) fn client(&mut self, branch: &str, method: &Method) -> &str {
        self.0.clear();
        self.append(format_args!("c {method} {branch}"));
        &self.0
    }

    /// The key of a request that came: branch, sent-by, and method, where ACK and CANCEL look for their INVITE
    /// (RFC 3261 §17.2.3), and the source address unless a certificate proves who speaks: another host that guessed
    /// a branch finds nothing.
    ///
    /// Without the magic cookie (RFC 2543) the branch is no name by itself: Call-ID, From tag and CSeq number join it.
    pub(super) fn server(&mut self, request: &Message, flow: &Flow) -> &str {
        self.0.clear();
        let via = request.top_via();
        match request.method() {
            None | Some(Method::Invite | Method::Ack | Method::Cancel) => self.0.push_str("s INVITE "),
            Some(method) => self.append(format_args!("s {method} ")),
        }
        if flow.peer.is_none() {
            self.append(format_args!("{} ", flow.remote.ip()));
        }
        let start = self.0.len();
        self.0.push_str(via.host());
        if let Some(host) = self.0.get_mut(start..) {
            host.make_ascii_lowercase();
        }
        let port = via.port().unwrap_or(flow.transport.default_port());
        let branch = via.branch().unwrap_or_default();
        self.append(format_args!(":{port} {branch}"));
        if !branch.starts_with(MAGIC_COOKIE) {
            let (number, _) = request.cseq();
            let tag = request.from_tag().unwrap_or_default();
            self.append(format_args!(" {number} {tag} {}", request.call_id()));
        }
        &self.0
    }

    /// The key that was made last.
    pub(super) fn last(&self) -> &str {
        &self.0
    }

    fn append(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = self.0.write_fmt(text);
    }
}
