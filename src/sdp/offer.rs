//! Our offers: the other leg's formats carried over, or our own when there is no offer yet.

use super::codec::{Codec, Format, TELEPHONE_EVENT};
use super::direction::Direction;
use super::error::Refusal;
use super::local::{AudioLine, LocalMedia, OFFERED_TAG};
use super::negotiated::Negotiated;
use super::profile::{Auxiliary, LegProfile, RtcpMux, Security};
use super::session::{Audio, Protocol, Session};
use crate::codec::speech::Speech;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

const COMFORT_NOISE: u8 = 13;
const DYNAMIC: RangeInclusive<u8> = 96..=127;
/// They look like RTCP on a shared port (RFC 5761 §4): no format of ours has such a number.
pub(super) const NEVER_OFFERED: RangeInclusive<u8> = 64..=95;

/// What a peer's offer becomes on the other leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// In the offerer's order, each number once.
    pub formats: Vec<Format>,
    /// In the other leg's style of hold.
    pub direction: Direction,
    /// The trace: what the offerer had and the other leg won't see.
    pub left_out: Vec<LeftOut>,
}

/// What an offer on the other leg may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recoding {
    /// Whatever can be recoded here.
    Any,
    /// Only what costs next to nothing ([`Speech::is_far_from`]).
    Cheap,
}

/// A format that is not carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub format: Format,
    pub why: WhyLeftOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyLeftOut {
    /// The offering leg's own profile doesn't allow it.
    OfferingLeg,
    /// The other leg's profile doesn't allow it.
    OtherLeg,
    /// The same codec stands earlier in the offer.
    Repeated,
    /// Events or noise at a clock that no carried codec has.
    NoSpeechAtThisClock,
    /// No dynamic payload type number is left.
    NoNumber,
}

/// An offer of ours, kept until its answer comes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The session description; it holds our SRTP key.
    pub body: String,
    pub formats: Vec<Format>,
    pub direction: Direction,
    pub(super) rtcp_mux: bool,
}

/// Without the body, which holds a key.
impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("formats", &self.formats)
            .field("direction", &self.direction)
            .field("rtcp_mux", &self.rtcp_mux)
            .finish_non_exhaustive()
    }
}

/// Decides whether a peer's offer can be taken and what of it the other leg is offered. A refusal here comes before
/// anybody's phone rings.
pub fn carry_offer(
    remote_offer: &Session,
    from: &LegProfile,
    to: &LegProfile,
    recoding: Recoding,
) -> Result<Carried, Refusal> {
    let audio = carriable(remote_offer, from)?;
    let mut left_out = Vec::new();
    let mut formats = common(audio, from, to, &mut left_out);
    if formats.iter().all(|format| format.codec.is_auxiliary()) {
        let allowed = audio.formats.iter().filter(|format| from.allows(format));
        let known: Vec<Speech> = allowed.filter_map(Format::speech).collect();
        formats.splice(0..0, recoded(&known, to, recoding));
    }
    if formats.iter().all(|format| format.codec.is_auxiliary()) {
        let allowed = from
            .codecs
            .iter()
            .filter(|codec| to.codecs.contains(codec))
            .map(ToString::to_string)
            .collect();
        return Err(Refusal::NothingInCommon {
            peer: audio.format_names(),
            allowed,
        });
    }
    add_auxiliary(&mut formats, to, |switch| switch == Auxiliary::Always);
    let (formats, unnumbered) = number(formats, customary);
    left_out.extend(unnumbered.into_iter().map(|format| LeftOut {
        format,
        why: WhyLeftOut::NoNumber,
    }));
    Ok(Carried {
        formats,
        direction: to.hold.offered(audio.direction),
        left_out,
    })
}

/// What a leg that is settled already becomes in an offer on another one: its formats as far as `to` allows them, behind
/// them what we can turn them into ourselves, and its peer's direction.
pub fn carry_settled(
    settled: &Negotiated,
    to: &LegProfile,
    recoding: Recoding,
) -> Result<(Vec<Format>, Direction), Refusal> {
    let known = settled.formats();
    let spoken: Vec<Speech> = known.iter().filter_map(Format::speech).collect();
    let mut formats: Vec<Format> = known.iter().filter(|format| to.allows(format)).cloned().collect();
    if settled.is_spoken_here() {
        let own = formats
            .iter()
            .position(|format| format.codec.is_auxiliary())
            .unwrap_or(formats.len());
        let others = recoded(&spoken, to, recoding)
            .into_iter()
            .filter(|other| !formats.iter().any(|format| format.same_codec(other)));
        let others: Vec<Format> = others.collect();
        formats.splice(own..own, others);
    }
    if formats.iter().all(|format| format.codec.is_auxiliary()) {
        return Err(Refusal::NothingInCommon {
            peer: known.iter().map(ToString::to_string).collect(),
            allowed: to.codecs.iter().map(ToString::to_string).collect(),
        });
    }
    add_auxiliary(&mut formats, to, |switch| switch == Auxiliary::Always);
    let (formats, _unnumbered) = number(formats, customary);
    Ok((formats, to.hold.offered(settled.carried_direction())))
}

