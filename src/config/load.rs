//! A configuration folder to a [`Config`], the first time and again. Only files whose text changed are parsed again;
//! either everything is right and a new configuration comes out, or nothing changes.

use super::check::{self, MachineFacts, Member, Reader};
use super::checked::{Config, Sbc, Teams, Tenant};
use super::file::{File, Reread, read};
use super::held;
use super::mistake::{Mistake, Mistakes, Source, nearest};
use super::raw::{RawSbc, RawTenant};
use super::resource::Resource;
use super::schema::FileKind;
use super::tls_files::TlsFiles;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From this many changed files on, they are parsed on all cores.
const WORTH_THREADS: usize = 32;

/// What a reload came to.
#[derive(Debug)]
pub enum Reload {
    /// Everything is right: this is the configuration from now on.
    Applied {
        config: Arc<Config>,
        /// Files that are new, gone or have another text, in all that was read since the configuration before it.
        changed: Vec<PathBuf>,
        /// Keys of `sbc.toml` of which something waits for the node's next start.
        waiting: Vec<&'static str>,
        took: Duration,
    },
    /// Something is wrong: the old configuration stays.
    Refused {
        mistakes: Mistakes,
        /// Files that are new, gone or have another text, in all that was read since the configuration in force: those of
        /// reloads that were refused before this one too.
        changed: Vec<PathBuf>,
        took: Duration,
    },
    /// Nothing differs from the configuration that is in force.
    Unchanged,
}

/// Reads a configuration folder once.
pub fn load(folder: &Path) -> Result<Arc<Config>, Mistakes> {
    Loader::new(folder).load()
}

/// A configuration folder, with what was read of it.
#[derive(Debug)]
pub struct Loader {
    folder: PathBuf,
    sbc: Option<File<RawSbc>>,
    /// By the name of the file without `.toml`.
    tenants: BTreeMap<String, TenantFile>,
    /// In force.
    config: Option<Arc<Config>>,
    /// A node runs with `config`.
    running: bool,
    /// Keys of `sbc.toml` of which something waits for that node's next start.
    waiting: Vec<&'static str>,
    /// The text of `sbc.toml` that is in force.
    machine: Option<Source>,
    /// Some file changed since `config` was made.
    stale: Vec<PathBuf>,
    /// All that is in the folder was read; otherwise the next reload reads the whole folder.
    complete: bool,
}

#[derive(Debug)]
struct TenantFile {
    file: File<RawTenant>,
    checked: Option<CheckedTenant>,
}

/// A tenant checked by itself, for as long as its text and these facts stay.
#[derive(Debug)]
struct CheckedTenant {
    facts: Option<MachineFacts>,
    /// Also beside mistakes, where it can be compared with the other tenants.
    tenant: Option<Arc<Tenant>>,
    mistakes: Vec<Mistake>,
    /// There was too much to read elsewhere: the next time there may be less.
    cut_short: bool,
}

