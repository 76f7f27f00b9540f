//! Which parameters a question for a part of the names means, as rclcpp reads it.

/// Between the parts of a name.
const SEPARATOR: char = '.';

/// Those of `names` that are one of `prefixes` or lie below one, all where there are none, at most `depth` parts deep (0
/// for any depth); and the prefixes that these names have.
pub(crate) fn listed(names: Vec<String>, prefixes: &[String], depth: u64) -> (Vec<String>, Vec<String>) {
    let near = |rest: &str| depth == 0 || (rest.matches(SEPARATOR).count() as u64) < depth;
    let wanted = |name: &str| {
        let below = |prefix: &String| match name.strip_prefix(prefix.as_str()) {
            Some("") => true,
            Some(rest) => rest.strip_prefix(SEPARATOR).is_some_and(near),
            None => false,
        };
        if prefixes.is_empty() { near(name) } else { prefixes.iter().any(below) }
    };
    let names: Vec<_> = names.into_iter().filter(|name| wanted(name)).collect();
    let mut above: Vec<_> = names
        .iter()
        .filter_map(|name| name.rsplit_once(SEPARATOR))
        .map(|(above, _)| above.to_owned())
        .collect();
    above.dedup();
    (names, above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::parameters::{Parameters, TABLE};

    fn names(prefixes: &[&str], depth: u64) -> Vec<String> {
        let prefixes: Vec<_> = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        listed(Parameters::default().names(), &prefixes, depth).0
    }

    #[test]
    fn without_a_prefix_all_are_meant() {
        assert_eq!(names(&[], 0).len(), TABLE.len());
        assert!(names(&[], 1).iter().all(|name| !name.contains('.')));
        assert_eq!(names(&[], 2), names(&[], 0));
        assert_eq!(
            listed(Parameters::default().names(), &[], 0).1,
            ["labels", "threshold", "degraded", "diagnostics", "record"]
        );
    }

    #[test]
    fn a_prefix_means_a_whole_part_of_the_name() {
        assert!(names(&["threshold"], 1).contains(&"threshold.error".to_owned()));
        assert_eq!(names(&["thresh"], 0), Vec::<String>::new());
        assert_eq!(names(&["device", "nothing"], 0), ["device"]);
    }
}
