//! What was typed, as the INVITE that would arrive.

use super::ExplainArgs;
use crate::carrier::read_number;
use crate::config::{CallerHeader, Carrier, CarrierId, Config, E164, Tenant, UserName, nearest};
use crate::observe::printable;
use crate::registrar::Aor;
use crate::route::{self, ElinFacts, EmergencyCaller, Facts, Origin, TraceStep, Voucher};
use crate::sip::message::{HeaderName, Message, RequestDraft};
use crate::sip::{Method, NameAddr, Uri, escaped_user, without_separators};
use std::path::PathBuf;
use std::sync::Arc;

/// The host of URIs where none was given and none matters.
const SOMEWHERE: &str = "explain.invalid";

/// A call to explain.
#[derive(Debug)]
pub struct Question {
    pub facts: Facts,
    /// What the INVITE says of who calls and who has diverted the call, and nobody reads.
    pub unread: Vec<TraceStep>,
    /// What was guessed, in words.
    pub assumed: Option<String>,
}

/// Why there is no question.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    #[error("there is no carrier '{typed}'{}", known(.nearest, .names))]
    UnknownCarrier {
        typed: String,
        nearest: Option<String>,
        names: Vec<String>,
    },
    #[error("there is no tenant '{typed}'{}", known(.nearest, .names))]
    UnknownTenant {
        typed: String,
        nearest: Option<String>,
        names: Vec<String>,
    },
    #[error("{0} is none of any tenant's numbers and no carrier is configured: say --tenant NAME")]
    NoOrigin(String),
    #[error("'{0}' is no header: write it as \"Name: value\"")]
    BadHeader(String),
    #[error("{option} '{typed}' is neither a number nor a SIP or tel URI")]
    NoAddress { option: &'static str, typed: String },
    #[error("no INVITE can be made of this: {0}")]
    NoInvite(String),
    #[error("--location {}: {why}", .file.display())]
    NoLocation { file: PathBuf, why: std::io::Error },
    #[error(
        "--emergency-caller: only carriers call ELINs, numbers of a tenant with `elin = true`, and {0} is none that they call"
    )]
    NoElin(String),
    #[error("--emergency-caller '{0}' is neither a number, + and its digits, nor a user")]
    NoCaller(String),
}

fn known(nearest: &Option<String>, names: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean '{nearest}'?"),
        None if names.is_empty() => "; none is configured".to_owned(),
        // A long list helps nobody.
        None => format!(
            "; there are {}",
            names.iter().take(10).cloned().collect::<Vec<_>>().join(", ")
        ),
    }
}

impl Question {
    /// Reads the arguments; says what it had to guess.
    pub fn read(args: &ExplainArgs, config: &Config) -> Result<Question, QuestionError> {
        if let Some((tenant, name, voucher)) = user(args, config) {
            let realm = tenant.realm.as_ref().map_or(SOMEWHERE, |realm| realm.name.as_str());
            let assumed = voucher.is_some().then(|| {
                format!(
                    "the registration hook of tenant '{}' vouches for user '{name}'",
                    tenant.id
                )
            });
            let invite = invite(args, realm)?;
            let facts = Facts::of_user(tenant, &name, voucher, &invite);
            return Ok(Question {
                facts: with_elin(args, config, facts, &invite)?,
                // What a device says of that counts for nothing in any case.
                unread: Vec::new(),
                assumed,
            });
        }
        let (origin, host, believe, assumed) = match (&args.carrier, &args.tenant) {
            (Some(typed), _) => {
                let carrier = carrier(config, typed)?;
                from_carrier(carrier, None)
            }
            (None, Some(typed)) => from_teams(tenant(config, typed)?, None),
            (None, None) => guess(args, config)?,
        };
        let invite = invite(args, &host)?;
        let unread = route::unread(&invite).into_iter().map(|(name, value, why)| TraceStep {
            rule: "header".to_owned(),
            subject: format!("{} {}", name.as_str(), printable(&value)),
            outcome: format!("{why}: passed over"),
        });
        let facts = match origin {
            Origin::Teams => Facts::from_teams(config, &invite),
            origin => Facts::read(origin, &invite, believe),
        };
        Ok(Question {
            unread: unread.collect(),
            facts: with_elin(args, config, facts, &invite)?,
            assumed,
        })
    }
}

