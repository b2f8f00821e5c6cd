//! What routing needs to know of an INVITE.

use super::diversions::{Diversion, diversions};
use super::elin::ElinFacts;
use super::extension::{extension_of, number_in_teams};
use super::hidden::is_nobody;
use super::voucher::{Vouched, Voucher};
use crate::carrier::read_number;
use crate::config::{CallerHeader, CarrierId, Config, E164, NumberRules, Tenant, TenantId, UserName};
use crate::sip::message::{HeaderName, Message};
use crate::sip::{NameAddr, Scheme, Uri, plain_user, without_separators};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Where a call came from, proven by address and certificate before routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Teams,
    Carrier(CarrierId),
    /// A user that registers here.
    User {
        tenant: TenantId,
        name: UserName,
    },
}

/// The facts of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub origin: Origin,
    /// User part of the Request-URI, or the number of a `tel:` URI; parameters of the user part cut off.
    pub dialled: String,
    /// The extension that was dialled behind it (RFC 3966 §5.3).
    #[serde(default)]
    pub extension: Option<String>,
    /// Host of the Request-URI, empty for `tel:`.
    pub host: String,
    pub caller: Caller,
    /// The user of the tenant that other users are shown as the caller.
    #[serde(default)]
    pub colleague: Option<UserName>,
    /// Who the call was diverted by, the latest last.
    pub diversions: Vec<Diversion>,
    /// Users in it whom a registration hook vouches for.
    #[serde(default)]
    pub vouched: Vouched,
    /// What is known of emergency location identification numbers.
    #[serde(default)]
    pub elin: ElinFacts,
}

/// Octets that are read of a user part or a display name: both go on to others.
const MAX_NAME: usize = 255;
/// Digits of a number that is one, and letters of a word that is one: as a dial string of the configuration.
pub(super) const MAX_DIGITS: usize = 32;

impl Facts {
    /// Reads the facts of an INVITE; `believe` names the header that the trunk's policy takes the caller from.
    pub fn read(origin: Origin, invite: &Message, believe: CallerHeader) -> Facts {
        Facts::read_with(number_of, origin, invite, believe)
    }

    /// `read_number`: the number that the URI of somebody who calls or has diverted names.
    fn read_with(
        read_number: impl Fn(&Uri) -> String,
        origin: Origin,
        invite: &Message,
        believe: CallerHeader,
    ) -> Facts {
        let uri = invite.uri();
        Facts {
            origin,
            dialled: uri.as_ref().map(number_of).unwrap_or_default(),
            host: uri.as_ref().map(|uri| uri.host().to_owned()).unwrap_or_default(),
            extension: uri.as_ref().and_then(extension_of),
            caller: Caller::read(invite, believe, &read_number),
            colleague: None,
            diversions: diversions(invite, read_number),
            vouched: Vouched::default(),
            elin: ElinFacts::None,
        }
    }

    /// The facts of a call from Teams, which may have numbers in another form (TEAMS-040). On a trunk with ForwardPai every
    /// call bears `Privacy: id` and may hide From, whoever calls, so that neither asks for anything: the asserted number counts
    /// where it is the tenant's (TEAMS-049).
    pub fn from_teams(config: &Config, invite: &Message) -> Facts {
        let uri = invite.uri();
        let tenant = uri.as_ref().and_then(|uri| config.tenant_by_host(uri.host()));
        let read_number = |uri: &Uri| number_in_teams(tenant.map(AsRef::as_ref), uri);
        let mut facts = Facts::read_with(read_number, Origin::Teams, invite, CallerHeader::From);
        let tenant = tenant.filter(|tenant| tenant.forward_pai);
        let owner = |number: &str| E164::parse(number).ok().and_then(|number| config.number(number));
        let is_its = |number: &&String| {
            let owner = owner(number).map(|(owner, _)| &owner.id);
            owner.is_some() && owner == tenant.map(|tenant| &tenant.id)
        };
        if let Some(asserted) = facts.caller.asserted.as_ref().filter(is_its) {
            if facts.caller.number.is_empty() {
                facts.caller.number.clone_from(asserted);
                facts.caller.claimed = Some(Claimed::default());
                facts.caller.display = Caller::asserted(invite, &read_number).and_then(|(_, display)| display);
            }
            facts.caller.private = false;
        }
        facts
    }

