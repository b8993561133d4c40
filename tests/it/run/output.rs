//! Where the report goes: a reader that leaves, a disk that is full, a descriptor that is closed;
//! and what `--stats` says. Knows nothing of the numbers.

mod support;

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use support::{Ran, output, program, run, skip, wait};

/// Runs on a fixture with standard output at something that is not a pipe of ours.
fn run_into(stdout: impl Into<Stdio>, arguments: &[&str]) -> Ran {
    let mut command = program();
    command.args(["--proc-root", "ordinary"]).args(arguments);
    let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("it starts");
    let status = wait(&mut child, &command);
    let mut stderr = Vec::new();
    let mut pipe = child.stderr.take().expect("piped");
    std::io::Read::read_to_end(&mut pipe, &mut stderr).expect("a pipe can be read");
    Ran { stdout: Vec::new(), stderr, code: status.code() }
}

fn assert_one_line(ran: &Ran, words: &str) {
    let text = ran.stderr();
    assert!(text.starts_with("psm-uring: ") && text.contains(words), "{text}");
    assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{text}");
}

/// A reader that left ends the program as it ends others: silently, by SIGPIPE.
#[test]
fn closed_pipe_is_quiet() {
    for arguments in [&[][..], &["--total"], &["--by", "pid"], &["--engine", "sync"], &["-h"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = program();
        command.args(["--proc-root", "ordinary"]).args(arguments);
        let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
        let status = wait(&mut child, &command);
        assert_eq!(status.signal(), Some(libc::SIGPIPE), "{arguments:?}: {status}");
        let mut stderr = String::new();
        let mut pipe = child.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut pipe, &mut stderr).expect("a pipe can be read");
        assert_eq!(stderr, "", "{arguments:?}");
    }
}

/// Where standard output is closed, the next file opened could take its place; nothing may be
/// written into that, nor be lost in silence.
#[test]
fn closed_standard_output_is_told() {
    for arguments in ["", "--total", "--help", "--version"] {
        let mut command = std::process::Command::new("sh");
        command.current_dir(support::tree("ordinary"));
        let program = env!("CARGO_BIN_EXE_psm-uring");
        let line = format!("exec \"$0\" --proc-root . {arguments} >&-");
        command.args(["-c", &line, program]);
        let ran = output(command);
        assert_one_line(&ran, "Bad file descriptor");
        assert_eq!(ran.code, Some(1), "{arguments}");
    }
}

#[test]
fn full_disk_is_told() {
    for arguments in [&[][..], &["--total"]] {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
            return skip("full_disk_is_told", "there is no /dev/full");
        };
        let ran = run_into(full, arguments);
        assert_one_line(&ran, "No space left on device");
        assert_eq!(ran.code, Some(1), "{arguments:?}");
    }
}

#[test]
fn output_that_takes_nothing_is_told() {
    let read_only = File::open("/dev/null").expect("/dev/null");
    let ran = run_into(read_only, &[]);
    assert_one_line(&ran, "Bad file descriptor");
    assert_eq!(ran.code, Some(1));
}

/// Standard error that takes nothing is no reason to lose the report.
#[test]
fn full_standard_error_is_survived() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return skip("full_standard_error_is_survived", "there is no /dev/full");
    };
    let mut command = program();
    command.args(["--proc-root", "vanished", "--stats"]);
    let mut child = command.stdout(Stdio::piped()).stderr(full).spawn().expect("it starts");
    let status = wait(&mut child, &command);
    let mut stdout = String::new();
    let mut pipe = child.stdout.take().expect("piped");
    std::io::Read::read_to_string(&mut pipe, &mut stdout).expect("a pipe can be read");
    assert_eq!(status.code(), Some(0));
    assert!(stdout.contains("TOTAL USED BY PROCESSES"), "{stdout}");
}

/// Nothing is written but the report and the notes: not to a terminal, not to a file.
#[test]
fn help_and_version_go_to_standard_output() {
    for (argument, part) in
        [("--help", "Examples:"), ("-h", "--filter"), ("--version", "psm-uring ")]
    {
        let ran = run([argument]);
        assert!(ran.stdout().contains(part), "{}", ran.stdout());
        assert_eq!((ran.stderr().as_str(), ran.code), ("", Some(0)));
    }
}

