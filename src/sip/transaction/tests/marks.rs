//! What every message bears toward the peers of a listener, whoever makes it.

use super::pair::{CALLEE, CALLER, address, draft, flow, hop, settings};
use crate::moment::Moment;
use crate::sip::transaction::{Marks, Output, ServerTransactionId, Settings, Transactions};
use crate::sip::{HeaderName, HeaderValue, ListenerId, Message, Method, ResponseDraft, Transport};
use bytes::Bytes;

const PRODUCT: &str = "Example/SBC/1";

fn table(listener: ListenerId) -> Transactions {
    let marks = Marks::on(listener, [(HeaderName::XMsSbc, HeaderValue::cleaned(PRODUCT))]);
    Transactions::new(Settings { marks, ..settings() })
}

fn message(method: &str, to: &str, branch: &str) -> Message {
    let text = format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK{branch}\r\n\
         From: <sip:a@x>;tag=f\r\nTo: <sip:b@y>{to}\r\nCall-ID: c{branch}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    );
    Message::parse(text.into_bytes().into()).unwrap()
}

/// Status and product of a message.
fn read(bytes: Bytes) -> (Option<u16>, Option<String>) {
    let message = Message::parse(bytes).unwrap();
    let product = message.header(HeaderName::XMsSbc).map(str::to_owned);
    (message.status(), product)
}

/// The same of all that is sent.
fn sent(table: &mut Transactions) -> Vec<(Option<u16>, Option<String>)> {
    let mut sent = Vec::new();
    while let Some(output) = table.poll() {
        if let Output::Send { bytes, .. } = output {
            sent.push(read(bytes));
        }
    }
    sent
}

fn receive(table: &mut Transactions, message: Message) -> Option<ServerTransactionId> {
    table.receive(message, flow(Transport::Tls, CALLEE, CALLER), Moment::ZERO, |_| false);
    let mut waiting = Vec::new();
    while let Some(output) = table.poll() {
        waiting.push(output);
    }
    let found = waiting.iter().find_map(|output| match output {
        Output::Request { id, .. } => Some(*id),
        _ => None,
    });
    let answers = waiting.into_iter().filter_map(|output| match output {
        Output::Send { bytes, .. } => Some(read(bytes)),
        _ => None,
    });
    for (status, product) in answers {
        assert_eq!(product.as_deref(), Some(PRODUCT), "{status:?}");
    }
    found
}

fn teams() -> Transactions {
    table(ListenerId(0))
}

#[test]
fn teams_038_every_answer_over_the_listener_says_what_we_are() {
    let mut table = teams();
    let says = |table: &mut Transactions, status: u16| {
        let told = sent(table);
        assert_eq!(told, [(Some(status), Some(PRODUCT.to_owned()))]);
    };
    let invite = receive(&mut table, message("INVITE", "", "1")).expect("an INVITE");
    table.trying(invite);
    says(&mut table, 100);
    // Its 200 is looked at as it comes.
    assert!(receive(&mut table, message("CANCEL", "", "1")).is_none());
    table.respond(invite, &ResponseDraft::new(487), Moment::ZERO).unwrap();
    says(&mut table, 487);
    let refused = receive(&mut table, message("OPTIONS", "", "2")).expect("OPTIONS");
    table.refuse(refused, Some(ResponseDraft::new(403)));
    says(&mut table, 403);
    // Nothing is cancelled by it.
    assert!(receive(&mut table, message("CANCEL", "", "3")).is_none());

    let own = receive(&mut table, message("OPTIONS", "", "4")).expect("OPTIONS");
    let draft = ResponseDraft::new(200).header(HeaderName::XMsSbc, "Other/SBC/2");
    table.respond(own, &draft, Moment::ZERO).unwrap();
    assert_eq!(
        sent(&mut table),
        [(Some(200), Some("Other/SBC/2".to_owned()))],
        "who says it is believed"
    );
}

#[test]
fn on_other_listeners_nobody_is_told() {
    let mut table = table(ListenerId(1));
    table.receive(
        message("OPTIONS", "", "1"),
        flow(Transport::Tls, CALLEE, CALLER),
        Moment::ZERO,
        |_| true,
    );
    let Some(Output::Request { id, .. }) = table.poll() else {
        panic!("a request")
    };
    table.respond(id, &ResponseDraft::new(200), Moment::ZERO).unwrap();
    assert_eq!(sent(&mut table), [(Some(200), None)]);
}

#[test]
fn teams_038_cancel_and_the_ack_of_a_refusal_say_it_as_their_invite_did() {
    let invite = || {
        let draft = draft(Method::Invite, 1);
        let draft = draft
            .header(HeaderName::UserAgent, PRODUCT)
            .header(HeaderName::XMsSbc, PRODUCT);
        let mut table = teams();
        let to = hop(Transport::Tls, CALLEE);
        let id = table
            .request(&draft, to, 1, "sbc.example.com:5061", Moment::ZERO)
            .expect("sent");
        let Some(Output::Send { bytes, .. }) = table.poll() else {
            panic!("nothing sent")
        };
        (table, id, Message::parse(bytes).unwrap())
    };
    let answer = |table: &mut Transactions, request: &Message, status: u16| {
        let bytes = ResponseDraft::new(status)
            .to_tag("t")
            .to_bytes(request, address(CALLEE));
        let flow = flow(Transport::Tls, CALLER, CALLEE);
        table.receive(Message::parse(bytes).unwrap(), flow, Moment::ZERO, |_| true);
    };
    let told = [(None, Some(PRODUCT.to_owned()))];
    let (mut table, id, request) = invite();
    answer(&mut table, &request, 180);
    table.cancel(id, Vec::new(), Moment::ZERO);
    assert_eq!(sent(&mut table), told, "CANCEL");
    let (mut table, _, request) = invite();
    answer(&mut table, &request, 486);
    assert_eq!(sent(&mut table), told, "ACK");
}
