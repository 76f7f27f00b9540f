//! What the recorder of alarms tells of itself.

use std::path::PathBuf;

/// What became of the recordings so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// Files written.
    pub written: u64,
    /// Events of which there is no file.
    pub lost: u64,
    /// Why not, of the last of them; before the first, why none can be made.
    pub last_error: Option<String>,
    /// The last file.
    pub last: Option<PathBuf>,
    /// Messages that found the queue full.
    pub messages_lost: u64,
}
