//! From the path of a control group to the container it stands for: how docker, containerd, cri-o,
//! podman, kubernetes, lxc and systemd-nspawn name theirs, with either driver (cgroupfs, systemd).
//!
//! Paths are claims where a user may make groups of his own. Knows no runtime's interface.

/// Marks of scopes and groups before an id, and who makes them.
const MARKS: [(&[u8], &[u8]); 6] = [
    (b"docker-", b"docker"),
    (b"cri-containerd-", b"containerd"),
    (b"nerdctl-", b"containerd"),
    (b"crio-", b"cri-o"),
    (b"libpod-", b"podman"),
    (b"cri-o-", b"cri-o"),
];
/// An id is a SHA-256 in hexadecimal, of which runtimes show the beginning.
const ID_LEN: usize = 64;
const SHORT_LEN: usize = 12;

/// Who runs a container, and what it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Container<'a> {
    runtime: &'a [u8],
    name: &'a [u8],
}

impl Container<'_> {
    fn label(&self) -> Vec<u8> {
        [self.runtime, b":", self.name].concat()
    }
}

/// The innermost container of a path, and the pod it is in: `docker:0123456789ab`,
/// `containerd:0123456789ab pod:0f3c...`; a pod alone when the container is not known.
pub fn container(path: &[u8]) -> Option<Vec<u8>> {
    let container = steps(path).filter_map(|(before, part)| at(before, part)).last();
    let pod = path.rsplit(is_slash).find_map(pod);
    let label = container.map(|container| container.label());
    let pod = pod.map(|uid| [b"pod:", &uid[..]].concat());
    match (label, pod) {
        (Some(label), Some(pod)) => Some([&label[..], b" ", &pod].concat()),
        (label, pod) => label.or(pod),
    }
}

/// The label of the container that begins with this part of a path.
pub(super) fn label_at(before: &[u8], part: &[u8]) -> Option<Vec<u8>> {
    at(before, part).map(|container| container.label())
}

/// The parts of a path, each with the one before it.
pub(super) fn steps(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let before = std::iter::once(&b""[..]).chain(path.split(is_slash));
    before.zip(path.split(is_slash))
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn at<'a>(before: &'a [u8], part: &'a [u8]) -> Option<Container<'a>> {
    match (before, part) {
        (_, b"payload") => named(b"nspawn", machine(before)),
        (b"lxc" | b"lxc.payload", _) => named(b"lxc", Some(part)),
        _ if part.starts_with(b"lxc.payload.") => named(b"lxc", part.strip_prefix(b"lxc.payload.")),
        _ => with_id(before, part),
    }
}

fn named<'a>(runtime: &'a [u8], name: Option<&'a [u8]>) -> Option<Container<'a>> {
    name.filter(|name| !name.is_empty()).map(|name| Container { runtime, name })
}

/// The machine whose payload this scope or service holds.
fn machine(unit: &[u8]) -> Option<&[u8]> {
    let scope = unit.strip_prefix(b"machine-").and_then(|rest| rest.strip_suffix(b".scope"));
    let service = unit.strip_prefix(b"systemd-nspawn@");
    scope.or(service.and_then(|rest| rest.strip_suffix(b".service")))
}

fn with_id<'a>(before: &'a [u8], part: &'a [u8]) -> Option<Container<'a>> {
    let part = part.strip_suffix(b".scope").unwrap_or(part);
    let short = |runtime, id: &'a [u8]| {
        let is_id = id.len() == ID_LEN && id.iter().all(|byte| is_hexadecimal(*byte));
        is_id.then(|| Container { runtime, name: &id[..SHORT_LEN] })
    };
    // kubelet speaks of systemd and the runtime of cgroupfs: `SLICE:cri-containerd:ID`.
    let mut words = part.rsplit(|byte| *byte == b':');
    if let (Some(id), Some(mark), Some(_)) = (words.next(), words.next(), words.next()) {
        let runtime = MARKS.iter().find(|known| known.0.strip_suffix(b"-") == Some(mark));
        return short(runtime.map_or(mark, |known| known.1), id);
    }
    let marked = |(mark, runtime): &(_, _)| Some((*runtime, part.strip_prefix(*mark)?));
    let (runtime, id) = MARKS.iter().find_map(marked).unwrap_or((bare_runtime(before), part));
    short(runtime, id)
}

/// Who makes groups that bear the id alone, by the group around them.
fn bare_runtime(before: &[u8]) -> &[u8] {
    match before {
        b"docker" => b"docker",
        b"libpod_parent" => b"podman",
        _ if pod(before).is_some() => b"kubepods",
        _ => b"container",
    }
}

/// The uid of a pod, with dashes as kubernetes writes it: `pod0f3c...`, or in the name of a slice
/// `kubepods-burstable-pod0f3c_....slice`. That of a static pod has none.
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
