"""What ``portway serve`` can be told, and where it may be said.

Every option has one row below: a name, a default, a parser and a sentence. A value is taken from
the flag, else from the ``PORTWAY_…`` variable, else from one YAML file (``--config``), else it is
the default. Whatever is wrong raises one ConfigError that says where: the flag, the variable, or
file:line:column. ``portway serve --help`` and the reference page are made from the same rows.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

from portway import paths
from portway.errors import ConfigError
from portway.model.address import pool_host
from portway.model.agent_version import Demand, read_demands
from portway.model.domain import AUTH_LABEL
from portway.model.identity import ProviderApp
from portway.model.plan import Plan
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits, read_limits
from portway.server import parsers, where, yaml_file
from portway.server.parsers import Address, Network, PortRange
from portway.server.plan_limits import plan_limits

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SECTION: Final = "oauth"
"""The one part of the file that is not flat; see ``oauth_settings.py``."""

DEFAULT_DOMAIN: Final = "portway.localhost"


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """The data plane. Ports of 0 let the kernel choose; durations are seconds.

    A public port of None is the port that the listener really has. ``resume_grace`` is how long a
    name stays with a lost session; ``drain_timeout`` how long a stop waits for what is running.
    """

    domain: str
    region: str
    listen_agent: Address
    listen_http: Address
    listen_https: Address
    tcp_ports: PortRange
    tcp_host: str
    public_http_port: int | None
    public_https_port: int | None
    trust_forwarded: bool
    resume_grace: float
    drain_timeout: float
    endpoints_per_session: int
    unreserved_domains: Literal["own", "any", "none"] = "own"
    """Names that may be bound without a reservation: those below the domain, any, or none."""
    access_events: bool = True
    """Make the events of requests and visitors: off when the access log, which takes them, is off."""
    plans: Mapping[str, Plan] = field(default_factory=dict[str, Plan])
    """What accounts of a plan may have."""
    proxy_from: tuple[Network, ...] = ()
    """Load balancers: visitors' connections from there begin with a PROXY header."""
    geoip: tuple[Path, ...] = ()
    """MaxMind files that say where addresses are; without any, policies cannot ask."""
    crs: tuple[Path, ...] = ()
    """Files or folders of the OWASP Core Rule Set; without any, policies cannot have it."""
    connect_addresses: tuple[Address, ...] = ()
    """Where agents may connect besides the listener's own address; port 0: the listener's."""
    outgoing_allow: tuple[Network, ...] = ()
    """What requests to targets that others name may reach, whatever else holds."""
    policy_limits: PolicyLimits = DEFAULT_LIMITS
    """How much a Traffic Policy may be and do."""
    min_agent_version: tuple[Demand, ...] = ()
    """Agents that are older are refused, or warned until the day comes."""
    listen_ssh: Address | None = None
    """Where OpenSSH may connect instead of an agent; None: nowhere."""
    listen_metrics: Address | None = None
    """Where /metrics, /healthz and /readyz answer; None: nowhere."""
    otlp_traces: str = ""
    """The collector that gets spans; "": none are made."""
    auth_host: str = ""
    """Host to which identity providers send visitors back; "": ``auth.`` and the domain."""
    oauth_providers: Mapping[str, ProviderApp] = field(default_factory=dict[str, ProviderApp], repr=False)
    """The operator's applications at identity providers."""


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """The controller: where the store is. ``database_url`` may hold a password; "": a file.

    ``plans`` bounds what accounts of a plan may have; ``api_rate`` and ``api_parallel`` their requests a
    minute and at once, 0: not at all.
    """

    data_dir: Path
    database_url: str = field(default="", repr=False)
    plans: Mapping[str, Plan] = field(default_factory=dict[str, Plan])
    api_rate: int = 0
    api_parallel: int = 0
    admin_cidrs: tuple[Network, ...] = ()
    """Networks that no account's IP restriction keeps out of the API."""

    @property
    def database(self) -> Path | str:
        """The SQLite file, or the URL of the PostgreSQL database."""
        return where.store_of(self.data_dir, self.database_url)


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The log: ``format`` is "text" or "json", ``access`` one line a connection or request."""

    format: str
    level: str
    access: bool


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """Everything that ``portway serve`` runs on."""

    edge: EdgeConfig
    control: ControlConfig
    log: LogConfig

    @property
    def data_dir(self) -> Path:
        """The folder that holds all files of this service."""
        return self.control.data_dir


@dataclass(frozen=True, slots=True)
class Option(Generic[T_co]):
    """One thing that can be said. ``shown_default`` stands in the help text."""

    name: str
    group: str
    metavar: str
    shown_default: str
    parse: Callable[[str], T_co]
    help: str

    @property
    def flag(self) -> str:
        """``--listen-agent``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """``PORTWAY_LISTEN_AGENT``."""
        return "PORTWAY_" + self.name.upper()


