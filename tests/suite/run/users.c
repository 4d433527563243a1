/* Does what the lines of a file say, each as a user of its own, and writes what became of it.
 * A line is: user group groups operation arguments; groups are separated by commas, or "-". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char *word[16];
static int words;
/* What some operations are done to: a process of the user that is their first argument. */
static pid_t other;

static int is(const char *name) { return strcmp(word[3], name) == 0; }

static long number(int place) { return place < words ? strtol(word[place], NULL, 0) : 0; }

static int opened(int descriptor) {
    if (descriptor < 0) return -1;
    close(descriptor);
    return 0;
}

/* A list as its attribute has it: entries of tag:permissions:id. */
static int set_list(const char *path, const char *name, int place) {
    struct stat status;
    if (stat(path, &status) < 0) return -1;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return 0;
    unsigned char list[256] = {2, 0, 0, 0};
    int length = 4;
    for (; place < words; place++, length += 8) {
        unsigned tag = 0, may = 0, id = 0;
        sscanf(word[place], "%x:%o:%u", &tag, &may, &id);
        if (tag == 1 || tag == 4 || tag == 0x10 || tag == 0x20) id = 0xffffffff;
        list[length] = tag, list[length + 2] = may;
        memcpy(list + length + 4, &id, 4);
    }
    return setxattr(path, name, list, length, 0);
}

static int tell_list(const char *path, const char *name) {
    unsigned char list[256];
    int length = getxattr(path, name, list, sizeof list);
    if (length < 0) return -1;
    for (int at = 4; at < length; at += 8) {
        unsigned id;
        memcpy(&id, list + at + 4, 4);
        printf("%x:%o:%d ", list[at], list[at + 2], (int)id);
    }
    return 0;
}

static int tell(const char *path, int follows) {
    struct stat status;
    if ((follows ? stat(path, &status) : lstat(path, &status)) < 0) return -1;
    printf("%o %u:%u ", status.st_mode, status.st_uid, status.st_gid);
    return 0;
}

static int names(const char *path) {
    char list[1024];
    int length = listxattr(path, list, sizeof list);
    if (length < 0) return -1;
    /* The order is the file system's. */
    int count = 0;
    for (int at = 0; at < length; at += strlen(list + at) + 1)
        if (strncmp(list + at, "security.", 9) != 0) count++;
    printf("%d ", count);
    return 0;
}

static int times(const char *path, int flags, const char *how) {
    struct timespec two[2] = {{1000000000, 0}, {1000000000, 0}};
    if (strcmp(how, "now") == 0) return utimensat(AT_FDCWD, path, NULL, flags);
    if (strcmp(how, "both") == 0) two[0].tv_nsec = two[1].tv_nsec = UTIME_NOW;
    if (strcmp(how, "one") == 0) two[0].tv_nsec = UTIME_NOW, two[1].tv_nsec = UTIME_OMIT;
    if (strcmp(how, "none") == 0) two[0].tv_nsec = two[1].tv_nsec = UTIME_OMIT;
    return utimensat(AT_FDCWD, path, two, flags);
}

static int by_descriptor(const char *path, const char *what) {
    int descriptor = open(path, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) return -1;
    if (strcmp(what, "chmod") == 0) return fchmod(descriptor, number(6));
    if (strcmp(what, "chown") == 0) return fchown(descriptor, number(6), number(7));
    if (strcmp(what, "chdir") == 0) return fchdir(descriptor);
    if (strcmp(what, "times") == 0) {
        struct timespec two[2] = {{1000000000, 0}, {1000000000, 0}};
        return futimens(descriptor, number(6) ? two : NULL);
    }
    if (strcmp(what, "attribute") == 0) return fsetxattr(descriptor, "user.x", "y", 1, 0);
    if (strcmp(what, "openat") == 0) return opened(openat(descriptor, word[6], number(7) | O_NONBLOCK, 0644));
    if (strcmp(what, "unlinkat") == 0) return unlinkat(descriptor, word[6], number(7));
    errno = ENOSYS;
    return -1;
}

