// docker login and logout: the daemon checks the credentials, a helper or config.json keeps them.

import type { AuthConfig } from "../../../../api/engine/image.ts";
import { decodeUtf8 } from "../../../../base/bytes.ts";
import { formatJson } from "../../../../base/json.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { saveConfig, storeAuth } from "../../config/config.ts";
import { HUB_KEY, helperFor, registryAuth, registryKey, runHelper } from "../../config/credentials.ts";
import { ExitStatus } from "../../failure.ts";

const MAX_SECRET_BYTES = 64 * 1024;

export const login: Command = {
  name: "login",
  summary: "Authenticate to a registry",
  usage: "[OPTIONS] [SERVER]",
  args: [0, 1],
  define(set) {
    const password = set.string("password", "p", "Password or access token");
    const fromStdin = set.bool("password-stdin", "", "Read the password from STDIN");
    const username = set.string("username", "u", "User name");
    return async (cli, [server]) => {
      const key = serverKey(server);
      const auth = await credentials(cli, key, {
        username: username.value,
        password: password,
        fromStdin: fromStdin.value,
      });
      const answer = await cli.engine.post<{ Status: string; IdentityToken?: string }>("/auth", { json: auth });
      if (answer.IdentityToken) {
        auth.password = "";
        auth.identitytoken = answer.IdentityToken;
      }
      await store(cli, key, auth);
      if (answer.Status) cli.out.line(answer.Status);
    };
  },
};

interface LoginFlags {
  username: string;
  password: { value: string; changed: boolean };
  fromStdin: boolean;
}

async function credentials(cli: Cli, key: string, flags: LoginFlags): Promise<AuthConfig> {
  let password = flags.password.value;
  if (flags.password.changed) {
    cli.err.line("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    if (flags.fromStdin)
      throw new ExitStatus(1, "conflicting options: cannot specify both --password and --password-stdin");
  }
  if (flags.fromStdin) {
    if (flags.username === "") throw new ExitStatus(1, "the --password-stdin option requires --username to be set");
    password = await readSecret(cli);
  }
  if (flags.username === "" && password === "") {
    const known = await registryAuth(cli, key === HUB_KEY ? "docker.io" : key);
    if (known !== null) return known;
  }
  if (flags.username === "" || password === "") {
    if (!cli.runtime.terminal.isTerminal(0))
      throw new ExitStatus(1, "Error: Cannot perform an interactive login from a non TTY device");
    return { ...(await ask(cli, flags.username, password)), serveraddress: key };
  }
  return { username: flags.username, password, serveraddress: key };
}

async function ask(cli: Cli, given: string, password: string): Promise<{ username: string; password: string }> {
  const username = given || (await prompt(cli, "Username: ", false));
  if (username === "") throw new ExitStatus(1, "Error: Non-null Username Required");
  const secret = password || (await prompt(cli, "Password: ", true));
  if (secret === "") throw new ExitStatus(1, "Error: Password Required");
  return { username, password: secret };
}

/** One line; hidden ones are read in raw mode, so that the terminal does not echo them. */
async function prompt(cli: Cli, words: string, hidden: boolean): Promise<string> {
  cli.out.print(words);
  await cli.out.flush();
  using _raw = hidden ? cli.runtime.terminal.raw(0) : null;
  const into = new Uint8Array(1);
  const bytes: number[] = [];
  while ((await cli.runtime.stdin.read(into)) > 0 && into[0] !== 10 && into[0] !== 13) {
    if (into[0] === 3) throw new ExitStatus(130);
    if (into[0] === 127) bytes.pop();
    else bytes.push(into[0]!);
  }
  if (hidden) cli.out.line("\r");
  return decodeUtf8(Uint8Array.from(bytes)).trim();
}

async function readSecret(cli: Cli): Promise<string> {
  const into = new Uint8Array(4096);
  let text = "";
  for (let count = await cli.runtime.stdin.read(into); count > 0; count = await cli.runtime.stdin.read(into)) {
    text += decodeUtf8(into.subarray(0, count));
    if (text.length > MAX_SECRET_BYTES) throw new ExitStatus(1, "password too long");
  }
  return text.replace(/\r?\n$/, "");
}

async function store(cli: Cli, key: string, auth: AuthConfig): Promise<void> {
  const helper = helperFor(cli, key);
  const token = auth.identitytoken ?? "";
  if (helper !== "") {
    const Username = token === "" ? auth.username : "<token>";
    await runHelper(cli, helper, {
      action: "store",
      input: formatJson({ ServerURL: key, Username: Username ?? "", Secret: token || (auth.password ?? "") }),
    });
    return;
  }
  const entry =
    token === ""
      ? storeAuth(auth.username ?? "", auth.password ?? "")
      : { ...storeAuth(auth.username ?? "", ""), identitytoken: token };
  cli.config.auths = { ...cli.config.auths, [key]: entry };
  saveConfig(cli.runtime.files, cli.configDirectory, cli.config);
  cli.err.line(
    `\nWARNING! Your credentials are stored unencrypted in '${cli.configDirectory}/config.json'.\n` +
      "Configure a credential helper to remove this warning.\n",
  );
}

export const logout: Command = {
  name: "logout",
  summary: "Log out from a registry",
  usage: "[SERVER]",
  args: [0, 1],
  define:
    () =>
    async (cli, [server]) => {
      const key = serverKey(server);
      const shown = server ?? HUB_KEY;
      cli.out.line(`Removing login credentials for ${shown === "" ? HUB_KEY : shown}`);
      const helper = helperFor(cli, key);
      if (helper !== "") await runHelper(cli, helper, { action: "erase", input: key });
      if (cli.config.auths?.[key] === undefined) return;
      delete cli.config.auths[key];
      saveConfig(cli.runtime.files, cli.configDirectory, cli.config);
    },
};

function serverKey(server: string | undefined): string {
  if (server === undefined || server === "") return HUB_KEY;
  return registryKey(server.replace(/^https?:\/\//, "").replace(/\/.*$/, ""));
}
