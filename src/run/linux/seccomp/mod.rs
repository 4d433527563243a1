//! The filter of system calls: docker's default profile for a process without CAP_SYS_ADMIN.
//!
//! The program is a tree of comparisons, since the kernel goes through it at every call: about nine of them, where a list has
//! hundreds. That, an errno for each call, and several machines in one filter are more than what a crate would save.

mod calls;
mod program;

use std::collections::BTreeMap;

use super::landlock::Landlock;
use super::supervisor::calls::{self as answers, Call};
use super::supervisor::stand_in::calls::{self as served, Numbered};
use super::system::Instruction;
use program::{ENOSYS, EPERM, Others, REFUSED, Rule, assembled};

/// Limits of another process are not a command's business.
const OWN_PROCESS: &[(u32, u32)] = &[(0, 0)];
/// -1.
const ALL_PROCESSES: u32 = u32::MAX;
/// UNIX and NETLINK.
const LOCAL_FAMILIES: &[(u32, u32)] = &[(1, 1), (16, 16)];

/// Returns the filter.
pub(super) fn filter() -> Vec<Instruction> {
    assembled(&rules(), &forerunner(), REFUSED)
}

/// Returns the same filter, which gives the supervisor the calls that it answers; without restrictions nothing else is refused
/// but what would go past the supervisor. It is one filter: of two, the kernel would go through both at every call, and a
/// refusal of either counts more than an answer.
pub(super) fn supervised(is_restricted: bool) -> Vec<Instruction> {
    supervised_with(is_restricted, None)
}

/// Returns the same for a command that runs among other processes.
pub(super) fn supervised_among_others(landlock: Landlock) -> Vec<Instruction> {
    supervised_with(true, Some(landlock))
}

fn supervised_with(is_restricted: bool, among: Option<Landlock>) -> Vec<Instruction> {
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "there is no forerunner to add to"))]
    let (mut here, mut forerunner) =
        if is_restricted { (rules(), self::forerunner()) } else { (syncs(calls::SYNCS), BTreeMap::new()) };
    here.extend(answered(answers::all()));
    here.extend(answers::UNKNOWN.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
    here.extend(calls::IO_URING.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
    // Among others, a number may be of a process that does not belong to the command.
    let of_others = if among.is_some() { Others::Refused } else { Others::Answered };
    here.extend(limits(answers::SETRLIMIT, answers::PRLIMIT, of_others));
    here.extend(among.into_iter().flat_map(|landlock| apart(&calls::IN_CHROOT, landlock)));
    #[cfg(target_arch = "x86_64")]
    {
        use answers::i386;
        forerunner.extend(answered(i386::ALL.iter().copied()));
        forerunner.extend(i386::UNKNOWN.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
        forerunner.extend(calls::IO_URING.iter().map(|number| (*number, Rule::Errno(ENOSYS))));
        forerunner.extend(limits(i386::SETRLIMIT, i386::PRLIMIT, of_others));
        forerunner.extend(among.into_iter().flat_map(|landlock| apart(&calls::IN_CHROOT_OF_FORERUNNER, landlock)));
    }
    assembled(&here, &forerunner, if is_restricted { REFUSED } else { Rule::Allow })
}

fn answered(calls: impl Iterator<Item = (u32, Call)>) -> impl Iterator<Item = (u32, Rule)> {
    calls.filter_map(|(number, call)| {
        let rule = match call {
            Call::ControlCapabilities => Rule::AnswerFirst(answers::CONTROLS),
            Call::Trace => Rule::AnswerFirst(&[libc::PTRACE_ATTACH, libc::PTRACE_SEIZE]),
            // What sets a limit has a rule of its own.
            Call::Limit => return None,
            _ => Rule::Answer,
        };
        Some((number, rule))
    })
}

fn limits(setrlimit: u32, prlimit: u32, of_others: Others) -> [(u32, Rule); 2] {
    [
        (setrlimit, Rule::Limit { resource: 0, others: Others::Unnamed }),
        (prlimit, Rule::Limit { resource: 1, others: of_others }),
    ]
}

fn syncs(numbers: &[u32]) -> BTreeMap<u32, Rule> {
    numbers.iter().map(|number| (*number, Rule::Errno(0))).collect()
}

/// Returns the filter for a command that has namespaces, but runs among other processes.
pub(super) fn filter_among_others(landlock: Landlock) -> Vec<Instruction> {
    let own_limits = |numbers: &calls::InChroot| (numbers.limits, Rule::First(OWN_PROCESS));
    let mut here = rules();
    here.extend(apart(&calls::IN_CHROOT, landlock));
    here.extend([own_limits(&calls::IN_CHROOT)]);
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "there is no forerunner to add to"))]
    let mut forerunner = forerunner();
    #[cfg(target_arch = "x86_64")]
    {
        forerunner.extend(apart(&calls::IN_CHROOT_OF_FORERUNNER, landlock));
        forerunner.extend([own_limits(&calls::IN_CHROOT_OF_FORERUNNER)]);
    }
    assembled(&here, &forerunner, REFUSED)
}

