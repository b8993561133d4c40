//! The cache of ZFS (`/proc/spl/kstat/zfs/arcstats`), which meminfo does not name.

use crate::units::Kib;

/// The adaptive replacement cache (ARC) of ZFS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZfsArc {
    /// All of it, as `arc_summary` prints it.
    pub size: Kib,
    /// The objects in it that ZFS takes from slab: headers, dnodes and the like.
    pub in_slab: Kib,
}

impl ZfsArc {
    /// Parses the text: lines of a name, a type and a value in bytes.
    pub fn parse(text: &[u8]) -> Option<ZfsArc> {
        let text = std::str::from_utf8(text).ok()?;
        let value = |name: &str| {
            let mut lines = text.lines().map(str::split_whitespace);
            let mut fields = lines.find(|line| line.clone().next() == Some(name))?;
            fields.nth(2)?.parse::<u64>().ok()
        };
        let size = value("size")?;
        let objects = ["hdr_size", "l2_hdr_size", "dbuf_size", "dnode_size", "bonus_size"];
        // Older versions have fewer lines.
        let in_slab = objects.iter().filter_map(|name| value(name)).fold(0, u64::saturating_add);
        Some(ZfsArc { size: Kib(size / 1024), in_slab: Kib(in_slab.min(size) / 1024) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_count() {
        let text = "13 1 0x01 123 33456 7402060102 66478716886640\nname type data\n\
                    c_max                           4    9999\nsize                 4    10240\n\
                    compressed_size 4 512\nhdr_size 4 2048\nl2_hdr_size 4 1024\nmru_size 4 77\n";
        let found = ZfsArc { size: Kib(10), in_slab: Kib(3) };
        assert_eq!(ZfsArc::parse(text.as_bytes()), Some(found));
        for text in ["", "size 4", "size 4 x", "mru_size 4 1"] {
            assert_eq!(ZfsArc::parse(text.as_bytes()), None, "{text}");
        }
    }
}
