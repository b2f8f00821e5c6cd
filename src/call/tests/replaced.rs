//! INVITE with Replaces from Teams: another leg takes the place of the one that we have with it.

use super::application::{dial, terms};
use super::messages::{Sent, reply};
use super::peers::{TENANT_FQDN, carrier_sdp, teams_sdp, with_body};
use super::rig::{Rig, parse};
use super::scenario::{from_carrier, from_teams};
use super::told::steps_told;
use crate::call::transfer::CalledTrunk;
use crate::call::{CallNews, CallRecord, Event, LegIndex, LegRecord, LegTransfer, Phase, TransferKind, TransferStep};
use crate::dial::LegTerms;
use crate::sip::Method;
use crate::sip::header::Replaces;
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;
use serde_json::json;
use std::sync::Arc;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const THIRD: LegIndex = LegIndex(2);

/// An INVITE of Teams that replaces something.
#[derive(Clone)]
pub struct Replacing {
    pub trunk: &'static str,
    /// Other trunk names of that tenant.
    pub others: &'static [&'static str],
    pub terms: Option<Arc<LegTerms>>,
    pub call_id: &'static str,
    pub more: String,
    pub sdp: String,
}

/// The usual one.
pub fn replacing() -> Replacing {
    Replacing {
        trunk: TENANT_FQDN,
        others: &[],
        terms: None,
        call_id: "second-call-id",
        more: String::new(),
        sdp: teams_sdp("sendrecv").replace("m=audio 50000", "m=audio 50310"),
    }
}

fn transfer(kind: TransferKind, of: u16) -> LegTransfer {
    LegTransfer {
        kind,
        of,
        refer_to: None,
        referred_by: None,
        trace: Vec::new(),
    }
}

impl Rig {
    /// The dialog that the peer of a leg has with us, as an INVITE with Replaces names it.
    pub fn dialog_of(&self, leg: LegIndex) -> Replaces {
        let dialog = self.call.legs()[usize::from(leg.0)].dialog.as_ref().expect("a dialog");
        Replaces {
            call_id: dialog.id().call_id.clone(),
            to_tag: dialog.id().local_tag.clone(),
            from_tag: dialog.id().remote_tag.clone(),
            early_only: false,
        }
    }

    /// Teams wants to replace this dialog; the transaction of its INVITE.
    pub fn replace(&mut self, replaces: Replaces, with: &Replacing) -> ServerTransactionId {
        let Replacing {
            trunk,
            others,
            terms,
            call_id,
            more,
            sdp,
        } = with;
        let head = format!(
            "INVITE sip:+12065550100@{trunk}:5061;user=phone;transport=tls SIP/2.0\r\n\
             FROM: Bo Li<sip:+14255550112@sip.pstnhub.microsoft.com:5061;user=phone>;tag=second-tag\r\n\
             TO: <sip:+12065550100@{trunk}:5061;user=phone>\r\nCSEQ: 1 INVITE\r\nCALL-ID: {call_id}\r\n\
             VIA: SIP/2.0/TLS 52.113.0.16:5061;branch=z9hG4bK9882d05c{call_id}\r\n\
             RECORD-ROUTE: <sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>\r\n\
             CONTACT: <sip:api-du-a-euno.pstnhub.microsoft.com:443;x-i=fa65488c;x-c=fa65/d/8/2f>\r\n\
             REPLACES: {replaces}\r\nALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n{more}"
        );
        let message = parse(&with_body(&head, sdp));
        let transaction = ServerTransactionId::numbered(self.next_transaction);
        self.next_transaction += 1;
        let legs = self.call.legs().iter().map(|leg| leg.index);
        let of_teams = legs.into_iter().find(|leg| self.speaks_teams(*leg)).unwrap_or(CALLER);
        self.requests.insert(transaction, (of_teams, message.clone(), false));
        let flow = self.flow_of_teams();
        self.step(Event::Replace {
            transaction,
            message,
            flow,
            replaces,
            trunk: Box::new(CalledTrunk {
                name: (*trunk).into(),
                others: others.iter().map(|name| (*name).into()).collect(),
                terms: terms.clone(),
            }),
        });
        transaction
    }

