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

    /// The same in the words of an order of a call, whose one target is `to` and whose caller is `from`.
    pub fn of_order(&self) -> String {
        let place = match (self.property, self.target) {
            ("callerId" | "from.user", _) => "from".to_owned(),
            ("from.host", _) => "fromHost".to_owned(),
            (property, Some(_)) => format!("to.{property}"),
            (property, None) => property.to_owned(),
        };
        format!("{place}: {}; {}", self.what, self.fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_refused_in_its_own_words() {
        for (target, property, place, order) in [
            (None, "callerId", "callerId", "from"),
            (Some(0), "from.user", "target[0].from.user", "from"),
            (Some(0), "from.host", "target[0].from.host", "fromHost"),
            (Some(0), "sipUri", "target[0].sipUri", "to.sipUri"),
            (None, "srtpEncryption", "srtpEncryption", "srtpEncryption"),
        ] {
            let refusal = DialRefusal {
                target,
                property,
                what: "wrong".into(),
                fix: "right".into(),
            };
            assert_eq!(refusal.to_string(), format!("{place}: wrong; right"));
            assert_eq!(refusal.of_order(), format!("{order}: wrong; right"));
        }
    }
}