/// What keeps a command from other processes, as far as Landlock does not.
fn apart(numbers: &calls::InChroot, landlock: Landlock) -> Vec<(u32, Rule)> {
    let mut rules = Vec::new();
    if !landlock.has_signals() {
        rules.push((numbers.kill, Rule::NotFirst(ALL_PROCESSES)));
    }
    if !landlock.is_there() {
        rules.extend(numbers.memory.map(|number| (number, Rule::Errno(EPERM))));
    }
    rules
}

/// Returns the same filter for a command that has no namespaces of its own: as far as Landlock does not see to it, other
/// processes are out of its reach. What may be about `/proc` and `/sys` is handed over if that `is_served`.
pub(super) fn filter_in_chroot(landlock: Landlock, is_offline: bool, is_served: bool) -> Vec<Instruction> {
    let mut here = rules();
    here.extend(in_chroot(&calls::IN_CHROOT, landlock, is_offline));
    here.extend(served::all().filter(|_| is_served).map(rule));
    #[cfg(target_arch = "x86_64")]
    let forerunner = {
        let mut rules = forerunner();
        rules.extend(in_chroot(&calls::IN_CHROOT_OF_FORERUNNER, landlock, is_offline));
        rules.extend(served::of_forerunner().filter(|_| is_served).map(rule));
        rules
    };
    #[cfg(not(target_arch = "x86_64"))]
    let forerunner = forerunner();
    assembled(&here, &forerunner, REFUSED)
}

fn rule((number, _, unless): Numbered) -> (u32, Rule) {
    (number, unless.map_or(Rule::Answer, |(argument, bits)| Rule::AnswerUnless { argument, bits }))
}

