//! The resolver against a name server in this process, over real UDP and TCP.

mod zone;

use super::*;
use crate::sip::Transport;
use crate::sip::locate::{AddressFamilies, Target};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use zone::Zone;

fn target(host: &str) -> Target {
    Target::new(host).unwrap()
}

/// Short times; long enough that a busy machine answers a loopback question within them.
fn settings(zone: &Zone) -> Settings {
    Settings {
        servers: Servers::Listed(vec![zone.address()]),
        server_timeout: Duration::from_secs(5),
        failure_pause: Duration::from_millis(20),
        ..Settings::default()
    }
}

fn list(answer: &Answer) -> Vec<String> {
    answer
        .candidates
        .iter()
        .map(|c| format!("{} {}", c.transport, c.address))
        .collect()
}

/// Resolves until `good` likes the answer; fails after five seconds.
async fn until(resolver: &Resolver, target: &Target, good: impl Fn(&Result<Answer, DnsError>) -> bool) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let got = resolver.resolve(target).await;
        if good(&got) {
            return got.unwrap();
        }
        assert!(Instant::now() < deadline, "last: {got:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn naptr_leads_to_srv_leads_to_addresses() {
    let zone = Zone::serve().await;
    zone.naptr("example.net", 60, (10, 1, "SIPS+D2T", "_sips._tcp.example.net"));
    zone.naptr("example.net", 60, (20, 1, "SIP+D2U", "_sip._udp.example.net"));
    zone.srv("_sips._tcp.example.net", 60, (2, 0, 5071, "b.example.net"));
    zone.srv("_sips._tcp.example.net", 60, (1, 0, 5061, "a.example.net"));
    zone.a("a.example.net", 60, "192.0.2.1");
    zone.aaaa("a.example.net", 60, "2001:db8::1");
    zone.a("b.example.net", 60, "192.0.2.2");
    let resolver = Resolver::new(settings(&zone));
    let target = target("example.net");
    assert!(resolver.try_cached(&target).is_none());
    let answer = resolver.resolve(&target).await.unwrap();
    assert_eq!(
        list(&answer),
        ["tls 192.0.2.1:5061", "tls [2001:db8::1]:5061", "tls 192.0.2.2:5071"]
    );
    assert!(
        answer
            .candidates
            .iter()
            .all(|c| c.server_name.as_deref() == Some("example.net")),
        "RFC 5922: the domain asked for"
    );
    assert_eq!(answer.stale, None);
    let asked = zone.asked();
    assert_eq!(list(&resolver.try_cached(&target).unwrap()), list(&answer));
    assert_eq!(zone.asked(), asked, "a fresh answer asks nobody");
}

#[tokio::test]
async fn without_naptr_srv_is_guessed_and_without_srv_the_name_itself_is_asked() {
    let zone = Zone::serve().await;
    zone.srv("_sip._udp.carrier.example", 60, (1, 1, 5062, "gw.carrier.example"));
    zone.a("gw.carrier.example", 60, "192.0.2.9");
    zone.a("plain.example", 60, "192.0.2.10");
    let resolver = Resolver::new(settings(&zone));
    assert_eq!(
        list(&resolver.resolve(&target("carrier.example")).await.unwrap()),
        ["udp 192.0.2.9:5062"]
    );
    assert_eq!(
        list(&resolver.resolve(&target("plain.example")).await.unwrap()),
        ["udp 192.0.2.10:5060"]
    );
    let tls = target("plain.example").with_transport(Transport::Tls);
    assert_eq!(list(&resolver.resolve(&tls).await.unwrap()), ["tls 192.0.2.10:5061"]);
    let port = target("plain.example").with_port(5080).with_transport(Transport::Tcp);
    assert_eq!(list(&resolver.resolve(&port).await.unwrap()), ["tcp 192.0.2.10:5080"]);
}

#[tokio::test]
async fn weights_share_out_the_first_places() {
    let zone = Zone::serve().await;
    for (weight, last) in [(3, 1), (1, 2)] {
        zone.srv(
            "_sip._udp.example.net",
            60,
            (1, weight, 5060, &format!("s{last}.example.net")),
        );
        zone.a(&format!("s{last}.example.net"), 60, &format!("192.0.2.{last}"));
    }
    let resolver = Resolver::new(settings(&zone));
    let target = target("example.net").with_transport(Transport::Udp);
    let mut heavy = 0;
    for _ in 0..2000 {
        let answer = resolver.resolve(&target).await.unwrap();
        assert_eq!(answer.candidates.len(), 2);
        heavy += u32::from(list(&answer)[0] == "udp 192.0.2.1:5060");
    }
    // Draws 0..=4: 0 and 1 of five are the light one's or the heavy one's by record order; six sigma either way.
    assert!((1070..1730).contains(&heavy), "{heavy} of 2000");
}

