//! Every detector there is, by the name that a command line gives it.

use super::DETECTORS;
pub use super::entry::{Boxed, Entry, PASSES, Parts};

/// All kinds, in the order of tables.
fn entries() -> impl Iterator<Item = &'static Entry> {
    DETECTORS.iter().copied().flatten()
}

/// Their names, comma separated.
pub fn names() -> String {
    entries().map(|entry| entry.id).collect::<Vec<_>>().join(", ")
}

/// A detector that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// No entry of this name.
    #[error("no detector '{id}'; there are {}", names())]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// It was asked for by name and cannot be made.
    #[error("detector '{id}' needs {needs}")]
    Lacking {
        /// Which.
        id: &'static str,
        /// What is not there.
        needs: &'static str,
    },
}

/// The detectors named by `ids`, each of which must be to be had; without names, all that are.
pub fn choose(ids: &[String], parts: &Parts) -> Result<Vec<Boxed>, CatalogueError> {
    if ids.is_empty() {
        return Ok(entries().filter_map(|entry| (entry.make)(parts)).collect());
    }
    let make = |id: &String| {
        let entry = entries().find(|entry| entry.id == id);
        let entry = entry.ok_or_else(|| CatalogueError::Unknown { id: id.clone() })?;
        (entry.make)(parts).ok_or(CatalogueError::Lacking { id: entry.id, needs: entry.needs })
    };
    ids.iter().map(make).collect()
}

/// The entries that [`choose`] leaves out where no names are given.
pub fn left_out(parts: &Parts) -> Vec<&'static Entry> {
    entries().filter(|entry| (entry.make)(parts).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keep_their_order() {
        let order = "synthcp, synthcp+msp, anomaly, unknown, cosine, cosine-paper, msp, max-logit, energy, entropy, sml, vim, nearest, \
             mc-dropout";
        assert!(names().starts_with(order), "{}", names());
    }

    #[test]
    fn no_two_detectors_share_a_name() {
        let names: std::collections::BTreeSet<&str> = entries().map(|entry| entry.id).collect();
        assert_eq!(names.len(), entries().count());
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        let error = CatalogueError::Unknown { id: "mps".into() }.to_string();
        assert!(error.starts_with("no detector 'mps'; there are synthcp, "), "{error}");
    }
}
