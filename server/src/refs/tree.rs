//! The files of a source tree, and what is found in them.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::Mutex;

use ignore::{DirEntry, WalkBuilder, WalkState};
use serde::Serialize;

use crate::refs::matching::{Matcher, Subject};
use crate::refs::syntax::Syntax;
use crate::refs::text::readable;

/// Larger files are not read, in bytes: nobody wrote them.
pub const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// A file of patterns, as git's, for what is to be left out of the search alone.
const IGNORE_FILE: &str = ".switchoverignore";

/// What is no part of the tree, and what others wrote.
const LEFT_OUT: [&str; 6] = [".git", ".hg", ".jj", ".svn", "node_modules", "vendor"];

/// A use, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// Path from the root of the tree, with `/`.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// The flag or the key, as it stands there.
    pub name: String,
    /// What it is.
    #[serde(skip)]
    pub subject: Subject,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Path from the root of the tree, as far as it is known.
    pub file: String,
    /// Why not.
    pub why: String,
}

/// What a search has seen.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// How many files of text were searched.
    pub files: usize,
    /// How many were left out because they are no text.
    pub binary: usize,
    /// Files of text that are larger than [`LARGEST_FILE`], by path: the result may lack something.
    pub too_large: Vec<String>,
    /// What could not be read, by path: the result may lack something.
    pub unread: Vec<Unread>,
    /// What was found, by file, line and column.
    pub uses: Vec<Use>,
}

/// Searches a tree on all cores: what its own ignore files leave, hidden files too, none of them by a
/// symbolic link. Prose is searched where it is asked for.
///
/// # Errors
/// When there is no such directory or file.
pub fn scan(root: &Path, matcher: &Matcher, prose: bool) -> io::Result<Scanned> {
    std::fs::metadata(root)?;
    let all = Mutex::new(Scanned::default());
    WalkBuilder::new(root)
        .hidden(false)
        // The same on every machine, wherever the tree lies in it, and in one that git does not know.
        .parents(false)
        .git_exclude(false)
        .git_global(false)
        .require_git(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(|entry| !is_left_out(entry))
        .threads(0)
        .build_parallel()
        .run(|| {
            let mut search = Search {
                root,
                matcher,
                prose,
                seen: Scanned::default(),
                buffer: Vec::new(),
                all: &all,
            };
            Box::new(move |entry| {
                search.entry(entry);
                WalkState::Continue
            })
        });
    let mut all = all
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    all.uses
        .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    all.unread.sort_by(|a, b| a.file.cmp(&b.file));
    all.too_large.sort();
    Ok(all)
}

fn is_left_out(entry: &DirEntry) -> bool {
    let is_named = || LEFT_OUT.iter().any(|name| entry.file_name() == *name);
    let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
    // In a work tree of its own, `.git` is a file.
    entry.depth() > 0 && (is_directory || entry.file_name() == ".git") && is_named()
}

/// What one thread has seen; handed in when it ends.
struct Search<'a> {
    root: &'a Path,
    matcher: &'a Matcher,
    prose: bool,
    seen: Scanned,
    buffer: Vec<u8>,
    all: &'a Mutex<Scanned>,
}

impl Search<'_> {
    fn entry(&mut self, entry: Result<DirEntry, ignore::Error>) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                // What has gone since is not there.
                let is_gone = error.io_error().map(io::Error::kind) == Some(ErrorKind::NotFound);
                if !is_gone {
                    self.seen.unread.push(Unread {
                        file: String::new(),
                        why: error.to_string(),
                    });
                }
                return;
            }
        };
        // No directories, links, pipes.
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            return;
        }
        let syntax = Syntax::of(entry.path());
        if syntax == Syntax::Prose && !self.prose {
            return;
        }
        if let Err(error) = self.file(entry.path(), syntax)
            && error.kind() != ErrorKind::NotFound
        {
            self.seen.unread.push(Unread {
                file: self.shown(entry.path()),
                why: error.to_string(),
            });
        }
    }

    fn file(&mut self, path: &Path, syntax: Syntax) -> io::Result<()> {
        let file = File::open(path)?;
        self.buffer.clear();
        file.take(LARGEST_FILE + 1).read_to_end(&mut self.buffer)?;
        let Some(text) = readable(&self.buffer) else {
            self.seen.binary += 1;
            return Ok(());
        };
        if u64::try_from(self.buffer.len()).is_ok_and(|size| size > LARGEST_FILE) {
            self.seen.too_large.push(self.shown(path));
            return Ok(());
        }
        self.seen.files += 1;
        let found = self.matcher.find(&text, syntax);
        if found.is_empty() {
            return Ok(());
        }
        let file = self.shown(path);
        self.seen.uses.extend(found.into_iter().map(|found| Use {
            file: file.clone(),
            line: found.line,
            column: found.column,
            name: found.name,
            subject: found.subject,
        }));
        Ok(())
    }

    /// The path from the root; what is no UTF-8 in it is replaced.
    fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        let below = match below.file_name() {
            Some(_) => below,
            None => path,
        };
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(|broken| broken.into_inner());
        all.files += self.seen.files;
        all.binary += self.seen.binary;
        all.too_large.append(&mut self.seen.too_large);
        all.unread.append(&mut self.seen.unread);
        all.uses.append(&mut self.seen.uses);
    }
}