fn in_chroot(numbers: &calls::InChroot, landlock: Landlock, is_offline: bool) -> Vec<(u32, Rule)> {
    // A second root would lead out of the first.
    let mut rules = vec![(numbers.chroot, Rule::Errno(EPERM)), (numbers.limits, Rule::First(OWN_PROCESS))];
    // The mounts are those of this program.
    rules.extend(numbers.mounts.map(|number| (number, Rule::Errno(ENOSYS))));
    rules.extend(apart(numbers, landlock));
    if is_offline {
        rules.push((numbers.socket, Rule::First(LOCAL_FAMILIES)));
        rules.extend(numbers.any_socket.map(|number| (number, Rule::Errno(EPERM))));
    }
    rules
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

#[cfg(test)]
mod tests {
    use super::program::{ARGUMENT, HERE, MACHINE, NUMBER};
    #[cfg(target_arch = "x86_64")]
    use super::program::{FORERUNNER, X32};
    use super::*;
    use crate::run::linux::supervisor::identity::LIMIT;

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
    fn in_a_chroot_other_processes_and_roots_are_out_of_reach_as_far_as_landlock_does_not_see_to_it() {
        let filters = [0, 4, 6].map(|version| filter_in_chroot(Landlock::of_version(version), false, false));
        let verdicts = |number: i64, argument: u64| {
            filters
                .each_ref()
                .map(|filter| verdict_of(filter, HERE, number as u32, [argument, 0, 0, 0, 0, 0]) == ALLOWED)
        };
        assert_eq!(verdicts(libc::SYS_chroot, 0), [false; 3]);
        assert_eq!(verdicts(libc::SYS_prlimit64, 0), [true; 3]);
        assert_eq!(verdicts(libc::SYS_prlimit64, 1), [false; 3]);
        assert_eq!(verdicts(libc::SYS_kill, -1i64 as u64), [false, false, true]);
        for pid in [1u64, 0, -2i64 as u64] {
            assert_eq!(verdicts(libc::SYS_kill, pid), [true; 3]);
        }
        for number in [libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev] {
            assert_eq!(verdicts(number, 0), [false, true, true]);
        }
        let offline = filter_in_chroot(Landlock::of_version(6), true, false);
        let families = [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6, libc::AF_PACKET];
        let allowed = families.map(|family| {
            verdict_of(&offline, HERE, libc::SYS_socket as u32, [family as u64, 0, 0, 0, 0, 0]) == ALLOWED
        });
        assert_eq!(allowed, [true, true, false, false, false]);
        assert!(offline.len() <= 4096, "the kernel takes no more");
        #[cfg(target_arch = "x86_64")]
        for (number, argument, expected) in
            [(61, 0, false), (102, 1, false), (359, 2, false), (359, 1, true), (340, 9, false)]
        {
            assert_eq!(
                verdict_of(&offline, FORERUNNER, number, [argument, 0, 0, 0, 0, 0]) == ALLOWED,
                expected,
                "{number}"
            );
        }
    }

    #[test]
    fn among_other_processes_limits_are_a_commands_own_and_landlock_keeps_signals_in_or_the_filter_does() {
        const ASKED: u32 = libc::SECCOMP_RET_USER_NOTIF;
        let refused = fails(libc::EPERM);
        // Where Landlock keeps signals in, the supervisor may be asked who is who.
        for (version, all, one) in [(4, [refused; 2], [ALLOWED; 2]), (6, [ALLOWED, ASKED], [ALLOWED, ASKED])] {
            let landlock = Landlock::of_version(version);
            let filters = [filter_among_others(landlock), supervised_among_others(landlock)];
            for (number, filter) in filters.into_iter().enumerate() {
                assert!(filter.len() <= 4096, "the kernel takes no more");
                let verdict = |call: i64, first: i64| {
                    let files = u64::from(libc::RLIMIT_NOFILE);
                    verdict_of(&filter, HERE, call as u32, [first as u64, files, 0x1000, 0, 0, 0])
                };
                assert_eq!(verdict(libc::SYS_prlimit64, 0), ALLOWED);
                assert_eq!(verdict(libc::SYS_prlimit64, 1), refused);
                assert_eq!(verdict(libc::SYS_kill, -1), all[number]);
                assert_eq!(verdict(libc::SYS_kill, 1), one[number]);
                assert_eq!(verdict(libc::SYS_mount, 0), fails(libc::EPERM));
            }
        }
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
            for number in [libc::SYS_openat, libc::SYS_renameat2, libc::SYS_unlinkat, libc::SYS_fchmod, libc::SYS_kill]
            {
                assert_eq!(plain(number), ASKED, "{number}");
            }
            for number in [libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_getdents64, libc::SYS_ftruncate]
            {
                assert_eq!(plain(number), ALLOWED, "{number}");
            }
            let trace = |request: u32| verdict(libc::SYS_ptrace, [request.into(), 7, 0, 0, 0, 0]);
            assert_eq!(
                [libc::PTRACE_ATTACH, libc::PTRACE_SEIZE, libc::PTRACE_CONT].map(trace),
                [ASKED, ASKED, ALLOWED]
            );
            let keep = |option: i32| verdict(libc::SYS_prctl, [option as u64, 1, 0, 0, 0, 0]);
            assert_eq!((keep(libc::PR_SET_KEEPCAPS), keep(libc::PR_SET_NAME)), (ASKED, ALLOWED));
            // The limit that it uses itself can be read, and no more.
            let limit = |resource: u32, new| verdict(libc::SYS_prlimit64, [0, resource.into(), new, 0, 0, 0]);
            for new in [0x1000, 1 << 32] {
                assert_eq!(limit(LIMIT, new), fails(libc::EPERM));
            }
            assert_eq!((limit(LIMIT, 0), limit(libc::RLIMIT_NOFILE, 0x1000)), (ALLOWED, ALLOWED));
            let of_other = |resource: u32, new| verdict(libc::SYS_prlimit64, [7, resource.into(), new, 0, 0, 0]);
            assert_eq!((of_other(LIMIT, 0x1000), of_other(libc::RLIMIT_NOFILE, 0)), (fails(libc::EPERM), ASKED));
            let set = |resource: u32| verdict(libc::SYS_setrlimit, [resource.into(), 0x1000, 0, 0, 0, 0]);
            assert_eq!((set(LIMIT), set(libc::RLIMIT_CORE)), (fails(libc::EPERM), ALLOWED));
            for number in calls::IO_URING.iter().chain(answers::UNKNOWN) {
                assert_eq!(plain((*number).into()), fails(libc::ENOSYS), "{number}");
            }
            assert_eq!(plain(libc::SYS_fsync), fails(0));
            assert_eq!(plain(libc::SYS_mount), if is_restricted { fails(libc::EPERM) } else { ALLOWED });
            #[cfg(target_arch = "x86_64")]
            for (number, wanted) in [(195, ASKED), (212, ASKED), (182, fails(libc::ENOSYS)), (5, ASKED), (4, ALLOWED)] {
                assert_eq!(verdict_of(&filter, FORERUNNER, number, [0; 6]), wanted, "{number}");
            }
        }
    }

    #[test]
    fn what_may_be_about_proc_is_handed_over_where_it_is_served() {
        const ASKED: u32 = libc::SECCOMP_RET_USER_NOTIF;
        let filter = filter_in_chroot(Landlock::of_version(6), true, true);
        assert!(filter.len() <= 4096, "the kernel takes no more");
        let verdict = |number: i64, arguments| verdict_of(&filter, HERE, number as u32, arguments);
        for number in [libc::SYS_openat, libc::SYS_statx, libc::SYS_execve, libc::SYS_readlinkat, libc::SYS_chdir] {
            assert_eq!(verdict(number, [0; 6]), ASKED, "{number}");
        }
        for number in [libc::SYS_read, libc::SYS_fstat, libc::SYS_fchmod, libc::SYS_renameat2, libc::SYS_getdents64] {
            assert_eq!(verdict(number, [0; 6]), ALLOWED, "{number}");
        }
        // What makes something new, and what is about something open, is not.
        let exclusive = (libc::O_CREAT | libc::O_EXCL) as u64;
        assert_eq!(verdict(libc::SYS_openat, [0, 0, exclusive, 0, 0, 0]), ALLOWED);
        assert_eq!(verdict(libc::SYS_openat, [0, 0, libc::O_CREAT as u64, 0, 0, 0]), ASKED);
        let open = libc::AT_EMPTY_PATH as u64;
        assert_eq!(verdict(libc::SYS_newfstatat, [0, 0, 0, open, 0, 0]), ALLOWED);
        assert_eq!(verdict(libc::SYS_statx, [0, 0, open, 0, 0, 0]), ALLOWED);
        for number in [libc::SYS_chroot, libc::SYS_mount, libc::SYS_setns] {
            assert_eq!(verdict(number, [0; 6]), fails(libc::EPERM), "{number}");
        }
        #[cfg(target_arch = "x86_64")]
        for (number, wanted) in [(5, ASKED), (195, ASKED), (85, ASKED), (61, fails(libc::EPERM)), (4, ALLOWED)] {
            assert_eq!(verdict_of(&filter, FORERUNNER, number, [0; 6]), wanted, "{number}");
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
