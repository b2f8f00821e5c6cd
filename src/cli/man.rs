//! `portcullis man`: manual pages, made from the same table as `--help`.

use clap_mangen::Man;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the manual page.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write one page for each command into this folder instead.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Exit code 1 when a page can't be written.
pub fn run(args: &ManArgs, command: clap::Command) -> ExitCode {
    super::written(match &args.out {
        Some(folder) => write_all(folder, command),
        None => page(command).and_then(|page| io::stdout().lock().write_all(&page)),
    })
}

/// Where the pages are that the first one names.
const SEE_ALSO: &str = ".SH \"SEE ALSO\"\n.B portcullis man \\-\\-out FOLDER\nwrites the page of every command.\n";

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let (heading, more) = match command.get_name() == "portcullis" {
        true => (".SH \"EXIT STATUS\"", SEE_ALSO),
        false => (".SH EXAMPLES", ""),
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    // What stands behind the help has no name there.
    Ok((page.replacen(".SH EXTRA", heading, 1) + more).into_bytes())
}

/// `portcullis.1`, `portcullis-check.1`, `portcullis-sim-teams.1` …
fn write_all(folder: &Path, mut command: clap::Command) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    command.build();
    write_with_parts(folder, "portcullis", command)
}

fn write_with_parts(folder: &Path, name: &str, command: clap::Command) -> io::Result<()> {
    let is_part = |part: &&clap::Command| !part.is_hide_set() && part.get_name() != "help";
    for part in command.get_subcommands().filter(is_part) {
        write_with_parts(folder, &format!("{name}-{}", part.get_name()), part.clone())?;
    }
    std::fs::write(folder.join(format!("{name}.1")), page(command)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_page_names_every_command() {
        let command = super::super::Cli::command();
        let page = String::from_utf8(page(command.clone()).expect("a page")).expect("text");
        for heading in [".SH \"EXIT STATUS\"\n", ".SH \"SEE ALSO\"\n"] {
            assert!(page.contains(heading), "{page}");
        }
        for part in command.get_subcommands() {
            assert!(page.contains(&format!("portcullis\\-{}(1)", part.get_name())), "{page}");
        }
    }

    #[test]
    fn a_command_within_a_command_has_its_page() {
        let folder = std::env::temp_dir().join(format!("portcullis-man-{:08x}", rand::random::<u32>()));
        write_all(&folder, super::super::Cli::command()).expect("written");
        for (name, option) in [
            ("portcullis-sim-teams", "listen"),
            ("portcullis-certs-dev", "days"),
            ("portcullis-teams-dns", "config"),
            ("portcullis-check", "config"),
        ] {
            let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).expect(name);
            assert!(page.contains(&format!("\\-\\-{option}")), "{page}");
            assert!(!page.contains(".SH EXTRA"), "{page}");
        }
        std::fs::remove_dir_all(&folder).expect("clean up");
    }
}
