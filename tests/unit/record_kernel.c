/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's record path without a kernel: prep() is looked at, done() gets what recvmsg(2) and
 * sendmsg(2) would have brought. The socket options that it uses are replaced.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sluice/error.h>

#include "core/secret.h"
#include "core/sys.h"
#include "record/ktls.h"
#include "record/record.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FD 1000

static struct {
	int so_error;    /* what lies on the socket */
	int install_err; /* of setsockopt(2) */

	unsigned int n_so_error, n_install;
	int installed; /* TLS_TX 1, TLS_RX 2 */
} fake;

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	assert_int_equal(fd, FD);
	assert_int_equal(level, SOL_SOCKET);
	assert_int_equal(name, SO_ERROR);
	assert_int_equal(*len, sizeof(int));
	memcpy(value, &fake.so_error, sizeof(int));
	fake.so_error = 0;
	fake.n_so_error++;
	return 0;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	assert_int_equal(fd, FD);
	assert_int_equal(level, 282);
	fake.installed = name;
	fake.n_install++;
	errno = fake.install_err;
	return fake.install_err ? -1 : 0;
}

/* ---- one of each ---- */

struct fixture {
	struct traffic traffic;
	struct record_rx *rx;
	struct record_tx *tx;
	uint8_t buf[256];
	struct msghdr msg;
	struct record record;
};

static int setup(void **state)
{
	static struct sys_ops fake_sys;
	static struct fixture f;

	memset(&fake, 0, sizeof(fake));
	memset(&f, 0, sizeof(f));
	fake_sys = sys_real;
	fake_sys.getsockopt = fake_getsockopt;
	fake_sys.setsockopt = fake_setsockopt;
	sys = &fake_sys;

	f.traffic.suite = suite_find(0x1301);
	f.traffic.seq = 3;
	f.record = (struct record){ .type = 99, .len = 99 };
	assert_int_equal(record_kernel_rx_new(&f.rx, FD, &f.traffic), 0);
	assert_int_equal(record_kernel_tx_new(&f.tx, FD, &f.traffic), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_null(f->rx->ops->free(f->rx));
	assert_null(f->tx->ops->free(f->tx));
	sys = &sys_real;
	assert_int_equal(secret_live(), 0);
	return 0;
}

static void rx_prep(struct fixture *f)
{
	memset(&f->msg, 0xee, sizeof(f->msg));
	assert_int_equal(f->rx->ops->prep(f->rx, f->buf, sizeof(f->buf), &f->msg), 0);
}

static int rx_done(struct fixture *f, ssize_t res)
{
	return f->rx->ops->done(f->rx, res, &f->msg, &f->record);
}

/* What recvmsg(2) leaves in the msghdr of a record. */
static void arrive(struct fixture *f, uint8_t type, int flags)
{
	struct cmsghdr *cmsg;

	rx_prep(f);
	cmsg = CMSG_FIRSTHDR(&f->msg);
	cmsg->cmsg_level = 282;
	cmsg->cmsg_type = 2;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = type;
	f->msg.msg_flags = flags;
}

/* And without a record. */
static void arrive_without_type(struct fixture *f, int flags)
{
	rx_prep(f);
	f->msg.msg_controllen = 0;
	f->msg.msg_flags = flags;
}

static void assert_record(const struct fixture *f, uint8_t type, size_t len, bool end)
{
	assert_int_equal(f->record.type, type);
	assert_int_equal(f->record.len, len);
	assert_int_equal(f->record.end, end);
	assert_ptr_equal(f->record.data, f->buf);
}

/* ---- receiving ---- */

static void rx_prep_takes_the_callers_buffer(void **state)
{
	struct fixture *f = *state;

	rx_prep(f);
	assert_int_equal(f->rx->ops->path, SLUICE_PATH_KERNEL);
	assert_null(f->msg.msg_name);
	assert_int_equal(f->msg.msg_namelen, 0);
	assert_int_equal(f->msg.msg_iovlen, 1);
	assert_ptr_equal(f->msg.msg_iov->iov_base, f->buf);
	assert_int_equal(f->msg.msg_iov->iov_len, sizeof(f->buf));
	assert_non_null(f->msg.msg_control);
	assert_int_equal(f->msg.msg_controllen, KTLS_CONTROL_LEN);
	assert_int_equal(f->msg.msg_flags, 0);
	assert_int_equal(f->rx->ops->next(f->rx, NULL, 0, &f->record), RECORD_MORE);
	assert_int_equal(f->record.type, 99);
}

/* The kernel answers a receive of no bytes as it does at the end: never ask. */
static void rx_prep_refuses_an_empty_buffer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->rx->ops->prep(f->rx, f->buf, 0, &f->msg), -SLUICE_E_INVALID);
}

