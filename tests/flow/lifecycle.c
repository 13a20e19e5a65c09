/* SPDX-License-Identifier: Apache-2.0 */
/* The library's own life: start and its types, stop, what is known of the machine, identities. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"

static void LC_01_start_with_every_type(void **state)
{
	struct sluice *untouched = (struct sluice *)&untouched, *sluice;
	struct sluice_error err;
	int type;

	for (type = SLUICE_TEMPORARY; type <= SLUICE_PERMANENT; type++) {
		assert_int_equal(sluice_start(&sluice, (enum sluice_start_type)type, &err), 0);
		assert_non_null(sluice);
		assert_int_equal(err.code, SLUICE_OK);
		assert_int_equal(sluice_stop(sluice), 0);
	}
	for (type = -1; type <= SLUICE_PERMANENT + 1; type += SLUICE_PERMANENT + 2) {
		sluice = untouched;
		assert_int_equal(sluice_start(&sluice, (enum sluice_start_type)type, &err),
				 -SLUICE_E_INVALID);
		assert_int_equal(err.code, SLUICE_E_INVALID);
		assert_ptr_equal(sluice, untouched);
	}
	assert_int_equal(sluice_start(&sluice, SLUICE_TEMPORARY, NULL), 0);
	assert_int_equal(sluice_stop(sluice), 0);
}

/* The probe makes sockets of its own; connections make theirs and no other. */
static void LC_01_the_probe_runs_once(void **state)
{
	struct sluice_capabilities caps, again;
	struct pair pair;
	int i;

	fault_install();
	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_true(fault_count("socket") > 1);
	assert_int_equal(sluice_capabilities(pair.sluice, &caps, sizeof(caps)), 0);
	assert_true(caps.n_suites >= 5 && caps.n_suites <= SLUICE_MAX_SUITES);
	for (i = 0; i < caps.n_suites; i++) {
		assert_non_null(caps.suites[i].name);
		assert_true(caps.suites[i].version == 0x0303 || caps.suites[i].version == 0x0304);
		if (caps.ktls_errno) {
			assert_int_not_equal(caps.suites[i].kernel_tx_errno, 0);
			assert_int_not_equal(caps.suites[i].kernel_rx_errno, 0);
		}
	}

	fault_reset();
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(fault_count("socket"), 1);
	assert_int_equal(fault_count("accept4"), 1);
	assert_int_equal(sluice_capabilities(pair.sluice, &again, sizeof(again)), 0);
	assert_memory_equal(&again, &caps, sizeof(caps));
	assert_int_equal(fault_count("socket"), 1);
	pair_close(&pair);
	fault_uninstall();
}

static void LC_01_start_without_memory(void **state)
{
	struct sluice *untouched = (struct sluice *)&untouched, *sluice = untouched;
	struct sluice_error err;

	fault_install();
	fault_arm_from("mmap", 1, ENOMEM);
	if (sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0) {
		assert_int_equal(err.code, SLUICE_E_NOMEM);
		assert_ptr_equal(sluice, untouched);
	} else {
		/* Secrets were in use before: there was room on their page. */
		assert_int_equal(fault_hits("mmap"), 0);
		sluice_stop(sluice);
	}
	fault_uninstall();
}

static void LC_03_connections_outlive_stop(void **state)
{
	size_t secrets = secret_live();
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_stop(pair.sluice), 0);
		pair.sluice = NULL;
		pair_exchange(&pair, 50000);
		sluice_close(pair.client);
		assert_int_equal(sluice_recv(pair.server, &(char){ 0 }, 1, SLUICE_INFINITY),
				 -SLUICE_E_CLOSED);
		pair.client = NULL;
		pair_close(&pair);
		assert_int_equal(secret_live(), secrets);
	}
	assert_int_equal(sluice_stop(NULL), 0);
}

/* Gives a pair another root object; its listener is made anew. */
static void use_root(struct pair *pair, struct sluice *sluice)
{
	struct sluice_error err;

	sluice_listener_free(pair->listener);
	sluice_stop(pair->sluice);
	pair->sluice = sluice;
	assert_int_equal(sluice_listen(sluice, pair->host, 0, pair->server_profile, &pair->listener,
				       &err),
			 0);
}

/* Starts on a kernel where attaching the record layer fails with @attach_err. */
static struct sluice *start_without_kernel_tls(const char *call, int attach_err)
{
	struct sluice_capabilities caps;
	struct sluice *sluice;
	struct sluice_error err;

	fault_install();
	fault_arm_from(call, 1, attach_err);
	assert_int_equal(sluice_start(&sluice, SLUICE_TEMPORARY, &err), 0);
	fault_uninstall();
	assert_int_equal(sluice_capabilities(sluice, &caps, sizeof(caps)), 0);
	assert_int_equal(caps.ktls_errno, attach_err);
	return sluice;
}

