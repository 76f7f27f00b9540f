//! What the transitions of the lifecycle do: the bundle loaded and given up, assessing begun and ended.
//!
//! Everything here happens on the main thread, a step a tick; what takes long is waited for without standing still.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::assessing::assess;
use super::error::NodeError;
use super::lifecycle::Lifecycle;
use super::loading::{Prepared, prepare};
use super::log::Log;
use super::output::{Announcements, Identity};
use super::station::Station;
use crate::frame::Stamp;
use crate::model::bundle::Thresholds;
use crate::watch::lifecycle::{ACTIVATE, CONFIGURE, Outcome, SHUTDOWN, State};
use crate::watch::settings::Settings;
use crate::watch::shared::Shared;
use crate::watch::stream::Session;
use crate::watch::workers::Workers;

/// How long the end waits for each thread, and the frame that it has in hand.
pub(crate) const SHUTDOWN_LIMIT: Duration = Duration::from_millis(1500);

/// How long a node that was asked to end says that it is finalized.
const FAREWELL: Duration = Duration::from_secs(1);

/// The node between its states.
pub(crate) struct Managed {
    settings: Settings,
    stations: Vec<Station>,
    announcements: Announcements,
    lifecycle: Lifecycle,
    log: Log,
    /// Parameters that cannot be used.
    refused: Option<NodeError>,
    /// Whether it is on its way to active by itself: then what fails ends it.
    starting: bool,
    loading: Option<Loading>,
    prepared: Option<Prepared>,
    assessing: Workers,
    /// Since when the state is what it is, where it was asked to end.
    ending: Option<Instant>,
}

/// A thread between a bundle and networks that have run once.
struct Loading {
    worker: Workers,
    outcome: Receiver<Result<Prepared, NodeError>>,
}

impl Managed {
    /// Unconfigured, and where autostart says so on its way to active.
    pub(crate) fn new(
        settings: Settings,
        stations: Vec<Station>,
        announcements: Announcements,
        lifecycle: Lifecycle,
        log: Log,
        refused: Option<NodeError>,
    ) -> Self {
        let starting = settings.autostart && lifecycle.begin(CONFIGURE.label).is_ok();
        let found = Self {
            settings,
            stations,
            announcements,
            lifecycle,
            log,
            refused,
            starting,
            loading: None,
            prepared: None,
            assessing: Workers::default(),
            ending: None,
        };
        if !starting {
            found.cameras().for_each(Shared::deactivate);
            found.log.info("autostart is false: ~/change_state configure loads the bundle");
        }
        found
    }

    /// Whether it has not been active yet, and is on its way there by itself.
    pub(crate) fn is_starting(&self) -> bool {
        self.starting
    }

    /// Does what is next. Gives something once the node is to end.
    pub(crate) fn step(&mut self) -> Result<Option<()>, NodeError> {
        match self.lifecycle.state() {
            State::Unconfigured | State::Inactive => {}
            State::Active => {
                if let Some(name) = self.assessing.ended() {
                    return Err(NodeError::ThreadEnded(name));
                }
            }
            State::Configuring => self.configuring()?,
            State::Activating => self.activating()?,
            State::Deactivating if self.is_at_rest() => self.end(Outcome::Success, None),
            State::CleaningUp => {
                self.free();
                self.end(Outcome::Success, None);
            }
            State::ErrorProcessing if self.is_at_rest() => {
                self.free();
                self.end(Outcome::Success, None);
            }
            State::ShuttingDown => {
                let since = *self.ending.get_or_insert_with(Instant::now);
                if self.is_at_rest() || since.elapsed() > SHUTDOWN_LIMIT {
                    self.ending = None;
                    self.end(Outcome::Success, None);
                }
            }
            State::Deactivating | State::ErrorProcessing => {}
            State::Finalized => {
                let since = *self.ending.get_or_insert_with(Instant::now);
                return Ok((since.elapsed() > FAREWELL).then_some(()));
            }
        }
        Ok(None)
    }

    /// Ends what is in hand, for good, and says so where the lifecycle has words for it.
    pub(crate) fn finish(&mut self) {
        let [shutdown, ..] = SHUTDOWN;
        let is_told = self.lifecycle.begin(shutdown.label).is_ok();
        self.cameras().for_each(Shared::deactivate);
        std::mem::take(&mut self.assessing).join_within(SHUTDOWN_LIMIT);
        if is_told {
            self.lifecycle.end(Outcome::Success, None);
        }
    }

