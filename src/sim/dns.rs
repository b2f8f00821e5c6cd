//! A name server whose answers change while it runs: hubs that move, names that are gone, servers that fail (TEAMS-019).
//!
//! Over UDP alone, for addresses alone; whoever asks for more is told that there is nothing.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use trust_dns_resolver::proto::op::{Message, MessageType, Metadata, ResponseCode};
use trust_dns_resolver::proto::rr::rdata::{A, AAAA};
use trust_dns_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Questions that are remembered.
const ASKED: usize = 1024;
/// A question is shorter.
const LONGEST: usize = 1232;

/// How every question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsManner {
    #[default]
    Normal,
    /// SERVFAIL.
    Fails,
    /// No answer at all.
    Silent,
}

#[derive(Default)]
struct State {
    names: HashMap<String, (Duration, Vec<IpAddr>)>,
    manner: DnsManner,
    asked: VecDeque<String>,
    /// All that were asked, those that are forgotten too.
    total: u64,
}

/// A running name server. Dropping it stops it.
pub struct DnsSim {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl DnsSim {
    /// Port 0 takes a free one. Needs a tokio runtime.
    pub async fn start(listen: SocketAddr) -> io::Result<DnsSim> {
        let socket = UdpSocket::bind(listen).await?;
        let address = socket.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        Ok(DnsSim {
            address,
            task: tokio::spawn(serve(socket, state.clone())),
            state,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these addresses, and no others.
    pub fn lead(&self, name: &str, ttl: Duration, addresses: &[IpAddr]) {
        self.state().names.insert(plain(name), (ttl, addresses.to_vec()));
    }

    /// From now on there is no such name.
    pub fn forget(&self, name: &str) {
        self.state().names.remove(&plain(name));
    }

    pub fn set_manner(&self, manner: DnsManner) {
        self.state().manner = manner;
    }

    /// The questions so far, the newest thousand: `A sip.pstnhub.microsoft.com`.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.iter().cloned().collect()
    }

    /// The questions after the first `told`, and how many there were in all.
    pub fn asked_after(&self, told: u64) -> (Vec<String>, u64) {
        let state = self.state();
        let new = usize::try_from(state.total.saturating_sub(told)).unwrap_or(usize::MAX);
        let skipped = state.asked.len().saturating_sub(new);
        (state.asked.iter().skip(skipped).cloned().collect(), state.total)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DnsSim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; LONGEST];
    loop {
        // A closed port of somebody who asked (ICMP) is no reason to stop.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let answer = buffer.get(..length).and_then(|question| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut state, question)
        });
        if let Some(answer) = answer {
            // Who asked asks again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// `None`: nothing is said.
fn answer(state: &mut State, question: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    if question.metadata.message_type != MessageType::Query {
        return None;
    }
    let query = question.queries.first()?.clone();
    let (name, kind) = (query.name().clone(), query.query_type());
    let words = plain(&name.to_ascii());
    if state.asked.len() == ASKED {
        state.asked.pop_front();
    }
    state.total += 1;
    state.asked.push_back(format!("{kind} {words}"));
    let mut metadata = Metadata::response_from_request(&question.metadata);
    metadata.authoritative = true;
    let mut message = Message::response(metadata.id, metadata.op_code);
    let known = state.names.get(&words);
    metadata.response_code = match (state.manner, known) {
        (DnsManner::Silent, _) => return None,
        (DnsManner::Fails, _) => ResponseCode::ServFail,
        (DnsManner::Normal, None) => ResponseCode::NXDomain,
        (DnsManner::Normal, Some(_)) => ResponseCode::NoError,
    };
    message.metadata = metadata;
    message.add_query(query);
    if let (DnsManner::Normal, Some((ttl, addresses))) = (state.manner, known) {
        let ttl = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
        for record in addresses
            .iter()
            .filter_map(|address| record(&name, ttl, kind, *address))
        {
            message.add_answer(record);
        }
    }
    message.to_vec().ok()
}

fn record(name: &Name, ttl: u32, kind: RecordType, address: IpAddr) -> Option<Record> {
    let data = match (kind, address) {
        (RecordType::A, IpAddr::V4(address)) => RData::A(A(address)),
        (RecordType::AAAA, IpAddr::V6(address)) => RData::AAAA(AAAA(address)),
        _ => return None,
    };
    Some(Record::from_rdata(name.clone(), ttl, data))
}

/// Names are case-blind, and a dot at the end says nothing.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trust_dns_resolver::proto::op::Query;

    fn ask(state: &mut State, name: &str, kind: RecordType) -> Option<(ResponseCode, Vec<String>)> {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let bytes = answer(state, &question.to_vec().unwrap())?;
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!(message.metadata.id, question.metadata.id);
        let found = message.answers.iter().map(|record| record.data.to_string());
        Some((message.metadata.response_code, found.collect()))
    }

    #[test]
    fn teams_019_a_hub_moves_and_is_found_where_it_went() {
        let mut state = State::default();
        let hub = "SIP.pstnhub.example.com.";
        assert_eq!(
            ask(&mut state, hub, RecordType::A),
            Some((ResponseCode::NXDomain, vec![]))
        );
        for address in ["127.0.0.3", "127.0.0.4"] {
            let addresses = vec![address.parse().unwrap(), "2001:db8::1".parse().unwrap()];
            state.names.insert(plain(hub), (Duration::from_secs(5), addresses));
            let found = vec![address.to_owned()];
            assert_eq!(
                ask(&mut state, hub, RecordType::A),
                Some((ResponseCode::NoError, found))
            );
        }
        let six = vec!["2001:db8::1".to_owned()];
        assert_eq!(
            ask(&mut state, hub, RecordType::AAAA),
            Some((ResponseCode::NoError, six))
        );
        assert_eq!(
            ask(&mut state, hub, RecordType::SRV),
            Some((ResponseCode::NoError, vec![]))
        );
        state.manner = DnsManner::Fails;
        assert_eq!(
            ask(&mut state, hub, RecordType::A),
            Some((ResponseCode::ServFail, vec![]))
        );
        state.manner = DnsManner::Silent;
        assert_eq!(ask(&mut state, hub, RecordType::A), None);
        assert_eq!(state.asked.front().unwrap(), "A sip.pstnhub.example.com");
        assert_eq!(answer(&mut State::default(), b"not a question"), None);
    }

    #[tokio::test]
    async fn questions_over_the_wire_are_answered() {
        let dns = DnsSim::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        dns.lead("hub.example", Duration::from_secs(60), &["192.0.2.7".parse().unwrap()]);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii("hub.example.").unwrap(), RecordType::A));
        socket
            .send_to(&question.to_vec().unwrap(), dns.address())
            .await
            .unwrap();
        let mut buffer = [0; LONGEST];
        let bound = Duration::from_secs(10);
        let (length, _) = tokio::time::timeout(bound, socket.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        let message = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(message.answers.first().map(|record| record.ttl), Some(60));
        assert_eq!(dns.asked(), ["A hub.example"]);
        assert_eq!(dns.asked_after(0), (vec!["A hub.example".to_owned()], 1));
        assert_eq!(dns.asked_after(1), (vec![], 1));
        dns.forget("HUB.example");
        assert!(dns.state().names.is_empty());
    }
}
