/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between the processes and their attributes: docs/protocol.md says what each means, who
 * may send it and when. Numbers are never given twice.
 */
#ifndef SLUICE_HANDOVER_MESSAGES_H
#define SLUICE_HANDOVER_MESSAGES_H

enum message_type {
	/* worker -> broker */
	MSG_ATTACH = 1, /* first: version, pid, which kind */
	MSG_CREDIT,     /* so many connections more */
	MSG_ACK,        /* the connection is taken */
	MSG_DRAIN,      /* no more connections */
	MSG_ENDED, /* what became of a connection: bytes, reason; on the socket of MSG_WELCOME too */
	/* program -> broker, of a service */
	MSG_UPGRADE, /* with a connected socket: make TLS on it */
	/* worker -> broker */
	MSG_UPDATED, /* the answer to MSG_UPDATE_KEYS */
	/* broker -> worker */
	MSG_WELCOME = 16, /* with the socket for MSG_REKEY */
	MSG_CONNECTION,   /* with the connection's socket */
	MSG_REFUSED,      /* why the worker may not; the channel ends */
	MSG_UPGRADED,     /* with the socket, or why not */
	MSG_UPDATE_KEYS,  /* a connection gets new keys; to who knows it (ATTR_KNOWS) */
	MSG_CLOSE,        /* a connection is to be closed; the same */
	/* worker -> broker on the socket of MSG_WELCOME, and the answer */
	MSG_REKEY = 32,
	MSG_REKEYED,
	/* broker -> handshaker */
	MSG_CONFIG = 48, /* with a sealed memfd: all profiles */
	MSG_HANDSHAKE,   /* with a connected socket */
	MSG_CANCEL,      /* its program is gone, or its source may not: MSG_PROXIED's answer */
	MSG_GO_ON,       /* its source may */
	MSG_JUDGE = 57,  /* is a peer's chain still good? */
	/* broker -> handshaker: what the decision service says */
	MSG_DECIDED = 60,
	/* handshaker -> broker */
	MSG_READY = 64,
	MSG_ESTABLISHED, /* with the socket, and the secrets */
	MSG_FAILED,
	MSG_PROXIED, /* whom its PROXY header names; it waits for the answer */
	MSG_PLAIN,   /* with the socket: it does not begin with TLS */
	MSG_TRACE,   /* an event of a session that is traced */
	/* handshaker -> broker: about a peer, for its decision service */
	MSG_QUESTION = 76,
	MSG_JUDGED = 77,
	/* broker -> keeper, and the answers */
	MSG_LOAD = 80, /* with the key file and the certificate file */
	MSG_LOADED,
	MSG_CHANNEL = 84,    /* with a handshaker's end */
	MSG_PERMIT_KEY = 86, /* what permits are checked by */
	MSG_UNLOAD,          /* a key is needed once less */
	MSG_PING,            /* is it alive? */
	MSG_PONG,
	/* handshaker -> keeper, and the answer */
	MSG_SIGN = 96,
	MSG_SIGNED,
	/* sluice-metrics -> broker, and the answer */
	MSG_SCRAPE = 112,
	MSG_SCRAPED, /* with a sealed memfd: all counts; without: there was no memory */
	/* broker -> sluice-crls, and the answers */
	MSG_CRL_SOURCE = 120, /* a file, with a descriptor if it is to be read */
	MSG_CRL_TAKEN,
	MSG_CRL_END, /* there are no more: the set is to be written */
	MSG_CRLS,    /* with a sealed memfd: a set, in all directions; to handshakers too */
	MSG_STAPLE, /* with a sealed memfd: an OCSP response, about the first of two certificates */
	MSG_STAPLE_CHECKED,
	/* owner -> sluice-fetch, and the answer */
	MSG_FETCH_ALLOW = 128, /* first: which hosts may be fetched from */
	MSG_FETCH,             /* a URL */
	MSG_FETCHED,           /* with a sealed memfd: the body; without: why not */
	/* sluice-relay -> its connector, and the answer */
	MSG_CONNECT = 136, /* to the backend of this number */
	MSG_CONNECTED,     /* with the socket; without: why not */
};

enum attr_type {
	ATTR_ERROR = 1, /* enum sluice_errno */
	ATTR_TEXT,      /* of an error, for people */
	ATTR_ALERT,     /* its number; with ATTR_ALERT_SENT 1: ours */
	ATTR_ALERT_SENT,
	ATTR_STAGE,
	ATTR_COUNT,
	ATTR_NAME,
	ATTR_PID,

