//! The system calls that docker's default profile allows to a process without further capabilities, by their numbers.

use linux_raw_sys::general as n;

/// Those that all machines have.
#[rustfmt::skip]
pub(super) const ALLOWED: &[u32] = &[
    n::__NR_accept, n::__NR_accept4, n::__NR_adjtimex, n::__NR_bind, n::__NR_brk, n::__NR_cachestat,
    n::__NR_capget, n::__NR_capset, n::__NR_chdir, n::__NR_chroot, n::__NR_clock_adjtime, n::__NR_clock_getres,
    n::__NR_clock_gettime, n::__NR_clock_nanosleep, n::__NR_close, n::__NR_close_range, n::__NR_connect,
    n::__NR_copy_file_range, n::__NR_dup, n::__NR_dup3, n::__NR_epoll_create1, n::__NR_epoll_ctl,
    n::__NR_epoll_pwait, n::__NR_epoll_pwait2, n::__NR_eventfd2, n::__NR_execve, n::__NR_execveat, n::__NR_exit,
    n::__NR_exit_group, n::__NR_faccessat, n::__NR_faccessat2, n::__NR_fadvise64, n::__NR_fallocate,
    n::__NR_fanotify_mark, n::__NR_fchdir, n::__NR_fchmod, n::__NR_fchmodat, n::__NR_fchmodat2, n::__NR_fchown,
    n::__NR_fchownat, n::__NR_fcntl, n::__NR_fgetxattr, n::__NR_flistxattr, n::__NR_flock, n::__NR_fremovexattr,
    n::__NR_fsetxattr, n::__NR_fstat, n::__NR_fstatfs, n::__NR_ftruncate, n::__NR_futex, n::__NR_futex_requeue,
    n::__NR_futex_wait, n::__NR_futex_waitv, n::__NR_futex_wake, n::__NR_get_robust_list, n::__NR_getcpu,
    n::__NR_getcwd, n::__NR_getdents64, n::__NR_getegid, n::__NR_geteuid, n::__NR_getgid, n::__NR_getgroups,
    n::__NR_getitimer, n::__NR_getpeername, n::__NR_getpgid, n::__NR_getpid, n::__NR_getppid, n::__NR_getpriority,
    n::__NR_getrandom, n::__NR_getresgid, n::__NR_getresuid, n::__NR_getrlimit, n::__NR_getrusage, n::__NR_getsid,
    n::__NR_getsockname, n::__NR_getsockopt, n::__NR_gettid, n::__NR_gettimeofday, n::__NR_getuid,
    n::__NR_getxattr, n::__NR_getxattrat, n::__NR_inotify_add_watch, n::__NR_inotify_init1,
    n::__NR_inotify_rm_watch, n::__NR_io_cancel, n::__NR_io_destroy, n::__NR_io_getevents, n::__NR_io_pgetevents,
    n::__NR_io_setup, n::__NR_io_submit, n::__NR_ioctl, n::__NR_ioprio_get, n::__NR_ioprio_set, n::__NR_kill,
    n::__NR_landlock_add_rule, n::__NR_landlock_create_ruleset, n::__NR_landlock_restrict_self, n::__NR_lgetxattr,
    n::__NR_linkat, n::__NR_listen, n::__NR_listmount, n::__NR_listxattr, n::__NR_listxattrat, n::__NR_llistxattr,
    n::__NR_lremovexattr, n::__NR_lseek, n::__NR_lsetxattr, n::__NR_madvise, n::__NR_map_shadow_stack,
    n::__NR_membarrier, n::__NR_memfd_create, n::__NR_memfd_secret, n::__NR_mincore, n::__NR_mkdirat,
    n::__NR_mknodat, n::__NR_mlock, n::__NR_mlock2, n::__NR_mlockall, n::__NR_mmap, n::__NR_mprotect,
    n::__NR_mq_getsetattr, n::__NR_mq_notify, n::__NR_mq_open, n::__NR_mq_timedreceive, n::__NR_mq_timedsend,
    n::__NR_mq_unlink, n::__NR_mremap, n::__NR_mseal, n::__NR_msgctl, n::__NR_msgget, n::__NR_msgrcv,
    n::__NR_msgsnd, n::__NR_msync, n::__NR_munlock, n::__NR_munlockall, n::__NR_munmap, n::__NR_name_to_handle_at,
    n::__NR_nanosleep, n::__NR_newfstatat, n::__NR_openat, n::__NR_openat2, n::__NR_pidfd_open,
    n::__NR_pidfd_send_signal, n::__NR_pipe2, n::__NR_pkey_alloc, n::__NR_pkey_free, n::__NR_pkey_mprotect,
    n::__NR_ppoll, n::__NR_prctl, n::__NR_pread64, n::__NR_preadv, n::__NR_preadv2, n::__NR_prlimit64,
    n::__NR_process_mrelease, n::__NR_process_vm_readv, n::__NR_process_vm_writev, n::__NR_pselect6,
    n::__NR_ptrace, n::__NR_pwrite64, n::__NR_pwritev, n::__NR_pwritev2, n::__NR_read, n::__NR_readahead,
    n::__NR_readlinkat, n::__NR_readv, n::__NR_recvfrom, n::__NR_recvmmsg, n::__NR_recvmsg,
    n::__NR_remap_file_pages, n::__NR_removexattr, n::__NR_removexattrat, n::__NR_renameat, n::__NR_renameat2,
    n::__NR_restart_syscall, n::__NR_rseq, n::__NR_rt_sigaction, n::__NR_rt_sigpending, n::__NR_rt_sigprocmask,
    n::__NR_rt_sigqueueinfo, n::__NR_rt_sigreturn, n::__NR_rt_sigsuspend, n::__NR_rt_sigtimedwait,
    n::__NR_rt_tgsigqueueinfo, n::__NR_sched_get_priority_max, n::__NR_sched_get_priority_min,
    n::__NR_sched_getaffinity, n::__NR_sched_getattr, n::__NR_sched_getparam, n::__NR_sched_getscheduler,
    n::__NR_sched_rr_get_interval, n::__NR_sched_setaffinity, n::__NR_sched_setattr, n::__NR_sched_setparam,
    n::__NR_sched_setscheduler, n::__NR_sched_yield, n::__NR_seccomp, n::__NR_semctl, n::__NR_semget,
    n::__NR_semop, n::__NR_semtimedop, n::__NR_sendfile, n::__NR_sendmmsg, n::__NR_sendmsg, n::__NR_sendto,
    n::__NR_set_robust_list, n::__NR_set_tid_address, n::__NR_setfsgid, n::__NR_setfsuid, n::__NR_setgid,
    n::__NR_setgroups, n::__NR_setitimer, n::__NR_setpgid, n::__NR_setpriority, n::__NR_setregid,
    n::__NR_setresgid, n::__NR_setresuid, n::__NR_setreuid, n::__NR_setrlimit, n::__NR_setsid, n::__NR_setsockopt,
    n::__NR_setuid, n::__NR_setxattr, n::__NR_setxattrat, n::__NR_shmat, n::__NR_shmctl, n::__NR_shmdt,
    n::__NR_shmget, n::__NR_shutdown, n::__NR_sigaltstack, n::__NR_signalfd4, n::__NR_socketpair, n::__NR_splice,
    n::__NR_statfs, n::__NR_statmount, n::__NR_statx, n::__NR_symlinkat, n::__NR_sysinfo, n::__NR_tee,
    n::__NR_tgkill, n::__NR_timer_create, n::__NR_timer_delete, n::__NR_timer_getoverrun, n::__NR_timer_gettime,
    n::__NR_timer_settime, n::__NR_timerfd_create, n::__NR_timerfd_gettime, n::__NR_timerfd_settime,
    n::__NR_times, n::__NR_tkill, n::__NR_truncate, n::__NR_umask, n::__NR_uname, n::__NR_unlinkat,
    n::__NR_utimensat, n::__NR_vmsplice, n::__NR_wait4, n::__NR_waitid, n::__NR_write, n::__NR_writev,
];

