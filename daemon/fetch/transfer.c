// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP, by libcurl, and as little of it as a CRL needs: no TLS, no proxy, no cookies, no
 * authentication, no compression, a new connection each time. What it connects to is decided here: the
 * URL that was checked is the one it gets, with addresses that were checked, and each socket is
 * checked again when it is made. Redirects are not its business (fetch.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fetch/fetch.h"

#define MAX_HEAD (64 * 1024) /* bytes of all headers of one hop */
#define MAX_TARGET 512       /* bytes of "HOST:PORT:" */
#define MAPPED_BYTES 12

static const uint8_t mapped[MAPPED_BYTES] = { [10] = 0xff, [11] = 0xff };

static CURLM *multi;

int transfer_open(void)
{
	if (curl_global_init(CURL_GLOBAL_NOTHING))
		return -ENOMEM;
	multi = curl_multi_init();
	return multi ? 0 : -ENOMEM;
}

/* --- the URL ---------------------------------------------------------------------------------- */

static bool has_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

static bool is_scheme_http(CURLU *url)
{
	char *text = NULL;
	bool is = curl_url_get(url, CURLUPART_SCHEME, &text, 0) == CURLUE_OK &&
		  !strcasecmp(text, "http");

	curl_free(text);
	return is;
}

/* An IPv6 address without its brackets. */
static bool take_host(struct job *job)
{
	size_t len, skip;
	char *text = NULL;
	bool ok = false;

	if (curl_url_get(job->url, CURLUPART_HOST, &text, 0) == CURLUE_OK) {
		skip = text[0] == '[';
		len = strcspn(text + skip, "]");
		ok = len && len <= FETCH_MAX_HOST;
		if (ok) {
			memcpy(job->host, text + skip, len);
			job->host[len] = '\0';
		}
	}
	curl_free(text);
	return ok;
}

static bool take_port(struct job *job)
{
	char *text = NULL;
	unsigned long port = 0;

	if (curl_url_get(job->url, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) == CURLUE_OK)
		port = strtoul(text, NULL, 10);
	curl_free(text);
	job->port = (uint16_t)port;
	return port && port <= UINT16_MAX;
}

enum fetch_reason transfer_url(struct job *job, const char *text)
{
	CURLU *url = job->url ? job->url : curl_url();

	job->url = url;
	if (!url)
		return FETCH_RESOURCES;
	if (strnlen(text, MAX_URL + 1) > MAX_URL ||
	    curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME))
		return FETCH_URL;
	/* Of another zone than the one that its name server meant: nobody needs that for a CRL. */
	if (!is_scheme_http(url) || has_part(url, CURLUPART_USER) ||
	    has_part(url, CURLUPART_ZONEID) || !take_host(job) || !take_port(job))
		return FETCH_URL;
	curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
	return FETCH_OK;
}

/* --- what comes ------------------------------------------------------------------------------- */

static size_t end_with(struct job *job, enum fetch_reason reason)
{
	job->reason = reason;
	return 0; /* not what was given: libcurl ends the transfer */
}

static bool write_all(int fd, const char *bytes, size_t len)
{
	ssize_t n;

	for (; len; len -= (size_t)n, bytes += n) {
		n = write(fd, bytes, len);
		if (n < 0)
			return false;
	}
	return true;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct job *job = arg;

	n *= size;
	if (n > job->max_len - job->body_len)
		return end_with(job, FETCH_SIZE);
	if (!write_all(job->body_fd, bytes, n))
		return end_with(job, FETCH_RESOURCES);
	job->body_len += n;
	return n;
}

static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
	struct job *job = arg;

	job->head_len += n * size;
	return job->head_len > MAX_HEAD ? end_with(job, FETCH_SIZE) : n * size;
}

/* --- what it connects to ---------------------------------------------------------------------- */

static bool is_allowed_socket(const struct sockaddr *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;
	uint8_t address[16];

	if (addr->sa_family == AF_INET6)
		return fetch_hosts_allow_address(&fetch_hosts, in6->sin6_addr.s6_addr,
						 ntohs(in6->sin6_port));
	if (addr->sa_family != AF_INET)
		return false;
	memcpy(address, mapped, sizeof(mapped));
	memcpy(address + MAPPED_BYTES, &in->sin_addr, 4);
	return fetch_hosts_allow_address(&fetch_hosts, address, ntohs(in->sin_port));
}

