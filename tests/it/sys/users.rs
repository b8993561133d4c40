//! Users by name, from the database of this host.

use crate::support::run;

/// User names come from this host, which has root.
#[test]
fn users_of_this_host_have_names() {
    let own = rustix::process::geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&own.to_string()));
    let Some(name) = line.and_then(|line| line.split(':').next()) else {
        return crate::support::skip("users_of_this_host_have_names", "this user has no name");
    };
    let pid = std::process::id().to_string();
    for user in [name, &own.to_string()] {
        let ran = run(["-p", &pid, "-u", user, "--by", "user", "--no-header"]);
        let row = ran.stdout().lines().next().map(str::to_owned).unwrap_or_default();
        assert!(row.ends_with(&format!("  {name} (1)")), "{user}: {row} {}", ran.stderr());
    }
    let other = if own == 1 { "2" } else { "1" };
    let ran = run(["-p", &pid, "-u", other]);
    let told = format!("no row: --user '{other}' has none of 1 process; see them with --by user\n");
    assert!(ran.stderr().ends_with(&told), "{}", ran.stderr());
}
