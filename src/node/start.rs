//! From the command line to a running node, and from a signal to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use r2r::Node;
use tokio::time::{MissedTickBehavior, interval};

use super::bundle_folder;
use super::log::{Log, Throttle, throttle_panics};
use super::output::{Announcements, Audience, Identity, Images, Reports};
use super::overrides::Overrides;
use super::process::{ContextError, Signals, context};
use super::recording::recorder;
use super::spin::{Inputs, spin};
use super::timer::{TICK, Timer};
use crate::frame;
use crate::labels::LabelSet;
use crate::model::bundle::{BundleError, Thresholds};
use crate::monitor::pipeline::Monitor;
use crate::monitor::self_test::SelfTested;
use crate::watch::decoding::{Decoded, decode};
use crate::watch::events::Events;
use crate::watch::labels::NamesError;
use crate::watch::parameters::{ParameterError, Parameters};
use crate::watch::settings::Settings;
use crate::watch::shared::{NodeClock, Shared, SharedParameters};
use crate::watch::stream::{Assessed, Assessor, Session, merged};
use crate::watch::verdict::Validity;
use crate::watch::watchdog::REPEAT;
use crate::watch::workers::Workers;

/// Assessed images that may wait to be published before inference waits for them.
const WAITING: usize = 1;

/// How long inference waits for an image before it looks whether a self-test is due.
const GLANCE: Duration = Duration::from_millis(50);

/// How long the end waits for each thread, and the frame that it has in hand.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(1500);

/// How long a node that cannot start says why, from when somebody listens.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long it waits for somebody who listens.
const UNHEARD: Duration = Duration::from_secs(5);

/// Why the node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The command line is not one that ROS understands, or ROS refused.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A parameter has a value it must not have.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// No bundle of that name.
    #[error(transparent)]
    NoBundle(#[from] bundle_folder::NotFound),
    /// The bundle is there and cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The valid mask cannot be read.
    #[error("parameter valid_mask: {0}; it must be the path of a PNG, JPEG or WebP")]
    ValidMask(frame::FileError),
    /// It is not known what the segmenter's ids mean.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// ROS refused.
    #[error("ROS: {0}")]
    Ros(#[from] r2r::Error),
    /// The operating system refused.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// A thread ended that must not.
    #[error("the {0} thread has ended; see the log")]
    ThreadEnded(&'static str),
}

impl NodeError {
    /// 2 for what the user wrote, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Context(ContextError::Ros(_)) | Self::Ros(_) | Self::System(_) | Self::ThreadEnded(_) => 1,
            _ => 2,
        }
    }
}

