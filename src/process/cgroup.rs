//! The text of `/proc/PID/cgroup`.
//!
//! `proc_cgroup_show` (kernel/cgroup/cgroup.c) prints a line per hierarchy: number, controllers,
//! path. Version 2 is number 0 and has no controllers: `0::/init.scope`. A path has no newline,
//! because the kernel refuses such a name.

/// The control groups of one process: foreign bytes, which differ only with version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupPaths<'run> {
    /// The group whose memory is charged and limited.
    pub charged: &'run [u8],
    /// The group of the service manager, which names the unit.
    pub managed: &'run [u8],
}

impl<'run> CgroupPaths<'run> {
    /// Appends the paths to others, equal ones once; the length of the first.
    pub(crate) fn store(self, texts: &mut Vec<u8>) -> usize {
        texts.extend_from_slice(self.charged);
        if self.managed != self.charged {
            texts.extend_from_slice(self.managed);
        }
        self.charged.len()
    }

    /// The paths from the bytes of [`CgroupPaths::store`]; `None` if there are none.
    pub(crate) fn load(both: &'run [u8], charged_len: usize) -> Option<CgroupPaths<'run>> {
        let (charged, managed) = both.split_at(charged_len);
        let managed = if managed.is_empty() { charged } else { managed };
        (!charged.is_empty()).then_some(CgroupPaths { charged, managed })
    }
}

/// Hierarchies by a controller; an empty one is version 2.
const HIERARCHIES: [&[u8]; 4] = [b"memory", b"name=systemd", b"name=openrc", b""];

/// The control groups of the process; `None` without a hierarchy.
///
/// With version 1 memory is charged in the memory hierarchy, also where the process is in its root.
/// Without that hierarchy version 2 charges it, or nothing does: then the first path below a root
/// says most, in another hierarchy if there is none of these. So it does of the manager, whose
/// hierarchy may be unused. A path of OpenRC does not tell that it is a service, so the word before
/// it is kept: `openrc:/sshd`.
pub(super) fn paths(text: &[u8]) -> Option<CgroupPaths<'_>> {
    let (mut known, mut service, mut other) = ([None; 4], None, None);
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line.splitn(3, |byte| *byte == b':').skip(1);
        let (Some(controllers), Some(path)) = (words.next(), words.next()) else { continue };
        for (wanted, known) in HIERARCHIES.iter().zip(&mut known) {
            if known.is_none() && controllers.split(|byte| *byte == b',').any(|one| one == *wanted)
            {
                *known = Some(path);
            }
        }
        other = other.filter(|path| *path != b"/").or(Some(path));
        if controllers == b"name=openrc" && path != b"/" {
            service = service.or(line.get(line.len() - path.len() - b"openrc:".len()..));
        }
    }
    let [memory, systemd, openrc, unified] = known;
    let first = |known: [Option<_>; 4]| {
        known.into_iter().flatten().reduce(|path, next| if path == b"/" { next } else { path })
    };
    let charged = memory.or(first([unified, systemd, openrc, None])).or(other)?;
    let managed = first([systemd, service, unified, memory]).unwrap_or(charged);
    Some(CgroupPaths { charged, managed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_comes_from_its_hierarchy() {
        for (text, charged, managed) in [
            // Version 2 alone.
            (&b"0::/system.slice/cron.service\n"[..], &b"/system.slice/cron.service"[..], None),
            (b"0::/\n", b"/", None),
            // Version 1 and systemd, and version 2, where docker left the path of its daemon.
            (
                b"12:memory:/docker/0a\n3:cpu,cpuacct:/docker/0a\n1:name=systemd:/docker/0a\n\
                  0::/system.slice/containerd.service\n",
                b"/docker/0a",
                None,
            ),
            (b"5:memory:/m\n1:name=systemd:/s\n0::/u\n", b"/m", Some(&b"/s"[..])),
            // The hierarchy of memory, alone or with other controllers.
            (b"4:cpuset,memory:/lxc/web\n2:cpu:/\n", b"/lxc/web", None),
            // The root is charged.
            (b"4:memory:/\n1:name=systemd:/s\n0::/u\n", b"/", Some(b"/s")),
            (b"4:memory:/\n1:name=systemd:/\n0::/app\n", b"/", Some(b"/app")),
            (b"4:memory:/\n1:name=systemd:/\n", b"/", None),
            // A manager without groups of its own.
            (b"4:memory:/docker/0a\n1:name=systemd:/\n0::/\n", b"/docker/0a", None),
            // Memory in version 2, or in no hierarchy.
            (b"1:name=systemd:/s\n0::/u\n", b"/u", Some(b"/s")),
            (b"2:cpu:/x\n1:name=systemd:/s\n0::/\n", b"/s", None),
            (b"1:name=systemd:/s\n", b"/s", None),
            // OpenRC of version 1, with memory and without, and of both versions.
            (b"4:memory:/\n1:name=openrc:/sshd\n", b"/", Some(b"openrc:/sshd")),
            (b"1:name=openrc:/sshd\n0::/\n", b"/sshd", Some(b"openrc:/sshd")),
            (b"1:name=openrc:/\n0::/openrc.sshd\n", b"/openrc.sshd", None),
            (b"1:name=openrc:/\n", b"/", None),
            // A controller of version 1 beside version 2.
            (b"1:net_cls:/\n0::/user.slice\n", b"/user.slice", None),
            // Colons and blanks are part of a path.
            (b"0::/a:b/c d: e\n", b"/a:b/c d: e", None),
            (b"0::/no-newline", b"/no-newline", None),
            // Other hierarchies only.
            (b"2:cpu:/x\n", b"/x", None),
            (b"9:pids:/\n4:cpu,cpuacct:/docker/0a\n2:devices:/x\n", b"/docker/0a", None),
            (b"2:cpu:/\n1:name=elogind:/c1\n", b"/c1", None),
            (b"9:pids:/\n2:cpu:/\n", b"/", None),
            (b"2:cpu:/x\n1:name=systemd:/\n", b"/", None),
            (b"", b"", None),
            (b"\n:\n0:\n", b"", None),
        ] {
            let expected = CgroupPaths { charged, managed: managed.unwrap_or(charged) };
            let expected = Some(expected).filter(|_| !charged.is_empty());
            assert_eq!(paths(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn equal_paths_are_stored_once() {
        for (charged, managed, stored) in [(&b"/a"[..], &b"/b"[..], 4), (b"/a", b"/a", 2)] {
            let (paths, mut texts) = (CgroupPaths { charged, managed }, Vec::new());
            let charged_len = paths.store(&mut texts);
            assert_eq!(texts.len(), stored);
            assert_eq!(CgroupPaths::load(&texts, charged_len), Some(paths));
        }
        assert_eq!(CgroupPaths::load(b"", 0), None);
    }
}
