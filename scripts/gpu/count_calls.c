/* Counts the calls of a process into CUDA's driver, by name: kernels started, copies, synchronisations.
 * CUDA loads it where CUDA_INJECTION64_PATH names it; at the end it writes "NAME COUNT" a line to the
 * file named by SYNTHCP_CALLS. No header of CUDA is needed: the few declarations are below. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As cupti_callbacks.h has them. */
enum { DOMAIN_DRIVER = 1, SITE_ENTER = 0 };
struct callback_data {
    int site;
    const char *function;
};
typedef void (*callback)(void *user, int domain, uint32_t id, const struct callback_data *data);

enum { MOST = 2048 };
static atomic_ulong counts[MOST];
static const char *_Atomic names[MOST];

static void seen(void *user, int domain, uint32_t id, const struct callback_data *data) {
    (void)user;
    if (domain == DOMAIN_DRIVER && data->site == SITE_ENTER && id < MOST) {
        atomic_store(&names[id], data->function);
        atomic_fetch_add(&counts[id], 1);
    }
}

static void write_counts(void) {
    const char *path = getenv("SYNTHCP_CALLS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    for (int id = 0; id < MOST; id++) {
        const char *name = atomic_load(&names[id]);
        if (name) fprintf(file, "%s %lu\n", name, atomic_load(&counts[id]));
    }
    fclose(file);
}

int InitializeInjection(void) {
    void *cupti = dlopen("libcupti.so.13", RTLD_NOW | RTLD_GLOBAL);
    if (!cupti) cupti = dlopen("libcupti.so", RTLD_NOW | RTLD_GLOBAL);
    if (!cupti) {
        fprintf(stderr, "count_calls: %s\n", dlerror());
        return 1;
    }
    int (*subscribe)(void **, callback, void *) = dlsym(cupti, "cuptiSubscribe");
    int (*enable)(uint32_t, void *, int) = dlsym(cupti, "cuptiEnableDomain");
    void *subscriber = NULL;
    if (!subscribe || !enable || subscribe(&subscriber, seen, NULL) || enable(1, subscriber, DOMAIN_DRIVER)) {
        fprintf(stderr, "count_calls: CUPTI takes no subscriber\n");
        return 1;
    }
    atexit(write_counts);
    return 1;
}
