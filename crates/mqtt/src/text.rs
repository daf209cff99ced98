//! What a text in an MQTT packet may hold (section 1.5.4).

/// The first character that a text should not hold: NUL [MQTT-1.5.4-2], which none may, and the control characters and
/// non-characters of Unicode. A receiver may treat them as a Malformed Packet and hang up (section 1.5.4), and
/// Mosquitto does.
#[must_use]
pub fn disallowed(text: &str) -> Option<char> {
    // Most texts are ASCII; they are looked at eight bytes at a time.
    if text.is_ascii() {
        let found = text.bytes().find(u8::is_ascii_control);
        return found.map(char::from);
    }
    text.chars().find(|&c| c.is_control() || is_noncharacter(c))
}

/// U+FDD0 to U+FDEF, and the last two of each plane (Unicode, section 23.7).
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
}

/// A character as messages show it: `U+0085`.
pub(crate) fn show(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_noncharacters_are_found_and_nothing_else() {
        for code in (0..=0x1f).chain(0x7f..=0x9f).chain(0xfdd0..=0xfdef) {
            let c = char::from_u32(code).unwrap();
            assert_eq!(disallowed(&format!("a{c}b")), Some(c), "{code:x}");
            assert_eq!(disallowed(&format!("ä{c}b")), Some(c), "{code:x}");
        }
        for plane in 0..=0x10 {
            for last in [0xfffe, 0xffff] {
                let c = char::from_u32(plane << 16 | last).unwrap();
                assert_eq!(disallowed(&c.to_string()), Some(c));
            }
        }
        for text in [
            "",
            "a b~",
            "\u{a0}",
            "ü/日本/🚜",
            "\u{fdcf}\u{fdf0}\u{fffd}",
        ] {
            assert_eq!(disallowed(text), None, "{text:?}");
        }
    }
}
