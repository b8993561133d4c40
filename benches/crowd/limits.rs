//! Refuses a crowd that is too big for this host, before anything is started.
//!
//! The costs of a process besides its pages were measured on Linux 6.18, x86_64.

use std::fs::read_to_string;
use std::path::Path;

use super::spec::{Kind, Spec};
use super::swap;

/// Task, stack and page tables of the kernel, and the pages that fork copies.
const FORKED_BYTES: u64 = 128 << 10;
/// The same for a program of its own: its data, its page tables.
const EXECED_BYTES: u64 = 384 << 10;
/// One `vm_area_struct` with its attached structures.
const MAPPING_BYTES: u64 = 512;
/// Left to the host: a tenth of what is available, and this.
const SPARE_BYTES: u64 = 64 << 20;
/// Left to the host: the kernel reserves 300 ids, and logins need some.
const SPARE_TASKS: u64 = 512;

/// A resource that is short.
struct Shortage {
    what: String,
    needed: u64,
    free: u64,
    remedy: &'static str,
}

impl Shortage {
    fn into_error(self, spec: &Spec) -> String {
        let Shortage { what, needed, free, remedy } = self;
        let kind = spec.kind.word();
        format!(
            "a crowd `{kind}` of this size needs {needed} {what}, only {free} are free: {remedy}"
        )
    }
}

/// Refuses a crowd that is too big for the host.
pub(super) fn check(spec: &Spec) -> Result<(), String> {
    let found = memory(spec).or_else(|| tasks(spec)).or_else(|| mappings(spec));
    if let Some(shortage) = found {
        return Err(shortage.into_error(spec));
    }
    if !spec.kind.has_swap_file() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(format!(
            "a crowd `{}` needs a swap file, which only root may add: run as root, or choose \
             another crowd",
            spec.kind.word()
        ));
    }
    disk(spec)?.map_or(Ok(()), |shortage| Err(shortage.into_error(spec)))
}

/// The memory of all members together.
fn bytes(spec: &Spec) -> u64 {
    let page = rustix::param::page_size() as u64;
    let one = match spec.kind {
        Kind::Small | Kind::Many => FORKED_BYTES + spec.mappings as u64 * MAPPING_BYTES,
        Kind::Thrash => FORKED_BYTES,
        Kind::Swapped => EXECED_BYTES,
        Kind::Huge => EXECED_BYTES + spec.mappings as u64 * MAPPING_BYTES,
    };
    // Eight bytes of page table for each page, shared or not.
    let tables = (spec.private as u64).saturating_add(spec.shared as u64).saturating_mul(8);
    one.saturating_add(tables)
        .saturating_mul(spec.processes as u64)
        .saturating_add(spec.memory_bytes())
        .saturating_add((spec.shared as u64).saturating_mul(page))
        .saturating_add(FORKED_BYTES.saturating_mul(spec.busy as u64))
}

fn memory(spec: &Spec) -> Option<Shortage> {
    let meminfo = read_to_string("/proc/meminfo").ok()?;
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let available = available.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10;
    let groups = [("memory.max", "memory.current"), LEGACY_MEMORY];
    let free = cgroup_rooms("memory", &groups).into_iter().fold(available, u64::min);
    let free = (free - free / 10).saturating_sub(SPARE_BYTES);
    let needed = bytes(spec);
    (needed > free).then(|| Shortage {
        what: "MiB of memory".to_owned(),
        needed: needed >> 20,
        free: free >> 20,
        remedy: "lower --processes or the pages of each",
    })
}

/// The names in version 1 of control groups.
const LEGACY_MEMORY: (&str, &str) = ("memory.limit_in_bytes", "memory.usage_in_bytes");

/// Free process ids: of the host, of the user, of the control groups.
fn tasks(spec: &Spec) -> Option<Shortage> {
    let needed = (spec.processes as u64).saturating_add(spec.busy as u64 + SPARE_TASKS);
    let kernel = |name: &str| number(Path::new("/proc/sys/kernel").join(name).as_path());
    // The fourth word is `running/all`.
    let loadavg = read_to_string("/proc/loadavg").ok()?;
    let running = loadavg.split([' ', '/']).nth(4)?.parse::<u64>().ok()?;
    let host = |name: &'static str| Some((name, kernel(name)?.saturating_sub(running)));
    let mut rooms: Vec<(&str, u64)> =
        [host("pid_max"), host("threads-max")].into_iter().flatten().collect();
    // The limit does not apply to root (`copy_process`, kernel/fork.c).
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nproc).current;
    if let Some(limit) = limit.filter(|_| !rustix::process::getuid().is_root()) {
        rooms.push(("RLIMIT_NPROC", limit.saturating_sub(threads_of_this_user())));
    }
    let groups = cgroup_rooms("pids", &[("pids.max", "pids.current")]);
    rooms.extend(groups.into_iter().map(|room| ("pids.max of its control group", room)));
    let (name, free) = rooms.into_iter().min_by_key(|room| room.1)?;
    (needed > free).then(|| Shortage {
        what: format!("processes ({SPARE_TASKS} of them spare) under {name}"),
        needed,
        free,
        remedy: "lower --processes, or raise that limit",
    })
}

fn threads_of_this_user() -> u64 {
    let uid = rustix::process::getuid().as_raw().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let threads = entries.filter_map(|entry| {
        let status = read_to_string(entry.path().join("status")).ok()?;
        let field = |key| status.lines().find_map(|line| line.strip_prefix(key));
        let is_ours = field("Uid:")?.split_ascii_whitespace().next()? == uid;
        is_ours.then(|| field("Threads:")?.trim().parse::<u64>().ok())?
    });
    threads.sum()
}

fn mappings(spec: &Spec) -> Option<Shortage> {
    let free = number(Path::new("/proc/sys/vm/max_map_count"))?;
    let needed = spec.mappings as u64;
    (needed > free).then(|| Shortage {
        what: "mappings in a process (vm.max_map_count)".to_owned(),
        needed,
        free,
        remedy: "lower --mappings",
    })
}

fn disk(spec: &Spec) -> Result<Option<Shortage>, String> {
    let dir = &spec.swap_dir;
    let found = rustix::fs::statvfs(dir).map_err(|error| {
        format!("no swap file can be created in {}: {error}: choose a --swap-dir", dir.display())
    })?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = swap::bytes(spec);
    Ok((needed > free).then(|| Shortage {
        what: format!("MiB for a swap file in {}", dir.display()),
        needed: needed >> 20,
        free: free >> 20,
        remedy: "choose another --swap-dir, or lower --processes",
    }))
}

/// The free amount under every limit of the control groups of this process, of version 1 or 2.
fn cgroup_rooms(controller: &str, files: &[(&str, &str)]) -> Vec<u64> {
    let membership = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut rooms = Vec::new();
    for line in membership.lines() {
        let Some((controllers, path)) = line.split_once(':').and_then(|(_, l)| l.split_once(':'))
        else {
            continue;
        };
        let is_legacy = controllers.split(',').any(|name| name == controller);
        let hierarchy = if is_legacy { controller } else { "" };
        if !is_legacy && !controllers.is_empty() {
            continue;
        }
        let top = Path::new("/sys/fs/cgroup").join(hierarchy);
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            let group = top.join(group);
            rooms.extend(files.iter().filter_map(|(limit, usage)| {
                Some(number(&group.join(limit))?.saturating_sub(number(&group.join(usage))?))
            }));
        }
    }
    rooms
}

/// A file with one number in it; `None` for `max`.
fn number(path: &Path) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}
