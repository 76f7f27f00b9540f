//! From the command line to a running node, and from a signal to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use r2r::Node;
use tokio::time::{MissedTickBehavior, interval};

use super::error::NodeError;
use super::lifecycle::Lifecycle;
use super::log::{Log, Throttle, throttle_panics};
use super::managed::{Managed, SHUTDOWN_LIMIT};
use super::output::{Announcements, Images, Reports};
use super::overrides::Overrides;
use super::process::{Signals, context};
use super::recording::recorder;
use super::spin::{Inputs, spin};
use super::station::Station;
use super::timer::{TICK, Timer};
use crate::model::bundle::Thresholds;
use crate::model::compute::trim_memory;
use crate::watch::events::Events;
use crate::watch::shared::{NodeClock, Shared};
use crate::watch::watchdog::REPEAT;
use crate::watch::workers::Workers;

/// How long a node that cannot start says why, from when somebody listens.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Time between two returns of unused memory to the system.
const TRIM: Duration = Duration::from_secs(60);

/// How long the node stays after its last words, which are said twice.
const LINGER: Duration = Duration::from_millis(100);

/// How long it waits for somebody who listens.
const UNHEARD: Duration = Duration::from_secs(5);

/// How long the end waits for recordings to be on the disk: all of them are told to end together. Whoever launches
/// nodes kills them after ten seconds.
const RECORDING_LIMIT: Duration = Duration::from_secs(8);

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
        Err(error) => (overrides.refused(), Some(error)),
    };
    let settings = parameters.lock().settings();
    let mut inputs = Inputs::create(&mut node, &settings, parameters.clone())?;
    let clock = node_clock(&node);
    let log = Log::create(&mut node, clock.clone())?;
    let listener = log.clone();
    events.tell(move |level, message| listener.event(level, message));
    overrides.warnings.iter().for_each(|warning| log.warn(warning));

    let mut recording = Workers::default();
    let mut stations: Vec<Station> = Vec::new();
    for (camera, inputs) in settings.cameras.iter().zip(inputs.cameras()) {
        let mut reports =
            Reports::create(&mut node, camera, settings.reliable_output, settings.longest_silence())?;
        if let Some(options) = settings.recording.clone() {
            let (parameters, clock) = (parameters.clone(), clock.clone());
            let (recorder, work) = recorder(options, camera, &node, &reports, parameters, clock)?;
            recording.spawn("recording", work)?;
            inputs.record(recorder.clone());
            reports = reports.recorded_by(recorder);
        }
        let images = Images::create(&mut node, camera, settings.reliable_output)?;
        let own = Shared::new(parameters.of(camera), clock.clone(), Thresholds::unknown(), Instant::now());
        let shared = Arc::new(match stations.first() {
            None => own,
            Some(first) => own.beside(&first.shared),
        });
        stations.push(Station { camera: camera.clone(), shared, reports, images, log: log.about(camera) });
    }
    let announcements = Announcements::create(&mut node)?;
    let name = diagnostic_name(&node)?;
    let timer =
        |station: &Station| Timer::new(station.clone(), announcements.clone(), settings.clone(), &name);
    let mut timers: Vec<_> = stations.iter().map(timer).collect();
    let period = settings.diagnostics_period;

    let cameras = stations.iter().map(|station| station.shared.clone());
    let lifecycle = Lifecycle::create(&mut node, cameras, clock)?;

    let refused = refused.map(NodeError::from);
    let (all, told) = (stations.clone(), log.clone());
    let mut managed = Managed::new(settings, all, announcements, lifecycle.clone(), told, refused);
    // From the topics to the mailboxes.
    let mut receiving = Workers::default();
    let stop = Arc::new(AtomicBool::new(false));
    receiving.spawn("spin", {
        let (stations, log, stop) = (stations.clone(), log.clone(), stop.clone());
        move || spin(node, inputs, &stations, &lifecycle, log, stop)
    })?;
    // From the bundle to networks that have run once, and from there to the topics, as the lifecycle has it.
    let step = || match receiving.ended() {
        Some(name) => Err(NodeError::ThreadEnded(name)),
        None => managed.step(),
    };
    let outcome = runtime.block_on(watch(&mut timers, &mut signals, period, &log, step)).map(drop);
    if let Err(error) = &outcome
        && managed.is_starting()
    {
        runtime.block_on(last_words(&timers, &mut signals, &log, error));
    }
    log.info("shutting down");
    managed.finish();
    // The last words need the node, which ends with the thread that spins it.
    let end = || {
        for timer in &timers {
            let said = match &outcome {
                Ok(()) => timer.farewell(),
                Err(error) => timer.give_up(&error.to_string()),
            };
            if let Err(error) = said {
                log.error(&format!("could not say that the node ends: {error}"));
            }
        }
    };
    end();
    if timers.iter().any(Timer::has_listener) {
        // What a busy reader has lost nobody sends again once the node is gone.
        std::thread::sleep(LINGER);
        end();
        std::thread::sleep(LINGER);
    }
    stop.store(true, Ordering::Relaxed);
    receiving.join_within(SHUTDOWN_LIMIT);
    let recorders =
        || stations.iter().filter_map(|station| Some((station.reports.recorder()?, &station.log)));
    recorders().for_each(|(recorder, _)| recorder.end());
    recording.join_within(RECORDING_LIMIT);
    for (lost, log) in recorders().filter_map(|(recorder, log)| Some((recorder.give_up()?, log))) {
        log.error(lost);
    }
    managed.join_loading(if outcome.is_ok() { Duration::ZERO } else { SHUTDOWN_LIMIT });
    outcome
}

/// Says why the node cannot start, for long enough that those who only now learn of the topics hear it too.
async fn last_words(timers: &[Timer], signals: &mut Signals, log: &Log, error: &NodeError) {
    let reason = error.to_string();
    log.error(&reason);
    let period = timers.iter().map(Timer::report_period).min();
    let mut repeats = interval(period.map_or(REPEAT, |period| period.min(REPEAT)));
    let (start, mut heard) = (Instant::now(), None);
    while heard.map_or(start.elapsed() < UNHEARD, |since: Instant| since.elapsed() < LAST_WORDS) {
        if timers.iter().any(Timer::has_listener) {
            heard.get_or_insert_with(Instant::now);
        }
        tokio::select! {
            () = signals.received() => return,
            _ = repeats.tick() => {
                for error in timers.iter().filter_map(|timer| timer.give_up(&reason).err()) {
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

/// Keeps the timers going until a signal comes, which gives nothing, or `done` gives something or objects. The
/// timers are steady ones: a simulated clock that stands still must not silence them.
async fn watch<T>(
    timers: &mut [Timer],
    signals: &mut Signals,
    period: Duration,
    log: &Log,
    mut done: impl FnMut() -> Result<Option<T>, NodeError>,
) -> Result<Option<T>, NodeError> {
    let (mut ticks, mut diagnoses, mut trims) = (interval(TICK), interval(period), interval(TRIM));
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
                timers.iter_mut().for_each(|timer| complain(timer.tick()));
                if let Some(done) = done()? {
                    return Ok(Some(done));
                }
            }
            _ = trims.tick() => trim_memory(),
            _ = diagnoses.tick() => timers.iter().for_each(|timer| complain(timer.diagnose())),
        }
    }
}