	/* a connection */
	ATTR_SESSION = 32, /* its id, of all the daemon's life */
	ATTR_COOKIE,       /* SO_COOKIE of its socket */
	ATTR_ROLE,         /* enum sluice_role */
	ATTR_VERSION,
	ATTR_SUITE,
	ATTR_GROUP,
	ATTR_SIGNATURE,
	ATTR_RESUMED,
	ATTR_HELLO_RETRIED,
	ATTR_SNI,
	ATTR_ALPN,
	ATTR_PEER_VERIFIED,
	ATTR_PEER_CERT, /* DER */
	ATTR_PEER_SHA256,
	ATTR_RX_PATH, /* enum sluice_path */
	ATTR_TX_PATH,
	ATTR_RX_REASON, /* enum sluice_path_reason */
	ATTR_TX_REASON,
	ATTR_CAN_REKEY,
	ATTR_EARLY, /* plaintext that came with the handshake */
	ATTR_LISTENER,
	ATTR_POOL,
	ATTR_HANDSHAKE_US,
	ATTR_HANDSHAKE_IN,
	ATTR_HANDSHAKE_OUT,
	ATTR_HOST,
	ATTR_LOCAL, /* "127.0.0.1:443", "[::1]:443" */
	ATTR_PEER,
	ATTR_DIRECTION, /* 0: receiving, 1: sending */
	ATTR_EPOCH,
	ATTR_RX_BYTES,
	ATTR_TX_BYTES,
	ATTR_RX_EPOCH,
	ATTR_TX_EPOCH,
	ATTR_RX_RECORDS,
	ATTR_TX_RECORDS,
	ATTR_PLAIN, /* 1: the program has no TLS at all */
	ATTR_BOTH,  /* 1: the peer is asked for new keys of its own */
	ATTR_KNOWS, /* of a worker: enum worker_knows, added up */
	ATTR_PEER_IDENTITY,
	ATTR_PEER_ATTRIBUTES = 80, /* what a decision service says of the peer */
	ATTR_BAD_CERTS,            /* what is wrong with the peer's path, and accepted: bits */

	/* secrets: to the broker only, and to the worker of a connection on the user path */
	ATTR_RX_KEYS = 96,
	ATTR_TX_KEYS,

	/* what counts after the handshake, of the profile's options */
	ATTR_KEY_UPDATE_AT = 112,
	ATTR_KEY_UPDATE_RECORDS,
	ATTR_LIMIT_KEY_UPDATES,
	ATTR_LIMIT_CONTROL_RECORDS,
	ATTR_ALERT_TIMEOUT,
	ATTR_TX_MAX_PAYLOAD_LEN,
	ATTR_DYNAMIC_RECORD_SIZE,

	/* a private key operation */
	ATTR_KEY_ID = 128, /* SHA-256 of the SubjectPublicKeyInfo */
	ATTR_ALGORITHM,
	ATTR_INPUT,
	ATTR_OUTPUT,
	ATTR_CERT, /* DER; repeated */
	ATTR_PASSWORD,
	ATTR_PROFILE, /* index */
	ATTR_GENERATION,
	ATTR_HOST_NAME, /* of a profile's SNI hosts; repeated */
	ATTR_NO_MATCH,
	ATTR_TICKET_KEYS,
	ATTR_PERMIT,        /* of one private key operation */
	ATTR_PERMIT_KEY,    /* between broker and keeper */
	ATTR_SOURCE,        /* of a PROXY header: an IPv6 address and a port, big endian */
	ATTR_DESTINATION,   /* the same */
	ATTR_EXPECTS,       /* enum expects, below */
	ATTR_HELLO_TIMEOUT, /* milliseconds */
	ATTR_TRACE,         /* 1: tell what happens in the handshake */
	ATTR_EVENT,         /* enum trace_event */
	ATTR_TIME_US,       /* CLOCK_MONOTONIC */
	ATTR_CERT_NAME,     /* a DNS name of a certificate, lower case; repeated */
	ATTR_NOT_AFTER,     /* seconds of the epoch */
	ATTR_KEY_TYPE,      /* "P-256", "RSA 2048" */
	ATTR_CERT_FILE,     /* where a certificate was read */

