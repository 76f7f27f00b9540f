//! One assessor for the sessions of several cameras, each with limits and a valid mask of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image::GrayImage;

use super::stream::Assessor;
use crate::frame::Frame;
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::{Assessment, Mode, Wanted};
use crate::monitor::self_test::SelfTested;

/// An assessor that others use as well, in turn.
pub(crate) struct Lent<A> {
    assessor: Arc<Mutex<A>>,
    thresholds: Thresholds,
    valid: Option<Arc<GrayImage>>,
}

impl<A> Clone for Lent<A> {
    fn clone(&self) -> Self {
        let Self { assessor, thresholds, valid } = self;
        Self { assessor: assessor.clone(), thresholds: thresholds.clone(), valid: valid.clone() }
    }
}

impl<A: Assessor> Lent<A> {
    /// The same assessor once for each of these valid masks.
    pub(crate) fn to(masks: Vec<Option<Arc<GrayImage>>>, assessor: A) -> Vec<Self> {
        let thresholds = assessor.thresholds();
        let assessor = Arc::new(Mutex::new(assessor));
        let lent = |valid| Self { assessor: assessor.clone(), thresholds: thresholds.clone(), valid };
        masks.into_iter().map(lent).collect()
    }

    /// The assessor, as one who borrowed it before may have left it in a panic: no more is lost than its last frame.
    fn lock(&self) -> MutexGuard<'_, A> {
        self.assessor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Assessor> Assessor for Lent<A> {
    fn assess(&mut self, frame: &Frame, mode: Mode, wanted: Wanted) -> Result<Assessment, String> {
        let mut assessor = self.lock();
        assessor.set_thresholds(self.thresholds.clone());
        assessor.set_valid_mask(self.valid.clone());
        assessor.assess(frame, mode, wanted)
    }

    fn thresholds(&self) -> Thresholds {
        self.thresholds.clone()
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    fn set_valid_mask(&mut self, mask: Option<Arc<GrayImage>>) {
        self.valid = mask;
    }

    fn size(&self) -> (u32, u32) {
        let mut assessor = self.lock();
        assessor.set_valid_mask(self.valid.clone());
        assessor.size()
    }

    fn self_test(&mut self) -> SelfTested {
        self.lock().self_test()
    }
}
