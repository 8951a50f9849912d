"""Reserved domains: names that stay an account's, with everything below them, until it gives them back.

An own name, below the service's base domain, is served with the service's certificate. A foreign one
has a certificate that was uploaded, or one that an authority issues by itself: so it begins.

Each account has a dev domain, an own name made of words, which it cannot give back. It is made when
the account's domains are first listed, not when the account is: below which domain it lies is known to
the running service alone (``portway admin account add`` works without one), and a service that was
moved to another domain gives every account one there.
"""

import logging
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from portway.control.service import plans, shown, texts
from portway.control.service.context import Context
from portway.control.service.noun import Noun
from portway.control.service.principal import SYSTEM
from portway.control.service.settings import Settings
from portway.control.store import changes, nouns
from portway.control.store import reserved_domains as store
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import Page
from portway.control.store.tables import reserved_domains, tls_certificates
from portway.errors import Error, NotFound, StoreUnavailable
from portway.model.certificate_policy import CertificatePolicy
from portway.model.dev_name import dev_id, dev_label
from portway.model.domain import ReservedDomain, ServiceNames, names_above, parse_domain
from portway.model.ids import made_at, new_id

EVERYWHERE: Final = "global"
DEV_TRIES: Final = 20
"""Names drawn for a dev domain until one is free, of 41 million."""

_TEXTS: Final = (420, 421)
_is_bought: Final = reserved_domains.c.is_dev.is_(False)
_is_wildcard: Final = reserved_domains.c.domain.startswith("*.")
_DOMAINS: Final = plans.Gate("domains", "reserved domains", reserved_domains, 401, 415, 431)
_WILDCARDS: Final = plans.Gate("wildcard_domains", "wildcard domains", reserved_domains, 419, 418, 433)

NOUN: Final = Noun(reserved_domains, store.read, shown.reserved_domain, changes.RESERVED_DOMAIN, "domain")
get = NOUN.get

_log = logging.getLogger(__name__)


class Wish(msgspec.Struct, frozen=True):
    """What may be said of a domain when it is reserved or changed.

    None, and "" or () but for the texts, mean that it is not said.
    """

    description: str | None = None
    metadata: str | None = None
    region: str = ""
    certificate_id: str = ""
    policy: CertificatePolicy | None = None
    resolves_to: Sequence[str] = ()


def service_names(settings: Settings) -> ServiceNames:
    """Return what this service itself is called."""
    return ServiceNames(settings.domain, settings.tcp_host, settings.auth_host)


def qualified(domain: str, name: str, settings: Settings) -> str:
    """Return the name meant by ``domain`` or by its older form ``name``, which may be a bare label.

    Raises Error 449 when both are given.
    """
    if domain and name:
        raise Error("Only one of name and domain may be given.", 449)
    return f"{name}.{settings.domain}" if name and "." not in name else domain or name


async def create(context: Context, account_id: str, domain: str, wish: Wish) -> ReservedDomain:
    """Reserve a name. Raises Error 400–461, 513, 514, 1904, 1905 or 1965."""
    names = service_names(context.settings)
    name = parse_domain(domain, names)
    regions = _check(context.settings, names, name, wish)
    async with context.database.write() as connection:
        now = context.now()
        await _check_free(connection, account_id, name, names, now)
        await _check_plan(context, connection, account_id, name, names)
        made = ReservedDomain(
            id=new_id("rd", context.random, now),
            account_id=account_id,
            description=wish.description or "",
            metadata=wish.metadata or "",
            created_at=now,
            domain=name,
            resolves_to=regions,
        )
        automatic = await _may_be_managed(context, connection, account_id)
        if automatic and not names.is_own(name) and not wish.certificate_id and wish.policy is None:
            wish = replace(wish, policy=CertificatePolicy())
        made = await _attach(context, connection, made, wish)
        await NOUN.add(context, connection, store.values(made), made)
    return made