    /// The facts of a call from a user: what its device says of who calls counts for its display name and privacy alone,
    /// and of diversions for nothing. `voucher`: what the tenant's registration hook says of a user that is not listed.
    pub fn of_user(tenant: &Tenant, name: &UserName, voucher: Option<Voucher>, invite: &Message) -> Facts {
        let origin = Origin::User {
            tenant: tenant.id.clone(),
            name: name.clone(),
        };
        let mut facts = Facts::read(origin, invite, CallerHeader::From);
        let user = tenant.realm.as_ref().and_then(|realm| realm.user(name.as_str()));
        let number = match (user, &voucher) {
            (None, Some(_)) => tenant.number_of(name),
            (user, _) => user.and_then(|user| user.number),
        };
        let number = number.map(|number| number.to_string());
        facts.caller = Caller {
            number: number.unwrap_or_default(),
            asserted: None,
            display: user.and_then(|user| user.display.clone()).or(facts.caller.display),
            private: facts.caller.private,
            claimed: None,
        };
        facts.colleague = Some(name.clone());
        facts.diversions.clear();
        facts.vouched.caller = voucher;
        facts
    }
}

impl Facts {
    /// The facts as calls are planned from them: by the rules of the carrier that they come from, if any.
    pub fn understood_by(&self, config: &Config) -> Cow<'_, Facts> {
        let carrier = match &self.origin {
            Origin::Carrier(id) => config.carrier(id),
            Origin::Teams | Origin::User { .. } => None,
        };
        match carrier {
            Some(carrier) => Cow::Owned(self.understood(&carrier.numbers)),
            None => Cow::Borrowed(self),
        }
    }

    /// The same with every number that a carrier's rules can read as E.164: what is planned for another trunk must not
    /// bear the first one's way of writing.
    pub fn understood(&self, rules: &NumberRules) -> Facts {
        let read =
            |number: &str| read_number(rules, number).map_or_else(|| number.to_owned(), |number| number.to_string());
        let mut facts = self.clone();
        facts.caller.number = read(&facts.caller.number);
        facts.caller.asserted = facts.caller.asserted.as_deref().map(read);
        if let Some(claimed) = &mut facts.caller.claimed {
            claimed.number = read(&claimed.number);
        }
        for diversion in &mut facts.diversions {
            diversion.number = read(&diversion.number);
        }
        facts
    }
}

impl Caller {
    fn read(invite: &Message, believe: CallerHeader, read_number: &impl Fn(&Uri) -> String) -> Caller {
        let from = invite.from().ok();
        let anonymous = from.as_ref().is_some_and(|from| {
            from.uri().host().eq_ignore_ascii_case("anonymous.invalid")
                || from.uri().user().is_some_and(|user| is_nobody(&plain_user(user)))
        });
        let asserted = Caller::asserted(invite, read_number);
        let privacy = invite.headers(HeaderName::Privacy).any(|value| {
            value
                .split([';', ','])
                .any(|word| matches!(word.trim().to_ascii_lowercase().as_str(), "id" | "user" | "header"))
        });
        let from_number = from
            .as_ref()
            .filter(|_| !anonymous)
            .map(|from| read_number(from.uri()))
            .unwrap_or_default();
        let from_display = from
            .as_ref()
            .filter(|_| !anonymous)
            .and_then(|from| name_in(from.display()));
        let asserted_number = asserted.as_ref().map(|(number, _)| number.clone());
        // A name is that of its own number: the other header's only where it has the same number.
        let same = |number: &str| !number.is_empty() && without_plus(number) == without_plus(&from_number);
        let asserted_name = asserted.as_ref().filter(|(number, _)| same(number));
        let asserted_name = asserted_name.and_then(|(_, name)| name.clone());
        let believed = asserted.filter(|_| match believe {
            CallerHeader::Pai => true,
            CallerHeader::From => from_number.is_empty() && !anonymous,
        });
        let (number, display, claimed) = match believed {
            // An identity is asserted as a whole, name and number (RFC 3325 §9.1); without a name it says nothing of that.
            Some((number, display)) => {
                let display = display.or_else(|| from_display.clone().filter(|_| same(&number)));
                let claimed = Claimed {
                    number: from_number,
                    display: from_display,
                };
                (number, display, Some(claimed))
            }
            None if from_display.is_none() && asserted_name.is_some() => {
                let claimed = Claimed {
                    number: from_number.clone(),
                    display: None,
                };
                (from_number, asserted_name, Some(claimed))
            }
            None => (from_number, from_display, None),
        };
        Caller {
            number,
            asserted: asserted_number,
            display,
            private: privacy || anonymous,
            claimed,
        }
    }

