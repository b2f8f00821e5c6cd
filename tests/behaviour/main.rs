//! Behaviour tests: one target, one module a behaviour, named by it.

mod house;
mod rings;
mod source;
