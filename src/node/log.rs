//! Log lines to the console and to `/rosout`, where rqt_console looks for them. r2r serves the
//! console only on Jazzy and later.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use r2r::rcl_interfaces::msg::Log as Line;
use r2r::{Node, Publisher, QosProfile};

use super::messages;
use crate::frame::Stamp;
use crate::quote::without_nul;
use crate::watch::cameras::Camera;
use crate::watch::shared::NodeClock;

/// Writes log lines under the node's name.
#[derive(Clone)]
pub(crate) struct Log {
    name: String,
    camera: Camera,
    clock: NodeClock,
    rosout: Arc<Mutex<Publisher<Line>>>,
}

impl Log {
    /// Announces `/rosout`.
    pub fn create(node: &mut Node, clock: NodeClock) -> r2r::Result<Self> {
        let qos = QosProfile::default().keep_last(1000).transient_local();
        let rosout = Arc::new(Mutex::new(node.create_publisher("/rosout", qos)?));
        Ok(Self { name: node.logger().to_owned(), camera: Camera::default(), clock, rosout })
    }

    /// The same, for lines about this camera.
    pub(crate) fn about(&self, camera: &Camera) -> Self {
        Self { camera: camera.clone(), ..self.clone() }
    }

    /// What happened as it should.
    pub fn info(&self, message: &str) {
        let message = without_nul(&self.camera.line(message));
        r2r::log_info!(&self.name, "{message}");
        self.publish(Line::INFO as u8, message);
    }

    /// What deserves attention.
    pub(crate) fn warn(&self, message: &str) {
        let message = without_nul(&self.camera.line(message));
        r2r::log_warn!(&self.name, "{message}");
        self.publish(Line::WARN as u8, message);
    }

    /// What is broken.
    pub fn error(&self, message: &str) {
        let message = without_nul(&self.camera.line(message));
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

    /// Nothing was written yet.
    pub(crate) const fn new() -> Self {
        Self { last: None }
    }

    /// Whether a line may be written at `now`.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let allowed = self.last.is_none_or(|last| now.saturating_duration_since(last) >= Self::PAUSE);
        if allowed {
            self.last = Some(now);
        }
        allowed
    }
}

/// Lets some lines through in a while and counts the others: of what a program may do often, the first
/// are worth reading.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    since: Option<Instant>,
    written: u32,
    held: u64,
}

impl Allowance {
    const LINES: u32 = 20;

    /// Whether a line may be written at `now`.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        self.since.get_or_insert(now);
        self.written += u32::from(self.written < Self::LINES + 1);
        let allowed = self.written <= Self::LINES;
        self.held += u64::from(!allowed);
        allowed
    }

    /// How many lines were held back, once the while is over and there were any.
    pub(crate) fn settle(&mut self, now: Instant) -> Option<u64> {
        let over = self.since.is_some_and(|since| now.saturating_duration_since(since) >= Throttle::PAUSE);
        let held = over.then(|| std::mem::take(self).held)?;
        (held > 0).then_some(held)
    }
}

/// From now on a panic has its lines only as often as an error has: the report on the frame, and the count of
/// failed frames, tell of the others.
pub(crate) fn throttle_panics() {
    static THROTTLE: Mutex<Throttle> = Mutex::new(Throttle::new());
    let write = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if THROTTLE.lock().unwrap_or_else(PoisonError::into_inner).allows(Instant::now()) {
            write(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_the_first_are_written_and_the_others_counted() {
        let now = Instant::now();
        let mut allowance = Allowance::default();
        assert_eq!((0..200).filter(|_| allowance.allows(now)).count(), 20);
        assert_eq!(allowance.settle(now), None);
        assert_eq!(allowance.settle(now + Duration::from_secs(5)), Some(180));
        assert_eq!(allowance.settle(now + Duration::from_secs(10)), None, "said once");
        assert!(allowance.allows(now + Duration::from_secs(10)));
    }

    #[test]
    fn one_line_in_a_while() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        assert!(throttle.allows(now));
        assert!(!throttle.allows(now + Duration::from_secs(4)));
        assert!(throttle.allows(now + Duration::from_secs(5)));
    }
}
