//! The column of GPU memory: the clients of all measured processes. A host without a driver costs
//! nothing.

use std::collections::{HashMap, HashSet};

use super::leaderless::living_thread;
use super::settings::Settings;
use crate::engine::{Survey, Timeouts};
use crate::process::{self, GpuClient, ProcFile};
use crate::program::{GpuShares, Programs};
use crate::report::gpu::{self, GpuGaps};
use crate::sys::proc_root::ProcRoot;
use crate::sys::{gpu_files, readers};
use crate::units::{Errno, Pid};

/// The facts for a report with the column.
#[derive(Default)]
pub(super) struct FoundGpu {
    pub(super) shares: GpuShares,
    gaps: GpuGaps,
}

/// Reads the clients. `None` if no column needs them.
pub(super) fn read(
    settings: &Settings,
    survey: &Survey,
    sharing: &HashMap<Pid, Pid>,
    left: &Timeouts,
) -> Option<FoundGpu> {
    if !settings.finds_gpu {
        return None;
    }
    let root = &settings.root;
    // A recorded directory may lack the list.
    if gpu_files::has_driver(root) == Some(false) {
        return Some(FoundGpu::default());
    }
    let pids: Vec<Pid> = survey.processes().map(|process| process.pid).collect();
    let mut unknown: HashSet<Pid> = pids.iter().copied().collect();
    let mut gaps = GpuGaps::default();
    let mut known: Vec<(Pid, Vec<GpuClient>)> = Vec::new();
    for (pid, answer) in readers::ask_processes(root, pids, left.patience(), clients) {
        match answer {
            Ok(clients) => {
                unknown.remove(&pid);
                let silent = clients.iter().filter(|client| client.memory.is_none());
                let (unclear, silent): (Vec<&GpuClient>, Vec<&GpuClient>) =
                    silent.partition(|client| client.is_unclear);
                gaps.unclear += usize::from(!unclear.is_empty());
                gaps.without_figures += usize::from(unclear.is_empty() && !silent.is_empty());
                let name = |client: &&GpuClient| client.driver.clone();
                let is_named = |name: &Vec<u8>| !name.is_empty();
                gaps.unclear_drivers.extend(unclear.iter().map(name).filter(is_named));
                gaps.drivers.extend(silent.iter().map(name).filter(is_named));
                known.extend((!clients.is_empty()).then_some((pid, clients)));
            }
            Err(Errno::ACCES | Errno::PERM) => gaps.refused += 1,
            Err(_) => {}
        }
    }
    gaps.unread = unknown.len() - gaps.refused;
    Some(FoundGpu { shares: GpuShares::split(&known, unknown, sharing), gaps })
}

/// The clients of one process, one for each descriptor.
fn clients(root: &ProcRoot, pid: Pid) -> Result<Vec<GpuClient>, Errno> {
    match clients_of(root, pid, None) {
        // A process that ended holds nothing.
        Err(Errno::NOENT | Errno::SRCH) if !root.has(ProcFile::Status, pid) => Ok(Vec::new()),
        // A dead leader has no descriptors, and its list is that of root.
        Ok((0, _)) | Err(Errno::ACCES | Errno::PERM) if is_leaderless(root, pid) => {
            let (thread, _) = living_thread(root, pid).ok_or(Errno::SRCH)?;
            Ok(clients_of(root, pid, Some(thread))?.1)
        }
        read => read.map(|(_, clients)| clients),
    }
}

/// The number of descriptors, and the clients among them.
fn clients_of(
    root: &ProcRoot,
    pid: Pid,
    thread: Option<Pid>,
) -> Result<(usize, Vec<GpuClient>), Errno> {
    let mut clients: Vec<GpuClient> = Vec::new();
    let read = gpu_files::for_each(root, pid, thread, |text| clients.push(GpuClient::parse(text)));
    Ok((read?, clients))
}

fn is_leaderless(root: &ProcRoot, pid: Pid) -> bool {
    root.read_once(ProcFile::Status, pid).is_ok_and(|status| process::is_leaderless(&status))
}

impl FoundGpu {
    /// The notes. `knows_users`: each process of the host is measured.
    pub(super) fn notes(&self, programs: &Programs<'_>, knows_users: bool) -> Vec<String> {
        let bound = programs.gpu.and_then(|memory| gpu::bound(memory, knows_users));
        self.gaps.note().into_iter().chain(bound).collect()
    }
}
