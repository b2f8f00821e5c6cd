//! Codecs that need decoding here, one file each. Pure.
