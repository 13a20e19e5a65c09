/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header sluice/uring.h on real sockets. The keys are constants that both ends get, so that every record
 * is as the test wants it; where the kernel has no TLS, what needs it is skipped, and what is left is what
 * plain sockets and the ring do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include <sluice/uring.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define WAIT_S 20

struct fixture {
	struct io_uring ring;
	int a, b; /* a TCP connection */
	struct sluice_uring_recv recv;
	struct sluice_uring_send send;
	struct sluice_uring_record record;
	uint8_t buf[32768];
	struct sluice_uring_buffers buffers;
};

/* --- the ring, an operation at a time ------------------------------------------------------- */

static void wait_cqe(struct fixture *f, struct io_uring_cqe *ret)
{
	struct __kernel_timespec limit = { WAIT_S, 0 };
	struct io_uring_cqe *cqe;

	assert_int_equal(io_uring_wait_cqe_timeout(&f->ring, &cqe, &limit), 0);
	*ret = *cqe;
	io_uring_cqe_seen(&f->ring, cqe);
}

static int run(struct fixture *f)
{
	struct io_uring_cqe cqe;

	assert_int_equal(io_uring_submit(&f->ring), 1);
	wait_cqe(f, &cqe);
	return cqe.res;
}

static struct io_uring_sqe *sqe_of(struct fixture *f)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&f->ring);

	assert_non_null(sqe);
	sqe->user_data = 0;
	return sqe;
}

static enum sluice_uring_result receive(struct fixture *f, int fd, size_t len)
{
	int res;

	sluice_uring_prep_recvmsg(sqe_of(f), fd, &f->recv, f->buf, len);
	res = run(f);
	if (sluice_uring_is_data(&f->recv, res))
		assert_int_equal(sluice_uring_result(&f->recv, res, &f->record), SLUICE_URING_DATA);
	return sluice_uring_result(&f->recv, res, &f->record);
}

static int send_text(struct fixture *f, int fd, const char *text, bool more)
{
	sluice_uring_prep_send(sqe_of(f), fd, text, strlen(text), more);
	return run(f);
}

static void expect_text(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(receive(f, fd, sizeof(f->buf)), SLUICE_URING_DATA);
	assert_int_equal(f->record.len, strlen(text));
	assert_memory_equal(f->record.data, text, strlen(text));
}

/* --- sockets and keys ----------------------------------------------------------------------- */

static void connect_pair(struct fixture *f)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 20000;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	f->a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(f->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(connect(f->a, (struct sockaddr *)&address, len), 0);
	f->b = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(f->b >= 0);
	close(listener);
}

static int set_key(int fd, int direction, uint8_t epoch)
{
	struct tls12_crypto_info_aes_gcm_128 keys = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128 },
	};

	memset(keys.key, epoch, sizeof(keys.key));
	return setsockopt(fd, SOL_TLS, direction, &keys, sizeof(keys)) < 0 ? -errno : 0;
}

static void need_ktls_of(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0) {
		print_message("skipped: this kernel has no TLS (%s)\n", strerror(errno));
		skip();
	}
	assert_int_equal(set_key(fd, TLS_TX, 1), 0);
	assert_int_equal(set_key(fd, TLS_RX, 1), 0);
}

/* A sends to B, and B to A, by kernel TLS. */
static void need_ktls(struct fixture *f)
{
	need_ktls_of(f->a);
	need_ktls_of(f->b);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int r;

	assert_non_null(f);
	*state = f;
	r = io_uring_queue_init(16, &f->ring, 0);
	if (r < 0)
		fail_msg("io_uring: %s", strerror(-r));
	connect_pair(f);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sluice_uring_buffers_free(&f->buffers, &f->ring);
	io_uring_queue_exit(&f->ring);
	close(f->a);
	close(f->b);
	free(f);
	return 0;
}

/* --- plain sockets: wherever the tests run -------------------------------------------------- */

static void the_probe_finds_what_is_used_here(void **state)
{
	struct sluice_uring_features features;

	assert_int_equal(sluice_uring_probe(&features), 0);
	assert_true(features.messages && features.close && features.splice && features.fixed);
	assert_true(features.buffers && features.multishot); /* of Linux 6.0 */
}

