//! A pattern, and a name to match: for any input the match ends soon, and an error is one line.

use std::time::Duration;

use psm_uring::commands::table_options;
use psm_uring::process::{Fate, NAME_MAX, NameRule, Plan, Probe};
use regex::bytes::Regex;
use rustix::time::{ClockId, clock_gettime};

use super::super::world::World;
use super::parts;

/// Far more CPU time than the largest pattern takes for the longest name: 45 ms, and a hundred
/// times that in a build that checks every step.
const LIMIT: Duration = Duration::from_secs(10);

pub fn run(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let (pattern, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    let option = format!("--filter={pattern}");
    let parsed = in_time("to parse", || table_options(&["psm-uring", &option]));
    match parsed {
        Ok(options) => check_match(&options.select.filter.expect("it was given"), name),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(line.starts_with("--filter '"), "{line:?}");
        }
    }
}

/// The longest possible name, made of repetitions of this one.
fn check_match(filter: &Regex, name: &[u8]) {
    let cmdline: Vec<u8> = match name {
        [] => b"nameless".to_vec(),
        _ => name.iter().copied().cycle().take(NAME_MAX).collect(),
    };
    let plan =
        Plan { name_rule: NameRule::Cmdline, filter: Some(filter.clone()), ..Plan::default() };
    let mut probe = Probe::new();
    let mut world = World::user().with_bytes("cmdline", &cmdline);
    let found = in_time("to match", || world.carry(&mut probe, &plan));
    let fate = if filter.is_match(probe.name()) { Fate::Measured } else { Fate::NotSelected };
    assert_eq!(found.fate, fate, "{:?}", probe.name().escape_ascii());
}

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = cpu_time();
    let done = work();
    let took = cpu_time() - began;
    assert!(took < LIMIT, "{took:?} {what}");
    done
}

/// CPU time of this thread: excludes other load on the machine.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("time since the thread began")
}
