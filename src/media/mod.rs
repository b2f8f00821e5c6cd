//! Media worker threads: ports, latch, relay, RTCP. No tokio in the packet path.