/// Runs the node until a signal ends it. What can hang or fail (the bundle, its first pass) does so while the
/// timers already speak, signals are heard and the topics are there to say why.
pub fn run() -> Result<(), NodeError> {
    let events = Events::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on a signal waits until the node can end in order.
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let mut node = Node::create(context()?, "monitor", "")?;
    throttle_panics();
    let mut overrides = {
        let found = node.params.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let arguments: Vec<_> = std::env::args().collect();
        Overrides::of(&found, &arguments, &node.fully_qualified_name()?)
    };
    // A node whose parameters are wrong says so on its topics, by the defaults.
    let (parameters, refused) = match overrides.parameters() {
        Ok(parameters) => (parameters, None),
        Err(error) => (SharedParameters::new(Parameters::default()), Some(error)),
    };
    let settings = parameters.lock().settings();
    let mut inputs = Inputs::create(&mut node, &settings, parameters.clone())?;
    let clock = node_clock(&node);
    let log = Log::create(&mut node, clock.clone())?;
    let listener = log.clone();
    events.tell(move |level, message| listener.event(level, message));
    overrides.warnings.iter().for_each(|warning| log.warn(warning));

    let reports = Reports::create(&mut node, settings.reliable_output, settings.longest_silence())?;
    let mut recording = Workers::default();
    let reports = match settings.recording.clone() {
        None => reports,
        Some(options) => {
            let (recorder, work) = recorder(options, &node, &reports, parameters.clone(), clock.clone())?;
            recording.spawn("recording", work)?;
            inputs.record(recorder.clone());
            reports.recorded_by(recorder)
        }
    };
    let images = Images::create(&mut node, settings.reliable_output)?;
    let announcements = Announcements::create(&mut node)?;
    let shared = Arc::new(Shared::new(parameters, clock, Thresholds::unknown(), Instant::now()));
    let name = diagnostic_name(&node)?;
    let mut timer =
        Timer::new(shared.clone(), reports.clone(), announcements, settings.clone(), log.clone(), name);
    let period = settings.diagnostics_period;

    // From the topics to the mailbox.
    let (mut receiving, mut assessing) = (Workers::default(), Workers::default());
    let stop = Arc::new(AtomicBool::new(false));
    receiving.spawn("spin", {
        let (shared, log, stop) = (shared.clone(), log.clone(), stop.clone());
        move || spin(node, inputs, shared, log, stop)
    })?;
    // From the bundle to networks that have run once.
    let mut loading = Workers::default();
    let (to_start, loaded) = sync_channel(1);
    loading.spawn("loading", {
        let (shared, log) = (shared.clone(), log.clone());
        let prepare = move || match refused {
            Some(error) => Err(error.into()),
            None => prepare(&settings, shared, &log),
        };
        // Nobody waits any more where a signal came first.
        move || drop(to_start.send(prepare()))
    })?;
    let is_loaded = || match (loaded.try_recv(), receiving.ended()) {
        (Ok(prepared), _) => prepared.map(Some),
        (Err(TryRecvError::Disconnected), _) => Err(NodeError::ThreadEnded("loading")),
        (Err(TryRecvError::Empty), Some(name)) => Err(NodeError::ThreadEnded(name)),
        (Err(TryRecvError::Empty), None) => Ok(None),
    };
    let prepared = runtime.block_on(watch(&mut timer, &mut signals, period, &log, is_loaded));

    let outcome = match prepared {
        Ok(Some(Prepared { session, identity, labels, model_info })) => {
            timer.announcements().label_info(&labels, shared.now_stamp())?;
            timer.announcements().model_info(&model_info)?;
            reports.identify(identity);
            shared.state().loaded(Instant::now());
            log.info(&format!("ready: {}", reports.identity().model));
            assess(&mut assessing, session, &shared, &reports, &images, &log)?;
            let alive = || match receiving.ended().or(assessing.ended()) {
                Some(name) => Err(NodeError::ThreadEnded(name)),
                None => Ok(None::<()>),
            };
            runtime.block_on(watch(&mut timer, &mut signals, period, &log, alive)).map(|_| ())
        }
        Ok(None) => Ok(()),
        Err(error) => {
            runtime.block_on(last_words(&timer, &mut signals, &log, &error));
            Err(error)
        }
    };
    log.info("shutting down");
    shared.mailbox.close();
    assessing.join_within(SHUTDOWN_LIMIT);
    // The last words need the node, which ends with the thread that spins it.
    let said = match &outcome {
        Ok(()) => timer.farewell(),
        Err(error) => timer.give_up(&error.to_string()),
    };
    if let Err(error) = said {
        log.error(&format!("could not say that the node ends: {error}"));
    }
    stop.store(true, Ordering::Relaxed);
    receiving.join_within(SHUTDOWN_LIMIT);
    if let Some(recorder) = reports.recorder() {
        recorder.end();
    }
    recording.join_within(SHUTDOWN_LIMIT);
    loading.join_within(if outcome.is_ok() { Duration::ZERO } else { SHUTDOWN_LIMIT });
    outcome
}

/// Networks that have run once, and what is said of them.
struct Prepared {
    session: Session<Monitor>,
    identity: Identity,
    labels: LabelSet,
    model_info: String,
}

