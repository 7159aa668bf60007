// PyTorch, in a Python of the user's.

import type { Peer } from "./peer.ts";

const CHILD = new URL("torch_child.py", import.meta.url).pathname;

/**
 * Gives the PyTorch of a Python as a peer.
 *
 * @throws {Error} If it has none.
 */
export async function torchPeer(python: string): Promise<Peer> {
  const { success, stdout, stderr } = await new Deno.Command(python, {
    args: ["-c", "import torch; print(torch.__version__)"],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(`Cannot use the PyTorch of ${python}: ${text(stderr)}`);
  return {
    name: `PyTorch ${text(stdout)}`,
    shortName: "torch",
    simd: "native",
    supports: () => true,
    command: (folder, threads) => [python, CHILD, folder, `${threads}`],
  };
}
