// Some hundred damaged files of every kind that is read; `deno task soak` tries 100 000, with other seeds.

import { assert } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { checkClean } from "../checkpoints/clean_errors.ts";
import { Dice } from "../checkpoints/mutations.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { fileKinds, LONGEST_ERROR } from "./file_kinds.ts";

Deno.test("damaged files of every kind are read or give clean errors", async (t) => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using folder = await temporaryFolder();
  for (
    const [name, { read, names }] of Object.entries(await fileKinds(backend, folder.path))
  ) {
    await t.step(name, async () => {
      const count = /model|report|original/.test(name) ? 100 : 500;
      let refused = 0;
      for (let seed = 0; seed < count; seed++) {
        const isRead = await checkClean(seed, () => read(new Dice(seed)), LONGEST_ERROR, names);
        if (!isRead) refused++;
      }
      assert(refused > count / 4, `only ${refused} of ${count} are refused`);
    });
  }
});
