//! Routing with 1,000 tenants and 100,000 numbers: the decision alone, both directions. `cargo bench --bench route`.

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::config::Config;
use portcullis::route::{Caller, Facts, Origin, Vouched, decide};
use std::fmt::Write as _;
use std::hint::black_box;

const TENANTS: u64 = 1_000;
const NUMBERS: u64 = 100;

fn config() -> Config {
    let sbc = r#"
node = "sbc1.example.net"
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "127.0.0.1:5061"
certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]
[[listeners]]
name = "carrier"
purpose = "carrier"
transport = "udp"
bind = "127.0.0.1:5060"
[media]
bind = "127.0.0.1"
allow_loopback = true
[teams]
base = "sbc1.example.net"
[[carriers]]
id = "north"
networks = ["127.0.0.2"]
gateways = [{ host = "127.0.0.2", listener = "carrier" }]
"#;
    let tenants: Vec<(String, String)> = (0..TENANTS)
        .map(|tenant| (format!("t{tenant}"), tenant_file(tenant)))
        .collect();
    let tenants: Vec<(&str, &str)> = tenants
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Config::from_toml_strs(sbc, &tenants).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn tenant_file(tenant: u64) -> String {
    let mut text = format!("domains = [\"t{tenant}.example\"]\nlabel = \"t{tenant}\"\ncarriers = [\"north\"]\n");
    for number in 0..NUMBERS {
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "[[numbers]]\nnumber = \"+1{}\"\nto = \"teams\"",
            2_000_000_000 + tenant * NUMBERS + number
        );
    }
    text
}

fn facts(origin: Origin, dialled: &str, host: &str, from: &str) -> Facts {
    let caller = Caller {
        number: from.to_owned(),
        ..Caller::default()
    };
    Facts {
        origin,
        dialled: dialled.to_owned(),
        extension: None,
        host: host.to_owned(),
        caller,
        colleague: None,
        diversions: Vec::new(),
        vouched: Vouched::default(),
        elin: Default::default(),
    }
}

fn routes(criterion: &mut Criterion) {
    let config = config();
    let (user, outside) = (format!("+1{}", 2_000_000_000 + 77_777), "+441632960001");
    let north = config.sbc.carriers[0].id.clone();
    let inward = facts(Origin::Carrier(north), &user, "127.0.0.1", outside);
    let outward = facts(Origin::Teams, outside, "t777.sbc1.example.net", &user);
    assert!(decide(&config, &inward).0.is_ok() && decide(&config, &outward).0.is_ok());
    criterion.bench_function("route/carrier-to-teams", |bench| {
        bench.iter(|| decide(&config, black_box(&inward)))
    });
    criterion.bench_function("route/teams-to-carrier", |bench| {
        bench.iter(|| decide(&config, black_box(&outward)))
    });
}

criterion_group!(benches, routes);
criterion_main!(benches);
