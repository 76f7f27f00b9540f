//! Which images were reported on, by their stamps.

use std::collections::VecDeque;

use crate::frame::Stamp;

/// Images that wait for a report, and how many have one.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    waiting: VecDeque<Stamp>,
    answered: u64,
}

impl Answers {
    /// An image is on its way.
    pub(super) fn sent(&mut self, stamp: Stamp) {
        self.waiting.push_back(stamp);
    }

    /// A report on an image has come. Reports come in the order of images: those before it will have none.
    pub(super) fn heard(&mut self, stamp: Stamp) {
        if let Some(place) = self.waiting.iter().position(|&waiting| waiting == stamp) {
            self.waiting.drain(..=place);
            self.answered += 1;
        }
    }

    /// Whether the newest image waits for its report.
    pub(super) fn is_due(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nobody waits for those any more.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }

    /// Images that were reported on.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sec: i32) -> Stamp {
        Stamp { sec, nanosec: 7 }
    }

    #[test]
    fn an_image_is_answered_once_and_one_that_is_passed_over_never() {
        let mut answers = Answers::default();
        (1..=4).for_each(|sec| answers.sent(at(sec)));
        for sec in [2, 2, 1, 9] {
            answers.heard(at(sec));
        }
        assert_eq!(answers.answered(), 1);
        assert!(answers.is_due());
        answers.heard(at(4));
        assert_eq!((answers.answered(), answers.is_due()), (2, false));
        answers.sent(at(5));
        answers.give_up();
        answers.heard(at(5));
        assert_eq!((answers.answered(), answers.is_due()), (2, false));
    }
}
