//! The IDs that a user may have beside his own (subuid(5), subgid(5)), and the programs that give them to a namespace.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::error::escape;
use crate::run::passage::RungRefusal;
use crate::tree::IdRange;

/// Where programs are looked for. What a PATH names may be anybody's.
const DIRECTORIES: [&str; 7] =
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/run/wrappers/bin", "/run/current-system/sw/bin"];

/// Users, or groups.
#[derive(Debug, Clone, Copy)]
pub(super) enum IdKind {
    Users,
    Groups,
}

impl IdKind {
    fn file(self) -> &'static str {
        match self {
            IdKind::Users => "/etc/subuid",
            IdKind::Groups => "/etc/subgid",
        }
    }

    fn program(self) -> &'static str {
        match self {
            IdKind::Users => "newuidmap",
            IdKind::Groups => "newgidmap",
        }
    }

    fn what(self) -> &'static str {
        match self {
            IdKind::Users => "user",
            IdKind::Groups => "group",
        }
    }
}

/// Returns the map of a namespace whose root is `own`, and in which all of the subordinate IDs of the user number `user`
/// follow.
pub(super) fn map(kind: IdKind, own: u32, user: u32) -> Result<Vec<IdRange>, RungRefusal> {
    let name = name_of(user);
    let names: Vec<String> = name.iter().cloned().chain([user.to_string()]).collect();
    let mut found = parse(&fs::read_to_string(kind.file()).unwrap_or_default(), &names);
    if found.is_empty() {
        found = told(kind, &names);
    }
    let map = stacked(own, &found);
    if map.len() > 1 {
        return Ok(map);
    }
    let shown = name.unwrap_or_else(|| user.to_string());
    let reason = format!("{} gives {shown} no subordinate {} ids", kind.file(), kind.what());
    Err(RungRefusal::new(reason).with_hint(format!(
        "give some: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {shown}`, where no other line \
         has them; or run it as root, with the capability CAP_SYS_ADMIN"
    )))
}

/// Gives the user namespace of `process` the map `ranges`, by the program that is there for it.
pub(super) fn write(kind: IdKind, process: Pid, ranges: &[IdRange]) -> Result<(), RungRefusal> {
    let name = kind.program();
    let Some(program) = find(name) else {
        return Err(RungRefusal::new(format!("{name} is not installed")).with_hint(
            "install it: Debian and Ubuntu have it in the package uidmap, others in shadow-utils or shadow",
        ));
    };
    let mut command = Command::new(&program);
    command.arg(process.as_raw_nonzero().to_string()).env_clear().stdin(Stdio::null());
    for IdRange { inside, outside, count } in ranges {
        command.args([inside, outside, count].map(u32::to_string));
    }
    let output =
        command.output().map_err(|error| RungRefusal::new(format!("cannot run {}: {error}", program.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words = words.lines().next().map(escape::line).unwrap_or_else(|| output.status.to_string());
    let refusal = RungRefusal::new(format!("{} failed: {words}", program.display()));
    Err(match has_no_new_privileges() {
        true => refusal.with_hint(
            "this process may gain no rights (no_new_privs), so that newuidmap has none: in a container, start it \
             without `--security-opt no-new-privileges` and without `allowPrivilegeEscalation: false`",
        ),
        false => refusal.with_hint(format!(
            "{name} must be set-user-ID root, or have the file capability cap_set{}id; {} must have a line for the user",
            if matches!(kind, IdKind::Users) { "u" } else { "g" },
            kind.file()
        )),
    })
}

fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| PathBuf::from(directory).join(program)).find(|path| path.is_file())
}

fn has_no_new_privileges() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("NoNewPrivs:").is_some_and(|value| value.trim() == "1"))
}

/// What a program of the system says; nothing if it is not there.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let asked = Command::new(find(program)?).args(arguments).env_clear().stdin(Stdio::null()).output();
    asked
        .ok()
        .filter(|answer| answer.status.success())
        .map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Returns the name of a user; none if nobody knows one.
fn name_of(user: u32) -> Option<String> {
    let in_list = |list: &str| {
        list.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, number) = (fields.next()?, fields.nth(1)?);
            (number.parse() == Ok(user) && !name.is_empty()).then(|| name.to_owned())
        })
    };
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    in_list(&list).or_else(|| in_list(&ask("getent", &["passwd", &user.to_string()])?))
}

/// Returns the ranges of the lines for any of `names`: NAME:FIRST:COUNT.
fn parse(text: &str, names: &[String]) -> Vec<(u32, u32)> {
    let line = |line: &str| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let mut number = || fields.next()?.parse().ok();
        names.iter().any(|known| known == name).then_some((number()?, number()?))
    };
    text.lines().filter_map(line).collect()
}

/// Returns the ranges that a directory service has for the user: `NUMBER: NAME FIRST COUNT`.
fn told(kind: IdKind, names: &[String]) -> Vec<(u32, u32)> {
    let Some(name) = names.first() else { return Vec::new() };
    let answer = match kind {
        IdKind::Users => ask("getsubids", &[name]),
        IdKind::Groups => ask("getsubids", &["-g", name]),
    };
    let line = |line: &str| {
        let mut words = line.rsplit(' ').map(str::parse);
        let (count, first) = (words.next()?.ok()?, words.next()?.ok()?);
        Some((first, count))
    };
    answer.unwrap_or_default().lines().filter_map(line).collect()
}

/// Returns `own` as the first ID and the ranges behind it. One that shares IDs with an earlier one is left out: the kernel
/// would take none of them.
fn stacked(own: u32, ranges: &[(u32, u32)]) -> Vec<IdRange> {
    let mut map = vec![IdRange { inside: 0, outside: own, count: 1 }];
    let mut inside: u32 = 1;
    for (first, count) in ranges {
        let count = (*count).min(u32::MAX - inside).min(u32::MAX - first);
        let is_apart = |known: &IdRange| {
            let (end, known_end) = (u64::from(*first) + u64::from(count), known.outside + known.count);
            u64::from(known.outside) >= end || *first >= known_end
        };
        if count == 0 || map.len() == MOST_RANGES || !map.iter().all(is_apart) {
            continue;
        }
        map.push(IdRange { inside, outside: *first, count });
        inside += count;
    }
    map
}

/// The most that the kernel takes (user_namespaces(7)).
const MOST_RANGES: usize = 340;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_the_user_are_found_by_name_and_by_number() {
        let text = "root:1:1\nme:100000:65536\n1000:300000:10\n# me\nme:x:1\nmee:5:5\nme:7\n me:400000:1 \n";
        let names = ["me".to_owned(), "1000".to_owned()];
        assert_eq!(parse(text, &names), [(100_000, 65536), (300_000, 10), (400_000, 1)]);
        assert_eq!(parse(text, &["you".to_owned()]), []);
    }

    #[test]
    fn ranges_follow_each_other_and_share_nothing() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        assert_eq!(stacked(1000, &[]), [range(0, 1000, 1)]);
        let several = [(100_000, 65536), (300_000, 10), (0, 0), (300_009, 5), (990, 11), (1001, 9)];
        let expected = [range(0, 1000, 1), range(1, 100_000, 65536), range(65537, 300_000, 10), range(65547, 1001, 9)];
        assert_eq!(stacked(1000, &several), expected);
        let all = stacked(5, &[(6, u32::MAX)]);
        assert_eq!(all, [range(0, 5, 1), range(1, 6, u32::MAX - 6)]);
    }

    #[test]
    fn this_user_has_a_name() {
        assert_eq!(name_of(0).as_deref(), Some("root"));
        assert_eq!(name_of(u32::MAX - 7), None);
    }
}
