//! Session descriptions: parse, print, offer/answer per leg profile (RFC 8866, 3264, 4568). Pure.
