//! Several observers as one.

use super::{Happening, Observer};
use std::sync::Arc;

/// Tells each of them, in order.
#[derive(Clone, Default)]
pub struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    /// All of these.
    pub fn new(observers: Vec<Arc<dyn Observer>>) -> Observers {
        Observers(observers)
    }
}

impl Observer for Observers {
    fn happened(&self, happening: &Happening<'_>) {
        for observer in &self.0 {
            observer.happened(happening);
        }
    }

    fn wants_messages(&self) -> bool {
        self.0.iter().any(|observer| observer.wants_messages())
    }
}
