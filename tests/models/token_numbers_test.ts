import { assertEquals } from "@std/assert";
import { TokenNumbers } from "../../src/models/token_numbers.ts";
import { BACKENDS } from "../backends/backends.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";

const WEBGPU = { name: "WebGPU", make: makeWebGpu, ignore: WITHOUT_WEBGPU };

for (
  const { name, make, ignore } of [...BACKENDS.map((one) => ({ ...one, ignore: false })), WEBGPU]
) {
  Deno.test({
    name: `${name}: TokenNumbers.of() looks the tokens of codes up, up to great ones`,
    ignore,
    fn: async () => {
      // As many as ImageNet's autoencoder has, of which one token stands for most.
      const codes = 16384;
      const tokens = 5462;
      const tokenOfCode = Array.from({ length: codes }, (_, i) => i % 3 === 1 ? (i - 1) / 3 : 0);
      tokenOfCode[codes - 1] = tokens - 1;
      const asked = [0, 1, 2, 3070, 3073, 3076, 6145, 12289, codes - 2, codes - 1];
      await using backend = await make();
      using frame = backend.frame();
      const ids = frame.empty([2, asked.length / 2], "i32");
      ids.write(Int32Array.from(asked));
      const found = new TokenNumbers(tokenOfCode, tokens).of(frame, ids);
      await frame.run();
      assertEquals(found.shape, [2, asked.length / 2]);
      assertEquals([...await found.data()], asked.map((code) => tokenOfCode[code]));
    },
  });
}
