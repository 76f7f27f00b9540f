//! Limits that promise something: chosen by conformal risk control from labelled frames, drive by drive.
//!
//! The loss of a drive is the mean of its frames' losses. Frames that cannot lose (no wrong pixel, no failure) do not
//! count, and drives without any that can are no units of that promise.

use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::calibration::CalibrationError;
use super::outcomes::{Outcome, Outcomes, STEPS};
use crate::metric::conformal::{Chosen, NoLimit, choose};
use crate::model::bundle::Thresholds;
use crate::model::evidence::{Evidence, Promise, Unit};
use crate::model::reference::{FrameSignals, Reference};
use crate::monitor::margin::WIDEST;

/// What is to be kept low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Target {
    /// Share of a drive's failing frames that stay below CAUTION by themselves.
    MissedFrames,
    /// Share of a frame's wrong pixels that are not in the error mask.
    MissedPixels,
    /// The same for all but one in ten frames.
    #[strum(serialize = "missed-pixels-p90")]
    MissedPixelsOfMost,
    /// Share of a drive's good frames that reach FAILURE by themselves.
    FalseAlarms,
    /// Share of a frame's pixels falsely labelled drivable that lie further inside drivable labels than the margin.
    DrivableMargin,
}

/// Seed of the order in which drives are looked at.
const ORDER: u64 = 1;

/// Share of the frames for which [`Target::MissedPixelsOfMost`] need not hold.
const OTHERS: f64 = 0.1;

/// A target and its rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// What is to be kept low.
    pub target: Target,
    /// How low.
    pub rate: f64,
}

impl FromStr for Aim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no target; NAME=RATE is one, with missed-frames, missed-pixels, missed-pixels-p90, \
                 false-alarms or drivable-margin as name and a rate above 0 and below 1"
            )
        };
        let (name, rate) = text.split_once('=').ok_or_else(wrong)?;
        let (target, rate) = (name.parse().map_err(|_| wrong())?, rate.parse().map_err(|_| wrong())?);
        match rate > 0. && rate < 1. {
            true => Ok(Self { target, rate }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}={}", self.target, self.rate)
    }
}

/// How promises are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// What is to be kept.
    pub aims: Vec<Aim>,
    /// Mean IoU below which a frame has failed.
    pub below_miou: f64,
    /// What is exchangeable.
    pub unit: Unit,
    /// What the drives look like is kept, and how.
    pub reference: Option<ReferenceOptions>,
}

/// How drives are looked at for the question whether another is like them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceOptions {
    /// Seconds from frame to frame.
    pub every: f64,
    /// Frames of a window.
    pub window: usize,
    /// Drives like these that are taken for others, at most.
    pub rate: f64,
}

/// What one frame can lose.
enum Frame {
    /// A failing one, with its score: missed below the limit.
    Failing(f32),
    /// A good one: a false alarm from the limit on.
    Good(f32),
    /// Missed share of its wrong pixels, by the step of the limit.
    Wrong(Vec<f64>),
    /// The same, where only a share above this counts.
    WrongBeyond(Vec<f64>, f64),
    /// Share of the falsely drivable pixels that lie further inside, by the margin.
    Inside(Vec<f64>),
}

impl Frame {
    fn loss(&self, limit: f32) -> f64 {
        let step = |limit: f32| ((limit * STEPS as f32) as usize).min(STEPS);
        match self {
            Self::Failing(score) => f64::from(*score < limit),
            Self::Good(score) => f64::from(*score >= limit),
            Self::Wrong(missed) => missed[step(limit)],
            Self::WrongBeyond(missed, most) => f64::from(missed[step(limit)] > *most),
            Self::Inside(beyond) => beyond[limit as usize],
        }
    }
}

/// The frames of one unit that can lose.
pub(super) struct Losses(Vec<Frame>);