    /// What was answered to the INVITE with this Call-ID.
    pub fn answers_to(&self, call_id: &str) -> Vec<Sent> {
        let theirs = |sent: &&Sent| !sent.message.is_request() && sent.message.call_id() == call_id;
        self.sent.iter().filter(theirs).cloned().collect()
    }

    /// Its statuses.
    pub fn statuses_to(&self, call_id: &str) -> Vec<u16> {
        let answers = self.answers_to(call_id);
        answers.iter().filter_map(|sent| sent.message.status()).collect()
    }

    /// A request of the peer inside the dialog of a leg, whatever place that has by now.
    pub fn inside(&self, leg: LegIndex, method: &Method, cseq: u32, sdp: &str) -> Message {
        self.inside_with(leg, method, cseq, "", sdp)
    }

    /// The same with more header lines.
    pub fn inside_with(&self, leg: LegIndex, method: &Method, cseq: u32, more: &str, sdp: &str) -> Message {
        let dialog = self.call.legs()[usize::from(leg.0)].dialog.as_ref().expect("a dialog");
        parse(&with_body(
            &format!(
                "{method} sip:us@sbc1.example.net SIP/2.0\r\nVia: SIP/2.0/TLS 203.0.113.2;branch=z9hG4bKi{cseq}{method}\r\n\
                 From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{more}",
                dialog.remote(),
                dialog.local(),
                dialog.id().call_id
            ),
            sdp,
        ))
    }

    /// The ACK of our 200 to the INVITE that made the dialog of a leg.
    pub fn ack_inside(&mut self, leg: LegIndex, sdp: &str) {
        let message = self.inside(leg, &Method::Ack, 1, sdp);
        let flow = self.flow_of(leg);
        self.step(Event::Ack {
            message,
            flow,
            vouched: false,
        });
    }

    /// The peer of a leg hangs up, and everything ends as it should.
    pub fn hangs_up_and_finish(&mut self, leg: LegIndex) -> CallRecord {
        let bye = self.inside(leg, &Method::Bye, 9, "");
        self.request_of((self.flow_of(leg), false), leg, bye);
        self.finish()
    }

    /// Which legs were bridged last, by their sockets.
    pub fn assert_bridged(&self, a: LegIndex, b: LegIndex) {
        let handle = |leg: LegIndex| self.call.legs()[usize::from(leg.0)].media.handle().expect("media");
        assert_eq!(self.bridged.last(), Some(&(handle(a), handle(b))));
    }
}

#[test]
fn teams_088_who_replaces_the_callee_gets_the_caller() {
    let mut rig = from_carrier().begin().answered();
    let (old, before) = (rig.dialog_of(CALLEE), rig.sent.len());
    rig.replace(old.clone(), &replacing());
    let answer = rig.answers_to("second-call-id").pop().expect("an answer");
    assert_eq!(answer.message.status(), Some(200));
    assert!(answer.message.lists(HeaderName::Supported, "replaces"));
    assert_eq!(answer.sdp_line("a=sendrecv").as_deref(), Some("a=sendrecv"));
    let [bye] = &rig.requests_sent(&Method::Bye)[..] else {
        panic!("{:?}", rig.requests_sent(&Method::Bye));
    };
    assert_eq!((bye.leg, bye.message.call_id()), (CALLEE, old.call_id.as_str()));
    let to_carrier = rig.sent[before..]
        .iter()
        .filter(|sent| sent.leg == CALLER && sent.message.is_request());
    assert_eq!(to_carrier.count(), 0, "the carrier hears of nothing");
    rig.assert_bridged(CALLER, THIRD);
    rig.ack_inside(THIRD, "");
    let record = rig.hangs_up_and_finish(THIRD);
    assert_eq!(record.cause.label(), "hung_up");
    let [caller, callee, third] = &record.legs[..] else {
        panic!("{record:?}")
    };
    assert_eq!((&caller.transfer, &callee.transfer), (&None, &None));
    let (kind, of) = (TransferKind::Replaced, CALLEE.0);
    assert_eq!(third.transfer, Some(transfer(kind, of)));
    assert_eq!((third.status, third.call_id.as_str()), (Some(200), "second-call-id"));
    let peer = |leg: &LegRecord| leg.peer.as_ref().map(ToString::to_string);
    assert_eq!(peer(callee).as_deref(), Some("sip.pstnhub.microsoft.com"));
    assert_eq!(
        peer(third).as_deref(),
        Some("sip-du-a-eu.pstnhub.microsoft.com"),
        "the hub that it came by"
    );
    assert_eq!(peer(third), third.hub);
}

