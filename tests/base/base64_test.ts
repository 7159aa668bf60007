import { assertEquals } from "@std/assert";
import { decodeBase64, encodeBase64 } from "../../src/base/base64.ts";

Deno.test("encodeBase64() and decodeBase64() agree with the engine, at all lengths", () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => (i * i + (i >> 8)) % 256);
  for (const length of [0, 1, 2, 3, 4, 255, 8191, 8192, 8193, 20_000]) {
    const part = bytes.subarray(0, length);
    const text = encodeBase64(part);
    assertEquals(text, part.toBase64());
    assertEquals(decodeBase64(text), part.slice());
  }
});
