//! The host memory that GPU drivers hold for processes: each client once, whatever its descriptors.
//!
//! A client is an open file, which processes share after `fork(2)` or by `SCM_RIGHTS`. Its memory
//! is divided equally among those that were measured. Buffers that clients share count in each, so
//! that the sum is an upper bound; the kernel does not report which clients these are.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::process::{GpuClient, GpuMemory, GpuPool};
use crate::units::{Kib, Pid};

/// The memory of processes.
#[derive(Debug, Default)]
pub struct GpuShares {
    /// Those that have some.
    shares: HashMap<Pid, GpuMemory>,
    /// Those whose memory is not known.
    unknown: HashSet<Pid>,
    held: HeldByGpu,
}

/// The memory of all clients, by the counter of meminfo that has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldByGpu {
    /// In shared memory.
    pub shmem: GpuMemory,
    /// In pages of TTM.
    pub ttm: GpuMemory,
    /// The number of processes whose memory is not known: there may be more.
    pub unknown: usize,
}

/// A driver, a device and a number.
type ClientKey<'a> = (&'a [u8], &'a [u8], u64);

impl GpuShares {
    /// Divides the memory of clients among the processes that hold them; a client without a memory
    /// makes those of its processes unknown, as do `unknown` processes. Processes in the address
    /// space of another (`sharing`) have no figures: theirs are in those of the owner.
    pub fn split(
        processes: &[(Pid, Vec<GpuClient>)],
        unknown: impl IntoIterator<Item = Pid>,
        sharing: &HashMap<Pid, Pid>,
    ) -> GpuShares {
        let owner = |pid: Pid| sharing.get(&pid).copied().unwrap_or(pid);
        let unknown = unknown.into_iter().map(owner).collect();
        let mut split = GpuShares { unknown, ..GpuShares::default() };
        let mut clients: HashMap<ClientKey<'_>, (&GpuClient, BTreeSet<Pid>)> = HashMap::new();
        let held = processes.iter().map(|(pid, all)| (owner(*pid), all));
        for (pid, client) in held.flat_map(|(pid, all)| all.iter().map(move |one| (pid, one))) {
            let Some((device, number)) = &client.id else {
                // Another descriptor may be the same client.
                let memory = client.memory.map(|memory| GpuMemory { least: Kib(0), ..memory });
                split.give(client, memory, &BTreeSet::from([pid]));
                continue;
            };
            let key = (&client.driver[..], &device[..], *number);
            let (found, holders) = clients.entry(key).or_insert((client, BTreeSet::new()));
            // Read at different times.
            if client.memory > found.memory {
                *found = client;
            }
            holders.insert(pid);
        }
        for (client, holders) in clients.values() {
            split.give(client, client.memory, holders);
        }
        split
    }

    fn give(&mut self, client: &GpuClient, memory: Option<GpuMemory>, holders: &BTreeSet<Pid>) {
        let Some(memory) = memory else {
            self.unknown.extend(holders);
            return;
        };
        match client.pool() {
            GpuPool::Shmem => self.held.shmem += memory,
            GpuPool::Ttm => self.held.ttm += memory,
            GpuPool::Unknown => {}
        }
        let count = holders.len() as u64;
        for (place, pid) in (0..).zip(holders) {
            // The first ones have the remainder.
            let part = |Kib(whole)| Kib(whole / count + u64::from(place < whole % count));
            let share = GpuMemory { most: part(memory.most), least: part(memory.least) };
            *self.shares.entry(*pid).or_default() += share;
        }
    }

    /// The memory of a process; `None` if it is not known.
    pub(super) fn of(&self, pid: Pid) -> Option<GpuMemory> {
        let share = || self.shares.get(&pid).copied().unwrap_or_default();
        (!self.unknown.contains(&pid)).then(share)
    }

    /// The memory of all processes in the host's counters.
    pub fn held(&self) -> HeldByGpu {
        HeldByGpu { unknown: self.unknown.len(), ..self.held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(driver: &str, id: Option<u64>, memory: Option<(u64, u64)>) -> GpuClient {
        GpuClient {
            driver: driver.into(),
            id: id.map(|number| (b"0000:03:00.0".to_vec(), number)),
            memory: memory.map(|(most, least)| GpuMemory { most: Kib(most), least: Kib(least) }),
            is_unclear: false,
        }
    }

    #[test]
    fn a_client_counts_once_over_all_processes() {
        let shared = client("xe", Some(7), Some((101, 100)));
        let processes = [
            (Pid(1), vec![shared.clone(), client("xe", Some(8), Some((10, 10)))]),
            (Pid(2), vec![shared.clone(), client("i915", Some(7), Some((40, 30)))]),
            // In the memory of the first.
            (Pid(3), vec![shared, client("new", Some(9), Some((4, 4)))]),
            (Pid(4), vec![client("msm", None, Some((6, 6))), client("msm", None, Some((6, 6)))]),
            (Pid(5), vec![client("nouveau", Some(1), None)]),
            (Pid(6), Vec::new()),
        ];
        let sharing = HashMap::from([(Pid(3), Pid(1))]);
        let split = GpuShares::split(&processes, [Pid(8)], &sharing);
        let memory = |most, least| GpuMemory { most: Kib(most), least: Kib(least) };
        let of = |pid| split.of(Pid(pid));
        assert_eq!(of(1), Some(memory(51 + 10 + 4, 50 + 10 + 4)));
        assert_eq!(of(2), Some(memory(50 + 40, 50 + 30)));
        assert_eq!(of(4), Some(memory(12, 0)));
        assert_eq!([5, 6, 8].map(of), [None, Some(memory(0, 0)), None]);
        let held = HeldByGpu { shmem: memory(52, 30), ttm: memory(111, 110), unknown: 2 };
        assert_eq!(split.held(), held);
    }
}