/// Those that only this machine has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
pub(super) const OWN: &[u32] = &[
    n::__NR_access, n::__NR_alarm, n::__NR_arch_prctl, n::__NR_chmod, n::__NR_chown, n::__NR_creat, n::__NR_dup2,
    n::__NR_epoll_create, n::__NR_epoll_ctl_old, n::__NR_epoll_wait, n::__NR_epoll_wait_old, n::__NR_eventfd,
    n::__NR_fork, n::__NR_futimesat, n::__NR_get_thread_area, n::__NR_getdents, n::__NR_getpgrp,
    n::__NR_inotify_init, n::__NR_lchown, n::__NR_link, n::__NR_lstat, n::__NR_mkdir, n::__NR_mknod,
    n::__NR_modify_ldt, n::__NR_open, n::__NR_pause, n::__NR_pipe, n::__NR_poll, n::__NR_readlink, n::__NR_rename,
    n::__NR_rmdir, n::__NR_select, n::__NR_set_thread_area, n::__NR_signalfd, n::__NR_stat, n::__NR_symlink,
    n::__NR_time, n::__NR_unlink, n::__NR_uretprobe, n::__NR_utime, n::__NR_utimes, n::__NR_vfork,
];

#[cfg(not(target_arch = "x86_64"))]
pub(super) const OWN: &[u32] = &[];

