//! Log lines to the console and to `/rosout`, where rqt_console looks for them. r2r serves the
//! console only on Jazzy and later.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use r2r::rcl_interfaces::msg::Log as Line;
use r2r::{Node, Publisher, QosProfile};

use super::messages;
use crate::frame::Stamp;
use crate::watch::shared::NodeClock;

/// Writes log lines under the node's name.
#[derive(Clone)]
pub(crate) struct Log {
    name: String,
    clock: NodeClock,
    rosout: Arc<Mutex<Publisher<Line>>>,
}

impl Log {
    /// Announces `/rosout`.
    pub fn create(node: &mut Node, clock: NodeClock) -> r2r::Result<Self> {
        let qos = QosProfile::default().keep_last(1000).transient_local();
        let rosout = Arc::new(Mutex::new(node.create_publisher("/rosout", qos)?));
        Ok(Self { name: node.logger().to_owned(), clock, rosout })
    }

    /// What happened as it should.
    pub fn info(&self, message: &str) {
        let message = messages::text(message);
        r2r::log_info!(&self.name, "{message}");
        self.publish(Line::INFO as u8, message);
    }

    /// What deserves attention.
    pub(crate) fn warn(&self, message: &str) {
        let message = messages::text(message);
        r2r::log_warn!(&self.name, "{message}");
        self.publish(Line::WARN as u8, message);
    }

    /// What is broken.
    pub fn error(&self, message: &str) {
        let message = messages::text(message);
        r2r::log_error!(&self.name, "{message}");
        self.publish(Line::ERROR as u8, message);
    }

    /// What the library has to say.
    pub(crate) fn event(&self, level: tracing::Level, message: &str) {
        match level {
            tracing::Level::ERROR => self.error(message),
            tracing::Level::WARN => self.warn(message),
            _ => self.info(message),
        }
    }

    fn publish(&self, level: u8, msg: String) {
        let now = (self.clock)().unwrap_or_default();
        let stamp = Stamp { sec: now.as_secs() as i32, nanosec: now.subsec_nanos() };
        let line = Line {
            stamp: messages::header(stamp, "").stamp,
            level,
            name: self.name.clone(),
            msg,
            file: String::new(),
            function: String::new(),
            line: 0,
        };
        // The console has it already; there is nobody left to tell.
        let _ = self.rosout.lock().unwrap_or_else(PoisonError::into_inner).publish(&line);
    }
}

/// Lets one line through in a while, so that a fault in every frame does not flood the log.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
}

impl Throttle {
    const PAUSE: Duration = Duration::from_secs(5);

    /// Whether a line may be written at `now`.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let allowed = self.last.is_none_or(|last| now.saturating_duration_since(last) >= Self::PAUSE);
        if allowed {
            self.last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        assert!(throttle.allows(now));
        assert!(!throttle.allows(now + Duration::from_secs(4)));
        assert!(throttle.allows(now + Duration::from_secs(5)));
    }
}
