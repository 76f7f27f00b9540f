//! Somebody's own M, which is taken as it is: how it is fed is tried on labelled images before anything is learned
//! from what it says.

use std::path::{Path, PathBuf};

use tch::{Device, IndexOp, Kind, Tensor};

use super::TrainError;
use super::batch::TensorSet;
use super::progress;
use crate::checkpoint::weights;
use crate::data::{Dataset, Reading, Slice, Source};
use crate::labels::LabelSet;
use crate::metric::segmentation::Confusion;
use crate::model::bundle::sha256;
use crate::model::pixels::to_input;
use crate::network::layers::{IMAGENET, spatial};
use crate::network::segmentation::Segmenter;
use crate::network::segmentation::torchscript::{Config, TorchScript};
use crate::whole_file;

/// Tries the TorchScript file `path` on labelled images of the data set `data`, as `Foreign::try_feeding` does. `false`
/// where the data's classes are not those of `labels`, and nothing was tried.
pub fn try_on(
    path: &Path,
    config: &Config,
    data: &Path,
    labels: &LabelSet,
    [height, width]: [u32; 2],
) -> Result<bool, TrainError> {
    let source = Source::open(data, &Slice::default(), false, &Reading::default())?;
    let names = |set: &LabelSet| set.classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
    if names(&source.labels) != names(labels) {
        return Ok(false);
    }
    let pairs = &source.pairs.pairs;
    let some = spread(pairs.len() as i64, TRIED).into_iter().filter_map(|at| pairs.get(at as usize));
    let samples = some.map(|pair| source.load(pair, Some((width, height)))).collect::<Result<Vec<_>, _>>()?;
    let set = TensorSet::new(&Dataset { samples, unpaired: 0, labels: source.labels.clone() });
    Foreign::read(path)?.try_feeding(config, &set, labels.len() as i64, Device::Cpu).map(|()| true)
}

/// The file, read.
pub(crate) struct Foreign {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Labelled images on which ways to feed it are tried.
const TRIED: i64 = 24;
/// A way of feeding that is better by so much than the one asked for is the right one.
const CLEARLY: f64 = 0.1;

impl Foreign {
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        Ok(Self { path: path.into(), bytes: whole_file::read(path, weights::MOST)? })
    }

    /// SHA-256 of the file, in hex.
    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }

    /// Copies the file.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        whole_file::write(path, &self.bytes)
    }

    /// The network, for images of `size` (height, width).
    pub fn load(
        &self,
        config: &Config,
        classes: i64,
        size: (i64, i64),
        device: Device,
    ) -> Result<TorchScript, TrainError> {
        TorchScript::import(&self.bytes, config, classes, size, device)
            .map_err(|error| TrainError::Format { path: self.path.clone(), reason: error.to_string() })
    }

    /// Says how well the network does on the first labelled images as it is fed, and refuses to go on where another
    /// way of feeding it is clearly better.
    pub fn try_feeding(
        &self,
        config: &Config,
        set: &TensorSet,
        classes: i64,
        device: Device,
    ) -> Result<(), TrainError> {
        let some = set.select(&spread(set.len(), TRIED));
        let accuracy = |config: &Config| -> Result<f64, TrainError> {
            let network = self.load(config, classes, spatial(&some.images), device)?;
            accuracy(&network, &some, classes, device)
        };
        let asked = accuracy(config)?;
        let file = self.path.display();
        progress::say(&format!(
            "{file}: {:.1} % of the labelled pixels of {} images are right, fed {}",
            100. * asked,
            some.len(),
            said(config)
        ));
        for other in conventions(config) {
            // Fed so, a network in half precision may overflow, or say what no logits are: then it is not the way.
            let Ok(found) = accuracy(&other) else { continue };
            if found > asked + CLEARLY {
                return Err(TrainError::Format {
                    path: self.path.clone(),
                    reason: format!(
                        "fed {}, it is right on {:.1} % of the labelled pixels; fed {}, on {:.1} %. Say so: \
                         --feed '{{mean: {:?}, std: {:?}, bgr: {}}}'",
                        said(config),
                        100. * asked,
                        said(&other),
                        100. * found,
                        other.mean,
                        other.std,
                        other.bgr
                    ),
                });
            }
        }
        Ok(())
    }
}

/// How images are fed, in words.
fn said(config: &Config) -> String {
    let order = if config.bgr { "BGR" } else { "RGB" };
    format!("{order} in [0, 1], minus {:?}, over {:?}", config.mean, config.std)
}

/// Places spread evenly.
fn spread(len: i64, count: i64) -> Vec<i64> {
    (0..count.min(len)).map(|i| i * len / count.min(len)).collect()
}

/// The usual ways to feed a network, but for the one that `config` has.
fn conventions(config: &Config) -> Vec<Config> {
    const BYTE: f64 = 1. / 255.;
    let (mean, std) = IMAGENET;
    let ways =
        [(mean, std), ([0.; 3], [1.; 3]), ([0.5; 3], [0.5; 3]), ([0.; 3], [BYTE; 3]), (mean, [BYTE; 3])];
    let all = ways
        .into_iter()
        .flat_map(|(mean, std)| [false, true].map(|bgr| Config { mean, std, bgr, ..config.clone() }));
    all.filter(|other| other != config).collect()
}

/// Share of the labelled pixels that the network gets right.
fn accuracy(network: &TorchScript, set: &TensorSet, classes: i64, device: Device) -> Result<f64, TrainError> {
    let bytes = |t: &Tensor| {
        Vec::<u8>::try_from(t.to_device(Device::Cpu).to_kind(Kind::Uint8).flatten(0, -1)).unwrap_or_default()
    };
    let mut confusion = Confusion::new(classes as usize);
    for i in 0..set.len() {
        let labels = set.labels.i(i..i + 1);
        let image = to_input(&set.images.i(i..i + 1), device, Kind::Float);
        let predicted = tch::no_grad(|| {
            let logits = network.forward(&image, false).logits.to_kind(Kind::Float);
            network.resize_logits(&logits, spatial(&labels)).argmax(1, false)
        });
        let found = Confusion::of(&bytes(&predicted), &bytes(&labels), classes as usize);
        let merged = found.and_then(|found| confusion.merge(&found));
        merged.map_err(|error| TrainError::Recipe(error.to_string()))?;
    }
    Ok(confusion.accuracy().unwrap_or(0.))
}