impl Loader {
    /// Nothing is read yet.
    pub fn new(folder: &Path) -> Loader {
        Loader {
            folder: folder.to_path_buf(),
            sbc: None,
            tenants: BTreeMap::new(),
            config: None,
            running: false,
            waiting: Vec::new(),
            machine: None,
            stale: Vec::new(),
            complete: false,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files as they were read last.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        let tenants = self.tenants.values().map(|tenant| &tenant.file.source);
        self.sbc.iter().map(|file| &file.source).chain(tenants)
    }

    /// The certificates, keys and roots that the text read last names, right or wrong as it is.
    pub fn tls_files(&self) -> TlsFiles {
        let sbc = self.sbc.as_ref();
        sbc.map_or_else(TlsFiles::default, |file| TlsFiles::of(file, &self.folder))
    }

    /// Where the text read last names an alias of a tenant: file, line and column.
    pub fn place_of_alias(&self, name: &str) -> Option<String> {
        self.tenants.values().find_map(|tenant| {
            let aliases = &tenant.file.raw.as_ref()?.aliases;
            let text = aliases.iter().find(|alias| alias.value().eq_ignore_ascii_case(name))?;
            Some(Mistake::at(&tenant.file.source, text.span(), "").place())
        })
    }

    /// What the machine does not give, and why, told where the text read last asks for it.
    pub fn refused(&self, resource: Resource<'_>, why: &str) -> Mistakes {
        Mistakes::one(resource.refused(self.sbc.as_ref(), &self.folder, why))
    }

    /// What is doubtful of a folder without a folder `tenants`. It is right all the same: the machine answers OPTIONS while
    /// the first tenant is being written.
    pub fn without_tenants(&self) -> Option<String> {
        if self.folder.join("tenants").exists() {
            return None;
        }
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let folders = entries.filter(|entry| entry.path().is_dir());
        let names: Vec<String> = folders
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        let lacks = format!("there is no folder {}/tenants, and so no tenant", self.folder.display());
        Some(match nearest("tenants", names.iter().map(String::as_str)) {
            Some(near) => format!("{lacks}; did you mean `{near}` to be it?"),
            None => lacks,
        })
    }

    /// A node has started with the configuration in force: what it made once stays as it is in all that come.
    pub fn started(&mut self) {
        self.running = true;
    }

    /// Reads the folder. The configuration that comes out is in force.
    pub fn load(&mut self) -> Result<Arc<Config>, Mistakes> {
        match self.reload() {
            Reload::Applied { config, .. } => Ok(config),
            Reload::Refused { mistakes, .. } => Err(mistakes),
            Reload::Unchanged => self
                .config
                .clone()
                .ok_or_else(|| Mistakes::one(Mistake::about(&self.folder, "nothing was loaded"))),
        }
    }

    /// Reads the whole folder, parses what changed, and checks everything.
    pub fn reload(&mut self) -> Reload {
        self.reload_where(|_| true)
    }

    /// The same, for a folder in which nothing but these files changed since the last time; their names as in
    /// [`Loader::folder`]. What is known of the others is not read again, while the names in the folder are.
    pub fn reload_files(&mut self, changed: &BTreeSet<PathBuf>) -> Reload {
        match self.complete {
            true => self.reload_where(|path| changed.contains(path)),
            false => self.reload(),
        }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "timed for the report; no decision reads the clock"
    )]
    fn reload_where(&mut self, may_differ: impl Fn(&Path) -> bool) -> Reload {
        let began = Instant::now();
        let mut mistakes = self.read_changes(may_differ);
        self.complete = mistakes.is_empty();
        mistakes.extend(self.sbc.iter().flat_map(|file| &file.mistakes).cloned());
        mistakes.extend(self.tenants.values().flat_map(|tenant| &tenant.file.mistakes).cloned());
        let folder = self.folder.clone();
        let mut checked = self.check(Some(&folder), None, &mut mistakes);
        let mut waiting = Vec::new();
        if let Some(running) = self.config.clone().filter(|_| self.running && mistakes.is_empty()) {
            (checked, waiting) = self.hold(&running, checked, &mut mistakes);
        }
        let unread = || Mistakes::one(Mistake::about(&self.folder, "the configuration can't be read"));
        let right = Mistakes::none_in(mistakes).and_then(|()| checked.ok_or_else(unread));
        let mut config = match right {
            Ok(config) => config,
            Err(mistakes) => {
                return Reload::Refused {
                    mistakes,
                    changed: self.stale.clone(),
                    took: began.elapsed(),
                };
            }
        };
        self.machine = self.sbc.as_ref().map(|file| file.source.clone());
        if let Some(old) = &self.config {
            if old.same_as(&config) && self.waiting == waiting {
                self.stale.clear();
                return Reload::Unchanged;
            }
            config.generation = old.generation + 1;
            if old.sbc == config.sbc {
                config.sbc = old.sbc.clone();
            }
        }
        let config = Arc::new(config);
        self.config = Some(config.clone());
        self.waiting.clone_from(&waiting);
        Reload::Applied {
            config,
            changed: std::mem::take(&mut self.stale),
            waiting,
            took: began.elapsed(),
        }
    }

