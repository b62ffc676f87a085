//! The last good snapshot on disk, and the halts.
//!
//! Three files, each of which says which environment it is of: the last good snapshot, the one before
//! it, and the routes that are halted. Their names depend on neither server nor key, so that a new key
//! or host name during an outage finds them. Which environment it is in a process learns from the
//! server only; files of another one are void then. A snapshot is also void under another release
//! than it was taken under: what a process decides by must not be older than what its binary was
//! built with. Halts are not: they keep what a release may turn on from being taken.
//!
//! A snapshot is kept once the process has run on it for
//! a while, because one that makes processes crash must not be what they start from. Halts are kept
//! at once: they only ever make a start safer.

mod form;

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::snapshot::{MAX_SNAPSHOT_BYTES, Snapshot};

pub(crate) use form::{Halts, Release};
use form::{decode, decode_halts, encode, encode_halts};

const HEADER_BYTES: usize = 1024;
/// A writer that was killed leaves its file behind; one that is still at work is younger.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    name: String,
    /// The release that the process is of.
    release: Release,
    /// What the halts file says, so that it is written only when that changes.
    halts: Option<Halts>,
    /// The environment of the last good snapshot, where that is sound.
    last_good: Option<Box<str>>,
    has_warned: bool,
}

/// What was on disk.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) snapshot: Option<Snapshot>,
    /// When it was written.
    pub(crate) taken: Option<SystemTime>,
    pub(crate) halts: Option<Halts>,
}

impl Cache {
    pub(crate) fn new(directory: &Path, name: Option<&str>, release: Release) -> Cache {
        Cache {
            directory: directory.to_owned(),
            name: name.map_or_else(
                || "switchover".to_owned(),
                |name| format!("switchover-{name}"),
            ),
            release,
            halts: None,
            last_good: None,
            has_warned: false,
        }
    }

    /// Reads what is there. What is damaged is as good as absent.
    pub(crate) fn load(&mut self) -> Found {
        self.remove_abandoned();
        let mut found = Found {
            halts: self.read("halts", decode_halts),
            ..Found::default()
        };
        self.halts.clone_from(&found.halts);
        for suffix in ["snapshot", "previous"] {
            found.snapshot = self
                .read(suffix, decode)
                .filter(|(_, taken_under)| self.release.allows(taken_under.as_deref()))
                .map(|(snapshot, _)| snapshot);
            if let Some(snapshot) = &found.snapshot {
                let environment = (suffix == "snapshot").then(|| snapshot.environment());
                self.last_good = environment.map(Box::from);
                let metadata = fs::metadata(self.path(suffix));
                found.taken = metadata.and_then(|metadata| metadata.modified()).ok();
                break;
            }
        }
        found
    }

    /// Makes this the last good snapshot, and the one before the previous one.
    pub(crate) fn keep(&mut self, snapshot: &Snapshot) {
        if self.last_good.as_deref() == Some(snapshot.environment()) {
            // If it fails there is no previous one, and a start falls back to the code's stages.
            let _ = fs::rename(self.path("snapshot"), self.path("previous"));
        }
        let written = self.write("snapshot", &encode(snapshot, self.release.name()));
        self.last_good = written.is_ok().then(|| snapshot.environment().into());
        self.warn_once(written);
    }

    /// Writes down which routes are halted, if that has changed.
    pub(crate) fn keep_halts(&mut self, halts: Halts) {
        let is_same = self.halts.as_ref().is_some_and(|kept| {
            kept.environment == halts.environment
                && kept.version.epoch == halts.version.epoch
                && kept.routes == halts.routes
        });
        if is_same || (self.halts.is_none() && halts.routes.is_empty()) {
            return;
        }
        let written = self.write("halts", &encode_halts(&halts));
        if written.is_ok() {
            self.halts = Some(halts);
        }
        self.warn_once(written);
    }

