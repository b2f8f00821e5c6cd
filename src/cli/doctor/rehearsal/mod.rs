//! A call each way as this configuration makes it, between two peers that only speak their lines: every message is made by the
//! call value that makes those of live calls. No socket, no media.

mod lines;
mod stage;

use crate::config::{Carrier, CarrierId, Config, Destination, E164, FromTeams, Tenant};
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message};
use lines::{OUTSIDE, carrier_sdp};
use stage::{Caller, Stage};
use std::sync::Arc;

pub use lines::TeamsSide;

/// Kinds of carriers beside the first that are gone through each way.
const MOST_KINDS: usize = 32;

/// What was said, in order.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Who speaks so toward the telephone network; empty: whichever a call out of Teams is tried with first.
    pub carriers: Vec<CarrierId>,
    /// What Teams says of itself.
    pub teams: TeamsSide,
    pub said: Vec<Said>,
    /// Media of the tenant come from its users' clients.
    pub bypass: bool,
    /// Whether our `Allow` toward Teams lists REFER.
    pub allows_refer: bool,
    /// Teams sends a REFER.
    pub refers: bool,
    /// The caller hears a ringing tone of ours.
    pub rings_back: bool,
}

/// A message of ours.
#[derive(Debug, Clone)]
pub struct Said {
    pub scene: Scene,
    pub to_teams: bool,
    pub message: Message,
    /// The host that it would be sent to; none for responses.
    pub next: Option<String>,
}

/// What the peers had just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scene {
    Begin,
    Ring,
    EarlyMedia,
    Answer,
    CarrierHolds,
    CarrierResumes,
    CarrierRefreshes,
    TeamsHolds,
    TeamsRefers,
    Busy,
    End,
}

impl Scene {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Scene::Begin => "a call begins",
            Scene::Ring => "it rings",
            Scene::EarlyMedia => "Teams sends a 183 with SDP",
            Scene::Answer => "it is answered",
            Scene::CarrierHolds => "the carrier holds",
            Scene::CarrierResumes => "the carrier resumes",
            Scene::CarrierRefreshes => "the carrier refreshes its session",
            Scene::TeamsHolds => "Teams holds",
            Scene::TeamsRefers => "Teams transfers by REFER",
            Scene::Busy => "Teams is busy",
            Scene::End => "somebody hangs up",
        }
    }
}

impl Rehearsal {
    /// Messages to Teams.
    pub fn to_teams(&self) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(|said| said.to_teams)
    }

    /// Messages of one scene.
    pub fn of(&self, scene: Scene) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(move |said| said.scene == scene)
    }
}

/// A carrier's call to a Teams user: rings, early media, answered, held, resumed, refreshed; and another one to a busy user.
pub fn to_teams(config: &Config) -> Result<Rehearsal, String> {
    let (tenant, number) = called(config).ok_or("no tenant has a number that leads to Teams")?;
    let callers = alike(callers(config));
    to_user(config, tenant, number, callers.first().ok_or("no carrier calls")?)
}

fn called(config: &Config) -> Option<(&Tenant, E164)> {
    config.tenants.iter().find_map(|tenant| teams_user(tenant))
}

/// Carriers that call.
fn callers(config: &Config) -> impl Iterator<Item = &Arc<Carrier>> {
    let carriers = config.sbc.carriers.iter();
    carriers.filter(|carrier| !carrier.identify.networks.is_empty() || carrier.identify.digest.is_some())
}

fn to_user(config: &Config, tenant: &Tenant, number: E164, carriers: &Alike<'_>) -> Result<Rehearsal, String> {
    let carrier = carriers.first;
    let mut said = Vec::new();
    let mut stage = Stage::begin(config, Caller::Carrier(carrier), tenant, &number.to_string())?;
    let (bypass, teams) = (stage.bypass, stage.teams.clone());
    let sdp = || Some(teams.sdp("sendrecv", bypass));
    stage.answer_invite(Scene::Ring, &[(180, None)]);
    stage.answer_invite(Scene::EarlyMedia, &[(183, sdp())]);
    stage.answer_invite(Scene::Answer, &[(200, sdp())]);
    stage.caller_acknowledges();
    stage.caller_offers(Scene::CarrierHolds, "sendonly");
    stage.caller_offers(Scene::CarrierResumes, "sendrecv");
    stage.caller_offers(Scene::CarrierRefreshes, "sendrecv");
    stage.caller_hangs_up();
    said.append(&mut stage.said);
    let rings_back = stage.rings_back;
    let mut busy = Stage::begin(config, Caller::Carrier(carrier), tenant, &number.to_string())?;
    busy.said.clear();
    busy.answer_invite(Scene::Busy, &[(486, None)]);
    said.append(&mut busy.said);
    Ok(Rehearsal {
        carriers: carriers.ids.clone(),
        bypass,
        allows_refer: allows_refer(&said),
        said,
        refers: false,
        rings_back,
        teams,
    })
}

