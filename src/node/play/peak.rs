//! The highest rate at which a live node keeps up: at most [`LOST`] of the images without a report.
//!
//! The images are held in memory and sent at even intervals, with stamps of now. By halves until the range is
//! narrow, then step by step from below.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::stage::Stage;
use super::{LAST_ANSWERS, Pace, PlayError, Playing, begin, open};
use crate::bag::reader::Topic;
use crate::frame::Stamp;

/// The share of images that may be lost.
pub const LOST: f64 = 0.05;
/// Images, and bytes of them, that are held.
const HELD: usize = 100;
const HELD_BYTES: usize = 256 << 20;
/// The fewest images of a trial.
const FEWEST: u64 = 40;
/// The range is narrow when its end is so many times its beginning.
const NARROW: f64 = 1.2;
/// Steps through a narrow range.
const STEPS: u32 = 4;

/// Rates between which the highest is looked for, and for how long each is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Images a second.
    pub lowest: f64,
    /// Images a second.
    pub highest: f64,
    /// Time that a rate is tried.
    pub trial: Duration,
}

/// What a trial showed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trial {
    /// The share of the images without a report; all of them where the images could not be sent at that rate.
    lost: f64,
    /// The share of the reports that are not from the whole method.
    degraded: f64,
}

/// The highest rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// Images a second; none where even the lowest is too much.
    pub rate: Option<f64>,
    /// The share of images that were lost at it.
    pub lost: f64,
    /// The share of reports at it that are not from the whole method.
    pub degraded: f64,
    /// Whether it is the highest that was tried.
    pub is_bound: bool,
    /// What the monitor says of its bundle and its device, in YAML.
    pub model: String,
}

/// Tries rates on a live node, with the first images of a recording. `progress` is told of each rate, and what was
/// lost at it.
pub fn peak(
    bags: &[PathBuf],
    camera: &Topic,
    report: &str,
    range: Range,
    patience: Duration,
    stopped: &AtomicBool,
    mut progress: impl FnMut(f64, f64),
) -> Result<Peak, PlayError> {
    let playing = Playing {
        bags: bags.to_vec(),
        cameras: vec![camera.clone()],
        calibrations: Vec::new(),
        start: Duration::ZERO,
        duration: None,
        rate: 1.0,
        pace: Pace::LockStep(LAST_ANSWERS),
        report: report.to_owned(),
        patience,
    };
    let mut images = held(&playing)?;
    let mut stage = Stage::create(&playing.cameras, &[], report)?;
    stage.wait_for_monitor(&playing, stopped)?;
    let found = search(range, |rate| {
        let tried = attempt(&mut stage, camera, &mut images, rate, range.trial, stopped)?;
        progress(rate, tried.lost);
        Ok::<_, PlayError>(tried)
    })?;
    let model = stage.model.unwrap_or_default();
    Ok(match found {
        Some((rate, Trial { lost, degraded })) => {
            Peak { rate: Some(rate), lost, degraded, is_bound: rate >= range.highest, model }
        }
        None => Peak { rate: None, lost: 1.0, degraded: 0.0, is_bound: true, model },
    })
}

fn held(playing: &Playing) -> Result<Vec<Vec<u8>>, PlayError> {
    let mut reader = open(playing)?;
    let begin = begin(&reader, playing);
    let (mut images, mut bytes) = (Vec::new(), 0);
    for message in reader.by_ref().filter(|message| message.stamp >= begin) {
        // A header with its stamp is what every image begins with.
        if message.data.len() >= 12 {
            bytes += message.data.len();
            images.push(message.data.to_vec());
        }
        if images.len() >= HELD || bytes >= HELD_BYTES {
            break;
        }
    }
    if images.is_empty() { Err(PlayError::NoImage) } else { Ok(images) }
}

/// The highest rate that does, and what was lost at it.
fn search<E>(
    Range { lowest, highest, .. }: Range,
    mut attempt: impl FnMut(f64) -> Result<Trial, E>,
) -> Result<Option<(f64, Trial)>, E> {
    let does = |tried: &Trial| tried.lost <= LOST;
    let mut best = (lowest, attempt(lowest)?);
    if !does(&best.1) {
        return Ok(None);
    }
    let mut above = highest;
    let tried = attempt(highest)?;
    if does(&tried) {
        return Ok(Some((highest, tried)));
    }
    while above > NARROW * best.0 {
        let rate = (best.0 + above) / 2.0;
        let tried = attempt(rate)?;
        if does(&tried) { best = (rate, tried) } else { above = rate }
    }
    let (from, step) = (best.0, (above - best.0) / f64::from(STEPS));
    for number in 1..STEPS {
        let rate = from + step * f64::from(number);
        let tried = attempt(rate)?;
        if !does(&tried) {
            break;
        }
        best = (rate, tried);
    }
    Ok(Some(best))
}

