//! From tensors at the working size to pictures at the camera's.

use image::{GrayImage, RgbImage};
use tch::{Kind, TchError, Tensor};

use super::assessment::{Maps, Region, ScoreMap, Wanted};
use super::scores::Scores;
use crate::labels::{IGNORE, resize_labels};
use crate::model::bundle::Thresholds;
use crate::network::download::download;

/// `1 x H x W` ids as a picture.
pub(crate) fn to_grey(labels: &Tensor) -> Result<GrayImage, TchError> {
    let labels = labels.f_squeeze()?.f_to_kind(Kind::Uint8)?;
    let (h, w) = labels.size2()?;
    Ok(GrayImage::from_raw(w as u32, h as u32, download(&labels)?).expect("one byte a pixel"))
}

/// `1 x 1 x H x W` scores as a map of `width x height`, resized bilinearly where need be.
pub(crate) fn to_map(scores: &Tensor, (width, height): (u32, u32)) -> Result<ScoreMap, TchError> {
    let size = [i64::from(height), i64::from(width)];
    let scores = match scores.size()[2..] == size {
        true => scores.shallow_clone(),
        false => scores.f_upsample_bilinear2d(size, false, None, None)?,
    };
    Ok(ScoreMap { width, height, data: download(&scores.f_to_kind(Kind::Float)?)? })
}

/// 255 where the score is at or above the limit.
pub fn threshold(map: &ScoreMap, limit: f32) -> GrayImage {
    let bytes = map.data.iter().map(|&s| if s >= limit { 255 } else { 0 }).collect();
    GrayImage::from_raw(map.width, map.height, bytes).expect("one value a pixel")
}

/// How surely each label is right: 255 where it cannot be wrong, 0 where it must be, or where the error
/// probability is no number.
fn confidence(error: &ScoreMap) -> GrayImage {
    let bytes = error.data.iter().map(|&e| ((1. - e) * 255.).round() as u8).collect();
    GrayImage::from_raw(error.width, error.height, bytes).expect("one value a pixel")
}

/// The labels, but [`IGNORE`] wherever the error probability is not below the limit; both have one size.
fn trusted(labels: &GrayImage, error: &ScoreMap, limit: f32) -> GrayImage {
    let pixels = labels.as_raw().iter().zip(&error.data);
    let bytes = pixels.map(|(&label, &error)| if error < limit { label } else { IGNORE }).collect();
    GrayImage::from_raw(error.width, error.height, bytes).expect("one value a pixel")
}

/// `1 x 3 x H x W` colours in \[0, 1\] as a picture of `width x height`.
pub(crate) fn to_rgb(picture: &Tensor, (width, height): (u32, u32)) -> Result<RgbImage, TchError> {
    let size = [i64::from(height), i64::from(width)];
    let bytes = picture.f_upsample_bilinear2d(size, false, None, None)?.f_mul_scalar(255.)?.f_round()?;
    let bytes = bytes.f_clamp(0., 255.)?.f_to_kind(Kind::Uint8)?.f_permute([0, 2, 3, 1])?;
    Ok(RgbImage::from_raw(width, height, download(&bytes)?).expect("three bytes a pixel"))
}

/// The pictures that are wanted, and no others.
pub fn render(
    scores: &Scores,
    limits: &Thresholds,
    wanted: Wanted,
    size: (u32, u32),
) -> Result<Maps, TchError> {
    let mut maps = Maps::default();
    if wanted.labels || wanted.trusted_labels {
        maps.labels = Some(resize_labels(to_grey(&scores.labels)?, size));
    }
    if wanted.error_mask || wanted.error_probability || wanted.confidence || wanted.trusted_labels {
        let map = to_map(&scores.error, size)?;
        let labels = maps.labels.as_ref().filter(|_| wanted.trusted_labels);
        maps.trusted_labels = labels.map(|labels| trusted(labels, &map, limits.error));
        maps.error_mask = wanted.error_mask.then(|| threshold(&map, limits.error));
        maps.confidence = wanted.confidence.then(|| confidence(&map));
        maps.error_probability = wanted.error_probability.then_some(map);
    }
    maps.labels = maps.labels.filter(|_| wanted.labels);
    if let Some(anomaly) = scores.anomaly.as_ref().filter(|_| wanted.anomaly_mask || wanted.anomaly_score) {
        let map = to_map(anomaly, size)?;
        maps.anomaly_mask = wanted.anomaly_mask.then(|| threshold(&map, limits.anomaly));
        maps.anomaly_score = wanted.anomaly_score.then_some(map);
    }
    if let Some(synth) = scores.synth.as_ref().filter(|_| wanted.reconstruction) {
        maps.reconstruction = Some(to_rgb(synth, size)?);
    }
    Ok(maps)
}

