//! Whose turn it is: the images of several cameras, and one inference.
//!
//! Of the cameras whose image waits, the one whose turn is longest ago has the next one. So no camera waits for longer
//! than each of the others takes once, however fast those are.

use std::sync::Arc;

use super::mailbox::Arrival;
use super::shared::Shared;

/// The cameras, the one whose turn is longest ago first.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    order: Vec<usize>,
}

impl Turns {
    /// None of so many cameras has had its turn.
    pub(crate) fn new(cameras: usize) -> Self {
        Self { order: (0..cameras).collect() }
    }

    /// What the first camera gives that gives anything, and which one that is.
    fn next<T>(&mut self, mut take: impl FnMut(usize) -> Option<T>) -> Option<(usize, T)> {
        let mut places = self.order.iter().enumerate();
        let (place, item) = places.find_map(|(place, &camera)| Some((place, take(camera)?)))?;
        let camera = self.order.remove(place);
        self.order.push(camera);
        Some((camera, item))
    }

    /// Waits for the newest image of whose turn it is; `None` once a mailbox is closed. All are served by one inference:
    /// see [`Shared::beside`].
    pub(crate) fn take(&mut self, cameras: &[Arc<Shared>]) -> Option<(usize, Arrival)> {
        let bell = cameras.first()?.mailbox.bell();
        loop {
            let heard = bell.rung();
            if cameras.iter().any(|camera| camera.mailbox.is_closed()) {
                return None;
            }
            let found = self.next(|camera| cameras[camera].mailbox.take());
            if found.is_some() {
                return found;
            }
            bell.wait_for_more_than(heard);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::frame::{CameraImage, Content, Stamp};
    use crate::model::bundle::Thresholds;
    use crate::watch::parameters::Parameters;
    use crate::watch::shared_parameters::SharedParameters;

    /// Which cameras have their turns, where some have an image every so many turns.
    fn turns(every: &[usize], count: usize) -> Vec<usize> {
        let mut turns = Turns::new(every.len());
        let mut waiting = vec![false; every.len()];
        let mut had = Vec::new();
        for turn in 0..count {
            for (waiting, every) in waiting.iter_mut().zip(every) {
                *waiting |= turn % every == 0;
            }
            let next = turns.next(|camera| std::mem::take(&mut waiting[camera]).then_some(()));
            had.extend(next.map(|(camera, ())| camera));
        }
        had
    }

    #[test]
    fn cameras_that_always_have_an_image_take_turns() {
        assert_eq!(turns(&[1, 1, 1], 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_slow_camera_waits_for_one_image_of_each_other_at_most() {
        let had = turns(&[1, 5, 1], 300);
        assert_eq!(had.len(), 300, "somebody has something always");
        assert_eq!(had.iter().filter(|&&camera| camera == 1).count(), 60, "every image of the slow one");
        let longest = had.split(|&camera| camera == 1).map(<[usize]>::len).max().unwrap();
        assert!(longest <= 5 + 2, "{longest}");
    }

    #[test]
    fn turns_that_a_camera_leaves_are_those_of_the_others() {
        assert_eq!(turns(&[1, 1000], 6), [0, 1, 0, 0, 0, 0]);
        assert_eq!(turns(&[1], 3), [0, 0, 0]);
    }

    fn cameras(count: usize) -> Vec<Arc<Shared>> {
        let shared = || {
            let parameters = SharedParameters::new(Parameters::default());
            Shared::new(parameters, Arc::new(|| None), Thresholds::unknown(), Instant::now())
        };
        let first = shared();
        let others: Vec<_> = (1..count).map(|_| shared().beside(&first)).collect();
        std::iter::once(first).chain(others).map(Arc::new).collect()
    }

    fn arrival(sec: i32) -> Arrival {
        let content = Content::Compressed { format: "jpeg".into(), data: Vec::new().into() };
        let stamp = Stamp { sec, nanosec: 0 };
        Arrival::new(CameraImage { stamp, frame_id: String::new(), content }, Instant::now())
    }

    #[test]
    fn closing_wakes_whoever_waits() {
        let cameras = cameras(2);
        let taker = {
            let cameras = cameras.clone();
            std::thread::spawn(move || Turns::new(2).take(&cameras).is_none())
        };
        cameras[1].mailbox.close();
        assert!(taker.join().unwrap());
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        const LAST: i32 = 5_000;
        let cameras = cameras(3);
        let taker = {
            let cameras = cameras.clone();
            std::thread::spawn(move || {
                let (mut turns, mut last) = (Turns::new(3), [0; 3]);
                while last != [LAST; 3] {
                    let (camera, arrival) = turns.take(&cameras).unwrap();
                    let sec = arrival.image.stamp.sec;
                    assert!(last[camera] < sec, "newer than any before");
                    last[camera] = sec;
                    cameras[camera].mailbox.count_processed();
                }
            })
        };
        let puts: Vec<_> = cameras
            .iter()
            .cloned()
            .map(|camera| {
                std::thread::spawn(move || (1..=LAST).for_each(|sec| camera.mailbox.put(arrival(sec))))
            })
            .collect();
        puts.into_iter().for_each(|put| put.join().unwrap());
        taker.join().unwrap();
        for camera in &cameras {
            let counts = camera.mailbox.counts();
            assert_eq!((counts.received, counts.outstanding()), (LAST as u64, 0));
        }
    }

    #[test]
    fn an_image_of_any_camera_ends_the_waiting() {
        let cameras = cameras(2);
        let taker = {
            let cameras = cameras.clone();
            std::thread::spawn(move || Turns::new(2).take(&cameras).map(|(camera, _)| camera))
        };
        std::thread::sleep(Duration::from_millis(20));
        cameras[1].mailbox.put(arrival(1));
        assert_eq!(taker.join().unwrap(), Some(1));
    }
}
