/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header sluice/uring.h without a kernel: completions as recvmsg(2) and a multishot receive would
 * bring them, records whole and in pieces, and what is sent, byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <sluice/uring.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A completed receive: what the kernel has written of it. */
static void complete(struct sluice_uring_recv *recv, void *buf, int level, int type, int record)
{
	struct io_uring_sqe sqe;
	struct cmsghdr *head;

	memset(&sqe, 0, sizeof(sqe));
	sluice_uring_prep_recvmsg(&sqe, 3, recv, buf, 100);
	assert_int_equal(sqe.opcode, IORING_OP_RECVMSG);
	assert_int_equal(sqe.msg_flags, 0);
	assert_ptr_equal(sqe.addr, &recv->msg);
	assert_int_equal(recv->msg.msg_controllen, CMSG_SPACE(1));
	head = CMSG_FIRSTHDR(&recv->msg);
	*head = (struct cmsghdr){ CMSG_LEN(1), level, type };
	*CMSG_DATA(head) = (unsigned char)record;
	recv->msg.msg_flags = MSG_EOR;
}

static void data_is_told_by_one_comparison(void **state)
{
	struct sluice_uring_recv recv;
	struct io_uring_sqe sqe;
	uint8_t buf[100];
	int bit;

	complete(&recv, buf, SOL_TLS, TLS_GET_RECORD_TYPE, 23);
	assert_true(sluice_uring_is_data(&recv, 5));
	assert_true(sluice_uring_is_data(&recv, 0));
	assert_false(sluice_uring_is_data(&recv, -EFAULT));
	for (bit = 0; bit < 8; bit++) {
		complete(&recv, buf, SOL_TLS, TLS_GET_RECORD_TYPE, 23 ^ 1 << bit);
		assert_false(sluice_uring_is_data(&recv, 5));
	}
	for (bit = 0; bit < 31; bit++) {
		complete(&recv, buf, SOL_TLS, TLS_GET_RECORD_TYPE ^ 1 << bit, 23);
		assert_false(sluice_uring_is_data(&recv, 5));
	}
	/* What other levels are to a TCP socket. */
	for (int level = 0; level < 256; level++) {
		complete(&recv, buf, level, TLS_GET_RECORD_TYPE, 23);
		assert_false(sluice_uring_is_data(&recv, 5));
	}
	memset(&recv, 0xff, sizeof(recv));
	sluice_uring_prep_recvmsg(&sqe, 3, &recv, buf, sizeof(buf));
	assert_false(sluice_uring_is_data(&recv, 5));
}

