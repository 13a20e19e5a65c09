// SPDX-License-Identifier: Apache-2.0
/* The names of the record paths and of the reasons for not taking the kernel's. */
#include <sluice/info.h>

static const struct {
	const char *name;
	const char *text;
} reasons[SLUICE_REASONS] = {
	[SLUICE_REASON_NONE] = { "none", "the kernel path is taken" },
	[SLUICE_REASON_OPTION] = { "option", "option record_path = user asks for the user path" },
	[SLUICE_REASON_NO_KTLS] = { "no-ktls",
				    "the kernel has no TLS: it was built without CONFIG_TLS, or the "
				    "tls module is not loaded (as root: modprobe tls)" },
	[SLUICE_REASON_SUITE] = { "suite", "the kernel does not take this cipher suite" },
	[SLUICE_REASON_NOT_ESTABLISHED] = { "not-established",
					    "the peer closed its side before the kernel's TLS could "
					    "be attached" },
	[SLUICE_REASON_ULP_TAKEN] = { "ulp-taken",
				      "the socket carries another upper layer protocol" },
	[SLUICE_REASON_SOCKET] = { "socket", "the socket is not a plain TCP socket" },
	[SLUICE_REASON_NOMEM] = { "nomem", "the kernel had no memory for the keys" },
	[SLUICE_REASON_REFUSED] = { "refused", "the kernel refused the keys" },
	[SLUICE_REASON_REKEY] = { "rekey", "the kernel cannot change keys, and option "
					   "rekey_unsupported = user_path asks for who can" },
};

const char *sluice_path_name(int path)
{
	switch ((enum sluice_path)path) {
	case SLUICE_PATH_NONE:
		return "none";
	case SLUICE_PATH_KERNEL:
		return "kernel";
	case SLUICE_PATH_USER:
		return "user";
	}
	return "unknown";
}

const char *sluice_path_reason_name(int reason)
{
	return reason >= 0 && reason < SLUICE_REASONS ? reasons[reason].name : "unknown";
}

const char *sluice_path_reason_text(int reason)
{
	return reason >= 0 && reason < SLUICE_REASONS ? reasons[reason].text : "unknown reason";
}

const char *sluice_ktls_use_name(int use)
{
	static const char *const names[SLUICE_KTLS_USES] = {
		[SLUICE_KTLS_NOT_ASKED] = "not-asked", [SLUICE_KTLS_IN_FORCE] = "in-force",
		[SLUICE_KTLS_USER_PATH] = "user-path", [SLUICE_KTLS_VERSION] = "version",
		[SLUICE_KTLS_MISSING] = "missing",     [SLUICE_KTLS_REFUSED] = "refused",
	};

	return use >= 0 && use < SLUICE_KTLS_USES ? names[use] : "unknown";
}
