//! What FCN-8s makes of its own border, computed once.
//!
//! The published first convolution puts 99 pixels of zeros around the image, so that at 256x512 three fifths of
//! what the early layers see is the same in every frame: far enough from the image, features do not
//! depend on it. They are taken from one pass over a blank image; a frame then computes each layer in a window alone, the
//! image and as far around it as the layers so far reach. Exact: the same sums in the same order.

use tch::{Kind, Tensor};

use crate::network::layers::{Conv2d, Rectifier, channels_last, spatial};

/// Rows or columns of a map, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: i64,
    end: i64,
}

impl Span {
    fn len(self) -> i64 {
        self.end - self.start
    }

    /// As far as a 3x3 kernel carries what is inside, in a map of `side`.
    fn reached(self, side: i64) -> Self {
        Self { start: (self.start - 1).max(0), end: (self.end + 1).min(side) }
    }

    /// Made of whole cells of a 2x2 pool, the last of which may be cut off by the map's `side`.
    fn in_cells(self, side: i64) -> Self {
        Self { start: self.start / 2 * 2, end: ((self.end + 1) / 2 * 2).min(side) }
    }

    /// The cells of [`Self::in_cells`] themselves.
    fn pooled(self) -> Self {
        Self { start: self.start / 2, end: (self.end + 1) / 2 }
    }

    /// In coordinates that begin at `origin`.
    fn from(self, origin: i64) -> Self {
        Self { start: self.start - origin, end: self.end - origin }
    }
}

/// Rows and columns of `x`.
fn cut(x: &Tensor, [rows, columns]: [Span; 2]) -> Tensor {
    x.narrow(2, rows.start, rows.len()).narrow(3, columns.start, columns.len())
}

/// Features of a blank image, and where in them those of an image go.
#[derive(Debug)]
struct Surrounded {
    blank: Tensor,
    window: [Span; 2],
}

impl Surrounded {
    /// The map with `features` in their place: the same memory at each call.
    fn with(&mut self, features: &Tensor) -> &Tensor {
        cut(&self.blank, self.window).copy_(features);
        &self.blank
    }
}

/// The surroundings of images of one shape and kind.
#[derive(Debug)]
pub(crate) struct Surround {
    shape: Vec<i64>,
    kind: Kind,
    /// What each convolution but the first sees: its window and a pixel on every side.
    inputs: Vec<Surrounded>,
    /// Whole maps after each pool.
    pools: Vec<Surrounded>,
}

/// Padding of the first convolution that shows it all of the image and no blank window beside.
const REACH: i64 = 2;

/// The pool after each stage; a cell at the end may be cut off.
pub(crate) fn pool(x: &Tensor) -> Tensor {
    x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], true)
}

impl Surround {
    /// Of images like `image` (normalized) under `border` zeros on each side, for the 3x3 convolutions of `stages`,
    /// each of which ends in a pool.
    pub fn new(stages: &[Vec<&Conv2d>], border: i64, image: &Tensor) -> Self {
        let (shape, kind) = (image.size(), image.kind());
        let [batch, ..] = shape[..] else { unreachable!("a batch of images") };
        let of_batch = |blank: &Tensor| {
            let mut size = blank.size();
            size[0] = batch;
            channels_last(&blank.expand(size, false))
        };
        let mut x = image.narrow(0, 0, 1).zeros_like();
        let (height, width) = spatial(image);
        let mut window = [height, width].map(|side| Span { start: border - REACH, end: border + side });
        let (mut inputs, mut pools) = (Vec::new(), Vec::new());
        for (s, stage) in stages.iter().enumerate() {
            for (i, conv) in stage.iter().enumerate() {
                if (s, i) != (0, 0) {
                    let (h, w) = spatial(&x);
                    let ends = i + 1 == stage.len();
                    let seen = [0, 1].map(|axis| {
                        let side = [h, w][axis];
                        let reached = window[axis].reached(side);
                        if ends { reached.in_cells(side) } else { reached }
                    });
                    // In the map with the zeros around it that every one of these convolutions adds.
                    let around = seen.map(|span| Span { start: span.start, end: span.end + 2 });
                    let within = [0, 1].map(|axis| window[axis].from(seen[axis].start - 1));
                    let blank = of_batch(&cut(&x.constant_pad_nd([1, 1, 1, 1]), around));
                    inputs.push(Surrounded { blank, window: within });
                    window = seen;
                }
                x = conv.rectified(&x, Rectifier::Relu);
            }
            x = pool(&x);
            window = window.map(Span::pooled);
            pools.push(Surrounded { blank: of_batch(&x), window });
        }
        Self { shape, kind, inputs, pools }
    }

    /// Whether images like `image` have these surroundings.
    pub(crate) fn is_of(&self, image: &Tensor) -> bool {
        self.shape == image.size() && self.kind == image.kind()
    }

