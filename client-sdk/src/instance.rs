//! Who this process is, as it reports itself.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use crate::report::{Instance, LONGEST_NAME};
use crate::state::State;

/// The kernel counts CPU time in these, whatever its own clock does.
const MILLIS_PER_TICK: u64 = 10;

/// What the builder was told.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    /// What people know the process by; its host and number where nothing is given.
    pub(crate) name: Option<String>,
    pub(crate) application: String,
    pub(crate) version: String,
}

/// What stays the same in a process's life.
#[derive(Debug)]
pub(crate) struct Identity {
    id: String,
    name: String,
    application: String,
    version: String,
    started: Instant,
}

impl Identity {
    /// Of this process, which begins now.
    pub(crate) fn new(labels: &Labels) -> Identity {
        Identity {
            id: random_id(),
            name: label(labels.name.clone().unwrap_or_else(host_and_process)),
            application: label(labels.application.clone()),
            version: label(labels.version.clone()),
            started: Instant::now(),
        }
    }

    /// Its id, which no other process has.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What people know it by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it is now.
    pub(crate) fn instance(&self, state: &State) -> Instance {
        Instance {
            id: self.id.clone(),
            name: self.name.clone(),
            application: self.application.clone(),
            version: self.version.clone(),
            sdk: concat!("rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            snapshot: state.snapshot().map(|snapshot| snapshot.version().clone()),
            source: Some(state.source()),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            cpu_ms: cpu_ms(),
            memory_bytes: memory_bytes(),
        }
    }
}

/// 128 bits from the system. Where it has none to give, what no two processes share at a time.
pub(crate) fn random_id() -> String {
    let mut bytes = [0; 16];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        let seed = (std::process::id(), SystemTime::now());
        let hash = RandomState::new().hash_one(seed);
        let (first, _) = bytes.split_at_mut(8);
        first.copy_from_slice(&hash.to_le_bytes());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn host_and_process() -> String {
    let process = std::process::id();
    match fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(host) => format!("{}:{process}", host.trim()),
        Err(_) => process.to_string(),
    }
}

/// The text as the server takes it: not empty, not too long, on one line.
fn label(text: String) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    while text.len() > LONGEST_NAME {
        text.pop();
    }
    match text.is_empty() {
        true => "unknown".to_owned(),
        false => text,
    }
}

/// The process's CPU time, where the system says so in a file.
fn cpu_ms() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may have spaces and brackets in it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(str::parse::<u64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    user.checked_add(system)?.checked_mul(MILLIS_PER_TICK)
}

/// The process's resident memory, where the system says so in a file.
fn memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_a_server_takes() {
        assert_eq!(label("web\n-3".to_owned()), "web-3");
        assert_eq!(label("\t".to_owned()), "unknown");
        assert_eq!(label("ä".repeat(80)).len(), LONGEST_NAME);
    }

    #[test]
    fn ids_are_random() {
        assert_ne!(random_id(), random_id());
        assert_eq!(random_id().len(), 32);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_says_what_the_process_uses() {
        assert!(cpu_ms().is_some());
        assert!(memory_bytes().unwrap() > 1 << 20);
    }
}
