//! Broken configurations and exactly what is said about them: a folder each under `tests/data/config/`, with the files
//! as they were typed and `expected.txt`.

use super::super::*;
use super::published::assert_fresh;
use std::fs;
use std::path::PathBuf;

#[test]
fn every_broken_configuration_gets_exactly_its_mistakes() {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
    let mut seen = 0;
    for case in fs::read_dir(&cases).expect("the cases").filter_map(Result::ok) {
        let folder = case.path();
        let mistakes = load(&folder)
            .map(|_| ())
            .expect_err(&format!("{} is right", folder.display()));
        let shown = folder.display().to_string();
        assert_fresh(
            &folder.join("expected.txt"),
            &format!("{mistakes}\n").replace(&shown, "config"),
        );
        seen += 1;
    }
    assert!(seen > 5, "{seen} cases in {}", cases.display());
}