ADDRESSES, NAMES, BEHAVIOUR, LOGGING = "Where it listens", "Names", "Behaviour", "Files and log"

LISTEN_AGENT = Option(
    "listen_agent", ADDRESSES, "HOST:PORT", "127.0.0.1:4443", parsers.address,
    "Where agents connect.")  # fmt: skip
CONNECT_ADDRESS = Option(
    "connect_address", ADDRESSES, "HOST[:PORT],…", "none", parsers.addresses,
    "Further addresses by which agents reach --listen-agent. Agents that keep several connections"
    " (multi_leg) use each; the certificate holds their names.")  # fmt: skip
LISTEN_HTTP = Option(
    "listen_http", ADDRESSES, "HOST:PORT", "127.0.0.1:7080", parsers.address,
    "Where visitors of http:// endpoints come in.")  # fmt: skip
LISTEN_HTTPS = Option(
    "listen_https", ADDRESSES, "HOST:PORT", "127.0.0.1:7443", parsers.address,
    "Where visitors of https:// and tls:// endpoints come in.")  # fmt: skip
LISTEN_SSH = Option(
    "listen_ssh", ADDRESSES, "HOST:PORT", "off", parsers.address,
    "Where OpenSSH may connect instead of an agent, by `ssh -R`; see docs/ssh.md.")  # fmt: skip
LISTEN_METRICS = Option(
    "listen_metrics", ADDRESSES, "HOST:PORT", "off", parsers.address,
    "Where /metrics (Prometheus), /healthz and /readyz answer, without a key: a private place.")  # fmt: skip
OTLP_TRACES = Option(
    "otlp_traces", LOGGING, "URL", "off", parsers.web_url,
    "Collector of OpenTelemetry, such as http://localhost:4318/v1/traces, that gets a span for each"
    " request and connection.")  # fmt: skip
TCP_PORTS = Option(
    "tcp_ports", ADDRESSES, "LOW-HIGH", "20000-20999", parsers.port_range,
    "Ports that tcp:// endpoints are given. They listen on the host of --listen-http.")  # fmt: skip
DOMAIN = Option(
    "domain", NAMES, "NAME", DEFAULT_DOMAIN, parsers.domain,
    "Endpoints get names below it.")  # fmt: skip
TCP_HOST = Option(
    "tcp_host", NAMES, "NAME", "localhost, or 1.tcp.DOMAIN for a real domain", parsers.domain,
    "Host in the URLs of tcp:// endpoints.")  # fmt: skip
AUTH_HOST = Option(
    "auth_host", NAMES, "NAME", "auth.DOMAIN", parsers.domain,
    "Host to which identity providers send visitors back; see docs/identity.md.")  # fmt: skip
PUBLIC_HTTP_PORT = Option(
    "public_http_port", NAMES, "PORT", "the port of --listen-http", parsers.port,
    "Port that visitors use for http://, when something in front maps it.")  # fmt: skip
PUBLIC_HTTPS_PORT = Option(
    "public_https_port", NAMES, "PORT", "the port of --listen-https", parsers.port,
    "The same for https:// and tls://.")  # fmt: skip
REGION = Option(
    "region", NAMES, "NAME", "local", parsers.region,
    "Name of this service's region, told to agents.")  # fmt: skip
UNRESERVED_DOMAINS = Option(
    "unreserved_domains", NAMES, "own|any|none", "own", parsers.choice("own", "any", "none"),
    "Names that agents may use unreserved, first come. own: those below DOMAIN.")  # fmt: skip
TRUST_FORWARDED = Option(
    "trust_forwarded", BEHAVIOUR, "all|none", "all", parsers.choice("all", "none"),
    "all: append to the X-Forwarded-… headers that visitors send; none: drop those first.")  # fmt: skip
PROXY_FROM = Option(
    "proxy_from", BEHAVIOUR, "CIDR,…", "none", parsers.networks,
    "Load balancers: their connections to visitors' ports must begin with a PROXY header.")  # fmt: skip
OUTGOING_ALLOW = Option(
    "outgoing_allow", BEHAVIOUR, "CIDR,…", "none", parsers.networks,
    "Networks that requests of policies, webhooks and logins may reach although they are this machine's or"
    " private. See docs/limits.md.")  # fmt: skip
GEOIP = Option(
    "geoip", BEHAVIOUR, "PATH,…", "none", parsers.paths,
    "MaxMind files (City, ASN) that tell traffic policies where visitors are.")  # fmt: skip
CRS = Option(
    "crs", BEHAVIOUR, "PATH,…", "none", parsers.paths,
    "Folders or files of the OWASP Core Rule Set, for the actions owasp-crs-….")  # fmt: skip
