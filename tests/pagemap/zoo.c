/* A process whose memory is of one kind, alone or with children: zoo KIND MIB [CHILDREN].

   Prints one line: `ready PID PID...` (the process, then its children) or `cannot REASON`. Then it
   waits for the end of its standard input. Children end with it. A static program shares no page
   of a library with other processes of the host.

   The kinds are in the table at the end, with the functions in the same order. `zoo remove ID`
   removes a segment of shared memory that a killed process left behind. */
#define _GNU_SOURCE
#include "memory.h"

enum { STEPS_MAX = 5000, STEP_US = 10000, BLOCK_MIB = 16 };

/* Pages of the host's size. */

static void anon(void) { write_pages(map_small(size), size); }

static void zero(void) { read_pages(map_small(size), size); }

/* The parent has all pages, each child has copies of a quarter. */
static void fork_shared(void) {
    char *start = map_small(size);
    write_pages(start, size);
    for (int n = 0; n < children_wanted; n++)
        if (in_child()) {
            write_pages(start, size / 4);
            stay();
        }
}

static void locked(void) {
    char *start = map_small(size);
    if (mlock(start, size)) cannot("mlock");
    write_pages(start, size / 2);
}

static void lazyfree(void) {
    char *start = map_small(size);
    write_pages(start, size);
    if (madvise(start, size / 2, MADV_FREE)) cannot("MADV_FREE");
    write_pages(start, size / 4);
}

static void droppable(void) { write_pages(map(size, DROPPABLE | MAP_ANONYMOUS, -1), size); }

static void guard(void) {
    char *start = map_small(size);
    write_pages(start, size);
    for (size_t at = 0; at < size; at += 16 * page)
        if (madvise(start + at, 4 * page, GUARD_INSTALL)) cannot("MADV_GUARD_INSTALL");
}

static void uffd_wp_anon(void) {
    char *start = map_small(size);
    write_pages(start, size / 2);
    protect(watch(start, size, UFFDIO_REGISTER_MODE_WP, WP_UNPOPULATED), start, size);
}

static void uffd_wp_shmem(void) {
    char *start = map(size, MAP_SHARED, make_memfd());
    write_pages(start, size / 2);
    protect(watch(start, size, UFFDIO_REGISTER_MODE_WP, WP_SHMEM), start, size);
}

static void uffd_poison(void) {
    char *start = map_small(size), *second = start + size / 2;
    write_pages(start, size / 2);
    int fd = watch(start, size, UFFDIO_REGISTER_MODE_MISSING, POISON);
    struct poison range = {{(uintptr_t)second, size / 4}, 0, 0};
    if (ioctl(fd, _IOWR(UFFDIO, 0x08, struct poison), &range)) cannot("UFFDIO_POISON");
}

static unsigned long number_in(const char *path) {
    char text[32] = "";
    int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) cannot(path);
    close(fd);
    return strtoul(text, 0, 10);
}

/* Pages with one of eight contents, which KSM merges before the fork. */
static void ksm(void) {
    /* A page of each content can stay without a partner. */
    size_t most = size / page - 8;
    char *start = map_small(size);
    if (number_in("/sys/kernel/mm/ksm/run") != 1) lack("KSM is off");
    for (size_t at = 0; at < size; at += page) memset(start + at, 1 + at / page % 8, page);
    if (madvise(start, size, MADV_MERGEABLE)) cannot("MADV_MERGEABLE");
    for (int step = 0; number_in("/proc/self/ksm_merging_pages") < most; step++) {
        if (step == STEPS_MAX) lack("KSM merges no pages");
        usleep(STEP_US);
    }
    if (in_child()) stay();
}

/* MIB thousands of mappings, every second one with a page. */
static void mappings(void) {
    size_t count = size / mib * 1000, len = count * page;
    char *start = mmap(0, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) cannot("mmap");
    madvise(start, len, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < len; at += 2 * page) {
        if (mprotect(start + at, page, PROT_READ | PROT_WRITE)) cannot("mprotect");
        start[at] = 1;
    }
}

/* MIB gibibytes of address space with 16,384 pages. */
static void sparse(void) {
    size_t len = size << 10;
    char *start = map_small(len);
    for (size_t at = 0; at < len; at += len / 1024)
        for (size_t n = 0; n < 16; n++) start[at + n * 37 * page] = 1;
}

/* Huge pages that the kernel makes of small ones. */

static char *write_thp(void) {
    char *start = map_huge(size);
    write_pages(start, size);
    return start;
}

static void thp(void) { write_thp(); }