static int done(void) {
    const char *path = word[4];
    if (is("open")) return opened(open(path, number(5) | O_NONBLOCK, number(6)));
    if (is("mkdir")) return mkdir(path, number(5));
    if (is("mkfifo")) return mkfifo(path, number(5));
    if (is("mknod")) return mknod(path, number(5), number(6));
    if (is("symlink")) return symlink(word[5], path);
    if (is("link")) return link(path, word[5]);
    if (is("linkat")) return linkat(AT_FDCWD, path, AT_FDCWD, word[5], number(6));
    if (is("unlink")) return unlink(path);
    if (is("rmdir")) return rmdir(path);
    if (is("rename")) return rename(path, word[5]);
    if (is("renameat2")) return syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, word[5], number(6));
    if (is("chmod")) return chmod(path, number(5));
    if (is("chown")) return chown(path, number(5), number(6));
    if (is("lchown")) return lchown(path, number(5), number(6));
    if (is("times")) return times(path, 0, word[5]);
    if (is("ltimes")) return times(path, AT_SYMLINK_NOFOLLOW, word[5]);
    if (is("truncate")) return truncate(path, number(5));
    if (is("stat")) return tell(path, 1);
    if (is("lstat")) return tell(path, 0);
    if (is("readlink")) {
        char text[256];
        return readlink(path, text, sizeof text) < 0 ? -1 : 0;
    }
    if (is("access")) return access(path, number(5));
    if (is("eaccess")) return syscall(SYS_faccessat2, AT_FDCWD, path, number(5), AT_EACCESS);
    if (is("chdir")) return chdir(path) < 0 ? -1 : words > 5 ? opened(open(word[5], O_RDONLY | O_NONBLOCK)) : 0;
    if (is("open-in")) return by_descriptor(path, word[5]);
    if (is("exec")) return execl(path, path, (char *)NULL);
    if (is("get")) return getxattr(path, "user.x", NULL, 0) < 0 ? -1 : 0;
    if (is("set")) return setxattr(path, "user.x", "y", 1, 0);
    if (is("remove")) return removexattr(path, "user.x");
    if (is("names")) return names(path);
    if (is("capability")) {
        struct stat status;
        if (stat(path, &status) < 0) return -1;
        if (!S_ISREG(status.st_mode)) return 0;
        static const unsigned char value[20] = {0, 0, 0, 2, 0, 4};
        return setxattr(path, "security.capability", value, sizeof value, 0);
    }
    if (is("set-list")) return set_list(path, "system.posix_acl_access", 5);
    if (is("set-default")) return set_list(path, "system.posix_acl_default", 5);
    if (is("remove-list")) return removexattr(path, "system.posix_acl_access");
    if (is("remove-default")) return removexattr(path, "system.posix_acl_default");
    if (is("list")) return tell_list(path, "system.posix_acl_access");
    if (is("default")) return tell_list(path, "system.posix_acl_default");
    if (is("kill")) return kill(other, number(5));
    if (is("pidfd")) return syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, other, 0), number(5), NULL, 0);
    if (is("trace")) return ptrace(PTRACE_SEIZE, other, NULL, NULL);
    if (is("nice")) return setpriority(PRIO_PROCESS, other, 5);
    if (is("limit")) {
        struct rlimit limit;
        return syscall(SYS_prlimit64, other, RLIMIT_CORE, NULL, &limit) < 0 ? -1 : 0;
    }
    if (is("memory")) {
        char byte;
        struct iovec own = {&byte, 1}, its = {word, 1};
        return process_vm_readv(other, &own, 1, &its, 1, 0) < 0 ? -1 : 0;
    }
    errno = ENOSYS;
    return -1;
}

/* Starts this program again, for what follows in the line, without a capability, or as a user with it alone. */
static int start_again(int has) {
    unsigned capability = number(4);
    if (has) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct sets[2] = {{1u << capability, 1u << capability, 1u << capability}};
        if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresuid(1000, 1000, 1000) < 0) return -1;
        if (syscall(SYS_capset, &header, sets) < 0) return -1;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) return -1;
    } else if (prctl(PR_CAPBSET_DROP, capability) < 0) {
        return -1;
    }
    char *arguments[20] = {"/users", "-"};
    for (int at = 5; at < words; at++) arguments[at - 3] = word[at];
    fflush(stdout);
    return execv("/users", arguments);
}

static int finish(int result) {
    printf("%s\n", result < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
    _exit(0);
}

static void become(const char *user, const char *group, const char *groups) {
    gid_t all[16];
    int count = 0;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", groups);
    for (char *one = strtok(copy, ",-"); one; one = strtok(NULL, ",-")) all[count++] = atoi(one);
    if (setgroups(count, all) < 0 || setresgid(atoi(group), atoi(group), atoi(group)) < 0) perror("groups"), exit(1);
    /* With a plus it is that user for files alone, and with a slash for all but what it really is. */
    const char *slash = strchr(user, '/');
    if (user[0] == '+') setfsuid(atoi(user + 1));
    else if (setresuid(slash ? atoi(slash + 1) : atoi(user), atoi(user), -1) < 0) perror("user"), exit(1);
}

int main(int count, char **arguments) {
    if (count < 2) return 0;
    if (strcmp(arguments[1], "-") == 0) {
        for (words = 3; words - 1 < count && words < 16; words++) word[words] = arguments[words - 1];
        finish(done());
    }
    FILE *lines = fopen(arguments[1], "r");
    char line[1024];
    if (!lines) return perror(arguments[1]), 1;
    umask(022);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    for (int at = 1; fgets(line, sizeof line, lines); at++) {
        words = 0;
        for (char *one = strtok(line, " \n"); one && words < 16; one = strtok(NULL, " \n")) word[words++] = one;
        if (words < 4) continue;
        printf("%d ", at);
        fflush(stdout);
        other = 0;
        if (is("kill") || is("pidfd") || is("trace") || is("nice") || is("limit") || is("memory")) {
            int ready[2];
            char byte;
            if (pipe(ready) < 0) return 1;
            other = fork();
            if (other == 0) {
                become(word[4], word[4], "-");
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                prctl(PR_SET_DUMPABLE, 1);
                if (write(ready[1], "", 1) != 1) exit(1);
                for (;;) pause();
            }
            if (read(ready[0], &byte, 1) != 1) return 1;
            close(ready[0]), close(ready[1]);
        }
        pid_t child = fork();
        if (child == 0) {
            become(word[0], word[1], word[2]);
            finish(is("with") ? start_again(1) : is("without") ? start_again(0) : done());
        }
        int status;
        waitpid(child, &status, 0);
        if (other) kill(other, SIGKILL), waitpid(other, NULL, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status)) printf("ended %x\n", status);
        fflush(stdout);
    }
    return 0;
}
