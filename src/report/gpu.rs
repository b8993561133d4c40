//! Notes on the column of GPU memory.

use std::collections::BTreeSet;

use super::{Unit, escape, plural};
use crate::process::GpuMemory;

/// The most drivers that a note names.
const DRIVERS_MAX: usize = 3;

/// The processes whose GPU memory is not known.
#[derive(Debug, Default)]
pub struct GpuGaps {
    /// This user may not read their descriptors.
    pub refused: usize,
    /// They did not answer in time, or reading failed.
    pub unread: usize,
    /// Their drivers print no memory.
    pub without_figures: usize,
    /// Their drivers print amounts that are not understood.
    pub unclear: usize,
    /// The drivers that print no memory: foreign bytes.
    pub drivers: BTreeSet<Vec<u8>>,
    /// The drivers of amounts that are not understood.
    pub unclear_drivers: BTreeSet<Vec<u8>>,
}

impl GpuGaps {
    /// A note, if there are any.
    pub fn note(&self) -> Option<String> {
        let GpuGaps { refused, unread, without_figures, unclear, .. } = *self;
        let named = |drivers: &BTreeSet<Vec<u8>>| {
            let names = drivers.iter().take(DRIVERS_MAX).map(|name| escape::name(name));
            let names = names.collect::<Vec<_>>().join(", ");
            if names.is_empty() { names } else { format!(" ({names})") }
        };
        let drivers = named(&self.drivers);
        let unclear_drivers = named(&self.unclear_drivers);
        let reasons = [
            (refused, "only the same user and root may read fd and fdinfo of a process".to_owned()),
            (unread, "the descriptors could not be read".to_owned()),
            (without_figures, format!("the driver reports no memory{drivers}")),
            (unclear, format!("the unit of an amount is not understood{unclear_drivers}")),
        ];
        let reasons = reasons.into_iter().filter(|(count, _)| *count > 0);
        let reasons: Vec<String> =
            reasons.map(|(count, why)| format!("{}: {why}", plural(count, "process"))).collect();
        let is_any = !reasons.is_empty();
        is_any.then(|| format!("GPU memory is unknown of {}", reasons.join("; of ")))
    }
}

/// A note if the GPU memory of all rows is an upper bound. `knows_users`: each process is measured.
pub fn bound(memory: GpuMemory, knows_users: bool) -> Option<String> {
    let GpuMemory { most, least } = memory;
    let is_shared = (most > least).then_some("clients share buffers, which count in each of them");
    let is_lacking = most.0 > 0 && !knows_users;
    let lacking = "processes that were not measured may hold a part, which counts whole here";
    let reasons = is_shared.into_iter().chain(is_lacking.then_some(lacking));
    let reasons: Vec<&str> = reasons.collect();
    let least = match is_shared {
        Some(_) => format!(" (at least {} MiB)", Unit::Mib.format(least)),
        None => String::new(),
    };
    let most = Unit::Mib.format(most);
    let is_any = !reasons.is_empty();
    is_any.then(|| {
        format!("{most} MiB of GPU memory is an upper bound{least}: {}", reasons.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Kib;

    #[test]
    fn notes_name_the_reasons() {
        assert_eq!(GpuGaps::default().note(), None);
        let drivers = BTreeSet::from([b"nouveau".to_vec()]);
        let gaps = GpuGaps { refused: 2, without_figures: 1, drivers, ..GpuGaps::default() };
        let note = "GPU memory is unknown of 2 processes: only the same user and root may read fd \
                    and fdinfo of a process; of 1 process: the driver reports no memory (nouveau)";
        assert_eq!(gaps.note().as_deref(), Some(note));
        let unclear_drivers = BTreeSet::from([b"msm".to_vec()]);
        let gaps = GpuGaps { unclear: 1, unclear_drivers, ..GpuGaps::default() };
        let note = "GPU memory is unknown of 1 process: the unit of an amount is not understood \
                    (msm)";
        assert_eq!(gaps.note().as_deref(), Some(note));
        let memory = |most, least| GpuMemory { most: Kib(most), least: Kib(least) };
        assert_eq!(bound(memory(0, 0), false), None);
        assert_eq!(bound(memory(2048, 2048), true), None);
        let note = "2.0 MiB of GPU memory is an upper bound (at least 1.0 MiB): clients share \
                    buffers, which count in each of them";
        assert_eq!(bound(memory(2048, 1024), true).as_deref(), Some(note));
        let note = "2.0 MiB of GPU memory is an upper bound: processes that were not measured may \
                    hold a part, which counts whole here";
        assert_eq!(bound(memory(2048, 2048), false).as_deref(), Some(note));
    }
}