#[tokio::test]
async fn a_changed_answer_is_seen_when_its_ttl_runs_out() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 1, "192.0.2.1");
    let resolver = Resolver::new(settings(&zone));
    let target = target("hub.example").with_port(5061);
    let first = resolver.resolve(&target).await.unwrap();
    zone.clear();
    zone.a("hub.example", 1, "192.0.2.2");
    assert_eq!(
        list(&resolver.resolve(&target).await.unwrap()),
        list(&first),
        "within the TTL"
    );
    let second = until(&resolver, &target, |got| {
        got.as_ref().is_ok_and(|a| list(a) == ["udp 192.0.2.2:5061"])
    })
    .await;
    assert_eq!(second.stale, None);
}

#[tokio::test]
async fn teams_063_a_name_is_looked_up_anew_before_its_ttl_runs_out() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 86_400, "192.0.2.1");
    let resolver = Resolver::new(Settings {
        failure_pause: Duration::ZERO,
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    resolver.resolve(&target).await.unwrap();
    zone.clear();
    zone.a("hub.example", 86_400, "192.0.2.2");
    assert_eq!(list(&resolver.resolve(&target).await.unwrap()), ["udp 192.0.2.1:5061"]);
    resolver.refresh(&target);
    until(&resolver, &target, |got| {
        got.as_ref().is_ok_and(|a| list(a) == ["udp 192.0.2.2:5061"])
    })
    .await;
}

#[tokio::test]
async fn a_look_up_before_its_time_that_fails_leaves_the_answer() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 86_400, "192.0.2.1");
    let resolver = Resolver::new(Settings {
        failure_pause: Duration::ZERO,
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    resolver.resolve(&target).await.unwrap();
    zone.servfail();
    let bound = Instant::now() + Duration::from_secs(5);
    // Nothing is asked while a look-up is under way: with the second, the first has failed.
    for _ in 0..2 {
        let asked = zone.asked().len();
        while zone.asked().len() == asked {
            assert!(Instant::now() < bound, "nobody asked again");
            resolver.refresh(&target);
            sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(list(&resolver.resolve(&target).await.unwrap()), ["udp 192.0.2.1:5061"]);
}

#[tokio::test]
async fn the_ceiling_cuts_a_day_long_ttl() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 86_400, "192.0.2.1");
    let ceiling = Duration::from_millis(50);
    let resolver = Resolver::new(Settings {
        ttl_ceiling: ceiling,
        ttl_floor: ceiling,
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    resolver.resolve(&target).await.unwrap();
    zone.clear();
    zone.a("hub.example", 86_400, "192.0.2.2");
    until(&resolver, &target, |got| {
        got.as_ref().is_ok_and(|a| list(a) == ["udp 192.0.2.2:5061"])
    })
    .await;
}

#[tokio::test]
async fn ttl_zero_answers_every_caller_of_one_walk() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 0, "192.0.2.1");
    let resolver = Resolver::new(Settings {
        ttl_floor: Duration::ZERO,
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    for _ in 0..3 {
        let answer = resolver.resolve(&target).await.unwrap();
        assert_eq!(
            (list(&answer), answer.stale),
            (vec!["udp 192.0.2.1:5061".to_owned()], None)
        );
        assert!(
            resolver.try_cached(&target).is_none(),
            "TTL 0 isn't remembered as fresh"
        );
    }
}

#[tokio::test]
async fn many_callers_at_once_ask_once() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 60, "192.0.2.1");
    zone.delay(Duration::from_millis(100));
    let families = AddressFamilies::V4;
    let resolver = Resolver::new(Settings {
        families,
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (resolver, target) = (resolver.clone(), target.clone());
        callers.spawn(async move { resolver.resolve(&target).await });
    }
    assert!(callers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(zone.asked(), ["A hub.example"]);
}

#[tokio::test]
async fn servfail_and_a_dead_server_leave_the_last_good_answer() {
    let mut zone = Zone::serve().await;
    zone.a("hub.example", 60, "192.0.2.1");
    let fast = Duration::from_millis(10);
    let resolver = Resolver::new(Settings {
        ttl_ceiling: fast,
        ttl_floor: fast,
        server_timeout: Duration::from_millis(400),
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    resolver.resolve(&target).await.unwrap();

    let stale = |word: &'static str| {
        move |got: &Result<Answer, DnsError>| {
            got.as_ref()
                .is_ok_and(|a| a.stale.as_ref().is_some_and(|why| why.cause.label() == word))
        }
    };
    zone.servfail();
    let answer = until(&resolver, &target, stale("server_failed")).await;
    assert_eq!(list(&answer), ["udp 192.0.2.1:5061"]);
    assert!(answer.age >= fast, "{:?}", answer.age);

    zone.stop().await;
    let answer = until(&resolver, &target, stale("unreachable")).await;
    assert_eq!(list(&answer), ["udp 192.0.2.1:5061"]);
}

#[tokio::test]
async fn a_slow_server_holds_nobody_up_who_has_an_old_answer() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 60, "192.0.2.1");
    let fast = Duration::from_millis(10);
    let resolver = Resolver::new(Settings {
        ttl_ceiling: fast,
        ttl_floor: fast,
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    resolver.resolve(&target).await.unwrap();
    zone.delay(Duration::from_secs(5));
    sleep(fast * 2).await;
    // From here on time passes where everybody waits, and by what is waited for alone.
    tokio::time::pause();
    let patience = Duration::from_millis(200);
    let before = Instant::now();
    let answer = resolver.resolve(&target).await.unwrap();
    let waited = before.elapsed();
    assert!(answer.stale.is_some_and(|why| why.cause == Cause::Timeout(patience)));
    assert!((patience..patience * 2).contains(&waited), "{waited:?}");
    // The walk is known to be slow by now.
    let before = Instant::now();
    assert!(resolver.resolve(&target).await.unwrap().stale.is_some());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_slow_server_without_an_old_answer_fails_in_time_and_serves_the_next_caller() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 60, "192.0.2.1");
    zone.delay(Duration::from_millis(300));
    let resolver = Resolver::new(Settings {
        patience: Duration::from_millis(50),
        ..settings(&zone)
    });
    let target = target("hub.example").with_port(5061);
    // Time passes where everybody waits, and by what is waited for alone.
    tokio::time::pause();
    let error = resolver.resolve(&target).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no server found for sip:hub.example:5061: no answer within 50 ms; asked {} for A hub.example, AAAA hub.example. \
             Check that UDP and TCP port 53 to the name servers is open, or name others in `dns.servers`.",
            zone.address()
        )
    );
    until(&resolver, &target, Result::is_ok).await;
}

#[tokio::test]
async fn no_such_name_says_what_was_asked_of_whom() {
    let zone = Zone::serve().await;
    zone.sign_refusals();
    let resolver = Resolver::new(Settings {
        spoken: vec![Transport::Udp],
        ..settings(&zone)
    });
    let error = resolver.resolve(&target("nowhere.example")).await.unwrap_err();
    assert_eq!(error.cause, Cause::NoSuchName);
    assert_eq!(
        error.to_string(),
        format!(
            "no server found for sip:nowhere.example: the name does not exist (NXDOMAIN); asked {} for \
             NAPTR nowhere.example, SRV _sip._udp.nowhere.example, A nowhere.example, AAAA nowhere.example. \
             Check the spelling, and that the name is published where this node's name servers see it.",
            zone.address()
        )
    );
    let asked = zone.asked().len();
    assert_eq!(resolver.resolve(&target("nowhere.example")).await.unwrap_err(), error);
    assert_eq!(zone.asked().len(), asked, "a no is remembered too");
    assert!(!error.without_soa, "by its SOA");
}

#[tokio::test]
async fn a_no_without_soa_is_soon_asked_again() {
    let zone = Zone::serve().await;
    let resolver = Resolver::new(settings(&zone));
    let target = target("hub.example").with_port(5061);
    let error = resolver.resolve(&target).await.unwrap_err();
    assert!(error.cause == Cause::NoSuchName && error.without_soa, "{error:?}");
    zone.a("hub.example", 60, "192.0.2.1");
    // Within five seconds: a no that is signed for is believed for thirty.
    until(&resolver, &target, Result::is_ok).await;
}

#[tokio::test]
async fn srv_target_dot_is_a_refusal_and_the_name_itself_stays_untried() {
    let zone = Zone::serve().await;
    zone.srv("_sip._udp.example.net", 60, (0, 0, 0, "."));
    zone.a("example.net", 60, "192.0.2.1");
    let resolver = Resolver::new(settings(&zone));
    let error = resolver
        .resolve(&target("example.net").with_transport(Transport::Udp))
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::NotOffered);
}

