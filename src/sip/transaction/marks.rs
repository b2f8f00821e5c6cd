//! What every message of ours bears toward the peers of a listener, whoever makes it.

use super::output::SendTo;
use crate::sip::ListenerId;
use crate::sip::message::{HeaderName, HeaderValue, ResponseDraft};
use std::sync::Arc;

/// Headers of every response that leaves over a listener, where whoever answers gives none of that name (TEAMS-038).
#[derive(Debug, Clone, Default)]
pub struct Marks(Arc<[(ListenerId, HeaderName, HeaderValue)]>);

impl Marks {
    /// These headers on this listener, none on others.
    pub fn on(listener: ListenerId, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Marks {
        Marks(
            headers
                .into_iter()
                .map(|(name, value)| (listener, name, value))
                .collect(),
        )
    }

    /// A response on its way.
    pub(super) fn mark(&self, mut draft: ResponseDraft, way: &SendTo) -> ResponseDraft {
        let listener = listener(way);
        for (on, name, value) in &*self.0 {
            if *on == listener && draft.value(*name).is_none() {
                draft = draft.header(*name, value.as_bytes());
            }
        }
        draft
    }

    /// Whether one lacks any.
    pub(super) fn are_lacking(&self, draft: &ResponseDraft, way: &SendTo) -> bool {
        let listener = listener(way);
        let lacks = |name: HeaderName| draft.value(name).is_none();
        self.0.iter().any(|(on, name, _)| *on == listener && lacks(*name))
    }
}

fn listener(way: &SendTo) -> ListenerId {
    match way {
        SendTo::Flow { flow, .. } => flow.listener,
        SendTo::Hop(hop) => hop.listener,
    }
}
