//! One process from its first file to its fate, with ordinary system calls.

use super::IoStats;
use crate::process::{Plan, Probe, ProcFile, ReadNext, Want};
use crate::sys::proc_root::{OpenFile, ProcRoot};
use crate::units::Pid;

/// Room for one read: more than the kernel hands out at once.
const READ_BYTES: usize = 16 * 1024;
/// How much is read again to see whether smaps still has something to say.
const REWIND_BYTES: usize = 1;

/// A probe with what it takes to satisfy it. Waits wherever the kernel makes it wait.
pub(super) struct Carrier<'a> {
    root: &'a ProcRoot,
    plan: &'a Plan,
    room: Vec<u8>,
    probe: Probe,
    io: IoStats,
}

impl<'a> Carrier<'a> {
    pub(super) fn new(root: &'a ProcRoot, plan: &'a Plan) -> Carrier<'a> {
        let io = IoStats::default();
        Carrier { root, plan, room: vec![0; READ_BYTES], probe: Probe::new(), io }
    }

    /// Carries one process to its fate, which the returned probe tells.
    pub(super) fn carry(&mut self, pid: Pid) -> &Probe {
        self.probe.restart(pid, self.plan);
        while let Some(want) = self.probe.want(self.plan) {
            match want {
                Want::One(file) => self.open_and_read(file),
                Want::Pair { name, memory } => {
                    let Some(open) = self.open(memory) else { continue };
                    self.open_and_read(name);
                    if self.probe.awaits_memory() {
                        self.read(memory, open);
                    }
                }
            }
        }
        &self.probe
    }

    /// The work of all processes so far.
    pub(super) fn io(&self) -> IoStats {
        self.io
    }

    fn open_and_read(&mut self, file: ProcFile) {
        if let Some(open) = self.open(file) {
            self.read(file, open);
        }
    }

    fn open(&mut self, file: ProcFile) -> Option<OpenFile> {
        self.io.operations += 2; // and the close
        match self.root.open_file(file, &self.probe.path(file)) {
            Ok(open) => Some(open),
            Err(errno) => {
                self.probe.fail(self.plan, file, errno);
                None
            }
        }
    }

    fn read(&mut self, file: ProcFile, mut open: OpenFile) {
        let mut progress = ReadNext::Continue;
        while progress != ReadNext::Done {
            self.io.operations += 1;
            let read = match progress {
                ReadNext::Verify => open.read_beginning(&mut self.room[..REWIND_BYTES]),
                _ => open.read(&mut self.room),
            };
            match read {
                Ok(len) => {
                    self.io.reads += 1;
                    self.io.bytes += len as u64;
                    let room = self.room.len();
                    progress = self.probe.feed(self.plan, file, &self.room[..len], room);
                }
                Err(errno) => {
                    self.probe.fail(self.plan, file, errno);
                    progress = ReadNext::Done;
                }
            }
        }
    }
}