static void rx_records_of_every_type(void **state)
{
	struct fixture *f = *state;

	for (int type = 0; type < 256; type++) {
		arrive(f, (uint8_t)type, MSG_EOR);
		assert_int_equal(rx_done(f, 17), RECORD_READY);
		assert_record(f, (uint8_t)type, 17, true);
		assert_int_equal(f->rx->records, 3 + type + 1);
	}
}

static void rx_control_record_in_pieces(void **state)
{
	struct fixture *f = *state;

	arrive(f, RECORD_HANDSHAKE, 0);
	assert_int_equal(rx_done(f, sizeof(f->buf)), RECORD_READY);
	assert_record(f, RECORD_HANDSHAKE, sizeof(f->buf), false);
	assert_int_equal(f->rx->records, 3);
	arrive(f, RECORD_HANDSHAKE, MSG_EOR);
	assert_int_equal(rx_done(f, 1), RECORD_READY);
	assert_record(f, RECORD_HANDSHAKE, 1, true);
	assert_int_equal(f->rx->records, 4);
}

static void rx_empty_record_is_not_the_end(void **state)
{
	static const uint8_t types[] = { RECORD_ALERT, RECORD_HANDSHAKE, RECORD_DATA };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		arrive(f, types[i], 0);
		assert_int_equal(rx_done(f, 0), RECORD_READY);
		assert_record(f, types[i], 0, true);
		assert_int_equal(f->rx->records, 3 + i + 1);
	}
}

static void rx_end_of_the_transport(void **state)
{
	struct fixture *f = *state;

	arrive_without_type(f, 0);
	assert_int_equal(rx_done(f, 0), RECORD_EOF);
	assert_int_equal(f->record.type, 99);
	assert_int_equal(f->rx->records, 3);
}

static void rx_malformed_control_message(void **state)
{
	struct fixture *f = *state;

	/* No type, and bytes: the socket has no receiving keys. */
	arrive_without_type(f, 0);
	assert_int_equal(rx_done(f, 5), -SLUICE_E_INTERNAL);
	/* Cut: with bytes, and where it could be taken for the end. */
	arrive_without_type(f, MSG_CTRUNC);
	assert_int_equal(rx_done(f, 5), -SLUICE_E_INTERNAL);
	assert_int_equal(rx_done(f, 0), -SLUICE_E_INTERNAL);
	arrive(f, RECORD_DATA, MSG_CTRUNC | MSG_EOR);
	assert_int_equal(rx_done(f, 5), -SLUICE_E_INTERNAL);
	/* Another level, type, length. */
	arrive(f, RECORD_DATA, MSG_EOR);
	CMSG_FIRSTHDR(&f->msg)->cmsg_level = SOL_SOCKET;
	assert_int_equal(rx_done(f, 5), -SLUICE_E_INTERNAL);
	arrive(f, RECORD_DATA, MSG_EOR);
	CMSG_FIRSTHDR(&f->msg)->cmsg_type = 1;
	assert_int_equal(rx_done(f, 5), -SLUICE_E_INTERNAL);
	arrive(f, RECORD_DATA, MSG_EOR);
	CMSG_FIRSTHDR(&f->msg)->cmsg_len = CMSG_LEN(4);
	assert_int_equal(rx_done(f, 5), -SLUICE_E_INTERNAL);
	assert_int_equal(f->record.type, 99);
	assert_int_equal(f->rx->records, 3);
}

