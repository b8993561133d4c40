//! What all documents of JSON have in common: how they become a text, and how foreign texts and
//! amounts stand in them. Knows no document.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::report::escape;
use crate::units::Kib;

/// A document on many lines.
pub(super) fn lines(document: &impl Serialize) -> String {
    text(document, Printable(PrettyFormatter::new()))
}

/// The same on one line.
pub(super) fn line(document: &impl Serialize) -> String {
    text(document, Printable(CompactFormatter))
}

fn text(document: &impl Serialize, formatter: impl Formatter) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // A buffer takes everything, and keys are texts.
    let is_whole = document.serialize(&mut serializer).is_ok();
    debug_assert!(is_whole, "a report has a form");
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

/// A name as a text, and its bytes where the text cannot tell them.
pub(super) struct Name<'a>(pub(super) &'a [u8]);

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &lossy(self.0))?;
        if let Some(bytes) = hex(self.0) {
            map.serialize_entry("name_bytes", &bytes)?;
        }
        map.end()
    }
}

/// As much of a text as is UTF-8.
pub(super) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The bytes of a text that is not UTF-8.
pub(super) fn hex(text: &[u8]) -> Option<String> {
    let is_text = std::str::from_utf8(text).is_ok();
    (!is_text).then(|| text.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An amount, for numbers in bytes.
pub(super) fn bytes(amount: Option<Kib>) -> Option<u64> {
    amount.map(Kib::bytes)
}

/// Writes as an escape what moves a cursor or turns a text around: JSON need not, but reports are
/// looked at on terminals.
struct Printable<Inner>(Inner);

macro_rules! as_inner {
    ($($name:ident($($value:ident: $kind:ty),*);)*) => {
        $(fn $name<W: ?Sized + Write>(
            &mut self,
            writer: &mut W
            $(, $value: $kind)*
        ) -> io::Result<()> {
            self.0.$name(writer $(, $value)*)
        })*
    };
}

impl<Inner: Formatter> Formatter for Printable<Inner> {
    as_inner! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        writer.write_all(escape::json(fragment).as_bytes())
    }
}
