/* Targets of the attacks: target wait DIR | vfork | daemon UID,
   or noring, nocapset, nocapget, noprctl COMMAND..., which run it without a system call */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAIR_BYTES = 100 << 20, PAIR_SECONDS = 20 };

/* Waits in a directory that others cannot reach. */
static int wait_in(const char *dir) {
    if (chdir(dir)) return 1;
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

/* Runs a command without a system call. */
static int without(int call, char **command) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    /* Without CAP_SYS_ADMIN a filter needs it. */
    if (geteuid() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 1;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 1;
    execvp(command[0], command);
    return 2;
}

/* Two processes with one address space. */
static int pair(void) {
    char *memory = mmap(0, PAIR_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, PAIR_BYTES);
    if (!vfork()) {
        if (write(1, "ready\n", 6) != 6) _exit(1);
        for (int second = 0; second < PAIR_SECONDS; second++) sleep(1);
        _exit(0);
    }
    return 0;
}

/* A daemon of root that acts as a user, and lets itself be dumped. */
static int act_as(int uid) {
    if (setegid(uid) || seteuid(uid) || prctl(PR_SET_DUMPABLE, 1)) return 1;
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "wait")) return wait_in(argv[2]);
    if (argc > 2 && !strcmp(argv[1], "noring")) return without(SYS_io_uring_setup, argv + 2);
    if (argc > 2 && !strcmp(argv[1], "nocapset")) return without(SYS_capset, argv + 2);
    if (argc > 2 && !strcmp(argv[1], "nocapget")) return without(SYS_capget, argv + 2);
    if (argc > 2 && !strcmp(argv[1], "noprctl")) return without(SYS_prctl, argv + 2);
    if (argc == 2 && !strcmp(argv[1], "vfork")) return pair();
    if (argc == 3 && !strcmp(argv[1], "daemon")) return act_as(atoi(argv[2]));
    return 2;
}
