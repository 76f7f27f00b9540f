//! From pictures to tensors of bytes and back, and to what networks take.

use image::{GrayImage, RgbImage};
use tch::{Device, Kind, Tensor};

use crate::network::layers::{channels_last, spatial};

/// `3 x H x W` bytes.
pub(crate) fn rgb_to_tensor(image: &RgbImage) -> Tensor {
    let (w, h) = image.dimensions();
    Tensor::from_slice(image.as_raw()).view([i64::from(h), i64::from(w), 3]).permute([2, 0, 1])
}

/// `H x W` bytes.
pub(crate) fn grey_to_tensor(image: &GrayImage) -> Tensor {
    let (w, h) = image.dimensions();
    Tensor::from_slice(image.as_raw()).view([i64::from(h), i64::from(w)])
}

/// The picture in a tensor of `3 x H x W` bytes.
pub(crate) fn tensor_to_rgb(bytes: &Tensor) -> RgbImage {
    let (h, w) = spatial(bytes);
    let raw =
        Vec::<u8>::try_from(bytes.permute([1, 2, 0]).contiguous().flatten(0, -1)).expect("bytes in a row");
    RgbImage::from_raw(w as u32, h as u32, raw).expect("three bytes a pixel")
}

/// The picture in a tensor of `H x W` bytes.
pub(crate) fn tensor_to_grey(bytes: &Tensor) -> GrayImage {
    let (h, w) = spatial(bytes);
    let raw = Vec::<u8>::try_from(bytes.contiguous().flatten(0, -1)).expect("bytes in a row");
    GrayImage::from_raw(w as u32, h as u32, raw).expect("a byte a pixel")
}

/// \[0, 1\] to bytes.
pub(crate) fn to_bytes(x: &Tensor) -> Tensor {
    (x * 255.).round().clamp(0., 255.).to_kind(Kind::Uint8)
}

/// A batch of images, ready for a network: RGB in \[0, 1\] of `kind`, channels last.
pub fn to_input(bytes: &Tensor, device: Device, kind: Kind) -> Tensor {
    channels_last(&(bytes.to_device(device).to_kind(Kind::Float) / 255.)).to_kind(kind)
}
