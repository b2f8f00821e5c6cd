//! Further hubs of the same Teams in one process: `--beside NAME=ADDRESS:PORT`, and how each behaves.

use super::{CommandError, TeamsArgs};
use crate::sim::{Manner, Script, TeamsSettings, TeamsSim};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::str::FromStr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Connections that a mute hub holds; older ones are closed.
const HELD: usize = 256;

/// A hub beside the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    pub hub: String,
    pub listen: SocketAddr,
    pub conduct: Conduct,
}

/// How a hub behaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Conduct {
    /// As the scripts of the command say.
    AsTold,
    /// 503 to every INVITE and OPTIONS.
    Draining,
    /// Connections and handshakes, and no answer.
    Stalled,
    /// Connections, and no handshake.
    Mute,
    /// Nobody listens: connections are refused.
    Dead,
    Script(Script),
}

const FORM: &str = "NAME=ADDRESS:PORT is expected, such as sip2.pstnhub.microsoft.com=127.0.0.4:5061, and behind a space `draining`, \
                    `stalled`, `mute`, `dead` or a script";

impl FromStr for Beside {
    type Err = String;

    fn from_str(text: &str) -> Result<Beside, String> {
        let (place, conduct) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let (hub, address) = place.split_once('=').filter(|(hub, _)| !hub.is_empty()).ok_or(FORM)?;
        let listen = address
            .parse()
            .map_err(|_| format!("`{address}` is no address with a port; {FORM}"))?;
        let conduct = match conduct.trim() {
            "" => Conduct::AsTold,
            "draining" => Conduct::Draining,
            "stalled" => Conduct::Stalled,
            "mute" => Conduct::Mute,
            "dead" => Conduct::Dead,
            script => {
                let script: Script = script.parse().map_err(|wrong| {
                    format!("{hub} is `draining`, `stalled`, `mute`, `dead`, or plays a script; {wrong}")
                })?;
                Conduct::Script(script)
            }
        };
        Ok(Beside {
            hub: hub.to_owned(),
            listen,
            conduct,
        })
    }
}

/// What stands at a hub's address.
pub(super) enum Standing {
    Hub(Box<TeamsSim>),
    Mute(Mute),
    Nothing,
}

impl Beside {
    /// Begins it beside the first hub, whose settings are its own but for name and address.
    pub(super) async fn begin(&self, first: &TeamsSim, args: &TeamsArgs) -> Result<Standing, CommandError> {
        match self.conduct {
            Conduct::Mute => Ok(Standing::Mute(Mute::begin(self.listen).await?)),
            Conduct::Dead => {
                // Let go at once: what matters is that nobody else is there.
                drop(bound(self.listen).await?);
                Ok(Standing::Nothing)
            }
            _ => {
                let hub = first.start_beside(TeamsSettings {
                    hub: self.hub.clone(),
                    listen: self.listen,
                    ..args.settings()
                })?;
                args.behaviour.prepare(&hub, &args.from);
                match &self.conduct {
                    Conduct::Draining => hub.set_manner(Manner::Unavailable { retry_after: 1 }),
                    Conduct::Stalled => hub.set_manner(Manner::Stalled),
                    Conduct::Script(script) => hub.set_scripts(std::slice::from_ref(script)),
                    Conduct::AsTold | Conduct::Mute | Conduct::Dead => {}
                }
                Ok(Standing::Hub(Box::new(hub)))
            }
        }
    }

    /// For who looks on.
    pub(super) fn described(&self) -> String {
        let how = match &self.conduct {
            Conduct::AsTold => "plays the scripts of the command",
            Conduct::Draining => "drains: 503 to every INVITE and OPTIONS",
            Conduct::Stalled => "stalls: no request is answered",
            Conduct::Mute => "is mute: no handshake is answered",
            Conduct::Dead => "is dead: nobody listens there",
            Conduct::Script(_) => "plays its own script",
        };
        format!("{} on {} {how}", self.hub, self.listen)
    }
}

/// Takes connections and says nothing on them.
pub(super) struct Mute(JoinHandle<()>);

impl Mute {
    async fn begin(listen: SocketAddr) -> Result<Mute, CommandError> {
        let listener = bound(listen).await?;
        Ok(Mute(tokio::spawn(async move {
            let mut held = VecDeque::new();
            while let Ok((stream, _)) = listener.accept().await {
                if held.len() == HELD {
                    held.pop_front();
                }
                held.push_back(stream);
            }
        })))
    }
}

impl Mute {
    /// Closes everything.
    pub(super) async fn end(mut self) {
        self.0.abort();
        // It ends by nothing else.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn bound(listen: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(listen)
        .await
        .map_err(|why| CommandError::NotThere { listen, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_beside_has_a_name_an_address_and_a_conduct() {
        let read = |text: &str| text.parse::<Beside>();
        let at = SocketAddr::from(([127, 0, 0, 4], 5061));
        for (more, conduct) in [
            ("", Conduct::AsTold),
            (" draining", Conduct::Draining),
            ("  stalled ", Conduct::Stalled),
            (" mute", Conduct::Mute),
            (" dead", Conduct::Dead),
            (" ring, answer", Conduct::Script("ring, answer".parse().unwrap())),
        ] {
            let beside = read(&format!("sip2.hub.example=127.0.0.4:5061{more}")).unwrap();
            assert_eq!(
                (beside.hub.as_str(), beside.listen, beside.conduct),
                ("sip2.hub.example", at, conduct)
            );
        }
        for (wrong, told) in [
            ("sip2.hub.example", "NAME=ADDRESS:PORT is expected"),
            ("=127.0.0.4:5061", "NAME=ADDRESS:PORT is expected"),
            ("sip2.hub.example=127.0.0.4", "`127.0.0.4` is no address with a port"),
            (
                "sip2.hub.example=127.0.0.4:5061 drainig",
                "step 1, `drainig`: no such word",
            ),
        ] {
            let said = read(wrong).unwrap_err();
            assert!(said.contains(told), "{wrong}: {said}");
        }
    }
}
