/* A file system of one file, "image", whose fsync takes as long as it is told. A loop device on it
 * is a disk that takes so long to make anything durable: see slow_disk.py.
 *
 * Usage: slow_disk BACKING MICROSECONDS MOUNTPOINT
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char IMAGE[] = "image";
static int backing;
static struct timespec flush_time;

static int answer(long result) { return result < 0 ? -errno : (int)result; }

static int is_image(const char *path) { return path[0] == '/' && !strcmp(path + 1, IMAGE); }

static int image_getattr(const char *path, struct stat *found, struct fuse_file_info *info)
{
    (void)info;
    memset(found, 0, sizeof *found);
    if (is_image(path))
        return answer(fstat(backing, found));
    if (strcmp(path, "/"))
        return -ENOENT;
    found->st_mode = S_IFDIR | 0755;
    found->st_nlink = 2;
    return 0;
}

static int image_open(const char *path, struct fuse_file_info *info)
{
    (void)info;
    return is_image(path) ? 0 : -ENOENT;
}

static int image_read(const char *path, char *into, size_t size, off_t at,
                      struct fuse_file_info *info)
{
    (void)path, (void)info;
    return answer(pread(backing, into, size, at));
}

static int image_write(const char *path, const char *from, size_t size, off_t at,
                       struct fuse_file_info *info)
{
    (void)path, (void)info;
    return answer(pwrite(backing, from, size, at));
}

static int image_fallocate(const char *path, int mode, off_t at, off_t size,
                           struct fuse_file_info *info)
{
    (void)path, (void)info;
    return answer(fallocate(backing, mode, at, size));
}

/* What it is for. The backing file is in memory: nothing else takes time. */
static int image_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)path, (void)data_only, (void)info;
    nanosleep(&flush_time, NULL);
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = image_getattr,
    .open = image_open,
    .read = image_read,
    .write = image_write,
    .fallocate = image_fallocate,
    .fsync = image_fsync,
};

int main(int count, char **words)
{
    if (count != 4) {
        fprintf(stderr, "usage: slow_disk BACKING MICROSECONDS MOUNTPOINT\n");
        return 2;
    }
    long microseconds = atol(words[2]);
    flush_time.tv_sec = microseconds / 1000000;
    flush_time.tv_nsec = microseconds % 1000000 * 1000;
    backing = open(words[1], O_RDWR);
    if (backing < 0) {
        perror(words[1]);
        return 1;
    }
    char *own[] = {words[0], words[3], NULL};
    return fuse_main(2, own, &operations, NULL);
}
