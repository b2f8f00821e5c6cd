//! An application that goes on at another server: where a redirect leads once it has answered. Relative URLs belong there
//! from then on, credentials stay behind, and so does a WebSocket to the server that it came from.

use super::application::App;
use super::event::Effect;
use super::value::Call;
use crate::app::outbound::HookUrl;
use crate::app::verb::Hook;
use std::sync::Arc;

impl Call {
    /// The application's own hook is this one now.
    pub(super) fn application_moved(&mut self, hook: Option<Hook>) {
        let (Some(app), Some(hook)) = (&mut self.app, hook) else {
            return;
        };
        let hook = app.move_to(hook);
        self.effects.push(Effect::Moved { hook });
    }

    /// Whoever answers a placed call that rings gets another application.
    pub(super) fn ring_for_another(&mut self, hook: Hook) {
        let Some(app) = &mut self.app else { return };
        let base = HookUrl::parse(&app.terms.hook.url, None);
        let url = base.and_then(|base| base.absolute(&hook.url));
        match url {
            Ok(url) => {
                let hook = app.move_to(Hook { url, ..hook });
                self.effects.push(Effect::Moved { hook });
            }
            Err(fault) => self.tell_error("call_hook", &fault.to_string()),
        }
    }
}

impl App {
    /// A hook with its own credentials, or the application's where it lies at the same server.
    pub(super) fn with_credentials(&self, mut hook: Hook) -> Hook {
        let own = &self.terms.hook;
        if hook.credentials.is_none() && same_origin(&hook.url, &own.url) {
            hook.credentials.clone_from(&own.credentials);
        }
        hook
    }

    fn move_to(&mut self, hook: Hook) -> Hook {
        let hook = self.with_credentials(hook);
        Arc::make_mut(&mut self.terms).hook = hook.clone();
        self.changes += 1;
        self.session = hook.is_websocket().then(|| hook.clone());
        hook
    }
}

/// Whether two absolute URLs name the same server.
pub(super) fn same_origin(one: &str, other: &str) -> bool {
    match (HookUrl::parse(one, None), HookUrl::parse(other, None)) {
        (Ok(one), Ok(other)) => one.same_origin(&other),
        _ => false,
    }
}
