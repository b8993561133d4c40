//! The reasons on standard error: looked up where a file knows them, and neutral where none does.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{TempDir, assert_one_line, copy_dir, output, program, run, tree};

/// A copy of a fixture.
fn copied(name: &str) -> TempDir {
    let copy = TempDir::new(name);
    copy_dir(&tree(name), copy.path());
    copy
}

/// A directory in place of a memory file cannot be read, whatever the kernel.
#[test]
fn an_error_of_every_process_is_an_error_of_the_run() {
    let root = copied("no-smaps");
    for pid in ["901", "902", "903"] {
        std::fs::create_dir(root.path().join(pid).join("smaps_rollup")).expect("a directory");
    }
    for engine in ["sync", "threads", "auto"] {
        let mut command = program();
        command.arg("--proc-root").arg(root.path()).args(["-p", "901,902,903", "--engine", engine]);
        let ran = output(command);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{engine}");
        assert_one_line(&ran, "could not read any process (first: PID 901): Is a directory");
        assert_one_line(&ran, "; check the directory that --proc-root names");
    }
}

/// One process with a memory file shows that the kernel has them.
#[test]
fn a_kernel_that_measures_one_process_has_smaps() {
    let root = copied("no-smaps");
    let rollup = "Rss: 8 kB\nPss: 8 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty: 0 kB\n";
    std::fs::write(root.path().join("903/smaps_rollup"), rollup).expect("a file");
    let mut command = program();
    command.arg("--proc-root").arg(root.path());
    let ran = output(command);
    assert_one_line(&ran, "measured 1 of 3 processes; 2 failed (PID 901, 902): No such file");
    assert!(!ran.stderr().contains("CONFIG_PROC_PAGE_MONITOR"), "{}", ran.stderr());
    assert!(!ran.stdout().contains("no smaps"), "{}", ran.stdout());
}

/// A kernel without a rollup has smaps: only the option is in the way.
#[test]
fn a_kernel_without_rollup_is_not_called_one_without_smaps() {
    let ran = run(["--proc-root", "no-rollup", "--source", "rollup"]);
    assert_one_line(&ran, "this kernel has no smaps_rollup (it came with 4.14)");
    let ran = run(["--proc-root", "no-smaps", "--source", "rollup"]);
    assert_eq!(ran.code, Some(0));
    assert_one_line(&ran, "this kernel has neither smaps_rollup nor smaps");
}

/// The memory file of a copy is empty, without any exec.
#[test]
fn the_reason_of_an_empty_memory_file_is_called_a_guess() {
    let root = copied("ordinary");
    std::fs::write(root.path().join("140/smaps_rollup"), "").expect("a file");
    let mut command = program();
    command.arg("--proc-root").arg(root.path());
    let ran = output(command);
    let why = "1 changed (PID 140): its memory file ended early, twice: probably an exec";
    assert_one_line(&ran, why);
}

/// The owner of a copy may read none of its files, if their permissions say so.
#[test]
fn permissions_of_a_copy_are_not_those_of_another_user() {
    let root = copied("ordinary");
    let file = root.path().join("140/smaps_rollup");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o0)).expect("a file of ours");
    let mut command = program();
    if rustix::process::geteuid().is_root() {
        let program = command.get_program().to_owned();
        command = Command::new("setpriv");
        command.arg("--bounding-set=-dac_override,-dac_read_search").arg(program);
    }
    command.arg("--proc-root").arg(root.path());
    let ran = output(command);
    let why = "1 denied (PID 140): the permissions of its copied files forbid it; make them";
    assert_one_line(&ran, why);
}