    /// Features of `image` (normalized, its weights those of [`Self::new`]) after each stage's pool, whole maps, as the layers give them one by one.
    pub(crate) fn pools(&mut self, stages: &[Vec<&Conv2d>], image: &Tensor) -> Vec<Tensor> {
        let mut inputs = self.inputs.iter_mut();
        let mut x = image.shallow_clone();
        let stages = stages.iter().zip(&mut self.pools).enumerate();
        stages
            .map(|(s, (stage, surrounded))| {
                for (i, conv) in stage.iter().enumerate() {
                    x = if (s, i) == (0, 0) {
                        conv.padded(&x, REACH, Rectifier::Relu)
                    } else {
                        let input = inputs.next().expect("one for each convolution but the first");
                        conv.padded(input.with(&x), 0, Rectifier::Relu)
                    };
                }
                x = pool(&x);
                surrounded.with(&x).copy()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::{Init, VarStore};

    use super::*;
    use crate::network::layers::ConvOptions;

    const BORDER: i64 = 9;

    /// Stages of two, three and two layers, with biases that tell a border from nothing.
    fn stages(vs: &VarStore) -> Vec<Vec<Conv2d>> {
        let mut inputs = 3;
        let mut conv = |name: String| {
            let padding = if inputs == 3 { BORDER } else { 1 };
            let conv = Conv2d::new(vs.root() / name, inputs, 4, ConvOptions::same(3).padding(padding));
            inputs = 4;
            conv
        };
        let layers = [2, 3, 2].iter().enumerate();
        let stages =
            layers.map(|(s, &count)| (0..count).map(|i| conv(format!("{s}_{i}"))).collect()).collect();
        for (_, mut parameter) in vs.variables().into_iter().filter(|(_, p)| p.dim() == 1) {
            tch::no_grad(|| parameter.init(Init::Uniform { lo: -0.2, up: 0.5 }));
        }
        stages
    }

    fn one_by_one(stages: &[Vec<&Conv2d>], image: &Tensor) -> Vec<Tensor> {
        let mut x = image.shallow_clone();
        let stage = |stage: &Vec<&Conv2d>| {
            stage.iter().for_each(|conv| x = conv.forward(&x).relu_());
            x = pool(&x);
            x.shallow_clone()
        };
        stages.iter().map(stage).collect()
    }

    #[test]
    fn a_frame_gives_what_the_layers_give_one_by_one() {
        let vs = VarStore::new(Device::Cpu);
        let layers = stages(&vs);
        let stages: Vec<Vec<&Conv2d>> = layers.iter().map(|stage| stage.iter().collect()).collect();
        // Some are so small that the border is never reached, some of odd sides.
        for (batch, height, width) in [(1, 16, 24), (2, 33, 47), (1, 1, 2), (1, 30, 5), (3, 7, 64)] {
            let image = || Tensor::randn([batch, 3, height, width], (Kind::Float, Device::Cpu));
            tch::no_grad(|| {
                let mut surround = Surround::new(&stages, BORDER, &image());
                // The second frame must find nothing of the first.
                for image in [image(), image()] {
                    assert!(surround.is_of(&image));
                    let pairs = one_by_one(&stages, &image).into_iter().zip(surround.pools(&stages, &image));
                    for (stage, (plain, ours)) in pairs.enumerate() {
                        assert_eq!(plain.size(), ours.size());
                        let apart = (&plain - ours).abs().max().double_value(&[]);
                        assert!(
                            apart <= 1e-6 * plain.abs().max().double_value(&[]),
                            "{batch}x{height}x{width}, stage {stage}: {apart}"
                        );
                    }
                }
            });
        }
    }

    #[test]
    fn images_of_another_shape_or_kind_are_told_apart() {
        let vs = VarStore::new(Device::Cpu);
        let layers = stages(&vs);
        let stages: Vec<Vec<&Conv2d>> = layers.iter().map(|stage| stage.iter().collect()).collect();
        let image = Tensor::zeros([1, 3, 16, 24], (Kind::Float, Device::Cpu));
        let surround = tch::no_grad(|| Surround::new(&stages, BORDER, &image));
        assert!(!surround.is_of(&image.to_kind(Kind::BFloat16)));
        assert!(!surround.is_of(&image.transpose(2, 3)));
        assert!(!surround.is_of(&image.repeat([2, 1, 1, 1])));
    }

    #[test]
    fn windows_grow_to_whole_cells_and_stay_within_the_map() {
        let span = |start, end| Span { start, end };
        assert_eq!(span(5, 9).reached(20), span(4, 10));
        assert_eq!(span(0, 20).reached(20), span(0, 20));
        assert_eq!(span(5, 9).in_cells(20), span(4, 10));
        assert_eq!(span(4, 21).in_cells(21), span(4, 21));
        assert_eq!(span(4, 21).pooled(), span(2, 11));
    }
}
