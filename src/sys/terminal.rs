//! The terminal at standard output and standard error: size, colour, whether it can be redrawn.

/// Whether standard output is a terminal.
fn stdout_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdout())
}

/// The columns of the terminal at standard output: `COLUMNS` (`environ(7)`), or the terminal's own
/// answer. `None` if it is not a terminal, or one without an answer.
pub fn terminal_columns() -> Option<usize> {
    if !stdout_is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let known = || rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let columns = said.or_else(|| known().map(|size| size.ws_col.into()));
    columns.filter(|columns| *columns > 0)
}

/// The lines of the terminal at standard output: `LINES` (`environ(7)`), or the terminal's own
/// answer.
pub fn terminal_lines() -> Option<usize> {
    let said = std::env::var("LINES").ok().and_then(|lines| lines.parse().ok());
    let known = || rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let lines = said.or_else(|| known().map(|size| size.ws_row.into()));
    lines.filter(|lines| *lines > 0)
}

/// Whether the environment wants colour on standard output: on a terminal that is not dumb, unless
/// `NO_COLOR` or `CLICOLOR=0` forbids or `CLICOLOR_FORCE` demands it.
pub fn likes_color() -> bool {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let is = |name, word: &str| value(name).is_some_and(|value| value == word);
    if value("NO_COLOR").is_some() {
        return false;
    }
    let is_forced = value("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0");
    is_forced || (stdout_is_terminal() && !is("TERM", "dumb") && !is("CLICOLOR", "0"))
}

/// Whether standard output is a terminal that can be redrawn.
pub fn stdout_is_redrawn() -> bool {
    stdout_is_terminal() && !is_dumb()
}

/// Whether standard error is a terminal on which a line can be erased.
pub fn stderr_is_redrawn() -> bool {
    rustix::termios::isatty(rustix::stdio::stderr()) && !is_dumb()
}

/// Whether `TERM` says that the terminal shows only text (`environ(7)`), or is not set.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}
