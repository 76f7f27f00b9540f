//! Why detectors cannot be measured.

use crate::data::DataError;
use crate::data::given::GivenError;
use crate::labels::LabelError;
use crate::metric::MetricError;
use crate::monitor::pipeline::MonitorError;
use crate::monitor::regions::RegionError;
use crate::score::catalogue::CatalogueError;
use crate::watch::parameters::ParameterError;

/// Why a bundle cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Another segmenter's labels of it.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// Its label set.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A frame.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// libtorch.
    #[error(transparent)]
    Inference(#[from] tch::TchError),
    /// A figure.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A folder for images.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An image of a frame.
    #[error("an image for the report: {0}")]
    Picture(image::ImageError),
    /// Maps of different sizes.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// A patience that the node refuses.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A detector.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Too many pixels for exact figures.
    #[error(
        "exact figures of these images take {:.1} GB, more than {:.0}; --streaming takes little and states its error",
        *needs as f64 / 1e9,
        MOST_MEMORY as f64 / 1e9
    )]
    Memory {
        /// Bytes.
        needs: u64,
    },
}

/// Bytes that exact figures may take.
pub(crate) const MOST_MEMORY: u64 = 6_000_000_000;
