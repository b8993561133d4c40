//! The words of enums as values of options, and as help texts.

use std::ffi::OsStr;
use std::marker::PhantomData;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};

use crate::units::Labelled;

/// Parses the word of an enum. Blanks around it, as behind the comma of a list, do not count.
#[derive(Clone)]
pub(crate) struct Words<T>(PhantomData<T>);

/// The parser of an option whose values are those of an enum.
pub(crate) fn words<T: Labelled>() -> Words<T> {
    Words(PhantomData)
}

impl<T: Labelled> TypedValueParser for Words<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        option: Option<&Arg>,
        word: &OsStr,
    ) -> Result<T, clap::Error> {
        let text = word.to_str().map_or(word, |text| OsStr::new(text.trim()));
        // The parser's error suggests a word.
        let known = || PossibleValuesParser::new(values::<T>());
        let error = || known().parse_ref(command, option, text).expect_err("an unknown word");
        text.to_str().and_then(T::from_label).ok_or_else(error)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(values::<T>()))
    }
}

fn values<T: Labelled>() -> impl Iterator<Item = PossibleValue> {
    let value = |v: &T| PossibleValue::new(v.label()).help(v.help()).aliases(v.aliases());
    T::ALL.iter().map(value)
}

/// One line of help that ends in the words: `Group by: program, pid`.
pub(crate) fn short_help<T: Labelled>(text: &str) -> String {
    let words: Vec<&str> = T::ALL.iter().map(|value| value.label()).collect();
    format!("{text}: {}", words.join(", "))
}

/// The same with one line for each word.
pub(crate) fn long_help<T: Labelled>(text: &str) -> String {
    let width = T::ALL.iter().map(|value| value.label().len()).max().unwrap_or(0);
    let line = |value: &T| format!("\n  {:<width$}  {}", value.label(), value.help());
    format!("{text}:{}", T::ALL.iter().map(line).collect::<String>())
}
