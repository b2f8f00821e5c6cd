//! Dialogs from both sides, with Teams' peculiar Contact.

use super::*;
use crate::sip::header::Replaces;
use crate::sip::{HeaderName, Message, Method, NameAddr, RequestDraft, ResponseDraft, Uri};
use rand::SeedableRng;
use rand::rngs::StdRng;

const TEAMS_CONTACT: &str = "sip:api-du-a-uswe2.pstnhub.microsoft.com:443;x-i=8FE1-ab%2F;x-c=0a1B/d/8/9c";
const TEAMS_ROUTE: &str = "<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>";
const SOURCE: &str = "192.0.2.24:5061";

fn address(text: &str) -> NameAddr {
    NameAddr::parse(HeaderName::From, text).unwrap()
}

fn initiation() -> Initiation {
    let uri = Uri::parse("sip:+14255550100@sip.pstnhub.microsoft.com;user=phone").unwrap();
    let from = address("\"A\" <sip:+442075550101@sbc.example.com>;tag=stale");
    let to = address("<sip:+14255550100@sip.pstnhub.microsoft.com>");
    Initiation::new(uri, &from, &to, &mut StdRng::from_seed([1; 32]))
}

fn on_the_wire(draft: &RequestDraft) -> Message {
    Message::parse(draft.to_bytes("SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bK1")).unwrap()
}

/// A response of Teams to `request`.
fn response(request: &Message, status: u16, tag: &str, contact: &str) -> Message {
    let draft = ResponseDraft::new(status)
        .to_tag(tag)
        .header(HeaderName::Contact, format!("<{contact}>"));
    let bytes = draft.to_bytes(request, SOURCE.parse().unwrap());
    // A Record-Route of the peer's proxies, as they would add it on the way.
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let text = text.replacen(
        "\r\n",
        &format!("\r\nRecord-Route: {TEAMS_ROUTE}, <sip:inner.example.com;lr>\r\n"),
        1,
    );
    Message::parse(text.into_bytes().into()).unwrap()
}

fn teams_request(method: &str, cseq: u32, to_tag: &str, record_route: &str) -> Message {
    let text = format!(
        "{method} sip:+12065550100@sbc.example.com SIP/2.0\r\nVIA: SIP/2.0/TLS 192.0.2.24:5061;branch=z9hG4bK{cseq}\r\n\
         FROM: Ada Jones<sip:+14255550111@sip.pstnhub.microsoft.com:5061;user=phone>;tag=teams\r\n\
         TO: <sip:+12065550100@sbc.example.com>{to_tag}\r\nCSEQ: {cseq} {method}\r\nCALL-ID: c1\r\n\
         MAX-FORWARDS: 70\r\nRECORD-ROUTE: {record_route}\r\nCONTACT: <{TEAMS_CONTACT}>\r\nCONTENT-LENGTH: 0\r\n\r\n"
    );
    Message::parse(text.into_bytes().into()).unwrap()
}

fn of_teams() -> Dialog {
    Dialog::from_request(&teams_request("INVITE", 1, "", TEAMS_ROUTE), "ours").unwrap()
}

/// TEAMS-033, TEAMS-034.
#[test]
fn requests_to_teams_go_to_its_record_route_with_its_contact_as_request_uri() {
    let mut dialog = of_teams();
    dialog.confirm();
    let next_hop = dialog.next_hop_uri();
    assert_eq!(
        (next_hop.host(), next_hop.port()),
        ("sip-du-a-eu.pstnhub.microsoft.com", Some(5061))
    );
    let bye = on_the_wire(&dialog.request(Method::Bye));
    assert_eq!(bye.request_uri(), Some(TEAMS_CONTACT));
    assert_eq!(bye.header(HeaderName::Route), Some(TEAMS_ROUTE));
    assert_eq!(bye.from_tag(), Some("ours"));
    assert_eq!(
        bye.header(HeaderName::To),
        Some("Ada Jones<sip:+14255550111@sip.pstnhub.microsoft.com:5061;user=phone>;tag=teams")
    );
    assert_eq!(bye.cseq(), (1, Method::Bye));
}

