//! The command line, resolved: defaults filled in, contradictions refused, files and users found.
//!
//! This is the one step that reads the options. Everything behind it reads [`Settings`].

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{groups, open_root};
use crate::cli::{Options, OutputOptions, User};
use crate::engine::{EngineKind, Timeouts, Tuning};
use crate::error::Error;
use crate::host::{CgroupMount, GroupPlan};
use crate::process::{
    GENTLE_WINDOW_BYTES, HoldLimit, LONG_HOLD, MappingsWanted, NameRule, Plan, Source,
    WINDOW_BYTES, WalkRule,
};
use crate::program::{Column, Grouping, Order, Snapshot, UserNames};
use crate::report::{self, Color, Format, Rules, Unit, escape};
use crate::sys::proc_root::ProcRoot;
use crate::sys::this_process;
use crate::sys::users::{PASSWD, Users};
use crate::sys::{cgroups, pages};
use crate::units::{Errno, Labelled, Pid};

/// The resolved options of a report.
pub(crate) struct Settings {
    pub(crate) root: ProcRoot,
    /// The processes named by `--pid`, ascending; empty: all.
    pub(crate) pids: Vec<Pid>,
    /// The users named by `--user`, as the command line spells them.
    pub(crate) users: String,
    /// Notes on names among them that say more, or less, than one user.
    pub(crate) user_notes: Vec<String>,
    /// The questions for every process.
    pub(crate) plan: Plan,
    pub(crate) rules: Rules,
    /// `--source` as given; [`Plan::source`] is the one in use.
    pub(crate) source: Source,
    pub(crate) user_names: UserNames,
    pub(crate) columns: Vec<Column>,
    pub(crate) order: Order,
    pub(crate) is_total: bool,
    pub(crate) has_host: bool,
    pub(crate) is_strict: bool,
    pub(crate) has_stats: bool,
    /// The questions for every control group, if a column needs them.
    pub(crate) groups: Option<GroupPlan>,
    /// The directory of control groups that `--cgroup-root` gives.
    pub(crate) cgroup_mount: Option<CgroupMount>,
    /// The rule for walks of rows, if a column needs them; an error if page frames are hidden.
    pub(crate) frames: Option<Result<WalkRule, Errno>>,
    /// Whether a column needs major page faults.
    pub(crate) finds_faults: bool,
    /// Whether a column needs the memory of GPU clients.
    pub(crate) finds_gpu: bool,
    /// Whether a column needs the choices of the OOM killer.
    pub(crate) finds_oom: bool,
    pub(crate) engine: EngineKind,
    pub(crate) tuning: Tuning,
    pub(crate) timeouts: Timeouts,
    pub(crate) output: Output,
    pub(crate) watch: Option<Watch>,
}

/// The format of a report, and its destination.
pub(crate) struct Output {
    pub(crate) format: Format,
    /// `None`: standard output.
    pub(crate) file: Option<PathBuf>,
    pub(crate) unit: Option<Unit>,
    pub(crate) no_header: bool,
    pub(crate) color: Color,
}

/// The schedule of a series of reports.
pub(crate) struct Watch {
    pub(crate) every: Duration,
    pub(crate) reports_max: usize,
    /// The saved report to compare with.
    pub(crate) since: Option<PathBuf>,
    /// Whether rows have marks for changes since the last report.
    pub(crate) has_marks: bool,
}

