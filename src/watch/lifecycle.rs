//! The states of a managed node, as ROS 2 designs them: <https://design.ros2.org/articles/node_lifecycle.html>.
//!
//! ```text
//!                  configure            activate
//!   unconfigured ------------> inactive ---------> active
//!                <------------          <---------
//!                   cleanup            deactivate
//!        |                        |                   |
//!        '------------------- shutdown ---------------'---> finalized
//! ```
//!
//! Each arrow passes through a state of its own (configuring, activating, ...), which ends in success, in failure, or in
//! an error that errorprocessing looks after. What an arrow does is done elsewhere; here is what may follow what.

use std::time::{Duration, Instant};

use Outcome::{Error, Failure, Success};
use State::{
    Activating, Active, CleaningUp, Configuring, Deactivating, ErrorProcessing, Finalized, Inactive,
    ShuttingDown, Unconfigured,
};

/// How long an answer to `~/change_state` waits for the end of the transition, which goes on nonetheless.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// The numbers are those of lifecycle_msgs/msg/State.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// No bundle is loaded.
    Unconfigured = 1,
    /// One is, and no image is assessed.
    Inactive = 2,
    /// Images are assessed.
    Active = 3,
    /// The node is about to end.
    Finalized = 4,
    /// The bundle is loading.
    Configuring = 10,
    /// The networks are being given back.
    CleaningUp = 11,
    /// What is in hand is brought to its end, for good.
    ShuttingDown = 12,
    /// Assessing is about to begin.
    Activating = 13,
    /// What is in hand is brought to its end.
    Deactivating = 14,
    /// What an error has left is cleared away.
    ErrorProcessing = 15,
}

impl State {
    /// All that a node can be in.
    pub(crate) const ALL: [Self; 10] = [
        Unconfigured,
        Inactive,
        Active,
        Finalized,
        Configuring,
        CleaningUp,
        ShuttingDown,
        Activating,
        Deactivating,
        ErrorProcessing,
    ];

    /// The number in a message.
    pub(crate) fn id(self) -> u8 {
        self as u8
    }

    /// The name that ROS gives it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Unconfigured => "unconfigured",
            Inactive => "inactive",
            Active => "active",
            Finalized => "finalized",
            Configuring => "configuring",
            CleaningUp => "cleaningup",
            ShuttingDown => "shuttingdown",
            Activating => "activating",
            Deactivating => "deactivating",
            ErrorProcessing => "errorprocessing",
        }
    }

    /// Whether it lasts until somebody asks for another.
    fn is_primary(self) -> bool {
        matches!(self, Unconfigured | Inactive | Active | Finalized)
    }
}

/// How a transition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it was meant to.
    Success,
    /// It could not be done, and nothing is broken.
    Failure,
    /// Something is broken.
    Error,
}

impl Outcome {
    const fn label(self) -> &'static str {
        match self {
            Success => "transition_success",
            Failure => "transition_failure",
            Error => "transition_error",
        }
    }
}

/// One arrow from state to state. The numbers are those of lifecycle_msgs/msg/Transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    /// Its number.
    pub id: u8,
    /// Its name, which others may have as well.
    pub label: &'static str,
    /// Where it begins.
    pub start: State,
    /// Where it leads.
    pub goal: State,
}

const fn transition(id: u8, label: &'static str, start: State, goal: State) -> Transition {
    Transition { id, label, start, goal }
}

/// Those that others may ask for.
pub(crate) const CONFIGURE: Transition = transition(1, "configure", Unconfigured, Configuring);
/// Frees the networks.
pub(crate) const CLEANUP: Transition = transition(2, "cleanup", Inactive, CleaningUp);
/// Begins to assess images.
pub(crate) const ACTIVATE: Transition = transition(3, "activate", Inactive, Activating);
/// Ceases to.
pub(crate) const DEACTIVATE: Transition = transition(4, "deactivate", Active, Deactivating);
/// The end, from wherever the node rests.
pub(crate) const SHUTDOWN: [Transition; 3] = [
    transition(5, "shutdown", Unconfigured, ShuttingDown),
    transition(6, "shutdown", Inactive, ShuttingDown),
    transition(7, "shutdown", Active, ShuttingDown),
];

