/* A disk that fails: loaded into the daemon (LD_PRELOAD), it refuses every write under DISK_DIRECTORY from the DISK_FROM-th on with
   the error DISK_ERROR, until the file DISK_WELL is there. The first refusal makes the file DISK_MET. With DISK_FROM=0 files
   cannot be opened for writing either. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long writes;

static int under(const char *path) {
    const char *directory = getenv("DISK_DIRECTORY");
    return directory && strncmp(path, directory, strlen(directory)) == 0;
}

static int ill(long from) {
    const char *well = getenv("DISK_WELL"), *met = getenv("DISK_MET"), *error = getenv("DISK_ERROR");
    if (!well || !met || !error || atomic_load(&writes) < from || access(well, F_OK) == 0) return 0;
    int (*really)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int file = really(met, O_CREAT | O_WRONLY, 0600);
    if (file >= 0) close(file);
    errno = atoi(error);
    return 1;
}

static int refused(int file) {
    char link[64], path[PATH_MAX];
    const char *from = getenv("DISK_FROM");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !from) return 0;
    path[length] = 0;
    if (!under(path)) return 0;
    atomic_fetch_add(&writes, 1);
    return ill(atol(from));
}

static int closed(const char *path, int flags) {
    const char *from = getenv("DISK_FROM");
    return from && atol(from) == 0 && (flags & (O_WRONLY | O_RDWR | O_CREAT)) && under(path) && ill(0);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                                \
    int name(const char *path, int flags, ...) {                                  \
        va_list more;                                                             \
        va_start(more, flags);                                                    \
        mode_t mode = va_arg(more, mode_t);                                       \
        va_end(more);                                                             \
        return closed(path, flags) ? -1 : REAL(name)(path, flags, mode);          \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *bytes, size_t count) { return refused(file) ? -1 : REAL(write)(file, bytes, count); }
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { return refused(file) ? -1 : REAL(pwrite)(file, bytes, count, at); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) { return refused(file) ? -1 : REAL(pwrite64)(file, bytes, count, at); }
ssize_t writev(int file, const struct iovec *parts, int count) { return refused(file) ? -1 : REAL(writev)(file, parts, count); }
int ftruncate(int file, off_t length) { return refused(file) ? -1 : REAL(ftruncate)(file, length); }
int ftruncate64(int file, off64_t length) { return refused(file) ? -1 : REAL(ftruncate64)(file, length); }
int fsync(int file) { return refused(file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return refused(file) ? -1 : REAL(fdatasync)(file); }
