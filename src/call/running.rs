//! The verbs of an application, one after the other on each of its lines.

use super::application::{Line, Running};
use super::cause::Cause;
use super::event::Source;
use super::gathering::Gathering;
use super::hearing::{Beginning, Needs, Ready};
use super::id::LegIndex;
use super::playing::Playback;
use super::value::{Call, Phase};
use crate::app::gather::Gather;
use crate::app::payload::{self, EndedBy};
use crate::app::verb::{self, Verb, passages};
use crate::moment::Moment;
use std::time::Duration;

impl Call {
    /// The verb that a line was in is done.
    pub(super) fn verb_done(&mut self, leg: LegIndex, now: Moment) {
        if let Some(line) = self.line_mut(leg) {
            line.running = None;
        }
        self.advance(leg, now);
    }

    /// Runs the verbs of a line until one has to wait.
    pub(super) fn advance(&mut self, leg: LegIndex, now: Moment) {
        loop {
            let open = self.leg(leg).is_some_and(|leg| leg.media.handle().is_some());
            let ended = matches!(self.phase, Phase::Ending | Phase::Over);
            let Some(line) = self.line_mut(leg) else { return };
            if line.running.is_some() || !line.begun || !open || ended {
                return;
            }
            let lost = leg == LegIndex::CALLER && self.app.as_ref().is_some_and(|app| app.lost.is_some());
            if lost && self.is_being_led_on() {
                // Who takes it over is being asked.
                return self.idle(leg);
            }
            if lost && self.ends_alone(now) {
                return;
            }
            self.verb_ends(leg);
            match self.line_mut(leg).and_then(|line| line.verbs.pop_front()) {
                Some(verb) => self.begin_verb(leg, verb, now),
                None => {
                    self.line_finished(leg, now);
                    return;
                }
            }
        }
    }

    pub(super) fn idle(&mut self, leg: LegIndex) {
        if let Some(line) = self.line_mut(leg) {
            line.running = Some(Running::Idle);
        }
    }

    /// All verbs are done: a screened destination gets its caller, a connected application may send more, all else is
    /// the end.
    fn line_finished(&mut self, leg: LegIndex, now: Moment) {
        let connected = leg == LegIndex::CALLER && self.app.as_ref().is_some_and(|app| app.session.is_some());
        if connected || self.is_being_replaced(leg) {
            return self.idle(leg);
        }
        if leg != LegIndex::CALLER {
            self.screening_passed(leg, now);
            return;
        }
        let spent = self.app.as_mut().and_then(|app| app.spent.take());
        let detail = match spent {
            Some(spent) => format!("the application's verbs ran out, {spent}"),
            None => "the application's verbs ran out".to_owned(),
        };
        self.application_hangs_up(&detail, now);
    }

    /// The application has nothing more for the caller: by what, in words.
    pub(super) fn application_hangs_up(&mut self, detail: &str, now: Moment) {
        let cause = match self.milestones.answered {
            Some(_) => Cause::hung_up_here(detail),
            None => Cause::ApplicationDeclined {
                status: 603,
                phrase: "Decline".into(),
                headers: Vec::new(),
                detail: format!("the application ended without an answer: {detail}"),
            },
        };
        self.end(cause, now);
    }

    fn begin_verb(&mut self, leg: LegIndex, verb: Verb, now: Moment) {
        if self.settles_first(leg, &verb, now) {
            return;
        }
        self.verb_begins(leg, &verb);
        if let Some(app) = self.app.as_mut().filter(|_| leg == LegIndex::CALLER) {
            app.spent = None;
        }
        match verb {
            Verb::Answer(_) => {
                // May end the call, which ends the line.
                let answer = Beginning {
                    what: "answer",
                    needs: Needs::Answer,
                    early: false,
                };
                let _ready = self.ready_for(leg, answer, now);
            }
            Verb::Pause(pause) => self.wait_for(leg, Running::Pausing(now + pause.length)),
            Verb::Say(say) => {
                let early = self.speaks_early(say.early_media);
                if self.ready_for(
                    leg,
                    Beginning {
                        what: "say",
                        needs: Needs::Ears,
                        early,
                    },
                    now,
                ) == Ready::Yes
                {
                    let playback =
                        Playback::new(self.speech(leg, &say), say.times).telling("say", None, say.id.clone());
                    self.begin_playback(leg, playback, now);
                }
            }
            Verb::Play(play) => self.play_verb(leg, *play, now),
            Verb::Gather(gather) => self.gather(leg, &gather, now),
            Verb::Dial(dial) => self.dial(leg, dial, now),
            Verb::Hangup(hangup) => self.hang_up_verb(leg, hangup, now),
            Verb::Redirect(redirect) => self.ask_redirect(leg, &redirect.action_hook, now),
            Verb::Tag(tag) => self.tag_leg(leg, tag.data),
            Verb::Config(config) if leg != LegIndex::CALLER => self.configure_screening(leg, &config),
            Verb::Config(config) => self.configure(&config),
            Verb::SipDecline(decline) => self.decline(leg, decline, now),
            Verb::Dtmf(dtmf) => self.dtmf_verb(leg, dtmf, now),
            Verb::SipRequest(request) => self.request_verb(leg, *request, now),
            Verb::SipRefer(refer) => self.refer_verb(leg, *refer, now),
        }
    }

