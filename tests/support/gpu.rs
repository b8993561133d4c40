//! Clients of GPUs: fixtures laid out as the descriptors of processes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::data;

/// The text that the kernel prints, from a file under `tests/data/fdinfo`.
pub fn fdinfo(name: &str) -> String {
    let text = fs::read_to_string(data("fdinfo").join(format!("{name}.txt"))).expect("a fixture");
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// Gives processes descriptors of a device: process, number and fixture. All others have none.
pub fn lay_out(proc: &Path, held: &[(u32, u32, &str)]) {
    fs::write(proc.join("devices"), "Character devices:\n226 drm\n").expect("a file of ours");
    for entry in fs::read_dir(proc).expect("a directory of ours") {
        let dir = entry.expect("an entry").path();
        if dir.join("status").exists() {
            fs::create_dir_all(dir.join("fd")).expect("a directory of ours");
            fs::create_dir_all(dir.join("fdinfo")).expect("as above");
            symlink("socket:[7]", dir.join("fd/3")).expect("a link of ours");
            fs::write(dir.join("fdinfo/3"), fdinfo("xe")).expect("a file that is not read");
        }
    }
    for (pid, fd, name) in held {
        let dir = proc.join(pid.to_string());
        symlink("/dev/dri/renderD128", dir.join(format!("fd/{fd}"))).expect("a link of ours");
        fs::write(dir.join(format!("fdinfo/{fd}")), fdinfo(name)).expect("a file of ours");
    }
}
