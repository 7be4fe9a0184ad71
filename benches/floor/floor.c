/* The floor: the walls of `rustic run` by default, made by the same calls in the same order, and nothing else. No plan, no warden, no
 * readiness, nothing is read back, no error has a word: it is what the kernel takes for a container, and what a start of rustic's is
 * compared with. tests/it/tidy/floor.rs compares the calls of both.
 *
 * usage: floor TREE FILTER new|shared CMD [ARG...]
 *   TREE        the unpacked image, as the lower directory of the root
 *   FILTER      a file with the seccomp program, struct sock_filter one after another
 *   new|shared  the network namespace
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* What not every libc has the name of: mount_setattr(2), fsopen(2), open_tree(2), move_mount(2), keyctl(2), seccomp(2), capset(2). */
enum { RDONLY = 1, NOSUID = 2, NODEV = 4, NOEXEC = 8 };
enum { SET_STRING = 1, CMD_CREATE = 6, CLOEXEC = 1, FROM_EMPTY = 4, TO_EMPTY = 0x40, TREE_CLONE = 1 };
enum { RECURSIVE = 0x8000, EMPTY = 0x1000 };
enum { LAST_RIGHT = 40 /* CAP_CHECKPOINT_RESTORE */ };
struct attributes { uint64_t set, clear, propagation, user_namespace; };
struct filter { unsigned short length; const void *program; };
struct clone { uint64_t flags, pidfd, child, parent, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; };

/* Every call must succeed, but for what a kernel may lack. */
static long must(long result) {
    if (result < 0) { perror("floor"); _exit(125); }
    return result;
}
#define CALL(name, ...) syscall(SYS_##name, __VA_ARGS__)

static void restrict_tree(int tree, uint64_t set, uint64_t clear, int flags) {
    struct attributes attributes = {set, clear, 0, 0};
    must(CALL(mount_setattr, tree, "", EMPTY | flags, &attributes, sizeof attributes));
}

static void attach(int mount, int target) {
    must(CALL(move_mount, mount, "", target, "", FROM_EMPTY | TO_EMPTY));
}

static int copy(int directory, const char *name) {
    return must(CALL(open_tree, directory, name, TREE_CLONE | O_CLOEXEC | EMPTY | RECURSIVE));
}

