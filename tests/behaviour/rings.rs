//! Three rings, and an inner one never imports an outer one; the protocol ring is pure.

use crate::source::{NamedPath, SourceFile, all, paths};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ring {
    Protocol,
    Runtime,
    Product,
}

/// The ring of a room; `None` for one that nobody has placed.
fn ring(room: &str) -> Option<Ring> {
    Some(match room {
        "codec" | "dtls" | "ice" | "moment" | "pidf" | "rtp" | "sdp" | "sip" | "srtp" => Ring::Protocol,
        "media" | "net" | "store" => Ring::Runtime,
        "api" | "app" | "call" | "carrier" | "cli" | "config" | "dial" | "emergency" | "guard" | "observe"
        | "registrar" | "route" | "sim" | "teams" | "ui" => Ring::Product,
        _ => return None,
    })
}

/// What the protocol ring may not name: clocks, sockets, threads, files and the crates that are made of them.
const IMPURE: &[&[&str]] = &[
    &["tokio"],
    &["tokio_rustls"],
    &["socket2"],
    &["libc"],
    &["axum"],
    &["trust_dns_resolver"],
    &["std", "net", "TcpListener"],
    &["std", "net", "TcpStream"],
    &["std", "net", "UdpSocket"],
    &["std", "net", "ToSocketAddrs"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["std", "thread"],
    &["std", "fs"],
    &["std", "env"],
    &["std", "process"],
    &["std", "os"],
];

/// What is wrong with the paths of one file.
fn faults(file: &SourceFile) -> Vec<String> {
    let mut faults = Vec::new();
    let room = file.room();
    if matches!(room, "lib" | "main") {
        return faults;
    }
    let Some(own) = ring(room) else {
        return vec![format!(
            "src/{}: room `{room}` has no ring; give it one in tests/behaviour/rings.rs",
            file.name
        )];
    };
    let mut say = |path: &NamedPath, why: String| {
        faults.push(format!(
            "src/{}:{}: `{}`: {why}",
            file.name,
            path.line,
            path.segments.join("::")
        ));
    };
    for path in paths(file, true) {
        let [first, second, ..] = path.segments.as_slice() else {
            continue;
        };
        if first != "crate" {
            continue;
        }
        match ring(second) {
            Some(other) if other > own => say(&path, format!("{own:?} ring imports {other:?} ring")),
            None if second == "*" => say(&path, "a glob of the crate root hides what is imported".to_owned()),
            _ => {}
        }
    }
    if own == Ring::Protocol && !file.is_test {
        for path in paths(file, false) {
            let starts = |impure: &&&[&str]| {
                path.segments
                    .iter()
                    .map(String::as_str)
                    .take(impure.len())
                    .eq(impure.iter().copied())
            };
            if let Some(impure) = IMPURE.iter().find(starts) {
                say(
                    &path,
                    format!("the protocol ring is pure and can't use {}", impure.join("::")),
                );
            }
        }
    }
    faults.dedup();
    faults
}

#[test]
fn inner_rings_never_import_outer_ones_and_the_protocol_ring_is_pure() {
    let faults: Vec<String> = all().iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn faults_of(name: &str, text: &str) -> Vec<String> {
    faults(&SourceFile::new(name, text))
}

#[test]
fn the_walker_sees_every_way_to_name_an_outer_room() {
    for bad in [
        "use crate::net::dns;",
        "use crate::{moment::Moment, teams};",
        "fn f() { crate::media::open() }",
        "use super::super::net::dns;",
        "mod inner { use super::super::super::net; }",
        "use crate::*;",
        "use\n  crate ::\n  config :: Config as C;",
        "#[cfg(test)] mod tests { use crate::sim::Peer; }",
        "fn f(x: &crate::call::Call) {}",
    ] {
        assert_eq!(
            faults_of("sip/flow.rs", bad).len(),
            1,
            "{bad}: {:?}",
            faults_of("sip/flow.rs", bad)
        );
    }
    assert_eq!(faults_of("net/mod.rs", "use super::guard;").len(), 1);
    assert_eq!(faults_of("attic/mod.rs", "").len(), 1, "a room without a ring");
    assert_eq!(
        faults_of("sip/flow.rs", "\n\nuse crate::net::dns;"),
        ["src/sip/flow.rs:3: `crate::net::dns`: Protocol ring imports Runtime ring"]
    );
}

#[test]
fn the_walker_sees_every_way_to_be_impure() {
    for bad in [
        "use std::time::Instant;",
        "use std::{fmt, time::{Duration, SystemTime}};",
        "use std::time;\nfn f() { time::Instant::now(); }",
        "use std::time as t;\nfn f() -> t::SystemTime { todo() }",
        "fn f() { std::thread::spawn(|| ()); }",
        "use std::net::{SocketAddr, UdpSocket};",
        "async fn f() { tokio::time::sleep(d).await }",
        "use std::{fs};",
    ] {
        assert_eq!(
            faults_of("sip/flow.rs", bad).len(),
            1,
            "{bad}: {:?}",
            faults_of("sip/flow.rs", bad)
        );
    }
}

#[test]
fn the_walker_knows_modules_that_only_tests_compile() {
    let modules = |name, text| SourceFile::new(name, text).test_modules();
    assert_eq!(
        modules("sdp/mod.rs", "#[cfg(test)]\nmod golden;\nmod parse;"),
        ["sdp/golden"]
    );
    assert_eq!(
        modules("sdp/parse.rs", "#[cfg(test)] mod cases { }"),
        ["sdp/parse/cases"]
    );
}

#[test]
fn the_walker_leaves_the_innocent_alone() {
    for good in [
        "use crate::moment::Moment; use super::Flow; use std::net::{IpAddr, SocketAddr}; use std::time::Duration;",
        "// use crate::net::dns;\n/* crate::teams /* nested */ std::fs */ const A: &str = \"crate::net::x std::fs\";",
        "const A: &str = r#\"use \"crate::net\"; std::thread\"#; const Q: char = '\"'; fn f<'a>(x: &'a str) {}",
        "#[cfg(test)]\nmod tests { use std::time::Instant; fn f() { std::fs::read(\"x\"); } }",
        "struct S { net: u8 } fn f(s: S) { s.net; net::x(); }",
    ] {
        assert_eq!(faults_of("sip/flow.rs", good), [] as [String; 0], "{good}");
    }
    let clock = "use std::time::Instant; use crate::sip::Flow; use tokio::net::UdpSocket;";
    assert_eq!(faults_of("net/clock.rs", clock), [] as [String; 0]);
    assert_eq!(faults_of("sip/tests.rs", "use std::fs;"), [] as [String; 0]);
}
