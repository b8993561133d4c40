//! The text of a JSON document, and the names in it.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A document on many lines.
pub(super) fn lines(document: &impl Serialize) -> String {
    whole(serde_json::to_string_pretty(document))
}

/// A document on one line.
pub(super) fn line(document: &impl Serialize) -> String {
    whole(serde_json::to_string(document))
}

/// Keys are strings, and a string takes every document: none fails.
fn whole(text: serde_json::Result<String>) -> String {
    debug_assert!(text.is_ok(), "a document has a text");
    text.unwrap_or_default() + "\n"
}

/// A name as text, and its bytes if it is not UTF-8.
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

/// The text, with U+FFFD for bytes that are not UTF-8.
pub(super) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The bytes of a text that is not UTF-8, in hexadecimal.
pub(super) fn hex(text: &[u8]) -> Option<String> {
    let is_text = std::str::from_utf8(text).is_ok();
    (!is_text).then(|| text.iter().map(|byte| format!("{byte:02x}")).collect())
}
