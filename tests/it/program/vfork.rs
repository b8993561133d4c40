//! Real processes that share one address space: their memory counts once. Forked siblings count
//! separately, even with equal figures. Needs no privilege.

use std::process::Command;

use psm_uring::units::Pid;

use super::shares::{GROUPINGS, NAMES};
use crate::support::child::{Target, children_of, state};
use crate::support::{RUN_LIMIT, Ran, TempDir, copy_dir, output, run, skip, tree, until};

const KIB: u64 = 40_000;
const ENGINES: [&str; 3] = ["sync", "threads", "auto"];

/// Whether this kernel supports the comparison (`CONFIG_KCMP`) and permits it.
fn has_kcmp(test: &str) -> bool {
    let own = Pid(std::process::id());
    let is_told = psm_uring::sys::this_process::share_memory(own, own) == Some(true);
    if !is_told {
        skip(test, "kcmp(2) does not answer here");
    }
    is_told
}

/// Parent and child are one row of two processes; by process, the child has no figures.
fn counts_once(parent: &Target) {
    let child = parent.children(1, 'T')[0];
    let parent = parent.pid();
    let list = format!("{parent},{child}");
    for engine in ENGINES {
        let arguments = ["-p", &list, "--unit", "KiB", "--no-header", "--engine", engine];
        let rows = run(arguments).rows();
        let [row] = &rows[..] else { panic!("{engine}: {} rows", rows.len()) };
        assert_eq!(row.name, "pair (2)");
        assert!((KIB..KIB + KIB / 2).contains(&row.ram), "{engine}: {} KiB", row.ram);
        let by_pid = run(arguments.into_iter().chain(["--by", "pid"]));
        let text = by_pid.stdout();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        assert!(lines[0].ends_with(&format!("  pair ({parent})")), "{text}");
        assert_eq!(lines[1], format!("pair ({child}) shares the memory of {parent}"), "{text}");
        // The same figure as the parent alone, to the KiB: the total is its row.
        let figure =
            |line: &str| line.trim_start_matches(['#', ' ']).split(' ').next().map(str::to_owned);
        assert_eq!(figure(lines[0]), figure(lines[2]), "{text}");
    }
}

#[test]
fn a_vfork_counts_once() {
    if has_kcmp("a_vfork_counts_once") {
        counts_once(&Target::start_as(b"pair", &format!("vfork {KIB}")));
    }
}

#[test]
fn a_clone_with_its_memory_counts_once() {
    if has_kcmp("a_clone_with_its_memory_counts_once") {
        counts_once(&Target::start_as(b"pair", &format!("clone {KIB}")));
    }
}

/// The child of this test that runs in the memory of a target with this title, once it is stopped.
fn sibling(target: &Target, title: &[u8]) -> Pid {
    let has_title = |pid: &Pid| {
        let found = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        found.starts_with(title) && *pid != target.pid()
    };
    let find = || children_of(Pid(std::process::id())).into_iter().find(has_title);
    let sibling = until(RUN_LIMIT, find).expect("a sibling");
    assert!(until(RUN_LIMIT, || (state(sibling) == Some('T')).then_some(())).is_some());
    sibling
}

/// The twin has another comm, so with `--name comm` and `--by pid` it has a row of its own.
#[test]
fn an_address_space_counts_once_for_all_groupings() {
    if !has_kcmp("an_address_space_counts_once_for_all_groupings") {
        return;
    }
    for mode in ["vfork", "clone", "kin"] {
        let title = format!("each-{mode}");
        let target = Target::start_as(title.as_bytes(), &format!("{mode} {KIB}"));
        let twin = match mode {
            "kin" => {
                target.wait_for_state(target.pid(), 'T');
                sibling(&target, format!("{title}\0").as_bytes())
            }
            _ => target.children(1, 'T')[0],
        };
        let list = format!("{},{twin}", target.pid());
        let given = ["-p", &list, "-o", "csv", "--columns", "ram,name"];
        let by = GROUPINGS.map(|by| ["--by", by]);
        let runs = by.into_iter().chain(NAMES.map(|name| ["--name", name]));
        let runs = runs.map(|arguments| (arguments, run(given.into_iter().chain(arguments))));
        let runs: Vec<([&str; 2], Ran)> = runs.collect();
        if mode == "kin" {
            let _ = Command::new("kill").args(["-KILL", &twin.to_string()]).status();
        }
        for (arguments, ran) in runs {
            let text = ran.stdout();
            let total = text.lines().last().expect("a total").split(',').nth(1);
            let total: u64 = total.and_then(|ram| ram.parse().ok()).expect("an amount");
            let is_once = (KIB..KIB + KIB / 2).contains(&(total / 1024));
            assert!(is_once, "{mode} {arguments:?}: {total} bytes\n{text}");
            assert_eq!(ran.stderr(), "", "{mode} {arguments:?}");
            let is_apart = text.contains("twin");
            assert_eq!(is_apart, arguments[1] == "comm", "{mode} {arguments:?}\n{text}");
        }
    }
}

