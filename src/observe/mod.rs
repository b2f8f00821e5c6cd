//! One event stream: logs, Prometheus, CDR, ladder.
