//! Media bypass: what both descriptions say of ICE, and what the media workers are told.

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{Effect, LegIndex};
use crate::ice::Credentials;
use crate::media::{IceConfig, LegConfig, Security};
use crate::sip::Method;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// The key of `teams_sdp`.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
const OTHER_KEY: &str = "uDpcCLE7gNe8lAWk69OrVJSoYknyweYI2L199rvO";

/// A description of Teams with full ICE.
fn checking(ufrag: &str, password: char, key: &str) -> String {
    let password = password.to_string().repeat(24);
    let plain = teams_sdp("sendrecv").replace(KEY, key);
    format!(
        "{plain}a=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
         a=candidate:1 1 udp 2130706431 10.20.30.40 50012 typ host\r\n"
    )
}

fn ice_lines(sent: &Sent) -> Vec<String> {
    let is_ice = |line: &&str| line.starts_with("a=ice-") || line.starts_with("a=candidate");
    sent.sdp().lines().filter(is_ice).map(str::to_owned).collect()
}

/// What `lines` say of our credentials.
fn credentials(sent: &Sent) -> Credentials {
    let value = |name: &str| sent.sdp_line(name).unwrap_or_default().replace(name, "");
    Credentials::read(&value("a=ice-ufrag:"), &value("a=ice-pwd:")).expect("our credentials")
}

fn expected_checks(rig: &Rig) -> Vec<Credentials> {
    let expected = rig.wishes.iter().filter_map(|effect| match effect {
        Effect::ExpectChecks { credentials, .. } => Some(credentials.clone()),
        _ => None,
    });
    expected.collect()
}

fn told(rig: &Rig, leg: LegIndex) -> &LegConfig {
    let (handle, _) = rig.opened.iter().find(|(_, known)| *known == leg).expect("opened");
    &rig.configured[handle]
}

fn ice(rig: &Rig, leg: LegIndex) -> IceConfig {
    told(rig, leg).ice.clone().expect("a leg with ICE")
}

/// The key that is answered, and how many others may be the peer's.
fn keys(rig: &Rig, leg: LegIndex) -> (String, usize) {
    match &told(rig, leg).security {
        Security::Sdes { remote, forks, .. } => {
            let others = forks.iter().filter(|fork| fork.key != *remote);
            (remote.to_base64().to_string(), others.count())
        }
        Security::Plain { .. } => panic!("plain"),
    }
}

#[test]
fn an_answer_without_a_description_after_several_forks_is_none() {
    let mut rig = from_carrier().bypassing().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(183).tag("f1").sdp(checking("tC1u", 'a', KEY)));
    rig.respond(&invite, reply(183).tag("f2").sdp(checking("mP9x", 'b', OTHER_KEY)));
    rig.respond(&invite, reply(200).tag("f1"));
    assert_eq!(
        rig.byes(CALLEE).len(),
        1,
        "the keys of the other fork are no answer of this one"
    );
    let record = rig.finish();
    assert_ne!(record.status, 200);
}

