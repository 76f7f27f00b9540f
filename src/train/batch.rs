//! A data set as tensors, and batches of it, augmented.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, IndexOp, Kind, Tensor};

use crate::data::Dataset;
use crate::labels::IGNORE;
use crate::model::compute::gpus;
use crate::model::pixels::{grey_to_tensor, rgb_to_tensor};
use crate::network::layers::{resize_bilinear, spatial};

/// A generator for one step: what it draws depends on the seed and the step alone.
pub fn generator(seed: u64, step: u64) -> ChaCha8Rng {
    tch::manual_seed((seed.wrapping_mul(0x9e37_79b9).wrapping_add(step) & 0x7fff_ffff) as i64);
    draws(seed, step)
}

/// The same without libtorch's own generator, which all threads share.
pub(super) fn draws(seed: u64, step: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(step);
    rng
}

/// Images and labels of one size, as bytes.
#[derive(Debug)]
pub struct TensorSet {
    /// `N x 3 x H x W`, RGB.
    pub images: Tensor,
    /// `N x H x W`, class ids.
    pub labels: Tensor,
}

impl TensorSet {
    /// Copies a data set whose samples all have the same size.
    pub fn new(data: &Dataset) -> Self {
        let pictures: Vec<Tensor> = data.samples.iter().map(|s| rgb_to_tensor(&s.image)).collect();
        let labels: Vec<Tensor> = data.samples.iter().map(|s| grey_to_tensor(&s.labels)).collect();
        Self { images: Tensor::stack(&pictures, 0), labels: Tensor::stack(&labels, 0) }
    }

    /// The same where a training on `device` has it nearest.
    pub(super) fn near(&self, device: Device) -> Self {
        let device = nearest(&[&self.images, &self.labels], device);
        Self { images: self.images.to_device(device), labels: self.labels.to_device(device) }
    }

    /// The same tensors.
    pub(super) fn shallow_clone(&self) -> Self {
        Self { images: self.images.shallow_clone(), labels: self.labels.shallow_clone() }
    }

    /// How many.
    pub fn len(&self) -> i64 {
        self.images.size()[0]
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples at `indices`.
    pub fn select(&self, indices: &[i64]) -> Self {
        let indices = Tensor::from_slice(indices);
        Self { images: self.images.index_select(0, &indices), labels: self.labels.index_select(0, &indices) }
    }

    /// Share of the labelled pixels that each class has.
    pub(crate) fn class_shares(&self, classes: i64) -> Vec<f64> {
        let counts = self.labels.flatten(0, -1).to_kind(Kind::Int64).bincount::<Tensor>(None, 256);
        let counts = Vec::<f64>::try_from(counts.to_kind(Kind::Double)).expect("one dimension");
        let counts = &counts[..classes as usize];
        let total: f64 = counts.iter().sum();
        counts.iter().map(|c| c / total.max(1.)).collect()
    }
}

/// Where tensors are kept for a training on `device`: there, if they take at most a quarter of its memory.
pub(super) fn nearest(tensors: &[&Tensor], device: Device) -> Device {
    let bytes = |tensor: &&Tensor| tensor.numel() as u64 * tensor.kind().elt_size_in_bytes() as u64;
    let bytes: u64 = tensors.iter().map(bytes).sum();
    // On a CPU nobody asks for GPUs, which would load their library.
    let Device::Cuda(index) = device else { return device };
    let memory = gpus().as_ref().ok().and_then(|gpus| gpus.get(index)).map_or(0, |gpu| gpu.memory);
    if bytes <= memory / 4 { device } else { Device::Cpu }
}

/// How samples are varied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Augmentation {
    /// Range of the zoom.
    pub zoom: (f64, f64),
    /// Largest change of brightness, contrast and saturation.
    pub color: f64,
    /// Height and width of the crop; without, the image's.
    pub crop: Option<(i64, i64)>,
}