async def listed(context: Context, account_id: str, page: Page) -> list[ReservedDomain]:
    """Return a page of an account's domains, newest first, and one beyond it if there are more.

    The first page makes the dev domain if need be.
    """
    if not page.before_id:
        try:
            await _make_dev_domain(context, account_id)
        except StoreUnavailable as error:
            # A store that cannot be written can still be read.
            _log.warning("no dev domain for %s now: %s", account_id, error.message)
    return await NOUN.listed(context, account_id, page)


async def update(context: Context, account_id: str, domain_id: str, wish: Wish) -> ReservedDomain:
    """Change a domain. A certificate takes the place of a policy, and the other way round.

    Raises NotFound; Error 400, 420–422, 434, 439, 440, 456, 1904, 1905 or 1965.
    """
    if wish == Wish():
        raise Error("Nothing to change is given.", 422)
    names = service_names(context.settings)
    async with context.database.write() as connection:
        before = await NOUN.find(connection, account_id, domain_id)
        regions = _check(context.settings, names, before.domain, wish)
        changed = replace(
            before,
            **texts.given(description=wish.description, metadata=wish.metadata),
            resolves_to=regions if wish.resolves_to else before.resolves_to,
        )
        changed = await _attach(context, connection, changed, wish)
        return await _keep(context, connection, changed)


async def delete(context: Context, account_id: str, domain_id: str) -> ReservedDomain:
    """Give a name back. Raises NotFound; Error 446 while it is used, 458 for the dev domain."""
    async with context.database.write() as connection:
        domain = await NOUN.find(connection, account_id, domain_id)
        if domain.is_dev and service_names(context.settings).is_own(domain.domain):
            raise Error(f"{domain.domain} is the dev domain of this account; it cannot be deleted.", 458)
        if await store.is_used(connection, domain_id):
            raise Error(f"A cloud endpoint or an edge is at {domain.domain}; take it away first.", 446)
        await NOUN.remove(context, connection, domain)
    return domain


async def detach_certificate(context: Context, account_id: str, domain_id: str) -> ReservedDomain:
    """Take the uploaded certificate away from a domain; then it has none.

    Raises NotFound, also when there is no certificate; Error 436 when certificates are automatic.
    """
    async with context.database.write() as connection:
        domain = await NOUN.find(connection, account_id, domain_id)
        if domain.authority is not None:
            raise Error(
                f"{domain.domain} gets its certificates automatically; delete its"
                " certificate_management_policy instead.",
                436,
            )
        if domain.certificate_id is None:
            raise NotFound(f"The domain {domain.domain} has no certificate of its own.")
        return await _keep(context, connection, replace(domain, certificate_id=None))


async def end_policy(context: Context, account_id: str, domain_id: str) -> ReservedDomain:
    """End automatic certificates for a domain. Raises NotFound, also when there are none."""
    async with context.database.write() as connection:
        domain = await NOUN.find(connection, account_id, domain_id)
        if domain.authority is None:
            raise NotFound(f"The domain {domain.domain} has no certificate_management_policy.")
        return await _keep(context, connection, replace(domain, authority=None, key_type=None))


async def _keep(context: Context, connection: AsyncConnection, domain: ReservedDomain) -> ReservedDomain:
    return await NOUN.change(context, connection, domain.account_id, domain.id, store.values(domain))


# What may be said of a name.


def _check(settings: Settings, names: ServiceNames, name: str, wish: Wish) -> tuple[str, ...]:
    """Refuse what may not be said of a name; return where it resolves to."""
    texts.check(wish.description, wish.metadata, _TEXTS)
    if wish.certificate_id and wish.policy is not None:
        raise Error("Only one of certificate_id and certificate_management_policy may be given.", 434)
    if names.is_own(name) and wish.policy is not None:
        raise Error(f"{name} has the certificate of the service; it takes no policy.", 439)
    if names.is_own(name) and wish.certificate_id:
        raise Error(f"{name} has the certificate of the service; none can be attached.", 440)
    for region in (wish.region, *wish.resolves_to):
        if region not in {"", EVERYWHERE, settings.region}:
            raise Error(f"There is no region {region!r}; this service has {settings.region!r}.", 400)
    if len(set(wish.resolves_to)) < len(wish.resolves_to):
        raise Error("A region is listed twice in resolves_to.", 456)
    return () if EVERYWHERE in wish.resolves_to else tuple(wish.resolves_to)


