//! `tenants/<name>.toml` as typed.

use super::{At, RawAlgorithm, RawApplication, RawHook, RawLimits, RawSpeechService, RawToken, RawUser, SecretText};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// A tenant: its names, numbers and carriers. One file each, `tenants/<name>.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTenant {
    /// The tenant's own domains. Nobody else may have them.
    pub domains: Vec<At<String>>,
    /// The trunk name is this label in front of `base`. Either this or `fqdn`.
    pub label: Option<At<String>>,
    /// Which of the node's trunks `label` stands in front of: `teams.base`, or one of `teams.further_bases`. Without it:
    /// `teams.base`.
    pub base: Option<At<String>>,
    /// A trunk name of the tenant's own. Either this or `label`. At most 63 characters. Unless it is one label in front of one of
    /// the node's trunks, it is announced to Teams by OPTIONS of its own, and one of the Teams listener's `certificates` has to bear
    /// it: that one is shown on the trunk's connections.
    pub fqdn: Option<At<String>>,
    /// Other trunk names that Teams may use for this tenant.
    #[serde(default)]
    pub aliases: Vec<At<String>>,
    /// The name that the tenant's users register with, such as `sip.contoso.example`. Nobody else may have it.
    pub realm: Option<At<String>>,
    /// Users that register here, beside those in Teams.
    #[serde(default)]
    pub users: Vec<At<RawUser>>,
    /// Whether a user may transfer a call by REFER, to whom it may call itself. Otherwise a REFER is answered 405.
    #[schemars(extend("default" = true))]
    pub users_refer: Option<At<bool>>,
    /// A server of yours that knows users whom `users` does not list: asked whenever one registers, or calls. A URL of
    /// http or https, or a table.
    pub registration_hook: Option<At<RawHook>>,
    /// What that server can check: challenges offer it, as far as all of `users` have a hash for it. Without it: `MD5`,
    /// which is all that servers written for jambonz compute.
    pub registration_algorithms: Option<At<Vec<At<RawAlgorithm>>>>,
    /// Media bypass on this tenant's trunk. Without it: as `teams.bypass` of the machine, and so it has to be for a name below
    /// one of the node's trunks, which inherits it.
    pub bypass: Option<At<bool>>,
    /// Local media optimization: which of `[[media.addresses]]` Teams' users inside the tenant's own network reach. Calls that
    /// Teams says come from one of them (`X-MS-UserLocation: internal`) have their media there, all others where the
    /// listener for Teams has them. Needs a `-BypassMode` on the trunk.
    pub local_media: Option<At<String>>,
    /// Carriers for calls out of Teams, tried in this order.
    pub carriers: At<Vec<At<String>>>,
    /// Applications, by name: servers of yours that are asked what to do with a call.
    #[serde(default)]
    pub application: BTreeMap<String, At<RawApplication>>,
    /// Servers that speak texts for the verb `say`, by name.
    #[serde(default)]
    pub speech_service: BTreeMap<String, At<RawSpeechService>>,
    /// Networks that the servers of `sip` targets may be in, beside public addresses: applications could otherwise try the
    /// machines of private networks through this node.
    #[serde(default)]
    pub allow_sip_networks: Vec<At<String>>,
    /// `account_sid`, a UUID. Without it: one made of the tenant's name, always the same.
    pub account_sid: Option<At<String>>,
    /// Signs requests to applications.
    pub webhook_secret: Option<At<SecretText>>,
    /// The environment variable that holds it.
    pub webhook_secret_env: Option<At<String>>,
    /// The file that holds it; a line end after it is not part of it. Relative paths begin at the configuration folder.
    pub webhook_secret_file: Option<At<String>>,
    /// What decides about calls out of Teams: the carriers in order, or an application. Emergency calls never ask one.
    #[schemars(extend("default" = "carriers"))]
    pub from_teams: Option<At<RawFromTeams>>,
    /// Whether Teams has us transfer the tenant's calls. Without it: `teams.refer`.
    pub refer: Option<At<bool>>,
    /// The tenant's numbers and where calls to them go.
    #[serde(default)]
    pub numbers: Vec<At<RawNumber>>,
    /// Calls out of Teams whose caller number is not the tenant's.
    pub caller: Option<At<RawTenantCaller>>,
    /// Caps on the tenant's calls, both ways together. Emergency calls are exempt.
    pub limits: Option<RawLimits>,
    /// Which telephone numbers the tenant's calls may reach: those of its Teams users, of users that register here, of their
    /// transfers, and of applications. Its own numbers and emergency numbers are always reached.
    pub destinations: Option<RawDestinations>,
    /// Tokens of the REST interface for the tenant's account.
    #[serde(default)]
    pub tokens: Vec<At<RawToken>>,
}

