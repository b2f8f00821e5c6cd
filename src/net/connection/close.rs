//! Why a connection ended.

use std::fmt;

/// The reason, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it in order.
    PeerClosed,
    /// The peer refused us in TLS: with TLS 1.3 a refused client certificate shows only after the handshake.
    PeerAlert(rustls::AlertDescription),
    /// The socket or TLS failed.
    Failed(String),
    /// The byte stream is no SIP any more.
    FramingLost(String),
    /// No complete message in time after the accept.
    NoMessage,
    /// A message was begun and not finished in time.
    SlowMessage,
    /// No message for too long.
    Idle,
    /// The peer does not read: a write or the queue behind it hung.
    WriteStalled,
    /// The peer used to answer pings and did not answer this one.
    NoPong,
    /// A newer connection replaced it and nothing was left to wait for.
    Drained,
    /// Serving it panicked, which is a defect.
    Panicked,
    /// The node stops.
    Stopped,
}

impl CloseReason {
    /// A stable word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            CloseReason::PeerClosed => "peer_closed",
            CloseReason::PeerAlert(_) => "peer_alert",
            CloseReason::Failed(_) => "failed",
            CloseReason::FramingLost(_) => "framing_lost",
            CloseReason::NoMessage => "no_message",
            CloseReason::SlowMessage => "slow_message",
            CloseReason::Idle => "idle",
            CloseReason::WriteStalled => "write_stalled",
            CloseReason::NoPong => "no_pong",
            CloseReason::Drained => "drained",
            CloseReason::Panicked => "panicked",
            CloseReason::Stopped => "stopped",
        }
    }

    /// What an IO error says.
    pub(super) fn of_error(error: &std::io::Error) -> CloseReason {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => CloseReason::PeerAlert(*alert),
            // Many peers end TLS by FIN without close_notify.
            _ if error.kind() == std::io::ErrorKind::UnexpectedEof => CloseReason::PeerClosed,
            _ => CloseReason::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::PeerClosed => f.write_str("the peer closed it"),
            CloseReason::PeerAlert(alert) => write!(f, "the peer refused us with TLS alert {alert:?}"),
            CloseReason::Failed(cause) => write!(f, "it failed: {cause}"),
            CloseReason::FramingLost(cause) => write!(f, "the stream is not SIP: {cause}"),
            CloseReason::NoMessage => f.write_str("no message came after it was accepted"),
            CloseReason::SlowMessage => f.write_str("a message was begun and not finished"),
            CloseReason::Idle => f.write_str("it was idle"),
            CloseReason::WriteStalled => f.write_str("the peer stopped reading"),
            CloseReason::NoPong => f.write_str("the peer no longer answers pings"),
            CloseReason::Drained => f.write_str("a newer connection replaced it"),
            CloseReason::Panicked => f.write_str("a defect of ours ended it"),
            CloseReason::Stopped => f.write_str("the node stops"),
        }
    }
}
