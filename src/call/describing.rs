//! How a call and its legs are described to their application.

use super::application::{App, AppTerms, CallerFacts};
use super::child::Child;
use super::dialing::Dialing;
use super::directory::LineStatus;
use super::id::LegIndex;
use super::record::{ApplicationRecord, DialRecord, MOST_DIAL_STEPS, MOST_DIALS, TargetRecord};
use super::value::Call;
use crate::app::payload::{self, Properties};
use crate::app::sid::CallSid;
use crate::app::verb::CallerId;
use crate::dial::is_the_caller;
use crate::moment::Moment;
use crate::route::{Trace, TraceStep};
use std::sync::Arc;
use std::time::Duration;

/// Legs that are over and that a call still answers for: two dials of ten.
const MOST_PAST: usize = 20;

impl App {
    fn line_status(&self, call_sid: CallSid, status: payload::Status, mut properties: Properties) -> LineStatus {
        if let Some(base) = &self.terms.api_base_url {
            properties.insert("service_url".into(), base.as_str().into());
        }
        LineStatus {
            call_sid,
            status,
            properties,
        }
    }
}

impl Call {
    /// The standard properties of a leg.
    pub(super) fn properties(&self, leg: LegIndex, now: Moment) -> Properties {
        let Some(app) = &self.app else {
            return Properties::new();
        };
        if leg != LegIndex::CALLER
            && let Some(position) = self.attempt_of(leg)
        {
            return self.child_properties(position, now);
        }
        // Until somebody answers a placed call it is who rings.
        let rings = self.ringing.first().and_then(|ringing| ringing.child.as_ref()?.leg);
        let shown = rings.filter(|_| app.engaging).unwrap_or(LegIndex::CALLER);
        let caller = self.leg(shown);
        payload::standard(&payload::CallView {
            call_sid: app.sid,
            parent_call_sid: app.parent,
            direction: match app.placed {
                true => payload::Direction::Outbound,
                false => payload::Direction::Inbound,
            },
            from: &app.caller.from,
            to: &app.caller.to,
            caller_id: Some(app.caller.from.as_str()).filter(|_| app.placed),
            call_id: caller
                .map(|caller| caller.record.call_id.as_str())
                .filter(|call_id| !call_id.is_empty()),
            status: app.status,
            sip_status: app.sip_status,
            sip_reason: &app.phrase,
            account_sid: &app.terms.account_sid,
            application_sid: app.terms.application_sid.as_deref(),
            trace_id: &app.caller.trace_id,
            sip_address: &app.caller.sip_address,
            api_base_url: app.terms.api_base_url.as_deref(),
            originating_sip_ip: Some(app.caller.source_ip.as_str()).filter(|_| !app.placed),
            originating_sip_trunk_name: app.caller.trunk_name.as_deref(),
            termination_by: app.ended_by,
            why: app.why.as_deref(),
            duration: self.caller_duration(now).filter(|_| app.status.is_final()),
            customer_data: app.tag.as_ref(),
            reasons: caller.map_or(&[], |caller| &caller.record.reasons),
            farewell: caller.map_or(&[], |caller| &caller.farewell_heard),
        })
    }

    /// The standard properties of a child call.
    pub(super) fn child_properties(&self, position: usize, now: Moment) -> Properties {
        let (Some(app), Some(child)) = (&self.app, self.child(position)) else {
            return Properties::new();
        };
        let leg = child.leg.and_then(|leg| self.leg(leg));
        let named = child.target.name();
        let dialing = app.dialing.as_ref();
        let shown = dialing
            .and_then(|dialing| dialing.verb.caller_id.as_ref())
            .map(ToString::to_string);
        payload::standard(&payload::CallView {
            call_sid: child.sid,
            parent_call_sid: Some(app.sid),
            direction: payload::Direction::Outbound,
            from: shown.as_deref().unwrap_or(&app.caller.from),
            to: named,
            caller_id: Some(shown.as_deref().unwrap_or(&app.caller.from)),
            call_id: leg.map(|leg| leg.record.call_id.as_str()),
            status: child.status,
            sip_status: child.sip_status,
            sip_reason: &child.phrase,
            account_sid: &app.terms.account_sid,
            application_sid: app.terms.application_sid.as_deref(),
            trace_id: &app.caller.trace_id,
            sip_address: &app.caller.sip_address,
            api_base_url: app.terms.api_base_url.as_deref(),
            originating_sip_ip: None,
            originating_sip_trunk_name: None,
            termination_by: child.ended_by.filter(|_| child.status.is_final()),
            why: child.why.as_deref(),
            duration: child
                .duration(now)
                .filter(|_| child.status.is_final())
                .map(|span| span.as_secs()),
            customer_data: child.tag.as_ref(),
            reasons: leg.map_or(&[], |leg| &leg.record.reasons),
            farewell: leg.map_or(&[], |leg| &leg.farewell_heard),
        })
    }

    /// The application of the call, with the call_sid and the trace of its first leg.
    pub(super) fn application(&self) -> Option<(Arc<AppTerms>, String, String)> {
        let app = self.app.as_ref()?;
        Some((app.terms.clone(), app.sid.to_string(), app.caller.trace_id.clone()))
    }

    /// Whom the application of a first leg that was called is told of as the caller; none where the first leg called us.
    pub(super) fn told_of_called(&self) -> Option<&CallerFacts> {
        let app = self.app.as_ref().filter(|app| app.placed)?;
        Some(&app.caller)
    }

