import { assertEquals } from "@std/assert";
import {
  createHasher,
  createSha256,
  hashOfName,
  Sha1,
  Sha256,
  sha256Of,
} from "../../src/hub/hashes.ts";

async function expectedHash(algorithm: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const LENGTHS = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000];

Deno.test("Sha256 and Sha1 give what Web Crypto gives, in pieces of any length", async () => {
  for (const length of LENGTHS) {
    const bytes = new Uint8Array(length).map((_, i) => i * 31);
    const sha256 = await expectedHash("SHA-256", bytes);
    const sha1 = await expectedHash("SHA-1", bytes);
    assertEquals(await sha256Of(bytes), sha256);
    for (const step of [1, 7, 64, 1000]) {
      const hashers = [new Sha256(), createSha256(), new Sha1()];
      const digests = hashers.map((hasher) => {
        for (let i = 0; i < length; i += step) hasher.update(bytes.subarray(i, i + step));
        return hasher.digest();
      });
      assertEquals(digests, [sha256, sha256, sha1], `${length} bytes in pieces of ${step}`);
    }
  }
});

Deno.test("createHasher() hashes as git names files", () => {
  // What `git hash-object` prints.
  const names = {
    "": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "{}": "9e26dfeeb6e641a33dae4961196235bdb965b21b",
  };
  for (const [text, name] of Object.entries(names)) {
    const hasher = createHasher("sha1", text.length);
    hasher.update(new TextEncoder().encode(text));
    assertEquals(hasher.digest(), name);
    assertEquals(hashOfName(name), { algorithm: "sha1", hex: name });
  }
});
