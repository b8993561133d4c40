//! `--watch` as a terminal shows it: script(1) provides a pseudo-terminal of a given size, and a
//! model of xterm(1) interprets the bytes.

use std::process::{Command, Stdio};

use crate::support::failures::{Failures, check, check_eq};
use crate::support::{output, program, run, skip};
use unicode_width::UnicodeWidthChar;

/// A terminal with a number of columns and lines.
struct Terminal {
    columns: usize,
    lines: usize,
    term: &'static str,
    /// A shell command that starts first.
    meanwhile: &'static str,
}

impl Terminal {
    fn new(columns: usize, lines: usize) -> Terminal {
        Terminal { columns, lines, term: "xterm", meanwhile: "" }
    }

    /// The bytes that a run writes to the terminal, or `None` without script(1).
    fn bytes(&self, arguments: &str) -> Option<String> {
        if Command::new("script").arg("--version").output().is_err() {
            skip("terminal", "script (util-linux) is missing");
            return None;
        }
        let (columns, lines) = (self.columns, self.lines);
        let program_path = env!("CARGO_BIN_EXE_psm-uring");
        let size = format!("stty cols {columns} rows {lines}; {}", self.meanwhile);
        let line = format!("{size} exec {program_path} {arguments}");
        let mut command = Command::new("script");
        command.current_dir(program().get_current_dir().expect("the fixtures"));
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
        command.env_remove("COLUMNS").env_remove("LINES");
        command.env("TERM", self.term).env("NO_COLOR", "1");
        Some(output(command).stdout())
    }

    /// The visible lines at the end, without empty lines below them.
    fn shows(&self, arguments: &str) -> Option<Vec<String>> {
        let mut grid = Grid::new(self.columns, self.lines);
        grid.take(&self.bytes(arguments)?);
        let lines = grid.cells.iter().map(|cells| cells.concat());
        let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(end);
        Some(lines)
    }

    /// The table that `--watch` draws, without the line above.
    fn watched(&self, arguments: &str) -> Option<Vec<String>> {
        let arguments = format!("--engine sync -w 100ms --count 1 {arguments}");
        let mut lines = self.shows(&arguments)?;
        let above = lines.remove(0);
        assert!(above.starts_with("20"), "the year: {above}");
        Some(lines)
    }

    /// The lines of the table without `--watch`.
    fn once(&self, arguments: &str) -> Option<Vec<String>> {
        let text = self.bytes(&format!("--engine sync {arguments}"))?;
        Some(text.lines().map(|line| line.trim_end().to_owned()).collect())
    }
}

/// The visible screen. After a write into the last column the cursor stays on it, and an erase from
/// there removes that character.
struct Grid {
    cells: Vec<Vec<String>>,
    at: (usize, usize),
    /// Whether a full line continues in the next one; the wrap occurs at the next character.
    wraps: bool,
    is_full: bool,
}

fn blank(columns: usize) -> Vec<String> {
    vec![" ".to_owned(); columns]
}

impl Grid {
    fn new(columns: usize, lines: usize) -> Grid {
        Grid { cells: vec![blank(columns); lines], at: (0, 0), wraps: true, is_full: false }
    }

    fn take(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.go(self.at.0, 0),
                '\n' => self.feed(),
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['), "{text:?}");
                    let sequence = chars.as_str();
                    let end = sequence.find(|c: char| c.is_ascii_alphabetic()).expect("a letter");
                    self.control(&sequence[..=end]);
                    chars = sequence[end + 1..].chars();
                }
                c => self.put(c),
            }
        }
    }

    fn go(&mut self, line: usize, column: usize) {
        (self.at, self.is_full) = ((line, column), false);
    }

    fn feed(&mut self) {
        if self.at.0 + 1 < self.cells.len() {
            self.go(self.at.0 + 1, self.at.1);
        } else {
            self.cells.rotate_left(1);
            self.cells[self.at.0] = blank(self.cells[0].len());
        }
    }

    fn put(&mut self, c: char) {
        if self.is_full && self.wraps {
            self.feed();
            self.go(self.at.0, 0);
        }
        let (line, columns) = (&mut self.cells[self.at.0], c.width().unwrap_or(0));
        match columns {
            0 => line[self.at.1 - usize::from(!self.is_full)].push(c),
            _ => line[self.at.1] = c.to_string(),
        }
        for _ in 0..columns {
            self.is_full = self.at.1 + 1 == line.len();
            self.at.1 += usize::from(!self.is_full);
        }
        // The other half of a wide character.
        if columns == 2 {
            line[self.at.1 - usize::from(!self.is_full)].clear();
        }
    }

    fn control(&mut self, sequence: &str) {
        let (line, column) = self.at;
        match sequence {
            "H" => self.go(0, 0),
            "K" => self.cells[line][column..].fill(" ".to_owned()),
            "J" => {
                self.cells[line][column..].fill(" ".to_owned());
                let columns = self.cells[0].len();
                self.cells[line + 1..].fill(blank(columns));
            }
            "?7l" => self.wraps = false,
            "?7h" => self.wraps = true,
            other => panic!("{other:?} is unknown to this terminal"),
        }
    }
}

