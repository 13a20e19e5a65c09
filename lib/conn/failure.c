// SPDX-License-Identifier: Apache-2.0
#include "conn/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

void failure_clear(struct failure *failure)
{
	free(failure->text);
	*failure = (struct failure){ .alert = ERR_NO_ALERT };
}

void failure_put(struct failure *failure, const struct sluice_error *err)
{
	free(failure->text);
	*failure = (struct failure){
		.code = err->code,
		.stage = err->stage,
		.alert = err->alert,
		.sys_errno = err->sys_errno,
		.x509_error = err->x509_error,
		.bssl_error = err->bssl_error,
		.kind = (uint8_t)err->kind,
		.alert_sent = (uint8_t)err->alert_sent,
		.bad_cert = (uint8_t)err->bad_cert,
		.crl_reason = (uint8_t)err->crl_reason,
		.text = err->text[0] ? strdup(err->text) : NULL,
	};
}

void failure_get(const struct failure *failure, struct sluice_error *ret_err)
{
	const char *text = failure->text;

	*ret_err = (struct sluice_error){
		.code = failure->code,
		.kind = failure->kind,
		.stage = failure->stage,
		.alert = failure->alert,
		.alert_sent = failure->alert_sent,
		.sys_errno = failure->sys_errno,
		.x509_error = failure->x509_error,
		.bad_cert = failure->bad_cert,
		.crl_reason = failure->crl_reason,
		.bssl_error = failure->bssl_error,
	};
	if (!text)
		text = failure->code ? sluice_strerror(failure->code) : "";
	snprintf(ret_err->text, sizeof(ret_err->text), "%s", text);
}

int failure_set(struct failure *failure, int code, int sys_errno, const char *format, ...)
{
	char text[sizeof(((struct sluice_error *)0)->text)];
	struct sluice_error err;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	failure_get(failure, &err);
	if (sys_errno)
		err_set_errno(&err, code, sys_errno, "%s", text);
	else
		err_set(&err, code, "%s", text);
	failure_put(failure, &err);
	return -code;
}
