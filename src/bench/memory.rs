//! The memory of this process, as the kernel counts it.

use serde::Serialize;

/// In megabytes (2^20 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Resident now.
    pub now: f64,
    /// Most ever resident.
    pub peak: f64,
}

impl Memory {
    /// Reads `/proc/self/status`; `None` where there is none.
    pub fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kilobytes / 1024.)
        };
        Some(Self { now: field("VmRSS:")?, peak: field("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let memory = Memory::parse("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n");
        assert_eq!(memory, Some(Memory { now: 1., peak: 2. }));
        assert_eq!(Memory::parse("VmHWM:\t2048 kB\n"), None);
    }
}
