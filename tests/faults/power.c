/* What a power cut leaves of a folder: each file as of its last sync, the folder's list of them as of its own.

   Loaded by LD_PRELOAD. Nothing is kept from the page cache, so the processes notice nothing; but each sync beneath
   POWER_ROOT copies what it would have written to POWER_IMAGES: a file's content to a file named by its inode, the
   folder's names to `names`. A file that was never synced has no image, and one whose name was not is not listed.

   SQLite's descriptors are read, never opened anew: closing one of those would drop the process's locks. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int copy(int from, int to)
{
    char block[65536];
    off_t at = 0;
    ssize_t got;
    while ((got = pread(from, block, sizeof block, at)) > 0) {
        if (write(to, block, got) != got)
            return -1;
        at += got;
    }
    return (int)got;
}

static int list(const char *root, int to)
{
    DIR *folder = opendir(root);
    struct dirent *entry;
    struct stat status;
    int result = 0;
    if (!folder)
        return -1;
    while ((entry = readdir(folder))) {
        /* Whoever deletes a file meanwhile has not synced that yet. */
        if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
            continue;
        if (dprintf(to, "%lu %s\n", (unsigned long)status.st_ino, entry->d_name) < 0)
            result = -1;
    }
    closedir(folder);
    return result;
}

/* One at a time, and put in place at once: whenever the process is killed, the last whole copy is there. */
static int keep(int fd, const char *root, const struct stat *status)
{
    const char *images = getenv("POWER_IMAGES");
    char name[PATH_MAX], fresh[PATH_MAX];
    int lock, to, result;
    if (!images)
        return -1;
    snprintf(name, sizeof name, "%s/lock", images);
    if ((lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        return -1;
    while (flock(lock, LOCK_EX))
        if (errno != EINTR)
            return close(lock), -1;
    if (S_ISDIR(status->st_mode))
        snprintf(name, sizeof name, "%s/names", images);
    else
        snprintf(name, sizeof name, "%s/%lu", images, (unsigned long)status->st_ino);
    snprintf(fresh, sizeof fresh, "%s/fresh", images);
    if ((to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
        return close(lock), -1;
    result = S_ISDIR(status->st_mode) ? list(root, to) : copy(fd, to);
    if (close(to) || result || rename(fresh, name))
        result = -1;
    close(lock);
    return result;
}

static int sync_file(int fd, long call)
{
    const char *root = getenv("POWER_ROOT");
    char link[64], path[PATH_MAX];
    struct stat status;
    ssize_t length;
    size_t size;
    if (!root)
        return (int)syscall(call, fd);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(fd, &status))
        return -1;
    path[length] = 0;
    size = strlen(root);
    if (strncmp(path, root, size) || (path[size] && path[size] != '/'))
        return (int)syscall(call, fd);
    return keep(fd, root, &status);
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}
