# SPDX-License-Identifier: Apache-2.0
"""Makes the certificates of a table (table.py) with python3-cryptography, which may be Debian 12's or newer."""
import datetime
import functools
import ipaddress

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

import jury

DAY = 86400
KINDS = {"p224": ec.SECP224R1, "p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1,
         "k256": ec.SECP256K1}
USES = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
EKU = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH,
       "any": ObjectIdentifier("2.5.29.37.0"), "code": ExtendedKeyUsageOID.CODE_SIGNING}


@functools.lru_cache(maxsize=None)
def key(spec):
    """The key called @spec, "kind:name"; the same for the same name."""
    kind = spec.split(":")[0]
    if kind in KINDS:
        return ec.generate_private_key(KINDS[kind]())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


def name(text):
    """A name of "CN=x,O=y"; "" is empty."""
    oids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}
    pairs = [part.split("=", 1) for part in text.split(",") if part]
    return x509.Name([x509.NameAttribute(oids[oid], value) for oid, value in pairs])


def general_name(text):
    """A GeneralName of "dns:a.test"; of a constraint "ip:10.0.0.0/8"."""
    kind, value = text.split(":", 1)
    if kind == "dns":
        return x509.DNSName._init_without_validation(value)
    if kind == "email":
        return x509.RFC822Name._init_without_validation(value)
    if kind == "uri":
        return x509.UniformResourceIdentifier._init_without_validation(value)
    if kind == "dir":
        return x509.DirectoryName(name(value))
    if kind == "rid":
        return x509.RegisteredID(ObjectIdentifier(value))
    if kind == "other":
        return x509.OtherName(ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c" + bytes([len(value)]) + value.encode())
    return x509.IPAddress(ipaddress.ip_network(value) if "/" in value else ipaddress.ip_address(value))


def general_names(texts):
    return [general_name(text) for text in texts]


def distribution_point(spec):
    """{"uri": ..., "issuer": of an indirect CRL, "reasons": [...]}."""
    return x509.DistributionPoint(
        [general_name("uri:" + spec["uri"])] if "uri" in spec else None, None,
        frozenset(x509.ReasonFlags[reason] for reason in spec["reasons"]) if "reasons" in spec else None,
        [general_name("dir:" + spec["issuer"])] if "issuer" in spec else None)


def extensions(spec, is_ca):
    """[(extension, critical)] of a certificate's line of the table."""
    made = []
    if spec.get("bc", is_ca) is not None:
        ca = spec.get("bc", is_ca)
        if ca or "bc" in spec:
            made.append((x509.BasicConstraints(ca, spec.get("pathlen") if ca else None), True))
    uses = spec.get("ku", ["key_cert_sign", "crl_sign"] if is_ca else ["digital_signature"])
    if uses is not None:
        made.append((x509.KeyUsage(**{use: use in uses for use in USES}), True))
    if spec.get("eku"):
        made.append((x509.ExtendedKeyUsage([EKU[use] for use in spec["eku"]]), spec.get("eku_critical", False)))
    if spec.get("san"):
        made.append((x509.SubjectAlternativeName(general_names(spec["san"])), not spec.get("subject", "x")))
    if "permit" in spec or "exclude" in spec:
        made.append((x509.NameConstraints(general_names(spec["permit"]) if "permit" in spec else None,
                                          general_names(spec["exclude"]) if "exclude" in spec else None), True))
    if "points" in spec:
        made.append((x509.CRLDistributionPoints([distribution_point(point) for point in spec["points"]]), False))
    for oid, critical, value in spec.get("extra", []):
        made.append((x509.UnrecognizedExtension(ObjectIdentifier(oid), bytes.fromhex(value)), critical))
    return made


class Unsupported(Exception):
    """This version of python3-cryptography cannot make it; says what."""


class Made:
    """A certificate with what it takes to sign others, and itself again."""

    def __init__(self, spec, issuer, now):
        self.spec, self.issuer = spec, issuer or self
        self.key = key(spec.get("key", "p256") + ":" + spec.get("key_of", spec["label"]))
        self.subject = name(spec.get("subject", "CN=" + spec["label"]))
        self.cert = self.build(now)
        self.der = self.cert.public_bytes(serialization.Encoding.DER)

    def build(self, now):
        spec, signer = self.spec, self.issuer.key
        first, last = spec.get("dates", (-DAY, 300 * DAY))
        is_ca = spec["label"] != "leaf"
        builder = x509.CertificateBuilder(
            self.issuer.subject if "issuer" not in spec else name(spec["issuer"]), self.subject,
            self.key.public_key(), spec.get("serial", x509.random_serial_number()),
            datetime.datetime.utcfromtimestamp(now + first), datetime.datetime.utcfromtimestamp(now + last))
        for extension, critical in extensions(spec, is_ca):
            builder = builder.add_extension(extension, critical)
        if spec.get("wrong_key"):
            signer = key("p256:nobody")
        if spec.get("ids"):
            builder = builder.add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False).add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuer.key.public_key()), False)
        kind = None if isinstance(signer, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) \
            else getattr(hashes, spec.get("hash", "SHA256"))()
        if spec.get("pss"):
            try:
                return builder.sign(signer, kind, rsa_padding=padding.PSS(padding.MGF1(kind), kind.digest_size))
            except TypeError as error:
                raise Unsupported("RSA-PSS needs python3-cryptography 41") from error
        try:
            return builder.sign(signer, kind)
        except UnsupportedAlgorithm as error:
            raise Unsupported(str(error)) from error


