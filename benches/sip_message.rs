//! What a SIP message costs: cutting it out and making the table; that with five typed views and the print of the request that
//! leaves on the other side; and the same work done with rsip.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::sip::{HeaderName, Message, Method, RequestDraft, ResponseDraft};
use rsip::prelude::*;
use std::hint::black_box;
use std::net::SocketAddr;

/// What the program runs on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEAD: &str = "INVITE sip:+12065550100@woodgrove.sbc1.example.net:5061;user=phone;transport=tls SIP/2.0\r\n\
FROM: Ada Jones<sip:+14255550111@sip.pstnhub.example.com:5061;user=phone>;tag=1779cf3aa50c413afc7e05adb7e1b0de\r\n\
TO: <sip:+12065550100@woodgrove.sbc1.example.net:5061;user=phone>\r\n\
CSEQ: 1 INVITE\r\n\
CALL-ID: 0a3d72134fb3d6c024db4c510bc1605b\r\n\
MAX-FORWARDS: 70\r\n\
VIA: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7a6f150b\r\n\
RECORD-ROUTE: <sip:sip-du-a-eu.pstnhub.example.com:5061;transport=tls;lr>\r\n\
CONTACT: <sip:api-du-a-euno.pstnhub.example.com:443;x-i=81f328d9-9c68-4ce3-ad43-4869491af7d4;x-c=81f328d99c68ace35d434869491af7d4/d/8/fae221a6ad89f0e1>\r\n\
MIN-SE: 300\r\n\
SUPPORTED: timer\r\n\
SESSION-EXPIRES: 3600\r\n\
USER-AGENT: Microsoft.PSTNHub.SIPProxy v.2026.1.15.2 i.EUNO.3\r\n\
CONTENT-TYPE: application/sdp\r\n\
ALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n";

const SDP: &str = "v=0\r\no=- 610334 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 192.0.2.80\r\nb=CT:10000000\r\nt=0 0\r\n\
m=audio 49954 RTP/SAVP 9 0 8 18 101 13\r\nc=IN IP4 192.0.2.80\r\na=rtcp:49954\r\na=rtcp-mux\r\na=label:main-audio\r\na=mid:1\r\n\
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PPo4ehfXhNOzs1JIuYc2a6DOXMzhabvIt2Pmzo8P|2^31\r\na=sendrecv\r\n\
a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=rtpmap:13 CN/8000\r\na=ptime:20\r\n";

fn invite() -> Bytes {
    Bytes::from(format!("{HEAD}CONTENT-LENGTH: {}\r\n\r\n{SDP}", SDP.len()))
}

fn frame(bytes: &Bytes) -> Message {
    Message::parse(bytes.clone()).expect("the INVITE parses")
}

/// Reads the five views and writes the INVITE again from them, every other header relayed.
fn relay(bytes: &Bytes) -> Bytes {
    let message = frame(bytes);
    let from = message.from().expect("From");
    let to = message.to().expect("To");
    let contact = message.contact().expect("Contact").expect("a Contact");
    let (number, method) = message.cseq();
    black_box((&from, &to, &contact, number, message.top_via().branch()));
    let mut draft = RequestDraft::new(method, message.request_uri().unwrap_or_default());
    for header in message.raw_headers() {
        match header.known {
            Some(HeaderName::Via | HeaderName::ContentLength | HeaderName::ContentType) => {}
            Some(name) => draft = draft.header(name, header.value),
            None => {
                draft = draft
                    .raw_header(header.name(), header.value)
                    .expect("a name that was parsed")
            }
        }
    }
    draft
        .body("application/sdp", message.body_bytes())
        .to_bytes(message.top_via().as_str())
}

/// The INVITE of the other leg, as a call makes it: our own headers, the session of the caller.
fn leg_invite(message: &Message) -> Bytes {
    RequestDraft::new(Method::Invite, "sip:+12065550100@192.0.2.200:5060;user=phone")
        .header(
            HeaderName::From,
            "\"Ada Jones\" <sip:+14255550111@sbc.example.net>;tag=5f1e0c6a9b2d4873",
        )
        .header(HeaderName::To, "<sip:+12065550100@192.0.2.200;user=phone>")
        .header(HeaderName::CallId, "b81ee7d0c54f4d58a5bd0d1c8b0c7f11")
        .header(HeaderName::CSeq, "1 INVITE")
        .header(HeaderName::MaxForwards, "69")
        .header(HeaderName::Contact, "<sip:+14255550111@sbc.example.net:5060>")
        .header(
            HeaderName::Allow,
            "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, INFO, NOTIFY",
        )
        .header(HeaderName::Supported, "timer, 100rel, replaces")
        .body("application/sdp", message.body_bytes())
        .to_bytes("SIP/2.0/UDP sbc.example.net:5060;branch=z9hG4bK0a1b2c3d4e5f6071;rport")
}

/// The 200 of the INVITE, with a session.
fn respond(message: &Message) -> Bytes {
    ResponseDraft::new(200)
        .to_tag("5f1e0c6a9b2d4873")
        .header(
            HeaderName::Contact,
            "<sip:+12065550100@sbc.example.net:5061;transport=tls>",
        )
        .header(
            HeaderName::Allow,
            "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, INFO, NOTIFY",
        )
        .header(HeaderName::Supported, "timer, 100rel, replaces")
        .header(HeaderName::Server, "portcullis")
        .body("application/sdp", message.body_bytes())
        .to_bytes(message, SocketAddr::from(([192, 0, 2, 10], 5061)))
}

fn rsip_relay(bytes: &Bytes) -> String {
    let message = rsip::SipMessage::try_from(&bytes[..]).expect("rsip parses");
    let via = message.via_header().expect("Via").typed().expect("Via");
    let from = message.from_header().expect("From").typed().expect("From");
    let to = message.to_header().expect("To").typed().expect("To");
    let cseq = message.cseq_header().expect("CSeq").typed().expect("CSeq");
    let contact = message.contact_header().expect("Contact").typed().expect("Contact");
    black_box((via, from, to, cseq, contact));
    message.to_string()
}

fn benches(criterion: &mut Criterion) {
    let bytes = invite();
    let mut group = criterion.benchmark_group(format!("invite of {} bytes", bytes.len()));
    group.throughput(Throughput::Elements(1));
    group.bench_function("frame", |bencher| bencher.iter(|| frame(black_box(&bytes))));
    group.bench_function("frame, five views, print", |bencher| {
        bencher.iter(|| relay(black_box(&bytes)))
    });
    let message = frame(&bytes);
    group.bench_function("clone", |bencher| bencher.iter(|| black_box(&message).clone()));
    group.bench_function("write the INVITE of the other leg", |bencher| {
        bencher.iter(|| leg_invite(black_box(&message)))
    });
    group.bench_function("write a 200 with a session", |bencher| {
        bencher.iter(|| respond(black_box(&message)))
    });
    group.bench_function("rsip: parse", |bencher| {
        bencher.iter(|| rsip::SipMessage::try_from(&black_box(&bytes)[..]).expect("rsip parses"));
    });
    group.bench_function("rsip: parse, five types, print", |bencher| {
        bencher.iter(|| rsip_relay(black_box(&bytes)))
    });
    group.finish();
}

criterion_group!(sip_message, benches);
criterion_main!(sip_message);
