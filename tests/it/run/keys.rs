//! Titles that change all the time: their rows have a constant key, and the sums of all formats are
//! right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{TempDir, output, program};

const PROGRAMS: usize = 15;

/// States without a mark in front.
const STATES: [&str; 5] = ["idle", "busy 3/10", "85% idle", "waiting for 17 jobs", "Ready"];

/// The key of a program, and the title of its process `n` at the time `t`.
fn title(program: usize, n: usize, t: usize) -> (&'static str, String) {
    let state = ["idle", "SELECT", "idle in transaction", "COMMIT"][(n + t) % 4];
    let (port, seconds) = (40_000 + 7 * n + t, (n * 131 + t * 17) % 1_000_000);
    match program {
        0 => ("postgres", format!("postgres: alice shop 10.0.0.{n}({port}) {state}")),
        1 => (
            "zabbix_server",
            format!(
                "/usr/sbin/zabbix_server: poller #{n} [got {t} values in 0.{seconds:06} sec, idle]"
            ),
        ),
        2 => (
            "[celeryd: default]",
            format!("[celeryd@default:ForkPoolWorker-{}] -active- (a/b)", n + t),
        ),
        3 => ("[celeryd: mails]", format!("[celeryd: mails@web{t}:MainProcess]")),
        4 => ("sidekiq: shop", format!("sidekiq 6.5.{t} shop [{n} of 10 busy]")),
        5 => ("amavisd", format!("/usr/sbin/amavisd (ch{t}-{n}-{state})")),
        6 => ("php-fpm: www", "php-fpm: pool www".to_owned()),
        7 if (n + t).is_multiple_of(2) => ("sshd", format!("sshd: user{n} [priv]")),
        7 => ("sshd", format!("sshd: user{n}@pts/{t}")),
        8 => ("puma: shop", format!("puma: cluster worker {n}: {port} [shop]")),
        9 => ("gunicorn: shop.wsgi", "gunicorn: worker [shop.wsgi]".to_owned()),
        10 => ("dovecot/imap", format!("dovecot/imap [user{n} 10.0.0.{t} {state}]")),
        11 => (
            "nginx",
            ["nginx: worker process", "nginx: worker process is shutting down"][t % 2].to_owned(),
        ),
        12 => ("[mydaemon]", format!("[mydaemon] {}", STATES[(n + t) % STATES.len()])),
        13 => ("jobd", format!("jobd {}", STATES[(n + t) % STATES.len()])),
        _ => ("renderd", format!("{t}% {} renderd frame={n}", ["busy", "idle"][(n + t) % 2])),
    }
}

/// The samples of a family by label.
fn samples(text: &str, family: &str) -> BTreeMap<String, u64> {
    let begin = format!("psm_uring_{family}{{program=\"");
    let sample = |line: &str| {
        let (label, value) = line.strip_prefix(&begin)?.split_once("\"} ")?;
        Some((label.to_owned(), value.parse().expect("a number")))
    };
    text.lines().filter_map(sample).collect()
}

/// A directory of 300 processes of 15 programs.
struct Host(TempDir);

const PROCESSES: usize = 20;

/// RAM of a process in KiB.
fn pss(program: usize, n: usize) -> usize {
    100 * (program + 1) + 3 * n
}

impl Host {
    fn new(name: &str) -> Host {
        let host = Host(TempDir::new(name));
        for program in 0..PROGRAMS {
            for n in 0..PROCESSES {
                std::fs::create_dir(host.dir(program, n)).expect("a directory of ours");
                host.set_pss(program, n, pss(program, n));
            }
        }
        host
    }

    fn dir(&self, program: usize, n: usize) -> std::path::PathBuf {
        self.0.path().join((100 * (program + 1) + n).to_string())
    }

    fn set_pss(&self, program: usize, n: usize, pss: usize) {
        let text = format!(
            "1000-2000 ---p 00000000 00:00 0 [rollup]\nRss: {} kB\nPss: {pss} kB\nPss_Anon: 7 kB\n\
             Pss_File: 5 kB\nPss_Shmem: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 8 kB\n\
             Swap: 0 kB\nSwapPss: 0 kB\n",
            pss + 1
        );
        let file = self.dir(program, n).join("smaps_rollup");
        std::fs::write(file, text).expect("a file of ours");
    }

