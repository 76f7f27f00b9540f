//! The parameters in force, shared by everything that reads them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cameras::Camera;
use super::parameters::{ParameterError, Parameters, Value};
use super::settings::Live;
use crate::model::bundle::Thresholds;

/// The values in force, shared by everything that reads them.
#[derive(Clone, Debug)]
pub struct SharedParameters {
    values: Arc<Mutex<Parameters>>,
    /// Whose they are read as.
    camera: Camera,
}

impl SharedParameters {
    /// Shares `values`.
    pub fn new(values: Parameters) -> Self {
        Self { values: Arc::new(Mutex::new(values)), camera: Camera::default() }
    }

    /// The same, as they are for a camera.
    pub(crate) fn of(&self, camera: &Camera) -> Self {
        Self { values: self.values.clone(), camera: camera.clone() }
    }

    /// File of the pixels that count.
    pub(crate) fn valid_mask(&self) -> Option<String> {
        self.lock().valid_mask(&self.camera)
    }

    /// The settings that may change while the node runs, as they are now.
    pub fn live(&self) -> Live {
        self.lock().live_of(&self.camera)
    }

    /// Takes the bundle's thresholds in for those that nobody sets by hand.
    pub(crate) fn calibrate(&self, calibrated: &Thresholds) -> Result<(), ParameterError> {
        self.lock().calibrate(calibrated)
    }

    /// Gives `name` a new value.
    pub fn set(&self, name: &str, value: &Value) -> Result<(), ParameterError> {
        self.lock().set(name, value)
    }

    /// Gives all of them new values, or none.
    pub(crate) fn set_all(&self, changes: &[(String, Value)]) -> Result<(), ParameterError> {
        let mut values = self.lock();
        *values = values.with_all(changes)?;
        Ok(())
    }

    /// Access to the values, never for longer than it takes to read or write them.
    pub fn lock(&self) -> MutexGuard<'_, Parameters> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
