//! Why a dial of an application can't be planned.

/// A refused dial: which target and property, what is wrong with it, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}; {fix}", place = self.place())]
pub struct DialRefusal {
    /// Its position among the targets; `None`: a property of the dial itself.
    pub target: Option<usize>,
    /// The verb's word for the property.
    pub property: &'static str,
    pub what: String,
    pub fix: String,
}

impl DialRefusal {
    /// `target[1].sipUri`, or the property alone.
    pub fn place(&self) -> String {
        match self.target {
            Some(position) => format!("target[{position}].{}", self.property),
            None => self.property.to_owned(),
        }
    }
}
