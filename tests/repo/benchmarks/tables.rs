//! The parts of the document that come from records: tables, and sentences with figures.

use std::fmt::Write;
use std::fs::read_dir;

use psm_uring::commands::bench::record::{Figure, Run};

use super::path;
use super::record::{
    Record, cpu, median, ms, per_process, range, spread, table, us_per_process, user_part, wall,
};

const ENGINES: [(&str, &str); 5] = [
    ("engines-small", "small"),
    ("engines-many", "many"),
    ("engines-swapped", "swapped"),
    ("engines-smaps", "small, `--source smaps`"),
    ("engines-idle", "idle"),
];
const LOADED: [(&str, &str); 3] = [
    ("engines-thrash", "thrash"),
    ("engines-small-busy", "small, 64 busy loops in another session"),
    ("engines-small-busy-same", "small, 8 busy loops in the same session"),
];
const LATENCY: [(&str, &str); 3] = [
    ("latency", "2 GiB in pages of 4 KiB"),
    ("latency-8g", "8 GiB in pages of 4 KiB"),
    ("latency-mappings", "30,000 mappings, 118 MiB"),
];
const SIZES: [u64; 8] = [100, 200, 500, 1000, 2000, 5000, 10000, 20000];

/// The host and the commit of all records, and the exceptions.
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
    for name in names() {
        // One early record of the floor does not contain all values.
        let is_known = |found: &str| !["", "null"].contains(&found);
        let found = fields.iter().map(|field| (field, about(&name, field)));
        let mut others = found.filter(|(field, found)| is_known(found) && *found != key(field));
        if let Some((field, found)) = others.next() {
            let _ = writeln!(text, "Record `{name}`: {field} {found}.");
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

/// The targets, and the figures that meet or miss them.
fn targets() -> String {
    let [small, many, swapped, smaps, idle] = ENGINES.map(|(name, _)| Record::load(name));
    let rivals = Record::load("rivals");
    let scanner = Record::load("scanner");
    let size = |count: u64| Record::load(&format!("size-{count}"));
    let cost = |count| us_per_process(size(count).run("uring"));
    let peak = |name| median(Record::load(name).run("uring"), Figure::PeakKib) / 1024.0;
    let to_threads = |record: &Record| record.ratio("uring", "threads");
    let speed = |name: &str| {
        let run = scanner.run(name);
        median(run, Figure::Bytes) / median(run, Figure::WallNs)
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
        ("idle: whole command", most, 5.0, wall(idle.run("uring")), "ms"),
        ("idle: uring to threads", most, 1.2, to_threads(&idle), "×"),
        ("small: user-space part of all CPU time", most, 8.0, user_part(small.run("uring")), "%"),
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
    let row = |(figure, sign, bound, is, unit): (&str, &str, f64, f64, &str)| {
        let is_reached = if sign == most { is <= bound } else { is >= bound };
        let verdict = if is_reached { "yes" } else { "**no**" };
        let target = format!("{sign} {bound:.2} {unit}");
        vec![figure.to_owned(), target, format!("{is:.2} {unit}"), verdict.to_owned()]
    };
    table(&["figure", "target", "measured", "reached"], &rows.map(row))
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
                ms(wall(run)),
                range(run),
                format!("{:.2}", record.ratio(engine, "threads")),
                ms(cpu(run)),
                format!("{:.1} %", user_part(run)),
                format!("{:.1}", median(run, Figure::PeakKib) / 1024.0),
            ]);
        }
    }
    let heads = ["crowd", "engine", "ms", "min .. max", "to threads", "CPU ms", "user", "peak MiB"];
    table(&heads, &rows)
}

/// Hosts whose memory or CPUs are short.
fn loaded() -> String {
    let mut rows = Vec::new();
    for (name, mut crowd) in LOADED {
        let record = Record::load(name);
        for run in &record.0.runs {
            rows.push(vec![
                std::mem::take(&mut crowd).to_owned(),
                format!("`{}`", run.command),
                ms(wall(run)),
                range(run),
                format!("{:.2}", record.ratio(&run.name, "threads")),
                ms(cpu(run)),
                median(run, Figure::VoluntarySwitches).to_string(),
                median(run, Figure::InvoluntarySwitches).to_string(),
            ]);
        }
    }
    let heads =
        ["crowd", "command", "ms", "min .. max", "to threads", "CPU ms", "waits", "preempted"];
    table(&heads, &rows)
}