/* Whatever led here, this is the address that will be connected to. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct job *job = arg;

	if (purpose == CURLSOCKTYPE_IPCXN && is_allowed_socket(&addr->addr))
		return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
	job->reason = FETCH_ADDRESS;
	return CURL_SOCKET_BAD;
}

/* "HOST:PORT:ADDRESS,ADDRESS" of those that are allowed. Returns how many, or -1. */
static int list_addresses(struct job *job, const struct addresses *addresses)
{
	char text[MAX_TARGET + MAX_ADDRESSES * (INET6_ADDRSTRLEN + 3)], ip[INET6_ADDRSTRLEN];
	bool is_v4;
	unsigned int i;
	int n = 0, at;

	at = snprintf(text, sizeof(text), "%s:%u:", job->host, job->port);
	for (i = 0; i < addresses->n; i++) {
		if (!fetch_hosts_allow_address(&fetch_hosts, addresses->bytes[i], job->port))
			continue;
		is_v4 = !memcmp(addresses->bytes[i], mapped, sizeof(mapped));
		inet_ntop(is_v4 ? AF_INET : AF_INET6,
			  addresses->bytes[i] + (is_v4 ? MAPPED_BYTES : 0), ip, sizeof(ip));
		at += snprintf(text + at, sizeof(text) - (size_t)at, is_v4 ? "%s%s" : "%s[%s]",
			       n++ ? "," : "", ip);
	}
	job->resolve = n ? curl_slist_append(NULL, text) : NULL;
	return n && !job->resolve ? -1 : n;
}

/* --- a hop ------------------------------------------------------------------------------------ */

static bool add_header(struct job *job, const char *name, const char *value)
{
	char line[MAX_TAG + 32];
	struct curl_slist *list;

	snprintf(line, sizeof(line), "%s: %s", name, value);
	list = curl_slist_append(job->headers, line);
	job->headers = list ? list : job->headers;
	return list;
}

static bool add_headers(struct job *job)
{
	if (job->kind == FETCH_OCSP)
		return add_header(job, "Content-Type", "application/ocsp-request") &&
		       add_header(job, "Accept", "application/ocsp-response") &&
		       add_header(job, "Expect", "");
	return add_header(job, "Accept", "application/pkix-crl, */*;q=0.5") &&
	       (!job->etag[0] || add_header(job, "If-None-Match", job->etag)) &&
	       (!job->modified[0] || add_header(job, "If-Modified-Since", job->modified));
}

#define SET(option, value) (curl_easy_setopt(job->easy, (option), (value)) == CURLE_OK)

static bool set_limits(struct job *job)
{
	uint64_t now = now_ms();
	long left = job->deadline_ms > now ? (long)(job->deadline_ms - now) : 1;

	return SET(CURLOPT_PROTOCOLS_STR, "http") && SET(CURLOPT_PROXY, "") &&
	       SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	       SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
	       SET(CURLOPT_HTTP_CONTENT_DECODING, 0L) && SET(CURLOPT_NOSIGNAL, 1L) &&
	       SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_FORBID_REUSE, 1L) &&
	       SET(CURLOPT_TIMEOUT_MS, left) && SET(CURLOPT_CONNECTTIMEOUT_MS, left);
}

static bool set_request(struct job *job)
{
	if (!add_headers(job) || !SET(CURLOPT_CURLU, job->url) ||
	    !SET(CURLOPT_RESOLVE, job->resolve) || !SET(CURLOPT_HTTPHEADER, job->headers) ||
	    !SET(CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION))
		return false;
	if (job->kind != FETCH_OCSP)
		return SET(CURLOPT_HTTPGET, 1L);
	return SET(CURLOPT_POSTFIELDSIZE, (long)job->request_len) &&
	       SET(CURLOPT_COPYPOSTFIELDS, (const char *)job->request);
}

static bool set_callbacks(struct job *job)
{
	return SET(CURLOPT_PRIVATE, job) && SET(CURLOPT_WRITEFUNCTION, take_body) &&
	       SET(CURLOPT_WRITEDATA, job) && SET(CURLOPT_HEADERFUNCTION, take_header) &&
	       SET(CURLOPT_HEADERDATA, job) && SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
	       SET(CURLOPT_OPENSOCKETDATA, job);
}

