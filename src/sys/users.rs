//! Names of users, only from `/etc/passwd`.
//!
//! `getpwuid(3)` would load modules into a privileged program and ask servers that may not answer,
//! and static builds lack it: see docs/DECISIONS.md.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use super::if_there;
use crate::units::Errno;

/// The file with the users.
pub const PASSWD: &str = "/etc/passwd";
/// The maximum size of the file: more than any host has.
const BYTES_MAX: u64 = 64 << 20;

/// The users of the host, in the order of the file.
#[derive(Debug, Default)]
pub struct Users(Vec<(u32, Vec<u8>)>);

impl Users {
    /// Reads the users. A host without the file has no names of users.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn read() -> Result<Users, Errno> {
        let mut text = Vec::new();
        let file = File::open(PASSWD);
        let read = file.and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text));
        let is_read = if_there(read.map_err(Errno::from))?.is_some();
        Ok(Users(if is_read { parse(&text) } else { Vec::new() }))
    }

    /// The id of a user.
    pub fn id(&self, name: &[u8]) -> Option<u32> {
        self.0.iter().find(|user| user.1 == name).map(|user| user.0)
    }

    /// The other ids of this name, and the other names of this id.
    pub fn others(&self, name: &[u8], id: u32) -> (Vec<u32>, Vec<&[u8]>) {
        let ids = self.0.iter().filter(|user| user.1 == name && user.0 != id);
        let names = self.0.iter().filter(|user| user.0 == id && user.1 != name);
        (ids.map(|user| user.0).collect(), names.map(|user| &user.1[..]).collect())
    }

    /// The names by id, no two alike. If several users have one id, the first one counts.
    ///
    /// The id follows a name that is also the text of an id, or the name of another id.
    pub fn into_names(self) -> HashMap<u32, Vec<u8>> {
        let mut names: HashMap<u32, Vec<u8>> = self.0.into_iter().rev().collect();
        let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
        names.values().for_each(|name| *counts.entry(name.clone()).or_default() += 1);
        for (id, name) in &mut names {
            let is_number = name.iter().all(u8::is_ascii_digit);
            if is_number || name.contains(&b'(') || counts[name] > 1 {
                name.extend_from_slice(format!(" (uid {id})").as_bytes());
            }
        }
        names
    }
}

/// Parses lines of `name:password:uid:...`. Lines of NIS begin with a sign and are skipped.
fn parse(text: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let user = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        let is_name = !name.is_empty() && !name.starts_with(b"+") && !name.starts_with(b"-");
        let uid = std::str::from_utf8(uid).ok()?.parse().ok()?;
        is_name.then(|| (uid, name.to_vec()))
    };
    text.split(|byte| *byte == b'\n').filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_passwd() {
        let text = b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\n\n# a comment\n\
                     +@staff::::::\n-bad:x:7:7::/:\nbroken:x\nnumber:x:one:1::/:\n:x:5:5::/:\n\
                     alice:x:1000:1000:A,B:/home/alice:/bin/sh";
        let users = Users(parse(text));
        assert_eq!(users.0.len(), 3);
        for (name, id) in [("root", Some(0)), ("toor", Some(0)), ("alice", Some(1000))] {
            assert_eq!(users.id(name.as_bytes()), id, "{name}");
        }
        assert_eq!((users.id(b"bob"), users.id(b"+@staff"), users.id(b"-bad")), (None, None, None));
        let names = users.into_names();
        assert_eq!((names[&0].as_slice(), names[&1000].as_slice()), (&b"root"[..], &b"alice"[..]));
    }

    #[test]
    fn different_ids_have_different_names() {
        let text = b"4:x:1004:4::/:\napp:x:500:1::/:\napp:x:501:1::/:\nodd (uid 7):x:8:1::/:\n\
                     (unknown):x:9:1::/:\nroot:x:0:0::/:\ntoor:x:0:0::/:\n";
        let names = Users(parse(text)).into_names();
        let expected = [
            (1004, "4 (uid 1004)"),
            (500, "app (uid 500)"),
            (501, "app (uid 501)"),
            (8, "odd (uid 7) (uid 8)"),
            (9, "(unknown) (uid 9)"),
            (0, "root"),
        ];
        let expected = expected.map(|(id, name)| (id, name.as_bytes().to_vec()));
        assert_eq!(names, HashMap::from(expected));
    }
}
