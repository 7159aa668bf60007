import { assertEquals } from "@std/assert";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { createOracle } from "../backends/oracle_backend.ts";
import { serveFiles } from "../files/file_server.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

const FOLDER = new URL("../fixtures/transformer/d_small_signal/", import.meta.url);
const WEIGHTS = "diffusion_pytorch_model.safetensors";

for (const ranges of [true, false]) {
  const server = ranges ? "ranges" : "whole files";
  Deno.test(`Model.load() keeps nothing of what a server of ${server} gave`, async () => {
    const weights = await Deno.readFile(new URL(WEIGHTS, FOLDER));
    const config = await Deno.readFile(new URL("config.json", FOLDER));
    const files = { "config.json": config, [WEIGHTS]: weights };
    await using server = serveFiles(files, { ranges });
    await using backend = await createOracle();
    await using model = await Transformer2DModel.fromPretrained(server.url, { backend });
    const downloads = () => server.log.filter((line) => line.startsWith(`GET ${WEIGHTS}`)).length;
    assertEquals(downloads(), 1);
    // Saving reads all weights again: from the server, as they are not in memory any more.
    for (const times of [2, 3]) {
      await inTemporaryFolder(async (folder) => {
        await model.savePretrained(folder);
        const saved = parseSafetensors(await Deno.readFile(`${folder}/${WEIGHTS}`));
        for (const [name, array] of parseSafetensors(weights)) {
          assertEquals(saved.get(name), array, name);
        }
      });
      assertEquals(downloads(), times);
    }
  });
}
