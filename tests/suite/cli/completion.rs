//! What shells and `man` know of the command line.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::program::Program;
use crate::support::tool::{checked, require};
use crate::support::watched_terminal::WatchedTerminal;

/// What is typed, and what the program is then given: a command, a command below one, a flag, and the value of one.
const TYPED: [(&str, &str); 4] = [
    ("doct\t", "doctor"),
    ("compose conf\t", "compose config"),
    ("build --insec\t.", "build --insecure ."),
    ("build --progress js\t.", "build --progress json ."),
];

fn script(shell: &str) -> String {
    Program::new().run(["completion", shell]).success().stdout
}

/// Types into `shell`, which has read the script that completes, and returns the words that the program was given. `name` is
/// what the program is called there.
fn given(shell: &mut Command, place: &Path, name: &str, typed: &[&str]) -> Vec<String> {
    shell.current_dir(place).env("HOME", place).env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "vt100");
    let mut terminal = WatchedTerminal::start(shell, 24, 200);
    let words = place.join("words");
    terminal.type_in(format!("{name}() {{ echo \"$*\" >> {}; }}\n", words.display()).as_bytes());
    for line in typed {
        terminal.type_in(format!("{name} {line}\n").as_bytes());
    }
    terminal.type_in(b"exit\n");
    let mut end = terminal.watch(|_| None);
    let lines = end.lines();
    let words = fs::read_to_string(words).unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
    words.lines().map(str::to_owned).collect()
}

/// A bash that has read `script` and nothing of the machine.
fn bash(place: &Path, script: &str) -> Command {
    fs::write(place.join("script"), format!("PS1='$ '; HISTFILE=\n{script}")).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--rcfile", "script", "-i"]);
    bash
}

#[test]
fn a_tab_in_bash_completes_commands_flags_and_values() {
    if !require("bash") || !require("setsid") {
        return;
    }
    let place = TempDir::new().unwrap();
    let found =
        given(&mut bash(place.path(), &script("bash")), place.path(), "ocibake", &TYPED.map(|(typed, _)| typed));
    assert_eq!(found, TYPED.map(|(_, words)| words));
}

#[test]
fn a_tab_in_bash_completes_dockers_words_under_its_name() {
    if !require("bash") || !require("setsid") {
        return;
    }
    let place = TempDir::new().unwrap();
    let script = Program::new().run(["docker", "completion", "bash"]).success().stdout;
    let found = given(&mut bash(place.path(), &script), place.path(), "docker", &["buildx imaget\tinsp\t --ra\t"]);
    assert_eq!(found, ["buildx imagetools inspect --raw"]);
}

#[test]
fn a_tab_in_zsh_completes_commands_flags_and_values() {
    if !require("zsh") || !require("setsid") {
        return;
    }
    let place = TempDir::new().unwrap();
    let directory = place.path().display();
    fs::write(place.path().join("_ocibake"), script("zsh")).unwrap();
    let start =
        format!("PROMPT='$ '; fpath=({directory} $fpath); autoload -U compinit; compinit -u -d {directory}/dump\n");
    fs::write(place.path().join(".zshrc"), start).unwrap();
    let mut zsh = Command::new("zsh");
    zsh.args(["--no-global-rcs", "-i"]).env("ZDOTDIR", place.path());
    let found = given(&mut zsh, place.path(), "ocibake", &TYPED.map(|(typed, _)| typed));
    assert_eq!(found, TYPED.map(|(_, words)| words));
}

#[test]
fn fish_completes_commands_flags_and_values() {
    if !require("fish") {
        return;
    }
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("script"), script("fish")).unwrap();
    for (typed, words) in TYPED {
        // What stands before a tab, to which fish lists what it offers with a word on each.
        let (before, _) = typed.split_once('\t').unwrap();
        let command = format!("source script; complete --do-complete 'ocibake {before}'");
        let mut fish = Command::new("fish");
        let offered =
            checked(fish.args(["--no-config", "-c", &command]).current_dir(place.path()).env("HOME", place.path()));
        let (offered, word) = offered.trim_end().split_once('\t').unwrap_or_else(|| panic!("{before}: {offered:?}"));
        assert!(words.split(' ').any(|word| word == offered) && !word.contains('\n'), "{before}: {offered}, {word}");
    }
}

#[test]
fn scripts_know_what_help_shows_and_nothing_else() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = script(shell);
        for word in ["rebase", "build-arg", "started again"] {
            assert_eq!(script.contains(word), word != "started again", "{word} in {shell}'s");
        }
        assert!(!script.contains("manual pages"), "a hidden command in {shell}'s");
    }
    Program::new().run(["completion", "tcsh"]).failure(2);
}

#[test]
fn the_manual_has_a_page_for_every_command_that_man_reads_without_a_word() {
    let place = TempDir::new().unwrap();
    let pages = place.path().join("share/man/man1");
    let program = Program::new().environment("SOURCE_DATE_EPOCH", "86400");
    program.run(["man", pages.to_str().unwrap()]).success();
    let mut names: Vec<_> =
        fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in ["ocibake.1", "ocibake-build.1", "ocibake-cache-gc.1", "ocibake-completion.1"] {
        assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("ocibake-man")));
    if !require("mandoc") {
        return;
    }
    for name in &names {
        let page = pages.join(name);
        assert_eq!(checked(Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&page)), "", "{name}");
        let text = checked(Command::new("mandoc").args(["-Tascii"]).arg(&page));
        assert!(text.trim_end().contains("1970-01-02"), "{name} is of another day");
    }
}
