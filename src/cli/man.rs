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

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

/// `portcullis.1`, `portcullis-check.1` …
fn write_all(folder: &Path, mut command: clap::Command) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    command.build();
    for part in command.get_subcommands().filter(|part| !part.is_hide_set()) {
        let path = folder.join(format!("portcullis-{}.1", part.get_name()));
        std::fs::write(path, page(part.clone())?)?;
    }
    std::fs::write(folder.join("portcullis.1"), page(command)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_page_names_every_command() {
        let command = super::super::Cli::command();
        let page = String::from_utf8(page(command.clone()).expect("a page")).expect("text");
        for part in command.get_subcommands() {
            assert!(page.contains(&format!("portcullis\\-{}(1)", part.get_name())), "{page}");
        }
    }
}
