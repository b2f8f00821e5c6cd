//! An application server on a real socket: it answers as told, HTTP and WebSockets on one port, and remembers what it was
//! asked. It can be as slow, wrong and hostile as a test wants.

use futures_util::{SinkExt, StreamExt};
use portcullis::app::outbound::{AddressPolicy, ClientSettings, Connector, HookClient};
use portcullis::net::dns::{self, StaticHost};
use portcullis::net::tls::authority::{Authority, LeafRequest, LeafUsage};
use portcullis::net::tls::{TrustRoots, web_client};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

/// No wait of a test is longer.
pub const BOUND: Duration = Duration::from_secs(15);
/// The name in the server's certificate, and in the test resolver.
pub const NAME: &str = "app.example";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct AppRequest {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl AppRequest {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    Json(u16, Value),
    /// Status, content type, body.
    Body(u16, &'static str, Vec<u8>),
    /// Status and `Location`.
    Redirect(u16, String),
    /// These bytes, then the end.
    Raw(Vec<u8>),
    /// These bytes one by one with this pause, for ever.
    Dribble(&'static [u8], Duration),
    /// These bytes, then silence with the connection open.
    Stall(Vec<u8>),
    /// Closed without a word.
    Hangup,
}

type Script = Arc<dyn Fn(&AppRequest) -> Reply + Send + Sync>;

#[derive(Default)]
struct Memory {
    requests: Mutex<Vec<AppRequest>>,
    connections: AtomicUsize,
}

/// A server before it runs.
#[derive(Default)]
pub struct AppServerBuilder {
    scripts: HashMap<String, Script>,
    tls: Option<(Authority, TlsAcceptor)>,
}

impl AppServerBuilder {
    /// What is done with requests of `path`, WebSocket handshakes included. Other paths give 404; other handshakes succeed.
    pub fn on(mut self, path: &str, script: impl Fn(&AppRequest) -> Reply + Send + Sync + 'static) -> Self {
        self.scripts.insert(path.to_owned(), Arc::new(script));
        self
    }

    /// `https` and `wss`, with a certificate for [`NAME`] of an authority of its own.
    pub fn tls(mut self) -> Self {
        let now = rustls::pki_types::UnixTime::now().as_secs();
        let authority = Authority::new("Applications' Root", now - 3_600, now + 86_400).unwrap();
        let pair = authority
            .leaf(&LeafRequest {
                dns_names: vec![NAME.to_owned()],
                addresses: vec![],
                usage: LeafUsage::Server,
                not_before: now - 3_600,
                not_after: now + 86_400,
            })
            .unwrap();
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        self.tls = Some((authority, TlsAcceptor::from(Arc::new(config))));
        self
    }

    pub async fn start(self) -> AppServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::new(Memory::default());
        let (to_test, sockets) = mpsc::unbounded_channel();
        let scripts = Arc::new(self.scripts);
        let (authority, acceptor) = self.tls.unzip();
        let remember = memory.clone();
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                remember.connections.fetch_add(1, Relaxed);
                let (acceptor, scripts) = (acceptor.clone(), scripts.clone());
                let (memory, to_test) = (remember.clone(), to_test.clone());
                tokio::spawn(async move {
                    let stream: Box<dyn Wire> = match acceptor {
                        // A client that refuses the certificate is what some tests are about.
                        Some(acceptor) => match acceptor.accept(tcp).await {
                            Ok(tls) => Box::new(tls),
                            Err(_) => return,
                        },
                        None => Box::new(tcp),
                    };
                    // Clients close when they like.
                    let _closed = serve(stream, scripts, memory, to_test).await;
                });
            }
        });
        AppServer {
            address,
            authority,
            memory,
            sockets,
            task,
        }
    }
}

/// A running server; it stops when it is dropped.
pub struct AppServer {
    pub address: SocketAddr,
    authority: Option<Authority>,
    memory: Arc<Memory>,
    sockets: mpsc::UnboundedReceiver<AppSocket>,
    task: JoinHandle<()>,
}

impl Drop for AppServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AppServer {
    pub fn build() -> AppServerBuilder {
        AppServerBuilder::default()
    }

    /// `path` on this server, by address; by name over TLS.
    pub fn url(&self, path: &str) -> String {
        match &self.authority {
            Some(_) => format!("https://{NAME}:{}{path}", self.address.port()),
            None => format!("http://{}{path}", self.address),
        }
    }

