//! The terminal at standard output and standard error: size, colour, whether it can be redrawn.

/// Whether somebody watches standard output.
fn stdout_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdout())
}

/// How many columns the terminal at standard output has: `COLUMNS` (`environ(7)`), or what it says
/// itself. `None` when it is no terminal, or one that does not know.
pub fn terminal_columns() -> Option<usize> {
    if !stdout_is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let known = || rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let columns = said.or_else(|| known().map(|size| size.ws_col.into()));
    columns.filter(|columns| *columns > 0)
}

/// How many lines the terminal at standard output has: `LINES` (`environ(7)`), or what it says
/// itself.
pub fn terminal_lines() -> Option<usize> {
    let said = std::env::var("LINES").ok().and_then(|lines| lines.parse().ok());
    let known = || rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let lines = said.or_else(|| known().map(|size| size.ws_row.into()));
    lines.filter(|lines| *lines > 0)
}

/// Whether colour on standard output is welcome: on a terminal that is no dumb one, unless the
/// environment forbids (`NO_COLOR`, `CLICOLOR=0`) or demands it (`CLICOLOR_FORCE`).
pub fn likes_color() -> bool {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let is = |name, word: &str| value(name).is_some_and(|value| value == word);
    if value("NO_COLOR").is_some() {
        return false;
    }
    let is_forced = value("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0");
    is_forced || (stdout_is_terminal() && !is("TERM", "dumb") && !is("CLICOLOR", "0"))
}

/// Whether somebody watches standard output where it can be written over.
pub fn stdout_is_redrawn() -> bool {
    stdout_is_terminal() && !is_dumb()
}

/// Whether somebody watches standard error where a line can be wiped out again.
pub fn stderr_is_redrawn() -> bool {
    rustix::termios::isatty(rustix::stdio::stderr()) && !is_dumb()
}

/// Whether the terminal takes no more than text, as far as is known (`environ(7)`).
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}
