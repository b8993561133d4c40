/* A process with mappings of many names, and two forked children, all stopped. Static: no other
 * process maps its pages, so that their shares stay. Usage: mapped DIRECTORY */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *area(size_t len, int flags, int fd)
{
	char *start = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (start == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	memset(start, 1, len);
	return start;
}

static int file(const char *directory, const char *name, size_t len)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)len)) {
		perror(path);
		exit(1);
	}
	return fd;
}

int main(int count, char **words)
{
	if (count != 2)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	char path[4096];
	area(4096 * 300, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	area(4096 * 70, MAP_SHARED | MAP_ANONYMOUS, -1);
	area(4096 * 50, MAP_SHARED, file(words[1], "two\nlines", 4096 * 50));
	int gone = file(words[1], "gone", 4096 * 20);
	area(4096 * 20, MAP_PRIVATE, gone);
	snprintf(path, sizeof path, "%s/gone", words[1]);
	unlink(path);
	int memory = memfd_create("pool", 0);
	if (memory < 0 || ftruncate(memory, 4096 * 30))
		return 1;
	area(4096 * 30, MAP_SHARED, memory);
	/* The same name twice, with a hole between. */
	char *start = area(4096 * 9, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	munmap(start + 4096 * 4, 4096);
	for (int child = 0; child < 2; child++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			memset(start, 2, 4096 * (child + 1));
			for (;;)
				raise(SIGSTOP);
		}
	}
	for (;;)
		raise(SIGSTOP);
}
