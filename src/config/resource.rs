//! What a start may not get from the machine, told where the configuration asks for it.

use super::file::File;
use super::mistake::Mistake;
use super::raw::{RawListener, RawSbc};
use std::ops::Range;
use std::path::Path;

/// Something of the machine that a configuration asks for.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'n> {
    /// The socket of a listener, by its name.
    Listener(&'n str),
    Admin,
    Rest,
    /// Sockets and threads of media.
    Media,
    /// The file that bindings are kept in.
    Store,
    /// The file of call detail records.
    Records,
    /// The machine's own bundle of roots.
    Roots,
    /// The configuration folder, to be told of what changes in it.
    Folder,
}

impl Resource<'_> {
    const fn expected(self) -> &'static str {
        match self {
            Resource::Listener(_) | Resource::Admin | Resource::Rest => {
                "an address of this machine, and a port that nobody else has"
            }
            Resource::Media => "an address of this machine, and ports that nobody else has",
            Resource::Store => {
                "a file in a folder that is there and that this user may write to; no other process has it open"
            }
            Resource::Records => "a file that this user may write; folders that lack are made",
            Resource::Roots => "the package ca-certificates, or a file of roots",
            Resource::Folder => "a folder that this user may read, and room under the sysctls fs.inotify.*",
        }
    }

    fn place(self, raw: &RawSbc) -> Option<Range<usize>> {
        match self {
            Resource::Listener(name) => {
                let named = |listener: &&RawListener| listener.name.value() == name;
                raw.listeners.iter().find(named).map(|listener| listener.bind.span())
            }
            Resource::Admin => Some(raw.admin.as_ref()?.bind.as_ref()?.span()),
            Resource::Rest => Some(raw.api.as_ref()?.bind.as_ref()?.span()),
            Resource::Media => {
                let bind = raw.media.value().bind.as_ref();
                Some(bind.map_or_else(|| raw.media.span(), |bind| bind.span()))
            }
            Resource::Store => Some(raw.registrar.as_ref()?.store.as_ref()?.span()),
            Resource::Records => Some(raw.cdr.as_ref()?.path.span()),
            Resource::Roots | Resource::Folder => None,
        }
    }

    /// Why it could not be had, told where `file` asks for it, or of the whole file where nothing is written of it.
    pub(super) fn refused(self, file: Option<&File<RawSbc>>, folder: &Path, why: &str) -> Mistake {
        let place = file.and_then(|file| Some((&file.source, self.place(file.raw.as_ref()?)?)));
        match (place, self) {
            (Some((source, span)), _) => Mistake::at(source, span, why),
            (None, Resource::Folder) => Mistake::about(folder, why),
            (None, _) => Mistake::about(&folder.join("sbc.toml"), why),
        }
        .expected(self.expected())
    }
}
