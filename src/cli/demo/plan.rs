//! Where everything is, and the configuration that says so.

use super::DemoError;
use crate::config::Cloud;
use crate::net::interface_addresses;
use crate::sim::Papers;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

pub(super) const SBC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
pub(super) const CARRIER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
pub(super) const TEAMS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
/// Portcullis' trunk name, and its tenant's.
pub(super) const BASE: &str = "sbc1.example.net";
pub(super) const TRUNK: &str = "contoso.sbc1.example.net";
/// Microsoft's own names; here they lead to the simulator.
pub(super) const HUBS: &[&str] = Cloud::Commercial.hubs();
/// A user of the tenant, and somebody in the telephone network.
pub(super) const USER: &str = "+14255550100";
pub(super) const OUTSIDE: &str = "+12065550123";

/// The temporary folder; it goes when this does.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one in `above`.
    pub(super) fn make(above: &Path) -> Result<Folder, DemoError> {
        let path = above.join(format!("portcullis-demo-{:08x}", rand::random::<u32>()));
        let what = format!("the folder {} can't be made", path.display());
        std::fs::create_dir_all(path.join("tenants")).map_err(DemoError::machine(what))?;
        Ok(Folder(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The ports that portcullis will listen on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) teams: u16,
    pub(super) carriers: u16,
}

impl Ports {
    /// Ports that are free now.
    pub(super) fn find() -> io::Result<Ports> {
        Ok(Ports {
            teams: TcpListener::bind((SBC, 0))?.local_addr()?.port(),
            carriers: UdpSocket::bind((SBC, 0))?.local_addr()?.port(),
        })
    }

    /// A range for media that none of them is in: the kernel gives free ports from where it likes.
    fn media(self) -> std::ops::RangeInclusive<u16> {
        let ranges = (20_000..60_000).step_by(4_000).map(|first| first..=first + 3_999);
        let mut free = ranges.filter(|range| !range.contains(&self.teams) && !range.contains(&self.carriers));
        free.next().unwrap_or(20_000..=23_999)
    }

    pub(super) fn teams_listener(self) -> SocketAddr {
        SocketAddr::new(SBC, self.teams)
    }

    pub(super) fn carrier_listener(self) -> SocketAddr {
        SocketAddr::new(SBC, self.carriers)
    }
}

/// Writes `sbc.toml` and `tenants/contoso.toml`. `names` have to lead to the simulated Teams.
pub(super) fn write(
    folder: &Folder,
    papers: &Papers,
    ports: Ports,
    carrier: SocketAddr,
    teams: SocketAddr,
    names: &[String],
) -> io::Result<()> {
    let hubs: Vec<String> = HUBS.iter().map(|hub| format!("\"{hub}:{}\"", teams.port())).collect();
    let mut hosts: Vec<String> = HUBS.iter().map(|hub| (*hub).to_owned()).collect();
    hosts.extend(names.iter().cloned());
    hosts.sort();
    hosts.dedup();
    let hosts: Vec<String> = hosts.iter().map(|name| format!("\"{name}\" = [\"{TEAMS}\"]")).collect();
    let (certificate, key, root) = (
        papers.sbc_certificate.display(),
        papers.sbc_key.display(),
        papers.root.display(),
    );
    let (teams_port, carrier_port) = (ports.teams, ports.carriers);
    let (first, last) = ports.media().into_inner();
    // A softphone of this machine may come from any of its addresses, and describe another one.
    let own = interface_addresses().iter().filter(|address| !address.is_loopback());
    let own: Vec<String> = own.map(|address| format!(", \"{address}\"")).collect();
    let own = format!("\"127.0.0.0/8\"{}", own.concat());
    let sbc = format!(
        r#"# Made by `portcullis demo`: one machine, addresses of the loopback network.
node = "demo"

[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "{SBC}:{teams_port}"
advertise = "{BASE}:{teams_port}"
certificates = [{{ certificate = "{certificate}", key = "{key}" }}]

[[listeners]]
name = "carriers"
purpose = "carrier"
transport = "udp"
bind = "{SBC}:{carrier_port}"

[media]
bind = "{SBC}"
ports = "{first}-{last}"
allow_loopback = true

[teams]
base = "{BASE}"
roots = "{root}"
hubs = [{hubs}]
networks = ["127.0.0.0/8"]

[[carriers]]
id = "north"
networks = [{own}]
nat = true
gateways = [{{ host = "{carrier_ip}", port = {carrier_sim}, transport = "udp" }}]

[dns]
hosts = {{ {hosts} }}
"#,
        hubs = hubs.join(", "),
        hosts = hosts.join(", "),
        carrier_ip = carrier.ip(),
        carrier_sim = carrier.port(),
    );
    let tenant = r#"domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]

[[numbers]]
range = "+14255550100-+14255550198"
to = "teams"
"#;
    std::fs::write(folder.path().join("sbc.toml"), sbc)?;
    std::fs::write(folder.path().join("tenants").join("contoso.toml"), tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_not_be_made_is_named() {
        let Err(error) = Folder::make(Path::new("/dev/null/tmp")) else {
            panic!("a folder below a device");
        };
        let said = error.to_string();
        assert!(
            said.contains("/dev/null/tmp/portcullis-demo-") && said.contains("can't be made: "),
            "{said}"
        );
    }
}
