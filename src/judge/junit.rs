//! The verdict as JUnit XML, which CI servers show: a test case a criterion.

use std::io;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::verdict::{Finding, Verdict};

/// Deciding frames in the text of a failure.
const LISTED: usize = 10;

/// The file.
pub(super) fn xml(verdict: &Verdict) -> io::Result<Vec<u8>> {
    let name = if verdict.scenario.is_empty() { "scenario" } else { verdict.scenario.as_str() };
    let mut suite = TestSuite::new(name);
    let facts = [
        ("bundle", verdict.bundle.clone()),
        ("bundle_hash", verdict.bundle_hash.clone()),
        ("frames", verdict.frames.to_string()),
        ("lost", verdict.lost.to_string()),
    ];
    suite.properties.extend(facts.map(|(name, value)| Property::new(name, value)));
    suite.add_test_cases(verdict.criteria.iter().map(case));
    let mut report = Report::new("synthcp replay");
    report.add_test_suite(suite);
    report.to_string().map(String::into_bytes).map_err(io::Error::other)
}

fn case(finding: &Finding) -> TestCase {
    let mut status = if finding.passed {
        TestCaseStatus::success()
    } else {
        TestCaseStatus::non_success(NonSuccessKind::Failure)
    };
    let mut text = format!("asked: {}\nseen: {}", finding.asked, finding.seen);
    for frame in finding.deciding_frames.iter().take(LISTED) {
        text += &format!("\nframe {} at {:.3} s: {}", frame.frame, frame.seconds, frame.why);
    }
    if finding.deciding > LISTED {
        text += &format!("\nand {} more, see verdict.json", finding.deciding - LISTED);
    }
    if !finding.passed {
        status.set_message(finding.seen.as_str());
        status.set_type(finding.check);
        status.set_description(text.as_str());
    }
    let mut case = TestCase::new(finding.name.as_str(), status);
    case.set_classname("synthcp.replay");
    if finding.passed {
        case.set_system_out(text);
    }
    case
}
