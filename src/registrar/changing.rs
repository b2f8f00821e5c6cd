//! What a proven user's REGISTER does to its bindings, all of it or nothing.

use super::aor::Aor;
use super::binding::{Binding, Device, is_behind_nat};
use super::bindings::Bindings;
use super::door::{Registrar, answer, lock};
use super::register::{Register, Wish};
use super::stored::{self, Clocks};
use super::vouching::Grant;
use crate::config::{Config, RegistrarSettings, Sbc};
use crate::moment::Moment;
use crate::sip::header::push_quoted;
use crate::sip::message::{HeaderName, ResponseDraft};
use crate::sip::{ConnectionId, Flow, Transport};
use crate::store::Table;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Users whose bindings are looked through for expiry with each REGISTER.
const SWEEP: usize = 16;
/// The longest that a device taking part in RFC 5626 may stay silent before it pings (its Flow-Timer).
const FLOW_TIMER: Duration = Duration::from_secs(120);

impl Registrar {
    /// Does what a proven user wishes, all of it or nothing.
    /// `grant`: what the registration hook said of the user, if it was asked.
    pub(super) fn change(
        &self,
        config: &Config,
        register: &Register,
        grant: Option<&Grant>,
        flow: &Flow,
        clocks: Clocks,
    ) -> ResponseDraft {
        let (sbc, now) = (&config.sbc, clocks.now);
        let settings = &sbc.registrar;
        let mut bindings = lock(&self.bindings);
        self.sweep(&mut bindings, now, SWEEP);
        let before = bindings.live(&register.aor, now);
        let wished = match &register.wish {
            Wish::Query => Ok(None),
            Wish::RemoveAll if before.iter().any(|binding| is_old(register, binding)) => Err(OUT_OF_ORDER),
            Wish::RemoveAll => Ok(Some(Vec::new())),
            Wish::Change(devices) => self
                .changed(sbc, (register, devices), grant, &before, flow, now)
                .map(Some),
        };
        let after = match wished {
            Ok(None) => before,
            Ok(Some(after)) => {
                if bindings
                    .replace(&register.aor, after.clone(), settings.bindings_per_tenant)
                    .is_err()
                {
                    self.counts.refused.fetch_add(1, Relaxed);
                    return answer(sbc, 503)
                        .reason("Too Many Registrations")
                        .header(HeaderName::RetryAfter, "60");
                }
                self.keep(&register.aor, stored::encode(&after, sbc, clocks));
                after
            }
            Err((status, phrase)) => {
                self.counts.refused.fetch_add(1, Relaxed);
                let draft = answer(sbc, status).reason(phrase);
                return match status {
                    423 => draft.header(HeaderName::MinExpires, settings.min_expires.as_secs().to_string()),
                    _ => draft,
                };
            }
        };
        drop(bindings);
        self.counts.accepted.fetch_add(1, Relaxed);
        let mut draft = answer(sbc, 200);
        for binding in &after {
            draft = draft.header(HeaderName::Contact, contact(binding, now));
        }
        if after
            .iter()
            .any(|binding| binding.device.reg_id.is_some() && binding.is_on(flow))
        {
            draft = draft
                .header(HeaderName::Require, "outbound")
                .header(HeaderName::FlowTimer, flow_timer(sbc).as_secs().to_string());
        }
        draft
    }