/// What the location record says, or for whom the called number stands.
fn with_elin(args: &ExplainArgs, config: &Config, facts: Facts, invite: &Message) -> Result<Facts, QuestionError> {
    let Some(typed) = &args.emergency_caller else {
        return Ok(facts.with_location(config, invite));
    };
    let caller = match (E164::parse(typed), typed.split('@').next().map(UserName::parse)) {
        (Ok(number), _) => EmergencyCaller::Teams(number),
        (_, Some(Ok(name))) => EmergencyCaller::User(name),
        _ => return Err(QuestionError::NoCaller(printable(typed).to_string())),
    };
    let called = match &facts.origin {
        Origin::Carrier(id) => config
            .carrier(id)
            .and_then(|carrier| read_number(&carrier.numbers, &facts.dialled)),
        Origin::Teams | Origin::User { .. } => None,
    };
    match called.and_then(|number| route::elin_of(config, number)) {
        Some(_) => Ok(Facts {
            elin: ElinFacts::ShownFor(caller),
            ..facts
        }),
        None => Err(QuestionError::NoElin(printable(&facts.dialled).to_string())),
    }
}

/// A registered user that calls: an address in a realm says so by itself. What a hook would say of one that is not listed
/// is taken for a plain yes.
fn user<'a>(args: &ExplainArgs, config: &'a Config) -> Option<(&'a Tenant, UserName, Option<Voucher>)> {
    if args.carrier.is_some() || args.tenant.is_some() {
        return None;
    }
    let aor = Aor::parse(args.from())?;
    let (tenant, realm) = config.realm(&aor.realm)?;
    match realm.user(&aor.user) {
        Some(listed) => Some((tenant, listed.name.clone(), None)),
        None => {
            realm.hook.as_ref()?;
            Some((tenant, UserName::parse(&aor.user).ok()?, Some(Voucher::default())))
        }
    }
}

type Guess = (Origin, String, CallerHeader, Option<String>);

fn from_carrier(carrier: &Carrier, assumed: Option<String>) -> Guess {
    (
        Origin::Carrier(carrier.id.clone()),
        SOMEWHERE.to_owned(),
        carrier.caller.read,
        assumed,
    )
}

fn from_teams(tenant: &Tenant, assumed: Option<String>) -> Guess {
    (Origin::Teams, tenant.fqdn.to_string(), CallerHeader::From, assumed)
}

/// A tenant's number calls out of Teams, everybody else calls from a carrier.
fn guess(args: &ExplainArgs, config: &Config) -> Result<Guess, QuestionError> {
    let probe = invite(args, SOMEWHERE)?;
    let facts = Facts::read(Origin::Teams, &probe, CallerHeader::From);
    if let Some(tenant) = config.tenant_by_host(&facts.host) {
        let why = format!(
            "{} is the trunk of tenant '{}': the call comes out of Teams",
            facts.host, tenant.id
        );
        return Ok(from_teams(tenant, Some(why)));
    }
    let owner = |number: &str| E164::parse(number).ok().and_then(|number| config.number(number));
    if let Some((tenant, _)) = owner(&facts.caller.number) {
        let why = format!(
            "{} is a number of tenant '{}': the call comes out of Teams (else say --carrier ID)",
            facts.caller.number, tenant.id
        );
        return Ok(from_teams(tenant, Some(why)));
    }
    let reads = |carrier: &&Arc<Carrier>| {
        read_number(&carrier.numbers, &facts.dialled).is_some_and(|number| config.number(number).is_some())
    };
    let carriers = &config.sbc.carriers;
    let carrier = carriers.iter().find(reads).or_else(|| carriers.first());
    let carrier = carrier.ok_or_else(|| QuestionError::NoOrigin(args.from().to_owned()))?;
    let why = format!(
        "the call comes from carrier '{}' (else say --carrier ID or --tenant NAME)",
        carrier.id
    );
    Ok(from_carrier(carrier, Some(why)))
}

