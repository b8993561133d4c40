//! `-o openmetrics`, against the checker of Prometheus.

use super::{calls, print};
use crate::support::child::Target;
use crate::support::{TempDir, copy_dir, output, program, readers, run, skip, tree};

#[test]
fn prometheus_takes_the_metrics() {
    for call in calls().iter().filter(|call| !call.contains("--by pid")) {
        let text = print(call, "openmetrics").0;
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        if let Err(why) = readers::promtool(&text) {
            return skip("prometheus_takes_the_metrics", &why);
        }
    }
    // The checker rejects two samples with the same labels; time stamps are another matter.
    let twice = std::panic::catch_unwind(|| readers::promtool("a_bytes 1\na_bytes 2\n"));
    assert!(twice.is_err(), "promtool takes everything");
}

/// Labels are permanent, so there are few, and none per process.
#[test]
fn labels_are_bounded() {
    let labels = |call: &str| {
        let text = print(call, "openmetrics").0;
        text.lines().filter(|line| line.starts_with("psm_uring_ram_bytes{")).count()
    };
    assert_eq!(labels("--proc-root names -n 7"), 8);
    // Two of the 31 names are texts of one program.
    assert_eq!(labels("--proc-root names"), 30);
    let ran = run(["-o", "openmetrics", "--by", "pid"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr());
}

/// A column has series, is a label, or is refused by name.
#[test]
fn columns_have_series_or_are_refused() {
    let host = TempDir::new("metrics-oom");
    copy_dir(&tree("grouped"), host.path());
    for (pid, score) in [("708", "30\n"), ("709", "60\n")] {
        std::fs::write(host.path().join(pid).join("oom_score"), score).expect("a file of ours");
    }
    let report = |columns: &str| {
        let mut command = program();
        command.args(["-o", "openmetrics", "--columns", columns, "--proc-root"]).arg(host.path());
        output(command)
    };
    let text = report("ram,swap,count,oom,name").stdout();
    let redis = text.lines().find(|line| line.starts_with("psm_uring_oom_score{"));
    assert!(redis.is_some_and(|line| line.ends_with(" 60")), "{text}");
    let text = report("heap,name").stdout();
    assert!(text.contains("\npsm_uring_heap_bytes{program=\"redis"), "{text}");
    for column in ["user", "pid", "percent", "footprint", "freed"] {
        let ran = report(column);
        let why = format!("the column {column} has no series in openmetrics");
        assert!(ran.code == Some(2) && ran.stderr().contains(&why), "{}", ran.stderr());
    }
}

/// A row without a figure has no series, and a note gives the reason. JSON has null.
#[test]
fn an_absent_series_is_explained() {
    let target = Target::stopped("touch 4");
    let pid = target.pid().to_string();
    let ran = |format: &str| run(["-o", format, "--source", "pagemap", "--pid", &pid]);
    let metrics = ran("openmetrics");
    let told = metrics.stderr();
    if !rustix::process::getuid().is_root() || metrics.code != Some(0) {
        return skip("an_absent_series_is_explained", "needs root, to read page tables");
    }
    assert!(!metrics.stdout().contains("psm_uring_lazyfree_bytes"), "{}", metrics.stdout());
    let note = format!("psm-uring: no series of lazyfree for the rows of 1 big process (PID {pid}");
    assert!(told.contains(&note), "{told}");
    let json = ran("json");
    assert!(json.stdout().contains("\"lazyfree\": null"), "{}", json.stdout());
    assert!(!json.stderr().contains("lazyfree"), "{}", json.stderr());
}

/// Samples with one name always belong to one program, whatever other names are cut.
#[test]
fn a_program_called_other_is_not_the_rest() {
    let dir = TempDir::new("called-other");
    for (pid, title) in [("101", "other"), ("102", "second"), ("103", "third")] {
        copy_dir(&tree("ordinary").join(pid), &dir.path().join(pid));
        std::fs::write(dir.path().join(pid).join("cmdline"), title).expect("a file of ours");
    }
    for (top, rest) in [("3", 0), ("1", 1)] {
        let mut command = program();
        command.args(["-o", "openmetrics", "--sort", "name", "--top", top, "--proc-root"]);
        command.arg(dir.path());
        let text = output(command).stdout();
        let samples = |name| text.matches(&format!("_ram_bytes{{program=\"{name}\"}}")).count();
        assert_eq!((samples("other"), samples("\u{fffd}6fther")), (rest, 1), "{text}");
    }
}
