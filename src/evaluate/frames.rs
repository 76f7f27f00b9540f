//! The worst frames, each as a row of small images.

use image::{GrayImage, Rgb, RgbImage};
use tch::Tensor;

use super::error::EvaluationError;
use crate::data::anomaly::truth;
use crate::labels::{IGNORE, LabelSet};
use crate::monitor::assessment::ScoreMap;
use crate::monitor::pictures::{to_map, to_rgb};
use crate::picture::heat::heat_map;
use crate::picture::jpeg::reduced;

/// Widest image.
const WIDTH: u32 = 320;
/// A wrong pixel, or an anomalous one.
const MARKED: Rgb<u8> = Rgb([230, 30, 60]);
/// A pixel that does not count.
const UNCOUNTED: Rgb<u8> = Rgb([60, 66, 74]);

/// A frame and the maps that were made from it, as images.
#[derive(Clone, Debug)]
pub struct FramePanels {
    /// Name and figures.
    pub caption: String,
    /// Title of each image, and the image as JPEG.
    pub panels: Vec<(&'static str, Vec<u8>)>,
}

impl FramePanels {
    /// Of a frame with labels: the labels and those of the segmenter M, the image that the generator G
    /// synthesized from these, the wrong pixels, and `error`, a detector's score of them.
    pub(crate) fn of_errors(
        caption: String,
        image: &RgbImage,
        set: &LabelSet,
        [labels, predicted]: [&GrayImage; 2],
        synth: &Tensor,
        error: Option<&Tensor>,
    ) -> Result<Self, EvaluationError> {
        let size = image.dimensions();
        let wrong = RgbImage::from_fn(labels.width(), labels.height(), |x, y| {
            match (labels.get_pixel(x, y).0[0], predicted.get_pixel(x, y).0[0]) {
                (IGNORE, _) => UNCOUNTED,
                (label, predicted) if label != predicted => MARKED,
                _ => Rgb([0; 3]),
            }
        });
        let mut panels = vec![
            ("image", jpeg(image)?),
            ("labels", jpeg(&set.colorize(labels))?),
            ("M's labels", jpeg(&set.colorize(predicted))?),
            ("synthesized from these", jpeg(&to_rgb(synth, size)?)?),
            ("wrong pixels", jpeg(&wrong)?),
        ];
        if let Some(error) = error {
            panels.push(("error score", jpeg(&heat_map(&stretched(to_map(error, size)?)))?));
        }
        Ok(Self { caption, panels })
    }

    /// Of a frame with anomaly objects: `marks` is one of [`truth`] per pixel.
    pub(crate) fn of_anomalies(
        caption: String,
        image: &RgbImage,
        marks: &GrayImage,
        synth: &Tensor,
        score: &Tensor,
    ) -> Result<Self, EvaluationError> {
        let size = image.dimensions();
        let panels = vec![
            ("image", jpeg(image)?),
            ("synthesized from M's labels", jpeg(&to_rgb(synth, size)?)?),
            ("anomalous pixels", jpeg(&Self::marked(marks))?),
            ("anomaly score", jpeg(&heat_map(&stretched(to_map(score, size)?)))?),
        ];
        Ok(Self { caption, panels })
    }

    /// Of these pictures.
    pub(super) fn of(
        caption: String,
        panels: Vec<(&'static str, RgbImage)>,
    ) -> Result<Self, EvaluationError> {
        let panels = panels.into_iter().map(|(title, picture)| Ok((title, jpeg(&picture)?)));
        Ok(Self { caption, panels: panels.collect::<Result<_, EvaluationError>>()? })
    }

    /// Marks of anomaly objects in colours.
    pub(super) fn marked(marks: &GrayImage) -> RgbImage {
        RgbImage::from_fn(marks.width(), marks.height(), |x, y| match marks.get_pixel(x, y).0[0] {
            truth::ANOMALY => MARKED,
            truth::IGNORED => UNCOUNTED,
            _ => Rgb([0; 3]),
        })
    }
}

/// Stretched from the frame's lowest score to its highest, so that scores of any range can be seen.
fn stretched(mut map: ScoreMap) -> ScoreMap {
    let finite = || map.data.iter().copied().filter(|score| score.is_finite());
    let (least, most) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let range = if most > least { most - least } else { 1. };
    map.data.iter_mut().for_each(|score| *score = (*score - least) / range);
    map
}

fn jpeg(image: &RgbImage) -> Result<Vec<u8>, EvaluationError> {
    reduced(image, WIDTH).map_err(EvaluationError::Picture)
}

/// The frames with the lowest figure, of those offered.
pub(crate) struct Worst {
    keep: usize,
    /// The worst first.
    frames: Vec<(f64, FramePanels)>,
}

impl Worst {
    /// Keeps the `keep` worst frames.
    pub(crate) fn keeping(keep: usize) -> Self {
        Self { keep, frames: Vec::new() }
    }

    /// Offers a frame with its figure; its images are made only if it is kept.
    pub fn offer<E>(&mut self, figure: f64, make: impl FnOnce() -> Result<FramePanels, E>) -> Result<(), E> {
        let place = self.frames.partition_point(|(other, _)| *other <= figure);
        if place < self.keep {
            self.frames.insert(place, (figure, make()?));
            self.frames.truncate(self.keep);
        }
        Ok(())
    }

    /// The frames, the worst first.
    pub(crate) fn into_frames(self) -> Vec<FramePanels> {
        self.frames.into_iter().map(|(_, frame)| frame).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_kept_in_order() {
        let mut worst = Worst::keeping(2);
        let mut made = 0;
        for figure in [0.5, 0.9, 0.2, 0.7, 0.3] {
            worst
                .offer(figure, || {
                    made += 1;
                    Ok::<_, ()>(FramePanels { caption: figure.to_string(), panels: Vec::new() })
                })
                .unwrap();
        }
        let captions: Vec<String> = worst.into_frames().into_iter().map(|frame| frame.caption).collect();
        assert_eq!(captions, ["0.2", "0.3"]);
        assert_eq!(made, 4, "0.7 was never among the worst");
    }

    #[test]
    fn scores_of_any_range_are_stretched() {
        let map = |data: Vec<f32>| ScoreMap { width: data.len() as u32, height: 1, data };
        assert_eq!(stretched(map(vec![-10., -20., -15.])).data, [1., 0., 0.5]);
        assert_eq!(stretched(map(vec![3., 3.])).data, [0., 0.]);
    }

    #[test]
    fn images_are_reduced() {
        let bytes = jpeg(&RgbImage::new(1280, 720)).unwrap();
        assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8().dimensions(), (320, 180));
    }
}