#[test]
fn teams_102_several_forks_are_heard_until_one_answers() {
    let mut rig = from_carrier().bypassing().begin();
    let invite = rig.last_invite();
    assert_eq!(ice_lines(&invite).len(), 4, "{}", invite.sdp());
    assert_eq!(
        expected_checks(&rig),
        [credentials(&invite)],
        "the carrier's leg has none"
    );
    rig.respond(&invite, reply(183).tag("f1").sdp(checking("tC1u", 'a', KEY)));
    assert_eq!(ice(&rig, CALLEE).remote_ufrag, None, "(TEAMS-100)");
    assert_eq!(keys(&rig, CALLEE), (KEY.to_owned(), 0));
    rig.respond(&invite, reply(183).tag("f2").sdp(checking("mP9x", 'b', OTHER_KEY)));
    assert_eq!(keys(&rig, CALLEE), (OTHER_KEY.to_owned(), 1));
    rig.respond(&invite, reply(200).tag("f1").sdp(checking("tC1u", 'a', KEY)));
    assert_eq!(keys(&rig, CALLEE), (KEY.to_owned(), 0));
    let settled = ice(&rig, CALLEE);
    assert_eq!(settled.remote_ufrag.as_deref(), Some("tC1u"));
    assert_eq!(settled.local, credentials(&invite));
    assert_eq!(told(&rig, CALLER).ice, None);
    assert!(
        !rig.last_response(CALLER).sdp().contains("ice"),
        "nothing of it toward carriers"
    );
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn teams_101_a_183_and_the_200_say_the_same_of_ice() {
    let offer = checking("tC1u", 'a', KEY);
    let mut rig = from_teams().bypassing().sdp(&offer).begin();
    let invite = rig.last_invite();
    assert!(!invite.sdp().contains("ice") && !invite.sdp().contains("candidate"));
    rig.respond(&invite, reply(183).sdp(carrier_sdp("sendrecv")));
    let early = rig.last_response(CALLER);
    assert_eq!(early.message.status(), Some(183));
    assert_eq!(ice_lines(&early).len(), 4, "{}", early.sdp());
    assert_eq!(expected_checks(&rig), [credentials(&early)]);
    rig.respond(&invite, reply(200).sdp(carrier_sdp("sendrecv")));
    let answer = rig.last_response(CALLER);
    assert_eq!((answer.message.status(), answer.sdp()), (Some(200), early.sdp()));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn teams_078_a_restart_is_answered_at_once_and_the_carrier_does_not_hear_of_it() {
    let mut rig = from_teams()
        .bypassing()
        .sdp(&checking("tC1u", 'a', KEY))
        .begin()
        .answered();
    let first = rig.heard_by_caller().last().cloned().expect("a 200");
    let before = ice(&rig, CALLER);
    let restart = checking("mP9x", 'b', OTHER_KEY).replace("52.112.0.20", "52.112.0.81");
    rig.request(CALLER, Method::Invite, "", &restart);
    let answer = rig.last_response(CALLER);
    assert_eq!(answer.message.status(), Some(200));
    assert!(rig.reinvites(CALLEE).is_empty(), "(TEAMS-073)");
    let (was, is) = (credentials(&first), credentials(&answer));
    assert!(was.ufrag != is.ufrag && was.password != is.password);
    for line in ["c=", "m=", "a=candidate"] {
        assert_eq!(first.sdp_line(line), answer.sdp_line(line));
    }
    let key = |sent: &Sent| sent.sdp_line("a=crypto");
    assert_ne!(key(&first), key(&answer), "another endpoint, another key");
    let after = ice(&rig, CALLER);
    assert_eq!((before.local, after.local), (was, is));
    assert_eq!(after.remote_ufrag.as_deref(), Some("mP9x"));
    assert_eq!(keys(&rig, CALLER).0, OTHER_KEY);
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn teams_079_final_candidates_name_the_pair_that_media_take() {
    let offer = checking("tC1u", 'a', KEY);
    let mut rig = from_teams().bypassing().sdp(&offer).begin().answered();
    let first = rig.heard_by_caller().last().cloned().expect("a 200");
    assert_eq!(ice(&rig, CALLER).chosen, None);
    let m_line = first.sdp_line("m=").unwrap_or_default();
    let port = m_line.split(' ').nth(1).unwrap_or_default();
    let named = format!("{offer}a=remote-candidates:1 198.51.100.10 {port}\r\n");
    rig.request(CALLER, Method::Invite, "", &named);
    assert!(rig.reinvites(CALLEE).is_empty());
    assert_eq!(ice(&rig, CALLER).chosen, "52.112.0.20:50000".parse().ok());
    assert_eq!(credentials(&rig.last_response(CALLER)), credentials(&first));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn without_bypass_nothing_is_said_of_ice() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    assert_eq!((ice_lines(&invite), expected_checks(&rig)), (vec![], vec![]));
    rig.respond(&invite, reply(200).sdp(checking("tC1u", 'a', KEY)));
    assert_eq!(told(&rig, CALLEE).ice, None);
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}