    /// Removes what is of another environment than this one.
    pub(crate) fn remove_others(&mut self, environment: &str) {
        let is_other = |of: &str| of != environment;
        for suffix in ["snapshot", "previous"] {
            let snapshot = self.read(suffix, decode);
            if snapshot.is_some_and(|(snapshot, _)| is_other(snapshot.environment())) {
                self.remove(suffix);
            }
        }
        let halts = self.read("halts", decode_halts);
        if halts.is_some_and(|halts| is_other(&halts.environment)) {
            self.remove("halts");
        }
        self.halts.take_if(|halts| is_other(&halts.environment));
        self.last_good.take_if(|of| is_other(of));
    }

    fn remove(&mut self, suffix: &str) {
        let removed = fs::remove_file(self.path(suffix));
        if removed
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        {
            self.warn_once(removed);
        }
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}.{suffix}", self.name))
    }

    fn read<T>(&self, suffix: &str, decode: fn(&[u8]) -> Option<T>) -> Option<T> {
        let path = self.path(suffix);
        let most = u64::try_from(MAX_SNAPSHOT_BYTES + HEADER_BYTES).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {
                let decoded = decode(&bytes);
                if decoded.is_none() {
                    tracing::warn!(path = %path.display(), "cache file is damaged and not used");
                }
                decoded
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cache file cannot be read");
                None
            }
        }
    }

    /// Old or new, never a mixture: written beside, made durable, then renamed.
    fn write(&self, suffix: &str, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        // Nobody else's: of other clients in this process, and of other machines' processes too.
        let chance = RandomState::new().hash_one(std::process::id());
        let beside = self.path(&format!("{suffix}.{chance:016x}.tmp"));
        let written = private_file(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, self.path(suffix))
        });
        match written {
            Ok(()) => {
                // Where a directory cannot be synced, a power cut may bring the old file back.
                let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
            }
            Err(_) => {
                let _ = fs::remove_file(&beside);
            }
        }
        written
    }

    fn warn_once(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && !std::mem::replace(&mut self.has_warned, true)
        {
            let directory = self.directory.display();
            tracing::warn!(
                %directory, %error,
                "cache cannot be written: a start without the server will know less"
            );
        }
    }

    fn remove_abandoned(&self) {
        let is_abandoned = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            let is_ours = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.name))
                .is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".tmp"));
            let modified = || entry.metadata().and_then(|data| data.modified()).ok();
            let age = |modified: SystemTime| modified.elapsed().unwrap_or_default();
            is_ours && modified().is_some_and(|modified| age(modified) > ABANDONED_AFTER)
        };
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        for entry in entries.flatten().filter(is_abandoned) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a cache can be called that: a file name on every system, and no way out of the directory.
pub(crate) fn is_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(is_legal)
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // A file that is there already would keep its mode.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).open(path)
}