static void huge_zero(void) { read_pages(map_huge(size), size); }

static void thp_unmapped(void) {
    char *start = write_thp();
    for (size_t at = 0; at < size; at += huge_page) munmap(start + at + mib, mib);
}

static void thp_hole(void) {
    char *start = write_thp();
    for (size_t at = 0; at < size; at += huge_page)
        madvise(start + at + 8 * page, page, MADV_DONTNEED);
}

static void thp_moved(void) {
    char *start = write_thp(), *to = map(size + page, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (mremap(start, mib, mib, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) cannot("mremap");
}

static void thp_fork(void) {
    write_thp();
    if (in_child()) stay();
}

/* The child copies the first page of each huge page. */
static void thp_cow_head(void) {
    char *start = write_thp();
    if (in_child()) {
        write_each(start, 0);
        stay();
    }
}

static void thp_cow_tail(void) {
    char *start = write_thp();
    if (in_child()) {
        write_each(start, 100 * page);
        stay();
    }
}

static void thp_cow_most(void) {
    char *start = write_thp();
    if (in_child()) {
        for (size_t n = 0; n < 500; n++) write_each(start, n * page);
        stay();
    }
}

/* Files. */

/* Half of the pages are copies of those of the file. */
static void file_private(void) {
    char *start = map(size, MAP_PRIVATE, make_file());
    read_pages(start, size);
    write_pages(start, size / 2);
}

static void file_shared(void) {
    char *start = map(size, MAP_SHARED, make_file());
    read_pages(start, size);
    write_pages(start, size / 2);
}

/* Two mappings that begin and end within big folios of the page cache. */
static void file_part(void) {
    int fd = make_file();
    char *all = malloc(size);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (pread(fd, all, size, 0) != (ssize_t)size) cannot("read");
    free(all);
    char *first = mmap(0, size / 2 + 3 * page, PROT_READ, MAP_SHARED, fd, 5 * page);
    char *second = mmap(0, size / 4, PROT_READ, MAP_PRIVATE, fd, 7 * page);
    if (first == MAP_FAILED || second == MAP_FAILED) cannot("mmap");
    read_pages(first, size / 2);
    read_pages(second, size / 4);
}

static void file_two(void) {
    char *start = map(size, MAP_SHARED, make_file());
    read_pages(start, size);
    if (in_child()) {
        munmap(start + size / 2, size / 2);
        stay();
    }
}

/* Shared memory. */

static void shmem(void) {
    char *start = map(size, MAP_SHARED | MAP_ANONYMOUS, -1);
    write_pages(start, size);
    if (in_child()) {
        read_pages(start, size / 2);
        stay();
    }
}

/* Private pages that are copies of a third of a memfd. */
static void shmem_private(void) {
    int fd = make_memfd();
    char *start = map(size, MAP_SHARED, fd);
    write_pages(start, size);
    munmap(start, size);
    start = map(size, MAP_PRIVATE, fd);
    read_pages(start, size);
    write_pages(start, size / 3 / page * page);
}

/* One process maps the first half of its pages three times, the second half twice. */
static void shmem_thrice(void) {
    int fd = make_memfd();
    write_pages(map(size, MAP_SHARED, fd), size);
    read_pages(map(size, MAP_SHARED, fd), size);
    read_pages(map(size, MAP_SHARED, fd), size / 2);
}

static void shmem_thp(void) {
    char *start = (char *)(64UL << 30);
    start = mmap(start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, make_memfd(), 0);
    if (start == MAP_FAILED) cannot("mmap");
    madvise(start, size, MADV_HUGEPAGE);
    write_pages(start, size);
    if (in_child()) {
        munmap(start + mib, mib);
        stay();
    }
}

static void memfd(void) { write_pages(map(size, MAP_SHARED, make_memfd()), size); }

static void memfd_unmapped(void) {
    char *start = map(size, MAP_SHARED, make_memfd());
    write_pages(start, size);
    munmap(start + size / 2, size / 2);
}

static void tmpfs_with(int is_unlinked) {
    char name[64];
    snprintf(name, sizeof name, "/dev/shm/psm-uring-zoo.%d", getpid());
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, size)) cannot("a file in /dev/shm");
    write_pages(map(size, MAP_SHARED, fd), size);
    if (is_unlinked) unlink(name);
}

static void tmpfs(void) { tmpfs_with(0); }

static void tmpfs_unlinked(void) { tmpfs_with(1); }

