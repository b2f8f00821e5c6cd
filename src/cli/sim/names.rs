//! `portcullis sim dns`: names that move while a node asks for them.

use super::CommandError;
use super::settings::{DnsArgs, Lead};
use crate::sim::DnsSim;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::interval;

/// How often new questions are looked for.
const GLANCE: Duration = Duration::from_millis(200);

/// Until Ctrl-C. True: nothing can go wrong once it listens.
pub(super) async fn serve(args: &DnsArgs) -> Result<bool, CommandError> {
    let dns = DnsSim::start(args.listen).await.map_err(CommandError::Names)?;
    let ttl = Duration::from_secs(args.ttl);
    tell(&format!("names are answered on {}; Ctrl-C ends it", dns.address()));
    for lead in &args.hosts {
        take(&dns, ttl, lead);
    }
    let mut lines = lines_of_input();
    let mut glances = interval(GLANCE);
    let (mut told, mut listening) = (0, true);
    loop {
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                return Ok(true);
            }
            line = lines.recv(), if listening => match line {
                Some(line) => match line.trim().parse::<Lead>() {
                    Ok(lead) => take(&dns, ttl, &lead),
                    Err(wrong) => tell(&wrong),
                },
                None => listening = false,
            },
            _ = glances.tick() => {
                let (asked, total) = dns.asked_after(told);
                for question in asked {
                    tell(&format!("asked: {question}"));
                }
                told = total;
            }
        }
    }
}

/// Read on a thread that ends with the input, or with the process.
fn lines_of_input() -> mpsc::Receiver<String> {
    let (said, heard) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if said.blocking_send(line).is_err() {
                return;
            }
        }
    });
    heard
}

fn take(dns: &DnsSim, ttl: Duration, lead: &Lead) {
    if lead.addresses.is_empty() {
        dns.forget(&lead.name);
        return tell(&format!("{} is gone", lead.name));
    }
    dns.lead(&lead.name, ttl, &lead.addresses);
    let addresses: Vec<String> = lead.addresses.iter().map(ToString::to_string).collect();
    tell(&format!("{} leads to {}", lead.name, addresses.join(", ")));
}

fn tell(text: &str) {
    // A reader who hung up is no news.
    let _ = writeln!(stdout().lock(), "{text}");
}