/// A Teams user's call to the telephone network: rings, answered, held and referred by Teams.
pub fn from_teams(config: &Config) -> Result<Rehearsal, String> {
    let tenant = config.tenants.iter().find(|tenant| calls_out(tenant));
    from_tenant(config, tenant.ok_or("no tenant calls out of Teams by a carrier")?, None)
}

/// `by`: carriers of one kind; none: whichever is tried first.
fn from_tenant(config: &Config, tenant: &Tenant, by: Option<&Alike<'_>>) -> Result<Rehearsal, String> {
    let mut stage = Stage::begin(config, Caller::Teams(by.map(|by| by.first.as_ref())), tenant, OUTSIDE)?;
    stage.answer_invite(Scene::Ring, &[(180, None)]);
    stage.answer_invite(Scene::Answer, &[(200, Some(carrier_sdp("sendrecv")))]);
    stage.caller_acknowledges();
    stage.caller_offers(Scene::TeamsHolds, "inactive");
    let teams = stage.teams.clone();
    let refer = format!(
        "Refer-To: <{}>\r\nReferred-By: {}\r\n",
        teams.refer_to, teams.referred_by
    );
    stage.caller_asks(Scene::TeamsRefers, &Method::Refer, &refer, "");
    stage.caller_hangs_up();
    Ok(Rehearsal {
        carriers: by.map(|by| by.ids.clone()).unwrap_or_default(),
        bypass: stage.bypass,
        allows_refer: allows_refer(&stage.said),
        said: stage.said,
        refers: true,
        rings_back: stage.rings_back,
        teams,
    })
}

/// The same for each other kind of tenant, with media bypass or without, with REFER or without; and for each other kind of
/// carrier.
pub fn of_other_kinds(config: &Config) -> Vec<Rehearsal> {
    let teams = &config.sbc.teams;
    let kind = |tenant: &Tenant| Kind {
        bypasses: tenant.bypasses(teams),
        refers: tenant.refer.unwrap_or(teams.refer),
    };
    let callers = alike(callers(config));
    let (mut called_kinds, mut calling) = (Vec::new(), Vec::new());
    let mut all = Vec::new();
    for tenant in config.tenants.iter() {
        if let Some((tenant, number)) = teams_user(tenant).filter(|_| is_new(&mut called_kinds, kind(tenant)))
            && called_kinds.len() > 1
            && let Some(carriers) = callers.first()
        {
            all.extend(to_user(config, tenant, number, carriers));
        }
        if calls_out(tenant) && is_new(&mut calling, kind(tenant)) && calling.len() > 1 {
            all.extend(from_tenant(config, tenant, None));
        }
    }
    if let Some((tenant, number)) = called(config) {
        let others = callers.iter().skip(1).take(MOST_KINDS);
        all.extend(others.filter_map(|carriers| to_user(config, tenant, number, carriers).ok()));
    }
    if let Some(tenant) = config.tenants.iter().find(|tenant| calls_out(tenant)) {
        let tried = tenant.carriers.iter().filter_map(|id| config.carrier(id));
        let others = alike(tried).into_iter().skip(1).take(MOST_KINDS);
        all.extend(others.filter_map(|carriers| from_tenant(config, tenant, Some(&carriers)).ok()));
    }
    all
}

/// Carriers whose calls have the same messages.
struct Alike<'a> {
    first: &'a Arc<Carrier>,
    ids: Vec<CarrierId>,
}

fn alike<'a>(carriers: impl Iterator<Item = &'a Arc<Carrier>>) -> Vec<Alike<'a>> {
    let mut kinds: Vec<Alike<'_>> = Vec::new();
    for carrier in carriers {
        match kinds.iter_mut().find(|kind| speaks_as(kind.first, carrier)) {
            Some(kind) => kind.ids.push(carrier.id.clone()),
            None => kinds.push(Alike {
                first: carrier,
                ids: vec![carrier.id.clone()],
            }),
        }
    }
    kinds
}

/// By what makes the messages of a carrier's calls other ones.
fn speaks_as(one: &Carrier, other: &Carrier) -> bool {
    let (ours, theirs) = (&one.media, &other.media);
    one.ringing == other.ringing
        && one.session_expires == other.session_expires
        && ours.codecs == theirs.codecs
        && ours.dtmf == theirs.dtmf
        && ours.music_on_hold == theirs.music_on_hold
}

/// What makes the messages of a tenant other ones.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    bypasses: bool,
    refers: bool,
}

fn is_new(seen: &mut Vec<Kind>, kind: Kind) -> bool {
    let is_new = !seen.contains(&kind);
    if is_new {
        seen.push(kind);
    }
    is_new
}

fn calls_out(tenant: &Tenant) -> bool {
    tenant.from_teams == FromTeams::Carriers && !tenant.carriers.is_empty()
}

fn allows_refer(said: &[Said]) -> bool {
    let mut to_teams = said.iter().filter(|said| said.to_teams);
    to_teams.any(|said| said.message.lists(HeaderName::Allow, "REFER"))
}

fn teams_user(tenant: &Tenant) -> Option<(&Tenant, E164)> {
    let entry = tenant.numbers.iter().find(|entry| entry.to == Destination::Teams)?;
    Some((tenant, entry.span.first()))
}
