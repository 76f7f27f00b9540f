//! To which image a label image belongs.
//!
//! Either side may be late, lost or stamped otherwise. Images wait for their labels, and labels for their image, for a
//! while; what finds no other half is counted. Pairs leave in the order of their images: an image that a later pair
//! has overtaken is assessed no more. The time is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{LabelArrival, LabelCounts};
use crate::frame::Stamp;
use crate::watch::mailbox::Arrival;

/// Which image a label image belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// The one of the same stamp.
    Exact,
    /// The one whose stamp is nearest, and no further than this, which must be less than half the time between images.
    Nearest(Duration),
    /// The one image that came within this before it, for labels that are stamped when they are done: the longest
    /// that the segmenter takes, and less than the time between images.
    Arrival(Duration),
}

/// Why the last label image found no image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Miss {
    /// The nearest image's stamp is so many seconds away.
    Apart(f64),
    /// Images come every so many seconds, faster than the rule can tell them apart.
    TooFast(f64),
    /// No image waits that it could belong to.
    NoImage,
    /// It has no stamp.
    Unstamped,
}

/// Images, and labels, that wait at most.
const MOST: usize = 64;
/// Arrivals over which the time between images is measured.
const GAPS: usize = 10;

/// Images and labels that wait for each other.
#[derive(Debug)]
pub(crate) struct Matcher {
    rule: Rule,
    patience: Duration,
    images: VecDeque<Arrival>,
    labels: VecDeque<LabelArrival>,
    /// When the last images came, and their stamps.
    recent: VecDeque<(Instant, Stamp)>,
    newest: Option<Stamp>,
    counts: LabelCounts,
    images_lost: u64,
    miss: Option<Miss>,
}

/// Seconds from `b` to `a`, exact to the nanosecond.
fn apart(a: Stamp, b: Stamp) -> f64 {
    f64::from(a.sec.wrapping_sub(b.sec)) + (f64::from(a.nanosec) - f64::from(b.nanosec)) * 1e-9
}

impl Matcher {
    /// Nothing waits; whoever does will do so for `patience`.
    pub fn new(rule: Rule, patience: Duration) -> Self {
        Self {
            rule,
            patience,
            images: VecDeque::new(),
            labels: VecDeque::new(),
            recent: VecDeque::new(),
            newest: None,
            counts: LabelCounts::default(),
            images_lost: 0,
            miss: None,
        }
    }

    /// Label images so far.
    pub fn counts(&self) -> LabelCounts {
        self.counts
    }

    /// Why the last label image found no image.
    pub fn miss(&self) -> Option<Miss> {
        self.miss
    }

    /// Images that found no labels since the last call.
    pub fn take_images_lost(&mut self) -> u64 {
        std::mem::take(&mut self.images_lost)
    }

    /// An image has come. Gives what is complete.
    pub fn image(&mut self, image: Arrival) -> Vec<Arrival> {
        let now = image.at;
        let stamp = image.image.stamp;
        if self.newest.is_some_and(|newest| apart(newest, stamp) > self.patience.as_secs_f64()) {
            // Time has jumped back: what waited is of another run.
            self.images_lost += self.images.len() as u64;
            self.images.clear();
            self.recent.clear();
            self.newest = None;
        }
        self.recent.push_back((now, stamp));
        if self.recent.len() > GAPS {
            self.recent.pop_front();
        }
        self.newest = self.newest.max(Some(stamp));
        self.images.push_back(image);
        if self.images.len() > MOST {
            self.images.pop_front();
            self.images_lost += 1;
        }
        self.settle(now)
    }

    /// Labels have come. Gives what is complete.
    pub fn labels(&mut self, labels: LabelArrival) -> Vec<Arrival> {
        let now = labels.at;
        self.counts.received += 1;
        self.labels.push_back(labels);
        if self.labels.len() > MOST {
            self.labels.pop_front();
            self.counts.unmatched += 1;
        }
        self.settle(now)
    }

    /// Pairs what belongs together, and gives up what has waited for too long.
    pub fn settle(&mut self, now: Instant) -> Vec<Arrival> {
        let mut pairs = Vec::new();
        let mut waiting = VecDeque::new();
        for labels in std::mem::take(&mut self.labels) {
            match self.partner(&labels, now) {
                Partner::Image(place) => {
                    // Those before it are overtaken.
                    self.images_lost += place as u64;
                    self.images.drain(..place);
                    pairs.extend(self.images.pop_front().map(|image| image.with(labels)));
                }
                Partner::MayCome => waiting.push_back(labels),
                Partner::Nobody(miss) => {
                    self.counts.unmatched += 1;
                    self.miss = Some(miss);
                }
            }
        }
        self.labels = waiting;
        while self.images.front().is_some_and(|image| now.saturating_duration_since(image.at) > self.patience)
        {
            self.images.pop_front();
            self.images_lost += 1;
        }
        pairs
    }

