//! A title and a text behind it to keys: no text behind a program changes its key, and a key comes
//! from the title.

use psm_uring::process::{NameRule, key};

/// The names of programs that keys add to a title, without the brackets around.
const LONGEST_PROGRAM: usize = "gunicorn: ".len();

pub fn run(bytes: &[u8]) {
    let key = |title: &[u8]| key(NameRule::Title, title).into_owned();
    for (title, expected) in [
        ("prog: ", "prog"),
        ("prog [", "prog"),
        ("prog (", "prog"),
        ("prog 17 ", "prog"),
        ("prog idle ", "prog"),
        ("prog worker #3 ", "prog worker"),
        ("prog=", "prog"),
        ("prog#7 ", "prog"),
        ("[prog] idle ", "[prog]"),
        ("[prog] 85% ", "[prog]"),
        ("(busy) [7] prog: ", "prog"),
        ("85% idle prog: ", "prog"),
        ("[busy] 7/400 idle prog: ", "prog"),
        ("{idle} ==> prog: ", "prog"),
        ("17|prog@17:23 ", "prog"),
        ("prog->", "prog"),
        ("prog \u{2014} ", "prog"),
        ("prog/3 ", "prog"),
        ("prog-3f2a9b0c ", "prog"),
        ("<prog 3> idle ", "<prog>"),
        ("prog\t3 ", "prog"),
        ("prog\u{a0}3 ", "prog"),
        ("prog\u{ff1a} ", "prog"),
        ("prog \u{661}", "prog"),
        ("prog full of ", "prog"),
        ("prog$3 ", "prog"),
        ("prog SLEEP ", "prog"),
        ("\"prog:3\" 85% ", "\"prog\""),
    ] {
        let title = [title.as_bytes(), bytes].concat();
        assert_eq!(key(&title), expected.as_bytes(), "{}", title.escape_ascii());
    }
    let found = key(bytes);
    assert_eq!(found.is_empty(), bytes.is_empty(), "{}", bytes.escape_ascii());
    assert!(found.len() <= bytes.len() + LONGEST_PROGRAM, "{}", found.escape_ascii());
    // A blank, a digit or a sign of ASCII replaces each other one.
    let is_sign = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_punctuation();
    let may_replace = |byte: &u8| !bytes.is_ascii() && is_sign(byte);
    let is_from_title =
        |byte: &u8| bytes.contains(byte) || b"# ".contains(byte) || may_replace(byte);
    let is_named = found.contains(&b':');
    assert!(is_named || found.iter().all(is_from_title), "{}", found.escape_ascii());
    assert_eq!(psm_uring::process::key(NameRule::Cmdline, bytes), bytes);
}
