/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes whose CRLs are fetched: who is accepted, who waits, and what the next one finds. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/nid.h>
#include <openssl/pem.h>

#include "crl/crl.h"
#include "fetch/child.h"
#include "fetch/fetch.h"
#include "fetch/target.h"
#include "support/certs.h"
#include "support/crl-server.h"
#include "support/crls.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define V_UNABLE_TO_GET_CRL 3
#define V_CERT_REVOKED 23
#define DAY 86400

static struct crl_server server;
static X509 *ca;
static EVP_PKEY *ca_key, *leaf_key;

/* --- certificates and CRLs -------------------------------------------------------------------- */

static X509 *read_cert(const char *path)
{
	BIO *bio = BIO_new_file(path, "r");
	X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert_non_null(x509);
	BIO_free(bio);
	return x509;
}

static EVP_PKEY *read_key(const char *path)
{
	BIO *bio = BIO_new_file(path, "r");
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	assert_non_null(key);
	BIO_free(bio);
	return key;
}

/* A server certificate of the test CA that names a distribution point of our server. */
static X509 *make_leaf(const char *path)
{
	char points[200];

	snprintf(points, sizeof(points), "URI:http://127.0.0.1:%u%s", server.port, path);
	return certs_make(&(struct cert_spec){ .cn = "localhost",
					       .san = "DNS:localhost",
					       .extra_nid = NID_crl_distribution_points,
					       .extra = points,
					       .key = leaf_key,
					       .issuer = ca,
					       .issuer_key = ca_key });
}

static const char *write_leaf(X509 *leaf)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *data;
	const char *path;
	size_t len;

	assert_int_equal(PEM_write_bio_X509(bio, leaf), 1);
	BIO_mem_contents(bio, &data, &len);
	path = certs_file("fetch-leaf.pem", data, len);
	BIO_free(bio);
	return path;
}

/* The server serves a CRL that revokes @revoked, or nobody. */
static void serve_crl(const char *name, X509 *revoked, int64_t from_s, int64_t to_s)
{
	size_t len;
	uint8_t *der = crls_make(&(struct crl_spec){ .issuer = ca,
						     .key = ca_key,
						     .revoked = revoked,
						     .from_s = from_s,
						     .to_s = to_s },
				 &len);

	certs_file(name, der, len);
	free(der);
}

/* --- handshakes ------------------------------------------------------------------------------- */

static void open_pair(struct pair *pair, const char *path, unsigned int wait_ms)
{
	X509 *leaf = make_leaf(path);
	char options[300];

	snprintf(options, sizeof(options),
		 "crl_check = true\ncrl_cache = internal http=%u hosts=127.0.0.1:%u", wait_ms,
		 server.port);
	pair_open(pair, &(struct pair_setup){ .client_options = options,
					      .cert = write_leaf(leaf),
					      .key = certs_get()->server_p256_key });
	X509_free(leaf);
}

static struct sluice_error client_error;

/* As a program that waits: the client's call is of a thread of its own. */
static void *connect_client(void *arg)
{
	struct pair *pair = arg;

	pair->client_result =
		sluice_connect(pair->sluice, pair->host, sluice_listener_port(pair->listener),
			       pair->client_profile, NULL, 10000, &pair->client, &client_error);
	return NULL;
}

/* Returns the X.509 error of the client. */
static int connect_waiting(struct pair *pair)
{
	pthread_t thread;

	memset(&client_error, 0, sizeof(client_error));
	assert_int_equal(pthread_create(&thread, NULL, connect_client, pair), 0);
	assert_int_equal(sluice_transport_accept(pair->listener, 10000, &pair->server), 0);
	pair->server_result = sluice_handshake(pair->server, NULL, 10000);
	pthread_join(thread, NULL);
	if (!pair->client_result != !client_error.x509_error)
		fail_msg("%d: %s", pair->client_result, client_error.text);
	return client_error.x509_error;
}

static int handshake(struct pair *pair)
{
	int x509_error = connect_waiting(pair);

	pair_drop(pair);
	return x509_error;
}

static uint64_t elapsed_ms(uint64_t since_us)
{
	return (sys_real.now_us() - since_us) / 1000;
}