#[test]
fn teams_088_who_replaces_the_caller_gets_its_place() {
    let mut rig = from_teams().begin().answered();
    let old = rig.dialog_of(CALLER);
    rig.replace(
        old.clone(),
        &Replacing {
            more: "REQUIRE: replaces\r\n".into(),
            ..replacing()
        },
    );
    assert_eq!(rig.statuses_to("second-call-id"), [200]);
    let byes = rig.requests_sent(&Method::Bye);
    assert_eq!(byes[0].message.call_id(), old.call_id, "at once");
    assert_eq!((byes.len(), rig.reinvites(CALLEE).len()), (1, 0));
    assert_eq!(rig.dialog_of(CALLER).call_id, "second-call-id");
    rig.assert_bridged(CALLER, CALLEE);
    assert_eq!(steps_told(&rig), [TransferStep::Began, TransferStep::Made]);
    rig.ack_inside(CALLER, "");
    let record = rig.hangs_up_and_finish(CALLEE);
    let kind = TransferKind::Replaced;
    assert_eq!(record.legs[0].transfer, Some(transfer(kind, THIRD.0)));
    assert_eq!(
        (record.legs.len(), record.legs[2].call_id.as_str()),
        (3, "teams-call-id")
    );
    assert_eq!(record.answered_after_ms, Some(0), "the call is the one that it was");
}

#[test]
fn who_was_replaced_late_says_bye_and_nobody_is_lost() {
    let mut rig = from_teams().begin().answered();
    let bye = rig.inside(CALLER, &Method::Bye, 2, "");
    rig.replace(rig.dialog_of(CALLER), &replacing());
    rig.request_of((rig.flow_of_teams(), false), THIRD, bye);
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.ack_inside(CALLER, "");
    rig.hangs_up_and_finish(CALLER);
}

#[test]
fn a_replacement_can_be_replaced() {
    let mut rig = from_teams().begin().answered();
    for call_id in ["second-call-id", "third-call-id"] {
        let next = Replacing { call_id, ..replacing() };
        rig.replace(rig.dialog_of(CALLER), &next);
        assert_eq!(rig.statuses_to(call_id), [200]);
        rig.ack_inside(CALLER, "");
    }
    assert_eq!(rig.requests_sent(&Method::Bye).len(), 2);
    let record = rig.hangs_up_and_finish(CALLEE);
    let of = |leg: usize| record.legs[leg].transfer.as_ref().map(|transfer| transfer.of);
    assert_eq!([of(0), of(1), of(2), of(3)], [Some(3), None, None, Some(2)]);
}

#[test]
fn teams_088_whoever_is_not_of_the_tenant_replaces_nothing() {
    let mut rig = from_teams().begin().answered();
    let ours = rig.dialog_of(CALLER);
    let wrong = [
        Replaces {
            from_tag: "other".into(),
            ..ours.clone()
        },
        Replaces {
            call_id: "other".into(),
            ..ours.clone()
        },
        // A carrier's dialog is none of Teams'.
        rig.dialog_of(CALLEE),
    ];
    for replaces in wrong {
        rig.replace(replaces, &replacing());
    }
    let trunk = "fabrikam.sbc1.example.net";
    rig.replace(ours, &Replacing { trunk, ..replacing() });
    assert_eq!(rig.statuses_to("second-call-id"), [481; 4]);
    assert_eq!(
        (rig.opened.len(), rig.invites().len()),
        (2, 1),
        "nothing opened, nobody rung"
    );
    rig.hang_up_and_finish();
}

