//! What must be said of a camera on time whether or not images come and inference returns.

use std::time::{Duration, Instant};

use super::log::Throttle;
use super::messages;
use super::output::{Announcements, Identity};
use super::station::Station;
use crate::frame::shortened;
use crate::watch::debounce::Level;
use crate::watch::diagnostics::{Severity, Snapshot, Status, statuses};
use crate::watch::mailbox::Counts;
use crate::watch::recorder::Recorder;
use crate::watch::settings::Settings;
use crate::watch::verdict::Validity;
use crate::watch::vigil::{Saying, Vigil};

/// Publishes reports that assess no image, and the diagnostics.
pub(crate) struct Timer {
    station: Station,
    announcements: Announcements,
    settings: Settings,
    /// The node's name in diagnostics, and the camera's.
    name: String,
    vigil: Vigil,
    throttle: Throttle,
}

impl Timer {
    /// Says nothing yet.
    pub fn new(station: Station, announcements: Announcements, settings: Settings, node: &str) -> Self {
        let name = station.camera.status_of(node);
        let (vigil, throttle) = (Vigil::new(), Throttle::default());
        Self { station, announcements, settings, name, vigil, throttle }
    }

    /// Looks after the camera, and after the threads between it and the report.
    pub fn tick(&mut self) -> r2r::Result<()> {
        let live = self.station.shared.parameters.live();
        // Read before the state is locked: the clock has a lock of its own.
        let simulated = if self.settings.use_sim_time { (self.station.shared.clock)() } else { None };
        let sayings = {
            let (mut state, now) = (self.station.shared.state(), Instant::now());
            if let Some(time) = simulated {
                state.watchdog.hear_clock(time, now);
            }
            self.vigil.due(&mut state, live, now)
        };
        for saying in sayings {
            match saying {
                Saying::Report(validity, reason) => self.report(validity, reason)?,
                Saying::Info(line) => self.station.log.info(&line),
                Saying::Warning(line) => self.station.log.warn(&line),
                Saying::Error(line) if self.throttle.allows(Instant::now()) => self.station.log.error(&line),
                Saying::Error(_) => {}
            }
        }
        Ok(())
    }

    /// Publishes a report that assesses no image. Whatever was assessed before no longer counts.
    pub fn report(&self, validity: Validity, reason: String) -> r2r::Result<()> {
        let _turn = self.station.shared.turn();
        let verdict = self.station.shared.alarm(validity, reason);
        debug_assert!(verdict.level == Level::Failure || validity == Validity::Pending);
        self.station.reports.send(&verdict)
    }

    /// Within what time something is said.
    pub(crate) fn report_period(&self) -> Duration {
        self.settings.live.report_period
    }

    /// Whether anybody reads the reports.
    pub(crate) fn has_listener(&self) -> bool {
        self.station.reports.has_listener()
    }

    /// Publishes the diagnostics.
    pub(crate) fn diagnose(&self) -> r2r::Result<()> {
        self.send(&self.statuses())
    }

    /// Tells whoever reads reports and diagnostics that there will be no more.
    pub(crate) fn farewell(&self) -> r2r::Result<()> {
        let reason = "the node is shutting down";
        self.report(Validity::Stale, reason.to_owned())?;
        let statuses = self.statuses().into_iter();
        self.send(&statuses.map(|status| last_word(status, Severity::Stale, reason)).collect::<Vec<_>>())
    }

    /// Tells them why there will be none.
    pub(crate) fn give_up(&self, reason: &str) -> r2r::Result<()> {
        self.report(Validity::Failed, reason.to_owned())?;
        let statuses = self.statuses().into_iter().map(|status| match status.task {
            "inference" => last_word(status, Severity::Error, reason),
            _ => last_word(status, Severity::Stale, "the node is ending"),
        });
        self.send(&statuses.collect::<Vec<_>>())
    }

    fn statuses(&self) -> Vec<Status> {
        let Identity { bundle, hash, model, .. } = self.station.reports.identity();
        let counts: Counts = self.station.shared.mailbox.counts();
        let state = self.station.shared.state().clone();
        let recorded = self.station.reports.recorder().map(Recorder::recorded);
        statuses(&Snapshot {
            camera: &self.station.camera,
            image_age_secs: state.newest.as_ref().and_then(|(stamp, _)| self.station.shared.age_secs(*stamp)),
            state: &state,
            counts,
            settings: &self.settings,
            live: self.station.shared.parameters.live(),
            model: &model,
            bundle: (&bundle, &hash),
            recorded: recorded.as_ref(),
            now: Instant::now(),
        })
    }

    fn send(&self, statuses: &[Status]) -> r2r::Result<()> {
        let camera = self.station.shared.state().newest.as_ref().map(|(_, camera)| shortened(camera));
        // Diagnostics want a name for the hardware even where there is none.
        let hardware = camera.filter(|camera| !camera.is_empty()).unwrap_or_else(|| "none".to_owned());
        let message = messages::diagnostics(statuses, &self.name, &hardware, self.station.shared.now_stamp());
        self.announcements.diagnostics(&message)
    }
}

fn last_word(status: Status, severity: Severity, message: &str) -> Status {
    Status { severity, message: message.to_owned(), ..status }
}

/// Time between ticks.
pub(crate) const TICK: Duration = Duration::from_millis(50);