/* Whether a handshake ends with @x509_error, now or within ten seconds. */
static void becomes(struct pair *pair, int x509_error)
{
	uint64_t began = sys_real.now_us();
	int last;

	while ((last = handshake(pair)) != x509_error && elapsed_ms(began) < 10000)
		usleep(50000);
	assert_int_equal(last, x509_error);
}

static void CR_10_a_crl_is_fetched(void **state)
{
	struct pair pair;

	serve_crl("good.crl", NULL, 0, 0);
	open_pair(&pair, "/good.crl", 5000);
	assert_int_equal(handshake(&pair), 0);
	assert_int_equal(handshake(&pair), 0);
	assert_int_equal(crl_server_asked(&server, "/good.crl "), 1);
	pair_close(&pair);
	fetch_end();
}

static void CR_10_a_revoked_certificate_is_refused(void **state)
{
	char points[100], options[300];
	struct pair pair;
	X509 *leaf = make_leaf("/revoked.crl");

	snprintf(points, sizeof(points), "127.0.0.1:%u", server.port);
	serve_crl("revoked.crl", leaf, 0, 0);
	snprintf(options, sizeof(options),
		 "crl_check = peer\ncrl_cache = internal http=5000 hosts=%s", points);
	pair_open(&pair, &(struct pair_setup){ .client_options = options,
					       .cert = write_leaf(leaf),
					       .key = certs_get()->server_p256_key });
	assert_int_equal(handshake(&pair), V_CERT_REVOKED);
	pair_close(&pair);
	X509_free(leaf);
	fetch_end();
}

static void CR_10_a_slow_server_holds_nobody_up(void **state)
{
	struct pair pair;
	uint64_t began;

	serve_crl("slow.crl", NULL, 0, 0);
	open_pair(&pair, "/slow/1500/slow.crl", 200);
	began = sys_real.now_us();
	assert_int_equal(handshake(&pair), V_UNABLE_TO_GET_CRL);
	assert_in_range(elapsed_ms(began), 190, 1300);
	becomes(&pair, 0); /* it has come meanwhile */
	assert_int_equal(crl_server_asked(&server, "/slow/1500/slow.crl "), 1);
	pair_close(&pair);
	fetch_end();
}

/* Where the program's call does not wait, nothing does. */
static void CR_10_calls_that_do_not_wait_do_not(void **state)
{
	struct sluice_error err;
	struct pair pair;
	uint64_t began;

	serve_crl("event.crl", NULL, 0, 0);
	open_pair(&pair, "/slow/1000/event.crl", 5000);
	began = sys_real.now_us();
	pair_connect(&pair);
	assert_true(elapsed_ms(began) < 900);
	sluice_conn_error(pair.client, &err, sizeof(err));
	assert_int_equal(err.x509_error, V_UNABLE_TO_GET_CRL);
	pair_drop(&pair);
	becomes(&pair, 0);
	pair_close(&pair);
	fetch_end();
}

/* What is no CRL is asked for once a minute at most. */
static void CR_10_failures_are_remembered(void **state)
{
	const char *const paths[] = { "/garbage/x", "/nowhere.crl", "/gzip/good.crl", "/gzip/",
				      "/to/file:///etc/passwd" };
	struct pair pair;
	uint64_t began;
	char asked[64];
	size_t i;

	for (i = 0; i < N(paths); i++) {
		open_pair(&pair, paths[i], 5000);
		assert_int_equal(handshake(&pair), V_UNABLE_TO_GET_CRL);
		began = sys_real.now_us();
		assert_int_equal(handshake(&pair), V_UNABLE_TO_GET_CRL);
		assert_true(elapsed_ms(began) < 2000);
		snprintf(asked, sizeof(asked), "%s ", paths[i]);
		assert_int_equal(crl_server_asked(&server, asked), 1);
		pair_close(&pair);
	}
	fetch_end();
}

/* Nobody asked for this host: the server is not even connected to. */
static void CR_10_other_hosts_are_not_asked(void **state)
{
	char options[200];
	X509 *leaf = make_leaf("/private.crl");
	struct pair pair;

	serve_crl("private.crl", NULL, 0, 0);
	snprintf(options, sizeof(options),
		 "crl_check = true\ncrl_cache = internal http=5000 hosts=crl.example.com:%u",
		 server.port);
	pair_open(&pair, &(struct pair_setup){ .client_options = options,
					       .cert = write_leaf(leaf),
					       .key = certs_get()->server_p256_key });
	assert_int_equal(handshake(&pair), V_UNABLE_TO_GET_CRL);
	assert_int_equal(crl_server_asked(&server, "/private.crl "), 0);
	pair_close(&pair);
	X509_free(leaf);
	fetch_end();
}

