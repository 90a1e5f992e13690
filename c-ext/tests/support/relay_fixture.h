/* SPDX-License-Identifier: MIT */
/* A relay at a stub of the test's, and a debugger at the relay. */
#ifndef CLOCKSCOPE_TESTS_RELAY_FIXTURE_H
#define CLOCKSCOPE_TESTS_RELAY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "relay/relay.h"
#include "support/expect.h"
#include "support/peer.h"

#define TIMEOUT_MS 300 /* of a request: what some tests have to wait for */
#define LONG_MS 5000   /* what none waits for unless it fails */

static const uint64_t relay_walk[] = {0x1000, 0x2000, 0x1004, 0x2000, 0x1008, 0x2000, 0x3000, 0};

struct test {
	struct peer peer;
	struct relay *relay;
};

static inline int set_up(void **state)
{
	struct test *test = calloc(1, sizeof(*test));

	if (!test)
		return -1;
	test->peer.walk = relay_walk;
	peer_start(&test->peer);
	*state = test;
	return 0;
}

static inline int tear_down(void **state)
{
	struct test *test = *state;

	relay_destroy(test->relay);
	peer_stop(&test->peer);
	free(test);
	return 0;
}

static inline struct relay *attach(struct test *test)
{
	succeeds(relay_create(test->peer.path, LONG_MS, TIMEOUT_MS, NULL, &test->relay));
	return test->relay;
}

static inline void stops_with(struct relay *relay, const char *expected)
{
	FREE char *stop = NULL;

	succeeds(relay_wait(relay, LONG_MS, &stop));
	assert_string_equal(stop ? stop : "(none)", expected);
}

static inline struct cs_error *nothing(struct stub *stub, void *context)
{
	(void)stub;
	++*(int *)context;
	return NULL;
}

static inline struct cs_error *call(struct relay *relay)
{
	int called = 0;
	struct cs_error *error = relay_call(relay, nothing, &called);

	assert_int_equal(called, !error);
	return error;
}

/* --- A debugger --- */

/* Connects in GDB's place, and says that it does without acknowledgements. */
static inline int debugger(struct relay *relay)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", relay_socket_path(relay));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline void tell(int fd, const char *payload)
{
	FREE char *frame = NULL;
	size_t length;

	assert_null(packet_frame(payload, strlen(payload), &frame, &length));
	/* The relay may have closed the connection already. */
	assert_true(send(fd, frame, length, MSG_NOSIGNAL) == (ssize_t)length || errno == EPIPE);
}

/* The next payload; "(closed)" at the end. */
static inline void hears(int fd, const char *expected)
{
	char text[1024] = "";
	size_t n = 0;
	struct pollfd at = {.fd = fd, .events = POLLIN};

	/* A byte at a time: what follows belongs to the next question. */
	while (poll(&at, 1, LONG_MS) == 1 && recv(fd, text + n, 1, 0) == 1 && n < sizeof(text) - 1) {
		if (text[0] == '$')
			n++;
		if (n > 3 && text[n - 3] == '#') {
			text[n - 3] = '\0';
			assert_string_equal(text + 1, expected);
			return;
		}
	}
	assert_string_equal("(closed)", expected);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

#endif
