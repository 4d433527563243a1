//! The filter of system calls: docker's default profile for a process without CAP_SYS_ADMIN.
//!
//! The program is a tree of comparisons, since the kernel goes through it at every call: about nine of them, where a list has
//! hundreds. That, an errno for each call, and several machines in one filter are more than what a crate would save.

mod calls;

use std::collections::BTreeMap;

use super::supervisor::calls::{self as answers, Call};
use super::supervisor::identity::LIMIT;
use super::system::Instruction;

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Allow,
    /// It fails so; 0 is success.
    Errno(u16),
    /// It is allowed if it makes no namespace.
    Clone,
    /// It is allowed for those kinds of sockets that need no caution.
    Socket,
    /// It is allowed for the usual personalities.
    Personality,
    /// The supervisor answers it.
    Answer,
    /// The supervisor answers it if the flags, which are the argument of that number, say that it writes or makes something.
    AnswerOpen(u32),
    /// The supervisor answers it if that is its first argument.
    AnswerFirst(u32),
    /// It sets a limit, which must not be the one in which the supervisor keeps something. The resource is the argument of that
    /// number, and there is nothing to be set if the one after it is null, if that can be.
    Limit {
        resource: u32,
        can_be_null: bool,
    },
}

const EPERM: u16 = libc::EPERM as u16;
const ENOSYS: u16 = libc::ENOSYS as u16;

/// The offsets of what the kernel shows of a call.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
/// The lower half of the first argument; all machines that are built for are little-endian. An argument has 8 bytes.
const ARGUMENT: u32 = 16;

/// The calls of x32 begin here; nobody has programs of it.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

#[cfg(target_arch = "x86_64")]
const HERE: u32 = 0xc000_003e;
#[cfg(target_arch = "x86_64")]
const FORERUNNER: u32 = 0x4000_0003;
#[cfg(target_arch = "aarch64")]
const HERE: u32 = 0xc000_00b7;

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NAMESPACES: u32 = 0x7e02_0000;
/// Address families that are allowed, as ranges of numbers. Left out are, beside what is long gone, ALG (38) and VSOCK (40).
const FAMILIES: &[(u32, u32)] = &[(0, 11), (13, 18), (21, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45)];
const PERSONALITIES: &[(u32, u32)] =
    &[(0, 0), (8, 8), (0x2_0000, 0x2_0000), (0x2_0008, 0x2_0008), (u32::MAX, u32::MAX)];

