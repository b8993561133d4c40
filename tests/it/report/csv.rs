//! `-o csv`.

use crate::support::{TempDir, output, program};

/// The part of nothing is undefined, so its field is empty.
#[test]
fn the_part_of_nothing_is_empty_in_csv() {
    let root = TempDir::new("csv-nothing");
    let dir = root.path().join("1");
    std::fs::create_dir(&dir).expect("a directory");
    let figures = "Rss: 0 kB\nPss: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\n";
    let rollup = &format!("0-1 ---p 0 0:0 0 [rollup]\n{figures}");
    for (file, text) in [("cmdline", "one\0"), ("comm", "one\n"), ("smaps_rollup", rollup)] {
        std::fs::write(dir.join(file), text).expect(file);
    }
    let mut command = program();
    command.args("-o csv --columns name,percent --no-header --proc-root".split(' '));
    command.arg(root.path());
    let ran = output(command);
    assert_eq!(ran.stdout(), "program,one,,one\r\ntotal,,,\r\n", "{}", ran.stderr());
}