/// The audio of a peer's offer, when its addresses and its protection can be taken.
pub(super) fn carriable<'a>(remote_offer: &'a Session, from: &LegProfile) -> Result<&'a Audio, Refusal> {
    let (_, audio) = remote_offer.audio_for(from)?;
    from.check_addresses(audio)?;
    if from.security == Security::SdesRequired && !audio.crypto.iter().any(|line| line.is_acceptable()) {
        return Err(Refusal::no_crypto(audio));
    }
    Ok(audio)
}

/// All that both legs' profiles allow, in `to`'s order: for an offer on `to` while the other leg has not offered yet.
/// Codecs without a fixed payload type are only ever carried over.
pub fn formats_without_offer(to: &LegProfile, other: &LegProfile) -> Vec<Format> {
    let fixed = [0, 3, 8, 9, 18].into_iter().filter_map(Format::well_known);
    let known: Vec<Format> = fixed.filter(|format| other.allows(format)).collect();
    let in_order = to
        .codecs
        .iter()
        .filter_map(|codec| known.iter().find(|format| format.codec == *codec));
    let mut formats: Vec<Format> = in_order
        .map(|format| agreed_annex_b(format.clone(), to, other))
        .collect();
    add_auxiliary(&mut formats, to, |switch| switch != Auxiliary::Never);
    formats.retain(|format| other.allows(format));
    number(formats, customary).0
}

/// Prints an offer. `formats` come from [`carry_offer`], [`formats_without_offer`], or from what this leg negotiated:
/// they keep their numbers.
pub fn offer(profile: &LegProfile, local: &mut LocalMedia, formats: &[Format], direction: Direction) -> Offer {
    let (formats, _) = number(formats.to_vec(), unchanged);
    let usual = match profile.security {
        Security::Plain => Protocol::RtpAvp,
        Security::SdesRequired => Protocol::RtpSavp,
    };
    let fits = |spoken: &Protocol| spoken.is_secure() == usual.is_secure();
    let protocol = local.protocol.filter(fits).unwrap_or(usual);
    let rtcp_mux = match profile.rtcp_mux {
        RtcpMux::Offer => local.says_rtcp_mux(true),
        RtcpMux::Accept => local.says_rtcp_mux(false),
        RtcpMux::Never => false,
    };
    let direction = profile.hold.offered(direction);
    let line = AudioLine {
        protocol,
        formats: &formats,
        direction,
        rtcp_mux,
        crypto_tag: OFFERED_TAG,
        ice: local.ice(profile),
    };
    let media = line.print(profile, local);
    let body = local.print(vec![media]);
    Offer {
        body,
        formats,
        direction,
        rtcp_mux,
    }
}

/// What the other leg may be offered where nothing of an offer passes through: the codecs that we recode one of `from` to.
fn recoded(from: &[Speech], to: &LegProfile, recoding: Recoding) -> Vec<Format> {
    let is_near = |to: Speech| {
        from.iter()
            .any(|from| recoding == Recoding::Any || !from.is_far_from(to))
    };
    let known = |codec: &Codec| {
        let mut near = Speech::ALL
            .into_iter()
            .filter(|speech| is_near(*speech))
            .map(Format::of_speech);
        near.find(|format| format.codec == *codec)
    };
    to.codecs.iter().filter_map(known).collect()
}

/// The offer's formats that both profiles allow, repeats and orphaned events left out.
fn common(audio: &Audio, from: &LegProfile, to: &LegProfile, left_out: &mut Vec<LeftOut>) -> Vec<Format> {
    let mut kept: Vec<Format> = Vec::new();
    for format in &audio.formats {
        let why = if !from.allows(format) {
            WhyLeftOut::OfferingLeg
        } else if !to.allows(format) {
            WhyLeftOut::OtherLeg
        } else if kept.iter().any(|earlier| earlier.same_codec(format)) {
            WhyLeftOut::Repeated
        } else {
            kept.push(agreed_annex_b(format.clone(), from, to));
            continue;
        };
        left_out.push(LeftOut {
            format: format.clone(),
            why,
        });
    }
    let clocks: Vec<u32> = kept
        .iter()
        .filter(|format| !format.codec.is_auxiliary())
        .map(|format| format.clock)
        .collect();
    // events at 8000 Hz go with anything: Teams lists them so beside SILK/16000
    let (formats, orphans): (Vec<Format>, Vec<Format>) = kept.into_iter().partition(|format| {
        !format.codec.is_auxiliary()
            || clocks.contains(&format.clock)
            || (format.codec == Codec::TelephoneEvent && format.clock == 8000)
    });
    left_out.extend(orphans.into_iter().map(|format| LeftOut {
        format,
        why: WhyLeftOut::NoSpeechAtThisClock,
    }));
    formats
}

