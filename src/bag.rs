//! Bags without ROS: messages as plain structs, their bytes on the wire, MCAP files, and every form of
//! bag that robots record.
//!
//! ```text
//! message --cdr--> bytes --writer--> bag.mcap, which ros2 bag, Foxglove and rosbags open as their own
//!                                    ^ schemas: the message definitions, nested ones included
//! any bags --reader--> messages in recorded order --camera--> images as the node receives them
//! ```

#[cfg(feature = "replay")]
mod ahead;
pub mod camera;
pub mod cdr;
#[cfg(feature = "replay")]
mod chunks;
#[cfg(feature = "replay")]
mod folder;
#[cfg(feature = "replay")]
mod lengths;
#[cfg(feature = "replay")]
mod losses;
#[cfg(feature = "replay")]
mod mcap_file;
#[cfg(feature = "replay")]
mod merge;
pub mod message;
#[cfg(feature = "replay")]
pub mod reader;
#[cfg(feature = "replay")]
mod recorded;
pub(crate) mod schema;
#[cfg(feature = "replay")]
mod spare;
#[cfg(feature = "replay")]
mod sqlite_file;
#[cfg(feature = "replay")]
mod storage;
#[cfg(feature = "replay")]
mod unpack;
#[cfg(feature = "replay")]
mod walk;
pub mod writer;

#[cfg(feature = "replay")]
pub use losses::{Loss, Losses};

use std::path::PathBuf;

/// Why a bag cannot be written or opened, or a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    /// The file cannot be made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The MCAP container refuses.
    #[error("{}: {reason}", path.display())]
    Mcap {
        /// The bag.
        path: PathBuf,
        /// Why.
        reason: mcap::McapError,
    },
    /// Something else was given for a bag.
    #[error(
        "{} is no bag: an MCAP or sqlite3 file, one of these compressed with zstd, or a folder of them is needed",
        path.display()
    )]
    NoBag {
        /// What was given.
        path: PathBuf,
    },
    /// Bytes that do not begin as CDR does.
    #[error("a message of {len} bytes begins with {start:02x?}; CDR begins with [00, 01] or [00, 00]")]
    Encapsulation {
        /// Bytes present.
        len: usize,
        /// The first few.
        start: Vec<u8>,
    },
    /// Bytes that are not a message of this type, or a message that cannot be encoded.
    #[error("{message}: {reason}")]
    Cdr {
        /// Type of the message.
        message: &'static str,
        /// Why.
        reason: cdr_encoding::Error,
    },
}