enum fetch_reason transfer_begin(struct job *job, const struct addresses *addresses)
{
	int n = list_addresses(job, addresses);

	if (n == 0)
		return addresses->n ? FETCH_ADDRESS : FETCH_RESOLVE;
	job->state = JOB_TRANSFERS;
	job->head_len = 0;
	job->reason = FETCH_OK;
	job->body_len = 0;
	if (job->body_fd < 0)
		job->body_fd = memfd_create("sluice-fetched", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	job->easy = curl_easy_init();
	if (n < 0 || job->body_fd < 0 || !job->easy || ftruncate(job->body_fd, 0) ||
	    lseek(job->body_fd, 0, SEEK_SET) || !set_limits(job) || !set_callbacks(job) ||
	    !set_request(job) || curl_multi_add_handle(multi, job->easy))
		return FETCH_RESOURCES;
	return FETCH_OK;
}

void transfer_clear(struct job *job)
{
	if (job->easy) {
		curl_multi_remove_handle(multi, job->easy);
		curl_easy_cleanup(job->easy);
	}
	curl_slist_free_all(job->resolve);
	curl_slist_free_all(job->headers);
	job->easy = NULL;
	job->resolve = job->headers = NULL;
}

/* --- how it ended ----------------------------------------------------------------------------- */

static enum fetch_reason reason_of(const struct job *job, CURLcode code)
{
	if (job->reason != FETCH_OK)
		return job->reason;
	switch (code) {
	case CURLE_OK:
		return FETCH_OK;
	case CURLE_OPERATION_TIMEDOUT:
		return FETCH_TIME;
	case CURLE_COULDNT_RESOLVE_HOST:
		return FETCH_RESOLVE;
	case CURLE_COULDNT_CONNECT:
		return FETCH_CONNECT;
	case CURLE_OUT_OF_MEMORY:
		return FETCH_RESOURCES;
	default: /* it is no HTTP, or ended too early */
		return FETCH_HTTP;
	}
}

static void take_tag(const struct job *job, const char *name, char tag[MAX_TAG])
{
	struct curl_header *header;

	tag[0] = '\0';
	if (curl_easy_header(job->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK &&
	    strlen(header->value) < MAX_TAG)
		strcpy(tag, header->value);
}

static bool is_redirect(const struct job *job)
{
	return job->kind == FETCH_CRL &&
	       (job->status == 301 || job->status == 302 || job->status == 303 ||
		job->status == 307 || job->status == 308);
}

#define MAX_REDIRECTS 3

/* Where it leads is held against the same rules as what was asked for. */
static void follow(struct job *job)
{
	char *location = NULL, *text = NULL;
	enum fetch_reason reason = FETCH_HTTP;

	if (++job->n_redirects > MAX_REDIRECTS) {
		job_end(job, FETCH_REDIRECTS);
		return;
	}
	curl_easy_getinfo(job->easy, CURLINFO_REDIRECT_URL, &location);
	text = location ? strdup(location) : NULL;
	transfer_clear(job);
	if (text)
		reason = transfer_url(job, text);
	free(text);
	if (reason != FETCH_OK)
		job_end(job, reason);
	else
		job_hop(job);
}

static void ended(struct job *job, CURLcode code)
{
	enum fetch_reason reason = reason_of(job, code);

	curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &job->status);
	if (reason == FETCH_OK && is_redirect(job)) {
		follow(job);
		return;
	}
	if (reason == FETCH_OK && job->status == 304 && (job->etag[0] || job->modified[0])) {
		job_end(job, FETCH_NOT_MODIFIED);
		return;
	}
	if (reason == FETCH_OK && job->status != 200)
		reason = FETCH_HTTP;
	take_tag(job, "ETag", job->etag);
	take_tag(job, "Last-Modified", job->modified);
	job_end(job, reason);
}

void transfer_wait(struct curl_waitfd *fds, unsigned int n, int timeout_ms)
{
	curl_multi_poll(multi, fds, n, timeout_ms, NULL);
}

void transfer_run(void)
{
	struct CURLMsg *message;
	struct job *job;
	CURLcode code;
	int n;

	curl_multi_perform(multi, &n);
	while ((message = curl_multi_info_read(multi, &n))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
		ended(job, code);
	}
}
