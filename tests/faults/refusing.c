/* A disk that refuses: preloaded into a process, it answers writes below one folder with an error from some point on.

   What Python, torch, safetensors, tokenizers and SQLite write goes through these functions of the C library.
   Nothing is refused before refuse_below() is called. Counters are in a file that forked processes share. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2, NEW = 4, CHANGES = 8 };
enum { BYTES, SYNCED, CHANGED, REFUSED, COUNTERS };

static char below[PATH_MAX];
static size_t length;
static int what, number, unit, once;
static long limit;
static volatile long *count;

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* folder: real path; parts: what is refused; counted: BYTES, SYNCED or CHANGED; after: how many are let through;
   error: the answer; single: refuse one call, or all from then on; counters: a file of COUNTERS longs. */
int refuse_below(const char *folder, int parts, int counted, long after, int error, int single, const char *counters) {
    int file = open(counters, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, COUNTERS * sizeof(long))) return -1;
    count = mmap(NULL, COUNTERS * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (count == MAP_FAILED) return -1;
    what = parts, unit = counted, limit = after, number = error, once = single;
    length = strlen(folder);
    strcpy(below, folder);
    return 0;
}

static int inside(const char *path) {
    return !strncmp(path, below, length) && (path[length] == '/' || !path[length]);
}

static int is_ours(int folder, const char *path) {
    char whole[2 * PATH_MAX], start[PATH_MAX], link[64];
    if (!length || !path) return 0;
    if (path[0] == '/') return inside(path);
    if (folder == AT_FDCWD) {
        if (!getcwd(start, sizeof start)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = readlink(link, start, sizeof start - 1);
        if (n < 0) return 0;
        start[n] = 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", start, path);
    return inside(whole);
}

static int is_our_file(int file) {
    char path[PATH_MAX], link[64];
    if (!length || file < 3) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return inside(path);
}

/* Count, and say whether this call is refused. */
static int refused(int part, int counter, long more) {
    long before = __sync_fetch_and_add(&count[counter], more);
    if (counter != unit) before = count[unit];
    if (!(part & what) || before + (counter == unit ? more : 0) <= limit) return 0;
    if (__sync_fetch_and_add(&count[REFUSED], 1) && once) return 0;
    errno = number;
    return 1;
}

/* Bytes that a full disk still takes of a write, as a real one does; 0: all of them, or none if refused. */
static size_t fits(size_t n) {
    long left = limit - count[BYTES];
    return unit == BYTES && (what & WRITES) && left > 0 && (size_t)left < n ? (size_t)left : n;
}

ssize_t write(int file, const void *from, size_t n) {
    NEXT(write);
    if (is_our_file(file)) {
        n = fits(n);
        if (refused(WRITES, BYTES, n)) return -1;
    }
    return next(file, from, n);
}

ssize_t pwrite64(int file, const void *from, size_t n, off64_t at) {
    NEXT(pwrite64);
    if (is_our_file(file)) {
        n = fits(n);
        if (refused(WRITES, BYTES, n)) return -1;
    }
    return next(file, from, n, at);
}

ssize_t pwrite(int file, const void *from, size_t n, off_t at) { return pwrite64(file, from, n, at); }

ssize_t writev(int file, const struct iovec *from, int n) {
    NEXT(writev);
    if (is_our_file(file)) {
        size_t all = 0;
        for (int i = 0; i < n; i++) all += from[i].iov_len;
        if (refused(WRITES, BYTES, all)) return -1;
    }
    return next(file, from, n);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t n) {
    NEXT(sendfile64);
    if (is_our_file(to) && refused(WRITES, BYTES, n)) return -1;
    return next(to, from, at, n);
}

ssize_t sendfile(int to, int from, off_t *at, size_t n) { return sendfile64(to, from, (off64_t *)at, n); }

int fsync(int file) {
    NEXT(fsync);
    return is_our_file(file) && refused(SYNCS, SYNCED, 1) ? -1 : next(file);
}

int fdatasync(int file) {
    NEXT(fdatasync);
    return is_our_file(file) && refused(SYNCS, SYNCED, 1) ? -1 : next(file);
}

static int opens(int folder, const char *path, int flags) {
    if (!length || (flags & (O_WRONLY | O_RDWR | O_CREAT)) == 0 || !is_ours(folder, path)) return 0;
    struct stat found;
    int new = (flags & O_CREAT) && fstatat(folder, path, &found, 0);
    return refused(new ? NEW | CHANGES : CHANGES, CHANGED, 1);
}

#define MODE                             \
    mode_t mode = 0;                     \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest;                    \
        va_start(rest, flags);           \
        mode = va_arg(rest, mode_t);     \
        va_end(rest);                    \
    }

int open64(const char *path, int flags, ...) {
    NEXT(open64);
    MODE
    return opens(AT_FDCWD, path, flags) ? -1 : next(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    MODE
    return open64(path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    NEXT(openat64);
    MODE
    return opens(folder, path, flags) ? -1 : next(folder, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE
    return openat64(folder, path, flags, mode);
}

FILE *fopen64(const char *path, const char *mode) {
    NEXT(fopen64);
    int flags = mode[0] == 'r' && !strchr(mode, '+') ? O_RDONLY : mode[0] == 'r' ? O_RDWR : O_WRONLY | O_CREAT;
    return opens(AT_FDCWD, path, flags) ? NULL : next(path, mode);
}

FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }

#define CHANGE(kind, folder, path) (is_ours(folder, path) && refused(kind, CHANGED, 1))

int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    struct stat found;
    return stat(path, &found) && CHANGE(NEW | CHANGES, AT_FDCWD, path) ? -1 : next(path, mode);
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    return CHANGE(CHANGES, AT_FDCWD, to) ? -1 : next(from, to);
}

int link(const char *from, const char *to) {
    NEXT(link);
    return CHANGE(NEW | CHANGES, AT_FDCWD, to) ? -1 : next(from, to);
}

int unlink(const char *path) {
    NEXT(unlink);
    return CHANGE(CHANGES, AT_FDCWD, path) ? -1 : next(path);
}

int unlinkat(int folder, const char *path, int flags) {
    NEXT(unlinkat);
    return CHANGE(CHANGES, folder, path) ? -1 : next(folder, path, flags);
}

int rmdir(const char *path) {
    NEXT(rmdir);
    return CHANGE(CHANGES, AT_FDCWD, path) ? -1 : next(path);
}

int ftruncate64(int file, off64_t to) {
    NEXT(ftruncate64);
    return is_our_file(file) && refused(CHANGES, CHANGED, 1) ? -1 : next(file, to);
}