async def _check_free(
    connection: AsyncConnection, account_id: str, name: str, names: ServiceNames, now: float
) -> None:
    """Refuse a name that is reserved, or lies above or below somebody else's. Raises Error 413–430."""
    above = names_above(name, names)
    for other in await store.named(connection, [name, *above]):
        if other.domain == name and other.account_id == account_id:
            raise Error(f"{name} is reserved for this account already.", 413)
        if other.account_id != account_id:
            raise _not_yours(name, other)
    bare = name.removeprefix("*.")
    if other := await store.below(connection, bare, account_id):
        raise _not_yours(name, other)
    if await store.online(connection, name, account_id, now):
        raise Error(f"Somebody else's endpoint is online at {name} or below it.", 430)


def _not_yours(name: str, other: ReservedDomain) -> Error:
    """Make the refusal; it does not say which name the other account has."""
    if name != other.domain and (name.startswith("*.") or other.domain.startswith("*.")):
        return Error(f"{name} conflicts with a name that another account has reserved.", 417)
    return Error(f"{name} belongs to another account.", 414)


async def _check_plan(
    context: Context, connection: AsyncConnection, account_id: str, name: str, names: ServiceNames
) -> None:
    plan = await plans.plan_of(context, connection, account_id)
    if not plan.custom_domains and not names.is_own(name):
        raise Error(f"The plan of this account includes names below {names.base} only.", 412)
    await plans.check_room(context, connection, account_id, _DOMAINS, _is_bought)
    if name.startswith("*."):
        await plans.check_room(context, connection, account_id, _WILDCARDS, _is_wildcard)


# Certificates.


async def _attach(
    context: Context, connection: AsyncConnection, domain: ReservedDomain, wish: Wish
) -> ReservedDomain:
    """Give a domain the certificate or the policy that is wished, if any is."""
    if wish.policy is not None:
        if not await _may_be_managed(context, connection, domain.account_id):
            raise Error("The plan of this account does not include automatic certificates.", 1905)
        return replace(
            domain, certificate_id=None, authority=wish.policy.authority, key_type=wish.policy.key_type
        )
    if not wish.certificate_id:
        return domain
    if await nouns.find(connection, tls_certificates, domain.account_id, wish.certificate_id) is None:
        raise Error(f"There is no TLS certificate {wish.certificate_id!r}.", 1965)
    return replace(domain, certificate_id=wish.certificate_id, authority=None, key_type=None)


async def _may_be_managed(context: Context, connection: AsyncConnection, account_id: str) -> bool:
    return (await plans.plan_of(context, connection, account_id)).managed_certificates


# The dev domain.


async def _make_dev_domain(context: Context, account_id: str) -> None:
    """Make the dev domain of an account that has none below this service's domain.

    Looking for it costs one row, however many domains the account has.
    """
    base = context.settings.domain
    domain_id = dev_id(account_id, base)
    async with context.database.read() as connection:
        if await nouns.find(connection, reserved_domains, account_id, domain_id) is not None:
            return
    names = service_names(context.settings)
    async with context.database.write() as connection:
        if await nouns.find(connection, reserved_domains, account_id, domain_id) is not None:
            return
        now = context.now()
        for _ in range(DEV_TRIES):
            name = f"{dev_label(context.random)}.{base}"
            try:
                await _check_free(connection, account_id, name, names, now)
            except Error:
                continue
            domain = ReservedDomain(
                id=domain_id,
                account_id=account_id,
                description="dev domain",
                metadata="",
                created_at=float(made_at(domain_id)),
                domain=name,
                is_dev=True,
            )
            await NOUN.add(replace(context, principal=SYSTEM), connection, store.values(domain), domain)
            return
    _log.warning("no free name was found for the dev domain of %s", account_id)