    /// Brings the files in memory up to date with the folder. Mistakes are those of reading.
    fn read_changes(&mut self, may_differ: impl Fn(&Path) -> bool) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let sbc = self.folder.join("sbc.toml");
        match read(&sbc) {
            Ok(text) if self.sbc.as_ref().is_some_and(|file| *file.source.text == *text) => {}
            Ok(text) => {
                let source = Source::new(&sbc, &text);
                self.sbc = Some(File::parse(FileKind::Sbc, source));
                self.note_change(sbc);
            }
            Err(mistake) => {
                mistakes.push(mistake.expected("the machine's configuration; `portcullis schema sbc` describes it"));
                self.sbc = None;
                self.note_change(sbc);
            }
        }
        let folder = self.folder.join("tenants");
        let files = match tenant_files(&folder, &mut mistakes) {
            Some(files) => files,
            // Whoever moves it away for a moment doesn't mean that all tenants are gone. What is known of them stays.
            None if self.config.as_ref().is_some_and(|config| !config.tenants.is_empty()) => {
                let mistake = Mistake::about(&folder, "the folder tenants is gone");
                mistakes.push(mistake.expected("this folder; an empty one means no tenants"));
                return mistakes;
            }
            None => BTreeMap::new(),
        };
        let gone: Vec<String> = self
            .tenants
            .keys()
            .filter(|stem| !files.contains_key(*stem))
            .cloned()
            .collect();
        for stem in gone {
            if let Some(old) = self.tenants.remove(&stem) {
                self.note_change(old.file.source.path.to_path_buf());
            }
        }
        let mut changed = Vec::new();
        for (stem, path) in files {
            if !may_differ(&path) && self.tenants.contains_key(&stem) {
                continue;
            }
            match read(&path) {
                Ok(text)
                    if self
                        .tenants
                        .get(&stem)
                        .is_some_and(|tenant| *tenant.file.source.text == *text) => {}
                Ok(text) => changed.push((stem, Source::new(&path, &text))),
                Err(mistake) => {
                    mistakes.push(*mistake);
                    self.tenants.remove(&stem);
                    self.note_change(path);
                }
            }
        }
        for (stem, file) in parse_all(changed) {
            self.note_change(file.source.path.to_path_buf());
            self.tenants.insert(stem, TenantFile { file, checked: None });
        }
        mistakes
    }

    fn note_change(&mut self, path: PathBuf) {
        if !self.stale.contains(&path) {
            self.stale.push(path);
        }
    }

    /// What of a right configuration comes into force in the node that runs.
    fn hold(
        &mut self,
        running: &Config,
        written: Option<Config>,
        mistakes: &mut Vec<Mistake>,
    ) -> (Option<Config>, Vec<&'static str>) {
        let Some(mut config) = written else {
            return (None, Vec::new());
        };
        let (sbc, waiting) = held::hold(&running.sbc, &config.sbc);
        if config.sbc.teams.base != sbc.teams.base {
            // The names that tenants have under a base that is new wait with it.
            let folder = self.folder.clone();
            match self.check(Some(&folder), Some(&sbc.teams), mistakes) {
                Some(under_it) => config = under_it,
                None => return (None, waiting),
            }
        }
        config.sbc = Arc::new(sbc);
        (Some(config), waiting)
    }

    /// What the files mean, with tenants' names under the carrier trunks that are in force if they are given. Some mistake was
    /// added where nothing comes out.
    fn check(
        &mut self,
        folder: Option<&Path>,
        in_force: Option<&Teams>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Config> {
        let mut left = Reread::of_a_folder();
        let (sbc, facts) = match self.sbc.as_ref().and_then(|file| Some((file, file.raw.as_ref()?))) {
            Some((file, raw)) => {
                // What waits for the start is looked at by nobody until then.
                let is_known = self
                    .machine
                    .as_ref()
                    .is_some_and(|known| known.text == file.source.text);
                let in_force = self.running && self.waiting.is_empty() && is_known;
                machine(file, raw, folder, in_force, &mut left, mistakes)
            }
            None => (None, None),
        };
        let facts = facts.map(|written| MachineFacts {
            bases: match in_force {
                Some(teams) => written.bases.held(teams),
                None => written.bases,
            },
            ..written
        });
        for (stem, tenant) in &mut self.tenants {
            mistakes.extend(tenant.check(stem, folder, facts.as_ref(), &mut left).iter().cloned());
        }
        let members: Vec<Member<'_>> = self.tenants.values().filter_map(TenantFile::member).collect();
        let bases = facts.as_ref().map(|facts| &facts.bases);
        let (names, numbers) = check::together(&members, bases, self.config.as_deref(), mistakes);
        let tenants = members.iter().map(|member| member.tenant.clone()).collect();
        Some(Config {
            generation: 1,
            sbc: Arc::new(sbc?),
            tenants,
            numbers,
            names,
        })
    }
}

impl TenantFile {
    /// Checks the tenant by itself, unless that was done with the same facts. Returns its mistakes.
    fn check(
        &mut self,
        stem: &str,
        folder: Option<&Path>,
        facts: Option<&MachineFacts>,
        left: &mut Reread,
    ) -> &[Mistake] {
        // Its own text says nothing of secrets that stand elsewhere.
        let elsewhere = self.file.raw.as_ref().is_some_and(RawTenant::reads_elsewhere);
        let known = self.checked.take();
        let known = known.filter(|checked| !elsewhere && !checked.cut_short && checked.facts.as_ref() == facts);
        let checked = known.unwrap_or_else(|| {
            let file = &self.file;
            let check = |raw: &RawTenant| {
                let mut reader = Reader::new(&file.source, folder, &file.mended);
                let tenant = check::tenant(stem, raw, facts, &mut reader);
                (tenant, reader.mistakes)
            };
            let (tenant, mut mistakes) = file.raw.as_ref().map(check).unwrap_or_default();
            let mut cut_short = false;
            if !mistakes.is_empty() {
                match file.other_readings(left) {
                    Some(readings) => readings.for_each(|raw| keep_common(&mut mistakes, || check(&raw).1)),
                    None => (mistakes, cut_short) = (vec![file.too_unclear()], true),
                }
            }
            CheckedTenant {
                facts: facts.cloned(),
                tenant: tenant.map(Arc::new),
                mistakes,
                cut_short,
            }
        });
        &self.checked.insert(checked).mistakes
    }