#[test]
fn only_a_dialog_that_is_up_can_be_replaced() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(180));
    rig.replace(rig.dialog_of(CALLER), &replacing());
    assert_eq!(rig.statuses_to("second-call-id"), [481], "it rings yet");
    let mut rig = rig.answered();
    let early_only = Replaces {
        early_only: true,
        ..rig.dialog_of(CALLER)
    };
    rig.replace(early_only, &replacing());
    assert_eq!(rig.statuses_to("second-call-id")[1..], [486]);
    let gone = rig.dialog_of(CALLER);
    rig.request(CALLEE, Method::Bye, "", "");
    rig.replace(gone, &replacing());
    assert_eq!(rig.statuses_to("second-call-id")[2..], [603]);
    rig.finish();
}

#[test]
fn what_we_can_not_serve_is_refused_and_the_call_goes_on() {
    let with = |more: &str| Replacing {
        more: more.into(),
        ..replacing()
    };
    let srtp_missing = Replacing {
        sdp: carrier_sdp("sendrecv"),
        ..replacing()
    };
    let other_codec = Replacing {
        sdp: teams_sdp("sendrecv").replace("RTP/SAVP 8 0 13 101", "RTP/SAVP 18 101"),
        ..replacing()
    };
    for (refused, status) in [
        (with("REQUIRE: replaces,path\r\n"), 420),
        (with("MAX-FORWARDS: 0\r\n"), 483),
        (with("SESSION-EXPIRES: 60\r\nSUPPORTED: timer\r\n"), 422),
        (srtp_missing, 488),
        (other_codec, 488),
    ] {
        let mut rig = from_teams().begin().answered();
        rig.replace(rig.dialog_of(CALLER), &refused);
        assert_eq!(rig.statuses_to("second-call-id"), [status], "{}", refused.more);
        assert_eq!(
            (rig.call.phase(), rig.requests_sent(&Method::Bye).len()),
            (Phase::Answered, 0)
        );
        rig.hang_up_and_finish();
    }
}

#[test]
fn without_a_port_the_old_leg_stays() {
    let mut rig = from_carrier().without_port(2).begin().answered();
    rig.replace(rig.dialog_of(CALLEE), &replacing());
    assert_eq!(rig.statuses_to("second-call-id"), [503]);
    rig.hang_up_and_finish();
}

#[test]
fn it_is_taken_back_before_its_media_are_there() {
    let mut rig = from_teams().begin().answered();
    rig.hold_media = true;
    let taken_back = rig.replace(rig.dialog_of(CALLER), &replacing());
    rig.cancel(taken_back, "Reason: SIP;cause=487\r\n");
    assert_eq!(rig.statuses_to("second-call-id"), [487]);
    rig.release_media();
    assert_eq!(
        (rig.call.phase(), rig.requests_sent(&Method::Bye).len()),
        (Phase::Answered, 0)
    );
    rig.replace(
        rig.dialog_of(CALLER),
        &Replacing {
            call_id: "third-call-id",
            ..replacing()
        },
    );
    assert_eq!(rig.statuses_to("third-call-id"), [200], "the next one may come");
    rig.ack_inside(CALLER, "");
    let record = rig.hangs_up_and_finish(CALLER);
    assert_eq!(record.legs.len(), 4);
}

#[test]
fn one_comes_at_a_time() {
    let mut rig = from_teams().begin().answered();
    rig.hold_media = true;
    rig.replace(rig.dialog_of(CALLER), &replacing());
    rig.replace(
        rig.dialog_of(CALLER),
        &Replacing {
            call_id: "third-call-id",
            ..replacing()
        },
    );
    assert_eq!(rig.statuses_to("third-call-id"), [491]);
    // A hold of the other side is for whoever comes; a refresh is for nobody.
    rig.request(CALLEE, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    rig.ack(CALLEE, "");
    rig.request(CALLEE, Method::Invite, "", &carrier_sdp("sendrecv"));
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    rig.ack(CALLEE, "");
    rig.release_media();
    assert_eq!(rig.statuses_to("second-call-id"), [200]);
    rig.ack_inside(CALLER, "");
    rig.hangs_up_and_finish(CALLEE);
}

/// A REFER of it is refused: that would be another call. This is the same user elsewhere.
#[test]
fn who_calls_for_help_may_be_replaced() {
    let mut rig = from_teams().edit("+12065550100", "112").begin().answered();
    rig.replace(rig.dialog_of(CALLER), &replacing());
    assert_eq!(rig.statuses_to("second-call-id"), [200]);
    rig.ack_inside(CALLER, "");
    rig.assert_bridged(CALLER, CALLEE);
    rig.hangs_up_and_finish(CALLEE);
}

/// Nothing was wrong with what it asked for: a 488 would say that its media are impossible.
#[test]
fn what_the_other_side_has_asked_of_a_leg_that_is_replaced_it_may_ask_again() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    assert_eq!(rig.reinvites(CALLEE).len(), 1, "its hold is relayed");
    rig.replace(rig.dialog_of(CALLEE), &replacing());
    assert_eq!(rig.statuses_to("second-call-id"), [200]);
    let told = rig.last_response(CALLER);
    assert_eq!(
        (told.message.status(), told.header(HeaderName::Warning)),
        (Some(491), None)
    );
    rig.assert_bridged(CALLER, THIRD);
    rig.ack_inside(THIRD, "");
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let again = rig.reinvites(THIRD).pop().expect("it is relayed to who came");
    rig.respond(&again, reply(200).sdp(teams_sdp("inactive")));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    rig.hangs_up_and_finish(THIRD);
}