    /// The number and the name of P-Asserted-Identity. Two values may stand there: a telephone number and a user's address;
    /// the number counts (TEAMS-049). The two are one identity (RFC 3325 §9.1), so that a name at either is its name, unless
    /// they are of two numbers.
    fn asserted(invite: &Message, read_number: &impl Fn(&Uri) -> String) -> Option<(String, Option<String>)> {
        let values: Vec<NameAddr> = invite.addresses(HeaderName::PAssertedIdentity).flatten().collect();
        let number_in = |address: &NameAddr| Some(read_number(address.uri())).filter(|number| is_number(number));
        let mut numbers = values
            .iter()
            .rev()
            .filter_map(|address| Some((number_in(address)?, address)));
        let last = numbers.next()?;
        // One that its user alone has says more than the main number that stands beside it.
        let is_own = |(number, address): &(String, &NameAddr)| *number != number_of(address.uri());
        let (number, counts) = match is_own(&last) {
            true => last,
            false => numbers.find(is_own).unwrap_or(last),
        };
        let own = || name_in(counts.display());
        let name = match values.as_slice() {
            [one, other] if (one.uri().scheme() == Scheme::Tel) != (other.uri().scheme() == Scheme::Tel) => {
                let other = if std::ptr::eq(counts, one) { other } else { one };
                let same = |found: String| without_plus(&found) == without_plus(&number);
                let one_identity = number_in(other).is_none_or(same);
                own().or_else(|| name_in(other.display()).filter(|_| one_identity))
            }
            _ => own(),
        };
        Some((number, name))
    }

    /// The caller without what is asserted of it: what its From says, and no more.
    pub fn unasserted(&self) -> Caller {
        let plain = Caller {
            asserted: None,
            ..self.clone()
        };
        match plain.claimed {
            Some(Claimed { number, display }) => Caller {
                number,
                display,
                claimed: None,
                ..plain
            },
            None => plain,
        }
    }
}

/// The number that a URI names: the user part without its own parameters, and without escapes that mean nothing. Visual separators are taken out of what is a
/// telephone number (RFC 3966 §5.1.1): in `tel:`, behind a plus, and where `user=phone` says so (RFC 3261 §19.1.1).
pub fn number_of(uri: &Uri) -> String {
    let user = uri.user().unwrap_or_default();
    let user = plain_user(user.split(';').next().unwrap_or(user));
    let user = user.get(..user.floor_char_boundary(MAX_NAME)).unwrap_or_default();
    if uri.scheme() == Scheme::Tel {
        return without_separators(user);
    }
    let says_phone = || uri.param("user").is_some_and(|user| user.eq_ignore_ascii_case("phone"));
    let written = without_separators(user);
    match written.len() < user.len() && is_number(&written) && (user.starts_with('+') || says_phone()) {
        true => written,
        false => user.to_owned(),
    }
}

pub(super) fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_NAME))
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Who is calling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The number as written by the source that the trunk's policy believes: `+14255550111`, `0151…`, empty when unknown.
    pub number: String,
    /// The number that the network vouches for in P-Asserted-Identity, as written.
    pub asserted: Option<String>,
    pub display: Option<String>,
    /// `Privacy: id` (or stronger), or an anonymous From (RFC 3323, RFC 3325).
    pub private: bool,
    /// What From says itself, where `number` is asserted and no more.
    #[serde(default)]
    pub claimed: Option<Claimed>,
}

