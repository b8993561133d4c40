//! From the path of a control group to the unit of systemd it stands for.
//!
//! systemd makes a group for every unit, named like it, inside of those of its slices. Knows
//! nothing of what units do.

use super::container::{label_at, steps};

/// Kinds of units that have processes of their own. Slices only hold others.
const KINDS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];

/// The unit of a path: `cron.service`. What is nested is told from the outside in, so that equal
/// names of two users or containers stay apart: `user@1000.service/app.service`,
/// `lxc:web/cron.service`. None outside of all units.
pub fn unit(path: &[u8]) -> Option<Vec<u8>> {
    let (mut names, mut container) = (Vec::new(), None);
    for (before, part) in steps(path) {
        if let Some(name) = name(part) {
            names.extend(container.take());
            names.push(name.to_vec());
        } else if part != b"payload" {
            // That of systemd-nspawn bears the name of its unit, which has been told.
            container = label_at(before, part).or(container);
        }
    }
    // A container outside of all units is none itself.
    (!names.is_empty()).then(|| names.join(&b'/'))
}

/// The name of a unit, from that of its group: one that a file of the kernel could have has a `_`
/// before it (`cg_escape`, src/basic/cgroup-util.c of systemd).
fn name(part: &[u8]) -> Option<&[u8]> {
    let name = part.strip_prefix(b"_").unwrap_or(part);
    let stem = KINDS.iter().find_map(|kind| name.strip_suffix(*kind))?;
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(byte);
    (!stem.is_empty() && stem.iter().all(is_allowed)).then_some(name)
}
