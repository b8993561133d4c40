//! Modes of processes that hold a lock for ever, or are hard to measure for another reason.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use psm_uring::sys::this_process;
use psm_uring::units::Pid;

use super::dead_fs::{MOUNT, UNREADABLE};
use super::support::child::{MODE, Target, children_of, fork, state, stop_for_ever};
use super::support::until;
use super::sys;

/// Far longer than a process needs to reach its sleep.
const LIMIT: Duration = Duration::from_secs(20);

/// The arguments that a process claims in its command line.
const ARGUMENT_BYTES: usize = 64 << 30;
/// This number of directories of 250 bytes makes the longest path that the kernel prints.
pub const DEPTH: usize = 40;

/// The way a process blocks its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `mmap_lock` for writing: the mmap of the process waits for the file system.
    Mmap,
    /// `exec_update_lock`: the exec of the process waits for a close.
    Exec,
    /// `mmap_lock` for reading: another process reads its memory and waits for the file system;
    /// from then on the process waits for the lock, and all readers wait behind it.
    Fault,
    /// Like `Mmap`, under a name that sets terminal colours and begins a new line.
    Evil,
}

impl Hold {
    pub const ALL: [Hold; 4] = [Hold::Mmap, Hold::Exec, Hold::Fault, Hold::Evil];

    /// The name of the process in the kernel.
    pub fn comm(self) -> &'static str {
        match self {
            Hold::Mmap => "holds-mmap",
            Hold::Exec => "holds-exec",
            Hold::Fault => "holds-fault",
            Hold::Evil => "\x1b[31mred\n#  0.0",
        }
    }

    /// The file of the file system that the process uses: no two processes share one.
    fn path(self, n: usize) -> String {
        let letter = match self {
            Hold::Mmap | Hold::Evil => 'm',
            Hold::Exec => 'e',
            Hold::Fault => UNREADABLE,
        };
        // The kinds share the numbers, so the names keep them apart.
        format!("{MOUNT}/{letter}{}", Hold::ALL.len() * n + self as usize)
    }
}

/// Starts this many processes that block their readers, below one that does not.
pub fn start(hold: Hold, count: usize) -> (Target, Vec<Pid>) {
    let herd = Target::stopped(&format!("hold {} {count}", hold as usize));
    let all_are_there = || Some(children_of(herd.pid())).filter(|pids| pids.len() == count);
    let pids = until(LIMIT, all_are_there).expect("as many as were forked");
    (herd, pids)
}

/// Enters the mode that the environment selects, if this file defines it; see `support::child`.
pub fn become_one() {
    let Ok(mode) = std::env::var(MODE) else { return };
    let words: Vec<&str> = mode.split(' ').collect();
    let number = |n: usize| words[n].parse::<usize>().expect("a number");
    match words[0] {
        "hold" => {
            let hold = Hold::ALL[number(1)];
            for n in 0..number(2) {
                fork(move || hold_for_ever(hold, n));
            }
        }
        "vfork" => {
            let (kib, path) = (number(1), words[2].to_owned());
            // In a process of one thread: in one of several threads, only one thread waits.
            fork(move || {
                let touched = std::hint::black_box(vec![1_u8; kib * 1024]);
                // The library creates a child that shares the memory of this process until its
                // exec.
                let _ = Command::new(path).spawn();
                drop(touched);
                this_process::exit(0);
            });
        }
        "arguments" => {
            let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
            sys::claim_arguments(&stat, ARGUMENT_BYTES).expect("prctl");
        }
        "held" => {
            let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
            // Without this wait the test may find a process that still has a name.
            let _ = sys::claim_held_arguments(&stat);
        }
        "deep" => map_deep(number(1)),
        _ => return,
    }
    stop_for_ever();
}

fn hold_for_ever(hold: Hold, n: usize) {
    let name = std::ffi::CString::new(hold.comm()).expect("no zero");
    rustix::thread::set_name(&name).expect("prctl");
    let path = hold.path(n);
    let file = File::options().read(true).write(true).open(&path).expect("a file that is there");
    match hold {
        Hold::Mmap | Hold::Evil => sys::dirty_and_cover(&file).expect("mmap"),
        Hold::Exec => drop(Command::new("sleep").arg("1000").exec()),
        Hold::Fault => be_read(&file),
    }
    // The file system is gone.
    this_process::exit(0);
}

/// Makes a child read memory of this process that never arrives, then requests the lock.
fn be_read(file: &File) {
    let address = sys::map_untouched(file).expect("mmap");
    let memory = File::open(Path::new("/proc").join(std::process::id().to_string()).join("mem"));
    let memory = memory.expect("a child may read its parent");
    let reader = fork(move || {
        rustix::thread::set_name(c"reader").expect("prctl");
        let _ = memory.read_at(&mut [0], address);
        this_process::exit(0);
    });
    let waits = || state(reader).filter(|state| "SD".contains(*state));
    until(LIMIT, waits).expect("the reader waits");
    sys::map_anonymous().expect("mmap");
}

/// Maps a file deep in the directories of a separate file system.
fn map_deep(depth: usize) {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "tmpfs", MOUNT]);
    assert!(mount.status().is_ok_and(|status| status.success()), "{mount:?}");
    std::env::set_current_dir(MOUNT).expect("a directory");
    // One directory at a time: the kernel refuses a whole path of this length.
    for _ in 0..depth {
        let name = "d".repeat(250);
        std::fs::create_dir(&name).expect("a directory");
        std::env::set_current_dir(&name).expect("a directory");
    }
    let file = File::options().read(true).write(true).create_new(true).open("file");
    let file = file.expect("a file");
    file.set_len(4096).expect("a page");
    sys::map_untouched(&file).expect("mmap");
}
