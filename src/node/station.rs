//! One camera of the node: what is known of it, and the topics on which that is said.

use std::sync::Arc;

use super::log::Log;
use super::output::{Images, Reports};
use crate::watch::cameras::Camera;
use crate::watch::shared::Shared;

/// All of the node that there is once for each camera; networks, parameters and the self-test are there once.
#[derive(Clone)]
pub(crate) struct Station {
    /// Its names.
    pub camera: Camera,
    /// Its stream.
    pub shared: Arc<Shared>,
    /// Reports on it.
    pub reports: Reports,
    /// Pictures of it.
    pub images: Images,
    /// Lines about it.
    pub log: Log,
}
