//! The keys of smaps: the counted ones, and the look of a line of the usual width.

/// A figure that is summed over the mappings of a process. Variants carry the kernel's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `Rss`: resident pages.
    Rss,
    /// `Pss`: resident pages, each divided by the number of processes that map it.
    Pss,
    /// `Pss_Anon` (5.9, rollup only): the part of `Pss` in anonymous pages.
    PssAnon,
    /// `Pss_File` (5.9, rollup only): the part of `Pss` in file pages.
    PssFile,
    /// `Pss_Shmem` (5.9, rollup only): the part of `Pss` in shared memory and tmpfs.
    PssShmem,
    /// `Private_Clean`.
    PrivateClean,
    /// `Private_Dirty`.
    PrivateDirty,
    /// `Shared_Hugetlb` (4.4): hugetlb pages mapped by more than one process.
    SharedHugetlb,
    /// `Private_Hugetlb` (4.4): hugetlb pages mapped by this process only.
    PrivateHugetlb,
    /// `LazyFree` (4.12): pages that the kernel may take back (`MADV_FREE`), shared ones whole.
    LazyFree,
    /// `Swap`: pages in swap, shared ones counted whole.
    Swap,
    /// `SwapPss` (4.3): pages in swap, each divided by the number of processes that map it.
    SwapPss,
}

impl Field {
    /// The number of counted fields.
    pub const COUNT: usize = Field::SwapPss as usize + 1;

    /// Every counted field, in the order of the variants.
    pub const ALL: [Field; Field::COUNT] = [
        Field::Rss,
        Field::Pss,
        Field::PssAnon,
        Field::PssFile,
        Field::PssShmem,
        Field::PrivateClean,
        Field::PrivateDirty,
        Field::SharedHugetlb,
        Field::PrivateHugetlb,
        Field::LazyFree,
        Field::Swap,
        Field::SwapPss,
    ];

    pub(super) fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The field with exactly this key: `Swap` is not a prefix match for `SwapPss`.
    pub fn from_key(key: &[u8]) -> Option<Field> {
        // A match on slices compares lengths first: an unknown key costs one or two comparisons.
        Some(match key {
            b"Rss" => Field::Rss,
            b"Pss" => Field::Pss,
            b"Pss_Anon" => Field::PssAnon,
            b"Pss_File" => Field::PssFile,
            b"Pss_Shmem" => Field::PssShmem,
            b"Private_Clean" => Field::PrivateClean,
            b"Private_Dirty" => Field::PrivateDirty,
            b"Shared_Hugetlb" => Field::SharedHugetlb,
            b"Private_Hugetlb" => Field::PrivateHugetlb,
            b"LazyFree" => Field::LazyFree,
            b"Swap" => Field::Swap,
            b"SwapPss" => Field::SwapPss,
            _ => return None,
        })
    }

    /// The key as the kernel prints it, without the colon.
    pub const fn key(self) -> &'static str {
        match self {
            Field::Rss => "Rss",
            Field::Pss => "Pss",
            Field::PssAnon => "Pss_Anon",
            Field::PssFile => "Pss_File",
            Field::PssShmem => "Pss_Shmem",
            Field::PrivateClean => "Private_Clean",
            Field::PrivateDirty => "Private_Dirty",
            Field::SharedHugetlb => "Shared_Hugetlb",
            Field::PrivateHugetlb => "Private_Hugetlb",
            Field::LazyFree => "LazyFree",
            Field::Swap => "Swap",
            Field::SwapPss => "SwapPss",
        }
    }
}

/// A key padded to 16 columns, as at the start of a line.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) text: u128,
    pub(super) counted: Option<Field>,
}

/// Keys that are printed but not counted. They are listed so that the scanner can skip their lines
/// by width. A line with another key only costs a search for its newline.
const IGNORED: [&str; 13] = [
    "Size",
    "KernelPageSize",
    "MMUPageSize",
    "Pss_Dirty",
    "Shared_Clean",
    "Shared_Dirty",
    "Referenced",
    "Anonymous",
    "KSM",
    "AnonHugePages",
    "ShmemPmdMapped",
    "FilePmdMapped",
    "Locked",
];

/// The size of the table of keys: a power of two, so that a masked index is always in range.
pub(super) const KEYS_LEN: usize = 32;

/// Every known key, padded. The remaining entries match no line.
pub(super) static KEYS: [Key; KEYS_LEN] = {
    let mut keys = [Key { text: 0, counted: None }; KEYS_LEN];
    let mut n = 0;
    while n < Field::COUNT {
        keys[n] = Key { text: columns(Field::ALL[n].key()), counted: Some(Field::ALL[n]) };
        n += 1;
    }
    while n < Field::COUNT + IGNORED.len() {
        keys[n] = Key { text: columns(IGNORED[n - Field::COUNT]), counted: None };
        n += 1;
    }
    keys
};

/// `key:` and blanks up to column 16, as one number.
const fn columns(key: &str) -> u128 {
    let mut text = [b' '; 16];
    let bytes = key.as_bytes();
    let mut n = 0;
    while n < bytes.len() {
        text[n] = bytes[n];
        n += 1;
    }
    text[n] = b':';
    u128::from_le_bytes(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_key() {
        for field in Field::ALL {
            assert_eq!(Field::from_key(field.key().as_bytes()), Some(field));
        }
        assert_eq!(Field::from_key(b"Pss_Dirty"), None);
        assert_eq!(Field::from_key(b"SwapPs"), None);
    }
}
