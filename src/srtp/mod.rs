//! SRTP and SRTCP, in place, no allocation per packet (RFC 3711, 4568, 7714). Pure.