static void completions_are_sorted(void **state)
{
	static const struct {
		int type, flags;
		size_t controllen;
		int res;
		enum sluice_uring_result result;
	} cases[] = {
		{ 23, MSG_EOR, CMSG_SPACE(1), 5, SLUICE_URING_DATA },
		{ 23, 0, CMSG_SPACE(1), 5, SLUICE_URING_DATA },
		{ 23, MSG_EOR, CMSG_SPACE(1), 0, SLUICE_URING_DATA }, /* empty: not the end */
		{ 21, MSG_EOR, CMSG_SPACE(1), 2, SLUICE_URING_CONTROL },
		{ 22, MSG_EOR, CMSG_SPACE(1), 5, SLUICE_URING_CONTROL },
		{ 99, MSG_EOR, CMSG_SPACE(1), 5, SLUICE_URING_CONTROL },
		{ 21, MSG_EOR, CMSG_SPACE(1), 0, SLUICE_URING_BAD_RECORD }, /* empty */
		{ 23, MSG_EOR | MSG_CTRUNC, CMSG_SPACE(1), 5, SLUICE_URING_FAILED },
		{ 23, 0, CMSG_LEN(1) - 1, 5, SLUICE_URING_FAILED }, /* cut */
		{ 23, 0, 0, 5, SLUICE_URING_FAILED },               /* no kernel TLS */
		{ 23, 0, 0, 0, SLUICE_URING_END },
		{ 23, 0, 0, -EAGAIN, SLUICE_URING_AGAIN },
		{ 23, 0, 0, -EINTR, SLUICE_URING_AGAIN },
		{ 23, 0, 0, -ECANCELED, SLUICE_URING_AGAIN },
		{ 23, 0, 0, -EIO, SLUICE_URING_NEEDS_TYPE },
		{ 23, 0, 0, -EKEYEXPIRED, SLUICE_URING_KEYS },
		{ 23, 0, 0, -ENOBUFS, SLUICE_URING_NO_BUFFERS },
		{ 23, 0, 0, -EBADMSG, SLUICE_URING_BAD_RECORD },
		{ 23, 0, 0, -EMSGSIZE, SLUICE_URING_BAD_RECORD },
		{ 23, 0, 0, -ECONNRESET, SLUICE_URING_FAILED },
		{ 23, 0, 0, -ENOMEM, SLUICE_URING_FAILED },
	};
	struct sluice_uring_record record = { 0 };
	struct sluice_uring_recv recv;
	uint8_t buf[100];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		complete(&recv, buf, SOL_TLS, TLS_GET_RECORD_TYPE, cases[i].type);
		recv.msg.msg_flags = cases[i].flags;
		recv.msg.msg_controllen = cases[i].controllen;
		if (sluice_uring_result(&recv, cases[i].res, &record) != cases[i].result)
			fail_msg("case %zu", i);
		if (cases[i].result != SLUICE_URING_DATA && cases[i].result != SLUICE_URING_CONTROL)
			continue;
		assert_ptr_equal(record.data, buf);
		assert_int_equal(record.len, cases[i].res);
		assert_int_equal(record.type, cases[i].type);
		assert_int_equal(record.end, !!(cases[i].flags & MSG_EOR));
	}
	/* A control message of something else. */
	complete(&recv, buf, SOL_SOCKET, SCM_TIMESTAMP, 23);
	assert_int_equal(sluice_uring_result(&recv, 5, &record), SLUICE_URING_FAILED);
	assert_int_equal(sluice_uring_plain_result(5), SLUICE_URING_DATA);
	assert_int_equal(sluice_uring_plain_result(0), SLUICE_URING_NEEDS_TYPE);
	assert_int_equal(sluice_uring_plain_result(-EIO), SLUICE_URING_NEEDS_TYPE);
	assert_int_equal(sluice_uring_splice_result(-EINVAL), SLUICE_URING_NEEDS_TYPE);
	assert_int_equal(sluice_uring_splice_result(-EKEYEXPIRED), SLUICE_URING_KEYS);
	assert_int_equal(sluice_uring_alert_for(-EBADMSG), 20);
	assert_int_equal(sluice_uring_alert_for(-EMSGSIZE), 22);
	assert_int_equal(sluice_uring_alert_for(-EINVAL), 10);
	assert_int_equal(sluice_uring_alert_for(0), 10);
}

static void a_multishot_buffer_is_held_against_its_length(void **state)
{
	_Alignas(64) uint8_t memory[2][256];
	struct sluice_uring_buffers buffers = { .memory = memory[0], .size = 256, .n = 2 };
	struct io_uring_recvmsg_out *out = (void *)memory[1];
	struct cmsghdr *head = (void *)(memory[1] + sizeof(*out));
	struct sluice_uring_record record = { 0 };
	struct io_uring_cqe cqe = { .flags = IORING_CQE_F_BUFFER | 1 << IORING_CQE_BUFFER_SHIFT };
	int id;

	memset(memory, 0, sizeof(memory));
	*out = (struct io_uring_recvmsg_out){ .controllen = CMSG_SPACE(1), .flags = MSG_EOR };
	*head = (struct cmsghdr){ CMSG_LEN(1), SOL_TLS, TLS_GET_RECORD_TYPE };
	*CMSG_DATA(head) = 23;
	cqe.res = SLUICE_URING_HEAD + 7;
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_DATA);
	assert_int_equal(id, 1);
	assert_int_equal(record.len, 7);
	assert_true(record.end);
	assert_ptr_equal(record.data, memory[1] + SLUICE_URING_HEAD);
	cqe.res = SLUICE_URING_HEAD - 1;
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_FAILED);
	cqe.res = 257;
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_FAILED);
	cqe.res = SLUICE_URING_HEAD + 2;
	*CMSG_DATA(head) = 21;
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_CONTROL);
	assert_int_equal(record.type, 21);
	/* The end: the old control message is still in the buffer. */
	*CMSG_DATA(head) = 23;
	out->controllen = 0;
	cqe.res = SLUICE_URING_HEAD;
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_END);
	cqe.res = SLUICE_URING_HEAD + 1;
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_FAILED);
	cqe.flags = IORING_CQE_F_BUFFER | 2 << IORING_CQE_BUFFER_SHIFT; /* no buffer of ours */
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_FAILED);
	cqe = (struct io_uring_cqe){ .res = -ENOBUFS };
	assert_int_equal(sluice_uring_multishot_result(&buffers, &cqe, &record, &id),
			 SLUICE_URING_NO_BUFFERS);
	assert_int_equal(id, -1);
}

