//! One assessor for the sessions of several cameras, each with limits of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stream::Assessor;
use crate::frame::Frame;
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::{Assessment, Mode, Wanted};
use crate::monitor::self_test::SelfTested;

/// An assessor that others use as well, in turn.
pub(crate) struct Lent<A> {
    assessor: Arc<Mutex<A>>,
    thresholds: Thresholds,
}

impl<A: Assessor> Lent<A> {
    /// The same assessor so many times.
    pub(crate) fn to(borrowers: usize, assessor: A) -> Vec<Self> {
        let thresholds = assessor.thresholds();
        let assessor = Arc::new(Mutex::new(assessor));
        (0..borrowers).map(|_| Self { assessor: assessor.clone(), thresholds: thresholds.clone() }).collect()
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
        assessor.assess(frame, mode, wanted)
    }

    fn thresholds(&self) -> Thresholds {
        self.thresholds.clone()
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    fn size(&self) -> (u32, u32) {
        self.lock().size()
    }

    fn self_test(&mut self) -> SelfTested {
        self.lock().self_test()
    }
}
