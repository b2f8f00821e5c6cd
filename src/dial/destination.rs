//! Where a target leads: what is named twice is rung once.

use super::targets::{DialFacts, Planning, aor};
use crate::app::verb::{Target, TargetKind};
use crate::config::E164;
use crate::registrar::Aor;
use crate::route::{self, Trace};
use crate::sip::Uri;

/// Where a target leads, however it is written.
#[derive(PartialEq)]
pub(super) enum Destination<'a> {
    Phone {
        callee: route::Callee,
        trunk: Option<&'a str>,
    },
    Uri {
        uri: Written,
        proxy: Option<String>,
    },
    User {
        aor: Aor,
        override_to: Option<&'a str>,
    },
    Teams {
        number: E164,
        voicemail: bool,
    },
}

/// A URI that is another one where RFC 3261 §19.1.4 says so.
pub(super) struct Written(Uri);

impl PartialEq for Written {
    fn eq(&self, other: &Written) -> bool {
        self.0.is_equivalent(&other.0)
    }
}

impl<'a> Planning<'a> {
    /// `None`: what was written leads nowhere.
    pub(super) fn destination(&self) -> Option<Destination<'a>> {
        let DialFacts { config, tenant, .. } = self.facts;
        let target: &'a Target = self.target;
        Some(match &target.kind {
            TargetKind::Phone { number, trunk } => match route::emergency_number(config, number) {
                Some(code) => Destination::Phone {
                    callee: route::Callee::Code(code.to_owned()),
                    trunk: None,
                },
                None => Destination::Phone {
                    callee: route::read_callee(config, tenant, number, &mut Trace::default())?,
                    trunk: trunk.as_deref(),
                },
            },
            TargetKind::Teams { number, voicemail, .. } => Destination::Teams {
                number: self.e164(number).ok()?,
                voicemail: *voicemail,
            },
            TargetKind::User { name, override_to } => Destination::User {
                aor: aor(name, self.facts.realm()?),
                override_to: override_to.as_deref(),
            },
            TargetKind::Sip { uri } => {
                let uri = Uri::parse(uri).ok()?;
                match self.is_of_our_realm(&uri) {
                    true => Destination::User {
                        aor: Aor::of(&uri)?,
                        override_to: None,
                    },
                    false => Destination::Uri {
                        uri: Written(uri),
                        proxy: self.proxy().map(str::to_ascii_lowercase),
                    },
                }
            }
        })
    }
}
