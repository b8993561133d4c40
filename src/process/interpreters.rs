//! The interpreters, emulators and loaders that hide what they run, and their options.
//!
//! The table lists the options that take a value, because the value is not the script. An option
//! that is missing there and takes the next argument makes its value the name: a wrong name, but
//! never a wrong figure.

use self::Effect::{
    Code, File, Label, Module, Next, Nothing, Program, Rest, Script, Switch, Value,
};

/// The effect of an argument. A value is the rest of the argument, behind a letter or behind `=`,
/// or else the next argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It takes a value.
    Value,
    /// It takes the rest of the argument, which may be empty.
    Rest,
    /// It takes the next argument; the rest of the argument is more letters.
    Next,
    /// Its value is a module, jar or class by name.
    Module,
    /// Its value is the path of the script.
    Script,
    /// It is the script if it has a slash or a dot; else there is no script.
    File,
    /// Its value is the path of a program, whose own arguments follow.
    Program,
    /// Its value is the name if no script follows.
    Label,
    /// The arguments of the interpreter with its name follow.
    Switch,
    /// No script follows: the program is in the argument or on standard input.
    Code,
    /// None: the word of a command, or an argument of the runtime.
    Nothing,
}

/// An effect, the letters that have it, and the words that have it, with blanks between. Letters
/// can follow each other in one argument.
pub(super) type ScriptOptions = (Effect, &'static str, &'static str);

/// A program that runs another one, a script or a module.
pub(super) struct Interpreter {
    /// Names of the program without a version, with blanks between. A `*` is any text.
    pub(super) names: &'static str,
    /// The bytes that an option begins with.
    pub(super) signs: &'static [u8],
    /// The effect of the first argument that is no option.
    pub(super) operand: Effect,
    /// The options and words with an effect. All other options are switches.
    pub(super) options: &'static [ScriptOptions],
}

/// Options of all interpreters, unless their own say otherwise.
pub(super) const COMMON: [ScriptOptions; 2] = [(Script, "", "--"), (Code, "", "-")];

/// The ends of the names of scripts, for keys and for paths with blanks in a command line of one
/// string.
pub(super) const SCRIPT_ENDS: &str =
    ".js .mjs .cjs .ts .py .rb .pl .php .sh .jar .dll .exe .lua .tcl .R .jl .scm .exs";
/// The length of the longest of them.
pub(super) const SCRIPT_END_MAX: usize = 4;

/// An interpreter with options that begin with `-`, and a script behind them.
const fn usual(names: &'static str, options: &'static [ScriptOptions]) -> Interpreter {
    Interpreter { names, signs: b"-", operand: Script, options }
}

impl Interpreter {
    const fn reading(self, signs: &'static [u8], operand: Effect) -> Interpreter {
        Interpreter { signs, operand, ..self }
    }
}

/// A program that runs the program behind its options.
const fn wrapper(names: &'static str, options: &'static [ScriptOptions]) -> Interpreter {
    Interpreter { names, signs: b"-", operand: Program, options }
}

