//! Who publishes the images, as the ROS graph tells it, and what that explains.

use std::time::{Duration, Instant};

/// Time without data from a publisher that is there, after which something is wrong between the two.
const NO_DATA: Duration = Duration::from_secs(2);

/// For how long the graph may still show a process that was killed: longer than the middlewares' leases.
const LINGERS: Duration = Duration::from_secs(30);

/// What the graph shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Publishers of raw images.
    pub raw: usize,
    /// Publishers of compressed images.
    pub compressed: usize,
    /// Nodes of this node's whole name beside it.
    pub namesakes: usize,
}

/// What it shows, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishers {
    seen: Seen,
    matched_since: Option<Instant>,
    crowded_since: Option<Instant>,
    namesake_since: Option<Instant>,
}

impl Publishers {
    /// After a look at `now`, where `before` came of the look before.
    pub(crate) fn after(before: Option<Self>, seen: Seen, now: Instant) -> Self {
        let since = |holds: bool, before: Option<Instant>| holds.then(|| before.unwrap_or(now));
        Self {
            seen,
            matched_since: since(seen.raw + seen.compressed > 0, before.and_then(|b| b.matched_since)),
            crowded_since: since(seen.raw > 1 || seen.compressed > 1, before.and_then(|b| b.crowded_since)),
            namesake_since: since(seen.namesakes > 0, before.and_then(|b| b.namesake_since)),
        }
    }

    /// Why no image comes, where the last one came at `last` or none ever did.
    pub(crate) fn why_silent(&self, last: Option<Instant>, now: Instant) -> Option<String> {
        let Some(matched) = self.matched_since else {
            return Some("there is no publisher".to_owned());
        };
        let waited = now.saturating_duration_since(last.map_or(matched, |last| last.max(matched)));
        let publishers = match self.seen.raw.max(self.seen.compressed) {
            1 => "1 publisher".to_owned(),
            several => format!("{several} publishers"),
        };
        (waited > NO_DATA).then(|| match last {
            None => format!("{publishers} matched, no data: QoS, shared memory or fragments"),
            Some(_) => format!("{publishers} matched, no data any more"),
        })
    }

    /// Warnings: of several publishers on one image topic, and of another node with this node's name.
    pub(crate) fn warnings(&self, now: Instant) -> [Option<String>; 2] {
        let lasts = |since: Option<Instant>| {
            since.is_some_and(|since| now.saturating_duration_since(since) > LINGERS)
        };
        let (topic, count) = match self.seen.raw > 1 {
            true => ("image", self.seen.raw),
            false => ("image/compressed", self.seen.compressed),
        };
        [
            lasts(self.crowded_since).then(|| {
                format!("{count} publishers on {topic}: their pictures are assessed as those of one camera")
            }),
            lasts(self.namesake_since).then(|| {
                "another node has this node's name: both report on the same topics; give one another name or \
                 namespace"
                    .to_owned()
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn seen(raw: usize, compressed: usize, namesakes: usize) -> Seen {
        Seen { raw, compressed, namesakes }
    }

    #[test]
    fn no_publisher_is_told_apart_from_one_whose_data_do_not_come() {
        let start = Instant::now();
        let none = Publishers::after(None, seen(0, 0, 0), start);
        assert_eq!(none.why_silent(None, start + secs(60)).unwrap(), "there is no publisher");
        let one = Publishers::after(Some(none), seen(1, 1, 0), start + secs(60));
        assert_eq!(one.why_silent(None, start + secs(61)), None, "it has only now come");
        let one = Publishers::after(Some(one), seen(1, 1, 0), start + secs(63));
        assert_eq!(
            one.why_silent(None, start + secs(63)).unwrap(),
            "1 publisher matched, no data: QoS, shared memory or fragments"
        );
        let heard = start + secs(62);
        assert_eq!(one.why_silent(Some(heard), start + secs(63)), None);
        assert_eq!(
            one.why_silent(Some(heard), start + secs(65)).unwrap(),
            "1 publisher matched, no data any more"
        );
    }

    #[test]
    fn several_publishers_and_a_namesake_are_warned_of_once_they_are_no_ghosts() {
        let start = Instant::now();
        let crowd = Publishers::after(None, seen(2, 1, 1), start);
        assert_eq!(crowd.warnings(start + secs(30)), [None, None], "the graph may show one that died");
        let crowd = Publishers::after(Some(crowd), seen(2, 1, 1), start + secs(31));
        let [images, names] = crowd.warnings(start + secs(31));
        assert!(images.unwrap().starts_with("2 publishers on image:"));
        assert!(names.unwrap().contains("another node has this node's name"));
        let single = Publishers::after(Some(crowd), seen(1, 1, 0), start + secs(32));
        assert_eq!(single.warnings(start + secs(99)), [None, None], "both transports of one camera");
    }
}