#[test]
fn a_strict_router_gets_the_request_uri_and_the_target_comes_last() {
    let route = "<sip:old.example.com>, <sip:second.example.com;lr>";
    let mut dialog = Dialog::from_request(&teams_request("INVITE", 1, "", route), "ours").unwrap();
    let bye = on_the_wire(&dialog.request(Method::Bye));
    assert_eq!(bye.request_uri(), Some("sip:old.example.com"));
    let routes: Vec<&str> = bye.headers(HeaderName::Route).collect();
    assert_eq!(routes, ["<sip:second.example.com;lr>", &format!("<{TEAMS_CONTACT}>")]);
    assert_eq!(dialog.next_hop_uri().host(), "old.example.com");
}

#[test]
fn every_to_tag_is_a_dialog_and_the_2xx_decides() {
    let mut initiation = initiation();
    let invite = on_the_wire(&initiation.request(Method::Invite));
    assert_eq!(invite.cseq(), (1, Method::Invite));
    assert_ne!(invite.from_tag(), Some("stale"));
    let mut forks = Forks::default();
    let mut receive =
        |status, tag: &str, contact: &str| forks.receive(&initiation, &response(&invite, status, tag, contact));
    assert_eq!(receive(183, "one", "sip:early@h1"), Ok(Fork::Early(0)));
    assert_eq!(receive(180, "two", "sip:early@h2"), Ok(Fork::Early(1)));
    assert_eq!(receive(183, "one", "sip:early@h1"), Ok(Fork::Early(0)));
    assert_eq!(receive(200, "two", TEAMS_CONTACT), Ok(Fork::Answered(1)));
    assert_eq!(receive(200, "two", TEAMS_CONTACT), Ok(Fork::AnsweredAgain(1)));
    assert_eq!(receive(180, "two", "sip:late@h2"), Ok(Fork::None));
    assert_eq!(receive(200, "three", "sip:loser@h3"), Ok(Fork::Answered(2)));
    assert_eq!(receive(486, "one", "sip:x@h1"), Ok(Fork::None));

    let dialog = forks.get_mut(1).unwrap();
    assert_eq!((dialog.stage(), dialog.role()), (Stage::Confirmed, Role::Uac));
    let ack = on_the_wire(&dialog.ack(1));
    assert_eq!(ack.cseq(), (1, Method::Ack));
    assert_eq!(ack.request_uri(), Some(TEAMS_CONTACT));
    let routes: Vec<&str> = ack.headers(HeaderName::Route).collect();
    assert_eq!(routes, ["<sip:inner.example.com;lr>", TEAMS_ROUTE], "reversed");
    assert_eq!(on_the_wire(&dialog.request(Method::Bye)).cseq(), (2, Method::Bye));
}

#[test]
fn early_forks_are_bounded_and_a_2xx_finds_room_until_there_are_too_many() {
    let mut initiation = initiation();
    let invite = on_the_wire(&initiation.request(Method::Invite));
    let mut forks = Forks::default();
    for number in 0..100 {
        // Refused above the limit.
        let _ = forks.receive(&initiation, &response(&invite, 183, &format!("t{number}"), "sip:a@b"));
    }
    assert_eq!(forks.dialogs().len(), Forks::LIMIT);
    let winner = forks.receive(&initiation, &response(&invite, 200, "t99", "sip:a@b"));
    assert_eq!(winner, Ok(Fork::Answered(Forks::LIMIT)));
    let mut answers = 0;
    for number in 100..1_000 {
        let another = response(&invite, 200, &format!("t{number}"), "sip:a@b");
        answers += usize::from(forks.receive(&initiation, &another).is_ok());
    }
    assert_eq!(
        (forks.dialogs().len(), answers),
        (Forks::MOST, Forks::MOST - Forks::LIMIT - 1)
    );
}

#[test]
fn a_response_of_another_call_makes_no_dialog() {
    let mut ours = initiation();
    ours.request(Method::Invite);
    let other = Initiation::new(
        ours.uri().clone(),
        &address("<sip:a@b>"),
        &address("<sip:c@d>"),
        &mut StdRng::from_seed([2; 32]),
    )
    .request(Method::Invite);
    let stray = response(&on_the_wire(&other), 200, "t", "sip:a@b");
    assert_eq!(Forks::default().receive(&ours, &stray), Err(DialogError::Foreign));
}

