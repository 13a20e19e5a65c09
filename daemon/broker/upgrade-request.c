// SPDX-License-Identifier: Apache-2.0
/* What a program asks for with a socket. From outside: everything is checked before anything is done. */
#include <string.h>

#include <sluice/options.h>

#include "broker/broker.h"

static const char *take_text(const struct attr *attr, char *out, size_t size, const char *wrong)
{
	size_t i;

	if (!attr_text(attr, out, size) || !*out)
		return wrong;
	for (i = 0; out[i]; i++)
		if (out[i] <= ' ' || out[i] > '~')
			return wrong;
	return NULL;
}

static const char *take_role(const struct attr *attr, enum sluice_role *ret_role)
{
	uint64_t value;

	if (!attr_u64(attr, &value) || (value != SLUICE_CLIENT && value != SLUICE_SERVER))
		return "the role is neither client nor server";
	*ret_role = (enum sluice_role)value;
	return NULL;
}

static const char *take_plain(const struct attr *attr, bool *ret_plain)
{
	uint64_t value;

	if (!attr_u64(attr, &value) || value > 1)
		return "plain is 0 or 1";
	*ret_plain = value;
	return NULL;
}

static const char *take_attr(struct upgrade_request *request, const struct attr *attr)
{
	switch (attr->type) {
	case ATTR_ROLE:
		return take_role(attr, &request->role);
	case ATTR_NAME:
		return take_text(attr, request->profile, sizeof(request->profile),
				 "the name of the profile is none");
	case ATTR_HOST:
		return take_text(attr, request->host, sizeof(request->host),
				 "the host is neither a name nor an address");
	case ATTR_ALPN:
		return take_text(attr, request->alpn, sizeof(request->alpn),
				 "alpn is no list of protocols");
	case ATTR_PLAIN:
		return take_plain(attr, &request->plain);
	default:
		return NULL;
	}
}

/* As the option that it becomes would be, so that a handshaker never meets another. */
static const char *check_alpn(const char *alpn)
{
	struct sluice_options *opts;
	int r;

	if (!*alpn)
		return NULL;
	if (sluice_options_new(&opts) < 0)
		return "no memory";
	r = sluice_options_set(opts, SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, alpn, NULL);
	sluice_options_free(opts);
	return r < 0 ? "alpn is no list of protocols" : NULL;
}

const char *upgrade_request_read(struct upgrade_request *ret_request, struct wire_reader reader)
{
	struct upgrade_request request = { .role = 0 };
	const char *wrong = NULL;
	struct attr attr;
	int r = 0;

	while (!wrong && (r = wire_next(&reader, &attr)) == 1)
		wrong = take_attr(&request, &attr);
	if (!wrong && r < 0)
		wrong = "the message is cut off";
	if (!wrong && !request.role)
		wrong = "the role is missing";
	if (!wrong && !request.profile[0])
		wrong = "the name of a profile is missing";
	if (!wrong && request.role == SLUICE_SERVER && (request.host[0] || request.alpn[0]))
		wrong = "host and alpn are a client's; a server's profile says what it takes";
	if (!wrong)
		wrong = check_alpn(request.alpn);
	if (!wrong)
		*ret_request = request;
	return wrong;
}
