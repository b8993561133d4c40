//! Requests to the keeper and its replies, as bytes. A packet of the socket holds several. The
//! layout is that of this host: both ends are the same program.

use std::os::fd::OwnedFd;

use crate::units::{Errno, Pid};

/// The maximum number of requests, and of replies, in a packet. The kernel passes at most 253
/// descriptors at once (`SCM_MAX_FD`).
pub(in crate::sys) const PACKET_MAX: usize = 16;
/// The tag of a reply that is none: the keeper could not start a thread for the channel.
pub(in crate::sys) const NO_OPENER: u64 = u64::MAX;

/// A request to the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sys) struct KeeperRequest {
    /// Returned with the reply.
    pub(in crate::sys) tag: u64,
    pub(in crate::sys) kind: Kind,
    pub(in crate::sys) pid: Pid,
    /// The thread of the process for a file, if not its leader; the other process of a comparison.
    pub(in crate::sys) other: Pid,
}

/// The task of the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sys) enum Kind {
    SmapsRollup = 0,
    Smaps = 1,
    /// Compares two address spaces (`kcmp(2)`).
    ShareMemory = 2,
}

impl KeeperRequest {
    pub(in crate::sys) const BYTES: usize = 20;
    /// No kernel has greater ids (`PID_MAX_LIMIT`, include/linux/threads.h).
    const PID_MAX: u32 = 1 << 22;

    /// `None` for bytes that no parser sends.
    pub(super) fn decode(bytes: &[u8]) -> Option<KeeperRequest> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let (tag, rest) = bytes.split_first_chunk::<8>()?;
        let number = |place: usize| Some(u32::from_ne_bytes(*rest[4 * place..].first_chunk()?));
        let [kind, pid, other] = [number(0)?, number(1)?, number(2)?];
        let kind = match kind {
            0 => Kind::SmapsRollup,
            1 => Kind::Smaps,
            2 => Kind::ShareMemory,
            _ => return None,
        };
        let least_other = u32::from(kind == Kind::ShareMemory);
        let is_valid =
            (1..=Self::PID_MAX).contains(&pid) && (least_other..=Self::PID_MAX).contains(&other);
        let (pid, other) = (Pid(pid), Pid(other));
        is_valid.then_some(KeeperRequest { tag: u64::from_ne_bytes(*tag), kind, pid, other })
    }
}

/// The answer to a request.
#[derive(Debug)]
pub(in crate::sys) struct Reply {
    pub(in crate::sys) tag: u64,
    /// The file, if the request was to open one.
    pub(in crate::sys) result: Result<Option<OwnedFd>, Errno>,
}

impl Reply {
    pub(in crate::sys) const BYTES: usize = 12;
    /// The result of a reply with a file. Error numbers are positive.
    pub(in crate::sys) const WITH_FILE: i32 = -1;

    /// The bytes of a reply, without its file.
    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let result = match &self.result {
            Ok(Some(_)) => Self::WITH_FILE,
            Ok(None) => 0,
            Err(Errno(errno)) => *errno,
        };
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.tag.to_ne_bytes());
        bytes[8..].copy_from_slice(&result.to_ne_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_requests_are_decoded() {
        let good = KeeperRequest { tag: 7, kind: Kind::Smaps, pid: Pid(1), other: Pid(0) };
        assert_eq!(KeeperRequest::decode(&good.encode()), Some(good));
        let numbers = |numbers: [u32; 3]| {
            let mut bytes = good.encode();
            for (place, number) in numbers.iter().enumerate() {
                bytes[8 + 4 * place..][..4].copy_from_slice(&number.to_ne_bytes());
            }
            bytes
        };
        for bad in
            [[3, 1, 0], [u32::MAX, 1, 0], [0, 0, 0], [0, 1 << 23, 0], [2, 1, u32::MAX], [2, 1, 0]]
        {
            assert_eq!(KeeperRequest::decode(&numbers(bad)), None, "{bad:?}");
        }
        for len in [0, 8, 19] {
            assert_eq!(KeeperRequest::decode(&good.encode()[..len]), None, "{len} bytes");
        }
        assert_eq!(KeeperRequest::decode(&[0; 21]), None);
    }

    #[test]
    fn replies_keep_their_files() {
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").expect("/dev/null"));
        let results = [Err(Errno(13)), Ok(Some(file())), Ok(None), Ok(Some(file()))];
        let sent = results.map(|result| Reply { tag: 1 << 40, result });
        let mut files = [file()].into_iter();
        let received = sent.each_ref().map(|reply| {
            let reply = Reply::decode(&reply.encode(), &mut files).expect("a reply");
            (reply.tag == 1 << 40, reply.result.map(|file| file.is_some()))
        });
        let wanted = [Err(Errno(13)), Ok(true), Ok(false), Err(Errno::MFILE)];
        assert_eq!(received, wanted.map(|result| (true, result)));
        assert!(Reply::decode(&[0; Reply::BYTES - 1], &mut files).is_none());
    }
}