#[test]
fn a_full_line_is_drawn_to_its_last_character() {
    let mut failures = Failures::new();
    for arguments in [
        "--proc-root ordinary",
        "--proc-root ordinary --columns name,ram --unit B",
        "--proc-root ordinary --by pid --columns name,pid",
        "--proc-root names --by pid",
    ] {
        for columns in [40, 60, 61, 80, 100] {
            let terminal = Terminal::new(columns, 60);
            let Some(once) = terminal.once(arguments) else { return };
            let watched = terminal.watched(arguments).expect("script(1)");
            check_eq!(failures, watched, once, "{arguments} in {columns} columns");
        }
    }
}

#[test]
fn wide_lines_are_cut_between_numbers() {
    let mut failures = Failures::new();
    let many = "--columns ram,uss,shared,rss,swap,footprint,count,name";
    for arguments in [many, "--columns name,user,ram,uss --unit B", "--summary", "--by pid"] {
        let arguments = &format!("--proc-root ordinary {arguments}");
        for columns in [11, 20, 33, 40, 41, 47, 63] {
            let terminal = Terminal::new(columns, 60);
            let Some(once) = terminal.once(arguments) else { return };
            let watched = terminal.watched(arguments).expect("script(1)");
            assert_eq!(watched.len(), once.len(), "{arguments}: {watched:#?}");
            for (drawn, whole) in watched.iter().zip(&once) {
                let is_whole = drawn == whole && drawn.chars().count() <= columns;
                let cut = drawn.strip_suffix(" …").and_then(|left| whole.strip_prefix(left));
                let is_cut = cut.is_some_and(|rest| rest.starts_with(' '));
                check!(
                    failures,
                    is_whole || is_cut,
                    "{arguments} in {columns}: {drawn:?} of {whole:?}"
                );
            }
        }
    }
}

#[test]
fn a_low_terminal_shows_the_end_of_a_summary() {
    let mut failures = Failures::new();
    let arguments = "--proc-root ordinary --summary";
    for lines in [9, 14, 22, 26] {
        let terminal = Terminal::new(80, lines);
        let Some(once) = terminal.once(arguments) else { return };
        let watched = terminal.watched(arguments).expect("script(1)");
        let all = once.iter().position(|line| line.contains("ALL MEMORY")).expect("a sum");
        // Swap and zswap follow.
        let end = &once[all..all + 3];
        check!(failures, watched.windows(3).any(|lines| lines == end), "{lines}: {watched:#?}");
        let has_programs = watched.iter().any(|line| line.ends_with("TOTAL USED BY PROCESSES"));
        let has_head = watched[0].contains("PROCESS (COUNT)");
        let expected = (lines > 9, lines > 9);
        check_eq!(failures, (has_programs, has_head), expected, "{lines}: {watched:#?}");
    }
}

/// Five programs have rows on the usual terminal. The parts of the host still add up.
#[test]
fn the_memory_of_the_host_leaves_rows_for_programs() {
    let mut failures = Failures::new();
    let tenths = |line: &String| {
        let (whole, tenth) = line.split_whitespace().next()?.split_once('.')?;
        Some(whole.parse::<u64>().ok()? * 10 + tenth.parse::<u64>().ok()?)
    };
    for lines in [24, 30, 60] {
        let terminal = Terminal::new(80, lines);
        let arguments = "--proc-root ordinary --host";
        let Some(watched) = terminal.watched(arguments) else { return };
        let place = |text: &str| watched.iter().position(|line| line.contains(text));
        let (total, head) = (place("TOTAL USED BY").expect("a total"), place("MEMORY"));
        let (head, all) = (head.expect("a head"), place("ALL MEMORY").expect("a sum"));
        let is_row = |line: &&String| !line.contains("more)");
        let programs = watched[1..total].iter().filter(is_row).count();
        check!(failures, programs >= 5, "{lines}: {watched:#?}");
        let parts: Vec<u64> = watched[head + 1..all].iter().filter_map(tenths).collect();
        check!(failures, parts.iter().all(|part| *part > 0), "{lines}: {watched:#?}");
        let sum: u64 = parts.iter().sum();
        check!(failures, sum.abs_diff(241_112) < 10, "{lines}: {sum} {watched:#?}");
    }
}

