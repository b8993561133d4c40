/* A library that says so when it is loaded. */
#include <unistd.h>

__attribute__((constructor)) static void run(void) {
    if (write(2, "PRELOADED\n", 10) != 10) _exit(1);
}
