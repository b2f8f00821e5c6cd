//! REFER from Teams: we call whom it names, in the place of the leg that refers.

use super::application::{dial, hook, terms, verbs};
use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::app::payload::Kind;
use crate::call::{CallNews, Effect, LegIndex, MediaNotice, Onward, Phase, TransferKind, Wish};
use crate::media::LegId;
use crate::sip::Method;
use crate::sip::message::HeaderName;
use crate::sip::transaction::{Cause as TransportCause, ServerTransactionId};
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
pub const THIRD: LegIndex = LegIndex(2);

/// TV-12.
pub const TO_A_USER: &str = "sip:sip.pstnhub.microsoft.com:5061;transport=tls;\
    x-m=8:orgid:9f9d51bc-70ef-41ca-ac14-f307980a29d8;x-t=adfb6898-97b2-4525-aadc-aee72945c791";
/// TV-11.
const TO_A_NUMBER: &str = "sip:+442079460199@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls";
const BY: &str = "<sip:sip.pstnhub.microsoft.com:5061;x-m=8:orgid:8c8d357b-5e87-4bba-ad45-197626bd5759;\
    x-ti=e00fba6f-edfb-4a49-a133-46f7099a23fc;x-tt=aHR0cHM6Ly9hcGktZHUtYS1ldW5vL2RyYWZ0%3d>";

impl Rig {
    /// The peer of a leg refers the other one to this URI.
    pub fn refer(&mut self, leg: LegIndex, target: &str) -> ServerTransactionId {
        let cseq = self.peer_cseq.entry(leg).or_insert(1);
        *cseq += 1;
        let cseq = *cseq;
        let lines = format!("REFER-TO: <{target}>\r\nREFERRED-BY: {BY}\r\n");
        let refer = self.inside_with(leg, &Method::Refer, cseq, &lines, "");
        let flow = self.flow_of(leg);
        self.request_of((flow, false), leg, refer)
    }

    /// What was told by NOTIFY so far: status line and state of the subscription.
    pub fn notified(&self) -> Vec<(String, String)> {
        let read = |notify: &Sent| {
            assert_eq!(
                notify.header(HeaderName::ContentType),
                Some("message/sipfrag;version=2.0")
            );
            assert!(notify.header(HeaderName::Contact).is_some());
            let state = notify.header(HeaderName::SubscriptionState).unwrap_or_default();
            (notify.sdp().trim_end().to_owned(), state.to_owned())
        };
        self.requests_sent(&Method::Notify).iter().map(read).collect()
    }

    /// Status lines of what was told.
    pub fn statuses_notified(&self) -> Vec<String> {
        self.notified().into_iter().map(|(status, _)| status).collect()
    }

    /// Who hears a ringing tone now.
    pub fn ring_backs(&self) -> Vec<LegId> {
        let mut hear = Vec::new();
        for wish in &self.wishes {
            if let Effect::RingBack { handle, on } = wish {
                hear.retain(|known| known != handle);
                hear.extend(on.then_some(*handle));
            }
        }
        hear
    }

    pub fn handle_of(&self, leg: LegIndex) -> LegId {
        self.call.legs()[usize::from(leg.0)].media.handle().expect("media")
    }

    pub fn last_reinvite(&self, leg: LegIndex) -> Sent {
        self.reinvites(leg).pop().expect("a re-INVITE")
    }
}

/// A call that Teams has put on hold.
pub fn held_by_teams() -> Rig {
    let mut rig = from_teams().begin().answered();
    rig.request(CALLER, Method::Invite, "", &teams_sdp("inactive"));
    rig.respond(&rig.last_reinvite(CALLEE), reply(200).sdp(carrier_sdp("inactive")));
    rig.ack(CALLER, "");
    rig
}

/// A call that Teams has referred to somebody who rings, and the INVITE to that one.
pub fn referred() -> (Rig, Sent) {
    let mut rig = from_carrier().begin().answered();
    rig.refer(CALLEE, TO_A_USER);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    (rig, invite)
}

