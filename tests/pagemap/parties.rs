//! The parties that know the figures of a process: the kernel, the twin, and the program.

use std::collections::BTreeMap;

use psm_uring::units::Pid;
use serde_json::Value;

use super::support::child::status;
use super::support::run;
use super::twin::Walk;

/// Figures by the kernel's key, in kB. `Private` and `Shared` are the sums of their clean and dirty
/// parts. A party may lack figures.
pub type Figures = BTreeMap<&'static str, u64>;

/// The figures of processes that belong together; `None` if one of them is gone.
pub type Party = fn(&[Pid]) -> Option<Vec<Figures>>;

/// The kernel comes first: the others must agree with it.
pub const PARTIES: [(&str, Party); 5] = [
    ("smaps_rollup", of_kernel),
    ("twin", of_twin),
    ("psm-uring --source rollup", |pids| of_program(&["--source=rollup"], pids)),
    ("psm-uring --source pagemap", |pids| of_program(&["--source=pagemap"], pids)),
    ("psm-uring --source pagemap --engine threads", |pids| {
        of_program(&["--source=pagemap", "--engine=threads", "--gentle"], pids)
    }),
];

/// The sources whose reports are compared with the truth about a changing process.
pub const SOURCES: [&str; 2] = ["rollup", "pagemap"];

/// All figures of a rollup, by the key of its line.
pub fn rollup(pid: Pid) -> Option<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let lines = text.lines().filter_map(|line| {
        let (key, kib) = line.strip_suffix(" kB")?.split_once(':')?;
        Some((key.to_owned(), kib.trim().parse().ok()?))
    });
    Some(lines.collect()).filter(|figures: &BTreeMap<_, _>| !figures.is_empty())
}

fn of_kernel(pids: &[Pid]) -> Option<Vec<Figures>> {
    const SAME: [&str; 10] = [
        "Rss",
        "Pss",
        "Pss_Anon",
        "Pss_File",
        "Pss_Shmem",
        "Anonymous",
        "Swap",
        "SwapPss",
        "Private_Hugetlb",
        "Shared_Hugetlb",
    ];
    let one = |pid: &Pid| {
        let text = rollup(*pid)?;
        // Kernels before 5.9 lack the parts of Pss.
        let mut figures: Figures =
            SAME.into_iter().filter_map(|key| Some((key, *text.get(key)?))).collect();
        figures.insert("Private", text["Private_Clean"] + text["Private_Dirty"]);
        figures.insert("Shared", text["Shared_Clean"] + text["Shared_Dirty"]);
        Some(figures)
    };
    pids.iter().map(one).collect()
}

fn of_twin(pids: &[Pid]) -> Option<Vec<Figures>> {
    let walks = pids.iter().map(|pid| Walk::read(*pid)).collect::<Option<Vec<Walk>>>()?;
    Some(walks.iter().map(|walk| walk.figures(&walks)).collect())
}

/// The report of the program with one row for each process.
pub fn report(words: &[&str], pids: &[Pid]) -> Value {
    let list = pids.iter().map(Pid::to_string).collect::<Vec<_>>().join(",");
    document([&["--pid", &list, "--by", "pid"], words].concat())
}

/// A report of the program.
pub fn document(words: Vec<&str>) -> Value {
    // On a busy host a survey takes longer than its time limits.
    let patient = ["--json", "--stuck-after", "1m", "--deadline", "1m"];
    let ran = run(words.into_iter().chain(patient));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    serde_json::from_str(&ran.stdout()).expect("a document")
}

/// The row of a process in a report.
pub fn row(report: &Value, pid: Pid) -> Option<&Value> {
    report["programs"].as_array()?.iter().find(|row| row["pid"] == u64::from(pid.0))
}

/// The program divides hugetlb pages and shared memory in swap among the processes of the report:
/// it has no figure of the kernel for them.
/// The reads and their bytes in the statistics of a run.
pub fn reads_and_bytes(told: &str) -> (u64, u64) {
    // `operations  2 in 10 enters, 1 reads, 30 bytes`
    let line = told.lines().find(|line| line.starts_with("operations"));
    let words = line.map(|line| line.split_whitespace().rev().collect::<Vec<_>>());
    let count = |place: usize| words.as_ref()?.get(place)?.parse::<u64>().ok();
    count(3).zip(count(1)).unwrap_or_else(|| panic!("{told}"))
}

fn of_program(words: &[&str], pids: &[Pid]) -> Option<Vec<Figures>> {
    // Of a selection, swap is left to the rollup.
    let report = document([&["--by", "pid"], words].concat());
    let one = |pid: &Pid| {
        let row = row(&report, *pid)?;
        let kib = |key: &str| row[key].as_u64().map(|bytes| bytes >> 10);
        let same = [
            ("Rss", "rss"),
            ("Pss_Anon", "pss_anon"),
            ("Pss_File", "pss_file"),
            ("Pss_Shmem", "pss_shmem"),
        ];
        let mut figures: Figures =
            same.into_iter().filter_map(|(key, name)| Some((key, kib(name)?))).collect();
        let hugetlb = kib("hugetlb")?;
        figures.insert("Pss", kib("ram")? - hugetlb);
        if hugetlb == 0 {
            figures.insert("Private", kib("uss")?);
        }
        // Shared memory in swap has no entries, so `VmSwap` lacks it.
        let text = rollup(*pid)?;
        if status(*pid, "VmSwap:")?.trim_end_matches(" kB") == text["Swap"].to_string() {
            figures.insert("SwapPss", kib("swap")?);
        }
        Some(figures)
    };
    pids.iter().map(one).collect()
}