static void AL_07_rx_every_errno(void **state)
{
	static const struct {
		int err, want;
		unsigned int n_so_error; /* is the socket's error taken away? */
	} rows[] = {
		{ EAGAIN, RECORD_MORE, 0 },
		{ EWOULDBLOCK, RECORD_MORE, 0 },
		{ EINTR, RECORD_MORE, 0 },
		{ ECANCELED, RECORD_MORE, 0 },
		{ EKEYEXPIRED, RECORD_REKEY, 0 },
		{ EBADMSG, -SLUICE_E_BAD_RECORD_MAC, 1 },
		{ EMSGSIZE, -SLUICE_E_RECORD_OVERFLOW, 1 },
		{ EINVAL, -SLUICE_E_PROTOCOL, 1 },
		{ EIO, -SLUICE_E_INTERNAL, 0 },
		{ ECONNRESET, -SLUICE_E_RESET, 0 },
		{ ETIMEDOUT, -SLUICE_E_IO, 0 },
		{ EHOSTUNREACH, -SLUICE_E_IO, 0 },
		{ ENOMEM, -SLUICE_E_NOMEM, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.n_so_error = 0;
		fake.so_error = rows[i].err;
		rx_prep(f);
		assert_int_equal(rx_done(f, -rows[i].err), rows[i].want);
		assert_int_equal(fake.n_so_error, rows[i].n_so_error);
		assert_int_equal(f->record.type, 99);
		assert_int_equal(f->rx->records, 3);
	}
}

static void rx_rekey(void **state)
{
	struct fixture *f = *state;

	f->traffic.seq = 0;
	fake.install_err = EBUSY;
	assert_int_equal(f->rx->ops->rekey(f->rx, &f->traffic), -SLUICE_E_REKEY);
	assert_int_equal(f->rx->records, 3);
	fake.install_err = 0;
	assert_int_equal(f->rx->ops->rekey(f->rx, &f->traffic), 0);
	assert_int_equal(f->rx->records, 0);
	assert_int_equal(fake.n_install, 2);
	assert_int_equal(fake.installed, 2);
}

/* ---- sending ---- */

static void tx_data_has_no_control_message(void **state)
{
	struct fixture *f = *state;

	memset(&f->msg, 0xee, sizeof(f->msg));
	assert_int_equal(f->tx->ops->path, SLUICE_PATH_KERNEL);
	assert_int_equal(f->tx->ops->prep(f->tx, RECORD_DATA, f->buf, 100, &f->msg), 100);
	assert_null(f->msg.msg_name);
	assert_int_equal(f->msg.msg_iovlen, 1);
	assert_ptr_equal(f->msg.msg_iov->iov_base, f->buf);
	assert_int_equal(f->msg.msg_iov->iov_len, 100);
	assert_null(f->msg.msg_control);
	assert_int_equal(f->msg.msg_controllen, 0);
	assert_int_equal(f->msg.msg_flags, 0); /* no MSG_WAITALL, which the kernel refuses */
	assert_int_equal(f->tx->ops->done(f->tx, 60), 60);
	assert_false(f->tx->ops->pending(f->tx));
}

static void tx_type_of_control_records(void **state)
{
	static const uint8_t types[] = { RECORD_CHANGE_CIPHER_SPEC, RECORD_ALERT,
					 RECORD_HANDSHAKE };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct cmsghdr *cmsg;

		assert_int_equal(f->tx->ops->prep(f->tx, types[i], f->buf, 5, &f->msg), 5);
		assert_int_equal(f->msg.msg_controllen, KTLS_CONTROL_LEN);
		cmsg = CMSG_FIRSTHDR(&f->msg);
		assert_int_equal(cmsg->cmsg_level, 282);
		assert_int_equal(cmsg->cmsg_type, 1);
		assert_int_equal(cmsg->cmsg_len, CMSG_LEN(1));
		assert_int_equal(*CMSG_DATA(cmsg), types[i]);
		assert_int_equal(f->tx->ops->done(f->tx, 5), 5);
		assert_false(f->tx->ops->pending(f->tx));
		/* Data after it is data again. */
		assert_int_equal(f->tx->ops->prep(f->tx, RECORD_DATA, f->buf, 5, &f->msg), 5);
		assert_null(f->msg.msg_control);
		assert_int_equal(f->tx->ops->done(f->tx, 5), 5);
	}
}

