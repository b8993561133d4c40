//! The path of a control group to a systemd unit and to a container.
//!
//! Runtimes are known by their names for control groups alone: no runtime is asked. A path is a
//! claim where a user may make control groups.

use std::ops::RangeInclusive;

/// Each runtime, and the ends of the paths of its containers; the first one that fits counts.
///
/// Words in capital letters are [`HOLES`]. The file system driver of a runtime that is given a
/// name for systemd's makes the group `SLICE:PREFIX:ID`, which is taken for `PREFIX-ID`.
const RUNTIMES: [(&str, &[&str]); 16] = [
    // BuildKit inside of docker with the driver systemd has docker's prefix, and ids of its own.
    ("docker", &["docker/ID", "docker-ID"]),
    // Without another order containerd puts a container below its namespace.
    ("containerd", &["cri-containerd-ID", "nerdctl-ID", "containerd/ID", "k8s.io/ID"]),
    ("cri-o", &["crio-ID", "cri-o-ID", "crio/ID"]),
    ("podman", &["libpod-ID", "libpod-payload-ID", "libpod_parent/ID", "podman/ID"]),
    ("kubepods", &["POD/ID"]),
    ("ecs", &["ecs/*/NAME", "ecs/*/*/ID"]),
    ("buildkit", &["buildkit/ID", "buildkit-ID"]),
    ("garden", &["garden/NAME", "garden/good/NAME", "garden/bad/NAME", "garden-*/ID"]),
    (
        "nomad",
        &["nomad/TASK", "nomad/*/TASK", "nomad.slice/TASK.scope", "nomad.slice/*.slice/TASK.scope"],
    ),
    ("mesos", &["mesos/ID"]),
    ("firecracker", &["firecracker/NAME", "firecracker-v*/NAME"]),
    ("lxc", &["lxc/NAME", "lxc.payload/NAME", "lxc.payload.NAME"]),
    ("libvirt-lxc", &[r"machine-lxc\x2dUNIT.scope", "lxc-NAME.libvirt-lxc"]),
    (
        "nspawn",
        &[
            "machine-UNIT.scope",
            "machine-UNIT.scope/payload",
            "systemd-nspawn@UNIT.service/payload",
            "machine.slice/UNIT.scope/payload",
        ],
    ),
    (
        "slurm",
        &[
            "slurm/uid_*/job_NAME",
            "slurm_*/uid_*/job_NAME",
            "slurmstepd.scope/job_NAME",
            "slurmstepd.scope/ID",
            "*_slurmstepd.scope/job_NAME",
            "*_slurmstepd.scope/ID",
        ],
    ),
    ("container", &["HASH"]),
];

/// Paths of OpenRC's services: version 2, version 1, a controller, and the hierarchy of its own.
const OPENRC: [&str; 4] = ["openrc.NAME", "openrc/NAME", "openrc_NAME", "openrc:/NAME"];

/// A word in a form, and the whole name that fits there. An empty one is no name.
type Hole = (&'static str, fn(&[u8]) -> Option<Vec<u8>>);
const HOLES: [Hole; 7] = [
    ("HASH", hash),
    ("ID", id),
    ("NAME", |part| Some(part.to_vec())),
    // The id of an allocation and the name of its task.
    ("TASK", |part| part.get(..UUID_LEN).and_then(uuid).map(|_| part.to_vec())),
    ("UNIT", machine),
    ("POD", |part| pod(part).map(|_| Vec::new())),
    ("*", |_| Some(Vec::new())),
];

/// Most ids are a SHA-256 in hexadecimal, of which runtimes show the beginning.
const HASH_LEN: usize = 64;
const SHORT_HASH_LEN: usize = 12;
const UUID_LEN: usize = 36;

/// A unit or a container, with more and more detail. More of it tells those apart whose shorter
/// labels are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    /// Hashes as the runtimes show them.
    pub short: Vec<u8>,
    /// Whole hashes.
    pub whole: Vec<u8>,
    /// Whole hashes, and behind a container with a name its control group: two users may have
    /// containers of one name.
    pub placed: Vec<u8>,
}

impl GroupName {
    /// A name that is the same with all details.
    pub(super) fn plain(name: &[u8]) -> GroupName {
        GroupName { short: name.to_vec(), whole: name.to_vec(), placed: name.to_vec() }
    }

    /// A name of these words, short and whole, with a control group.
    fn new(short: &[Vec<u8>], whole: &[Vec<u8>], place: Option<Vec<u8>>) -> GroupName {
        let (short, whole) = (short.join(&b' '), whole.join(&b' '));
        let placed: Vec<Vec<u8>> = [whole.clone()].into_iter().chain(place).collect();
        GroupName { short, whole, placed: placed.join(&b' ') }
    }
}

/// A container in a path.
struct Container {
    runtime: &'static str,
    /// The whole name or id.
    name: Vec<u8>,
    /// The parts of the path that name it.
    parts: RangeInclusive<usize>,
}

impl Container {
    /// The label with a short id, and with the whole one.
    fn labels(&self) -> [Vec<u8>; 2] {
        let runtime = self.runtime.as_bytes();
        [short(&self.name), &self.name].map(|name| [runtime, b":", name].concat())
    }

