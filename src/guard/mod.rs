//! Admission policy: limits of calls and calls per second, overload.
