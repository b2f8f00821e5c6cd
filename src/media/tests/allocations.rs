use super::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks for.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn no_packet_costs_an_allocation() {
    assert_no_allocation(None, 20);
}

#[test]
fn no_packet_that_is_cut_anew_costs_an_allocation() {
    assert_no_allocation(None, 10);
}

#[test]
fn no_recoded_packet_costs_an_allocation() {
    assert_no_allocation(Some(Speech::G722), 20);
}

fn assert_no_allocation(recode: Option<Speech>, milliseconds: u64) {
    let (plane, mut workers) = MediaPlane::prepare(settings(20_000..=20_099)).expect("plane");
    let worker = workers.first_mut().expect("one worker");
    let (events, _told) = mpsc::channel(64);
    let spec = |near| OpenSpec {
        address: 0,
        urgent: false,
        rtcp: RtcpPort::Mux,
        near,
        events: events.clone(),
        label: Arc::from("test"),
    };
    let a = plane.open(spec(None)).expect("a leg");
    let b = plane.open(spec(Some(a.id))).expect("a leg");
    let (mut carrier, mut teams) = (Peer::plain(1), Peer::secure(2));
    let configured = |peer: &Peer| {
        let mut config = peer.config();
        config.packet_time = Duration::from_millis(milliseconds);
        for payload in &mut config.payloads {
            payload.recode = recode.filter(|_| payload.number == 8);
        }
        config
    };
    plane.configure(a.id, configured(&carrier)).expect("accepted");
    plane.configure(b.id, configured(&teams)).expect("accepted");
    plane.bridge(a.id, b.id).expect("bridged");
    worker.turn().expect("commands");

    let mut warm = 0;
    for round in 1..=200 {
        // the bad tag takes the refusing path
        let mut forged = teams.packet(8, b"forged");
        forged[15] ^= 1;
        teams.send_raw(b, &forged);
        carrier.send(a, 8, &[0xd5; 160]);
        teams.send(b, 8, &[0xd5; 160]);
        let mut allocated = 0;
        while plane.worker_stats()[0].packets_in < 3 * round {
            let before = ALLOCATIONS.with(Cell::get);
            worker.turn().expect("packets");
            allocated += ALLOCATIONS.with(Cell::get) - before;
        }
        // the first packets tell `Flowing`
        if round > 1 {
            warm += allocated;
        }
        carrier.receive();
        teams.receive();
    }
    assert_eq!(warm, 0);
}

#[test]
fn no_connectivity_check_costs_an_allocation() {
    use crate::ice::{Credentials, Secret};
    use ::is::stun::{StunMessage, TransId};
    use ::is::{DefaultSha1HmacProvider, Sha1HmacProvider as _};
    let (plane, mut workers) = MediaPlane::prepare(settings(20_000..=20_099)).expect("plane");
    let worker = workers.first_mut().expect("one worker");
    let (events, _told) = mpsc::channel(64);
    let spec = OpenSpec {
        address: 0,
        urgent: false,
        rtcp: RtcpPort::Mux,
        near: None,
        events,
        label: Arc::from("test"),
    };
    let (leg, peer) = (plane.open(spec).expect("a leg"), Peer::secure(1));
    let ours = Credentials::derive(&Secret::from_bytes([5; 32]), 0);
    plane.expect_checks(leg.id, ours.clone()).expect("accepted");
    worker.turn().expect("commands");
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let mut allocated = 0;
    for round in 1..=100u64 {
        let user = format!("{}:fork{}", ours.ufrag, round % 20);
        let message = StunMessage::binding_request(&user, TransId::new(), true, 7, 9, round % 3 == 0);
        let mut check = [0; 600];
        let len = message
            .to_bytes(Some(ours.password.as_bytes()), &mut check, hmac)
            .expect("room");
        peer.send_raw(leg, &check[..len]);
        // and one under a wrong password
        check[len - 9] ^= 1;
        check[3] -= 8;
        peer.send_raw(leg, &check[..len - 8]);
        while plane.worker_stats()[0].packets_in < 2 * round {
            let before = ALLOCATIONS.with(Cell::get);
            worker.turn().expect("packets");
            allocated += ALLOCATIONS.with(Cell::get) - before;
        }
        let mut reply = [0; 600];
        let len = peer.socket.recv(&mut reply).expect("a reply");
        let read = StunMessage::parse(&reply[..len]).expect("STUN");
        assert!(read.is_successful_binding_response() && read.verify(ours.password.as_bytes(), hmac));
    }
    assert_eq!(allocated, 0);
}

#[test]
fn no_packet_of_a_sound_costs_an_allocation() {
    let (plane, mut workers) = MediaPlane::prepare(settings(20_000..=20_099)).expect("plane");
    let worker = workers.first_mut().expect("one worker");
    let (events, _told) = mpsc::channel(64);
    let mut peers: Vec<Peer> = [Speech::Pcmu, Speech::Pcma, Speech::G722]
        .into_iter()
        .map(|codec| {
            let spec = OpenSpec {
                address: 0,
                urgent: false,
                rtcp: RtcpPort::Mux,
                near: None,
                events: events.clone(),
                label: Arc::from("test"),
            };
            let (leg, peer) = (plane.open(spec).expect("a leg"), Peer::secure(1));
            let config = LegConfig {
                voice: Some(Voice { codec, number: 0 }),
                ..peer.config()
            };
            plane.configure(leg.id, config).expect("accepted");
            let play = Play {
                rounds: Rounds::Forever,
                ..Play::once(Arc::new(Sound::new(&[1_000; 333], 8_000)), 1)
            };
            plane.play(leg.id, play).expect("accepted");
            peer
        })
        .collect();
    worker.turn().expect("commands");
    let mut allocated = 0;
    for round in 1..=10 {
        while plane.worker_stats()[0].packets_out < 3 * round {
            let before = ALLOCATIONS.with(Cell::get);
            worker.turn().expect("packets");
            // the first packet begins an SRTP stream
            if round > 1 {
                allocated += ALLOCATIONS.with(Cell::get) - before;
            }
        }
        peers.iter_mut().for_each(|peer| drop(peer.receive()));
    }
    assert_eq!(allocated, 0);
}
