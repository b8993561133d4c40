//! The titles, keys and binaries of docs/GROUPING.md, row by row, and the files that they cost.

use psm_uring::process::{Glimpse, NameRule, Plan, Probe, key};
use psm_uring::units::Errno;
use regex::bytes::Regex;

use crate::support::failures::{Failures, check_eq};
use crate::support::rules::table;
use crate::support::targets::title as twin;
use crate::support::world::World;

/// The name of a process by a rule, and the files that were read for it.
fn named(world: &World, name_rule: NameRule) -> (String, Vec<String>) {
    planned(world, &Plan { name_rule, ..Plan::default() })
}

fn filtered(world: &World, name_rule: NameRule, filter: Option<Regex>) -> String {
    planned(world, &Plan { name_rule, filter, ..Plan::default() }).0
}

fn planned(world: &World, plan: &Plan) -> (String, Vec<String>) {
    let (mut world, mut probe) = (world.clone(), Probe::new());
    world.carry(&mut probe, plan);
    let mut files = world.steps;
    files.dedup();
    (String::from_utf8_lossy(probe.name()).into_owned(), files)
}

#[test]
fn titles() {
    let mut failures = Failures::new();
    let rows = table("## Titles\n");
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for row in rows {
        let [argv0, arguments, comm, exe, expected] = &row[..] else { panic!("{row:?}") };
        let is_alone = arguments.is_empty();
        let arguments = arguments.replace(' ', "\0");
        let comm = if comm.is_empty() { "other" } else { comm };
        let exe = if exe.is_empty() { "/usr/bin/other" } else { exe };
        let world = World::user().with("cmdline", &format!("{argv0}\0{arguments}\0"));
        let world = world.with("comm", &format!("{comm}\n")).with("exe", exe);
        check_eq!(failures, named(&world, NameRule::Title).0, *expected, "{row:?}");
        // The binary names magic links.
        let target = exe.strip_suffix(" (deleted)").unwrap_or(exe).as_bytes();
        if let Some(twin) = twin::title(argv0.as_bytes(), is_alone, comm.as_bytes(), target) {
            check_eq!(failures, String::from_utf8_lossy(&twin), *expected, "the twin: {row:?}");
        }
    }
}

/// Words of a title can be parted by tabs and newlines as well.
#[test]
fn every_blank_parts_words() {
    let mut failures = Failures::new();
    for [argv0, comm, expected] in [
        ["/usr/bin/foo /a/b", "other", "foo"],
        ["/usr/bin/foo --dir=/a/b", "other", "foo"],
        ["/usr/bin/foo -x /a", "other", "foo"],
        ["/usr/bin/foo [a/b] (c)", "other", "foo [a/b] (c)"],
        ["/usr/bin/foo: a/b", "other", "foo: a/b"],
        ["/usr/bin/foo child", "other", "foo child"],
        ["/usr/bin/foo child a/b", "foo", "foo"],
        ["/opt/My Apps/prog", "prog", "prog"],
        ["lib/foo worker", "foo", "foo worker"],
        ["bin/foo: worker a/b", "foo", "foo: worker a/b"],
        ["/proc/self/exe --type=gpu", "exe", "exe"],
        ["worker: a/b", "other", "worker: a/b"],
    ] {
        for blank in ["\t", "\n", "\r"] {
            let argv0 = argv0.replace(' ', blank);
            let world = World::user().with("cmdline", &format!("{argv0}\0"));
            let world = world.with("comm", &format!("{comm}\n")).with("exe", "/bin/exe");
            let found = named(&world, NameRule::Title).0;
            check_eq!(failures, found, expected.replace(' ', blank), "{argv0:?}");
            let twin = twin::title(argv0.as_bytes(), true, comm.as_bytes(), b"/bin/exe");
            let twin = twin.map(|twin| String::from_utf8_lossy(&twin).into_owned());
            check_eq!(failures, twin.unwrap_or_else(|| "exe".to_owned()), found, "{argv0:?}");
        }
    }
    for blank in ["\t", "\n"] {
        let argv0 = format!("python3{blank}-u{blank}/srv/app.py{blank}x");
        let world = World::user().with("cmdline", &format!("{argv0}\0"));
        check_eq!(failures, named(&world, NameRule::Script).0, "app.py", "{argv0:?}");
    }
}

