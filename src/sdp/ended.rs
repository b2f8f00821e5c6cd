//! Legs whose audio ends at this node: an application answers them, plays to them and listens.

use super::codec::{Codec, Format};
use super::error::Refusal;
use super::offer::carriable;
use super::profile::LegProfile;
use super::session::Session;
use crate::codec::speech::Speech;

/// The first codec of an offer that we speak ourselves, and telephone events beside it: with one codec there is no doubt
/// what the peer will send.
pub fn formats_ended_here(remote_offer: &Session, profile: &LegProfile) -> Result<Vec<Format>, Refusal> {
    let audio = carriable(remote_offer, profile)?;
    let spoken = |format: &&Format| format.speech().is_some() && profile.allows(format);
    let Some(speech) = audio.formats.iter().find(spoken) else {
        return Err(Refusal::NothingInCommon {
            peer: audio.format_names(),
            allowed: Speech::ALL
                .map(|speech| Format::of_speech(speech).codec.to_string())
                .into(),
        });
    };
    let events = |format: &&Format| format.codec == Codec::TelephoneEvent && format.clock == speech.clock;
    Ok(std::iter::once(speech)
        .chain(audio.formats.iter().find(events))
        .cloned()
        .collect())
}

/// The same, or where we speak none of its codecs the first that may pass through here: such a leg hears nothing of us,
/// and talks to others that have it too.
pub fn formats_alone(remote_offer: &Session, profile: &LegProfile) -> Result<Vec<Format>, Refusal> {
    formats_ended_here(remote_offer, profile).or_else(|refusal| {
        let formats = &carriable(remote_offer, profile)?.formats;
        let passes = |format: &&Format| !format.codec.is_auxiliary() && profile.allows(format);
        let speech = formats.iter().find(passes).ok_or(refusal)?;
        let events = |clock| {
            let is_meant = move |format: &&Format| format.codec == Codec::TelephoneEvent && format.clock == clock;
            formats.iter().find(is_meant)
        };
        // Teams has events at 8 kHz alone, beside SILK/16000 too.
        let events = events(speech.clock).or_else(|| events(Speech::CLOCK_RATE));
        Ok(std::iter::once(speech).chain(events).cloned().collect())
    })
}

/// What we offer on a leg that talks to nobody but us.
pub fn formats_of_our_own(profile: &LegProfile) -> Vec<Format> {
    let speech = Speech::ALL.into_iter().map(Format::of_speech);
    speech
        .filter(|format| profile.allows(format))
        .chain(std::iter::once(Format::our_events()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_of_ours_at_another_clock_is_none_of_ours() {
        let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
                     m=audio 4000 RTP/AVP 98 99 8\r\na=rtpmap:98 PCMA/16000\r\na=rtpmap:99 PCMU/8000/2\r\n";
        let offer = Session::parse(offer.as_bytes()).expect("an offer");
        let formats = formats_ended_here(&offer, &LegProfile::carrier()).expect("a codec");
        assert_eq!(formats, [Format::of_speech(Speech::Pcma)]);
    }

    #[test]
    fn what_we_do_not_speak_passes_where_there_is_nothing_else() {
        let offered = |formats: &str| {
            let offer = format!(
                "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n\
                 a=rtpmap:97 iLBC/8000\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:104 SILK/16000\r\n"
            );
            let offer = Session::parse(offer.as_bytes()).expect("an offer");
            let taken = |formats: Result<Vec<Format>, Refusal>| {
                formats.map(|formats| formats.iter().map(|format| format.payload_type).collect::<Vec<_>>())
            };
            let profile = LegProfile::carrier();
            let strictly = taken(formats_ended_here(&offer, &profile));
            (strictly.ok(), taken(formats_alone(&offer, &profile)).ok())
        };
        assert_eq!(offered("18 97 101"), (None, Some(vec![18, 101])));
        assert_eq!(offered("18 0 101"), (Some(vec![0, 101]), Some(vec![0, 101])));
        assert_eq!(offered("97 101"), (None, None));
        assert_eq!(offered("104 101"), (None, None));
        let mut profile = LegProfile::carrier();
        profile.codecs.push(Codec::Silk);
        for (numbers, events) in [("104 101", 101), ("104 101 102", 102)] {
            let offer = format!(
                "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP {numbers}\r\na=rtpmap:104 SILK/16000\r\n\
                 a=rtpmap:101 telephone-event/8000\r\na=rtpmap:102 telephone-event/16000\r\n"
            );
            let offer = Session::parse(offer.as_bytes()).expect("an offer");
            let formats = formats_alone(&offer, &profile).expect("SILK");
            let numbers: Vec<u8> = formats.iter().map(|format| format.payload_type).collect();
            assert_eq!(numbers, [104, events]);
        }
    }
}
