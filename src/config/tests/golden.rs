//! Broken configurations and exactly what is said about them: a folder each under `tests/data/config/`, with the files
//! as they were typed and `expected.txt`.

use super::super::*;
use super::published::assert_fresh;
use proptest::prelude::*;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever somebody types into the example: it is right, or there is a mistake with a line that exists.
    #[test]
    fn no_edit_of_the_example_makes_the_reader_panic(
        at in 0.0f64..1.0,
        gone in 0usize..40,
        typed in prop_oneof!["\\PC{0,12}", "[\\[\\]{}=\"',.#\n+0-9a-z]{0,12}"],
        tenant in any::<bool>(),
    ) {
        let sbc = include_str!("../../../config/sbc.toml");
        let contoso = include_str!("../../../config/tenants/contoso.toml");
        let edit = |text: &str| {
            let characters: Vec<char> = text.chars().collect();
            let begin = (characters.len() as f64 * at) as usize;
            let end = (begin + gone).min(characters.len());
            characters[..begin].iter().copied().chain(typed.chars()).chain(characters[end..].iter().copied()).collect::<String>()
        };
        let (sbc, contoso) = if tenant { (sbc.to_owned(), edit(contoso)) } else { (edit(sbc), contoso.to_owned()) };
        if let Err(mistakes) = Config::from_toml_strs(&sbc, &[("contoso", &contoso)]) {
            for mistake in mistakes.iter() {
                let text = if mistake.file.ends_with("contoso.toml") { &contoso } else { &sbc };
                prop_assert!(mistake.line >= 1 && mistake.line <= text.matches('\n').count() + 1, "{}", mistake);
                prop_assert!(!mistake.to_string().is_empty());
            }
        }
    }
}
