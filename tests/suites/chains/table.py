# SPDX-License-Identifier: Apache-2.0
"""The chains: what each of their certificates is like, from the root downwards, and what is asked of them."""
YEAR = 365 * 86400
WWW = "www.a.test"
UNKNOWN = ("1.3.6.1.4.1.55555.1", "0500")  # an extension that nobody knows: a NULL


def chain(ident, root=None, cas=1, ca=None, leaf=None, **asked):
    """root -> ca1 -> ... -> leaf; @ca is what the lowest of the CAs is like. The root is not sent."""
    certs = [{"label": "root", **(root or {})}]
    for i in range(cas):
        certs.append({"label": f"ca{i + 1}", "by": certs[-1]["label"], **((ca or {}) if i == cas - 1 else {})})
    certs.append({"san": ["dns:" + WWW], "by": certs[-1]["label"], **(leaf or {})})
    labels = [cert.get("label", "leaf") for cert in certs]
    return {"id": ident, "certs": certs, "send": labels[:0:-1], "trust": ["root"], "name": WWW, **asked}


def depths():
    yield from (chain(f"depth/default-{n}", cas=n) for n in (0, 1, 2, 5, 9, 10, 11, 12))
    yield from (chain(f"depth/{depth}-of-{n}", cas=n, depth=depth)
                for depth in (0, 1, 2, 3) for n in (0, 1, 2, 3, 4))
    for n, depth, ids in ((1, 0, True), (2, 0, True), (2, 1, True), (8, 1, True), (1, 0, False)):
        same = [{"label": f"ca{i + 1}", "by": f"ca{i}" if i else "root", "subject": "CN=root", "ids": ids} for i in range(n)]
        row = chain(f"self-issued/{n}-at-depth-{depth}{'' if ids else '-without-ids'}", cas=0, depth=depth)
        row["certs"] = [{"label": "root", "ids": ids}, *same, {"by": f"ca{n}", "san": ["dns:" + WWW], "ids": ids}]
        row["send"] = ["leaf", *(f"ca{i}" for i in range(n, 0, -1))]
        yield row
    row = chain("self-issued/without-ids", cas=0)
    row["certs"] = [{"label": "root"}, {"label": "ca1", "by": "root", "subject": "CN=root"}, {"by": "ca1", "san": ["dns:" + WWW]}]
    row["send"] = ["leaf", "ca1"]
    yield row
    for limit, n in ((0, 1), (0, 2), (1, 2), (1, 3), (2, 2)):
        yield chain(f"pathlen/{limit}-over-{n}", root={"pathlen": limit}, cas=n)
    yield chain("pathlen/lowest-ca-0", ca={"pathlen": 0})
    yield chain("pathlen/without-key-cert-sign", ca={"pathlen": 0, "ku": ["crl_sign"]})


def dates():
    for who in ("leaf", "ca", "root"):
        for end, span in (("from", (0, YEAR)), ("until", (-YEAR, 0))):
            for second in (-1, 0, 1):
                yield chain(f"dates/{who}-{end}{second:+}", **{who: {"dates": span}}, time=second)
    yield chain("dates/leaf-outlives-ca", leaf={"dates": (-86400, YEAR)}, ca={"dates": (-86400, 86400)})
    yield chain("dates/leaf-older-than-ca", leaf={"dates": (-YEAR, YEAR)})
    yield chain("dates/far-future", leaf={"dates": (-86400, 100 * YEAR)}, ca={"dates": (-86400, 100 * YEAR)})
    yield chain("dates/end-before-start-is-refused", leaf={"dates": (-2, -1)})


def strengths():
    for who in ("leaf", "ca", "root"):
        for kind in ("p224", "p384", "p521", "k256", "ed25519", "ed448", "rsa1024", "rsa2048", "rsa3072", "dsa"):
            yield chain(f"key/{who}-{kind}", **{who: {"key": kind}})
    for who in ("leaf", "ca"):
        above = "ca" if who == "leaf" else "root"
        for digest in ("SHA1", "SHA224", "SHA384", "SHA512"):
            yield chain(f"hash/{who}-ecdsa-{digest}", **{who: {"hash": digest}})
            yield chain(f"hash/{who}-rsa-{digest}", **{who: {"hash": digest}, above: {"key": "rsa2048"}})
        for digest in ("SHA256", "SHA384", "SHA512"):
            yield chain(f"hash/{who}-pss-{digest}",
                        **{who: {"hash": digest, "pss": True}, above: {"key": "rsa2048"}})
    yield chain("hash/root-SHA1", root={"hash": "SHA1"})
    for who in ("leaf", "ca"):
        yield chain(f"signature/{who}-by-another-key", **{who: {"wrong_key": True}})


