//! Processes with far more addresses than pages: a walk would read empty entries for minutes.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::alone;
use super::parties::{document, report, row};
use super::support::{run, skip};
use super::zoo::Zoo;

/// Gibibytes of addresses, with 64 MiB of pages: 21 s of walking.
const TOO_SPARSE: &str = "1024";
/// The same, within the limit of a walk: most of a second.
const SPARSE: &str = "90";
/// Far more than reports without such a walk take on busy CPUs.
const REPORT_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_sparse_process_has_a_reason_instead_of_freed_memory() {
    const TEST: &str = "sparse::a_sparse_process_has_a_reason_instead_of_freed_memory";
    let _alone = alone();
    let (sparse, dense) = match (Zoo::start(&["sparse", TOO_SPARSE]), Zoo::start(&["anon", "8"])) {
        (Ok(sparse), Ok(dense)) => (sparse, dense),
        (Err(why), _) | (_, Err(why)) => return skip(TEST, &why),
    };
    let pids = [sparse.pids()[0], dense.pids()[0]];
    let began = Instant::now();
    let figures = report(&["--columns", "ram,freed,shared-outside,name"], &pids);
    assert!(began.elapsed() < REPORT_LIMIT, "{:?}", began.elapsed());
    let [of_sparse, of_dense] = pids.map(|pid| row(&figures, pid).expect("a row")["freed"].clone());
    assert_eq!(of_sparse, Value::Null, "{figures}");
    assert!(of_dense.as_u64().is_some_and(|bytes| bytes >= 8 << 20), "{figures}");
    let notes = figures["notes"].to_string();
    assert!(
        notes.contains("FREED and OUTSIDE are unknown for 1 row (zoo): a process reserves"),
        "{notes}"
    );
    // The rollup is exact, and reads no empty entries.
    let forced =
        document(vec!["--source", "pagemap", "--by", "pid", "--pid", &pids[0].to_string()]);
    assert!(began.elapsed() < 2 * REPORT_LIMIT, "{:?}", began.elapsed());
    assert_eq!(
        row(&forced, pids[0]).map(|row| row["rss"].clone()),
        row(&figures, pids[0]).map(|row| row["rss"].clone())
    );
}

/// A walk is in a pause for half of its time: then the process is being read like any other.
#[test]
fn a_deadline_in_a_walk_times_out() {
    const TEST: &str = "sparse::a_deadline_in_a_walk_times_out";
    let _alone = alone();
    let zoo = match Zoo::start(&["sparse", SPARSE]) {
        Ok(zoo) => zoo,
        Err(why) => return skip(TEST, &why),
    };
    let pid = zoo.pids()[0].to_string();
    for engine in ["uring", "threads", "sync"] {
        let words = ["--source", "pagemap", "--deadline", "300ms", "--strict", "--engine", engine];
        let ran = run(words.into_iter().chain(["--pid", &pid]));
        let notes = ran.stderr();
        if engine == "uring" && notes.contains("--engine uring") {
            continue;
        }
        assert_eq!(ran.code, Some(3), "{engine}: {notes}");
        assert!(notes.contains(&format!("1 timed out (PID {pid} zoo")), "{engine}: {notes}");
    }
}
