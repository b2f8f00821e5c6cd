//! Who sent a request: a user's password is proven, or a challenge asks for it.

use super::aor::Aor;
use super::binding::Binding;
use super::door::{Registrar, Reply, answer, lock};
use crate::config::{Config, Realm, Sbc, Tenant, User};
use crate::guard::Failures;
use crate::moment::Moment;
use crate::route::{self, Voucher};
use crate::sip::Flow;
use crate::sip::digest::{self, Authorizations, Claim, Password, Unproven};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A password that nobody has, so that an unknown user costs what a known one does.
const NOBODY: Password<'static> = Password::Hashed {
    md5: Some("00000000000000000000000000000000"),
    sha256: Some("0000000000000000000000000000000000000000000000000000000000000000"),
};

/// Whether a request comes from a user.
#[derive(Debug)]
pub enum UserProof {
    Proven {
        tenant: Arc<Tenant>,
        aor: Aor,
        /// What the tenant's registration hook said of a user that is not listed.
        voucher: Option<Voucher>,
    },
    Unproven(Reply),
}

impl Registrar {
    /// Who sent this request outside a dialog: known by the connection that it registered on, else by its password.
    pub fn sender(&self, config: &Config, message: &Message, flow: &Flow, now: Moment) -> UserProof {
        let from = message.from().ok().and_then(|from| Aor::of(from.uri()));
        let Some((aor, (tenant, realm))) = from.and_then(|aor| {
            let found = config.realm(&aor.realm)?;
            Some((aor, found))
        }) else {
            return UserProof::Unproven(Reply::Foreign);
        };
        // Over UDP whoever writes a datagram chooses its source.
        if flow.transport.is_reliable() && self.is_registered_on(&aor, flow, now) {
            let voucher = match realm.user(&aor.user) {
                Some(_) => Some(None),
                None => self.known_by_hook(realm, &aor, now).map(Some),
            };
            if let Some(voucher) = voucher {
                let tenant = tenant.clone();
                return UserProof::Proven { tenant, aor, voucher };
            }
        }
        // A ban slows the guessing of passwords; who has the right one calls for help in spite of it (promise 6).
        let ban = match route::is_emergency_call(config, message) {
            true => Ban::Ignored,
            false => Ban::Heeded,
        };
        match self.prove(realm, message, flow, ban, now) {
            Ok(Proof::Listed(user)) => UserProof::Proven {
                tenant: tenant.clone(),
                aor: Aor::new(user.name.as_str(), realm.name.as_str()),
                voucher: None,
            },
            Ok(Proof::Hook(claim)) => match self.emergency_caller(config, realm, &claim, message, flow, now) {
                Some((aor, voucher)) => UserProof::Proven {
                    tenant: tenant.clone(),
                    aor,
                    voucher: Some(voucher),
                },
                // The hook, which may be what asked for the ban, hears nothing more of the banned.
                None if self.is_banned(flow, &claim, now) => {
                    UserProof::Unproven(self.refuse(config, realm, Refused::Banned, flow, now))
                }
                None => UserProof::Unproven(self.question(config, tenant, claim, None, message, (flow, now))),
            },
            Err(why) => UserProof::Unproven(self.refuse(config, realm, why, flow, now)),
        }
    }

    fn refuse(&self, config: &Config, realm: &Realm, why: Refused, flow: &Flow, now: Moment) -> Reply {
        Reply::Forgotten(self.challenge(&config.sbc, realm, why, HeaderName::ProxyAuthenticate, flow, now))
    }

    fn is_banned(&self, flow: &Flow, claim: &Claim, now: Moment) -> bool {
        lock(&self.failures).is_banned(flow.remote.ip(), &claim.username, now)
    }

    /// What the hook of a realm has said of a user that is registered.
    fn known_by_hook(&self, realm: &Realm, aor: &Aor, now: Moment) -> Option<Voucher> {
        realm.hook.as_ref()?;
        self.voucher(aor, now)
    }

    /// An emergency call asks no hook (promise 6): a user that is registered, from an address that one of its devices
    /// registered from, passes with any answer to a nonce that was sent there.
    fn emergency_caller(
        &self,
        config: &Config,
        realm: &Realm,
        claim: &Claim,
        message: &Message,
        flow: &Flow,
        now: Moment,
    ) -> Option<(Aor, Voucher)> {
        let aor = Aor::new(&claim.username, realm.name.as_str());
        let here = |binding: &Binding| binding.remote.ip() == flow.remote.ip();
        if !route::is_emergency_call(config, message) || !self.bindings(&aor, now).iter().any(here) {
            return None;
        }
        let voucher = self.known_by_hook(realm, &aor, now)?;
        lock(&self.used).spend(claim, now).ok()?;
        Some((aor, voucher))
    }