    /// Its control group, if the name is not unique.
    fn place(&self, parts: &[&[u8]]) -> Option<Vec<u8>> {
        let parts = &parts[..=*self.parts.end()];
        let parts = parts.strip_suffix(&[PAYLOAD]).unwrap_or(parts);
        (!self.has_id()).then(|| [b"cgroup:", &parts.join(&b'/')[..]].concat())
    }

    /// Whether the name is an id that no other container has.
    fn has_id(&self) -> bool {
        id(&self.name).is_some() || self.name.get(..UUID_LEN).and_then(uuid).is_some()
    }
}

/// The containers of a path from the outside in, and the pod: `docker:0123456789ab`,
/// `lxc:web/docker:0123456789ab`, `containerd:0123456789ab pod:0f3c...`; only the pod if no
/// container is known.
pub fn container(path: &[u8]) -> Option<GroupName> {
    let parts = parts(path);
    let containers = containers(&parts);
    let labels: Vec<[Vec<u8>; 2]> = containers.iter().map(Container::labels).collect();
    let pod = parts.iter().rev().find_map(|part| pod(part));
    let pod = pod.map(|uid| [b"pod:", &uid[..]].concat());
    let [short, whole] = [0, 1].map(|detail| {
        let labels: Vec<&[u8]> = labels.iter().map(|label| &label[detail][..]).collect();
        let label = Some(labels.join(&b'/')).filter(|label| !label.is_empty());
        label.into_iter().chain(pod.clone()).collect::<Vec<_>>()
    });
    let place = containers.last().and_then(|one| one.place(&parts));
    (!short.is_empty()).then(|| GroupName::new(&short, &whole, place))
}

fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').collect()
}

/// The containers of a path, from the outside in.
fn containers(parts: &[&[u8]]) -> Vec<Container> {
    let mut found: Vec<Container> = Vec::new();
    for one in (0..parts.len()).filter_map(|last| container_at(&parts[..=last])) {
        match found.last_mut() {
            // A longer form of the same container says more: `ecs/CLUSTER/TASK/ID`.
            Some(outer) if outer.parts.start() == one.parts.start() => *outer = one,
            Some(outer) if outer.parts.contains(one.parts.start()) => {}
            _ => found.push(one),
        }
    }
    found
}

/// The container that the last of these parts names.
fn container_at(parts: &[&[u8]]) -> Option<Container> {
    // Most parts are slices, which only contain other groups.
    let part = parts.last().filter(|part| !part.is_empty() && !part.ends_with(b".slice"))?;
    let words: Vec<&[u8]> = part.split(|byte| *byte == b':').collect();
    let scope = match words[..] {
        [_, prefix, id] => Some([prefix, id].join(&b'-')),
        _ => None,
    };
    let (scope, last) = (scope.as_deref(), parts.len() - 1);
    let parts = scope.as_ref().map_or(parts, std::slice::from_ref);
    RUNTIMES.iter().find_map(|(runtime, forms)| {
        let named = |form: &&str| Some((name_in(form, parts)?, form.matches('/').count()));
        let (name, above) = forms.iter().find_map(named)?;
        Some(Container { runtime, name, parts: last - above..=last })
    })
}

/// The name in a path whose last parts have this form.
fn name_in(form: &str, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let above = form.bytes().filter(|byte| *byte == b'/').count();
    let begin = parts.len().checked_sub(above + 1)?;
    let mut name = Vec::new();
    for (form, part) in form.as_bytes().split(|byte| *byte == b'/').zip(&parts[begin..]) {
        name.extend(fill(form, part)?);
    }
    (!name.is_empty()).then_some(name)
}

/// The name in a part of this form; an empty one if the form has none.
fn fill(form: &[u8], part: &[u8]) -> Option<Vec<u8>> {
    let begin = form.iter().position(|byte| byte.is_ascii_uppercase() || *byte == b'*');
    let (before, hole) = form.split_at(begin.unwrap_or(form.len()));
    let part = part.strip_prefix(before)?;
    let known = |(word, fitting): &Hole| Some((*fitting, hole.strip_prefix(word.as_bytes())?));
    let Some((fitting, after)) = HOLES.iter().find_map(known) else {
        return part.is_empty().then(Vec::new);
    };
    fitting(part.strip_suffix(after)?)
}

fn hash(part: &[u8]) -> Option<Vec<u8>> {
    let part = part.strip_suffix(b".scope").unwrap_or(part);
    (short(part).len() < part.len()).then(|| part.to_vec())
}

/// A hash or another id: letters and digits that are no word, or a UUID.
fn id(part: &[u8]) -> Option<Vec<u8>> {
    /// Ids of BuildKit have this length, and one in thousands has no digit.
    const LONG: usize = 25;
    let part = part.strip_suffix(b".scope").unwrap_or(part);
    let is_no_word = part.len() >= LONG || part.iter().any(u8::is_ascii_digit);
    let is_id = part.len() >= SHORT_HASH_LEN && part.iter().all(u8::is_ascii_alphanumeric);
    (is_id && is_no_word).then_some(part).or(uuid(part)).map(<[u8]>::to_vec)
}

