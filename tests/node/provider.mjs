// A provider of OpenID Connect (npm oidc-provider, unmodified) in a process of its own:
//
//   node provider.mjs PORT CALLBACK...
//
// It knows two people by their name alone, and the application "portway". Its pages are those that the package
// brings for development: name, any password, consent.
import { pathToFileURL } from "node:url";

const home = process.env.SDK_HOME;
const { default: Provider } = await import(pathToFileURL(`${home}/node_modules/oidc-provider/lib/index.js`));
const [port, ...callbacks] = process.argv.slice(2);

const people = {
  ada: { name: "Ada Lovelace", email: "ada@example.com", email_verified: true },
  bob: { name: "Bob", email: "bob@elsewhere.example", email_verified: true },
};

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "portway",
    client_secret: "a-secret-of-the-tests-that-is-long",
    redirect_uris: callbacks,
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  cookies: { keys: ["a key of the tests"] },
  features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...people[id] }) }),
  pkce: { required: () => true },
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
process.stdin.on("end", () => process.exit(0)).resume();
