//! One process from its files: status, comm, argument list, binary, threads, control groups. For
//! any content, and reads of any size, the probe ends with a bounded name, owner and group that
//! come from the files. The first bytes select the requested fields, the existing files, and the
//! size of a read.

use psm_uring::process::{
    Fate, Glimpse, NAME_MAX, NameRule, Plan, Probe, Source, TEXT_MAX, kernel_threads,
};
use psm_uring::program::{GroupName, container, unit};
use psm_uring::units::Errno;
use regex::bytes::Regex;

use super::super::world::{Found, World};
use super::parts;
use super::title::title;

/// The meaning of the parts of an input, in this order.
const FILES: [&str; 6] = ["status", "comm", "cmdline", "exe", "task", "cgroup"];
const RULES: [NameRule; 4] = [NameRule::Title, NameRule::Comm, NameRule::Exe, NameRule::Cmdline];
/// Requests the script in place of the title.
const SCRIPT: u8 = 32;

pub fn run(bytes: &[u8]) {
    let Some((&[asked, there, room], texts)) = bytes.split_first_chunk() else { return };
    let texts: Vec<&[u8]> = parts(texts).chain([&b""[..]; FILES.len()]).take(FILES.len()).collect();
    let rule = RULES[usize::from(asked % 4)];
    let plan = Plan {
        name_rule: if asked & SCRIPT == 0 { rule } else { NameRule::Script },
        source: Source::Rollup,
        filter: (asked & 4 != 0).then(|| Regex::new("a|b|c").expect("a pattern")),
        owner: asked & 8 != 0,
        cgroup: asked & 16 != 0,
        ..Plan::default()
    };
    let world = world(&texts, there);
    let (whole, name) = carry(world.clone(), &plan, TEXT_MAX);
    if whole.fate == Fate::Measured {
        check_name(&name, &texts, &plan, there & 4 == 0);
        check_places(&whole, &texts, &plan);
        whole.cgroups.iter().flatten().for_each(|path| check_labels(path));
    }
    let room = 1 + usize::from(room) * 16;
    assert_eq!(carry(world, &plan, room), (whole, name), "in reads of {room}");
    kernel_threads(texts[0], texts[4]);
    check_glimpse(texts[0], texts[1]);
}

/// A process with memory or without, with a leader or a dead one, with a readable or unreadable
/// binary.
fn world(texts: &[&[u8]], there: u8) -> World {
    let mut world = if there & 1 == 0 { World::user() } else { World::leaderless() };
    for (file, text) in FILES.iter().zip(texts) {
        world = world.with_bytes(file, text).with_bytes(&format!("task/8/{file}"), text);
    }
    if there & 2 != 0 {
        world = world.with_bytes("smaps_rollup", b"");
    }
    let exe = ["exe", "task/8/exe"];
    if there & 4 == 0 { world } else { world.failing(&exe, Errno::ACCES) }
}

fn carry(mut world: World, plan: &Plan, room: usize) -> (Found, Vec<u8>) {
    world.room = room;
    let mut probe = Probe::new();
    let found = world.carry(&mut probe, plan);
    (found, probe.name().to_vec())
}

/// The name as docs/GROUPING.md describes it, from texts that are cut at the read limit.
fn check_name(name: &[u8], texts: &[&[u8]], plan: &Plan, has_exe: bool) {
    let text = |n: usize| &texts[n][..texts[n].len().min(TEXT_MAX)];
    let (comm, cmdline) = (text(1), text(2));
    let exe = if has_exe { text(3) } else { b"" };
    let arguments = cmdline.len() - cmdline.iter().rev().take_while(|byte| **byte == 0).count();
    let argv0 = cmdline.split(|byte| *byte == 0).next().unwrap_or_default();
    let comm = comm.strip_suffix(b"\n").unwrap_or(comm);
    let has = |part: &[u8]| argv0.windows(part.len()).any(|found| found == part);
    let is_linked = has(b"/fd/") || has(b"/exe") || argv0.len() >= NAME_MAX;
    let is_of_binary = |name: &[u8]| {
        let names = [binary(exe), binary(exe).strip_suffix(b" (deleted)").unwrap_or_default()];
        names.contains(&name) || name == &comm[..comm.len().min(NAME_MAX)] || name == b"[]"
    };
    // With a filter comm of `status` comes first.
    let may_lack_comm = comm.is_empty() || plan.filter.is_some();
    let is_by_comm = match plan.name_rule {
        NameRule::Title | NameRule::Script => argv0.is_empty(),
        NameRule::Cmdline => arguments == 0,
        NameRule::Exe => binary(exe).is_empty(),
        NameRule::Comm => true,
    };
    let is_alone = cmdline[argv0.len()..].iter().all(|byte| *byte == 0);
    let target = exe.strip_suffix(b" (deleted)").unwrap_or(exe);
    let is_whole_title = plan.name_rule == NameRule::Title && (1..NAME_MAX).contains(&argv0.len());
    let twin = is_whole_title.then(|| title(argv0, is_alone, comm, target)).flatten();
    let in_brackets = [b"[", &comm[..comm.len().min(NAME_MAX - 2)], b"]"].concat();
    let expected = match plan.name_rule {
        _ if may_lack_comm && is_by_comm && is_of_binary(name) => name.to_vec(),
        _ if twin.is_some() => twin.unwrap_or_default(),
        // The binary replaces a magic link.
        NameRule::Title | NameRule::Script if is_linked && is_of_binary(name) => name.to_vec(),
        NameRule::Title if !argv0.is_empty() => {
            let is_part = argv0.windows(name.len().max(1)).any(|part| part == name);
            assert!(is_part && name.len() <= NAME_MAX, "{:?}", name.escape_ascii());
            name.to_vec()
        }
        NameRule::Script if !argv0.is_empty() => {
            let is_part = texts[2].windows(name.len().max(1)).any(|part| part == name);
            let is_one = !name.contains(&0) && !name.is_empty() && name.len() <= NAME_MAX;
            assert!(is_part && is_one, "{:?}", name.escape_ascii());
            name.to_vec()
        }
        NameRule::Cmdline if arguments > 0 => {
            let blank = |byte: &u8| if *byte == 0 { b' ' } else { *byte };
            cmdline[..arguments].iter().map(blank).collect()
        }
        NameRule::Title | NameRule::Script | NameRule::Cmdline => in_brackets,
        NameRule::Exe if !binary(exe).is_empty() => binary(exe).to_vec(),
        NameRule::Exe | NameRule::Comm => comm[..comm.len().min(NAME_MAX)].to_vec(),
    };
    assert_eq!(name, expected, "{:?}: {:?}", plan.name_rule, name.escape_ascii());
}