/* --- many at once ----------------------------------------------------------------------------- */

#define CROWD 50

struct looker {
	pthread_t thread;
	char *args;
	const char *uri;
	int result;
};

static void *look_up(void *arg)
{
	struct looker *looker = arg;
	struct sluice_dist_point point = { .uris = &looker->uri, .n_uris = 1 };
	struct sluice_crl_found found = { 0 };

	fetch_budget_begin();
	looker->result = sluice_crl_internal_ops.lookup(NULL, looker->args, &point, &found);
	if (found.list.n != 1)
		looker->result = -1;
	crl_list_clear(&found.list);
	return NULL;
}

static void CR_10_fifty_at_once_are_one_fetch(void **state)
{
	struct looker lookers[CROWD];
	char args[100], uri[100];
	size_t i;

	serve_crl("crowd.crl", NULL, 0, 0);
	snprintf(args, sizeof(args), "http=9000 hosts=127.0.0.1:%u", server.port);
	snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/slow/300/crowd.crl", server.port);
	for (i = 0; i < CROWD; i++) {
		lookers[i] = (struct looker){ .args = args, .uri = uri };
		assert_int_equal(pthread_create(&lookers[i].thread, NULL, look_up, &lookers[i]), 0);
	}
	for (i = 0; i < CROWD; i++) {
		pthread_join(lookers[i].thread, NULL);
		assert_int_equal(lookers[i].result, 0);
	}
	assert_int_equal(crl_server_asked(&server, "/slow/300/crowd.crl "), 1);
	fetch_end();
}

/* --- processes that go ------------------------------------------------------------------------ */

/* The pids of our children that are sluice-fetch. */
static pid_t find_fetch(void)
{
	char path[64], name[64] = "";
	pid_t pid;
	FILE *children, *comm;
	long child;

	snprintf(path, sizeof(path), "pgrep -P %d -x sluice-fetch", getpid());
	children = popen(path, "r");
	pid = fscanf(children, "%ld", &child) == 1 ? (pid_t)child : 0;
	pclose(children);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	comm = pid ? fopen(path, "r") : NULL;
	if (comm && fgets(name, sizeof(name), comm))
		assert_string_equal(name, "sluice-fetch\n");
	if (comm)
		fclose(comm);
	return pid;
}

static void *kill_later(void *arg)
{
	pid_t pid = 0;
	int i;

	for (i = 0; i < 100 && !crl_server_asked(&server, "/slow/700/killed.crl "); i++)
		usleep(20000);
	pid = find_fetch();
	*(pid_t *)arg = pid;
	if (pid)
		kill(pid, SIGKILL);
	return NULL;
}

static void CR_10_a_process_that_dies_is_replaced(void **state)
{
	struct pair pair;
	pthread_t thread;
	pid_t killed = 0;

	serve_crl("killed.crl", NULL, 0, 0);
	open_pair(&pair, "/slow/700/killed.crl", 9000);
	pthread_create(&thread, NULL, kill_later, &killed);
	assert_int_equal(handshake(&pair), 0);
	pthread_join(thread, NULL);
	assert_true(killed > 0);
	assert_true(find_fetch() != killed);
	assert_int_equal(crl_server_asked(&server, "/slow/700/killed.crl "), 2);
	pair_close(&pair);
	fetch_end();
	assert_int_equal(waitpid(killed, NULL, WNOHANG), -1); /* nothing is left of it */
}

static void CR_10_a_process_that_hangs_is_replaced(void **state)
{
	char args[100], uri[100];
	struct looker looker = { .args = args, .uri = uri };
	pid_t hung;
	int i;

	serve_crl("hung.crl", NULL, 0, 0);
	snprintf(args, sizeof(args), "http=20000 hosts=127.0.0.1:%u", server.port);
	snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/slow/300/hung.crl", server.port);
	fault_install();
	assert_int_equal(pthread_create(&looker.thread, NULL, look_up, &looker), 0);
	for (i = 0; i < 500 && !crl_server_asked(&server, "/slow/300/hung.crl "); i++)
		usleep(10000);
	hung = find_fetch();
	assert_true(hung > 0);
	assert_int_equal(kill(hung, SIGSTOP), 0);
	fault_advance_us(60000000);
	pthread_join(looker.thread, NULL);
	assert_int_equal(looker.result, 0);
	assert_true(find_fetch() != hung);
	fault_uninstall();
	fetch_end();
}