/// A snapshot from disk with what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) taken: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rollout::Rollout;
    use crate::stage::{EnvironmentKind, Stage};

    fn snapshot(at: &str, halted: bool) -> Snapshot {
        let mut rollout = Rollout::at("GITALY_BLAME".parse().unwrap(), Stage::OptIn);
        rollout.halted = halted;
        crate::testing::snapshot(
            EnvironmentKind::Hosted,
            &at.parse().unwrap(),
            &BTreeMap::from([("blame".parse().unwrap(), rollout)]),
        )
        .unwrap()
    }

    fn cache(directory: &Path) -> Cache {
        under(directory, None)
    }

    fn under(directory: &Path, release: Option<&str>) -> Cache {
        Cache::new(directory, None, Release::Is(release.map(Box::from)))
    }

    #[test]
    fn what_was_kept_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = cache(directory.path());
        assert!(writer.load().snapshot.is_none());
        writer.keep(&snapshot("e1.1", false));
        writer.keep(&snapshot("e1.2", false));
        writer.keep_halts(Halts::of(&snapshot("e1.3", true)));
        let found = cache(directory.path()).load();
        assert_eq!(found.snapshot.unwrap().version().revision, 2);
        let halts = found.halts.unwrap();
        assert_eq!((halts.version.revision, halts.routes.len()), (3, 1));
        for file in fs::read_dir(directory.path()).unwrap() {
            let file = file.unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn the_previous_one_serves_where_the_last_is_damaged_and_is_not_lost_by_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = cache(directory.path());
        writer.keep(&snapshot("e1.1", false));
        writer.keep(&snapshot("e1.2", false));
        let last = writer.path("snapshot");
        let text = fs::read_to_string(&last).unwrap();
        fs::write(&last, text.replace("opt_in", "opt_out")).unwrap();
        let mut reader = cache(directory.path());
        assert_eq!(reader.load().snapshot.unwrap().version().revision, 1);
        reader.keep(&snapshot("e1.4", false));
        fs::write(&last, "").unwrap();
        let found = cache(directory.path()).load();
        assert_eq!(found.snapshot.unwrap().version().revision, 1);
    }

    #[test]
    fn a_snapshot_is_void_under_another_release() {
        let directory = tempfile::tempdir().unwrap();
        let keep = |release: Option<&str>, at: &str| {
            let mut cache = under(directory.path(), release);
            cache.load();
            cache.keep(&snapshot(at, false));
            cache.keep_halts(Halts::of(&snapshot(at, true)));
        };
        let found = |release: Release| {
            let found = Cache::new(directory.path(), None, release).load();
            assert!(found.halts.is_some(), "halts outlive a release");
            found.snapshot.map(|found| found.version().revision)
        };
        let is = |release: &str| Release::Is(Some(release.into()));
        keep(Some("12:1"), "e1.1");
        assert_eq!(found(is("12:1")), Some(1));
        for other in [is("13:1"), is("12:2"), Release::Is(None)] {
            assert_eq!(found(other), None);
        }
        assert_eq!(found(Release::Unknown), Some(1), "the last good state");
        // An upgrade, and back: what was kept before it is of that release still.
        let mut upgraded = under(directory.path(), Some("13:1"));
        upgraded.load();
        upgraded.keep(&snapshot("e1.2", false));
        assert_eq!(found(is("13:1")), Some(2));
        assert_eq!(found(is("12:1")), None, "nothing is left of it");
        keep(None, "e1.3");
        assert_eq!(
            (found(Release::Is(None)), found(is("13:1"))),
            (Some(3), None)
        );
    }

    #[test]
    fn another_name_is_another_cache() {
        let directory = tempfile::tempdir().unwrap();
        cache(directory.path()).keep(&snapshot("e1.1", false));
        let mut other = Cache::new(directory.path(), Some("other"), Release::Is(None));
        assert!(other.load().snapshot.is_none());
        for good in ["a", "Prod_2-b", &"a".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "a.b", "ä", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_of_another_environment_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = cache(directory.path());
        for at in ["e1.1", "e1.2"] {
            writer.keep(&snapshot(at, false));
        }
        writer.keep_halts(Halts::of(&snapshot("e1.3", true)));
        writer.remove_others("test");
        let found = cache(directory.path()).load();
        assert!(found.snapshot.is_some() && found.halts.is_some());
        writer.remove_others("other");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        // So that nothing foreign becomes the previous one.
        writer.keep(&snapshot("e1.4", false));
        assert!(!writer.path("previous").exists());
    }

    /// Two clients that share a cache by mistake: whatever is read is whole, and of one of them.
    #[test]
    fn writers_in_each_others_way_leave_whole_files() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for epoch in ["e1", "e2"] {
                let mut writer = cache(directory.path());
                scope.spawn(move || {
                    for revision in 1..40 {
                        let snapshot = snapshot(&format!("{epoch}.{revision}"), revision % 2 == 0);
                        writer.keep(&snapshot);
                        writer.keep_halts(Halts::of(&snapshot));
                    }
                });
            }
            for _ in 0..200 {
                let reader = cache(directory.path());
                for suffix in ["snapshot", "previous", "halts"] {
                    if let Ok(bytes) = fs::read(reader.path(suffix)) {
                        assert!(decode(&bytes).is_some() || decode_halts(&bytes).is_some());
                    }
                }
            }
        });
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = cache(directory.path());
        let left = writer.path("snapshot.1.tmp");
        fs::write(&left, "x").unwrap();
        writer.load();
        assert!(left.exists());
        let old = SystemTime::now() - Duration::from_secs(3_600);
        File::options()
            .write(true)
            .open(&left)
            .and_then(|file| file.set_modified(old))
            .unwrap();
        writer.load();
        assert!(!left.exists());
    }
}
