//! From the name of a bundle to networks that have run once.

use std::path::PathBuf;
use std::sync::Arc;

use image::GrayImage;

use super::bundle_folder;
use super::error::NodeError;
use super::log::Log;
use super::output::Identity;
use crate::frame;
use crate::labels::LabelSet;
use crate::model::bundle::Thresholds;
use crate::monitor::pipeline::Monitor;
use crate::monitor::self_test::SelfTested;
use crate::watch::cameras::Camera;
use crate::watch::lent::Lent;
use crate::watch::settings::Settings;
use crate::watch::shared::Shared;
use crate::watch::stream::{Session, self_test, warm_up};

/// Networks that have run once, and what is said of them.
pub(crate) struct Prepared {
    /// One for each camera, which has seen no image yet.
    pub sessions: Vec<Session<Lent<Monitor>>>,
    /// The bundle in use.
    pub identity: Identity,
    /// Its label set.
    pub labels: LabelSet,
    /// What it is made of.
    pub model_info: String,
}

/// Loads the bundle and takes it through its first pass.
pub(crate) fn prepare(
    settings: &Settings,
    cameras: &[Arc<Shared>],
    log: &Log,
) -> Result<Prepared, NodeError> {
    let monitor = load(settings)?;
    let labels = monitor.labels().clone();
    for shared in cameras {
        shared.parameters.calibrate(monitor.thresholds())?;
        shared.state().calibrated = monitor.thresholds().clone();
        if let Some(by_topic) = &shared.labels {
            by_topic.learn(&labels)?;
        }
    }
    let identity = Identity {
        labels: Some(labels.clone()),
        bundle: monitor.bundle_name().to_owned(),
        hash: monitor.bundle_hash().to_owned(),
        model: monitor.description(),
    };
    let limits = monitor.thresholds().clone();
    // It speaks for all cameras: what one of them is not promised is not in it.
    let limits = cameras.iter().fold(limits, |limits, shared| shared.promised(limits));
    let model_info = model_info(&identity, &limits);
    let masks = cameras.iter().zip(&settings.cameras).map(valid_mask).collect::<Result<Vec<_>, _>>()?;
    let lent = Lent::to(masks, monitor).into_iter().zip(cameras);
    let mut sessions: Vec<_> = lent.map(|(lent, shared)| Session::new(lent, shared.clone())).collect();
    if let Err(reason) = warm_up(&mut sessions) {
        log.error(&format!("the first pass through the networks failed: {reason}"));
    }
    tell(&self_test(&mut sessions), log);
    Ok(Prepared { sessions, identity, labels, model_info })
}

/// Writes what a self-test came to.
pub(crate) fn tell(tested: &SelfTested, log: &Log) {
    match tested {
        SelfTested::Failed(_) => log.error(&tested.told()),
        SelfTested::Absent => log.info(&tested.told()),
        SelfTested::Passed(_) => log.info(&format!("self-test: {}", tested.told())),
    }
}

fn load(settings: &Settings) -> Result<Monitor, NodeError> {
    let prefixes = std::env::var("AMENT_PREFIX_PATH").unwrap_or_default();
    let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::new());
    let folder = bundle_folder::find(&settings.bundle, &prefixes, &executable)?;
    Ok(Monitor::load(&folder, &settings.monitor)?)
}

/// The pixels of a camera that count, where not all do.
fn valid_mask((shared, camera): (&Arc<Shared>, &Camera)) -> Result<Option<Arc<GrayImage>>, NodeError> {
    let Some(path) = shared.parameters.valid_mask() else { return Ok(None) };
    let wrong = |error| NodeError::ValidMask { name: camera.parameter("valid_mask"), error };
    Ok(Some(Arc::new(frame::open(path.as_ref()).map_err(wrong)?.into_luma8())))
}

fn model_info(identity: &Identity, thresholds: &Thresholds) -> String {
    #[derive(serde::Serialize)]
    struct ModelInfo<'a> {
        package_version: &'a str,
        bundle: &'a str,
        bundle_hash: &'a str,
        networks: &'a str,
        label_set: &'a str,
        calibrated_thresholds: &'a Thresholds,
    }
    let info = ModelInfo {
        package_version: env!("CARGO_PKG_VERSION"),
        bundle: &identity.bundle,
        bundle_hash: &identity.hash,
        networks: &identity.model,
        label_set: identity.labels.as_ref().map_or("", |labels| &labels.name),
        calibrated_thresholds: thresholds,
    };
    serde_norway::to_string(&info).unwrap_or_default()
}