    /// The user whose password the request proves, or what is to prove it to the realm's hook. What an unknown user gets,
    /// and without a hook what it costs, is what a known one with a wrong password gets.
    pub(super) fn prove<'c>(
        &self,
        realm: &'c Realm,
        message: &Message,
        flow: &Flow,
        ban: Ban,
        now: Moment,
    ) -> Result<Proof<'c>, Refused> {
        let authorizations = message
            .headers(HeaderName::ProxyAuthorization)
            .chain(message.headers(HeaderName::Authorization));
        let method = message.cseq_method();
        let authorizations = Authorizations::read(authorizations);
        let claim = self.digest.read(&authorizations, asked(realm, flow), now);
        let claim = claim.map_err(Refused::Unproven)?;
        let source = flow.remote.ip();
        let banned = self.is_banned(flow, &claim, now);
        if banned && ban == Ban::Heeded {
            return Err(Refused::Banned);
        }
        let known = realm.user(&claim.username);
        let user = digest::User {
            realm: realm.name.as_str(),
            username: &claim.username,
            password: known.map_or(NOBODY, |user| user.secret.password()),
        };
        // An answer that was made for one request may not be used for another, such as a call to somebody else.
        let redirected = !claim.fits(message.uri().as_ref(), realm.name.as_str());
        if known.is_none() && realm.hook.is_some() && !redirected {
            return match lock(&self.used).is_fresh(&claim) {
                true => Ok(Proof::Hook(claim)),
                false => Err(Refused::Unproven(Unproven::Stale)),
            };
        }
        let checked = match claim.is_right(method.as_str(), &user) {
            true => lock(&self.used).spend(&claim, now),
            false => Err(Unproven::Wrong),
        };
        match (checked, known) {
            (Ok(()), Some(user)) if !redirected => Ok(Proof::Listed(user)),
            (Err(Unproven::Stale), _) => Err(Refused::Unproven(Unproven::Stale)),
            _ => {
                lock(&self.failures).note(source, &claim.username, now);
                self.counts.wrong.fetch_add(1, Relaxed);
                Err(match banned {
                    true => Refused::Banned,
                    false => Refused::Unproven(Unproven::Wrong),
                })
            }
        }
    }

    pub(super) fn challenge(
        &self,
        sbc: &Sbc,
        realm: &Realm,
        why: Refused,
        header: HeaderName,
        flow: &Flow,
        now: Moment,
    ) -> ResponseDraft {
        let Refused::Unproven(why) = why else {
            self.counts.banned.fetch_add(1, Relaxed);
            return answer(sbc, 403).header(HeaderName::RetryAfter, Failures::WINDOW.as_secs().to_string());
        };
        if why == Unproven::Wrong && realm.hook.is_some() {
            return denial(sbc);
        }
        self.counts.challenged.fetch_add(1, Relaxed);
        let status = if header == HeaderName::ProxyAuthenticate {
            407
        } else {
            401
        };
        let challenges = self.digest.challenges(asked(realm, flow), why, now);
        challenges
            .iter()
            .fold(answer(sbc, status), |draft, challenge| draft.header(header, challenge))
    }
}

/// What a request proves.
pub(super) enum Proof<'c> {
    /// The password of a user that the file lists.
    Listed(&'c User),
    /// Nothing yet: this is for the realm's hook to judge.
    Hook(Claim),
}

/// What a wrong password gets where a hook is asked, whoever finds it wrong.
pub(super) fn denial(sbc: &Sbc) -> ResponseDraft {
    let draft = answer(sbc, 403);
    // A name and a text that fit into a header.
    draft
        .clone()
        .raw_header("X-Reason", "Invalid credentials")
        .unwrap_or(draft)
}

/// Why a request proves no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Unproven(Unproven),
    Banned,
}

/// What a ban means for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ban {
    /// It is not looked at.
    Heeded,
    /// The right password passes; a wrong one counts as ever.
    Ignored,
}

/// What a challenge to the sender of `flow` says; its nonce is good for nobody else.
fn asked<'a>(realm: &'a Realm, flow: &Flow) -> digest::Realm<'a> {
    digest::Realm {
        name: realm.name.as_str(),
        algorithms: &realm.algorithms,
        source: Some(flow.remote),
    }
}