	/* where the time of a handshake went, microseconds */
	ATTR_ACCEPTED_US = 160, /* CLOCK_MONOTONIC, the same in all processes */
	ATTR_QUEUE_US,          /* from there to a handshaker's start */
	ATTR_NETWORK_US,        /* waiting for the peer */
	ATTR_SIGN_US,           /* waiting for the keeper */
	ATTR_VERIFY_US,         /* judging the peer's chain */
	ATTR_DECISION_US = 168, /* waiting for the decision service */

	/* what sluice-fetch is asked for, and its answer */
	ATTR_FETCH_HOSTS = 176, /* lib/fetch/hosts.h */
	ATTR_FETCH_DNS,         /* "127.0.0.1:53": name servers instead of the system's */
	ATTR_FETCH_KIND,        /* enum fetch_kind */
	ATTR_FETCH_URL,
	ATTR_FETCH_BODY,     /* of a POST */
	ATTR_FETCH_MS,       /* from the request to its answer */
	ATTR_FETCH_MAX,      /* bytes of the body */
	ATTR_FETCH_ETAG,     /* both ways: what is known already, what was got */
	ATTR_FETCH_MODIFIED, /* the same: a date of HTTP */
	ATTR_FETCH_REASON,   /* enum fetch_reason */
	ATTR_FETCH_STATUS,   /* of HTTP; missing: there was no answer */

	/* a decision about a peer */
	ATTR_POLICY = 192,   /* common/policy.h */
	ATTR_SERVICE,        /* which decision service: decision_service_id() */
	ATTR_QUESTION,       /* JSON */
	ATTR_REASON,         /* enum sluice_bad_cert; 0: accepted */
	ATTR_WARN_BAD_CERTS, /* of ATTR_BAD_CERTS, those that are a warning in the log */

	/* revocation, and the peer's chain for another look */
	ATTR_CRL_FILE = 200, /* where CRLs come from */
	ATTR_CRL_URI,        /* of the distribution point that they are for */
	ATTR_PEER_CHAIN,     /* DER; repeated, the peer's own first */
	ATTR_THIS_UPDATE,    /* seconds of the epoch */
	ATTR_NEXT_UPDATE,

	/* of a connection that cannot be made */
	ATTR_ERRNO = 216,

	/* an option set: the option's number is added */
	ATTR_OPTION = 1024,
};

/* What a new connection may begin with; bits of ATTR_EXPECTS. */
enum expects {
	EXPECTS_PROXY = 1, /* a PROXY header */
	EXPECTS_PLAIN = 2, /* not TLS */
};

/* What is fetched. */
enum fetch_kind {
	FETCH_CRL = 1, /* GET */
	FETCH_OCSP,    /* POST, RFC 6960, A.1 */
};

/* How a fetch ended. */
enum fetch_reason {
	FETCH_OK,
	FETCH_NOT_MODIFIED, /* what the request says is known is still so */
	FETCH_URL,     /* it is no URL, or one that is never fetched: https, file, user:password@ */
	FETCH_HOST,    /* the host, or its port, is not allowed */
	FETCH_ADDRESS, /* none of its addresses is */
	FETCH_RESOLVE, /* it has none */
	FETCH_CONNECT,
	FETCH_TIME,
	FETCH_SIZE, /* body or head is too long */
	FETCH_HTTP, /* the server answered with a status other than 200, or without HTTP */
	FETCH_REDIRECTS,
	FETCH_BUSY,      /* too many are waiting */
	FETCH_RESOURCES, /* memory, descriptors */
	FETCH_PROCESS,   /* there is no sluice-fetch; never sent */
	FETCH_CONTENT,   /* what came is no CRL; never sent */
};

#define ENDPOINT_LEN 18 /* bytes of ATTR_SOURCE and ATTR_DESTINATION */

/* What a worker may be asked, besides to take connections. */
enum worker_knows {
	KNOWS_UPDATE_KEYS = 1,
	KNOWS_CLOSE = 2,
};

/* What a handshaker tells of a session that is traced. */
enum trace_event {
	TRACE_HELLO =
		1,    /* ATTR_SNI, ATTR_ALPN and ATTR_TEXT: versions; both as lists with commas */
	TRACE_HOST,   /* ATTR_KEY_ID; ATTR_NO_MATCH 1: no host of this name */
	TRACE_SIGN,   /* ATTR_ALGORITHM: the keeper was asked */
	TRACE_SIGNED, /* ATTR_ERROR, if it refused */
};

#endif