/* --- control records ------------------------------------------------------------------------ */

#define KEY_UPDATE "\x18\0\0\1"
#define TICKET "\4\0\0\x0e\0\0\x1c\x20\1\2\3\4\0\0\1t\0\0"
#define S(text) text, sizeof(text) - 1

enum { CLIENT13, SERVER13, CLIENT12, SERVER12 };

static const struct {
	const char *name;
	int who;
	uint8_t type;
	const char *bytes;
	size_t len;
	const char *events; /* a letter each, as in letters[] */
	uint8_t alert;
} messages[] = {
	{ "close_notify", SERVER13, 21, S("\1\0"), "c", 0 },
	{ "close_notify of a fatal level", CLIENT13, 21, S("\2\0"), "c", 0 },
	{ "a fatal alert", CLIENT13, 21, S("\2\x28"), "f", 40 },
	{ "a fatal alert that says warning", CLIENT13, 21, S("\1\x28"), "f", 40 },
	{ "user_canceled", SERVER13, 21, S("\1\x5a"), "w", 90 },
	{ "a warning, TLS 1.2", CLIENT12, 21, S("\1\x64"), "w", 100 },
	{ "a fatal alert, TLS 1.2", CLIENT12, 21, S("\2\x64"), "f", 100 },
	{ "half an alert", CLIENT13, 21, S("\1"), "r", 50 },
	{ "a KeyUpdate", SERVER13, 22, S(KEY_UPDATE "\0"), "k", 0 },
	{ "one that asks", CLIENT13, 22, S(KEY_UPDATE "\1"), "K", 0 },
	{ "one of a third kind", CLIENT13, 22, S(KEY_UPDATE "\2"), "r", 47 },
	{ "one too long", CLIENT13, 22, S("\x18\0\0\2\0\0"), "r", 50 },
	{ "one without a body", CLIENT13, 22, S("\x18\0\0\0"), "r", 50 },
	{ "one with more behind it", CLIENT13, 22, S(KEY_UPDATE "\0" TICKET), "r", 10 },
	{ "one of TLS 1.2", SERVER12, 22, S(KEY_UPDATE "\0"), "r", 10 },
	{ "two tickets and a KeyUpdate", CLIENT13, 22, S(TICKET TICKET KEY_UPDATE "\0"), "ttk", 0 },
	{ "a ticket of a client", SERVER13, 22, S(TICKET), "r", 10 },
	{ "a ticket under TLS 1.2", CLIENT12, 22, S(TICKET), "r", 10 },
	{ "HelloRequest", CLIENT12, 22, S("\0\0\0\0"), "n", 0 },
	{ "HelloRequest, TLS 1.3", CLIENT13, 22, S("\0\0\0\0"), "r", 10 },
	{ "ClientHello", SERVER12, 22, S("\1\0\0\2xx"), "n", 0 },
	{ "Finished", CLIENT13, 22, S("\x14\0\0\1x"), "r", 10 },
	{ "ChangeCipherSpec", CLIENT13, 20, S("\1"), "r", 10 },
	{ "an unknown type", CLIENT13, 24, S("\1"), "r", 10 },
};

static void play(size_t i, size_t piece)
{
	static const char letters[] = "-cfwtknr";
	struct sluice_uring_messages state = { .tls13 = messages[i].who <= SERVER13,
					       .server = messages[i].who & 1 };
	enum sluice_uring_event event = SLUICE_URING_NOTHING;
	size_t at, len, n_events = 0;
	char events[16] = "";

	for (at = 0; at < messages[i].len && event != SLUICE_URING_REFUSE; at += len) {
		struct sluice_uring_record record = { .type = messages[i].type };

		len = messages[i].len - at < piece ? messages[i].len - at : piece;
		record.data = (const uint8_t *)messages[i].bytes + at;
		record.len = len;
		record.end = at + len == messages[i].len;
		while (event != SLUICE_URING_REFUSE &&
		       (event = sluice_uring_next(&state, &record)) != SLUICE_URING_NOTHING) {
			assert_in_range(n_events, 0, sizeof(events) - 2);
			events[n_events++] = event == SLUICE_URING_KEY_UPDATE &&
							     state.update_requested
						     ? 'K'
						     : letters[event];
		}
	}
	if (strcmp(events, messages[i].events) ||
	    (messages[i].alert && state.alert != messages[i].alert))
		fail_msg("%s by %zu: %s, alert %u", messages[i].name, piece, events, state.alert);
}

