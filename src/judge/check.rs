//! Whether a scenario can be judged by: values in range, one thing a criterion, events that are there.

use std::collections::BTreeSet;

use super::limits::Window;
use super::scenario::{Alarm, Criterion, Diagnostics, Event, FalseAlarms, Frames, Latency, Misses, Scenario};
use crate::quote::quoted;
use crate::watch::debounce::Level;

/// What a criterion asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check<'a> {
    Frames(&'a Frames),
    Alarm(&'a Alarm, &'a Event),
    FalseAlarms(&'a FalseAlarms),
    Latency(&'a Latency),
    Misses(&'a Misses),
    Diagnostics(&'a Diagnostics),
}

/// Key, and what is wrong with its value.
pub(super) type Fault = (String, String);

fn fault<T>(key: impl Into<String>, what: impl Into<String>) -> Result<T, Fault> {
    Err((key.into(), what.into()))
}

impl Scenario {
    /// What is wrong with it, if anything is.
    pub(super) fn fault(&self) -> Result<(), Fault> {
        window("during", &self.during)?;
        for (place, span) in self.ignore.seconds.iter().enumerate() {
            window(&format!("ignore.seconds[{place}]"), span)?;
        }
        let mut names = BTreeSet::new();
        for (place, event) in self.events.iter().enumerate() {
            let key = format!("events[{place}]");
            let Event { name, at, until } = event;
            if name.is_empty() || !names.insert(name) {
                return fault(key + ".name", format!("is {}, a name of its own is needed", quoted(name)));
            }
            if !(at.is_finite() && *at >= 0.0) {
                return fault(key + ".at", format!("is {at}, seconds from 0 on are needed"));
            }
            if let Some(until) = until.filter(|until| !(until.is_finite() && until >= at)) {
                return fault(key + ".until", format!("is {until}, seconds from {at} on are needed"));
            }
        }
        if self.criteria.is_empty() {
            return fault("criteria", "is empty; a drive of which nothing is asked would always pass");
        }
        for (place, criterion) in self.criteria.iter().enumerate() {
            let key = format!("criteria[{place}]");
            window(&format!("{key}.during"), &criterion.during)?;
            match self.check(criterion) {
                Ok(check) => check.fault().map_err(|(rest, what)| (format!("{key}.{rest}"), what))?,
                Err((rest, what)) => return fault(format!("{key}{rest}"), what),
            }
        }
        Ok(())
    }

    /// What the criterion asks for.
    pub(super) fn check<'a>(&'a self, criterion: &'a Criterion) -> Result<Check<'a>, Fault> {
        let Criterion { name: _, during: _, frames, alarm, false_alarms, latency, misses, diagnostics } =
            criterion;
        let alarm = match alarm {
            None => None,
            Some(alarm) => match self.events.iter().find(|event| event.name == alarm.event) {
                Some(event) => Some(Check::Alarm(alarm, event)),
                None => {
                    let known: Vec<String> = self.events.iter().map(|event| quoted(&event.name)).collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    let what = format!("is {}; events has {known}", quoted(&alarm.event));
                    return fault(".alarm.event", what);
                }
            },
        };
        let asked = [
            frames.as_ref().map(Check::Frames),
            alarm,
            false_alarms.as_ref().map(Check::FalseAlarms),
            latency.as_ref().map(Check::Latency),
            misses.as_ref().map(Check::Misses),
            diagnostics.as_ref().map(Check::Diagnostics),
        ];
        let mut asked = asked.into_iter().flatten();
        match (asked.next(), asked.count()) {
            (Some(check), 0) => Ok(check),
            (one, more) => {
                let count = more + usize::from(one.is_some());
                let what = format!(
                    "asks for {count} things, one is needed: frames, alarm, false_alarms, latency, misses or \
                     diagnostics"
                );
                fault("", what)
            }
        }
    }
}

impl Check<'_> {
    fn fault(&self) -> Result<(), Fault> {
        match self {
            Self::Frames(frames) => {
                rate("frames.pass_rate", frames.pass_rate)?;
                let limits = frames.limits();
                for (name, limit) in &limits {
                    if let Some(what) = limit.fault() {
                        return fault(format!("frames.{name}"), what);
                    }
                }
                if frames.level.is_none() && frames.validity.is_none() && limits.is_empty() {
                    let what = "limits nothing; it takes level, validity, failure_score, predicted_miou, \
                                predicted_iou, error_area or anomaly_area";
                    return fault("frames", what);
                }
                let is_empty = |names: bool, key: &str| {
                    if names { fault(key, "is empty: nothing would pass") } else { Ok(()) }
                };
                is_empty(frames.level.as_ref().is_some_and(Vec::is_empty), "frames.level")?;
                is_empty(frames.validity.as_ref().is_some_and(Vec::is_empty), "frames.validity")?;
                match (&frames.class, frames.predicted_iou) {
                    (None, Some(_)) => {
                        fault("frames.predicted_iou", "is that of a class; class is needed beside it")
                    }
                    _ => Ok(()),
                }
            }
            Self::Alarm(alarm, _) => {
                positive("alarm.within_ms", alarm.within_ms)?;
                is_alarm("alarm.level", alarm.level)
            }
            Self::FalseAlarms(alarms) => {
                number("false_alarms.per_minute", alarms.per_minute)?;
                number("false_alarms.grace_ms", alarms.grace_ms)?;
                is_alarm("false_alarms.level", alarms.level)
            }
            Self::Latency(latency) => {
                let limits = latency.limits();
                if limits.is_empty() {
                    return fault("latency", "limits nothing; it takes p50_ms, p95_ms, p99_ms or max_ms");
                }
                limits.iter().try_for_each(|(name, _, limit)| positive(&format!("latency.{name}"), *limit))
            }
            Self::Misses(misses) => {
                if *misses == &Misses::default() {
                    return fault("misses", "limits nothing; it takes frames or seconds");
                }
                misses.seconds.map_or(Ok(()), |seconds| positive("misses.seconds", seconds))
            }
            Self::Diagnostics(diagnostics) => {
                rate("diagnostics.pass_rate", diagnostics.pass_rate)?;
                match (diagnostics.status.is_empty(), diagnostics.levels.is_empty()) {
                    (true, _) => fault("diagnostics.status", "is empty; the name of a status is needed"),
                    (_, true) => fault("diagnostics.levels", "is empty: nothing would pass"),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn window(key: &str, window: &Window) -> Result<(), Fault> {
    match window.fault() {
        Some((end, value, what)) => fault(format!("{key}.{end}"), format!("is {value}, {what}")),
        None => Ok(()),
    }
}

fn rate(key: &str, value: f64) -> Result<(), Fault> {
    if (0.0..=100.0).contains(&value) {
        return Ok(());
    }
    fault(key, format!("is {value}, per cent from 0 to 100 are needed"))
}

fn positive(key: &str, value: f64) -> Result<(), Fault> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    fault(key, format!("is {value}, a positive number is needed"))
}

fn number(key: &str, value: f64) -> Result<(), Fault> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    fault(key, format!("is {value}, a number from 0 on is needed"))
}

fn is_alarm(key: &str, level: Level) -> Result<(), Fault> {
    match level {
        Level::Nominal => fault(key, "is NOMINAL, which is no alarm; CAUTION or FAILURE is needed"),
        _ => Ok(()),
    }
}
