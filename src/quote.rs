//! Text that came over the wire or out of a file, as messages quote it.

use std::fmt::Display;

/// Most characters of foreign text that a message shows.
const SHOWN: usize = 64;

/// `text` in quotes, on one line and in at most 64 characters; what is left out is said.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}... ({} bytes)", &text[..end], text.len()),
    }
}

/// The same without quotes, for a field of its own.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
    }
}

/// The text without NUL, which no string of a message may hold: C ends there, and r2r panics.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// Most characters of another library's error that a message shows.
const TOLD: usize = 400;

/// What another library says of foreign text, which it may quote: on one line, and not without end.
pub(crate) fn told(error: impl Display) -> String {
    let mut text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(TOLD) {
        text.truncate(end);
        text += "...";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_quoted_in_64_characters() {
        assert_eq!(quoted("rgb8\n"), "\"rgb8\\n\"");
        let long = "ä".repeat(1 << 20);
        assert_eq!(quoted(&long), format!("\"{}\"... (2097152 bytes)", "ä".repeat(64)));
        assert_eq!(shortened(&long), format!("{}... (2097152 bytes)", "ä".repeat(64)));
        assert_eq!(shortened("front"), "front");
    }

    #[test]
    fn what_libraries_say_is_one_line_that_ends() {
        assert_eq!(told("no\n field `a`"), "no field `a`");
        assert_eq!(told("ä ".repeat(1 << 20)).chars().count(), 403);
    }
}