/// One rate.
fn attempt(
    stage: &mut Stage,
    camera: &Topic,
    images: &mut [Vec<u8>],
    rate: f64,
    time: Duration,
    stopped: &AtomicBool,
) -> Result<Trial, PlayError> {
    let (count, period) = ((rate * time.as_secs_f64()).ceil() as u64, Duration::from_secs_f64(1.0 / rate));
    let count = count.max(FEWEST);
    let (answered, degraded) = (stage.answers.answered(), stage.degraded);
    let start = Instant::now();
    let (mut sent, kept) = (0, images.len() as u64);
    while sent < count && !stopped.load(Ordering::Relaxed) {
        stage.spin(start + period.mul_f64(sent as f64));
        let image = &mut images[(sent % kept) as usize];
        let stamp = now();
        restamp(image, stamp);
        stage.answers.sent(stamp);
        stage.publish(&camera.name, image)?;
        sent += 1;
    }
    let (took, planned) = (start.elapsed(), period.mul_f64(sent.max(1) as f64));
    stage.answer(Instant::now() + LAST_ANSWERS, stopped);
    let answered = stage.answers.answered() - answered;
    let could = took <= planned.mul_f64(1.1) + Duration::from_millis(100);
    let lost = if could { 1.0 - answered as f64 / sent.max(1) as f64 } else { 1.0 };
    let degraded = (stage.degraded - degraded) as f64 / answered.max(1) as f64;
    Ok(Trial { lost, degraded })
}

/// The time of day.
fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp { sec: i32::try_from(since.as_secs()).unwrap_or(i32::MAX), nanosec: since.subsec_nanos() }
}

/// Gives a message that begins with a header another stamp.
fn restamp(message: &mut [u8], Stamp { sec, nanosec }: Stamp) {
    // The second byte of the four before the message tells its byte order.
    let (sec, nanosec) = match message[1] & 1 {
        1 => (sec.to_le_bytes(), nanosec.to_le_bytes()),
        _ => (sec.to_be_bytes(), nanosec.to_be_bytes()),
    };
    message[4..8].copy_from_slice(&sec);
    message[8..12].copy_from_slice(&nanosec);
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;

    use super::*;
    use crate::bag::camera::camera_image;
    use crate::bag::cdr::encode;
    use crate::bag::message::{Image, Message};

    /// What a node that manages so many images a second would come to, and how many trials it took.
    fn found(manages: f64) -> (Option<f64>, usize) {
        let range = Range { lowest: 1.0, highest: 100.0, trial: Duration::ZERO };
        let mut trials = 0;
        let found = search(range, |rate| {
            trials += 1;
            Ok::<_, Infallible>(Trial { lost: (1.0 - manages / rate).max(0.0), degraded: 0.0 })
        });
        (found.unwrap().map(|(rate, _)| rate), trials)
    }

    #[test]
    fn the_highest_rate_with_a_twentieth_lost_is_found_within_a_twentieth() {
        for manages in [1.0, 2.5, 7.0, 30.0, 90.0] {
            let (rate, trials) = found(manages);
            let (rate, highest) = (rate.unwrap(), manages / (1.0 - LOST));
            assert!(rate <= highest && rate > 0.95 * highest, "{rate} of {highest}");
            assert!(trials < 15, "{trials}");
        }
        assert_eq!(found(200.0), (Some(100.0), 2));
        assert_eq!(found(0.5), (None, 1));
    }

    #[test]
    fn a_message_gets_another_stamp_and_keeps_the_rest() {
        let image = Image {
            height: 1,
            width: 2,
            encoding: "mono8".into(),
            step: 2,
            data: vec![3, 4],
            ..Image::default()
        };
        let mut message = encode(&image).unwrap();
        let stamp = Stamp { sec: 77, nanosec: 88 };
        restamp(&mut message, stamp);
        let read = camera_image(Image::DEFINITION.name, &Bytes::from(message)).unwrap();
        assert_eq!(read.stamp, stamp);
        assert_eq!(read.decode().unwrap().into_raw(), [3, 3, 3, 4, 4, 4]);
    }
}