    fn partner(&self, labels: &LabelArrival, now: Instant) -> Partner {
        match self.rule {
            Rule::Exact => self.of_stamp(labels, now, 0.),
            Rule::Nearest(tolerance) => self.of_stamp(labels, now, tolerance.as_secs_f64()),
            Rule::Arrival(window) => self.before(labels, now, window),
        }
    }

    /// The image whose stamp is nearest, and no further than `tolerance` seconds.
    fn of_stamp(&self, labels: &LabelArrival, now: Instant, tolerance: f64) -> Partner {
        let stamp = labels.stamp();
        if stamp == Stamp::default() {
            return Partner::Nobody(Miss::Unstamped);
        }
        let away = |image: &Arrival| apart(image.image.stamp, stamp).abs();
        let nearest = (self.images.iter().enumerate())
            .map(|(place, image)| (place, away(image)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b));
        // Where images come faster, the nearest that is left might not be the one that is meant; and so it might before
        // it is known how fast they come.
        match (nearest, self.gap()) {
            (Some((place, 0.)), _) => return Partner::Image(place),
            (Some((_, away)), Some(gap)) if away <= tolerance && gap < 2. * tolerance => {
                return Partner::Nobody(Miss::TooFast(gap));
            }
            (Some((place, away)), Some(_)) if away <= tolerance => return Partner::Image(place),
            _ => {}
        }
        let is_ahead = self.newest.is_none_or(|newest| apart(stamp, newest) > -tolerance);
        let is_ahead = is_ahead || self.gap().is_none();
        if is_ahead && now.saturating_duration_since(labels.at) <= self.patience {
            return Partner::MayCome;
        }
        Partner::Nobody(nearest.map_or(Miss::NoImage, |(_, away)| Miss::Apart(away)))
    }

    /// The one image that came within `window` before the labels.
    fn before(&self, labels: &LabelArrival, now: Instant, window: Duration) -> Partner {
        match self.gap() {
            Some(gap) if gap < window.as_secs_f64() => return Partner::Nobody(Miss::TooFast(gap)),
            // Not before it is known how fast images come.
            None if now.saturating_duration_since(labels.at) <= self.patience => return Partner::MayCome,
            None => return Partner::Nobody(Miss::NoImage),
            Some(_) => {}
        }
        let is_within =
            |at: Instant| labels.at.checked_duration_since(at).is_some_and(|since| since <= window);
        let meant: Vec<Instant> = self.recent.iter().map(|(at, _)| *at).filter(|at| is_within(*at)).collect();
        let [meant] = meant[..] else { return Partner::Nobody(Miss::NoImage) };
        let place = self.images.iter().position(|image| image.at == meant);
        place.map_or(Partner::Nobody(Miss::NoImage), Partner::Image)
    }

    /// The least time between recent images, in seconds: by their stamps, or by their arrivals where those lie further
    /// apart.
    fn gap(&self) -> Option<f64> {
        let neighbours = || self.recent.iter().zip(self.recent.iter().skip(1));
        let by_stamp = neighbours().map(|(a, b)| apart(b.1, a.1)).min_by(f64::total_cmp)?;
        let by_arrival = neighbours().map(|(a, b)| (b.0 - a.0).as_secs_f64()).min_by(f64::total_cmp)?;
        Some(by_stamp.max(by_arrival))
    }
}

/// Whose a label image is.
enum Partner {
    /// Of the image at this place.
    Image(usize),
    /// Of one that may still come.
    MayCome,
    /// Of none.
    Nobody(Miss),
}