def names():
    for ident, san, wanted in (
            ("same", "dns:a.test", "a.test"), ("case", "dns:A.Test", "a.tEST"), ("other", "dns:a.test", "b.test"),
            ("below", "dns:a.test", "www.a.test"), ("above", "dns:www.a.test", "a.test"),
            ("wildcard", "dns:*.a.test", "www.a.test"), ("wildcard-itself", "dns:*.a.test", "a.test"),
            ("wildcard-two-labels", "dns:*.a.test", "x.www.a.test"), ("wildcard-tld", "dns:*.test", "a.test"),
            ("wildcard-alone", "dns:*", "test"), ("wildcard-middle", "dns:www.*.test", "www.a.test"),
            ("wildcard-partial", "dns:w*.a.test", "www.a.test"), ("wildcard-last", "dns:www.a.*", "www.a.test"),
            ("wildcard-twice", "dns:*.*.test", "www.a.test"), ("wildcard-case", "dns:*.A.TEST", "www.a.test"),
            ("wildcard-idna", "dns:*.a.test", "xn--bcher-kva.a.test"), ("idna", "dns:xn--bcher-kva.test", "xn--bcher-kva.test"),
            ("idna-case", "dns:XN--BCHER-KVA.test", "xn--bcher-kva.test"), ("idna-partial", "dns:xn--*.a.test", "xn--bcher-kva.a.test"),
            ("dot-in-certificate", "dns:a.test.", "a.test"), ("dot-in-request", "dns:a.test", "a.test."),
            ("leading-dot", "dns:.a.test", "www.a.test"), ("underscore", "dns:_x.a.test", "_x.a.test"),
            ("nul", "dns:a.test\0.b.test", "a.test"), ("space", "dns:a.test ", "a.test"), ("latin-1", "email:x@a.test", "a.test"),
            ("ipv4", "ip:192.0.2.1", "192.0.2.1"), ("ipv4-other", "ip:192.0.2.1", "192.0.2.2"),
            ("ipv6", "ip:2001:db8::1", "2001:db8::1"), ("ipv6-long", "ip:2001:db8::1", "2001:0DB8:0:0:0:0:0:1"),
            ("ipv6-mapped", "ip:192.0.2.1", "::ffff:192.0.2.1"), ("ip-as-dns", "dns:192.0.2.1", "192.0.2.1"),
            ("dns-as-ip", "ip:192.0.2.1", "a.test"), ("uri", "uri:https://a.test/", "a.test"),
            ("long", "dns:" + "a" * 63 + ".test", "a" * 63 + ".test")):
        yield chain("name/" + ident, leaf={"san": [san]}, name=wanted)
    yield chain("name/second", leaf={"san": ["dns:b.test", "ip:192.0.2.1", "dns:a.test"]}, name="a.test")
    yield chain("name/common-name-only", leaf={"san": [], "subject": "CN=" + WWW})
    yield chain("name/common-name-beside-another", leaf={"san": ["dns:b.test"], "subject": "CN=" + WWW})
    yield chain("name/empty-subject", leaf={"subject": ""})
    yield chain("name/none-wanted", leaf={"san": []}, name=None)


