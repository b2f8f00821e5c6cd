//! A call each way as this configuration makes it, between two peers that only speak their lines: every message is made by the
//! call value that makes those of live calls. No socket, no media.

mod lines;
mod stage;

use crate::config::{Config, Destination, E164, FromTeams, Tenant};
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message};
use lines::{OUTSIDE, carrier_sdp};
use stage::{Caller, Stage};

pub use lines::TeamsSide;

/// What was said, in order.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// What Teams says of itself.
    pub teams: TeamsSide,
    pub said: Vec<Said>,
    /// Media of the tenant come from its users' clients.
    pub bypass: bool,
    /// Whether our `Allow` toward Teams lists REFER.
    pub allows_refer: bool,
    /// Teams sends a REFER.
    pub refers: bool,
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
    let called = config.tenants.iter().find_map(|tenant| teams_user(tenant));
    let (tenant, number) = called.ok_or("no tenant has a number that leads to Teams")?;
    to_user(config, tenant, number)
}

fn to_user(config: &Config, tenant: &Tenant, number: E164) -> Result<Rehearsal, String> {
    let carrier = config.sbc.carriers.first().ok_or("no carrier is configured")?;
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
    let mut busy = Stage::begin(config, Caller::Carrier(carrier), tenant, &number.to_string())?;
    busy.said.clear();
    busy.answer_invite(Scene::Busy, &[(486, None)]);
    said.append(&mut busy.said);
    Ok(Rehearsal {
        bypass,
        allows_refer: allows_refer(&said),
        said,
        refers: false,
        teams,
    })
}

/// A Teams user's call to the telephone network: rings, answered, held and referred by Teams.
pub fn from_teams(config: &Config) -> Result<Rehearsal, String> {
    let tenant = config.tenants.iter().find(|tenant| calls_out(tenant));
    from_tenant(config, tenant.ok_or("no tenant calls out of Teams by a carrier")?)
}

fn from_tenant(config: &Config, tenant: &Tenant) -> Result<Rehearsal, String> {
    let mut stage = Stage::begin(config, Caller::Teams, tenant, OUTSIDE)?;
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
        bypass: stage.bypass,
        allows_refer: allows_refer(&stage.said),
        said: stage.said,
        refers: true,
        teams,
    })
}

/// The same for each other kind of tenant: with media bypass or without, with REFER or without.
pub fn of_other_kinds(config: &Config) -> Vec<Rehearsal> {
    let teams = &config.sbc.teams;
    let kind = |tenant: &Tenant| Kind {
        bypasses: tenant.bypasses(teams),
        refers: tenant.refer.unwrap_or(teams.refer),
    };
    let (mut called, mut calling) = (Vec::new(), Vec::new());
    let mut all = Vec::new();
    for tenant in config.tenants.iter() {
        if let Some((tenant, number)) = teams_user(tenant).filter(|_| is_new(&mut called, kind(tenant)))
            && called.len() > 1
        {
            all.extend(to_user(config, tenant, number));
        }
        if calls_out(tenant) && is_new(&mut calling, kind(tenant)) && calling.len() > 1 {
            all.extend(from_tenant(config, tenant));
        }
    }
    all
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