static void bytes_without_a_type_are_nobodys(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send_text(f, f->a, "hello", false), 5);
	assert_int_equal(receive(f, f->b, sizeof(f->buf)), SLUICE_URING_FAILED);
	shutdown(f->a, SHUT_WR);
	assert_int_equal(receive(f, f->b, sizeof(f->buf)), SLUICE_URING_END);
}

static void a_cancelled_receive_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct io_uring_cqe cqe;

	sluice_uring_prep_recvmsg(sqe_of(f), f->b, &f->recv, f->buf, sizeof(f->buf));
	io_uring_prep_cancel64(sqe_of(f), 0, 0);
	assert_int_equal(io_uring_submit(&f->ring), 2);
	wait_cqe(f, &cqe);
	if (cqe.res >= 0) /* the cancellation's */
		wait_cqe(f, &cqe);
	assert_int_equal(cqe.res, -ECANCELED); /* it has waited, though the socket does not */
	assert_int_equal(sluice_uring_result(&f->recv, cqe.res, &f->record), SLUICE_URING_AGAIN);
}

static void buffers_run_out_and_come_back(void **state)
{
	struct fixture *f = *state;
	struct io_uring_cqe cqe;
	int id;

	assert_int_equal(sluice_uring_buffers_init(&f->buffers, &f->ring, 1, 3, 4096), -EINVAL);
	assert_int_equal(sluice_uring_buffers_init(&f->buffers, &f->ring, 1, 2, 16), -EINVAL);
	assert_int_equal(sluice_uring_buffers_init(&f->buffers, &f->ring, 1, 2, 4096), 0);
	sluice_uring_prep_recvmsg_multishot(sqe_of(f), f->b, &f->recv, f->buffers.group);
	assert_int_equal(io_uring_submit(&f->ring), 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(f->a, "x", 1, 0), 1);
		wait_cqe(f, &cqe);
		assert_int_equal(sluice_uring_multishot_result(&f->buffers, &cqe, &f->record, &id),
				 SLUICE_URING_FAILED); /* a byte without a type */
		assert_int_equal(id, i);
		assert_int_equal(sluice_uring_buffer(&f->buffers, id)[SLUICE_URING_HEAD], 'x');
		assert_true(cqe.flags & IORING_CQE_F_MORE);
	}
	assert_int_equal(send(f->a, "y", 1, 0), 1);
	wait_cqe(f, &cqe);
	assert_int_equal(sluice_uring_multishot_result(&f->buffers, &cqe, &f->record, &id),
			 SLUICE_URING_NO_BUFFERS);
	assert_false(cqe.flags & IORING_CQE_F_MORE);
	sluice_uring_buffer_return(&f->buffers, 1);
	sluice_uring_prep_recvmsg_multishot(sqe_of(f), f->b, &f->recv, f->buffers.group);
	assert_int_equal(io_uring_submit(&f->ring), 1);
	wait_cqe(f, &cqe); /* nothing was lost */
	sluice_uring_multishot_result(&f->buffers, &cqe, &f->record, &id);
	assert_int_equal(id, 1);
	assert_int_equal(sluice_uring_buffer(&f->buffers, id)[SLUICE_URING_HEAD], 'y');
	io_uring_queue_exit(&f->ring); /* ends the receive */
	assert_int_equal(io_uring_queue_init(16, &f->ring, 0), 0);
}

/* Reads @fd to its end. Returns how much came. */
static size_t read_all(int fd)
{
	static uint8_t scrap[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, scrap, sizeof(scrap))) > 0)
		total += (size_t)n;
	assert_int_equal(n, 0);
	return total;
}

static size_t fill(int fd)
{
	static uint8_t zeros[16384];
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	size_t total = 0;
	ssize_t n;

	/* What is on its way when the socket is full makes room a little later. */
	do {
		while ((n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT)) > 0)
			total += (size_t)n;
		assert_int_equal(errno, EAGAIN);
	} while (poll(&pfd, 1, 100) == 1);
	return total;
}

