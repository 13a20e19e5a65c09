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


def revocations():
    root, leaf, ca = {"by": "root"}, {"cert": "leaf"}, {"cert": "ca1"}
    by_ca = {"by": "ca1"}
    listed = {**by_ca, "revoked": [leaf]}
    hold, held_no_more = {**leaf, "reason": "certificate_hold"}, {**leaf, "reason": "remove_from_crl"}
    past, future = (-30 * 86400, -86400), (86400, 30 * 86400)
    for ident, crls in (
            ("good", [root, by_ca]), ("leaf", [root, listed]), ("ca", [{**root, "revoked": [ca]}, by_ca]),
            ("both", [{**root, "revoked": [ca]}, listed]), ("another", [root, {**by_ca, "revoked": [{**leaf, "plus": 1}]}]),
            ("on-hold", [root, {**by_ca, "revoked": [hold]}]), ("in-the-middle", [root, {**by_ca, "revoked": [
                {**leaf, "plus": -1}, leaf, {**leaf, "plus": 1}]}]),
            ("missing-all", []), ("missing-of-leaf", [root]), ("missing-of-ca", [by_ca]),
            ("missing-of-ca-leaf-revoked", [listed]),
            ("expired", [root, {**by_ca, "dates": past}]), ("expired-of-ca", [{**root, "dates": past}, by_ca]),
            ("expired-and-revoked", [root, {**listed, "dates": past}]),
            ("expired-besides", [root, {**by_ca, "dates": past}, {**by_ca, "number": 2}]),
            ("not-yet", [root, {**by_ca, "dates": future}]), ("not-yet-and-revoked", [root, {**listed, "dates": future}]),
            ("wrong-key", [root, {**by_ca, "wrong_key": True}]),
            ("wrong-key-and-revoked", [root, {**listed, "wrong_key": True}]),
            ("wrong-key-besides", [root, {**listed, "wrong_key": True, "number": 2}, by_ca]),
            ("by-the-root-alone", [{**root, "revoked": [leaf]}, by_ca]), ("sha1", [root, {**by_ca, "hash": "SHA1"}]),
            ("without-number", [root, {**by_ca, "number": None}]),
            ("older-lists-it", [root, {**listed, "number": 1, "dates": (-2 * 86400, 86400)}, {**by_ca, "number": 2}]),
            ("newer-lists-it", [root, {**by_ca, "number": 1, "dates": (-2 * 86400, 86400)}, {**listed, "number": 2}]),
            ("unknown-critical-extension", [root, {**by_ca, "extra": [(UNKNOWN[0], True, UNKNOWN[1])]}]),
            ("unknown-critical-and-revoked", [root, {**listed, "extra": [(UNKNOWN[0], True, UNKNOWN[1])]}]),
            ("unknown-extension", [root, {**by_ca, "extra": [(UNKNOWN[0], False, UNKNOWN[1])]}]),
            ("unknown-critical-of-an-entry", [root, {**by_ca, "revoked": [
                {**leaf, "plus": 1, "extra": [(UNKNOWN[0], True, UNKNOWN[1])]}]}]),
            ("only-users", [root, {**by_ca, "only": "user"}]), ("only-cas", [root, {**by_ca, "only": "ca"}]),
            ("only-cas-of-the-root", [{**root, "only": "ca"}, by_ca]), ("only-attributes", [root, {**by_ca, "only": "attribute"}]),
            ("some-reasons", [root, {**by_ca, "reasons": ["key_compromise", "superseded"]}]),
            ("some-reasons-revoked", [root, {**listed, "reasons": ["key_compromise", "superseded"]}]),
            ("delta", [root, by_ca, {**by_ca, "number": 2, "delta": 1}]),
            ("delta-lists-it", [root, by_ca, {**listed, "number": 2, "delta": 1}]),
            ("delta-takes-it-back", [root, {**by_ca, "revoked": [hold]},
                                     {**by_ca, "number": 2, "delta": 1, "revoked": [held_no_more]}]),
            ("delta-alone", [root, {**by_ca, "number": 2, "delta": 1}]),
            ("delta-alone-lists-it", [root, {**listed, "number": 2, "delta": 1}]),
            ("delta-of-a-later-base", [root, by_ca, {**listed, "number": 6, "delta": 5}]),
            ("delta-with-wrong-key", [root, by_ca, {**listed, "number": 2, "delta": 1, "wrong_key": True}]),
            ("delta-over-an-expired-base", [root, {**by_ca, "dates": past}, {**by_ca, "number": 2, "delta": 1}])):
        yield chain("crl/" + ident, crls=crls)
    fresh = {**by_ca, "freshest": "http://crl.test/delta"}
    for ident, base, delta in (("good", fresh, {}), ("lists-it", fresh, {"revoked": [leaf]}),
                               ("takes-it-back", {**fresh, "revoked": [hold]}, {"revoked": [held_no_more]}),
                               ("of-a-later-base", fresh, {"number": 6, "delta": 5, "revoked": [leaf]}),
                               ("expired-lists-it", fresh, {"dates": past, "revoked": [leaf]})):
        yield chain("crl/delta-pointed-at-" + ident, crls=[root, base, {**by_ca, "number": 2, "delta": 1, **delta}])
    yield chain("crl/ca-may-not-sign", ca={"ku": ["key_cert_sign"]}, crls=[root, by_ca])
    yield chain("crl/leaf-and-root-only", cas=0, crls=[{"by": "root", "revoked": [leaf]}])
    yield chain("crl/root-revokes-itself", crls=[{**root, "revoked": [{"cert": "root"}]}, by_ca])
    yield chain("crl/two-cas-upper-revoked", cas=2, crls=[{**root, "revoked": [ca]}, by_ca, {"by": "ca2"}])
    yield chain("crl/two-cas-lower-revoked", cas=2, crls=[root, {**by_ca, "revoked": [{"cert": "ca2"}]}, {"by": "ca2"}])
    here, there = "http://crl.test/here", "http://crl.test/there"
    for ident, parts in (("its-own", [here]), ("another", [there]), ("both", [here, there]), ("all-of-it", [None])):
        for revoked in ([], [leaf]):
            crls = [{**by_ca, **({"uri": part} if part else {}), "revoked": revoked if part != there else []} for part in parts]
            yield chain(f"crl/part-{ident}{'-revoked' * bool(revoked)}", leaf={"points": [{"uri": here}]}, crls=[root, *crls])
    yield chain("crl/part-another-lists-it", leaf={"points": [{"uri": here}]},
                crls=[root, {**by_ca, "uri": here}, {**listed, "uri": there}])
    indirect = {"by": "crls", "indirect": True}
    entry = {**leaf, "of": "CN=ca1"}
    for ident, point, crls in (
            ("good", {"issuer": "CN=crls"}, [indirect]), ("revoked", {"issuer": "CN=crls"}, [{**indirect, "revoked": [entry]}]),
            ("revoked-of-another", {"issuer": "CN=crls"}, [{**indirect, "revoked": [{**entry, "of": "CN=other"}]}]),
            ("not-called-so", {"issuer": "CN=crls"}, [{"by": "crls"}]), ("not-pointed-at", None, [indirect]),
            ("not-pointed-at-revoked", None, [{**indirect, "revoked": [entry]}, by_ca])):
        row = chain("crl/indirect-" + ident, leaf={"points": [{"uri": here, **point}]} if point else {},
                    crls=[root, *crls])
        row["certs"].append({"label": "crls", "by": "root", "ku": ["crl_sign"], "bc": None})
        row["trust"] = ["root", "crls"] # an intermediate: it is no anchor, but may help
        yield row


def rows():
    """All of them; ids are unique."""
    return [row for part in (depths, dates, strengths, names, constraints, purposes, buildings, revocations)
            for row in part()]