impl Settings {
    /// Resolves the command line.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that contradict each other; the directory of processes or the
    /// list of users cannot be read.
    pub(crate) fn resolve(options: &Options) -> Result<Settings, Error> {
        let output = Output::resolve(options)?;
        let watch = Watch::find(options, &output)?;
        let columns = columns(options, output.format)?;
        let groups = find_groups(options, &output, &columns)?;
        let cgroup_mount = options.cgroup_root.as_deref().map(find_mount).transpose()?;
        let root = open_root(&options.read.proc_root)?;
        let needs = |column| options.sort == column || columns.contains(&column);
        let owner = options.by.needs_owner() || needs(Column::User);
        let FoundUsers { ids: users, names: user_names, notes: user_notes } =
            find_users(&options.select.user, owner, &root)?;
        // Reading a name that nothing shows would touch the memory of the process.
        let is_named = options.by.needs_name() || options.select.filter.is_some();
        let is_compared = watch.is_some() || matches!(output.format, Format::Json | Format::Ndjson);
        let source = find_source(options, &columns)?;
        let finds_freed = needs(Column::Freed) || needs(Column::SharedOutside);
        let frames = finds_freed.then(|| walk_rule(options, &root));
        // Only the total of RAM is printed.
        let is_number = options.total && output.format == Format::Table;
        let is_tree = options.by == Grouping::Tree;
        let finds_faults = needs(Column::Faults) && !is_number;
        let plan = Plan {
            surveys_per_name: Some(NonZeroU32::MIN),
            name_rule: if is_named { options.name } else { NameRule::Comm },
            source,
            walk: find_walk(options, source, &columns, &root),
            filter: options.select.filter.clone(),
            users,
            owner,
            page_tables: needs(Column::PageTables),
            cgroup: options.by.needs_cgroup() || needs(Column::Cgroup),
            stat: options.by.is_process() && is_compared || is_tree || finds_faults,
            ..Plan::default()
        };
        let mut pids: Vec<Pid> = options.select.pids().collect();
        pids.sort_unstable();
        pids.dedup();
        let is_bounded = output.format == Format::OpenMetrics;
        let top = options.top.or_else(|| is_bounded.then_some(report::ROWS_USUAL));
        Ok(Settings {
            root,
            pids,
            users: options.select.user.iter().map(User::to_string).collect::<Vec<_>>().join(","),
            user_notes,
            rules: Rules { by: options.by, name: options.name, selection: selection(options) },
            source: options.source,
            user_names,
            order: Order { key: options.sort, reverse: options.reverse, top },
            is_total: options.total,
            has_host: options.host,
            is_strict: options.read.strict,
            has_stats: options.read.stats,
            groups,
            cgroup_mount,
            frames,
            finds_faults,
            finds_gpu: needs(Column::Gpu) && !is_number,
            finds_oom: needs(Column::Oom) && !is_number,
            engine: options.read.engine,
            tuning: Tuning {
                keeps_files: watch.as_ref().is_some_and(Watch::keeps_files),
                ..Tuning::new(options.read.workers, options.read.depth, plan.source)
            },
            timeouts: options.read.timeouts(),
            plan,
            columns,
            output,
            watch,
        })
    }

    /// Resolves the command line of a report of mappings, by name. A read of smaps stalls big
    /// processes: they are left out unless the selection names processes or programs, or `has_big`.
    /// Without `is_named`, nothing shows the names of programs.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub(crate) fn of_mappings(
        options: &Options,
        is_named: bool,
        has_big: bool,
    ) -> Result<Settings, Error> {
        let mut settings = Settings::resolve(options)?;
        let Settings { plan, pids, .. } = &mut settings;
        plan.mappings = MappingsWanted::ByName;
        if !is_named && plan.filter.is_none() {
            plan.name_rule = NameRule::Comm;
        }
        if !has_big && pids.is_empty() && plan.filter.is_none() {
            let (time, page_bytes) = (LONG_HOLD, this_process::page_bytes());
            plan.hold_max = Some(HoldLimit { time, page_bytes });
        }
        Ok(settings)
    }

    /// Asks for the figures of an earlier report, which are compared whatever the columns are.
    pub(super) fn compare_with(&mut self, before: &Snapshot) {
        let of_groups = [Column::Charged, Column::CgSwap, Column::Events];
        if of_groups.iter().any(|column| before.has(*column)) {
            self.groups = groups::plan(&of_groups);
        }
        self.plan.page_tables |= before.has(Column::PageTables);
        self.finds_gpu |= before.has(Column::Gpu);
        self.finds_faults |= before.has(Column::Faults);
        self.plan.stat |= self.finds_faults;
    }

    /// The amounts on request that the survey finds for each process.
    pub(super) fn amounts_of_processes(&self) -> Vec<Column> {
        let asked = [
            // In every memory file of kernels that know it.
            (Column::LazyFree, true),
            (Column::PageTables, self.plan.page_tables),
            (Column::Gpu, self.finds_gpu),
            (Column::Heap, self.plan.source == Source::Smaps),
        ];
        asked.into_iter().filter(|(_, is_asked)| *is_asked).map(|(column, _)| column).collect()
    }

    /// Whether the report shows memory in swap. The total of a table is that of RAM alone.
    pub(crate) fn shows_swap(&self) -> bool {
        let is_swap = |column: &Column| matches!(column, Column::Swap | Column::Footprint);
        match self.output.format {
            Format::Table if self.is_total => false,
            Format::Table | Format::Csv => self.columns.iter().any(is_swap),
            Format::Json | Format::Ndjson | Format::OpenMetrics => true,
        }
    }
}