    /// The same for a WebSocket.
    pub fn ws_url(&self, path: &str) -> String {
        self.url(path).replacen("http", "ws", 1)
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<AppRequest> {
        self.memory.requests.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.memory.connections.load(Relaxed)
    }

    /// The next WebSocket that was opened.
    pub async fn socket(&mut self) -> AppSocket {
        tokio::time::timeout(BOUND, self.sockets.recv())
            .await
            .expect("a WebSocket")
            .expect("a running server")
    }

    /// A connector that trusts this server's authority and knows [`NAME`].
    pub fn connector(&self, policy: AddressPolicy) -> Connector {
        let root = match &self.authority {
            Some(authority) => authority.root_pem(),
            None => Authority::new("Nobody's Root", 0, 4_000_000_000).unwrap().root_pem(),
        };
        let roots = TrustRoots::from_pem(root.as_bytes(), "test").unwrap();
        let host = StaticHost {
            ip: self.address.ip(),
            port: None,
        };
        let resolver = Connector::resolver(dns::Settings {
            hosts: [(NAME.to_owned(), vec![host])].into(),
            ..dns::Settings::default()
        });
        Connector::new(resolver, policy, web_client(&roots).unwrap(), Duration::from_secs(3))
    }

    /// A client that may ask this server and nobody else on this machine's private networks.
    pub fn client(&self, settings: ClientSettings) -> HookClient {
        HookClient::new(self.connector(AddressPolicy::new(vec![], true, vec![])), settings)
    }
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

async fn serve(
    mut stream: Box<dyn Wire>,
    scripts: Arc<HashMap<String, Script>>,
    memory: Arc<Memory>,
    to_test: mpsc::UnboundedSender<AppSocket>,
) -> std::io::Result<()> {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread).await? {
        memory.requests.lock().unwrap().push(request.clone());
        let script = scripts.get(&request.path);
        let is_handshake = request
            .header("upgrade")
            .is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
        if is_handshake && script.is_none() {
            let key = derive_accept_key(request.header("sec-websocket-key").unwrap_or_default().as_bytes());
            let protocol = request.header("sec-websocket-protocol").unwrap_or_default();
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                 sec-websocket-accept: {key}\r\nsec-websocket-protocol: {protocol}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            let socket = WebSocketStream::from_partially_read(stream, unread, Role::Server, None).await;
            // The test may be over.
            let _over = to_test.send(AppSocket { request, socket });
            return Ok(());
        }
        let reply = script.map_or(Reply::Json(404, Value::Null), |script| script(&request));
        let bytes = match reply {
            Reply::Json(status, body) => answer(status, "application/json", body.to_string().as_bytes()),
            Reply::Body(status, kind, body) => answer(status, kind, &body),
            Reply::Redirect(status, to) => {
                format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
            }
            Reply::Raw(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Reply::Stall(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                return std::future::pending().await;
            }
            Reply::Dribble(bytes, pause) => {
                for byte in bytes.iter().cycle() {
                    stream.write_all(&[*byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
                return Ok(());
            }
            Reply::Hangup => return Ok(()),
        };
        stream.write_all(&bytes).await?;
        stream.flush().await?;
    }
    Ok(())
}

fn answer(status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = match status {
        204 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    let mut bytes = format!("HTTP/1.1 {status} Answer\r\ncontent-type: {kind}\r\n{length}\r\n").into_bytes();
    if status != 204 {
        bytes.extend_from_slice(body);
    }
    bytes
}

/// `None` when the client has closed.
async fn read_request(stream: &mut Box<dyn Wire>, unread: &mut Vec<u8>) -> std::io::Result<Option<AppRequest>> {
    let end = loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(unread[..end].to_vec()).expect("a head of text");
    unread.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while unread.len() < length {
        if stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(AppRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: unread.drain(..length).collect(),
    }))
}

/// An open WebSocket, the application's end.
pub struct AppSocket {
    /// The handshake.
    pub request: AppRequest,
    socket: WebSocketStream<Box<dyn Wire>>,
}

impl AppSocket {
    /// The next message. Panics on a close.
    pub async fn message(&mut self) -> Value {
        match self.event().await {
            Ok(message) => message,
            Err(end) => panic!("a close: {end:?}"),
        }
    }

    /// The next message, or the code of the close; `None` when the connection just ended.
    pub async fn event(&mut self) -> Result<Value, Option<u16>> {
        let wait = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(frame))) => {
                        // Sends the answer to the close.
                        let _flushed = self.socket.flush().await;
                        return Err(frame.map(|CloseFrame { code, .. }| code.into()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(None),
                }
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("a message")
    }

    /// Answers the next ping, and reads no further.
    pub async fn answers_a_ping(&mut self) {
        let wait = async { while !matches!(self.socket.next().await.unwrap().unwrap(), Message::Ping(_)) {} };
        tokio::time::timeout(BOUND, wait).await.expect("a ping");
        self.socket.flush().await.unwrap();
    }

    pub async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// These bytes for frames, right or wrong.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let wire = self.socket.get_mut();
        wire.write_all(bytes).await.unwrap();
        wire.flush().await.unwrap();
    }

    /// Acknowledges `message` with `verbs`.
    pub async fn ack(&mut self, message: &Value, verbs: Value) {
        self.send(serde_json::json!({ "type": "ack", "msgid": message["msgid"], "data": verbs }))
            .await;
    }

    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        let closing: Result<(), Error> = self.socket.close(Some(frame)).await;
        closing.unwrap();
        // Until the other end has answered.
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Ends the connection as a crash does.
    pub fn crash(self) {
        drop(self);
    }
}