/// By every rule of names.
#[test]
fn keys() {
    let mut failures = Failures::new();
    let rows = table("## Keys\n");
    assert!(rows.len() >= 40, "{} rows", rows.len());
    let of = |rule, name: &str| String::from_utf8_lossy(&key(rule, name.as_bytes())).into_owned();
    for row in rows {
        for rule in [NameRule::Title, NameRule::Comm, NameRule::Script] {
            check_eq!(failures, of(rule, &row[0]), row[1], "{row:?}");
        }
        check_eq!(failures, of(NameRule::Cmdline, &row[0]), row[0], "{row:?}");
    }
    for (exe, expected) in [("nginx (deleted)", "nginx"), ("a: b [1]", "a: b [1]")] {
        check_eq!(failures, of(NameRule::Exe, exe), expected, "{exe}");
    }
    // A key is never empty, and no byte makes a panic.
    for name in [
        " ", "  a 1", ":", "[", "(", "[]", "a", "[ 7", "\u{e9} 1", "a  b", "::", "puma: [", "[[[",
        "[]]", "([)]", "[] ", "7 ", "7 8", "#", "=", "<7>", "[7] [", "(((x", "7 [",
    ] {
        check_eq!(failures, of(NameRule::Title, name).is_empty(), false, "{name:?}");
    }
}

/// Numbers, times, counters, ids, addresses and states in a text change no key.
#[test]
fn texts_that_change_have_one_key() {
    let mut failures = Failures::new();
    let texts = [
        "idle",
        "idle 3.5 sec",
        "12:33:01 got 17 values",
        "[busy 3/10]",
        "2026-11-29T12:00:00Z 99%",
        "10.0.0.7(4242) SELECT",
        "deadbeef01 0x7f",
        "{\"job\": 17}",
        "a [b] (c): d",
        "",
    ];
    for text in texts {
        for (title, expected) in [
            (format!("prog: {text}"), "prog"),
            (format!("prog [{text}]"), "prog"),
            (format!("prog ({text})"), "prog"),
            (format!("prog-7: {text}"), "prog-7"),
            (format!("prog 17 {text}"), "prog"),
            (format!("prog worker #3 {text}"), "prog worker"),
            (format!("prog idle {text}"), "prog"),
            (format!("prog waiting for {text}"), "prog"),
            (format!("prog, {text}"), "prog"),
            (format!("prog/busy {text}"), "prog"),
            (format!("[prog] idle {text}"), "[prog"),
            (format!("[prog] 85% {text}"), "[prog"),
            (format!("[prog 17] busy {text}"), "[prog"),
            (format!("[idle] prog 7 {text}"), "prog"),
            (format!("85% idle prog: {text}"), "prog"),
            (format!("[prog: {text}"), "[prog"),
            (format!("php-fpm: pool www {text}"), "php-fpm: www"),
            (format!("postgres: 14/main: {text}"), "postgres: 14/main"),
            (format!("gunicorn: worker [shop] {text}"), "gunicorn: shop"),
            (format!("[ready] gunicorn: worker [shop] {text}"), "gunicorn: shop"),
            (format!("[{text}] prog: {text}"), "prog"),
            (format!("({text}) [17] prog: {text}"), "prog"),
            (format!("7/400 prog: {text}"), "prog"),
            (format!("idle: prog: {text}"), "prog"),
            (format!("idle - prog: {text}"), "prog"),
            (format!("[3]: prog: {text}"), "prog"),
            (format!("[sleeping] - prog: {text}"), "prog"),
            (format!("50% reading prog: {text}"), "prog"),
            (format!("2026-11-29T17:00:01Z prog: {text}"), "prog"),
            (format!("1d2h prog: {text}"), "prog"),
            (format!("0x1f prog: {text}"), "prog"),
            (format!("3f2a9b0c prog: {text}"), "prog"),
            (format!("prog \u{2014} {text}"), "prog"),
            (format!("85% [{text}] prog: {text}"), "prog"),
            (format!("prog={text}"), "prog"),
            (format!("prog<{text}>"), "prog"),
            (format!("prog{{{text}}}"), "prog"),
            (format!("prog#7 {text}"), "prog"),
            (format!("prog:7/400 {text}"), "prog"),
        ] {
            let found = key(NameRule::Title, title.as_bytes()).into_owned();
            let found = String::from_utf8_lossy(&found).into_owned();
            let found = found.trim_end_matches(']');
            check_eq!(failures, found, expected, "{title:?}");
        }
    }
}

#[test]
fn binaries() {
    let mut failures = Failures::new();
    let rows = table("## Binaries\n");
    assert!(rows.len() >= 8, "{} rows", rows.len());
    for row in rows {
        let world = World::user().with("exe", &row[0]);
        check_eq!(failures, named(&world, NameRule::Exe).0, row[1], "{row:?}");
    }
}