    fn changed(
        &self,
        sbc: &Sbc,
        (register, devices): (&Register, &[(Device, Option<u32>)]),
        hooked: Option<&Grant>,
        before: &[Binding],
        flow: &Flow,
        now: Moment,
    ) -> Result<Vec<Binding>, (u16, &'static str)> {
        let settings = &sbc.registrar;
        if devices.len() > settings.bindings_per_user {
            return Err((403, "Too Many Devices"));
        }
        let mut after = before.to_vec();
        for (device, asked) in devices {
            let mut device = device.clone();
            // Flows of one device are kept apart only where it keeps them alive as RFC 5626 has it; over UDP that takes STUN.
            let outbound = register.outbound && device.instance.is_some() && flow.transport.is_reliable();
            device.reg_id = device.reg_id.filter(|_| outbound);
            let same = |binding: &Binding| binding.device.is_same(&device);
            if before.iter().any(|known| same(known) && is_old(register, known)) {
                return Err(OUT_OF_ORDER);
            }
            let behind_nat = is_behind_nat(&device.contact, flow);
            let pings = device.reg_id.is_some();
            let mut longest = longest(sbc, flow, behind_nat, pings);
            if let Some(hooks) = hooked.and_then(|grant| grant.expires) {
                longest = longest.min(hooks);
            }
            let granted = grant(settings, *asked, longest)?;
            after.retain(|binding| !same(binding));
            let Some(span) = granted else { continue };
            after.push(Binding {
                device,
                transport: flow.transport,
                listener: flow.listener,
                remote: flow.remote,
                connection: (flow.connection != ConnectionId::NONE).then_some(flow.connection),
                behind_nat,
                call_id: register.call_id.clone(),
                cseq: register.cseq,
                user_agent: register.user_agent.clone(),
                expires: now + span,
                voucher: hooked.map(|grant| grant.voucher.clone()),
            });
        }
        // A device that changes its port at each start would lock its user out: the oldest make room.
        let surplus = after.len().saturating_sub(settings.bindings_per_user);
        after.drain(..surplus);
        self.counts.evicted.fetch_add(surplus as u64, Relaxed);
        Ok(after)
    }

    pub(super) fn sweep(&self, bindings: &mut Bindings, now: Moment, most: usize) {
        for aor in bindings.expire(now, most) {
            // What is left of others runs out by itself, in the store too.
            if bindings.live(&aor, now).is_empty() {
                self.keep(&aor, None);
            }
        }
    }

    /// Under the lock of the bindings, so that changes of one user come in order. What finds no room in the store is
    /// counted there, and comes again with the next REGISTER.
    pub(super) fn keep(&self, aor: &Aor, value: Option<Vec<u8>>) {
        if let Some(store) = self.store.get() {
            store.put(Table::Bindings, stored::key(aor), value);
        }
    }
}

/// RFC 3261 §10.3 step 7: a binding is changed only by a later request of the same Call-ID.
const OUT_OF_ORDER: (u16, &str) = (400, "CSeq Out Of Order");

fn is_old(register: &Register, binding: &Binding) -> bool {
    register.call_id == binding.call_id && register.cseq <= binding.cseq
}

/// The longest that a binding may last: a way that closes when it is quiet must be used before it does.
fn longest(sbc: &Sbc, flow: &Flow, behind_nat: bool, pings: bool) -> Duration {
    let settings = &sbc.registrar;
    match flow.transport {
        Transport::Udp if behind_nat => settings.max_expires.min(settings.nat_expires),
        Transport::Udp => settings.max_expires,
        _ if pings => settings.max_expires,
        _ => settings.max_expires.min(sbc.timers.idle_connection.mul_f32(0.75)),
    }
    .max(Duration::from_secs(1))
}

/// How long a device is bound; `Ok(None)`: not any more.
fn grant(
    settings: &RegistrarSettings,
    asked: Option<u32>,
    longest: Duration,
) -> Result<Option<Duration>, (u16, &'static str)> {
    let Some(asked) = asked.map(|seconds| Duration::from_secs(seconds.into())) else {
        return Ok(Some(longest));
    };
    if asked.is_zero() {
        return Ok(None);
    }
    if asked < settings.min_expires.min(longest) {
        return Err((423, "Interval Too Brief"));
    }
    Ok(Some(asked.min(longest)))
}

fn flow_timer(sbc: &Sbc) -> Duration {
    FLOW_TIMER
        .min(sbc.timers.idle_connection.mul_f32(0.5))
        .max(Duration::from_secs(1))
}

fn contact(binding: &Binding, now: Moment) -> String {
    // Rounded up: a refresh that comes when it says is in time.
    let left = binding.expires.since(now).as_millis().div_ceil(1000);
    let mut text = format!("<{}>;expires={left}", binding.device.contact);
    // Writing to a String can't fail.
    if binding.device.q < 1000 {
        let _ = write!(text, ";q=0.{:03}", binding.device.q);
    }
    if let Some(instance) = &binding.device.instance {
        text.push_str(";+sip.instance=");
        push_quoted(instance, &mut text);
    }
    if let Some(id) = binding.device.reg_id {
        let _ = write!(text, ";reg-id={id}");
    }
    text
}