#[tokio::test]
async fn srv_targets_without_addresses_are_an_error_and_the_name_itself_stays_untried() {
    let zone = Zone::serve().await;
    zone.srv("_sip._udp.example.net", 60, (0, 0, 5060, "gone.example.net"));
    zone.a("example.net", 60, "192.0.2.1");
    let resolver = Resolver::new(settings(&zone));
    let error = resolver.resolve(&target("example.net")).await.unwrap_err();
    assert_eq!(error.cause, Cause::NoSuchName);
    assert!(
        !zone.asked().contains(&"A example.net".to_owned()),
        "{:?}",
        zone.asked()
    );
}

#[tokio::test]
async fn aliases_are_followed_and_alias_loops_end() {
    let zone = Zone::serve().await;
    zone.cname("hub.example", 60, "region.example");
    zone.cname("region.example", 60, "edge.example");
    zone.a("edge.example", 60, "192.0.2.1");
    zone.cname("ring.example", 60, "rang.example");
    zone.cname("rang.example", 60, "ring.example");
    let resolver = Resolver::new(settings(&zone));
    assert_eq!(
        list(&resolver.resolve(&target("hub.example").with_port(1)).await.unwrap()),
        ["udp 192.0.2.1:1"]
    );
    let error = resolver
        .resolve(&target("ring.example").with_port(1))
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::NoRecords);
    assert!(zone.asked().len() < 40, "a loop is cut short: {}", zone.asked().len());
}