/* What the close's operations complete with; -ETIME of a timeout that was not needed and the like is no matter. */
static int wait_close(struct fixture *f, uint64_t user_data)
{
	struct io_uring_cqe cqe;

	do
		wait_cqe(f, &cqe);
	while (cqe.user_data != user_data);
	return cqe.res;
}

static void a_close_waits_for_who_does_not_read(void **state)
{
	struct fixture *f = *state;
	struct sluice_uring_close closing;
	size_t sent = fill(f->a), came;
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(sluice_uring_queue_close(&f->ring, f->a, false, &closing, 0, 300, 7), 0);
	assert_int_equal(io_uring_submit(&f->ring), 5);
	assert_int_equal(wait_close(f, 7), 0);
	assert_int_equal(fcntl(f->a, F_GETFD), -1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000 >=
		    299);
	/* Everything that was accepted comes, with the alert only if a few bytes had room. */
	came = read_all(f->b);
	assert_true(came == sent || came == sent + 2);
	f->a = dup(f->b);
}

static void a_close_of_a_registered_file_needs_room_in_the_ring(void **state)
{
	struct fixture *f = *state;
	struct sluice_uring_close closing;
	int i;

	assert_int_equal(io_uring_register_files(&f->ring, &f->a, 1), 0);
	close(f->a);
	for (i = 0; i < 10; i++)
		io_uring_prep_nop(sqe_of(f));
	assert_int_equal(sluice_uring_queue_close(&f->ring, 0, true, &closing, 0, 300, 7), -EBUSY);
	assert_int_equal(io_uring_submit(&f->ring), 10);
	assert_int_equal(sluice_uring_queue_close(&f->ring, 0, true, &closing, 0, 300, 7), 0);
	assert_int_equal(io_uring_submit(&f->ring), 5);
	assert_int_equal(wait_close(f, 7), 0);
	assert_int_equal(read_all(f->b), 2); /* on a plain socket an alert is two bytes */
	assert_int_equal(sluice_uring_queue_close(&f->ring, f->b, false, &closing, -1, 300, 8), 0);
	assert_int_equal(io_uring_submit(&f->ring), 1);
	assert_int_equal(wait_close(f, 8), 0);
	assert_int_equal(fcntl(f->b, F_GETFD), -1);
	f->a = f->b = -1;
}

/* Bytes that nobody reads make close(2) a reset: a fatal alert has time until its reader goes. */
static void a_fatal_alert_is_not_overtaken(void **state)
{
	struct fixture *f = *state;
	struct sluice_uring_close closing;

	assert_int_equal(send(f->b, "unread", 6, 0), 6);
	assert_int_equal(sluice_uring_queue_close(&f->ring, f->a, false, &closing, 20, 20000, 7),
			 0);
	assert_int_equal(io_uring_submit(&f->ring), SLUICE_URING_CLOSE_SQES);
	usleep(50000);
	assert_int_equal(read_all(f->b), 2);
	assert_int_not_equal(fcntl(f->a, F_GETFD), -1);
	close(f->b);
	assert_int_equal(wait_close(f, 7), 0);
	assert_int_equal(fcntl(f->a, F_GETFD), -1);
	f->a = f->b = -1;
}

/* --- kernel TLS ----------------------------------------------------------------------------- */

