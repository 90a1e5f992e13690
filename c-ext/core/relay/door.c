/* SPDX-License-Identifier: MIT */
#include "relay/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/private_dir.h"
#include "base/util.h"

void door_init(struct door *door)
{
	*door = (struct door){.listen_fd = -1, .directory_lock = -1};
}

struct cs_error *door_open(struct door *door)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || strlen(base) > 40 || access(base, W_OK) < 0)
		base = "/tmp";
	snprintf(door->directory, sizeof(door->directory), "%s/clockscope-XXXXXX", base);
	if (!mkdtemp(door->directory)) /* makes it with mode 0700 */
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot make a directory in %s", base);
	door->directory_lock = private_dir_lock(door->directory);
	snprintf(door->socket_path, sizeof(door->socket_path), "%s/gdb", door->directory);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", door->socket_path);
	door->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (door->listen_fd < 0 || bind(door->listen_fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(door->listen_fd, 1) < 0)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot listen on %s", door->socket_path);
	return NULL;
}

int door_accept(const struct door *door)
{
	return accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void door_close(struct door *door)
{
	util_close_fd(&door->listen_fd);
	door->listen_fd = -1;
	if (door->directory[0]) {
		unlink(door->socket_path);
		private_dir_unlock(door->directory, door->directory_lock);
		rmdir(door->directory);
	}
	door->directory[0] = '\0';
	door->directory_lock = -1;
}

void door_forget(struct door *door)
{
	util_close_fd(&door->listen_fd);
	util_close_fd(&door->directory_lock);
	door->listen_fd = door->directory_lock = -1;
}
