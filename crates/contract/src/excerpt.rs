//! Text for one line of a terminal: what is long is cut, what is not printable is escaped.

use std::fmt::{self, Write};

use tapline_pipe::printable::is_printable;

/// Collects at most `left` characters; the text after them is dropped while it is written, not
/// after.
struct Bounded {
    text: String,
    left: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            let escaped = !is_printable(character);
            let width = if escaped {
                character.escape_default().count()
            } else {
                1
            };
            let Some(left) = self.left.checked_sub(width) else {
                self.text.push('…');
                return Err(fmt::Error);
            };
            self.left = left;
            if escaped {
                self.text.extend(character.escape_default());
            } else {
                self.text.push(character);
            }
        }
        Ok(())
    }
}

/// `value` as text of at most `limit` characters and an ellipsis.
pub(crate) fn excerpt(value: impl fmt::Display, limit: usize) -> String {
    let mut bounded = Bounded {
        text: String::new(),
        left: limit,
    };
    // The one error is ours: enough was written.
    let _ = write!(bounded, "{value}");
    bounded.text
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn short_text_is_kept() {
        assert_eq!(excerpt("ab°", 3), "ab°");
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(excerpt("ab°d", 3), "ab°…");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(excerpt("a\n\u{1b}[31m\0", 80), "a\\n\\u{1b}[31m\\u{0}");
    }
}
