//! The frames at which the level rises: they are kept as pictures, for whoever looks at a result later.

use plotters::style::RGBColor;

use super::ReplayError;
use crate::drive::chart::color;
use crate::labels::LabelSet;
use crate::monitor::assessment::{Assessment, Region, Wanted};
use crate::picture::jpeg::reduced;
use crate::picture::overlay::{Badge, overlay_frame};
use crate::watch::debounce::Level;
use crate::watch::stream::Assessed;
use crate::watch::verdict::Verdict;

/// Most rises of a replay that are kept.
const PICTURES: u64 = 100;
/// Width of a picture.
const WIDTH: u32 = 640;

/// Looks for rises of the level.
#[derive(Default)]
pub(super) struct Rises {
    /// The level so far; none before the first report, from which it does not rise.
    level: Option<Level>,
    /// The last frame's own.
    raw: Option<Level>,
    kept: u64,
}

/// A frame as its camera and as an operator saw it, JPEG files.
pub(super) struct Pictures {
    pub image: Vec<u8>,
    pub overlay: Option<Vec<u8>>,
}

impl Rises {
    /// What is needed of the next frame. The level rises after some bad frames in a row: to draw every frame would
    /// cost each of them a little.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted { error_mask: self.kept < PICTURES && self.raw > self.level, ..Wanted::default() }
    }

    /// Takes note of a report; whether the level rises with it.
    pub(super) fn note(&mut self, verdict: &Verdict) -> bool {
        self.raw = Some(verdict.report.as_ref().map_or(Level::Failure, |report| {
            let level = Level::of(report.failure_score, report.anomaly_area, &verdict.thresholds);
            let is_thing = |region: &Region| {
                let things = verdict.thresholds.things.as_ref();
                things.is_some_and(|things| things.raise(region.area, region.probability, region.on_road))
            };
            if report.regions.iter().any(is_thing) { level.max(Level::Caution) } else { level }
        }));
        let before = self.level.replace(verdict.level);
        before.is_some_and(|before| before < verdict.level)
    }

    /// The pictures of a frame at which the level has risen, if it is one of the first. Report and maps are used up.
    pub(super) fn pictures(
        &mut self,
        assessed: &mut Assessed,
        labels: &LabelSet,
    ) -> Result<Option<Pictures>, ReplayError> {
        let Assessed { verdict, maps, image: Some(image), .. } = assessed else { return Ok(None) };
        let image = &*image;
        if self.kept >= PICTURES {
            return Ok(None);
        }
        self.kept += 1;
        let level = verdict.level;
        let RGBColor(red, green, blue) = color(level);
        let badge = Badge { text: level.name(), color: [red, green, blue] };
        let overlay = verdict.report.take().map(|report| Assessment { report, maps: std::mem::take(maps) });
        let overlay = overlay.map(|assessment| overlay_frame(image, &assessment, labels, badge));
        let jpeg = |image| reduced(image, WIDTH).map_err(std::io::Error::other);
        Ok(Some(Pictures { image: jpeg(image)?, overlay: overlay.as_ref().map(jpeg).transpose()? }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use image::RgbImage;

    use super::*;
    use crate::frame::Stamp;
    use crate::model::bundle::Thresholds;
    use crate::monitor::assessment::{Maps, Mode, Report};
    use crate::watch::likeness::CalibrationState;
    use crate::watch::mailbox::Counts;
    use crate::watch::validity::Validity;

    fn verdict(level: Level, score: f32) -> Verdict {
        Verdict {
            stamp: Stamp { sec: 3, nanosec: 5 },
            camera: "front".to_owned(),
            validity: Validity::Ok,
            reason: String::new(),
            level,
            raw: level,
            latched: level,
            report: Some(Report { anomaly_area: 0.0, ..Report::example(Mode::Full, score) }),
            calibration: CalibrationState::Unknown,
            thresholds: Thresholds { caution: 0.5, failure: 0.8, anomaly_area: 0.1, ..Thresholds::unknown() },
            decode: None,
            total: None,
            image_age_secs: None,
            labels_age_secs: None,
            since_arrival: None,
            counts: Counts::default(),
            label_counts: Default::default(),
        }
    }

    #[test]
    fn a_rise_is_a_level_above_the_last_and_the_mask_is_wanted_before_it() {
        use Level::{Caution, Failure, Nominal};
        let mut rises = Rises::default();
        let met =
            [(Failure, 0.1), (Nominal, 0.1), (Nominal, 0.6), (Nominal, 0.6), (Caution, 0.6), (Failure, 0.1)];
        let found = met.map(|(level, score)| (rises.wanted().error_mask, rises.note(&verdict(level, score))));
        // Before the first report there was no level, and FAILURE is no rise from it.
        let expected =
            [(false, false), (false, false), (false, false), (true, false), (true, true), (false, true)];
        assert_eq!(found, expected);
        let blind = Verdict { report: None, ..verdict(Nominal, 0.0) };
        assert!(
            !rises.note(&blind) && rises.wanted().error_mask,
            "a frame without scores counts as a failure"
        );
    }

    #[test]
    fn pictures_are_reduced_and_of_the_first_rises_only() {
        let labels = LabelSet::by_name("cityscapes").unwrap();
        let mut rises = Rises::default();
        let mut shown = |image| {
            let verdict = verdict(Level::Failure, 0.9);
            let mut assessed =
                Assessed { verdict, maps: Maps::default(), image, jumped: false, at: Instant::now() };
            rises.pictures(&mut assessed, &labels).unwrap()
        };
        assert!(shown(None).is_none());
        let pictures = shown(Some(RgbImage::new(1280, 720))).unwrap();
        let overlay = image::load_from_memory(&pictures.overlay.unwrap()).unwrap().into_rgb8();
        assert_eq!((overlay.dimensions(), &pictures.image[..2]), ((640, 360), &[0xff, 0xd8][..]));
        assert!(overlay.get_pixel(2, 2).0[0] > 120, "the level stands in the corner, in red");
        for _ in 1..PICTURES {
            assert!(shown(Some(RgbImage::new(8, 8))).is_some());
        }
        assert!(shown(Some(RgbImage::new(8, 8))).is_none());
    }
}
