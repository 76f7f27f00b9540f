//! docs/safety.md traces each requirement to what shows it; what it names is there.

#![allow(clippy::unwrap_used)]

use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The rows of the table below the heading, cell by cell.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_requirement_names_a_test_that_exists() {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/safety.md")).unwrap();
    let faults = std::fs::read_to_string(Path::new(ROOT).join("tests/ros/faults.py")).unwrap();
    let rows = table(&text, "## Requirements and what shows them");
    assert!(rows.len() >= 20, "{} rows", rows.len());
    for row in rows {
        let [id, _, tests, campaign] = &row[..] else { panic!("four cells are needed: {row:?}") };
        assert!(!quoted(tests).is_empty(), "{id} names no test");
        for name in quoted(tests) {
            let (file, test) =
                name.split_once("::").unwrap_or_else(|| panic!("{id}: {name} is no FILE::TEST"));
            let source = std::fs::read_to_string(Path::new(ROOT).join(file))
                .unwrap_or_else(|error| panic!("{id}: {file}: {error}"));
            let definition = if file.ends_with(".py") { "def" } else { "fn" };
            assert!(source.contains(&format!("{definition} {test}(")), "{id}: {file} has no {test}");
        }
        for fault in quoted(campaign) {
            assert!(
                faults.contains(&format!("fault(\"{fault}\"")),
                "{id}: the campaign has no fault {fault}"
            );
        }
    }
}

#[test]
fn every_fault_of_the_campaign_is_in_the_table_of_what_was_measured() {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/safety.md")).unwrap();
    let faults = std::fs::read_to_string(Path::new(ROOT).join("tests/ros/faults.py")).unwrap();
    let told: Vec<_> = table(&text, "## What was measured").into_iter().map(|row| row[0].clone()).collect();
    let names = faults.split("fault(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let missing: Vec<_> = names.filter(|name| !told.iter().any(|row| row == name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
