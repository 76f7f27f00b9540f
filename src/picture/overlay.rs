//! The image that an operator watches: the camera's image with the monitor's assessment drawn on it.

use image::{Rgb, RgbImage};

use super::canvas;
use crate::labels::LabelSet;
use crate::monitor::assessment::{Assessment, Mode, Region};

/// Where the segmentation is probably wrong.
const ERROR: Rgb<u8> = Rgb([230, 30, 60]);
/// Around anomalous regions.
const ANOMALY: Rgb<u8> = Rgb([255, 200, 0]);

/// The alarm level in words and the colour it is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Badge<'a> {
    /// Such as `NOMINAL`.
    pub text: &'a str,
    /// Behind the text, RGB; black or white text is chosen to be readable on it.
    pub color: [u8; 3],
}

/// Draws the error mask as a red tint, each anomalous region as a yellow box with the class it was
/// rendered as and its peak score, and level and scores in the upper left corner.
///
/// The mask is drawn if [`Maps::error_mask`](crate::monitor::assessment::Maps::error_mask) was wanted.
pub(crate) fn overlay_frame(
    image: &RgbImage,
    assessment: &Assessment,
    labels: &LabelSet,
    badge: Badge,
) -> RgbImage {
    let mut out = image.clone();
    if let Some(mask) =
        assessment.maps.error_mask.as_ref().filter(|mask| mask.dimensions() == out.dimensions())
    {
        for (pixel, &mask) in out.pixels_mut().zip(mask.as_raw()) {
            if mask != 0 {
                canvas::tint(pixel, ERROR);
            }
        }
    }
    let scale = canvas::text_scale(out.height());
    // The largest region comes first and ends on top.
    for region in assessment.report.regions.iter().rev() {
        draw_region(&mut out, region, labels, scale);
    }
    draw_badge(&mut out, assessment, badge, scale);
    out
}

fn draw_region(out: &mut RgbImage, region: &Region, labels: &LabelSet, scale: u32) {
    let (x, y) = (i64::from(region.x), i64::from(region.y));
    canvas::outline(out, x, y, region.width, region.height, scale, ANOMALY);
    let class = labels.classes.get(usize::from(region.class_id)).map_or("?", |class| class.name.as_str());
    let line = format!("{class}? {:.2}", region.peak_score);
    // Above the box, or inside where there is no room.
    let height = i64::from(canvas::label_height(scale));
    let top = if y >= height { y - height } else { y };
    canvas::label(out, x, top, scale, Rgb([0; 3]), ANOMALY, &line);
}

fn draw_badge(out: &mut RgbImage, assessment: &Assessment, badge: Badge, scale: u32) {
    let report = &assessment.report;
    let ground = Rgb(badge.color);
    canvas::label(out, 0, 0, scale, readable_on(badge.color), ground, badge.text);
    let scores = match report.mode {
        Mode::Full if !report.failure_score.is_nan() => {
            format!("failure {:.2}  mIoU {:.2}", report.failure_score, report.predicted_miou)
        }
        Mode::Full => "no score".to_owned(),
        Mode::LogitsOnly => "logits only".to_owned(),
    };
    let line = format!(
        "{scores}  error {:.1} %  anomaly {:.1} %",
        100.0 * report.error_area,
        100.0 * report.anomaly_area
    );
    let below = i64::from(canvas::label_height(scale));
    canvas::label(out, 0, below, scale, canvas::WHITE, canvas::GROUND, &line);
}

