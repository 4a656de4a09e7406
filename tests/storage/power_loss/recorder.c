/* Records what a process does to the files under one folder, in order, so that a power loss at any moment can be played afterwards.

   Preloaded into the process. FAREGATE_FOLDER is the folder, FAREGATE_TAPE the file to record to. One entry:
   kind(1) length of path(2) length of second path(2) offset(8) length of data(8) path, second path, data. Kinds: O name made, W bytes
   written, T cut to a length, F room set aside up to a length, S synced, R renamed, U name deleted, A something said on standard output. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define LONGEST 4096

static int tape = -1;
static const char *folder;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_write)(int, const void *, size_t);

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAREGATE_TAPE");
    folder = getenv("FAREGATE_FOLDER");
    real_write = real("write");
    if (path && folder) tape = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

static int inside(const char *path) { return tape >= 0 && path && strncmp(path, folder, strlen(folder)) == 0; }

static int name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, LONGEST - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path);
}

static void put(const void *data, size_t size) {
    const char *at = data;
    while (size) {
        ssize_t done = real_write(tape, at, size);
        if (done <= 0) abort();
        at += done;
        size -= (size_t)done;
    }
}

static void head(char kind, const char *path, const char *second, uint64_t offset, uint64_t size) {
    char bytes[21];
    uint16_t length = (uint16_t)strlen(path), other = (uint16_t)strlen(second);
    bytes[0] = kind;
    memcpy(bytes + 1, &length, 2);
    memcpy(bytes + 3, &other, 2);
    memcpy(bytes + 5, &offset, 8);
    memcpy(bytes + 13, &size, 8);
    put(bytes, sizeof bytes);
    put(path, length);
    put(second, other);
}

static void record(char kind, const char *path, const char *second, uint64_t offset, const void *data, uint64_t size) {
    pthread_mutex_lock(&lock);
    head(kind, path, second, offset, size);
    if (size) put(data, size);
    pthread_mutex_unlock(&lock);
}

static void record_vector(const char *path, uint64_t offset, const struct iovec *pieces, int count, size_t done) {
    pthread_mutex_lock(&lock);
    head('W', path, "", offset, done);
    for (int i = 0; i < count && done; i++) {
        size_t size = pieces[i].iov_len < done ? pieces[i].iov_len : done;
        put(pieces[i].iov_base, size);
        done -= size;
    }
    pthread_mutex_unlock(&lock);
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))real(name);
    int made = (flags & O_CREAT) && access(path, F_OK) != 0;
    int fd = next(path, flags, mode);
    char found[LONGEST];
    if (fd >= 0 && tape >= 0 && name_of(fd, found)) {
        if (made) record('O', found, "", 0, NULL, 0);
        if (flags & O_TRUNC) record('T', found, "", 0, NULL, 0);
    }
    return fd;
}

#define OPEN(symbol)                                                   \
    int symbol(const char *path, int flags, ...) {                     \
        va_list rest;                                                  \
        va_start(rest, flags);                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;      \
        va_end(rest);                                                  \
        return opened(#symbol, path, flags, mode);                     \
    }
OPEN(open)
OPEN(open64)

static ssize_t vector(const char *name, int fd, const struct iovec *pieces, int count, off_t offset, int flags, int has_flags) {
    ssize_t done = has_flags
        ? ((ssize_t (*)(int, const struct iovec *, int, off_t, int))real(name))(fd, pieces, count, offset, flags)
        : ((ssize_t (*)(int, const struct iovec *, int, off_t))real(name))(fd, pieces, count, offset);
    char path[LONGEST];
    if (done > 0 && tape >= 0 && name_of(fd, path)) record_vector(path, (uint64_t)offset, pieces, count, (size_t)done);
    return done;
}

ssize_t pwritev(int fd, const struct iovec *p, int n, off_t o) { return vector("pwritev", fd, p, n, o, 0, 0); }
ssize_t pwritev64(int fd, const struct iovec *p, int n, off_t o) { return vector("pwritev64", fd, p, n, o, 0, 0); }
ssize_t pwritev2(int fd, const struct iovec *p, int n, off_t o, int f) { return vector("pwritev2", fd, p, n, o, f, 1); }
ssize_t pwritev64v2(int fd, const struct iovec *p, int n, off_t o, int f) { return vector("pwritev64v2", fd, p, n, o, f, 1); }

static ssize_t at_place(const char *name, int fd, const void *data, size_t size, off_t offset) {
    ssize_t done = ((ssize_t (*)(int, const void *, size_t, off_t))real(name))(fd, data, size, offset);
    char path[LONGEST];
    if (done > 0 && tape >= 0 && name_of(fd, path)) record('W', path, "", (uint64_t)offset, data, (uint64_t)done);
    return done;
}

ssize_t pwrite(int fd, const void *d, size_t n, off_t o) { return at_place("pwrite", fd, d, n, o); }
ssize_t pwrite64(int fd, const void *d, size_t n, off_t o) { return at_place("pwrite64", fd, d, n, o); }

ssize_t write(int fd, const void *data, size_t size) {
    char path[LONGEST];
    if (fd == 1 && tape >= 0) record('A', "", "", 0, data, size);
    off_t offset = fd == 1 ? -1 : lseek(fd, 0, SEEK_CUR);
    ssize_t done = real_write(fd, data, size);
    if (done > 0 && offset >= 0 && name_of(fd, path)) record('W', path, "", (uint64_t)offset, data, (uint64_t)done);
    return done;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = ((ssize_t (*)(int, const struct iovec *, int))real("writev"))(fd, pieces, count);
    char path[LONGEST];
    if (done > 0 && offset >= 0 && name_of(fd, path)) record_vector(path, (uint64_t)offset, pieces, count, (size_t)done);
    return done;
}

static int on_file(const char *name, char kind, int fd) {
    int failed = ((int (*)(int))real(name))(fd);
    char path[LONGEST];
    if (!failed && name_of(fd, path)) record(kind, path, "", 0, NULL, 0);
    return failed;
}

int fsync(int fd) { return on_file("fsync", 'S', fd); }
int fdatasync(int fd) { return on_file("fdatasync", 'S', fd); }

static int resized(const char *name, char kind, int fd, off_t size) {
    int failed = ((int (*)(int, off_t))real(name))(fd, size);
    char path[LONGEST];
    if (!failed && name_of(fd, path)) record(kind, path, "", (uint64_t)size, NULL, 0);
    return failed;
}

int ftruncate(int fd, off_t size) { return resized("ftruncate", 'T', fd, size); }
int ftruncate64(int fd, off_t size) { return resized("ftruncate64", 'T', fd, size); }

static int set_aside(const char *name, int fd, off_t offset, off_t size) {
    int failed = ((int (*)(int, off_t, off_t))real(name))(fd, offset, size);
    char path[LONGEST];
    if (!failed && name_of(fd, path)) record('F', path, "", (uint64_t)(offset + size), NULL, 0);
    return failed;
}

int posix_fallocate(int fd, off_t o, off_t n) { return set_aside("posix_fallocate", fd, o, n); }
int posix_fallocate64(int fd, off_t o, off_t n) { return set_aside("posix_fallocate64", fd, o, n); }

int rename(const char *from, const char *to) {
    int failed = ((int (*)(const char *, const char *))real("rename"))(from, to);
    if (!failed && inside(to)) record('R', from, to, 0, NULL, 0);
    return failed;
}

int unlink(const char *path) {
    int failed = ((int (*)(const char *))real("unlink"))(path);
    if (!failed && inside(path)) record('U', path, "", 0, NULL, 0);
    return failed;
}
