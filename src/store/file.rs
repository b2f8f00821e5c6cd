//! The file: opened, read at the start, written in batches, and opened anew after a failure.

use super::Table;
use super::journal::Batch;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store {}: {source}", path.display())]
    Open { path: PathBuf, source: Box<redb::Error> },
    #[error("store: {0}")]
    Read(Box<redb::Error>),
    #[error("store: no thread for writing: {0}")]
    Thread(std::io::Error),
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(match table {
        Table::Bindings => "bindings",
        Table::Elins => "elins",
    })
}

/// How the file is opened, the first time and after each failure.
pub(super) type Opening = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// The file of a store. It belongs to one process at a time.
pub struct StoreFile {
    open: Opening,
    /// `None` after a failure: redb refuses everything from its first error on, until it is closed and opened again.
    database: Option<Database>,
}

impl fmt::Debug for StoreFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("StoreFile").field(&self.database).finish()
    }
}

impl StoreFile {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<StoreFile, StoreError> {
        let own = path.to_path_buf();
        StoreFile::opened_by(Box::new(move || open(&own))).map_err(|error| StoreError::Open {
            path: path.to_path_buf(),
            source: Box::new(error.into()),
        })
    }

    pub(super) fn opened_by(open: Opening) -> Result<StoreFile, DatabaseError> {
        let database = Some(open()?);
        Ok(StoreFile { open, database })
    }

    /// Everything in a table, in the order of the keys.
    pub fn read_all(&mut self, table: Table) -> Result<Vec<Entry>, StoreError> {
        self.attempt(|database| {
            let transaction = database.begin_read()?;
            let open = match transaction.open_table(definition(table)) {
                Ok(open) => open,
                // Nothing was ever written.
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let mut all = Vec::new();
            for entry in open.iter()? {
                let (key, value) = entry?;
                all.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(all)
        })
        .map_err(|error| StoreError::Read(Box::new(error)))
    }

    /// All or nothing; on the disk once it returns.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), redb::Error> {
        self.attempt(|database| {
            let transaction = database.begin_write()?;
            for table in [Table::Bindings, Table::Elins] {
                let mut open = transaction.open_table(definition(table))?;
                for ((_, key), value) in batch.iter().filter(|((of, _), _)| *of == table) {
                    match value {
                        Some(value) => open.insert(key.as_slice(), value.as_slice())?,
                        None => open.remove(key.as_slice())?,
                    };
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// Upon the file, opened anew if the last attempt failed. What was flushed before a failure is still there then.
    fn attempt<T>(&mut self, upon: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.open)()?,
        };
        let done = upon(&database)?;
        self.database = Some(database);
        Ok(done)
    }
}

fn open(path: &Path) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        // It says who is registered from where.
        .mode(0o600)
        .open(path)?;
    Database::builder().create_with_backend(FileBackend::new(file)?)
}