static void tx_nothing_is_ever_pending(void **state)
{
	struct fixture *f = *state;

	assert_false(f->tx->ops->pending(f->tx));
	assert_int_equal(f->tx->ops->prep(f->tx, RECORD_DATA, NULL, 0, &f->msg), 0);
	assert_int_equal(f->msg.msg_iov->iov_len, 0);
	assert_int_equal(f->tx->ops->done(f->tx, 0), 0);
	assert_int_equal(f->tx->records, 3);
	assert_int_equal(f->tx->ops->prep(f->tx, RECORD_ALERT, f->buf, 2, &f->msg), 2);
	assert_int_equal(f->tx->ops->done(f->tx, -EAGAIN), 0);
	assert_false(f->tx->ops->pending(f->tx));
}

static void tx_records_by_size(void **state)
{
	static const struct {
		ssize_t len;
		uint64_t records;
	} rows[] = { { 0, 0 }, { 1, 1 }, { 16384, 1 }, { 16385, 2 }, { 32768, 2 }, { 100000, 7 } };
	struct fixture *f = *state;
	uint64_t want = 3;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(f->tx->ops->done(f->tx, rows[i].len), rows[i].len);
		want += rows[i].records;
		assert_int_equal(f->tx->records, want);
	}
	assert_int_equal(f->tx->ops->done(f->tx, -EAGAIN), 0);
	assert_int_equal(f->tx->records, want);
}

static void AL_07_tx_every_errno(void **state)
{
	static const struct {
		int err, so_error, want;
	} rows[] = {
		{ EAGAIN, 0, 0 },
		{ EWOULDBLOCK, 0, 0 },
		{ EINTR, 0, 0 },
		{ ECANCELED, 0, 0 },
		{ ECONNRESET, 0, -SLUICE_E_RESET },
		{ EPIPE, 0, -SLUICE_E_RESET },
		{ ENOMEM, 0, -SLUICE_E_NOMEM },
		{ ETIMEDOUT, 0, -SLUICE_E_IO },
		{ EIO, 0, -SLUICE_E_IO },
		/* The peer's record, met by our send. */
		{ EBADMSG, EBADMSG, -SLUICE_E_BAD_RECORD_MAC },
		{ EMSGSIZE, EMSGSIZE, -SLUICE_E_RECORD_OVERFLOW },
		{ EINVAL, EINVAL, -SLUICE_E_PROTOCOL },
		/* Our own doing. */
		{ EINVAL, 0, -SLUICE_E_INTERNAL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.so_error = rows[i].so_error;
		assert_int_equal(f->tx->ops->prep(f->tx, RECORD_DATA, f->buf, 9, &f->msg), 9);
		assert_int_equal(f->tx->ops->done(f->tx, -rows[i].err), rows[i].want);
		assert_int_equal(fake.so_error, 0);
		assert_int_equal(f->tx->records, 3);
	}
}

static void tx_rekey(void **state)
{
	struct fixture *f = *state;

	f->traffic.seq = 0;
	fake.install_err = ENOMEM;
	assert_int_equal(f->tx->ops->rekey(f->tx, &f->traffic), -SLUICE_E_REKEY);
	assert_int_equal(f->tx->records, 3);
	fake.install_err = 0;
	assert_int_equal(f->tx->ops->rekey(f->tx, &f->traffic), 0);
	assert_int_equal(f->tx->records, 0);
	assert_int_equal(fake.n_install, 2);
	assert_int_equal(fake.installed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rx_prep_takes_the_callers_buffer),
		TEST(rx_prep_refuses_an_empty_buffer),
		TEST(rx_records_of_every_type),
		TEST(rx_control_record_in_pieces),
		TEST(rx_empty_record_is_not_the_end),
		TEST(rx_end_of_the_transport),
		TEST(rx_malformed_control_message),
		TEST(AL_07_rx_every_errno),
		TEST(rx_rekey),
		TEST(tx_data_has_no_control_message),
		TEST(tx_type_of_control_records),
		TEST(tx_nothing_is_ever_pending),
		TEST(tx_records_by_size),
		TEST(AL_07_tx_every_errno),
		TEST(tx_rekey),
	};

	return cmocka_run_group_tests_name("unit/record_kernel", tests, NULL, NULL);
}
