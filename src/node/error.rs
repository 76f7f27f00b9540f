//! Why the node does not run, and whose mistake that is.

use super::bundle_folder;
use super::process::ContextError;
use crate::frame;
use crate::model::bundle::BundleError;
use crate::watch::labels::NamesError;
use crate::watch::parameters::ParameterError;

/// Why the node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The command line is not one that ROS understands, or ROS refused.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A parameter has a value it must not have.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// No bundle of that name.
    #[error(transparent)]
    NoBundle(#[from] bundle_folder::NotFound),
    /// The bundle is there and cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The valid mask cannot be read.
    #[error("parameter {name}: {error}; it must be the path of a PNG, JPEG or WebP")]
    ValidMask {
        /// The parameter: that of a camera, where there are several.
        name: String,
        /// Why not.
        error: frame::FileError,
    },
    /// It is not known what the segmenter's ids mean.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// ROS refused.
    #[error("ROS: {0}")]
    Ros(#[from] r2r::Error),
    /// The operating system refused.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// A thread ended that must not.
    #[error("the {0} thread has ended; see the log")]
    ThreadEnded(&'static str),
}

impl NodeError {
    /// 2 for what the user wrote, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Context(ContextError::Ros(_)) | Self::Ros(_) | Self::System(_) | Self::ThreadEnded(_) => 1,
            _ => 2,
        }
    }
}
