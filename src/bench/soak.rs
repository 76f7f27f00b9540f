//! Many frames in a row: does the memory stay where it is?

use serde::Serialize;

use super::memory::Memory;
use super::{median, millis, timed};
use crate::data::Sample;
use crate::frame::{Frame, Stamp};
use crate::monitor::pipeline::{Monitor, MonitorError};
use crate::monitor::report::Wanted;

/// Resident memory while a monitor works.
#[derive(Clone, Debug, Serialize)]
pub struct Soak {
    /// Frames in all.
    pub frames: usize,
    /// Median time of a frame, milliseconds.
    pub millis: f64,
    /// Memory in MB at ten points, the first after the warm-up.
    pub memory: Vec<f64>,
}

const POINTS: usize = 10;

impl Soak {
    /// Runs `frames` frames through the monitor, `samples` over and over, after as many of them as a
    /// tenth of that to warm up. `None` where the memory cannot be read.
    pub fn run(monitor: &Monitor, samples: &[Sample], frames: usize) -> Result<Option<Self>, MonitorError> {
        let mut stream = samples.iter().cycle().map(|sample| Frame {
            image: sample.image.clone(),
            stamp: Stamp::default(),
            camera: String::new(),
        });
        let stretch = (frames / POINTS).max(1);
        let (mut memory, mut times) = (Vec::new(), Vec::new());
        for _ in 0..=frames / stretch {
            for frame in stream.by_ref().take(stretch) {
                let (outcome, time) = timed(|| monitor.process(&frame, Wanted::ALL));
                outcome?;
                times.push(time);
            }
            let Some(now) = Memory::read() else { return Ok(None) };
            memory.push(now.now);
        }
        Ok(Some(Self { frames: times.len(), millis: millis(median(&times)), memory }))
    }

    /// Megabytes from the first point to the last.
    pub fn growth(&self) -> f64 {
        self.memory.last().zip(self.memory.first()).map_or(0., |(last, first)| last - first)
    }
}
