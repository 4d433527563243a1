// What a program does that a shell cannot.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void say(const char *what, long is) { printf("%s: %s\n", what, is >= 0 ? "done" : "refused"); }

// Makes a file of another owner, and tells of it.
static void own(const char *path, int user, int group)
{
	struct stat status;
	int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0640);
	if (file < 0 || fchown(file, user, group) || close(file) || stat(path, &status))
		perror(path), exit(1);
	printf("%s %o %d:%d\n", path, status.st_mode & 07777, status.st_uid, status.st_gid);
	fflush(stdout);
}

// As agents are that keep keys: nobody may look into it, and so it is with its children.
static void hidden(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	own("/hidden", 5, 6);
	if (fork() == 0) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		own("/hidden-child", 1000, 1001);
		if (setresgid(7, 7, 7) || setresuid(8, 8, 8))
			perror("set"), exit(1);
		printf("%d %d\n", getuid(), getegid());
		exit(0);
	}
	wait(NULL);
}

// Forks twice and goes on in a session of its own: the first process waits for what it makes.
static void daemonised(void)
{
	int ready[2];
	char byte;
	if (pipe(ready))
		exit(1);
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			close(ready[0]);
			close(0);
			own("/daemon", 9, 10);
			for (int number = 1; number < 65; number++)
				signal(number, SIG_IGN);
			if (write(ready[1], "x", 1) != 1)
				exit(1);
			for (;;)
				pause();
		}
		exit(0);
	}
	wait(NULL);
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
}

// A program that would take a ring if it could, and does without.
static void ring(void)
{
	char parameters[120] = {0}, text[8] = {0};
	int file = open("/etc/passwd", O_RDONLY);
	long made = syscall(425, 4, parameters);
	say("ring", made);
	say("read", made >= 0 ? -1 : read(file, text, 4));
	puts(text);
}

static void syncs(void)
{
	// Of a descriptor that is none: nobody looks.
	say("fsync", fsync(99));
	say("fdatasync", fdatasync(99));
	say("syncfs", syncfs(99));
	sync();
}

static void descriptors(void)
{
	for (int number = 3; number < 4096; number++)
		if (fcntl(number, F_GETFD) >= 0)
			printf("%d is open\n", number);
}

// What leads out of a sandbox, or into another.
static void outside(void)
{
	say("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	say("bind", mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL));
	say("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	say("unmount", umount2("/", MNT_DETACH));
	say("fsopen", syscall(430, "tmpfs", 0));
	say("open_tree", syscall(428, AT_FDCWD, "/", 1));
	say("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
	say("user namespace", unshare(CLONE_NEWUSER));
	say("mount namespace", unshare(CLONE_NEWNS));
	say("namespace of another", syscall(SYS_setns, 0, 0));
	say("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	say("keys", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
	say("bpf", syscall(SYS_bpf, 0, 0, 0));
	say("performance", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
	say("module", syscall(SYS_init_module, "", 0, ""));
	say("restart", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
	say("by handle", syscall(SYS_open_by_handle_at, AT_FDCWD, "", 0));
	say("clock", syscall(SYS_settimeofday, "0123456789012345", 0));
}

// Whatever process there is: none but the shell that waits for this one may be looked into.
static void reach(void)
{
	char bytes[8], path[64];
	struct iovec to = {bytes, 8}, from = {(void *)&bytes, 8};
	int reached = 0, own = getpid();
	for (int number = 1; number < own + 100; number++) {
		// The oldest processes of the machine, and the latest, of which the build is one.
		if (number == 1000 && own > 30000)
			number = own - 20000;
		if (number == own || number == getppid())
			continue;
		if (process_vm_readv(number, &to, 1, &from, 1, 0) > 0)
			reached++;
		if (ptrace(PTRACE_SEIZE, number, 0, 0) == 0)
			reached++, ptrace(PTRACE_DETACH, number, 0, 0);
		for (int which = 0; which < 3; which++) {
			const char *names[] = {"mem", "environ", "root/etc/passwd"};
			snprintf(path, sizeof path, "/proc/%d/%s", number, names[which]);
			int file = open(path, O_RDONLY);
			if (file >= 0 && read(file, bytes, 1) > 0)
				reached++, printf("%s is read\n", path);
			if (file >= 0)
				close(file);
		}
	}
	printf("reached: %d\n", reached);
}

static void abstract(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char own[100];
	snprintf(own, sizeof own, "%s-own", name);
	int listening = socket(AF_UNIX, SOCK_STREAM, 0);
	const char *names[] = {own, name};
	for (int which = 0; which < 2; which++) {
		strcpy(address.sun_path + 1, names[which]);
		int length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(names[which]);
		if (which == 0 && (bind(listening, (void *)&address, length) || listen(listening, 1)))
			perror("bind"), exit(1);
		say(which ? "of another" : "its own", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, length));
	}
}

// Starts a program for which another listens, as some sandboxes do: the kernel gives a process no second listener.
static void listened(char **words)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog filter = {1, &allow};
	// Who may not mount has to give something up for a filter.
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
	if (listener < 0 || fcntl(listener, F_SETFD, 0))
		perror("seccomp"), exit(99);
	execvp(words[0], words);
	exit(98);
}

int main(int count, char **words)
{
	const char *what = words[1], *more = count > 2 ? words[2] : "";
	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strcmp(what, "hidden"))
		hidden();
	else if (!strcmp(what, "daemon"))
		daemonised();
	else if (!strcmp(what, "ring"))
		ring();
	else if (!strcmp(what, "syncs"))
		syncs();
	else if (!strcmp(what, "descriptors"))
		descriptors();
	else if (!strcmp(what, "outside"))
		outside();
	else if (!strcmp(what, "reach"))
		reach();
	else if (!strcmp(what, "abstract"))
		abstract(more);
	else if (!strcmp(what, "listened"))
		listened(words + 2);
	else if (!strcmp(what, "attribute"))
		say("attribute", setxattr(more, "user.own", "x", 1, 0));
	else if (!strcmp(what, "kill"))
		say("kill", kill(atoi(more), SIGKILL));
	else
		return 1;
	return 0;
}
