import { assertEquals } from "@std/assert";
import { createSha256, Sha256 } from "../../src/hub/sha256.ts";

Deno.test("Sha256 gives what Web Crypto gives, in pieces of any length", async () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) {
    const bytes = new Uint8Array(length).map((_, i) => i * 31);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const expected = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    for (const step of [1, 7, 64, 1000]) {
      for (const hasher of [new Sha256(), createSha256()]) {
        for (let i = 0; i < length; i += step) hasher.update(bytes.subarray(i, i + step));
        assertEquals(hasher.digest(), expected, `${length} bytes in pieces of ${step}`);
      }
    }
  }
});
