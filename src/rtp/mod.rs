//! RTP and RTCP packets, telephone-event, reception statistics (RFC 3550, 3551, 4733). Pure.

pub mod packet;
