//! `~/self_test`: asked of the thread that has the networks, and answered once that has tested them.

use std::time::Instant;

use r2r::std_srvs::srv::Trigger;
use r2r::{Node, ServiceRequest};

use super::log::Log;
use super::questions::Questions;
use super::station::Station;
use crate::monitor::self_test::SelfTested;
use crate::quote::without_nul;

/// The service, and what waits for its answer.
pub(crate) struct SelfTestService {
    questions: Questions<Trigger::Service>,
    waiting: Vec<Waiting>,
}

struct Waiting {
    request: ServiceRequest<Trigger::Service>,
    /// The number of the test that answers it.
    test: u64,
    since: Instant,
}

impl SelfTestService {
    /// Offers it.
    pub fn create(node: &mut Node) -> r2r::Result<Self> {
        Ok(Self { questions: Questions::create(node, "self_test")?, waiting: Vec::new() })
    }

    /// Asks for a test where one is wanted, and answers those who have waited.
    ///
    /// One test serves all cameras: the networks are the same.
    pub(crate) fn answer(&mut self, stations: &[Station], log: &Log) {
        let Some(Station { shared, .. }) = stations.first() else { return };
        let now = Instant::now();
        while let Some(request) = self.questions.next() {
            let phase = shared.state().phase.clone();
            if !phase.has_networks_at_work() {
                let message = without_nul(&format!("no self-test is made: {}", phase.told(now)));
                self.questions.reply(request, Trigger::Response { success: false, message });
                continue;
            }
            let test = shared.state().self_test.ask();
            for Station { shared, .. } in &stations[1..] {
                shared.state().self_test.ask();
            }
            self.waiting.push(Waiting { request, test, since: now });
        }
        let limit = shared.parameters.live().report_timeout;
        for waiting in std::mem::take(&mut self.waiting) {
            let waited = now.saturating_duration_since(waiting.since);
            let outcome = shared.state().self_test.outcome_of(waiting.test).cloned();
            let response = match outcome {
                Some(outcome) => Trigger::Response {
                    success: matches!(outcome, SelfTested::Passed(_)),
                    message: without_nul(&outcome.told()),
                },
                None if waited > limit => Trigger::Response {
                    success: false,
                    message: format!(
                        "no self-test has been made in {:.1} s: inference does not return, or the bundle is loading",
                        waited.as_secs_f64()
                    ),
                },
                None => {
                    self.waiting.push(waiting);
                    continue;
                }
            };
            self.questions.reply(waiting.request, response);
        }
        self.questions.send(log);
    }
}