#[test]
fn each_refusal_has_a_sentence_of_its_own_and_the_answer_none() {
    let told = |rig: &Rig| -> Vec<(u16, String)> {
        let refused = rig.news.iter().filter_map(|news| match news {
            CallNews::ReplaceRefused(refused) => Some((refused.status, refused.why.clone())),
            _ => None,
        });
        refused.collect()
    };
    let mut rig = from_teams().begin().answered();
    let ours = rig.dialog_of(CALLER);
    let with = |change: fn(&mut Replaces)| {
        let mut replaces = ours.clone();
        change(&mut replaces);
        replaces
    };
    let trunk = "fabrikam.sbc1.example.net";
    let foreign = Replacing { trunk, ..replacing() };
    let late = Replacing {
        more: "MAX-FORWARDS: 0\r\n".into(),
        ..replacing()
    };
    let plain = Replacing {
        sdp: carrier_sdp("sendrecv"),
        ..replacing()
    };
    rig.replace(ours.clone(), &foreign);
    rig.replace(rig.dialog_of(CALLEE), &replacing());
    rig.replace(with(|replaces| replaces.from_tag = "other".into()), &replacing());
    rig.replace(with(|replaces| replaces.early_only = true), &replacing());
    rig.replace(ours.clone(), &late);
    rig.replace(ours.clone(), &plain);
    let told = told(&rig);
    let expected = [
        (
            481,
            "is one of the trunk contoso.sbc1.example.net, and it calls fabrikam.sbc1",
        ),
        (481, "is with a carrier, and none of Teams'"),
        (481, "no dialog of this call has"),
        (486, "early-only wants one that is not"),
        (483, "its Max-Forwards is 0"),
        (488, "plain RTP where SRTP is required"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((status, why), (wanted, sentence)) in told.iter().zip(expected) {
        assert!(*status == wanted && why.contains(sentence), "{status} {why}");
    }
    for answer in rig.answers_to("second-call-id") {
        let silent = [HeaderName::Warning, HeaderName::Reason].map(|name| answer.header(name).is_none());
        assert_eq!(silent, [true; 2], "the log alone says it");
    }
    rig.hang_up_and_finish();
}

#[test]
fn a_bye_of_the_old_leg_crosses_its_replacement() {
    let mut rig = from_teams().begin().answered();
    rig.hold_media = true;
    rig.replace(rig.dialog_of(CALLER), &replacing());
    rig.request(CALLER, Method::Bye, "", "");
    assert_eq!(rig.call.phase(), Phase::Answered, "somebody comes");
    rig.release_media();
    assert_eq!(rig.statuses_to("second-call-id"), [200]);
    assert_eq!(rig.requests_sent(&Method::Bye).len(), 0);
    rig.assert_bridged(CALLER, CALLEE);
    rig.ack_inside(CALLER, "");
    rig.hangs_up_and_finish(CALLEE);
}

#[test]
fn a_replacement_that_fails_after_the_old_leg_left_ends_the_call() {
    let mut rig = from_teams().without_port(2).begin().answered();
    rig.hold_media = true;
    rig.replace(rig.dialog_of(CALLER), &replacing());
    rig.request(CALLER, Method::Bye, "", "");
    rig.release_media();
    assert_eq!(rig.statuses_to("second-call-id"), [503]);
    assert_eq!(rig.byes(CALLEE).len(), 1);
    rig.finish();
}

#[test]
fn the_other_side_hangs_up_before_it_comes() {
    let mut rig = from_carrier().begin().answered();
    rig.hold_media = true;
    rig.replace(rig.dialog_of(CALLEE), &replacing());
    rig.request(CALLER, Method::Bye, "", "");
    assert_eq!(rig.statuses_to("second-call-id"), [487]);
    assert_eq!(rig.byes(CALLEE).len(), 1);
    rig.finish();
}

#[test]
fn teams_090_who_comes_back_from_hold_is_heard_again() {
    let mut rig = from_teams().begin().answered();
    rig.request(CALLER, Method::Invite, "", &teams_sdp("inactive"));
    rig.respond(
        &rig.reinvites(CALLEE)[0].clone(),
        reply(200).sdp(carrier_sdp("inactive")),
    );
    rig.ack(CALLER, "");
    rig.replace(rig.dialog_of(CALLER), &replacing());
    let answer = rig.answers_to("second-call-id").pop().expect("an answer");
    assert!(answer.sdp().contains("a=sendrecv\r\n"), "{}", answer.sdp());
    rig.ack_inside(CALLER, "");
    let resumed = rig.reinvites(CALLEE)[1].clone();
    assert!(resumed.sdp().contains("a=sendrecv\r\n"), "{}", resumed.sdp());
    rig.respond(&resumed, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.reinvites(CALLEE).len(), 2);
    rig.hangs_up_and_finish(CALLEE);
}

#[test]
fn without_an_offer_ours_is_answered_by_its_ack() {
    let mut rig = from_carrier().begin().answered();
    rig.replace(
        rig.dialog_of(CALLEE),
        &Replacing {
            sdp: String::new(),
            ..replacing()
        },
    );
    let answer = rig.answers_to("second-call-id").pop().expect("an answer");
    assert!(answer.sdp().contains("a=sendrecv\r\n"), "{}", answer.sdp());
    rig.ack_inside(THIRD, &teams_sdp("sendrecv"));
    rig.assert_bridged(CALLER, THIRD);
    let handle = rig.call.legs()[2].media.handle().expect("media");
    assert!(rig.configured.contains_key(&handle), "its answer is known");
    assert_eq!(rig.reinvites(CALLER).len(), 0);
    rig.hangs_up_and_finish(THIRD);
}

#[test]
fn nobody_acknowledges_it() {
    let mut rig = from_carrier().begin().answered();
    let transaction = rig.replace(rig.dialog_of(CALLEE), &replacing());
    rig.no_ack(transaction);
    let record = rig.finish();
    assert_eq!(record.cause.label(), "ack_lost");
}

#[test]
fn a_caller_of_an_application_is_replaced_and_its_dial_goes_on() {
    let mut rig = from_teams().decided_by(terms()).begin();
    rig.answer(&json!([{ "verb": "answer" }, dial(&["+12065550101"], &json!({ "actionHook": "/after" }))]));
    rig.ack(CALLER, "");
    rig.planned(&["+12065550101"]);
    let invite = rig.last_invite();
    rig.replace(rig.dialog_of(CALLER), &replacing());
    assert_eq!(rig.statuses_to("second-call-id"), [603], "it talks to nobody yet");
    rig.picks_up(&invite);
    let sid = rig.call.legs()[0].record.call_sid;
    rig.replace(rig.dialog_of(CALLER), &replacing());
    assert_eq!(rig.statuses_to("second-call-id")[1..], [200]);
    rig.ack_inside(CALLER, "");
    rig.assert_bridged(CALLER, CALLEE);
    assert_eq!(rig.call.legs()[0].record.call_sid, sid);
    rig.request(CALLEE, Method::Bye, "", "");
    let asked = rig.questions().pop().expect("a question");
    assert!(asked.url.ends_with("/after"), "{asked:?}");
    assert_eq!(rig.call.phase(), Phase::Answered, "its dial is over, the caller is not");
    rig.hangs_up_and_finish(CALLER);
}
