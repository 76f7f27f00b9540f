//! Frames of the procedural street on one core: `cargo bench --bench street`. Each town by day and in
//! other weather, as the seeds give it, with and without anomaly objects.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use synthcp_monitor::street::{Drive, DriveOptions, Town};

/// Drives of each town.
const SEEDS: [u64; 3] = [1, 4, 7];

fn frames(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    let mut group = c.benchmark_group("frame 512x256");
    group.sample_size(20);
    for town in Town::ALL {
        for seed in SEEDS {
            let anomalies = town == Town::Test;
            let mut drive = Drive::new(&DriveOptions { town, seed, anomalies, ..DriveOptions::default() });
            // The street ahead is built at the start, the textures once for all.
            drive.frame();
            group
                .bench_function(BenchmarkId::new(town.name(), seed), |b| b.iter(|| black_box(drive.frame())));
        }
    }
}

criterion_group!(street, frames);
criterion_main!(street);
