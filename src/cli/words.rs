//! The words for the enums of other floors.

use std::ffi::OsStr;

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum};

use crate::engine::EngineKind;
use crate::process::{NameRule, Source};
use crate::program::{Column, Definition, Grouping};
use crate::report::{Color, DiffFormat, Format, Unit};

/// Gives an enum of another floor its words on the command line.
macro_rules! words {
    ($kind:ty { $($variant:ident => $word:literal, $help:literal;)* }) => {
        impl ValueEnum for $kind {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(<$kind>::$variant),*]
            }
            fn to_possible_value(&self) -> Option<PossibleValue> {
                let (word, help) = match self {
                    $(<$kind>::$variant => ($word, $help),)*
                };
                Some(PossibleValue::new(word).help(help))
            }
        }
    };
}

/// A line of help that ends in the words: `What a row stands for: program, pid`.
pub(crate) fn brief<Word: ValueEnum + 'static>(what: &str) -> String {
    let words: Vec<String> = values::<Word>().map(|value| value.get_name().to_owned()).collect();
    format!("{what}: {}", words.join(", "))
}

/// The same with a line for each word.
pub(crate) fn whole<Word: ValueEnum + 'static>(what: &str) -> String {
    let width = values::<Word>().map(|value| value.get_name().len()).max().unwrap_or(0);
    let line = |value: PossibleValue| {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        format!("\n  {:<width$}  {help}", value.get_name())
    };
    format!("{what}:{}", values::<Word>().map(line).collect::<String>())
}

/// The word of a value.
pub fn word_of<Word: ValueEnum>(value: &Word) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn values<Word: ValueEnum + 'static>() -> impl Iterator<Item = PossibleValue> {
    Word::value_variants().iter().filter_map(ValueEnum::to_possible_value)
}

words!(Grouping {
    Program => "program", "All processes of one name";
    Pid => "pid", "One process";
    User => "user", "All processes of one user";
    Cgroup => "cgroup", "All processes of one control group";
    Unit => "unit", "All processes of one systemd unit";
    Container => "container", "All processes of one container";
});

words!(NameRule {
    Title => "title", "argv[0] as the process shows it, paths cut to the last part";
    Comm => "comm", "the kernel's name of the thread, at most 15 bytes";
    Exe => "exe", "the last part of the binary's path";
    Script => "script", "what an interpreter runs: script, module, class; else as title";
    Cmdline => "cmdline", "the whole argument list";
});

/// The words of columns stand with the columns.
impl ValueEnum for Column {
    fn value_variants<'a>() -> &'a [Self] {
        &Column::ALL
    }
    fn to_possible_value(&self) -> Option<PossibleValue> {
        let Definition { word, help, .. } = self.definition();
        let value = PossibleValue::new(word).help(help);
        Some(if *self == Column::Ram { value.alias("pss") } else { value })
    }
}

/// A word of a list, with the blanks that may stand behind the comma before it.
#[derive(Clone)]
pub(super) struct ListedColumn;

impl TypedValueParser for ListedColumn {
    type Value = Column;

    fn parse_ref(
        &self,
        command: &Command,
        option: Option<&Arg>,
        word: &OsStr,
    ) -> Result<Column, clap::Error> {
        let trimmed = word.to_str().map_or(word, |text| OsStr::new(text.trim()));
        EnumValueParser::<Column>::new().parse_ref(command, option, trimmed)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(values::<Column>()))
    }
}

words!(Color {
    Auto => "auto", "On a terminal, unless NO_COLOR or CLICOLOR=0 is set";
    Always => "always", "Always";
    Never => "never", "Never";
});

words!(Format {
    Table => "table", "Columns for people";
    Json => "json", "All figures in bytes, coverage and facts of the run";
    Ndjson => "ndjson", "The same on one line";
    Csv => "csv", "A record for each line of the table, in bytes";
    OpenMetrics => "openmetrics", "For the textfile collector of node_exporter";
});

words!(DiffFormat {
    Table => "table", "Columns for people";
    Json => "json", "What each row had before and after, in bytes";
    Ndjson => "ndjson", "The same on one line";
    Csv => "csv", "The same, a record for each row";
});

words!(Unit {
    Auto => "auto", "What suits the biggest amount";
    Bytes => "B", "Bytes";
    Kib => "KiB", "1,024 bytes";
    Mib => "MiB", "1,024 KiB";
    Gib => "GiB", "1,024 MiB";
});

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

words!(EngineKind {
    Auto => "auto", "uring where it works, else threads";
    Uring => "uring", "One thread submits to io_uring";
    Threads => "threads", "Several threads read";
    Sync => "sync", "One thread reads";
});

words!(Source {
    Auto => "auto", "smaps_rollup, or smaps where there is none";
    Rollup => "rollup", "smaps_rollup only";
    Smaps => "smaps", "smaps only: every mapping";
});

pub(crate) use words;
