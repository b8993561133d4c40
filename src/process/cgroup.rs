//! The text of `/proc/PID/cgroup`.
//!
//! `proc_cgroup_show` (kernel/cgroup/cgroup.c) prints a line per hierarchy: number, controllers,
//! path. Version 2 is number 0 and has no controllers: `0::/init.scope`. A path has no newline,
//! because the kernel refuses such a name.

/// The path of the cgroup of the process; `None` without a hierarchy.
///
/// With version 1, the hierarchy of systemd has the units and that of memory has the containers,
/// while that of version 2 may be unused. If a process is in the root of one hierarchy, the next
/// one may say more.
pub(super) fn path(text: &[u8]) -> Option<&[u8]> {
    let controllers = [&b"name=systemd"[..], b"memory", b""];
    let paths = controllers.into_iter().filter_map(|wanted| path_of(text, wanted));
    paths.reduce(|chosen, next| if chosen == b"/" { next } else { chosen })
}

/// The path in the hierarchy with this controller; an empty one is version 2.
fn path_of<'a>(text: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let hierarchy = |line: &'a [u8]| {
        let mut parts = line.splitn(3, |byte| *byte == b':').skip(1);
        Some((parts.next()?, parts.next()?))
    };
    let mut hierarchies = text.split(|byte| *byte == b'\n').filter_map(hierarchy);
    let is_it = |controllers: &[u8]| controllers.split(|byte| *byte == b',').any(|c| c == wanted);
    hierarchies.find(|(controllers, _)| is_it(controllers)).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_comes_from_the_best_hierarchy() {
        for (text, expected) in [
            // Version 2 alone.
            (&b"0::/system.slice/cron.service\n"[..], Some(&b"/system.slice/cron.service"[..])),
            (b"0::/\n", Some(b"/")),
            // Version 1 and systemd, and version 2, where docker left the path of its daemon.
            (
                b"12:memory:/docker/0a\n3:cpu,cpuacct:/docker/0a\n1:name=systemd:/docker/0a\n\
                  0::/system.slice/containerd.service\n",
                Some(b"/docker/0a"),
            ),
            (b"5:memory:/m\n1:name=systemd:/s\n0::/u\n", Some(b"/s")),
            // Without systemd: the hierarchy of memory, alone or with other controllers.
            (b"4:cpuset,memory:/lxc/web\n2:cpu:/\n1:name=openrc:/sshd\n", Some(b"/lxc/web")),
            // The root of one hierarchy says nothing, another one may.
            (b"4:memory:/docker/0a\n1:name=systemd:/\n0::/\n", Some(b"/docker/0a")),
            (b"4:memory:/\n1:name=systemd:/\n0::/app\n", Some(b"/app")),
            (b"4:memory:/\n1:name=systemd:/\n", Some(b"/")),
            // A controller of version 1 beside version 2.
            (b"1:net_cls:/\n0::/user.slice\n", Some(b"/user.slice")),
            // Colons and blanks are part of a path.
            (b"0::/a:b/c d: e\n", Some(b"/a:b/c d: e")),
            (b"0::/no-newline", Some(b"/no-newline")),
            (b"2:cpu:/x\n", None),
            (b"", None),
            (b"\n:\n0:\n", None),
        ] {
            assert_eq!(path(text), expected, "{}", text.escape_ascii());
        }
    }
}
