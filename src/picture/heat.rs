//! Score maps as images.

use image::{Rgb, RgbImage};

use crate::monitor::assessment::ScoreMap;

/// Colour of a pixel without a score.
pub(crate) const NO_SCORE: Rgb<u8> = Rgb([128; 3]);

/// Colours a map from 0, black, over purple and orange to 1, pale yellow (Inferno: equal steps of score
/// are equal steps to the eye, in grey print too). Scores beyond \[0, 1\] are clamped, NaN is grey.
pub(crate) fn heat_map(scores: &ScoreMap) -> RgbImage {
    let colors: Vec<Rgb<u8>> = (0..=255).map(|step| color(f64::from(step) / 255.0)).collect();
    let mut image = RgbImage::new(scores.width, scores.height);
    for (pixel, &score) in image.pixels_mut().zip(&scores.data) {
        *pixel =
            if score.is_nan() { NO_SCORE } else { colors[(score.clamp(0.0, 1.0) * 255.0).round() as usize] };
    }
    image
}

/// The same with `limit` halfway between black and pale yellow, so that what is above it is bright
/// however small the scores are that a bundle gives.
pub(crate) fn heat_map_around(scores: &ScoreMap, limit: f32) -> RgbImage {
    let scale = 0.5 / limit.max(f32::MIN_POSITIVE);
    heat_map(&ScoreMap { data: scores.data.iter().map(|score| score * scale).collect(), ..*scores })
}

fn color(score: f64) -> Rgb<u8> {
    Rgb(colorous::INFERNO.eval_continuous(score).into_array())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brighter_means_higher() {
        let data = vec![-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 7.0];
        let image = heat_map(&ScoreMap { width: 7, height: 1, data });
        let light: Vec<u32> =
            image.pixels().map(|pixel| pixel.0.iter().map(|&v| u32::from(v)).sum()).collect();
        assert_eq!(light[0], light[1]);
        assert!(light[1..6].is_sorted_by(|low, high| low < high), "{light:?}");
        assert_eq!(light[5], light[6]);
    }

    #[test]
    fn the_limit_is_halfway() {
        let map = |data: Vec<f32>| ScoreMap { width: 3, height: 1, data };
        let around = heat_map_around(&map(vec![0., 0.1, 0.4]), 0.1);
        assert_eq!(around, heat_map(&map(vec![0., 0.5, 1.])));
    }

    #[test]
    fn nan_is_grey() {
        let image = heat_map(&ScoreMap { width: 1, height: 1, data: vec![f32::NAN] });
        assert_eq!(image.get_pixel(0, 0), &NO_SCORE);
    }
}
