//! The machine that tests of other rooms configure: a listener for Teams, one for carriers over UDP, 112 for emergencies.

/// `sbc.toml` with `more` behind it: carriers, other listeners, tables that are not here.
pub fn machine(more: &str) -> String {
    format!("{MACHINE}{more}")
}

const MACHINE: &str = r#"
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "0.0.0.0:5061"
certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]

[[listeners]]
name = "udp"
purpose = "carrier"
transport = "udp"
bind = "192.0.2.10:5060"

[media]
advertise = "198.51.100.10"

[teams]
base = "sbc1.example.net"

[emergency]
numbers = ["112"]
"#;