pub(super) const INTERPRETERS: [Interpreter; 43] = [
    usual(
        "python pypy platform-python micropython",
        &[(Code, "c", ""), (Module, "m", ""), (Value, "WX", "--check-hash-based-pycs --jit")],
    ),
    usual("ipython", &[(Code, "c", "history kernel locate profile"), (Module, "m", "")]),
    usual(
        "node nodejs iojs",
        &[
            (Nothing, "", "inspect"),
            (Code, "ep", "--eval --print --run"),
            (
                Value,
                "rC",
                "--allow-fs-read --allow-fs-write --build-snapshot-config --conditions \
                 --cpu-prof-dir --cpu-prof-interval --cpu-prof-name --debug-port --diagnostic-dir \
                 --disable-proto --disable-warning --dns-result-order --env-file \
                 --env-file-if-exists --experimental-config-file --experimental-default-type \
                 --experimental-loader --experimental-policy --experimental-sea-config \
                 --experimental-test-isolation --heap-prof-dir --heap-prof-interval \
                 --heap-prof-name --heapsnapshot-near-heap-limit --heapsnapshot-signal \
                 --icu-data-dir --import --input-type --inspect-port --inspect-publish-uid \
                 --loader --localstorage-file --max-http-header-size \
                 --max-old-space-size-percentage --network-family-autoselection-attempt-timeout \
                 --openssl-config --policy-integrity --redirect-warnings --report-dir \
                 --report-directory --report-filename --report-signal --require --secure-heap \
                 --secure-heap-min --security-revert --security-reverts --snapshot-blob \
                 --test-concurrency --test-coverage-branches --test-coverage-exclude \
                 --test-coverage-functions --test-coverage-include --test-coverage-lines \
                 --test-global-setup --test-isolation --test-name-pattern --test-reporter \
                 --test-reporter-destination --test-rerun-failures --test-shard \
                 --test-skip-pattern --test-timeout --title --tls-cipher-list --tls-keylog \
                 --trace-event-categories --trace-event-file-pattern --unhandled-rejections \
                 --use-largepages --v8-pool-size --watch-kill-signal --watch-path",
            ),
        ],
    ),
    usual(
        "deno",
        &[
            (Nothing, "", "run serve"),
            (
                Code,
                "",
                "add bench cache check compile coverage doc eval fmt info init install jupyter \
                 lint lsp repl task test upgrade",
            ),
            (
                Value,
                "cL",
                "--cert --config --ext --host --import-map --location --log-level --port --seed",
            ),
        ],
    ),
    usual("electron", &[(Value, "r", "--require")]),
    usual(
        "bun",
        &[
            (Nothing, "", "run"),
            (Module, "", "x"),
            (Code, "ep", "--eval --print add build create init install pm repl test update"),
            (
                Value,
                "crdl",
                "--config --conditions --cwd --define --env-file --import --loader --port \
                 --preload --require --tsconfig-override",
            ),
        ],
    )
    // `bun run dev` runs a command of package.json.
    .reading(b"-", File),
    usual("bunx", &[(Value, "p", "--package")]),
    // `@file` has more arguments, which are not read.
    usual(
        "java javaw",
        &[
            (Module, "", "-m --module"),
            (
                Value,
                "",
                "-cp -classpath --class-path -p --module-path --upgrade-module-path --add-exports \
                 --add-modules --add-opens --add-reads --enable-final-field-mutation \
                 --enable-native-access --illegal-final-field-mutation --illegal-native-access \
                 --limit-modules --patch-module -d --describe-module --source --finalization",
            ),
        ],
    )
    .reading(b"-@", Script),
    usual(
        "dotnet",
        &[
            (Nothing, "", "exec fsi"),
            (
                Code,
                "",
                "add build clean format help msbuild new nuget pack publish remove restore run \
                 sdk sln store test tool vstest watch workload",
            ),
            (
                Value,
                "",
                "--additional-deps --additionalprobingpath --depsfile --fx-version --roll-forward \
                 --roll-forward-on-no-candidate-fx --runtimeconfig",
            ),
        ],
    ),
    usual("mono mono-sgen mono-sgen64", &[(Value, "", "--config --security-mode")]),
    // A flag can have any number of values.
    usual(
        "beam beam.smp beam.debug.smp",
        &[
            (Module, "", "-s -run"),
            (Label, "", "-sname -name"),
            (Switch, "", "-extra"),
            (Nothing, "", "- --"),
        ],
    )
    .reading(b"-+", Nothing),
    usual(
        "-extra elixir iex",
        &[
            (Script, "S", ""),
            (Code, "e", "--eval --rpc-eval"),
            (Label, "", "--sname --name"),
            (
                Value,
                "r",
                "-pr -pa -pz --boot --boot-var --cookie --dot-iex --erl --erl-config --remsh \
                 --pipe-to --vm-args",
            ),
        ],
    )
    .reading(b"-+", File),
    usual("escript", &[]),
    usual(
        "ruby ruby-mri jruby truffleruby",
        &[
            (Code, "e", ""),
            (Rest, "FKTWix", ""),
            (
                Value,
                "CEIXr",
                "--disable --enable --encoding --external-encoding --internal-encoding",
            ),
        ],
    ),
    usual("perl", &[(Code, "eE", ""), (Rest, "CDFMVdimx", ""), (Value, "I", "")]),
    usual("raku perl6", &[(Code, "e", ""), (Value, "IM", "")]),
    usual(
        "php php-cgi php-cli phpdbg hhvm",
        &[
            (Code, "BERr", "--process-begin --process-code --process-end --run"),
            (Script, "Ff", ""),
            (Value, "Sbcdtz", "--define --docroot --php-ini --server --zend-extension"),
        ],
    ),
    usual(
        "sh bash rbash dash ash ksh mksh lksh yash zsh",
        &[
            (Code, "cs", ""),
            (Script, "", "-"),
            (Next, "Oo", ""),
            (Value, "", "--init-file --rcfile"),
        ],
    )
    .reading(b"-+", Script),
    usual("csh tcsh", &[(Code, "cs", "")]),
    usual("fish", &[(Code, "c", "--command"), (Value, "CDdfo", "--debug --init-command")]),
    usual(
        "pwsh powershell",
        &[
            (Script, "", "-f -File -file"),
            (Code, "", "-c -Command -command -e -ec -EncodedCommand -encodedcommand"),
            (
                Value,
                "",
                "-ExecutionPolicy -executionpolicy -ex -ep -ConfigurationFile -ConfigurationName \
                 -config -CustomPipeName -InputFormat -OutputFormat -SettingsFile -Version \
                 -WindowStyle -WorkingDirectory -wd",
            ),
        ],
    ),
    usual("Rscript", &[(Code, "e", ""), (Value, "", "--default-packages")]),
    usual(
        "R",
        &[(Script, "f", "--file"), (Code, "e", "--args"), (Value, "dg", "--gui --debugger")],
    )
    .reading(b"-", Nothing),
    usual(
        "julia",
        &[
            (Code, "eE", "--eval --print"),
            (Module, "m", "--module"),
            (
                Value,
                "CHJLOpt",
                "--cpu-target --home --load --machine-file --procs --sysimage --threads",
            ),
        ],
    ),
    usual(
        "octave octave-cli octave-gui",
        &[(Code, "", "--eval"), (Value, "p", "--exec-path --image-path --path")],
    ),
    usual("lua luau", &[(Value, "el", "")]),
    usual("luajit luajit-2.1.0-beta", &[(Value, "ejl", ""), (Rest, "O", ""), (Code, "b", "")]),
    usual("tclsh wish", &[(Value, "", "-encoding -display -geometry -name -use -visual")]),
    usual("expect expectk", &[(Script, "fb", ""), (Value, "cD", "")]),
    usual("guile", &[(Script, "s", ""), (Code, "c", ""), (Value, "CLelx", "--language")]),
    usual(
        "sbcl",
        &[(Script, "", "--script --load"), (Value, "", "--core --dynamic-space-size --eval")],
    ),
    usual(
        "racket",
        &[
            (Code, "e", "--eval"),
            (Module, "lp", "--lib"),
            (Script, "fru", "--load --require --script"),
        ],
    ),
    usual(
        "gjs gjs-console cjs",
        &[
            (Code, "c", "--command"),
            (Value, "CI", "--coverage-output --coverage-prefix --include-path"),
        ],
    ),
    usual("qjs", &[(Code, "e", "--eval"), (Value, "I", "--include --memory-limit --stack-size")]),
    // The text of the program.
    usual(
        "awk gawk mawk nawk original-awk",
        &[
            (Script, "fE", "--exec --file"),
            (Value, "FWilv", "--assign --field-separator --include --load"),
        ],
    )
    .reading(b"-", Code),
    usual(
        "wasmtime wasmer wasmedge",
        &[
            (Nothing, "", "run serve"),
            (Value, "CDOSW", "--config --dir --env --invoke --mapdir --argv0"),
        ],
    ),
    wrapper(
        "qemu-aarch64 qemu-aarch64_be qemu-alpha qemu-arm qemu-armeb qemu-hexagon qemu-hppa \
         qemu-i386 qemu-loongarch64 qemu-m68k qemu-microblaze qemu-microblazeel qemu-mips \
         qemu-mipsel qemu-mips64el qemu-mipsn32 qemu-mipsn32el qemu-or1k qemu-ppc qemu-ppc64le \
         qemu-riscv qemu-s390x qemu-sh4 qemu-sh4eb qemu-sparc qemu-sparc32plus qemu-x86_64 \
         qemu-xtensa qemu-xtensaeb *-binfmt-P",
        &[
            (Program, "", "--"),
            (
                Value,
                "",
                "-0 -B -D -E -L -R -U -cpu -d -dfilter -g -p -plugin -r -s -seed -tb-size -trace",
            ),
        ],
    ),
    wrapper("rosetta FEX FEXInterpreter FEXLoader box64 box86", &[(Program, "", "--")]),
    wrapper(
        "wine wine64 wine-preloader wine64-preloader wine-stable wine64-stable wine-staging \
         wine64-staging wine-development wine64-development wineloader wineloader64",
        &[(Nothing, "", "start /unix /wait /exec /min /max /b")],
    ),
    wrapper(
        "ld-*.so ld.so* ld64.so* libc.so",
        &[
            (Program, "", "--"),
            (
                Value,
                "",
                "--argv0 --audit --glibc-hwcaps-mask --glibc-hwcaps-prepend --inhibit-rpath \
                 --library-path --preload",
            ),
        ],
    ),
    wrapper("valgrind valgrind.bin", &[(Program, "", "--")]),
    wrapper("busybox toybox", &[]),
    wrapper("coreutils", &[(Program, "", "--coreutils-prog --coreutils-prog-shebang")]),
];
