/* SPDX-License-Identifier: MIT */
/* Connecting: the forms of an address, and a clear error where nothing answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/util.h"
#include "rsp/connect.h"
#include "support/expect.h"

#define TIMEOUT_MS 2000

static void refuses(const char *address, enum cs_error_code code, const char *says)
{
	int fd = -1;
	struct cs_error *error = connect_stream(address, -1, TIMEOUT_MS, &fd);

	fails(error, code, says);
	assert_int_equal(fd, -1);
}

static void connects(const char *address)
{
	int fd = -1;
	struct cs_error *error = connect_stream(address, -1, TIMEOUT_MS, &fd);

	if (error)
		fail_msg("%s", error->message);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

/* A listener on a free port of this host. */
static int listen_tcp(unsigned *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static void hosts_and_ports(void **state)
{
	unsigned port;
	CLOSE int listener = listen_tcp(&port);
	char address[64];

	(void)state;
	(void)listener;
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	connects(address);
	snprintf(address, sizeof(address), "localhost:%u", port);
	connects(address);
	snprintf(address, sizeof(address), ":%u", port); /* as QEMU's -gdb tcp::PORT is written */
	connects(address);
}

static void nobody_listens(void **state)
{
	unsigned port;
	char address[64];

	(void)state;
	close(listen_tcp(&port));
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	refuses(address, CS_ERROR_CONNECT, "Connection refused");
	refuses(address, CS_ERROR_CONNECT, address);
	refuses("/nonexistent/socket", CS_ERROR_CONNECT, "No such file");
	refuses("/etc/passwd", CS_ERROR_CONNECT, "/etc/passwd");
}

static void what_is_no_address(void **state)
{
	static const char *const texts[] = {"",           "localhost", "localhost:",      ":", "host:12x", "host:-1",
					    "host:65536", "host:0",    "host:99999999999"};
	char path[200] = "/";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		refuses(texts[i], CS_ERROR_ARGUMENT, "HOST:PORT");
	memset(path + 1, 'x', sizeof(path) - 2);
	refuses(path, CS_ERROR_ARGUMENT, "107 bytes");
}

static void socket_by_its_path(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char directory[] = "/tmp/clockscope-XXXXXX";
	CLOSE int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", directory);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	refuses(at.sun_path, CS_ERROR_CONNECT, "Connection refused"); /* there, but nobody listens */
	assert_int_equal(listen(listener, 1), 0);
	connects(at.sun_path);
	unlink(at.sun_path);
	rmdir(directory);
}

/* 192.0.2.0/24 is for documentation (RFC 5737): nothing is there to answer. */
static void cancel_ends_the_wait(void **state)
{
	CLOSE int cancel = eventfd(1, EFD_CLOEXEC);
	uint64_t began = util_now_ns();
	int fd = -1;
	struct cs_error *error = connect_stream("192.0.2.1:1234", cancel, 60000, &fd);

	(void)state;
	assert_non_null(error); /* interrupted, or there is no network at all */
	assert_true(error->code == CS_ERROR_TIMEOUT || error->code == CS_ERROR_CONNECT);
	assert_true(util_now_ns() - began < 5000000000u);
	cs_error_destroy(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_and_ports),      cmocka_unit_test(nobody_listens),
		cmocka_unit_test(what_is_no_address),   cmocka_unit_test(socket_by_its_path),
		cmocka_unit_test(cancel_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
