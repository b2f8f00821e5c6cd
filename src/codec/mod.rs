//! Codecs that need decoding here, one file each, and the tones that are made and found: test tones and DTMF. Pure.
//!
//! PCM is `i16`, mono, at the codec's rate. Nothing allocates per frame.

pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod noise;
pub mod resample;
pub mod speech;
pub mod tone;
