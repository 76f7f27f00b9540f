//! docs/field-faults.md names tests that exist.

#![allow(clippy::unwrap_used)]

use std::path::Path;

/// Every `file::test` of a text.
fn named(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect()
}

/// Whether the file has a test of that name.
fn exists(root: &Path, file: &str, test: &str) -> bool {
    let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let head = if file.ends_with(".py") { format!("def {test}(") } else { format!("fn {test}(") };
    text.contains(&head)
}

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("docs/field-faults.md")).unwrap();
    let named = named(&table);
    assert!(named.len() > 60, "{}", named.len());
    let missing: Vec<_> = named.iter().filter(|(file, test)| !exists(root, file, test)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(!exists(root, "tests/field_faults.rs", "of_this_name_there_is_none"));
}
