//! Bags without ROS: messages as plain structs, their bytes on the wire, and MCAP files.
//!
//! ```text
//! message --cdr--> bytes --writer--> bag.mcap, which ros2 bag, Foxglove and rosbags open as their own
//!                                    ^ schemas: the message definitions, nested ones included
//! ```

pub mod cdr;
pub mod message;
pub(crate) mod schema;
pub mod writer;

use std::path::PathBuf;

/// Why a bag cannot be written, or a message cannot be read.
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
    /// Bytes that do not begin as CDR does.
    #[error("a message of {len} bytes begins with {start:02x?}; little-endian CDR begins with [00, 01]")]
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