#[tokio::test]
async fn a_hundred_addresses_come_over_tcp_and_are_capped() {
    let zone = Zone::serve().await;
    (0..100).for_each(|i| zone.a("many.example", 60, &format!("192.0.2.{i}")));
    let resolver = Resolver::new(settings(&zone));
    let answer = resolver.resolve(&target("many.example").with_port(5060)).await.unwrap();
    assert_eq!(answer.candidates.len(), Settings::default().most_addresses);
}

#[tokio::test]
async fn of_a_thousand_naptr_records_the_preferred_few_are_followed() {
    let zone = Zone::serve().await;
    for preference in 0..500 {
        let srv = format!("_sip._udp.x{preference}.example");
        zone.naptr("many.example", 60, (10, preference, "SIP+D2U", &srv));
        zone.srv(&srv, 60, (0, 0, 5060, "gw.example"));
    }
    zone.a("gw.example", 60, "192.0.2.1");
    let resolver = Resolver::new(settings(&zone));
    let answer = resolver.resolve(&target("many.example")).await.unwrap();
    assert!(!answer.candidates.is_empty());
    let followed = zone
        .asked()
        .iter()
        .filter(|question| question.contains("_sip._udp"))
        .count();
    assert_eq!(followed, Settings::default().most_naptr);
}

#[tokio::test]
async fn ipv6_alone_is_enough() {
    let zone = Zone::serve().await;
    zone.aaaa("six.example", 60, "2001:db8::6");
    let resolver = Resolver::new(settings(&zone));
    assert_eq!(
        list(&resolver.resolve(&target("six.example").with_port(1)).await.unwrap()),
        ["udp [2001:db8::6]:1"]
    );
}

#[tokio::test]
async fn literal_and_configured_addresses_ask_nobody() {
    let zone = Zone::serve().await;
    let hub = vec!["127.0.0.1:15061".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    let hosts = BTreeMap::from([("sip.hub.example".to_owned(), hub)]);
    let resolver = Resolver::new(Settings {
        hosts,
        ..settings(&zone)
    });
    let cached = |target: Target| list(&resolver.try_cached(&target).unwrap());
    assert_eq!(cached(target("192.0.2.1")), ["udp 192.0.2.1:5060"]);
    let hub = target("SIP.hub.example").with_transport(Transport::Tls);
    assert_eq!(cached(hub.clone()), ["tls 127.0.0.1:15061", "tls 127.0.0.2:5061"]);
    assert_eq!(
        resolver.resolve(&hub).await.unwrap().candidates[0]
            .server_name
            .as_deref(),
        Some("sip.hub.example")
    );
    assert!(zone.asked().is_empty());
}

#[tokio::test]
async fn without_name_servers_only_names_fail_and_say_so() {
    let resolver = Resolver::new(Settings {
        servers: Servers::Listed(vec![]),
        ..Settings::default()
    });
    assert!(resolver.resolve(&target("192.0.2.1")).await.is_ok());
    let error = resolver.resolve(&target("hub.example")).await.unwrap_err();
    assert_eq!(error.cause, Cause::NoServers("`dns.servers` is empty".into()));
}

#[tokio::test]
async fn changed_settings_keep_the_last_good_answers() {
    let zone = Zone::serve().await;
    zone.a("hub.example", 60, "192.0.2.1");
    let resolver = Resolver::new(settings(&zone));
    let target = target("hub.example").with_port(5061);
    resolver.resolve(&target).await.unwrap();
    zone.servfail();
    let changed = resolver.with_settings(Settings {
        most_srv: 3,
        ..settings(&zone)
    });
    drop(resolver);
    assert!(changed.try_cached(&target).is_none(), "asked for again");
    let answer = changed.resolve(&target).await.unwrap();
    assert_eq!(list(&answer), ["udp 192.0.2.1:5061"]);
    assert_eq!(answer.stale.unwrap().cause.label(), "server_failed");
}
