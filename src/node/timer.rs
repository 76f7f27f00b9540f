//! What must be said on time whether or not images come and inference returns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log::Log;
use super::messages;
use super::output::{Announcements, Identity, Reports};
use crate::watch::debounce::Level;
use crate::watch::diagnostics::{Severity, Snapshot, Status, hanging, statuses};
use crate::watch::mailbox::Counts;
use crate::watch::settings::Settings;
use crate::watch::shared::Shared;
use crate::watch::verdict::{Validity, Verdict};
use crate::watch::watchdog::{Alarm, Liveness, REPEAT};

/// Publishes reports that assess no image, and the diagnostics.
pub(crate) struct Timer {
    shared: Arc<Shared>,
    reports: Reports,
    announcements: Announcements,
    settings: Settings,
    log: Log,
    /// The node's name in diagnostics.
    name: String,
    was: Liveness,
    last_hang: Option<Instant>,
}

impl Timer {
    /// Says nothing yet.
    pub fn new(
        shared: Arc<Shared>,
        reports: Reports,
        announcements: Announcements,
        settings: Settings,
        log: Log,
        name: String,
    ) -> Self {
        let was = Liveness::Waiting;
        Self { shared, reports, announcements, settings, log, name, was, last_hang: None }
    }

    /// The topics that are published once.
    pub(crate) fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    /// Looks after the camera, and after the threads between it and the report.
    pub fn tick(&mut self) -> r2r::Result<()> {
        let now = Instant::now();
        let live = self.shared.parameters.live();
        let (liveness, alarm, hang) = {
            let mut state = self.shared.state();
            let liveness = state.watchdog.liveness(now, live.source_timeout);
            (liveness, state.watchdog.poll(now, live.source_timeout), hanging(&state, live, now))
        };
        match (self.was, liveness) {
            (Liveness::Stale, Liveness::Alive) => self.log.info("images arrive again"),
            (Liveness::Waiting, Liveness::Alive) => self.log.info("the first image has arrived"),
            (Liveness::Alive, Liveness::Stale) => {
                let timeout = live.source_timeout.unwrap_or_default().as_secs_f64();
                self.log.warn(&format!("no image for longer than source_timeout ({timeout} s)"));
            }
            _ => {}
        }
        self.was = liveness;
        if let Some(Alarm { liveness, silence }) = alarm {
            let silence = silence.as_secs_f64();
            let (validity, reason) = match liveness {
                Liveness::Waiting => {
                    (Validity::Starting, format!("no image has come in the {silence:.1} s since the start"))
                }
                _ => {
                    let timeout = live.source_timeout.unwrap_or_default().as_secs_f64();
                    (
                        Validity::Stale,
                        format!("no image for {silence:.1} s; source_timeout allows {timeout} s"),
                    )
                }
            };
            self.report(validity, reason)?;
        }
        let due = self.last_hang.is_none_or(|last| now.saturating_duration_since(last) >= REPEAT);
        if let Some(owed) = hang.filter(|_| due) {
            self.last_hang = Some(now);
            let reason = format!(
                "images arrive, and none has been assessed for {:.1} s; max_consecutive_delay is {} s",
                owed.as_secs_f64(),
                live.max_consecutive_delay.as_secs_f64()
            );
            self.log.error(&reason);
            self.report(Validity::Failed, reason)?;
        }
        Ok(())
    }

    /// Publishes a report that assesses no image. Whatever was assessed before no longer counts.
    pub fn report(&self, validity: Validity, reason: String) -> r2r::Result<()> {
        let verdict = {
            let mut state = self.shared.state();
            Verdict {
                stamp: self.shared.now_stamp(),
                camera: state.newest.as_ref().map_or(String::new(), |(_, camera)| camera.clone()),
                validity,
                reason,
                level: state.debounce.fail(),
                report: None,
                thresholds: state.thresholds.clone(),
                decode: None,
                total: None,
                image_age_secs: state.newest.as_ref().and_then(|(stamp, _)| self.shared.age_secs(*stamp)),
                since_arrival: state.watchdog.since_arrival(Instant::now()),
                counts: self.shared.mailbox.counts(),
            }
        };
        debug_assert_eq!(verdict.level, Level::Failure);
        self.reports.send(&verdict)
    }

    /// Publishes the diagnostics.
    pub(crate) fn diagnose(&self) -> r2r::Result<()> {
        self.send(&self.statuses())
    }

    /// Tells whoever reads the diagnostics that there will be no more.
    pub(crate) fn farewell(&self) -> r2r::Result<()> {
        self.report(Validity::Stale, "the node is shutting down".to_owned())?;
        let last = |status: Status| Status {
            severity: Severity::Stale,
            message: "the node is shutting down".to_owned(),
            ..status
        };
        self.send(&self.statuses().map(last))
    }

    fn statuses(&self) -> [Status; 4] {
        let Identity { bundle, hash, model, .. } = self.reports.identity();
        let counts: Counts = self.shared.mailbox.counts();
        let state = self.shared.state().clone();
        statuses(&Snapshot {
            image_age_secs: state.newest.as_ref().and_then(|(stamp, _)| self.shared.age_secs(*stamp)),
            state: &state,
            counts,
            settings: &self.settings,
            live: self.shared.parameters.live(),
            model: &model,
            bundle: (&bundle, &hash),
            now: Instant::now(),
        })
    }

    fn send(&self, statuses: &[Status]) -> r2r::Result<()> {
        let camera = self.shared.state().newest.as_ref().map(|(_, camera)| camera.clone());
        // Diagnostics want a name for the hardware even where there is none.
        let hardware = camera.filter(|camera| !camera.is_empty()).unwrap_or_else(|| "none".to_owned());
        let message = messages::diagnostics(statuses, &self.name, &hardware, self.shared.now_stamp());
        self.announcements.diagnostics(&message)
    }
}

/// Time between ticks.
pub(crate) const TICK: Duration = Duration::from_millis(50);