static void LC_04_no_kernel_tls_costs_only_its_path(void **state)
{
	static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };
	struct sluice_conn_info info;
	struct pair pair;
	int v;

	for (v = 0; v < 2; v++) {
		pair_open(&pair, &(struct pair_setup){ .path = "auto", .versions = versions[v] });
		use_root(&pair, start_without_kernel_tls("setsockopt", ENOENT));
		assert_int_equal(pair_connect(&pair), 0);
		pair_exchange(&pair, 50000);
		sluice_conn_info(pair.server, &info, sizeof(info));
		assert_int_equal(info.tx.path, SLUICE_PATH_USER);
		assert_int_equal(info.rx.path, SLUICE_PATH_USER);
		assert_int_equal(info.tx.reason, SLUICE_REASON_NO_KTLS);
		assert_int_equal(info.rx.reason, SLUICE_REASON_NO_KTLS);
		pair_close(&pair);
	}
}

/* Who insists on the kernel is told, and so is the peer. */
static void LC_04_AL_30_insisting_on_the_kernel_fails(void **state)
{
	static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };
	struct sluice_error err;
	struct pair pair;
	char text[1024];
	int v;

	for (v = 0; v < 2; v++) {
		pair_open(&pair, &(struct pair_setup){ .path = "auto", .versions = versions[v] });
		use_root(&pair, start_without_kernel_tls("setsockopt", ENOENT));
		sluice_profile_unref(pair.client_profile);
		snprintf(text, sizeof(text),
			 "record_path = kernel\ncacertfile = %s\nversions = %s\n", certs_get()->ca,
			 versions[v]);
		pair.client_profile = pair_profile(SLUICE_CLIENT, text);

		assert_int_equal(pair_connect(&pair), -SLUICE_E_KTLS_UNAVAILABLE);
		assert_int_equal(pair.client_result, -SLUICE_E_KTLS_UNAVAILABLE);
		assert_int_equal(pair.server_result, 0);
		sluice_conn_error(pair.client, &err, sizeof(err));
		assert_int_equal(err.stage, SLUICE_STAGE_INSTALL);
		assert_int_equal(err.alert, 80);
		assert_int_equal(err.alert_sent, 1);
		assert_non_null(strstr(err.text, "modprobe tls"));

		assert_int_equal(sluice_recv(pair.server, text, sizeof(text), SLUICE_INFINITY),
				 -SLUICE_E_ALERT);
		sluice_conn_error(pair.server, &err, sizeof(err));
		assert_int_equal(err.alert, 80);
		assert_int_equal(err.alert_sent, 0);
		pair_close(&pair);
	}
}

static void LC_04_a_probe_without_descriptors(void **state)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ .path = "auto" });
	use_root(&pair, start_without_kernel_tls("socket", EMFILE));
	assert_int_equal(pair_connect(&pair), 0);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

static uint64_t id_of(const struct sluice_conn *conn)
{
	struct sluice_conn_info info;

	assert_int_equal(sluice_conn_info(conn, &info, sizeof(info)), 0);
	return info.id;
}

#define N_PAIRS 3

static void LC_53_ids_are_unique_in_the_process(void **state)
{
	struct pair pairs[N_PAIRS]; /* each with a root of its own */
	uint64_t ids[2 * N_PAIRS];
	int i, j;

	for (i = 0; i < N_PAIRS; i++) {
		pair_open(&pairs[i], &(struct pair_setup){ 0 });
		assert_int_equal(pair_connect(&pairs[i]), 0);
		ids[2 * i] = id_of(pairs[i].server);
		ids[2 * i + 1] = id_of(pairs[i].client);
	}
	for (i = 0; i < 2 * N_PAIRS; i++) {
		assert_int_not_equal(ids[i], 0);
		for (j = 0; j < i; j++)
			assert_int_not_equal(ids[i], ids[j]);
	}
	for (i = 0; i < N_PAIRS; i++)
		pair_close(&pairs[i]);
}

/* An id is not the address of something: a connection that is gone does not leave it to the next. */
static void LC_53_an_id_lasts_for_the_connection_and_no_longer(void **state)
{
	struct pair pair;
	uint64_t server, client;

	pair_open(&pair, &(struct pair_setup){ 0 });
	pair_start(&pair, NULL);
	server = id_of(pair.server);
	client = id_of(pair.client);
	assert_int_equal(pair_run(&pair), 0);
	assert_int_equal(id_of(pair.server), server);
	assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, SLUICE_INFINITY), 0);
	assert_int_equal(sluice_recv(pair.server, &(char){ 0 }, 1, SLUICE_INFINITY),
			 -SLUICE_E_CLOSED);
	assert_int_equal(id_of(pair.server), server);
	assert_int_equal(id_of(pair.client), client);
	pair_drop(&pair);

	assert_int_equal(pair_connect(&pair), 0);
	assert_true(id_of(pair.server) > server && id_of(pair.server) > client);
	assert_true(id_of(pair.client) > server && id_of(pair.client) > client);
	pair_close(&pair);
}

static void IN_25_IN_26_versions_of_everything(void **state)
{
	struct sluice_versions versions;
	struct utsname uts;

	assert_int_equal(sluice_versions(&versions, sizeof(versions)), 0);
	assert_string_equal(versions.sluice, SLUICE_VERSION);
	assert_non_null(strstr(versions.boringssl, "BoringSSL"));
	assert_int_equal(uname(&uts), 0);
	assert_string_equal(versions.kernel, uts.release);
}