#[test]
fn stats_name_every_fact() {
    for engine in ["sync", "threads", "auto"] {
        let ran = run(["--proc-root", "kernel-threads", "--stats", "--engine", engine]);
        let text = ran.stderr();
        for key in
            ["engine", "workers", "source", "processes", "operations", "time", "CPU", "peak memory"]
        {
            assert!(
                text.lines().any(|line| line.starts_with(key)),
                "{engine}: no {key} in\n{text}"
            );
        }
        let processes = "7 listed: 3 measured, 3 kernel threads, 1 zombie,";
        assert!(text.contains(processes), "{engine}:\n{text}");
        let plain = run(["--proc-root", "kernel-threads", "--engine", engine]);
        assert_eq!(ran.stdout, plain.stdout, "--stats changes nothing in the report");
        assert_eq!(plain.stderr(), "", "nothing was left out, so nothing is said");
    }
}

/// What is not selected is not measured: with a filter fewer memory files are read.
#[test]
fn what_is_not_selected_is_not_read() {
    let bytes = |arguments: &[&str]| {
        let mut command = program();
        command.args(["--proc-root", "ordinary", "--stats", "--engine", "sync"]).args(arguments);
        let text = output(command).stderr();
        let line = text.lines().find(|line| line.starts_with("operations")).expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "bytes").expect("bytes");
        words[place - 1].parse::<u64>().expect("a number")
    };
    let (all, one, none) = (bytes(&[]), bytes(&["-f", "^java$"]), bytes(&["-f", "nothing"]));
    assert!(none < 2000 && none < one, "names alone: {none} of {all} bytes");
    assert!(one < none + 1500, "one rollup: {one} of {all} bytes");
}

/// A directory of processes that is removed when it is dropped.
struct Stuck(PathBuf);

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Processes whose memory file sleeps for ever when it is opened, as a FIFO does. Their ids begin
/// with 1, and each has more resident than the one before.
fn stuck(name: &str, count: usize) -> Stuck {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&root);
    for pid in 1..=count {
        let dir = root.join(pid.to_string());
        std::fs::create_dir_all(&dir).expect("a directory");
        let write = |file: &str, text: String| std::fs::write(dir.join(file), text).expect(file);
        write("cmdline", format!("/opt/stuck{pid}\0"));
        write("comm", format!("stuck{pid}\n"));
        let rss = pid * 1024;
        let memory = format!("VmSize:\t9 kB\nVmRSS:\t{rss} kB\n");
        let uid = 100 + pid % 2;
        write("status", format!("Name:\tstuck{pid}\nState:\tD\nUid:\t9\t{uid}\t9\t9\n{memory}"));
        write("cgroup", format!("0::/stuck{pid}.service\n"));
        let fifo = dir.join("smaps_rollup");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");
    }
    Stuck(root)
}

fn run_stuck(root: &Stuck, arguments: &[&str]) -> Ran {
    let mut command = program();
    command.arg("--proc-root").arg(&root.0).args(arguments);
    output(command)
}

/// What sleeps is shown with dashes and what is known; the rows obey --top, the sum is unknown.
#[test]
fn stuck_processes_have_rows_without_figures() {
    let root = stuck("stuck-few", 3);
    for engine in ["sync", "threads", "auto"] {
        let usual = ["--engine", engine, "--stuck-after", "200ms", "--no-header"];
        let ran = run_stuck(&root, &[&usual[..], &["-n", "2"]].concat());
        let rows = "         -         -         -  stuck2 (1) timed out, RSS 2.0 MiB\n         \
                    -         -         -  stuck3 (1) timed out, RSS 3.0 MiB\n         \
                    -         -         -  (1 more) timed out, RSS 1.0 MiB\n#        \
                    -                   -  TOTAL USED BY PROCESSES\n";
        assert_eq!(ran.stdout(), rows, "{engine}");
        assert_one_line(&ran, "measured 0 of 3 processes; 3 timed out (PID 1 stuck1 in state D,");
        assert_one_line(&ran, "look at /proc/1/stack, or raise it");
        assert_eq!(ran.code, Some(0), "{engine}");

        let ran = run_stuck(&root, &[&usual[..], &["--total"]].concat());
        assert_eq!((ran.stdout().as_str(), ran.code), ("", Some(1)), "{engine}");
        assert_one_line(&ran, "no total: measured 0 of 3 processes; 3 timed out");

        let ran = run_stuck(&root, &[&usual[..], &["-f", "no-such-name"]].concat());
        assert_one_line(&ran, "no row: --filter 'no-such-name' matches none of 3 names");

        let usual = [&usual[..], &["--name", "cmdline"]].concat();
        let ran = run_stuck(&root, &[&usual[..], &["-f", "stuck2"]].concat());
        assert_eq!(ran.stdout().matches(" timed out, RSS 2.0 MiB\n").count(), 1, "{engine}");
        let ran = run_stuck(&root, &[&usual[..], &["-f", "^/opt/stuck2$"]].concat());
        assert_eq!(ran.stdout().matches(" timed out").count(), 0, "{engine}");
        assert_one_line(&ran, "1 timed out (PID 2 stuck2 in state D)");
    }
}

