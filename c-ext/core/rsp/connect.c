/* SPDX-License-Identifier: MIT */
#include "rsp/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/util.h"

/* What all addresses of one host share. */
struct attempt {
	const char *address; /* as the user wrote it */
	int cancel_fd;
	unsigned timeout_ms;
	uint64_t deadline_ns; /* of CLOCK_MONOTONIC */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int left_ms(const struct attempt *attempt)
{
	uint64_t now = now_ns();

	return now < attempt->deadline_ns ? (int)((attempt->deadline_ns - now) / 1000000u) : 0;
}

/* Waits for a non-blocking connect() that is under way. */
static struct cs_error *await(int fd, const struct attempt *attempt)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLOUT}, {.fd = attempt->cancel_fd, .events = POLLIN}};
	int problem = 0;
	socklen_t size = sizeof(problem);
	int ready;

	do {
		ready = poll(fds, 2, left_ms(attempt));
	} while (ready < 0 && errno == EINTR);
	if (ready == 0)
		return cs_error_create(CS_ERROR_TIMEOUT, "%s: no connection within %u ms; is the host right?",
				       attempt->address, attempt->timeout_ms);
	if (fds[1].revents)
		return cs_error_create(CS_ERROR_TIMEOUT, "%s: connecting was interrupted", attempt->address);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0)
		problem = errno;
	if (problem)
		return cs_error_system(CS_ERROR_CONNECT, problem,
				       "%s: cannot connect; is the guest started with a gdbstub?", attempt->address);
	return NULL;
}

static struct cs_error *connect_socket(const struct attempt *attempt, int domain, const struct sockaddr *to,
				       socklen_t size, int *ret_fd)
{
	CLOSE int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return cs_error_system(CS_ERROR_CONNECT, errno, "%s: cannot make a socket", attempt->address);
	if (connect(fd, to, size) < 0) {
		if (errno != EINPROGRESS)
			return cs_error_system(CS_ERROR_CONNECT, errno,
					       "%s: cannot connect; is the guest started with a gdbstub?",
					       attempt->address);
		CS_TRY(await(fd, attempt));
	}
	if (domain != AF_UNIX) /* each packet waits for an answer: never hold one back */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*ret_fd = fd;
	fd = -1;
	return NULL;
}

static struct cs_error *connect_unix(const struct attempt *attempt, int *ret_fd)
{
	const char *path = attempt->address;
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(to.sun_path))
		return cs_error_create(CS_ERROR_ARGUMENT, "%s: a socket's path is at most %zu bytes long", path,
				       sizeof(to.sun_path) - 1);
	memcpy(to.sun_path, path, strlen(path));
	return connect_socket(attempt, AF_UNIX, (struct sockaddr *)&to, sizeof(to), ret_fd);
}

static void free_addresses(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

/* getaddrinfo() would take any number, modulo 2^16. */
static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = strtoul(text, NULL, 10);

	return digits && !text[digits] && port > 0 && port <= UINT16_MAX;
}

/* Splits HOST:PORT; `host` loses the brackets of an IPv6 address. */
static bool split(const char *address, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : 0;

	if (!colon || !is_port(colon + 1) || length >= size)
		return false;
	*port = colon + 1;
	if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
		address++;
		length -= 2;
	}
	memcpy(host, address, length);
	host[length] = '\0';
	return true;
}

static struct cs_error *connect_tcp(const struct attempt *attempt, int *ret_fd)
{
	const char *address = attempt->address;
	CLEANUP(free_addresses) struct addrinfo *list = NULL;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct cs_error *error = NULL;
	char host[256];
	const char *port;
	int status;

	if (!split(address, host, sizeof(host), &port))
		return cs_error_create(CS_ERROR_ARGUMENT, "%s: not HOST:PORT and no socket of that name", address);
	status = getaddrinfo(host[0] ? host : "localhost", port, &hints, &list);
	if (status)
		return cs_error_create(CS_ERROR_CONNECT, "%s: %s", address, gai_strerror(status));
	for (struct addrinfo *at = list; at; at = at->ai_next) {
		cs_error_destroy(error);
		error = connect_socket(attempt, at->ai_family, at->ai_addr, at->ai_addrlen, ret_fd);
		if (!error)
			return NULL;
	}
	return error;
}

struct cs_error *connect_stream(const char *address, int cancel_fd, unsigned timeout_ms, int *ret_fd)
{
	const struct attempt attempt = {
		.address = address,
		.cancel_fd = cancel_fd,
		.timeout_ms = timeout_ms,
		.deadline_ns = now_ns() + timeout_ms * UINT64_C(1000000),
	};

	if (strchr(address, '/') || access(address, F_OK) == 0)
		return connect_unix(&attempt, ret_fd);
	return connect_tcp(&attempt, ret_fd);
}