static void messages_are_read_in_any_pieces(void **state)
{
	size_t i, piece;

	for (i = 0; i < ARRAY_SIZE(messages); i++)
		for (piece = 1; piece <= messages[i].len; piece++)
			play(i, piece);
}

static void a_ticket_of_several_records_lets_nothing_between(void **state)
{
	struct sluice_uring_messages m = { .tls13 = true };
	struct sluice_uring_record first = { (const uint8_t *)TICKET, 7, 22, true };
	struct sluice_uring_record rest = { (const uint8_t *)TICKET + 7, sizeof(TICKET) - 8, 22,
					    true };
	struct sluice_uring_record alert = { (const uint8_t *)"\1\0", 2, 21, true };

	assert_int_equal(sluice_uring_next(&m, &first), SLUICE_URING_NOTHING);
	assert_int_equal(sluice_uring_next(&m, &rest), SLUICE_URING_TICKET);
	assert_int_equal(sluice_uring_next(&m, &rest), SLUICE_URING_NOTHING);
	assert_int_equal(sluice_uring_next(&m, &alert), SLUICE_URING_CLOSE_NOTIFY);
	memset(&m, 0, sizeof(m));
	m.tls13 = true;
	first = (struct sluice_uring_record){ (const uint8_t *)TICKET, 7, 22, true };
	alert = (struct sluice_uring_record){ (const uint8_t *)"\1\0", 2, 21, true };
	assert_int_equal(sluice_uring_next(&m, &first), SLUICE_URING_NOTHING);
	assert_int_equal(sluice_uring_next(&m, &alert), SLUICE_URING_REFUSE);
	assert_int_equal(m.alert, 10);
}

/* --- sending -------------------------------------------------------------------------------- */

static void records_are_sent_with_their_type(void **state)
{
	struct sluice_uring_send send;
	struct io_uring_sqe sqe;
	struct cmsghdr *head;

	memset(&send, 0xff, sizeof(send));
	memset(&sqe, 0, sizeof(sqe));
	sluice_uring_prep_key_update(&sqe, 3, &send, true);
	assert_int_equal(sqe.opcode, IORING_OP_SENDMSG);
	assert_int_equal(sqe.msg_flags, MSG_NOSIGNAL);
	head = CMSG_FIRSTHDR(&send.msg);
	assert_int_equal(head->cmsg_len, CMSG_LEN(1));
	assert_int_equal(head->cmsg_level, SOL_TLS);
	assert_int_equal(head->cmsg_type, TLS_SET_RECORD_TYPE);
	assert_int_equal(*CMSG_DATA(head), 22);
	assert_null(CMSG_NXTHDR(&send.msg, head));
	assert_int_equal(send.iov.iov_len, 5);
	assert_memory_equal(send.iov.iov_base, KEY_UPDATE "\1", 5);
	sluice_uring_prep_alert(&sqe, 3, &send, 0);
	assert_int_equal(*CMSG_DATA(CMSG_FIRSTHDR(&send.msg)), 21);
	assert_int_equal(send.iov.iov_len, 2);
	assert_memory_equal(send.iov.iov_base, "\1\0", 2);
	sluice_uring_prep_alert(&sqe, 3, &send, SLUICE_URING_BAD_RECORD_MAC);
	assert_memory_equal(send.iov.iov_base, "\2\x14", 2);
	sluice_uring_prep_alert(&sqe, 3, &send, SLUICE_URING_NO_RENEGOTIATION);
	assert_memory_equal(send.iov.iov_base, "\1\x64", 2);
	sluice_uring_prep_flush(&sqe, 3, &send);
	assert_int_equal(*CMSG_DATA(CMSG_FIRSTHDR(&send.msg)), 23);
	assert_int_equal(send.iov.iov_len, 0);
	sluice_uring_prep_send(&sqe, 3, "x", 1, true);
	assert_int_equal(sqe.msg_flags, MSG_NOSIGNAL | MSG_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_told_by_one_comparison),
		cmocka_unit_test(completions_are_sorted),
		cmocka_unit_test(a_multishot_buffer_is_held_against_its_length),
		cmocka_unit_test(messages_are_read_in_any_pieces),
		cmocka_unit_test(a_ticket_of_several_records_lets_nothing_between),
		cmocka_unit_test(records_are_sent_with_their_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
