//! The verdict on a result: a finding for each criterion, and the frames that decided.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::check::Check;
use super::evidence::{Evidence, Sighting};
use super::limits::{Window, nanos};
use super::scenario::{Criterion, Scenario};
use super::{alarms, diagnostics, frames, latency, misses};
use crate::watch::debounce::Level;
use crate::watch::validity::Validity;

/// Deciding frames that are listed for each criterion; more are counted.
const LISTED: usize = 100;

/// A verdict; only the latencies in it may differ when the replay is repeated.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The scenario's name.
    pub scenario: String,
    /// Whether every criterion is met.
    pub passed: bool,
    /// The bundle by which frames were assessed; empty without a report.
    pub bundle: String,
    /// Its SHA-256.
    pub bundle_hash: String,
    /// Frames in the result.
    pub frames: u64,
    /// What was lost of the recording.
    pub lost: u64,
    /// Whether the result is whole, and every criterion in its order.
    pub criteria: Vec<Finding>,
}

/// What became of a criterion.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What it is called.
    pub name: String,
    /// What kind of criterion it is.
    pub check: &'static str,
    /// Whether it is met.
    pub passed: bool,
    /// What was asked for, in words.
    pub asked: String,
    /// What was seen, in words.
    pub seen: String,
    /// What was seen, in numbers.
    pub figures: BTreeMap<&'static str, f64>,
    /// The criterion as the scenario has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criterion: Option<Criterion>,
    /// Number of frames that decided.
    pub deciding: usize,
    /// The first of them.
    pub deciding_frames: Vec<Deciding>,
}

/// A frame that decided.
#[derive(Clone, Debug, Serialize)]
pub struct Deciding {
    /// Its number, from 1; that of the last frame where there is none.
    pub frame: u64,
    /// Seconds since the beginning of the recording.
    pub seconds: f64,
    /// When it was recorded, in nanoseconds since 1970.
    pub time: i64,
    /// Whether its scores may be used.
    pub validity: Validity,
    /// Its level.
    pub level: Level,
    /// Its failure score.
    pub failure_score: f32,
    /// Its share of errors.
    pub error_area: f32,
    /// Its share of anomalies.
    pub anomaly_area: f32,
    /// What it decided.
    pub why: String,
}

/// What one criterion comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Ruling {
    pub passed: bool,
    pub seen: String,
    pub figures: BTreeMap<&'static str, f64>,
    /// Places among the sightings, and what each decided.
    pub decided: Vec<(usize, String)>,
}

impl Ruling {
    /// What has no data fails.
    pub(super) fn no_data(what: String) -> Self {
        Self { seen: format!("no data: {what}"), ..Self::default() }
    }

    pub(super) fn decide(&mut self, place: usize, why: String) {
        self.decided.push((place, why));
    }
}

/// What a criterion is judged by.
pub(super) struct Scope<'a> {
    pub evidence: &'a Evidence,
    pub scenario: &'a Scenario,
    during: &'a Window,
}

impl<'a> Scope<'a> {
    /// Whether it counts.
    pub(super) fn has(&self, sighting: &Sighting) -> bool {
        let ignored = &self.scenario.ignore.frames;
        self.has_time(sighting.time) && !ignored.iter().any(|range| range.has(sighting.number))
    }

    pub(super) fn has_time(&self, time: i64) -> bool {
        self.scenario.during.has(time)
            && self.during.has(time)
            && !self.scenario.ignore.seconds.iter().any(|span| span.has(time))
    }

    /// When the time begins and ends in which reports count, in nanoseconds since the beginning of the recording.
    pub(super) fn span(&self) -> (i64, i64) {
        let windows = [&self.scenario.during, self.during];
        let from = windows.iter().map(|window| nanos(window.from)).fold(self.evidence.span.0, i64::max);
        let ends = windows.iter().filter_map(|window| window.to);
        let to = ends.map(nanos).fold(self.evidence.span.1, i64::min);
        let ignored = &self.scenario.ignore.seconds;
        let begin = ignored.iter().filter(|span| span.has(from)).filter_map(|span| span.to);
        let end = ignored.iter().filter(|span| span.has(to)).map(|span| span.from);
        (begin.map(nanos).fold(from, i64::max), end.map(nanos).fold(to, i64::min))
    }