#[test]
fn a_dumb_terminal_shows_table_after_table() {
    let arguments = "--engine sync --proc-root ordinary";
    for term in ["dumb", ""] {
        let terminal = Terminal { term, ..Terminal::new(80, 24) };
        let Some(once) = terminal.bytes(arguments) else { return };
        let watched = terminal.bytes(&format!("{arguments} --watch 100ms --count 2"));
        let time = crate::support::sources::regex(r"[0-9: -]+ UTC, every 100ms: [^\r]+\r\n");
        let watched = watched.map(|text| time.replace_all(&text, "(time)\r\n").into_owned());
        let expected = format!("(time)\r\n{once}\r\n(time)\r\n{once}");
        assert_eq!(watched, Some(expected), "TERM={term}");
    }
}

/// The words are those of the one line in a pipe, and no word is cut.
#[test]
fn each_reason_has_lines_of_its_own() {
    let mut failures = Failures::new();
    let words =
        |text: &str| text.replace(';', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let piped = run(["--proc-root", "vanished", "--engine", "sync"]).stderr();
    assert_eq!(piped.lines().count(), 1, "{piped}");
    for columns in [40, 60, 80, 300] {
        let Some(lines) = Terminal::new(columns, 24).once("--proc-root vanished") else { return };
        let first = lines.iter().position(|line| line.starts_with("psm-uring: "));
        let notes = &lines[first.expect("notes below the table")..];
        check_eq!(failures, words(&notes.join(" ")), words(&piped), "{columns}");
        let begins: Vec<&str> =
            notes.iter().filter(|line| !line.starts_with("    ")).map(|line| &line[..11]).collect();
        let expected = ["psm-uring: ", "  1 changed", "  2 failed "];
        check_eq!(failures, begins, expected, "{columns}: {notes:#?}");
        let widest = notes.iter().map(String::len).max();
        check!(failures, widest <= Some(columns), "{columns}: {notes:#?}");
    }
}

/// The redraw occurs long before the next report is due.
#[test]
fn another_size_is_drawn_at_once() {
    let meanwhile = "(sleep 0.5; stty -F /dev/tty cols 30 rows 9) &";
    let terminal = Terminal { meanwhile, ..Terminal::new(80, 24) };
    let arguments = "--proc-root malformed --columns ram,name --engine sync -w 2s --count 2";
    let Some(bytes) = terminal.bytes(arguments) else { return };
    let frames: Vec<&str> = bytes.split("\x1b[?7l").skip(1).collect();
    // `stty` sets columns and lines one after the other.
    assert!((3..=4).contains(&frames.len()), "{bytes:?}");
    let (lines, columns) = (9, 30);
    let frame = format!("\x1b[?7l{}", frames[frames.len() - 2]);
    assert!(frame.matches('\n').count() < lines, "{frame:?}");
    let mut grid = Grid::new(columns, lines);
    grid.take(&frame);
    assert!(grid.cells[0].concat().starts_with("20"), "nothing scrolled: {frame:?}");
    let shown = |words: &str| grid.cells.iter().any(|cells| cells.concat().starts_with(words));
    assert!(shown("# ") && shown("psm-uring: "), "sum and notes: {frame:?}");
    let time = |frame: &str| frame.split(" UTC").next().map(str::to_owned);
    assert_eq!(time(frames[0]), time(frames[frames.len() - 2]), "not measured anew");
}

/// Formats for programs keep the bytes of names, but none that acts on a terminal.
#[test]
fn no_name_acts_on_a_terminal() {
    let terminal = Terminal::new(80, 24);
    for format in ["csv", "openmetrics"] {
        let call = format!("--proc-root names -o {format} -p 204,205,219,220");
        let Some(bytes) = terminal.bytes(&call) else { return };
        let acts = |c: char| c.is_control() && !"\r\n".contains(c) || c == '\u{202e}';
        assert!(!bytes.contains(acts), "{bytes:?}");
        // The key of the metrics is the beginning of the name.
        let (is_csv, slash) = (format == "csv", if format == "csv" { r"\" } else { r"\\" });
        assert!(bytes.contains(&format!("ev{slash}u{{1b}}")), "{bytes}");
        assert_eq!(bytes.contains("999.9 0.0 fake (1)"), is_csv, "{bytes}");
        assert!(!bytes.contains("\n999.9"), "{bytes}");
    }
}