static void types_are_told(void **state)
{
	struct fixture *f = *state;
	struct sluice_uring_messages messages = { .tls13 = true };

	need_ktls(f);
	assert_int_equal(send_text(f, f->a, "he", true), 2);
	sluice_uring_prep_flush(sqe_of(f), f->a, &f->send);
	assert_int_equal(run(f), 0);
	expect_text(f, f->b, "he");
	assert_int_equal(send_text(f, f->a, "llo", false), 3);
	sluice_uring_prep_alert(sqe_of(f), f->a, &f->send, 90);
	assert_int_equal(run(f), 2);
	expect_text(f, f->b, "llo");
	assert_int_equal(receive(f, f->b, 1), SLUICE_URING_CONTROL); /* in two pieces */
	assert_false(f->record.end);
	assert_int_equal(sluice_uring_next(&messages, &f->record), SLUICE_URING_NOTHING);
	assert_int_equal(receive(f, f->b, 1), SLUICE_URING_CONTROL);
	assert_true(f->record.end);
	assert_int_equal(sluice_uring_next(&messages, &f->record), SLUICE_URING_WARNING);
	assert_int_equal(messages.alert, 90);
	sluice_uring_prep_alert(sqe_of(f), f->a, &f->send, 0);
	assert_int_equal(run(f), 2);
	shutdown(f->a, SHUT_WR);
	/* A receive of data alone leaves it where it is. */
	sluice_uring_prep_recv(sqe_of(f), f->b, f->buf, sizeof(f->buf));
	assert_int_equal(sluice_uring_plain_result(run(f)), SLUICE_URING_NEEDS_TYPE);
	assert_int_equal(receive(f, f->b, sizeof(f->buf)), SLUICE_URING_CONTROL);
	assert_int_equal(sluice_uring_next(&messages, &f->record), SLUICE_URING_CLOSE_NOTIFY);
	sluice_uring_prep_recv(sqe_of(f), f->b, f->buf, sizeof(f->buf));
	assert_int_equal(sluice_uring_plain_result(run(f)), SLUICE_URING_NEEDS_TYPE);
	assert_int_equal(receive(f, f->b, sizeof(f->buf)), SLUICE_URING_END);
}

static void new_keys_go_in_between(void **state)
{
	struct fixture *f = *state;
	struct sluice_uring_messages messages = { .tls13 = true };

	need_ktls(f);
	if (set_key(f->a, TLS_TX, 1) < 0) {
		print_message("skipped: this kernel cannot change keys\n");
		skip();
	}
	assert_int_equal(send_text(f, f->a, "old", false), 3);
	sluice_uring_prep_key_update(sqe_of(f), f->a, &f->send, true);
	assert_int_equal(run(f), 5);
	assert_int_equal(set_key(f->a, TLS_TX, 2), 0);
	assert_int_equal(send_text(f, f->a, "new", false), 3);
	expect_text(f, f->b, "old");
	assert_int_equal(receive(f, f->b, sizeof(f->buf)), SLUICE_URING_CONTROL);
	assert_int_equal(receive(f, f->b, 5), SLUICE_URING_KEYS); /* too early */
	f->record = (struct sluice_uring_record){ (const uint8_t *)"\x18\0\0\1\1", 5, 22, true };
	assert_int_equal(sluice_uring_next(&messages, &f->record), SLUICE_URING_KEY_UPDATE);
	assert_true(messages.update_requested);
	assert_int_equal(set_key(f->b, TLS_RX, 2), 0);
	expect_text(f, f->b, "new");
}

static void a_multishot_goes_on_until_the_keys_change(void **state)
{
	struct fixture *f = *state;
	enum sluice_uring_result result;
	struct io_uring_cqe cqe;
	uint8_t types[16] = { 0 };
	int id, n = 0;

	need_ktls(f);
	assert_int_equal(
		sluice_uring_buffers_init(&f->buffers, &f->ring, 1, 2, SLUICE_URING_BUFFER), 0);
	for (int i = 0; i < 4; i++) { /* twice as many as buffers */
		assert_int_equal(send_text(f, f->a, "data", false), 4);
		sluice_uring_prep_record(sqe_of(f), f->a, &f->send, 22, "\4\0\0\0", 4);
		assert_int_equal(run(f), 4);
	}
	sluice_uring_prep_key_update(sqe_of(f), f->a, &f->send, false);
	assert_int_equal(run(f), 5);
	sluice_uring_prep_recvmsg_multishot(sqe_of(f), f->b, &f->recv, f->buffers.group);
	for (;;) {
		assert_true(io_uring_submit(&f->ring) >= 0);
		wait_cqe(f, &cqe);
		result = sluice_uring_multishot_result(&f->buffers, &cqe, &f->record, &id);
		if (id >= 0) {
			assert_in_range(n, 0, ARRAY_SIZE(types) - 1);
			types[n++] = f->record.type;
			assert_true(f->record.end);
			assert_int_equal(f->record.len, n == 9 ? 5 : 4);
			sluice_uring_buffer_return(&f->buffers, (unsigned int)id);
		}
		if (n == 9 && !(cqe.flags & IORING_CQE_F_MORE))
			break;
		if (!(cqe.flags & IORING_CQE_F_MORE))
			sluice_uring_prep_recvmsg_multishot(sqe_of(f), f->b, &f->recv, 1);
		if (n == 9 && set_key(f->a, TLS_TX, 1) < 0)
			break; /* a kernel that does not know what a KeyUpdate is */
	}
	assert_memory_equal(types, "\27\26\27\26\27\26\27\26\26", 9);
	assert_true(result == SLUICE_URING_KEYS || result == SLUICE_URING_CONTROL ||
		    result == SLUICE_URING_NO_BUFFERS);
	io_uring_queue_exit(&f->ring);
	assert_int_equal(io_uring_queue_init(16, &f->ring, 0), 0);
}