def constraints():
    for ident, key, base, name in (
            ("dns-itself", "permit", "dns:a.test", "dns:a.test"), ("dns-below", "permit", "dns:a.test", "dns:www.a.test"),
            ("dns-suffix", "permit", "dns:a.test", "dns:ba.test"), ("dns-other", "permit", "dns:a.test", "dns:b.test"),
            ("dns-dotted", "permit", "dns:.a.test", "dns:www.a.test"), ("dns-all", "permit", "dns:", "dns:b.test"),
            ("dns-wildcard", "permit", "dns:a.test", "dns:*.a.test"), ("dns-not", "exclude", "dns:a.test", "dns:www.a.test"),
            ("dns-not-other", "exclude", "dns:a.test", "dns:b.test"), ("dns-not-any", "exclude", "dns:", "dns:b.test"),
            ("dns-not-wildcard", "exclude", "dns:www.a.test", "dns:*.a.test"), ("dns-case", "permit", "dns:A.TEST", "dns:www.a.test"),
            ("ip", "permit", "ip:192.0.2.0/24", "ip:192.0.2.9"), ("ip-other", "permit", "ip:192.0.2.0/24", "ip:192.0.3.9"),
            ("ip-not", "exclude", "ip:192.0.2.0/24", "ip:192.0.2.9"), ("ip-not-other", "exclude", "ip:192.0.2.0/24", "ip:192.0.3.9"),
            ("ip-family", "permit", "ip:192.0.2.0/24", "ip:2001:db8::1"), ("ip6", "permit", "ip:2001:db8::/32", "ip:2001:db8::1"),
            ("ip6-not", "exclude", "ip:2001:db8::/32", "ip:2001:db8::1"),
            ("email-host", "permit", "email:a.test", "email:x@a.test"), ("email-box", "permit", "email:x@a.test", "email:y@a.test"),
            ("email-below", "permit", "email:.a.test", "email:x@b.a.test"), ("email-not", "exclude", "email:a.test", "email:x@a.test"),
            ("uri", "permit", "uri:a.test", "uri:https://a.test/x"), ("uri-other", "permit", "uri:a.test", "uri:https://b.test/x"),
            ("uri-below", "permit", "uri:.a.test", "uri:https://www.a.test/"), ("uri-not", "exclude", "uri:a.test", "uri:https://a.test/x"),
            ("uri-address", "permit", "uri:a.test", "uri:https://192.0.2.1/x"),
            ("dir", "permit", "dir:O=X", "dir:O=X,CN=y"), ("dir-other", "permit", "dir:O=X", "dir:O=Y"),
            ("dir-not", "exclude", "dir:O=X", "dir:O=X,CN=y"), ("dir-not-other", "exclude", "dir:O=X", "dir:O=Y"),
            ("rid", "permit", "rid:1.2.3", "rid:1.2.3"), ("rid-not", "exclude", "rid:1.2.3", "rid:1.2.4"),
            ("other", "permit", "other:x", "other:x"), ("other-not", "exclude", "other:x", "other:y")):
        yield chain("constraint/" + ident, ca={key: [base]}, leaf={"san": [name], "subject": ""}, name=None)
    yield chain("constraint/of-another-kind", ca={"permit": ["ip:10.0.0.0/8"]})
    yield chain("constraint/by-the-root", root={"permit": ["dns:b.test"]})
    yield chain("constraint/narrower-below", root={"permit": ["dns:a.test"]}, ca={"permit": ["dns:www.a.test"]})
    yield chain("constraint/wider-below", root={"permit": ["dns:b.test"]}, ca={"permit": ["dns:a.test"]})
    yield chain("constraint/subject", ca={"permit": ["dir:O=X"]}, leaf={"subject": "O=Y"})
    yield chain("constraint/subject-fits", ca={"permit": ["dir:O=X"]}, leaf={"subject": "O=X,CN=y"})
    yield chain("constraint/common-name", ca={"permit": ["dns:a.test"]}, leaf={"subject": "CN=www.b.test"})


def purposes():
    for peer in ("server", "client"):
        for uses in (["server"], ["client"], ["any"], ["code"], ["server", "client"]):
            text = "-".join(uses)
            yield chain(f"eku/{peer}-leaf-{text}", leaf={"eku": uses}, peer=peer)
            yield chain(f"eku/{peer}-ca-{text}", ca={"eku": uses}, peer=peer)
    yield chain("eku/critical", leaf={"eku": ["server"], "eku_critical": True})
    yield chain("eku/root-client", root={"eku": ["client"]})
    for uses in ([], ["key_encipherment"], ["key_agreement"], ["content_commitment"], ["key_cert_sign"], ["crl_sign"]):
        text = uses[0] if uses else "empty"
        if uses:
            yield chain(f"ku/leaf-{text}", leaf={"ku": uses})
    yield chain("ku/leaf-none", leaf={"ku": None})
    for who in ("ca", "root"):
        yield chain(f"ku/{who}-none", **{who: {"ku": None}})
        yield chain(f"ku/{who}-crl-sign-only", **{who: {"ku": ["crl_sign"]}})
        yield chain(f"bc/{who}-is-no-ca", **{who: {"bc": False, "ku": None}})
        yield chain(f"bc/{who}-has-none", **{who: {"bc": None, "ku": None}})
    yield chain("bc/leaf-is-a-ca", leaf={"bc": True, "ku": ["digital_signature", "key_cert_sign"]})
    for who in ("leaf", "ca", "root"):
        for critical in (False, True):
            yield chain(f"extension/{who}-unknown{'-critical' * critical}",
                        **{who: {"extra": [(UNKNOWN[0], critical, UNKNOWN[1])]}})
    explicit, inhibit, policy = "3003800100", "020100", "300c300a06082b06010401b17001"
    yield chain("policy/some", leaf={"extra": [("2.5.29.32", False, policy)]})
    yield chain("policy/some-critical", leaf={"extra": [("2.5.29.32", True, policy)]})
    yield chain("policy/explicit-without-any", ca={"extra": [("2.5.29.36", True, explicit)]})
    yield chain("policy/explicit-by-the-root", root={"extra": [("2.5.29.36", True, explicit)]})
    yield chain("policy/inhibit-any", ca={"extra": [("2.5.29.54", True, inhibit)]})
    yield chain("policy/inhibit-any-not-critical", ca={"extra": [("2.5.29.54", False, inhibit)]})


