//! The manual page, from the definitions of the command line and the texts of its help.
//!
//! The texts follow one layout: a line of a list begins with two blanks, then comes a word, two
//! blanks or more, and its meaning. An empty line separates paragraphs. The first line of a section
//! is its heading and ends in a colon.
#![forbid(unsafe_code)]

use clap::{Arg, Command, CommandFactory};
use roff::{Inline, Roff, bold, italic, roman};

use super::Cli;
use crate::cli::{AMOUNTS, ENVIRONMENT, EXAMPLES, EXIT_CODES};

const DESCRIPTION: &str = "\
psm-uring reads the memory figures that the kernel keeps for each process, many processes at once
through io_uring, and sums them up per program. The table ends with the biggest program, next to the
prompt. Notes on standard error name processes that were not measured, the reason and the remedy.
In JSON, CSV and OpenMetrics each row has a key, which stays the same when the text of a title
changes: zabbix_server for \"zabbix_server: poller #1 [got 1 values]\". diff matches rows by it.
";

const FILES: &str = "\
Files:
  /proc/PID/smaps_rollup  the memory of a process, summed up by the kernel (4.14 or newer)
  /proc/PID/smaps         the same for each mapping: for maps and --heap, for processes with huge
                          pages or shared memory in swap, and on older kernels
  /proc/PID/statm         the size of a process: for maps, and as root
  /proc/PID/maps          the mappings of a big process, and of the rows for freed: as root
  /proc/PID/pagemap       the pages of these: as root
  /proc/PID/cmdline       the name of a process, unless --name selects another file
  /proc/PID/status        users, page tables, and pages of a process whose memory blocks
  /proc/PID/stat          parents, start times and page faults: for --by tree, faults, oom, --watch
  /proc/PID/cgroup        the control group: for --by cgroup, unit and container, cgroup and oom
  /proc/PID/oom_score     the score of the OOM killer, and oom_score_adj: for oom
  /proc/PID/fd            descriptors of GPU devices: for gpu
  /proc/PID/fdinfo        the memory of these: for gpu
  /sys/fs/cgroup          memory.* of every control group: for charged, left, limit, cg-swap,
                          events, pressure and oom";

const INSTALLATION: &str = "\
Installation:
  for a group    chgrp GROUP, chmod 0750, then setcap cap_sys_ptrace+p: members see the memory
                 figures and the names of the mapped files of all processes that they may list; on
                 Linux 6.15 or newer cap_perfmon+p, which may count processes that share an address
                 space twice
  over a socket  where file capabilities are refused, a socket-activated service prints the report
  with sudo      only with fixed arguments: with free ones it is root, as --output-file replaces
                 files
  bench          starts psm-uring again, which has no capability then";

const SEE_ALSO: &str = "\
See also:
  proc(5)          the files, and the meaning of their figures
  io_uring(7)      the way they are read; where it is forbidden, threads read them
  capabilities(7)  CAP_SYS_PTRACE, or CAP_PERFMON since 6.15, permits to measure all processes";

/// The macros of paragraphs and lists: in a section, or in the text of an option.
struct Indent {
    paragraph: &'static str,
    shift: &'static str,
}

/// The column where the meaning of a word begins at the latest, or else on the next line.
const TAG_COLUMNS_MAX: usize = 24;

const SECTION: Indent = Indent { paragraph: "PP", shift: "0" };
const OPTION: Indent = Indent { paragraph: "IP", shift: "7" };

