//! The node's lifecycle as others see it: the services and the topic of a managed node, which the client library does
//! not have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use r2r::lifecycle_msgs::msg;
use r2r::lifecycle_msgs::srv::{ChangeState, GetAvailableStates, GetAvailableTransitions, GetState};
use r2r::{Node, Publisher, QosProfile, ServiceRequest};

use super::log::{Log, Throttle};
use super::questions::Questions;
use crate::watch::lifecycle::{Machine, Outcome, Phase, Refused, State, Transition, graph};
use crate::watch::shared::{NodeClock, Shared};

/// Where the node is; whatever changes that is told at once, to all cameras and on `~/transition_event`.
#[derive(Clone)]
pub(crate) struct Lifecycle {
    machine: Arc<Mutex<Machine>>,
    events: Publisher<msg::TransitionEvent>,
    cameras: Arc<[Arc<Shared>]>,
    clock: NodeClock,
}

impl Lifecycle {
    /// Announces the topic; the node is unconfigured.
    pub(crate) fn create(
        node: &mut Node,
        cameras: impl Iterator<Item = Arc<Shared>>,
        clock: NodeClock,
    ) -> r2r::Result<Self> {
        let events = node.create_publisher("~/transition_event", QosProfile::default())?;
        let machine = Machine::new();
        let found = Self {
            machine: Arc::new(Mutex::new(machine.clone())),
            events,
            cameras: cameras.collect(),
            clock,
        };
        found.settle(&machine, None);
        Ok(found)
    }

    /// Where the node is.
    pub(crate) fn state(&self) -> State {
        self.lock().state()
    }

    /// Begins a transition that somebody asks for by its name.
    pub(crate) fn begin(&self, transition: &str) -> Result<u64, Refused> {
        self.ask(0, transition)
    }

    fn ask(&self, id: u8, label: &str) -> Result<u64, Refused> {
        let mut machine = self.lock();
        let (arrow, number) = machine.ask(id, label)?;
        self.settle(&machine, None);
        self.tell(arrow);
        Ok(number)
    }

    /// Ends the one that is under way; `trouble` says why it did not succeed, if it did not.
    pub(crate) fn end(&self, outcome: Outcome, trouble: Option<String>) {
        let mut machine = self.lock();
        if let Some(arrow) = machine.end(outcome) {
            let of_before = || self.cameras.first().and_then(|shared| shared.state().phase.trouble.clone());
            let trouble = match arrow.start {
                State::ErrorProcessing => trouble.or_else(of_before),
                _ => trouble,
            };
            self.settle(&machine, trouble);
            self.tell(arrow);
        }
    }

    /// Every camera's reports and diagnostics say it from now on.
    fn settle(&self, machine: &Machine, trouble: Option<String>) {
        let phase = Phase { trouble, ..Phase::new(machine.state(), Instant::now()) };
        self.cameras.iter().for_each(|shared| shared.state().phase = phase.clone());
    }

