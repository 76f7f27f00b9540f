//! One image per frame, as in the paper's figures: image, labels, synthesized image and both maps side
//! by side.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::canvas;
use super::heat::{heat_map, heat_map_around};
use crate::labels::LabelSet;
use crate::model::bundle::Thresholds;
use crate::monitor::assessment::Assessment;

/// Pixels between panels.
const GAP: u32 = 2;

/// Draws a frame's five panels under their captions: image, labels, synthesized image, error
/// probability, anomaly score (the limit of the anomaly score in mid-scale).
///
/// Panels are as large as the image, or `panel_width` wide if that is smaller. A map that was not
/// computed leaves its panel empty, so that the strips of a drive line up.
pub fn frame_strip(
    image: &RgbImage,
    assessment: &Assessment,
    (labels, thresholds): (&LabelSet, &Thresholds),
    panel_width: u32,
) -> RgbImage {
    let maps = &assessment.maps;
    let report = &assessment.report;
    let panels = [
        ("image".to_owned(), Some(image.clone())),
        (
            format!("labels, mIoU {}", number(report.predicted_miou)),
            maps.labels.as_ref().map(|map| labels.colorize(map)),
        ),
        (format!("synthesized, fail {}", number(report.failure_score)), maps.reconstruction.clone()),
        (format!("error {}", percent(report.error_area)), maps.error_probability.as_ref().map(heat_map)),
        (
            format!("anomaly {}", percent(report.anomaly_area)),
            maps.anomaly_score.as_ref().map(|map| heat_map_around(map, thresholds.anomaly)),
        ),
    ];
    let (width, height) = panel_size(image, panel_width);
    // Captions of some 22 characters must fit.
    let scale = (width / (24 * canvas::GLYPH)).clamp(1, 4);
    let caption = canvas::label_height(scale);
    let count = panels.len() as u32;
    let size = (count * (width + GAP) - GAP, caption + height);
    let mut strip = RgbImage::from_pixel(size.0, size.1, canvas::GROUND);
    for (place, (text, panel)) in (0..count).zip(panels) {
        let x = i64::from(place * (width + GAP));
        if let Some(panel) = panel {
            imageops::replace(&mut strip, &resized(panel, width, height), x, i64::from(caption));
        } else {
            canvas::text(&mut strip, x + 2, i64::from(2 * caption), scale, Rgb([128; 3]), "not computed");
        }
        let room = (width / (canvas::GLYPH * scale)) as usize;
        let text: String = text.chars().take(room).collect();
        let margin = i64::from(2 * scale);
        canvas::text(&mut strip, x + margin, margin, scale, canvas::WHITE, &text);
    }
    strip
}

fn panel_size(image: &RgbImage, panel_width: u32) -> (u32, u32) {
    let (width, height) = image.dimensions();
    if width <= panel_width || width == 0 {
        return (width.max(1), height.max(1));
    }
    let panel_width = panel_width.max(1);
    let scaled = (u64::from(height) * u64::from(panel_width)).div_ceil(u64::from(width));
    (panel_width, (scaled as u32).max(1))
}

fn resized(panel: RgbImage, width: u32, height: u32) -> RgbImage {
    if panel.dimensions() == (width, height) || panel.is_empty() {
        return panel;
    }
    imageops::resize(&panel, width, height, FilterType::Triangle)
}

fn number(value: f32) -> String {
    if value.is_nan() { "none".to_owned() } else { format!("{value:.2}") }
}

fn percent(share: f32) -> String {
    if share.is_nan() { "none".to_owned() } else { format!("{:.1} %", 100.0 * share) }
}

#[cfg(test)]
mod tests {
    use image::GrayImage;

    use super::*;
    use crate::monitor::assessment::{Maps, Mode, Report, ScoreMap};

    fn assessment(maps: Maps) -> Assessment {
        Assessment { report: Report::example(Mode::Full, f32::NAN), maps }
    }

    const LIMITS: Thresholds = Thresholds::uncalibrated();

    #[test]
    fn panels_stand_side_by_side() {
        let set = LabelSet::by_name("cityscapes").unwrap();
        let image = RgbImage::from_pixel(40, 20, Rgb([1, 2, 3]));
        let scores = |value| Some(ScoreMap { width: 40, height: 20, data: vec![value; 800] });
        let maps = Maps {
            labels: Some(GrayImage::new(40, 20)),
            reconstruction: Some(RgbImage::from_pixel(40, 20, Rgb([4, 5, 6]))),
            error_probability: scores(0.0),
            anomaly_score: scores(1.0),
            ..Maps::default()
        };
        let strip = frame_strip(&image, &assessment(maps), (&set, &LIMITS), 640);
        assert_eq!(strip.dimensions(), (5 * 40 + 4 * GAP, 20 + canvas::label_height(1)));
        let panel = |place: u32| strip.get_pixel(place * (40 + GAP) + 20, 20).0;
        assert_eq!(panel(0), [1, 2, 3]);
        assert_eq!(panel(1), set.classes[0].color);
        assert_eq!(panel(2), [4, 5, 6]);
        assert!(panel(3) < panel(4));
    }

    #[test]
    fn large_images_are_reduced_and_missing_maps_leave_room() {
        let set = LabelSet::by_name("camvid").unwrap();
        let image = RgbImage::new(400, 200);
        let strip = frame_strip(&image, &assessment(Maps::default()), (&set, &LIMITS), 100);
        assert_eq!(strip.dimensions(), (5 * 100 + 4 * GAP, 50 + canvas::label_height(1)));
        for (width, height, panel) in [(0, 0, 5), (1, 1, 0), (4000, 1, 3)] {
            frame_strip(&RgbImage::new(width, height), &assessment(Maps::default()), (&set, &LIMITS), panel);
        }
    }
}