/// Of a pair with one address space, a report of one process counts it whole, and says so.
#[test]
fn memory_in_use_outside_a_selection_is_an_upper_bound() {
    if !has_kcmp("memory_in_use_outside_a_selection_is_an_upper_bound") {
        return;
    }
    let target = Target::start_as(b"pair", &format!("clone {KIB}"));
    let pair = [target.pid(), target.children(1, 'T')[0]];
    for (one, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
        let note = format!("(PID {one} with {other})");
        // On a busy host the comparison can take too long.
        let told = || Some(run(["-p", &one.to_string()]).stderr()).filter(|told| !told.is_empty());
        let told = until(RUN_LIMIT, told).expect("a note");
        assert!(told.contains(&note) && told.contains("an upper bound"), "{told}");
    }
    let both = run(["-p", &format!("{},{}", pair[0], pair[1])]);
    assert_eq!(both.stderr(), "");
}

/// An address space ends with the last process that uses it.
#[test]
fn memory_that_another_row_uses_is_not_freed() {
    const TEST: &str = "memory_that_another_row_uses_is_not_freed";
    if !has_kcmp(TEST) {
        return;
    }
    let target = Target::start_as(b"pair", &format!("clone {KIB}"));
    let child = target.children(1, 'T')[0];
    let list = format!("{},{child}", target.pid());
    // Both processes are of one user and one title, but of different comms.
    for (words, is_freed) in
        [(["--by", "pid"], false), (["--by", "user"], true), (["--name", "comm"], false)]
    {
        let columns = ["-p", &list, "-o", "csv", "--columns", "ram,freed,shared-outside"];
        let ran = run(columns.into_iter().chain(words));
        if ran.stderr().contains("need page frames") {
            return skip(TEST, "page frames are hidden from this user");
        }
        let text = ran.stdout();
        let row = text.lines().nth(1).expect("a row");
        let amount = |place| row.split(',').nth(place).and_then(|text| text.parse::<u64>().ok());
        let [ram, freed, outside] = [1, 2, 3].map(|place| amount(place).expect("an amount"));
        // A row without memory of its own needs no reason.
        assert!(!ran.stderr().contains("are unknown for"), "{words:?}: {}", ran.stderr());
        if is_freed {
            assert!(freed >= KIB * 1024 && outside < KIB * 1024 / 4, "{words:?}: {text}");
        } else {
            assert_eq!((freed, outside), (0, ram), "{words:?}: {text}");
        }
    }
}

/// Its parent is this test, which runs in other memory.
#[test]
fn a_sibling_in_the_same_memory_counts_once() {
    if !has_kcmp("a_sibling_in_the_same_memory_counts_once") {
        return;
    }
    let target = Target::stopped_as(b"kin", &format!("kin {KIB}"));
    let sibling = sibling(&target, b"kin\0");
    let list = format!("{},{sibling}", target.pid());
    let ran = run(["-p", &list, "--unit", "KiB", "--no-header"]);
    let _ = Command::new("kill").args(["-KILL", &sibling.to_string()]).status();
    let rows = ran.rows();
    assert_eq!(rows[0].name, "kin (2)", "{}", ran.stdout());
    assert!((KIB..KIB + KIB / 2).contains(&rows[0].ram), "{} KiB", rows[0].ram);
    assert_eq!(ran.stderr(), "");
}

/// A watch keeps no file of such a process open: after an exec it would have the figures of the
/// other one.
#[test]
fn a_watch_opens_shared_address_spaces_each_time() {
    if !has_kcmp("a_watch_opens_shared_address_spaces_each_time") {
        return;
    }
    let operations = |list: &str| -> Vec<u64> {
        let watch = ["--watch", "100ms", "--count", "5", "--engine", "sync", "--stats"];
        let source = ["--source", "rollup", "-p", list];
        let ran = run(watch.into_iter().chain(source));
        let told = ran.stderr();
        let counts = told.lines().filter_map(|line| line.strip_prefix("operations"));
        counts.filter_map(|text| text.split_whitespace().next()?.parse().ok()).collect()
    };
    let parent = Target::start_as(b"pair", &format!("clone {KIB}"));
    let pair = format!("{},{}", parent.pid(), parent.children(1, 'T')[0]);
    // On a busy host a comparison can take too long.
    let is_opened = until(RUN_LIMIT, || (operations(&pair) == [12; 5]).then_some(()));
    assert!(is_opened.is_some(), "{:?}", operations(&pair));
    let two = [(); 2].map(|()| Target::stopped("touch 100"));
    let found = operations(&format!("{},{}", two[0].pid(), two[1].pid()));
    assert_eq!(found[..2], [12; 2], "{found:?}");
    assert!(found[2..].iter().all(|count| *count < 12), "{found:?}");
}

