//! The terminal at standard output and standard error: size, colour, whether it can redraw.

use rustix::termios::{Winsize, isatty, tcgetwinsize};

/// Whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    isatty(rustix::stdio::stdout())
}

/// The number of columns of the terminal at standard output, from `COLUMNS` (`environ(7)`) or from
/// the terminal. `None` if it is not a terminal or does not know.
pub fn terminal_columns() -> Option<usize> {
    stdout_size("COLUMNS", |size| size.ws_col)
}

/// The same for lines (`LINES`).
pub fn terminal_lines() -> Option<usize> {
    stdout_size("LINES", |size| size.ws_row)
}

/// The number of columns of the terminal at standard error.
pub fn stderr_columns() -> Option<usize> {
    let stderr = rustix::stdio::stderr();
    let size = isatty(stderr).then(|| tcgetwinsize(stderr).ok()).flatten();
    size.map(|size| size.ws_col.into()).filter(|columns| *columns > 0)
}

fn stdout_size(variable: &str, dimension: fn(&Winsize) -> u16) -> Option<usize> {
    if !stdout_is_terminal() {
        return None;
    }
    let given = std::env::var(variable).ok().and_then(|number| number.parse().ok());
    let size = || tcgetwinsize(rustix::stdio::stdout()).ok();
    let number = given.or_else(|| size().map(|size| dimension(&size).into()));
    number.filter(|number| *number > 0)
}

/// Whether to colour standard output: on a terminal that is not dumb, unless the environment
/// forbids it (`NO_COLOR`, `CLICOLOR=0`) or forces it (`CLICOLOR_FORCE`).
pub fn likes_color() -> bool {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let is = |name, word: &str| value(name).is_some_and(|value| value == word);
    if value("NO_COLOR").is_some() {
        return false;
    }
    let is_forced = value("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0");
    is_forced || (stdout_is_terminal() && !is("TERM", "dumb") && !is("CLICOLOR", "0"))
}

/// Whether the locale has the characters of Unicode (`locale(7)`). Without a locale it may:
/// services and containers seldom name one.
pub fn locale_is_unicode() -> bool {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(given);
    locale.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Whether standard output is a terminal that can redraw lines.
pub fn stdout_is_redrawn() -> bool {
    stdout_is_terminal() && !is_dumb()
}

/// Whether standard error is a terminal that can redraw lines.
pub fn stderr_is_redrawn() -> bool {
    isatty(rustix::stdio::stderr()) && !is_dumb()
}

/// Whether the terminal displays only plain text, by `TERM` (`environ(7)`).
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}
