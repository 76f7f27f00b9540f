//! An alarm that stays until somebody has acknowledged it, however soon what raised it is over.

use super::debounce::Level;

/// The highest level since the last acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlarmLatch {
    /// The lowest level that is held; `None` holds nothing.
    from: Option<Level>,
    held: Level,
}

/// What an acknowledgement came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// This level was held and is no longer.
    Released(Level),
    /// The level is still this one, which is held: it has to fall first.
    Standing(Level),
    /// Nothing was held.
    Nothing,
    /// Nothing ever is.
    Off,
}

impl AlarmLatch {
    /// Holds levels from `from` on; the FAILURE of the start first of all, so that a node that was started anew does not
    /// forget an alarm.
    pub fn new(from: Option<Level>) -> Self {
        Self { from, held: from.map_or(Level::Nominal, |_| Level::Failure) }
    }

    /// Takes in the debounced level, and gives the latched one.
    pub(crate) fn update(&mut self, level: Level) -> Level {
        if self.from.is_some_and(|from| level >= from) {
            self.held = self.held.max(level);
        }
        self.level(level)
    }

    /// The latched level where `level` is the debounced one.
    pub(crate) fn level(self, level: Level) -> Level {
        self.held.max(level)
    }

    /// Releases what is held, if `level`, the debounced one, has fallen below what is.
    pub(crate) fn acknowledge(&mut self, level: Level) -> Acknowledged {
        match self.from {
            None => Acknowledged::Off,
            Some(from) if level >= from => Acknowledged::Standing(level),
            Some(_) => match std::mem::replace(&mut self.held, Level::Nominal) {
                Level::Nominal => Acknowledged::Nothing,
                held => Acknowledged::Released(held),
            },
        }
    }
}

impl Acknowledged {
    /// Whether the latched level is the debounced one now.
    pub(crate) fn is_clear(self) -> bool {
        !matches!(self, Self::Standing(_))
    }

    /// In words.
    pub(crate) fn told(self) -> String {
        match self {
            Self::Released(level) => format!("{} is acknowledged and no longer held", level.name()),
            Self::Standing(level) => {
                format!("the level is still {}; acknowledge again once it has fallen", level.name())
            }
            Self::Nothing => "no level was held".to_owned(),
            Self::Off => "no level is ever held: latch_level is none".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{Caution, Failure, Nominal};
    use super::*;

    /// One that has been acknowledged since the start.
    fn clear(from: Level) -> AlarmLatch {
        let mut latch = AlarmLatch::new(Some(from));
        assert_eq!(latch.acknowledge(Nominal), Acknowledged::Released(Failure));
        latch
    }

    #[test]
    fn the_highest_level_stays_until_it_is_acknowledged() {
        let mut latch = clear(Caution);
        assert_eq!(
            [Nominal, Caution, Failure, Caution, Nominal].map(|level| latch.update(level)),
            [Nominal, Caution, Failure, Failure, Failure]
        );
        assert_eq!(latch.acknowledge(Nominal), Acknowledged::Released(Failure));
        assert_eq!(latch.update(Nominal), Nominal);
        assert_eq!(latch.acknowledge(Nominal), Acknowledged::Nothing);
    }

    #[test]
    fn a_level_below_latch_level_comes_and_goes() {
        let mut latch = clear(Failure);
        assert_eq!([Caution, Nominal].map(|level| latch.update(level)), [Caution, Nominal]);
        assert_eq!([Failure, Caution].map(|level| latch.update(level)), [Failure, Failure]);
        assert_eq!(latch.acknowledge(Caution), Acknowledged::Released(Failure));
        assert_eq!(latch.update(Caution), Caution);
    }

    #[test]
    fn what_still_stands_cannot_be_acknowledged_away() {
        let mut latch = clear(Caution);
        latch.update(Failure);
        assert_eq!(latch.acknowledge(Caution), Acknowledged::Standing(Caution));
        assert_eq!(latch.level(Nominal), Failure);
    }

    #[test]
    fn the_failure_of_the_start_is_held_too() {
        let mut latch = AlarmLatch::new(Some(Failure));
        assert_eq!(latch.update(Nominal), Failure);
    }

    #[test]
    fn without_a_latch_level_it_is_the_level() {
        let mut latch = AlarmLatch::new(None);
        assert_eq!([Failure, Nominal].map(|level| latch.update(level)), [Failure, Nominal]);
        assert_eq!(latch.acknowledge(Nominal), Acknowledged::Off);
    }
}
