/** A real server in a process of its own, with the bundled model, for tests. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));

/** A server that serves. */
export interface RunningServer {
  /** host:port. */
  readonly target: string;
  /** Ends it, and returns when it has ended. */
  stop(): Promise<void>;
}

/** Python of the repository: PYTHON, or that of the environments that make makes. */
export function python(): string {
  const made = [".venv-dev", ".venv"].map((folder) => `${REPOSITORY}/${folder}/bin/python`);
  const found = process.env["PYTHON"] ?? made.find((path) => existsSync(path));
  if (found === undefined)
    throw new Error("there is no .venv-dev: make .venv-dev/installed makes it");
  return found;
}

/** Starts a server, on a free port unless `port` says which, and returns when it serves. */
export async function startServer(flags: string[] = [], port = 0): Promise<RunningServer> {
  const options = ["--models", "models", "--port", `${port}`, "--drain-delay-s", "0"];
  const server = spawn(python(), ["-m", "server", ...options, ...flags], {
    cwd: REPOSITORY,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = () => server.kill();
  process.once("exit", kill);
  const [line] = (await Promise.race([
    once(createInterface(server.stdout), "line"),
    once(server, "exit").then(([code]) => [`the server ended with ${code}`]),
  ])) as [string];
  const target = /^serving on (\S+)$/.exec(line)?.[1];
  if (target === undefined) throw new Error(line);
  const stop = async () => {
    process.off("exit", kill);
    await stopped(server);
  };
  return { target, stop };
}

async function stopped(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return;
  const exit = once(server, "exit");
  server.kill();
  await exit;
}

/** A port that nobody listens on, at least now. */
export async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}
