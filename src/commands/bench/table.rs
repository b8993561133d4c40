//! The record for people.

use std::fmt::Write;

use super::record::{Record, Spread};

/// The whole table.
pub(super) fn table(record: &Record) -> String {
    let mut text = String::new();
    let host = &record.host;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} processes listed, {}, {} rounds; kernel {}, {} CPUs, psm-uring {}",
        record.listed, record.source, record.rounds, host.kernel, host.cpus, host.version
    );
    let _ = writeln!(
        text,
        "{:<8}{:>8}{:>7}{:>12}{:>22}{:>13}{:>10}{:>9}{:>11}{:>10}{:>7}",
        "engine",
        "workers",
        "depth",
        "median",
        "min .. max",
        "per process",
        "x threads",
        "x floor",
        "CPU",
        "x threads",
        "user"
    );
    for one in &record.engines {
        let depth = one.depth.map_or_else(|| "-".to_owned(), |depth| depth.to_string());
        let [to_threads, cpu_to_threads] = [one.to_threads, one.cpu_to_threads]
            .map(|ratio| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")));
        let _ = writeln!(
            text,
            "{:<8}{:>8}{depth:>7}{:>12}{:>22}{:>13}{to_threads:>10}{:>9.2}{:>11}\
             {cpu_to_threads:>10}{:>6.1}%",
            one.engine,
            one.workers,
            milliseconds(one.time.median_us),
            range(&one.time),
            format!("{:.1} us", one.us_per_process),
            one.to_floor,
            milliseconds(one.cpu.median_us),
            one.user_part * 100.0
        );
    }
    let _ = writeln!(
        text,
        "{:<8}{:>8}{:>7}{:>12}{:>22}",
        "floor",
        host.cpus,
        "-",
        milliseconds(record.floor.median_us),
        range(&record.floor)
    );
    text
}

fn range(time: &Spread) -> String {
    format!("{:.1} .. {:.1} ms", time.min_us / 1e3, time.max_us / 1e3)
}

fn milliseconds(us: f64) -> String {
    format!("{:.1} ms", us / 1e3)
}
