//! Third-party programs that read the output of the program. The error names a missing one.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::skip;
use super::sources::root;

/// Runs a reader on a text; `None` when the program is missing.
fn read(mut command: Command, text: &str) -> Option<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().expect("piped");
    let text = text.to_owned();
    // The reader may exit early: then its exit code gives the reason.
    let writer = std::thread::spawn(move || _ = stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("a child of ours");
    writer.join().expect("no panic");
    Some(output)
}

/// Validates documents against a schema in docs. Panics when one does not match.
pub fn validate(schema: &str, documents: &[String]) -> Result<(), String> {
    let script = root().join("tests/support/validate.py");
    let schema = root().join(format!("docs/{schema}.schema.json"));
    // Debian's Python includes the modules of Debian's packages.
    for python in ["python3", "/usr/bin/python3"] {
        let mut command = Command::new(python);
        command.arg(&script).arg(&schema);
        let Some(output) = read(command, &documents.concat()) else { continue };
        let told = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => return Ok(()),
            Some(77) => {}
            _ => panic!("{told}"),
        }
    }
    Err("no JSON Schema validator here (apt-get install python3-jsonschema)".to_owned())
}

/// The same for the end of a test, which it skips without a validator.
pub fn validate_or_skip(test: &str, schema: &str, documents: &[String]) {
    if let Err(why) = validate(schema, documents) {
        skip(test, &why);
    }
}

/// Runs Prometheus' checker, which parses like the textfile collector. Panics when it rejects the
/// text, or reports a bad name or help text.
pub fn promtool(text: &str) -> Result<(), String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    let Some(output) = read(command, text) else {
        return Err("no promtool here (apt-get install prometheus)".to_owned());
    };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}\n{text}");
    Ok(())
}

/// The records of a CSV text, by the fields of its header.
pub fn csv(text: &str) -> Vec<std::collections::HashMap<String, String>> {
    assert!(text.ends_with("\r\n"), "{text:?}");
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    reader.deserialize().map(|record| record.expect("a record")).collect()
}