/// A name, or the beginning of a hash, as the runtimes show it.
fn short(name: &[u8]) -> &[u8] {
    let is_hash = name.len() == HASH_LEN && name.iter().all(is_hexadecimal);
    if is_hash { &name[..SHORT_HASH_LEN] } else { name }
}

fn uuid(part: &[u8]) -> Option<&[u8]> {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let is_right = |(at, byte): (usize, &u8)| match DASHES.contains(&at) {
        true => *byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    (part.len() == UUID_LEN && part.iter().enumerate().all(is_right)).then_some(part)
}

/// The name of a machine in the name of a unit, where systemd writes a dash as `\x2d`. A virtual
/// machine of libvirt is no container: `qemu-1-vm`. The name of a machine is that of a host, which
/// has no dash at its ends.
fn machine(part: &[u8]) -> Option<Vec<u8>> {
    let (mut name, mut rest) = (Vec::new(), part);
    while let Some((byte, after)) = rest.split_first() {
        let digits = rest.strip_prefix(br"\x").and_then(|after| after.first_chunk::<2>());
        match digits.and_then(hexadecimal) {
            Some(byte) => (name.push(byte), rest = &rest[4..]),
            None => (name.push(*byte), rest = after),
        };
    }
    let number = name.strip_prefix(b"qemu-").and_then(<[u8]>::first);
    let is_host = !name.starts_with(b"-") && !name.ends_with(b"-");
    (is_host && !number.is_some_and(u8::is_ascii_digit)).then_some(name)
}

/// The value of two digits.
fn hexadecimal([high, low]: &[u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// The uid of a pod, with dashes as kubernetes writes it, from `pod0f3c...` or from the slice
/// `kubepods-burstable-pod0f3c_....slice`. The uid of a static pod has no dashes.
fn pod(part: &[u8]) -> Option<Vec<u8>> {
    const LENGTHS: [usize; 2] = [32, 36];
    let part = part.split(|byte| *byte == b':').next()?;
    let pod = part.strip_suffix(b".slice").map_or(Some(part), |slice| {
        let begin = slice.windows(4).rposition(|word| word == b"-pod")?;
        Some(&slice[begin + 1..])
    });
    let uid = pod?.strip_prefix(b"pod")?;
    let is_uid = |byte: &u8| is_hexadecimal(byte) || matches!(byte, b'-' | b'_');
    let dash = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    let is_one = LENGTHS.contains(&uid.len()) && uid.iter().all(is_uid);
    is_one.then(|| uid.iter().map(dash).collect())
}

fn is_hexadecimal(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Kinds of units that have processes of their own; a slice only contains other units.
const KINDS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];

/// The name of the group in which systemd-nspawn puts the processes of a container.
const PAYLOAD: &[u8] = b"payload";

/// The unit of a path: `cron.service`, `openrc:cron`.
///
/// The units and containers around it come first, so that equal names of two users or containers
/// differ: `user@1000.service/app.service`, `lxc:outer/lxc:in/cron.service`.
pub fn unit(path: &[u8]) -> Option<GroupName> {
    let (parts, mut names, mut last, mut end) = (parts(path), Vec::new(), 0, 0);
    let containers = containers(&parts);
    for at in 0..parts.len() {
        if let Some(name) = unit_at(&parts[..=at]) {
            names.push([name.clone(), name]);
            (last, end) = (names.len(), at);
        } else if let Some(one) = containers.iter().find(|one| *one.parts.end() == at) {
            // The payload of systemd-nspawn has the name of its unit, which is in `names`.
            names.extend(Some(one.labels()).filter(|_| parts[at] != PAYLOAD));
        }
    }
    // A container inside of the last unit, or outside of all, is not a unit.
    names.truncate(last);
    let around = containers.iter().rfind(|one| *one.parts.end() < end);
    let place = around.and_then(|one| one.place(&parts));
    let [short, whole] = [0, 1].map(|detail| {
        let names: Vec<&[u8]> = names.iter().map(|name| &name[detail][..]).collect();
        names.join(&b'/')
    });
    (last > 0).then(|| GroupName::new(&[short], &[whole], place))
}

/// The unit that begins with the last of these parts.
fn unit_at(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let service = OPENRC.iter().find_map(|form| name_in(form, parts));
    let service = service.map(|name| [b"openrc:", &name[..]].concat());
    service.or_else(|| unit_name(parts.last()?).map(<[u8]>::to_vec))
}

/// The name of a unit from the name of its group, to which systemd adds a `_` if a file of the
/// kernel could have the name (`cg_escape`, src/basic/cgroup-util.c of systemd).
fn unit_name(part: &[u8]) -> Option<&[u8]> {
    let name = part.strip_prefix(b"_").unwrap_or(part);
    let stem = KINDS.iter().find_map(|kind| name.strip_suffix(*kind))?;
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(byte);
    (!stem.is_empty() && stem.iter().all(is_allowed)).then_some(name)
}
