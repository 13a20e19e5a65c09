# SPDX-License-Identifier: Apache-2.0
"""Mutants of chains: bytes changed anywhere, or a certificate's content changed and signed again by its issuer."""
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

ODD = [b"", b"\x00", b"\xff", b"\x05\x00", b"\x00" * 40, b"\xff" * 9, b"\x80", b"*", b"a.test", b"\x02\x01\x00"]


# --- DER as a tree ---------------------------------------------------------------------------------

def header(data, at):
    """(tag, where the content begins, where it ends); ValueError: that is no DER."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length > 0x80:
        size = length & 0x7f
        length, at = int.from_bytes(data[at:at + size], "big"), at + size
    if tag & 0x1f == 0x1f or length == 0x80 or at + length > len(data):
        raise ValueError
    return tag, at, at + length


def parse(data):
    """[[tag, content]], the content a list of the same where it is constructed, or DER within a string."""
    nodes, at = [], 0
    while at < len(data):
        tag, start, at = header(data, at)
        content = data[start:at]
        inner = content[1:] if tag == 3 and content[:1] == b"\0" else content
        if tag & 0x20 or (tag in (3, 4) and inner[:1] == b"\x30"):
            try:
                children = parse(inner)
                nodes.append([tag, children, content[:len(content) - len(inner)]])
                continue
            except (ValueError, IndexError):
                pass
        nodes.append([tag, content, b""])
    return nodes


def write(nodes):
    out = b""
    for tag, content, before in nodes:
        body = before + (write(content) if isinstance(content, list) else content)
        size = len(body)
        length = bytes([size]) if size < 128 else \
            bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, "big")
        out += bytes([tag]) + length + body
    return out


def places(nodes):
    """Every (siblings, index)."""
    for i, node in enumerate(nodes):
        yield nodes, i
        if isinstance(node[1], list):
            yield from places(node[1])


def copy(node):
    return [node[0], [copy(n) for n in node[1]] if isinstance(node[1], list) else node[1], node[2]]


def change_tree(rng, nodes, others):
    """One change of @nodes; @others are the trees of other certificates to take parts of."""
    siblings, i = rng.choice(list(places(nodes[0][1])))
    node, act = siblings[i], rng.randrange(8)
    if act == 0:
        del siblings[i]
    elif act == 1:
        siblings.insert(i, copy(node))
    elif act == 2:
        j = rng.randrange(len(siblings))
        siblings[i], siblings[j] = siblings[j], siblings[i]
    elif act == 3:
        node[0] = rng.choice((node[0] ^ 1 << rng.randrange(8), 0x0c, 0x13, 0x04, 0x30, 0x82, 0x05)) & 0xfe or 2
    elif act <= 5:
        there, j = rng.choice(list(places(rng.choice(others)[0][1])))
        siblings[i] = copy(there[j])
    elif isinstance(node[1], bytes):
        node[1] = change_bytes(rng, node[1], others) if act == 6 and node[1] else rng.choice(ODD)
    else:
        rng.shuffle(node[1])


# --- bytes -----------------------------------------------------------------------------------------

def change_bytes(rng, data, _others=None):
    out = bytearray(data)
    at, act = rng.randrange(len(out)), rng.randrange(6)
    if act <= 1:
        out[at] ^= 1 << rng.randrange(8)
    elif act == 2:
        out[at] = rng.randrange(256)
    elif act == 3:
        out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 5)))
    elif act == 4:
        del out[at:at + rng.randrange(1, 5)]
    else:
        del out[at:]
    return bytes(out)


def change_length(rng, data):
    """A length of DER that is another, or is not the shortest form."""
    out, at = bytearray(data), 1
    for _ in range(rng.randrange(12)):  # down into the first of each, or over it
        try:
            _, start, end = header(out, at - 1)
        except (ValueError, IndexError):
            break
        at = (start if rng.random() < 0.6 else end) + 1
    at = min(at, len(out) - 1)
    out[at] = rng.choice((out[at] ^ 1, (out[at] + 1) & 255, (out[at] - 1) & 255, 0x80, 0x84, 0xff, 0))
    return bytes(out)


def exchange(rng, data, other):
    """A stretch of another certificate in place of as many bytes."""
    at, size = rng.randrange(len(data)), rng.randrange(1, 60)
    return data[:at] + other[at:at + size] + data[at + size:]


# --- certificates ----------------------------------------------------------------------------------

def sign(tbs, key, algorithm, digest):
    """The certificate; @algorithm is the DER of its signatureAlgorithm."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(tbs)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(tbs, ec.ECDSA(digest))
    else:
        signature = key.sign(tbs, padding.PKCS1v15(), digest)
    return write([[0x30, tbs + algorithm + write([[3, b"\0" + signature, b""]]), b""]])


def sign_again(rng, made, others):
    """@made (world.Made) with another content, signed by the same issuer."""
    tbs = made.cert.tbs_certificate_bytes
    tree = parse(tbs)
    algorithm = write([parse(made.der)[0][1][1]])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change_tree(rng, tree, others)
        if not tree[0][1]:
            break
    tbs = write(tree)
    if rng.random() < 0.1:
        tbs = change_bytes(rng, tbs)
    return sign(tbs, made.issuer.key, algorithm, made.cert.signature_hash_algorithm or hashes.SHA256())


def can_sign_again(made):
    kinds = (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)
    return isinstance(made.issuer.key, kinds) and not made.spec.get("wrong_key")