/// Those whose success is said without doing them: what a step has made is kept or thrown away as a whole, and an
/// installation asks for thousands of them.
pub(super) const SYNCS: &[u32] =
    &[n::__NR_fsync, n::__NR_fdatasync, n::__NR_sync, n::__NR_syncfs, n::__NR_sync_file_range];

/// What would do other calls unseen.
pub(super) const IO_URING: &[u32] = &[n::__NR_io_uring_setup, n::__NR_io_uring_enter, n::__NR_io_uring_register];

pub(super) const CLONE: u32 = n::__NR_clone;
pub(super) const CLONE3: u32 = n::__NR_clone3;
pub(super) const SOCKET: u32 = n::__NR_socket;
pub(super) const PERSONALITY: u32 = n::__NR_personality;

/// The calls that a command is kept from, or has less of, where it has no namespaces.
pub(super) struct InChroot {
    pub(super) chroot: u32,
    pub(super) kill: u32,
    pub(super) limits: u32,
    pub(super) socket: u32,
    /// One whose arguments lie in memory.
    pub(super) any_socket: Option<u32>,
    /// Those that reach into other processes.
    pub(super) memory: [u32; 3],
    /// Those that tell of mounts.
    pub(super) mounts: [u32; 2],
}

pub(super) const IN_CHROOT: InChroot = InChroot {
    chroot: n::__NR_chroot,
    kill: n::__NR_kill,
    limits: n::__NR_prlimit64,
    socket: n::__NR_socket,
    any_socket: None,
    memory: [n::__NR_ptrace, n::__NR_process_vm_readv, n::__NR_process_vm_writev],
    mounts: [n::__NR_statmount, n::__NR_listmount],
};

/// The same of the 32-bit forerunner.
#[cfg(target_arch = "x86_64")]
pub(super) const IN_CHROOT_OF_FORERUNNER: InChroot = InChroot {
    chroot: 61,
    kill: 37,
    limits: 340,
    socket: 359,
    any_socket: Some(102),
    memory: [26, 347, 348],
    mounts: [457, 458],
};

/// The calls for programs of the 32-bit forerunner of x86-64, as ranges of numbers, both ends included.
#[cfg(target_arch = "x86_64")]
pub(super) mod i386 {
    #[rustfmt::skip]
    pub(in super::super) const ALLOWED: &[(u32, u32)] = &[
        (0, 16), (19, 20), (23, 24), (26, 27), (29, 30), (33, 33), (37, 43), (45, 47), (49, 50), (54, 55),
        (57, 57), (60, 61), (63, 66), (70, 71), (75, 78), (80, 83), (85, 85), (90, 97), (99, 100), (102, 102),
        (104, 108), (114, 114), (116, 117), (119, 119), (122, 126), (132, 133), (138, 147), (150, 165),
        (168, 168), (170, 187), (190, 216), (218, 221), (224, 250), (252, 252), (254, 263), (265, 272),
        (277, 282), (284, 284), (289, 293), (295, 309), (311, 313), (315, 316), (318, 335), (337, 337),
        (339, 341), (343, 343), (345, 345), (347, 348), (351, 356), (358, 358), (360, 373), (375, 386),
        (393, 403), (405, 414), (416, 424), (434, 434), (436, 437), (439, 439), (441, 441), (444, 449),
        (451, 458), (462, 466),
    ];
    pub(in super::super) const SYNCS: &[u32] = &[118, 148, 36, 344, 314];
    pub(in super::super) const CLONE: u32 = 120;
    pub(in super::super) const CLONE3: u32 = 435;
    pub(in super::super) const SOCKET: u32 = 359;
    pub(in super::super) const PERSONALITY: u32 = 136;
}
