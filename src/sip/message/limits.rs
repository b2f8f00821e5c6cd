//! What a peer may make us hold or walk through. Generous beside real traffic (a Teams INVITE has 2 kB, 20 headers, 1 Via).

/// Whole message, start line to end of body. Offsets into it fit 16 bits.
pub const MAX_MESSAGE: usize = u16::MAX as usize;
/// Start line and headers, with the empty line.
pub const MAX_HEAD: usize = 32 * 1024;
/// Header fields.
pub const MAX_HEADERS: usize = 200;
/// One header field with its continuation lines.
pub const MAX_HEADER: usize = 8 * 1024;
/// What is read of a reason phrase: it goes on to the other side, to logs and to records.
pub const MAX_PHRASE: usize = 256;
/// A header name.
pub const MAX_NAME: usize = 256;
/// A Call-ID, a tag or a branch: they become keys of our tables.
pub const MAX_KEY: usize = 512;
/// Values of Via; the same for Route, Record-Route and Contact.
pub const MAX_HOPS: usize = 70;
