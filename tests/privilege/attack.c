/* Ways into another process of the same user: attack PID prints the ones that are refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *gap = "";

static void refused(const char *way, long result) {
    if (result >= 0 || (errno != EPERM && errno != EACCES)) return;
    printf("%s%s", gap, way);
    gap = " ";
}

int main(int argc, char **argv) {
    static char byte, path[64];
    pid_t pid = argc > 1 ? atoi(argv[1]) : 0;
    /* The address may be wrong there: the right to use it is checked first. */
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    refused("ptrace", ptrace(PTRACE_SEIZE, pid, 0, 0));
    refused("process_vm_readv", process_vm_readv(pid, &here, 1, &there, 1, 0));
    refused("process_vm_writev", process_vm_writev(pid, &here, 1, &there, 1, 0));
    refused("pidfd_getfd", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), 0, 0));
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    refused("mem", open(path, O_RDWR));
    puts("");
    return 0;
}