    fn tell(&self, arrow: Transition) {
        let now = (self.clock)().map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        let event = msg::TransitionEvent {
            timestamp: now,
            transition: transition(arrow),
            start_state: state(arrow.start),
            goal_state: state(arrow.goal),
        };
        // Whoever missed it can ask.
        let _ = self.events.publish(&event);
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The services, and what waits for the end of a transition.
pub(crate) struct LifecycleServices {
    change: Questions<ChangeState::Service>,
    state: Questions<GetState::Service>,
    states: Questions<GetAvailableStates::Service>,
    transitions: Questions<GetAvailableTransitions::Service>,
    graph: Questions<GetAvailableTransitions::Service>,
    waiting: Option<Waiting>,
    throttle: Throttle,
}

struct Waiting {
    request: ServiceRequest<ChangeState::Service>,
    /// The number of the transition that answers it.
    number: u64,
    since: Instant,
}

impl LifecycleServices {
    /// Offers them.
    pub(crate) fn create(node: &mut Node) -> r2r::Result<Self> {
        Ok(Self {
            change: Questions::create(node, "change_state")?,
            state: Questions::create(node, "get_state")?,
            states: Questions::create(node, "get_available_states")?,
            transitions: Questions::create(node, "get_available_transitions")?,
            graph: Questions::create(node, "get_transition_graph")?,
            waiting: None,
            throttle: Throttle::default(),
        })
    }

    /// Begins what is asked for, and answers what has been answered by now.
    pub(crate) fn answer(&mut self, lifecycle: &Lifecycle, log: &Log) {
        self.change_state(lifecycle, log);
        let machine = lifecycle.lock().clone();
        self.state.answer(log, |_| GetState::Response { current_state: state(machine.state()) });
        self.states.answer(log, |_| GetAvailableStates::Response { available_states: states() });
        let described = |arrows: &mut dyn Iterator<Item = Transition>| GetAvailableTransitions::Response {
            available_transitions: arrows.map(description).collect(),
        };
        self.transitions.answer(log, |_| described(&mut machine.available()));
        self.graph.answer(log, |_| described(&mut graph()));
    }

    /// Answered once the transition has ended, as other nodes do it.
    fn change_state(&mut self, lifecycle: &Lifecycle, log: &Log) {
        let now = Instant::now();
        if let Some(waiting) = self.waiting.take() {
            let waited = now.saturating_duration_since(waiting.since);
            let done = { lifecycle.lock().answer(waiting.number, waited) };
            match done {
                Some(success) => self.change.reply(waiting.request, ChangeState::Response { success }),
                None => self.waiting = Some(waiting),
            }
        }
        while let Some(request) = self.change.next() {
            let asked = &request.message.transition;
            let begun = match &self.waiting {
                Some(_) => Err("another transition is under way".to_owned()),
                None => lifecycle.ask(asked.id, &asked.label).map_err(|refused| refused.to_string()),
            };
            match begun {
                Ok(number) => self.waiting = Some(Waiting { request, number, since: now }),
                Err(refused) => {
                    if self.throttle.allows(now) {
                        log.warn(&format!("~/change_state: {refused}"));
                    }
                    self.change.reply(request, ChangeState::Response { success: false });
                }
            }
        }
        self.change.send(log);
    }
}

fn state(state: State) -> msg::State {
    msg::State { id: state.id(), label: state.label().to_owned() }
}

fn transition(Transition { id, label, .. }: Transition) -> msg::Transition {
    msg::Transition { id, label: label.to_owned() }
}

fn description(arrow: Transition) -> msg::TransitionDescription {
    msg::TransitionDescription {
        transition: transition(arrow),
        start_state: state(arrow.start),
        goal_state: state(arrow.goal),
    }
}

/// All states, and the one in which a node is not known to be.
fn states() -> Vec<msg::State> {
    let unknown = msg::State { id: msg::State::PRIMARY_STATE_UNKNOWN as u8, label: "unknown".to_owned() };
    std::iter::once(unknown).chain(State::ALL.map(state)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_the_message_definitions() {
        use msg::State as S;
        use msg::Transition as T;
        let states = [
            (State::Unconfigured, S::PRIMARY_STATE_UNCONFIGURED as u8),
            (State::Inactive, S::PRIMARY_STATE_INACTIVE as u8),
            (State::Active, S::PRIMARY_STATE_ACTIVE as u8),
            (State::Finalized, S::PRIMARY_STATE_FINALIZED as u8),
            (State::Configuring, S::TRANSITION_STATE_CONFIGURING as u8),
            (State::CleaningUp, S::TRANSITION_STATE_CLEANINGUP as u8),
            (State::ShuttingDown, S::TRANSITION_STATE_SHUTTINGDOWN as u8),
            (State::Activating, S::TRANSITION_STATE_ACTIVATING as u8),
            (State::Deactivating, S::TRANSITION_STATE_DEACTIVATING as u8),
            (State::ErrorProcessing, S::TRANSITION_STATE_ERRORPROCESSING as u8),
        ];
        assert_eq!(states.len(), State::ALL.len());
        for (ours, theirs) in states {
            assert_eq!(ours.id(), theirs, "{ours:?}");
        }
        let theirs = [
            T::TRANSITION_CONFIGURE as u8,
            T::TRANSITION_CLEANUP as u8,
            T::TRANSITION_ACTIVATE as u8,
            T::TRANSITION_DEACTIVATE as u8,
            T::TRANSITION_UNCONFIGURED_SHUTDOWN as u8,
            T::TRANSITION_INACTIVE_SHUTDOWN as u8,
            T::TRANSITION_ACTIVE_SHUTDOWN as u8,
            T::TRANSITION_ON_CONFIGURE_SUCCESS as u8,
            T::TRANSITION_ON_CONFIGURE_FAILURE as u8,
            T::TRANSITION_ON_CONFIGURE_ERROR as u8,
            T::TRANSITION_ON_CLEANUP_SUCCESS as u8,
            T::TRANSITION_ON_CLEANUP_FAILURE as u8,
            T::TRANSITION_ON_CLEANUP_ERROR as u8,
            T::TRANSITION_ON_ACTIVATE_SUCCESS as u8,
            T::TRANSITION_ON_ACTIVATE_FAILURE as u8,
            T::TRANSITION_ON_ACTIVATE_ERROR as u8,
            T::TRANSITION_ON_DEACTIVATE_SUCCESS as u8,
            T::TRANSITION_ON_DEACTIVATE_FAILURE as u8,
            T::TRANSITION_ON_DEACTIVATE_ERROR as u8,
            T::TRANSITION_ON_SHUTDOWN_SUCCESS as u8,
            T::TRANSITION_ON_SHUTDOWN_FAILURE as u8,
            T::TRANSITION_ON_SHUTDOWN_ERROR as u8,
            T::TRANSITION_ON_ERROR_SUCCESS as u8,
            T::TRANSITION_ON_ERROR_FAILURE as u8,
            T::TRANSITION_ON_ERROR_ERROR as u8,
        ];
        assert_eq!(graph().map(|arrow| arrow.id).collect::<Vec<_>>(), theirs);
    }
}