/// Loads the bundle and takes it through its first pass.
fn prepare(settings: &Settings, shared: Arc<Shared>, log: &Log) -> Result<Prepared, NodeError> {
    let monitor = load(settings)?;
    shared.parameters.calibrate(monitor.thresholds())?;
    shared.state().thresholds = merged(monitor.thresholds(), shared.parameters.live().thresholds);
    let labels = monitor.labels().clone();
    if let Some(by_topic) = &shared.labels {
        by_topic.learn(&labels)?;
    }
    let identity = Identity {
        labels: Some(labels.clone()),
        bundle: monitor.bundle_name().to_owned(),
        hash: monitor.bundle_hash().to_owned(),
        model: monitor.description(),
    };
    let model_info = model_info(&identity, &shared.promised(monitor.thresholds().clone()));
    let mut session = Session::new(monitor, shared);
    if let Err(reason) = session.warm_up() {
        log.error(&format!("the first pass through the networks failed: {reason}"));
    }
    tell(&session.self_test(), log);
    Ok(Prepared { session, identity, labels, model_info })
}

/// Writes what a self-test came to.
fn tell(tested: &SelfTested, log: &Log) {
    match tested {
        SelfTested::Failed(_) => log.error(&tested.told()),
        SelfTested::Absent => log.info(&tested.told()),
        SelfTested::Passed(_) => log.info(&format!("self-test: {}", tested.told())),
    }
}

/// Starts the threads from the mailbox to the topics.
fn assess(
    assessing: &mut Workers,
    session: Session<Monitor>,
    shared: &Arc<Shared>,
    reports: &Reports,
    images: &Images,
    log: &Log,
) -> std::io::Result<()> {
    // From the mailbox to pixels, handed over directly: nothing waits in between.
    let (to_inference, decoded) = sync_channel(0);
    assessing.spawn("decoding", {
        let shared = shared.clone();
        move || decode(&shared, &to_inference)
    })?;
    // From pixels to a verdict.
    let (to_publishing, assessed) = sync_channel(WAITING);
    assessing.spawn("inference", {
        let (images, log) = (images.clone(), log.clone());
        move || infer(session, decoded, &images, &to_publishing, &log)
    })?;
    // From a verdict to the topics.
    assessing.spawn("publishing", {
        let (shared, reports, images, log) = (shared.clone(), reports.clone(), images.clone(), log.clone());
        move || publish(assessed, &shared, &reports, &images, &log)
    })
}

/// Says why the node cannot start, for long enough that those who only now learn of the topics hear it too.
async fn last_words(timer: &Timer, signals: &mut Signals, log: &Log, error: &NodeError) {
    let reason = error.to_string();
    log.error(&reason);
    let mut repeats = interval(REPEAT.min(timer.report_period()));
    let (start, mut heard) = (Instant::now(), None);
    while heard.map_or(start.elapsed() < UNHEARD, |since: Instant| since.elapsed() < LAST_WORDS) {
        if timer.has_listener() {
            heard.get_or_insert_with(Instant::now);
        }
        tokio::select! {
            () = signals.received() => return,
            _ = repeats.tick() => {
                if let Err(error) = timer.give_up(&reason) {
                    log.error(&format!("could not publish: {error}"));
                }
            }
        }
    }
}

/// The node's clock; a simulated one stands at zero until `/clock` speaks.
fn node_clock(node: &Node) -> NodeClock {
    let clock = node.get_ros_clock();
    Arc::new(move || {
        let mut clock = clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        clock.get_now().ok().filter(|now| !now.is_zero())
    })
}

/// The name before the colon in diagnostics: cameras in namespaces of their own stay apart.
fn diagnostic_name(node: &Node) -> r2r::Result<String> {
    let full = node.fully_qualified_name()?;
    Ok(full.trim_start_matches('/').to_owned())
}