/// Black on bright colours, white on dark ones (weights of BT.601).
fn readable_on([r, g, b]: [u8; 3]) -> Rgb<u8> {
    let light = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    if light > 128_000 { Rgb([0; 3]) } else { canvas::WHITE }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;
    use crate::monitor::assessment::{Maps, Report};

    const NOMINAL: Badge = Badge { text: "NOMINAL", color: [0, 120, 60] };

    fn region(x: u32, y: u32, width: u32, height: u32) -> Region {
        let centroid = (0.0, 0.0);
        Region { x, y, width, height, centroid, ..Region::example() }
    }

    fn assessment(regions: Vec<Region>, error_mask: Option<GrayImage>) -> Assessment {
        let report = Report { regions, ..Report::example(Mode::Full, 0.4) };
        Assessment { report, maps: Maps { error_mask, ..Maps::default() } }
    }

    #[test]
    fn errors_are_tinted_regions_boxed_and_the_level_shown() {
        let set = LabelSet::by_name("cityscapes").unwrap();
        let image = RgbImage::from_pixel(200, 100, Rgb([100; 3]));
        let mut mask = GrayImage::new(200, 100);
        mask.put_pixel(150, 90, Luma([255]));
        let out = overlay_frame(&image, &assessment(vec![region(20, 50, 30, 20)], Some(mask)), &set, NOMINAL);
        assert_eq!(out.dimensions(), image.dimensions());
        assert_eq!(out.get_pixel(150, 90), &Rgb([165, 65, 80]));
        assert_eq!(out.get_pixel(151, 90), &Rgb([100; 3]));
        assert_eq!(out.get_pixel(20, 60), &ANOMALY);
        assert_eq!(out.get_pixel(35, 60), &Rgb([100; 3]), "the box is hollow");
        assert_eq!(out.get_pixel(0, 0), &Rgb(NOMINAL.color));
    }

    #[test]
    fn a_region_bears_its_class_and_score() {
        let set = LabelSet::by_name("cityscapes").unwrap();
        let image = RgbImage::from_pixel(200, 100, Rgb([100; 3]));
        for (y, label_y) in [(50, 38), (5, 5)] {
            let mut expected = image.clone();
            canvas::outline(&mut expected, 20, y, 30, 20, 1, ANOMALY);
            canvas::label(&mut expected, 20, label_y, 1, Rgb([0; 3]), ANOMALY, "car? 0.90");
            let mut out = image.clone();
            draw_region(&mut out, &region(20, y as u32, 30, 20), &set, 1);
            assert!(out == expected, "at row {y}");
        }
    }

    #[test]
    fn the_corner_says_level_and_scores() {
        let mut judged = assessment(Vec::new(), None);
        let mut says = |line: &str, change: fn(&mut Report)| {
            change(&mut judged.report);
            let (mut out, mut expected) = (RgbImage::new(500, 40), RgbImage::new(500, 40));
            draw_badge(&mut out, &judged, NOMINAL, 1);
            canvas::label(&mut expected, 0, 0, 1, canvas::WHITE, Rgb(NOMINAL.color), "NOMINAL");
            canvas::label(&mut expected, 0, 12, 1, canvas::WHITE, canvas::GROUND, line);
            assert!(out == expected, "{line}");
        };
        says("failure 0.40  mIoU 0.60  error 10.0 %  anomaly 20.0 %", |report| report.anomaly_area = 0.2);
        says("no score  error 10.0 %  anomaly 20.0 %", |report| report.failure_score = f32::NAN);
        says("logits only  error 10.0 %  anomaly 20.0 %", |report| report.mode = Mode::LogitsOnly);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let set = LabelSet::by_name("camvid").unwrap();
        for (width, height) in [(0, 0), (1, 1), (30, 700)] {
            let draw = |regions: Vec<Region>, mask: Option<GrayImage>| {
                overlay_frame(&RgbImage::new(width, height), &assessment(regions, mask), &set, NOMINAL)
            };
            let plain = draw(Vec::new(), None);
            assert_eq!(plain.dimensions(), (width, height));
            let elsewhere = vec![region(900, 900, 1, 1)];
            assert!(draw(elsewhere, Some(GrayImage::from_pixel(7, 7, Luma([255])))) == plain);
            // Of a region that is larger, the edges that lie on the picture are drawn.
            let out = draw(vec![region(0, 0, 500, 500)], None);
            let row = |y: u32| out.rows().nth(y as usize).map(|row| row.copied().collect::<Vec<_>>());
            if height == 700 {
                assert_eq!(row(400).unwrap()[..3], [ANOMALY, ANOMALY, Rgb([0; 3])]);
                assert_eq!(row(499).unwrap(), [ANOMALY; 30]);
                assert_eq!(row(500).unwrap(), [Rgb([0; 3]); 30]);
            }
        }
    }

    #[test]
    fn text_is_readable_on_its_badge() {
        assert_eq!(readable_on([255, 220, 0]), Rgb([0; 3]));
        assert_eq!(readable_on([0, 0, 142]), canvas::WHITE);
    }
}