impl Output {
    fn resolve(options: &Options) -> Result<Output, Error> {
        let OutputOptions { no_header, color, unit, ref output_file, .. } = options.out;
        let format = if options.out.json { Format::Json } else { options.out.output };
        let without_series = options.columns.iter().find(|one| !report::has_series(**one));
        let no_series = without_series.filter(|_| format == Format::OpenMetrics).map(|column| {
            format!("the column {} has no series in openmetrics: leave it out", column.label())
        });
        let problem = if output_file.as_deref() == Some(Path::new("-")) {
            "without --output-file the report goes to standard output; write ./- for a file of \
             that name"
        } else if let Some(problem) = &no_series {
            problem
        } else if !format.has_host() && options.host {
            "--host cannot be written as CSV; use --output json"
        } else if format == Format::Csv && options.columns.contains(&Column::Bar) {
            "the column bar is for the table; use percent"
        } else if format == Format::OpenMetrics && options.by.is_process() {
            "--by pid and --by tree would make a new label for each process; leave it out, or use \
             json"
        } else {
            let unit = check_unit(unit, format == Format::Table)?;
            return Ok(Output { format, file: output_file.clone(), unit, no_header, color });
        };
        Err(Error::Usage(problem.to_owned()))
    }
}

/// The age at which a name that a watch shows is read again.
const NAME_AGE_MAX: Duration = Duration::from_secs(8);

impl Watch {
    /// Whether files stay open between the reports: the second one opens them, the third reads
    /// them again.
    fn keeps_files(&self) -> bool {
        self.reports_max > 2
    }

    /// The number of reports for each read of a name, if the last two began at such an interval: a
    /// slow report takes longer than the schedule gives it.
    pub(super) fn surveys_per_name(&self, last: Duration) -> NonZeroU32 {
        let surveys = NAME_AGE_MAX.as_nanos() / self.every.max(last).as_nanos().max(1);
        let surveys = u32::try_from(surveys).unwrap_or(u32::MAX);
        NonZeroU32::new(surveys).unwrap_or(NonZeroU32::MIN)
    }

    /// The schedule of `--watch`; `None` for one report.
    fn find(options: &Options, output: &Output) -> Result<Option<Watch>, Error> {
        let of_watch = [("--count", options.count.is_some()), ("--since", options.since.is_some())];
        match (options.watch, of_watch.iter().find(|(_, given)| *given)) {
            (Some(every), _) => Watch::resolve(options, output, every).map(Some),
            (None, Some((option, _))) => Err(Error::needs(option, "--watch")),
            (None, None) => Ok(None),
        }
    }

    fn resolve(options: &Options, output: &Output, every: Duration) -> Result<Watch, Error> {
        let is_table = output.format == Format::Table;
        let problem = if options.since.is_some() && (!is_table || options.total) {
            "--since shows a table of changes; leave out --output, --json and --total"
        } else if !is_table && output.format != Format::Ndjson && output.file.is_none() {
            "--watch writes one report after another: use --output ndjson or table, or \
             --output-file, which holds the last one"
        } else {
            return Ok(Watch {
                every,
                reports_max: options.count.unwrap_or(usize::MAX),
                since: options.since.clone(),
                has_marks: is_table && !options.total && options.since.is_none(),
            });
        };
        Err(Error::Usage(problem.to_owned()))
    }
}

/// Refuses a unit for a machine format: all of them are in bytes, so no reader has to guess.
///
/// # Errors
/// A unit other than bytes for a format other than the table.
pub(crate) fn check_unit(unit: Option<Unit>, is_table: bool) -> Result<Option<Unit>, Error> {
    match unit {
        Some(unit) if unit != Unit::Bytes && !is_table => Err(Error::Usage(
            "--unit is for the table; all other formats are in bytes: leave it out".to_owned(),
        )),
        unit => Ok(unit),
    }
}

/// The columns of the report, each once.
fn columns(options: &Options, format: Format) -> Result<Vec<Column>, Error> {
    let mut columns = options.columns.clone();
    if columns.is_empty() {
        columns.extend_from_slice(format.usual_columns(options.by));
        let swap = columns.iter().position(|column| *column == Column::Swap);
        if let (true, Some(swap)) = (options.heap, swap) {
            columns.insert(swap, Column::Heap);
        }
    }
    if matches!(options.sort, Column::Parent | Column::Depth) {
        let word = options.sort.label();
        return Err(Error::Usage(format!(
            "--sort {word} cannot work: siblings have the same {word}; sort by another column"
        )));
    }
    let of_tree = columns.iter().chain([&options.sort]).find(|one| Column::TREE.contains(one));
    match of_tree.filter(|_| options.by != Grouping::Tree) {
        Some(column) => Err(Error::needs(&format!("the column {}", column.label()), "--by tree")),
        None => once(columns),
    }
}