/// Recorded processes cannot be compared.
#[test]
fn equal_processes_that_cannot_be_compared_are_noted() {
    let copy = TempDir::new("equal");
    for pid in ["501", "502"] {
        copy_dir(&tree("hugetlb").join("505"), &copy.path().join(pid));
    }
    let root = copy.path().to_str().expect("UTF-8");
    let note = run(["--proc-root", root]).stderr();
    let begin = "psm-uring: 2 processes with equal figures may count twice: kcmp(2) does not know";
    assert!(note.starts_with(begin), "{note}");
    assert_eq!(run(["--proc-root", root, "-p", "501"]).stderr(), "");
}

/// In another PID namespace the kernel does not compare processes of this `/proc`.
#[test]
fn selections_of_another_proc_have_upper_bounds() {
    let parent = Target::start_as(b"pair", "clone 7743");
    let (child, pid) = (parent.children(1, 'T')[0], parent.pid());
    let other = Target::stopped("touch 7741");
    let ran = |pid: Pid| {
        let mut command = Command::new("unshare");
        command.args(["-p", "-f", env!("CARGO_BIN_EXE_psm-uring"), "-p", &pid.to_string()]);
        output(command)
    };
    let note = "psm-uring: the figures of 1 process may be an upper bound: a process that was not";
    let alone = ran(child);
    if alone.code != Some(0) || !rustix::process::getuid().is_root() {
        return skip("selections_of_another_proc_have_upper_bounds", "needs root, and unshare");
    }
    let told = alone.stderr();
    assert!(told.contains(note) && told.contains(&format!("PID {child} and {pid})")), "{told}");
    assert_eq!(ran(other.pid()).stderr(), "");
}

/// Alone, the child shows the memory it runs in.
#[test]
fn a_child_alone_has_its_figures() {
    let parent = Target::start_as(b"pair", &format!("clone {KIB}"));
    let child = parent.children(1, 'T')[0].to_string();
    let rows = run(["-p", &child, "--unit", "KiB", "--no-header"]).rows();
    assert!(rows[0].ram >= KIB && rows[0].name == "pair (1)", "{} KiB", rows[0].ram);
}

/// Pairs whose ids are far apart, and whose parent is another process, among equal processes.
#[test]
fn distant_pairs_are_found_or_noted() {
    if !has_kcmp("distant_pairs_are_found_or_noted") {
        return;
    }
    for (count, is_found) in [(150, true), (400, false)] {
        let parent = Target::stopped_as(b"pairs", &format!("pairs 4096 {count}"));
        let all = parent.children(2 * count, 'T');
        let list: Vec<String> = all.iter().map(ToString::to_string).collect();
        let ran = run(["-p", &list.join(","), "--no-header", "--by", "pid"]);
        let (text, notes) = (ran.stdout(), ran.stderr());
        let sharing = text.lines().filter(|line| line.contains(" shares the memory of ")).count();
        let why = "may count twice: they are too many to be compared each with each";
        assert_eq!((sharing == count, notes.contains(why)), (is_found, !is_found), "{notes}");
    }
}

/// A server of hundreds of equal children has no note.
#[test]
fn many_forked_siblings_have_no_note() {
    if !has_kcmp("many_forked_siblings_have_no_note") {
        return;
    }
    const COUNT: usize = 400;
    let parent = Target::stopped_as(b"family", &format!("family 4096 {COUNT}"));
    let mut family = parent.children(COUNT, 'T');
    family.push(parent.pid());
    let list: Vec<String> = family.iter().map(ToString::to_string).collect();
    let ran = run(["-p", &list.join(","), "--unit", "KiB", "--no-header", "--by", "pid"]);
    assert_eq!((ran.rows().len(), ran.stderr().as_str()), (COUNT + 1, ""));
}

/// Siblings are equal in layout and in every figure, and each has its own share.
#[test]
fn forked_siblings_count_each() {
    let parent = Target::stopped_as(b"family", &format!("family {KIB} 7"));
    let mut family = parent.children(7, 'T');
    family.push(parent.pid());
    let list: Vec<String> = family.iter().map(ToString::to_string).collect();
    for engine in ENGINES {
        let list = list.join(",");
        let arguments = ["-p", &list, "--unit", "KiB", "--no-header", "--engine", engine];
        let rows = run(arguments.into_iter().chain(["--by", "pid"])).rows();
        assert_eq!(rows.len(), 8, "{engine}");
        assert!(rows.iter().all(|row| row.ram >= KIB / 8), "{engine}: a sibling lost its share");
        let sum: u64 = rows.iter().map(|row| row.ram).sum();
        assert!((KIB..KIB + KIB / 2).contains(&sum), "{engine}: {sum} KiB");
    }
}
