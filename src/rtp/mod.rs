//! RTP and RTCP packets, telephone-event, reception statistics (RFC 3550, 3551, 4733, 7983). Pure.
//!
//! In: datagrams and, where time matters, `now`. Out: views over the bytes, counts, report blocks. Packets are written
//! into the caller's buffer; nothing here allocates, and no bytes of a peer cause a panic.

pub mod comfort_noise;
pub mod demux;
pub mod packet;
pub mod quality;
pub mod rtcp;
pub mod statistics;
pub mod telephone_event;
