//! A camera on the procedural street: publishes `image` and `camera_info`.
//!
//! The drive begins with the first subscriber and is published at a steady rate: a late frame does not
//! delay the next ones.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use r2r::builtin_interfaces::msg::Time;
use r2r::sensor_msgs::msg::{CameraInfo, Image};
use r2r::{Clock, ClockType, Node, Publisher, QosProfile};
use synthcp_monitor::frame::Stamp;
use synthcp_monitor::node::messages;
use synthcp_monitor::node::process::{Signals, context, own_arguments};
use synthcp_monitor::street::{Drive, DriveOptions, Rendered, Town};
use synthcp_monitor::watch::events;
use tokio::time::{MissedTickBehavior, interval};

/// The camera's name in headers.
const CAMERA: &str = "camera_optical";

/// Publishes a drive through the procedural street on `image`.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Which town: train, val or test.
    #[arg(long, default_value_t = Town::Test)]
    town: Town,
    /// Seed; the same seed gives the same drive.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Images per second, above 0 and up to 1000.
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    rate: f64,
    /// WIDTHxHEIGHT in pixels.
    #[arg(long, default_value = "512x256", value_parser = size)]
    size: (u32, u32),
    /// Renders the town without anomaly objects.
    #[arg(long)]
    clean: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| *rate > 0.0 && *rate <= 1000.0)
        .ok_or("expected 0 < rate <= 1000".to_owned())
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (16..=4096).contains(side));
    text.split_once('x')
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or("expected WIDTHxHEIGHT with sides of 16 to 4096, such as 512x256".to_owned())
}

fn main() -> ExitCode {
    events::to_stderr();
    match run(&Args::parse_from(own_arguments(std::env::args()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("street_camera: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut camera = Camera::create(args)?;
        tokio::select! {
            () = signals.received() => Ok(()),
            result = camera.publish(args.rate) => result,
        }
    })
}

struct Camera {
    // The publishers live as long as their node.
    _node: Node,
    clock: Clock,
    image: Publisher<Image>,
    camera_info: Publisher<CameraInfo>,
    calibration: CameraInfo,
    drive: Drive,
}

impl Camera {
    fn create(args: &Args) -> Result<Self, Box<dyn std::error::Error>> {
        let mut node = Node::create(context()?, "camera", "")?;
        let (width, height) = args.size;
        let options = DriveOptions {
            town: args.town,
            seed: args.seed,
            width,
            height,
            rate: args.rate as f32,
            anomalies: !args.clean,
        };
        Ok(Self {
            clock: Clock::create(ClockType::SystemTime)?,
            image: node.create_publisher("image", QosProfile::sensor_data())?,
            camera_info: node.create_publisher("camera_info", QosProfile::sensor_data())?,
            calibration: CameraInfo { width, height, ..CameraInfo::default() },
            drive: Drive::new(&options),
            _node: node,
        })
    }

    /// Publishes without end.
    async fn publish(&mut self, rate: f64) -> Result<(), Box<dyn std::error::Error>> {
        // Ticks are multiples of the period since the start; one that was missed is left out.
        let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // Rendered ahead of its tick, so that rendering delays nothing.
        let mut next = self.drive.next();
        while let Some(frame) = next {
            ticks.tick().await;
            while self.image.get_inter_process_subscription_count()? == 0 {
                ticks.tick().await;
            }
            self.send(frame)?;
            next = self.drive.next();
        }
        Ok(())
    }

    fn send(&mut self, frame: Rendered) -> r2r::Result<()> {
        let Time { sec, nanosec } = Clock::to_builtin_time(&self.clock.get_now()?);
        let header = messages::header(Stamp { sec, nanosec }, CAMERA);
        self.calibration.header = header.clone();
        self.camera_info.publish(&self.calibration)?;
        self.image.publish(&messages::rgb8(&header, frame.image))
    }
}