static void a_multishot_ends_with_the_connection(void **state)
{
	struct fixture *f = *state;
	struct io_uring_cqe cqe;
	int id;

	need_ktls(f);
	assert_int_equal(sluice_uring_buffers_init(&f->buffers, &f->ring, 1, 2, 256), 0);
	assert_int_equal(send_text(f, f->a, "data", false), 4);
	shutdown(f->a, SHUT_WR);
	sluice_uring_prep_recvmsg_multishot(sqe_of(f), f->b, &f->recv, 1);
	assert_int_equal(io_uring_submit(&f->ring), 1);
	wait_cqe(f, &cqe);
	assert_int_equal(sluice_uring_multishot_result(&f->buffers, &cqe, &f->record, &id),
			 SLUICE_URING_DATA);
	sluice_uring_buffer_return(&f->buffers, (unsigned int)id);
	wait_cqe(f, &cqe);
	assert_int_equal(sluice_uring_multishot_result(&f->buffers, &cqe, &f->record, &id),
			 SLUICE_URING_END);
	assert_false(cqe.flags & IORING_CQE_F_MORE);
}

static void a_bad_record_leaves_room_for_the_alert(void **state)
{
	static const uint8_t bad[] = { 23, 3, 3, 0, 32, [36] = 1 };
	struct sluice_uring_messages messages = { .tls13 = true };
	struct fixture *f = *state;

	need_ktls_of(f->b);
	assert_int_equal(send(f->a, bad, sizeof(bad), 0), sizeof(bad));
	sluice_uring_prep_recvmsg(sqe_of(f), f->b, &f->recv, f->buf, sizeof(f->buf));
	assert_int_equal(run(f), -EBADMSG);
	assert_int_equal(sluice_uring_result(&f->recv, -EBADMSG, &f->record),
			 SLUICE_URING_BAD_RECORD);
	sluice_uring_clear_error(f->b);
	assert_int_equal(sluice_uring_clear_error(f->b), 0);
	sluice_uring_prep_alert(sqe_of(f), f->b, &f->send, sluice_uring_alert_for(-EBADMSG));
	assert_int_equal(run(f), 2);
	need_ktls_of(f->a);
	assert_int_equal(receive(f, f->a, sizeof(f->buf)), SLUICE_URING_CONTROL);
	assert_int_equal(sluice_uring_next(&messages, &f->record), SLUICE_URING_FATAL);
	assert_int_equal(messages.alert, SLUICE_URING_BAD_RECORD_MAC);
}