def buildings():
    yield chain("build/missing-intermediate", send=["leaf"])
    yield chain("build/missing-lower-of-two", cas=2, send=["leaf", "ca1"])
    yield chain("build/missing-upper-of-two", cas=2, send=["leaf", "ca2"])
    yield chain("build/wrong-order", cas=3, send=["leaf", "ca1", "ca3", "ca2"])
    yield chain("build/duplicates", cas=2, send=["leaf", "ca2", "ca2", "ca1", "leaf", "ca1"])
    yield chain("build/with-root", send=["leaf", "ca1", "root"])
    yield chain("build/ca-before-leaf", send=["ca1", "leaf"])
    yield chain("build/untrusted", trust=[])
    yield chain("build/trusted-intermediate", trust=["ca1"])
    yield chain("build/trusted-intermediate-partial", trust=["ca1"], partial=True)
    yield chain("build/trusted-leaf", trust=["leaf"])
    yield chain("build/trusted-leaf-partial", trust=["leaf"], partial=True)
    yield chain("build/trusted-both-partial", trust=["ca1", "root"], partial=True)
    alone = {"id": "build/self-signed", "certs": [{"san": ["dns:" + WWW], "bc": None}], "send": ["leaf"],
             "trust": [], "name": WWW}
    yield alone
    yield {**alone, "id": "build/self-signed-trusted", "trust": ["leaf"]}
    other = {"label": "other"}
    cross = {"label": "cross", "by": "other", "subject": "CN=root", "key_of": "root"}
    for ident, send, trust, more in (
            ("cross-signed", ["leaf", "ca1", "cross"], ["other"], {}),
            ("cross-signed-both", ["leaf", "ca1", "cross"], ["other", "root"], {}),
            ("cross-signed-unneeded", ["leaf", "ca1", "cross"], ["root"], {}),
            ("cross-signed-expired", ["leaf", "ca1", "cross"], ["other", "root"], {"dates": (-YEAR, -1)}),
            ("cross-signed-expired-alone", ["leaf", "ca1", "cross"], ["other"], {"dates": (-YEAR, -1)}),
            ("cross-signed-constrained", ["leaf", "ca1", "cross"], ["other", "root"], {"exclude": ["dns:a.test"]})):
        row = chain("build/" + ident, send=send, trust=trust)
        row["certs"] = [other, *row["certs"], {**cross, **more}]
        yield row
    for ident, more in (("namesake-ca", {}), ("expired-twin", {"key_of": "ca1", "dates": (-YEAR, -1)}),
                        ("weak-twin", {"key_of": "ca1", "hash": "SHA1"})):
        row = chain("build/" + ident, send=["leaf", "twin", "ca1"])
        row["certs"].append({"label": "twin", "by": "root", "subject": "CN=ca1", **more})
        yield row
    row = chain("build/circle", send=["leaf", "ca1", "a", "b"], trust=["other"])
    row["certs"] = [other, {"label": "b0", "subject": "CN=b", "key_of": "b"}, {"label": "a", "by": "b0"},
                    {"label": "b", "by": "a"}, {"label": "ca1", "by": "a"}, {"san": ["dns:" + WWW], "by": "ca1"}]
    yield row
    row = chain("build/unrelated-besides", send=["leaf", "other", "ca1"])
    row["certs"].append(other)
    yield row


def rows():
    """All of them; ids are unique."""
    return [row for part in (depths, dates, strengths, names, constraints, purposes, buildings) for row in part()]