#[test]
fn teams_083_a_refer_calls_teams_and_the_carrier_hears_of_nothing() {
    let mut rig = from_carrier().begin().answered();
    let (before, stays) = (rig.sent.len(), rig.handle_of(CALLER));
    rig.refer(CALLEE, TO_A_USER);
    let sent: Vec<String> = rig.sent[before..].iter().map(what).collect();
    assert_eq!(sent, ["202", "NOTIFY", "INVITE"], "in this order");
    let invite = rig.last_invite();
    assert_eq!(invite.message.request_uri(), Some(TO_A_USER));
    assert_eq!(invite.header(HeaderName::To), Some(&*format!("<{TO_A_USER}>")));
    assert_eq!(invite.header(HeaderName::ReferredBy), Some(BY));
    let from = invite.message.from().expect("From");
    assert_eq!(from.uri().user(), Some("+12065550100"));
    assert!(invite.sdp().contains("a=sendrecv\r\n"), "{}", invite.sdp());
    rig.respond(&invite, reply(180));
    assert_eq!(rig.ring_backs(), [stays], "(TEAMS-087)");
    rig.respond(&invite, reply(180));
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.ring_backs(), []);
    let active = "active;expires=60".to_owned();
    let told = [
        ("SIP/2.0 100 Trying".to_owned(), active.clone()),
        ("SIP/2.0 180 Ringing".to_owned(), active),
        ("SIP/2.0 200 OK".to_owned(), "terminated;reason=noresource".to_owned()),
    ];
    assert_eq!(rig.notified(), told, "(TEAMS-084)");
    rig.assert_bridged(CALLER, THIRD);
    let to_carrier = rig.sent[before..].iter().filter(|sent| sent.leg == CALLER);
    assert_eq!(to_carrier.count(), 0, "the carrier hears of nothing");
    assert_eq!(rig.byes(CALLEE).len(), 0, "Teams says BYE");
    let bye = rig.inside(CALLEE, &Method::Bye, 7, "");
    rig.request_of((rig.flow_of_teams(), false), CALLEE, bye);
    rig.wait(Duration::from_secs(6));
    assert_eq!((rig.call.phase(), rig.byes(CALLEE).len()), (Phase::Answered, 0));
    let record = rig.hangs_up_and_finish(THIRD);
    let transfer = record.legs[2].transfer.as_ref().expect("a transfer");
    assert_eq!((transfer.kind, transfer.of), (TransferKind::Referred, CALLEE.0));
    assert_eq!(transfer.refer_to.as_deref(), Some(TO_A_USER));
    assert_eq!(transfer.referred_by.as_deref(), Some(BY));
}

fn what(sent: &Sent) -> String {
    match sent.message.method() {
        Some(method) => method.to_string(),
        None => sent.message.status().unwrap_or_default().to_string(),
    }
}

/// TV-11, TV-12: of a call that Teams has made.
#[test]
fn teams_083_the_number_that_was_called_calls_back() {
    let mut rig = from_teams().begin().answered();
    rig.refer(CALLER, TO_A_NUMBER);
    let invite = rig.last_invite();
    assert_eq!(invite.message.request_uri(), Some(TO_A_NUMBER), "not to the carrier");
    let from = invite.header(HeaderName::From).unwrap_or_default();
    assert!(
        from.starts_with("<sip:+12065550100@contoso.sbc1.example.net;user=phone>;tag="),
        "{from}"
    );
    let contact = invite.header(HeaderName::Contact).unwrap_or_default();
    assert!(
        contact.starts_with("<sip:+12065550100@contoso.sbc1.example.net:5061;transport=tls>"),
        "{contact}"
    );
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, CALLEE);
    assert_eq!(
        rig.dialog_of(CALLER).call_id,
        invite.message.call_id(),
        "it has the caller's place"
    );
    assert_eq!(rig.reinvites(CALLEE).len(), 0);
    rig.wait(Duration::from_secs(6));
    let byes = rig.requests_sent(&Method::Bye);
    assert_eq!(byes.len(), 1, "nobody said BYE for five seconds");
    assert_eq!(byes[0].message.call_id(), "teams-call-id");
    let record = rig.hangs_up_and_finish(CALLEE);
    let of = record.legs[0].transfer.as_ref().map(|transfer| transfer.of);
    assert_eq!((of, record.legs[2].call_id.as_str()), (Some(2), "teams-call-id"));
}

