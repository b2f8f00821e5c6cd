//! Session descriptions, and the offers and answers that we make of them.

use portcullis::ice::Secret;
use portcullis::pidf::{MOST_ELINS, elins};
use portcullis::sdp::{
    Direction, LegProfile, LocalMedia, Recoding, Session, answer, carry_offer, carry_settled, formats_ended_here,
    offer, payload_map, read_answer, sdp_part,
};
use portcullis::srtp::{MasterKey, Suite};

fn local(byte: u8) -> LocalMedia {
    let key = MasterKey::from_bytes(Suite::AesCm128HmacSha1_80, &[byte; 30]).expect("thirty bytes");
    let media = LocalMedia::new([198, 51, 100, 5].into(), 30_000, Some(30_001), 7, key);
    media.with_secret(Secret::from_bytes([byte; 32]))
}

/// The location record of an emergency caller.
pub fn location(bytes: &[u8]) {
    if let Ok(found) = elins("application/pidf+xml", bytes) {
        let found = found.expect("a record of that type");
        assert!(found.len() <= MOST_ELINS);
        for number in found {
            let digits = number.strip_prefix('+').unwrap_or(&number);
            assert!((3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}

/// One description.
pub fn sdp(bytes: &[u8]) {
    match Session::parse(bytes) {
        Ok(session) => {
            assert!(session.same_media(&session));
            if let Some(audio) = session.audio() {
                let _address = audio.rtp();
            }
        }
        Err(error) => assert!((400..700).contains(&error.status()), "{error}"),
    }
}

/// An offer, and behind a NUL the answer to what it became on the other leg.
pub fn offer_answer(bytes: &[u8]) {
    let Some((&legs, bytes)) = bytes.split_last() else {
        return;
    };
    let mut bodies = bytes.splitn(2, |byte| *byte == 0);
    let Some(Ok(offered)) = bodies.next().map(Session::parse) else {
        return;
    };
    let profile = |teams: bool| match (teams, legs & 4 != 0) {
        (true, false) => LegProfile::teams(),
        (true, true) => LegProfile::teams_bypass(),
        (false, _) => LegProfile::carrier(),
    };
    let (from, to) = (profile(legs & 1 != 0), profile(legs & 2 != 0));
    let (mut near, mut far) = (local(1), local(2));
    if let Ok(formats) = formats_ended_here(&offered, &from)
        && let Ok(ended) = answer(&from, &mut near, &offered, &formats, Direction::SendRecv)
    {
        Session::parse(ended.body.as_bytes()).expect("what we print can be read");
        if let Ok((formats, direction)) = carry_settled(&ended.negotiated, &to, Recoding::Any) {
            let ours = offer(&to, &mut far, &formats, direction);
            Session::parse(ours.body.as_bytes()).expect("what we print can be read");
        }
    }
    let Ok(carried) = carry_offer(&offered, &from, &to, Recoding::Any) else {
        return;
    };
    let ours = offer(&to, &mut far, &carried.formats, carried.direction);
    Session::parse(ours.body.as_bytes()).expect("what we print can be read");
    let answered = bodies.next().unwrap_or(bytes);
    let Ok(answered) = Session::parse(answered) else { return };
    let Ok(settled) = read_answer(&to, &mut far, &ours, &answered) else {
        return;
    };
    let back = answer(
        &from,
        &mut near,
        &offered,
        &settled.formats(),
        settled.carried_direction(),
    );
    let Ok(back) = back else { return };
    let printed = Session::parse(back.body.as_bytes()).expect("what we print can be read");
    assert_eq!(printed.media.len(), offered.media.len());
    let _maps = (
        payload_map(&back.negotiated, &settled),
        payload_map(&settled, &back.negotiated),
    );
}

/// A Content-Type, a line break, and a body of it.
pub fn multipart(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(kind), Some(body)) = (parts.next(), parts.next()) else {
        return;
    };
    let Ok(kind) = std::str::from_utf8(kind) else { return };
    match sdp_part(kind, body) {
        Ok(part) => assert!(part.len() <= body.len()),
        Err(error) => assert!((400..700).contains(&error.status()), "{error}"),
    }
}
