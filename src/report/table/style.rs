//! Colours of whole lines.

use crate::units::labels;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless the environment forbids it.
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
    /// Whether to use colour, by the default for standard output.
    pub fn is_wanted(self, is_default: bool) -> bool {
        match self {
            Color::Auto => is_default,
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// The style of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As other text.
    Plain,
    /// Bold: header and total.
    Strong,
    /// Yellow: unknown figures.
    Warning,
    /// Faint: figures that other rows have, and sums of cut rows.
    Faint,
}

/// The end of a style.
const END: &str = "\x1b[0m";

/// Splits a line into the beginning of its style, its text, and the end of the style.
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

    /// Writes a line in this style, without a newline.
    pub(super) fn write(self, text: &mut String, is_colored: bool, line: &str) {
        match self.codes().filter(|_| is_colored) {
            Some(codes) => text.extend(["\x1b[", codes, "m", line, END]),
            None => text.push_str(line),
        }
    }
}
