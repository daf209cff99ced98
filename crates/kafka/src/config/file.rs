//! The form of properties files.

/// A line in two: the name ends at the first `=`, `:` or blank.
pub(super) fn split_line(line: &str) -> Option<(&str, &str)> {
    let end = line.find(|c: char| c == '=' || c == ':' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (!name.is_empty()).then_some((name, value.trim()))
}

/// Whether the next line belongs to this one: it ends with an odd number of backslashes. Of an even number each second one
/// is escaped, so that a value can end with a backslash.
pub(super) fn is_continued(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\');
    backslashes.count() % 2 == 1
}