    fn member(&self) -> Option<Member<'_>> {
        let tenant = self.checked.as_ref()?.tenant.as_ref()?;
        Some(Member {
            tenant,
            raw: self.file.raw.as_ref()?,
            source: &self.file.source,
        })
    }
}

impl Config {
    /// Reads a configuration from texts: `sbc.toml`, and each tenant's name with its text. Relative paths stay as they
    /// are, and nobody looks whether files exist. For tests and for `explain`.
    pub fn from_toml_strs(sbc: &str, tenants: &[(&str, &str)]) -> Result<Config, Mistakes> {
        let source = |path: String, text: &str| Source::new(Path::new(&path), text);
        let mut loader = Loader::new(Path::new(""));
        loader.sbc = Some(File::parse(FileKind::Sbc, source("sbc.toml".to_owned(), sbc)));
        for (name, text) in tenants {
            let file = File::parse(FileKind::Tenant, source(format!("tenants/{name}.toml"), text));
            loader
                .tenants
                .insert((*name).to_owned(), TenantFile { file, checked: None });
        }
        let mut mistakes: Vec<Mistake> = loader.sbc.iter().flat_map(|file| file.mistakes.clone()).collect();
        mistakes.extend(loader.tenants.values().flat_map(|tenant| tenant.file.mistakes.clone()));
        let config = loader.check(None, None, &mut mistakes);
        Mistakes::none_in(mistakes)?;
        config.ok_or_else(|| Mistakes::one(Mistake::about(Path::new("sbc.toml"), "the configuration can't be read")))
    }

    fn same_as(&self, other: &Config) -> bool {
        self.sbc == other.sbc && self.tenants == other.tenants
    }
}

/// The machine, and what is known of it for tenants. What is unclear in its file is only held against it where it is wrong in
/// every reading. `in_force`: the node runs with exactly this text.
fn machine(
    file: &File<RawSbc>,
    raw: &RawSbc,
    folder: Option<&Path>,
    in_force: bool,
    left: &mut Reread,
    mistakes: &mut Vec<Mistake>,
) -> (Option<Sbc>, Option<MachineFacts>) {
    let check = |raw: &RawSbc| {
        let mut reader = Reader::new(&file.source, folder, &file.mended).in_force(in_force);
        let sbc = check::machine(raw, &mut reader);
        (sbc.filter(|_| reader.mistakes.is_empty()), reader.mistakes)
    };
    let (sbc, mut certain) = check(raw);
    let Some(readings) = file.other_readings(left) else {
        mistakes.push(file.too_unclear());
        return (None, None);
    };
    let mut facts = MachineFacts::of(raw);
    for raw in readings {
        facts = facts.common(&MachineFacts::of(&raw));
        keep_common(&mut certain, || check(&raw).1);
    }
    mistakes.extend(certain);
    (sbc, Some(facts))
}

/// Keeps those of `mistakes` that are `found` too, which nobody looks for where there are none.
fn keep_common(mistakes: &mut Vec<Mistake>, found: impl FnOnce() -> Vec<Mistake>) {
    if !mistakes.is_empty() {
        let found = BTreeSet::from_iter(found());
        mistakes.retain(|mistake| found.contains(mistake));
    }
}

/// `*.toml` in `folder`, by name without the ending. Hidden files, backups and other endings are left alone; one that
/// looks mistyped is a mistake. None: there is no such folder.
fn tenant_files(folder: &Path, mistakes: &mut Vec<Mistake>) -> Option<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            mistakes.push(Mistake::about(folder, format!("can't be read: {error}")));
            return Some(files);
        }
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let Some((stem, ending)) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.rsplit_once('.'))
        else {
            continue;
        };
        // `contoso.toml~` is what many editors leave behind of a file that they save.
        if stem.is_empty() || stem.starts_with(['.', '#']) || ending.ends_with('~') {
            continue;
        }
        if ending == "toml" {
            files.insert(stem.to_owned(), path);
        } else if ending.len() < 6 && nearest(ending, ["toml"]).is_some() {
            mistakes.push(Mistake::about(&path, "this file is not read").expected("a name that ends in .toml"));
        }
    }
    Some(files)
}

fn parse_all(sources: Vec<(String, Source)>) -> Vec<(String, File<RawTenant>)> {
    let parse = |(stem, source)| (stem, File::parse(FileKind::Tenant, source));
    if sources.len() < WORTH_THREADS {
        return sources.into_iter().map(parse).collect();
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = sources.len().div_ceil(cores);
    let mut left = sources;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        while !left.is_empty() {
            let mine = left.split_off(left.len().saturating_sub(share));
            threads.push(scope.spawn(move || mine.into_iter().map(parse).collect::<Vec<_>>()));
        }
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
