/* SPDX-License-Identifier: MIT */
#include "base/private_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/util.h"

/* It is there once it is locked: before that, it would look like that of one who was killed. */
int private_dir_lock(const char *directory)
{
	FREE char *fresh = NULL;
	FREE char *path = NULL;
	CLOSE int fd = -1;
	int lock;

	if (asprintf(&fresh, "%s/lock-new", directory) < 0 || asprintf(&path, "%s/lock", directory) < 0)
		return -1;
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || rename(fresh, path) < 0) {
		unlink(fresh);
		return -1;
	}
	lock = fd;
	fd = -1;
	return lock;
}

void private_dir_unlock(const char *directory, int lock)
{
	FREE char *path = NULL;

	if (lock < 0)
		return;
	if (asprintf(&path, "%s/lock", directory) >= 0)
		unlink(path);
	close(lock);
}
