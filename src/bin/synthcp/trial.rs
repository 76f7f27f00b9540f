//! An imported segmenter on labelled images.

use std::path::Path;

use image::RgbImage;
use synthcp_monitor::data::{Reading, Slice, Source};
use synthcp_monitor::metric::segmentation::Confusion;
use synthcp_monitor::network::segmentation::SegmenterConfig;
use synthcp_monitor::{Frame, LabelSet, Monitor, MonitorOptions, Wanted};

use super::Outcome;

/// Tries an imported M on labelled images, and says what it is fed: a wrong normalization or order of the
/// channels shows here, and nowhere else.
pub fn run(bundle: &Path, data: &Path, network: &SegmenterConfig, [height, width]: [u32; 2]) -> Outcome {
    const MOST: usize = 100;
    let monitor = Monitor::load(bundle, &MonitorOptions::default())?;
    let source = Source::open(data, &Slice::default(), false, &Reading::default())?;
    let classes = monitor.labels().len();
    let mut confusion = Confusion::new(classes);
    let mut fed = Fed::default();
    let names = |set: &LabelSet| set.classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
    let comparable = names(&source.labels) == names(monitor.labels());
    let pairs = source.pairs.pairs.iter().take(MOST);
    let count = pairs.len();
    for pair in pairs {
        let sample = source.load(pair, None)?;
        fed.add(&sample.image);
        let wanted = Wanted { labels: true, ..Wanted::default() };
        let assessment = monitor.process(&Frame::new(sample.image), wanted)?;
        if let Some(labels) = assessment.maps.labels.filter(|_| comparable) {
            confusion.merge(&Confusion::of(labels.as_raw(), sample.labels.as_raw(), classes)?)?;
        }
    }
    let data = data.display();
    say!("{data}: fed {width}x{height}, {}", fed.said(network));
    if !comparable {
        let (theirs, ours) = (&source.labels.name, &monitor.labels().name);
        say!("{data}: its labels are of {theirs} and the bundle's classes of {ours}; nothing to compare");
        return Ok(());
    }
    let percent = |share: Option<f64>| share.map_or("n/a".into(), |share| format!("{:.1} %", 100. * share));
    let (accuracy, miou) = (percent(confusion.accuracy()), percent(confusion.mean_iou()));
    say!("{data}: pixel accuracy {accuracy}, mIoU {miou}, on {count} images");
    Ok(())
}

/// What the images of a check hold, channel by channel, in [0, 1].
#[derive(Default)]
struct Fed {
    count: f64,
    sum: [f64; 3],
    squares: [f64; 3],
}

impl Fed {
    fn add(&mut self, image: &RgbImage) {
        for pixel in image.pixels() {
            self.count += 1.;
            for (c, value) in pixel.0.iter().map(|&v| f64::from(v) / 255.).enumerate() {
                self.sum[c] += value;
                self.squares[c] += value * value;
            }
        }
    }

    /// Range, mean and deviation as the network gets them.
    fn said(&self, network: &SegmenterConfig) -> String {
        let (order, mean, std, whose) = match network {
            SegmenterConfig::Torchscript(config) if config.bgr => {
                ("blue, green, red", config.mean, config.std, "")
            }
            SegmenterConfig::Torchscript(config) => ("red, green, blue", config.mean, config.std, ""),
            _ => ("red, green, blue", [0.; 3], [1.; 3], " (the network normalizes them itself)"),
        };
        let normalized = |c: usize, value: f64| (value - mean[c]) / std[c];
        let means: Vec<f64> = self.sum.iter().map(|sum| sum / self.count.max(1.)).collect();
        let deviation =
            |c: usize| (self.squares[c] / self.count.max(1.) - means[c] * means[c]).max(0.).sqrt();
        let list = |of: &dyn Fn(usize) -> f64| {
            let numbers: Vec<String> = (0..3).map(|c| format!("{:.2}", of(c))).collect();
            format!("[{}]", numbers.join(", "))
        };
        format!(
            "{order} from {} to {}, mean {}, std {}{whose}",
            list(&|c| normalized(c, 0.)),
            list(&|c| normalized(c, 1.)),
            list(&|c| normalized(c, means[c])),
            list(&|c| deviation(c) / std[c]),
        )
    }
}
