//! What must be said on time whether or not images come, inference returns or the bundle ever loads.

use std::time::{Duration, Instant};

use super::diagnostics::{hanging, unlabelled};
use super::lifecycle::{self, Phase};
use super::settings::Live;
use super::state::State;
use super::validity::Validity;
use super::watchdog::{Alarm, Liveness, REPEAT};

/// Something to say that is no report on an image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Saying {
    /// A report.
    Report(Validity, String),
    /// A line in the log.
    Info(String),
    /// A line in the log that deserves attention.
    Warning(String),
    /// A line in the log on what is broken.
    Error(String),
}

/// Remembers what was said last.
#[derive(Clone, Debug)]
pub(crate) struct Vigil {
    was: Liveness,
    last_hang: Option<Instant>,
    /// In which state it was last said that no image is assessed, and when.
    last_idle: Option<(lifecycle::State, Instant)>,
    /// Since when images come without a break.
    alive_since: Option<Instant>,
    last_unlabelled: Option<Instant>,
    /// Whether each of the warnings about publishers has been given.
    warned: [bool; 2],
}

impl Vigil {
    /// Nothing was said yet.
    pub(crate) fn new() -> Self {
        Self {
            was: Liveness::Waiting,
            last_hang: None,
            last_idle: None,
            alive_since: None,
            last_unlabelled: None,
            warned: [false; 2],
        }
    }

    /// What is due at `now`.
    pub(crate) fn due(&mut self, state: &mut State, live: Live, now: Instant) -> Vec<Saying> {
        let mut sayings = self.publishers(state, now);
        if !state.phase.is_active() {
            sayings.extend(self.idle(&state.phase, live, now));
            return sayings;
        }
        if self.last_idle.take().is_some() && state.begins_anew() {
            (self.was, self.last_hang, self.alive_since) = (Liveness::Waiting, None, None);
        }
        self.liveness(state, live, now, &mut sayings);
        sayings.extend(self.labels(state, live, now));
        self.hang(state, live, now, &mut sayings);
        if !sayings.iter().any(|saying| matches!(saying, Saying::Report(..))) {
            sayings.extend(pending(state, live, now));
        }
        sayings
    }

    /// Images that come without the labels that are to be assessed.
    fn labels(&mut self, state: &State, live: Live, now: Instant) -> Option<Saying> {
        let since = match self.was {
            Liveness::Alive => *self.alive_since.get_or_insert(now),
            _ => {
                self.alive_since = None;
                return None;
            }
        };
        let silence =
            unlabelled(state, live, since, now).filter(|_| is_due(&mut self.last_unlabelled, now))?;
        Some(Saying::Report(Validity::Unlabelled, silence))
    }

    /// Each warning once.
    fn publishers(&mut self, state: &State, now: Instant) -> Vec<Saying> {
        let Some(publishers) = state.publishers else { return Vec::new() };
        let warnings = publishers.warnings(now).into_iter().zip(&mut self.warned);
        let new = |(warning, warned): (Option<String>, &mut bool)| {
            warning.filter(|_| !std::mem::replace(warned, true)).map(Saying::Warning)
        };
        warnings.filter_map(new).collect()
    }

    /// Images that come meanwhile change nothing, nor does their absence: none is assessed. A new state is told at once.
    fn idle(&mut self, phase: &Phase, live: Live, now: Instant) -> Option<Saying> {
        let mut last = self.last_idle.filter(|(state, _)| *state == phase.state).map(|(_, at)| at);
        is_due_after(live.report_period.min(REPEAT), &mut last, now).then(|| {
            self.last_idle = Some((phase.state, now));
            Saying::Report(Validity::Starting, phase.told(now))
        })
    }