    /// Sets all titles to those of a time.
    fn set_time(&self, t: usize) {
        for program in 0..PROGRAMS {
            for n in 0..PROCESSES {
                let text = title(program, n, t).1 + "\0";
                std::fs::write(self.dir(program, n).join("cmdline"), text).expect("a file of ours");
            }
        }
    }

    fn print(&self, words: &str) -> String {
        let mut command = program();
        command.arg("--proc-root").arg(self.0.path()).args(words.split(' '));
        // A busy disk holds reads of files that were just written.
        command.args(["--stuck-after", "20s"]);
        let ran = output(command);
        assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""), "{words}");
        ran.stdout()
    }

    fn save(&self, file: &Path) {
        self.print(&format!("--json --output-file {}", file.display()));
    }
}

/// The sum of a figure over the processes of each program, by key.
fn sums(figure: impl Fn(usize, usize) -> usize) -> BTreeMap<String, u64> {
    let sum = |program| (0..PROCESSES).map(|n| figure(program, n) as u64).sum();
    (0..PROGRAMS).map(|program| (title(program, 0, 0).0.to_owned(), sum(program))).collect()
}

/// Over 200 scrapes.
#[test]
fn titles_that_change_keep_their_series() {
    let host = Host::new("keys-series");
    let mut titles = BTreeSet::new();
    for t in 0..200 {
        host.set_time(t);
        let text = host.print("-o openmetrics --top 50");
        assert_eq!(samples(&text, "ram_bytes"), sums(|p, n| pss(p, n) * 1024), "{t}");
        assert_eq!(samples(&text, "rss_bytes"), sums(|p, n| (pss(p, n) + 1) * 1024), "{t}");
        assert_eq!(samples(&text, "pss_anon_bytes"), sums(|_, _| 7 * 1024), "{t}");
        assert_eq!(samples(&text, "pss_file_bytes"), sums(|_, _| 5 * 1024), "{t}");
        assert_eq!(samples(&text, "processes"), sums(|_, _| 1), "{t}");
        assert!(text.contains("\npsm_uring_other_rows 0\n"), "{text}");
        if t % 20 > 0 {
            continue;
        }
        // People see the titles. Both documents have the same keys.
        let document: Value = serde_json::from_str(&host.print("--json")).expect("JSON");
        let rows = document["programs"].as_array().expect("rows");
        titles.extend(rows.iter().map(|row| row["name"].to_string()));
        let keys: BTreeSet<_> =
            rows.iter().map(|row| row["key"].as_str().expect("a key")).collect();
        assert_eq!(keys.len(), PROGRAMS, "{keys:?}");
        assert!(samples(&text, "ram_bytes").keys().all(|key| keys.contains(&**key)), "{keys:?}");
    }
    assert!(titles.len() > 1000, "{} titles", titles.len());
    let few = host.print("-o openmetrics --top 5");
    assert!(few.contains("\npsm_uring_other_rows 10\n"), "{few}");
}

#[test]
fn a_diff_of_titles_that_change_shows_growth_alone() {
    let host = Host::new("keys-diff");
    let [before, after] = ["before.json", "after.json"].map(|name| host.0.path().join(name));
    host.set_time(1);
    host.save(&before);
    host.set_time(2);
    host.set_pss(1, 4, pss(1, 4) + 3 * 1024);
    host.save(&after);
    let expected = "   MiB RAM   SWAPPED  COUNT  PROCESS
      +3.0                   zabbix_server
                             (14 rows alike)
#     +3.0                   TOTAL USED BY PROCESSES
";
    let mut command = program();
    command.arg("diff").args([&before, &after]);
    assert_eq!(output(command).stdout(), expected);
    let since = format!("--watch 1s --count 1 --since {}", before.display());
    let printed = host.print(&since);
    let (time, table) = printed.split_once('\n').expect("a line with the time");
    assert!(time.contains(", every 1s: "), "{time}");
    assert_eq!(table, expected);
    let mut command = program();
    command.arg("diff").arg("--json").args([&before, &after]);
    let document: Value = serde_json::from_str(&output(command).stdout()).expect("JSON");
    let rows = document["rows"].as_array().expect("rows");
    let key = |row: &Value| row["key"].as_str().expect("a key").to_owned();
    let changed: Vec<_> = rows.iter().filter(|row| row["change"]["ram"] != 0).map(key).collect();
    assert_eq!(changed, ["zabbix_server"]);
    assert!(rows.iter().all(|row| row["presence"] == "stayed"), "{rows:?}");
}