fn load(settings: &Settings) -> Result<Monitor, NodeError> {
    let prefixes = std::env::var("AMENT_PREFIX_PATH").unwrap_or_default();
    let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::new());
    let folder = bundle_folder::find(&settings.bundle, &prefixes, &executable)?;
    let mut monitor = Monitor::load(&folder, &settings.monitor)?;
    if let Some(path) = &settings.valid_mask {
        let mask = frame::open(path.as_ref()).map_err(NodeError::ValidMask)?;
        monitor.set_valid_mask(Some(mask.into_luma8()));
    }
    Ok(monitor)
}

fn model_info(identity: &Identity, thresholds: &Thresholds) -> String {
    #[derive(serde::Serialize)]
    struct ModelInfo<'a> {
        package_version: &'a str,
        bundle: &'a str,
        bundle_hash: &'a str,
        networks: &'a str,
        label_set: &'a str,
        calibrated_thresholds: &'a Thresholds,
    }
    let info = ModelInfo {
        package_version: env!("CARGO_PKG_VERSION"),
        bundle: &identity.bundle,
        bundle_hash: &identity.hash,
        networks: &identity.model,
        label_set: identity.labels.as_ref().map_or("", |labels| &labels.name),
        calibrated_thresholds: thresholds,
    };
    serde_norway::to_string(&info).unwrap_or_default()
}

/// Assesses what is decoded until there will be no more.
fn infer<A: Assessor>(
    mut session: Session<A>,
    decoded: Receiver<Decoded>,
    images: &Images,
    to_publishing: &SyncSender<(Assessed, Audience)>,
    log: &Log,
) {
    let (mut throttle, mut told_jump) = (Throttle::default(), false);
    loop {
        if let Some(tested) = session.self_test_if_due() {
            tell(&tested, log);
        }
        let next = match decoded.recv_timeout(GLANCE) {
            Ok(next) => next,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let audience = images.audience();
        let assessed = session.assess(next, audience.wanted());
        let verdict = &assessed.verdict;
        let faulty = matches!(verdict.validity, Validity::Failed | Validity::InvalidInput);
        if faulty && throttle.allows(Instant::now()) {
            log.error(&verdict.reason);
        }
        if assessed.jumped && !std::mem::replace(&mut told_jump, true) {
            log.warn(
                "stamps have jumped back and stay there; starting afresh, now and whenever it happens again",
            );
        }
        if to_publishing.send((assessed, audience)).is_err() {
            return;
        }
    }
}

/// Publishes each assessed image while the next one is assessed, until there will be no more.
fn publish(
    outcomes: Receiver<(Assessed, Audience)>,
    shared: &Shared,
    reports: &Reports,
    images: &Images,
    log: &Log,
) {
    let mut throttle = Throttle::default();
    let labels = reports.identity().labels;
    for (assessed, audience) in outcomes {
        let assessed = assessed.leaving(shared);
        let sent = reports.send(&assessed.verdict);
        if let Err(error) = sent.and_then(|()| images.send(assessed, audience, labels.as_ref()))
            && throttle.allows(Instant::now())
        {
            log.error(&format!("could not publish: {error}"));
        }
    }
}

/// Keeps the timers going until a signal comes, which gives nothing, or `done` gives something or objects. The
/// timers are steady ones: a simulated clock that stands still must not silence them.
async fn watch<T>(
    timer: &mut Timer,
    signals: &mut Signals,
    period: Duration,
    log: &Log,
    done: impl Fn() -> Result<Option<T>, NodeError>,
) -> Result<Option<T>, NodeError> {
    let (mut ticks, mut diagnoses) = (interval(TICK), interval(period));
    let mut throttle = Throttle::default();
    let mut complain = |sent: r2r::Result<()>| {
        if let Err(error) = sent
            && throttle.allows(Instant::now())
        {
            log.error(&format!("could not publish: {error}"));
        }
    };
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    diagnoses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = signals.received() => return Ok(None),
            _ = ticks.tick() => {
                complain(timer.tick());
                if let Some(done) = done()? {
                    return Ok(Some(done));
                }
            }
            _ = diagnoses.tick() => complain(timer.diagnose()),
        }
    }
}
