/* The steps of `zoo.c`: they map memory, touch it, and fork. Each ends the process with the reason
   if the host has no such memory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers that older headers lack. */
enum { SYS_SECRET = 447, SYS_URING_SETUP = 425, DROPPABLE = 8, GUARD_INSTALL = 102 };
enum { WP_SHMEM = 1 << 12, WP_UNPOPULATED = 1 << 13, POISON = 1 << 14 };
struct poison { struct uffdio_range range; uint64_t mode; int64_t updated; };

enum { CHILDREN_MAX = 63 };
static const size_t page = 4096, mib = 1 << 20, huge_page = 2 << 20;
static size_t size;
static int children_wanted, children[CHILDREN_MAX], children_count, ready_pipe = -1;

/* Ends with the reason that the host has no such memory. */
static void lack(const char *reason) {
    printf("cannot %s\n", reason);
    fflush(stdout);
    exit(3);
}

static void cannot(const char *action) {
    char reason[128];
    snprintf(reason, sizeof reason, "%s: %s", action, strerror(errno));
    lack(reason);
}

static char *map(size_t len, int flags, int fd) {
    char *start = mmap(0, len, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (start == MAP_FAILED) cannot("mmap");
    return start;
}

/* Private memory in pages of the smallest size. */
static char *map_small(size_t len) {
    char *start = map(len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    madvise(start, len, MADV_NOHUGEPAGE);
    return start;
}

/* Private memory that begins at a boundary of a huge page and asks for huge pages. */
static char *map_huge(size_t len) {
    char *start = map(len + huge_page, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    size_t before = -(uintptr_t)start % huge_page;
    if (before) munmap(start, before);
    munmap(start + before + len, huge_page - before);
    if (madvise(start + before, len, MADV_HUGEPAGE)) cannot("MADV_HUGEPAGE");
    return start + before;
}

static int make_memfd(void) {
    int fd = memfd_create("zoo", 0);
    if (fd < 0 || ftruncate(fd, size)) cannot("memfd_create");
    return fd;
}

/* Writes to every page, each with a content of its own: neither KSM nor zswap finds equal pages. */
static void write_pages(char *start, size_t len) {
    for (size_t at = 0; at < len; at += page) {
        uint64_t *words = (uint64_t *)(start + at);
        words[0] = (uintptr_t)words + getpid() * 7919UL;
        words[1] = at * 2654435761UL;
    }
}

/* Writes one byte at a place in each huge page. */
static void write_each(char *start, size_t place) {
    for (size_t at = 0; at < size; at += huge_page) start[at + place] = 9;
}

static void read_pages(const volatile char *start, size_t len) {
    for (size_t at = 0; at < len; at += page) (void)start[at];
}

/* Forks. Returns 1 in the child, which ends in `stay`; returns 0 in the parent after that. */
static int in_child(void) {
    int ends[2];
    char byte;
    if (children_count == CHILDREN_MAX || pipe(ends)) cannot("pipe");
    int child = fork();
    if (child < 0) cannot("fork");
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        ready_pipe = ends[1];
        return 1;
    }
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 1) cannot("a child");
    close(ends[0]);
    children[children_count++] = child;
    return 0;
}

/* The end of a child: it reports and keeps its memory. */
static void stay(void) {
    if (ready_pipe >= 0 && write(ready_pipe, "x", 1) != 1) exit(3);
    for (;;) pause();
}

/* Pushes pages out until swap has most of them. Each call takes the pages that are idle. */
static void page_out(char *start, size_t len) {
    for (int call = 0; call < 5; call++)
        if (madvise(start, len, MADV_PAGEOUT)) cannot("MADV_PAGEOUT");
}

/* An unlinked file of this size in the working directory, on disk. */
static int make_file(void) {
    char name[32], *block = malloc(mib);
    snprintf(name, sizeof name, "zoo.%d", getpid());
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || unlink(name)) cannot("a file in the working directory");
    for (size_t at = 0; at < size; at += mib) {
        memset(block, 1 + at / mib, mib);
        if (write(fd, block, mib) != (ssize_t)mib) cannot("write");
    }
    if (fsync(fd)) cannot("fsync");
    free(block);
    return fd;
}

/* Hands a range to userfaultfd(2), whose descriptor stays open. */
static int watch(char *start, size_t len, int mode, uint64_t features) {
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    struct uffdio_register range = {{(uintptr_t)start, len}, mode, 0};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api)) cannot("userfaultfd");
    if (ioctl(fd, UFFDIO_REGISTER, &range)) cannot("UFFDIO_REGISTER");
    return fd;
}

static void protect(int fd, char *start, size_t len) {
    struct uffdio_writeprotect range = {{(uintptr_t)start, len}, UFFDIO_WRITEPROTECT_MODE_WP};
    if (ioctl(fd, UFFDIO_WRITEPROTECT, &range)) cannot("UFFDIO_WRITEPROTECT");
}