/// A process that timed out stands under its user, which the kernel still tells; its group is not
/// asked any more. Who is of no interest is not waited for.
#[test]
fn stuck_processes_have_rows_of_their_group() {
    let root = stuck("stuck-grouped", 3);
    for engine in ["sync", "threads", "auto"] {
        let usual = ["--engine", engine, "--stuck-after", "100ms", "--no-header"];
        let rows = |arguments: &[&str]| {
            let text = run_stuck(&root, &[&usual[..], arguments].concat()).stdout();
            let rows = text.lines().filter_map(|line| line.rsplit_once("-  "));
            rows.map(|row| row.1).collect::<Vec<_>>().join("; ")
        };
        let unknown = "(unknown) (3) timed out, RSS 6.0 MiB; TOTAL USED BY PROCESSES";
        for by in ["cgroup", "unit", "container"] {
            assert_eq!(rows(&["--by", by]), unknown, "{engine} {by}");
        }
        let users = "100 (1) timed out, RSS 2.0 MiB; 101 (2) timed out, RSS 4.0 MiB; \
                     TOTAL USED BY PROCESSES";
        assert_eq!(rows(&["--by", "user"]), users, "{engine}");
        let one = rows(&["-u", "100"]);
        assert!(one.starts_with("stuck2 (1) timed out, RSS 2.0 MiB; TOTAL"), "{engine}: {one}");
        let ran = run_stuck(&root, &[&usual[..], &["-u", "100"]].concat());
        assert_one_line(&ran, "measured 0 of 1 process; 1 timed out (PID 2 stuck2 in state D)");
    }
}

/// A deadline says of processes that were never begun only that: no row, no state.
#[test]
fn what_was_not_asked_has_no_row() {
    const COUNT: usize = 300;
    let root = stuck("stuck-many", COUNT);
    for engine in ["sync", "auto"] {
        let ran = run_stuck(&root, &["--engine", engine, "--depth", "8", "--deadline", "30ms"]);
        let text = ran.stderr();
        let number = |what: &str| {
            let before = &text[..text.find(what).unwrap_or_else(|| panic!("{engine}: {text}"))];
            before.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0_usize)
        };
        let (timed_out, not_asked) = (number(" timed out ("), number(" not asked: --deadline"));
        assert_one_line(&ran, "not finished by --deadline; raise it, or look at /proc/1/stack");
        assert_eq!(timed_out + not_asked, COUNT, "{engine}: {text}");
        assert!(not_asked > COUNT / 2, "{engine}: {text}");
        let rows = |ran: &Ran| ran.stdout().matches(" timed out, RSS ").count();
        assert_eq!(rows(&ran), timed_out, "{engine}: {}", ran.stdout());
        let strict = ["--strict", "--deadline", "30ms", "--engine", engine];
        assert_eq!(run_stuck(&root, &strict).code, Some(3));
    }
}

/// No deadline makes a thread of the kernel a process that is missing.
#[test]
fn kernel_threads_do_not_time_out() {
    for engine in ["sync", "threads", "auto"] {
        let ran = run(["--engine", engine, "--deadline", "0"]);
        let text = ran.stdout() + &ran.stderr();
        assert!(!text.contains("kthreadd"), "{engine}: {text}");
    }
}

