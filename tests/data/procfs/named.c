/* A program of named.sh: memory that glibc names (arenas and stacks of threads, a big
 * block), and memory that the program names, in a shape that tries readers. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define THREADS 3

/* So that the compiler keeps the blocks. */
static void *volatile last;

static void use(size_t size)
{
	last = malloc(size);
	memset(last, 1, size);
}

static void *work(void *bytes)
{
	for (int n = 0; n < 16; n++)
		use((size_t)bytes);
	pause();
	return NULL;
}

static void area(int flags, size_t size, const char *name)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, size / 2);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, size, name);
}

int main(void)
{
	pthread_t id;

	area(MAP_SHARED, 1 << 20, "ring: 0-63 (a b)");
	area(MAP_PRIVATE, 1 << 16, "");
	area(MAP_PRIVATE, 1 << 16, "seventy-nine bytes are the longest name: "
		"........10........20........30......38");
	for (long n = 1; n <= THREADS; n++)
		pthread_create(&id, NULL, work, (void *)(n << 12));
	use(3 << 20);
	use(100000);
	fork();
	pause();
}