/// The columns, if `--columns` names each once.
///
/// # Errors
/// [`Error::Usage`] with the first that it names twice.
pub(crate) fn once<C: Labelled + PartialEq>(columns: Vec<C>) -> Result<Vec<C>, Error> {
    let repeated = (1..columns.len()).find(|place| columns[..*place].contains(&columns[*place]));
    match repeated.map(|place| columns[place].label()) {
        None => Ok(columns),
        Some(word) => Err(Error::Usage(format!("--columns names {word} twice; name it once"))),
    }
}

/// The questions for every control group; `None` if no column needs them.
fn find_groups(
    options: &Options,
    output: &Output,
    columns: &[Column],
) -> Result<Option<GroupPlan>, Error> {
    let mut asked = columns.to_vec();
    asked.push(options.sort);
    let plan = groups::plan(&asked);
    let word = asked.iter().find(|column| column.is_of_groups()).map(|column| column.label());
    let problem = match word {
        Some(word) if !options.by.needs_cgroup() => format!(
            "the column {word} is that of control groups: add --by unit, --by container or --by \
             cgroup"
        ),
        None if options.cgroup_root.is_some() && plan.is_none() && options.since.is_none() => {
            "--cgroup-root is for charged, left, limit, cg-swap, events, pressure and oom: add one \
             of them to --columns"
                .to_owned()
        }
        // Only the total of RAM is printed.
        _ if options.total && output.format == Format::Table => return Ok(None),
        _ => return Ok(plan),
    };
    Err(Error::Usage(problem))
}

fn find_mount(dir: &Path) -> Result<CgroupMount, Error> {
    let mount = cgroups::mount_at(dir);
    mount.ok_or_else(|| {
        let dir = escape::argument(&dir.to_string_lossy());
        Error::Usage(format!(
            "--cgroup-root '{dir}' has neither cgroup.controllers nor memory.usage_in_bytes: give \
             the directory where control groups are mounted, as /sys/fs/cgroup"
        ))
    })
}

/// The memory file that has the figures of these columns.
fn find_source(options: &Options, columns: &[Column]) -> Result<Source, Error> {
    let needs_smaps = columns.contains(&Column::Heap);
    let is_of_rollup =
        |column: &&Column| matches!(column, Column::PssAnon | Column::PssFile | Column::PssShmem);
    let needs_rollup = columns.iter().chain([&options.sort]).find(is_of_rollup);
    let is_freed = |column: &Column| matches!(column, Column::Freed | Column::SharedOutside);
    let has_walk = !needs_smaps && matches!(options.source, Source::Auto | Source::Pagemap);
    let reads_page_tables = has_walk || columns.iter().any(is_freed);
    let heap = if options.heap { "--heap" } else { "the column heap" };
    let problem = match (needs_rollup.map(|column| column.label()), options.source) {
        (_, Source::Rollup) if needs_smaps => {
            format!("{heap} needs full smaps: leave out --source rollup")
        }
        _ if options.sort == Column::Heap && !needs_smaps => {
            let remedy = if options.columns.is_empty() { "--heap" } else { "heap to --columns" };
            format!("--sort heap needs the figures of the heap: add {remedy}")
        }
        (Some(word), _) if needs_smaps => {
            format!(
                "{heap} needs full smaps, and {word} is only in the rollup: ask for one of them"
            )
        }
        (Some(word), Source::Smaps) => {
            format!("{word} is only in the rollup: leave out --source smaps")
        }
        (_, source) if options.gentle && !reads_page_tables => {
            let other = if needs_smaps { heap } else { &format!("--source {}", source.label()) };
            format!("--gentle is for page tables, which {other} does not read: leave one out")
        }
        _ if matches!(options.sort, Column::Freed | Column::SharedOutside) => {
            let word = options.sort.label();
            format!(
                "--sort {word} cannot work: it is measured for the shown rows only, after sorting"
            )
        }
        _ if needs_smaps => return Ok(Source::Smaps),
        (_, source) => return Ok(source),
    };
    Err(Error::Usage(problem))
}

