//! The file in which a process notes which writes are not copied yet, so that another one knows after
//! it was killed.
//!
//! One file per process and route, locked as long as the process lives; a process that begins adopts
//! those that nobody holds. Appends go to the system and not to the disk: what a process wrote outlives
//! it, and not a loss of power.

pub(crate) mod form;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path as FilePath, PathBuf};

use crate::instance::random_id;
use crate::writers::{RepairState, Unverified};
use form::{Contents, Intent, Kept, Record};

/// Intents and repairs that one file has at most.
pub(crate) const MOST_ENTRIES: usize = 10_000;
/// What they take at most, and the file, in bytes.
const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// A file that is no longer than this is not worth compacting.
const WORTH_COMPACTING: u64 = 256 * 1024;
/// Nor is one that is not mostly cleared.
const MOSTLY: u64 = 4;

/// What distinguishes a file in the directory from those of others.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    /// The beginning of the files' names: the route, and what sets this client's apart.
    pub(crate) prefix: String,
    /// The process, as the server knows it: who adopts its files says that they replace it.
    pub(crate) instance: String,
}

/// What processes have left that are gone.
#[derive(Debug, Default)]
pub(crate) struct LeftOver {
    /// A repair for each of their writes, one per key.
    pub(crate) repairs: BTreeMap<String, Kept>,
    /// Who they were.
    pub(crate) instances: Vec<String>,
    /// Why repairs may be missing all the same.
    pub(crate) unverified: Option<Unverified>,
}