/// The binary: a memfd, a target that is no path, or the last part of a path.
fn binary(exe: &[u8]) -> &[u8] {
    match exe.iter().position(|byte| *byte == b'/') {
        Some(0) if exe.starts_with(b"/memfd:") && exe.ends_with(b" (deleted)") => {
            &exe[1..exe.len() - b" (deleted)".len()]
        }
        Some(slash) if exe[..slash].contains(&b':') => exe,
        _ => exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default(),
    }
}

/// The owner is the second number of its line; a second, independent implementation selects the
/// path of the group.
fn check_places(found: &Found, texts: &[&[u8]], plan: &Plan) {
    let [status, groups] = [texts[0], texts[5]].map(|text| text.split(|byte| *byte == b'\n'));
    let mut ids = status.filter_map(|line| line.strip_prefix(b"Uid:"));
    let second = ids.next().map(|ids| String::from_utf8_lossy(ids).into_owned());
    let second = second.and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok());
    assert!(found.uid.is_none() || plan.owner && found.uid == second, "{:?}", found.uid);
    let hierarchies = ["memory", "name=systemd", "name=openrc", ""];
    let mut paths: [Option<&[u8]>; 4] = [None; 4];
    let (mut services, mut all_paths) = (Vec::new(), Vec::new());
    for line in groups {
        let Some((_, line)) = cut(line) else { continue };
        let Some((controllers, path)) = cut(line) else { continue };
        all_paths.push(path.to_vec());
        for (n, wanted) in hierarchies.into_iter().enumerate() {
            let mut all = controllers.split(|byte| *byte == b',');
            if paths[n].is_none() && all.any(|one| one == wanted.as_bytes()) {
                paths[n] = Some(path);
            }
        }
        if controllers == b"name=openrc" && path != b"/" {
            services.push([b"openrc:", path].concat());
        }
    }
    let [memory, systemd, openrc, unified] = paths.map(|path| path.map(<[u8]>::to_vec));
    let best = |paths: [&Option<Vec<u8>>; 4]| {
        let known = paths.into_iter().flatten();
        known.clone().find(|path| *path != b"/").or(known.last()).cloned()
    };
    let other = all_paths.iter().find(|path| *path != b"/").or(all_paths.last()).cloned();
    let charged = memory.clone().or(best([&unified, &systemd, &openrc, &None])).or(other);
    let service = services.into_iter().next();
    let managed = best([&systemd, &service, &unified, &memory]).filter(|path| !path.is_empty());
    let charged = charged.filter(|path| plan.cgroup && !path.is_empty());
    let expected = charged.map(|charged| [charged.clone(), managed.unwrap_or(charged)]);
    assert_eq!(found.cgroups, expected, "{plan:?}");
}

/// For any path, a unit of systemd ends in its kind; a service of OpenRC and a container name what
/// runs them.
fn check_labels(path: &[u8]) {
    let kinds = [&b".service"[..], b".scope", b".socket", b".mount", b".swap"];
    let is_unit = |unit: &Vec<u8>| {
        let place = unit.windows(8).position(|word| word == b" cgroup:");
        let unit = &unit[..place.unwrap_or(unit.len())];
        let is_service = unit.windows(7).any(|word| word == b"openrc:");
        is_service || kinds.iter().any(|kind| unit.ends_with(kind))
    };
    let is_label = |label: &Vec<u8>| label.contains(&b':') && label.len() <= 3 * path.len() + 12;
    let all = |GroupName { short, whole, placed }: GroupName| [short, whole, placed];
    assert!(unit(path).is_none_or(|unit| all(unit).iter().all(is_unit)));
    if let Some([short, whole, placed]) = container(path).map(all) {
        assert!([&short, &whole, &placed].into_iter().all(is_label));
        assert!(short <= whole && whole <= placed);
    }
}

/// The parts before and after a colon.
fn cut(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// The report of a stuck process contains the content of its status, with comm unescaped.
fn check_glimpse(status: &[u8], comm: &[u8]) {
    Glimpse::from_status(status);
    let mut text = b"Name:\t".to_vec();
    for byte in comm {
        // As `proc_task_name` (fs/proc/array.c) writes it.
        match byte {
            b'\n' => text.extend(b"\\n"),
            b'\\' => text.extend(b"\\\\"),
            other => text.push(*other),
        }
    }
    text.extend(b"\nState:\tD (disk sleep)\n");
    let glimpse = Glimpse::from_status(&text);
    let comm = if comm.is_empty() { b"[]" } else { comm };
    assert_eq!((&glimpse.comm[..], glimpse.state), (comm, Some('D')));
}
