//! What a REFER of Teams asks for, and the INVITE that is made of it (RFC 3515; TEAMS-083, TEAMS-086).
//!
//! It goes back to Teams whatever number it names: Teams routes it anew, and what then comes out of Teams is a call like any
//! other, with its own rules and limits. So a REFER leads to a hub of ours, and nowhere else.

use crate::carrier::party_uri;
use crate::dial::{HuntOn, LegTerms, NextHop, PeerName, PlannedHop, ToHubs};
use crate::route::{self, Unreferable};
use crate::sip::message::{HeaderName, Message};
use crate::sip::{Scheme, Transport, Uri, escaped_user};
use std::net::IpAddr;
use std::sync::Arc;

/// Who is to be called, and by whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of Refer-To.
    pub target: Uri,
    /// Referred-By, byte for byte.
    pub referred_by: Option<String>,
}

/// Reads a REFER.
///
/// # Errors
/// The status that answers it: not exactly one Refer-To with a SIP URI, or one that asks for more than an INVITE.
pub fn read(refer: &Message) -> Result<Wanted, Unreferable> {
    let target = route::refer_target(refer)?;
    if target.scheme() != Scheme::Sip {
        let scheme = target.scheme_name();
        let why = format!("it names a {scheme}: URI: Teams' hubs are called by sip: alone");
        return Err(Unreferable::forbidden(why));
    }
    // Headers in the URI would stand in our INVITE, and no Replaces of ours may reach Teams (TEAMS-044).
    if let Some((name, _)) = target.headers().next() {
        let why = format!("its URI brings the header {name}: none of there goes into an INVITE to Teams");
        return Err(Unreferable::forbidden(why));
    }
    route::wants_invite(&target)?;
    Ok(Wanted {
        target,
        referred_by: refer.header(HeaderName::ReferredBy).map(str::to_owned),
    })
}

/// The INVITE to whom Teams wants called, in the place of a leg with these terms: From and Contact show `shown`, whom the
/// leg has shown so far.
///
/// # Errors
/// The target is none of the hubs: 403.
pub fn hop(
    terms: &Arc<LegTerms>,
    transfers: &ToHubs,
    shown: &Shown<'_>,
    wanted: &Wanted,
) -> Result<PlannedHop, Unreferable> {
    let target = &wanted.target;
    let is_it = |host: &str, port: u16| {
        host.eq_ignore_ascii_case(target.host()) && target.port().is_none_or(|wanted| wanted == port)
    };
    let hub = transfers.hubs.iter().find(|(host, port)| is_it(host, *port));
    let (host, port) = hub.ok_or_else(|| Unreferable::forbidden(no_hub(terms, transfers, target)))?;
    let mut headers = Vec::new();
    if shown.user == "anonymous" {
        headers.push((HeaderName::Privacy, "id".to_owned()));
    }
    headers.extend(wanted.referred_by.iter().map(|by| (HeaderName::ReferredBy, by.clone())));
    Ok(PlannedHop {
        peer: PeerName::Hub(host.clone()),
        next: NextHop {
            host: host.clone(),
            port: Some(*port),
            transport: Some(Transport::Tls),
            listener: terms.listener,
            server_name: Some(host.clone()),
            presented: terms.presented(),
        },
        direct: None,
        request_uri: target.as_str().to_owned(),
        from: shown.from(terms),
        to: format!("<{}>", target.as_str()),
        contact_user: shown.user.to_owned(),
        headers,
        extra_headers: Vec::new(),
        terms: terms.clone(),
        first_response: transfers.first_response,
        progress: Some(transfers.progress),
        // Nobody else is tried (TEAMS-085).
        hunt: HuntOn::codes([] as [u16; 0]),
        held: false,
        hold_down: transfers.hold_down,
    })
}

/// What a target is that is none of the hubs.
fn no_hub(terms: &LegTerms, transfers: &ToHubs, target: &Uri) -> String {
    let host = target.host();
    let hub = transfers.hubs.iter().find(|(hub, _)| hub.eq_ignore_ascii_case(host));
    if let (Some((_, known)), Some(wanted)) = (hub, target.port()) {
        return format!("it names port {wanted} of the hub {host}, which is called at {known} alone");
    }
    let name = host.to_ascii_lowercase();
    let trunk = terms.trunk();
    let what = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) if is_inside(address) => format!("the internal address {address}"),
        Ok(address) => format!("the address {address}"),
        Err(_) if name == trunk => format!("{host}, which is the tenant's own trunk: portcullis itself"),
        Err(_) => match trunk.split_once('.').map(|(_, base)| base) {
            Some(base) if name == base => format!("{host}, which the tenant's trunk stands below"),
            Some(base) if name.strip_suffix(base).is_some_and(|label| label.ends_with('.')) => {
                format!("{host}, which stands beside the tenant's trunk, as another tenant's would")
            }
            _ => format!("the host {host}"),
        },
    };
    format!("it names {what}: only the hubs of Teams are called (hubs of [teams])")
}