    /// Timers of lines that are due.
    pub(super) fn line_timeouts(&mut self, now: Moment) {
        for leg in self.legs_with_lines() {
            match self.line_mut(leg).and_then(|line| line.running.as_mut()) {
                Some(Running::Pausing(until)) if *until <= now => self.verb_done(leg, now),
                Some(Running::Playing(playback)) if playback.ends().is_some_and(|until| until <= now) => {
                    let waits = playback.cut(now);
                    self.interrupt(leg);
                    if !waits {
                        self.playback_over(leg, None, now);
                    }
                }
                Some(Running::Referring(referral)) if referral.until.is_some_and(|until| until <= now) => {
                    self.referral_timeout(leg, now);
                }
                Some(Running::Gathering(gathering)) => {
                    if let Some(outcome) = gathering.gather.expired(now) {
                        self.gathered(leg, outcome, now);
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn next_line_timeout(&self) -> Option<Moment> {
        let due = |line: &Line| match line.running.as_ref()? {
            Running::Pausing(until) => Some(*until),
            Running::Playing(playback) => playback.ends(),
            Running::Gathering(gathering) => gathering.gather.next_timeout(),
            Running::Referring(referral) => referral.until,
            _ => None,
        };
        self.app.as_ref()?.lines.iter().filter_map(due).min()
    }

    fn wait_for(&mut self, leg: LegIndex, running: Running) {
        if let Some(line) = self.line_mut(leg) {
            line.running = Some(running);
        }
    }

    pub(super) fn speech(&self, leg: LegIndex, say: &verb::Say) -> Vec<Source> {
        let Some(app) = &self.app else { return Vec::new() };
        let own = self.line(leg).and_then(|line| line.speaking.as_deref());
        let usual = own.unwrap_or(&app.speaking);
        let by = match &say.synthesizer {
            Some(asked) => asked.over(&usual.by),
            None => usual.by.clone(),
        };
        let spoken = |text| Source::Speech {
            text,
            by: by.clone(),
            fresh: say.fresh || usual.fresh,
        };
        let sources = |text: &String| match verb::is_sound(text) {
            true => vec![Source::Url(text.trim().to_owned())],
            false => passages(text).into_iter().map(spoken).collect(),
        };
        say.text.iter().flat_map(sources).collect()
    }

    fn sounds_of_line(&self, leg: LegIndex, urls: Vec<String>) -> Vec<Source> {
        let urls = urls.into_iter().map(|url| self.sound_of_line(leg, url));
        urls.map(Source::Url).collect()
    }

    fn play_verb(&mut self, leg: LegIndex, play: verb::Play, now: Moment) {
        let early = self.speaks_early(play.early_media);
        let beginning = Beginning {
            what: "play",
            needs: Needs::Ears,
            early,
        };
        match (self.ready_for(leg, beginning, now), &play.action_hook) {
            (Ready::Yes, _) => {
                let all = self.sounds_of_line(leg, play.urls);
                let playback = Playback::new(all, play.times)
                    .seeking(play.seek)
                    .until(play.limit.map(|limit| now + limit))
                    .telling("play", play.action_hook, play.id);
                self.begin_playback(leg, playback, now);
            }
            (Ready::Never(why), Some(hook)) => {
                let result = payload::played(Duration::ZERO, Duration::ZERO, Some(&why));
                self.ask_action(leg, hook, result, play.id.as_deref(), now);
            }
            (Ready::Never(_) | Ready::Over, _) => {}
        }
    }

    fn gather(&mut self, leg: LegIndex, gather: &verb::Gather, now: Moment) {
        let needs = match (&gather.say, &gather.play) {
            (None, None) => Needs::Keys,
            _ => Needs::Ears,
        };
        let early = self.speaks_early(false);
        match self.ready_for(
            leg,
            Beginning {
                what: "gather",
                needs,
                early,
            },
            now,
        ) {
            Ready::Yes => {}
            Ready::Over => return,
            Ready::Never(why) => {
                if let Some(hook) = &gather.action_hook {
                    self.ask_action(leg, hook, payload::not_gathered(&why), gather.id.as_deref(), now);
                }
                return;
            }
        }
        let say = gather
            .say
            .as_ref()
            .map(|say| Playback::new(self.speech(leg, say), say.times).telling("say", None, say.id.clone()));
        let play = gather.play.as_ref().map(|play| {
            let all = self.sounds_of_line(leg, play.urls.clone());
            Playback::new(all, play.times)
                .seeking(play.seek)
                .telling("play", None, play.id.clone())
        });
        let gathering = Gathering {
            prompt: say.or(play),
            bargein: gather.dtmf_bargein,
            listens: gather.listen_during_prompt,
            hook: gather.action_hook.clone(),
            id: gather.id.clone(),
            gather: Gather::new(gather),
        };
        self.begin_gathering(leg, gathering, now);
    }

    fn dial(&mut self, leg: LegIndex, dial: Box<verb::Dial>, now: Moment) {
        if leg != LegIndex::CALLER {
            self.tell_error("dial", "a destination that is screened can't dial");
            return;
        }
        self.wait_for(leg, Running::Dialing);
        self.ask_for_plan(dial, now);
    }

    fn hang_up_verb(&mut self, leg: LegIndex, hangup: verb::Hangup, now: Moment) {
        if leg != LegIndex::CALLER {
            if let Some(position) = self.attempt_of(leg) {
                self.screening_refused(position, "the application hung up", EndedBy::Platform, now);
            }
            return;
        }
        // An unanswered call is not hung up: the next verb may decline it.
        if self.milestones.answered.is_some() {
            if let Some(caller) = self.leg_mut(leg) {
                caller.farewell_headers = hangup.headers;
            }
            self.end(Cause::hung_up_here("the application hung up by its verb hangup"), now);
        }
    }

    fn decline(&mut self, leg: LegIndex, decline: verb::SipDecline, now: Moment) {
        if leg == LegIndex::CALLER && self.milestones.answered.is_none() {
            let phrase = decline.reason.clone().unwrap_or_default();
            let mut headers = decline.headers;
            // As jambonz says it: whoever reads traces tells this refusal from one that a destination gave.
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("X-Reason")) {
                headers.push(("X-Reason".into(), "SIP Decline Verb".into()));
            }
            self.end(
                Cause::ApplicationDeclined {
                    status: decline.status,
                    phrase,
                    headers,
                    detail: format!("the application declined with {}", decline.status),
                },
                now,
            );
        }
    }

    /// The verb `config`, and the command: what the following verbs go by.
    pub(super) fn configure(&mut self, config: &verb::Config) {
        let Some(app) = &mut self.app else { return };
        app.speaking.configure(config, || app.terms.usual_speech());
        if config.refer_hook.is_some() {
            app.refer_hook = config.refer_hook.clone();
        }
        if let Some(on) = config.notify_events {
            app.notifies = on;
        }
        if let Some(early) = config.early_media {
            app.early_media = early;
        }
        if let Some(decibels) = config.boost {
            app.boost = Some(decibels);
            if self.bridged.is_some() {
                self.boost(LegIndex::CALLER, decibels);
            }
        }
    }

    /// What a screening says of how it speaks counts for its own leg.
    fn configure_screening(&mut self, leg: LegIndex, config: &verb::Config) {
        let Some(app) = &self.app else { return };
        let (usual, terms) = (app.speaking.clone(), app.terms.clone());
        if let Some(line) = self.line_mut(leg) {
            let speaking = line.speaking.get_or_insert_with(|| Box::new(usual));
            speaking.configure(config, || terms.usual_speech());
        }
    }

    /// `customerData` of a leg.
    pub(super) fn tag_leg(&mut self, leg: LegIndex, data: serde_json::Map<String, serde_json::Value>) {
        let Some(app) = &mut self.app else { return };
        if leg == LegIndex::CALLER {
            app.tag = Some(data);
        } else if let Some(position) = self.attempt_of(leg)
            && let Some(child) = self.child_mut(position)
        {
            child.tag = Some(data);
        }
    }
}