/// The rule for walks over page tables; `None` if this process may not, or if a rollup has more
/// figures that are asked for.
fn find_walk(
    options: &Options,
    source: Source,
    columns: &[Column],
    root: &ProcRoot,
) -> Option<WalkRule> {
    let is_forced = source == Source::Pagemap;
    let needs_rollup = options.sort == Column::LazyFree || columns.contains(&Column::LazyFree);
    if !is_forced && (needs_rollup || source != Source::Auto) {
        return None;
    }
    Some(WalkRule { is_forced, ..walk_rule(options, root).ok()? })
}

/// As [`pages::walk_rule`].
fn walk_rule(options: &Options, root: &ProcRoot) -> Result<WalkRule, Errno> {
    let window_bytes = if options.gentle { GENTLE_WINDOW_BYTES } else { WINDOW_BYTES };
    let is_whole_host = selection(options).is_none();
    Ok(WalkRule { is_whole_host, ..pages::walk_rule(root, window_bytes)? })
}

/// The ids of users, ascending, the names for rows, and notes.
struct FoundUsers {
    ids: Vec<u32>,
    names: UserNames,
    notes: Vec<String>,
}

/// Finds the users.
///
/// Names are those of this host. In the `/proc` of another host or namespace, or in a directory
/// that replaces it, the same id may belong to another user: there only ids are accepted and shown.
fn find_users(asked: &[User], shows_user: bool, root: &ProcRoot) -> Result<FoundUsers, Error> {
    let is_named = asked.iter().any(|user| matches!(user, User::Name(_)));
    let is_own = (is_named || shows_user) && root.is_own();
    let read = || Users::read().map_err(|why| Error::refused("read", PASSWD.as_ref(), why));
    let users = if is_own { read()? } else { Users::default() };
    let (mut ids, mut notes) = (Vec::new(), Vec::new());
    for user in asked {
        ids.push(match user {
            User::Id(id) => *id,
            User::Name(name) => {
                let name = name.as_bytes();
                let id = users.id(name).ok_or_else(|| unknown_user(user, is_own))?;
                let (ids, names) = users.others(name, id);
                notes.extend(report::notes::ambiguous_user(name, id, &ids, &names));
                id
            }
        });
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(FoundUsers { ids, names: users.into_names(), notes })
}

fn unknown_user(user: &User, is_own: bool) -> Error {
    let why = if is_own {
        "/etc/passwd has no user of this name; give its number (id -u NAME prints it)"
    } else {
        "names are those of this host, and --proc-root is not its /proc; give a number"
    };
    Error::Usage(format!("--user '{user}': {why}"))
}

/// The options that select processes, in a fixed order.
fn selection(options: &Options) -> Option<String> {
    let filter = options.select.filter.as_ref().map(|filter| format!("--filter {filter}"));
    let list = |option: &str, mut values: Vec<String>| {
        values.sort();
        values.dedup();
        (!values.is_empty()).then(|| format!("--{option} {}", values.join(",")))
    };
    let pids = list("pid", options.select.pids().map(|pid| pid.to_string()).collect());
    let users = list("user", options.select.user.iter().map(ToString::to_string).collect());
    let words: Vec<String> = filter.into_iter().chain(pids).chain(users).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: Options,
    }

    fn watch(words: &str) -> Watch {
        let words = ["psm-uring", "--watch"].into_iter().chain(words.split_whitespace());
        let options = CommandLine::try_parse_from(words).expect("a command line").options;
        let settings = Settings::resolve(&options).expect("options that go together");
        settings.watch.expect("--watch was given")
    }

    /// However long the reports take.
    #[test]
    fn names_are_read_within_eight_seconds() {
        let secs = |secs| Duration::from_secs(secs);
        for (words, last, surveys) in [
            ("2", secs(0), 4),
            ("2", secs(2), 4),
            ("2", secs(5), 1),
            ("2", secs(60), 1),
            ("100ms", Duration::from_millis(750), 10),
            ("30", secs(30), 1),
        ] {
            let found = watch(words).surveys_per_name(last).get();
            assert_eq!(found, surveys, "--watch {words}, reports {last:?} apart");
        }
    }

    #[test]
    fn marks_are_shown_in_a_whole_table() {
        let has_marks = |words: &str| watch(words).has_marks;
        assert!(has_marks("") && has_marks("--by pid") && has_marks("--output-file x"));
        for words in ["-o ndjson", "--json --output-file x", "--since x", "--total"] {
            assert!(!has_marks(words), "{words}");
        }
    }
}
