//! What of a recording could not be read: counted without end, named up to a bound.

use std::fmt;
use std::path::{Path, PathBuf};

/// Losses that are kept by name; more are counted.
const NAMED: usize = 1000;

/// Something of a recording that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The file.
    pub file: PathBuf,
    /// Where in it: the byte, or the row of a database.
    pub place: Option<u64>,
    /// What is wrong there, and what became of it.
    pub what: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, what } = self;
        match place {
            Some(place) => write!(f, "{}, at {place}: {what}", file.display()),
            None => write!(f, "{}: {what}", file.display()),
        }
    }
}

/// All that was lost so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    count: u64,
    named: Vec<Loss>,
}

impl Losses {
    pub(crate) fn note(&mut self, file: &Path, place: Option<u64>, what: impl Into<String>) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(Loss { file: file.to_owned(), place, what: what.into() });
        }
    }

    /// With those that came after.
    pub(crate) fn append(&mut self, later: Self) {
        self.count += later.count;
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(later.named.into_iter().take(room));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first thousand of them.
    pub fn named(&self) -> &[Loss] {
        &self.named
    }
}