static void sysv_with(int is_removed) {
    int id = shmget(IPC_PRIVATE, size, 0600 | IPC_CREAT);
    char *start = id < 0 ? (void *)-1 : shmat(id, 0, 0);
    if (start == (void *)-1) cannot("shmget");
    if (is_removed) shmctl(id, IPC_RMID, 0);
    write_pages(start, size);
}

static void sysv(void) { sysv_with(0); }

static void sysv_removed(void) { sysv_with(1); }

static void secretmem(void) {
    int fd = syscall(SYS_SECRET, 0);
    if (fd < 0 || ftruncate(fd, mib)) cannot("memfd_secret");
    write_pages(map(mib, MAP_SHARED, fd), mib);
}

/* The two areas of a ring with 4,096 entries. */
static void uring(void) {
    char parameters[120] = "";
    int fd = syscall(SYS_URING_SETUP, 4096, parameters), flags = MAP_SHARED | MAP_POPULATE;
    if (fd < 0) cannot("io_uring_setup");
    map(16 * 4096, flags, fd);
    char *entries = mmap(0, 64 * 4096, PROT_READ | PROT_WRITE, flags, fd, 0x10000000);
    if (entries == MAP_FAILED) cannot("mmap");
    read_pages(entries, 64 * 4096);
}

/* Device memory, which has no counts. */
static void devmem(void) {
    int fd = open("/dev/mem", O_RDONLY);
    if (fd < 0) cannot("/dev/mem");
    char *start = mmap(0, 64 * page, PROT_READ, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) cannot("mmap of /dev/mem");
    read_pages(start, 64 * page);
}

/* The pool of huge pages. */

static char *map_pool(int flags) {
    flags |= MAP_ANONYMOUS | MAP_HUGETLB;
    char *start = mmap(0, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (start == MAP_FAILED) lack("the pool has too few free huge pages");
    return start;
}

static void hugetlb(void) { write_pages(map_pool(MAP_PRIVATE), size); }

static void hugetlb_fork(void) {
    char *start = map_pool(MAP_PRIVATE);
    write_pages(start, size);
    if (in_child()) {
        read_pages(start, size);
        stay();
    }
}

static void hugetlb_shared(void) {
    char *start = map_pool(MAP_SHARED);
    write_pages(start, size);
    if (in_child()) {
        read_pages(start, size / 2);
        stay();
    }
}

/* One page of 1 GiB. */
static void gigantic(void) {
    size = 1 << 30;
    map_pool(MAP_PRIVATE | 30 << MAP_HUGE_SHIFT)[0] = 1;
}

/* Swap. */

static void swap(void) {
    char *start = map_small(size);
    write_pages(start, size);
    page_out(start, size);
}

static void swap_thp(void) { page_out(write_thp(), size); }

static void swap_read(void) {
    char *start = map_small(size);
    write_pages(start, size);
    page_out(start, size);
    read_pages(start, size / 2);
}

/* Two children lack the first quarter. */
static void swap_fork(void) {
    char *start = map_small(size);
    write_pages(start, size);
    page_out(start, size);
    for (int n = 0; n < 2; n++)
        if (in_child()) {
            munmap(start, size / 4);
            stay();
        }
}

static void swap_shmem(void) {
    char *start = map(size, MAP_SHARED | MAP_ANONYMOUS, -1);
    write_pages(start, size);
    page_out(start, size);
    read_pages(start, size / 4);
}

/* Private copies of a quarter of a memfd, and the memfd, in swap. */
static void swap_shmem_private(void) {
    int fd = make_memfd();
    char *shared = map(size, MAP_SHARED, fd), *copy = map(size, MAP_PRIVATE, fd);
    write_pages(shared, size);
    write_pages(copy, size / 4);
    page_out(copy, size);
    page_out(shared, size);
}

/* Memory that changes all the time, in a child. */

static int in_changing_child(void) {
    int child = fork();
    if (child < 0) cannot("fork");
    if (child) {
        children[children_count++] = child;
        return 0;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return 1;
}

/* Doubles by blocks, one after each step, and begins again. */
static void change_grow(void) {
    char *start = map_small(2 * size);
    write_pages(start, size);
    if (!in_changing_child()) return;
    for (size_t at = size;; at += mib) {
        if (at == 2 * size) {
            madvise(start + size, size, MADV_DONTNEED);
            at = size;
        }
        write_pages(start + at, mib);
        usleep(1000);
    }
}

/* Empties and fills one block after the other. */
static void change_refill(void) {
    char *start = map_small(size);
    write_pages(start, size);
    if (!in_changing_child()) return;
    for (size_t at = 0;; at = (at + BLOCK_MIB * mib) % size) {
        madvise(start + at, BLOCK_MIB * mib, MADV_DONTNEED);
        write_pages(start + at, BLOCK_MIB * mib);
    }
}

/* Moves a block from below its other pages to above them and back. */
static void change_move(void) {
    size_t len = BLOCK_MIB * mib;
    char *start = map_small(size + len), *above = start + size;
    write_pages(start, size);
    if (!in_changing_child()) return;
    for (int is_up = 0;; is_up = !is_up) {
        char *from = is_up ? above : start, *to = is_up ? start : above;
        if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) exit(3);
        usleep(3000);
    }
}

/* Forks children that end after 5 ms. */
static void change_fork(void) {
    write_pages(map_small(size), size);
    if (!in_changing_child()) return;
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int child = fork();
        usleep(5000);
        if (!child) _exit(0);
    }
}

