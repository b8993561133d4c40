//! The parts of the document that records make: tables, and sentences with figures.

use std::fmt::Write;
use std::fs::read_dir;

use serde_json::Value;

use super::path;
use super::record::{Record, Run, ms, table};

const ENGINES: [(&str, &str); 5] = [
    ("engines-small", "small"),
    ("engines-many", "many"),
    ("engines-swapped", "swapped"),
    ("engines-smaps", "small, `--source smaps`"),
    ("engines-idle", "idle"),
];
const SIZES: [u64; 8] = [100, 200, 500, 1000, 2000, 5000, 10000, 20000];

/// Where and when: every record of one host says the same, or it is told which do not.
fn host() -> String {
    let about = |name: &str, key| Record::load(name).about(key);
    let key = |key| about("engines-small", key);
    let gib = key("memory_mib").parse::<f64>().expect("a number") / 1024.0;
    let mut text = format!(
        "Linux {}, {}, {} CPUs, {gib:.0} GiB of memory; psm-uring {} at commit {}, {}.\n",
        key("kernel"),
        key("machine"),
        key("cpus"),
        key("version"),
        key("commit"),
        key("date")
    );
    let fields = ["kernel", "machine", "cpus", "memory_mib", "version", "commit"];
    // The floor is kept in the form of `psm-uring bench`.
    for name in names().into_iter().filter(|name| name != "floor") {
        let other = fields.iter().find(|field| about(&name, field) != key(field));
        if let Some(field) = other {
            let _ = writeln!(text, "Record `{name}`: {field} {}.", about(&name, field));
        }
    }
    text
}

fn names() -> Vec<String> {
    let entries = read_dir(path("benches/record")).expect("records").flatten();
    let name = |entry: std::fs::DirEntry| {
        Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned())
    };
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

/// The figures that were asked for, line by line.
fn asked() -> String {
    let [small, many, swapped, smaps, idle] = ENGINES.map(|(name, _)| Record::load(name));
    let rivals = Record::load("rivals");
    let scanner = Record::load("scanner");
    let size = |count: u64| Record::load(&format!("size-{count}"));
    let cost = |count| size(count).run("uring").us_per_process();
    let peak = |name| Record::load(name).run("uring").work("peak_kib") / 1024.0;
    let to_threads = |record: &Record| record.ratio("uring", "threads");
    let speed = |name: &str| {
        let all = scanner.run(name).all("wall_ns");
        scanner.0["of"]["bytes"].as_f64().expect("bytes") / all[all.len() / 2] as f64
    };
    let scan = speed("scanner");
    let to_others = |name| rivals.ratio(name, "psm-uring");
    let most = "≤";
    let least = "≥";
    let rows = [
        ("small: uring to threads", most, 1.05, to_threads(&small), "×"),
        ("small: metop --json to the whole command", least, 3.0, to_others("metop"), "×"),
        ("small: ps_mem to the whole command", least, 6.0, to_others("ps_mem"), "×"),
        ("small: smem to the whole command", least, 35.0, to_others("smem"), "×"),
        ("many: uring to threads", most, 1.05, to_threads(&many), "×"),
        ("many: one process of 10,000 to one of 1,000", most, 1.1, cost(10000) / cost(1000), "×"),
        ("small, `--source smaps`: uring to threads", most, 0.85, to_threads(&smaps), "×"),
        ("swapped: uring to threads", most, 1.0 / 3.0, to_threads(&swapped), "×"),
        ("idle: whole command", most, 5.0, idle.run("uring").wall(), "ms"),
        ("idle: uring to threads", most, 1.2, to_threads(&idle), "×"),
        ("small: user-space part of all CPU time", most, 8.0, small.run("uring").user_part(), "%"),
        ("scanner, one core", least, 5.0, scan, "GB/s"),
        (
            "scanner to a bare newline pass",
            least,
            0.5,
            scan / speed("newlines alone (memchr)"),
            "×",
        ),
        ("scanner to the crate procfs", least, 20.0, scan / speed("procfs crate"), "×"),
        ("10,000 processes: peak memory", most, 8.0, peak("memory-rollup"), "MiB"),
        ("10,000 processes, `--source smaps`: peak", most, 12.0, peak("memory-smaps"), "MiB"),
    ];
    let row = |(what, sign, bound, is, unit): (&str, &str, f64, f64, &str)| {
        let is_reached = if sign == most { is <= bound } else { is >= bound };
        let verdict = if is_reached { "yes" } else { "**no**" };
        let asked = format!("{sign} {bound:.2} {unit}");
        vec![what.to_owned(), asked, format!("{is:.2} {unit}"), verdict.to_owned()]
    };
    table(&["figure", "asked", "measured", "reached"], &rows.map(row))
}

fn engines() -> String {
    let mut rows = Vec::new();
    for (name, crowd) in ENGINES {
        let record = Record::load(name);
        for engine in ["uring", "threads", "sync"] {
            let run = record.run(engine);
            let crowd = if engine == "uring" { crowd } else { "" };
            rows.push(vec![
                crowd.to_owned(),
                engine.to_owned(),
                ms(run.wall()),
                run.spread(),
                format!("{:.2}", record.ratio(engine, "threads")),
                ms(run.cpu()),
                format!("{:.1} %", run.user_part()),
                format!("{:.1}", run.work("peak_kib") / 1024.0),
            ]);
        }
    }
    let heads = ["crowd", "engine", "ms", "min .. max", "to threads", "CPU ms", "user", "peak MiB"];
    table(&heads, &rows)
}

