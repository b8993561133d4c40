//! Titles whose text changes have one key in every form, and other programs another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use psm_uring::process::{NameRule, key};
use rustix::time::{ClockId, clock_gettime};

use crate::support::failures::{Failures, check, check_eq};

fn of(title: &str) -> String {
    String::from_utf8_lossy(&key(NameRule::Title, title.as_bytes())).into_owned()
}

/// Texts that programs change: states, numbers, times, ids. `T` stands for them in a form.
const TEXTS: [&str; 15] = [
    "idle",
    "BUSY",
    "waiting",
    "waiting...",
    "3",
    "17",
    "17:23",
    "3/10",
    "85%",
    "3.5s",
    "0x1f",
    "3f2a9b0c",
    "10.0.0.7:4242",
    "idle 3",
    "2026-11-29T12:00:01Z",
];

/// Titles with the program `P` in front of a text.
const BEHIND: [&str; 61] = [
    "P T",
    "P: T",
    "P:T!",
    "P - T",
    "P -- T",
    "P | T",
    "P > T",
    "P -> T",
    "P => T",
    "P, T",
    "P; T",
    "P. T",
    "P ... T",
    "P (T)",
    "P [T]",
    "P {T}",
    "P <T>",
    "P(T)",
    "P[T]",
    "P{T}",
    "P<T>",
    "P=T",
    "P|T",
    "P>T",
    "P->T",
    "P=>T",
    "P#T",
    "P@T",
    "P \"T\"",
    "P 'T'",
    "P `T`",
    "P\"T\"",
    "P~T",
    "P*T",
    "P!T",
    "P,T",
    "P;T",
    "P::T",
    "P \u{2014} T",
    "P\u{2014}T",
    "P \u{2192} T",
    "P\u{2192}T",
    "P \u{2022} T",
    "P: [T] (T)",
    "P T T",
    "P #T",
    "P @T",
    "P T: T",
    "[P] T",
    "[P T]",
    "[P: T]",
    "[P#T]",
    "[P@T]",
    "{P} T",
    "<P> T",
    "<P T>",
    "(P) T",
    "\"P\" T",
    "==> P T",
    "* P: T",
    "P\u{2026} T",
];

/// In front of a program its last word would be the program, unless a bracket closes behind.
const COUNT: &str = "17 jobs";

/// Titles with the program behind a text.
const BEFORE: [&str; 40] = [
    "T P",
    "T: P",
    "T - P",
    "T | P",
    "T, P",
    "T; P",
    "T > P",
    "T >> P",
    "T -> P",
    "[T] P",
    "(T) P",
    "{T} P",
    "<T> P",
    "\"T\" P",
    "'T' P",
    "`T` P",
    "[T]P",
    "{T}P",
    "<T>P",
    "[T]: P",
    "[T] - P",
    "*T* P",
    "-T- P",
    "=T= P",
    "== T == P",
    "== T ==> P",
    "|T| P",
    "~T~ P",
    "#T P",
    "@T P",
    "==> T P",
    "-> T P",
    "* T P",
    "T \u{2014} P",
    "\u{2713} T P",
    "\u{25cf} T \u{25cf} P",
    "[T] /usr/sbin/P",
    "T [T] P",
    "[T] T P",
    "{T} (T) P",
];

#[test]
fn a_text_changes_no_key_in_any_form() {
    let mut failures = Failures::new();
    for form in BEHIND.iter().chain(&BEFORE) {
        let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for program in ["mydaemon", "worker-7", "7zd", "gr\u{f6}\u{df}e"] {
            let is_closed = form.starts_with(['[', '(', '{', '<', '"', '\'', '`'])
                && form.matches('T').count() == 1;
            let count = Some(COUNT).filter(|_| is_closed || form.find('P') < form.find('T'));
            for text in TEXTS.into_iter().chain(count) {
                let title = form.replace('P', program).replace('T', text);
                keys.entry(program).or_default().insert(of(&title));
            }
        }
        for (program, found) in &keys {
            check!(failures, found.len() == 1, "{form}: {program}: {found:?}");
            check!(failures, found.iter().all(|key| key.contains(program)), "{form}: {found:?}");
        }
        let all: BTreeSet<&String> = keys.values().flatten().collect();
        check_eq!(failures, all.len(), keys.values().map(BTreeSet::len).sum::<usize>(), "{form}");
    }
}

