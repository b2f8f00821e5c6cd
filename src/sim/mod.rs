//! A Teams-like and a carrier-like peer on real sockets.