    fn liveness(&mut self, state: &mut State, live: Live, now: Instant, sayings: &mut Vec<Saying>) {
        let timeout = live.source_timeout.unwrap_or_default().as_secs_f64();
        let liveness = state.watchdog.liveness(now, live.source_timeout);
        match (std::mem::replace(&mut self.was, liveness), liveness) {
            (Liveness::Stale, Liveness::Alive) => {
                sayings.push(Saying::Info("images arrive again".to_owned()))
            }
            (Liveness::Waiting, Liveness::Alive) => {
                sayings.push(Saying::Info("the first image has arrived".to_owned()));
            }
            (Liveness::Alive, Liveness::Stale) => {
                let line = format!("no image for longer than source_timeout ({timeout} s)");
                sayings.push(Saying::Warning(line));
            }
            _ => {}
        }
        let Some(Alarm { liveness, silence }) = state.watchdog.poll(now, live.source_timeout) else { return };
        let silence = silence.as_secs_f64();
        let mut why = state.why_silent(now).map_or(String::new(), |why| format!("; {why}"));
        let heard =
            |timeout| state.labels.last.is_some_and(|last| now.saturating_duration_since(last) <= timeout);
        if live.labels_timeout.is_some_and(heard) {
            why += "; labels still arrive";
        }
        sayings.push(match (liveness, state.self_test.unfit()) {
            (Liveness::Waiting, Some(unfit)) => Saying::Report(Validity::Failed, unfit),
            (Liveness::Waiting, None) => {
                let begin = if state.begins_anew() { "activation" } else { "start" };
                let reason = format!("no image has come in the {silence:.1} s since the {begin}{why}");
                Saying::Report(Validity::Starting, reason)
            }
            (_, _) => Saying::Report(
                Validity::Stale,
                format!("no image for {silence:.1} s; source_timeout allows {timeout} s{why}"),
            ),
        });
    }

    fn hang(&mut self, state: &State, live: Live, now: Instant, sayings: &mut Vec<Saying>) {
        let Some(owed) = hanging(state, live, now).filter(|_| is_due(&mut self.last_hang, now)) else {
            return;
        };
        let reason = format!(
            "images arrive, and none has been assessed for {:.1} s; report_timeout allows {} s",
            owed.as_secs_f64(),
            live.report_timeout.as_secs_f64()
        );
        sayings.push(Saying::Error(reason.clone()));
        sayings.push(Saying::Report(Validity::Failed, reason));
    }
}

/// What is said where nothing else is: no consumer is to wait for longer than it was told.
fn pending(state: &State, live: Live, now: Instant) -> Option<Saying> {
    let silence = now.saturating_duration_since(state.last_said?);
    let in_hand = state.owed_since.map(|since| now.saturating_duration_since(since).as_secs_f64());
    (silence >= live.report_period).then(|| {
        let why = match in_hand {
            Some(seconds) => format!("an image has been in hand for {seconds:.1} s"),
            None => "no image waits to be assessed".to_owned(),
        };
        let (silence, period) = (silence.as_secs_f64(), live.report_period.as_secs_f64());
        Saying::Report(
            Validity::Pending,
            format!("no report for {silence:.1} s, {why}; report_period is {period} s"),
        )
    })
}

/// Whether it is time to say something again; if so, it counts as said.
fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    is_due_after(REPEAT, last, now)
}

