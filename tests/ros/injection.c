/* Lets an unchanged node fail on demand: preloaded, it makes the large allocations of libtorch, which only
 * inference asks for, fail or hang while the first byte of the file $SYNTHCP_INJECTION says so.
 *
 *     cc -shared -fPIC -O1 -o injection.so injection.c -ldl
 *     SYNTHCP_INJECTION=mode LD_PRELOAD=injection.so monitor_node
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NOTHING = '0', FAIL = '1', HANG = '2' };

/* Smaller ones are also made by others, who would have to give up. */
enum { LARGE = 1 << 14 };

static volatile const char *mode;

__attribute__((constructor)) static void find_mode(void) {
    const char *path = getenv("SYNTHCP_INJECTION");
    int file = path ? open(path, O_RDONLY) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(0, 1, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) mode = page;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    static int (*original)(void **, size_t, size_t);
    if (!original) original = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
    while (mode && size >= LARGE && *mode == HANG) usleep(1000);
    if (mode && size >= LARGE && *mode == FAIL) return ENOMEM;
    return original(memory, alignment, size);
}
