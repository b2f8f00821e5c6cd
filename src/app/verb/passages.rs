//! Long texts in passages that a synthesiser speaks one after the other.

/// Characters of a passage, as jambonz has it.
const LONGEST: usize = 900;

/// A text in passages that end where a sentence ends, else between words. Markup (`<speak>…`) is one passage.
pub fn passages(text: &str) -> Vec<String> {
    if is_markup(text) {
        return vec![text.to_owned()];
    }
    let mut passages = Vec::new();
    let mut rest = text.trim();
    while let Some((end, _)) = rest.char_indices().nth(LONGEST) {
        let (head, _) = rest.split_at(end);
        let (passage, after) = rest.split_at(cut(head));
        passages.push(passage.trim_end().to_owned());
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        passages.push(rest.to_owned());
    }
    passages
}

/// Whether a text is SSML.
pub fn is_markup(text: &str) -> bool {
    text.trim_start().starts_with("<speak")
}

/// Where the passage ends: behind the last sentence, else behind the last word, else where it is.
fn cut(head: &str) -> usize {
    let mut sentence = None;
    let mut word = None;
    let mut before = ' ';
    for (at, c) in head.char_indices() {
        if c.is_whitespace() {
            word = Some(at);
            if matches!(before, '.' | '!' | '?' | ';' | ':') || c == '\n' {
                sentence = Some(at);
            }
        } else if matches!(c, '。' | '！' | '？') {
            sentence = Some(at + c.len_utf8());
        }
        before = c;
    }
    sentence.or(word).filter(|at| *at > 0).unwrap_or(head.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_texts_and_markup_stay_whole() {
        assert_eq!(passages(" Hello. You. "), ["Hello. You."]);
        let markup = format!("<speak>{}</speak>", "a b. ".repeat(400));
        assert_eq!(passages(&markup), [markup]);
    }

    #[test]
    fn long_ones_end_with_a_sentence_else_with_a_word() {
        let sentence = format!("{}end. ", "word ".repeat(80));
        let text = sentence.repeat(3);
        assert_eq!(passages(&text), [sentence.repeat(2).trim_end(), sentence.trim_end()]);
        let words = "word ".repeat(300);
        let first = &passages(&words)[0];
        assert!(first.len() > 890 && first.ends_with("word"), "{first}");
        assert_eq!(passages(&"é".repeat(1_000)), ["é".repeat(900), "é".repeat(100)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_too_long(text in "[a-zé。. \n]{0,4000}") {
            let passages = passages(&text);
            prop_assert!(passages.iter().all(|passage| passage.chars().count() <= LONGEST));
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&passages.concat()), letters(&text));
        }
    }
}