fn is_due_after(pause: Duration, last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.saturating_duration_since(last) >= pause);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bundle::Thresholds;
    use crate::watch::parameters::{Parameters, Value};
    use crate::watch::publishers::{Publishers, Seen};
    use crate::watch::state::Gate;
    use crate::watch::state::tests::state;

    fn live(overrides: &[(&str, f64)]) -> Live {
        let overrides = overrides.iter().map(|&(name, value)| (name, Value::Double(value)));
        Parameters::with_overrides(overrides).unwrap().settings().live
    }

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// When reports of each validity are due in so many milliseconds, asked every 50.
    fn reports(state: &mut State, live: Live, start: Instant, end: u64) -> Vec<(u64, Validity)> {
        let mut vigil = Vigil::new();
        let mut said = Vec::new();
        for at in (0..=end).step_by(50) {
            for saying in vigil.due(state, live, start + ms(at)) {
                if let Saying::Report(validity, _) = saying {
                    said.push((at, validity));
                }
            }
        }
        said
    }

    #[test]
    fn a_hang_is_said_at_report_timeout_whatever_max_consecutive_delay_is() {
        let start = Instant::now();
        for delay in [0.0, 1.0, 3600.0] {
            let live =
                live(&[("max_consecutive_delay", delay), ("report_timeout", 2.0), ("source_timeout", 0.0)]);
            let mut state = state(start);
            state.watchdog.feed(start);
            state.owed_since = Some(start);
            let failed = [2050, 2550, 3050].map(|at| (at, Validity::Failed));
            assert_eq!(reports(&mut state, live, start, 3100), failed, "{delay}");
        }
    }

    #[test]
    fn what_the_graph_shows_is_in_the_reason_and_each_warning_comes_once() {
        let start = Instant::now();
        let (mut vigil, mut state) = (Vigil::new(), state(start));
        let two = Seen { raw: 2, compressed: 0, namesakes: 1 };
        state.publishers = Some(Publishers::after(None, two, start));
        let (mut warnings, mut reasons) = (0, Vec::new());
        for at in (0..=40_000).step_by(500) {
            for saying in vigil.due(&mut state, live(&[]), start + ms(at)) {
                match saying {
                    Saying::Warning(_) => warnings += 1,
                    Saying::Report(_, reason) => reasons.push(reason),
                    _ => {}
                }
            }
        }
        assert_eq!(warnings, 2);
        assert!(!reasons[0].contains("publisher"), "{}", reasons[0]);
        assert!(reasons[80].ends_with("; 2 publishers matched, no data: QoS, shared memory or fragments"));
        state.publishers = Some(Publishers::after(None, Seen::default(), start));
        let saying = vigil.due(&mut state, live(&[]), start + ms(41_000)).remove(0);
        assert!(matches!(saying, Saying::Report(_, reason) if reason.ends_with("; there is no publisher")));
    }

    #[test]
    fn something_is_said_in_every_period_whatever_hangs() {
        let start = Instant::now();
        let live = live(&[("source_timeout", 0.), ("report_timeout", 2.)]);
        let mut state = state(start);
        state.watchdog.feed(start);
        (state.owed_since, state.last_said) = (Some(start), Some(start));
        let (mut vigil, mut said) = (Vigil::new(), Vec::new());
        for at in (0..4000).step_by(50) {
            for saying in vigil.due(&mut state, live, start + ms(at)) {
                if let Saying::Report(validity, _) = saying {
                    state.last_said = Some(start + ms(at));
                    said.push((at, validity));
                }
            }
        }
        let gaps = said.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(said[0].0 <= 500 && gaps.max().unwrap() <= 500, "{said:?}");
        let (before, after): (Vec<_>, Vec<_>) = said.into_iter().partition(|(at, _)| *at <= 2000);
        assert!(before.iter().all(|(_, validity)| *validity == Validity::Pending), "{before:?}");
        assert!(after.iter().all(|(_, validity)| *validity == Validity::Failed), "{after:?}");
    }

    #[test]
    fn labels_that_stop_while_the_camera_runs_are_told_from_a_camera_that_stops() {
        let start = Instant::now();
        let overrides =
            [("segmentation", Value::Text("topic".into())), ("labels.timeout", Value::Double(1.))];
        let live = Parameters::with_overrides(overrides).unwrap().settings().live;
        let (mut vigil, mut state) = (Vigil::new(), state(start));
        let mut told = Vec::new();
        for at in (0..6000).step_by(50) {
            let now = start + ms(at);
            if at < 4000 {
                state.watchdog.feed(now);
            }
            // Labels come until 1 s, and again from 5 s on, when no image does.
            if !(1000..5000).contains(&at) {
                state.labels.last = Some(now);
                state.labels.matched = if at < 1000 { Some(now) } else { state.labels.matched };
            }
            let sayings = vigil.due(&mut state, live, now);
            told.extend(sayings.into_iter().filter_map(|saying| match saying {
                Saying::Report(validity, reason) => Some((at, validity, reason)),
                _ => None,
            }));
        }
        let first = |wanted| told.iter().find(|(_, validity, _)| *validity == wanted).unwrap();
        let (at, _, reason) = first(Validity::Unlabelled);
        assert_eq!(
            (*at, reason.as_str()),
            (2000, "images arrive without labels for 1.1 s; labels.timeout allows 1 s")
        );
        let (at, _, reason) = first(Validity::Stale);
        assert!((4450..=4550).contains(at) && !reason.contains("labels"), "{at}: {reason}");
        assert!(told.last().unwrap().2.ends_with("; labels still arrive"), "{:?}", told.last());
        let unlabelled = told.iter().filter(|(_, validity, _)| *validity == Validity::Unlabelled);
        assert!(unlabelled.clone().count() >= 4 && unlabelled.clone().all(|(at, _, _)| *at < 4600));
    }

    #[test]
    fn labels_that_belong_to_no_image_are_told_why() {
        let start = Instant::now();
        let live = Parameters::with_overrides([("segmentation", Value::Text("topic".into()))])
            .unwrap()
            .settings()
            .live;
        let mut state = state(start);
        state.labels.last = Some(start + ms(2000));
        state.labels.why = Some("they are late".into());
        let reason = unlabelled(&state, live, start, start + ms(2000)).unwrap();
        assert_eq!(reason, "labels arrive, and for 2.0 s none has belonged to an image: they are late");
        assert_eq!(unlabelled(&state, live, start, start + ms(900)), None);
    }

    #[test]
    fn while_the_bundle_loads_it_is_starting_even_if_images_come() {
        let start = Instant::now();
        let mut state = State::new(Thresholds::unknown(), start);
        state.watchdog.feed(start);
        state.owed_since = Some(start);
        let said = reports(&mut state, live(&[]), start, 20_000);
        assert_eq!(said.len(), 41, "every half second");
        assert!(said.iter().all(|(_, validity)| *validity == Validity::Starting));
        // Loaded: the report on the image that waited is due from now on.
        let later = start + ms(20_000);
        state.loaded(later);
        state.watchdog.feed(later);
        let live = live(&[("source_timeout", 0.0)]);
        assert_eq!(reports(&mut state, live, later, 5100), [(5050, Validity::Failed)]);
    }

    #[test]
    fn while_nothing_is_assessed_the_camera_may_be_silent_and_the_state_is_told_at_once() {
        let start = Instant::now();
        let (mut vigil, mut state, live) = (Vigil::new(), state(start), live(&[]));
        state.watchdog.feed(start);
        assert!(vigil.due(&mut state, live, start).iter().all(|saying| matches!(saying, Saying::Info(_))));
        let mut said = Vec::new();
        for at in (50..=3000).step_by(50) {
            let now = start + ms(at);
            match at {
                100 => state.phase = Phase::new(lifecycle::State::Deactivating, now),
                200 => state.phase = Phase::new(lifecycle::State::Inactive, now),
                2000 => {
                    state.begin_anew(now);
                    state.gate = Gate::OpenSince(now);
                    state.loaded(now);
                }
                _ => {}
            }
            for saying in vigil.due(&mut state, live, now) {
                let Saying::Report(validity, reason) = saying else { panic!("{at}: {saying:?}") };
                assert_eq!(validity, Validity::Starting, "{at}");
                said.push((at, reason));
            }
        }
        let (inactive, others): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|(_, reason)| reason == "inactive: ~/change_state activate starts it");
        assert_eq!(inactive.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [200, 700, 1200, 1700]);
        assert_eq!(others[0], (100, "deactivating, for 0.0 s so far: no image is taken up".to_owned()));
        assert_eq!(others[1], (2000, "no image has come in the 0.0 s since the activation".to_owned()));
        assert_eq!(others.len(), 4, "{others:?}");
    }

    #[test]
    fn while_the_bundle_loads_too_something_is_said_in_every_period() {
        let start = Instant::now();
        let mut state = State::new(Thresholds::unknown(), start);
        let said = reports(&mut state, live(&[("report_period", 0.2)]), start, 1000);
        assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 200, 400, 600, 800, 1000]);
    }

    #[test]
    fn a_camera_that_died_while_the_bundle_loaded_is_stale() {
        let start = Instant::now();
        let mut state = State::new(Thresholds::unknown(), start);
        state.watchdog.feed(start);
        state.loaded(start + ms(9000));
        assert_eq!(reports(&mut state, live(&[]), start + ms(9000), 0), [(0, Validity::Stale)]);
    }
}