impl Losses {
    pub(super) fn at(&self, limit: f32) -> f64 {
        self.0.iter().map(|frame| frame.loss(limit)).sum::<f64>() / self.0.len() as f64
    }
}

impl Aim {
    /// The expected loss that is to be kept.
    pub(super) fn risk(self) -> f64 {
        match self.target {
            Target::MissedPixelsOfMost => OTHERS,
            _ => self.rate,
        }
    }

    /// What a frame can lose; `None` if nothing.
    fn frame(self, outcome: &Outcome, below_miou: f64) -> Option<Frame> {
        let failing = || outcome.miou.map(|miou| miou < below_miou);
        match self.target {
            Target::MissedFrames => failing()?.then_some(Frame::Failing(outcome.failure_score)),
            Target::FalseAlarms => (!failing()?).then_some(Frame::Good(outcome.failure_score)),
            Target::MissedPixels => Some(Frame::Wrong(missed(&outcome.wrong)?)),
            Target::MissedPixelsOfMost => Some(Frame::WrongBeyond(missed(&outcome.wrong)?, self.rate)),
            Target::DrivableMargin => Some(Frame::Inside(beyond(&outcome.falsely_drivable)?)),
        }
    }

    /// The losses of those `units` that can lose.
    pub(super) fn losses(self, units: &[Vec<&Outcome>], below_miou: f64) -> Vec<Losses> {
        let of =
            |unit: &Vec<&Outcome>| Losses(unit.iter().filter_map(|o| self.frame(o, below_miou)).collect());
        units.iter().map(of).filter(|losses| !losses.0.is_empty()).collect()
    }

    /// The limit that keeps it.
    pub(super) fn choose(self, losses: &[&Losses]) -> Result<Chosen, NoLimit> {
        let scores = losses.iter().flat_map(|unit| &unit.0);
        let mut limits: Vec<f32> = match self.target {
            Target::MissedFrames => scores
                .filter_map(|f| match f {
                    Frame::Failing(s) => Some(*s),
                    _ => None,
                })
                .chain([0.])
                .collect(),
            Target::FalseAlarms => scores
                .filter_map(|f| match f {
                    Frame::Good(s) => Some(s.next_up()),
                    _ => None,
                })
                .chain([0.])
                // A limit above 1 is none: scores of 1 reach FAILURE.
                .filter(|limit| *limit <= 1.)
                .collect(),
            Target::DrivableMargin => (0..=WIDEST).map(|margin| margin as f32).collect(),
            Target::MissedPixels | Target::MissedPixelsOfMost => {
                (0..=STEPS).map(|step| step as f32 / STEPS as f32).collect()
            }
        };
        limits.sort_by(f32::total_cmp);
        if !matches!(self.target, Target::FalseAlarms | Target::DrivableMargin) {
            limits.reverse();
        }
        choose(&limits, losses.len(), self.risk(), |limit| losses.iter().map(move |unit| unit.at(limit)))
    }

    /// Which units count.
    pub(super) fn which(self) -> &'static str {
        match self.target {
            Target::MissedFrames => "with failing frames",
            Target::FalseAlarms => "with good frames",
            Target::MissedPixels | Target::MissedPixelsOfMost => "with wrong pixels",
            Target::DrivableMargin => "with pixels falsely labelled drivable",
        }
    }

    fn promised(self, below_miou: f64, (limit, promise): (f32, &Promise), unit: Unit) -> String {
        let Promise { units, bound, .. } = promise;
        let percent = |share: f64| format!("{} %", (share * 1e4).round() / 100.);
        let (rate, bound, which) = (percent(self.rate), percent(*bound), self.which());
        let what = match self.target {
            Target::MissedFrames => {
                format!("at most {rate} of frames with an mIoU below {below_miou} stay below CAUTION")
            }
            Target::MissedPixels => {
                format!("at most {rate} of a frame's wrong pixels are not in the error mask")
            }
            Target::MissedPixelsOfMost => format!(
                "at most {} of frames have more than {rate} of their wrong pixels outside the error mask",
                percent(OTHERS)
            ),
            Target::FalseAlarms => {
                format!("at most {rate} of frames with an mIoU of {below_miou} or above reach FAILURE")
            }
            Target::DrivableMargin => format!(
                "at most {rate} of a frame's pixels falsely labelled drivable lie more than {limit} steps (at the working \
                 size) inside drivable labels, where alone trusted_labels keeps these"
            ),
        };
        format!("{what} (n = {units} {unit}s {which}, bound {bound})")
    }
}