/// Annex B is off on both legs when one can't take it: nothing between them would take the frames out.
fn agreed_annex_b(format: Format, one: &LegProfile, other: &LegProfile) -> Format {
    if one.g729_annex_b && other.g729_annex_b {
        format
    } else {
        format.without_annex_b()
    }
}

fn add_auxiliary(formats: &mut Vec<Format>, to: &LegProfile, wanted: impl Fn(Auxiliary) -> bool) {
    let noise = Format::new(COMFORT_NOISE, Codec::ComfortNoise, 8000);
    for (switch, format) in [(to.comfort_noise, noise), (to.telephone_event, Format::our_events())] {
        if wanted(switch) && !formats.iter().any(|present| present.same_codec(&format)) {
            formats.push(format);
        }
    }
}

/// Gives each format a number of its own, the preferred one where it is free, else a dynamic one: Teams refuses an offer
/// that uses a number twice. The second list found none.
fn number(formats: Vec<Format>, preferred: impl Fn(&Format) -> Option<u8>) -> (Vec<Format>, Vec<Format>) {
    let mut taken = [false; 128];
    let mut claim = |number: u8| match taken.get_mut(usize::from(number)) {
        Some(slot) if !*slot => {
            *slot = true;
            Some(number)
        }
        _ => None,
    };
    let mut unique: Vec<(Format, Option<u8>)> = Vec::new();
    for format in formats {
        if !unique.iter().any(|(earlier, _)| earlier.same_codec(&format)) {
            let number = preferred(&format).and_then(&mut claim);
            unique.push((format, number));
        }
    }
    let mut numbered = Vec::new();
    let mut unnumbered = Vec::new();
    for (format, number) in unique {
        let own = Some(format.payload_type).filter(|own| DYNAMIC.contains(own));
        match number.or_else(|| own.into_iter().chain(DYNAMIC).find_map(&mut claim)) {
            Some(payload_type) => numbered.push(Format { payload_type, ..format }),
            None => unnumbered.push(format),
        }
    }
    (numbered, unnumbered)
}

/// For formats that come from the other leg: RFC 3551's number, and 101 for events at 8000 Hz.
fn customary(format: &Format) -> Option<u8> {
    match format.fixed_payload_type() {
        None if format.codec == Codec::TelephoneEvent && format.clock == 8000 => Some(TELEPHONE_EVENT),
        fixed => fixed,
    }
}