static void plaintext_is_spliced(void **state)
{
	struct fixture *f = *state;
	int pipe_fds[2];

	need_ktls(f);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(write(pipe_fds[1], "spliced", 7), 7);
	sluice_uring_prep_splice_in(sqe_of(f), pipe_fds[0], f->a, 7, false);
	assert_int_equal(run(f), 7);
	sluice_uring_prep_alert(sqe_of(f), f->a, &f->send, 0);
	assert_int_equal(run(f), 2);
	sluice_uring_prep_splice_out(sqe_of(f), f->b, pipe_fds[1], 4096);
	assert_int_equal(run(f), 7);
	assert_int_equal(read(pipe_fds[0], f->buf, sizeof(f->buf)), 7);
	assert_memory_equal(f->buf, "spliced", 7);
	sluice_uring_prep_splice_out(sqe_of(f), f->b, pipe_fds[1], 4096);
	assert_int_equal(sluice_uring_splice_result(run(f)), SLUICE_URING_NEEDS_TYPE);
	assert_int_equal(receive(f, f->b, sizeof(f->buf)), SLUICE_URING_CONTROL);
	assert_int_equal(f->record.type, SLUICE_URING_TYPE_ALERT);
	/* The one operation that asks whether the socket waits. */
	fill(f->a);
	assert_int_equal(fcntl(f->a, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(write(pipe_fds[1], "spliced", 7), 7);
	sluice_uring_prep_splice_in(sqe_of(f), pipe_fds[0], f->a, 7, false);
	assert_int_equal(run(f), -EAGAIN);
	assert_int_equal(sluice_uring_make_blocking(f->a), 0);
	assert_int_equal(fcntl(f->a, F_GETFL) & O_NONBLOCK, 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* The record that the kernel holds back of a full socket is what another order of closing loses. */
static void a_close_loses_nothing(void **state)
{
	struct fixture *f = *state;
	struct sluice_uring_messages messages = { .tls13 = true };
	struct sluice_uring_close closing;
	size_t sent, came = 0;
	uint8_t *into = f->buf;

	need_ktls(f);
	sent = fill(f->a);
	assert_int_equal(sluice_uring_queue_close(&f->ring, f->a, false, &closing, 0, 20000, 7), 0);
	assert_int_equal(io_uring_submit(&f->ring), 5);
	for (;;) {
		struct iovec iov = { into, sizeof(f->buf) };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = f->recv.cmsg.bytes,
				      .msg_controllen = sizeof(f->recv.cmsg.bytes) };
		ssize_t n = recvmsg(f->b, &msg, 0);

		assert_true(n > 0);
		if (sluice_uring_cmsg_is_data(f->recv.cmsg.bytes)) {
			came += (size_t)n;
			continue;
		}
		f->record = (struct sluice_uring_record){ into, (size_t)n, 21, true };
		break;
	}
	assert_int_equal(sluice_uring_next(&messages, &f->record), SLUICE_URING_CLOSE_NOTIFY);
	assert_int_equal(came, sent);
	assert_int_equal(wait_close(f, 7), 0);
	assert_int_equal(receive(f, f->b, sizeof(f->buf)), SLUICE_URING_END);
	f->a = -1;
}

static void a_registered_file_is_a_socket(void **state)
{
	struct fixture *f = *state;
	struct io_uring_sqe *sqe;
	int res;

	need_ktls(f);
	assert_int_equal(io_uring_register_files(&f->ring, &f->b, 1), 0);
	assert_int_equal(send_text(f, f->a, "fixed", false), 5);
	sqe = sqe_of(f);
	sluice_uring_prep_recvmsg(sqe, 0, &f->recv, f->buf, sizeof(f->buf));
	sqe->flags |= IOSQE_FIXED_FILE;
	res = run(f);
	assert_int_equal(res, 5);
	assert_true(sluice_uring_is_data(&f->recv, res));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_probe_finds_what_is_used_here),
		TEST(bytes_without_a_type_are_nobodys),
		TEST(a_cancelled_receive_is_no_failure),
		TEST(buffers_run_out_and_come_back),
		TEST(a_close_waits_for_who_does_not_read),
		TEST(a_close_of_a_registered_file_needs_room_in_the_ring),
		TEST(a_fatal_alert_is_not_overtaken),
		TEST(types_are_told),
		TEST(new_keys_go_in_between),
		TEST(a_multishot_goes_on_until_the_keys_change),
		TEST(a_multishot_ends_with_the_connection),
		TEST(a_bad_record_leaves_room_for_the_alert),
		TEST(plaintext_is_spliced),
		TEST(a_close_loses_nothing),
		TEST(a_registered_file_is_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