RESUME_GRACE = Option(
    "resume_grace", BEHAVIOUR, "DURATION", "180s", parsers.duration,
    "How long a name waits for its lost agent. 0 frees it at once.")  # fmt: skip
DRAIN_TIMEOUT = Option(
    "drain_timeout", BEHAVIOUR, "DURATION", "10s", parsers.duration,
    "How long a stop waits for running connections. 0 cuts them.")  # fmt: skip
ENDPOINTS_PER_SESSION = Option(
    "endpoints_per_session", BEHAVIOUR, "N", "100", parsers.count,
    "Endpoints that one agent session may hold; more is ERR_NGROK_324.")  # fmt: skip
MIN_AGENT_VERSION = Option(
    "min_agent_version", BEHAVIOUR, "VERSION,…", "none", read_demands,
    "Least version of agents; older ones are refused, ERR_NGROK_121. 0.2.0@2027-01-31: from that day on,"
    " warned until then. ngrok-python=1.4.0: of that SDK. See docs/limits.md.")  # fmt: skip
API_RATE = Option(
    "api_rate", BEHAVIOUR, "N", "0", parsers.count,
    "Requests a minute that an account may send to the API; more: ERR_NGROK_226. 0: any number.")  # fmt: skip
API_PARALLEL = Option(
    "api_parallel", BEHAVIOUR, "N", "0", parsers.count,
    "Requests at once, likewise; more is ERR_NGROK_225. 0: any number.")  # fmt: skip
ADMIN_CIDR = Option(
    "admin_cidr", BEHAVIOUR, "CIDR,…", "none", parsers.networks,
    "Networks that no IP restriction keeps out of the API; it never keeps out this machine.")  # fmt: skip
PLAN_LIMITS = Option(
    "plan_limits", BEHAVIOUR, "LIMITS", "none", plan_limits,
    "What accounts of a plan may have, such as free:domains=3,addresses=1. See docs/names.md.")  # fmt: skip
POLICY_LIMITS = Option(
    "policy_limits", BEHAVIOUR, "LIMITS", "none", read_limits,
    "How much a traffic policy may be, such as rules=200,document=524288. See docs/limits.md.")  # fmt: skip
DATA_DIR = Option(
    "data_dir", LOGGING, "DIR", "$XDG_DATA_HOME/portway or ~/.local/share/portway", parsers.folder,
    "Folder of database, keys and certificates.")  # fmt: skip
DATABASE_URL = Option(
    "database_url", LOGGING, "URL", "the file portway.db in DIR", parsers.database_url,
    "postgresql://USER:PASSWORD@HOST:PORT/DATABASE to use instead. Others on this machine see flags: a"
    " password is better kept in the variable or the file.")  # fmt: skip
LOG_FORMAT = Option(
    "log_format", LOGGING, "text|json", "text", parsers.choice("text", "json"),
    "text is for people (coloured on a terminal), json for machines.")  # fmt: skip
LOG_LEVEL = Option(
    "log_level", LOGGING, "LEVEL", "info", parsers.choice("debug", "info", "warning", "error"),
    "Least level that is logged: debug, info, warning or error.")  # fmt: skip
ACCESS_LOG = Option(
    "access_log", LOGGING, "on|off", "on", parsers.switch,
    "One line for each connection and request.")  # fmt: skip

OPTIONS: Final[tuple[Option[object], ...]] = (
    LISTEN_AGENT, CONNECT_ADDRESS, LISTEN_HTTP, LISTEN_HTTPS, LISTEN_SSH, LISTEN_METRICS, TCP_PORTS,
    DOMAIN, TCP_HOST, AUTH_HOST, PUBLIC_HTTP_PORT, PUBLIC_HTTPS_PORT, REGION, UNRESERVED_DOMAINS,
    TRUST_FORWARDED, RESUME_GRACE, DRAIN_TIMEOUT, ENDPOINTS_PER_SESSION, MIN_AGENT_VERSION, PLAN_LIMITS,
    POLICY_LIMITS, API_RATE, API_PARALLEL, ADMIN_CIDR, PROXY_FROM, OUTGOING_ALLOW, GEOIP, CRS,
    DATA_DIR, DATABASE_URL, LOG_FORMAT, LOG_LEVEL, ACCESS_LOG, OTLP_TRACES,
)  # fmt: skip
"""Every option, in the order of the help text."""

CONFIG_VARIABLE: Final = "PORTWAY_SERVE_CONFIG"
"""Names the YAML file when ``--config`` does not."""