/// How a transition that is under way ends.
const ENDS: [(Transition, Outcome); 18] = [
    ends(10, Configuring, Success, Inactive),
    ends(11, Configuring, Failure, Unconfigured),
    ends(12, Configuring, Error, ErrorProcessing),
    ends(20, CleaningUp, Success, Unconfigured),
    ends(21, CleaningUp, Failure, Inactive),
    ends(22, CleaningUp, Error, ErrorProcessing),
    ends(30, Activating, Success, Active),
    ends(31, Activating, Failure, Inactive),
    ends(32, Activating, Error, ErrorProcessing),
    ends(40, Deactivating, Success, Inactive),
    ends(41, Deactivating, Failure, Active),
    ends(42, Deactivating, Error, ErrorProcessing),
    ends(50, ShuttingDown, Success, Finalized),
    ends(51, ShuttingDown, Failure, Finalized),
    ends(52, ShuttingDown, Error, ErrorProcessing),
    ends(60, ErrorProcessing, Success, Unconfigured),
    ends(61, ErrorProcessing, Failure, Finalized),
    ends(62, ErrorProcessing, Error, Finalized),
];

const fn ends(id: u8, start: State, outcome: Outcome, goal: State) -> (Transition, Outcome) {
    (transition(id, outcome.label(), start, goal), outcome)
}

/// Those that may be asked for.
const ASKED: [Transition; 7] =
    [CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE, SHUTDOWN[0], SHUTDOWN[1], SHUTDOWN[2]];

/// Every arrow that there is.
pub(crate) fn graph() -> impl Iterator<Item = Transition> {
    ASKED.into_iter().chain(ENDS.into_iter().map(|(transition, _)| transition))
}

/// A transition that is not to be had from here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} is not to be had while the node is {state}; {possible}")]
pub(crate) struct Refused {
    wanted: String,
    state: &'static str,
    possible: String,
}

/// Where the node is, and whether the last that was asked of it was done.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    state: State,
    asked: u64,
    succeeded: bool,
}

impl Machine {
    /// Unconfigured.
    pub(crate) fn new() -> Self {
        Self { state: Unconfigured, asked: 0, succeeded: false }
    }

    /// Where the node is.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// What may be asked for now.
    pub(crate) fn available(&self) -> impl Iterator<Item = Transition> + use<> {
        let state = self.state;
        ASKED.into_iter().filter(move |transition| transition.start == state)
    }

    /// Begins the transition with this label or, where there is none, with this number; gives the arrow and a number by
    /// which to ask for what came of it.
    pub(crate) fn ask(&mut self, id: u8, label: &str) -> Result<(Transition, u64), Refused> {
        let is_meant = |transition: &Transition| match label {
            "" => transition.id == id,
            label => transition.label == label,
        };
        let found = self.available().find(is_meant).ok_or_else(|| self.refused(id, label))?;
        (self.state, self.succeeded) = (found.goal, false);
        self.asked += 1;
        Ok((found, self.asked))
    }

    /// Ends what is under way; gives the arrow. Where nothing is, nothing ends.
    pub(crate) fn end(&mut self, outcome: Outcome) -> Option<Transition> {
        let ends =
            ENDS.into_iter().find(|(transition, how)| transition.start == self.state && *how == outcome);
        let (found, _) = ends?;
        self.succeeded = match self.state {
            // That an error was cleared away is not what was asked for.
            ErrorProcessing => false,
            _ => outcome == Success,
        };
        self.state = found.goal;
        Some(found)
    }

    /// Whether the transition with this number was done, once that is known, or after `waited` for it.
    pub(crate) fn answer(&self, number: u64, waited: Duration) -> Option<bool> {
        match number == self.asked {
            true if self.state.is_primary() => Some(self.succeeded),
            true => (waited > ANSWER_LIMIT).then_some(false),
            // Another one has begun since.
            false => Some(false),
        }
    }