static void CR_10_a_program_that_is_not_there_costs_no_time(void **state)
{
	struct pair pair;
	uint64_t began;

	fetch_set_program("/nonexistent", NULL);
	open_pair(&pair, "/good.crl", 9000);
	began = sys_real.now_us();
	assert_int_equal(handshake(&pair), V_UNABLE_TO_GET_CRL);
	assert_true(elapsed_ms(began) < 5000);
	pair_close(&pair);
	fetch_end();
	fetch_set_program(fetch_program(), NULL);
}

/* --- as time goes by -------------------------------------------------------------------------- */

static void CR_10_a_crl_is_fetched_again_before_it_ends(void **state)
{
	struct pair pair;
	unsigned int before;
	int i;

	open_pair(&pair, "/tag/fresh.crl", 5000);
	serve_crl("fresh.crl", NULL, -60, 10 * 3600);
	assert_int_equal(handshake(&pair), 0);
	assert_int_equal(handshake(&pair), 0);
	before = crl_server_asked(&server, "/tag/fresh.crl ");
	assert_int_equal(before, 1);
	/* Nine tenths of its life later: a handshake goes on with what there is, and it is asked again. */
	fault_install();
	fault_advance_us(9ull * 3600 * 1000000 + 60000000);
	assert_int_equal(handshake(&pair), 0);
	for (i = 0; i < 200 && crl_server_asked(&server, "/tag/fresh.crl conditional") == 0; i++)
		usleep(20000);
	assert_int_equal(crl_server_asked(&server, "/tag/fresh.crl conditional"), 1);
	fault_uninstall();
	pair_close(&pair);
	fetch_end();
}

/* A program that forks goes on in both processes. */
static void CR_10_after_a_fork_it_begins_anew(void **state)
{
	char args[100], uri[100];
	struct looker looker = { .args = args, .uri = uri };
	int status;
	pid_t pid;

	snprintf(args, sizeof(args), "http=9000 hosts=127.0.0.1:%u", server.port);
	snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/good.crl", server.port);
	look_up(&looker);
	assert_int_equal(looker.result, 0);
	pid = fork();
	if (pid == 0) {
		look_up(&looker);
		fetch_end();
		_exit(looker.result == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	look_up(&looker);
	assert_int_equal(looker.result, 0);
	fetch_end();
}

static int setup(void **state)
{
	const struct certs *c = certs_get();

	if (!fetch_program() || !crl_server_start(&server))
		return -1;
	fetch_set_program(fetch_program(), NULL);
	ca = read_cert(c->ca);
	ca_key = read_key(c->ca_key);
	leaf_key = read_key(c->server_p256_key);
	return leaks_setup(state);
}

static int teardown(void **state)
{
	int r = leaks_teardown(state);

	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(leaf_key);
	crl_server_stop(&server);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CR_10_a_crl_is_fetched),
		cmocka_unit_test(CR_10_a_revoked_certificate_is_refused),
		cmocka_unit_test(CR_10_a_slow_server_holds_nobody_up),
		cmocka_unit_test(CR_10_calls_that_do_not_wait_do_not),
		cmocka_unit_test(CR_10_failures_are_remembered),
		cmocka_unit_test(CR_10_other_hosts_are_not_asked),
		cmocka_unit_test(CR_10_fifty_at_once_are_one_fetch),
		cmocka_unit_test(CR_10_a_process_that_dies_is_replaced),
		cmocka_unit_test(CR_10_a_process_that_hangs_is_replaced),
		cmocka_unit_test(CR_10_a_program_that_is_not_there_costs_no_time),
		cmocka_unit_test(CR_10_a_crl_is_fetched_again_before_it_ends),
		cmocka_unit_test(CR_10_after_a_fork_it_begins_anew),
	};

	return cmocka_run_group_tests_name("flow/fetch_crl", tests, setup, teardown);
}