/// A process that waits, and whose title the test rewrites in its memory.
struct Sleeper {
    child: Child,
    /// The place and the length of its arguments.
    begin: u64,
    len: usize,
}

impl Sleeper {
    fn start() -> Sleeper {
        let mut command = Command::new("cat");
        let command = command.arg0("x".repeat(200)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("cat");
        // The answer shows that it has its memory and its arguments.
        let (input, output) = (child.stdin.as_mut(), child.stdout.as_mut());
        input.expect("a pipe").write_all(b"!").expect("a reader");
        output.expect("a pipe").read_exact(&mut [0]).expect("an answer");
        let (begin, len) = arguments(child.id()).expect("the place of its arguments");
        Sleeper { child, begin, len }
    }

    fn set_title(&self, title: &str) {
        let path = format!("/proc/{}/mem", self.child.id());
        let memory = OpenOptions::new().write(true).open(path).expect("a child's memory");
        let mut text = vec![0; self.len];
        text[..title.len()].copy_from_slice(title.as_bytes());
        memory.write_all_at(&text, self.begin).expect("its arguments");
    }

    /// Its anonymous memory in bytes. Pages of files do not count: one that it maps alone is shared
    /// once any other process of the host maps it.
    fn anon(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(path).expect("a rollup");
        let line = text.lines().find(|line| line.starts_with("Pss_Anon:")).expect("since 5.9");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("KiB");
        kib * 1024
    }
}

/// The place and the length of the arguments of a process.
fn arguments(pid: u32) -> Option<(u64, usize)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    // Fields 48 and 49 are their begin and end; comm, the second field, ends with `) `.
    let (_, fields) = stat.rsplit_once(") ").expect("stat");
    let field = |n: usize| fields.split(' ').nth(n - 3)?.parse::<u64>().ok();
    let (begin, end) = (field(48)?, field(49)?);
    Some((begin, usize::try_from(end.checked_sub(begin)?).ok()?))
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Live processes, measured while their titles change.
#[test]
fn live_titles_keep_their_series() {
    const EACH: usize = 4;
    let sleepers: Vec<Sleeper> = (0..PROGRAMS * EACH).map(|_| Sleeper::start()).collect();
    let set_time = |t: usize| {
        for (place, sleeper) in sleepers.iter().enumerate() {
            sleeper.set_title(&title(place / EACH, place % EACH, t).1);
        }
    };
    let anon = || {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (place, sleeper) in sleepers.iter().enumerate() {
            *sums.entry(title(place / EACH, 0, 0).0.to_owned()).or_default() += sleeper.anon();
        }
        sums
    };
    set_time(0);
    let pids: Vec<String> = sleepers.iter().map(|one| one.child.id().to_string()).collect();
    let (expected, mut metrics) = (anon(), Vec::new());
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| -> Vec<_> {
            let again = |_| {
                let mut command = program();
                command.args([
                    "-o",
                    "openmetrics",
                    "--columns",
                    "ram,pss-anon",
                    "-p",
                    &pids.join(","),
                ]);
                output(command)
            };
            (0..10).map(again).collect()
        });
        let mut t = 0;
        while !runs.is_finished() {
            t += 1;
            set_time(t);
        }
        metrics = runs.join().expect("ten reports");
    });
    for ran in metrics {
        assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
        let text = ran.stdout();
        assert_eq!(samples(&text, "pss_anon_bytes"), expected, "{text}");
        let ram: u64 = samples(&text, "ram_bytes").values().sum();
        assert!(text.contains(&format!("psm_uring_total_ram_bytes {ram}\n")), "{text}");
    }
    assert_eq!(anon(), expected, "the memory has not changed");
}