    fn refused(&self, id: u8, label: &str) -> Refused {
        let named = ASKED.iter().find(|transition| transition.id == id).map(|transition| transition.label);
        let wanted = match (label, named) {
            ("", Some(named)) => named.to_owned(),
            ("", None) => format!("transition {id}"),
            (label, _) => crate::quote::quoted(label),
        };
        let possible: Vec<_> = self.available().map(|transition| transition.label).collect();
        let possible = match possible.is_empty() {
            true => "nothing is".to_owned(),
            false => possible.join(", ") + if possible.len() == 1 { " is" } else { " are" },
        };
        Refused { wanted, state: self.state.label(), possible }
    }
}

/// The state as everybody is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// It.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why the last transition did not succeed, if it did not.
    pub trouble: Option<String>,
}

impl Phase {
    /// Since `now`.
    pub(crate) fn new(state: State, now: Instant) -> Self {
        Self { state, since: now, trouble: None }
    }

    /// Whether images are assessed.
    pub(crate) fn is_active(&self) -> bool {
        self.state == Active
    }

    /// Whether networks are at work, or will be soon.
    pub(crate) fn has_networks_at_work(&self) -> bool {
        matches!(self.state, Active | Configuring | Activating)
    }

    /// Why no image is assessed, and what would change that.
    pub(crate) fn told(&self, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        let label = self.state.label();
        let trouble = self.trouble.as_ref().map_or(String::new(), |trouble| format!("{trouble}; "));
        match self.state {
            Unconfigured => format!("{label}: {trouble}~/change_state configure loads the bundle"),
            Inactive => format!("{label}: {trouble}~/change_state activate starts it"),
            Active => "images are assessed".to_owned(),
            Finalized => format!("{label}: the node is about to end"),
            Configuring => format!("the bundle is loading, for {seconds:.1} s so far"),
            CleaningUp | ShuttingDown | Activating | Deactivating | ErrorProcessing => {
                format!("{label}, for {seconds:.1} s so far: no image is taken up")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that has been brought there.
    fn machine(state: State) -> Machine {
        Machine { state, ..Machine::new() }
    }

    fn asked(from: State, label: &str) -> Option<State> {
        let mut machine = machine(from);
        let by_label = machine.ask(0, label).ok().map(|(transition, _)| transition);
        assert_eq!(by_label.map(|transition| transition.goal), by_label.map(|_| machine.state()));
        by_label.map(|transition| transition.goal)
    }

    #[test]
    fn what_may_be_asked_for_is_what_the_design_allows_and_nothing_else() {
        let allowed = [
            (Unconfigured, "configure", Configuring),
            (Unconfigured, "shutdown", ShuttingDown),
            (Inactive, "cleanup", CleaningUp),
            (Inactive, "activate", Activating),
            (Inactive, "shutdown", ShuttingDown),
            (Active, "deactivate", Deactivating),
            (Active, "shutdown", ShuttingDown),
        ];
        for from in State::ALL {
            for label in [
                "configure",
                "cleanup",
                "activate",
                "deactivate",
                "shutdown",
                "destroy",
                "transition_success",
            ] {
                let goal = allowed.iter().find(|(start, name, _)| (*start, *name) == (from, label));
                assert_eq!(asked(from, label), goal.map(|(_, _, goal)| *goal), "{label} from {from:?}");
            }
            // By number: the same arrows, one of each number.
            for id in 0..=u8::MAX {
                let arrow = ASKED.iter().find(|transition| transition.id == id && transition.start == from);
                let found = machine(from).ask(id, "").ok().map(|(transition, _)| transition);
                assert_eq!(found.as_ref(), arrow, "{id} from {from:?}");
            }
        }
    }

    #[test]
    fn every_transition_ends_as_the_design_says() {
        use Outcome::{Error, Failure, Success};
        for (from, [success, failure, error]) in [
            (Configuring, [Inactive, Unconfigured, ErrorProcessing]),
            (CleaningUp, [Unconfigured, Inactive, ErrorProcessing]),
            (Activating, [Active, Inactive, ErrorProcessing]),
            (Deactivating, [Inactive, Active, ErrorProcessing]),
            (ShuttingDown, [Finalized, Finalized, ErrorProcessing]),
            (ErrorProcessing, [Unconfigured, Finalized, Finalized]),
        ] {
            for (outcome, goal) in [(Success, success), (Failure, failure), (Error, error)] {
                let mut machine = machine(from);
                let arrow = machine.end(outcome).unwrap();
                assert_eq!((arrow.start, arrow.goal, machine.state()), (from, goal, goal), "{outcome:?}");
                assert_eq!(arrow.label, outcome.label());
            }
        }
        for at_rest in [Unconfigured, Inactive, Active, Finalized] {
            for outcome in [Success, Failure, Error] {
                let mut machine = machine(at_rest);
                assert_eq!((machine.end(outcome), machine.state()), (None, at_rest));
            }
        }
    }

    #[test]
    fn the_graph_has_every_arrow_once() {
        let arrows: Vec<_> = graph().collect();
        assert_eq!(arrows.len(), 25);
        for (i, arrow) in arrows.iter().enumerate() {
            assert!(arrows[..i].iter().all(|other| other.id != arrow.id), "{arrow:?}");
        }
    }

    #[test]
    fn a_label_beats_a_number() {
        let mut machine = machine(Inactive);
        assert_eq!(machine.ask(ACTIVATE.id, "cleanup").unwrap().0, CLEANUP);
    }

    #[test]
    fn an_answer_waits_for_the_end_but_not_for_ever() {
        let (mut machine, second) = (Machine::new(), Duration::from_secs(1));
        let (_, number) = machine.ask(CONFIGURE.id, "").unwrap();
        assert_eq!(machine.answer(number, second), None);
        assert_eq!(machine.answer(number, ANSWER_LIMIT + second), Some(false));
        machine.end(Outcome::Success);
        assert_eq!(machine.answer(number, second), Some(true));
        // One that was refused changes nothing.
        assert!(machine.ask(CONFIGURE.id, "").is_err());
        assert_eq!(machine.answer(number, second), Some(true));
        let (_, next) = machine.ask(ACTIVATE.id, "").unwrap();
        assert_eq!((machine.answer(number, second), machine.answer(next, second)), (Some(false), None));
    }

    #[test]
    fn an_error_that_was_cleared_away_is_no_success() {
        let mut machine = Machine::new();
        let (_, number) = machine.ask(CONFIGURE.id, "").unwrap();
        machine.end(Outcome::Error);
        assert_eq!(machine.answer(number, Duration::ZERO), None, "errorprocessing");
        machine.end(Outcome::Success);
        assert_eq!(machine.state(), Unconfigured);
        assert_eq!(machine.answer(number, Duration::ZERO), Some(false));
    }

    #[test]
    fn what_is_refused_is_named_with_what_is_possible() {
        let said = |from, id, label: &str| machine(from).ask(id, label).unwrap_err().to_string();
        assert_eq!(
            said(Unconfigured, 3, ""),
            "activate is not to be had while the node is unconfigured; configure, shutdown are"
        );
        assert_eq!(
            said(Active, 200, ""),
            "transition 200 is not to be had while the node is active; deactivate, shutdown are"
        );
        assert_eq!(
            said(Configuring, 1, ""),
            "configure is not to be had while the node is configuring; nothing is"
        );
        assert!(said(Active, 0, "a\nb").starts_with(&crate::quote::quoted("a\nb")));
    }

    #[test]
    fn each_state_says_what_would_start_it() {
        let now = Instant::now();
        let told = |state| Phase::new(state, now).told(now + Duration::from_millis(1500));
        assert_eq!(told(Inactive), "inactive: ~/change_state activate starts it");
        assert_eq!(told(Configuring), "the bundle is loading, for 1.5 s so far");
        assert!(told(Deactivating).starts_with("deactivating, for 1.5 s"));
        let failed = Phase { trouble: Some("no bundle".into()), ..Phase::new(Unconfigured, now) };
        assert_eq!(failed.told(now), "unconfigured: no bundle; ~/change_state configure loads the bundle");
    }
}
