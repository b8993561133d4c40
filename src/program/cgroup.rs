//! The path of a control group to a systemd unit and to a container.
//!
//! Covers docker, containerd, cri-o, podman, kubernetes, lxc and systemd-nspawn, with either driver
//! (cgroupfs, systemd), by their names for control groups alone: no runtime is asked. A path is a
//! claim where a user may make control groups.

/// Prefixes of scopes and groups before an id, and their runtimes.
const PREFIXES: [(&[u8], &[u8]); 6] = [
    (b"docker-", b"docker"),
    (b"cri-containerd-", b"containerd"),
    (b"nerdctl-", b"containerd"),
    (b"crio-", b"cri-o"),
    (b"libpod-", b"podman"),
    (b"cri-o-", b"cri-o"),
];
/// An id is a SHA-256 in hexadecimal, of which runtimes show the beginning.
const ID_LEN: usize = 64;
const SHORT_ID_LEN: usize = 12;

/// The innermost container of a path, and its pod: `docker:0123456789ab`,
/// `containerd:0123456789ab pod:0f3c...`; only the pod if the container is not known.
pub fn container(path: &[u8]) -> Option<Vec<u8>> {
    let container = steps(path).filter_map(|(before, part)| container_at(before, part)).last();
    let pod = path.rsplit(is_slash).find_map(pod);
    let pod = pod.map(|uid| [b"pod:", &uid[..]].concat());
    let words: Vec<Vec<u8>> = container.into_iter().chain(pod).collect();
    (!words.is_empty()).then(|| words.join(&b' '))
}

/// The parts of a path, each with the part before it.
fn steps(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let before = std::iter::once(&b""[..]).chain(path.split(is_slash));
    before.zip(path.split(is_slash))
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

/// The container that begins with this part of a path, as `RUNTIME:NAME`.
fn container_at(before: &[u8], part: &[u8]) -> Option<Vec<u8>> {
    let (runtime, name) = match (before, part) {
        (_, b"payload") => (&b"nspawn"[..], machine(before)?),
        (b"lxc" | b"lxc.payload", _) => (&b"lxc"[..], part),
        _ => match part.strip_prefix(b"lxc.payload.") {
            Some(name) => (&b"lxc"[..], name),
            None => with_id(before, part)?,
        },
    };
    (!name.is_empty()).then(|| [runtime, b":", name].concat())
}

/// The machine in this scope or service of systemd-nspawn.
fn machine(unit: &[u8]) -> Option<&[u8]> {
    let scope = unit.strip_prefix(b"machine-").and_then(|rest| rest.strip_suffix(b".scope"));
    let service = unit.strip_prefix(b"systemd-nspawn@");
    scope.or(service.and_then(|rest| rest.strip_suffix(b".service")))
}

/// The runtime and the short id of a part that ends in an id.
fn with_id<'a>(before: &'a [u8], part: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let part = part.strip_suffix(b".scope").unwrap_or(part);
    // With the systemd driver kubelet writes SLICE:PREFIX:ID where the runtime uses cgroupfs.
    let mut words = part.rsplit(|byte| *byte == b':');
    let (runtime, id) = match (words.next(), words.next(), words.next()) {
        (Some(id), Some(word), Some(_)) => {
            let known = PREFIXES.iter().find(|known| known.0.strip_suffix(b"-") == Some(word));
            (known.map_or(word, |known| known.1), id)
        }
        _ => {
            let known = |(prefix, runtime): &(_, _)| Some((*runtime, part.strip_prefix(*prefix)?));
            PREFIXES.iter().find_map(known).unwrap_or((bare_runtime(before), part))
        }
    };
    let is_id = id.len() == ID_LEN && id.iter().all(|byte| is_hexadecimal(*byte));
    is_id.then(|| (runtime, &id[..SHORT_ID_LEN]))
}

/// The runtime of a group that is named by an id alone, by the group around it.
fn bare_runtime(before: &[u8]) -> &[u8] {
    match before {
        b"docker" => b"docker",
        b"libpod_parent" => b"podman",
        _ if pod(before).is_some() => b"kubepods",
        _ => b"container",
    }
}

/// The uid of a pod, with dashes as kubernetes writes it, from `pod0f3c...` or from the slice
/// `kubepods-burstable-pod0f3c_....slice`. The uid of a static pod has no dashes.
fn pod(part: &[u8]) -> Option<Vec<u8>> {
    const LENGTHS: [usize; 2] = [32, 36];
    let slice = part.split(|byte| *byte == b':').next()?.strip_suffix(b".slice");
    let pod = slice.map_or(Some(part), |slice| {
        let begin = slice.windows(4).rposition(|word| word == b"-pod")?;
        Some(&slice[begin + 1..])
    });
    let uid = pod?.strip_prefix(b"pod")?;
    let is_uid = |byte: &u8| is_hexadecimal(*byte) || matches!(byte, b'-' | b'_');
    let dash = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    let is_one = LENGTHS.contains(&uid.len()) && uid.iter().all(is_uid);
    is_one.then(|| uid.iter().map(dash).collect())
}

fn is_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Kinds of units that have processes of their own; a slice only contains other units.
const KINDS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];

/// The unit of a path: `cron.service`.
///
/// The unit or container around it comes first, so that equal names of two users or containers
/// differ: `user@1000.service/app.service`, `lxc:web/cron.service`.
pub fn unit(path: &[u8]) -> Option<Vec<u8>> {
    let (mut names, mut container) = (Vec::new(), None);
    for (before, part) in steps(path) {
        if let Some(name) = unit_name(part) {
            names.extend(container.take());
            names.push(name.to_vec());
        } else if part != b"payload" {
            // The payload of systemd-nspawn has the name of its unit, which is in `names`.
            container = container_at(before, part).or(container);
        }
    }
    // A container outside of all units is not a unit.
    (!names.is_empty()).then(|| names.join(&b'/'))
}

/// The name of a unit from the name of its group, to which systemd adds a `_` if a file of the
/// kernel could have the name (`cg_escape`, src/basic/cgroup-util.c of systemd).
fn unit_name(part: &[u8]) -> Option<&[u8]> {
    let name = part.strip_prefix(b"_").unwrap_or(part);
    let stem = KINDS.iter().find_map(|kind| name.strip_suffix(*kind))?;
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(byte);
    (!stem.is_empty() && stem.iter().all(is_allowed)).then_some(name)
}