    /// The reports that count, with their places.
    pub(super) fn sightings(&self) -> impl Iterator<Item = (usize, &'a Sighting)> {
        self.evidence.sightings.iter().enumerate().filter(|(_, sighting)| self.has(sighting))
    }
}

pub(super) fn percent(rate: f64) -> String {
    let text = format!("{rate:.2}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Verdict {
    /// Judges.
    pub fn of(scenario: &Scenario, evidence: &Evidence) -> Self {
        let mut criteria = vec![whole(evidence)];
        let numbered = scenario.criteria.iter().zip(1..);
        criteria.extend(numbered.map(|(criterion, number)| finding(scenario, evidence, criterion, number)));
        let (bundle, bundle_hash) = evidence
            .last
            .as_ref()
            .map_or_else(Default::default, |last| (last.bundle.clone(), last.bundle_hash.clone()));
        Self {
            scenario: scenario.name.clone(),
            passed: criteria.iter().all(|finding| finding.passed),
            bundle,
            bundle_hash,
            frames: evidence.frames(),
            lost: evidence.lost,
            criteria,
        }
    }

    /// Statuses that the scenario asks about.
    pub fn statuses(scenario: &Scenario) -> Vec<&str> {
        let asked = scenario.criteria.iter().filter_map(|criterion| criterion.diagnostics.as_ref());
        asked.map(|diagnostics| diagnostics.status.as_str()).collect()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let met = self.criteria.iter().filter(|finding| finding.passed).count();
        let word = if self.passed { "passed" } else { "FAILED" };
        writeln!(f, "verdict    {word}: {met} of {} criteria are met", self.criteria.len())?;
        for Finding { name, passed, asked, seen, .. } in &self.criteria {
            let word = if *passed { "passed" } else { "FAILED" };
            writeln!(f, "  {word}   {name}: {asked}")?;
            writeln!(f, "           {seen}")?;
        }
        Ok(())
    }
}

/// Whether the result came to its end and has frames, which every scenario asks for.
fn whole(evidence: &Evidence) -> Finding {
    let frames = evidence.frames();
    let seen = match (evidence.complete, frames) {
        (false, _) => format!("stopped before the end of the recording, after {frames} frames"),
        (true, 0) => "no data: no frame was assessed".to_owned(),
        (true, _) if evidence.lost > 0 => {
            format!("{frames} frames; {} parts could not be read", evidence.lost)
        }
        (true, _) => format!("{frames} frames"),
    };
    Finding {
        name: "the result is whole".to_owned(),
        check: "result",
        passed: evidence.complete && frames > 0,
        asked: "frames, to the end of the recording".to_owned(),
        seen,
        figures: [("frames", frames as f64), ("lost", evidence.lost as f64)].into(),
        criterion: None,
        deciding: 0,
        deciding_frames: Vec::new(),
    }
}

fn finding(scenario: &Scenario, evidence: &Evidence, criterion: &Criterion, number: usize) -> Finding {
    let scope = Scope { evidence, scenario, during: &criterion.during };
    let (check, asked, ruling) = match scenario.check(criterion) {
        Ok(Check::Frames(asked)) => ("frames", frames::sentence(asked), frames::judge(asked, &scope)),
        Ok(Check::Alarm(asked, event)) => {
            ("alarm", alarms::sentence(asked, event), alarms::judge(asked, event, &scope))
        }
        Ok(Check::FalseAlarms(asked)) => {
            ("false_alarms", alarms::sentence_false(asked), alarms::judge_false(asked, &scope))
        }
        Ok(Check::Latency(asked)) => ("latency", latency::sentence(asked), latency::judge(asked, &scope)),
        Ok(Check::Misses(asked)) => ("misses", misses::sentence(asked), misses::judge(asked, &scope)),
        Ok(Check::Diagnostics(asked)) => {
            ("diagnostics", diagnostics::sentence(asked), diagnostics::judge(asked, &scope))
        }
        // A scenario from a file has none of these.
        Err((_, what)) => ("none", what.clone(), Ruling::no_data(what)),
    };
    let asked = match criterion.during.is_everything() {
        true => asked,
        false => format!("{asked}, {}", criterion.during),
    };
    let name = match criterion.name.is_empty() {
        true => format!("{number} {check}"),
        false => criterion.name.clone(),
    };
    let listed = ruling.decided.iter().take(LISTED);
    let deciding_frames = listed.filter_map(|(place, why)| deciding(evidence, *place, why)).collect();
    Finding {
        name,
        check,
        passed: ruling.passed,
        asked,
        seen: ruling.seen,
        figures: ruling.figures,
        criterion: Some(criterion.clone()),
        deciding: ruling.decided.len(),
        deciding_frames,
    }
}

fn deciding(evidence: &Evidence, place: usize, why: &str) -> Option<Deciding> {
    let sighting = evidence.sightings.get(place)?;
    Some(Deciding {
        frame: sighting.number,
        seconds: sighting.seconds(),
        time: evidence.begin.saturating_add(sighting.time),
        validity: sighting.validity,
        level: sighting.level,
        failure_score: sighting.failure_score,
        error_area: sighting.error_area,
        anomaly_area: sighting.anomaly_area,
        why: why.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::evidence::Status;
    use crate::judge::evidence::tests::drive;
    use crate::judge::scenario::Severity;
    use Level::{Caution, Failure, Nominal};

    /// Twenty frames, a tenth of a second apart: FAILURE for the first two, CAUTION from 1.0 to 1.2 s.
    fn evidence() -> Evidence {
        let mut frames = vec![(Nominal, 0.2); 20];
        frames[..2].fill((Failure, 0.2));
        frames[10..13].fill((Caution, 0.7));
        frames[15].1 = f32::NAN;
        drive(&frames)
    }

    fn judged(evidence: &Evidence, head: &str, criterion: &str) -> Finding {
        let scenario: Scenario = serde_norway::from_str(&format!("{head}\ncriteria: [{criterion}]")).unwrap();
        let verdict = Verdict::of(&scenario, evidence);
        assert_eq!(verdict.passed, verdict.criteria.iter().all(|finding| finding.passed));
        verdict.criteria[1].clone()
    }

    fn numbers(finding: &Finding) -> Vec<u64> {
        finding.deciding_frames.iter().map(|frame| frame.frame).collect()
    }

    #[test]
    fn the_rate_of_frames_within_limits_decides_and_nan_is_never_within() {
        let evidence = evidence();
        let ask = |criterion: &str| judged(&evidence, "", criterion);
        let found = ask("{frames: {pass_rate: 80, failure_score: {max: 0.6}}}");
        assert!(found.passed && numbers(&found) == [11, 12, 13, 16], "{found:?}");
        assert_eq!((found.figures["pass_rate"], found.figures["frames"]), (80.0, 20.0));
        assert!(!ask("{frames: {pass_rate: 80.1, failure_score: {max: 0.6}}}").passed);
        let found = ask("{frames: {level: [NOMINAL], validity: [OK]}, during: {from: 0.2, to: 0.9}}");
        assert!(
            found.passed && found.deciding == 0 && found.asked.contains("from 0.2 to 0.9 s"),
            "{found:?}"
        );
        let found = ask("{frames: {level: [NOMINAL]}, during: {from: 0.1, to: 1}}");
        assert_eq!(numbers(&found), [2, 11]);
        assert!(found.deciding_frames[1].why.contains("CAUTION"));
        assert_eq!(found.deciding_frames[1].time, evidence.begin + 1_000_000_000);
    }

    #[test]
    fn ignored_frames_and_times_do_not_count() {
        let head = "ignore: {frames: [1-2, 16], seconds: [{from: 1, to: 1.2}]}";
        let found = judged(&evidence(), head, "{frames: {level: [NOMINAL], failure_score: {max: 0.6}}}");
        assert!(found.passed && found.figures["frames"] == 14.0, "{found:?}");
    }

    #[test]
    fn a_class_filter_takes_frames_that_have_it_in_view() {
        let evidence = evidence();
        let ask = |class: &str, least: f64| {
            let criterion = format!("{{frames: {{class: {class}, predicted_iou: {{min: {least}}}}}}}");
            judged(&evidence, "", &criterion)
        };
        assert!(ask("road", 0.75).passed && !ask("road", 0.76).passed);
        for (class, said) in [("car", "no frame with car in view"), ("cra", "sky, road, car")] {
            let found = ask(class, 0.1);
            assert!(
                !found.passed && found.seen.starts_with("no data") && found.seen.contains(said),
                "{found:?}"
            );
        }
    }

    #[test]
    fn an_alarm_has_its_time_and_one_that_stood_before_is_not_its_own() {
        let evidence = evidence();
        let ask = |at: f64, alarm: &str| {
            let head = format!("events: [{{name: dog, at: {at}}}]");
            judged(&evidence, &head, &format!("{{alarm: {{event: dog, {alarm}}}}}"))
        };
        let found = ask(0.75, "within_ms: 250");
        assert!(found.passed && numbers(&found) == [11], "{found:?}");
        assert_eq!(found.figures["alarm_ms"], 250.0);
        let late = ask(0.75, "within_ms: 249");
        assert!(!late.passed && late.seen.contains("250 ms after"), "{late:?}");
        assert!(!ask(0.75, "within_ms: 900, level: FAILURE").passed);
        let stood = ask(1.1, "within_ms: 500");
        assert!(!stood.passed && stood.seen.contains("before it"), "{stood:?}");
        assert!(ask(1.1, "within_ms: 500, standing: true").passed);
        // Nobody knows what was before the first report.
        assert!(!ask(0.0, "within_ms: 100").passed);
        let never = ask(60.0, "within_ms: 500");
        assert!(!never.passed && never.seen.starts_with("no data"), "{never:?}");
    }

    #[test]
    fn alarms_outside_of_events_are_false_and_counted_a_minute() {
        let evidence = evidence();
        let ask = |head: &str, most: f64| {
            judged(&evidence, head, &format!("{{false_alarms: {{per_minute: {most}, grace_ms: 100}}}}"))
        };
        let found = ask("", 0.0);
        assert!(!found.passed && numbers(&found) == [11], "{found:?}");
        assert!((found.figures["per_minute"] - 60.0 / 1.9).abs() < 1e-9);
        assert!(ask("", 32.0).passed);
        for (until, own) in [(0.9, true), (0.89, false)] {
            let found = ask(&format!("events: [{{name: dog, at: 0.5, until: {until}}}]"), 0.0);
            assert_eq!(found.passed, own, "{found:?}");
        }
        let found = ask("during: {from: 0.3, to: 0.3}", 0.0);
        assert!(!found.passed && found.seen.starts_with("no data"), "{found:?}");
    }

    #[test]
    fn latencies_are_held_to_each_of_their_limits() {
        let evidence = evidence();
        let found = judged(&evidence, "", "{latency: {p50_ms: 100, p95_ms: 190, max_ms: 200}}");
        assert!(found.passed && numbers(&found) == [20], "{found:?}");
        let found = judged(&evidence, "", "{latency: {p50_ms: 100, p95_ms: 189}}");
        assert!(!found.passed && numbers(&found) == [19, 20], "{found:?}");
        let mut silent = evidence.clone();
        silent.sightings.iter_mut().for_each(|sighting| sighting.latency_ms = f32::NAN);
        assert!(judged(&silent, "", "{latency: {max_ms: 1}}").seen.starts_with("no data"));
    }

    #[test]
    fn misses_in_a_row_are_dropped_and_unreadable_frames() {
        let mut evidence = evidence();
        evidence.sightings[16].dropped = 3;
        let ask =
            |evidence: &Evidence, most: u64| judged(evidence, "", &format!("{{misses: {{frames: {most}}}}}"));
        assert!(ask(&evidence, 4).passed);
        let found = ask(&evidence, 3);
        assert!(!found.passed && numbers(&found) == [17], "{found:?}");
        // A silence: half a second without a frame, at its end still.
        let mut stale = evidence.sightings[19].clone();
        (stale.validity, stale.time) = (Validity::Stale, 2_400_000_000);
        evidence.sightings.push(stale);
        assert!(judged(&evidence, "", "{misses: {seconds: 0.5}}").passed);
        let found = judged(&evidence, "", "{misses: {seconds: 0.49}}");
        assert!(!found.passed && found.deciding_frames[0].validity == Validity::Stale, "{found:?}");
        assert!(ask(&evidence, 4).passed, "a silence is no frame");
    }

    #[test]
    fn a_silence_before_the_first_report_or_after_the_last_is_one_too() {
        let mut evidence = evidence();
        evidence.span = (0, 60_000_000_000);
        let ask = |evidence: &Evidence, head: &str, most: f64| {
            judged(evidence, head, &format!("{{misses: {{seconds: {most}}}}}"))
        };
        // The monitor ends at 1.9 s.
        let found = ask(&evidence, "", 58.0);
        assert!(!found.passed && found.figures["seconds"] == 58.1 && numbers(&found) == [20], "{found:?}");
        assert!(ask(&evidence, "during: {to: 2}", 0.2).passed);
        assert!(!ask(&evidence, "during: {to: 2.2}", 0.2).passed);
        // It begins at 50 s.
        evidence.sightings.iter_mut().for_each(|sighting| sighting.time += 50_000_000_000);
        let found = ask(&evidence, "during: {from: 2, to: 52}", 47.0);
        assert!(!found.passed && found.figures["seconds"] == 48.0 && numbers(&found) == [1], "{found:?}");
        let ignored = "during: {to: 52}\nignore: {frames: [1-9], seconds: [{from: 0, to: 49.9}]}";
        assert!(ask(&evidence, ignored, 0.2).passed);
    }

    #[test]
    fn an_alarm_counts_from_when_it_is_said() {
        let mut evidence = evidence();
        evidence.sightings.iter_mut().for_each(|sighting| sighting.said += 900_000_000);
        let ask = |most: u64| {
            let head = "events: [{name: dog, at: 0.95}]";
            judged(&evidence, head, &format!("{{alarm: {{event: dog, within_ms: {most}}}}}"))
        };
        let late = ask(800);
        assert!(!late.passed && late.figures["alarm_ms"] == 950.0, "{late:?}");
        assert!(ask(950).passed);
        let own = judged(
            &evidence,
            "events: [{name: dog, at: 0.95, until: 1.1}]",
            "{false_alarms: {per_minute: 0}}",
        );
        assert!(own.passed, "{own:?}");
    }

    #[test]
    fn a_status_is_judged_by_its_name() {
        let mut evidence = evidence();
        let status = |time, severity| Status {
            time,
            name: "monitor: camera".to_owned(),
            severity,
            message: "no image for 0.6 s".to_owned(),
        };
        evidence.statuses = vec![status(0, Severity::Warn), status(1_050_000_000, Severity::Error)];
        evidence.status_names.insert("monitor: camera".to_owned());
        let ask = |name: &str, more: &str| {
            let criterion = format!("{{diagnostics: {{status: '{name}', levels: [OK, WARN]{more}}}}}");
            judged(&evidence, "", &criterion)
        };
        let found = ask("monitor: camera", "");
        assert!(!found.passed && numbers(&found) == [11], "{found:?}");
        assert_eq!(found.deciding_frames[0].why, "ERROR: no image for 0.6 s");
        assert!(ask("monitor: camera", ", pass_rate: 50").passed);
        let found = ask("monitor", "");
        assert!(!found.passed && found.seen.contains("the result has monitor: camera"), "{found:?}");
    }

    #[test]
    fn a_result_that_is_empty_or_not_whole_fails_whatever_is_asked() {
        let scenario: Scenario =
            serde_norway::from_str("criteria: [{frames: {pass_rate: 0, level: [NOMINAL]}}]").unwrap();
        assert!(Verdict::of(&scenario, &evidence()).passed);
        let verdict = Verdict::of(&scenario, &drive(&[]));
        assert!(verdict.criteria.iter().all(|finding| !finding.passed && finding.seen.contains("no data")));
        let cut = Evidence { complete: false, ..evidence() };
        let verdict = Verdict::of(&scenario, &cut);
        assert!(!verdict.passed && verdict.criteria[0].seen.contains("stopped"));
        assert!(verdict.to_string().contains("FAILED: 1 of 2 criteria"), "{verdict}");
    }

    #[test]
    fn many_deciding_frames_are_counted_and_the_first_listed() {
        let found = judged(&drive(&[(Failure, 0.9); 250]), "", "{frames: {level: [NOMINAL]}}");
        assert_eq!((found.deciding, found.deciding_frames.len()), (250, LISTED));
    }
}