impl Miss {
    /// A sentence for people.
    pub fn told(self, rule: Rule) -> String {
        match (self, rule) {
            (Self::Apart(away), Rule::Nearest(tolerance)) => format!(
                "the nearest image's stamp is {away:.3} s away; labels.tolerance allows {} s",
                tolerance.as_secs_f64()
            ),
            (Self::Apart(away), _) => {
                format!("no image has their stamp, the nearest is {away:.3} s away; labels.match is exact")
            }
            (Self::TooFast(gap), Rule::Nearest(tolerance)) => format!(
                "images come every {gap:.3} s, and labels.tolerance ({} s) is not below half of that: they cannot be told \
                 apart",
                tolerance.as_secs_f64()
            ),
            (Self::TooFast(gap), _) => format!(
                "images come every {gap:.3} s, faster than they can be told apart by arrival within labels.tolerance; the \
                 segmenter should copy the image's stamp"
            ),
            (Self::NoImage, _) => "no image waits that they could belong to".to_owned(),
            (Self::Unstamped, _) => "labels have no stamp; labels.match must be arrival".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraImage, Content};

    fn message(millis: u64, number: usize) -> CameraImage {
        let stamp = Stamp { sec: 9 + (millis / 1000) as i32, nanosec: (millis % 1000) as u32 * 1_000_000 };
        let data = number.to_le_bytes().to_vec().into();
        CameraImage {
            stamp,
            frame_id: String::new(),
            content: Content::Compressed { format: String::new(), data },
        }
    }

    fn number(image: &CameraImage) -> usize {
        let Content::Compressed { data, .. } = &image.content else { panic!("made above") };
        usize::from_le_bytes(data[..].try_into().unwrap())
    }

    /// What happens, in milliseconds: an image, or labels, of a number, a stamp, and an arrival.
    enum Event {
        Image(usize, u64, u64),
        Labels(usize, u64, u64),
    }

    struct Outcome {
        pairs: Vec<(usize, usize)>,
        counts: LabelCounts,
        images_lost: u64,
        miss: Option<Miss>,
    }

    fn play(rule: Rule, events: Vec<Event>) -> Outcome {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut matcher = Matcher::new(rule, Duration::from_secs(1));
        let mut events = events;
        events.sort_by_key(|event| match event {
            Event::Image(_, _, at) | Event::Labels(_, _, at) => *at,
        });
        let mut pairs = Vec::new();
        let mut end = 0;
        for event in events {
            pairs.extend(match event {
                Event::Image(number, stamp, time) => {
                    end = time;
                    matcher.image(Arrival::new(message(stamp, number), at(time)))
                }
                Event::Labels(number, stamp, time) => {
                    end = time;
                    matcher.labels(LabelArrival { image: message(stamp, number), at: at(time) })
                }
            });
        }
        pairs.extend(matcher.settle(at(end + 2000)));
        let pair =
            |arrival: &Arrival| (number(&arrival.image), number(&arrival.labels.as_ref().unwrap().image));
        let pairs = pairs.iter().map(pair).collect();
        let (counts, miss) = (matcher.counts(), matcher.miss());
        Outcome { pairs, counts, images_lost: matcher.take_images_lost(), miss }
    }

    /// Numbers from 0 to 1 that look drawn.
    fn drawn(number: usize, of: usize) -> f64 {
        (((number * 7919 + of * 104_729 + 13) * 2_654_435_761) % 10_007) as f64 / 10_007.
    }

    /// Images every `period` milliseconds, labels up to `latest` later; one in twenty of either is lost.
    fn drive(period: u64, latest: f64, stamp: impl Fn(u64, u64) -> u64) -> Vec<Event> {
        (0..400)
            .flat_map(|number| {
                let taken = 1000 + number as u64 * period;
                let done = taken + (drawn(number, 1) * latest) as u64;
                let image = (drawn(number, 2) > 0.05).then_some(Event::Image(number, taken, taken + 2));
                let labels =
                    (drawn(number, 3) > 0.05).then_some(Event::Labels(number, stamp(taken, done), done + 3));
                [image, labels].into_iter().flatten()
            })
            .collect()
    }

    fn assert_right(outcome: &Outcome, events: usize, least: usize) {
        assert!(outcome.pairs.iter().all(|(image, labels)| image == labels), "labels of another image");
        assert!(outcome.pairs.is_sorted(), "images in their order");
        assert!(outcome.pairs.len() >= least, "{} pairs", outcome.pairs.len());
        let matched = outcome.pairs.len() as u64;
        assert_eq!(outcome.counts.received, matched + outcome.counts.unmatched);
        assert_eq!(events as u64, outcome.counts.received + matched + outcome.images_lost);
    }

    #[test]
    fn labels_that_copy_the_stamp_find_their_image_however_late() {
        for latest in [0., 90., 300.] {
            let events = drive(100, latest, |taken, _| taken);
            let count = events.len();
            let outcome = play(Rule::Exact, events);
            // The later labels come, the more of them are overtaken by later ones.
            assert_right(&outcome, count, if latest < 100. { 350 } else { 100 });
        }
    }

    #[test]
    fn a_stamp_that_is_a_little_off_is_enough() {
        let rule = Rule::Nearest(Duration::from_millis(30));
        let events = drive(100, 300., |taken, _| taken + 17);
        let count = events.len();
        assert_right(&play(rule, events), count, 100);
        let outcome = play(rule, drive(100, 50., |taken, _| taken + 40));
        assert_eq!((outcome.pairs.len(), outcome.counts.received), (0, outcome.counts.unmatched));
        assert!(matches!(outcome.miss, Some(Miss::Apart(_) | Miss::NoImage)), "{:?}", outcome.miss);
    }

    #[test]
    fn a_tolerance_that_could_mean_two_images_means_none() {
        let outcome = play(Rule::Nearest(Duration::from_millis(60)), drive(100, 50., |taken, _| taken + 1));
        assert_eq!(outcome.pairs, []);
        let text = outcome.miss.unwrap().told(Rule::Nearest(Duration::from_millis(60)));
        assert!(text.contains("not below half of that"), "{text}");
    }

    #[test]
    fn labels_stamped_when_they_are_done_belong_to_the_image_before() {
        let rule = Rule::Arrival(Duration::from_millis(350));
        let events = drive(400, 300., |_, done| done);
        let count = events.len();
        assert_right(&play(rule, events), count, 330);
        let outcome = play(rule, drive(100, 300., |_, done| done));
        let right = outcome.pairs.iter().filter(|(image, labels)| image == labels).count();
        assert_eq!(right, outcome.pairs.len(), "where two could be meant, neither is");
        assert!(matches!(outcome.miss, Some(Miss::TooFast(_))));
    }

    #[test]
    fn labels_may_come_before_their_image() {
        let events = vec![Event::Labels(1, 100, 100), Event::Image(1, 100, 180), Event::Image(2, 200, 210)];
        let outcome = play(Rule::Exact, events);
        assert_eq!((outcome.pairs, outcome.images_lost), (vec![(1, 1)], 1));
    }

    #[test]
    fn without_stamps_only_arrival_tells() {
        let unstamped = |rule| {
            let mut matcher = Matcher::new(rule, Duration::from_secs(1));
            let now = Instant::now();
            let image = CameraImage { stamp: Stamp::default(), ..message(0, 1) };
            let mut pairs = matcher.image(Arrival::new(image.clone(), now));
            pairs.extend(
                matcher.labels(LabelArrival { image: image.clone(), at: now + Duration::from_millis(50) }),
            );
            assert!(pairs.is_empty(), "how fast images come is not known");
            pairs.extend(matcher.image(Arrival::new(image, now + Duration::from_millis(200))));
            (pairs.len(), matcher.miss())
        };
        assert_eq!(unstamped(Rule::Exact), (0, Some(Miss::Unstamped)));
        assert_eq!(unstamped(Rule::Arrival(Duration::from_millis(80))), (1, None));
    }

    #[test]
    fn nothing_waits_for_ever_or_without_bound() {
        let now = Instant::now();
        let mut matcher = Matcher::new(Rule::Exact, Duration::from_secs(1));
        for number in 0..1000 {
            matcher.image(Arrival::new(message(number, 1), now));
            matcher.labels(LabelArrival { image: message(500_000 + number, 1), at: now });
        }
        assert!(matcher.images.len() <= MOST && matcher.labels.len() <= MOST);
        matcher.settle(now + Duration::from_secs(2));
        assert_eq!((matcher.images.len(), matcher.labels.len()), (0, 0));
        assert_eq!((matcher.counts().unmatched, matcher.take_images_lost()), (1000, 1000));
    }

    #[test]
    fn time_that_jumps_back_begins_anew() {
        let image = |number, stamp, time| Event::Image(number, stamp, time);
        let labels = |number, stamp, time| Event::Labels(number, stamp, time);
        let events = vec![
            image(1, 90_000, 10),
            labels(1, 90_000, 20),
            image(2, 90_100, 110),
            image(3, 1000, 210),
            labels(3, 1000, 220),
        ];
        let outcome = play(Rule::Exact, events);
        assert_eq!((outcome.pairs, outcome.images_lost), (vec![(1, 1), (3, 3)], 1));
    }
}