/// The page, for `man(1)` and `mandoc(1)`.
pub(crate) fn man() -> String {
    let mut cli = Cli::command().disable_help_subcommand(true);
    // Gives commands their whole names.
    cli.build();
    let version = format!("{} {}", cli.get_name(), env!("CARGO_PKG_VERSION"));
    let mut page = Roff::new();
    page.control("TH", ["PSM-URING", "1", "\"\"", &version, "User Commands"]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{} - {}", cli.get_name(), about(&cli)))]);
    page.control("SH", ["SYNOPSIS"]);
    synopsis(&mut page, &mut cli);
    page.control("SH", ["DESCRIPTION"]);
    prose(&mut page, &[DESCRIPTION, AMOUNTS].join("\n"), &SECTION);
    section(&mut page, EXAMPLES);
    page.control("SH", ["OPTIONS"]);
    options(&mut page, &cli, "SS");
    page.control("SH", ["COMMANDS"]);
    cli.get_subcommands().for_each(|command| self::command(&mut page, command));
    [INSTALLATION, EXIT_CODES, ENVIRONMENT, FILES, SEE_ALSO]
        .iter()
        .for_each(|text| section(&mut page, text));
    page.render()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// The usage of the program, and of each of its commands.
fn synopsis(page: &mut Roff, cli: &mut Command) {
    let usages = cli.get_subcommands_mut().map(Command::render_usage);
    let usages: Vec<String> = usages.map(|usage| usage.to_string()).collect();
    page.text([bold(cli.get_name()), roman(" [OPTIONS]")]);
    for usage in &usages {
        let usage = usage.trim_start_matches("Usage: ");
        let words = usage.find(['[', '<']).unwrap_or(usage.len());
        let (words, rest) = usage.split_at(words);
        page.control("br", []).text([bold(words), roman(rest)]);
    }
}

fn command(page: &mut Roff, command: &Command) {
    page.control("SS", [command.get_bin_name().unwrap_or_default()]);
    prose(page, &about(command), &SECTION);
    let texts = [command.get_before_help(), command.get_after_long_help()];
    for text in texts.into_iter().flatten() {
        page.control("PP", []);
        prose(page, &text.to_string(), &SECTION);
    }
    options(page, command, "PP");
}

/// Every option, by group; the name of the group follows the macro `group`, which takes none if it
/// begins a paragraph.
fn options(page: &mut Roff, command: &Command, group: &str) {
    let mut last = None;
    for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
        let heading = option.get_help_heading();
        if heading != last {
            let name = heading.unwrap_or("Help");
            match group {
                "PP" => page.control(group, []).text([bold(name)]),
                _ => page.control(group, [name]),
            };
            last = heading;
        }
        page.control("TP", []);
        page.text(head(option));
        let help = option.get_long_help().or(option.get_help());
        prose(page, &help.map(ToString::to_string).unwrap_or_default(), &OPTION);
    }
}

/// `-n, --top N [default: 10]`
fn head(option: &Arg) -> Vec<Inline> {
    let short = option.get_short().map(|short| format!("-{short}"));
    let long = option.get_long().map(|long| format!("--{long}"));
    let mut head = Vec::new();
    for word in [short, long].into_iter().flatten() {
        if !head.is_empty() {
            head.push(roman(", "));
        }
        head.push(bold(word));
    }
    if option.get_action().takes_values() {
        let names = option.get_value_names().unwrap_or_default();
        let blank = if head.is_empty() { "" } else { " " };
        let is_optional = option.get_num_args().is_some_and(|range| range.min_values() == 0);
        let [open, close] = if is_optional { ["[", "]"] } else { [""; 2] };
        head.extend([roman(format!("{blank}{open}")), italic(names.join(" ")), roman(close)]);
        let is_shown = !option.is_hide_default_value_set();
        let values = option.get_default_values().iter().filter(|_| is_shown);
        let values = values.map(|value| value.to_string_lossy());
        let values: Vec<_> = values.collect();
        if !values.is_empty() {
            head.push(roman(format!(" [default: {}]", values.join(","))));
        }
    }
    head
}

/// A section whose heading is the first line.
fn section(page: &mut Roff, text: &str) {
    let (heading, text) = text.split_once(":\n").unwrap_or_default();
    page.control("SH", [heading.to_uppercase().as_str()]);
    prose(page, text, &SECTION);
}

fn prose(page: &mut Roff, text: &str, indent: &Indent) {
    let lines: Vec<&str> = text.lines().collect();
    let mut is_first = true;
    for block in lines.chunk_by(|one, next| is_item(one) == is_item(next)) {
        if is_item(block[0]) {
            list(page, block, indent);
            is_first = false;
            continue;
        }
        let paragraphs = block.split(|line| line.is_empty());
        for paragraph in paragraphs.filter(|paragraph| !paragraph.is_empty()) {
            if !is_first {
                page.control(indent.paragraph, []);
            }
            for line in paragraph {
                page.text([roman(*line)]);
            }
            is_first = false;
        }
    }
}

fn is_item(line: &str) -> bool {
    line.starts_with("  ")
}

/// Whether the line continues the meaning of the word above.
fn is_continued(line: &str) -> bool {
    line.starts_with("     ")
}

fn list(page: &mut Roff, lines: &[&str], indent: &Indent) {
    let mut items: Vec<(&str, String)> = Vec::new();
    for line in lines {
        match items.last_mut() {
            Some((_, meaning)) if is_continued(line) => *meaning += &format!(" {}", line.trim()),
            _ => {
                let (word, meaning) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
                items.push((word, meaning.trim().to_owned()));
            }
        }
    }
    let widest = items.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
    let room = (widest + 2).min(TAG_COLUMNS_MAX).to_string();
    page.control("RS", [indent.shift]).control("PD", ["0"]);
    for (word, meaning) in items {
        page.control("TP", [room.as_str()]).text([bold(word)]).text([roman(meaning)]);
    }
    page.control("PD", []).control("RE", []);
}
