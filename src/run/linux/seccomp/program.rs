//! Rules about system calls as the program that the kernel goes through.

use std::collections::BTreeMap;

use crate::run::linux::supervisor::identity::LIMIT;
use crate::run::linux::system::Instruction;

pub(super) const EPERM: u16 = libc::EPERM as u16;
pub(super) const ENOSYS: u16 = libc::ENOSYS as u16;

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Allow,
    /// It fails so; 0 is success.
    Errno(u16),
    /// It is allowed if it makes no namespace.
    Clone,
    /// It is allowed for those kinds of sockets that need no caution.
    Socket,
    /// It is allowed for the usual personalities.
    Personality,
    /// It is allowed if its first argument is in one of these ranges.
    First(&'static [(u32, u32)]),
    /// It is allowed if its first argument is not this one.
    NotFirst(u32),
    /// The supervisor answers it.
    Answer,
    /// The supervisor answers it unless the argument of that number has one of these bits.
    AnswerUnless {
        argument: u32,
        bits: u32,
    },
    /// The supervisor answers it if its first argument is one of these.
    AnswerFirst(&'static [u32]),
    /// It sets a limit, which must not be the one in which the supervisor keeps something. The resource is the argument of that
    /// number, and there is nothing to be set if the one after it is null, if the call can name a process: its first argument.
    Limit {
        resource: u32,
        others: Others,
    },
}

/// What becomes of a call that names a process which is not its own, by anything but 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Others {
    /// It names none.
    Unnamed,
    /// The supervisor answers it.
    Answered,
    /// It is refused.
    Refused,
}

/// The offsets of what the kernel shows of a call.
pub(super) const NUMBER: u32 = 0;

pub(super) const MACHINE: u32 = 4;

/// The lower half of the first argument; all machines that are built for are little-endian. An argument has 8 bytes.
pub(super) const ARGUMENT: u32 = 16;

/// The calls of x32 begin here; nobody has programs of it.
#[cfg(target_arch = "x86_64")]
pub(super) const X32: u32 = 0x4000_0000;

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NAMESPACES: u32 = 0x7e02_0000;

/// Address families that are allowed, as ranges of numbers. Left out are, beside what is long gone, ALG (38) and VSOCK (40).
const FAMILIES: &[(u32, u32)] = &[(0, 11), (13, 18), (21, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45)];

const PERSONALITIES: &[(u32, u32)] =
    &[(0, 0), (8, 8), (0x2_0000, 0x2_0000), (0x2_0008, 0x2_0008), (u32::MAX, u32::MAX)];

/// What no rule is about.
pub(super) const REFUSED: Rule = Rule::Errno(EPERM);

pub(super) fn assembled(rules: &BTreeMap<u32, Rule>, forerunner: &BTreeMap<u32, Rule>, rest: Rule) -> Vec<Instruction> {
    let here = tree(&intervals(rules, rest));
    #[cfg(target_arch = "x86_64")]
    let here = [vec![jump(libc::BPF_JGE, X32, 0, 1), result(Rule::Errno(ENOSYS))], here].concat();
    let mut filter = vec![load(MACHINE)];
    for_machine(&mut filter, HERE, here);
    #[cfg(target_arch = "x86_64")]
    for_machine(&mut filter, FORERUNNER, tree(&intervals(forerunner, rest)));
    #[cfg(not(target_arch = "x86_64"))]
    let _ = forerunner;
    filter.push(result(Rule::Errno(ENOSYS)));
    filter
}

/// Adds `calls` for one machine; they all end.
fn for_machine(filter: &mut Vec<Instruction>, machine: u32, calls: Vec<Instruction>) {
    filter.push(jump(libc::BPF_JEQ, machine, 1, 0));
    filter.push(statement(libc::BPF_JMP | libc::BPF_JA, calls.len() as u32 + 1));
    filter.push(load(NUMBER));
    filter.extend(calls);
}

/// Where each rule begins to hold; it does until the next begins. `rest` holds for what no rule is about.
fn intervals(rules: &BTreeMap<u32, Rule>, rest: Rule) -> Vec<(u32, Rule)> {
    let mut intervals = vec![(0, rest)];
    let mut add = |start, rule| {
        if intervals.last().is_some_and(|(last, _)| *last == start) {
            intervals.pop();
        }
        if intervals.last().is_none_or(|(_, last)| *last != rule) {
            intervals.push((start, rule));
        }
    };
    for (number, rule) in rules {
        add(*number, *rule);
        if let Some(next) = number.checked_add(1) {
            add(next, rest);
        }
    }
    intervals
}