/// Behind a comma of a list there may be blanks; lists that are given one by one are one.
#[test]
fn lists_may_have_blanks() {
    let told = |list: [&str; 3]| {
        let [columns, users, pids] = list;
        let words = ["--columns", columns, "--user", users, "--pid", pids];
        let ran = run(["--proc-root", "ordinary"].into_iter().chain(words));
        (ran.stdout(), ran.stderr(), ran.code)
    };
    let expected = told(["ram,name", "0,33", "101,102"]);
    assert_eq!((expected.1.as_str(), expected.2), ("", Some(0)));
    assert_eq!(told(["ram, name ", "0, 33", " 101, 102"]), expected);
    let words = "--columns ram --columns name -u 0 -u 33 -p 101 -p 102";
    let ran = run(["--proc-root", "ordinary"].into_iter().chain(words.split(' ')));
    assert_eq!((ran.stdout(), ran.stderr(), ran.code), expected);
}

/// Colour is for terminals, unless somebody says otherwise; without it the same is written.
#[test]
fn color_is_for_terminals() {
    let vars = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"];
    let colored = |is_terminal: bool, word: &str, env: &[(&str, &str)]| {
        let arguments = ["--proc-root", "ordinary", "--color", word];
        let mut command = program();
        if is_terminal {
            let line = format!("{} {}", env!("CARGO_BIN_EXE_psm-uring"), arguments.join(" "));
            command = std::process::Command::new("script");
            command.current_dir(support::tests_path("procfs")).stdin(Stdio::null());
            command.args(["-qec", &line, "/dev/null"]).env("COLUMNS", "100");
        } else {
            command.args(arguments);
        }
        vars.iter().for_each(|name| _ = command.env_remove(name));
        command.env("TERM", "xterm").envs(env.iter().copied());
        output(command).stdout().replace('\r', "")
    };
    let plain = run(["--proc-root", "ordinary"]).stdout();
    let escapes = support::sources::regex("\u{1b}\\[[0-9;]*m");
    let check = |is_terminal, word, env: &[(&str, &str)], expected| {
        let text = colored(is_terminal, word, env);
        assert_eq!(text.contains('\u{1b}'), expected, "{is_terminal} {word} {env:?}\n{text}");
        assert_eq!(escapes.replace_all(&text, ""), plain, "{is_terminal} {word} {env:?}");
    };
    for (word, env, expected) in [
        ("auto", &[][..], false),
        ("auto", &[("CLICOLOR_FORCE", "1")], true),
        ("auto", &[("CLICOLOR_FORCE", "0")], false),
        ("auto", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ("always", &[("NO_COLOR", "1")], true),
        ("never", &[("CLICOLOR_FORCE", "1")], false),
    ] {
        check(false, word, env, expected);
    }
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return skip("color_is_for_terminals", "script (util-linux) is missing");
    }
    for (word, env, expected) in [
        ("auto", &[][..], true),
        ("auto", &[("NO_COLOR", "")], true),
        ("auto", &[("NO_COLOR", "1")], false),
        ("auto", &[("TERM", "dumb")], false),
        ("auto", &[("CLICOLOR", "0")], false),
        ("never", &[], false),
    ] {
        check(true, word, env, expected);
    }
}

/// On a terminal names are cut to its width, or to that of COLUMNS; in a pipe they never are.
#[test]
fn names_are_cut_on_a_terminal_only() {
    let on_terminal = |columns: &str, before: &str| {
        let program = env!("CARGO_BIN_EXE_psm-uring");
        let line = format!("{before} stty cols {columns}; exec {program} --proc-root ordinary");
        let mut command = std::process::Command::new("script");
        command.current_dir(support::tests_path("procfs")).env_remove("COLUMNS");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env("NO_COLOR", "1");
        output(command).stdout().replace('\r', "")
    };
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return skip("names_are_cut_on_a_terminal_only", "script (util-linux) is missing");
    }
    let whole = run(["--proc-root", "ordinary"]).stdout();
    let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
    assert_eq!(widest(&whole), Some(88), "the fixture has a long name");
    assert_eq!(on_terminal("88", ""), whole);
    for (columns, before) in [("87", ""), ("40", ""), ("200", "export COLUMNS=50;")] {
        let text = on_terminal(columns, before);
        let room = if before.is_empty() { columns.parse().ok() } else { Some(50) };
        assert_eq!(widest(&text), room, "{columns} {before}\n{text}");
        assert!(text.contains("1455.8") && text.contains("… (1)\n"), "{text}");
    }
    let mut piped = program();
    piped.args(["--proc-root", "ordinary"]).env("COLUMNS", "40");
    assert_eq!(output(piped).stdout(), whole);
}
