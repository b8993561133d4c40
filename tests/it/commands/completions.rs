//! `psm-uring completions`, in the shells that it supports.

use std::path::Path;
use std::process::Command;

use crate::support::failures::{Failures, check_eq};
use crate::support::{TempDir, data, output, skip};

/// A shell without user files, or `None`, with a note, if the shell is missing.
fn shell(words: &[&str], script: &str) -> Option<String> {
    let mut command = Command::new(words[0]);
    let dir = TempDir::new(&format!("completions-{}", words[0]));
    command.current_dir(data("procfs"));
    command.args(&words[1..]).args(["-c", script]).env("HOME", dir.path()).env("TERM", "dumb");
    command.env("XDG_CONFIG_HOME", dir.path()).env("XDG_DATA_HOME", dir.path());
    let program = Path::new(env!("CARGO_BIN_EXE_psm-uring"));
    let dir_of_program = program.parent().expect("a directory").display();
    let path = format!("{dir_of_program}:{}", std::env::var("PATH").unwrap_or_default());
    // The scripts call the program by its name.
    command.env("PATH", path).env("PSM", program).stdin(std::process::Stdio::null());
    if Command::new(words[0]).arg("--version").output().is_err() {
        skip("completions", &format!("{} is missing", words[0]));
        return None;
    }
    let ran = output(command);
    assert_eq!((ran.stderr().as_str(), ran.code), ("", Some(0)), "{}", words[0]);
    Some(ran.stdout())
}

#[test]
fn bash_completes() {
    let mut failures = Failures::new();
    let complete = |words: &str| {
        // The library chooses the name of the function.
        let script = format!(
            "source <($PSM completions bash) && compopt() {{ :; }} && COMP_WORDS=({words}) && \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) && registered=($(complete -p psm-uring)) && \
             ${{registered[-2]}} psm-uring \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\" && \
             echo \"${{COMPREPLY[@]}}\""
        );
        shell(&["bash", "--norc"], &script)
    };
    let Some(options) = complete("psm-uring --st") else { return };
    assert_eq!(options, "--stuck-after --strict --stats\n");
    for (words, expected) in [
        ("psm-uring b", "bench\n"),
        ("psm-uring --name c", "comm cmdline\n"),
        ("psm-uring bench --ag", "--against\n"),
        ("psm-uring completions z", "zsh\n"),
        ("psm-uring --columns s", "shared swap shared-outside subtree subtree-swap\n"),
        ("psm-uring --columns ram,sh", "ram,shared ram,shared-outside\n"),
        ("psm-uring --columns bar,swap,ra", "bar,swap,ram\n"),
        ("psm-uring bench --engines sync,t", "sync,threads\n"),
        // A list is offered no word, or alias of one, that it has already.
        ("psm-uring --columns ram", "ram\n"),
        ("psm-uring --columns ram,ram", "\n"),
        ("psm-uring --columns swapped,uss,sh", "swapped,uss,shared swapped,uss,shared-outside\n"),
        ("psm-uring bench --engines sync,threads,", "sync,threads,auto sync,threads,uring\n"),
        // The working directory contains a directory of this name.
        ("psm-uring --watch ord", "\n"),
        ("psm-uring --filter ord", "\n"),
        ("psm-uring --output-file ord", "ordinary/\n"),
        ("psm-uring diff record", "record.sh recorded/\n"),
        ("psm-uring -u roo", "root\n"),
        ("psm-uring -u root,roo", "\n"),
    ] {
        check_eq!(failures, complete(words).unwrap_or_default(), expected, "{words}");
    }
}

#[test]
fn zsh_completes() {
    let load = "autoload -U compinit && compinit -D -u && source <($PSM completions zsh) && \
                functions $_comps[psm-uring] | grep -c PSM_URING_COMPLETE";
    if let Some(found) = shell(&["zsh", "-f"], load) {
        assert_eq!(found, "1\n");
    }
}

/// On a terminal of zsh's own, where a blank after a word removes the comma that waits for another
/// word.
#[test]
fn zsh_completes_lists() {
    const TYPED: [(&str, &str); 6] = [
        ("--columns foot", "--columns footprint"),
        ("--columns ram,foot", "--columns ram,footprint"),
        ("--columns=bar,uss,pss-an", "--columns=bar,uss,pss-anon"),
        ("--columns ram,nosuch", "--columns ram,nosuch"),
        ("--sort pss-an", "--sort pss-anon"),
        ("bench --engines sync,th", "bench --engines sync,threads"),
    ];
    let ask: String = TYPED.map(|(words, _)| format!("complete '{words}'\n")).concat();
    let script = format!(
        r#"zmodload zsh/zpty && zpty shell zsh -f -i || exit 0
        zpty -w shell 'PROMPT=; autoload -U compinit && compinit -D -u
        source <($PSM completions zsh); zle -N show; bindkey "^X" show
        bindkey "^I" complete-word; show() {{ print -r -- "[$BUFFER]"; BUFFER= }}; print ready'
        zpty -r shell out '*ready*ready*'
        complete() {{
            zpty -w -n shell "psm-uring $1"$'\t \x18'
            zpty -r shell out '*\]*'
            print -r -- ${{${{out##*\[psm-uring }}% \]*}}
        }}
        {ask} zpty -d shell"#
    );
    let Some(found) = shell(&["zsh", "-f"], &script) else { return };
    if found.is_empty() {
        return skip("zsh_completes_lists", "zsh has no zsh/zpty");
    }
    let expected: String = TYPED.map(|(_, completed)| format!("{completed}\n")).concat();
    assert_eq!(found, expected);
}

#[test]
fn fish_completes() {
    let ask = "$PSM completions fish | source; complete -C 'psm-uring --name c'; \
               complete -C 'psm-uring --stri'; complete -C 'psm-uring b'; \
               complete -C 'psm-uring --columns sh'; complete -C 'psm-uring --columns ram,sh'; \
               complete -C 'psm-uring --columns=ram,sw'; complete -C 'psm-uring --watch ord'; \
               complete -C 'psm-uring --output-file ord'; complete -C 'psm-uring -u roo'; \
               complete -C 'psm-uring completions '; complete -C 'psm-uring completions f'; \
               complete -C 'psm-uring diff record'; complete -C 'psm-uring man record'";
    if let Some(found) = shell(&["fish", "--no-config"], ask) {
        let words: Vec<_> = found.lines().filter_map(|line| line.split('\t').next()).collect();
        let expected = "comm cmdline --strict bench shared shared-outside ram,shared \
                        ram,shared-outside --columns=ram,swap ordinary/ root bash zsh \
                        fish --help fish record.sh recorded/";
        assert_eq!(words.join(" "), expected, "{found}");
    }
}
