//! The rows of stuck processes: dashes, and the figures that the kernel still reports.

use crate::support::{Ran, TempDir, assert_one_line, make_fifo, output, program};

/// Processes whose memory file blocks forever on open, as a FIFO does. Their ids start at 1, and
/// each has more resident memory than the previous one.
fn stuck(name: &str, count: usize) -> TempDir {
    let root = TempDir::new(name);
    for pid in 1..=count {
        let dir = root.path().join(pid.to_string());
        std::fs::create_dir_all(&dir).expect("a directory");
        let write = |file: &str, text: String| std::fs::write(dir.join(file), text).expect(file);
        write("cmdline", format!("/opt/stuck{pid}\0"));
        write("comm", format!("stuck{pid}\n"));
        let rss = pid * 1024;
        let memory = format!("VmSize:\t9 kB\nVmRSS:\t{rss} kB\n");
        let uid = 100 + pid % 2;
        write("status", format!("Name:\tstuck{pid}\nState:\tD\nUid:\t9\t{uid}\t9\t9\n{memory}"));
        write("cgroup", format!("0::/stuck{pid}.service\n"));
        make_fifo(&dir.join("smaps_rollup"));
    }
    root
}

fn run_stuck(root: &TempDir, arguments: &[&str]) -> Ran {
    let mut command = program();
    command.arg("--proc-root").arg(root.path()).args(arguments);
    output(command)
}

/// A stuck process has a row with dashes and known figures; --top limits the rows, the sum is
/// unknown.
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

/// A process that timed out counts under its user, which the kernel still reports; the program no
/// longer reads its group. The program does not wait for unselected processes.
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

/// A process that the deadline leaves unread has no row and no state, only a count.
#[test]
fn processes_not_asked_have_no_row() {
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