/// Whom a From names that is not believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Empty where it names nobody.
    pub number: String,
    pub display: Option<String>,
}

/// A display name that says something.
fn name_in(display: Option<&str>) -> Option<String> {
    display.filter(|name| !name.is_empty()).map(cut)
}

fn without_plus(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::super::unread;
    use super::*;

    fn invite(extra: &str) -> Message {
        let text = format!(
            "INVITE sip:+12065550100@woodgrove.sbc1.example.net:5061;user=phone;transport=tls SIP/2.0\r\n\
             TO: <sip:+12065550100@woodgrove.sbc1.example.net:5061;user=phone>\r\nCSEQ: 1 INVITE\r\nCALL-ID: 0a3d\r\n\
             VIA: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK7a6f150b\r\n{extra}CONTENT-LENGTH: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).expect("a message")
    }

    #[test]
    fn forward_pai_hides_from_and_the_telephone_number_of_two_counts() {
        let invite = invite(
            "FROM: <sip:anonymous@anonymous.invalid>;tag=17\r\n\
             P-ASSERTED-IDENTITY: <tel:+14255550111>,<sip:ada@woodgrove.example>\r\nPRIVACY: id\r\n",
        );
        let facts = Facts::read(Origin::Teams, &invite, CallerHeader::From);
        assert_eq!(
            (facts.dialled.as_str(), facts.host.as_str()),
            ("+12065550100", "woodgrove.sbc1.example.net")
        );
        assert_eq!(facts.caller.number, "");
        assert_eq!(facts.caller.asserted.as_deref(), Some("+14255550111"));
        assert!(facts.caller.private);
        assert_eq!(
            Facts::read(Origin::Teams, &invite, CallerHeader::Pai).caller.number,
            "+14255550111"
        );
    }

    #[test]
    fn what_is_asserted_alone_is_known_as_such() {
        let asserted = "P-ASSERTED-IDENTITY: <tel:+14255550111>\r\n";
        for (from, believe, number, unasserted) in [
            (
                "sip:+12065550100@x.example",
                CallerHeader::Pai,
                "+14255550111",
                "+12065550100",
            ),
            (
                "sip:+12065550100@x.example",
                CallerHeader::From,
                "+12065550100",
                "+12065550100",
            ),
            ("sip:anonymous@anonymous.invalid", CallerHeader::Pai, "+14255550111", ""),
            ("sip:x.example", CallerHeader::From, "+14255550111", ""),
        ] {
            let invite = invite(&format!("FROM: <{from}>;tag=17\r\n{asserted}"));
            let caller = Facts::read(Origin::Teams, &invite, believe).caller;
            assert_eq!(caller.number, number, "{from}");
            let plain = caller.unasserted();
            assert_eq!((plain.number.as_str(), plain.asserted), (unasserted, None), "{from}");
        }
    }

    #[test]
    fn a_number_with_visual_separators_is_the_number() {
        for (uri, number) in [
            ("tel:+1-425-555-0101", "+14255550101"),
            ("sip:+1-425-555-0101@x.example", "+14255550101"),
            ("sip:+1.(425).555.0101@x.example;user=phone", "+14255550101"),
            ("sip:%2B1-425-555-0101@x.example", "+14255550101"),
            ("sip:425-555-0101@x.example;user=phone", "4255550101"),
            ("sip:%39%31%31@x.example", "911"),
            ("sip:%2B%31-425-%35550101@x.example", "+14255550101"),
            ("sip:+1425%2D5550101@x.example", "+14255550101"),
            // Names.
            ("sip:%2539%2531%2531@x.example", "%2539%2531%2531"),
            ("sip:911%3Bx@x.example", "911%3Bx"),
            ("sip:425-555@x.example", "425-555"),
            ("sip:ada.jones@x.example;user=phone", "ada.jones"),
            ("sip:+x-1@x.example", "+x-1"),
        ] {
            assert_eq!(number_of(&Uri::parse(uri).expect("a URI")), number, "{uri}");
        }
    }

    #[test]
    fn the_name_comes_from_the_header_that_is_believed() {
        let from = "\"Mallory\" <sip:+12065550100@x.example>";
        for (from, asserted, believe, display) in [
            (from, "\"Ada\" <tel:+14255550111>", CallerHeader::Pai, Some("Ada")),
            (from, "<tel:+14255550111>", CallerHeader::Pai, None),
            (from, "<tel:+12065550100>", CallerHeader::Pai, Some("Mallory")),
            (
                from,
                "\"\" <sip:12065550100@x.example>",
                CallerHeader::Pai,
                Some("Mallory"),
            ),
            (
                "<sip:+12065550100@x.example>",
                "\"Ada\" <tel:+12065550100>",
                CallerHeader::From,
                Some("Ada"),
            ),
            (from, "\"Ada\" <tel:+14255550111>", CallerHeader::From, Some("Mallory")),
            (from, "\"Ada\" <sip:ada@x.example>", CallerHeader::Pai, Some("Mallory")),
        ] {
            let invite = invite(&format!("FROM: {from};tag=17\r\nP-ASSERTED-IDENTITY: {asserted}\r\n"));
            let caller = Facts::read(Origin::Teams, &invite, believe).caller;
            assert_eq!(caller.display.as_deref(), display, "{from} {asserted} {believe:?}");
            let own = NameAddr::parse(HeaderName::From, from).expect("an address");
            assert_eq!(caller.unasserted().display.as_deref(), own.display(), "{from}");
        }
    }

    #[test]
    fn the_name_of_a_pair_stands_at_either_value() {
        let (sip, tel) = ("<sip:+14255550111@x.example>", "<tel:+14255550111>");
        for (asserted, display) in [
            (format!("\"Ada\" {sip}, {tel}"), Some("Ada")),
            (format!("{tel}, \"Ada\" {sip}"), Some("Ada")),
            (format!("\"Ada\" {tel}, {sip}"), Some("Ada")),
            (format!("{sip}, \"Ada\" {tel}"), Some("Ada")),
            (format!("\"Ada\" <sip:ada@x.example>, {tel}"), Some("Ada")),
            (format!("\"Ada\" <sip:+14255550199@x.example>, {tel}"), None),
        ] {
            let from = "FROM: \"Mallory\" <sip:+12065550100@x.example>;tag=17\r\n";
            let invite = invite(&format!("{from}P-ASSERTED-IDENTITY: {asserted}\r\n"));
            let caller = Facts::read(Origin::Teams, &invite, CallerHeader::Pai).caller;
            assert_eq!(
                (&*caller.number, caller.display.as_deref()),
                ("+14255550111", display),
                "{asserted}"
            );
        }
    }

    #[test]
    fn what_nobody_reads_is_known_with_why() {
        let from = "FROM: <sip:+12065550100@x.example>;tag=17\r\n";
        let told = |headers: &str| {
            let found = unread(&invite(&format!("{from}{headers}")));
            let words = found.iter().map(|(name, _, why)| format!("{}: {why}", name.as_str()));
            words.collect::<Vec<_>>()
        };
        assert_eq!(told(""), [""; 0]);
        let broken = told("HISTORY-INFO: <sip:+14255550111@x.example;index=1\r\n");
        assert!(
            broken.len() == 1 && broken[0].starts_with("History-Info: can't be read: "),
            "{broken:?}"
        );
        assert_eq!(
            told("Diversion: <sip:ada@x.example>\r\n"),
            ["Diversion: names no telephone number"]
        );
        assert_eq!(
            told("History-Info: <sip:+14255550111@x.example>;index=1\r\n"),
            ["History-Info: is the last entry, the callee: nobody has diverted"]
        );
    }

    #[test]
    fn an_unquoted_display_name_and_a_forwarding_user_are_read() {
        let invite = invite(
            "FROM: Ada Jones<sip:+12065550100@sip.pstnhub.example.com:5061;user=phone>;tag=a2\r\n\
             HISTORY-INFO: <sip:+14255550111@sip.pstnhub.example.com:5061;user=phone?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%20temporarily%22>;index=1,<sip:+442079460199@sip.pstnhub.example.com:5061;user=phone>;index=1.1\r\n",
        );
        let facts = Facts::read(Origin::Teams, &invite, CallerHeader::From);
        assert_eq!(facts.caller.display.as_deref(), Some("Ada Jones"));
        assert_eq!(
            facts.diversions,
            [Diversion {
                number: "+14255550111".into(),
                reason: "unconditional".into(),
                private: false,
            }]
        );
    }

    #[test]
    fn what_goes_on_to_others_is_cut_where_nobody_means_it() {
        let (digits, letters) = ("1".repeat(3_000), "ä".repeat(1_000));
        let text = invite(&format!(
            "FROM: \"{letters}\" <sip:+{digits}@x.example>;tag=17\r\nP-ASSERTED-IDENTITY: <tel:+{digits}>\r\n\
             Diversion: <sip:+{digits}@x.example>\r\nDiversion: <sip:+14255550113@x.example>;reason={}\r\n",
            "a".repeat(3_000)
        ));
        let text = String::from_utf8(text.as_bytes().to_vec()).expect("text");
        let text = text.replacen("INVITE sip:+12065550100", &format!("INVITE sip:{digits}"), 1);
        let invite = Message::parse(text.into_bytes().into()).expect("a message");
        let facts = Facts::read(Origin::Teams, &invite, CallerHeader::From);
        assert_eq!(facts.dialled.len(), MAX_NAME);
        assert_eq!(facts.caller.number.len(), MAX_NAME);
        // No letter is cut in two.
        assert_eq!(facts.caller.display.map(|display| display.len()), Some(MAX_NAME - 1));
        assert_eq!(facts.caller.asserted, None);
        let known = Diversion {
            number: "+14255550113".into(),
            reason: "unknown".into(),
            private: false,
        };
        assert_eq!(facts.diversions, [known]);
    }

    #[test]
    fn who_diverts_may_ask_not_to_be_shown() {
        let last = ",<sip:+442079460199@x.example>;index=1.1";
        for (headers, private) in [
            (
                "Diversion: <sip:+14255550111@x.example>;privacy=full;reason=user-busy".to_owned(),
                true,
            ),
            (
                "Diversion: <sip:+14255550111@x.example>;privacy=\"name\"".to_owned(),
                true,
            ),
            ("Diversion: <sip:+14255550111@x.example>;privacy=off".to_owned(), false),
            (
                "Diversion: <sip:+14255550111@x.example>\r\nPrivacy: id; History".to_owned(),
                true,
            ),
            (
                "Diversion: <sip:+14255550111@x.example>\r\nPrivacy: id".to_owned(),
                false,
            ),
            (
                format!(
                    "HISTORY-INFO: <sip:+14255550111@x.example?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1{last}"
                ),
                true,
            ),
            (
                format!("HISTORY-INFO: <sip:+14255550111@x.example?privacy=id%3Bhistory>;index=1{last}"),
                true,
            ),
            (
                format!("HISTORY-INFO: <sip:+14255550111@x.example?Privacy=none>;index=1{last}"),
                false,
            ),
        ] {
            let invite = invite(&format!("FROM: <sip:+12065550100@x.example>;tag=17\r\n{headers}\r\n"));
            let facts = Facts::read(Origin::Teams, &invite, CallerHeader::From);
            let found: Vec<_> = facts.diversions.iter().map(|diversion| diversion.private).collect();
            assert_eq!(found, [private], "{headers}");
        }
    }

    #[test]
    fn a_reason_of_diversion_is_a_word_or_unknown() {
        let invite = invite(
            "FROM: <sip:+14255550111@x.example>;tag=17\r\n\
             Diversion: <sip:+14255550112@x.example>;reason=\"user-busy, <sip:+19005550100@x.example>\"\r\n\
             Diversion: <sip:+14255550113@x.example>;reason=No-Answer\r\n",
        );
        let facts = Facts::read(Origin::Teams, &invite, CallerHeader::From);
        let read: Vec<(&str, &str)> = facts
            .diversions
            .iter()
            .map(|diversion| (diversion.number.as_str(), diversion.reason.as_str()))
            .collect();
        assert_eq!(read, [("+14255550113", "no-answer"), ("+14255550112", "unknown")]);
    }
}