static unsigned int bits_of(const char *words)
{
	return (strstr(words, "tlsv1.2") ? SLUICE_VERSION_TLS12 : 0) |
	       (strstr(words, "tlsv1.3") ? SLUICE_VERSION_TLS13 : 0);
}

/* Available is what option versions takes, supported what it is by default. */
static void IN_27_supported_and_available_versions(void **state)
{
	struct sluice_versions versions;
	struct sluice_option_info info;
	struct sluice_conn_info conn;
	struct pair pair;
	uint16_t found;

	assert_int_equal(sluice_versions(&versions, sizeof(versions)), 0);
	assert_int_equal(sluice_option_info(SLUICE_OPT_VERSIONS, &info, sizeof(info)), 0);
	assert_int_equal(versions.supported, bits_of(info.def));
	assert_int_equal(versions.available, bits_of(info.values));
	assert_int_equal(versions.supported & ~versions.available, 0);

	for (found = 0x0303; found <= 0x0304; found++) {
		/* A client of one version, a server without the option. */
		pair_open(&pair,
			  &(struct pair_setup){ .client_options = found == 0x0303
									  ? "versions = tlsv1.2"
									  : "versions = tlsv1.3" });
		assert_int_equal(pair_connect(&pair), 0);
		sluice_conn_info(pair.server, &conn, sizeof(conn));
		assert_int_equal(conn.version, found);
		pair_close(&pair);
	}
}

/* One word for lists and JSON, a sentence for people; and never NULL. */
static void paths_and_reasons_have_names(void **state)
{
	int path, reason, other;

	for (path = SLUICE_PATH_NONE; path <= SLUICE_PATH_USER; path++)
		for (other = SLUICE_PATH_NONE; other < path; other++)
			assert_string_not_equal(sluice_path_name(path), sluice_path_name(other));
	for (reason = 0; reason < SLUICE_REASONS; reason++) {
		assert_null(strchr(sluice_path_reason_name(reason), ' '));
		assert_true(strlen(sluice_path_reason_text(reason)) > 10);
		for (other = 0; other < reason; other++) {
			assert_string_not_equal(sluice_path_reason_name(reason),
						sluice_path_reason_name(other));
			assert_string_not_equal(sluice_path_reason_text(reason),
						sluice_path_reason_text(other));
		}
	}
	assert_non_null(sluice_path_name(-1));
	assert_non_null(sluice_path_reason_name(SLUICE_REASONS));
	assert_non_null(sluice_path_reason_text(-1));
}

/* A program built with an older or a newer header than the library. */
static void sizes_of_structures_may_differ(void **state)
{
	struct {
		struct sluice_versions versions;
		char more[8];
	} longer;
	struct sluice_versions whole, part;
	struct sluice *sluice;
	struct sluice_capabilities caps;

	memset(&longer, 0xaa, sizeof(longer));
	assert_int_equal(sluice_versions(&whole, sizeof(whole)), 0);
	assert_int_equal(sluice_versions(&longer.versions, sizeof(longer)), 0);
	assert_memory_equal(&longer.versions, &whole, sizeof(whole));
	assert_memory_equal(longer.more, "\0\0\0\0\0\0\0\0", 8);

	memset(&part, 0xaa, sizeof(part));
	assert_int_equal(sluice_versions(&part, sizeof(part.sluice)), 0);
	assert_string_equal(part.sluice, whole.sluice);
	assert_int_equal((unsigned char)part.boringssl[0], 0xaa);
	assert_int_equal(sluice_versions(&part, 0), -SLUICE_E_INVALID);

	assert_int_equal(sluice_start(&sluice, SLUICE_TEMPORARY, NULL), 0);
	memset(&caps, 0xaa, sizeof(caps));
	assert_int_equal(sluice_capabilities(sluice, &caps, sizeof(caps.ktls_errno)), 0);
	assert_int_equal(caps.rekey_tx_errno, (int)0xaaaaaaaa);
	assert_int_equal(sluice_capabilities(sluice, &caps, 0), -SLUICE_E_INVALID);
	sluice_stop(sluice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_01_start_with_every_type),
		cmocka_unit_test(LC_01_the_probe_runs_once),
		cmocka_unit_test(LC_01_start_without_memory),
		cmocka_unit_test(LC_03_connections_outlive_stop),
		cmocka_unit_test(LC_04_no_kernel_tls_costs_only_its_path),
		cmocka_unit_test(LC_04_AL_30_insisting_on_the_kernel_fails),
		cmocka_unit_test(LC_04_a_probe_without_descriptors),
		cmocka_unit_test(LC_53_ids_are_unique_in_the_process),
		cmocka_unit_test(LC_53_an_id_lasts_for_the_connection_and_no_longer),
		cmocka_unit_test(IN_25_IN_26_versions_of_everything),
		cmocka_unit_test(IN_27_supported_and_available_versions),
		cmocka_unit_test(paths_and_reasons_have_names),
		cmocka_unit_test(sizes_of_structures_may_differ),
	};

	return cmocka_run_group_tests_name("flow/lifecycle", tests, leaks_setup, leaks_teardown);
}