impl RawTenant {
    /// Where the first form of `webhook_secret` stands.
    pub fn webhook_secret_place(&self) -> Range<usize> {
        let text = self.webhook_secret.as_ref().map(At::span);
        let others = [&self.webhook_secret_env, &self.webhook_secret_file];
        text.or_else(|| others.into_iter().flatten().map(At::span).next())
            .unwrap_or_default()
    }

    /// Whether something of the tenant stands in the environment or in other files, so that the same text may mean
    /// something else tomorrow.
    pub fn reads_elsewhere(&self) -> bool {
        self.webhook_secret_env.is_some()
            || self.webhook_secret_file.is_some()
            || self
                .registration_hook
                .as_ref()
                .is_some_and(|hook| hook.value().reads_elsewhere())
            || self
                .application
                .values()
                .any(|application| application.value().reads_elsewhere())
            || self
                .speech_service
                .values()
                .any(|service| service.value().reads_elsewhere())
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawFromTeams {
    Carriers,
    Application(At<String>),
}

/// One number or one range.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawNumber {
    /// One number, E.164 with `+`. Either this or `range`.
    pub number: Option<At<String>>,
    /// Two numbers joined by `-`, both included. Either this or `number`. An exact number beats a range, the narrower
    /// range the wider.
    pub range: Option<At<String>>,
    /// Where calls to it go: to the Teams user who has it, or, while it still lives on a PBX or another trunk, to that
    /// carrier of `sbc.toml`, to a user that registers here (`name@realm`), or to an application.
    #[schemars(extend("default" = "teams"))]
    pub to: Option<At<RawTo>>,
    /// The form in which a single number of a Teams user is assigned in Teams, where that is another one: mostly a main number
    /// with an extension, `+12065550100;ext=1234`. Calls to `number` go there, as do those of carriers and users
    /// to its main number with that extension, where that is nobody else's; who calls or forwards from there shows `number`.
    pub assigned: Option<At<String>>,
    /// Straight to the user's voicemail, without ringing.
    #[schemars(extend("default" = false))]
    pub voicemail: Option<At<bool>>,
    /// Emergency location identification numbers (ELINs): to carriers with `elin` they are shown instead of an emergency
    /// caller's own number where its location record names them. A call to one that comes within `callback` of `[emergency]` goes
    /// to that caller, and to `to` at all other times. At most 10000 of a tenant, and 100000 of a node.
    #[schemars(extend("default" = false))]
    pub elin: Option<At<bool>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawTo {
    Teams,
    Carrier(At<String>),
    User(At<String>),
    Application(At<String>),
}

/// Calls out of Teams whose caller number is not the tenant's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTenantCaller {
    /// `refuse` the call, or `replace` the number by `number`. A call that a number of the
    /// tenant's has forwarded or transferred, as Teams says by History-Info, Diversion or Referred-By, is the tenant's: it keeps its
    /// caller, and what goes on of who forwarded it `history` of the carrier says. Teams says so with `-ForwardCallHistory` on the trunk,
    /// as `portcullis teams powershell` sets it; without, forwards and transfers from Teams to the telephone network are refused, or show
    /// `number`. A caller with a number of the tenant's in P-Asserted-Identity is the tenant's as well.
    #[schemars(extend("default" = "refuse"))]
    pub outside: Option<At<RawOutside>>,
    /// One of the tenant's numbers, shown instead. Needed for `replace`.
    pub number: Option<At<String>>,
    /// The tenant's trunk in Teams has ForwardPai on: each of its calls then bears `Privacy: id` and may hide From, whoever
    /// calls. The number in P-Asserted-Identity is shown where it is the tenant's, and nobody is taken for anonymous who has
    /// one. Without it such calls go out as anonymous ones.
    #[schemars(extend("default" = false))]
    pub forward_pai: Option<At<bool>>,
}

/// Beginnings of numbers, such as `+44`; the longest that a number begins with decides. What is dialled without a plus (short
/// codes, star codes, a number behind `00`) is called only where `allow` lists its beginning.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDestinations {
    /// Where any begins with `+`, no other numbers are called.
    #[serde(default)]
    pub allow: Vec<At<String>>,
    /// Never called, unless a longer beginning is in `allow`.
    #[serde(default)]
    pub deny: Vec<At<String>>,
    /// Calls through carriers in a day, counted in days from the start of the process; a call that is tried at several carriers
    /// is one. Without it: no cap. More are refused with 503. Calls from one carrier to another are not counted.
    #[schemars(range(min = 1))]
    pub calls_per_day: Option<At<u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawOutside {
    Refuse,
    Replace,
}
