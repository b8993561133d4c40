//! Colour for a terminal: of whole lines, around what they say.

use crate::units::labels;

/// When there is colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

labels!(Color {
    Auto => "auto", "On a terminal, unless NO_COLOR or CLICOLOR=0 is set";
    Always => "always", "Always";
    Never => "never", "Never";
});

impl Color {
    /// Whether there is some, on a standard output that likes it or does not.
    pub fn is_wanted(self, is_liked: bool) -> bool {
        match self {
            Color::Auto => is_liked,
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As any text.
    Plain,
    /// Bold: the head and the sum.
    Strong,
    /// Yellow: figures are missing.
    Warning,
    /// Faint: nothing to look at.
    Faint,
}

/// What ends a style.
const END: &str = "\x1b[0m";

/// A line in its parts: what begins its style, what it says, what ends the style.
pub(super) fn parts(line: &str) -> (&str, &str, &str) {
    let split = |line: &'_ str| Some(line.len() - line.split_once('m')?.1.len());
    match line.strip_suffix(END).and_then(|line| Some((line, split(line)?))) {
        Some((line, begin)) => (&line[..begin], &line[begin..], END),
        None => ("", line, ""),
    }
}

impl Style {
    /// The parameters of `SGR` (ECMA-48, 8.3.117).
    fn codes(self) -> Option<&'static str> {
        match self {
            Style::Plain => None,
            Style::Strong => Some("1"),
            Style::Warning => Some("33"),
            Style::Faint => Some("2"),
        }
    }

    /// Writes a line, without its end, in this style.
    pub(super) fn write(self, text: &mut String, is_colored: bool, line: &str) {
        match self.codes().filter(|_| is_colored) {
            Some(codes) => text.extend(["\x1b[", codes, "m", line, END]),
            None => text.push_str(line),
        }
    }
}
