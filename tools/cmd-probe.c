/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice probe`: what this kernel and this BoringSSL can do, found by trying, as a table and as
 * JSON. Changes nothing and opens no connection but the library's own loopback pairs.
 */
#include <liburing.h>
#include <stdbool.h>
#include <string.h>

#include "command.h"
#include "describe.h"
#include "tls-args.h"

struct probe_settings {
	bool json;
};

static const struct arg probe_args[] = {
	{ "json", 0, ARG_FLAG, offsetof(struct probe_settings, json), NULL, "print JSON" },
	{ NULL },
};

/* The operations of io_uring that `sluice serve` uses. */
static const struct {
	const char *name;
	int op;
} uring_ops[] = {
	{ "accept", IORING_OP_ACCEPT },   { "poll", IORING_OP_POLL_ADD },
	{ "recvmsg", IORING_OP_RECVMSG }, { "sendmsg", IORING_OP_SENDMSG },
	{ "splice", IORING_OP_SPLICE },   { "read", IORING_OP_READ },
	{ "openat2", IORING_OP_OPENAT2 }, { "statx", IORING_OP_STATX },
};

#define N_URING_OPS (sizeof(uring_ops) / sizeof(uring_ops[0]))

struct uring_caps {
	int setup_errno; /* 0: there is io_uring */
	bool ops[N_URING_OPS];
	bool multishot_accept;
	bool multishot_recv;
};

/*
 * Multishot is a flag of an operation that exists since before it: a kernel without it fails the
 * request with EINVAL at once. On a descriptor that is no socket the others fail with ENOTSOCK.
 */
static bool multishot_works(struct io_uring *ring, bool accept)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	bool works;

	if (!sqe)
		return false;
	if (accept)
		io_uring_prep_multishot_accept(sqe, ring->ring_fd, NULL, NULL, 0);
	else {
		io_uring_prep_recv_multishot(sqe, ring->ring_fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
	}
	if (io_uring_submit(ring) != 1 || io_uring_wait_cqe(ring, &cqe) < 0)
		return false;
	works = cqe->res != -EINVAL;
	io_uring_cqe_seen(ring, cqe);
	return works;
}

static void probe_uring(struct uring_caps *ret_caps)
{
	struct io_uring_probe *probe;
	struct io_uring ring;
	size_t i;
	int r;

	memset(ret_caps, 0, sizeof(*ret_caps));
	r = io_uring_queue_init(4, &ring, 0);
	if (r < 0) {
		ret_caps->setup_errno = -r;
		return;
	}
	probe = io_uring_get_probe_ring(&ring);
	for (i = 0; probe && i < N_URING_OPS; i++)
		ret_caps->ops[i] = io_uring_opcode_supported(probe, uring_ops[i].op);
	io_uring_free_probe(probe);
	ret_caps->multishot_accept = multishot_works(&ring, true);
	ret_caps->multishot_recv = multishot_works(&ring, false);
	io_uring_queue_exit(&ring);
}

static const char *works(int err, char *buf, size_t buf_len)
{
	if (err == 0)
		return "yes";
	snprintf(buf, buf_len, "no (%s)",
		 strerrorname_np(err) ? strerrorname_np(err) : "unknown error");
	return buf;
}

static void print_feature(const char *name, int err)
{
	char buf[64];

	printf("  %-36s %s\n", name, works(err, buf, sizeof(buf)));
}

static void print_text(const struct sluice_versions *v, const struct sluice_capabilities *caps,
		       const struct uring_caps *uring)
{
	char tx[64], rx[64];
	size_t i;
	int s;

	printf("sluice %s, %s, Linux %s\n\nKernel TLS\n", v->sluice, v->boringssl, v->kernel);
	print_feature("upper layer protocol", caps->ktls_errno);
	print_feature("new keys when sending (KeyUpdate)", caps->rekey_tx_errno);
	print_feature("new keys when receiving (KeyUpdate)", caps->rekey_rx_errno);
	print_feature("TLS_RX_EXPECT_NO_PAD", caps->no_pad_errno);
	print_feature("TLS_TX_MAX_PAYLOAD_LEN", caps->max_payload_errno);
	print_feature("TLS_TX_ZEROCOPY_RO", caps->zerocopy_errno);
	printf("\nSuites in the kernel\n  %-46s %-20s %s\n", "", "sending", "receiving");
	for (s = 0; s < caps->n_suites; s++)
		printf("  %-46s %-20s %s\n", caps->suites[s].name,
		       works(caps->suites[s].kernel_tx_errno, tx, sizeof(tx)),
		       works(caps->suites[s].kernel_rx_errno, rx, sizeof(rx)));
	printf("\nBoringSSL\n  %-36s %s\n", "X25519MLKEM768", caps->mlkem ? "yes" : "no");
	printf("\nMemory\n");
	print_feature("locked pages for secrets", caps->memlock_errno);
	printf("\nio_uring\n");
	print_feature("rings", uring->setup_errno);
	for (i = 0; i < N_URING_OPS; i++)
		printf("  %-36s %s\n", uring_ops[i].name, uring->ops[i] ? "yes" : "no");
	printf("  %-36s %s\n", "multishot accept", uring->multishot_accept ? "yes" : "no");
	printf("  %-36s %s\n", "multishot recv", uring->multishot_recv ? "yes" : "no");
}

/* A feature in JSON: true, or the name of the errno. */
static struct json_object *feature(int err)
{
	if (err == 0)
		return json_object_new_boolean(true);
	if (strerrorname_np(err))
		return json_object_new_string(strerrorname_np(err));
	return json_object_new_int(err);
}

static struct json_object *suites_json(const struct sluice_capabilities *caps)
{
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; list && i < caps->n_suites; i++) {
		struct json_object *suite = json_object_new_object();

		json_object_object_add(suite, "name", json_object_new_string(caps->suites[i].name));
		json_object_object_add(suite, "id", json_object_new_int(caps->suites[i].id));
		json_object_object_add(suite, "version",
				       json_object_new_string(caps->suites[i].version == 0x0304
								      ? "TLSv1.3"
								      : "TLSv1.2"));
		json_object_object_add(suite, "tx", feature(caps->suites[i].kernel_tx_errno));
		json_object_object_add(suite, "rx", feature(caps->suites[i].kernel_rx_errno));
		json_object_array_add(list, suite);
	}
	return list;
}

static struct json_object *ktls_json(const struct sluice_capabilities *caps)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "ulp", feature(caps->ktls_errno));
	json_object_object_add(object, "rekey_tx", feature(caps->rekey_tx_errno));
	json_object_object_add(object, "rekey_rx", feature(caps->rekey_rx_errno));
	json_object_object_add(object, "rx_expect_no_pad", feature(caps->no_pad_errno));
	json_object_object_add(object, "tx_max_payload_len", feature(caps->max_payload_errno));
	json_object_object_add(object, "tx_zerocopy_ro", feature(caps->zerocopy_errno));
	json_object_object_add(object, "suites", suites_json(caps));
	return object;
}

static struct json_object *uring_json(const struct uring_caps *uring)
{
	struct json_object *object = json_object_new_object();
	size_t i;

	json_object_object_add(object, "rings", feature(uring->setup_errno));
	for (i = 0; i < N_URING_OPS; i++)
		json_object_object_add(object, uring_ops[i].name,
				       json_object_new_boolean(uring->ops[i]));
	json_object_object_add(object, "multishot_accept",
			       json_object_new_boolean(uring->multishot_accept));
	json_object_object_add(object, "multishot_recv",
			       json_object_new_boolean(uring->multishot_recv));
	return object;
}

static void print_json(const struct sluice_versions *v, const struct sluice_capabilities *caps,
		       const struct uring_caps *uring)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "sluice", json_object_new_string(v->sluice));
	json_object_object_add(object, "boringssl", json_object_new_string(v->boringssl));
	json_object_object_add(object, "kernel", json_object_new_string(v->kernel));
	json_object_object_add(object, "ktls", ktls_json(caps));
	json_object_object_add(object, "mlkem", json_object_new_boolean(caps->mlkem));
	json_object_object_add(object, "memlock", feature(caps->memlock_errno));
	json_object_object_add(object, "io_uring", uring_json(uring));
	describe_print(object, stdout);
}

static int probe_run(int argc, char **argv)
{
	struct probe_settings settings = { 0 };
	struct sluice_capabilities caps;
	struct sluice_versions versions;
	struct sluice_error err;
	struct uring_caps uring;
	struct sluice *sluice;
	int r;

	r = args_parse(probe_args, &settings, argc, argv);
	if (r < 0 || r < argc)
		return EXIT_USAGE;
	r = sluice_start(&sluice, SLUICE_TEMPORARY, &err);
	if (r < 0) {
		complain("probe", &err);
		return EXIT_FAILED;
	}
	sluice_capabilities(sluice, &caps, sizeof(caps));
	sluice_versions(&versions, sizeof(versions));
	sluice_stop(sluice);
	probe_uring(&uring);
	if (settings.json)
		print_json(&versions, &caps, &uring);
	else
		print_text(&versions, &caps, &uring);
	return EXIT_OK;
}

const struct command cmd_probe = {
	.name = "probe",
	.synopsis = "[--json]",
	.summary = "show what this kernel and this BoringSSL can do",
	.args = probe_args,
	.run = probe_run,
};