/// The records in which the ring is slower than ordinary reads on as many threads.
fn losses() -> String {
    let mut lost = Vec::new();
    for (name, crowd) in LOADED.into_iter().chain(ENGINES) {
        let ratio = Record::load(name).ratio("uring", "threads");
        if ratio > 1.0 {
            lost.push(format!("- {crowd}: {:.1} % slower than threads", (ratio - 1.0) * 100.0));
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
        lost.push("- None of these records.".to_owned());
    }
    lost.join("\n") + "\n"
}

fn work() -> String {
    let mut rows = Vec::new();
    for (name, crowd) in [ENGINES[0], ENGINES[3]] {
        let record = Record::load(name);
        for engine in ["uring", "threads", "sync"] {
            let run = record.run(engine);
            let each = |figure| format!("{:.2}", per_process(run, figure));
            rows.push(vec![
                format!("{crowd}, {engine}"),
                each(Figure::Operations),
                each(Figure::Enters),
                each(Figure::Reads),
                format!("{:.0}", per_process(run, Figure::Bytes)),
            ]);
        }
    }
    table(&["a process of", "operations", "enters", "reads", "bytes"], &rows)
}

/// The cost in the kernel alone, the bound for every tool that reads these files on two CPUs.
fn floor() -> String {
    let record = Record::load("floor");
    let floor = wall(record.run("floor"));
    let engines = record.0.runs.iter().filter(|run| run.name != "floor");
    let engines: Vec<String> = engines
        .map(|run| {
            let (name, time) = (&run.name, wall(run));
            format!("{name} {} ms ({:.2} times the floor)", ms(time), time / floor)
        })
        .collect();
    let rivals = Record::load("rivals");
    let times = |name: &str| format!("{name} {:.1}", wall(rivals.run(name)) / floor);
    let rivals = ["metop", "ps_mem", "smemstat", "smem"].map(times);
    format!(
        "On `small` the floor is {} ms; surveys alone take {}.\n\
         Whole commands of other tools take this many times the floor: {}.\n",
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
        row.extend(["uring", "threads", "sync"].map(|engine| ms(wall(record.run(engine)))));
        row.push(format!("{:.2}", record.ratio("uring", "threads")));
        row.push(format!("{:.1}", us_per_process(record.run("uring"))));
        rows.push(row);
    }
    let heads =
        ["processes", "uring ms", "threads ms", "sync ms", "uring to threads", "uring µs each"];
    table(&heads, &rows)
}

fn rivals() -> String {
    let record = Record::load("rivals");
    let floor = record.0.of["peak_floor_kib"].as_u64().expect("a floor");
    let row = |run: &Run| {
        // psm-uring prints its own peak; for other tools, values below the floor are not
        // measurable.
        let own = run.figures.get(&Figure::PeakKib).map(|peak| peak.median);
        let peak = own.unwrap_or_else(|| spread(run, Figure::MaxRssKib).max);
        let sign = if own.is_none() && peak <= floor { "≤ " } else { "" };
        vec![
            format!("`{}`", run.command),
            run.version.clone(),
            ms(wall(run)),
            range(run),
            format!("{:.1}", wall(run) / wall(record.run("psm-uring"))),
            ms(cpu(run)),
            format!("{sign}{:.1}", peak as f64 / 1024.0),
            format!("{:.0}", median(run, Figure::TotalKib) / 1024.0),
        ]
    };
    let rows: Vec<_> = record.0.runs.iter().map(row).collect();
    let heads =
        ["command", "version", "ms", "min .. max", "times", "CPU ms", "peak MiB", "sum MiB"];
    table(&heads, &rows)
}

/// The stall of a measured process, by the commands that measure it.
fn latency() -> String {
    let mut rows = Vec::new();
    for (name, process) in LATENCY {
        for (n, run) in Record::load(name).0.runs.iter().enumerate() {
            let figure = |figure| ms(median(run, figure) / 1e6);
            let wall = run.median(Figure::WallNs).map(|ns| ms(ns / 1e6)).unwrap_or_default();
            rows.push(vec![
                if n == 0 { process } else { "" }.to_owned(),
                run.name.clone(),
                figure(Figure::MmapP99Ns),
                figure(Figure::MmapP999Ns),
                figure(Figure::MmapP9999Ns),
                figure(Figure::MmapMaxNs),
                wall,
            ]);
        }
    }
    let heads = ["process", "command", "99 %", "99.9 %", "99.99 %", "longest", "command ms"];
    table(&heads, &rows)
}

fn scanner() -> String {
    let record = Record::load("scanner");
    let row = |run: &Run| {
        let wall = spread(run, Figure::WallNs);
        let speed = |ns: u64| median(run, Figure::Bytes) / ns as f64;
        let range = format!("{:.2} .. {:.2}", speed(wall.max), speed(wall.min));
        vec![run.name.clone(), format!("{:.2}", speed(wall.median)), range]
    };
    let rows: Vec<_> = record.0.runs.iter().map(row).collect();
    table(&["smaps text", "GB/s", "min .. max"], &rows)
}

/// A part of the document, and the function that writes it.
pub(super) type Block = (&'static str, fn() -> String);

pub(super) const BLOCKS: [Block; 11] = [
    ("host", host),
    ("loaded", loaded),
    ("targets", targets),
    ("engines", engines),
    ("floor", floor),
    ("losses", losses),
    ("work", work),
    ("sizes", sizes),
    ("rivals", rivals),
    ("scanner", scanner),
    ("latency", latency),
];