static int at(int directory, const char *path) {
    return must(openat(directory, path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

static void attach_at(int mount, int directory, const char *path) {
    int target = at(directory, path);
    attach(mount, target);
    close(target);
}

/* A new file system, detached: pairs of option and value, up to NULL. */
static int fs(const char *type, int attributes, ...) {
    int context = must(CALL(fsopen, type, CLOEXEC));
    must(CALL(fsconfig, context, SET_STRING, "source", type, 0));
    va_list options;
    va_start(options, attributes);
    for (const char *key; (key = va_arg(options, const char *));)
        must(CALL(fsconfig, context, SET_STRING, key, va_arg(options, const char *), 0));
    va_end(options);
    must(CALL(fsconfig, context, CMD_CREATE, NULL, NULL, 0));
    int mount = must(CALL(fsmount, context, CLOEXEC, attributes));
    close(context);
    return mount;
}

static void put(int directory, const char *path, const char *text) {
    int file = must(openat(directory, path, O_WRONLY | O_CLOEXEC));
    must(write(file, text, strlen(text)));
    close(file);
}

static void replace(int directory, const char *name, const char *text) {
    must(unlinkat(directory, name, 0));
    int file = must(openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    must(write(file, text, strlen(text)));
    close(file);
}

static void loopback_up(void) {
    int any = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    struct ifreq request = {.ifr_name = "lo"};
    must(ioctl(any, SIOCGIFFLAGS, &request));
    request.ifr_flags |= IFF_UP;
    must(ioctl(any, SIOCSIFFLAGS, &request));
    close(any);
}

/* The network namespace, while the child makes its mounts. */
static void make_network(int wire) {
    int before = must(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    must(unshare(CLONE_NEWNET));
    loopback_up();
    int network = must(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    must(setns(before, CLONE_NEWNET));
    char byte = 0;
    struct iovec bytes = {&byte, 1};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &network, sizeof network);
    must(sendmsg(wire, &message, 0));
}

static void join_network(int wire) {
    char byte;
    int network;
    struct iovec bytes = {&byte, 1};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    must(recvmsg(wire, &message, MSG_CMSG_CLOEXEC));
    memcpy(&network, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof network);
    must(setns(network, CLONE_NEWNET));
    close(network);
}

static const char *const masked[] = {"acpi", "driver", "interrupts", "kallsyms", "kcore", "keys", "kpagecgroup", "kpagecount", "kpageflags",
    "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats", "vmallocinfo", "vmcore"};
static const char *const directories[] = {"acpi", "driver", "scsi"};

static int is_among(const char *const *list, size_t count, const char *name) {
    for (size_t n = 0; n < count; n++)
        if (!strcmp(list[n], name)) return 1;
    return 0;
}
#define COUNT(list) (sizeof list / sizeof *list)

static void hide_kernel_files(int proc, int sys, int file, int directory) {
    must(fchdir(proc));
    const char *first_file = NULL, *first_directory = NULL;
    for (size_t n = 0; n < COUNT(masked); n++) {
        int is_directory = is_among(directories, COUNT(directories), masked[n]);
        const char **first = is_directory ? &first_directory : &first_file;
        if (*first) {
            mount(*first, masked[n], NULL, MS_BIND | MS_REC, NULL);
            continue;
        }
        int target = openat(proc, masked[n], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (target < 0) continue;
        attach(is_directory ? directory : file, target);
        close(target);
        *first = masked[n];
    }
    DIR *entries = fdopendir(must(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') break;
        int can_be_changed = entry->d_type == DT_DIR || entry->d_type == DT_REG;
        if (can_be_changed && entry->d_name[0] != '.' && !is_among(masked, COUNT(masked), entry->d_name))
            must(mount(entry->d_name, entry->d_name, NULL, MS_BIND | MS_REC, NULL));
    }
    closedir(entries);
    restrict_tree(proc, RDONLY | NOSUID | NODEV | NOEXEC, 0, RECURSIVE);
    restrict_tree(proc, 0, RDONLY, 0);
    must(fchdir(sys));
    int mask = copy(directory, "");
    attach_at(mask, sys, "dev/block");
    close(mask);
    mount("dev/block", "devices/virtual/powercap", NULL, MS_BIND | MS_REC, NULL);
    mount("dev/block", "firmware", NULL, MS_BIND | MS_REC, NULL);
    mount("dev/block", "fs/selinux", NULL, MS_BIND | MS_REC, NULL);
}

static int make_root(const char *tree, int *base, int *scratch) {
    *base = must(open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct attributes private = {0, 0, MS_PRIVATE, 0};
    must(CALL(mount_setattr, AT_FDCWD, "/", RECURSIVE, &private, sizeof private));
    *scratch = fs("tmpfs", NOSUID | NODEV, "mode", "0755", "size", "536870912", "nr_inodes", "131072", NULL);
    attach(*scratch, *base);
    must(mkdirat(*scratch, "upper", 0755));
    must(mkdirat(*scratch, "work", 0755));
    int upper = at(*scratch, "upper"), work = at(*scratch, "work");
    char lower_path[32], upper_path[32], work_path[32];
    snprintf(lower_path, sizeof lower_path, "/proc/self/fd/%d", *base);
    snprintf(upper_path, sizeof upper_path, "/proc/self/fd/%d", upper);
    snprintf(work_path, sizeof work_path, "/proc/self/fd/%d", work);
    return fs("overlay", NOSUID | NODEV, "lowerdir", lower_path, "upperdir", upper_path, "workdir", work_path, NULL);
}

static void fill_dev(int dev, int pts, int shm, int queues, int root) {
    static const struct { const char *name; unsigned major, minor; } nodes[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const struct { const char *to, *name; } links[] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
        {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}};
    attach_at(dev, root, "dev");
    for (size_t n = 0; n < COUNT(nodes); n++)
        must(mknodat(dev, nodes[n].name, S_IFCHR | 0666, makedev(nodes[n].major, nodes[n].minor)));
    for (size_t n = 0; n < COUNT(links); n++) must(symlinkat(links[n].to, dev, links[n].name));
    const char *const names[] = {"pts", "shm", "mqueue"};
    const int mounts[] = {pts, shm, queues};
    for (size_t n = 0; n < COUNT(names); n++) {
        must(mkdirat(dev, names[n], 0755));
        attach_at(mounts[n], dev, names[n]);
    }
}

/* The rights of the host's that the container lacks, and none but podman's eleven in the other sets. */
static void drop_rights(void) {
    const uint32_t kept = 0x800405fb;
    for (int right = 0; right <= LAST_RIGHT; right++)
        if ((right > 31 || !(kept >> right & 1)) && prctl(PR_CAPBSET_READ, right) == 1) must(prctl(PR_CAPBSET_DROP, right));
    gid_t none[1];
    must(CALL(setgroups, 0, none));
    must(CALL(setresgid, 0, 0, 0));
    must(CALL(setresuid, 0, 0, 0));
    must(prctl(PR_CAP_AMBIENT, 4 /* PR_CAP_AMBIENT_CLEAR_ALL */, 0, 0, 0));
    struct { uint32_t version; int pid; } header = {0x20080522, 0};
    uint32_t sets[6] = {kept, kept};
    must(CALL(capset, &header, sets));
    must(prctl(PR_SET_PDEATHSIG, SIGKILL));
    must(chdir("/"));
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void become(char **argv, int wire) {
    static char program[65536];
    int base, scratch, new_network = !strcmp(argv[3], "new");
    struct filter filter = {must(read(must(open(argv[2], O_RDONLY | O_CLOEXEC)), program, sizeof program)) / 8, program};
    must(prctl(PR_SET_PDEATHSIG, SIGKILL));
    umask(0);
    must(setsid());
    must(personality(0));
    int root = make_root(argv[1], &base, &scratch);
    int proc = fs("proc", NOSUID | NODEV | NOEXEC, NULL);
    int dev = fs("tmpfs", NOSUID | NOEXEC, "mode", "0755", "size", "65536", "nr_inodes", "1024", NULL);
    int pts = fs("devpts", NOSUID | NOEXEC, "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL);
    int shm = fs("tmpfs", NOSUID | NODEV | NOEXEC, "mode", "1777", "size", "67108864", "nr_inodes", "16384", NULL);
    int queues = fs("mqueue", NOSUID | NODEV | NOEXEC, NULL);
    if (new_network) join_network(wire);
    int sys = fs("sysfs", RDONLY | NOSUID | NODEV | NOEXEC, NULL);
    close(must(openat(scratch, "masked-file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444)));
    must(mkdirat(scratch, "masked-directory", 0555));
    int file = copy(scratch, "masked-file");
    restrict_tree(file, RDONLY | NOSUID | NODEV | NOEXEC, 0, RECURSIVE);
    int directory = copy(scratch, "masked-directory");
    restrict_tree(directory, RDONLY | NOSUID | NODEV | NOEXEC, 0, RECURSIVE);
    attach(root, base);
    must(fchdir(root));
    must(CALL(pivot_root, ".", "."));
    must(umount2(".", MNT_DETACH));
    must(chdir("/"));
    attach_at(proc, root, "proc");
    attach_at(sys, root, "sys");
    if (new_network) {
        put(proc, "sys/net/ipv4/ip_unprivileged_port_start", "0");
        put(proc, "sys/net/ipv4/ping_group_range", "0\t2147483647");
    }
    hide_kernel_files(proc, sys, file, directory);
    fill_dev(dev, pts, shm, queues, root);
    int etc = at(root, "etc");
    replace(etc, "hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\trustic\n");
    replace(etc, "hostname", "rustic\n");
    replace(etc, "resolv.conf", "# no name server: this network is a loopback\n");
    must(dup2(must(openat(dev, "null", O_RDONLY | O_CLOEXEC)), 0));
    must(sethostname("rustic", 6));
    must(CALL(keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL, 0, 0, 0));
    struct rlimit queue_bytes = {409600, 409600};
    must(setrlimit(RLIMIT_MSGQUEUE, &queue_bytes));
    must(CALL(close_range, 3, ~0u, 0));
    drop_rights();
    close(must(CALL(seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 8 /* SECCOMP_FILTER_FLAG_NEW_LISTENER */, &filter)));
    umask(022);
    char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "container=rustic", NULL};
    execvpe(argv[4], argv + 4, environment);
    _exit(127);
}

int main(int count, char **argv) {
    if (count < 5) return 2;
    int wires[2], new_network = !strcmp(argv[3], "new");
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wires));
    cpu_set_t all, others;
    must(sched_getaffinity(0, sizeof all, &all));
    struct clone flags = {.flags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID, .exit_signal = SIGCHLD};
    pid_t child = must(CALL(clone3, &flags, sizeof flags));
    if (!child) {
        must(sched_setaffinity(0, sizeof all, &all));
        become(argv, wires[1]);
    }
    if (new_network) {
        others = all;
        CPU_CLR(sched_getcpu(), &others);
        if (CPU_COUNT(&others)) must(sched_setaffinity(child, sizeof others, &others));
        make_network(wires[0]);
    }
    int status;
    must(waitpid(child, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