fn carrier<'a>(config: &'a Config, typed: &str) -> Result<&'a Arc<Carrier>, QuestionError> {
    let found = CarrierId::parse(typed).ok().and_then(|id| config.carrier(&id));
    found.ok_or_else(|| {
        let names: Vec<String> = config
            .sbc
            .carriers
            .iter()
            .map(|carrier| carrier.id.to_string())
            .collect();
        QuestionError::UnknownCarrier {
            typed: typed.to_owned(),
            nearest: nearest(typed, names.iter().map(String::as_str)).map(str::to_owned),
            names,
        }
    })
}

fn tenant<'a>(config: &'a Config, typed: &str) -> Result<&'a Arc<Tenant>, QuestionError> {
    let by_id = config.tenants.iter().find(|tenant| tenant.id.as_str() == typed);
    by_id.or_else(|| config.tenant_by_name(typed)).ok_or_else(|| {
        let names: Vec<String> = config.tenants.iter().map(|tenant| tenant.id.to_string()).collect();
        QuestionError::UnknownTenant {
            typed: typed.to_owned(),
            nearest: nearest(typed, names.iter().map(String::as_str)).map(str::to_owned),
            names,
        }
    })
}

/// The INVITE, so that the reader of live INVITEs reads this one too.
fn invite(args: &ExplainArgs, host: &str) -> Result<Message, QuestionError> {
    let (typed_from, typed_to) = (args.from(), args.to());
    let uri = match (typed_to.contains(':'), typed_to.contains('@')) {
        (true, _) => typed_to.to_owned(),
        (false, true) => format!("sip:{typed_to}"),
        (false, false) => format!("sip:{}@{host}", number(typed_to)),
    };
    let from = match typed_from {
        "anonymous" => "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(),
        address if address.contains('<') => address.to_owned(),
        uri if uri.contains(':') => format!("<{uri}>"),
        address if address.contains('@') => format!("<sip:{address}>"),
        typed => format!("<sip:{}@{SOMEWHERE}>", number(typed)),
    };
    let no_address = |option, typed: &str| QuestionError::NoAddress {
        option,
        typed: printable(typed).to_string(),
    };
    if NameAddr::parse(HeaderName::From, &from).is_err() {
        return Err(no_address("--from", typed_from));
    }
    if Uri::parse(&uri).is_err() {
        return Err(no_address("--to", typed_to));
    }
    let mut draft = RequestDraft::new(Method::Invite, &uri)
        .header(HeaderName::From, format!("{from};tag=explain"))
        .header(HeaderName::To, format!("<{uri}>"))
        .header(HeaderName::CallId, "explain")
        .header(HeaderName::CSeq, "1 INVITE")
        .header(HeaderName::MaxForwards, "70");
    for header in &args.headers {
        let bad = || QuestionError::BadHeader(header.clone());
        let (name, value) = header.split_once(':').ok_or_else(bad)?;
        draft = draft.raw_header(name.trim(), value.trim()).map_err(|_| bad())?;
    }
    if let Some(file) = &args.location {
        let record = std::fs::read(file).map_err(|why| QuestionError::NoLocation {
            file: file.clone(),
            why,
        })?;
        draft = draft.body("application/pidf+xml", record);
    }
    let wire = draft.to_bytes("SIP/2.0/UDP explain.invalid;branch=z9hG4bKexplain");
    let message = Message::parse(wire).map_err(|error| QuestionError::NoInvite(error.to_string()))?;
    if message.from().is_err() {
        return Err(no_address("--from", typed_from));
    }
    match message.uri() {
        Some(_) => Ok(message),
        None => Err(no_address("--to", typed_to)),
    }
}

/// A number as people write it, without what is there for the eye.
fn number(typed: &str) -> String {
    let written = without_separators(typed.trim());
    let digits = written.strip_prefix('+').unwrap_or(&written);
    let is_number = !digits.is_empty()
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'));
    match is_number {
        true => escaped_user(&written).to_string(),
        false => typed.to_owned(),
    }
}