impl LeftOver {
    /// A person's matter stays one.
    fn merge(&mut self, kept: Kept) {
        let before = self.repairs.get(&kept.key).map(|before| before.state);
        if before != Some(RepairState::Conflict) && kept.state != RepairState::Resolved {
            self.repairs.insert(kept.key.clone(), kept);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Spool {
    process: u32,
    place: Place,
    path: PathBuf,
    file: File,
    /// What is in the file, in bytes.
    length: u64,
    /// What of it counts, as it is written.
    live: BTreeMap<Entry, Vec<u8>>,
    live_bytes: u64,
    next_id: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Intent(u64),
    Repair(String),
    Unverified,
}

/// Why something is not noted.
#[derive(Debug)]
pub(crate) enum SpoolError {
    Full,
    Io(io::Error),
}

impl SpoolError {
    pub(crate) fn as_unverified(&self) -> Unverified {
        match self {
            SpoolError::Full => Unverified::SpoolFull,
            SpoolError::Io(_) => Unverified::NoSpool,
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Full => f.write_str("the spool is full"),
            SpoolError::Io(error) => write!(f, "the spool cannot be written: {error}"),
        }
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> SpoolError {
        SpoolError::Io(error)
    }
}

impl Spool {
    /// A file of this process's own.
    pub(crate) fn create(place: &Place) -> io::Result<Spool> {
        fs::create_dir_all(&place.directory)?;
        let (file, path) = create(place)?;
        Ok(Spool {
            process: std::process::id(),
            place: place.clone(),
            path,
            file,
            length: 0,
            live: BTreeMap::new(),
            live_bytes: 0,
            next_id: 0,
        })
    }

    /// Takes over what processes have left that are gone. It is in this file before the other is
    /// removed.
    pub(crate) fn adopt(&mut self) -> io::Result<LeftOver> {
        let mut left = LeftOver::default();
        for entry in fs::read_dir(&self.place.directory)? {
            let path = entry?.path();
            if path == self.path || !self.place.is_spool(&path) {
                continue;
            }
            let Some((file, contents)) = take_left_over(&path)? else {
                continue;
            };
            let why = match contents.is_damaged {
                true => Some(Unverified::SpoolDamaged),
                false => contents.unverified,
            };
            left.unverified = left.unverified.or(why);
            left.instances.extend(self.place.instance_of(&path));
            // The writes after the repairs: what was written since is to be copied in any case.
            let repairs = contents.repairs.into_values();
            for kept in repairs.chain(contents.intents.into_values().map(Kept::from)) {
                left.merge(kept);
            }
            for kept in left.repairs.values() {
                if let Err(error) = self.keep(kept) {
                    left.unverified = left.unverified.or(Some(error.as_unverified()));
                }
            }
            // Emptied before it is let go: another process may have it open, waiting for the lock.
            file.set_len(0)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(left)
    }

    /// Notes that a write is about to begin.
    pub(crate) fn intend(&mut self, intent: Intent) -> Result<u64, SpoolError> {
        let id = self.next_id;
        self.next_id += 1;
        self.put(Entry::Intent(id), &Record::Intent(Intent { id, ..intent }))?;
        Ok(id)
    }

    /// Forgets a write: it was copied, or has a repair.
    pub(crate) fn clear(&mut self, id: u64) -> Result<(), SpoolError> {
        self.remove(&Entry::Intent(id), &Record::Cleared { id })
    }

    /// Notes a repair as it is now.
    pub(crate) fn keep(&mut self, kept: &Kept) -> Result<(), SpoolError> {
        let entry = Entry::Repair(kept.key.clone());
        self.put(entry, &Record::Repair(kept.clone()))
    }

    /// Forgets a repair.
    pub(crate) fn settle(&mut self, key: &str) -> Result<(), SpoolError> {
        let key = key.to_owned();
        self.remove(&Entry::Repair(key.clone()), &Record::Settled { key })
    }

    /// Notes whether repairs may be missing.
    pub(crate) fn set_unverified(&mut self, why: Option<Unverified>) -> Result<(), SpoolError> {
        let record = Record::Unverified { why };
        match why {
            Some(_) => self.put(Entry::Unverified, &record),
            None => self.remove(&Entry::Unverified, &record),
        }
    }

    fn put(&mut self, entry: Entry, record: &Record) -> Result<(), SpoolError> {
        let bytes = form::write(record).ok_or(SpoolError::Full)?;
        let before = self.live.get(&entry).map_or(0, |bytes| size(bytes));
        let live_bytes = self.live_bytes - before + size(&bytes);
        let is_new = !self.live.contains_key(&entry);
        // What is said about the whole always has room.
        let is_bounded = entry != Entry::Unverified;
        if is_bounded && (live_bytes > MOST_BYTES || is_new && self.live.len() >= MOST_ENTRIES) {
            return Err(SpoolError::Full);
        }
        self.append(&bytes)?;
        self.live.insert(entry, bytes);
        self.live_bytes = live_bytes;
        self.compact_if_worth_it()
    }

    fn remove(&mut self, entry: &Entry, record: &Record) -> Result<(), SpoolError> {
        let Some(bytes) = self.live.remove(entry) else {
            return Ok(());
        };
        self.live_bytes -= size(&bytes);
        if self.live.is_empty() && self.length > WORTH_COMPACTING {
            self.file.set_len(0)?;
            self.length = 0;
            return Ok(());
        }
        let bytes = form::write(record).ok_or(SpoolError::Full)?;
        self.append(&bytes)?;
        self.compact_if_worth_it()
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        if let Err(error) = self.file.write_all(bytes) {
            // What is there of it must not stand before what comes next.
            self.file.set_len(self.length)?;
            return Err(error.into());
        }
        self.length += size(bytes);
        Ok(())
    }

    fn compact_if_worth_it(&mut self) -> Result<(), SpoolError> {
        let is_mostly_cleared = self.length > self.live_bytes.saturating_mul(MOSTLY);
        if self.length > WORTH_COMPACTING && is_mostly_cleared || self.length > 2 * MOST_BYTES {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes what counts to a new file, which takes the old one's place.
    fn compact(&mut self) -> io::Result<()> {
        let (mut file, path) = create(&self.place)?;
        let all: Vec<u8> = self.live.values().flatten().copied().collect();
        if let Err(error) = file.write_all(&all) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let outdated = std::mem::replace(&mut self.path, path);
        let held = std::mem::replace(&mut self.file, file);
        self.length = size(&all);
        // Before its lock goes: nobody may adopt it.
        let removed = fs::remove_file(outdated);
        drop(held);
        removed
    }
}

impl Drop for Spool {
    /// What is left over is the next process's. In a forked child the file is the parent's.
    fn drop(&mut self) {
        if self.live.is_empty() && self.process == std::process::id() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Place {
    fn is_spool(&self, path: &FilePath) -> bool {
        self.id_of(path).is_some()
    }

    /// What tells a spool from others of this place; `None` where the file is none.
    fn id_of<'p>(&self, path: &'p FilePath) -> Option<&'p str> {
        let name = path.file_name()?.to_str()?;
        let rest = name.strip_prefix(&*self.prefix)?.strip_prefix('.')?;
        let id = rest.strip_suffix(".spool")?;
        (!id.contains('.')).then_some(id)
    }

    /// The process whose spool it is.
    fn instance_of(&self, path: &FilePath) -> Option<String> {
        let (instance, _) = self.id_of(path)?.rsplit_once('-')?;
        Some(instance.to_owned())
    }
}

/// A new file that others see once it is locked.
fn create(place: &Place) -> io::Result<(File, PathBuf)> {
    let id = format!("{}-{}", place.instance, random_id());
    let path = place.directory.join(format!("{}.{id}.spool", place.prefix));
    let making = place.directory.join(format!("{}.{id}.new", place.prefix));
    let mut options = OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&making)?;
    file.try_lock()?;
    fs::rename(&making, &path)?;
    Ok((file, path))
}

/// The file of a process that is gone, locked by this one; `None` where one still holds it.
fn take_left_over(path: &FilePath) -> io::Result<Option<(File, Contents)>> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let mut file = match opened {
        Ok(file) => file,
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some((file, form::read(&bytes))))
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