#[test]
fn teams_085_a_failure_is_told_and_the_old_call_lives() {
    let mut rig = from_carrier().begin().answered();
    for (cseq, status) in [(2, 486), (3, 503)] {
        rig.refer(CALLEE, TO_A_USER);
        let invite = rig.last_invite();
        rig.respond(&invite, reply(180));
        let count = rig.invites().len();
        rig.respond(&invite, reply(status));
        assert_eq!(rig.invites().len(), count, "nobody else is tried");
        let told = rig.notified().pop().expect("a NOTIFY");
        assert!(told.0.starts_with(&format!("SIP/2.0 {status} ")), "{told:?}");
        assert_eq!(told.1, "terminated;reason=noresource");
        let events = rig.requests_sent(&Method::Notify);
        let event = events
            .last()
            .and_then(|notify| notify.header(HeaderName::Event).map(str::to_owned));
        let expected = if cseq == 2 {
            "refer".to_owned()
        } else {
            format!("refer;id={cseq}")
        };
        assert_eq!(event, Some(expected), "of which REFER");
        assert_eq!((rig.call.phase(), rig.ring_backs().len()), (Phase::Answered, 0));
        assert_eq!(rig.requests_sent(&Method::Bye).len(), 0);
    }
    let record = rig.hang_up_and_finish();
    let statuses: Vec<_> = record.legs.iter().map(|leg| leg.status).collect();
    assert_eq!(statuses, [Some(200), Some(200), Some(486), Some(503)]);
}

#[test]
fn teams_087_early_media_of_the_new_leg_is_heard() {
    let mut rig = from_teams().begin().answered();
    rig.refer(CALLER, TO_A_USER);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.respond(&invite, reply(183).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.ring_backs(), []);
    rig.assert_bridged(CALLEE, THIRD);
    rig.respond(&invite, reply(486));
    rig.assert_bridged(CALLER, CALLEE);
    let told = [
        "SIP/2.0 100 Trying",
        "SIP/2.0 180 Ringing",
        "SIP/2.0 183 Session Progress",
        "SIP/2.0 486 Busy Here",
    ];
    assert_eq!(rig.statuses_notified(), told);
    assert_eq!(rig.reinvites(CALLEE).len(), 0);
    rig.hang_up_and_finish();
}