/// Real titles of each key.
const REAL: [(&str, &[&str]); 137] = [
    (
        "[celeryd: celery]",
        &[
            "[celeryd: celery@web1:MainProcess] -active- (worker -A shop)",
            "[celeryd: celery@web1:ForkPoolWorker-17]",
            "[celeryd: celery@web2:ForkPoolWorker-3] idle",
        ],
    ),
    (
        "[celeryd: shop]",
        &[
            "[celeryd@shop-6c4cc8df88-x7k2m:MainProcess]",
            "[celeryd@shop-7f9d5b6c44-lq9zt:MainProcess]",
        ],
    ),
    ("[celery beat]", &["[celery beat] (-A shop beat -l info)", "[celery beat]"]),
    (
        "gunicorn: shop",
        &[
            "gunicorn: master [shop-20261128]",
            "gunicorn: worker [shop-20261129]",
            "[ready] gunicorn: worker [shop]",
        ],
    ),
    (
        "gunicorn: api.v2.wsgi:app",
        &["gunicorn: master [api.v2.wsgi:app]", "gunicorn: worker [api.v2.wsgi:app]"],
    ),
    (
        "puma",
        &[
            "puma 6.4.2 (tcp://0.0.0.0:3000) [20261123120000]",
            "puma: cluster worker 0: 1234 [20261124]",
            "puma: cluster worker 1: 99 [2026-11-24_12-00]",
            "puma 6.4.2 (unix:///srv/shop/releases/7/puma.sock) [v42]",
            "puma: cluster worker 2: 7 [3f2a9b0c]",
        ],
    ),
    (
        "puma: blog",
        &[
            "puma 6.4.2 (tcp://0.0.0.0:3000) [blog-3f2a9b0]",
            "puma: cluster worker 0: 1234 [blog-v1.2.3]",
            "puma: cluster worker 0: 1 [blog]",
        ],
    ),
    (
        "sidekiq: shop",
        &["sidekiq 7.1.2 shop [0 of 5 busy] stopping", "sidekiq 7.2.0 shop-20261129 [5 of 5 busy]"],
    ),
    (
        "sidekiq: queues:mails",
        &[
            "sidekiq 7.1.2 queues:mails [0 of 5 busy] leader",
            "sidekiq 7.1.2 queues:mails [1 of 5 busy]",
        ],
    ),
    ("uWSGI worker", &["uWSGI worker 1", "uWSGI worker 3 core 1"]),
    ("uWSGI master", &["uWSGI master"]),
    (
        "resque",
        &[
            "resque-2.6.0: Waiting for mails,pdf",
            "resque-2.6.0: Forked 4711 at 1764380000",
            "resque-2.6.0: Processing mails since 1764380000 [MailJob]",
        ],
    ),
    (
        "resque-pool-master",
        &["resque-pool-master: managing [4711, 4712]", "resque-pool-master[shop]: managing [4713]"],
    ),
    ("delayed_job.3", &["delayed_job.3"]),
    ("delayed_job.4", &["delayed_job.4"]),
    (
        "unicorn worker",
        &["unicorn worker[0] -c config/unicorn.rb", "unicorn worker[1] -c config/unicorn.rb"],
    ),
    (
        "unicorn master",
        &["unicorn master -c config/unicorn.rb", "unicorn master (old) -c config/unicorn.rb"],
    ),
    ("Passenger core", &["Passenger core"]),
    (
        "Passenger AppPreloader",
        &["Passenger AppPreloader: /srv/shop", "Passenger AppPreloader: /srv/shop (forking...)"],
    ),
    (
        "solid-queue-worker",
        &[
            "solid-queue-worker(1.0.0): waiting for jobs in *",
            "solid-queue-worker(1.0.0): performing 3 jobs",
        ],
    ),
    (
        "rq:worker",
        &[
            "rq:worker:3f2a9b0c1d2e4f5a6b7c8d9e0f1a2b3c: Listening on default",
            "rq:worker:9f2a9b0c1d2e4f5a6b7c8d9e0f1a2b3c: Forked 17",
        ],
    ),
    (
        "mongrel_rails",
        &[
            "mongrel_rails [8000/0/17]: handling 10.0.0.1: GET /x",
            "mongrel_rails [8001/1/18]: idle",
        ],
    ),
    (
        "spring server",
        &[
            "spring server | shop | started 3 hours ago",
            "spring server | shop | started 4 hours ago",
        ],
    ),
    ("spring app", &["spring app    | shop | started 3 hours ago | development mode"]),
    (
        "postgres",
        &[
            "postgres: io worker 1",
            "postgres: autovacuum worker: shop",
            "postgres: walsender repl 10.0.0.7(4242) streaming 0/3000060",
        ],
    ),
    (
        "postgres: shop",
        &[
            "postgres: shop: alice db [local] idle in transaction (aborted)",
            "postgres: shop: checkpointer",
        ],
    ),
    ("pgpool", &["pgpool: alice shop 10.0.0.1(4242) idle", "pgpool: wait for connection request"]),
    ("php-fpm: www", &["php-fpm: pool www"]),
    ("php-fpm: shop", &["php-fpm: pool shop"]),
    (
        "nginx",
        &[
            "nginx: worker process",
            "nginx: worker process is shutting down",
            "nginx: cache manager process",
        ],
    ),
    ("unit: shop", &[r#"unit: "shop" application"#, r#"unit: "shop" prototype"#]),
    ("unit: blog", &[r#"unit: "blog" application"#]),
    ("unit", &["unit: router", "unit: main v1.31.0 [unitd]"]),
    ("dovecot/imap-login", &["dovecot/imap-login", "dovecot/imap-login [3 pre-login + 2 proxies]"]),
    (
        "dovecot/auth",
        &["dovecot/auth", "dovecot/auth [0 wait, 0 passdb, 0 userdb]", "dovecot/auth -w"],
    ),
    ("sshd", &["sshd: alice [priv]", "sshd: alice@pts/0", "sshd: [accepted]"]),
    ("sshd-session", &["sshd-session: alice [priv]", "sshd-session: alice@notty"]),
    ("proftpd", &["proftpd: (accepting connections)", "proftpd: alice - 10.0.0.1: IDLE"]),
    ("vsftpd", &["vsftpd: LISTENER", "vsftpd: 10.0.0.1/alice: IDLE"]),
    ("pure-ftpd", &["pure-ftpd (IDLE)", "pure-ftpd (DOWNLOAD)"]),
    ("rspamd", &["rspamd: controller process (localhost:11334)", "rspamd: normal process"]),
    ("spamd child", &["spamd child"]),
    ("amavisd", &["amavisd (ch12-P-idle)", "amavisd (master)", "amavisd (virgin child)"]),
    (
        "sendmail",
        &[
            "sendmail: accepting connections",
            "sendmail: Queue runner@01:00:00 for /var/spool/clientmqueue",
        ],
    ),
    ("imapd", &["imapd: idle: host [10.0.0.1] alice user.alice", "imapd: idle"]),
    ("smbd", &["smbd: client [10.0.0.1]", "smbd: notifyd"]),
    ("samba", &["samba: conn[ldap] c[ipv4:10.0.0.1:4242]", "samba: task[dnsupdate]"]),
    ("(squid-1)", &["(squid-1)", "(squid-1) --kid squid-1", "(squid-1) -k start"]),
    ("(squid-2)", &["(squid-2)"]),
    ("(wsgi:shop)", &["(wsgi:shop)", "(wsgi:shop)      -k start", "(wsgi:shop)\t-k start"]),
    ("(wsgi:billing)", &["(wsgi:billing)"]),
    (
        "airflow executor",
        &["airflow executor -- LocalExecutor", "airflow executor -- LocalExecutor: 3"],
    ),
    ("airflow scheduler", &["airflow scheduler", "airflow scheduler -- DagFileProcessorManager"]),
    ("airflow task runner", &["airflow task runner: dag.task 2026-11-29T00:00:00+00:00 4711"]),
    ("dask worker", &["dask worker [tcp://10.0.0.1:4242]", "dask worker [shop-3]"]),
    ("dask scheduler", &["dask scheduler [tcp://10.0.0.1:8786]"]),
    ("ray", &["ray::IDLE", "ray::Actor.method()", "ray::IDLE_SPILL_WORKER"]),
    ("redis-server", &["redis-server *:6379 [cluster]", "redis-server 127.0.0.1:6380"]),
    ("redis-rdb-bgsave", &["redis-rdb-bgsave *:6379"]),
    (
        "zabbix_agentd",
        &[
            "zabbix_agentd: active checks #1 [processing active checks]",
            "zabbix_agentd: collector [idle 1 sec]",
        ],
    ),
    ("puppet agent", &["puppet agent", "puppet agent: applying configuration"]),
    ("dhcpcd", &["dhcpcd: eth0 [ip4]", "dhcpcd: [privileged proxy]"]),
    ("slurmstepd", &["slurmstepd: [17.batch]", "slurmstepd: [18.0]"]),
    ("runc", &["runc:[1:CHILD]", "runc:[2:INIT]"]),
    ("systemd-userwork", &["systemd-userwork: waiting...", "systemd-userwork: processing..."]),
    ("(udev-worker)", &["(udev-worker)"]),
    ("foreman", &["foreman: master"]),
    // A path may be another at each request.
    (
        "lsphp",
        &[
            "lsphp",
            "lsphp:/home/alice/public_html/index.php",
            "lsphp:ackne/x.com/a.php",
            "lsphp:./a.php",
            "lsphp:~bob/a.php",
            "lsphp:C:/www/a.php",
        ],
    ),
    ("[lsphp]", &["[lsphp:/home/alice/index.php]", "[lsphp] -d x=/home/alice"]),
    ("svc", &["svc:/tmp/a", "svc:/tmp/b", "svc,/tmp/a", "svc;a/b", "svc: /tmp/a", "svc::/tmp"]),
    ("fetcher", &["fetcher:http://a.b/c", "fetcher:https://d/e?f=g", "fetcher:s3://h/i"]),
    ("supervisor:fluentd", &["supervisor:fluentd"]),
    ("ipp://printer/queue", &["ipp://printer/queue"]),
    ("usb:///dev/lp0", &["usb:///dev/lp0"]),
    ("memfd:runc:/proc/self/exe", &["memfd:runc:/proc/self/exe"]),
    ("bluepilld", &["bluepilld: shop"]),
    (
        "mydaemon",
        &[
            "mydaemon@17:23",
            "{idle} mydaemon",
            "mydaemon is idle",
            "mydaemon has 3 jobs",
            "mydaemon not ready",
            "[17/400]: mydaemon",
            "idle|mydaemon",
            "mydaemon/17",
            "mydaemon-17:23",
            "mydaemon-20261129",
            "17@mydaemon",
            "mydaemon ready!",
            "mydaemon to 10.0.0.3:80",
            "mydaemon took 1.5s",
            "mydaemon pid 2",
            "mydaemon SELECT 3",
            "mydaemon COMMIT",
            "mydaemon November 3",
        ],
    ),
    // Words that no list has.
    (
        "backupd",
        &[
            "backupd full of host1",
            "backupd waits on host2",
            "backupd flush",
            "backupd merges 3 segments",
            "backupd rotates logs",
            "backupd bored",
            "backupd under load",
            "backupd transfer 17",
            "backupd PURGE",
            "==> backupd nearly there",
        ],
    ),
    ("[backupd]", &["[backupd full of host1]", "[backupd] rests", "[backupd flush]"]),
    ("[celery worker]", &["[celery worker] rests", "[celery worker] is bored"]),
    ("backupd worker", &["backupd worker", "backupd worker sulks", "backupd worker 3"]),
    ("backupd dispatcher", &["backupd dispatcher", "backupd dispatcher flush"]),
    ("Backupd", &["Backupd Nov 29", "Backupd PURGE", "Backupd Waiting", "Backupd rests"]),
    ("Plex Media Server", &["Plex Media Server"]),
    ("Plex Script Host", &["Plex Script Host"]),
    ("npm run dev", &["npm run dev"]),
    ("npm run build", &["npm run build"]),
    (
        "npm exec @mcp/files",
        &["npm exec @mcp/files", "npm exec @mcp/files@1.2.3 /home/alice", "npm exec @mcp/files -y"],
    ),
    ("npm exec @mcp/git2", &["npm exec @mcp/git2 --repo x"]),
    ("npm exec cowsay", &["npm exec cowsay@1.5.0 17"]),
    ("python script.py", &["python script.py"]),
    ("python3.12 other.py", &["python3.12 other.py"]),
    ("node worker", &["node worker", "node worker drains"]),
    // Digits, signs and blanks beyond ASCII.
    (
        "indexer",
        &[
            "indexer \u{661}\u{667}",
            "indexer\u{ff1a} waits",
            "indexer\u{ff20}\u{ff11}\u{ff17}\u{ff1a}\u{ff12}\u{ff13}",
            "indexer\u{a0}\u{967}\u{96d}",
            "indexer\u{3000}\u{ff08}idle\u{ff09}",
            "indexer\u{ff3b}\u{e53}\u{ff3d}",
            "\u{ff18}\u{ff15}\u{ff05} indexer",
            "\u{6f8}\u{6f5}\u{66a} indexer",
        ],
    ),
    ("indexer-17", &["indexer-\u{ff11}\u{ff17}", "indexer-\u{661}\u{667}", "indexer-17: 3"]),
    ("indexer-18", &["indexer-\u{661}\u{668}", "indexer-18"]),
    ("unit: blog 2", &[r#"unit: "blog 2" application"#, r#"unit: "blog 2" prototype"#]),
    ("unit: blog 3", &[r#"unit: "blog 3" application"#]),
    ("unit: 17", &[r#"unit: "17" application"#]),
    ("php-fpm: blog 2", &[r#"php-fpm: pool "blog 2""#]),
    // A state joined to a name is a part of it.
    ("hd-idle", &["hd-idle", "hd-idle (waiting)"]),
    ("order_processing", &["order_processing", "order_processing 3/10"]),
    ("order-waiting", &["order-waiting", "order-waiting idle"]),
    (
        "[worker]",
        &["[worker:3]", "[worker:4711]", "[worker/3]", "[worker 3] idle", "[worker@17] busy"],
    ),
    ("<worker>", &["<worker 3> busy", "<worker 4> idle", "<worker:3>"]),
    ("worker", &["==> worker 3", "--> worker 4 idle", "worker:3", "*worker 17*"]),
    ("app:8080", &["app:8080"]),
    ("app:8081", &["app:8081"]),
    ("app@prod", &["app@prod"]),
    ("app@staging", &["app@staging"]),
    ("worker-17", &["worker-17"]),
    ("worker-18", &["worker-18: idle"]),
    ("worker:fluentd1", &["worker:fluentd1"]),
    ("idle-python3.11", &["idle-python3.11"]),
    ("pg_standby", &["pg_standby"]),
    ("7z", &["7z"]),
    ("7za", &["7za"]),
    ("2to3", &["2to3"]),
    ("c++", &["c++"]),
    ("c#", &["c#"]),
    ("c", &["c"]),
    ("x86_64-linux-gnu-gcc-12", &["x86_64-linux-gnu-gcc-12"]),
    ("x86_64-linux-gnu-gcc-13", &["x86_64-linux-gnu-gcc-13"]),
    ("com.foo.Main$1", &["com.foo.Main$1"]),
    ("com.foo.Main$2", &["com.foo.Main$2"]),
    ("blender-3d", &["blender-3d"]),
    ("blender", &["blender"]),
    ("llama-1.5B", &["llama-1.5B"]),
    ("llama-7B", &["llama-7B"]),
    ("-bash", &["-bash"]),
    ("bash", &["bash"]),
    ("[bash]", &["[bash]"]),
    ("@sbin/plymouthd", &["@sbin/plymouthd"]),
    ("memcached", &["memcached"]),
    ("[memcached]", &["[memcached]"]),
    ("ld-2.31.so", &["ld-2.31.so"]),
    ("PHP/8.2 worker", &["PHP/8.2 worker"]),
];

#[test]
fn real_titles_have_their_keys() {
    let mut failures = Failures::new();
    let mut keys = BTreeSet::new();
    for (expected, titles) in REAL {
        check!(failures, keys.insert(expected), "two rows of {expected}");
        for title in titles {
            check_eq!(failures, of(title), expected, "{title}");
        }
    }
}

/// Any user can give a process such a title, and one thread makes the keys of all rows.
#[test]
fn long_titles_take_little_time() {
    for word in [
        "a",
        "a-",
        "-",
        ",",
        "a,",
        "3",
        "3/",
        "a ",
        "3 ",
        "[",
        "(a",
        "[a]",
        "<",
        "<a",
        "\"",
        "'a",
        "\u{2014}",
        "\u{e9},",
        "a-1",
        "-3f2a9b0c",
        ": ",
        "ing ",
        "a:1",
    ] {
        let title = word.repeat(4096 / word.len());
        let began = cpu_time();
        of(&title);
        let took = cpu_time() - began;
        assert!(took < Duration::from_millis(100), "{word}: {took:?}");
    }
}

/// CPU time of this thread: excludes other load on the machine.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("time since the thread began")
}