/// Where the ring is slower than ordinary reads on as many threads.
fn losses() -> String {
    let mut lost = Vec::new();
    for (name, what) in ENGINES {
        let ratio = Record::load(name).ratio("uring", "threads");
        if ratio > 1.0 {
            lost.push(format!("- {what}: {:.1} % slower than threads", (ratio - 1.0) * 100.0));
        }
    }
    for count in SIZES {
        let ratio = Record::load(&format!("size-{count}")).ratio("uring", "threads");
        if ratio > 1.0 {
            let slower = (ratio - 1.0) * 100.0;
            lost.push(format!("- {count} processes of `many`: {slower:.1} % slower than threads"));
        }
    }
    if lost.is_empty() {
        lost.push("- In none of these records.".to_owned());
    }
    lost.join("\n") + "\n"
}

fn work() -> String {
    let mut rows = Vec::new();
    for (name, what) in [ENGINES[0], ENGINES[3]] {
        let record = Record::load(name);
        for engine in ["uring", "threads", "sync"] {
            let run = record.run(engine);
            let each = |key| format!("{:.2}", run.per_process(key));
            rows.push(vec![
                format!("{what}, {engine}"),
                each("operations"),
                each("enters"),
                each("reads"),
                format!("{:.0}", run.per_process("bytes")),
            ]);
        }
    }
    table(&["a process of", "operations", "enters", "reads", "bytes"], &rows)
}

/// What the kernel alone costs, and what no tool that reads these files on two CPUs can undercut.
fn floor() -> String {
    let record = Record::load("floor").0;
    let median = |of: &Value| of["median_us"].as_f64().expect("a median") / 1e3;
    let floor = median(&record["floor"]);
    let engines = record["engines"].as_array().expect("engines").iter();
    let engines: Vec<String> = engines
        .map(|one| {
            let (name, time) = (one["engine"].as_str().expect("a name"), median(&one["time"]));
            format!("{name} {} ms ({:.2} times the floor)", ms(time), time / floor)
        })
        .collect();
    let rivals = Record::load("rivals");
    let times = |name: &str| format!("{name} {:.1}", rivals.run(name).wall() / floor);
    let rivals = ["metop", "ps_mem", "smemstat", "smem"].map(times);
    format!(
        "On `small` the floor is {} ms; surveys alone take {}.\n\
         Whole commands of others take so many times the floor: {}.\n",
        ms(floor),
        engines.join(", "),
        rivals.join(", ")
    )
}

fn sizes() -> String {
    let mut rows = Vec::new();
    for count in SIZES {
        let record = Record::load(&format!("size-{count}"));
        let mut row = vec![count.to_string()];
        row.extend(["uring", "threads", "sync"].map(|engine| ms(record.run(engine).wall())));
        row.push(format!("{:.2}", record.ratio("uring", "threads")));
        row.push(format!("{:.1}", record.run("uring").us_per_process()));
        rows.push(row);
    }
    let heads =
        ["processes", "uring ms", "threads ms", "sync ms", "uring to threads", "uring µs each"];
    table(&heads, &rows)
}

fn rivals() -> String {
    let record = Record::load("rivals");
    let floor = record.0["about"]["peak_floor_kib"].as_u64().expect("a floor");
    let row = |run: Run<'_>| {
        // Ours says its own peak; of others less than the floor cannot be seen.
        let own = run.0["work"]["peak_kib"].as_u64();
        let peak = own.or(run.0["peak_kib"].as_u64()).expect("a peak");
        let sign = if own.is_none() && peak <= floor { "≤ " } else { "" };
        let text = |key: &str| run.0[key].as_str().unwrap_or_default().to_owned();
        vec![
            format!("`{}`", text("command")),
            text("version"),
            ms(run.wall()),
            run.spread(),
            format!("{:.1}", run.wall() / record.run("psm-uring").wall()),
            ms(run.cpu()),
            format!("{sign}{:.1}", peak as f64 / 1024.0),
            format!("{:.0}", run.median("total_kib") / 1024.0),
        ]
    };
    let rows: Vec<_> = record.runs().map(row).collect();
    let heads =
        ["command", "version", "ms", "min .. max", "times", "CPU ms", "peak MiB", "sum MiB"];
    table(&heads, &rows)
}

fn scanner() -> String {
    let record = Record::load("scanner");
    let bytes = record.0["of"]["bytes"].as_f64().expect("bytes");
    let row = |run: Run<'_>| {
        let all = run.all("wall_ns");
        let speed = |ns: u64| bytes / ns as f64;
        let (slow, fast) = (speed(all[all.len() - 1]), speed(all[0]));
        let median = format!("{:.2}", speed(all[all.len() / 2]));
        vec![run.name().to_owned(), median, format!("{slow:.2} .. {fast:.2}")]
    };
    table(&["smaps text", "GB/s", "min .. max"], &record.runs().map(row).collect::<Vec<_>>())
}

/// A part of the document, and who writes it.
pub(super) type Block = (&'static str, fn() -> String);

pub(super) const BLOCKS: [Block; 9] = [
    ("host", host),
    ("asked", asked),
    ("engines", engines),
    ("floor", floor),
    ("losses", losses),
    ("work", work),
    ("sizes", sizes),
    ("rivals", rivals),
    ("scanner", scanner),
];
