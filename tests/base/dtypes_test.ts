import { assertEquals } from "@std/assert";
import {
  heldDType,
  type HostDType,
  hostDType,
  isStoredDType,
  STORED_DTYPES,
  storedDType,
  WEIGHT_DTYPES,
  weightDType,
} from "../../src/base/dtypes.ts";

Deno.test("hostDType() gives the types that weights can be computed with, and of no others", () => {
  const types = Object.keys(STORED_DTYPES).filter(isStoredDType);
  const found = types.map((type) => [type, hostDType(type)]).filter(([, host]) => host);
  assertEquals(Object.fromEntries(found), {
    F64: "f32",
    F32: "f32",
    F16: "f16",
    BF16: "bf16",
    I8: "i8",
  });
  assertEquals(hostDType(undefined), undefined);
});

Deno.test("storedDType() gives back the type that hostDType() came from", () => {
  const types: HostDType[] = ["f32", "f16", "bf16", "i8"];
  assertEquals(types.map((type) => hostDType(storedDType(type))), types);
  assertEquals(types.map((type) => STORED_DTYPES[storedDType(type)]), [4, 2, 2, 1]);
});

Deno.test("weightDType() gives back the way of holding that heldDType() came from", () => {
  for (const dtype of WEIGHT_DTYPES) assertEquals(weightDType([heldDType(dtype)]), dtype);
  assertEquals(weightDType(["i8", "f16"]), "fp32");
  assertEquals(weightDType(["bf16", "bf16"]), "fp32");
  assertEquals(weightDType(["f16", undefined]), "fp32");
});

Deno.test("isStoredDType() knows no names of other kinds", () => {
  assertEquals(["F32", "f32", "toString", 3].map(isStoredDType), [true, false, false, false]);
});