#[test]
fn who_was_on_hold_hears_the_ringing_and_is_held_again_when_it_fails() {
    let mut rig = held_by_teams();
    rig.refer(CALLER, TO_A_USER);
    let invite = rig.last_invite();
    assert!(invite.sdp().contains("a=sendrecv\r\n"), "live: {}", invite.sdp());
    rig.respond(&invite, reply(180));
    let opened = rig.last_reinvite(CALLEE);
    assert!(opened.sdp().contains("a=sendrecv\r\n"), "{}", opened.sdp());
    rig.respond(&opened, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.respond(&invite, reply(480));
    let held = rig.last_reinvite(CALLEE);
    assert!(
        held.sdp().contains("a=inactive\r\n"),
        "as Teams wants it: {}",
        held.sdp()
    );
    rig.respond(&held, reply(200).sdp(carrier_sdp("inactive")));
    assert_eq!(rig.reinvites(CALLEE).len(), 3);
    rig.hang_up_and_finish();
}

#[test]
fn who_was_on_hold_talks_to_whom_it_was_given() {
    let mut rig = held_by_teams();
    rig.refer(CALLER, TO_A_USER);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    let opened = rig.last_reinvite(CALLEE);
    assert!(opened.sdp().contains("a=sendrecv\r\n"), "{}", opened.sdp());
    rig.respond(&opened, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.assert_bridged(CALLER, CALLEE);
    rig.hangs_up_and_finish(CALLEE);
}

#[test]
fn who_refers_may_leave_early() {
    for success in [true, false] {
        let mut rig = from_carrier().begin().answered();
        rig.refer(CALLEE, TO_A_USER);
        let invite = rig.last_invite();
        rig.request(CALLEE, Method::Bye, "", "");
        assert_eq!((rig.call.phase(), rig.byes(CALLER).len()), (Phase::Answered, 0));
        rig.respond(&invite, reply(180));
        assert_eq!(
            rig.statuses_notified(),
            ["SIP/2.0 100 Trying"],
            "nobody is left to tell"
        );
        if success {
            rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
            rig.assert_bridged(CALLER, THIRD);
            rig.hangs_up_and_finish(THIRD);
        } else {
            rig.respond(&invite, reply(486));
            assert_eq!(rig.byes(CALLER).len(), 1, "with nobody there is no call");
            rig.finish();
        }
    }
}

#[test]
fn who_waits_hangs_up() {
    let (mut rig, invite) = referred();
    rig.request(CALLER, Method::Bye, "", "");
    assert_eq!(rig.cancelled.last().map(|(token, _)| Some(*token)), Some(invite.token));
    assert_eq!(
        rig.statuses_notified().pop().as_deref(),
        Some("SIP/2.0 487 Request Terminated")
    );
    assert_eq!(rig.byes(CALLEE).len(), 1);
    // Its answer has crossed our CANCEL.
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.byes(THIRD).len(), 1);
    rig.finish();
}

#[test]
fn a_hub_that_is_silent_and_one_that_rings_for_ever_are_given_up() {
    for (says, waits, status) in [(None, 5, "408"), (Some(100), 20, "408"), (Some(180), 61, "480")] {
        let mut rig = from_carrier().begin().answered();
        rig.verdicts.clear();
        rig.refer(CALLEE, TO_A_USER);
        let invite = rig.last_invite();
        if let Some(says) = says {
            rig.respond(&invite, reply(says));
        }
        rig.wait(Duration::from_secs(waits));
        assert_eq!(rig.cancelled.len(), 1);
        let found: Vec<_> = rig.verdicts.iter().map(|(peer, _)| peer.to_string()).collect();
        let silent = if says.is_none() {
            vec!["sip.pstnhub.microsoft.com".to_owned()]
        } else {
            vec![]
        };
        assert_eq!(found, silent, "calls try it last");
        let told = rig.statuses_notified().pop().unwrap_or_default();
        assert!(told.starts_with(&format!("SIP/2.0 {status} ")), "{told}");
        rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
        assert_eq!((rig.byes(THIRD).len(), rig.call.phase()), (1, Phase::Answered));
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_hub_that_can_not_be_reached_and_a_missing_port_are_told() {
    let mut rig = from_carrier().begin().answered();
    rig.refer(CALLEE, TO_A_USER);
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    assert_eq!(
        rig.statuses_notified().pop().as_deref(),
        Some("SIP/2.0 503 Service Unavailable")
    );
    rig.hang_up_and_finish();
    let mut rig = from_carrier().without_port(2).begin().answered();
    rig.refer(CALLEE, TO_A_USER);
    assert_eq!(
        rig.statuses_notified().pop().as_deref(),
        Some("SIP/2.0 503 Service Unavailable")
    );
    assert_eq!(rig.invites().len(), 1);
    rig.hang_up_and_finish();
}

#[test]
fn what_a_refer_may_not_ask_is_refused_and_calls_nobody() {
    let mut rig = from_carrier().begin().answered();
    for target in [
        "sip:+19005550100@203.0.113.2",
        "sip:x@127.0.0.1",
        "sip:+1@contoso.sbc1.example.net",
    ] {
        rig.refer(CALLEE, target);
        assert_eq!(rig.last_response(CALLEE).message.status(), Some(403), "{target}");
    }
    let told = rig.news.iter().filter_map(|news| match news {
        CallNews::ReferRefused { refused, .. } => Some(refused.why.as_str()),
        _ => None,
    });
    let told: Vec<&str> = told.collect();
    for (told, why) in told
        .iter()
        .zip(["address 203.0.113.2", "internal address", "portcullis itself"])
    {
        assert!(told.contains(why), "{told}");
    }
    rig.request(CALLEE, Method::Refer, "", "");
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(400), "to nobody");
    rig.request(CALLER, Method::Refer, &format!("Refer-To: <{TO_A_USER}>\r\n"), "");
    assert_eq!(rig.last_response(CALLER).message.status(), Some(405), "of a carrier");
    assert_eq!((rig.opened.len(), rig.invites().len()), (2, 1));
    rig.refer(CALLEE, TO_A_USER);
    rig.refer(CALLEE, TO_A_NUMBER);
    assert_eq!(
        rig.last_response(CALLEE).message.status(),
        Some(491),
        "one after the other"
    );
    rig.hang_up_and_finish();
}

#[test]
fn an_emergency_call_is_given_to_nobody() {
    let mut rig = from_teams().edit("+12065550100", "112").begin().answered();
    rig.refer(CALLER, TO_A_USER);
    assert_eq!(rig.last_response(CALLER).message.status(), Some(603));
    let why = rig.news.iter().find_map(|news| match news {
        CallNews::ReferRefused { refused, .. } => Some(refused.why.as_str()),
        _ => None,
    });
    assert_eq!(why, Some("an emergency call is not transferred"));
    rig.hang_up_and_finish();
}

/// TV-15 f: the same request, whose interval was too small; not a second one (TEAMS-085).
#[test]
fn teams_074_a_422_to_the_invite_of_a_transfer_raises_the_interval_once() {
    for raised_is_taken in [true, false] {
        let mut rig = from_carrier().begin().answered();
        rig.refer(CALLEE, TO_A_USER);
        let invite = rig.last_invite();
        rig.respond(&invite, reply(422).with(HeaderName::MinSe, "7200"));
        let raised = rig.last_invite();
        assert_eq!(raised.header(HeaderName::SessionExpires), Some("7200"));
        assert_eq!(
            (raised.leg, raised.message.cseq().0),
            (THIRD, 2),
            "the same dialog to be"
        );
        assert_eq!(raised.message.request_uri(), invite.message.request_uri());
        assert_eq!(rig.statuses_notified(), ["SIP/2.0 100 Trying"]);
        if raised_is_taken {
            rig.respond(&raised, reply(200).sdp(teams_sdp("sendrecv")));
            rig.assert_bridged(CALLER, THIRD);
            rig.hangs_up_and_finish(THIRD);
        } else {
            rig.respond(&raised, reply(422).with(HeaderName::MinSe, "9000"));
            assert_eq!(rig.invites().len(), 3, "the call's own, and one that was said again");
            let told = rig.statuses_notified().pop().unwrap_or_default();
            assert!(told.starts_with("SIP/2.0 422 "), "{told}");
            rig.assert_bridged(CALLER, CALLEE);
            rig.hang_up_and_finish();
        }
    }
}

#[test]
fn nothing_is_lost_while_who_referred_is_silent() {
    let mut rig = from_carrier().begin().answered();
    rig.refer(CALLEE, TO_A_USER);
    let silent = crate::call::MediaNotice::Silent {
        lasting: Duration::from_secs(20),
        reports: false,
    };
    rig.step(crate::call::Event::Media(CALLEE, silent));
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

/// Nor when it has left, whatever becomes of what we had asked it.
#[test]
fn nothing_is_lost_with_a_refresh_that_who_referred_never_answers() {
    for gone in [None, Some(481)] {
        let (mut rig, _) = super::refreshing::agreed("1800;refresher=uac");
        rig.wait(Duration::from_secs(900));
        let refresh = rig.last_reinvite(CALLEE);
        rig.refer(CALLEE, TO_A_USER);
        let bye = rig.inside(CALLEE, &Method::Bye, 7, "");
        rig.request_of((rig.flow_of_teams(), false), CALLEE, bye);
        match gone {
            Some(status) => rig.respond(&refresh, reply(status)),
            None => rig.fail(&refresh, TransportCause::Timeout),
        }
        assert_eq!(rig.call.phase(), Phase::Answered);
        rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
        rig.assert_bridged(CALLER, THIRD);
        rig.hangs_up_and_finish(THIRD);
    }
}

/// Hold with music: the bot is called by a REFER, and who comes back replaces it.
#[test]
fn teams_090_to_the_bot_and_back() {
    let mut rig = from_teams().begin().answered();
    rig.refer(CALLER, TO_A_USER);
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    let bye = rig.inside(THIRD, &Method::Bye, 7, "");
    rig.request_of((rig.flow_of_teams(), false), THIRD, bye);
    rig.replace(rig.dialog_of(CALLER), &super::replaced::replacing());
    assert_eq!(rig.statuses_to("second-call-id"), [200]);
    rig.ack_inside(CALLER, "");
    rig.assert_bridged(CALLER, CALLEE);
    assert_eq!(rig.reinvites(CALLEE).len(), 0, "the carrier heard of neither");
    let record = rig.hangs_up_and_finish(CALLEE);
    let of = |leg: usize| {
        record.legs[leg]
            .transfer
            .as_ref()
            .map(|transfer| (transfer.kind, transfer.of))
    };
    assert_eq!(of(0), Some((TransferKind::Replaced, 3)));
    assert_eq!(of(3), Some((TransferKind::Referred, 2)));
}

/// A user of Teams talks to whom an application has dialled, for ten minutes at most.
pub fn dialled_by_an_application() -> Rig {
    let mut rig = from_teams().decided_by(terms()).begin();
    let more = json!({ "actionHook": "/after", "timeLimit": 600 });
    rig.answer(&json!([{ "verb": "answer" }, dial(&["+12065550101"], &more)]));
    rig.ack(CALLER, "");
    rig.planned(&["+12065550101"]);
    rig.picks_up(&rig.last_invite());
    rig
}

/// Whoever ends the dial then: nobody is left, on either side of it.
#[test]
fn an_application_whose_caller_has_referred_and_left_loses_the_call_with_the_callee() {
    type End = (&'static str, fn(&mut Rig));
    let ends: [End; 5] = [
        ("its BYE", |rig| {
            rig.request(CALLEE, Method::Bye, "", "");
        }),
        ("the time limit", |rig| rig.wait(Duration::from_secs(601))),
        ("a redirect", |rig| {
            rig.command(Wish::Redirect(hook("https://app.contoso.example/else")));
            rig.answer(&json!([{ "verb": "play", "url": "https://app.contoso.example/a.wav" }]));
        }),
        ("its silence", |rig| {
            let silent = MediaNotice::Silent {
                lasting: Duration::from_secs(30),
                reports: false,
            };
            rig.step(crate::call::Event::Media(CALLEE, silent));
        }),
        ("the refusal of who is called", |rig| {
            rig.respond(&rig.last_invite(), reply(486))
        }),
    ];
    for (what, end) in ends {
        let mut rig = dialled_by_an_application();
        rig.wait(Duration::from_secs(590));
        rig.refer(CALLER, TO_A_USER);
        rig.respond(&rig.last_invite(), reply(180));
        rig.request(CALLER, Method::Bye, "", "");
        assert_eq!(rig.call.phase(), Phase::Answered, "{what}");
        end(&mut rig);
        assert_ne!(rig.call.phase(), Phase::Answered, "{what}");
        let asked = rig.questions();
        assert!(
            asked.iter().all(|asked| !asked.url.ends_with("/after")),
            "{what}: nobody is asked: {asked:?}"
        );
        let told = rig.told(Kind::VerbHook);
        assert_eq!(told.len(), 1, "{what}: the results of the dial are told");
        rig.finish();
    }
}

#[test]
fn a_callee_is_not_parted_from_a_call_while_it_is_transferred() {
    let mut rig = dialled_by_an_application();
    rig.refer(CALLER, TO_A_USER);
    let verbs = || Onward::Verbs(verbs(&json!([{ "verb": "pause", "length": 1 }])));
    let part = || Wish::Part {
        parent: None,
        child: verbs(),
    };
    rig.command(part());
    assert!(rig.parted.is_empty());
    rig.respond(&rig.last_invite(), reply(486));
    assert_eq!(rig.statuses_notified().pop().as_deref(), Some("SIP/2.0 486 Busy Here"));
    rig.command(part());
    assert_eq!(rig.parted.len(), 1);
    rig.hang_up_and_finish();
}

#[test]
fn a_caller_of_an_application_without_a_refer_hook_is_transferred() {
    let mut rig = dialled_by_an_application();
    rig.refer(CALLER, TO_A_USER);
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, CALLEE);
    rig.request(CALLEE, Method::Bye, "", "");
    let asked = rig.questions().pop().expect("a question");
    assert!(asked.url.ends_with("/after"), "the dial was never over: {asked:?}");
    rig.hangs_up_and_finish(CALLER);
}