/// Share of the falsely drivable pixels beyond each margin; `None` without any.
fn beyond(by_depth: &[u32]) -> Option<Vec<f64>> {
    let counts = || by_depth.iter().map(|&count| u64::from(count));
    let total: u64 = counts().sum();
    let mut within = 0;
    let shares = counts().map(|count| {
        within += count;
        (total - within) as f64 / total as f64
    });
    (total > 0).then(|| shares.collect())
}

/// Share of the wrong pixels below each limit, from 0 to 1 by steps; `None` without wrong pixels.
fn missed(wrong: &[u32]) -> Option<Vec<f64>> {
    let total: u64 = wrong.iter().map(|&count| u64::from(count)).sum();
    let mut below = 0;
    let mut shares = vec![0.];
    for &count in wrong {
        below += u64::from(count);
        shares.push(below as f64 / total as f64);
    }
    (total > 0).then_some(shares)
}

/// The frames of each unit, in their order.
pub(super) fn units(frames: &[Outcome], unit: Unit) -> Vec<Vec<&Outcome>> {
    let mut units: Vec<(&str, Vec<&Outcome>)> = Vec::new();
    for frame in frames {
        let name = match unit {
            Unit::Drive => frame.drive(),
            Unit::Place => frame.place(),
        };
        match units.iter_mut().find(|(known, _)| *known == name) {
            Some((_, frames)) => frames.push(frame),
            None => units.push((name, vec![frame])),
        }
    }
    units.into_iter().map(|(_, frames)| frames).collect()
}

/// A drive as it is compared with others.
pub(super) fn signals_of(frames: &[&Outcome]) -> Vec<FrameSignals> {
    let of = |frame: &&Outcome| FrameSignals {
        failure_score: frame.failure_score,
        anomaly_area: frame.anomaly_area,
        brightness: frame.health.brightness,
        features: frame.features.clone(),
    };
    frames.iter().map(of).collect()
}

