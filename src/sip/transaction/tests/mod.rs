//! Behaviour of whole tables: two joined by a simulated network ([`pair`]), and one against crafted messages.

mod cancel;
mod loss;
mod marks;
mod matching;
mod overload;
mod pair;
mod responses;
