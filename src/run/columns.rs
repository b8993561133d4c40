//! The facts that columns need beside the memory of processes. Each is read only if a column needs
//! it.

use super::groups::{self, FoundGroups};
use super::oom::{self, FoundOom};
use super::settings::Settings;
use super::{Measured, gpu, tree};
use crate::engine::Timeouts;
use crate::program::{
    Annotations, Charges, Column, Faults, HeldByGpu, Lineage, OomEstimate, Programs,
};
use crate::report;
use crate::sys::host_files::MeminfoFile;
use crate::units::Kib;

/// The facts, except for those that nothing asks for.
pub(super) struct ColumnFacts {
    pub(super) groups: FoundGroups,
    pub(super) faults: Option<Faults>,
    oom: Option<FoundOom>,
    lineage: Option<Lineage>,
    gpu: Option<gpu::FoundGpu>,
    /// All memory of the host.
    all_memory: Option<Kib>,
}

impl ColumnFacts {
    /// Reads the facts. `left` has the timeouts of the rest of the run.
    pub(super) fn read(
        settings: &Settings,
        faults: Option<Faults>,
        measured: &Measured<'_>,
        meminfo: &MeminfoFile<'_>,
        left: &dyn Fn() -> Timeouts,
    ) -> ColumnFacts {
        let (survey, sharing) = (measured.survey, &measured.spaces.owners);
        let needs_all_memory = settings.columns.contains(&Column::Percent);
        ColumnFacts {
            groups: groups::read(settings, survey, &left()),
            faults,
            oom: oom::read(settings, meminfo, &left()),
            lineage: tree::lineage(settings, survey),
            gpu: gpu::read(settings, survey, sharing, &left()),
            all_memory: needs_all_memory.then(|| meminfo.all_memory()).flatten(),
        }
    }

    /// The likely choices of the OOM killer.
    pub(super) fn oom_estimate(&self) -> Option<OomEstimate<'_>> {
        self.oom.as_ref().map(|oom| oom.estimate(&self.groups))
    }

    /// The host memory that GPU drivers hold.
    pub(super) fn held_by_gpu(&self) -> Option<HeldByGpu> {
        self.gpu.as_ref().map(|gpu| gpu.shares.held())
    }

    /// The annotations of measured processes, as far as they need no labels.
    pub(super) fn annotations<'a>(&'a self, measured: &'a Measured<'_>) -> Annotations<'a> {
        Annotations {
            all_memory: self.all_memory,
            faults: self.faults.as_ref(),
            gpu: self.gpu.as_ref().map(|gpu| &gpu.shares),
            lineage: self.lineage.as_ref(),
            ..Annotations::new(&measured.spaces.owners, &measured.common.shares)
        }
    }

    /// The notes on columns. `knows_users`: each process of the host is measured.
    pub(super) fn notes(
        &self,
        settings: &Settings,
        programs: &Programs<'_>,
        (charges, estimate): (Option<&Charges<'_>>, Option<&OomEstimate<'_>>),
        knows_users: bool,
    ) -> Vec<String> {
        let of_oom = self.oom.iter().zip(estimate);
        let mut notes: Vec<String> =
            of_oom.flat_map(|(oom, estimate)| oom.notes(estimate)).collect();
        notes.extend(self.gpu.iter().flat_map(|gpu| gpu.notes(programs, knows_users)));
        let is_alone = self.faults.is_some() && settings.watch.is_none();
        notes.extend(is_alone.then(report::faults::alone));
        notes.extend(self.groups.notes(settings, charges, programs));
        notes
    }
}