    /// What the record keeps of the application.
    pub(super) fn application_record(&self) -> Option<ApplicationRecord> {
        let app = self.app.as_ref()?;
        Some(ApplicationRecord {
            name: app.terms.name.to_string(),
            application_sid: app.terms.application_sid.as_deref().unwrap_or_default().to_owned(),
            call_sid: app.sid,
            parent_call_sid: app.parent,
            dials: app.dials.clone(),
            errors: app.errors.clone(),
        })
    }

    /// What became of a dial, for the record.
    pub(super) fn note_dial(&mut self, dialing: &Dialing, outcome: &payload::DialResult, now: Moment) {
        let Some(app) = self.app.as_ref().filter(|app| app.dials.len() < MOST_DIALS) else {
            return;
        };
        let mut left = MOST_DIAL_STEPS.saturating_sub(app.dials.iter().map(DialRecord::steps).sum());
        let mut kept = |trace: &[TraceStep]| {
            let trace = Trace(trace.to_vec()).bounded(left);
            left -= trace.len();
            trace
        };
        let trace = kept(&dialing.trace);
        let children = || self.ringing.iter().filter_map(|ringing| ringing.child.as_ref());
        let steps_of = |sid| children().find(|child| child.sid == sid).map(|child| &*child.trace);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let mut target = |each: &payload::TargetResult| TargetRecord {
            kind: each.target.kind().to_owned(),
            name: each.target.name().to_owned(),
            call_sid: each.call_sid,
            status: each.status,
            sip_status: each.sip_status,
            talked_ms: each.duration.map(millis),
            trace: kept(steps_of(each.call_sid).unwrap_or_default()),
        };
        let record = DialRecord {
            began_after_ms: self.milestones.after_ms(dialing.began),
            ended_after_ms: self.milestones.after_ms(now),
            dial_status: outcome.status,
            sip_status: outcome.sip_status,
            call_sid: outcome.call_sid,
            ended_by: outcome.ended_by.map(str::to_owned),
            error: outcome.error.clone(),
            trace,
            targets: outcome.targets.iter().map(&mut target).collect(),
        };
        if let Some(app) = &mut self.app {
            app.dials.push(record);
        }
    }

    /// The legs as the application knows them.
    pub(super) fn line_statuses(&self, now: Moment) -> Vec<LineStatus> {
        let Some(app) = &self.app else { return Vec::new() };
        let children = (0..self.ringing.len()).filter(|_| !app.engaging);
        let children = children.filter_map(|position| self.child_line(position, now));
        self.own_line(now).into_iter().chain(children).collect()
    }

    /// Legs that are over, as the application knew them at their end.
    pub(super) fn past_lines(&self) -> Vec<Arc<LineStatus>> {
        let app = self.app.as_ref();
        app.map_or_else(Vec::new, |app| app.past.iter().cloned().collect())
    }

    /// A dial is over: its children can be asked for as long as their call.
    pub(super) fn keep_children(&mut self, now: Moment) {
        for position in 0..self.ringing.len() {
            if self.child(position).is_some_and(|child| !child.parted) {
                let line = self.child_line(position, now);
                self.keep_line(line);
            }
        }
    }

    /// The caller leaves, and the call goes on without it.
    pub(super) fn keep_own_line(&mut self, now: Moment) {
        let line = self.own_line(now);
        self.keep_line(line);
    }

    fn keep_line(&mut self, line: Option<LineStatus>) {
        let (Some(app), Some(line)) = (&mut self.app, line) else {
            return;
        };
        if app.past.len() >= MOST_PAST {
            app.past.pop_front();
        }
        app.past.push_back(Arc::new(line));
    }

    fn own_line(&self, now: Moment) -> Option<LineStatus> {
        let app = self.app.as_ref()?;
        Some(app.line_status(app.sid, app.status, self.properties(LegIndex::CALLER, now)))
    }

    fn child_line(&self, position: usize, now: Moment) -> Option<LineStatus> {
        let (app, child) = (self.app.as_ref()?, self.child(position)?);
        Some(app.line_status(child.sid, child.status, self.child_properties(position, now)))
    }

    /// How often something has changed that others see of its lines.
    pub(super) fn changes(&self) -> u32 {
        self.app.as_ref().map_or(0, |app| app.changes)
    }

    /// The callee that the caller of an application talks to.
    pub(super) fn bridged_child(&self) -> Option<CallSid> {
        self.app.as_ref()?;
        self.sid_of(self.winner.filter(|_| self.bridged.is_some())?)
    }

    /// A child as the first leg of a call: nobody called us.
    pub(super) fn as_first_leg(&self, child: &Child) -> Option<CallerFacts> {
        let app = self.app.as_ref()?;
        let dialing = app.dialing.as_ref();
        let shown = dialing.and_then(|dialing| dialing.verb.caller_id.as_ref());
        // Who hides has not agreed to be shown by being named once more.
        let other = shown.filter(|shown| !is_the_caller(shown, &app.caller.from, app.caller.number));
        Some(CallerFacts {
            from: shown.map_or_else(|| app.caller.from.clone(), ToString::to_string),
            number: other.map_or(app.caller.number, CallerId::number),
            private: other.is_none() && app.caller.private,
            caller_name: None,
            to: child.target.name().to_owned(),
            source_ip: String::new(),
            trunk_name: None,
            sip_address: app.caller.sip_address.clone(),
            trace_id: app.caller.trace_id.clone(),
        })
    }

    fn caller_duration(&self, now: Moment) -> Option<u64> {
        let app = self.app.as_ref()?;
        let answered = app.answered.or(self.milestones.answered)?;
        Some(now.since(answered).as_secs())
    }
}