class Settings:
    """The three places where a value can stand, nearest first."""

    def __init__(
        self, flags: Mapping[str, str | None], environ: Mapping[str, str], file: yaml_file.YamlFile | None
    ) -> None:
        """Take flags by option name, the environment, and the file if there is one."""
        self._flags = flags
        self._environ = environ
        self._file = file

    def given(self, option: Option[T]) -> T | None:
        """Return the value said nearest, or None if nobody said it. Raises ConfigError."""
        found = self._find(option)
        if found is None:
            return None
        text, place = found
        try:
            return option.parse(text)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from error

    def value(self, option: Option[T]) -> T:
        """Return the value said nearest, else the default, which must parse."""
        given = self.given(option)
        return option.parse(option.shown_default) if given is None else given

    def _find(self, option: Option[T]) -> tuple[str, str] | None:
        flag = self._flags.get(option.name)
        if flag is not None:
            return flag, option.flag
        if text := self._environ.get(option.variable):
            return text, option.variable
        return self._file.find(option.name) if self._file else None


def load(
    flags: Mapping[str, str | None],
    environ: Mapping[str, str] | None = None,
    *,
    config: str | None = None,
) -> ServeConfig:
    """Put one configuration together from flags (by option name), variables and the file.

    Raises ConfigError, which names the flag, the variable or the place in the file.
    """
    env = os.environ if environ is None else environ
    named = config or env.get(CONFIG_VARIABLE)
    names = [option.name for option in OPTIONS]
    file = yaml_file.read(Path(named), names, (SECTION,)) if named else None
    settings = Settings(flags, env, file)
    data_dir = settings.given(DATA_DIR) or paths.default_data_dir(env)
    control = ControlConfig(
        data_dir,
        settings.given(DATABASE_URL) or "",
        settings.given(PLAN_LIMITS) or {},
        settings.value(API_RATE),
        settings.value(API_PARALLEL),
        settings.given(ADMIN_CIDR) or (),
    )
    edge = _edge(settings)
    if file is not None and (entries := file.section(SECTION)):
        # What is known of providers is loaded only where somebody has an application at one.
        from portway.server.oauth_settings import providers_of

        edge = replace(edge, oauth_providers=providers_of(entries))
    return ServeConfig(edge, control, _log(settings))


def _edge(settings: Settings) -> EdgeConfig:
    domain = settings.value(DOMAIN)
    return EdgeConfig(
        domain=domain,
        region=settings.value(REGION),
        listen_agent=settings.value(LISTEN_AGENT),
        listen_http=settings.value(LISTEN_HTTP),
        listen_https=settings.value(LISTEN_HTTPS),
        tcp_ports=settings.value(TCP_PORTS),
        tcp_host=settings.given(TCP_HOST) or default_tcp_host(domain),
        public_http_port=settings.given(PUBLIC_HTTP_PORT),
        public_https_port=settings.given(PUBLIC_HTTPS_PORT),
        trust_forwarded=settings.value(TRUST_FORWARDED) == "all",
        resume_grace=settings.value(RESUME_GRACE),
        drain_timeout=settings.value(DRAIN_TIMEOUT),
        endpoints_per_session=settings.value(ENDPOINTS_PER_SESSION),
        unreserved_domains=_unreserved(settings.value(UNRESERVED_DOMAINS)),
        access_events=settings.value(ACCESS_LOG) or _observed(settings),
        plans=settings.given(PLAN_LIMITS) or {},
        proxy_from=settings.given(PROXY_FROM) or (),
        geoip=settings.given(GEOIP) or (),
        crs=settings.given(CRS) or (),
        policy_limits=settings.given(POLICY_LIMITS) or DEFAULT_LIMITS,
        outgoing_allow=settings.given(OUTGOING_ALLOW) or (),
        min_agent_version=settings.given(MIN_AGENT_VERSION) or (),
        connect_addresses=settings.given(CONNECT_ADDRESS) or (),
        listen_ssh=settings.given(LISTEN_SSH),
        listen_metrics=settings.given(LISTEN_METRICS),
        otlp_traces=settings.given(OTLP_TRACES) or "",
        auth_host=settings.given(AUTH_HOST) or f"{AUTH_LABEL}.{domain}",
    )


def _observed(settings: Settings) -> bool:
    """Tell whether metrics or traces are made of events."""
    return settings.given(LISTEN_METRICS) is not None or bool(settings.given(OTLP_TRACES))


def _unreserved(text: str) -> Literal["own", "any", "none"]:
    return text if text in ("any", "none") else "own"


def _log(settings: Settings) -> LogConfig:
    return LogConfig(
        format=settings.value(LOG_FORMAT),
        level=settings.value(LOG_LEVEL),
        access=settings.value(ACCESS_LOG),
    )


def default_tcp_host(domain: str) -> str:
    """Return ``localhost`` below ``.localhost``, else ``1.tcp.DOMAIN``."""
    local = domain == "localhost" or domain.endswith(".localhost")
    return "localhost" if local else pool_host(domain)
