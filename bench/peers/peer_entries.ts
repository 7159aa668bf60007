// Peers as lines of the table.

import type { Bench, Entry } from "../bench.ts";
import type { PeerTask } from "./peer.ts";
import { PeerProcess } from "./peer_process.ts";
import { writeTask } from "./task_folder.ts";

/** Starts all peers that can do a task, on as many threads as ours; they go on the stack. */
export async function peerEntries(
  { peers, settings }: Pick<Bench, "peers" | "settings">,
  task: PeerTask,
  stack: AsyncDisposableStack,
): Promise<Entry[]> {
  const able = peers.filter((peer) => peer.supports(task));
  if (able.length === 0) return [];
  const threads = Math.max(...settings.map(({ threads }) => threads));
  const folder = await Deno.makeTempDir({ prefix: "vq-diffusion-bench-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await writeTask(task, folder);
  const entries: Entry[] = [];
  for (const peer of able) {
    const process = await PeerProcess.start(peer.name, peer.command(folder, threads), folder);
    entries.push({ contestant: stack.use(process), peer, dtype: "fp32", threads });
  }
  return entries;
}
