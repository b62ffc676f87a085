//! What processes used.

/// What the instances of an environment used in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The minutes in which instances reported.
    pub minutes: u64,
    /// The instances that reported, summed over these minutes.
    pub instances: u64,
    /// The CPU time that they used, in milliseconds.
    pub cpu_ms: u64,
    /// The most memory that one of them had, in bytes.
    pub memory_max: u64,
    /// Memory in bytes, summed over all reports of it.
    pub memory_sum: u64,
    /// The reports of memory.
    pub memory_samples: u64,
}

impl Used {
    /// Adds what was used in another span.
    pub fn merge(&mut self, other: Used) {
        self.minutes = self.minutes.saturating_add(other.minutes);
        self.instances = self.instances.saturating_add(other.instances);
        self.cpu_ms = self.cpu_ms.saturating_add(other.cpu_ms);
        self.memory_max = self.memory_max.max(other.memory_max);
        self.memory_sum = self.memory_sum.saturating_add(other.memory_sum);
        self.memory_samples = self.memory_samples.saturating_add(other.memory_samples);
    }

    /// The mean memory of an instance in bytes; `None` where none was reported.
    #[must_use]
    pub fn memory_mean(&self) -> Option<u64> {
        self.memory_sum.checked_div(self.memory_samples)
    }

    /// The CPU time of an instance in a minute, in milliseconds; `None` where none reported.
    #[must_use]
    pub fn cpu_ms_per_minute(&self) -> Option<u64> {
        self.cpu_ms.checked_div(self.instances)
    }
}
