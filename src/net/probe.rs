//! One TLS connection, one request, one answer: to see whether a peer serves us, beside the node's own connections.

use super::handshake::{self, HandshakeFailure};
use super::listener::socket_from;
use super::tls::TlsProfile;
use crate::sip::{Frame, Message, RequestDraft, StreamFramer};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsStream;

/// A connection that was made to ask once.
pub struct Probe {
    stream: TlsStream<TcpStream>,
    local: SocketAddr,
    /// Version and suite, for people.
    pub tls: String,
}

impl Probe {
    /// TCP from the address `from`, where this machine has it, then TLS in which we show the certificate for `presented` and the
    /// server has to prove `server_name`; both within `limit`.
    pub async fn connect(
        from: IpAddr,
        address: SocketAddr,
        profile: &TlsProfile,
        (presented, server_name): (&str, &str),
        limit: Duration,
    ) -> Result<Probe, HandshakeFailure> {
        let failed = |error: std::io::Error| HandshakeFailure::Connect(error.to_string());
        let deadline = Instant::now() + limit;
        let connect = async {
            match socket_from(from, address) {
                Ok(socket) => socket.connect(address).await,
                // Whoever looks from another machine than the node's.
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => TcpStream::connect(address).await,
                Err(error) => Err(error),
            }
        };
        let connected = timeout_at(deadline, connect).await;
        let stream = connected
            .map_err(|_| HandshakeFailure::Silent(limit))?
            .map_err(failed)?;
        let local = stream.local_addr().map_err(failed)?;
        let shown = profile.presented(Some(presented));
        let agreed = timeout_at(deadline, handshake::connect(stream, profile, shown, server_name)).await;
        let secured = agreed.map_err(|_| HandshakeFailure::Timeout(limit))??;
        let tls = secured
            .agreed
            .map_or_else(|| "TLS".to_owned(), |agreed| agreed.to_string());
        let stream = secured.stream;
        Ok(Probe { stream, local, tls })
    }

    /// Sends the request and waits for its final response. The error is in words.
    pub async fn ask(&mut self, draft: &RequestDraft, limit: Duration) -> Result<Message, String> {
        timeout(limit, self.exchange(draft))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} ms", limit.as_millis())))
    }

    async fn exchange(&mut self, draft: &RequestDraft) -> Result<Message, String> {
        let via = format!(
            "SIP/2.0/TLS {};branch=z9hG4bK{:016x}",
            self.local,
            rand::random::<u64>()
        );
        let broken = |error: std::io::Error| format!("the connection broke off: {error}");
        self.stream.write_all(&draft.to_bytes(&via)).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        self.final_response().await
    }

    /// Passes over provisional responses, requests and keep-alives.
    async fn final_response(&mut self) -> Result<Message, String> {
        let mut framer = StreamFramer::new();
        let mut buffer = vec![0; 8_192];
        loop {
            let read = self.stream.read(&mut buffer).await;
            let read = read.map_err(|error| format!("the connection broke off: {error}"))?;
            if read == 0 {
                return Err("the peer closed the connection".to_owned());
            }
            framer.push(buffer.get(..read).unwrap_or_default());
            while let Some(frame) = framer.next().map_err(|error| error.to_string())? {
                if let Frame::Message(bytes) = frame {
                    let message = Message::parse(bytes).map_err(|error| error.to_string())?;
                    if message.status().is_some_and(|status| status >= 200) {
                        return Ok(message);
                    }
                }
            }
        }
    }
}