/// Clears the masks wherever `valid` is 0, and trusts no label there; all have the camera's size.
pub(crate) fn clear_invalid(maps: &mut Maps, valid: &GrayImage) {
    for (map, none) in [
        (&mut maps.error_mask, 0),
        (&mut maps.confidence, 0),
        (&mut maps.anomaly_mask, 0),
        (&mut maps.trusted_labels, IGNORE),
    ] {
        for (pixel, &valid) in map.iter_mut().flat_map(|map| map.iter_mut()).zip(valid.as_raw()) {
            if valid == 0 {
                *pixel = none;
            }
        }
    }
}

/// Puts no label where `given` has an id that is none of `classes`; both have the camera's size.
pub(crate) fn leave_out_unlabelled(labels: &mut GrayImage, given: &GrayImage, classes: usize) {
    for (label, &id) in labels.iter_mut().zip(given.as_raw()) {
        if usize::from(id) >= classes {
            *label = IGNORE;
        }
    }
}

/// Moves a region from pixels of a `from`-sized map to pixels of a `to`-sized image.
pub(crate) fn scale_region(region: &mut Region, from: (u32, u32), to: (u32, u32)) {
    let scale = |v: u32, from: u32, to: u32| (u64::from(v) * u64::from(to) / u64::from(from)) as u32;
    let (right, bottom) = (region.x + region.width, region.y + region.height);
    region.x = scale(region.x, from.0, to.0);
    region.y = scale(region.y, from.1, to.1);
    region.width = (scale(right, from.0, to.0) - region.x).max(1);
    region.height = (scale(bottom, from.1, to.1) - region.y).max(1);
    // Pixel centres lie half a pixel in.
    let center = |c: f32, from: u32, to: u32| (c + 0.5) * to as f32 / from as f32 - 0.5;
    region.centroid = (center(region.centroid.0, from.0, to.0), center(region.centroid.1, from.1, to.1));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors() -> ScoreMap {
        ScoreMap { width: 3, height: 2, data: vec![0., 0.25, 0.5, 0.75, 1., f32::NAN] }
    }

    #[test]
    fn a_label_is_trusted_below_the_limit_alone() {
        let labels = GrayImage::from_raw(3, 2, vec![7, 8, 9, 10, 11, 12]).unwrap();
        let trusted = trusted(&labels, &errors(), 0.5);
        assert_eq!(trusted.into_raw(), [7, 8, IGNORE, IGNORE, IGNORE, IGNORE]);
    }

    #[test]
    fn confidence_falls_as_the_error_probability_rises_and_is_none_where_that_is_no_number() {
        assert_eq!(confidence(&errors()).into_raw(), [255, 191, 128, 64, 0, 0]);
    }

    #[test]
    fn outside_the_valid_mask_nothing_is_marked_and_nothing_is_trusted() {
        let all = |value| Some(GrayImage::from_raw(2, 1, vec![value; 2]).unwrap());
        let mut maps = Maps {
            error_mask: all(255),
            confidence: all(200),
            anomaly_mask: all(255),
            labels: all(3),
            trusted_labels: all(3),
            ..Maps::default()
        };
        clear_invalid(&mut maps, &GrayImage::from_raw(2, 1, vec![0, 1]).unwrap());
        let bytes = |map: Option<GrayImage>| map.unwrap().into_raw();
        assert_eq!(bytes(maps.error_mask), [0, 255]);
        assert_eq!(bytes(maps.confidence), [0, 200]);
        assert_eq!(bytes(maps.anomaly_mask), [0, 255]);
        assert_eq!(bytes(maps.labels), [3, 3], "M's own stay as they are");
        assert_eq!(bytes(maps.trusted_labels), [IGNORE, 3]);
    }
}
