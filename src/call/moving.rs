//! An application that goes on at another server: where a redirect leads once it has answered. Relative URLs belong there
//! from then on, credentials stay behind, and so does a WebSocket to the server that it came from. What screens a destination
//! goes by itself.

use super::application::App;
use super::event::Effect;
use super::id::LegIndex;
use super::value::Call;
use crate::app::outbound::HookUrl;
use crate::app::verb::Hook;
use std::sync::Arc;

impl Call {
    /// What a redirect of a line named has answered.
    pub(super) fn line_moved(&mut self, leg: LegIndex, hook: Option<Hook>) {
        if leg == LegIndex::CALLER {
            return self.application_moved(hook);
        }
        let Some((app, hook)) = self.app.as_ref().zip(hook) else {
            return;
        };
        let server = app.with_credentials(hook);
        if let Some(line) = self.line_mut(leg) {
            line.server = Some(Box::new(server));
        }
    }

    /// A hook as the verbs of a line name it: for a screening that has moved, at its own server.
    pub(super) fn hook_of_line(&self, leg: LegIndex, hook: Hook) -> Hook {
        let Some(server) = self.line(leg).and_then(|line| line.server.as_deref()) else {
            return hook;
        };
        let Ok(url) = HookUrl::parse(&server.url, None).and_then(|base| base.absolute(&hook.url)) else {
            return hook;
        };
        let own = server.credentials.clone().filter(|_| same_origin(&url, &server.url));
        Hook {
            credentials: hook.credentials.or(own),
            url,
            ..hook
        }
    }

    /// The same for a sound.
    pub(super) fn sound_of_line(&self, leg: LegIndex, sound: String) -> String {
        let server = self.line(leg).and_then(|line| line.server.as_deref());
        let Some(server) = server.filter(|_| sound.starts_with('/')) else {
            return sound;
        };
        let there = HookUrl::parse(&server.url, None).and_then(|base| HookUrl::parse(&sound, Some(&base)));
        there.map_or(sound, |there| there.over_http().as_str().to_owned())
    }

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
