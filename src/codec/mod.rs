//! Codecs that need decoding here, one file each, and the test tones of the simulators. Pure.
//!
//! PCM is `i16`, mono, at the codec's rate. Nothing allocates per frame.

pub mod g711;
pub mod g722;
pub mod tone;