#[test]
fn a_retry_bears_the_next_cseq_in_the_same_call() {
    let mut initiation = initiation();
    let first = on_the_wire(&initiation.request(Method::Invite));
    let second = on_the_wire(&initiation.request(Method::Invite));
    assert_eq!((first.cseq().0, second.cseq().0), (1, 2));
    assert_eq!(
        (first.call_id(), first.from_tag()),
        (second.call_id(), second.from_tag())
    );
    assert_eq!(second.to_tag(), None);
    assert!(!first.call_id().contains("example"), "no host in {}", first.call_id());
}

#[test]
fn tags_and_order_are_checked() {
    let mut dialog = of_teams();
    let request = |cseq, tag| teams_request("INVITE", cseq, tag, TEAMS_ROUTE);
    assert_eq!(dialog.accept_request(&request(3, ";tag=ours")), Ok(()));
    let late = dialog.accept_request(&request(2, ";tag=ours")).unwrap_err();
    assert_eq!(
        (late, late.status()),
        (Rejection::OutOfOrder { received: 2, last: 3 }, 500)
    );
    for tag in [";tag=other", ""] {
        assert_eq!(dialog.accept_request(&request(4, tag)).unwrap_err().status(), 481);
    }
    assert_eq!(
        dialog.accept_request(&request(4, ";tag=ours")),
        Ok(()),
        "a stranger's request moved nothing"
    );
    let ack = |cseq| teams_request("ACK", cseq, ";tag=ours", TEAMS_ROUTE);
    assert!(dialog.accepts_ack(&ack(1)) && !dialog.accepts_ack(&ack(4)), "refused");
    dialog.take_up_invite(&request(4, ";tag=ours"));
    assert!(dialog.accepts_ack(&ack(4)) && !dialog.accepts_ack(&ack(1)));
}

#[test]
fn numbers_that_somebody_else_has_used_are_left_out_and_none_comes_again() {
    let mut dialog = of_teams();
    let numbers = [5, 2, 0, u32::MAX].map(|from| {
        dialog.number_from(from);
        on_the_wire(&dialog.request(Method::Invite)).cseq().0
    });
    assert_eq!(numbers, [5, 6, 7, (1 << 31) - 1]);
}

#[test]
fn a_re_invite_moves_the_target_and_not_the_route() {
    let mut dialog = of_teams();
    let text = String::from_utf8(
        teams_request("INVITE", 2, ";tag=ours", "<sip:evil.example;lr>")
            .as_bytes()
            .to_vec(),
    )
    .unwrap()
    .replace(TEAMS_CONTACT, "sip:new@h;x-c=1");
    let reinvite = Message::parse(text.into_bytes().into()).unwrap();
    assert!(dialog.refresh_target(&reinvite));
    assert!(!dialog.refresh_target(&reinvite));
    let bye = on_the_wire(&dialog.request(Method::Bye));
    assert_eq!(bye.request_uri(), Some("sip:new@h;x-c=1"));
    assert_eq!(bye.header(HeaderName::Route), Some(TEAMS_ROUTE));
}

#[test]
fn an_invite_in_a_dialog_or_without_contact_begins_none() {
    let inside = teams_request("INVITE", 1, ";tag=t", TEAMS_ROUTE);
    assert_eq!(
        Dialog::from_request(&inside, "ours"),
        Err(DialogError::HasToTag("t".to_owned()))
    );
    let text = String::from_utf8(teams_request("INVITE", 1, "", TEAMS_ROUTE).as_bytes().to_vec()).unwrap();
    let bare = text.replace(&format!("CONTACT: <{TEAMS_CONTACT}>\r\n"), "");
    let bare = Message::parse(bare.into_bytes().into()).unwrap();
    assert_eq!(Dialog::from_request(&bare, "ours"), Err(DialogError::NoContact));
}

#[test]
fn replaces_and_requests_name_the_same_dialog() {
    let dialog = of_teams();
    let replaces: Replaces = "c1;to-tag=ours;from-tag=teams".parse().unwrap();
    assert_eq!(DialogId::of_replaces(&replaces), *dialog.id());
    let bye = teams_request("BYE", 2, ";tag=ours", TEAMS_ROUTE);
    assert_eq!(DialogId::of_request(&bye).as_ref(), Some(dialog.id()));
}

#[test]
fn a_dialog_survives_a_snapshot() {
    let mut dialog = of_teams();
    dialog.request(Method::Options);
    let text = serde_json::to_string(&dialog).unwrap();
    assert_eq!(serde_json::from_str::<Dialog>(&text).unwrap(), dialog);
    assert!(text.len() < 1_000, "{} bytes", text.len());
}
