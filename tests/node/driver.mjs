// Drives the official ngrok Node SDK, unmodified, in a process of its own: one JSON command a line on
// standard input, one JSON answer a line on standard output. The same as tests/system/drivers/python_sdk.py.
import http from "node:http";
import readline from "node:readline";
import { createRequire } from "node:module";

const ngrok = createRequire(process.env.SDK_HOME + "/")("@ngrok/ngrok");

const listeners = new Map();
const latencies = [];
const losses = [];
let session;

function endpoint(proto, domain) {
  const builder = { http: "httpEndpoint", https: "httpEndpoint", tcp: "tcpEndpoint", tls: "tlsEndpoint" }[proto];
  const made = session[builder]();
  if (proto === "http" || proto === "https") made.scheme(proto);
  if (domain && proto === "tcp") return made.remoteAddr(domain);
  return domain ? made.domain(domain) : made;
}

function keep(listener) {
  listeners.set(listener.url(), listener);
  return { id: listener.id(), url: listener.url(), proto: listener.proto() };
}

const commands = {
  async connect({ address, ca, token, interval, tolerance }) {
    const builder = new ngrok.SessionBuilder();
    builder.serverAddr(address).authtoken(token).caCert(Buffer.from(ca));
    builder.heartbeatInterval(interval).heartbeatTolerance(tolerance);
    builder.handleHeartbeat((latency) => latencies.push(latency));
    builder.handleDisconnection((_address, error) => (losses.push(error), true));
    session = await builder.connect();
    return {};
  },
  async forward({ proto, to, domain, tls, proxy, app_protocol, options }) {
    const made = endpoint(proto, domain);
    if (tls?.certificate) made.termination(Buffer.from(tls.certificate), Buffer.from(tls.key));
    if (tls?.ca) made.mutualTlsca(Buffer.from(tls.ca));
    if (proxy) made.proxyProto(proxy);
    if (app_protocol) made.appProtocol(app_protocol);
    for (const [name, ...given] of options ?? []) {
      made[name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())](...given);
    }
    return keep(await made.listenAndForward(to));
  },
  async listen({ proto, domain }) {
    const server = http.createServer((request, response) => response.end(`served by the SDK: ${request.url}\n`));
    const listener = await endpoint(proto, domain).listen();
    await ngrok.listen(server, listener);
    return keep(listener);
  },
  async serve({ labels, to, metadata }) {
    const made = session.labeledListener().metadata(metadata);
    for (const [name, value] of Object.entries(labels)) made.label(name, value);
    const listener = await made.listenAndForward(to);
    listeners.set(listener.id(), listener);
    return { id: listener.id(), labels: listener.labels() };
  },
  async unbind({ url }) {
    await listeners.get(url).close();
    listeners.delete(url);
    return {};
  },
  async close() {
    await session.close();
    return {};
  },
  async state() {
    return { latencies, losses };
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { op, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = await commands[op](rest);
  } catch (error) {
    answer = { error: String(error.message ?? error), code: error.errorCode ?? "" };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
process.exit(0);
