"""``no_proxy``: the hosts that programs reach by themselves, where a proxy is set for the others.

As curl reads it: names with commas between them, each standing for itself and what is below it, with a dot
before it or without; IP addresses and networks (``10.0.0.0/8``); ``*`` for every host. No name is resolved.
"""

from ipaddress import ip_address, ip_network


def bypasses(said: str, host: str) -> bool:
    """Tell whether a host is named. What cannot be read names nobody."""
    name = host.lower().strip("[]").removesuffix(".")
    entries = [each.strip().lower().strip("[]") for each in said.split(",")]
    return any(_names(each, name) for each in entries if each)


def _names(entry: str, name: str) -> bool:
    if entry == "*":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        domain = entry.removeprefix("*").removeprefix(".").removesuffix(".")
        return bool(domain) and (name == domain or name.endswith(f".{domain}"))
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False
