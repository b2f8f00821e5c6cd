//! One user of Teams in the place of another: an INVITE with Replaces (RFC 3891, TEAMS-088).

use super::dial::Dial;
use super::task::Task;
use super::view::{SimError, View};
use super::{Call, spawn};
use crate::sim::line::Line;
use crate::sim::script::{Script, Step};
use crate::sim::violation::Violation;
use crate::sip::Uri;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// A call that was replaced is over by then.
const REPLACED: Duration = Duration::from_secs(4);
/// Who has no number.
const NOBODY: &str = "anonymous";

/// The value of Replaces that names the dialog of this call.
pub(in crate::sim) fn replaces(view: &View) -> Option<String> {
    let names = view.dialog.as_ref()?;
    let (from, to) = (&names.local_tag, &names.remote_tag);
    Some(format!("{};from-tag={from};to-tag={to}", view.call_id))
}

/// Portcullis ends what was replaced.
pub(in crate::sim) async fn judge_end(line: &Line, mut replaced: watch::Receiver<View>) {
    let is_over = |view: &View| view.ending.is_some();
    if !matches!(timeout(REPLACED, replaced.wait_for(is_over)).await, Ok(Ok(_))) {
        let id = replaced.borrow().call_id.clone();
        let evidence = format!("{id} lives on {REPLACED:?} after it was replaced");
        line.violations.record(Violation::new("replaced-bye", evidence));
    }
}

impl Task {
    /// Somebody else takes this call over and goes on with `later`; this one waits for its end.
    pub(super) fn hand_over(&mut self, by: Option<&str>, later: &[Step]) {
        let view = self.shown.borrow().clone();
        let (Some(replaces), Some(dialog)) = (replaces(&view), &self.dialog) else {
            return;
        };
        let own = self.parties.own.clone().or(self.line.inviting().number);
        let from = by.map_or_else(|| own.unwrap_or_else(|| NOBODY.to_owned()), str::to_owned);
        let to = self.parties.other.clone().unwrap_or_else(|| NOBODY.to_owned());
        let trunk = self.known.trunk.clone().unwrap_or_default();
        let uri = Uri::sip(Some(&to), &trunk, dialog.remote_target().port())
            .and_then(|uri| uri.with_param("user", Some("phone")))
            .and_then(|uri| uri.with_param("transport", Some("tls")));
        let Ok(uri) = uri else {
            return self.breach("replaces-refused", format!("nobody can call {to} at {trunk}"));
        };
        let mut dial = Dial::new(&from, &to).header("Replaces", &replaces);
        dial.tone = Some(self.tone);
        dial.codec = self.codec;
        dial.sdp = self.sdp;
        dial.hang_up_after = self.hang_up_after;
        dial.script = Script::of(later.iter().cloned());
        let taker = Call::place_within(&self.line, uri, dial, self.script.clone());
        self.show(|view| view.taken_by = Some(taker.clone()));
        let (line, replaced) = (self.line.clone(), self.shown.subscribe());
        spawn(&self.line, async move {
            match taker.answered().await {
                Ok(()) => judge_end(&line, replaced).await,
                Err(why) => {
                    let why = match why {
                        SimError::NotAnswered(ending) => format!("answered {}", ending.status.unwrap_or_default()),
                        other => other.to_string(),
                    };
                    let evidence = format!("Replaces: {replaces}: {why}");
                    line.violations.record(Violation::new("replaces-refused", evidence));
                }
            }
        });
    }
}