/// Draws `count` samples and varies them: mirrored or not, zoomed, cropped, recoloured. Returns
/// images `N x 3 x H x W` in \[0, 1\] (fp32) and labels `N x H x W` (int64), H and W being the
/// crop's.
pub(crate) fn draw(
    set: &TensorSet,
    count: usize,
    augmentation: Augmentation,
    rng: &mut ChaCha8Rng,
) -> (Tensor, Tensor) {
    let (mut images, mut labels) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let index = rng.random_range(0..set.len());
        let (image, label) = vary(&set.images.i(index), &set.labels.i(index), augmentation, rng);
        images.push(image);
        labels.push(label);
    }
    (Tensor::stack(&images, 0), Tensor::stack(&labels, 0))
}

fn vary(image: &Tensor, label: &Tensor, a: Augmentation, rng: &mut ChaCha8Rng) -> (Tensor, Tensor) {
    let (full_h, full_w) = spatial(image);
    let (h, w) = a.crop.unwrap_or((full_h, full_w));
    let mut image = image.to_kind(Kind::Float).unsqueeze(0) / 255.;
    let mut label = label.to_kind(Kind::Float).view([1, 1, full_h, full_w]);
    if rng.random_bool(0.5) {
        image = image.flip([3]);
        label = label.flip([3]);
    }
    let zoom = rng.random_range(a.zoom.0..=a.zoom.1);
    let size = ((full_h as f64 * zoom).round() as i64, (full_w as f64 * zoom).round() as i64);
    image = resize_bilinear(&image, size, false);
    // The plain form takes the pixel half a pixel to the right and below: labels would not lie on their image.
    label = label.internal_upsample_nearest_exact2d([size.0, size.1], None, None);
    let mut place =
        |small: i64, large: i64| if large > small { rng.random_range(0..=large - small) } else { 0 };
    let (top, left) = (place(h, size.0), place(w, size.1));
    image = image.narrow(2, top, h.min(size.0)).narrow(3, left, w.min(size.1));
    label = label.narrow(2, top, h.min(size.0)).narrow(3, left, w.min(size.1));
    let (bottom, right) = ((h - size.0).max(0), (w - size.1).max(0));
    if bottom > 0 || right > 0 {
        let (top, left) = (place(0, bottom), place(0, right));
        let pad = [left, right - left, top, bottom - top];
        image = image.constant_pad_nd(pad);
        label = label.pad(pad, "constant", f64::from(IGNORE));
    }
    if a.color > 0. {
        image = recolor(&image, a.color, rng);
    }
    (image.squeeze_dim(0), label.squeeze().to_kind(Kind::Int64))
}

fn recolor(image: &Tensor, most: f64, rng: &mut ChaCha8Rng) -> Tensor {
    let mut factor = || 1. + rng.random_range(-most..=most);
    let mean = image.mean(Kind::Float);
    let image = (image - &mean) * factor() + mean * factor();
    let grey = image.mean_dim([1i64].as_slice(), true, Kind::Float);
    ((&image - &grey) * factor() + grey).clamp(0., 1.)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_on_their_image_at_any_zoom() {
        let columns = Tensor::arange(64i64, (Kind::Int64, Device::Cpu)).view([1, 64]).expand([8, 64], false);
        let zooms = [0.75, 1.25, 1.5, 1.75];
        for (zoom, edge) in zooms.into_iter().flat_map(|zoom| (24..40i64).map(move |edge| (zoom, edge))) {
            // Dark to the left of the edge, light from there on.
            let label = columns.ge(edge).to_kind(Kind::Uint8).contiguous();
            let image = (&label * 255i64).unsqueeze(0).expand([3, 8, 64], false);
            let a = Augmentation { zoom: (zoom, zoom), color: 0., crop: None };
            let (image, label) = vary(&image, &label, a, &mut draws(1, edge as u64));
            assert_eq!((image.size(), label.size()), (vec![3, 8, 64], vec![8, 64]));
            let light = image.i(0);
            let is_clear = (&light - 0.5).abs().gt(0.1).logical_and(&label.ne(i64::from(IGNORE)));
            let is_wrong = light.gt(0.5).to_kind(Kind::Int64).ne_tensor(&label).logical_and(&is_clear);
            let wrong = is_wrong.sum(Kind::Int64).int64_value(&[]);
            assert_eq!(wrong, 0, "zoom {zoom}, edge at {edge}");
        }
    }
}
