//! `portcullis schema`: the JSON Schema of the configuration files, for editors.

use crate::config::{FileKind, schema};
use std::io::{self, Write};
use std::process::ExitCode;

/// Print the JSON Schema of a configuration file.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// Which file.
    #[arg(value_enum)]
    pub file: SchemaFile,
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaFile {
    /// sbc.toml
    Sbc,
    /// tenants/<name>.toml
    Tenant,
}

/// Exit code 1 when the schema can't be written.
pub fn run(args: &SchemaArgs) -> ExitCode {
    let kind = match args.file {
        SchemaFile::Sbc => FileKind::Sbc,
        SchemaFile::Tenant => FileKind::Tenant,
    };
    match writeln!(io::stdout().lock(), "{:#}", schema(kind)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