/// The limits with those in place that keep what `terms` ask for. What no target names stays as it was, and is
/// promised nothing.
pub fn promise(
    limits: &Thresholds,
    outcomes: &Outcomes,
    terms: &Terms,
) -> Result<Thresholds, CalibrationError> {
    let units = units(&outcomes.frames, terms.unit);
    let mut limits = limits.clone();
    let (mut promises, mut sentences) = (Vec::new(), Vec::new());
    // The mask keeps the strictest of the promises on it.
    let mut error: Option<f32> = None;
    let (mut caution, mut failure, mut margin) = (None, None, None);
    for aim in &terms.aims {
        let losses = aim.losses(&units, terms.below_miou);
        let chosen =
            aim.choose(&losses.iter().collect::<Vec<_>>()).map_err(|reason| CalibrationError::Promise {
                aim: aim.to_string(),
                units: format!("{}s", terms.unit),
                which: aim.which(),
                reason,
            })?;
        let by_miou = matches!(aim.target, Target::MissedFrames | Target::FalseAlarms);
        let promise = Promise {
            target: aim.target.to_string(),
            rate: aim.rate,
            below_miou: by_miou.then_some(terms.below_miou),
            units: chosen.units,
            bound: chosen.bound,
        };
        match aim.target {
            Target::MissedFrames => caution = Some(chosen.limit),
            Target::FalseAlarms => failure = Some(chosen.limit),
            Target::DrivableMargin => margin = Some(chosen.limit as u32),
            Target::MissedPixels | Target::MissedPixelsOfMost => {
                error = Some(error.map_or(chosen.limit, |limit| limit.min(chosen.limit)))
            }
        }
        sentences.push(aim.promised(terms.below_miou, (chosen.limit, &promise), terms.unit));
        promises.push(promise);
    }
    // CAUTION is never above FAILURE: a lower one misses less, a higher one gives fewer false alarms.
    limits.error = error.unwrap_or(limits.error);
    limits.drivable_margin = margin.or(limits.drivable_margin);
    limits.failure = failure.unwrap_or(limits.failure);
    limits.caution = caution.unwrap_or(limits.caution).min(limits.failure);
    let reference = terms.reference.and_then(|ReferenceOptions { every, window, rate }| {
        let mut drives: Vec<Vec<FrameSignals>> = units.iter().map(|frames| signals_of(frames)).collect();
        // By name, every other one may be of the same kind.
        drives.shuffle(&mut ChaCha8Rng::seed_from_u64(ORDER));
        Reference::learn(&drives, every, window, rate)
    });
    limits.guarantee = format!(
        "by conformal risk control, on average over {unit}s exchangeable with the {count} of {data} (sha256 {hash}, \
         {frames} frames) and over the choice of these, each frame judged by itself: {sentences}",
        unit = terms.unit,
        count = units.len(),
        data = outcomes.data,
        hash = outcomes.data_sha256.get(..12).unwrap_or_default(),
        frames = outcomes.frames.len(),
        sentences = sentences.join("; ")
    );
    limits.evidence = Some(Box::new(Evidence {
        data: outcomes.data.clone(),
        data_sha256: outcomes.data_sha256.clone(),
        unit: terms.unit,
        units: units.len(),
        frames: outcomes.frames.len(),
        promises,
        reference,
    }));
    Ok(limits)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::outcomes::DEPTHS;
    use super::*;
    use crate::frame::health::Health;

    /// Drives of three frames each: the score of a frame falls as its mIoU rises, and doubtful pixels are wrong.
    pub(in crate::train) fn outcomes(drives: usize) -> Outcomes {
        let frame = |i: usize| {
            let score = (i * 37 % 101) as f32 / 101.;
            let (mut wrong, right) = (vec![0; STEPS], vec![1; STEPS]);
            wrong[i * 53 % STEPS] = 3;
            wrong[200] = 7;
            // Mostly near the edge, and now and then deep inside.
            let mut depths = vec![0; DEPTHS];
            depths[1 + i * 31 % 20] = 5;
            depths[DEPTHS - 1] = u32::from(i.is_multiple_of(30));
            Outcome {
                name: format!("town_{:02}_{:03}", i / 3, i % 3),
                failure_score: score,
                miou: Some(1. - f64::from(score)),
                wrong,
                right,
                falsely_drivable: depths,
                anomaly_area: 0.01,
                features: vec![score, 1. - score],
                health: Health { brightness: 0.5, range: 0.9, sharpness: 0.5, covered: 0. },
            }
        };
        Outcomes {
            scores_of: String::new(),
            data: "town ..".into(),
            data_sha256: "0123456789abcdef".into(),
            labels_of: None,
            frames: (0..3 * drives).map(frame).collect(),
        }
    }

    pub(in crate::train) fn terms(aims: &[&str]) -> Terms {
        let aims = aims.iter().map(|aim| aim.parse().unwrap()).collect();
        Terms { aims, below_miou: 0.5, unit: Unit::Drive, reference: None }
    }

    #[test]
    fn the_limits_keep_what_was_asked_for_and_the_sentence_says_on_what() {
        let outcomes = outcomes(40);
        let aims = ["missed-frames=0.1", "missed-pixels=0.2", "missed-pixels-p90=0.3", "false-alarms=0.05"];
        let limits = promise(&Thresholds::uncalibrated(), &outcomes, &terms(&aims)).unwrap();
        let evidence = limits.evidence.clone().unwrap();
        assert_eq!((evidence.units, evidence.frames, evidence.promises.len()), (40, 120, 4));
        assert!(evidence.promises.iter().zip([0.1, 0.2, 0.1, 0.05]).all(|(p, risk)| p.bound <= risk + 1e-9));
        let units = units(&outcomes.frames, Unit::Drive);
        for (aim, limit) in aims.iter().zip([limits.caution, limits.error, limits.error, limits.failure]) {
            let aim: Aim = aim.parse().unwrap();
            let losses = aim.losses(&units, 0.5);
            let mean = losses.iter().map(|unit| unit.at(limit)).sum::<f64>() / losses.len() as f64;
            assert!(mean <= aim.risk(), "{aim}: {mean}");
        }
        assert!(limits.caution <= limits.failure && limits.caution > 0.);
        for part in [
            "drives exchangeable with the 40 of town .. (sha256 0123456789ab, 120 frames)",
            "at most 10 % of frames with an mIoU below 0.5 stay below CAUTION (n = ",
            "at most 10 % of frames have more than 30 % of their wrong pixels outside the error mask",
        ] {
            assert!(limits.guarantee.contains(part), "{part}: {}", limits.guarantee);
        }
    }

    #[test]
    fn a_rate_that_the_drives_cannot_reach_is_refused_with_the_number_that_could() {
        let refused = |aim: &str, drives: usize, unit: Unit| {
            let terms = Terms { unit, ..terms(&[aim]) };
            promise(&Thresholds::uncalibrated(), &outcomes(drives), &terms).unwrap_err().to_string()
        };
        let said = refused("missed-pixels=0.01", 40, Unit::Drive);
        assert_eq!(
            said,
            "--target missed-pixels=0.01: drives with wrong pixels: 40 are there; a rate of 0.01 needs at least 99"
        );
        let said = refused("missed-pixels=0.1", 40, Unit::Place);
        assert!(
            said.contains("places with wrong pixels: 1 are there; a rate of 0.1 needs at least 9"),
            "{said}"
        );
    }

    #[test]
    fn good_frames_that_no_limit_keeps_from_failure_are_refused() {
        let mut outcomes = outcomes(40);
        for frame in &mut outcomes.frames {
            (frame.failure_score, frame.miou) = (1., Some(0.9));
        }
        let refused = promise(&Thresholds::uncalibrated(), &outcomes, &terms(&["false-alarms=0.1"]));
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("even the most cautious limit loses"), "{said}");
    }

    #[test]
    fn a_target_is_a_name_and_a_rate() {
        let aim: Aim = "missed-pixels-p90=0.25".parse().unwrap();
        assert_eq!(
            (aim.target, aim.rate, aim.to_string().as_str()),
            (Target::MissedPixelsOfMost, 0.25, "missed-pixels-p90=0.25")
        );
        for wrong in ["missed-frames", "missed-frames=0", "missed-frames=nan", "missed=0.1", "false-alarms=1"]
        {
            assert!(wrong.parse::<Aim>().unwrap_err().contains("NAME=RATE"), "{wrong}");
        }
    }

    #[test]
    fn what_no_target_names_stays_and_caution_stays_below_failure() {
        let before = Thresholds::uncalibrated();
        let limits = promise(&before, &outcomes(40), &terms(&["missed-pixels=0.2"])).unwrap();
        assert_eq!((limits.caution, limits.failure), (before.caution, before.failure));
        let limits = promise(
            &Thresholds { caution: 0.01, failure: 0.02, ..before },
            &outcomes(40),
            &terms(&["missed-frames=0.3"]),
        )
        .unwrap();
        assert!((limits.caution, limits.failure) == (0.02, 0.02), "{limits:?}");
    }
}