def crl_scope(spec):
    """What issuingDistributionPoint says; None: there is none."""
    if not spec.keys() & {"uri", "only", "indirect", "reasons"}:
        return None
    only = spec.get("only")
    return x509.IssuingDistributionPoint(
        [general_name("uri:" + spec["uri"])] if "uri" in spec else None, None, only == "user", only == "ca",
        frozenset(x509.ReasonFlags[reason] for reason in spec["reasons"]) if "reasons" in spec else None,
        spec.get("indirect", False), only == "attribute")


def crl_entry(entry, made, now):
    """{"cert": label, "reason": ..., "of": whose certificate it is, "extra": as that of a certificate}."""
    builder = x509.RevokedCertificateBuilder(made[entry["cert"]].cert.serial_number + entry.get("plus", 0),
                                             datetime.datetime.utcfromtimestamp(now - DAY // 2))
    if "reason" in entry:
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags[entry["reason"]]), False)
    if "of" in entry:
        builder = builder.add_extension(x509.CertificateIssuer([general_name("dir:" + entry["of"])]), True)
    for oid, critical, value in entry.get("extra", []):
        builder = builder.add_extension(x509.UnrecognizedExtension(ObjectIdentifier(oid), bytes.fromhex(value)), critical)
    return builder.build()


def crl(spec, made, now):
    """A CRL as DER: {"by": label, "revoked": [entries]} and what is unusual about it."""
    issuer = made[spec["by"]]
    first, last = spec.get("dates", (-DAY, DAY))
    builder = x509.CertificateRevocationListBuilder(
        issuer.subject, datetime.datetime.utcfromtimestamp(now + first), datetime.datetime.utcfromtimestamp(now + last))
    for entry in spec.get("revoked", []):
        builder = builder.add_revoked_certificate(crl_entry(entry, made, now))
    if spec.get("number", 1) is not None:
        builder = builder.add_extension(x509.CRLNumber(spec.get("number", 1)), False)
    if "delta" in spec:
        builder = builder.add_extension(x509.DeltaCRLIndicator(spec["delta"]), True)
    if "freshest" in spec:
        builder = builder.add_extension(x509.FreshestCRL([distribution_point({"uri": spec["freshest"]})]), False)
    if crl_scope(spec):
        builder = builder.add_extension(crl_scope(spec), True)
    for oid, critical, value in spec.get("extra", []):
        builder = builder.add_extension(x509.UnrecognizedExtension(ObjectIdentifier(oid), bytes.fromhex(value)), critical)
    signer = key("p256:nobody") if spec.get("wrong_key") else issuer.key
    try:
        made_crl = builder.sign(signer, getattr(hashes, spec.get("hash", "SHA256"))())
    except UnsupportedAlgorithm as error:
        raise Unsupported(str(error)) from error
    return made_crl.public_bytes(serialization.Encoding.DER)


def make(row, now):
    """A row of the table as ({label: Made}, jury.Case)."""
    made = {}
    for spec in row["certs"]:
        spec = {"label": "leaf", **spec}
        issuer = made[spec["by"]] if "by" in spec else None
        made[spec["label"]] = Made(spec, issuer, now)
    case = jury.Case(row["id"], [made[label].der for label in row["send"]],
                     [made[label].der for label in row["trust"]], now + row.get("time", 0),
                     row.get("name"), row.get("depth"), row.get("partial", False), row.get("peer", "server"),
                     [crl(spec, made, now) for spec in row["crls"]] if "crls" in row else None)
    return made, case
