//! Which self-tests were asked for and made, and what the last one came to.

use std::time::Instant;

use crate::monitor::self_test::SelfTested;

/// The record of self-tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct SelfTests {
    /// The number of the last that was asked for.
    asked: u64,
    /// The number of the last that was made.
    made: u64,
    /// How many have failed.
    pub failed: u64,
    last: Option<(SelfTested, Instant)>,
}

impl SelfTests {
    /// Asks for one; gives its number.
    pub(crate) fn ask(&mut self) -> u64 {
        // One that is under way may have begun before what the asker wants to know of.
        self.asked += 1;
        self.asked
    }

    /// The networks are gone that were tested.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// The number of the test that is due, if one is.
    pub(crate) fn due(&self) -> Option<u64> {
        (self.asked > self.made).then_some(self.asked)
    }

    /// Takes in what test `number` came to, and so all before it.
    pub(crate) fn record(&mut self, number: u64, outcome: SelfTested, now: Instant) {
        self.made = self.made.max(number);
        self.failed += u64::from(matches!(outcome, SelfTested::Failed(_)));
        self.last = Some((outcome, now));
    }

    /// What the test `number`, or one after it, came to.
    pub(crate) fn outcome_of(&self, number: u64) -> Option<&SelfTested> {
        self.last().filter(|_| self.made >= number)
    }

    /// What the last one came to.
    pub(crate) fn last(&self) -> Option<&SelfTested> {
        self.last.as_ref().map(|(outcome, _)| outcome)
    }

    /// When it was made.
    pub(crate) fn last_at(&self) -> Option<Instant> {
        self.last.as_ref().map(|(_, at)| *at)
    }

    /// Why no report may be relied on, if the last one failed.
    pub(crate) fn unfit(&self) -> Option<String> {
        self.last().filter(|outcome| matches!(outcome, SelfTested::Failed(_))).map(SelfTested::told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_answers_those_who_asked_before_it_began() {
        let (mut tests, now) = (SelfTests::default(), Instant::now());
        assert_eq!(tests.due(), None);
        let [first, second] = [tests.ask(), tests.ask()];
        let number = tests.due().unwrap();
        let third = tests.ask();
        tests.record(number, SelfTested::Failed("it is wrong".to_owned()), now);
        assert!(tests.outcome_of(first).is_some() && tests.outcome_of(second).is_some());
        assert_eq!((tests.outcome_of(third), tests.due()), (None, Some(third)));
        assert_eq!(tests.unfit().unwrap(), "the self-test failed: it is wrong");
        tests.record(third, SelfTested::Absent, now);
        assert_eq!((tests.unfit(), tests.due(), tests.failed), (None, None, 1));
    }
}