/// For formats of this leg: a number keeps its meaning for the whole session (RFC 3264 §8.3.2).
fn unchanged(format: &Format) -> Option<u8> {
    Some(format.payload_type).filter(|number| !NEVER_OFFERED.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(formats: &[Format]) -> String {
        formats
            .iter()
            .map(|format| format!("{} {format}", format.payload_type))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn audio(formats: &str, maps: &str) -> Session {
        let text = format!("v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP {formats}\r\n{maps}");
        Session::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn without_an_offer_the_leg_hears_all_that_both_allow() {
        let (teams, mut carrier) = (LegProfile::teams(), LegProfile::carrier());
        carrier.codecs = vec![Codec::G729, Codec::Pcma, Codec::from("opus")];
        let toward_teams = formats_without_offer(&teams, &carrier);
        assert_eq!(
            listed(&toward_teams),
            "8 PCMA/8000, 18 G729/8000, 13 CN/8000, 101 telephone-event/8000"
        );
        assert!(toward_teams.iter().any(Format::forbids_annex_b));
        let toward_carrier = formats_without_offer(&carrier, &teams);
        assert_eq!(
            listed(&toward_carrier),
            "18 G729/8000, 8 PCMA/8000, 13 CN/8000, 101 telephone-event/8000"
        );
        carrier.telephone_event = Auxiliary::Never;
        carrier.comfort_noise = Auxiliary::Never;
        assert_eq!(
            listed(&formats_without_offer(&teams, &carrier)),
            "8 PCMA/8000, 18 G729/8000"
        );
    }

    #[test]
    fn where_nothing_passes_through_what_can_be_recoded_is_offered() {
        let (mut wide, mut narrow) = (LegProfile::carrier(), LegProfile::carrier());
        wide.codecs = vec![Codec::G722, Codec::G729];
        narrow.codecs = vec![Codec::Pcma, Codec::Pcmu];
        let events = "a=rtpmap:96 telephone-event/8000\r\n";
        let carried = carry_offer(&audio("9 96", events), &wide, &narrow, Recoding::Any).unwrap();
        assert_eq!(
            listed(&carried.formats),
            "8 PCMA/8000, 0 PCMU/8000, 101 telephone-event/8000"
        );
        // G.729 only passes through
        assert!(matches!(
            carry_offer(&audio("18", ""), &wide, &narrow, Recoding::Any),
            Err(Refusal::NothingInCommon { .. })
        ));
        // from G.722 to PCMA is far
        let cheap = |numbers| carry_offer(&audio(numbers, ""), &wide, &narrow, Recoding::Cheap);
        assert!(matches!(cheap("9"), Err(Refusal::NothingInCommon { .. })));
        narrow.codecs = vec![Codec::G729];
        wide.codecs = vec![Codec::G722];
        assert!(matches!(
            carry_offer(&audio("9", ""), &wide, &narrow, Recoding::Any),
            Err(Refusal::NothingInCommon { .. })
        ));
    }

    #[test]
    fn cheap_recoding_is_between_the_two_laws_alone() {
        let (mut one, mut all) = (LegProfile::carrier(), LegProfile::carrier());
        one.codecs = vec![Codec::Pcmu];
        all.codecs = vec![Codec::G722, Codec::Pcma];
        let offered = |recoding| carry_offer(&audio("0", ""), &one, &all, recoding).unwrap().formats;
        assert!(listed(&offered(Recoding::Any)).starts_with("9 G722/8000, 8 PCMA/8000"));
        assert!(listed(&offered(Recoding::Cheap)).starts_with("8 PCMA/8000"));
    }

    #[test]
    fn numbers_do_not_clash_when_events_take_101() {
        let mut wide = LegProfile::carrier();
        wide.codecs.push(Codec::from("opus"));
        let offer = audio(
            "101 100 99 0",
            "a=rtpmap:101 opus/48000/2\r\na=rtpmap:100 telephone-event/48000\r\na=rtpmap:99 telephone-event/8000\r\n",
        );
        let carried = carry_offer(&offer, &wide, &wide, Recoding::Any).unwrap();
        let expected = "96 opus/48000/2, 100 telephone-event/48000, 101 telephone-event/8000, 0 PCMU/8000";
        assert_eq!(listed(&carried.formats), expected);
    }

    #[test]
    fn what_is_left_out_says_why() {
        let mut narrow = LegProfile::carrier();
        narrow.codecs = vec![Codec::Pcma, Codec::G729];
        let offer = audio(
            "8 0 3 96 97",
            "a=rtpmap:96 pcma/8000\r\na=rtpmap:97 telephone-event/16000\r\n",
        );
        let carried = carry_offer(&offer, &LegProfile::carrier(), &narrow, Recoding::Any).unwrap();
        let why: Vec<_> = carried
            .left_out
            .iter()
            .map(|left| (left.format.payload_type, left.why))
            .collect();
        let expected = [
            (0, WhyLeftOut::OtherLeg),
            (3, WhyLeftOut::OfferingLeg),
            (96, WhyLeftOut::Repeated),
            (97, WhyLeftOut::NoSpeechAtThisClock),
        ];
        assert_eq!(why, expected);
        assert_eq!(listed(&carried.formats), "8 PCMA/8000");
    }

    #[test]
    fn a_codec_at_another_clock_or_with_two_channels_is_another_codec() {
        let profile = LegProfile::carrier();
        let carried = |numbers: &str, attributes: &str| {
            carry_offer(&audio(numbers, attributes), &profile, &profile, Recoding::Any)
        };
        for wrong in ["PCMU/16000", "PCMU/8000/2", "PCMA/48000", "G729/16000", "G722/8000/2"] {
            let attributes = format!("a=rtpmap:96 {wrong}\r\n");
            let refused = carried("96", &attributes).unwrap_err();
            assert_eq!(refused.status(), 488, "{wrong}: {refused}");
            assert!(matches!(refused, Refusal::NothingInCommon { .. }), "{wrong}: {refused}");
            assert!(refused.to_string().contains(wrong), "{wrong}: {refused}");
        }
        let both = carried("96 8", "a=rtpmap:96 PCMU/16000\r\n").unwrap();
        assert!(
            listed(&both.formats).starts_with("8 PCMA/8000"),
            "{}",
            listed(&both.formats)
        );
        // The sampling rate in the place of the clock is G.722 all the same.
        assert!(carried("96", "a=rtpmap:96 G722/16000\r\n").is_ok());
    }

    #[test]
    fn more_dynamic_formats_than_numbers() {
        let names: Vec<Format> = (0..40)
            .map(|index| Format::new(96, Codec::from(format!("X{index}").as_str()), 8000))
            .collect();
        let (numbered, unnumbered) = number(names, unchanged);
        assert_eq!((numbered.len(), unnumbered.len()), (32, 8));
    }
}
