// Decoding in parts gives what TextDecoder gives.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { atOnce, inTurns } from "../../src/base/pauses.ts";
import { decodeUtf8 } from "../../src/base/utf8.ts";
import { countTurns } from "../turns.ts";

const encoder = new TextEncoder();

Deno.test("decodeUtf8() joins characters that lie in two parts", () => {
  for (let shift = 0; shift < 4; shift++) {
    const text = "x".repeat(shift) + "😀".repeat(2 ** 18 + 1);
    assert(atOnce(decodeUtf8(encoder.encode(text))) === text);
  }
  assertEquals(atOnce(decodeUtf8(encoder.encode("\ufeff\ufeffé"))), "\ufeffé");
  assertEquals(atOnce(decodeUtf8(new Uint8Array())), "");
});

Deno.test("decodeUtf8() refuses what is not UTF-8", () => {
  const bytes = encoder.encode("é".repeat(2 ** 20));
  for (
    const damaged of [
      bytes.subarray(0, -1),
      bytes.subarray(1),
      bytes.map((byte, i) => i === 2 ** 20 ? 0xff : byte),
    ]
  ) {
    assertThrows(() => atOnce(decodeUtf8(damaged)), TypeError);
  }
});

Deno.test("decodeUtf8() lets the event loop turn", async () => {
  const turns = await countTurns(() => inTurns(decodeUtf8(new Uint8Array(2 ** 24))));
  assert(turns >= 16, `${turns} turns`);
});
