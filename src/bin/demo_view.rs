//! Watches a monitor: prints a line per frame and, at the end, writes a report, a film and a bag of the
//! drive.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use futures::{FutureExt, StreamExt};
use r2r::{Node, QosProfile};
use synthcp_monitor::bag::writer::Offer;
use synthcp_monitor::drive::line::{HEADING, Line};
use synthcp_monitor::drive::recording::{Files, News, Recording, RecordingError, TOPICS};
use synthcp_monitor::node::process::{Signals, context, own_arguments};
use synthcp_monitor::watch::events;
use synthcp_monitor::watch::validity::Validity;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel};
use tokio::time::timeout;

/// Longest wait for a message; limits how long the shutdown takes.
const WAIT: Duration = Duration::from_millis(10);
/// Longest wait for the last frame's images at the end.
const IMAGES_LIMIT: Duration = Duration::from_secs(2);
/// Most images that wait to be compressed; more are lost.
const BACKLOG: usize = 64;

/// Prints a line per frame, and writes report.html, overlay.gif and demo.mcap.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Frames until the end; 0 goes on until Ctrl-C.
    #[arg(long, default_value_t = 60)]
    frames: usize,
    /// Folder for the files.
    #[arg(long, default_value = "demo")]
    out: PathBuf,
}

fn main() -> ExitCode {
    events::to_stderr();
    match run(&Args::parse_from(own_arguments(std::env::args()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo_view: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut signals, node) = runtime.block_on(async {
        let signals = Signals::new()?;
        Ok::<_, Box<dyn std::error::Error>>((signals, Node::create(context()?, "view", "")?))
    })?;
    let recording = Recording::create(&args.out, &node.namespace()?)?;
    let (listening, mut arrivals) = Listening::start(node)?;
    let mut view = View { recording, frames: args.frames, told: None, unreadable: 0 };
    runtime.block_on(async {
        tokio::select! {
            () = signals.received() => Ok(()),
            watched = view.watch(&mut arrivals) => watched,
        }
    })?;
    let lost = listening.stop();
    view.sum_up(lost);
    let Files { page, film, bag } = view.recording.finish()?;
    for file in film.into_iter().chain([page, bag]) {
        println!("{}", file.display());
    }
    Ok(())
}

/// A message as it came over the wire.
struct Arrival {
    topic: usize,
    /// When, in nanoseconds since 1970.
    time: u64,
    bytes: Vec<u8>,
}

/// Messages from the listening thread. The reports overtake the images.
struct Arrivals {
    small: UnboundedReceiver<Arrival>,
    pictures: Receiver<Arrival>,
}

impl Arrivals {
    async fn next(&mut self) -> Option<Arrival> {
        tokio::select! {
            biased;
            Some(arrival) = self.small.recv() => Some(arrival),
            Some(arrival) = self.pictures.recv() => Some(arrival),
            else => None,
        }
    }
}

/// The thread that takes messages out of ROS as fast as they arrive, however long their images take.
struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Listening {
    fn start(mut node: Node) -> Result<(Self, Arrivals), Box<dyn std::error::Error>> {
        let mut queues = Vec::with_capacity(TOPICS.len());
        for (topic, content) in TOPICS {
            let qos = match content.offer() {
                Offer::SensorData => QosProfile::sensor_data(),
                Offer::Reliable => QosProfile::default(),
                Offer::Latched => QosProfile::default().keep_last(1).transient_local(),
            };
            queues.push(node.subscribe_raw(topic, content.message_type(), qos)?);
        }
        let (small, small_arrivals) = unbounded_channel();
        let (pictures, picture_arrivals) = channel(BACKLOG);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let listen = move || {
            let mut lost = 0;
            while !stopped.load(Ordering::Relaxed) {
                node.spin_once(WAIT);
                for (topic, queue) in queues.iter_mut().enumerate() {
                    while let Some(bytes) = queue.next().now_or_never().flatten() {
                        let arrival = Arrival { topic, time: now(), bytes };
                        if TOPICS[topic].1.is_picture() {
                            lost += usize::from(pictures.try_send(arrival).is_err());
                        } else if small.send(arrival).is_err() {
                            return lost; // nobody reads any more
                        }
                    }
                }
            }
            lost
        };
        let thread = thread::Builder::new().name("listen".to_owned()).spawn(listen)?;
        Ok((Self { stop, thread }, Arrivals { small: small_arrivals, pictures: picture_arrivals }))
    }

    /// Ends it; gives the number of images that arrived too fast to be recorded.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        // Its panic, if any, has been reported by the hook.
        self.thread.join().unwrap_or_default()
    }
}

struct View {
    recording: Recording,
    frames: usize,
    /// Validity of the last report without an image: such reports repeat and are printed once.
    told: Option<Validity>,
    unreadable: usize,
}

impl View {
    /// Runs until enough frames have been assessed and the last one's images have arrived.
    async fn watch(&mut self, arrivals: &mut Arrivals) -> Result<(), RecordingError> {
        while !self.has_enough() {
            match arrivals.next().await {
                Some(arrival) => self.take(&arrival)?,
                None => return Ok(()),
            }
        }
        self.recording.end_here();
        let rest = async {
            while !self.recording.is_illustrated()
                && let Some(arrival) = arrivals.next().await
            {
                self.take(&arrival)?;
            }
            Ok(())
        };
        timeout(IMAGES_LIMIT, rest).await.unwrap_or(Ok(()))
    }

    fn has_enough(&self) -> bool {
        self.frames > 0 && self.recording.journal().entries().len() >= self.frames
    }

    fn take(&mut self, arrival: &Arrival) -> Result<(), RecordingError> {
        let Arrival { topic, time, ref bytes } = *arrival;
        match self.recording.add(topic, time, bytes) {
            Ok(Some(News::Frame(entry))) => {
                if entry.number == 1 {
                    anstream::println!("{HEADING}");
                }
                anstream::println!("{}", Line(entry));
                self.told = None;
            }
            Ok(Some(News::Silence(validity, reason))) => {
                if self.told.replace(validity) != Some(validity) {
                    anstream::println!("    -  {}: {reason}", validity.name());
                }
            }
            Ok(None) => {}
            // A message that nobody can read does not end the drive; a full disk does.
            Err(error) if error.is_of_one_message() => {
                if self.unreadable == 0 {
                    eprintln!("demo_view: {}: {error}", TOPICS[topic].0);
                }
                self.unreadable += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn sum_up(&self, lost: usize) {
        let journal = self.recording.journal();
        if journal.entries().is_empty() {
            return;
        }
        let last = journal.last();
        let hash: String = last.bundle_hash.chars().take(12).collect();
        println!(
            "{} images received = {} processed + {} dropped + {} invalid (+ at most one in hand and one waiting); bundle {} {hash}",
            last.frames_received,
            last.frames_processed,
            last.frames_dropped,
            last.frames_invalid,
            last.bundle,
        );
        if lost > 0 {
            println!("{lost} images came too fast to be recorded");
        }
        if self.unreadable > 0 {
            println!("{} messages could not be read", self.unreadable);
        }
        if self.recording.is_full() {
            println!("the bag is large: it goes on without images");
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
