//! A name server on 127.0.0.1 whose records and moods a test changes while it runs.

use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SOA, SRV};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::MessageResponseBuilder;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};

#[derive(Default)]
struct State {
    records: Vec<Record>,
    asked: Vec<String>,
    servfail: bool,
    soa: bool,
    delay: Duration,
}

/// The server and its zone: the root, with everything in it.
pub struct Zone {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: Server<Handler>,
}

impl Zone {
    /// Starts on one free port, UDP and TCP.
    pub async fn serve() -> Zone {
        let state = Arc::<Mutex<State>>::default();
        let mut server = Server::new(Handler(state.clone()));
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The TCP port of the same number may be somebody else's: then try another.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 65_535);
        Zone { address, state, server }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The questions so far: `A hub.example`.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    pub fn clear(&self) {
        self.state().records.clear();
    }

    /// From now on every question fails.
    pub fn servfail(&self) {
        self.state().servfail = true;
    }

    /// From now on an answer without records has the zone's SOA, as it should (RFC 2308 §3).
    pub fn sign_refusals(&self) {
        self.state().soa = true;
    }

    /// From now on every answer takes this long.
    pub fn delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Closes the sockets.
    pub async fn stop(&mut self) {
        self.server.shutdown_gracefully().await.unwrap();
    }

    pub fn a(&self, name: &str, ttl: u32, ip: &str) {
        self.add(name, ttl, RData::A(A(ip.parse().unwrap())));
    }

    pub fn aaaa(&self, name: &str, ttl: u32, ip: &str) {
        self.add(name, ttl, RData::AAAA(AAAA(ip.parse().unwrap())));
    }

    pub fn cname(&self, name: &str, ttl: u32, to: &str) {
        self.add(name, ttl, RData::CNAME(CNAME(dns_name(to))));
    }

    /// `(priority, weight, port, target)`
    pub fn srv(&self, name: &str, ttl: u32, (priority, weight, port, to): (u16, u16, u16, &str)) {
        self.add(name, ttl, RData::SRV(SRV::new(priority, weight, port, dns_name(to))));
    }

    /// `(order, preference, service, SRV name)`
    pub fn naptr(&self, name: &str, ttl: u32, (order, preference, service, to): (u16, u16, &str, &str)) {
        let (flags, service) = (b"s".to_vec().into(), service.as_bytes().into());
        self.add(
            name,
            ttl,
            RData::NAPTR(NAPTR::new(
                order,
                preference,
                flags,
                service,
                Box::new([]),
                dns_name(to),
            )),
        );
    }

    fn add(&self, name: &str, ttl: u32, data: RData) {
        self.state().records.push(Record::from_rdata(dns_name(name), ttl, data));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn dns_name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

struct Handler(Arc<Mutex<State>>);

impl Handler {
    async fn answer<R: ResponseHandler>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let query = request.request_info().unwrap().query.clone();
        let name = Name::from(query.name().clone());
        let (answers, soa, code, delay) = {
            let mut state = self.0.lock().unwrap();
            state.asked.push(format!(
                "{} {}",
                query.query_type(),
                name.to_ascii().trim_end_matches('.')
            ));
            let same_name: Vec<Record> = state
                .records
                .iter()
                .filter(|record| record.name == name)
                .cloned()
                .collect();
            let code = match (state.servfail, same_name.is_empty()) {
                (true, _) => ResponseCode::ServFail,
                (false, true) => ResponseCode::NXDomain,
                (false, false) => ResponseCode::NoError,
            };
            let fits = |record: &Record| [query.query_type(), RecordType::CNAME].contains(&record.record_type());
            let answers: Vec<Record> = same_name
                .into_iter()
                .filter(|record| !state.servfail && fits(record))
                .collect();
            let soa = (state.soa && !state.servfail && answers.is_empty()).then(|| {
                let by = SOA::new(dns_name("ns.example"), dns_name("admin.example"), 1, 60, 60, 60, 60);
                Record::from_rdata(Name::root(), 60, RData::SOA(by))
            });
            (answers, soa, code, state.delay)
        };
        tokio::time::sleep(delay).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = code;
        let builder = MessageResponseBuilder::from_message_request(request);
        let nothing = || std::iter::empty::<&Record>();
        let message = builder.build(metadata, answers.iter(), nothing(), soa.iter(), nothing());
        response.send_response(message).await.unwrap()
    }
}

impl RequestHandler for Handler {
    fn handle_request<'s, 'r, 'f, R, T>(
        &'s self,
        request: &'r Request,
        response: R,
    ) -> Pin<Box<dyn Future<Output = ResponseInfo> + Send + 'f>>
    where
        Self: 'f,
        's: 'f,
        'r: 'f,
        R: ResponseHandler + 'f,
        T: Time + 'f,
    {
        Box::pin(self.answer(request, response))
    }
}