    /// Waits for the bundle, where one is loading, but no longer than `limit`.
    pub(crate) fn join_loading(self, limit: Duration) {
        if let Some(Loading { worker, .. }) = self.loading {
            worker.join_within(limit);
        }
    }

    fn cameras(&self) -> impl Iterator<Item = &Shared> {
        self.stations.iter().map(|station| station.shared.as_ref())
    }

    fn end(&self, outcome: Outcome, trouble: Option<String>) {
        self.lifecycle.end(outcome, trouble);
        if !self.starting {
            self.log.info(&format!("the node is {} now", self.lifecycle.state().label()));
        }
    }

    fn configuring(&mut self) -> Result<(), NodeError> {
        let outcome = match &self.loading {
            None => match self.load() {
                Ok(loading) => {
                    self.loading = Some(loading);
                    return Ok(());
                }
                Err(error) => Err(error),
            },
            Some(Loading { outcome, .. }) => match outcome.try_recv() {
                Ok(outcome) => outcome,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => Err(NodeError::ThreadEnded("loading")),
            },
        };
        self.loading = None;
        match outcome.and_then(|prepared| self.take(prepared)) {
            Ok(()) => {
                self.end(Outcome::Success, None);
                self.starting = self.starting && self.lifecycle.begin(ACTIVATE.label).is_ok();
                if !self.starting {
                    // Also where somebody was faster with another wish: no image waits for an activation.
                    self.cameras().for_each(Shared::deactivate);
                }
            }
            Err(error) if self.starting => {
                self.lifecycle.end(Outcome::Failure, Some(error.to_string()));
                return Err(error);
            }
            Err(error) => {
                self.log.error(&error.to_string());
                let outcome = match error {
                    NodeError::ThreadEnded(_) => Outcome::Error,
                    _ => Outcome::Failure,
                };
                self.free();
                self.end(outcome, Some(error.to_string()));
            }
        }
        Ok(())
    }

    /// Starts to load the bundle.
    fn load(&mut self) -> Result<Loading, NodeError> {
        let (to_main, outcome) = sync_channel(1);
        let cameras: Vec<_> = self.stations.iter().map(|station| station.shared.clone()).collect();
        let (refused, settings, log) = (self.refused.take(), self.settings.clone(), self.log.clone());
        let prepare = move || match refused {
            Some(error) => Err(error),
            None => prepare(&settings, &cameras, &log),
        };
        let mut worker = Workers::default();
        // Nobody waits any more where a signal came first.
        worker.spawn("loading", move || drop(to_main.send(prepare())))?;
        Ok(Loading { worker, outcome })
    }

    fn take(&mut self, prepared: Prepared) -> Result<(), NodeError> {
        let stamp = self.cameras().next().map_or_else(Stamp::default, Shared::now_stamp);
        self.announcements.label_info(&prepared.labels, stamp)?;
        self.announcements.model_info(&prepared.model_info)?;
        self.stations.iter().for_each(|station| station.reports.identify(prepared.identity.clone()));
        self.prepared = Some(prepared);
        Ok(())
    }

    fn activating(&mut self) -> Result<(), NodeError> {
        let Some(prepared) = &self.prepared else {
            self.end(Outcome::Error, Some("no bundle is loaded".to_owned()));
            return Ok(());
        };
        self.cameras().for_each(Shared::activate);
        self.log.info(&format!("ready: {}", prepared.identity.model));
        let sessions = prepared.sessions.iter().map(Session::anew).collect();
        match assess(&mut self.assessing, sessions, &self.stations, &self.log) {
            Ok(()) => {
                self.end(Outcome::Success, None);
                self.starting = false;
            }
            Err(error) if self.starting => return Err(error.into()),
            Err(error) => {
                self.log.error(&error.to_string());
                self.end(Outcome::Error, Some(error.to_string()));
            }
        }
        Ok(())
    }

    /// Takes up no more images; whether none is in hand any more.
    fn is_at_rest(&mut self) -> bool {
        self.cameras().for_each(Shared::deactivate);
        let is_at_rest = self.assessing.have_ended();
        if is_at_rest {
            self.assessing = Workers::default();
            self.cameras().for_each(|shared| shared.state().begin_anew(Instant::now()));
        }
        is_at_rest
    }

    /// Gives the networks back, and all that was known of them.
    fn free(&mut self) {
        self.prepared = None;
        for Station { shared, reports, .. } in &self.stations {
            reports.identify(Identity::default());
            // Limits that are not known are in order with any others.
            let _ = shared.parameters.calibrate(&Thresholds::unknown());
            let mut state = shared.state();
            state.calibrated = Thresholds::unknown();
            state.self_test.forget();
        }
    }
}
