//! A frame as a line on a terminal.

use std::fmt;

use anstyle::{AnsiColor, Style};

use super::journal::Entry;
use crate::watch::debounce::Level;

/// The heading over the lines.
pub const HEADING: &str = "frame  validity level    failure   mIoU  anomaly   latency dropped";

/// One frame as one line, its level coloured; a stream from `anstream` takes the colour away where
/// there is no terminal.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a Entry);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let entry = self.0;
        let color = style(entry.level);
        write!(
            f,
            "{:>5}  {:<8} {color}{:<8}{color:#} {} {} {} % {} ms {:>7}",
            entry.number,
            entry.validity.name(),
            entry.level.name(),
            number(entry.failure_score, 7, 3),
            number(entry.predicted_miou, 6, 3),
            number(100.0 * entry.anomaly_area, 6, 2),
            number(entry.latency_ms, 6, 0),
            entry.dropped,
        )?;
        if entry.reason.is_empty() { Ok(()) } else { write!(f, "  {}", entry.reason) }
    }
}

/// The level as an operator sees it.
fn style(level: Level) -> Style {
    let color = match level {
        Level::Nominal => AnsiColor::Green,
        Level::Caution => AnsiColor::Yellow,
        Level::Failure => AnsiColor::Red,
    };
    Style::new().bold().fg_color(Some(color.into()))
}

fn number(value: f32, width: usize, decimals: usize) -> String {
    if value.is_nan() { format!("{:>width$}", "-") } else { format!("{value:>width$.decimals$}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bag::message::MonitorReport;
    use crate::drive::journal::Journal;

    fn line(report: MonitorReport) -> String {
        let mut journal = Journal::default();
        let entry = journal.add(0, report).unwrap();
        anstream::adapter::strip_str(&Line(entry).to_string()).to_string()
    }

    #[test]
    fn numbers_stand_under_their_headings() {
        let report = MonitorReport {
            level: 1,
            failure_score: 0.61349,
            predicted_miou: 0.38651,
            anomaly_area: 0.1234,
            latency_total_ms: 83.4,
            frames_dropped: 57,
            ..MonitorReport::default()
        };
        let text = line(report);
        assert_eq!(text, "    1  OK       CAUTION    0.613  0.387  12.34 %     83 ms      57");
        let ends = |word: &str, number: &str| {
            assert_eq!(
                HEADING.find(word).map(|at| at + word.len()),
                text.find(number).map(|at| at + number.len())
            );
        };
        ends("failure", "0.613");
        ends("mIoU", "0.387");
        ends("anomaly", "12.34 %");
        ends("latency", "83 ms");
        ends("dropped", "57");
    }

    #[test]
    fn what_has_no_value_is_a_dash_and_the_reason_is_told() {
        let report = MonitorReport {
            validity: 4,
            level: 2,
            reason: "the image is 0x0".to_owned(),
            failure_score: f32::NAN,
            predicted_miou: f32::NAN,
            anomaly_area: f32::NAN,
            latency_total_ms: f32::NAN,
            ..MonitorReport::default()
        };
        let text = line(report);
        assert!(text.contains("FAILURE        -      -      - %      - ms"), "{text}");
        assert!(text.ends_with("  the image is 0x0"));
        assert!(!text.contains("NaN"));
    }
}
