//! `synthcp devices`: what this machine has to compute with, and what of it `auto` would take.

use clap::Args as ClapArgs;
use serde_json::json;
use synthcp_monitor::model::compute::machine::{self, Libtorch};
use synthcp_monitor::model::compute::{DeviceChoice, Gpu, NoGpu, Precision, gpus, why_none};
use tch::{Device, Kind};

use super::Outcome;

/// Arguments of `synthcp devices`.
#[derive(ClapArgs)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Looks and prints.
pub fn run(args: &Args) -> Outcome {
    let gpus = gpus().as_deref().unwrap_or_default();
    let reason = why_none().map(ToString::to_string);
    let Libtorch { folder, version } = machine::libtorch();
    let (cpu, features, driver) = (machine::cpu_name(), machine::cpu_features(), machine::kernel_driver());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let device = if reason.is_none() { Device::Cuda(0) } else { Device::Cpu };
    let kind = Precision::Auto.resolve(device)?;
    let (auto_device, auto_precision) = (name_of(device), precision_of(kind));
    if args.json {
        let of = |(index, gpu): (usize, &Gpu)| {
            let (major, minor) = gpu.capability;
            json!({
                "device": DeviceChoice::Cuda(index).to_string(), "name": gpu.name, "memory": gpu.memory,
                "compute_capability": format!("{major}.{minor}"), "precisions": precisions(Device::Cuda(index)),
            })
        };
        let report = json!({
            "cpu": {
                "name": cpu, "cores": cores, "threads": tch::get_num_threads(), "features": features,
                "precisions": precisions(Device::Cpu),
            },
            "libtorch": {"version": version, "folder": folder, "cuda": cuda()},
            "driver": driver,
            "gpus": gpus.iter().enumerate().map(of).collect::<Vec<_>>(),
            "no_gpu": reason,
            "auto": {"device": auto_device, "precision": auto_precision},
        });
        say!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let known = |text: Option<String>| text.unwrap_or_else(|| "unknown".into());
    let place = folder.map_or("an unknown folder".into(), |folder| folder.display().to_string());
    say!("cpu       {}, {cores} cores, {} threads", known(cpu), tch::get_num_threads());
    say!("          {}; {}", features.join(" "), precisions(Device::Cpu).join(", "));
    say!("libtorch  {} {}, {place}", known(version), cuda());
    say!("driver    {}", driver.unwrap_or_else(|| "none in the kernel".into()));
    for (index, gpu) in gpus.iter().enumerate() {
        let device = Device::Cuda(index);
        say!("{:<9} {gpu}; {}", name_of(device), precisions(device).join(", "));
    }
    if let Some(reason) = &reason {
        say!("no GPU    {reason}");
    }
    let why = match &reason {
        None => "the first GPU".to_owned(),
        Some(_) => "there is no GPU to be had".to_owned(),
    };
    say!("auto      {auto_device} in {auto_precision}: {why}");
    Ok(())
}

/// Whether libtorch has a CUDA part.
fn cuda() -> &'static str {
    match gpus() {
        Err(NoGpu::CpuBuild(_)) => "without CUDA",
        Err(NoGpu::NotLoaded(_)) => "with CUDA that does not load",
        _ => "with CUDA",
    }
}

/// As a person writes it.
fn name_of(device: Device) -> String {
    match device {
        Device::Cuda(index) => DeviceChoice::Cuda(index).to_string(),
        _ => DeviceChoice::Cpu.to_string(),
    }
}

fn precision_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Half => "fp16",
        Kind::BFloat16 => "bf16",
        _ => "fp32",
    }
}

/// What the device computes in.
fn precisions(device: Device) -> Vec<&'static str> {
    let all = [Precision::Fp32, Precision::Bf16, Precision::Fp16];
    all.into_iter().filter_map(|precision| precision.resolve(device).ok()).map(precision_of).collect()
}