/// What an open that is not for reading alone has of these: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC and O_TMPFILE without
/// O_DIRECTORY. The forerunner has the same values.
const WRITES: u32 =
    (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;

/// Returns the filter.
pub(super) fn filter() -> Vec<Instruction> {
    assembled(&rules(), &forerunner(), REFUSED)
}

/// Returns the same filter, which gives the supervisor the calls that it answers; without restrictions nothing else is refused
/// but what would go past the supervisor. It is one filter: of two, the kernel would go through both at every call, and a
/// refusal of either counts more than an answer.
pub(super) fn supervised(is_restricted: bool) -> Vec<Instruction> {
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "there is no forerunner to add to"))]
    let (mut here, mut forerunner) =
        if is_restricted { (rules(), self::forerunner()) } else { (syncs(calls::SYNCS), BTreeMap::new()) };
    here.extend(answered(answers::all()));
    here.extend(answers::UNKNOWN.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
    here.extend(calls::IO_URING.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
    here.extend(limits(answers::SETRLIMIT, answers::PRLIMIT));
    #[cfg(target_arch = "x86_64")]
    {
        use answers::i386;
        forerunner.extend(answered(i386::ALL.iter().copied()));
        forerunner.extend(i386::UNKNOWN.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
        forerunner.extend(calls::IO_URING.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
        forerunner.extend(limits(i386::SETRLIMIT, i386::PRLIMIT));
    }
    assembled(&here, &forerunner, if is_restricted { REFUSED } else { Rule::Allow })
}

fn answered(calls: impl Iterator<Item = (u32, Call)>) -> impl Iterator<Item = (u32, Rule)> {
    calls.map(|(number, call)| {
        let rule = match call {
            Call::Open => Rule::AnswerOpen(1),
            Call::Openat => Rule::AnswerOpen(2),
            Call::KeepCapabilities => Rule::AnswerFirst(libc::PR_SET_KEEPCAPS as u32),
            _ => Rule::Answer,
        };
        (number, rule)
    })
}

fn limits(setrlimit: u32, prlimit: u32) -> [(u32, Rule); 2] {
    [
        (setrlimit, Rule::Limit { resource: 0, can_be_null: false }),
        (prlimit, Rule::Limit { resource: 1, can_be_null: true }),
    ]
}

fn syncs(numbers: &[u32]) -> BTreeMap<u32, Rule> {
    numbers.iter().map(|number| (*number, Rule::Errno(0))).collect()
}

/// What no rule is about.
const REFUSED: Rule = Rule::Errno(EPERM);

fn assembled(rules: &BTreeMap<u32, Rule>, forerunner: &BTreeMap<u32, Rule>, rest: Rule) -> Vec<Instruction> {
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "there is no forerunner to tell apart"))]
    let mut here = tree(&intervals(rules, rest));
    #[cfg(target_arch = "x86_64")]
    {
        let mut calls = vec![jump(libc::BPF_JGE, X32, 0, 1), result(Rule::Errno(ENOSYS))];
        calls.append(&mut here);
        here = calls;
    }
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

fn rules() -> BTreeMap<u32, Rule> {
    let mut rules: BTreeMap<u32, Rule> =
        calls::ALLOWED.iter().chain(calls::OWN).map(|number| (*number, Rule::Allow)).collect();
    rules.extend(syncs(calls::SYNCS));
    rules.extend([
        (calls::CLONE, Rule::Clone),
        // Its flags lie in memory, where no filter looks: C libraries then take clone.
        (calls::CLONE3, Rule::Errno(ENOSYS)),
        (calls::SOCKET, Rule::Socket),
        (calls::PERSONALITY, Rule::Personality),
    ]);
    rules
}

#[cfg(not(target_arch = "x86_64"))]
fn forerunner() -> BTreeMap<u32, Rule> {
    BTreeMap::new()
}

#[cfg(target_arch = "x86_64")]
fn forerunner() -> BTreeMap<u32, Rule> {
    use calls::i386;
    let mut rules: BTreeMap<u32, Rule> =
        i386::ALLOWED.iter().flat_map(|(first, last)| *first..=*last).map(|number| (number, Rule::Allow)).collect();
    rules.extend(syncs(i386::SYNCS));
    rules.extend([
        (i386::CLONE, Rule::Clone),
        (i386::CLONE3, Rule::Errno(ENOSYS)),
        (i386::SOCKET, Rule::Socket),
        (i386::PERSONALITY, Rule::Personality),
    ]);
    rules
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
        Rule::AnswerOpen(flags) => {
            vec![load(argument(flags)), jump(libc::BPF_JSET, WRITES, 0, 1), result(Rule::Answer), result(Rule::Allow)]
        }
        Rule::AnswerFirst(value) => {
            vec![load(ARGUMENT), jump(libc::BPF_JEQ, value, 0, 1), result(Rule::Answer), result(Rule::Allow)]
        }
        Rule::Limit { resource, can_be_null } => {
            let value = argument(resource + 1);
            let mut leaf = vec![load(argument(resource)), jump(libc::BPF_JEQ, LIMIT, 1, 0), result(Rule::Allow)];
            if can_be_null {
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
        | Rule::AnswerOpen(_)
        | Rule::AnswerFirst(_)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(machine: u32, number: u32, argument: u64) -> u32 {
        verdict_of(&filter(), machine, number, [argument, 0, 0, 0, 0, 0])
    }

    /// Does as the kernel does.
    fn verdict_of(filter: &[Instruction], machine: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = filter[at];
            at += 1;
            let code = u32::from(code);
            let mut skip = |is_true| at += usize::from(if is_true { jt } else { jf });
            if code == libc::BPF_RET | libc::BPF_K {
                return k;
            } else if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                loaded = match k {
                    NUMBER => number,
                    MACHINE => machine,
                    half if half >= ARGUMENT => {
                        let argument = arguments[((half - ARGUMENT) / 8) as usize];
                        if half.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
                    }
                    other => panic!("it loads what is at {other}"),
                };
            } else if code == libc::BPF_JMP | libc::BPF_JA {
                at += k as usize;
            } else if code == libc::BPF_JMP | libc::BPF_JGE {
                skip(loaded >= k);
            } else if code == libc::BPF_JMP | libc::BPF_JEQ {
                skip(loaded == k);
            } else if code == libc::BPF_JMP | libc::BPF_JSET {
                skip(loaded & k != 0);
            } else {
                panic!("it has an instruction {code}");
            }
        }
    }

    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;

    fn fails(errno: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | errno as u32
    }

    #[test]
    fn every_number_has_the_verdict_of_its_rule() {
        let rules = rules();
        for number in 0..700 {
            let wanted = match rules.get(&number) {
                None => fails(libc::EPERM),
                Some(Rule::Errno(errno)) => fails((*errno).into()),
                Some(_) => ALLOWED,
            };
            assert_eq!(verdict(HERE, number, 0), wanted, "{number}");
        }
        assert!(filter().len() <= 4096, "the kernel takes no more");
    }

    #[test]
    fn what_reaches_out_of_the_sandbox_is_refused() {
        let refused = [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_bpf,
            libc::SYS_pivot_root,
            libc::SYS_reboot,
            libc::SYS_init_module,
            libc::SYS_kexec_load,
            libc::SYS_open_by_handle_at,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_fsopen,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_mount_setattr,
            libc::SYS_perf_event_open,
            libc::SYS_swapon,
            libc::SYS_settimeofday,
            libc::SYS_sethostname,
            libc::SYS_pidfd_getfd,
        ];
        for number in refused {
            assert_eq!(verdict(HERE, number as u32, 0), fails(libc::EPERM), "{number}");
        }
        assert_eq!(verdict(HERE, libc::SYS_clone3 as u32, 0), fails(libc::ENOSYS));
    }

    #[test]
    fn arguments_are_looked_at_where_they_matter() {
        let clone = |flags: i32| verdict(HERE, libc::SYS_clone as u32, flags as u32 as u64);
        assert_eq!(clone(libc::SIGCHLD), ALLOWED);
        assert_eq!(clone(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD), ALLOWED);
        for flag in [
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWNS,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWCGROUP,
        ] {
            assert_eq!(clone(flag | libc::SIGCHLD), fails(libc::EPERM));
        }
        let socket = |family: i32| verdict(HERE, libc::SYS_socket as u32, family as u64);
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET] {
            assert_eq!(socket(family), ALLOWED, "{family}");
        }
        for family in [libc::AF_ALG, libc::AF_VSOCK, 46, 1000] {
            assert_eq!(socket(family), fails(libc::EPERM), "{family}");
        }
        let personality = |value: u64| verdict(HERE, libc::SYS_personality as u32, value);
        for value in [0, 8, 0x20000, 0x20008, 0xffff_ffff] {
            assert_eq!(personality(value), ALLOWED);
        }
        assert_eq!(personality(libc::ADDR_NO_RANDOMIZE as u64), fails(libc::EPERM));
    }

    #[test]
    fn the_supervisor_is_asked_what_it_has_to_answer_and_nothing_else() {
        const ASKED: u32 = libc::SECCOMP_RET_USER_NOTIF;
        for is_restricted in [true, false] {
            let filter = supervised(is_restricted);
            assert!(filter.len() <= 4096, "the kernel takes no more");
            let verdict = |number: i64, arguments| verdict_of(&filter, HERE, number as u32, arguments);
            let plain = |number| verdict(number, [0; 6]);
            for number in [libc::SYS_newfstatat, libc::SYS_fchown, libc::SYS_getuid, libc::SYS_execve, libc::SYS_chroot]
            {
                assert_eq!(plain(number), ASKED, "{number}");
            }
            for number in [libc::SYS_read, libc::SYS_renameat2, libc::SYS_unlinkat, libc::SYS_fchmod] {
                assert_eq!(plain(number), ALLOWED, "{number}");
            }
            let open = |flags: i32| verdict(libc::SYS_openat, [0, 0, flags as u64, 0, 0, 0]);
            assert_eq!(open(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_DIRECTORY), ALLOWED);
            for flags in [libc::O_CREAT, libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC, libc::O_TMPFILE] {
                assert_eq!(open(flags), ASKED, "{flags:o}");
            }
            let keep = |option: i32| verdict(libc::SYS_prctl, [option as u64, 1, 0, 0, 0, 0]);
            assert_eq!((keep(libc::PR_SET_KEEPCAPS), keep(libc::PR_SET_NAME)), (ASKED, ALLOWED));
            // The limit that it uses itself can be read, and no more.
            let limit = |resource: u32, new| verdict(libc::SYS_prlimit64, [0, resource.into(), new, 0, 0, 0]);
            for new in [0x1000, 1 << 32] {
                assert_eq!(limit(LIMIT, new), fails(libc::EPERM));
            }
            assert_eq!((limit(LIMIT, 0), limit(libc::RLIMIT_NOFILE, 0x1000)), (ALLOWED, ALLOWED));
            let set = |resource: u32| verdict(libc::SYS_setrlimit, [resource.into(), 0x1000, 0, 0, 0, 0]);
            assert_eq!((set(LIMIT), set(libc::RLIMIT_CORE)), (fails(libc::EPERM), ALLOWED));
            for number in calls::IO_URING.iter().chain(answers::UNKNOWN) {
                assert_eq!(plain((*number).into()), fails(libc::ENOSYS), "{number}");
            }
            assert_eq!(plain(libc::SYS_fsync), fails(0));
            assert_eq!(plain(libc::SYS_mount), if is_restricted { fails(libc::EPERM) } else { ALLOWED });
            #[cfg(target_arch = "x86_64")]
            for (number, wanted) in [(195, ASKED), (212, ASKED), (182, fails(libc::ENOSYS)), (4, ALLOWED)] {
                assert_eq!(verdict_of(&filter, FORERUNNER, number, [0; 6]), wanted, "{number}");
            }
        }
    }

    #[test]
    fn syncs_succeed() {
        for number in [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs] {
            assert_eq!(verdict(HERE, number as u32, 3), fails(0));
        }
    }

    #[test]
    fn programs_of_other_machines_do_nothing() {
        assert_eq!(verdict(0x4000_0028, 1, 0), fails(libc::ENOSYS));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn programs_of_the_forerunner_have_the_same_rules_and_those_of_x32_none() {
        // exit, write, execve, mmap2, stat64, exit_group, openat, getrandom; mount, unshare, keyctl, bpf; fsync.
        for number in [1, 4, 11, 192, 195, 252, 295, 355] {
            assert_eq!(verdict(FORERUNNER, number, 0), ALLOWED, "{number}");
        }
        for number in [21, 310, 288, 357] {
            assert_eq!(verdict(FORERUNNER, number, 0), fails(libc::EPERM), "{number}");
        }
        assert_eq!(verdict(FORERUNNER, 118, 0), fails(0));
        assert_eq!(verdict(FORERUNNER, 120, libc::CLONE_NEWUSER as u64), fails(libc::EPERM));
        assert_eq!(verdict(FORERUNNER, 435, 0), fails(libc::ENOSYS));
        assert_eq!(verdict(HERE, X32 | 1, 0), fails(libc::ENOSYS));
    }
}