/* A child with all of the memory. */
static void change_end(void) {
    if (in_child()) {
        write_pages(map_small(size), size);
        stay();
    }
}

static void exec_small(int signal) {
    (void)signal;
    execl("/proc/self/exe", "zoo", "wait", "0", (char *)0);
    _exit(3);
}

/* The same; the signal USR1 replaces it by a small program. */
static void change_exec(void) {
    signal(SIGUSR1, exec_small);
    change_end();
}

typedef void act(void);
static const struct { const char *name; act *make; } kinds[] = {
    {"anon", anon}, {"zero", zero}, {"fork", fork_shared}, {"locked", locked},
    {"lazyfree", lazyfree}, {"droppable", droppable}, {"guard", guard},
    {"uffd_wp_anon", uffd_wp_anon}, {"uffd_wp_shmem", uffd_wp_shmem},
    {"uffd_poison", uffd_poison}, {"ksm", ksm}, {"mappings", mappings}, {"sparse", sparse},
    {"thp", thp}, {"huge_zero", huge_zero}, {"thp_unmapped", thp_unmapped},
    {"thp_hole", thp_hole}, {"thp_moved", thp_moved}, {"thp_fork", thp_fork},
    {"thp_cow_head", thp_cow_head}, {"thp_cow_tail", thp_cow_tail},
    {"thp_cow_most", thp_cow_most},
    {"file_private", file_private}, {"file_shared", file_shared}, {"file_part", file_part},
    {"file_two", file_two},
    {"shmem", shmem}, {"shmem_private", shmem_private}, {"shmem_thrice", shmem_thrice},
    {"shmem_thp", shmem_thp}, {"memfd", memfd}, {"memfd_unmapped", memfd_unmapped},
    {"tmpfs", tmpfs}, {"tmpfs_unlinked", tmpfs_unlinked}, {"sysv", sysv},
    {"sysv_removed", sysv_removed}, {"secretmem", secretmem}, {"uring", uring},
    {"devmem", devmem},
    {"hugetlb", hugetlb}, {"hugetlb_fork", hugetlb_fork}, {"hugetlb_shared", hugetlb_shared},
    {"gigantic", gigantic},
    {"swap", swap}, {"swap_thp", swap_thp}, {"swap_read", swap_read}, {"swap_fork", swap_fork},
    {"swap_shmem", swap_shmem}, {"swap_shmem_private", swap_shmem_private},
    {"change_grow", change_grow}, {"change_refill", change_refill}, {"change_move", change_move},
    {"change_fork", change_fork}, {"change_end", change_end}, {"change_exec", change_exec},
};

static void report(void) {
    printf("ready %d", getpid());
    for (int n = 0; n < children_count; n++) printf(" %d", children[n]);
    puts("");
    fflush(stdout);
}

/* Unmaps the kernel's code for user space. All processes of the host share its pages, so each
   program that starts, also one that measures this process, would change a figure. */
static void unmap_vdso(void) {
    if (munmap((void *)getauxval(AT_SYSINFO_EHDR), 2 * page)) cannot("munmap of the vdso");
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    unmap_vdso();
    children_wanted = argc > 3 ? atoi(argv[3]) : 1;
    size = strtoul(argv[2], 0, 10) * mib;
    if (!strcmp(argv[1], "remove")) return !!shmctl(atoi(argv[2]), IPC_RMID, 0);
    if (!strcmp(argv[1], "wait")) stay();
    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++)
        if (!strcmp(argv[1], kinds[n].name)) {
            kinds[n].make();
            report();
            while (getchar() != EOF) {}
            return 0;
        }
    return 2;
}
