//! The figures of control groups as parts of the JSON document.

use serde::Serialize;

use super::{hex, lossy};
use crate::host::{ChargeParts, GroupEvents, LimitKind};
use crate::program::Program;
use crate::report::Report;

/// The figures of a row that are not amounts, if the run asked for them.
#[derive(Serialize)]
pub(super) struct ChargeFields {
    limit_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_path_bytes: Option<String>,
    limit_kind: Option<LimitKind>,
    limit_events: Option<GroupEvents>,
    limit_pressure: Option<f64>,
    events: Option<GroupEvents>,
    pressure: Option<f64>,
    charged_elsewhere: Option<bool>,
    charged_parts: ChargeParts,
}

/// Those of several rows.
#[derive(Serialize)]
pub(super) struct ChargeSums {
    events: Option<GroupEvents>,
    /// Pressures do not add up.
    pressure: Option<f64>,
}

impl ChargeFields {
    pub(super) fn new(row: &Program<'_>) -> Option<ChargeFields> {
        let charge = row.charge?;
        let percent = |hundredths| f64::from(hundredths) / 100.0;
        Some(ChargeFields {
            limit_path: charge.limit.map(|level| lossy(level.path)),
            limit_path_bytes: charge.limit.and_then(|level| hex(level.path)),
            limit_kind: charge.limit.map(|level| level.limit.kind),
            limit_events: charge.limit.and_then(|level| level.events),
            limit_pressure: charge.limit.and_then(|level| level.pressure).map(percent),
            events: charge.events,
            pressure: charge.pressure.map(percent),
            charged_elsewhere: row.is_charged_elsewhere(),
            charged_parts: charge.parts,
        })
    }
}

impl ChargeSums {
    pub(super) fn new(report: &Report<'_>, events: Option<GroupEvents>) -> Option<ChargeSums> {
        report.has_charge.then_some(ChargeSums { events, pressure: None })
    }
}
