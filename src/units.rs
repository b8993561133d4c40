//! Types shared by every floor: a process id, an amount of memory, an error number, labels.
//!
//! This module reads no file and makes no system call.
#![forbid(unsafe_code)]

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A process id as in `/proc`: the id of a thread group, or of a thread where the context says so.
/// 0, the default, is not a process.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Pid(pub u32);

impl Pid {
    /// Parses a name of digits, like those of directories in `/proc`. Other names (`self`,
    /// `meminfo`, `010`, a number beyond `u32`) are `None`.
    pub fn parse(name: &[u8]) -> Option<Pid> {
        let is_padded = name.len() > 1 && name[0] == b'0';
        if name.is_empty() || is_padded || !name.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(name).ok()?.parse().ok().map(Pid)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of memory in units of 1,024 bytes, which smaps prints as `kB`.
///
/// Sums saturate: a hostile or broken text can make a figure too large but never small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kib(pub u64);

impl Kib {
    /// The same amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1024)
    }

    /// The difference, at least 0.
    pub fn saturating_sub(self, other: Kib) -> Kib {
        Kib(self.0.saturating_sub(other.0))
    }
}

/// Machine formats are in bytes.
impl Serialize for Kib {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.bytes())
    }
}

impl<'de> Deserialize<'de> for Kib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kib, D::Error> {
        u64::deserialize(deserializer).map(|bytes| Kib(bytes / 1024))
    }
}

impl Add for Kib {
    type Output = Kib;
    fn add(self, other: Kib) -> Kib {
        Kib(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Kib {
    fn add_assign(&mut self, other: Kib) {
        *self = *self + other;
    }
}

impl Sum for Kib {
    fn sum<I: Iterator<Item = Kib>>(amounts: I) -> Kib {
        amounts.fold(Kib(0), Add::add)
    }
}

/// An error number of the kernel, positive (`errno(3)`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// No such file: the process exited before the open.
    pub const NOENT: Errno = Errno(libc::ENOENT);
    /// No such process: it exited, or it has no address space.
    pub const SRCH: Errno = Errno(libc::ESRCH);
    /// Refused by `ptrace_may_access` (kernel/ptrace.c) at open.
    pub const ACCES: Errno = Errno(libc::EACCES);
    /// Refused by `hidepid=1` (fs/proc/base.c) or a security module.
    pub const PERM: Errno = Errno(libc::EPERM);
    /// Not a directory.
    pub const NOTDIR: Errno = Errno(libc::ENOTDIR);
    /// The process has no descriptor left, or the ring no slot, which needs two.
    pub const MFILE: Errno = Errno(libc::EMFILE);
    /// Not enough memory or addresses.
    pub const NOMEM: Errno = Errno(libc::ENOMEM);
    /// A path does not fit in a page (`proc_cgroup_show`, kernel/cgroup/cgroup.c).
    pub const NAME_TOO_LONG: Errno = Errno(libc::ENAMETOOLONG);
    /// Not supported here.
    pub const NOT_SUPPORTED: Errno = Errno(libc::EOPNOTSUPP);
    /// The request never ran: its chain broke, or no worker could be started.
    pub const CANCELED: Errno = Errno(libc::ECANCELED);

    /// Whether an open failed only for lack of a descriptor, by a limit of this process or of the
    /// host.
    pub fn is_lack_of_descriptors(self) -> bool {
        matches!(self.0, libc::EMFILE | libc::ENFILE)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from(*self).fmt(f)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({} {self})", self.0)
    }
}

impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> std::io::Error {
        std::io::Error::from_raw_os_error(errno.0)
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// An enum whose values have a word on the command line, which is also the word in reports.
pub trait Labelled: Copy + Send + Sync + 'static {
    /// Every value, in the order of the help.
    const ALL: &'static [Self];

    /// The word of this value.
    fn label(self) -> &'static str;

    /// The meaning of this value, for help.
    fn help(self) -> &'static str;

    /// Words of other programs that the command line accepts for this value.
    fn aliases(self) -> &'static [&'static str];

    /// The value of a word or of an alias, in upper or lower case.
    fn from_label(word: &str) -> Option<Self> {
        let names = |value: &Self| [&[value.label()], value.aliases()].concat();
        let is_named = |value: &&Self| names(value).iter().any(|n| n.eq_ignore_ascii_case(word));
        Self::ALL.iter().find(is_named).copied()
    }
}

/// Implements [`Labelled`]: `VARIANT => "word" | "alias", "help";` for each value. Machine formats
/// have the word.
macro_rules! labels {
    ($kind:ident { $($variant:ident => $label:literal $(| $alias:literal)*, $help:literal;)* }) => {
        impl $crate::units::Labelled for $kind {
            const ALL: &'static [Self] = &[$($kind::$variant),*];

            fn label(self) -> &'static str {
                match self { $($kind::$variant => $label),* }
            }

            fn help(self) -> &'static str {
                match self { $($kind::$variant => $help),* }
            }

            fn aliases(self) -> &'static [&'static str] {
                match self { $($kind::$variant => &[$($alias),*]),* }
            }
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::units::Labelled::label(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                let unknown = || serde::de::Error::custom(format!("unknown word {word:?}"));
                $crate::units::Labelled::from_label(&word).ok_or_else(unknown)
            }
        }
    };
}
pub(crate) use labels;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_takes_only_digits() {
        assert_eq!(Pid::parse(b"4194304"), Some(Pid(4_194_304)));
        for name in [&b""[..], b"self", b"1a", b"-1", b"+1", b"010", b"99999999999", b"\xff"] {
            assert_eq!(Pid::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn kib_saturates() {
        assert_eq!(Kib(u64::MAX) + Kib(1), Kib(u64::MAX));
        assert_eq!(Kib(1).saturating_sub(Kib(2)), Kib(0));
        assert_eq!(Kib(u64::MAX).bytes(), u64::MAX);
    }
}