/// Returns what finds the interval of the loaded number by halving.
fn tree(intervals: &[(u32, Rule)]) -> Vec<Instruction> {
    match intervals {
        [] => vec![result(Rule::Errno(EPERM))],
        [(_, rule)] => leaf(*rule),
        _ => {
            let (below, above) = intervals.split_at(intervals.len() / 2);
            let (low, high) = (tree(below), tree(above));
            // A comparison cannot jump far.
            let mut tree =
                vec![jump(libc::BPF_JGE, above[0].0, 0, 1), statement(libc::BPF_JMP | libc::BPF_JA, low.len() as u32)];
            tree.extend(low);
            tree.extend(high);
            tree
        }
    }
}

fn leaf(rule: Rule) -> Vec<Instruction> {
    let by_argument = |allowed: &[(u32, u32)]| {
        let rules =
            allowed.iter().flat_map(|(first, last)| *first..=*last).map(|number| (number, Rule::Allow)).collect();
        let mut leaf = vec![load(ARGUMENT)];
        leaf.extend(tree(&intervals(&rules, REFUSED)));
        leaf
    };
    match rule {
        Rule::Clone => vec![
            load(ARGUMENT),
            jump(libc::BPF_JSET, NAMESPACES, 0, 1),
            result(Rule::Errno(EPERM)),
            result(Rule::Allow),
        ],
        Rule::Socket => by_argument(FAMILIES),
        Rule::Personality => by_argument(PERSONALITIES),
        Rule::First(allowed) => by_argument(allowed),
        Rule::NotFirst(refused) => {
            vec![load(ARGUMENT), jump(libc::BPF_JEQ, refused, 0, 1), result(Rule::Errno(EPERM)), result(Rule::Allow)]
        }
        Rule::AnswerFirst(values) => {
            let answers = |value: &u32| [jump(libc::BPF_JEQ, *value, 0, 1), result(Rule::Answer)];
            let mut leaf = vec![load(ARGUMENT)];
            leaf.extend(values.iter().flat_map(answers));
            leaf.push(result(Rule::Allow));
            leaf
        }
        Rule::AnswerUnless { argument: number, bits } => {
            vec![load(argument(number)), jump(libc::BPF_JSET, bits, 1, 0), result(Rule::Answer), result(Rule::Allow)]
        }
        Rule::Limit { resource, others } => {
            let value = argument(resource + 1);
            let unless_own = |rule| [load(ARGUMENT), jump(libc::BPF_JEQ, 0, 1, 0), result(rule)];
            let mut leaf = Vec::new();
            if others == Others::Refused {
                leaf.extend(unless_own(REFUSED));
            }
            let answered = if others == Others::Answered { unless_own(Rule::Answer).to_vec() } else { Vec::new() };
            leaf.extend([load(argument(resource)), jump(libc::BPF_JEQ, LIMIT, answered.len() as u8 + 1, 0)]);
            leaf.extend(answered);
            leaf.push(result(Rule::Allow));
            if others != Others::Unnamed {
                leaf.extend([
                    load(value),
                    jump(libc::BPF_JEQ, 0, 0, 3),
                    load(value + 4),
                    jump(libc::BPF_JEQ, 0, 0, 1),
                    result(Rule::Allow),
                ]);
            }
            leaf.push(result(REFUSED));
            leaf
        }
        rule => vec![result(rule)],
    }
}

/// The offset of the lower half of an argument.
fn argument(number: u32) -> u32 {
    ARGUMENT + 8 * number
}

fn load(offset: u32) -> Instruction {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn result(rule: Rule) -> Instruction {
    let action = match rule {
        Rule::Allow => libc::SECCOMP_RET_ALLOW,
        Rule::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
        Rule::Answer => libc::SECCOMP_RET_USER_NOTIF,
        Rule::Clone
        | Rule::Socket
        | Rule::Personality
        | Rule::First(_)
        | Rule::NotFirst(_)
        | Rule::AnswerFirst(_)
        | Rule::AnswerUnless { .. }
        | Rule::Limit { .. } => libc::SECCOMP_RET_KILL_PROCESS,
    };
    statement(libc::BPF_RET | libc::BPF_K, action)
}

fn statement(code: u32, value: u32) -> Instruction {
    Instruction { code: code as u16, jt: 0, jf: 0, k: value }
}

/// Skips so many instructions if it is true, or so many if it is not.
fn jump(comparison: u32, value: u32, if_true: u8, if_false: u8) -> Instruction {
    let code = libc::BPF_JMP | comparison | libc::BPF_K;
    Instruction { code: code as u16, jt: if_true, jf: if_false, k: value }
}

#[cfg(target_arch = "x86_64")]
pub(super) const HERE: u32 = 0xc000_003e;

#[cfg(target_arch = "x86_64")]
pub(super) const FORERUNNER: u32 = 0x4000_0003;

#[cfg(target_arch = "aarch64")]
pub(super) const HERE: u32 = 0xc000_00b7;