/// A file more is read only for the processes that need it; comm for no second look at the memory.
#[test]
fn only_titles_in_doubt_cost_a_file() {
    let files = |argv0: &str| named(&World::user().with("cmdline", argv0), NameRule::Title).1;
    let usual = ["7/smaps_rollup", "7/cmdline", "7/smaps_rollup"];
    for argv0 in [
        "/usr/sbin/nginx\0-g\0daemon off;\0",
        "/opt/My App/bin/my app\0/x\0",
        "/opt/chrome/chrome --type=renderer --dir=/a/b\0",
        "/usr/sbin/zabbix_server: poller #1 [idle 1 sec]\0",
        "postgres: a/b\0",
        "unicorn master -c config/unicorn.rb\0",
        "node /srv/app.js\0",
        ".venv/bin/python\0",
        "/usr/bin/node /srv/app.js\0",
    ] {
        assert_eq!(files(argv0), usual, "{argv0:?}");
    }
    for argv0 in ["/usr/sbin/x: a/b\0", "/opt/My App/bin/comm\0", "lib/comm\0", "My Apps/comm -x\0"]
    {
        assert_eq!(files(argv0)[..], [&usual[..], &["7/comm"]].concat(), "{argv0:?}");
    }
    for argv0 in ["lib/x\0", "TCP/IP helper\0", "lib/exe\0", "My Apps/x\0", "/opt/My App/bin/app\0"]
    {
        assert_eq!(files(argv0)[..], [&usual[..], &["7/comm", "7/exe"]].concat(), "{argv0:?}");
    }
    let twice = ["7/smaps_rollup", "7/exe", "7/smaps_rollup"];
    assert_eq!(files("/proc/self/exe\0")[..], [&usual[..2], &twice].concat()[..]);
}

/// Neither file is necessary: the rules do without.
#[test]
fn titles_without_comm_or_binary() {
    for errno in [Errno::NOENT, Errno::SRCH, Errno::ACCES, Errno::PERM, Errno::NOT_SUPPORTED] {
        let world = World::user().failing(&["exe"], errno);
        let magic = world.clone().with("cmdline", "/proc/self/exe\0--type=x\0");
        assert_eq!(named(&magic, NameRule::Title).0, "comm", "{errno}");
        let doubt = world.with("cmdline", "/usr/sbin/x: a/b\0").failing(&["comm"], errno);
        assert_eq!(named(&doubt, NameRule::Title).0, "x: a/b", "{errno}");
        let blank = doubt.with("cmdline", "/usr/sbin/x waits for a/b\0");
        assert_eq!(named(&blank, NameRule::Title).0, "x", "{errno}");
    }
    for errno in [Errno::ACCES, Errno::NAME_TOO_LONG] {
        let relative = World::user().with("cmdline", "lib/x\0").failing(&["exe"], errno);
        assert_eq!(named(&relative, NameRule::Title).0, "lib/x", "{errno}");
    }
    let nothing = World::user().with("cmdline", "/dev/fd/5\0").with("exe", "");
    assert_eq!(named(&nothing, NameRule::Title).0, "comm");
    assert_eq!(named(&nothing, NameRule::Cmdline).0, "/dev/fd/5");
}

/// The end of a path has the name, so a path that is cut has none.
#[test]
fn a_path_longer_than_a_title_is_named_by_its_binary() {
    let long = "/some directory".repeat(400);
    let name = |argv0: &str| {
        let world = World::user().with("cmdline", &format!("{argv0}\0-x\0"));
        let by_script = named(&world, NameRule::Script).0;
        let by_title = named(&world, NameRule::Title).0;
        assert_eq!(by_script, by_title, "{argv0}");
        by_title
    };
    assert_eq!(name(&format!("{long}/prog")), "exe");
    assert_eq!(name(&format!("/usr/bin/prog --x={long}")), "prog");
    assert_eq!(name(&format!("/usr/bin/prog: {long}")).len(), 4096 - "/usr/bin/".len());
    assert_eq!(name(&"words ".repeat(1000)).len(), 4096);
    // The longest path that is whole.
    let whole = format!("/{}/prog", "d".repeat(4095 - "//prog".len()));
    assert_eq!(name(&whole), "prog");
    let world = World::user().with("cmdline", &long).failing(&["exe"], Errno::NAME_TOO_LONG);
    assert_eq!(named(&world, NameRule::Title).0, "comm");
    assert_eq!(named(&world, NameRule::Exe).0, "comm");
}

/// A process can clear comm; its row has a label.
#[test]
fn an_empty_comm_is_no_name() {
    let all = Some(Regex::new("").expect("a pattern"));
    for comm in ["", "\n"] {
        let status = "Name:\t\nState:\tS (sleeping)\nVmSize: 9 kB\n";
        let world = World::user().with("comm", comm).with("status", status).with("cmdline", "\0");
        let (has_exe, has_none) = (world.clone(), world.failing(&["exe"], Errno::ACCES));
        for rule in [NameRule::Title, NameRule::Comm, NameRule::Script, NameRule::Cmdline] {
            for filter in [&None, &all] {
                assert_eq!(filtered(&has_exe, rule, filter.clone()), "exe", "{rule:?}");
                assert_eq!(filtered(&has_none, rule, filter.clone()), "[]", "{rule:?}");
            }
        }
        assert_eq!(named(&has_none, NameRule::Exe).0, "[]");
        assert_eq!(Glimpse::from_status(status.as_bytes()).comm, b"[]");
    }
}
