//! Text of strangers, made fit to stand in a message: a payload, a topic, a file's name or a broker's answer must not
//! begin a line of its own, move a terminal's cursor, change its colours or turn the order of what stands around it.

use std::borrow::Cow;

/// Whether a terminal shows the character and does nothing else: it is no control character (C0, DEL, C1), no line or
/// paragraph separator, and doesn't change the direction of text (Unicode's UAX #9).
#[must_use]
pub fn is_printable(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// The text with all else escaped as Rust does it: `\n`, `\t`, `\u{1b}`. A backslash of the text stays as it is.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_printable(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_default());
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_all_else_stays() {
        let text = "gr\u{f6}\u{df}er \u{1f600} \\n C:\\x";
        assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        for (text, want) in [
            ("a\r\nb\tc", r"a\r\nb\tc"),
            ("\x1b[2J\x07\x7f", r"\u{1b}[2J\u{7}\u{7f}"),
            ("\u{9b}31m\u{85}", r"\u{9b}31m\u{85}"),
            (
                "\u{202e}x\u{2066}y\u{2028}z\u{200f}",
                r"\u{202e}x\u{2066}y\u{2028}z\u{200f}",
            ),
        ] {
            assert_eq!(printable(text), want);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_out_is_a_control_character(text in any::<String>()) {
            let shown = printable(&text);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(printable(&shown), shown.as_ref());
        }
    }
}