/// Whether an address is reached inside a network only.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_unique_local()
                || address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
    }
}

/// Whom the leg that refers has shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// User part of our Contact.
    pub user: &'a str,
    /// From of our INVITE, where the leg was ours to call.
    pub from: Option<&'a str>,
}

impl Shown<'_> {
    fn from(&self, terms: &LegTerms) -> String {
        if let Some(from) = self.from {
            return from.to_owned();
        }
        if self.user == "anonymous" {
            return "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into();
        }
        format!("<{}>", party_uri(&escaped_user(self.user), terms.trunk()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::fixture::machine;
    use crate::dial::Transfers;

    const BY: &str = "<sip:sip.pstnhub.microsoft.com:5061;x-m=8:orgid:8c8d357b-5e87-4bba-ad45-197626bd5759;\
                      x-t=adfb6898-97b2-4525-aadc-aee72945c791;x-ti=e00fba6f-edfb-4a49-a133-46f7099a23fc;\
                      x-tt=aHR0cHM6Ly9hcGktZHUtYS1ldW5vLnBzdG5odWIuZXhhbXBsZS5jb20vdjEvbmdjL2NhbGxub3RpZmljYXRpb24vZHJhZnQ%3d>";
    const SHOWN: Shown<'_> = Shown {
        user: "+12065550100",
        from: None,
    };

    fn refer(lines: &str) -> Message {
        let text = format!(
            "REFER sip:+12065550100@contoso.sbc1.example.net:5061;transport=tls SIP/2.0\r\n\
             VIA: SIP/2.0/TLS 192.0.2.15:5061;branch=z9hG4bK14451daa\r\n\
             FROM: <sip:anonymous@anonymous.invalid>;tag=1779cf3a\r\n\
             TO: <sip:+12065550100@contoso.sbc1.example.net:5061;user=phone>;tag=sbc3tag\r\n\
             CALL-ID: 0a3d72134fb3d6c024db4c510bc1605b\r\nCSEQ: 4 REFER\r\nMAX-FORWARDS: 70\r\n{lines}CONTENT-LENGTH: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).expect("a REFER")
    }

    fn configured(node: &str, tenant: &str) -> Arc<LegTerms> {
        let machine = machine(
            "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\ngateways = [{ host = \"203.0.113.2\" }]\n",
        )
        .replace("[teams]\n", &format!("[teams]\n{node}"));
        let tenant = format!("domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n{tenant}");
        let config =
            Config::from_toml_strs(&machine, &[("contoso", &tenant)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        crate::teams::terms(&config, &config.tenants[0])
    }

    fn hubs_of(terms: &LegTerms) -> &ToHubs {
        match &terms.transfers {
            Some(Transfers::ToHubs(hubs)) => hubs,
            other => panic!("REFER is taken: {other:?}"),
        }
    }

    fn terms() -> Arc<LegTerms> {
        configured("", "")
    }

    #[test]
    fn teams_081_a_tenant_says_for_itself_whether_refer_is_taken() {
        let (on, off) = ("refer = true\n", "refer = false\n");
        for (node, tenant, takes) in [("", "", true), (off, "", false), (off, on, true), ("", off, false)] {
            let terms = configured(node, tenant);
            assert_eq!(terms.transfers.is_some(), takes, "{node}{tenant}");
            assert_eq!(terms.allow.contains("REFER"), takes, "{node}{tenant}");
            assert!(terms.allow.contains("NOTIFY"), "always");
        }
    }

    fn planned(refer_to: &str) -> Result<PlannedHop, Unreferable> {
        let terms = terms();
        let wanted = read(&refer(&format!("REFER-TO: {refer_to}\r\nREFERRED-BY: {BY}\r\n")))?;
        hop(&terms, hubs_of(&terms), &SHOWN, &wanted)
    }

    /// TV-11, TV-12.
    #[test]
    fn teams_083_the_target_and_referred_by_go_out_byte_for_byte() {
        for target in [
            "sip:+442079460199@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls",
            "sip:sip.pstnhub.microsoft.com:5061;transport=tls;x-m=8:orgid:9f9d51bc-70ef-41ca-ac14-f307980a29d8;\
             x-t=adfb6898-97b2-4525-aadc-aee72945c791",
            "sip:SIP2.pstnhub.microsoft.com;x-m=28:a%2Fb",
        ] {
            let hop = planned(&format!("<{target}>")).expect("a hop");
            assert_eq!((hop.request_uri.as_str(), hop.to), (target, format!("<{target}>")));
            assert_eq!(hop.headers, [(HeaderName::ReferredBy, BY.to_owned())]);
            assert_eq!(hop.from, "<sip:+12065550100@contoso.sbc1.example.net;user=phone>");
            assert_eq!(hop.contact_user, "+12065550100");
            let name = hop.next.server_name.expect("a name to prove");
            assert!(
                name.ends_with(".pstnhub.microsoft.com") && hop.next.port == Some(5061),
                "{name}"
            );
        }
    }

    #[test]
    fn teams_086_four_thousand_characters_pass() {
        let target = format!("sip:sip.pstnhub.microsoft.com:5061;x-m=8:orgid:{}", "9f".repeat(2_000));
        assert_eq!(planned(&format!("<{target}>")).map(|hop| hop.request_uri), Ok(target));
    }

    #[test]
    fn a_refer_leads_to_hubs_alone() {
        let only = ": only the hubs of Teams are called (hubs of [teams])";
        let hosts = [
            ("sip:+19005550100@203.0.113.2", "the address 203.0.113.2"),
            ("sip:admin@127.0.0.1:9090", "the internal address 127.0.0.1"),
            ("sip:admin@10.0.0.5", "the internal address 10.0.0.5"),
            ("sip:admin@[fd00::5]:5061", "the internal address fd00::5"),
            (
                "sip:+12065550100@Contoso.sbc1.example.net",
                "Contoso.sbc1.example.net, which is the tenant's own trunk: portcullis itself",
            ),
            (
                "sip:+12065550100@fabrikam.sbc1.example.net:5061",
                "fabrikam.sbc1.example.net, which stands beside the tenant's trunk, as another tenant's would",
            ),
            (
                "sip:sbc1.example.net",
                "sbc1.example.net, which the tenant's trunk stands below",
            ),
            (
                "sip:sip.pstnhub.microsoft.com.evil.example",
                "the host sip.pstnhub.microsoft.com.evil.example",
            ),
        ]
        .map(|(target, what)| (target, format!("it names {what}{only}")));
        let others = [
            (
                "sip:sip.pstnhub.microsoft.com:5060",
                "it names port 5060 of the hub sip.pstnhub.microsoft.com, which is called at 5061 alone",
            ),
            (
                "sip:+14255550112@sip.pstnhub.microsoft.com:5061;user=phone?Replaces=cb75%3Bto-tag%3D1%3Bfrom-tag%3D6",
                "its URI brings the header Replaces: none of there goes into an INVITE to Teams",
            ),
            (
                "sip:sip.pstnhub.microsoft.com;method=BYE",
                "it asks for BYE by method=BYE in its URI: nothing but an INVITE is sent",
            ),
            (
                "sips:sip.pstnhub.microsoft.com",
                "it names a sips: URI: Teams' hubs are called by sip: alone",
            ),
            (
                "tel:+442079460199",
                "it names a tel: URI: Teams' hubs are called by sip: alone",
            ),
        ]
        .map(|(target, why)| (target, why.to_owned()));
        for (target, why) in hosts.into_iter().chain(others) {
            let refused = planned(&format!("<{target}>")).expect_err(target);
            assert_eq!(refused, Unreferable::forbidden(why), "{target}");
        }
        for lines in ["", "REFER-TO: <sip:\r\n"] {
            assert_eq!(read(&refer(lines)), Err(400.into()), "{lines}");
        }
    }

    #[test]
    fn who_was_not_shown_stays_so() {
        let terms = terms();
        let wanted = read(&refer("REFER-TO: <sip:sip.pstnhub.microsoft.com>\r\n")).expect("a target");
        let shown = Shown {
            user: "anonymous",
            from: None,
        };
        let hop = hop(&terms, hubs_of(&terms), &shown, &wanted).expect("a hop");
        assert_eq!(hop.from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
        assert_eq!(hop.headers, [(HeaderName::Privacy, "id".to_owned())]);
    }
}
