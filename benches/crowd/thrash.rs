//! The members of a crowd `thrash`. Their memory does not fit into their control group and they
//! touch it at random, so the kernel swaps without end, and most of the members wait for the disk.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::time::{Duration, Instant};

use psm_uring::sys::this_process;
use psm_uring::units::Pid;

use super::cgroup::MemoryGroup;
use super::member;
use super::spec::Spec;
use super::sys::{self, Area};

/// A member sleeps once in this many touches, so that CPU time is left where all fits.
const TOUCHES_PER_NAP: u64 = 4096;
const NAP: Duration = Duration::from_millis(1);

/// The root's hold on the members.
pub(super) struct Thrash {
    group: MemoryGroup,
    /// One byte for each member that may begin.
    go: (PipeReader, PipeWriter),
}

impl Thrash {
    /// Creates the control group of this process's crowd.
    pub(super) fn new(spec: &Spec) -> Result<Thrash, String> {
        let group = MemoryGroup::make(std::process::id(), spec.memory_bytes())?;
        Ok(Thrash { group, go: pipe().map_err(|error| format!("pipe: {error}"))? })
    }

    /// Starts a member, which takes its memory, reports, and waits for [`Thrash::begin`].
    pub(super) fn fork(&self, spec: &Spec, ready: &PipeWriter) -> Result<Pid, String> {
        let member = || {
            let lived = self.live(spec.private, ready);
            this_process::exit(u8::from(lived.is_err()));
        };
        sys::fork(member).map_err(|error| format!("fork: {error}"))
    }

    /// Lets all members begin to touch their pages at random.
    pub(super) fn begin(&self, members: usize) -> Result<(), String> {
        (&self.go.1).write_all(&vec![0; members]).map_err(|error| format!("the members: {error}"))
    }

    fn live(&self, pages: usize, ready: &PipeWriter) -> std::io::Result<()> {
        self.group.join()?;
        let area = Area::private(pages)?;
        (0..pages).for_each(|page| area.write(page));
        member::report(ready, area.range().start);
        (&self.go.0).read_exact(&mut [0])?;
        let (began, pages) = (Instant::now(), pages as u64);
        let mut random = u64::from(std::process::id());
        while began.elapsed() < member::BUSY_LIMIT {
            // One period of Marsaglia's xorshift has all numbers but 0.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            area.write(usize::try_from(random % pages).unwrap_or(0));
            if random / pages % TOUCHES_PER_NAP == 0 {
                std::thread::sleep(NAP);
            }
        }
        Ok(())
    }
}
