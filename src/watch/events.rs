//! What the library has to say while it works (its `tracing` events), on its way to whoever listens.

use std::fmt::{Debug, Write};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

type Listener = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Warnings and errors, unless `RUST_LOG` asks for something else.
fn filter() -> EnvFilter {
    EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy()
}

/// From now on events go to standard error.
pub fn to_stderr() {
    let ansi = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter()).without_time();
    // Whoever has set up another subscriber before wants that one.
    let _ = lines.with_ansi(ansi).with_writer(std::io::stderr).try_init();
}

/// Hands events to a listener; what happens before there is one is kept for it.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<State>>);

enum State {
    Kept(Vec<(Level, String)>),
    HeardBy(Listener),
}

impl Default for State {
    fn default() -> Self {
        Self::Kept(Vec::new())
    }
}

impl Events {
    /// From now on events come here.
    pub(crate) fn install() -> Self {
        let events = Self::default();
        let subscriber = tracing_subscriber::registry().with(filter()).with(events.clone());
        // Whoever has set up another subscriber before wants that one. Records of the crate `log` stay
        // out: those of a listener that fails to publish would come back to it.
        let _ = tracing::subscriber::set_global_default(subscriber);
        events
    }

    /// Hands over what was kept, and everything from now on.
    pub fn tell(&self, listener: impl Fn(Level, &str) + Send + Sync + 'static) {
        let listener: Listener = Arc::new(listener);
        let before = std::mem::replace(&mut *self.lock(), State::HeardBy(listener.clone()));
        if let State::Kept(events) = before {
            events.iter().for_each(|(level, message)| listener(*level, message));
        }
    }

    fn pass(&self, level: Level, message: String) {
        let listener = match &mut *self.lock() {
            State::Kept(events) => return events.push((level, message)),
            State::HeardBy(listener) => listener.clone(),
        };
        listener(level, &message);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.pass(*event.metadata().level(), message.0);
    }
}

/// An event in words: its message, then its fields.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_reach_the_listener_also_those_before_it() {
        let (events, heard) = (Events::default(), Arc::new(Mutex::new(Vec::new())));
        let subscriber = tracing_subscriber::registry().with(LevelFilter::WARN).with(events.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("convolutions in {} are slow", "BFloat16");
            let listener = heard.clone();
            events.tell(move |level, message| listener.lock().unwrap().push((level, message.to_owned())));
            tracing::error!(count = 3, "no memory");
            tracing::info!("not worth a line");
        });
        let expected =
            [(Level::WARN, "convolutions in BFloat16 are slow"), (Level::ERROR, "no memory count=3")];
        assert_eq!(*heard.lock().unwrap(), expected.map(|(level, text)| (level, text.to_owned())));
    }
}
