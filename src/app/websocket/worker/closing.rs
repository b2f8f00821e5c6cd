//! The end of a connection: ours, the application's, and what of it may be followed by another one.

use super::{Left, Socket, Worker};
use crate::app::websocket::failure::SessionFailure;
use crate::app::websocket::session::{CloseCode, End};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding;
use tokio_tungstenite::tungstenite::{Error, Message};

/// For the application to answer our close.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

impl Worker {
    /// Sends what was queued before the close, then closes. Where the connection breaks meanwhile, another one is made for what
    /// may not have arrived.
    pub(super) async fn farewell(&mut self, socket: &mut Socket, code: CloseCode) -> Left {
        let (frame, reason) = match code {
            CloseCode::CallOver => (coding::CloseCode::Normal, "call over"),
            CloseCode::InvalidApplication => (coding::CloseCode::Away, "invalid application"),
        };
        let patience = self.patience();
        let parting = async {
            while let Some(message) = self.outstanding.next().or_else(|| self.queue.try_recv().ok()) {
                let text = self.leaves(message);
                socket.send(Message::Text(text)).await?;
            }
            if self.outstanding.len() > 0 {
                // Some that have read all leave without an answer to the close.
                let mark = self.outstanding.mark();
                socket.send(Message::Ping(mark.to_vec().into())).await?;
            }
            socket.close(Some(close_frame(frame, reason))).await?;
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(answer))) => return Ok(answer),
                    Some(Ok(Message::Pong(mark))) => {
                        self.outstanding.pong(&mark);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Err(Error::ConnectionClosed),
                }
            }
        };
        let failure = match timeout(patience, parting).await {
            // An answer bears our code; so does one of an application that has left by itself meanwhile, or bears none.
            Ok(Ok(None)) => return self.over(),
            Ok(Ok(Some(answer))) if [frame, coding::CloseCode::Normal].contains(&answer.code) => {
                return self.over();
            }
            Ok(Ok(answer)) => self.closed(answer),
            Ok(Err(error)) => Left::Lost(self.broken(&error)),
            // It is there, and slow to read: what was written is its own.
            Err(_) => return self.over(),
        };
        match self.may_be_told() {
            true => {
                self.parting = Some(code);
                failure
            }
            false => Left::Over(End::ByUs),
        }
    }

    fn over(&mut self) -> Left {
        self.outstanding.all_arrived();
        Left::Over(End::ByUs)
    }

    /// For the answer to our close: longer while it is not known what has arrived.
    pub(super) fn patience(&self) -> Duration {
        match self.waiting_messages() {
            0 => FAREWELL,
            _ => self.settings.ack.max(FAREWELL),
        }
    }

    /// The application has lost the session: it hears why.
    pub(super) async fn refuse(&mut self, socket: &mut Socket, failure: SessionFailure) -> Left {
        let telling = async {
            let complaint = self.complaint(&failure.to_string());
            self.write(socket, Message::Text(complaint)).await?;
            let frame = close_frame(coding::CloseCode::Away, "not acknowledged");
            self.write(socket, Message::Close(Some(frame))).await
        };
        // However it ends, the connection is dropped now.
        let _told = timeout(FAREWELL, telling).await;
        Left::Over(End::Failed(failure))
    }

    pub(super) fn closed(&self, frame: Option<CloseFrame>) -> Left {
        let (code, reason) = match frame {
            Some(frame) => (u16::from(frame.code), frame.reason.as_str().to_owned()),
            // RFC 6455 §7.1.5: no code at all.
            None => (1005, String::new()),
        };
        match code {
            1000 => Left::Over(End::ByApplication),
            _ => Left::Lost(SessionFailure::Closed {
                url: self.url(),
                code,
                reason,
            }),
        }
    }
}

/// What the application's end is told that broke the protocol (RFC 6455 §7.4.1); `None` where nobody is left to hear it.
pub(super) fn breach(error: &Error) -> Option<(coding::CloseCode, &'static str)> {
    match error {
        Error::Capacity(_) => Some((coding::CloseCode::Size, "the message is too long")),
        Error::Utf8(_) => Some((coding::CloseCode::Invalid, "a text is no UTF-8")),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::ReceivedAfterClosing) => None,
        Error::Protocol(_) => Some((coding::CloseCode::Protocol, "a frame breaks RFC 6455")),
        _ => None,
    }
}

pub(super) fn close_frame(code: coding::CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code,
        reason: reason.into(),
    }
}
