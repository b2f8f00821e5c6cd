//! Legs whose audio ends at this node: an application answers them, plays to them and listens.

use super::codec::{Codec, Format};
use super::error::Refusal;
use super::offer::carriable;
use super::profile::LegProfile;
use super::session::Session;

/// What we can play and hear ourselves.
const SPOKEN: [Codec; 3] = [Codec::Pcma, Codec::Pcmu, Codec::G722];

/// The first codec of an offer that we speak ourselves, and telephone events beside it: with one codec there is no doubt
/// what the peer will send.
pub fn formats_ended_here(remote_offer: &Session, profile: &LegProfile) -> Result<Vec<Format>, Refusal> {
    let audio = carriable(remote_offer, profile)?;
    let spoken = |format: &&Format| SPOKEN.contains(&format.codec) && profile.allows(format);
    let Some(speech) = audio.formats.iter().find(spoken) else {
        return Err(Refusal::NothingInCommon {
            peer: audio.format_names(),
            allowed: SPOKEN.iter().map(ToString::to_string).collect(),
        });
    };
    let events = |format: &&Format| format.codec == Codec::TelephoneEvent && format.clock == speech.clock;
    Ok(std::iter::once(speech)
        .chain(audio.formats.iter().find(events))
        .cloned()
        .collect())
}

/// What we offer on a leg that talks to nobody but us.
pub fn formats_of_our_own(profile: &LegProfile) -> Vec<Format> {
    let speech = [8, 0, 9].into_iter().filter_map(Format::well_known);
    let mut events = Format::new(101, Codec::TelephoneEvent, 8_000);
    events.fmtp = Some("0-16".to_owned());
    speech
        .filter(|format| profile.allows(format))
        .chain(std::iter::once(events))
        .collect()
}
